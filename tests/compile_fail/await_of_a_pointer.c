/* SPDX-License-Identifier: MIT */
/* expect: called object.*is not a function|object type .* is not a function */
/* await_of_a_pointer.c - a pointer to data is no handle. */
#include <bide.h>

#include <bide/short.h>

int body(int *p);
int body(int *p)
{
#ifdef FIXED
    return *p;
#else
    return await(p);
#endif
}

int main(void)
{
    return 0;
}
