/* SPDX-License-Identifier: MIT */
/*
 * sync_flows.h - operations on what values go through: channels, selects, queues, a broadcast and a
 * watch.
 */
#ifndef BIDE_TESTS_STRESS_SYNC_FLOWS_H
#define BIDE_TESTS_STRESS_SYNC_FLOWS_H

#include "stress/sync_ledger.h"

/* --- Channels ------------------------------------------------------------------------------- */

static bool may_receive(const struct actor *a, const struct wait *wait);

static bool may_send(const struct actor *a, const struct wait *wait)
{
    return w.flows[wait->index].is_closed ||
           chan_len(w.chans[wait->index].c) < w.chans[wait->index].capacity ||
           sleepers(may_receive, wait->index, a) > 0;
}

static bool may_receive(const struct actor *a, const struct wait *wait)
{
    return w.flows[wait->index].is_closed || chan_len(w.chans[wait->index].c) > 0 ||
           sleepers(may_send, wait->index, a) > 0;
}

static struct wait to_send(int i)
{
    return WAIT(.line = LINE(SENDERS, i), .may_go_on = may_send, .index = i);
}

static struct wait to_receive(int i)
{
    return WAIT(.line = LINE(RECEIVERS, i), .may_go_on = may_receive, .index = i);
}

static int send_to(struct actor *a, int i)
{
    struct item item = item_offer(a, i);
    int result = PARK(a, "chan_send", to_send(i), chan_send(w.chans[i].c, item));

    item_result(item, result);
    return result;
}

static int receive_from(struct actor *a, int i)
{
    struct item item = {0};
    int result = PARK(a, "chan_recv", to_receive(i), chan_recv(w.chans[i].c, &item));

    item_received(a, i, item, result);
    return result;
}

static int try_receive_from(struct actor *a, int i)
{
    struct item item = {0};
    int result = TRY(a, "chan_try_recv", LINE(RECEIVERS, i), chan_try_recv(w.chans[i].c, &item));

    item_received(a, i, item, result);
    if (result == -EAGAIN)
        MUST(!w.flows[i].is_closed && chan_len(w.chans[i].c) == 0);
    return result;
}

static void op_send(struct actor *a)
{
    send_to(a, pick(a, CHANS));
}

static void op_receive(struct actor *a)
{
    receive_from(a, pick(a, CHANS));
}

static void op_try(struct actor *a)
{
    int i = pick(a, CHANS);

    if (one_in(a, 2)) {
        try_receive_from(a, i);
        return;
    }
    struct item item = item_offer(a, i);
    int result = TRY(a, "chan_try_send", LINE(SENDERS, i), chan_try_send(w.chans[i].c, item));
    item_result(item, result);
    if (result == -EAGAIN)
        MUST(chan_len(w.chans[i].c) == w.chans[i].capacity);
}

/* Nothing is in the queue, and all that was taken is done. */
static bool is_idle(int i)
{
    return w.queues[i].taken == 0 && queue_len(w.queues[i].q) == 0;
}

static void op_close(struct actor *a)
{
    int i = pick(a, FLOWS + 2);
    enum bide_queue_ending ending = one_in(a, 2) ? BIDE_QUEUE_DRAIN : BIDE_QUEUE_IMMEDIATE;

    if (!w.may_close)
        return;
    if (i < FLOWS)
        w.flows[i].is_closed = true;
    if (i < CHANS) {
        chan_close(w.chans[i].c);
    } else if (i < FLOWS) {
        queue_shutdown(w.queues[i - CHANS].q, ending);
        w.queues[i - CHANS].idles += is_idle(i - CHANS);
    } else if (i == FLOWS) {
        w.broadcast.is_closed = true;
        broadcast_close(w.broadcast.b);
    } else {
        w.watch.is_closed = true;
        watch_close(w.watch.w);
    }
}

/* --- Selects -------------------------------------------------------------------------------- */

/* A select_any whose cases are drawn; `flow` of each is -1 for on_after and on_default. */
struct drawn {
    int count;
    struct bide__case cases[CALL_WAITS];
    struct item items[CALL_WAITS];
    int flow[CALL_WAITS];
    bool ok[CALL_WAITS];
};

static void draw_case(struct actor *a, struct drawn *drawn, struct call *call)
{
    int n = drawn->count++, i = pick(a, CHANS), kind = pick(a, 10);

    drawn->flow[n] = kind < 8 ? i : -1;
    drawn->items[n] = (struct item){0};
    drawn->ok[n] = true;
    if (kind < 4) {
        drawn->cases[n] = on_recv_ok(w.chans[i].c, &drawn->items[n], &drawn->ok[n]);
        call_waits(call, to_receive(i));
    } else if (kind < 8) {
        drawn->items[n] = item_offer(a, i);
        drawn->cases[n] = on_recv_ok(w.chans[i].c, &drawn->items[n], &drawn->ok[n]);
        drawn->cases[n].kind =
            BIDE__CASE_SEND; /* on_send would point to a variable of this block */
        call_waits(call, to_send(i));
    } else if (kind < 9) {
        drawn->cases[n] = on_after(some_time(a));
    } else {
        drawn->cases[n] = on_default();
    }
    if (drawn->flow[n] >= 0 && one_in(a, 2))
        drawn->cases[n].ok = NULL;
}

/* What became of each case's item: the one at `result` was moved, if it is one, the others not. */
static void select_result(struct actor *a, struct drawn *drawn, int result)
{
    for (int n = 0; n < drawn->count; n++) {
        bool was_moved = n == result && drawn->ok[n];
        int flow = drawn->flow[n];
        if (flow < 0)
            continue;
        if (n == result && !drawn->ok[n])
            MUST(w.flows[flow].is_closed);
        if (drawn->cases[n].kind == BIDE__CASE_SEND)
            item_result(drawn->items[n], was_moved ? 0 : -EAGAIN);
        else
            item_received(a, flow, drawn->items[n], was_moved ? 0 : -EAGAIN);
    }
}

/* Nothing else happened: the earliest on_after, and only where there is no on_default. */
static void nothing_result(const struct drawn *drawn, int result)
{
    for (int n = 0; n < drawn->count; n++) {
        const struct bide__case *one = &drawn->cases[n];
        MUST(drawn->cases[result].kind == BIDE__CASE_DEFAULT || one->kind != BIDE__CASE_DEFAULT);
        MUST(drawn->cases[result].kind == BIDE__CASE_DEFAULT || one->kind != BIDE__CASE_AFTER ||
             one->after >= drawn->cases[result].after);
    }
}

static void op_select(struct actor *a)
{
    static const bide_site site = BIDE__SITE("op_select");
    struct drawn drawn = {.count = 0};
    const void *line = NULL;
    struct call call;
    bool any_closed = false;

    call_begin(a, &call, "select_any");
    for (int n = 1 + pick(a, CALL_WAITS); n > 0; n--)
        draw_case(a, &drawn, &call);
    int result = bide__select(drawn.cases, (size_t)drawn.count, &site);
    MUST(result < drawn.count);
    if (result >= 0 && drawn.flow[result] >= 0 && drawn.ok[result])
        line = LINE(drawn.cases[result].kind == BIDE__CASE_SEND ? SENDERS : RECEIVERS,
                    drawn.flow[result]);
    call_end(a, &call, result, line);
    for (int n = 0; n < drawn.count; n++)
        any_closed |= drawn.flow[n] >= 0 && w.flows[drawn.flow[n]].is_closed;
    MUST(result >= 0 || is_cancel(result) || (result == -EPIPE && any_closed));
    select_result(a, &drawn, result);
    if (result >= 0 && drawn.flow[result] < 0)
        nothing_result(&drawn, result);
}

/* --- Queues --------------------------------------------------------------------------------- */

static bool may_put(const struct actor *a, const struct wait *wait)
{
    (void)a;
    return w.flows[CHANS + wait->index].is_closed ||
           queue_len(w.queues[wait->index].q) < w.queues[wait->index].options.capacity;
}

static bool may_get(const struct actor *a, const struct wait *wait)
{
    (void)a;
    return w.flows[CHANS + wait->index].is_closed || queue_len(w.queues[wait->index].q) > 0;
}

static bool may_join(const struct actor *a, const struct wait *wait)
{
    (void)a;
    return is_idle(wait->index);
}

static int put_into(struct actor *a, int i)
{
    struct item item = item_offer(a, CHANS + i);
    int result =
        PARK(a, "queue_put", WAIT(.line = LINE(PUTTERS, i), .may_go_on = may_put, .index = i),
             queue_put(w.queues[i].q, item));

    item_result(item, result);
    return result;
}

static void queue_done(int i)
{
    w.queues[i].taken--;
    w.queues[i].idles += is_idle(i);
    queue_task_done(w.queues[i].q);
}

static int get_from(struct actor *a, int i)
{
    struct item item = {0};
    int result =
        PARK(a, "queue_get", WAIT(.line = LINE(GETTERS, i), .may_go_on = may_get, .index = i),
             queue_get(w.queues[i].q, &item));

    w.queues[i].taken += result == 0;
    item_received(a, CHANS + i, item, result);
    return result;
}

static int try_get_from(struct actor *a, int i)
{
    struct item item = {0};
    int result = TRY(a, "queue_try_get", LINE(GETTERS, i), queue_try_get(w.queues[i].q, &item));

    w.queues[i].taken += result == 0;
    item_received(a, CHANS + i, item, result);
    if (result == -EAGAIN)
        MUST(!w.flows[CHANS + i].is_closed && queue_len(w.queues[i].q) == 0);
    return result;
}

static int try_put_into(struct actor *a, int i, struct item *item)
{
    *item = item_offer(a, CHANS + i);
    int result = TRY(a, "queue_try_put", LINE(PUTTERS, i), queue_try_put(w.queues[i].q, *item));

    item_result(*item, result);
    if (result == -EAGAIN)
        MUST(queue_len(w.queues[i].q) == w.queues[i].options.capacity);
    return result;
}

static void nested(struct actor *a);

static void op_queue(struct actor *a)
{
    int i = pick(a, QUEUES);
    struct item item;
    int result;

    switch (pick(a, 9)) {
    case 0: try_put_into(a, i, &item); return;
    case 1:
    case 2:
    case 3:
    case 4: put_into(a, i); return;
    case 5: result = try_get_from(a, i); break;
    default: result = get_from(a, i); break;
    }
    if (result == 0) {
        nested(a);
        queue_done(i);
    }
}

static int join(struct actor *a, int i)
{
    int before = is_idle(i) ? -1 : w.queues[i].idles; /* idle now counts as well */
    int result =
        PARK(a, "queue_join", WAIT(.line = LINE(JOINERS, i), .may_go_on = may_join, .index = i),
             queue_join(w.queues[i].q));

    MUST(is_cancel(result) || (result == 0 && w.queues[i].idles > before));
    return result;
}

static void op_join(struct actor *a)
{
    join(a, pick(a, QUEUES));
}

/* --- Broadcast and watch -------------------------------------------------------------------- */

/* Counted first, as others may have their turn before the call returns. */
static void send_broadcast(void)
{
    bool is_closed = w.broadcast.is_closed;
    uint64_t number = w.broadcast.sent;

    w.broadcast.sent += !is_closed;
    MUST(broadcast_send(w.broadcast.b, number) == (is_closed ? -EPIPE : 0));
}

static void op_broadcast(struct actor *a)
{
    for (int n = 1 + pick(a, 3); n > 0; n--)
        send_broadcast();
}

static bool may_hear(const struct actor *a, const struct wait *wait)
{
    (void)a;
    return w.broadcast.is_closed || w.broadcast.sent > wait->need;
}

/* Receive once. `next` is the number of the message that is to come. */
static int hear(struct actor *a, bide_cursor *cursor, uint64_t *next)
{
    uint64_t value = UINT64_MAX;
    int result =
        one_in(a, 4)
            ? TRY(a, "broadcast_try_recv", NULL, broadcast_try_recv(w.broadcast.b, cursor, &value))
            : PARK(a, "broadcast_recv", WAIT(.may_go_on = may_hear, .need = *next),
                   broadcast_recv(w.broadcast.b, cursor, &value));

    if (result == 0) {
        MUST(value == *next && value < w.broadcast.sent);
        ++*next;
    } else if (result == -EOVERFLOW) {
        MUST(cursor->missed > 0 && value == UINT64_MAX);
        *next += cursor->missed;
        MUST(*next <= w.broadcast.sent && w.broadcast.sent - *next >= w.broadcast.capacity);
    } else if (result == -EPIPE) {
        MUST(w.broadcast.is_closed && *next == w.broadcast.sent);
    } else {
        MUST(is_cancel(result) || (result == -EAGAIN && *next == w.broadcast.sent));
    }
    return result;
}

static void op_subscribe(struct actor *a)
{
    bide_cursor cursor = broadcast_subscribe(w.broadcast.b);
    uint64_t next = w.broadcast.sent;

    for (int n = 1 + pick(a, 4); n > 0; n--) {
        int result = hear(a, &cursor, &next);
        if (result < 0 && result != -EOVERFLOW)
            return;
        if (one_in(a, 3))
            nested(a);
    }
}

static bool may_see(const struct actor *a, const struct wait *wait)
{
    (void)a;
    return w.watch.is_closed || w.watch.version > wait->need;
}

/* See the latest value; what was seen before never comes again. */
static int see(struct actor *a, uint64_t *seen)
{
    uint64_t before = *seen, value = 0, latest = w.watch.version;
    int result = PARK(a, "watch_next", WAIT(.may_go_on = may_see, .need = *seen),
                      watch_next(w.watch.w, seen, &value));

    if (result == 0) {
        MUST(value > before && *seen == value && value >= latest);
        MUST(before < latest || value == w.watch.version); /* it waited: it sees what is now */
    } else {
        MUST(*seen == before && value == 0);
        MUST(is_cancel(result) || (w.watch.is_closed && before == w.watch.version));
    }
    return result;
}

static void set_watch(void)
{
    bool is_closed = w.watch.is_closed;

    w.watch.version += !is_closed;
    MUST(watch_set(w.watch.w, w.watch.version) == (is_closed ? -EPIPE : 0));
    MUST(watch_get(w.watch.w) == w.watch.version);
}

static void op_watch(struct actor *a)
{
    uint64_t seen = one_in(a, 2) ? 0 : w.watch.version;

    if (one_in(a, 2)) {
        set_watch();
        return;
    }
    for (int n = 1 + pick(a, 3); n > 0 && see(a, &seen) == 0; n--)
        if (one_in(a, 3))
            nested(a);
}

#endif
