/* SPDX-License-Identifier: MIT */
/* expect: pointer from integer|integer to pointer */
/* offload_with_a_number_for_a_pointer.c - arguments are checked as in a call. */
#include <bide.h>

#include <bide/short.h>

async(int, takes_text, const char *, text);

int body(int n);
int body(int n)
{
#ifdef FIXED
    return n + await(offload(takes_text, "text"));
#else
    return await(offload(takes_text, n));
#endif
}

int main(void)
{
    return 0;
}
