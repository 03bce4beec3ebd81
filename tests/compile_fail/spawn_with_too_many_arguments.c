/* SPDX-License-Identifier: MIT */
/* expect: too many arguments */
/* spawn_with_too_many_arguments.c - arguments are counted. */
#include <bide.h>

#include <bide/short.h>

async(int, takes_one, int, n);

int body(void);
int body(void)
{
#ifdef FIXED
    return await(spawn(takes_one, 1));
#else
    return await(spawn(takes_one, 1, 2));
#endif
}

int main(void)
{
    return 0;
}
