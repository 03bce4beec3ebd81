/* SPDX-License-Identifier: MIT */
/* expect: too few arguments */
/* gen_with_too_few_arguments.c - a generator takes all its arguments. */
#include <bide.h>

#include <bide/short.h>

generator(int, counts, int, from, int, to);

void body(void);
void body(void)
{
#ifdef FIXED
    gen_free(generate(counts, 1, 2));
#else
    gen_free(generate(counts, 1));
#endif
}

int main(void)
{
    return 0;
}
