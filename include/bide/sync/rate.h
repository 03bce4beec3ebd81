/* SPDX-License-Identifier: MIT */
/*
 * rate.h - a limit on how often something happens: so many permits in so long, with bursts.
 *
 *     static bide_rate mails = BIDE_RATE_INIT(100, BIDE_SEC(60), 10);  // 100 a minute
 *
 *     bide_rate_acquire(&mails);
 *     send(mail);
 *
 * A token bucket: it holds `burst` permits at the most and starts full. Permits flow in evenly, as
 * many as `permits` in each `per_ns` nanoseconds, and what flows into a full one is lost. Tasks
 * that wait are served in the order in which they came; nobody overtakes one that waits for many.
 *
 * The arithmetic is exact: over any length of time, `burst` and `permits` for each `per_ns` of it
 * are given out, not one more, and when there is demand not one less.
 */
#ifndef BIDE_SYNC_RATE_H
#define BIDE_SYNC_RATE_H

#include <bide/base/api.h>
#include <bide/base/list.h>
#include <bide/base/time.h>

/* Yours to place, not to look into. It must stay where it is while tasks wait. */
typedef struct bide_rate {
    int64_t bide__permits;     /* flow in */
    bide_time bide__per_ns;    /* during this */
    int64_t bide__burst;       /* held at the most */
    uint64_t bide__full_at[2]; /* when it will be full: in 1/permits ns, the high half first */
    struct bide__list bide__waiters;
    void *bide__timer[5]; /* armed while a task waits */
} bide_rate;

/*
 * A full bucket; the three numbers are more than 0, else the first use aborts.
 */
/* clang-format off */
#define BIDE_RATE_INIT(permits, per_ns, burst)                                                     \
    {(permits), (per_ns), (burst), {0, 0}, {NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}}
/* clang-format on */

/**
 * Take one permit, waiting until there is one.
 *
 * @param rate  borrowed until the call returns
 *
 * Returns 0, or with nothing taken
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; those behind move up
 * Blocks:  until the permit has flowed in, and those who came before have theirs.
 * Cancel:  safe: on any error nothing was taken.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_rate_acquire(bide_rate *rate);

/**
 * Take several permits together, waiting until there are as many.
 *
 * @param rate  borrowed until the call returns
 * @param n     permits; 0 waits only for those who came before
 *
 * Returns 0, or with nothing taken
 *   -EINVAL  n is negative, or more than the bucket holds
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; those behind move up
 * Blocks:  until the permits have flowed in, and those who came before have theirs.
 * Cancel:  safe: on any error nothing was taken.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_rate_acquire_n(bide_rate *rate, int64_t n);

/**
 * Take one permit if there is one that no other task waits for.
 *
 * @param rate  borrowed
 *
 * Returns 0, or
 *   -EAGAIN  there is none, or others wait; nothing was taken
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
BIDE_API int bide_rate_try_acquire(bide_rate *rate);

/**
 * Take several permits together if there are as many that no other task waits for.
 *
 * @param rate  borrowed
 * @param n     permits
 *
 * Returns 0, or with nothing taken
 *   -EAGAIN  there are fewer, or others wait
 *   -EINVAL  n is negative, or more than the bucket holds
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
BIDE_API int bide_rate_try_acquire_n(bide_rate *rate, int64_t n);

#endif
