/* SPDX-License-Identifier: MIT */
/*
 * serve.h - a task for every connection.
 */
#ifndef BIDE_IO_SERVE_H
#define BIDE_IO_SERVE_H

#include <bide/base/api.h>
#include <bide/io/listener.h>

/**
 * Accept connections until cancelled, and run the handler as a task for each.
 *
 * The stream is closed after the handler has returned, unless the handler did. A negative result of
 * a handler is counted as a failed task. At most options.connections_max handlers run at once;
 * further clients wait in the backlog.
 *
 * On a cancel (or when another task closes the listener) no more connections are taken, and new
 * ones are refused; the running handlers may go on for options.grace_ns, then they are cancelled;
 * the call returns when the last has ended.
 *
 * When the first task of a loop ends, all others are cancelled at once, handlers too: for a
 * graceful end, cancel and await the serving task before that. In a shutdown (bide_shutdown_on) it
 * drains in any case, and for the grace that was given there.
 *
 * @param listener  borrowed; it serves no more afterwards, and is still the caller's to close
 * @param handler   runs as a task, on a stack of options.stack_bytes
 * @param arg       passed to it; borrowed until the call returns
 *
 * Returns, after the last handler has ended,
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 *   -EBADF      the listener was closed
 *   -EBUSY      another task accepts from it
 * Blocks:  yes; after a cancel for the grace time and as long as handlers then take to end.
 * Cancel:  drains, as described.
 * Threads: the listener's own loop.
 */
BIDE_API int bide_serve(bide_listener *listener, int (*handler)(bide_stream *stream, void *arg),
                        void *arg);

#endif
