/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* gen_of_another_type.c - a handle keeps the type of its values. */
#include <bide.h>

#include <bide/short.h>

generator(int, gives_ints);

void body(void);
void body(void)
{
#ifdef FIXED
    gen(int) g = generate(gives_ints);
#else
    gen(double) g = generate(gives_ints);
#endif
    gen_free(g);
}

int main(void)
{
    return 0;
}
