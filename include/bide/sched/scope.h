/* SPDX-License-Identifier: MIT */
/*
 * scope.h - cancel scopes: blocks of code that can be told to give up.
 *
 * A scope fires when it is cancelled or when its deadline passes. From then on, and until it is
 * left, every parking call inside it returns -ECANCELED (-ETIMEDOUT when a deadline did it) at
 * once: the request is a level, not an event, and cannot be swallowed. Scopes nest; the nearest
 * deadline wins, and where several have fired the outermost names the reason. A shield hides the
 * scopes around it, so that cleanup may wait, for a limited time.
 *
 *     with_timeout (BIDE_MS(500)) {
 *         n = bide_read(s, buf, sizeof buf);       // -ETIMEDOUT after half a second
 *     }
 *
 *     bide_scope attempt = BIDE_SCOPE_INIT;
 *     bide_scope_set_timeout(&attempt, BIDE_SEC(1));
 *     with_scope (&attempt) { err = talk(s); }
 *     if (bide_scope_fired(&attempt)) ...          // did this one fire, and not one around it?
 *
 * The blocks are loops that run once: `break`, `return` and `goto` leave them safely.
 */
#ifndef BIDE_SCHED_SCOPE_H
#define BIDE_SCHED_SCOPE_H

#include <bide/base/api.h>
#include <bide/base/time.h>
#include <bide/sched/task.h>

/*
 * One scope, for one pass through one block. Yours to place (usually on the stack), not to look
 * into; it must outlive the block. Zeroed memory is a scope with no deadline.
 */
typedef struct bide_scope {
    struct bide_scope *bide__outer; /* the scope around it, while entered */
    struct bide_task *bide__task;   /* whose scope it is; NULL while not entered */
    bide_time bide__deadline;       /* meaningful with bide__has_deadline */
    void *bide__timer[5];           /* armed while entered with a deadline */
    int bide__code; /* 0, or why it fired: -ECANCELED, -ETIMEDOUT; kept after the block */
    bool bide__has_deadline;
    bool bide__is_shield;
    /* Of a group's scope: told of the code that calls right inside would return, 0 among others. */
    void (*bide__fired)(struct bide_scope *scope, int code);
} bide_scope;

/* clang-format off */
#ifdef __cplusplus
#define BIDE_SCOPE_INIT {}
#else
#define BIDE_SCOPE_INIT {0}
#endif
/* clang-format on */

/**
 * Give a scope a deadline, or another one; before it is entered or while it is.
 *
 * @param scope     borrowed
 * @param deadline  on bide_now's clock; one that has passed fires the scope, BIDE_FOREVER takes the
 *                  deadline away
 *
 * Returns nothing. A scope that has fired stays so.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop of the task that enters it.
 */
BIDE_API void bide_scope_set_deadline(bide_scope *scope, bide_time deadline);

/**
 * Give a scope a deadline so many nanoseconds from now.
 *
 * @param scope    borrowed
 * @param timeout  nanoseconds, counted from this call and not from entering; saturates
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop of the task that enters it.
 */
BIDE_API void bide_scope_set_timeout(bide_scope *scope, bide_time timeout);

/**
 * Cancel a scope: every parking call inside it returns -ECANCELED from now on.
 *
 * Before the block is entered it fires on entering; after it was left only bide_scope_fired sees
 * it.
 *
 * @param scope  borrowed; may belong to another task of the same loop
 *
 * Returns nothing; a second time is harmless.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: the loop of the task that entered it.
 */
BIDE_API void bide_scope_cancel(bide_scope *scope);

/**
 * Ask whether this scope fired, and not one around it.
 *
 * @param scope  borrowed; entered, left, or neither yet
 *
 * Returns true after it was cancelled or its deadline passed before it was left.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop of the task that entered it.
 */
BIDE_API bool bide_scope_fired(const bide_scope *scope);

/**
 * Ask, without parking, whether a parking call would return at once, and with what.
 *
 * For long computations inside a scope. Time is looked at when the loop polls: a task that never
 * parks, yields or does I/O sees no deadline pass.
 *
 * Returns 0, -ECANCELED or -ETIMEDOUT.
 * Blocks:  no.
 * Cancel:  this is the question itself.
 * Threads: tasks only.
 */
BIDE_API int bide_canceled(void);

/**
 * Enter a scope; with_scope is the way to do so.
 *
 * @param scope  borrowed until the matching bide__scope_leave
 *
 * Returns the scope.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API bide_scope *bide__scope_enter(bide_scope *scope) __attribute__((returns_nonnull));

/**
 * Leave the innermost scope.
 *
 * @param scope  points to the scope entered last; to NULL when none was
 *
 * Returns nothing. Leaving any other scope than the innermost aborts.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API void bide__scope_leave(bide_scope **scope);

/**
 * Make a scope with a deadline, or a shield, and enter it; the blocks below do so.
 *
 * @param scope       borrowed until the matching bide__scope_leave; filled
 * @param limit       the deadline on bide_now's clock, or nanoseconds from now; they saturate
 * @param is_timeout  which of the two
 * @param is_shield   hides the scopes around it
 *
 * Returns the scope.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API bide_scope *bide__scope_begin(bide_scope *scope, bide_time limit, bool is_timeout,
                                       bool is_shield) __attribute__((returns_nonnull));

#define BIDE__JOIN_(a, b) a##b
#define BIDE__JOIN(a, b) BIDE__JOIN_(a, b)

/*
 * The two loops run their body once: the outer one owns the scope, the inner one makes `break`
 * leave both.
 */
#define BIDE__WITH(entered, left)                                                                  \
    for (bide_scope * left __attribute__((cleanup(bide__scope_leave))) = (entered),                \
                           *BIDE__JOIN(left, _once) = left;                                        \
         BIDE__JOIN(left, _once) != NULL; BIDE__JOIN(left, _once) = NULL)

#define BIDE__WITH_NEW(limit, is_timeout, is_shield, name)                                         \
    BIDE__WITH_NEW_(limit, is_timeout, is_shield, BIDE__JOIN(name, _storage), name)
#define BIDE__WITH_NEW_(limit, is_timeout, is_shield, storage, name)                               \
    for (bide_scope storage, *BIDE__JOIN(storage, _once) = &storage;                               \
         BIDE__JOIN(storage, _once) != NULL; BIDE__JOIN(storage, _once) = NULL)                    \
    BIDE__WITH(bide__scope_begin(&storage, limit, is_timeout, is_shield), name)

/* with_scope (&s) { ... }: run the block inside the scope. */
#define bide_with_scope(scope)                                                                     \
    BIDE__WITH(bide__scope_enter(scope), BIDE__JOIN(bide__scope_, __COUNTER__))

/*
 * with_timeout (ns) { ... }: parking calls in the block return -ETIMEDOUT once ns nanoseconds have
 * passed.
 */
#define bide_with_timeout(ns) BIDE__WITH_NEW(ns, true, false, BIDE__JOIN(bide__scope_, __COUNTER__))

/* with_deadline (at) { ... }: the same with a point in time. */
#define bide_with_deadline(at)                                                                     \
    BIDE__WITH_NEW(at, false, false, BIDE__JOIN(bide__scope_, __COUNTER__))

/*
 * with_shield (limit_ns) { ... }: no scope around the block is seen in it; it times out by itself
 * after limit_ns.
 */
#define bide_with_shield(limit_ns)                                                                 \
    BIDE__WITH_NEW(limit_ns, true, true, BIDE__JOIN(bide__scope_, __COUNTER__))

#endif
