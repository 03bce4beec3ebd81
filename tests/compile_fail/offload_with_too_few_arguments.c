/* SPDX-License-Identifier: MIT */
/* expect: too few arguments */
/* offload_with_too_few_arguments.c - arguments are counted as in a call. */
#include <bide.h>

#include <bide/short.h>

async(int, two, int, a, int, b);

int body(void);
int body(void)
{
#ifdef FIXED
    return await(offload(two, 1, 2));
#else
    return await(offload(two, 1));
#endif
}

int main(void)
{
    return 0;
}
