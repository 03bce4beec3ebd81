/* SPDX-License-Identifier: MIT */
/* expect: incompatible pointer types? */
/* spawn_in_of_a_scope.c - members are spawned into a group, not into a scope. */
#include <bide.h>

#include <bide/short.h>

async(int, nothing);

#ifdef FIXED
int body(bide_group *g);
int body(bide_group *g)
#else
int body(bide_scope *g);
int body(bide_scope *g)
#endif
{
    return spawn_in(g, nothing);
}

int main(void)
{
    return 0;
}
