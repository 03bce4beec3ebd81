/* SPDX-License-Identifier: MIT */
/*
 * chan.h - what chan.c and select.c know of a channel.
 *
 * A task that waits has an op in the queue of each channel that it waits for: one for a plain send
 * or receive, one a case for a select. All ops of a task point at the one waiter it is parked with.
 * Whoever serves an op unlinks it, moves the value between the two tasks' variables and wakes the
 * waiter. From then on, and after a timer or a cancel as well, waiter->task is NULL: the task's
 * other ops are stale. They stay linked until their task runs and unlinks them, or until somebody
 * comes across them first. They are never served.
 *
 * So, of ops that are not stale:
 *   - a receiver waits only while the buffer is empty and no sender waits;
 *   - a sender waits only while the buffer is full and no receiver waits;
 *   - nobody waits in a closed channel.
 * (One select that does both on an unbuffered channel waits on either side: alone, as the next to
 * come on either side takes it from both.)
 * And no op outlives its stack frame or its channel on a queue: a task unlinks its ops before it
 * goes on, and a channel that is freed unlinks those that are left. A woken task touches no
 * channel: it may be gone by then.
 */
#ifndef BIDE__SYNC_CHAN_H
#define BIDE__SYNC_CHAN_H

#include <bide/sync/chan.h>

#include <errno.h>
#include <string.h>

#include "sched/waitq.h"

struct bide__chan_op {
    struct bide__list link;      /* in the channel's queue, or alone */
    struct bide__waiter *waiter; /* shared by all the ops of one select */
    void *slot;                  /* where the value goes to or comes from; in the task's keeping */
    int served;                  /* what the waiter is woken with once the value was moved */
    int closed;                  /* and when the channel was closed instead */
};

struct bide_chan {
    struct bide__list receivers;
    struct bide__list senders;
    size_t count;      /* values in the ring */
    size_t count_most; /* that are let in: the capacity; 0 once closed */
    size_t write_at;   /* of the next value, in bytes from the ring's start */
    size_t ring_bytes; /* item_bytes * capacity */
    /* Above: one cache line, most of what a send looks at. */
    size_t read_at;      /* of the oldest value */
    size_t capacity;     /* values that fit into the ring */
    uint32_t item_bytes; /* of one value */
    bool is_closed;
    _Alignas(16) unsigned char ring[];
};

/* Copy a value of a size for which that is an instruction or two. False for any other. */
__attribute__((always_inline)) static inline bool bide__chan_copy_word(void *to, const void *from,
                                                                       size_t bytes)
{
    if (__builtin_expect(bytes == 8, 1))
        memcpy(to, from, 8);
    else if (bytes == 4)
        memcpy(to, from, 4);
    else if (bytes == 16)
        memcpy(to, from, 16);
    else
        return false;
    return true;
}

static inline void bide__chan_copy(void *to, const void *from, size_t bytes)
{
    if (!bide__chan_copy_word(to, from, bytes))
        memcpy(to, from, bytes);
}

/* The first op of a queue whose task is asleep, or NULL. Drops the stale ones before it. */
static inline struct bide__chan_op *bide__chan_first(struct bide__list *queue)
{
    while (!bide__list_is_empty(queue)) {
        struct bide__chan_op *op = BIDE__CONTAINER(queue->next, struct bide__chan_op, link);
        if (__builtin_expect(op->waiter->task != NULL, 1))
            return op;
        bide__list_remove(&op->link);
    }
    return NULL;
}

/* Wake an op's task, whose value has been moved. */
static inline void bide__chan_serve(struct bide__chan_op *op)
{
    bide__assert(!bide__list_is_empty(&op->link));
    bide__list_remove(&op->link);
    bide__wake_unlisted(op->waiter, op->served);
}

/* A place in the ring, and the one after it. */
static inline size_t bide__chan_after(const struct bide_chan *chan, size_t at, size_t item_bytes)
{
    at += item_bytes;
    return at == chan->ring_bytes ? 0 : at;
}

static inline void bide__chan_put(struct bide_chan *chan, const void *value)
{
    bide__assert(chan->count < chan->capacity && !chan->is_closed);
    bide__chan_copy(chan->ring + chan->write_at, value, chan->item_bytes);
    chan->write_at = bide__chan_after(chan, chan->write_at, chan->item_bytes);
    chan->count++;
}

static inline void bide__chan_take(struct bide_chan *chan, void *slot)
{
    bide__assert(chan->count > 0 && chan->count <= chan->capacity);
    bide__chan_copy(slot, chan->ring + chan->read_at, chan->item_bytes);
    chan->read_at = bide__chan_after(chan, chan->read_at, chan->item_bytes);
    chan->count--;
}

/* Send without waiting: 0, -EPIPE, or -EAGAIN when that cannot be. */
static inline int bide__chan_send_now(struct bide_chan *chan, const void *value)
{
    struct bide__chan_op *receiver = bide__chan_first(&chan->receivers);

    if (receiver != NULL) {
        bide__assert(chan->count == 0 && !chan->is_closed);
        bide__chan_copy(receiver->slot, value, chan->item_bytes);
        bide__chan_serve(receiver);
        return 0;
    }
    if (chan->is_closed)
        return -EPIPE;
    if (chan->count == chan->capacity)
        return -EAGAIN;
    bide__chan_put(chan, value);
    return 0;
}

/* Receive without waiting: 0, -EPIPE, or -EAGAIN when that cannot be. */
static inline int bide__chan_recv_now(struct bide_chan *chan, void *slot)
{
    struct bide__chan_op *sender;

    if (chan->count > 0) {
        bool was_full = chan->count == chan->capacity;
        bide__chan_take(chan, slot);
        if (was_full && (sender = bide__chan_first(&chan->senders)) != NULL) {
            bide__chan_put(chan, sender->slot);
            bide__chan_serve(sender);
        }
        return 0;
    }
    sender = bide__chan_first(&chan->senders);
    if (sender != NULL) {
        bide__assert(chan->capacity == 0 && !chan->is_closed);
        bide__chan_copy(slot, sender->slot, chan->item_bytes);
        bide__chan_serve(sender);
        return 0;
    }
    return chan->is_closed ? -EPIPE : -EAGAIN;
}

#endif
