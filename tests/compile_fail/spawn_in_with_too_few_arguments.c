/* SPDX-License-Identifier: MIT */
/* expect: too few arguments */
/* spawn_in_with_too_few_arguments.c - a member takes what its function takes. */
#include <bide.h>

#include <bide/short.h>

async(int, adds, int, a, int, b);

int body(bide_group *g);
int body(bide_group *g)
{
#ifdef FIXED
    return spawn_in(g, adds, 1, 2);
#else
    return spawn_in(g, adds, 1);
#endif
}

int main(void)
{
    return 0;
}
