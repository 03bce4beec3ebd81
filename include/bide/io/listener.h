/* SPDX-License-Identifier: MIT */
/*
 * listener.h - waiting for connections.
 */
#ifndef BIDE_IO_LISTENER_H
#define BIDE_IO_LISTENER_H

#include <bide/base/api.h>
#include <bide/base/time.h>
#include <bide/io/stream.h>

typedef struct bide_listener bide_listener;

/* Choices for one listener; zero means the default. */
typedef struct bide_listen_options {
    int backlog;              /* connections the kernel keeps until accepted; default 4096, and
                                 never more than net.core.somaxconn */
    bool reuse_port;          /* several listeners share the port, the kernel spreads connections */
    bool v6_only;             /* take no IPv4 connections; by default [::] serves both */
    bool nagle;               /* let the kernel collect small writes; by default they go at once */
    unsigned connections_max; /* bide_serve: so many at once, the others wait; 0 for no limit */
    bide_time grace_ns;       /* bide_serve: how long connections may go on after a cancel, before
                                 they are cancelled too; default 5 s, negative for not at all */
    size_t stack_bytes;       /* bide_serve: of a connection's task; 0 for the loop's default */
} bide_listen_options;

/**
 * Listen for connections on an address.
 *
 * "tcp://127.0.0.1:8080", "tcp://[::1]:8080", "tcp://localhost:0" (any free port), "tcp://[::]:80"
 * or "tcp://:80" (all addresses of both families; of IPv4 alone where the machine has no IPv6),
 * "unix:/path", "unix:@abstract"; "tcp://name:80" listens at the first address of the name that
 * this machine has. A Unix path that a dead server left behind is taken over, one that is served
 * gives -EADDRINUSE.
 *
 * @param addr     borrowed for the call
 * @param options  borrowed for the call, or NULL
 * @param out      the listener, owned by the caller: bide_listener_close
 *
 * Returns 0, or
 *   -EINVAL      the address is malformed
 *   -ENOENT, -ENODATA, -EAGAIN, -EIO  of a name, as of bide_getaddrinfo
 *   -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE, -ENFILE, -ENOMEM  the kernel's word
 *   -EOPNOTSUPP  the loop has a virtual clock
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired while a name was looked up
 * Blocks:  while a name is looked up, else not.
 * Cancel:  safe; not a parking point but for a name that must be looked up.
 * Threads: tasks only.
 * Source:  listen(2), ipv6(7), unix(7).
 */
BIDE_API int bide_listen(const char *addr, const bide_listen_options *options, bide_listener **out);

/**
 * Accept the next connection.
 *
 * Connections that ended before they were accepted are passed over. Where the process or the system
 * has no descriptor or memory for another one, the call waits and tries again, first after 10 ms,
 * then ever longer up to a second; each time is counted (bide_stats.accept_refused), the first is
 * reported. A connection that the kernel had handed over before memory for its stream was refused
 * is closed; the others wait in the backlog.
 *
 * @param listener  borrowed
 * @param out       the stream, owned by the caller: bide_close
 *
 * Returns 0, or
 *   -EBADF      closed, before or meanwhile
 *   -EBUSY      another task is accepting from it
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; no connection was taken
 * Blocks:  until a connection comes.
 * Cancel:  safe: no connection is lost.
 * Threads: the listener's own loop.
 * Source:  accept(2).
 */
BIDE_API int bide_accept(bide_listener *listener, bide_stream **out);

/**
 * Write the listener's address as text, the port that the kernel chose included.
 *
 * @param listener  borrowed
 * @param text      filled, with a zero byte
 * @param size      its size in bytes
 *
 * Returns 0, -ENOSPC when it does not fit, or -EBADF.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the listener's own loop.
 */
BIDE_API int bide_listener_address(bide_listener *listener, char *text, size_t size);

/**
 * Close a listener and give it up; a Unix path is removed. A task that is accepting returns -EBADF.
 *
 * @param listener  owned, and gone after the call; NULL is ignored
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the listener's own loop.
 */
BIDE_API void bide_listener_close(bide_listener *listener);

#endif
