/* SPDX-License-Identifier: MIT */
/*
 * chan.h - channels: values of one type handed from task to task.
 *
 *     chan(struct job) jobs = chan_new(struct job, 16);
 *
 *     chan_send(jobs, (struct job){.id = 7});           // waits while 16 are in it
 *
 *     while ((err = chan_recv(jobs, &job)) == 0)        // -EPIPE: closed, and nothing is left
 *         work(&job);
 *
 *     chan_close(jobs);                                 // whoever waits is told
 *     chan_free(jobs);                                  // when nobody waits any more
 *
 * A channel has room for `capacity` values. One with capacity 0 is unbuffered: a send waits until a
 * receiver takes the value, and so returns when somebody has it. Values leave in the order in which
 * they were sent; waiting senders and waiting receivers are served in the order in which they came.
 * Close where you stop sending; free where you have waited for all who use it. The -EPIPE that ends
 * a loop over a closed channel is no failure: a member of a group that returns it cancels the
 * others.
 *
 * bide_chan(T) is a pointer type that only carries T; what it holds is a handle, not to be called
 * or looked at. T may be any type that can be assigned, structs up to 64 KiB among them; values are
 * moved by copying their bytes, and pointers inside them stay the senders' and receivers' own
 * business. A channel belongs to one loop. Waiting on several channels at once: bide/sync/select.h.
 * The typed macros are for C: in C++ they are absent.
 */
#ifndef BIDE_SYNC_CHAN_H
#define BIDE_SYNC_CHAN_H

#include <bide/base/api.h>
#include <bide/sched/task.h>
#include <bide/sync/typed.h>

struct bide_chan;

/*
 * What a send or receive that waits needs of its caller's stack, and how it ended: the switch to
 * another task is the last thing that they do, and so they return nothing.
 */
union bide__chan_wait {
    int result; /* 0, or below: then bide__chan_failed has to be called */
    void *bide__private[16];
};

/* Behind the macros below; each says there what it does. */

/* chan_new */
BIDE_API struct bide_chan *bide__chan_new(size_t item_bytes, size_t capacity);

/* chan_send: the value is borrowed until the call returns. */
BIDE_API void bide__chan_send(struct bide_chan *chan, const void *value,
                              union bide__chan_wait *wait, const bide_site *site);

/* chan_recv: the slot is borrowed until the call returns. */
BIDE_API void bide__chan_recv(struct bide_chan *chan, void *slot, union bide__chan_wait *wait,
                              const bide_site *site);

/* The end of either when it failed. Returns its result. */
BIDE_API int bide__chan_failed(union bide__chan_wait *wait);

/* chan_try_send */
BIDE_API int bide__chan_try_send(struct bide_chan *chan, const void *value);

/* chan_try_recv */
BIDE_API int bide__chan_try_recv(struct bide_chan *chan, void *slot);

/* chan_close */
BIDE_API void bide__chan_close(struct bide_chan *chan);

/* chan_free */
BIDE_API void bide__chan_free(struct bide_chan *chan);

/* chan_len */
BIDE_API size_t bide__chan_len(const struct bide_chan *chan);

#ifndef __cplusplus

/* The type of a channel of T. */
#define bide_chan(T) BIDE__TYPED(T, bide_chan)

/*
 * chan_new(T, capacity): make a channel with room for `capacity` values of type T; 0 is unbuffered.
 *
 * Returns the channel, owned: chan_free it; or NULL without memory, also when that much can never
 * be had.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any; from then on one loop's.
 */
#define bide_chan_new(T, capacity)                                                                 \
    ((bide_chan(T))(uintptr_t)bide__chan_new(BIDE__ITEM_BYTES(T), (capacity)))

/*
 * chan_send(c, v): send one value, waiting while there is no room (or, unbuffered, no receiver).
 *
 * v is converted to the channel's type as an assignment would.
 *
 * Returns 0 when the value is in the channel or with a receiver, else it was not sent:
 *   -EPIPE  the channel is closed, or was closed while this call waited
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  yes.
 * Cancel:  safe: on any error nobody has received the value, and nobody will.
 * Threads: tasks of the channel's loop.
 */
#define bide_chan_send(c, ...) BIDE__CHAN_SEND(c, BIDE__JOIN(bide__item_, __COUNTER__), __VA_ARGS__)
#define BIDE__CHAN_SEND(c, item, ...)                                                              \
    __extension__({                                                                                \
        static const bide_site BIDE__JOIN(item, _site) = BIDE__SITE("chan_send");                  \
        BIDE__ITEM_OF(c, bide_chan) item = BIDE__ONE(__VA_ARGS__);                                 \
        union bide__chan_wait BIDE__JOIN(item, _wait);                                             \
        bide__chan_send(BIDE__OBJECT(c, bide_chan), &item, &BIDE__JOIN(item, _wait),               \
                        &BIDE__JOIN(item, _site));                                                 \
        BIDE__CHAN_RESULT(BIDE__JOIN(item, _wait));                                                \
    })
#define BIDE__CHAN_RESULT(wait)                                                                    \
    (__builtin_expect((wait).result == 0, 1) ? 0 : bide__chan_failed(&(wait)))

/*
 * chan_recv(c, &v): receive one value, waiting until there is one. &v points to the channel's type.
 *
 * Returns 0 with the value in v, else v is untouched:
 *   -EPIPE  the channel is closed and nothing is left in it
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  yes.
 * Cancel:  safe: on any error no value was taken.
 * Threads: tasks of the channel's loop.
 */
#define bide_chan_recv(c, slot) BIDE__CHAN_RECV(c, slot, BIDE__JOIN(bide__site_, __COUNTER__))
#define BIDE__CHAN_RECV(c, slot, site)                                                             \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE("chan_recv");                                     \
        union bide__chan_wait BIDE__JOIN(site, _wait);                                             \
        bide__chan_recv(BIDE__OBJECT(c, bide_chan), BIDE__SLOT(c, bide_chan, slot),                \
                        &BIDE__JOIN(site, _wait), &site);                                          \
        BIDE__CHAN_RESULT(BIDE__JOIN(site, _wait));                                                \
    })

/*
 * chan_try_send(c, v): send one value if that needs no waiting.
 *
 * Returns 0, -EPIPE (closed), or -EAGAIN (it would have to wait).
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the channel's loop.
 */
#define bide_chan_try_send(c, ...)                                                                 \
    BIDE__CHAN_TRY_SEND(c, BIDE__JOIN(bide__item_, __COUNTER__), __VA_ARGS__)
#define BIDE__CHAN_TRY_SEND(c, item, ...)                                                          \
    __extension__({                                                                                \
        BIDE__ITEM_OF(c, bide_chan) item = BIDE__ONE(__VA_ARGS__);                                 \
        bide__chan_try_send(BIDE__OBJECT(c, bide_chan), &item);                                    \
    })

/*
 * chan_try_recv(c, &v): receive one value if there is one.
 *
 * Returns 0, -EPIPE (closed and nothing left), or -EAGAIN (it would have to wait).
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the channel's loop.
 */
#define bide_chan_try_recv(c, slot)                                                                \
    bide__chan_try_recv(BIDE__OBJECT(c, bide_chan), BIDE__SLOT(c, bide_chan, slot))

/*
 * chan_close(c): no value goes in any more; those inside can still be received. Every waiting
 * sender (whose value was not sent) and every waiting receiver gets -EPIPE. A second time is
 * harmless.
 *
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the channel's loop.
 */
#define bide_chan_close(c) bide__chan_close(BIDE__OBJECT(c, bide_chan))

/* The same for defer(chan_close, chan). */
static inline void(bide_chan_close)(void *chan)
{
    bide__chan_close((struct bide_chan *)chan);
}

/*
 * chan_free(c): free the channel and what is left in it; NULL is harmless. A task that still waits
 * in it is a mistake which aborts, naming the task: close first, and let the waiters return.
 *
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the channel's loop.
 */
#define bide_chan_free(c) bide__chan_free(BIDE__OBJECT(c, bide_chan))

/* The same for defer(chan_free, chan). */
static inline void(bide_chan_free)(void *chan)
{
    bide__chan_free((struct bide_chan *)chan);
}

/*
 * chan_len(c): how many values are in the channel's buffer, a size_t; values of senders that wait
 * are not.
 */
#define bide_chan_len(c) bide__chan_len(BIDE__OBJECT(c, bide_chan))

#endif /* __cplusplus */
#endif
