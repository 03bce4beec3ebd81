/* SPDX-License-Identifier: MIT */
/*
 * run.h - a loop's beginning and end, whoever turns it meanwhile.
 */
#ifndef BIDE__RUNTIME_RUN_H
#define BIDE__RUNTIME_RUN_H

#include "sched/loop.h"

/*
 * Make a loop with its first task, and be inside it. Returns 0 or a negative errno, and then
 * nothing is left. `result` is filled when fn has returned.
 */
int bide__run_begin(struct bide__host *host, void *io, int (*fn)(void *arg), void *arg,
                    const bide_options *options, bool may_be_posted_to, int *result,
                    struct bide_loop **out);

/*
 * Run what still lives, leave the loop and free it. Returns 0, or -EDEADLK after a deadlock was
 * reported.
 */
int bide__run_end(struct bide_loop *loop);

#endif
