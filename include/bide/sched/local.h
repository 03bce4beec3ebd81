/* SPDX-License-Identifier: MIT */
/*
 * local.h - task-local values: one variable, another value in each task, handed down on spawn.
 *
 *     static bide_local request_id = BIDE_LOCAL_INIT(free);
 *
 *     bide_local_set(&request_id, strdup(id));     // this task, and those it spawns from now on
 *     ...
 *     log("%s", (char *)bide_local_get(&request_id));
 *
 * A spawned task starts with the values that its spawner has at that moment, and shares them: they
 * are not copied. What either of them sets later the other does not see. The first task of a loop
 * starts with none.
 *
 * A value is owned by the tasks that see it: when the last of these has ended, or has set another,
 * the destructor is called with it, in that task, where it must not park. A task that ends drops
 * its values after its function has returned, the key that was set last first. When a loop must
 * drop a stack that never unwound, the destructor runs outside of any task.
 */
#ifndef BIDE_SCHED_LOCAL_H
#define BIDE_SCHED_LOCAL_H

#include <bide/base/api.h>

/* A key: its address is its identity, so make it a static variable. */
typedef struct bide_local {
    void (*bide__destructor)(void *value);
} bide_local;

/* clang-format off */
#define BIDE_LOCAL_INIT(destructor_or_null) {(destructor_or_null)}
/* clang-format on */

/**
 * Set the running task's value.
 *
 * To set the very value that is set already does nothing. Under one key, one pointer may be set in
 * one task only: others get it by being spawned.
 *
 * @param key    static
 * @param value  owned on success: the key's destructor ends it; NULL unsets
 *
 * Returns 0, or
 *   -ENOMEM  the old value stays, the new one is still the caller's
 * Blocks:  no, and does not switch.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API int bide_local_set(const bide_local *key, void *value);

/**
 * Read the running task's value.
 *
 * @param key  static
 *
 * Returns it, borrowed while the task does not set another; NULL when none is set, while the task's
 * values are being dropped at its end, and outside a task.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void *bide_local_get(const bide_local *key);

#endif
