/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* gen_awaited.c - a generator has values and no result. */
#include <bide.h>

#include <bide/short.h>

async(int, returns_int);
generator(int, gives_ints);

int body(void);
int body(void)
{
#ifdef FIXED
    return await(spawn(returns_int));
#else
    return await(generate(gives_ints));
#endif
}

int main(void)
{
    return 0;
}
