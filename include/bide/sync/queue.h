/* SPDX-License-Identifier: MIT */
/*
 * queue.h - a typed queue between tasks, as producers and workers want it: bounded or not, in order
 * of arrival or of priority, with a count of the work that is not done yet, and an end.
 *
 *     queue(struct job) q = queue_new(struct job, &(bide_queue_options){.capacity = 100});
 *
 *     queue_put(q, job);                         // waits while 100 are in it
 *
 *     while (queue_get(q, &job) == 0) {          // -EPIPE once shut down and empty
 *         work(&job);
 *         queue_task_done(q);
 *     }
 *
 *     queue_join(q);                             // until every job that was put is done
 *     queue_shutdown(q, BIDE_QUEUE_DRAIN);       // then the workers end
 *
 * Tasks that wait to put or to get are served in the order in which they came. An item that is put
 * while a task waits to get goes to that task at once. Who was handed an item, or whose item was
 * taken in, has succeeded: a cancel that comes later is seen by the next call. So no item is lost
 * or doubled, whatever is cancelled when.
 *
 * bide_queue(T) is a pointer type that only carries T; what it holds is never to be called or
 * looked at. T may be anything that can be copied, structs among them, and is copied in and out.
 * Wrong types do not compile. The typed macros are for C: in C++ they are absent.
 */
#ifndef BIDE_SYNC_QUEUE_H
#define BIDE_SYNC_QUEUE_H

#include <bide/base/api.h>
#include <bide/sync/typed.h>

/* What a bide_queue(T) stands for. */
struct bide_queue;

enum bide_queue_order {
    BIDE_QUEUE_FIFO,     /* what was put first comes out first */
    BIDE_QUEUE_LIFO,     /* what was put last comes out first */
    BIDE_QUEUE_PRIORITY, /* the smallest comes out first; of equals, what was put first */
};

/* What becomes of the items that are in the queue when it is shut down. */
enum bide_queue_ending {
    BIDE_QUEUE_DRAIN = 1, /* they can still be got */
    BIDE_QUEUE_IMMEDIATE, /* they are dropped */
};

/* Choices for one queue; zero means the default. The two functions must not park. */
typedef struct bide_queue_options {
    size_t capacity; /* items it holds at the most; 0 for no limit */
    enum bide_queue_order order;
    int (*compare)(const void *a, const void *b); /* of two items, as for qsort: for PRIORITY */
    void (*drop)(void *item, void *arg);          /* called with each item that nobody will get */
    void *drop_arg;
} bide_queue_options;

/* What the macros below call. */
BIDE_API struct bide_queue *bide__queue_new(size_t item_bytes, const bide_queue_options *options);
/* These two park. `item` and `out` point to one item, borrowed until the call returns. */
BIDE_API int bide__queue_put(struct bide_queue *queue, const void *item, const bide_site *site);
/* `out` is filled on success only. */
BIDE_API int bide__queue_get(struct bide_queue *queue, void *out, const bide_site *site);
/* The same without waiting. */
BIDE_API int bide__queue_try_put(struct bide_queue *queue, const void *item);
/* The same without waiting. */
BIDE_API int bide__queue_try_get(struct bide_queue *queue, void *out);
/* See bide_queue_task_done. */
BIDE_API void bide__queue_task_done(struct bide_queue *queue);
/* See bide_queue_join. */
BIDE_API int bide__queue_join(struct bide_queue *queue, const bide_site *site);
/* See bide_queue_shutdown. */
BIDE_API void bide__queue_shutdown(struct bide_queue *queue, enum bide_queue_ending ending);
/* See bide_queue_len. */
BIDE_API size_t bide__queue_len(struct bide_queue *queue);
/* See bide_queue_free. */
BIDE_API void bide__queue_free(struct bide_queue *queue);

#ifndef __cplusplus

/* The type of a queue of T. */
#define bide_queue(T) BIDE__TYPED(T, bide_queue)

/*
 * queue_new(T, options): make an empty queue of T.
 *
 * The options are borrowed for the call; NULL is a queue without limit, first in, first out. With a
 * capacity all its memory is reserved now, so that no put will lack any.
 *
 * Returns the queue, owned: queue_free it. NULL when there is no memory. PRIORITY without a compare
 * function aborts.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
#define bide_queue_new(T, ...)                                                                     \
    __extension__({                                                                                \
        _Static_assert(_Alignof(__typeof__(T)) <= _Alignof(max_align_t),                           \
                       "a queue aligns its items as malloc does");                                 \
        (bide_queue(T))(uintptr_t)bide__queue_new(BIDE__ITEM_BYTES(T), (__VA_ARGS__));             \
    })

/*
 * queue_put(q, value): put one item into the queue, waiting while it is full.
 *
 * Returns 0, or with the item not put
 *   -EPIPE   the queue was shut down, before or while waiting
 *   -ENOMEM  it has no capacity set, and could not grow
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  while the queue is full.
 * Cancel:  safe: on any error the item was not put.
 * Threads: tasks of one loop.
 */
#define bide_queue_put(queue, ...)                                                                 \
    BIDE__QUEUE_PUT(queue, BIDE__JOIN(bide__item_, __COUNTER__), __VA_ARGS__)
#define BIDE__QUEUE_PUT(queue, item, ...)                                                          \
    __extension__({                                                                                \
        static const bide_site BIDE__JOIN(item, _site) = BIDE__SITE("queue_put");                  \
        BIDE__ITEM_OF(queue, bide_queue) item = BIDE__ONE(__VA_ARGS__);                            \
        bide__queue_put(BIDE__OBJECT(queue, bide_queue), &item, &BIDE__JOIN(item, _site));         \
    })

/*
 * queue_get(q, &item): take the next item, waiting until there is one.
 *
 * Returns 0, or with no item taken and `item` as it was
 *   -EPIPE   the queue was shut down, and nothing is left in it
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  while the queue is empty.
 * Cancel:  safe: on any error no item was taken.
 * Threads: tasks of one loop.
 */
#define bide_queue_get(queue, slot)                                                                \
    BIDE__QUEUE_GET(queue, slot, BIDE__JOIN(bide__site_, __COUNTER__))
#define BIDE__QUEUE_GET(queue, slot, site)                                                         \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE("queue_get");                                     \
        bide__queue_get(BIDE__OBJECT(queue, bide_queue), BIDE__SLOT(queue, bide_queue, slot),      \
                        &site);                                                                    \
    })

/*
 * queue_try_put(q, value): put one item if that needs no waiting.
 *
 * Returns 0, or with the item not put
 *   -EAGAIN  the queue is full
 *   -EPIPE   it was shut down
 *   -ENOMEM  it has no capacity set, and could not grow
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
#define bide_queue_try_put(queue, ...)                                                             \
    BIDE__QUEUE_TRY_PUT(queue, BIDE__JOIN(bide__item_, __COUNTER__), __VA_ARGS__)
#define BIDE__QUEUE_TRY_PUT(queue, item, ...)                                                      \
    __extension__({                                                                                \
        BIDE__ITEM_OF(queue, bide_queue) item = BIDE__ONE(__VA_ARGS__);                            \
        bide__queue_try_put(BIDE__OBJECT(queue, bide_queue), &item);                               \
    })

/*
 * queue_try_get(q, &item): take the next item if there is one.
 *
 * Returns 0, or with no item taken and `item` as it was
 *   -EAGAIN  the queue is empty
 *   -EPIPE   it was shut down, and nothing is left in it
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
#define bide_queue_try_get(queue, slot)                                                            \
    bide__queue_try_get(BIDE__OBJECT(queue, bide_queue), BIDE__SLOT(queue, bide_queue, slot))

/*
 * queue_task_done(q): say that the work on one item that was taken is done.
 *
 * Returns nothing. More calls than items taken abort.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
#define bide_queue_task_done(queue) bide__queue_task_done(BIDE__OBJECT(queue, bide_queue))

/*
 * queue_join(q): wait until nothing is in the queue and every item taken was marked done.
 *
 * What tasks that wait in queue_put hold was not put yet; the queue is full then anyway.
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  while there is work that is not done.
 * Cancel:  safe.
 * Threads: tasks of one loop.
 */
#define bide_queue_join(queue) BIDE__QUEUE_JOIN(queue, BIDE__JOIN(bide__queue_, __COUNTER__))
#define BIDE__QUEUE_JOIN(queue, name)                                                              \
    __extension__({                                                                                \
        static const bide_site BIDE__JOIN(name, _site) = BIDE__SITE("queue_join");                 \
        bide__queue_join(BIDE__OBJECT(queue, bide_queue), &BIDE__JOIN(name, _site));               \
    })

/*
 * queue_shutdown(q, ending): let nothing more be put, and end those who wait.
 *
 * Puts return -EPIPE from now on, those that wait as well. With BIDE_QUEUE_DRAIN gets go on until
 * the queue is empty, then return -EPIPE. With BIDE_QUEUE_IMMEDIATE they return it at once: what is
 * in the queue is handed to options.drop and counts as done, so that a join waits only for the
 * items that were taken before. A drain can still be made immediate; else a second call does
 * nothing.
 *
 * Returns nothing.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
#define bide_queue_shutdown(queue, ending)                                                         \
    bide__queue_shutdown(BIDE__OBJECT(queue, bide_queue), (ending))

/*
 * queue_len(q): count the items that are in the queue.
 *
 * Returns the number, a size_t.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
#define bide_queue_len(queue) bide__queue_len(BIDE__OBJECT(queue, bide_queue))

/*
 * queue_free(q): free a queue that no task waits in, NULL included.
 *
 * What is left in it is handed to options.drop.
 *
 * Returns nothing. With tasks waiting it aborts: shut it down first, and let them return.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop's own; any when no loop runs.
 */
#define bide_queue_free(queue) bide__queue_free(BIDE__OBJECT(queue, bide_queue))

/* The same for defer(queue_free, queue). */
static inline void(bide_queue_free)(void *queue)
{
    bide__queue_free((struct bide_queue *)queue);
}

#endif /* __cplusplus */
#endif
