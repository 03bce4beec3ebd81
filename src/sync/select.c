/* SPDX-License-Identifier: MIT */
/*
 * select.c - wait for the first of several things to happen on channels.
 *
 * First a look: when cases can happen at once, one of them is drawn and carried out like a plain
 * send or receive. Else the task parks with an op in the queue of each case's channel; whoever
 * comes there first serves the op and wakes the task with the case's index, and the other ops are
 * stale.
 */
#include <bide/sync/select.h>

#include "base/random.h"
#include "sync/chan.h"

/* What a select is woken with when a case's channel was closed: this and the case's index. */
enum { CLOSED = BIDE_SELECT_MAX };

static bool is_ready(const struct bide__case *one)
{
    struct bide_chan *chan = one->chan;

    if (chan == NULL)
        return false;
    if (one->kind == BIDE__CASE_RECV)
        return chan->count > 0 || chan->is_closed || bide__chan_first(&chan->senders) != NULL;
    return chan->count < chan->capacity || chan->is_closed ||
           bide__chan_first(&chan->receivers) != NULL;
}

/* The cases that can happen at once, as bits. */
static uint32_t ready_among(const struct bide__case *cases, size_t count)
{
    uint32_t ready = 0;

    for (size_t i = 0; i < count; i++)
        ready |= (uint32_t)is_ready(&cases[i]) << i;
    return ready;
}

/* One of the bits that are set, each with the same chance. */
static int draw(uint32_t ready, struct bide_loop *loop)
{
    uint32_t count = (uint32_t)__builtin_popcount(ready);

    bide__assert(count > 0);
    if (count > 1)
        for (uint32_t skip = bide__random_below(&loop->random, count); skip > 0; skip--)
            ready &= ready - 1;
    bide__assert(ready != 0);
    return __builtin_ctz(ready);
}

/* A case has happened, or (is_open is false) its channel is closed: what select_any returns. */
static int happened(const struct bide__case *cases, int index, bool is_open)
{
    if (cases[index].ok != NULL)
        *cases[index].ok = is_open;
    else if (!is_open)
        return -EPIPE;
    return index;
}

static int carry_out(const struct bide__case *cases, int index)
{
    const struct bide__case *one = &cases[index];
    int err = one->kind == BIDE__CASE_RECV ? bide__chan_recv_now(one->chan, one->slot)
                                           : bide__chan_send_now(one->chan, one->slot);

    bide__assert(err == 0 || err == -EPIPE);
    return happened(cases, index, err == 0);
}

/* The first of a kind that neither sends nor receives; of BIDE__CASE_AFTER the earliest; or -1. */
static int find_kind(const struct bide__case *cases, size_t count, enum bide__case_kind kind)
{
    int found = -1;

    for (size_t i = 0; i < count; i++)
        if (cases[i].kind == kind && (found < 0 || cases[i].after < cases[found].after))
            found = (int)i;
    return found;
}

/* Wait on all channels, at most until the on_after case (-1: there is none). */
static int wait_for_any(const struct bide__case *cases, size_t count, int after,
                        const bide_site *site)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "select_any");
    struct bide__chan_op ops[BIDE_SELECT_MAX]; /* the first `used` */
    size_t used = 0;
    int result;

    waiter.site = site;
    for (size_t i = 0; i < count; i++) {
        struct bide_chan *chan = cases[i].chan;
        if (chan == NULL)
            continue;
        struct bide__chan_op *op = &ops[used++];
        op->waiter = &waiter;
        op->slot = cases[i].slot;
        op->served = (int)i;
        op->closed = CLOSED + (int)i;
        bide__list_append(cases[i].kind == BIDE__CASE_RECV ? &chan->receivers : &chan->senders,
                          &op->link);
    }
    if (after < 0)
        result = bide__park(&waiter);
    else
        result = bide__park_until(&waiter, bide__deadline_after(cases[after].after), after);
    for (size_t i = 0; i < used; i++)
        bide__list_remove(&ops[i].link);
    bide__assert(result < CLOSED + (int)count && waiter.task == NULL);
    return result;
}

int bide__select(const struct bide__case *cases, size_t count, const bide_site *site)
{
    struct bide_task *self = bide__task_need("select_any");
    uint32_t ready;
    int result;

    bide__assert(count > 0 && count <= BIDE_SELECT_MAX);
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    ready = ready_among(cases, count);
    if (ready != 0) {
        result = carry_out(cases, draw(ready, self->loop));
    } else {
        int after = find_kind(cases, count, BIDE__CASE_AFTER);
        result = find_kind(cases, count, BIDE__CASE_DEFAULT);
        if (result < 0 && after >= 0 && cases[after].after <= 0)
            result = after;
        if (result < 0) {
            result = wait_for_any(cases, count, after, site);
            if (result < 0)
                return result;
            return result < CLOSED ? happened(cases, result, true)
                                   : happened(cases, result - CLOSED, false);
        }
    }
    bide__budget_spend(self->loop);
    return result;
}
