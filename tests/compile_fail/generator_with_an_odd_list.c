/* SPDX-License-Identifier: MIT */
/* expect: BIDE__EACH_odd|odd */
/* generator_with_an_odd_list.c - arguments come in pairs of type and name. */
#include <bide.h>

#include <bide/short.h>

#ifdef FIXED
generator(int, counts, int, from, int, to);
#else
generator(int, counts, int, from, int);
#endif

int main(void)
{
    return 0;
}
