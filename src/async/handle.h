/* SPDX-License-Identifier: MIT */
/*
 * handle.h - what users hold of a task: its address and its generation in one word.
 *
 * Control blocks stay mapped as long as the loop lives, so a handle that was already awaited or
 * detached is recognised, even when its block serves another task by now: that is what makes
 * "awaited twice" a clear line instead of a wrong result.
 */
#ifndef BIDE__ASYNC_HANDLE_H
#define BIDE__ASYNC_HANDLE_H

#include <stdint.h>

#include "sched/task.h"

/* Of the generation, so many bits lie below the address (control blocks are aligned to 64 bytes),
 * and the others above it (user addresses have 48 bits on all our 64-bit architectures). */
enum { BIDE__HANDLE_LOW_BITS = 6, BIDE__HANDLE_HIGH_SHIFT = 48 };

#if UINTPTR_MAX > 0xffffffffu
enum { BIDE__HANDLE_GENERATIONS = 1 << 22 };
#define BIDE__HANDLE_ADDRESS                                                                       \
    ((((uintptr_t)1 << BIDE__HANDLE_HIGH_SHIFT) - 1) &                                             \
     ~(((uintptr_t)1 << BIDE__HANDLE_LOW_BITS) - 1))
#define BIDE__HANDLE_HIGH(generation)                                                              \
    ((uintptr_t)((generation) >> BIDE__HANDLE_LOW_BITS) << BIDE__HANDLE_HIGH_SHIFT)
#else
enum { BIDE__HANDLE_GENERATIONS = 1 << BIDE__HANDLE_LOW_BITS };
#define BIDE__HANDLE_ADDRESS (~(((uintptr_t)1 << BIDE__HANDLE_LOW_BITS) - 1))
#define BIDE__HANDLE_HIGH(generation) (uintptr_t)0
#endif

static inline uintptr_t bide__handle_of(const struct bide_task *task)
{
    uint32_t generation = task->generation % BIDE__HANDLE_GENERATIONS;

    return (uintptr_t)task | BIDE__HANDLE_HIGH(generation) |
           (generation & ((1u << BIDE__HANDLE_LOW_BITS) - 1));
}

/* The control block that a handle names or named; NULL for handle 0. */
static inline struct bide_task *bide__handle_block(uintptr_t handle)
{
    return (struct bide_task *)(handle & BIDE__HANDLE_ADDRESS);
}

/* Whether the handle was neither awaited nor detached. */
static inline bool bide__handle_is_owned(const struct bide_task *task, uintptr_t handle)
{
    return task->state != BIDE__TASK_FREE && bide__handle_of(task) == handle && !task->is_detached;
}

_Noreturn __attribute__((cold)) void bide__handle_misused(uintptr_t handle, const char *call,
                                                          const bide_site *site);

/* The task of a handle that is owned; aborts over any other. `site` may be NULL. */
static inline struct bide_task *bide__handle_task(uintptr_t handle, const char *call,
                                                  const bide_site *site)
{
    struct bide_task *task = bide__handle_block(handle);

    if (__builtin_expect(task == NULL || !bide__handle_is_owned(task, handle), 0))
        bide__handle_misused(handle, call, site);
    return task;
}

/*
 * Whether a wait of `self` for the task could never end: the task waits for `self`, directly or
 * through others, as whoever awaits, races, or has opened a group does; and none of them for a
 * limited time.
 */
bool bide__handle_search(const struct bide_task *task, const struct bide_task *self);

static inline bool bide__handle_leads_to(const struct bide_task *task, const struct bide_task *self)
{
    /* One that does not wait, and has opened no group, waits for nobody. */
    if (__builtin_expect(task != self && task->waiter == NULL && task->scope == NULL, 1))
        return false;
    return bide__handle_search(task, self);
}

_Noreturn __attribute__((cold)) void
bide__handle_is_awaited(const struct bide_task *task, const char *call, const bide_site *site);

/* A task has one owner: abort when another one awaits it already. */
static inline void bide__handle_refuse_second_owner(const struct bide_task *task, const char *call,
                                                    const bide_site *site)
{
    if (__builtin_expect(task->awaiter != NULL, 0))
        bide__handle_is_awaited(task, call, site);
}

#endif
