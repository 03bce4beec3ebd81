/* SPDX-License-Identifier: MIT */
/*
 * dial.h - connecting to a server.
 */
#ifndef BIDE_IO_DIAL_H
#define BIDE_IO_DIAL_H

#include <bide/base/api.h>
#include <bide/base/time.h>
#include <bide/io/address.h>
#include <bide/io/stream.h>

/**
 * Connect to an address: "tcp://www.example.org:80", "tcp://127.0.0.1:80", "tcp://[::1]:80",
 * "tcp://localhost:80", "unix:/path", "unix:@abstract".
 *
 * A name is looked up as bide_getaddrinfo does. Where it has several addresses they are tried in
 * the order in which they were found, the families taking turns (Happy Eyeballs): the next one when
 * the last has failed, or has not answered for 250 ms; the first that is connected wins, and the
 * others are closed. localhost is 127.0.0.1, then ::1. Small writes are sent at once (TCP_NODELAY).
 *
 * @param addr  borrowed for the call
 * @param out   the stream, owned by the caller: bide_close
 *
 * Returns 0, or
 *   -EINVAL      the address is malformed
 *   -ENOENT      no host has this name, or the Unix path does not exist
 *   -ENODATA, -EAGAIN, -EIO  of the name, as of bide_getaddrinfo
 *   -ECONNREFUSED, -EHOSTUNREACH, -EMFILE, -ENOMEM, ...  the kernel's word; where several addresses
 *                failed that of the first, unless it only says that this machine has no way there
 *   -EOPNOTSUPP  the loop has a virtual clock
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; the attempt is over
 * Blocks:  until connected or refused.
 * Cancel:  safe: no descriptor is left behind.
 * Threads: tasks only.
 * Source:  connect(2), RFC 8305.
 */
BIDE_API int bide_dial(const char *addr, bide_stream **out);

/* Choices for one connection; zero means the default. */
typedef struct bide_dial_options {
    bide_time timeout_ns;       /* for all of it, the lookup included; 0 for none */
    bide_time attempt_delay_ns; /* until the next address is tried as well: 250 ms, at least 10 ms;
                                   negative waits until the last one has failed */
    int family;                 /* AF_INET or AF_INET6 only; 0 for both */
    const bide_address *local;  /* where to connect from, borrowed for the call; port 0 for any;
                                   addresses of another family are not tried (-EADDRNOTAVAIL) */
    bool nagle;                 /* let the kernel collect small writes */
} bide_dial_options;

/**
 * Connect to an address, with choices.
 *
 * At most 16 attempts are on their way at once.
 *
 * @param addr     borrowed for the call
 * @param options  borrowed for the call, or NULL
 * @param out      the stream, owned by the caller: bide_close
 *
 * Returns as bide_dial does, and
 *   -ETIMEDOUT     timeout_ns has passed
 *   -EADDRINUSE, -EADDRNOTAVAIL, -EACCES  of the local address
 *   -EAFNOSUPPORT  no such family
 * Blocks:  until connected or refused.
 * Cancel:  safe: no descriptor is left behind.
 * Threads: tasks only.
 * Source:  connect(2), bind(2), RFC 8305 sections 4, 5 and 8.
 */
BIDE_API int bide_dial_with(const char *addr, const bide_dial_options *options, bide_stream **out);

#endif
