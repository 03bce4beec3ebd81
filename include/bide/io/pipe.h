/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - the kernel's pipes as streams.
 */
#ifndef BIDE_IO_PIPE_H
#define BIDE_IO_PIPE_H

#include <bide/base/api.h>
#include <bide/io/stream.h>

/**
 * Make a pipe: two streams with a buffer of the kernel's between them.
 *
 * For talking to another process or thread, which takes the descriptor of one end
 * (bide_stream_fd; duplicate it, as the stream keeps its own). Between tasks of one loop a channel
 * or bide_stream_pair is cheaper.
 *
 * Writing to the read end, or reading from the write end, returns -EBADF. A write when all read
 * ends are closed returns -EPIPE and raises no signal. bide_shutdown_write on the write end closes
 * its descriptor, so that the reader sees the end.
 *
 * @param out  out[0] reads what is written to out[1]; each owned by the caller: bide_close
 *
 * Returns 0, or
 *   -EMFILE, -ENFILE, -ENOMEM, -ENOSPC  no descriptor, memory or registration for it
 *   -EOPNOTSUPP  the loop has a virtual clock
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; both ends stay on this loop.
 * Source:  pipe(7).
 */
BIDE_API int bide_pipe(bide_stream *out[2]);

#endif
