/* SPDX-License-Identifier: MIT */
/* expect: too few arguments */
/* spawn_with_too_few_arguments.c - arguments are counted. */
#include <bide.h>

#include <bide/short.h>

async(int, takes_two, int, a, int, b);

int body(void);
int body(void)
{
#ifdef FIXED
    return await(spawn(takes_two, 1, 2));
#else
    return await(spawn(takes_two, 1));
#endif
}

int main(void)
{
    return 0;
}
