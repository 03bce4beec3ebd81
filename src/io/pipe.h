/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - streams of what read(2) and write(2) serve: pipes, FIFOs, terminals, devices.
 */
#ifndef BIDE__IO_PIPE_H
#define BIDE__IO_PIPE_H

#include <bide/io/pipe.h>

#include "io/endpoint.h"
#include "io/stream.h"

/*
 * Make a stream of one end of a pipe, or of a FIFO: one that nobody else uses, and non-blocking. On
 * success the stream owns the descriptor; on failure the caller still does: -ENOMEM, -ENOSPC, ...
 *
 * Which way it goes is asked of the kernel; reading from a write end, or writing to a read end, is
 * -EBADF. Shutting down writing closes a write end at once, which is the only way to let the
 * readers see its end; later writes are -EPIPE. What is open for both cannot be shut down.
 */
int bide__pipe_stream(struct bide__epoll *epoll, int number, bide_stream **out);

/* What is known of a descriptor that was not made here. */
struct bide__pipe_origin {
    int access;     /* O_RDONLY, O_WRONLY, O_RDWR */
    bool is_fifo;   /* a pipe or FIFO; else a terminal or another device */
    bool is_shared; /* its open file description may block, and must go on doing so */
};

/* The same of such a descriptor. -EPERM when epoll does not serve its kind: /dev/null. */
int bide__pipe_stream_of(struct bide__epoll *epoll, int number, struct bide__pipe_origin origin,
                         bide_stream **out);

#endif
