/* SPDX-License-Identifier: MIT */
/*
 * dial.h - connecting to a server.
 */
#ifndef BIDE_IO_DIAL_H
#define BIDE_IO_DIAL_H

#include <bide/base/api.h>
#include <bide/io/stream.h>

/**
 * Connect to an address: "tcp://127.0.0.1:80", "tcp://[::1]:80", "tcp://localhost:80",
 * "unix:/path", "unix:@abstract".
 *
 * localhost is tried on 127.0.0.1, then on ::1. Small writes are sent at once (TCP_NODELAY).
 *
 * @param addr  borrowed for the call
 * @param out   the stream, owned by the caller: bide_close
 *
 * Returns 0, or
 *   -EINVAL      the address is malformed
 *   -ENOENT      the host is neither numeric nor localhost, or the Unix path does not exist
 *   -ECONNREFUSED, -EHOSTUNREACH, -EMFILE, -ENOMEM, ...  the kernel's word
 *   -EOPNOTSUPP  the loop has a virtual clock
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; the attempt is over
 * Blocks:  until connected or refused.
 * Cancel:  safe: no descriptor is left behind.
 * Threads: tasks only.
 * Source:  connect(2).
 */
BIDE_API int bide_dial(const char *addr, bide_stream **out);

#endif
