/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* await_for_into_another_type.c - the result goes into its own type. */
#include <bide.h>

#include <bide/short.h>

async(int, returns_int);

int body(void);
int body(void)
{
#ifdef FIXED
    int out;
#else
    long out;
#endif
    return await_for(spawn(returns_int), BIDE_MS(1), &out);
}

int main(void)
{
    return 0;
}
