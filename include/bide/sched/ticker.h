/* SPDX-License-Identifier: MIT */
/*
 * ticker.h - ticks at a steady interval, without drift.
 *
 *     bide_ticker ticker;
 *     bide_ticker_init(&ticker, BIDE_SEC(1), BIDE_TICK_SKIP);
 *     while (bide_ticker_wait(&ticker) > 0)
 *         measure();                          // at 1 s, 2 s, 3 s ... however long it takes
 *
 * Ticks are due at times reckoned from the first one, not from when the last was served: so a loop
 * that waits for each stays on the schedule for ever. What happens when a task comes late for one
 * is the policy.
 */
#ifndef BIDE_SCHED_TICKER_H
#define BIDE_SCHED_TICKER_H

#include <bide/base/api.h>
#include <bide/base/time.h>

/*
 * What follows a tick that was waited for too late: when it was due already. A task that waits in
 * time is never late by the little that its wake-up takes; only when that took an interval or more.
 */
enum bide_tick_policy {
    BIDE_TICK_BURST, /* those that were missed come at once, one after the other */
    BIDE_TICK_DELAY, /* the next is due one interval after the late one was served */
    BIDE_TICK_SKIP,  /* those that were missed are left out: the next is due as scheduled */
};

/* Yours to place, not to look into. Owns nothing; may be dropped when no task waits for it. */
typedef struct bide_ticker {
    bide_time bide__interval; /* 0 before bide_ticker_init */
    bide_time bide__next;     /* when the next tick is due; BIDE_FOREVER is never */
    enum bide_tick_policy bide__policy;
} bide_ticker;

/**
 * Start a ticker: its first tick is due one interval from now.
 *
 * @param ticker    borrowed; filled
 * @param interval  nanoseconds, more than 0, else it aborts; an end beyond all time is never
 * @param policy    what follows a late tick
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any, also outside a loop.
 */
BIDE_API void bide_ticker_init(bide_ticker *ticker, bide_time interval,
                               enum bide_tick_policy policy);

/**
 * Wait for the next tick.
 *
 * Of several tasks that wait for one ticker, each tick goes to one.
 *
 * @param ticker  borrowed until the call returns
 *
 * Returns how many intervals this tick stands for: 1, and with BIDE_TICK_SKIP 1 more for each tick
 * that was left out; or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; no tick was taken, the next wait gets it
 * Blocks:  unless a tick is due.
 * Cancel:  safe: no tick is lost.
 * Threads: tasks of one loop.
 */
BIDE_API int64_t bide_ticker_wait(bide_ticker *ticker);

/**
 * Start anew: the next tick is due one interval from now, and none was missed.
 *
 * @param ticker  borrowed; tasks may be waiting for it
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
BIDE_API void bide_ticker_reset(bide_ticker *ticker);

#endif
