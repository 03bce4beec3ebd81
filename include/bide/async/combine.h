/* SPDX-License-Identifier: MIT */
/*
 * combine.h - waiting for several tasks or futures at once, whatever their types.
 *
 *     task(int) a = spawn(query, first);
 *     task(int) b = spawn(query, second);
 *     int i = race(a, b);                          // the other one is cancelled and gone
 *     int rows = i == 0 ? await(a) : await(b);     // does not wait
 *
 * Each takes one to sixteen handles; for more of them, or a number not known before, there is
 * bide/async/group.h. None of them returns a result of a task: await does, without waiting then.
 */
#ifndef BIDE_ASYNC_COMBINE_H
#define BIDE_ASYNC_COMBINE_H

#include <bide/async/async.h>

/**
 * Wait for the first of several to end; bide_await_any is the way to do so.
 *
 * @param handles  borrowed
 * @param count    of them, 1 to 16
 * @param site     static; who waits, for reports
 *
 * Returns as bide_await_any does.
 * Blocks:  until one has ended.
 * Cancel:  safe: all of them run on.
 * Threads: tasks of the same loop.
 */
BIDE_API int bide__await_any(const uintptr_t *handles, int count, const bide_site *site);

/**
 * Wait for all of several to end; bide_await_all is the way to do so.
 *
 * @param handles  borrowed
 * @param count    of them, 1 to 16
 * @param site     static; who waits, for reports
 *
 * Returns as bide_await_all does.
 * Blocks:  until all have ended.
 * Cancel:  goes on to the tasks among them, which are waited for all the same.
 * Threads: tasks of the same loop.
 */
BIDE_API int bide__await_all(const uintptr_t *handles, int count, const bide_site *site);

/**
 * Wait for the first of several to end, then end the others; bide_race is the way to do so.
 *
 * @param handles  all but the winner's are spent when the call returns
 * @param count    of them, 1 to 16
 * @param site     static; who waits, for reports
 *
 * Returns as bide_race does.
 * Blocks:  until all have ended.
 * Cancel:  goes on to all of them.
 * Threads: tasks of the same loop.
 */
BIDE_API int bide__race(const uintptr_t *handles, int count, const bide_site *site);

#ifndef __cplusplus

#define BIDE__COUNT(...)                                                                           \
    BIDE__COUNT_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define BIDE__COUNT_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, count, ...) count

#define BIDE__HANDLES(n, ...) BIDE__CAT(BIDE__HANDLES_, n)(__VA_ARGS__)
#define BIDE__HANDLES_1(t) BIDE__HANDLE(t)
#define BIDE__HANDLES_2(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_1(__VA_ARGS__)
#define BIDE__HANDLES_3(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_2(__VA_ARGS__)
#define BIDE__HANDLES_4(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_3(__VA_ARGS__)
#define BIDE__HANDLES_5(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_4(__VA_ARGS__)
#define BIDE__HANDLES_6(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_5(__VA_ARGS__)
#define BIDE__HANDLES_7(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_6(__VA_ARGS__)
#define BIDE__HANDLES_8(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_7(__VA_ARGS__)
#define BIDE__HANDLES_9(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_8(__VA_ARGS__)
#define BIDE__HANDLES_10(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_9(__VA_ARGS__)
#define BIDE__HANDLES_11(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_10(__VA_ARGS__)
#define BIDE__HANDLES_12(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_11(__VA_ARGS__)
#define BIDE__HANDLES_13(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_12(__VA_ARGS__)
#define BIDE__HANDLES_14(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_13(__VA_ARGS__)
#define BIDE__HANDLES_15(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_14(__VA_ARGS__)
#define BIDE__HANDLES_16(t, ...) BIDE__HANDLE(t), BIDE__HANDLES_15(__VA_ARGS__)

#define BIDE__COMBINE(call, text, n, site, ...)                                                    \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE(text);                                            \
        call((const uintptr_t[]){BIDE__HANDLES(n, __VA_ARGS__)}, n, &site);                        \
    })

/*
 * await_any(t1, t2, ...): wait until one of them has ended; all handles stay owned. An int: the
 * index of the first that ended (of those that had before, the first in the call), or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; they run on
 *   -EDEADLK                one of them is the caller, or awaits it
 */
#define bide_await_any(...)                                                                        \
    BIDE__COMBINE(bide__await_any, "await_any", BIDE__COUNT(__VA_ARGS__),                          \
                  BIDE__CAT(bide__any_, __COUNTER__), __VA_ARGS__)

/*
 * await_all(t1, t2, ...): wait until all of them have ended; all handles stay owned. When the
 * caller is cancelled the cancel passes on to the tasks among them, which are waited for all the
 * same; futures are not waited for then. An int, 0 or
 *   -ECANCELED, -ETIMEDOUT  a scope fired, and a future among them has not ended
 *   -EDEADLK                one of them is the caller, or awaits it
 */
#define bide_await_all(...)                                                                        \
    BIDE__COMBINE(bide__await_all, "await_all", BIDE__COUNT(__VA_ARGS__),                          \
                  BIDE__CAT(bide__all_, __COUNTER__), __VA_ARGS__)

/*
 * race(t1, t2, ...): wait until one of them has ended; cancel the others, wait until they have
 * ended, and drop their results (of futures: give the share up). An int: the index of the winner,
 * whose handle stays owned, or
 *   -ECANCELED, -ETIMEDOUT  a scope fired before any had ended: all were cancelled and are gone
 *   -EDEADLK                one of them is the caller, or awaits it; all handles stay owned
 * A loser may have succeeded at the last moment: what it returned is lost. Let those that return
 * something to be freed use await_any.
 */
#define bide_race(...)                                                                             \
    BIDE__COMBINE(bide__race, "race", BIDE__COUNT(__VA_ARGS__),                                    \
                  BIDE__CAT(bide__race_, __COUNTER__), __VA_ARGS__)

#endif
#endif
