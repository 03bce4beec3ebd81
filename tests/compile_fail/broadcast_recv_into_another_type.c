/* SPDX-License-Identifier: MIT */
/* expect: not compatible with any (generic )?association */
/* broadcast_recv_into_another_type.c - a message goes into a variable of its type. */
#include <bide.h>

#include <bide/short.h>

int body(broadcast(int) b, bide_cursor *cursor);
int body(broadcast(int) b, bide_cursor *cursor)
{
#ifdef FIXED
    int v;
#else
    double v;
#endif
    return broadcast_recv(b, cursor, &v);
}

int main(void)
{
    return 0;
}
