/* SPDX-License-Identifier: MIT */
/*
 * watchdog.h - name the task that does not let the others run.
 *
 * Scheduling is cooperative: a task that computes for long, or calls something that blocks, holds
 * its loop. A watchdog finds it while it does so.
 */
#ifndef BIDE_DEBUG_WATCHDOG_H
#define BIDE_DEBUG_WATCHDOG_H

#include <bide/base/api.h>
#include <bide/base/time.h>

/**
 * Watch the running loop for tasks that hold it.
 *
 * A task that keeps the processor for longer than the limit is named on standard error, once for
 * each such turn, with where it was spawned and a backtrace of what it is doing. Link with
 * -rdynamic to see function names in it. For debugging: a timer signal (SIGRTMAX, from a POSIX
 * timer of this thread) arrives as often as the limit says, also while the loop is idle.
 *
 * @param limit  nanoseconds, at least a millisecond; a turn is reported when it has lasted between
 *               one and two limits
 *
 * Returns 0, or
 *   -EINVAL   limit is less than a millisecond
 *   -EALREADY this thread is watched already
 *   -EAGAIN   the kernel has no timer left
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; watches the loop of this thread.
 * Source:  timer_create(2), backtrace(3).
 */
BIDE_API int bide_watchdog_start(bide_time limit);

/**
 * Stop watching; before the loop ends.
 *
 * Returns nothing; harmless when nothing is watched.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the thread that started it.
 */
BIDE_API void bide_watchdog_stop(void);

#endif
