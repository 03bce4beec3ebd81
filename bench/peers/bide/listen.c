/* SPDX-License-Identifier: MIT */
/*
 * listen.c - as empty.c, but it also listens on a port: so descriptors and the reactor are used.
 */
#include <bide.h>
#include <bide/short.h>

async_main
{
    bide_listener *listener;
    int err = bide_listen("tcp://127.0.0.1:0", NULL, &listener);

    if (err == 0)
        bide_listener_close(listener);
    return err;
}
