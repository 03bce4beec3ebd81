/* SPDX-License-Identifier: MIT */
/* expect: called object.*is not a function|object type .* is not a function */
/* await_of_a_number.c - only a handle can be awaited. */
#include <bide.h>

#include <bide/short.h>

int body(int n);
int body(int n)
{
#ifdef FIXED
    return n;
#else
    return await(n);
#endif
}

int main(void)
{
    return 0;
}
