/* SPDX-License-Identifier: MIT */
/*
 * queue.c - a queue between tasks.
 *
 * Nobody waits for what is there: whoever puts into an empty queue hands the item to the task that
 * has waited longest, and whoever takes from a full one moves the item of the putter that has
 * waited longest in. So a task that is woken has what it waited for and looks at the queue no more,
 * nobody can overtake it, and the queue may even be freed before its turn.
 *
 * Invariants, between calls:
 *  - Tasks wait to get only while the queue is open and empty, to put only while it is open and
 *    full.
 *  - count items are stored and `taken` were got but not marked done; joiners wait while there are
 *    any of either.
 *
 * Items are stored in one array, which a queue with a capacity has from the start and another one
 * doubles and halves. First in, first out uses it as a ring that begins at `first`; last in, first
 * out as a stack; by priority as a binary heap whose entries have their number of arrival before
 * the item.
 */
#include <bide/sync/queue.h>

#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "sched/report.h"
#include "sched/waitq.h"

enum { ROOM_LEAST = 8 }; /* of an array that grows and shrinks */

struct bide_queue {
    struct bide__list getters, putters,
        joiners;            /* waiting; the first two inside the structs below */
    unsigned char *entries; /* room for `room`; NULL when that is 0 */
    size_t room;
    size_t first;
    size_t count;
    size_t taken;       /* got, and not marked done */
    size_t capacity;    /* 0 for none */
    size_t item_bytes;  /* of one item */
    size_t item_offset; /* in an entry */
    size_t entry_bytes; /* a multiple of the item's alignment */
    uint64_t arrivals;  /* of the heap, so far */
    unsigned ending;    /* 0 while open, or an enum bide_queue_ending */
    bide_queue_options options;
};

struct getter {
    struct bide__waiter waiter;
    void *out;
};

struct putter {
    struct bide__waiter waiter;
    const void *item;
};

static struct bide_queue *queue_need(struct bide_queue *queue, const char *call)
{
    if (__builtin_expect(queue == NULL, 0))
        bide__misuse("%s: the queue is NULL: bide_queue_new had no memory for it", call);
    return queue;
}

static unsigned char *entry_at(const struct bide_queue *queue, size_t index)
{
    return queue->entries + index * queue->entry_bytes;
}

static unsigned char *item_at(const struct bide_queue *queue, size_t index)
{
    return entry_at(queue, index) + queue->item_offset;
}

/* The place of the n-th item in the ring; n may be the number of items. */
static size_t ring_index(const struct bide_queue *queue, size_t n)
{
    size_t to_end = queue->room - queue->first;

    return n < to_end ? queue->first + n : n - to_end;
}

/* Move to an array with another number of places. False without memory: nothing changed then. */
static bool resize(struct bide_queue *queue, size_t room)
{
    size_t to_end = queue->room - queue->first;
    size_t before_end = queue->count < to_end ? queue->count : to_end;
    unsigned char *entries;
    size_t bytes;

    bide__assert(room >= queue->count && room > 0);
    bide__assert(queue->first == 0 || queue->options.order == BIDE_QUEUE_FIFO);
    if (__builtin_mul_overflow(room, queue->entry_bytes, &bytes))
        return false;
    entries = bide__alloc(bytes);
    if (entries == NULL)
        return false;
    if (queue->count > 0) {
        memcpy(entries, entry_at(queue, queue->first), before_end * queue->entry_bytes);
        memcpy(entries + before_end * queue->entry_bytes, queue->entries,
               (queue->count - before_end) * queue->entry_bytes);
    }
    free(queue->entries);
    queue->entries = entries;
    queue->room = room;
    queue->first = 0;
    return true;
}

static bool grow(struct bide_queue *queue)
{
    size_t room;

    bide__assert(queue->capacity == 0 && queue->count == queue->room);
    if (queue->room == 0)
        return resize(queue, ROOM_LEAST);
    return !__builtin_mul_overflow(queue->room, (size_t)2, &room) && resize(queue, room);
}

/* Give memory back after a peak; without memory to do so, the next one to take will try again. */
static void shrink(struct bide_queue *queue)
{
    if (queue->capacity == 0 && queue->room > ROOM_LEAST && queue->count < queue->room / 4)
        resize(queue, queue->room / 2);
}

/* Whether one entry of the heap comes out before another. */
static bool comes_before(const struct bide_queue *queue, const unsigned char *a,
                         const unsigned char *b)
{
    int order = queue->options.compare(a + queue->item_offset, b + queue->item_offset);
    uint64_t arrival_a, arrival_b;

    if (order != 0)
        return order < 0;
    memcpy(&arrival_a, a, sizeof arrival_a);
    memcpy(&arrival_b, b, sizeof arrival_b);
    bide__assert(arrival_a != arrival_b);
    return arrival_a < arrival_b;
}

/* Move a hole from the end of the heap up to where the new item, later than its equals, belongs. */
static size_t heap_open(struct bide_queue *queue, const void *item)
{
    size_t hole = queue->count;

    while (hole > 0) {
        size_t parent = (hole - 1) / 2;
        if (queue->options.compare(item_at(queue, parent), item) <= 0)
            break;
        memcpy(entry_at(queue, hole), entry_at(queue, parent), queue->entry_bytes);
        hole = parent;
    }
    memcpy(entry_at(queue, hole), &queue->arrivals, sizeof queue->arrivals);
    queue->arrivals++;
    return hole;
}

/* Fill the place of the heap's first entry, which was taken, with the last one or its elders. */
static void heap_close(struct bide_queue *queue)
{
    const unsigned char *last = entry_at(queue, queue->count);
    size_t hole = 0, child;

    while ((child = 2 * hole + 1) < queue->count) {
        if (child + 1 < queue->count &&
            comes_before(queue, entry_at(queue, child + 1), entry_at(queue, child)))
            child++;
        if (!comes_before(queue, entry_at(queue, child), last))
            break;
        memcpy(entry_at(queue, hole), entry_at(queue, child), queue->entry_bytes);
        hole = child;
    }
    if (hole < queue->count)
        memcpy(entry_at(queue, hole), last, queue->entry_bytes);
}

/* Store an item. False when there is no memory; never so when there is room. */
static bool store(struct bide_queue *queue, const void *item)
{
    size_t index = queue->count;

    if (queue->count == queue->room && !grow(queue))
        return false;
    bide__assert(queue->count < queue->room && queue->ending == 0);
    if (queue->options.order == BIDE_QUEUE_FIFO)
        index = ring_index(queue, queue->count);
    else if (queue->options.order == BIDE_QUEUE_PRIORITY)
        index = heap_open(queue, item);
    memcpy(item_at(queue, index), item, queue->item_bytes);
    queue->count++;
    return true;
}

/* Take the next item out of the array. */
static void unstore(struct bide_queue *queue, void *out)
{
    size_t index = queue->options.order == BIDE_QUEUE_LIFO ? queue->count - 1 : queue->first;

    bide__assert(queue->count > 0 && queue->count <= queue->room);
    bide__assert(index < queue->room);
    memcpy(out, item_at(queue, index), queue->item_bytes);
    if (queue->options.order == BIDE_QUEUE_FIFO)
        queue->first = ring_index(queue, 1);
    queue->count--;
    if (queue->options.order == BIDE_QUEUE_PRIORITY)
        heap_close(queue);
}

/* Put without waiting: 0, -EAGAIN, -EPIPE, -ENOMEM. */
static int put_now(struct bide_queue *queue, const void *item)
{
    struct bide__waiter *waiter = bide__waitq_first(&queue->getters);

    if (queue->ending != 0)
        return -EPIPE;
    if (waiter != NULL) {
        bide__assert(queue->count == 0 && bide__waitq_first(&queue->putters) == NULL);
        memcpy(BIDE__CONTAINER(waiter, struct getter, waiter)->out, item, queue->item_bytes);
        queue->taken++;
        bool was_asleep = bide__wake(waiter, 0);
        bide__assert(was_asleep);
        return 0;
    }
    if (queue->capacity != 0 && queue->count == queue->capacity)
        return -EAGAIN;
    bide__assert(bide__waitq_first(&queue->putters) == NULL);
    return store(queue, item) ? 0 : -ENOMEM;
}

/* Get without waiting: 0, -EAGAIN, -EPIPE. */
static int get_now(struct bide_queue *queue, void *out)
{
    struct bide__waiter *waiter = bide__waitq_first(&queue->putters);

    if (queue->count == 0) {
        bide__assert(waiter == NULL);
        return queue->ending != 0 ? -EPIPE : -EAGAIN;
    }
    bide__assert(bide__waitq_first(&queue->getters) == NULL);
    unstore(queue, out);
    queue->taken++;
    if (waiter != NULL) {
        bide__assert(queue->count == queue->capacity - 1);
        bool had_room = store(queue, BIDE__CONTAINER(waiter, struct putter, waiter)->item);
        bool was_asleep = bide__wake(waiter, 0);
        bide__assert(had_room && was_asleep);
    } else {
        shrink(queue);
    }
    return 0;
}

/* Hand to the user what nobody will get. It was left out of the count before it is seen. */
static void drop_items(struct bide_queue *queue)
{
    while (queue->count > 0) {
        size_t index = --queue->count;
        if (queue->options.order == BIDE_QUEUE_FIFO) {
            index = queue->first;
            queue->first = ring_index(queue, 1);
        }
        bide__assert(index < queue->room);
        if (queue->options.drop != NULL)
            queue->options.drop(item_at(queue, index), queue->options.drop_arg);
    }
}

static void tell_joiners(struct bide_queue *queue)
{
    if (queue->count == 0 && queue->taken == 0)
        bide__wake_all(&queue->joiners, 0);
}

struct bide_queue *bide__queue_new(size_t item_bytes, const bide_queue_options *options)
{
    struct bide_queue *queue;
    bide_queue_options chosen = {0};

    if (options != NULL)
        chosen = *options;
    if (chosen.order > BIDE_QUEUE_PRIORITY)
        bide__misuse("bide_queue_new: there is no order %d", (int)chosen.order);
    if (chosen.order == BIDE_QUEUE_PRIORITY && chosen.compare == NULL)
        bide__misuse("bide_queue_new: BIDE_QUEUE_PRIORITY needs options.compare");
    queue = bide__alloc_zeroed(1, sizeof *queue);
    if (queue == NULL)
        return NULL;
    queue->options = chosen;
    queue->capacity = chosen.capacity;
    queue->item_bytes = queue->entry_bytes = item_bytes;
    if (chosen.order == BIDE_QUEUE_PRIORITY) {
        /* What aligns the item divides its size, and the offset: so it divides their sum. */
        queue->item_offset = item_bytes % 16 == 0 ? 16 : sizeof queue->arrivals;
        queue->entry_bytes = queue->item_offset + item_bytes;
    }
    if (queue->capacity != 0 && !resize(queue, queue->capacity)) {
        free(queue);
        return NULL;
    }
    return queue;
}

int bide__queue_put(struct bide_queue *queue, const void *item, const bide_site *site)
{
    struct bide_task *self = bide__task_need("bide_queue_put");
    struct putter putter = {BIDE__WAITER(putter.waiter, "queue_put"), item};
    int err;

    queue_need(queue, "bide_queue_put");
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    err = put_now(queue, item);
    if (err != -EAGAIN) {
        bide__budget_spend(self->loop); /* also when shut down: who ignores that must not spin */
        return err;
    }
    putter.waiter.site = site;
    bide__waitq_join(&queue->putters, &putter.waiter);
    return bide__park(&putter.waiter);
}

int bide__queue_get(struct bide_queue *queue, void *out, const bide_site *site)
{
    struct bide_task *self = bide__task_need("bide_queue_get");
    struct getter getter = {BIDE__WAITER(getter.waiter, "queue_get"), out};
    int err;

    queue_need(queue, "bide_queue_get");
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    err = get_now(queue, out);
    if (err != -EAGAIN) {
        bide__budget_spend(self->loop);
        return err;
    }
    getter.waiter.site = site;
    bide__waitq_join(&queue->getters, &getter.waiter);
    return bide__park(&getter.waiter);
}

int bide__queue_try_put(struct bide_queue *queue, const void *item)
{
    return put_now(queue_need(queue, "bide_queue_try_put"), item);
}

int bide__queue_try_get(struct bide_queue *queue, void *out)
{
    return get_now(queue_need(queue, "bide_queue_try_get"), out);
}

void bide__queue_task_done(struct bide_queue *queue)
{
    queue_need(queue, "bide_queue_task_done");
    if (queue->taken == 0)
        bide__misuse(
            "bide_queue_task_done was called more often than items were taken from the queue; call "
            "it once for each bide_queue_get that returned 0");
    queue->taken--;
    tell_joiners(queue);
}

int bide__queue_join(struct bide_queue *queue, const bide_site *site)
{
    struct bide_task *self = bide__task_need("bide_queue_join");
    struct bide__waiter waiter = BIDE__WAITER(waiter, "queue_join");

    queue_need(queue, "bide_queue_join");
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (queue->count == 0 && queue->taken == 0) {
        bide__budget_spend(self->loop);
        return 0;
    }
    waiter.site = site;
    bide__waitq_join(&queue->joiners, &waiter);
    return bide__park(&waiter);
}

void bide__queue_shutdown(struct bide_queue *queue, enum bide_queue_ending ending)
{
    queue_need(queue, "bide_queue_shutdown");
    if (ending != BIDE_QUEUE_DRAIN && ending != BIDE_QUEUE_IMMEDIATE)
        bide__misuse(
            "bide_queue_shutdown: the ending is BIDE_QUEUE_DRAIN or BIDE_QUEUE_IMMEDIATE, not %d",
            (int)ending);
    if (ending > queue->ending)
        queue->ending = ending;
    bide__wake_all(&queue->getters, -EPIPE);
    bide__wake_all(&queue->putters, -EPIPE);
    if (queue->ending == BIDE_QUEUE_IMMEDIATE) {
        drop_items(queue);
        tell_joiners(queue);
    }
}

size_t bide__queue_len(struct bide_queue *queue)
{
    return queue_need(queue, "bide_queue_len")->count;
}

void bide__queue_free(struct bide_queue *queue)
{
    const struct bide__waiter *waiter;

    if (queue == NULL)
        return;
    waiter = bide__waitq_first(&queue->getters);
    if (waiter == NULL)
        waiter = bide__waitq_first(&queue->putters);
    if (waiter == NULL)
        waiter = bide__waitq_first(&queue->joiners);
    if (waiter != NULL)
        bide__misuse(
            "bide_queue_free: %s still waits in %s; shut the queue down and let its tasks return "
            "before it is freed",
            bide__task_label(waiter->task).text, waiter->what);
    queue->ending = BIDE_QUEUE_IMMEDIATE;
    drop_items(queue);
    free(queue->entries);
    free(queue);
}
