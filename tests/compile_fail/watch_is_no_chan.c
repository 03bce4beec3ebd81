/* SPDX-License-Identifier: MIT */
/* expect: incompatible (function )?pointer types? */
/* watch_is_no_chan.c - a watch is no channel. */
#include <bide.h>

#include <bide/short.h>

int body(watch(int) w);
int body(watch(int) w)
{
#ifdef FIXED
    return watch_set(w, 1);
#else
    return chan_send(w, 1);
#endif
}

int main(void)
{
    return 0;
}
