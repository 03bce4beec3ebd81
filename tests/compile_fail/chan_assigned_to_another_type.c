/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* chan_assigned_to_another_type.c - a channel carries the type of its values. */
#include <bide.h>

#include <bide/short.h>

void body(void);
void body(void)
{
#ifdef FIXED
    chan(int) c = chan_new(int, 1);
#else
    chan(unsigned) c = chan_new(int, 1);
#endif
    chan_free(c);
}

int main(void)
{
    return 0;
}
