/* SPDX-License-Identifier: MIT */
/*
 * listener.h - what bide_serve needs of a listener beside accepting.
 */
#ifndef BIDE__IO_LISTENER_H
#define BIDE__IO_LISTENER_H

#include <bide/io/listener.h>

const bide_listen_options *bide__listener_options(const bide_listener *listener);

/*
 * Take no more connections: the kernel refuses them from now on. The listener stays to be closed.
 */
void bide__listener_stop(bide_listener *listener);

/*
 * Wait until the deadline, or until something happens that changes what the listener can do.
 * Returns 0, -EBADF when it is stopped meanwhile, -ECANCELED, -ETIMEDOUT.
 */
int bide__listener_rest(bide_listener *listener, bide_time deadline, const char *what);

/* Something happened: a connection has ended, and given its descriptor back. */
void bide__listener_stir(bide_listener *listener);

/* Keep the listener's memory while a call is inside, even when another task closes it. */
void bide__listener_hold(bide_listener *listener);
void bide__listener_let_go(bide_listener *listener);

#endif
