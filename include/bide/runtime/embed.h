/* SPDX-License-Identifier: MIT */
/*
 * embed.h - a loop inside a program that has a loop of its own.
 *
 *     bide_loop_open(server, &config, NULL, &loop);
 *     host_watch(bide_loop_fd(loop), ...);             // readable: there is something to do
 *     host_timer(bide_loop_next_timeout(loop), ...);   // set anew after each step
 *     ... on either: if (bide_loop_step(loop, 0) == 0) // every task has ended
 *             result = bide_loop_close(loop);
 *
 * Nothing global is touched, and no signal handler is installed unless the options ask for one. A
 * program may have any number of such loops, on one thread or several; each stays on the thread
 * that opened it. docs/embedding.md has whole programs, for libuv, GLib and plain poll().
 */
#ifndef BIDE_RUNTIME_EMBED_H
#define BIDE_RUNTIME_EMBED_H

#include <bide/base/time.h>
#include <bide/runtime/post.h>
#include <bide/sched/loop.h>

/**
 * Make a loop whose first task will call a function, without running it yet.
 *
 * As bide_run, but for the caller's stepping, and for the report of stack overflows: it needs
 * signal handlers, so it is there only with options->overflow_report.
 *
 * @param fn       the first task's body
 * @param arg      passed to it
 * @param options  borrowed for the call, or NULL
 * @param out      the loop, owned by the caller: bide_loop_close
 *
 * Returns 0, or -ENOMEM, -EMFILE, -ENFILE, or -EINVAL for options->stack_bytes.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any; it stays on this one.
 */
BIDE_API int bide_loop_open(int (*fn)(void *arg), void *arg, const bide_options *options,
                            bide_loop **out);

/**
 * Tell the descriptor that is readable when the loop has something to do before its next timeout.
 *
 * @param loop  borrowed; one of bide_loop_open
 *
 * Returns it; the loop's, to be polled for reading and nothing else, until bide_loop_close.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 * Source:  epoll(7): an epoll descriptor is itself readable when it has events.
 */
BIDE_API int bide_loop_fd(bide_loop *loop);

/**
 * Tell how long the loop can be left alone while its descriptor is not readable.
 *
 * @param loop  borrowed; one of bide_loop_open
 *
 * Returns nanoseconds, 0 when a step is due now, or BIDE_FOREVER.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
BIDE_API bide_time bide_loop_next_timeout(bide_loop *loop);

/**
 * Let the loop do what is due: look at timers and I/O once, and run the tasks that are ready.
 *
 * Tasks run for a fraction of a millisecond or so, unless one of them takes longer;
 * bide_loop_next_timeout is 0 when some are still ready then.
 *
 * @param loop      borrowed; one of bide_loop_open
 * @param max_wait  nanoseconds to wait when there is nothing to do yet; 0 does not wait,
 *                  BIDE_FOREVER waits until there is
 *
 * Returns 1, or 0 when every task has ended: close the loop then.
 * Blocks:  the thread, for max_wait and what the tasks take.
 * Cancel:  not a parking point. Not to be called by tasks of the loop itself, which aborts.
 * Threads: the loop's own.
 */
BIDE_API int bide_loop_step(bide_loop *loop, bide_time max_wait);

/**
 * End a loop: cancel the tasks that still live, wait for them, and free it.
 *
 * @param loop  owned, and gone after the call, but to those who hold it for bide_post
 *
 * Returns the first task's result, or -EDEADLK as bide_run does.
 * Blocks:  the thread, until the last task has ended.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
BIDE_API int bide_loop_close(bide_loop *loop);

#endif
