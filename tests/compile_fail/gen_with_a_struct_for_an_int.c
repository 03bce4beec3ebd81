/* SPDX-License-Identifier: MIT */
/* expect: incompatible type|passing .struct */
/* gen_with_a_struct_for_an_int.c - arguments have the types of the parameters. */
#include <bide.h>

#include <bide/short.h>

struct point {
    int x, y;
};

generator(int, counts_from, int, first);

void body(struct point point);
void body(struct point point)
{
#ifdef FIXED
    gen_free(generate(counts_from, point.x));
#else
    gen_free(generate(counts_from, point));
#endif
}

int main(void)
{
    return 0;
}
