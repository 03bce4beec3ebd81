/* SPDX-License-Identifier: MIT */
/*
 * broadcast.c - every receiver sees every message.
 *
 * Messages are numbered from 0 on; number n lies in slot n % capacity of the ring until number
 * n + capacity takes its place. A cursor is the number of the message that it wants next, and
 * nothing here knows how many cursors there are.
 *
 * Only a receiver whose cursor has reached the end waits. The sender copies the message into each
 * waiting receiver's variable and moves its cursor itself: so a waiting receiver misses nothing
 * however many messages are sent before its turn, and touches no broadcast once it was woken.
 */
#include <bide/sync/broadcast.h>

#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "sched/report.h"
#include "sched/waitq.h"

struct bide_broadcast {
    struct bide__list receivers; /* those that have seen everything and wait for more */
    uint64_t sent;               /* messages so far: the next one's number */
    size_t capacity;             /* messages that are kept, at least 1 */
    size_t item_bytes;           /* of one message */
    size_t write_at;             /* slot of the next message: sent % capacity */
    bool is_closed;
    unsigned char ring[];
};

/* On the waiting task's stack. */
struct receiver {
    struct bide__waiter waiter;
    bide_cursor *cursor;
    void *slot;
};

static void need(const struct bide_broadcast *broadcast, const char *call)
{
    if (__builtin_expect(broadcast == NULL, 0))
        bide__misuse("%s: the broadcast is NULL: broadcast_new had no memory, or was not called",
                     call);
}

struct bide_broadcast *bide__broadcast_new(size_t item_bytes, size_t capacity)
{
    struct bide_broadcast *broadcast;
    size_t bytes;

    bide__assert(item_bytes <= BIDE_ITEM_BYTES_MAX);
    if (capacity == 0)
        bide__misuse("broadcast_new: the capacity is 0: senders do not wait, so at least one "
                     "message must be kept");
    if (__builtin_mul_overflow(item_bytes, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof *broadcast, &bytes) || bytes > PTRDIFF_MAX)
        return NULL;
    broadcast = bide__alloc(bytes);
    if (broadcast == NULL)
        return NULL;
    *broadcast = (struct bide_broadcast){.capacity = capacity, .item_bytes = item_bytes};
    bide__list_init(&broadcast->receivers);
    return broadcast;
}

/* The number of the oldest message that is kept. */
static uint64_t oldest(const struct bide_broadcast *broadcast)
{
    return broadcast->sent > broadcast->capacity ? broadcast->sent - broadcast->capacity : 0;
}

int bide__broadcast_send(struct bide_broadcast *broadcast, const void *value)
{
    struct bide_task *self = bide__task_need("broadcast_send");
    size_t bytes;
    struct bide__waiter *waiter;

    need(broadcast, "broadcast_send");
    if (broadcast->is_closed) {
        bide__budget_spend(self->loop);
        return -EPIPE;
    }
    bytes = broadcast->item_bytes;
    bide__assert(broadcast->write_at < broadcast->capacity);
    memcpy(broadcast->ring + broadcast->write_at * bytes, value, bytes);
    if (++broadcast->write_at == broadcast->capacity)
        broadcast->write_at = 0;
    broadcast->sent++;
    while ((waiter = bide__waitq_first(&broadcast->receivers)) != NULL) {
        struct receiver *receiver = BIDE__CONTAINER(waiter, struct receiver, waiter);
        memcpy(receiver->slot, value, bytes);
        receiver->cursor->bide__next = broadcast->sent;
        bool was_asleep = bide__wake(waiter, 0);
        bide__assert(was_asleep);
    }
    bide__budget_spend(self->loop);
    return 0;
}

bide_cursor bide__broadcast_subscribe(const struct bide_broadcast *broadcast)
{
    need(broadcast, "broadcast_subscribe");
    return (bide_cursor){.bide__next = broadcast->sent};
}

/* Receive without waiting: 0, -EOVERFLOW, -EPIPE, or -EAGAIN when that cannot be. */
static int recv_now(struct bide_broadcast *broadcast, bide_cursor *cursor, void *slot)
{
    uint64_t first = oldest(broadcast);
    size_t back;

    if (cursor->bide__next == broadcast->sent)
        return broadcast->is_closed ? -EPIPE : -EAGAIN;
    if (cursor->bide__next > broadcast->sent)
        bide__misuse(
            "broadcast_recv: this cursor is ahead of the broadcast: it belongs to another one");
    if (cursor->bide__next < first) {
        cursor->missed = first - cursor->bide__next;
        cursor->bide__next = first;
        return -EOVERFLOW;
    }
    back = (size_t)(broadcast->sent - cursor->bide__next); /* 1 is the newest */
    bide__assert(back >= 1 && back <= broadcast->capacity);
    back = back <= broadcast->write_at ? broadcast->write_at - back
                                       : broadcast->write_at + broadcast->capacity - back;
    memcpy(slot, broadcast->ring + back * broadcast->item_bytes, broadcast->item_bytes);
    cursor->bide__next++;
    return 0;
}

int bide__broadcast_recv(struct bide_broadcast *broadcast, bide_cursor *cursor, void *slot,
                         const bide_site *site)
{
    struct bide_task *self = bide__task_need("broadcast_recv");
    int err;

    need(broadcast, "broadcast_recv");
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    err = recv_now(broadcast, cursor, slot);
    if (err == -EAGAIN) {
        struct receiver receiver = {
            .waiter = BIDE__WAITER(receiver.waiter, "broadcast_recv"),
            .cursor = cursor,
            .slot = slot,
        };
        receiver.waiter.site = site;
        bide__waitq_join(&broadcast->receivers, &receiver.waiter);
        return bide__park(&receiver.waiter);
    }
    bide__budget_spend(self->loop);
    return err;
}

int bide__broadcast_try_recv(struct bide_broadcast *broadcast, bide_cursor *cursor, void *slot)
{
    need(broadcast, "broadcast_try_recv");
    return recv_now(broadcast, cursor, slot);
}

void bide__broadcast_close(struct bide_broadcast *broadcast)
{
    need(broadcast, "broadcast_close");
    broadcast->is_closed = true;
    bide__wake_all(&broadcast->receivers, -EPIPE);
}

void bide__broadcast_free(struct bide_broadcast *broadcast)
{
    struct bide__waiter *waiter;

    if (broadcast == NULL)
        return;
    waiter = bide__waitq_first(&broadcast->receivers);
    if (waiter != NULL)
        bide__misuse(
            "broadcast_free: %s still waits in it, in %s; close it first, and free it when the "
            "waiting calls have returned",
            bide__task_label(waiter->task).text, waiter->what);
    free(broadcast);
}
