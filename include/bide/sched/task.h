/* SPDX-License-Identifier: MIT */
/*
 * task.h - what can be said and asked of a task, whatever its result type.
 *
 * A task is a coroutine that a loop schedules. It stays on the loop and thread that started it, it
 * is never preempted, and its stack is never dropped while it runs. Spawning and awaiting, which
 * know the result's type, are in bide/async/async.h.
 */
#ifndef BIDE_SCHED_TASK_H
#define BIDE_SCHED_TASK_H

#include <bide/base/api.h>

/*
 * A running or finished task. Handles carry its result's type: see bide_task(T) in
 * bide/async/async.h.
 */
struct bide_task;

/* Where in the program something was asked for: a spawn, an await. Static, never freed. */
typedef struct bide_site {
    const char *file;
    int line;
    const char *function; /* the function that asked */
    const char *name;     /* what was asked for: the spawned function's name */
} bide_site;

/* Its initialiser, for the line that it stands on. */
/* clang-format off */
#define BIDE__SITE(text) {__FILE__, __LINE__, __func__, (text)}
/* clang-format on */

/* What a spawn gives back: the handle, and where the arguments go; both 0 when it failed. */
struct bide__spawned {
    uintptr_t handle;
    void *frame;
};

/* Choices for one spawn; zero means the default. */
typedef struct bide_spawn_options {
    size_t stack_bytes; /* usable stack; rounded up, to bide_stack_least at the least */
    const char *name;   /* for reports, borrowed for the task's life; default the function's name */
    bool measure_stack; /* start on clean pages: bide_stack_peak then speaks of this task alone */
    struct bide_group *bide__group; /* set by spawn_in */
    struct bide__start *bide__start;
    struct bide__offload *bide__offload; /* set by offload, with what is then made of the spawn: */
    struct bide__spawned (*bide__make)(const bide_site *site,
                                       const struct bide_spawn_options *options,
                                       int (*run)(void *frame), size_t frame_bytes);
    unsigned bide__kind;
} bide_spawn_options;

/**
 * Name the running task.
 *
 * Returns the name given at its spawn, else its function's name; "" outside a task.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API const char *bide_task_name(void);

/**
 * Read how much of its stack the running task used at the most, in bytes.
 *
 * Counts from the top to the deepest word that was ever written. Stacks are reused: unless the task
 * was spawned with `measure_stack`, what an earlier task left on the same stack counts as well, so
 * the figure is an upper bound.
 *
 * Returns the bytes; 0 outside a task.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 * Source:  mincore(2).
 */
BIDE_API size_t bide_stack_peak(void);

/**
 * Tell the smallest stack a task can have, in bytes; smaller requests are rounded up to it.
 *
 * It holds one signal frame of this CPU with all its vector state, and a handler's own frames.
 *
 * Returns the bytes, a power of two.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 * Source:  getauxval(3), AT_MINSIGSTKSZ.
 */
BIDE_API size_t bide_stack_least(void);

#endif
