/* SPDX-License-Identifier: MIT */
/*
 * watch.h - one value that changes, for those who want to know its latest state.
 *
 *     watch(struct config) config = watch_new(struct config, defaults);
 *
 *     uint64_t seen = 0;                                   // each watcher has its own
 *     while (watch_next(config, &seen, &current) == 0)     // at first the value of now
 *         apply(&current);
 *
 * Values in between may be skipped, the last one is always seen. Setting never waits. The rest is
 * as with channels (bide/sync/chan.h): types, copying, one loop.
 */
#ifndef BIDE_SYNC_WATCH_H
#define BIDE_SYNC_WATCH_H

#include <bide/base/api.h>
#include <bide/sched/task.h>
#include <bide/sync/typed.h>

struct bide_watch;

/* Behind the macros below; each says there what it does. */

/* watch_new: the value is borrowed until the call returns. */
BIDE_API struct bide_watch *bide__watch_new(size_t item_bytes, const void *value);

/* watch_set: the value is borrowed until the call returns. */
BIDE_API int bide__watch_set(struct bide_watch *watch, const void *value);

/* watch_get */
BIDE_API void bide__watch_get(const struct bide_watch *watch, void *slot);

/* watch_next: seen and slot are borrowed until the call returns. */
BIDE_API int bide__watch_next(struct bide_watch *watch, uint64_t *seen, void *slot,
                              const bide_site *site);

/* watch_close */
BIDE_API void bide__watch_close(struct bide_watch *watch);

/* watch_free */
BIDE_API void bide__watch_free(struct bide_watch *watch);

#ifndef __cplusplus

/* The type of a watched T. */
#define bide_watch(T) BIDE__TYPED(T, bide_watch)

/*
 * watch_new(T, initial): make one with its first value.
 *
 * Returns the watch, owned: watch_free it; or NULL without memory.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any; from then on one loop's.
 */
#define bide_watch_new(T, ...) BIDE__WATCH_NEW(T, BIDE__JOIN(bide__item_, __COUNTER__), __VA_ARGS__)
#define BIDE__WATCH_NEW(T, item, ...)                                                              \
    __extension__({                                                                                \
        __typeof__(T) item = BIDE__ONE(__VA_ARGS__);                                               \
        (bide_watch(T))(uintptr_t)bide__watch_new(BIDE__ITEM_BYTES(T), &item);                     \
    })

/*
 * watch_set(w, v): replace the value, and wake who waits for a newer one. An equal value counts as
 * newer too.
 *
 * Returns 0, or -EPIPE when it was closed.
 * Blocks:  never for a watcher; gives others their turn once in a while.
 * Cancel:  not a parking point.
 * Threads: tasks of the watch's loop.
 */
#define bide_watch_set(w, ...) BIDE__WATCH_SET(w, BIDE__JOIN(bide__item_, __COUNTER__), __VA_ARGS__)
#define BIDE__WATCH_SET(w, item, ...)                                                              \
    __extension__({                                                                                \
        BIDE__ITEM_OF(w, bide_watch) item = BIDE__ONE(__VA_ARGS__);                                \
        bide__watch_set(BIDE__OBJECT(w, bide_watch), &item);                                       \
    })

/*
 * watch_get(w): the latest value, of type T; also after a close.
 *
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the watch's loop.
 */
#define bide_watch_get(w) BIDE__WATCH_GET(w, BIDE__JOIN(bide__item_, __COUNTER__))
#define BIDE__WATCH_GET(w, item)                                                                   \
    __extension__({                                                                                \
        BIDE__ITEM_OF(w, bide_watch) item;                                                         \
        bide__watch_get(BIDE__OBJECT(w, bide_watch), &item);                                       \
        item;                                                                                      \
    })

/*
 * watch_next(w, &seen, &v): wait until there is a value newer than `seen` (uint64_t; 0: none was
 * seen yet), and take the latest.
 *
 * Returns 0 with the value in v, and seen updated, else both are untouched:
 *   -EPIPE  closed, and the last value was seen
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  yes, until watch_set or watch_close.
 * Cancel:  safe: on any error the next call finds what this one missed.
 * Threads: tasks of the watch's loop.
 */
#define bide_watch_next(w, seen, slot)                                                             \
    BIDE__WATCH_NEXT(w, seen, slot, BIDE__JOIN(bide__site_, __COUNTER__))
#define BIDE__WATCH_NEXT(w, seen, slot, site)                                                      \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE("watch_next");                                    \
        bide__watch_next(BIDE__OBJECT(w, bide_watch), (seen), BIDE__SLOT(w, bide_watch, slot),     \
                         &site);                                                                   \
    })

/*
 * watch_close(w): the value changes no more. Every waiting task gets -EPIPE. A second time is
 * harmless.
 *
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the watch's loop.
 */
#define bide_watch_close(w) bide__watch_close(BIDE__OBJECT(w, bide_watch))

/* The same for defer(watch_close, watch). */
static inline void(bide_watch_close)(void *watch)
{
    bide__watch_close((struct bide_watch *)watch);
}

/*
 * watch_free(w): free it; NULL is harmless. A task that still waits in it is a mistake which
 * aborts, naming the task: close first, and let the waiters return.
 *
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the watch's loop.
 */
#define bide_watch_free(w) bide__watch_free(BIDE__OBJECT(w, bide_watch))

/* The same for defer(watch_free, watch). */
static inline void(bide_watch_free)(void *watch)
{
    bide__watch_free((struct bide_watch *)watch);
}

#endif /* __cplusplus */
#endif
