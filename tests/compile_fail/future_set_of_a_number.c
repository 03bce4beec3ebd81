/* SPDX-License-Identifier: MIT */
/* expect: called object.*is not a function|object type .* is not a function */
/* future_set_of_a_number.c - only a future can be set. */
#include <bide.h>

#include <bide/short.h>

int body(future(int) f, int n);
int body(future(int) f, int n)
{
#ifdef FIXED
    return future_set(f, n);
#else
    (void)f;
    return future_set(n, n);
#endif
}

int main(void)
{
    return 0;
}
