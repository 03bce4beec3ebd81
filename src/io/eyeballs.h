/* SPDX-License-Identifier: MIT */
/*
 * eyeballs.h - connecting to the first of several addresses that answers (Happy Eyeballs version 2,
 * RFC 8305).
 *
 * One task drives all attempts. Each begins when the one before it failed, or has been on its way
 * for a while; the first that is connected wins, and the others are closed at once.
 *
 *                    +-- failed: the next begins at once
 *      begun --------+-- connected: the end, the others are closed
 *                    +-- the delay has passed: the next begins, this one goes on
 */
#ifndef BIDE__IO_EYEBALLS_H
#define BIDE__IO_EYEBALLS_H

#include <bide/io/dial.h>

#include "io/socket.h"

/*
 * Connect to one of the addresses, which are in the order of preference (RFC 6724); their families
 * take turns here. Returns 0; the scope's code; or why the first attempt failed, unless that was
 * for want of the address family or a route, and a later one says more. Parks.
 */
int bide__connect_any(struct bide__epoll *epoll, const bide_address *list, size_t count,
                      const bide_dial_options *options, bide_stream **out);

#endif
