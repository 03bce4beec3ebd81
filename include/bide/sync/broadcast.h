/* SPDX-License-Identifier: MIT */
/*
 * broadcast.h - every receiver sees every message, and senders never wait.
 *
 *     broadcast(struct event) events = broadcast_new(struct event, 64);
 *
 *     bide_cursor cursor = broadcast_subscribe(events); // each receiver has its own
 *     for (;;) {
 *         int err = broadcast_recv(events, &cursor, &event);
 *         if (err == -EOVERFLOW)
 *             printf("%llu events missed\n", (unsigned long long)cursor.missed);
 *         else if (err < 0)
 *             break;                                    // -EPIPE: closed, and all seen
 *         else
 *             show(&event);
 *     }
 *
 * The last `capacity` messages are kept. A receiver that falls further behind is told how many it
 * has missed, and goes on with the oldest that is kept. One that waits has missed nothing: what is
 * sent next is handed to it there and then. A receiver who stops receiving just drops its cursor;
 * there is nothing to take back. The rest is as with channels (bide/sync/chan.h): types, copying,
 * one loop.
 */
#ifndef BIDE_SYNC_BROADCAST_H
#define BIDE_SYNC_BROADCAST_H

#include <bide/base/api.h>
#include <bide/sched/task.h>
#include <bide/sync/typed.h>

struct bide_broadcast;

/*
 * How far one receiver has come. Yours to place, and of one task at a time; it may be copied, and
 * the copy goes on from the same message. A zeroed one starts with the first message ever sent.
 */
typedef struct bide_cursor {
    uint64_t bide__next; /* the message to be received next, counted from 0 */
    uint64_t missed;     /* how many messages the last -EOVERFLOW was about */
} bide_cursor;

/* clang-format off */
#ifdef __cplusplus
#define BIDE_CURSOR_INIT {}
#else
#define BIDE_CURSOR_INIT {0}
#endif
/* clang-format on */

/* Behind the macros below; each says there what it does. */

/* broadcast_new */
BIDE_API struct bide_broadcast *bide__broadcast_new(size_t item_bytes, size_t capacity);

/* broadcast_send: the value is borrowed until the call returns. */
BIDE_API int bide__broadcast_send(struct bide_broadcast *broadcast, const void *value);

/* broadcast_subscribe */
BIDE_API bide_cursor bide__broadcast_subscribe(const struct bide_broadcast *broadcast);

/* broadcast_recv: cursor and slot are borrowed until the call returns. */
BIDE_API int bide__broadcast_recv(struct bide_broadcast *broadcast, bide_cursor *cursor, void *slot,
                                  const bide_site *site);

/* broadcast_try_recv */
BIDE_API int bide__broadcast_try_recv(struct bide_broadcast *broadcast, bide_cursor *cursor,
                                      void *slot);

/* broadcast_close */
BIDE_API void bide__broadcast_close(struct bide_broadcast *broadcast);

/* broadcast_free */
BIDE_API void bide__broadcast_free(struct bide_broadcast *broadcast);

#ifndef __cplusplus

/* The type of a broadcast of T. */
#define bide_broadcast(T) BIDE__TYPED(T, bide_broadcast)

/*
 * broadcast_new(T, capacity): make one that keeps the last `capacity` messages, 1 at the least (0
 * is a mistake which aborts).
 *
 * Returns the broadcast, owned: broadcast_free it; or NULL without memory.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any; from then on one loop's.
 */
#define bide_broadcast_new(T, capacity)                                                            \
    ((bide_broadcast(T))(uintptr_t)bide__broadcast_new(BIDE__ITEM_BYTES(T), (capacity)))

/*
 * broadcast_send(b, v): send one message to all receivers. The oldest kept makes room for it.
 *
 * Returns 0, or -EPIPE when it was closed.
 * Blocks:  never for a receiver; gives others their turn once in a while.
 * Cancel:  not a parking point.
 * Threads: tasks of the broadcast's loop.
 */
#define bide_broadcast_send(b, ...)                                                                \
    BIDE__BROADCAST_SEND(b, BIDE__JOIN(bide__item_, __COUNTER__), __VA_ARGS__)
#define BIDE__BROADCAST_SEND(b, item, ...)                                                         \
    __extension__({                                                                                \
        BIDE__ITEM_OF(b, bide_broadcast) item = BIDE__ONE(__VA_ARGS__);                            \
        bide__broadcast_send(BIDE__OBJECT(b, bide_broadcast), &item);                              \
    })

/* broadcast_subscribe(b): a bide_cursor that starts with the next message to be sent. */
#define bide_broadcast_subscribe(b) bide__broadcast_subscribe(BIDE__OBJECT(b, bide_broadcast))

/*
 * broadcast_recv(b, &cursor, &v): receive the cursor's next message, waiting until it is sent.
 *
 * Returns 0 with the message in v, else v is untouched:
 *   -EOVERFLOW  cursor.missed messages were overwritten before they were read; the cursor has moved
 *               past them, to the oldest that is kept
 *   -EPIPE      closed, and the cursor has seen everything
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  yes.
 * Cancel:  safe: on these two errors the cursor has not moved.
 * Threads: tasks of the broadcast's loop.
 */
#define bide_broadcast_recv(b, cursor, slot)                                                       \
    BIDE__BROADCAST_RECV(b, cursor, slot, BIDE__JOIN(bide__site_, __COUNTER__))
#define BIDE__BROADCAST_RECV(b, cursor, slot, site)                                                \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE("broadcast_recv");                                \
        bide__broadcast_recv(BIDE__OBJECT(b, bide_broadcast), (cursor),                            \
                             BIDE__SLOT(b, bide_broadcast, slot), &site);                          \
    })

/*
 * broadcast_try_recv(b, &cursor, &v): the same without waiting.
 *
 * Returns 0, -EOVERFLOW, -EPIPE, or -EAGAIN (it would have to wait).
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the broadcast's loop.
 */
#define bide_broadcast_try_recv(b, cursor, slot)                                                   \
    bide__broadcast_try_recv(BIDE__OBJECT(b, bide_broadcast), (cursor),                            \
                             BIDE__SLOT(b, bide_broadcast, slot))

/*
 * broadcast_close(b): no message goes in any more; those kept can still be received. Every waiting
 * receiver gets -EPIPE. A second time is harmless.
 *
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the broadcast's loop.
 */
#define bide_broadcast_close(b) bide__broadcast_close(BIDE__OBJECT(b, bide_broadcast))

/* The same for defer(broadcast_close, broadcast). */
static inline void(bide_broadcast_close)(void *broadcast)
{
    bide__broadcast_close((struct bide_broadcast *)broadcast);
}

/*
 * broadcast_free(b): free it; NULL is harmless. A task that still waits in it is a mistake which
 * aborts, naming the task: close first, and let the waiters return.
 *
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the broadcast's loop.
 */
#define bide_broadcast_free(b) bide__broadcast_free(BIDE__OBJECT(b, bide_broadcast))

/* The same for defer(broadcast_free, broadcast). */
static inline void(bide_broadcast_free)(void *broadcast)
{
    bide__broadcast_free((struct bide_broadcast *)broadcast);
}

#endif /* __cplusplus */
#endif
