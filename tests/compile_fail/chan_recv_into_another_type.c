/* SPDX-License-Identifier: MIT */
/* expect: not compatible with any (generic )?association */
/* chan_recv_into_another_type.c - a value goes into a variable of the channel's type. */
#include <bide.h>

#include <bide/short.h>

int body(chan(int) c);
int body(chan(int) c)
{
#ifdef FIXED
    int v;
#else
    long v;
#endif
    return chan_recv(c, &v);
}

int main(void)
{
    return 0;
}
