/* SPDX-License-Identifier: MIT */
/* expect: not compatible with any (generic )?association */
/* select_recv_into_another_type.c - a case receives into the type of its channel. */
#include <bide.h>

#include <bide/short.h>

int body(chan(int) c);
int body(chan(int) c)
{
#ifdef FIXED
    int v;
#else
    short v;
#endif
    return select_any(on_recv(c, &v), on_default());
}

int main(void)
{
    return 0;
}
