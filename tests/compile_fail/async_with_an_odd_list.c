/* SPDX-License-Identifier: MIT */
/* expect: odd */
/* async_with_an_odd_list.c - parameters are pairs of type and name. */
#include <bide.h>

#include <bide/short.h>

#ifdef FIXED
async(int, takes_two, int, a, int, b);
#else
async(int, takes_two, int, a, int);
#endif

int main(void)
{
    return 0;
}
