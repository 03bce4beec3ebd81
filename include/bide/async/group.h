/* SPDX-License-Identifier: MIT */
/*
 * group.h - tasks that live and end together: a block that is left when all of them have ended.
 *
 *     bide_group g = BIDE_GROUP_INIT;
 *     with_group (&g) {
 *         spawn_in(&g, fetch, "tcp://127.0.0.1:8080");
 *         spawn_in(&g, fetch, "tcp://127.0.0.1:8081");
 *     }                                            // waits for both, however the block is left
 *     if (g.error < 0) ...                         // what the first that failed returned
 *
 * A member fails by returning a negative number. Then all the others are cancelled, and so is the
 * block itself: the group is a cancel scope around both (fail-fast). With `collect_all` they go on.
 * The members lie in the scope in which the group was opened: a deadline or cancel around the block
 * reaches them, and their parking calls return its code. Members may spawn into their own group,
 * and open groups of their own.
 *
 *     closed --with_group--> open --block left--> ending --last member ended--> closed
 *                              |                    |
 *                              +--failure, cancel---+--> cancelled: takes no more members
 */
#ifndef BIDE_ASYNC_GROUP_H
#define BIDE_ASYNC_GROUP_H

#include <bide/async/async.h>
#include <bide/base/list.h>
#include <bide/sched/scope.h>

/* One failure. */
typedef struct bide_group_error {
    int error;             /* what the member returned */
    const char *task;      /* its name */
    const bide_site *site; /* where it was spawned */
} bide_group_error;

/*
 * A group. Yours to place; it must outlive its block. Zeroed memory is one without choices; the
 * choices are made before the block is entered: bide_group g = {.limit = 10}.
 */
typedef struct bide_group {
    /* Choices. */
    size_t limit;             /* members that may live at once; 0 for any number */
    bool collect_all;         /* a failure does not cancel the others */
    bool keep_results;        /* members that have ended wait for bide_group_next */
    bide_group_error *errors; /* borrowed, or NULL: where failures are listed, in their order */
    size_t errors_most;       /* room there */

    /* Results, set to 0 when the block is entered. */
    int error;     /* the first failure */
    size_t failed; /* members that failed; of these errors_most are listed */

    bide_scope bide__scope;
    struct bide_task *bide__owner;  /* who opened it; NULL while closed */
    struct bide__list bide__living; /* members, in the order of their spawns */
    struct bide__list bide__ended;  /* those whose results are kept, in the order of their ends */
    struct bide__list bide__queue;  /* who wants to spawn beyond the limit */
    struct bide__list bide__to_tell;
    void *bide__waiting; /* the owner's waiter, at the end or in bide_group_next */
    size_t bide__count;  /* members living, and places promised to those in the queue */
    int bide__code;      /* not 0: cancelled, and why */
    bool bide__was_ours; /* by a failure or bide_group_cancel, and not from around */
} bide_group;

/* clang-format off */
#ifdef __cplusplus
#define BIDE_GROUP_INIT {}
#else
#define BIDE_GROUP_INIT {0}
#endif
/* clang-format on */

/**
 * Cancel all members and the block itself.
 *
 * Their parking calls return -ECANCELED from now on. What members return because of that is no
 * failure of the group's.
 *
 * @param group  borrowed; open or ending; harmless when closed
 *
 * Returns nothing.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API void bide_group_cancel(bide_group *group);

/**
 * Tell how many members live.
 *
 * @param group  borrowed
 *
 * Returns the number; with a limit, places promised to waiting spawns count.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of the same loop.
 */
BIDE_API size_t bide_group_count(const bide_group *group);

/**
 * Wait for the next member to end; bide_group_next is the way to do so.
 *
 * @param group   borrowed; open, with keep_results
 * @param kind    BIDE__KIND of the result that the caller expects
 * @param handle  set to the member's handle, then owned by the caller
 *
 * Returns 0, or -ECHILD, -ECANCELED, -ETIMEDOUT as bide_group_next says.
 * Blocks:  until a member has ended.
 * Cancel:  safe: no member is lost.
 * Threads: the task that opened the group.
 */
BIDE_API int bide__group_next(bide_group *group, unsigned kind, uintptr_t *handle);

/* Where start_in waits for the member's word. */
struct bide__start {
    void *value;   /* filled by started; or NULL */
    unsigned kind; /* of *value */
    bool is_over;  /* the member has said so, or has ended */
    int result;    /* then */
    void *waiter;  /* of who waits */
};

/**
 * Wait until a member has said started; start_in is the way to do so.
 *
 * @param start   borrowed; in the options of the spawn
 * @param handle  what the spawn returned
 * @param site    static; who waits, for reports
 *
 * Returns as start_in does.
 * Blocks:  until the member has said started, or has ended.
 * Cancel:  goes on to the member, which then ends.
 * Threads: tasks of the same loop.
 */
BIDE_API int bide__group_start(struct bide__start *start, uintptr_t handle, const bide_site *site);

/**
 * Say that this member of a group is ready; bide_started is the way to do so.
 *
 * @param value  borrowed; copied to where start_in wants it
 * @param bytes  of the value
 * @param kind   of the value
 *
 * Returns nothing.
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API void bide__started(const void *value, size_t bytes, unsigned kind);

/**
 * Open a group; with_group is the way to do so.
 *
 * @param group  borrowed until the matching bide__group_leave
 *
 * Returns the group.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API bide_group *bide__group_enter(bide_group *group) __attribute__((returns_nonnull));

/**
 * Wait for all members and close the group.
 *
 * @param group  points to the group entered last; to NULL when none was
 *
 * Returns nothing.
 * Blocks:  until the last member has ended.
 * Cancel:  goes on to the members, which are waited for all the same.
 * Threads: the task that opened it.
 */
BIDE_API void bide__group_leave(bide_group **group);

/*
 * with_group (&g) { ... }: run the block, then wait for the members; `break` and `return` wait too.
 */
#define bide_with_group(group) BIDE__WITH_GROUP(group, BIDE__JOIN(bide__group_, __COUNTER__))
#define BIDE__WITH_GROUP(group_expression, left)                                                   \
    for (bide_group * left                                                                         \
             __attribute__((cleanup(bide__group_leave))) = bide__group_enter(group_expression),    \
             *BIDE__JOIN(left, _once) = left;                                                      \
         BIDE__JOIN(left, _once) != NULL; BIDE__JOIN(left, _once) = NULL)

#ifndef __cplusplus

/* The options of a spawn, and what makes it a member's. */
static inline bide_spawn_options bide__member_options(bide_group *group,
                                                      const bide_spawn_options *options,
                                                      struct bide__start *start, unsigned kind)
{
    bide_spawn_options all = {0};

    if (options != NULL)
        all = *options;
    all.bide__group = group;
    all.bide__start = start;
    all.bide__kind = kind;
    return all;
}

/*
 * spawn_in(&g, fn, args...): start fn(args...) as a member of the group, which owns it. An int:
 *   0            it was spawned
 *   -ECANCELED, -ETIMEDOUT  the group is cancelled, or the caller is, who waited for a place
 *   -ENOMEM, -EAGAIN, -EINVAL  as bide_spawn_error says; it counts as a member that failed
 * Waits only in a group with a limit: until fewer members live (safe to cancel: nothing was
 * spawned). A member that does so waits for its siblings. A group that is not open aborts.
 */
#define bide_spawn_in(group, ...) bide_spawn_in_with(group, NULL, __VA_ARGS__)

/* spawn_in_with(&g, &options, fn, args...): the same, with choices. */
#define bide_spawn_in_with(group, options, ...)                                                    \
    BIDE__SPAWN_IN(BIDE__CAT(bide__site_, __COUNTER__), group, options, __VA_ARGS__)
#define BIDE__SPAWN_IN(site, group, options, name, ...)                                            \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE(#name);                                           \
        const bide_spawn_options BIDE__CAT(site, _options) =                                       \
            bide__member_options((group), (options), NULL, name##__kind);                          \
        name##_spawn(&site, &BIDE__CAT(site, _options), ##__VA_ARGS__) != NULL                     \
            ? 0                                                                                    \
            : bide_spawn_error();                                                                  \
    })

/*
 * start_in(&g, &value, fn, args...): spawn_in, and wait until the member calls bide_started(v):
 * value, a pointer to v's type, is filled then (NULL of that type when it does not matter). An int:
 *   0            it is ready, and a member like others
 *   -ECHILD      it returned without a word, and without an error
 *   its result   it failed before that: not counted as a failure of the group's
 *   or an error of spawn_in
 * When the caller is cancelled the member is cancelled, and waited for all the same.
 */
#define bide_start_in(group, value, ...)                                                           \
    BIDE__START_IN(BIDE__CAT(bide__site_, __COUNTER__), group, value, __VA_ARGS__)
#define BIDE__START_IN(site, group, value_pointer, name, ...)                                      \
    __extension__({                                                                                \
        static const bide_site site = BIDE__SITE(#name);                                           \
        __auto_type BIDE__CAT(site, _value) = (value_pointer);                                     \
        struct bide__start BIDE__CAT(site, _start) = {                                             \
            .value = BIDE__CAT(site, _value),                                                      \
            .kind = BIDE__KIND(*BIDE__CAT(site, _value)),                                          \
        };                                                                                         \
        const bide_spawn_options BIDE__CAT(site, _options) =                                       \
            bide__member_options((group), NULL, &BIDE__CAT(site, _start), name##__kind);           \
        bide__group_start(                                                                         \
            &BIDE__CAT(site, _start),                                                              \
            (uintptr_t)name##_spawn(&site, &BIDE__CAT(site, _options), ##__VA_ARGS__), &site);     \
    })

/*
 * bide_started(v): tell who waits in start_in that this task is ready, with a value. Of a task that
 * was not started so: nothing happens. Twice aborts, and so does a value of another type.
 */
#define bide_started(v) BIDE__STARTED(v, BIDE__CAT(bide__started_, __COUNTER__))
#define BIDE__STARTED(v, name)                                                                     \
    __extension__({                                                                                \
        __auto_type name = (v);                                                                    \
        bide__started(&name, sizeof name, BIDE__KIND(name));                                       \
    })

/*
 * bide_group_next(&g, &t): wait for the next member to end, as completed, and give its handle to t,
 * a variable of type task(T); await(t), which does not wait then, returns its result. For groups
 * with `keep_results`, called by the task that opened it. An int:
 *   0                       t is yours
 *   -ECHILD                 no member is left
 *   -ECANCELED, -ETIMEDOUT  a scope fired, the group's own (a member failed) among them
 * A member whose result is not like T aborts. What nobody asks for goes when the block is left.
 */
#define bide_group_next(group, t) BIDE__GROUP_NEXT(group, t, BIDE__CAT(bide__next_, __COUNTER__))
#define BIDE__GROUP_NEXT(group, t, name)                                                           \
    __extension__({                                                                                \
        uintptr_t name = 0;                                                                        \
        __auto_type BIDE__CAT(name, _out) = (t);                                                   \
        int BIDE__CAT(name, _err) =                                                                \
            bide__group_next((group), BIDE__KIND(BIDE__RESULT_OF(*BIDE__CAT(name, _out))), &name); \
        if (BIDE__CAT(name, _err) >= 0)                                                            \
            *BIDE__CAT(name, _out) = (__typeof__(*BIDE__CAT(name, _out)))name;                     \
        BIDE__CAT(name, _err) < 0 ? BIDE__CAT(name, _err) : 0;                                     \
    })

#endif
#endif
