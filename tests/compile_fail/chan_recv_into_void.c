/* SPDX-License-Identifier: MIT */
/* expect: not compatible with any (generic )?association */
/* chan_recv_into_void.c - a pointer without a type is not enough. */
#include <bide.h>

#include <bide/short.h>

int body(chan(int) c, void *p);
int body(chan(int) c, void *p)
{
#ifdef FIXED
    return chan_recv(c, (int *)p);
#else
    return chan_recv(c, p);
#endif
}

int main(void)
{
    return 0;
}
