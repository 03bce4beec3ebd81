/* SPDX-License-Identifier: MIT */
/*
 * event.h - a flag that tasks wait for.
 *
 *     static bide_event ready = BIDE_EVENT_INIT;
 *
 *     bide_event_wait(&ready);       // in any number of tasks
 *     bide_event_set(&ready);        // wakes them all; who comes later does not wait
 */
#ifndef BIDE_SYNC_EVENT_H
#define BIDE_SYNC_EVENT_H

#include <bide/base/api.h>
#include <bide/base/list.h>

/*
 * Embed it, and start it with BIDE_EVENT_INIT, bide_event_init or zeroed memory: it is not set
 * then. Not to look into. It needs no destroying. Freeing or initialising it while tasks wait for
 * it is a mistake that goes unnoticed; those that a set has woken touch it no more.
 */
typedef struct bide_event {
    struct bide__list bide__waiting; /* empty while it is set */
    bool bide__is_set;
} bide_event;

/* clang-format off */
#define BIDE_EVENT_INIT {{NULL, NULL}, false}
/* clang-format on */

/**
 * Make an event that is not set.
 *
 * @param event  borrowed; filled
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_event_init(bide_event *event);

/**
 * Set an event, waking all who wait for it.
 *
 * Never switches. They return 0, even when the event is cleared before it is their turn.
 *
 * @param event  borrowed for the call
 *
 * Returns nothing; a second time is harmless.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_event_set(bide_event *event);

/**
 * Clear an event: whoever waits from now on waits for the next set.
 *
 * @param event  borrowed for the call
 *
 * Returns nothing; a second time is harmless.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API void bide_event_clear(bide_event *event);

/**
 * Wait until an event is set.
 *
 * @param event  borrowed until the call returns, or until it is set
 *
 * Returns 0, at once when it is set already; or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired, before the event was set or before the call
 * Blocks:  while it is not set.
 * Cancel:  safe. One that comes after the set is seen by the next call.
 * Threads: tasks of one loop.
 */
BIDE_API int bide_event_wait(bide_event *event);

/**
 * Ask whether an event is set.
 *
 * @param event  borrowed for the call
 *
 * Returns true between a set and the next clear.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks of one loop.
 */
BIDE_API bool bide_event_is_set(const bide_event *event);

#endif
