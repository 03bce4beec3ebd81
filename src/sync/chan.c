/* SPDX-License-Identifier: MIT */
/*
 * chan.c - channels. Who waits where, and what may be assumed of it, stands in chan.h.
 */
#include "sync/chan.h"

#include "base/sys.h"
#include "sched/report.h"

_Noreturn static void chan_is_null(const char *call, const bide_site *site)
{
    bide__misuse("%s%s%s: the channel is NULL: chan_new had no memory, or was not called", call,
                 site != NULL ? " at " : "", site != NULL ? bide__site_label(site).text : "");
}

static inline void chan_need(const struct bide_chan *chan, const char *call, const bide_site *site)
{
    if (__builtin_expect(chan == NULL, 0))
        chan_is_null(call, site);
}

struct bide_chan *bide__chan_new(size_t item_bytes, size_t capacity)
{
    struct bide_chan *chan;
    size_t ring_bytes, bytes;

    bide__assert(item_bytes <= BIDE_ITEM_BYTES_MAX);
    if (__builtin_mul_overflow(item_bytes, capacity, &ring_bytes) ||
        __builtin_add_overflow(ring_bytes, sizeof *chan, &bytes) || bytes > PTRDIFF_MAX)
        return NULL;
    chan = bide__alloc(bytes);
    if (chan == NULL)
        return NULL;
    *chan = (struct bide_chan){
        .capacity = capacity,
        .count_most = capacity,
        .item_bytes = (uint32_t)item_bytes,
        .ring_bytes = ring_bytes,
    };
    bide__list_init(&chan->receivers);
    bide__list_init(&chan->senders);
    return chan;
}

/* What lies in a bide__chan_wait. */
struct standing {
    struct bide__waiter waiter; /* its result is the wait's */
    struct bide__chan_op op;
};

_Static_assert(sizeof(struct standing) <= sizeof(union bide__chan_wait),
               "the public union holds what a waiting task needs");
_Static_assert(offsetof(struct standing, waiter.result) == 0, "and its result");

/* The call has ended without waiting. */
static inline void end(union bide__chan_wait *wait, struct bide_loop *loop, int result)
{
    wait->result = result;
    if (__builtin_expect(result < 0, 0))
        bide__list_init(&((struct standing *)(void *)wait)->op.link);
    bide__budget_spend(loop);
}

/* Wait in a queue until somebody moves the value. The last act of the call. */
static inline void stand_in(struct bide__list *queue, void *slot, union bide__chan_wait *wait,
                            struct bide_task *self, const bide_site *site, const char *what)
{
    struct standing *standing = (struct standing *)(void *)wait;

    standing->waiter = (struct bide__waiter)BIDE__WAITER(standing->waiter, what);
    standing->waiter.site = site;
    standing->op.waiter = &standing->waiter;
    standing->op.slot = slot;
    standing->op.served = 0;
    standing->op.closed = -EPIPE;
    bide__list_append(queue, &standing->op.link);
    bide__park_last(self, &standing->waiter);
}

/* A scope had fired before. */
__attribute__((noinline, cold)) static void seen(union bide__chan_wait *wait,
                                                 struct bide_task *self)
{
    wait->result = bide__cancel_seen(self);
    bide__list_init(&((struct standing *)(void *)wait)->op.link);
}

/* The whole of a send, for all that bide__chan_send leaves. */
__attribute__((noinline)) static void send_any(struct bide_chan *chan, const void *value,
                                               union bide__chan_wait *wait, const bide_site *site)
{
    struct bide_task *self = bide__task_need("chan_send");
    int err;

    chan_need(chan, "chan_send", site);
    if (self->cancel_code != 0) {
        seen(wait, self);
        return;
    }
    err = bide__chan_send_now(chan, value);
    if (err == -EAGAIN)
        stand_in(&chan->senders, (void *)(uintptr_t)value, wait, self, site, "chan_send");
    else
        end(wait, self->loop, err);
}

/* The whole of a receive. */
__attribute__((noinline)) static void recv_any(struct bide_chan *chan, void *slot,
                                               union bide__chan_wait *wait, const bide_site *site)
{
    struct bide_task *self = bide__task_need("chan_recv");
    int err;

    chan_need(chan, "chan_recv", site);
    if (self->cancel_code != 0) {
        seen(wait, self);
        return;
    }
    err = bide__chan_recv_now(chan, slot);
    if (err == -EAGAIN)
        stand_in(&chan->receivers, slot, wait, self, site, "chan_recv");
    else
        end(wait, self->loop, err);
}

/* It is a task that calls, none of its scopes has fired, and there is a channel. */
static inline bool is_plain(const struct bide_loop *loop, const struct bide_chan *chan)
{
    return __builtin_expect(loop != NULL && chan != NULL, 1) &&
           __builtin_expect(loop->current != &loop->root, 1) &&
           __builtin_expect(loop->current->cancel_code == 0, 1);
}

/* The first op of a queue that is not empty is not stale. */
static inline bool is_asleep(const struct bide__list *first)
{
    return BIDE__CONTAINER(first, const struct bide__chan_op, link)->waiter->task != NULL;
}

/*
 * Beside the plain cases, in both of these: a size that is no machine word's, stale ops, and all
 * that fails. The plain ones end in a jump or return, and so need no stack.
 */
void bide__chan_send(struct bide_chan *chan, const void *value, union bide__chan_wait *wait,
                     const bide_site *site)
{
    struct bide_loop *loop = bide__loop_here;

    if (is_plain(loop, chan)) {
        struct bide__list *first = chan->receivers.next;

        if (__builtin_expect(first == &chan->receivers, 1)) {
            const size_t at = chan->write_at, bytes = chan->item_bytes, count = chan->count;

            if (count < chan->count_most && bide__chan_copy_word(chan->ring + at, value, bytes)) {
                chan->write_at = bide__chan_after(chan, at, bytes);
                chan->count = count + 1;
                end(wait, loop, 0);
                return;
            }
        } else if (is_asleep(first)) {
            struct bide__chan_op *receiver = BIDE__CONTAINER(first, struct bide__chan_op, link);

            bide__assert(chan->count == 0 && !chan->is_closed);
            if (bide__chan_copy_word(receiver->slot, value, chan->item_bytes)) {
                bide__chan_serve(receiver);
                end(wait, loop, 0);
                return;
            }
        }
    }
    send_any(chan, value, wait, site);
}

void bide__chan_recv(struct bide_chan *chan, void *slot, union bide__chan_wait *wait,
                     const bide_site *site)
{
    struct bide_loop *loop = bide__loop_here;

    if (is_plain(loop, chan)) {
        struct bide__list *first = chan->senders.next;

        if (__builtin_expect(first == &chan->senders, 1)) {
            const size_t at = chan->read_at, bytes = chan->item_bytes, count = chan->count;

            bide__assert(count <= chan->capacity);
            if (__builtin_expect(count > 0, 1)) {
                if (bide__chan_copy_word(slot, chan->ring + at, bytes)) {
                    chan->read_at = bide__chan_after(chan, at, bytes);
                    chan->count = count - 1;
                    end(wait, loop, 0);
                    return;
                }
            } else if (!chan->is_closed) {
                stand_in(&chan->receivers, slot, wait, loop->current, site, "chan_recv");
                return;
            }
        } else if (chan->count == 0 && is_asleep(first)) {
            struct bide__chan_op *sender = BIDE__CONTAINER(first, struct bide__chan_op, link);

            bide__assert(chan->capacity == 0 && !chan->is_closed);
            if (bide__chan_copy_word(slot, sender->slot, chan->item_bytes)) {
                bide__chan_serve(sender);
                end(wait, loop, 0);
                return;
            }
        }
    }
    recv_any(chan, slot, wait, site);
}

int bide__chan_failed(union bide__chan_wait *wait)
{
    bide__assert(wait->result < 0);
    bide__list_remove(&((struct standing *)(void *)wait)->op.link);
    return wait->result;
}

int bide__chan_try_send(struct bide_chan *chan, const void *value)
{
    chan_need(chan, "chan_try_send", NULL);
    return bide__chan_send_now(chan, value);
}

int bide__chan_try_recv(struct bide_chan *chan, void *slot)
{
    chan_need(chan, "chan_try_recv", NULL);
    return bide__chan_recv_now(chan, slot);
}

/* Tell everybody in a queue of a channel that was closed. */
static void turn_away(struct bide__list *queue)
{
    struct bide__chan_op *op;

    while ((op = bide__chan_first(queue)) != NULL) {
        bide__list_remove(&op->link);
        bool was_asleep = bide__wake(op->waiter, op->closed);
        bide__assert(was_asleep);
    }
    bide__assert(bide__list_is_empty(queue));
}

void bide__chan_close(struct bide_chan *chan)
{
    chan_need(chan, "chan_close", NULL);
    chan->is_closed = true;
    chan->count_most = 0;
    turn_away(&chan->receivers);
    turn_away(&chan->senders);
}

/* Nobody may wait in a queue of a channel that goes away; stale ops are unlinked. */
static void refuse_waiting(struct bide__list *queue)
{
    struct bide__chan_op *op = bide__chan_first(queue);

    if (op != NULL)
        bide__misuse(
            "chan_free: %s still waits in it, in %s; close the channel first, and free it when the "
            "waiting calls have returned",
            bide__task_label(op->waiter->task).text, op->waiter->what);
    bide__assert(bide__list_is_empty(queue));
}

void bide__chan_free(struct bide_chan *chan)
{
    if (chan == NULL)
        return;
    refuse_waiting(&chan->receivers);
    refuse_waiting(&chan->senders);
    free(chan);
}

size_t bide__chan_len(const struct bide_chan *chan)
{
    chan_need(chan, "chan_len", NULL);
    return chan->count;
}
