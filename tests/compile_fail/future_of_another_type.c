/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* future_of_another_type.c - a future is assigned to one of the same type. */
#include <bide.h>

#include <bide/short.h>

int body(void);
int body(void)
{
#ifdef FIXED
    future(double) f = future_new(double);
#else
    future(double) f = future_new(int);
#endif
    return detach(f);
}

int main(void)
{
    return 0;
}
