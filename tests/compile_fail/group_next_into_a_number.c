/* SPDX-License-Identifier: MIT */
/* expect: called object.*is not a function|object type .* is not a function */
/* group_next_into_a_number.c - what comes next is a handle. */
#include <bide.h>

#include <bide/short.h>

int body(bide_group *g);
int body(bide_group *g)
{
#ifdef FIXED
    task(int) next;
#else
    int next;
#endif
    return bide_group_next(g, &next);
}

int main(void)
{
    return 0;
}
