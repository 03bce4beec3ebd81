/* SPDX-License-Identifier: MIT */
/*
 * future.h - results that arrive by other means than a task's return.
 *
 *     future(int) answer = future_new(int);
 *     register_callback(on_answer, answer);       // which calls future_set(answer, 42) one day
 *     int n = await(answer);
 *
 * bide_future(T) and bide_task(T) are one type: what waits does not care who fulfils. Unlike a
 * task, a future may have several owners: a handle serves one await, and bide_future_share makes it
 * serve one more. It goes when all have been awaited or detached, set or not; who sets it needs no
 * share, and is told when nobody is left to care.
 *
 *     Pending --set--> a value    --await, await_for, detach: once for each share--> gone
 *        |----fail, cancel--> an error
 *
 * An error has to come out of await(f) as a T. Where T is a signed integer it is the negative error
 * number itself, else a T of zero bytes: bide_future_error tells the two apart before the await.
 * The same holds when the awaiting task is cancelled: the future is not, its await just ends.
 */
#ifndef BIDE_ASYNC_FUTURE_H
#define BIDE_ASYNC_FUTURE_H

#include <bide/async/async.h>

/**
 * Make a future; bide_future_new is the way to do so.
 *
 * @param bytes  of the value
 * @param width  the same when the value is a signed integer, else 0
 * @param site   static; for reports
 *
 * Returns its handle, owned, or 0 without memory.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API uintptr_t bide__future_new(size_t bytes, unsigned width, const bide_site *site);

/**
 * Fulfil a future; bide_future_set is the way to do so.
 *
 * @param handle  borrowed; may be spent
 * @param value   borrowed; copied
 * @param bytes   of the value
 *
 * Returns 0 or -ECANCELED, as bide_future_set says.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API int bide__future_set(uintptr_t handle, const void *value, size_t bytes);

/**
 * End a future with an error; bide_future_fail is the way to do so.
 *
 * @param handle  borrowed; may be spent
 * @param error   a negative errno; anything else aborts
 *
 * Returns 0 or -ECANCELED, as bide_future_set says.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API int bide__future_fail(uintptr_t handle, int error);

/**
 * Add a share; bide_future_share is the way to do so.
 *
 * @param handle  borrowed
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API void bide__future_share(uintptr_t handle);

/**
 * Ask how a future or task ended; bide_future_error is the way to do so.
 *
 * @param handle  borrowed
 *
 * Returns -EINPROGRESS while it has not, 0 after a value, else the negative error.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API int bide__future_error(uintptr_t handle);

/*
 * A function to be called when a future or task ends. Yours to place; it must stay there until it
 * was called or removed.
 */
typedef struct bide_callback {
    void *bide__watch[3];
    void (*bide__function)(void *arg);
    void *bide__arg;
} bide_callback;

/**
 * Call a function at a future's or task's end; bide_on_done is the way to do so.
 *
 * @param handle    borrowed
 * @param callback  borrowed until it was called or removed
 * @param function  must not park
 * @param arg       passed to it
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API void bide__on_done(uintptr_t handle, bide_callback *callback, void (*function)(void *arg),
                            void *arg);

/**
 * Take a callback back.
 *
 * @param callback  given to bide_on_done before; harmless when it was called already
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API void bide_on_done_remove(bide_callback *callback);

#ifndef __cplusplus

#define bide_future(T) bide_task(T)

/* future_new(T): a future without a value yet; NULL when there is no memory. */
#define bide_future_new(T) BIDE__FUTURE_NEW(T, BIDE__CAT(bide__future_, __COUNTER__))
#define BIDE__FUTURE_NEW(T, name)                                                                  \
    __extension__({                                                                                \
        static const bide_site name = BIDE__SITE("future");                                        \
        _Static_assert(_Alignof(BIDE__STORED(T)) <= 16, "values can be aligned to 16 bytes");      \
        (bide_future(T))bide__future_new(sizeof(BIDE__STORED(T)),                                  \
                                         BIDE__WIDTH((BIDE__STORED(T) *)0), &name);                \
    })

/*
 * future_set(f, value): give the future its value; whoever waits is made ready, in the order in
 * which they came. An int: 0, or -ECANCELED when it was cancelled, or when all its shares were
 * given up: then the value is still yours. Once: setting or failing a future that has a value or an
 * error already aborts, as does a task's handle.
 */
#define bide_future_set(f, value) BIDE__FUTURE_SET(f, value, BIDE__CAT(bide__future_, __COUNTER__))
#define BIDE__FUTURE_SET(f, value, name)                                                           \
    __extension__({                                                                                \
        __auto_type name = (f);                                                                    \
        BIDE__STORED(BIDE__RESULT_OF(name)) BIDE__CAT(name, _value) = (value);                     \
        bide__future_set(BIDE__HANDLE(name), &BIDE__CAT(name, _value),                             \
                         sizeof BIDE__CAT(name, _value));                                          \
    })

/* future_fail(f, error): the same with a negative errno in place of the value. */
#define bide_future_fail(f, error) bide__future_fail(BIDE__HANDLE(f), (error))

/* future_share(f): f, which now serves one await more. */
#define bide_future_share(f) BIDE__FUTURE_SHARE(f, BIDE__CAT(bide__future_, __COUNTER__))
#define BIDE__FUTURE_SHARE(f, name)                                                                \
    __extension__({                                                                                \
        __auto_type name = (f);                                                                    \
        bide__future_share(BIDE__HANDLE(name));                                                    \
        name;                                                                                      \
    })

/*
 * future_error(f): an int: -EINPROGRESS before the end, then 0 for a value, else the error. Of a
 * task: its result, when that is a negative integer.
 */
#define bide_future_error(f) bide__future_error(BIDE__HANDLE(f))

/*
 * on_done(f, &callback, function, arg): call function(arg) once f has ended, from the task that
 * ends it, or at once when it has ended already. The callback sees is_done(f), not yet taken, and
 * may take it. It must not wait: calls that could return -ECANCELED at once (chan_try_send and the
 * other try forms do their work), and an await of what has not ended aborts.
 */
#define bide_on_done(f, callback, function, arg)                                                   \
    bide__on_done(BIDE__HANDLE(f), callback, function, arg)

#endif
#endif
