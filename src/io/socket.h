/* SPDX-License-Identifier: MIT */
/*
 * socket.h - connected sockets as streams.
 */
#ifndef BIDE__IO_SOCKET_H
#define BIDE__IO_SOCKET_H

#include "io/address.h"
#include "io/endpoint.h"
#include "io/stream.h"

/*
 * Make a stream of a connected socket of a family (AF_INET, ...), in whichever mode: its calls ask
 * the kernel not to wait. On success the stream owns the descriptor; on failure the caller still
 * does: -ENOMEM, -ENOSPC.
 */
int bide__socket_stream(struct bide__epoll *epoll, int number, int family, bide_stream **out);

/* The socket's own address, or the peer's. Returns 0 or a negative errno. */
int bide__socket_name(int number, bool of_peer, bide_address *out);

/* The same of a connected or listening socket, as text. */
int bide__socket_address(int number, bool of_peer, char *text, size_t size);

#endif
