/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* gen_detached.c - a generator does not run by itself. */
#include <bide.h>

#include <bide/short.h>

generator(int, gives_ints);

void body(void);
void body(void)
{
#ifdef FIXED
    gen_free(generate(gives_ints));
#else
    (void)detach(generate(gives_ints));
#endif
}

int main(void)
{
    return 0;
}
