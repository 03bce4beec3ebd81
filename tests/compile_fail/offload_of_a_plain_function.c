/* SPDX-License-Identifier: MIT */
/* expect: is not a function or function pointer|undeclared */
/* offload_of_a_plain_function.c - only what async() declared can be offloaded. */
#include <bide.h>

#include <bide/short.h>

#ifdef FIXED
async(int, plain, int, n);
#else
int plain(int n);
#endif

int body(void);
int body(void)
{
    return await(offload(plain, 1));
}

int main(void)
{
    return 0;
}
