/* SPDX-License-Identifier: MIT */
/* expect: expected (a type|specifier-qualifier-list) */
/* chan_send_of_two_values.c - one value at a time. */
#include <bide.h>

#include <bide/short.h>

int body(chan(int) c);
int body(chan(int) c)
{
#ifdef FIXED
    return chan_send(c, 1);
#else
    return chan_send(c, 1, 2);
#endif
}

int main(void)
{
    return 0;
}
