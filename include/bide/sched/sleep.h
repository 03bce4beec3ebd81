/* SPDX-License-Identifier: MIT */
/*
 * sleep.h - the time, and letting it pass.
 */
#ifndef BIDE_SCHED_SLEEP_H
#define BIDE_SCHED_SLEEP_H

#include <bide/base/api.h>
#include <bide/base/time.h>

/**
 * Read the clock: nanoseconds on CLOCK_MONOTONIC, or the virtual clock's time under bide/testing.h.
 *
 * Returns the time, never negative.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any, also outside a loop.
 * Source:  clock_gettime(2).
 */
BIDE_API bide_time bide_now(void);

/**
 * Sleep for at least a length of time.
 *
 * @param timeout  nanoseconds; zero or less lets the other ready tasks run once
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; less time has passed
 * Blocks:  yes; BIDE_FOREVER until cancelled.
 * Cancel:  safe.
 * Threads: tasks only.
 */
BIDE_API int bide_sleep(bide_time timeout);

/**
 * Sleep until a point in time, and not a nanosecond less.
 *
 * @param deadline  on bide_now's clock
 *
 * Returns as bide_sleep does.
 * Blocks:  yes, unless the deadline has passed: then the other ready tasks run once.
 * Cancel:  safe.
 * Threads: tasks only.
 */
BIDE_API int bide_sleep_until(bide_time deadline);

/**
 * Let every other ready task run once.
 *
 * Costs a switch and no system call. With nothing else ready it returns at once.
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired, before or meanwhile
 * Blocks:  no longer than the others run.
 * Cancel:  safe.
 * Threads: tasks only.
 */
BIDE_API int bide_yield(void);

#endif
