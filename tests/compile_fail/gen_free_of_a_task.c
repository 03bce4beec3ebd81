/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* gen_free_of_a_task.c - a task ends by itself, and is awaited or detached. */
#include <bide.h>

#include <bide/short.h>

async(int, returns_int);

void body(void);
void body(void)
{
#ifdef FIXED
    (void)detach(spawn(returns_int));
#else
    gen_free(spawn(returns_int));
#endif
}

int main(void)
{
    return 0;
}
