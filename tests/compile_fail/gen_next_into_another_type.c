/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* gen_next_into_another_type.c - a value goes into its own type. */
#include <bide.h>

#include <bide/short.h>

generator(int, gives_ints);

bool body(void);
bool body(void)
{
#ifdef FIXED
    int v;
#else
    long v;
#endif
    return gen_next(generate(gives_ints), &v);
}

int main(void)
{
    return 0;
}
