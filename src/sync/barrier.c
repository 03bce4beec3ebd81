/* SPDX-License-Identifier: MIT */
/*
 * barrier.c - a point that a fixed number of tasks pass together.
 *
 * The line is the generation: whoever completes it empties the line, and the next to arrive begins
 * another one. A cancelled task leaves the line and nothing else, so it is the line that says who
 * is there; the number of arrivals only says when a look at it is worth while.
 */
#include <bide/sync/barrier.h>

#include <errno.h>

#include "sync/line.h"
#include "sync/owner.h"

/* Count an arrival. True when it is the last of its generation. */
static bool arrive(bide_barrier *barrier)
{
    if (++barrier->bide__arrived < barrier->bide__parties)
        return false;
    if (barrier->bide__parties == 0)
        bide__misuse("bide_barrier_wait: %s waits at a barrier of 0 parties; start it with "
                     "BIDE_BARRIER_INIT or bide_barrier_init, and at least 1",
                     bide__caller_label().text);
    barrier->bide__arrived = bide__line_length(&barrier->bide__waiting) + 1;
    bide__assert(barrier->bide__arrived <= barrier->bide__parties);
    return barrier->bide__arrived == barrier->bide__parties;
}

/* Send everyone in line on. */
static void empty(bide_barrier *barrier, int result)
{
    bide__assert(barrier->bide__arrived <= barrier->bide__parties);
    barrier->bide__arrived = 0;
    bide__line_hand_all(&barrier->bide__waiting, result);
    bide__assert(bide__line_is_empty(&barrier->bide__waiting));
}

void bide_barrier_init(bide_barrier *barrier, size_t parties)
{
    *barrier = (bide_barrier)BIDE_BARRIER_INIT(parties);
}

int bide_barrier_wait(bide_barrier *barrier)
{
    struct bide_task *self = bide__task_need("bide_barrier_wait");
    int result;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (barrier->bide__is_broken) {
        result = -EPIPE;
    } else if (arrive(barrier)) {
        empty(barrier, 0);
        result = 1;
    } else {
        return bide__line_wait(&barrier->bide__waiting, "bide_barrier_wait");
    }
    bide__budget_spend(self->loop);
    return result;
}

void bide_barrier_abort(bide_barrier *barrier)
{
    barrier->bide__is_broken = true;
    empty(barrier, -EPIPE);
}

void bide_barrier_reset(bide_barrier *barrier)
{
    barrier->bide__is_broken = false;
    empty(barrier, -EPIPE);
}

size_t bide_barrier_waiting(const bide_barrier *barrier)
{
    return bide__line_length(&barrier->bide__waiting);
}

bool bide_barrier_is_broken(const bide_barrier *barrier)
{
    return barrier->bide__is_broken;
}
