/* SPDX-License-Identifier: MIT */
/*
 * future.h - what await and the combinators need to know of a future.
 */
#ifndef BIDE__ASYNC_FUTURE_H
#define BIDE__ASYNC_FUTURE_H

#include "sched/task.h"

/* A result that stands for an error: the code where T is a signed integer of `width` bytes. */
void bide__result_fail(void *result, unsigned width, int code);

/*
 * Wait until the future is done, the deadline has passed (-ETIMEDOUT) or a scope fires. Returns 0
 * or the code; keeps the handle.
 */
int bide__future_wait(struct bide_task *future, bide_time deadline, const char *what,
                      const bide_site *site);

/* The result of a future that was awaited, or its stand-in for `code`; spends the handle. */
void *bide__future_take(struct bide_task *future, int code);

/* Take one of the handles for a call, which then spends it or gives it back. Aborts without any. */
void bide__future_claim(struct bide_task *future, const char *call, const bide_site *site);
void bide__future_unclaim(struct bide_task *future);

/* Spend one handle. */
void bide__future_drop(struct bide_task *future);

/*
 * The same by detach: what fulfils the future goes on when it can, and a job's failure that nobody
 * will see is reported.
 */
void bide__future_give_up(struct bide_task *future);

/* bide__future_set for a job: `failure` is its result when that is a negative integer, else 0. */
void bide__future_set_by_job(uintptr_t handle, const void *value, size_t bytes, int failure);

#endif
