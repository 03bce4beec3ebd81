/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* chan_of_a_task.c - a task is no channel. */
#include <bide.h>

#include <bide/short.h>

#ifdef FIXED
void body(chan(int) c);
void body(chan(int) c)
#else
void body(task(int) c);
void body(task(int) c)
#endif
{
    chan_close(c);
}

int main(void)
{
    return 0;
}
