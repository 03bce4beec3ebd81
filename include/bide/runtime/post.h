/* SPDX-License-Identifier: MIT */
/*
 * post.h - the way into a loop from other threads and from signal handlers.
 *
 *     static void arrived(void *arg) { bide_event_set(arg); }        // runs on the loop
 *
 *     bide_loop *loop = bide_loop_hold(NULL);                        // in a task
 *     start_thread(loop, &event);                // which calls bide_post(loop, arrived, &event)
 *                                                // and, at its end, bide_loop_release(loop)
 *
 * All else belongs to the loop's own thread. While somebody holds a loop, tasks that sleep for ever
 * are no deadlock to it: a post may wake them.
 */
#ifndef BIDE_RUNTIME_POST_H
#define BIDE_RUNTIME_POST_H

#include <bide/base/api.h>

/* A loop, as other threads know it. */
typedef struct bide_loop bide_loop;

/**
 * Hold a loop, so that it can be posted to.
 *
 * A loop does not live on for those who hold it: only its name does, and posts are refused.
 *
 * @param loop  one that the caller holds already, to be counted once more; or NULL for the one
 *              that runs the caller
 *
 * Returns the loop, to be given back with bide_loop_release, or NULL without memory or descriptor.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks for NULL, else any.
 */
BIDE_API bide_loop *bide_loop_hold(bide_loop *loop);

/**
 * Give a loop back.
 *
 * @param loop  held; not to be used any more; NULL is ignored
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any; not in a signal handler, as it may free memory.
 */
BIDE_API void bide_loop_release(bide_loop *loop);

/**
 * Let a loop call a function, on its own thread, between the turns of its tasks.
 *
 * Posts run in the order in which they came. The function may do what a task may, spawning
 * included, except wait: calls that can wait return -ECANCELED, and one that would have to all the
 * same, under a shield or in an await, aborts. Task-local values that it sets end with it. What was
 * posted with success is called, even when the loop is about to end.
 *
 * @param loop  held by the caller
 * @param fn    called once
 * @param arg   passed to it; borrowed until then
 *
 * Returns 0, or
 *   -ESHUTDOWN  the loop has ended; fn is not called
 *   -EAGAIN     1,024 posts wait for the loop already; fn is not called
 * Blocks:  no; takes no lock and no memory.
 * Cancel:  not a parking point.
 * Threads: any, and signal handlers, in which errno is kept.
 * Source:  eventfd(2), signal-safety(7).
 */
BIDE_API int bide_post(bide_loop *loop, void (*fn)(void *arg), void *arg);

#endif
