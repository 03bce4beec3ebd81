/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* gen_next_of_a_task.c - a task has one result, which await takes. */
#include <bide.h>

#include <bide/short.h>

async(int, returns_int);
generator(int, gives_ints);

bool body(void);
bool body(void)
{
    int v;
#ifdef FIXED
    return gen_next(generate(gives_ints), &v);
#else
    return gen_next(spawn(returns_int), &v);
#endif
}

int main(void)
{
    return 0;
}
