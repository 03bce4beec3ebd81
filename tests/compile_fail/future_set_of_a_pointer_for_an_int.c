/* SPDX-License-Identifier: MIT */
/* expect: makes integer from pointer|incompatible pointer to integer */
/* future_set_of_a_pointer_for_an_int.c - the value is of the future's type. */
#include <bide.h>

#include <bide/short.h>

int body(future(int) f);
int body(future(int) f)
{
#ifdef FIXED
    return future_set(f, 1);
#else
    return future_set(f, "1");
#endif
}

int main(void)
{
    return 0;
}
