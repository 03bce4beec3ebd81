/* SPDX-License-Identifier: MIT */
/* expect: plain__kind|plain_spawn */
/* spawn_in_of_a_plain_function.c - members are functions made with async. */
#include <bide.h>

#include <bide/short.h>

#ifdef FIXED
async(int, plain, int, n);
#else
int plain(int n);
#endif

int body(bide_group *g);
int body(bide_group *g)
{
    return spawn_in(g, plain, 1);
}

int main(void)
{
    return 0;
}
