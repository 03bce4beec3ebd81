/* SPDX-License-Identifier: MIT */
/*
 * rate.c - a token bucket.
 *
 * The bucket is one point in time: when it will be full again if nothing more is taken. One that
 * lies in the past is a full bucket, and taking n permits moves it n * per_ns / permits later, from
 * now on when it has passed. To be exact, time is counted here in steps of 1/permits ns: then a
 * permit costs per_ns steps, and nothing is ever divided, but to tell the timer a whole ns, rounded
 * up. The product of two positive 64-bit numbers is below 2^126, and no sum here has more than
 * three of them: so 128 bits without a sign hold them all.
 *
 * Permits are handed out in the timer's call, in the order in which tasks came. The timer is armed
 * for the first waiter, by whoever made it the first.
 */
#include <bide/sched/sleep.h>
#include <bide/sync/rate.h>

#include <errno.h>

#include "sched/waitq.h"

__extension__ typedef unsigned __int128 steps;

_Static_assert(sizeof(struct bide__timer) <= sizeof((bide_rate *)0)->bide__timer,
               "the public struct holds a timer");

struct rate_waiter {
    struct bide__waiter waiter;
    int64_t n;
};

static struct bide__timer *timer_of(bide_rate *rate)
{
    return (struct bide__timer *)(void *)rate->bide__timer;
}

static struct rate_waiter *first_of(bide_rate *rate)
{
    struct bide__waiter *waiter = bide__waitq_first(&rate->bide__waiters);

    return waiter == NULL ? NULL : BIDE__CONTAINER(waiter, struct rate_waiter, waiter);
}

static steps capacity_of(const bide_rate *rate)
{
    return (steps)rate->bide__burst * (steps)rate->bide__per_ns;
}

static void set_full_at(bide_rate *rate, steps at)
{
    rate->bide__full_at[0] = (uint64_t)(at >> 64);
    rate->bide__full_at[1] = (uint64_t)at;
}

/* When the bucket will be full, or now when it is. */
static steps full_at(bide_rate *rate, steps now)
{
    steps at = (steps)rate->bide__full_at[0] << 64 | rate->bide__full_at[1];
    steps latest = now + capacity_of(rate);

    if (at < now)
        return now;
    if (at <= latest)
        return at;
    /* More than empty: it was used on another clock, which was ahead; a test's. */
    set_full_at(rate, latest);
    return latest;
}

/* Take n permits if they are there. */
static bool take(bide_rate *rate, int64_t n, bide_time now_ns)
{
    steps now = (steps)now_ns * (steps)rate->bide__permits;
    steps at = full_at(rate, now) + (steps)n * (steps)rate->bide__per_ns;

    bide__assert(now_ns >= 0 && n >= 0 && n <= rate->bide__burst);
    if (at > now + capacity_of(rate))
        return false;
    bide__assert(at >= now);
    set_full_at(rate, at);
    return true;
}

/* The first whole nanosecond at which n permits will be there. */
static bide_time there_at(bide_rate *rate, int64_t n, bide_time now_ns)
{
    steps permits = (steps)rate->bide__permits;
    steps at = full_at(rate, (steps)now_ns * permits);
    steps before = (steps)(rate->bide__burst - n) * (steps)rate->bide__per_ns;

    bide__assert(at > before); /* else they are there already */
    at = (at - before + permits - 1) / permits;
    return at < (steps)BIDE_FOREVER ? (bide_time)at : BIDE_FOREVER;
}

static void permits_due(struct bide__timer *timer);

/* Arm the timer for the first waiter, whose permits are not there yet, instead of anybody else. */
static void arm(bide_rate *rate, struct bide_loop *loop, bide_time now)
{
    struct bide__timer *timer = timer_of(rate);
    const struct rate_waiter *first = first_of(rate);
    bide_time at;

    if (timer->link.next == NULL)
        bide__timer_init(timer, permits_due);
    bide__wheel_remove(&loop->timers, timer);
    if (first == NULL)
        return;
    at = there_at(rate, first->n, now);
    bide__assert(at > now);
    if (at != BIDE_FOREVER)
        bide__wheel_add(&loop->timers, timer, at);
}

/* Serve those whose turn it is, and watch the time for the one who is first then. */
static void serve(bide_rate *rate, struct bide_loop *loop)
{
    bide_time now = bide__loop_now(loop);
    struct rate_waiter *first;

    while ((first = first_of(rate)) != NULL && take(rate, first->n, now)) {
        bool was_asleep = bide__wake(&first->waiter, 0);
        bide__assert(was_asleep && bide__list_is_empty(&first->waiter.link));
    }
    arm(rate, loop, now);
}

static void permits_due(struct bide__timer *timer)
{
    bide_rate *rate = (bide_rate *)(void *)((char *)timer - offsetof(bide_rate, bide__timer));

    serve(rate, bide__loop_here);
}

/* Take without waiting: 0, -EAGAIN, -EINVAL. */
static int take_now(bide_rate *rate, int64_t n, bide_time now)
{
    if (n < 0 || n > rate->bide__burst)
        return -EINVAL;
    return first_of(rate) == NULL && take(rate, n, now) ? 0 : -EAGAIN;
}

static void rate_need(const bide_rate *rate, const char *call)
{
    if (rate->bide__permits <= 0 || rate->bide__per_ns <= 0 || rate->bide__burst <= 0)
        bide__misuse("%s: the three numbers of BIDE_RATE_INIT must be more than 0; they are %lld, "
                     "%lld and %lld",
                     call, (long long)rate->bide__permits, (long long)rate->bide__per_ns,
                     (long long)rate->bide__burst);
}

int bide_rate_acquire(bide_rate *rate)
{
    return bide_rate_acquire_n(rate, 1);
}

int bide_rate_acquire_n(bide_rate *rate, int64_t n)
{
    struct bide_task *self = bide__task_need("bide_rate_acquire");
    struct rate_waiter waiter = {BIDE__WAITER(waiter.waiter, "rate_acquire"), n};
    bide_time now = bide__loop_now(self->loop);
    int err;

    rate_need(rate, "bide_rate_acquire");
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    err = take_now(rate, n, now);
    if (err != -EAGAIN) {
        bide__budget_spend(self->loop);
        return err;
    }
    bide__waitq_join(&rate->bide__waiters, &waiter.waiter);
    if (first_of(rate) == &waiter)
        arm(rate, self->loop, now);
    err = bide__park(&waiter.waiter);
    if (err < 0)
        serve(rate, self->loop); /* it may have been the first: those behind move up */
    return err;
}

int bide_rate_try_acquire(bide_rate *rate)
{
    return bide_rate_try_acquire_n(rate, 1);
}

int bide_rate_try_acquire_n(bide_rate *rate, int64_t n)
{
    rate_need(rate, "bide_rate_try_acquire");
    return take_now(rate, n, bide_now());
}
