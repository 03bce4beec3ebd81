/* SPDX-License-Identifier: MIT */
/* expect: cast specifies function type|arithmetic or pointer type is required */
/* group_next_without_the_address.c - the handle is written to, so its address is wanted. */
#include <bide.h>

#include <bide/short.h>

int body(bide_group *g);
int body(bide_group *g)
{
    task(int) next = NULL;
#ifdef FIXED
    return bide_group_next(g, &next);
#else
    return bide_group_next(g, next);
#endif
}

int main(void)
{
    return 0;
}
