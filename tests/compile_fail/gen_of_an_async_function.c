/* SPDX-License-Identifier: MIT */
/* expect: implicit declaration|undeclared|initializ|makes pointer */
/* gen_of_an_async_function.c - only what generator() defined can be generated. */
#include <bide.h>

#include <bide/short.h>

generator(int, gives_ints);
async(int, returns_int);

bool body(void);
bool body(void)
{
#ifdef FIXED
    gen(int) g = generate(gives_ints);
#else
    gen(int) g = generate(returns_int);
#endif
    return gen_next(g, NULL);
}

int main(void)
{
    return 0;
}
