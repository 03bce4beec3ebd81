/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* chan_send_of_another_pointer.c - a pointer that goes through is of the channel's type. */
#include <bide.h>

#include <bide/short.h>

int body(chan(int *) c);
int body(chan(int *) c)
{
#ifdef FIXED
    static int v;
#else
    static long v;
#endif
    return chan_send(c, &v);
}

int main(void)
{
    return 0;
}
