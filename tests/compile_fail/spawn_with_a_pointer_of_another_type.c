/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* spawn_with_a_pointer_of_another_type.c - arguments are checked as in a call. */
#include <bide.h>

#include <bide/short.h>

async(int, takes_int_pointer, int *, p);

int body(double *d, int *p);
int body(double *d, int *p)
{
#ifdef FIXED
    (void)d;
    return await(spawn(takes_int_pointer, p));
#else
    (void)p;
    return await(spawn(takes_int_pointer, d));
#endif
}

int main(void)
{
    return 0;
}
