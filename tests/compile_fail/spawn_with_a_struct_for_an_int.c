/* SPDX-License-Identifier: MIT */
/* expect: incompatible type */
/* spawn_with_a_struct_for_an_int.c - arguments are checked as in a call. */
#include <bide.h>

#include <bide/short.h>

struct point {
    int x;
};

async(int, takes_int, int, n);

int body(struct point p);
int body(struct point p)
{
#ifdef FIXED
    return await(spawn(takes_int, p.x));
#else
    return await(spawn(takes_int, p));
#endif
}

int main(void)
{
    return 0;
}
