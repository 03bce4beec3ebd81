/* SPDX-License-Identifier: MIT */
/*
 * mutex.h - the parts of a mutex that a condition is made of.
 */
#ifndef BIDE__SYNC_MUTEX_H
#define BIDE__SYNC_MUTEX_H

#include <bide/sync/mutex.h>

#include "sched/loop.h"

/* Abort unless `self` holds the mutex; `call` is the public name. */
void bide__mutex_need(const bide_mutex *mutex, const struct bide_task *self, const char *call);

/* Hand the mutex, which the caller holds, to the first in line; nobody holds it when none is. */
void bide__mutex_hand_on(bide_mutex *mutex);

/* Lock it whatever is cancelled meanwhile. */
void bide__mutex_lock_again(bide_mutex *mutex, struct bide_task *self);

#endif
