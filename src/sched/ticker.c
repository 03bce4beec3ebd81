/* SPDX-License-Identifier: MIT */
/*
 * ticker.c - ticks at a steady interval.
 *
 * A ticker is the time of its next tick, and arithmetic. It moves on only when a tick is handed
 * out: a wait that ends in an error leaves it as it was. Every new time is a multiple of the
 * interval after the last one, unless the policy asks for a delay.
 */
#include <bide/sched/sleep.h>
#include <bide/sched/ticker.h>

#include "sched/waitq.h"

static bide_ticker *ticker_need(bide_ticker *ticker, const char *call)
{
    if (ticker->bide__interval <= 0)
        bide__misuse("%s: the ticker was not started with bide_ticker_init", call);
    return ticker;
}

void bide_ticker_init(bide_ticker *ticker, bide_time interval, enum bide_tick_policy policy)
{
    if (interval <= 0)
        bide__misuse("bide_ticker_init: the interval must be more than 0 ns, not %lld",
                     (long long)interval);
    if (policy > BIDE_TICK_SKIP)
        bide__misuse("bide_ticker_init: there is no policy %d", (int)policy);
    ticker->bide__interval = interval;
    ticker->bide__next = bide__time_after(bide_now(), interval);
    ticker->bide__policy = policy;
}

/* Hand out the tick that is due. `came_late`: its time had passed before anybody waited for it. */
static int64_t tick(bide_ticker *ticker, bide_time now, bool came_late)
{
    bide_time late = now - ticker->bide__next;
    int64_t count = 1;

    bide__assert(late >= 0 && ticker->bide__next > 0);
    bide__assert(ticker->bide__interval > 0);
    if (ticker->bide__policy == BIDE_TICK_DELAY && (came_late || late >= ticker->bide__interval)) {
        ticker->bide__next = bide__time_after(now, ticker->bide__interval);
        return count;
    }
    if (ticker->bide__policy == BIDE_TICK_SKIP) {
        count += late / ticker->bide__interval;
        ticker->bide__next += (count - 1) * ticker->bide__interval; /* still not after now */
    }
    ticker->bide__next = bide__time_after(ticker->bide__next, ticker->bide__interval);
    return count;
}

int64_t bide_ticker_wait(bide_ticker *ticker)
{
    struct bide_task *self = bide__task_need("bide_ticker_wait");
    struct bide__waiter waiter = BIDE__WAITER(waiter, "ticker_wait");
    bide_time now = bide__loop_now(self->loop);
    bool came_late = now > ticker_need(ticker, "bide_ticker_wait")->bide__next;
    bool parked = false;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    /* Again when the tick that was waited for went to another task, or was put off by a reset. */
    for (; now < ticker->bide__next; now = bide__loop_now(self->loop)) {
        int err;

        if (self->cancel_code != 0)
            return bide__cancel_seen(self);
        err = bide__park_until(&waiter, ticker->bide__next, 0);
        if (err < 0)
            return err;
        parked = true;
    }
    int64_t count = tick(ticker, now, came_late);
    if (!parked)
        bide__budget_spend(self->loop);
    return count;
}

void bide_ticker_reset(bide_ticker *ticker)
{
    ticker_need(ticker, "bide_ticker_reset");
    ticker->bide__next = bide__time_after(bide_now(), ticker->bide__interval);
}
