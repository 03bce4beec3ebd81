/* SPDX-License-Identifier: MIT */
/*
 * owner.h - the task that holds a lock, and what is said when it is not the one it should be.
 *
 * An owner is a control block and the generation it had: blocks stay mapped while the loop lives
 * and serve one task after the other, so an owner that ended with the lock in its hands can be
 * told from the task that has its block now.
 */
#ifndef BIDE__SYNC_OWNER_H
#define BIDE__SYNC_OWNER_H

#include "sched/report.h"

/* A lock as its messages name it. */
struct bide__held {
    const char *noun; /* "mutex" */
    const struct bide_task *owner;
    uint32_t generation;
};

/* Who calls, for messages: the running task, or the code outside of all. */
struct bide__label bide__caller_label(void);

/* Abort when waiting for the owner would have no end: it is `self`, or it has ended. */
void bide__owner_check(struct bide__held held, const struct bide_task *self, const char *call);

/* Abort: `self` is not the owner, as it must be for this call. */
_Noreturn void bide__owner_differs(struct bide__held held, const struct bide_task *self,
                                   const char *call);

#endif
