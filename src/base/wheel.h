/* SPDX-License-Identifier: MIT */
/*
 * wheel.h - the scheduler's timers: exact to the nanosecond, cheap to cancel, unable to fail.
 *
 * Timers come out in the order of their deadlines, and those of equal deadlines in the order in
 * which they were armed, whatever was added and removed in between. A wheel belongs to one thread.
 * It allocates nothing: a timer is embedded in what waits, so arming cannot fail. How it works, and
 * what it costs: wheel.c.
 */
#ifndef BIDE__BASE_WHEEL_H
#define BIDE__BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include <bide/base/time.h>

#include "base/list.h"

/* Owned by whoever embeds it, who keeps it in place while it is armed. Popped means disarmed. */
struct bide__timer {
    struct bide__list link;             /* on a list of the wheel while armed, else alone */
    bide_time at;                       /* the deadline; not to be written while armed */
    void (*fire)(struct bide__timer *); /* kept for the owner; the wheel never calls it */
};

/* What was chosen by measurement; a test build makes the last two tiny. */
#ifndef BIDE__WHEEL_STEP
#define BIDE__WHEEL_STEP 3 /* a slot of level l is 2^(3 * l) ns wide; 6 makes the textbook wheel */
#endif
#ifndef BIDE__WHEEL_FEW
#define BIDE__WHEEL_FEW 8 /* so many timers in a slot are searched for the earliest */
#endif
#ifndef BIDE__WHEEL_BATCH
#define BIDE__WHEEL_BATCH 256 /* so many timers of a slot move at once, while there is time */
#endif

enum {
    BIDE__WHEEL_SLOTS = 64, /* a level: as many as a word has bits */
    BIDE__WHEEL_LEVELS = (63 - 6 + BIDE__WHEEL_STEP - 1) / BIDE__WHEEL_STEP + 1,
};

/*
 * Invariants, between calls:
 *  - base never decreases. No timer in a slot is earlier than base; those in late all are.
 *  - A timer lies on the lowest level whose window reaches its deadline (level_of in wheel.c), in
 *    the slot that its deadline names: so timers of equal deadlines share a list, in the order of
 *    arming. Only a crowded slot that a lower window has come to reach lags: its timers move one
 *    level down from its front in batches, and new ones join its end until it is empty.
 *  - The timers of one level are earlier than those of all higher ones, but for lagging slots,
 *    which begin at the second slot of their level after base or later.
 *  - All timers of a level lie less than 64 of its slots ahead of base: so the number of a slot and
 *    base tell which time it stands for.
 *  - late is ordered by deadline, then by arming.
 *  - first is the timer that comes out next, or NULL.
 */
struct bide__wheel {
    bide_time base;            /* the time reached */
    struct bide__timer *first; /* NULL when there is none or it is not known */
    struct bide__list late;    /* armed when base had passed their deadlines */
    uint64_t levels;           /* bit l: level l has timers */
    uint64_t lagging;          /* bit l: level l had lagging slots when base last moved */
    uint64_t occupied[BIDE__WHEEL_LEVELS]; /* of each level, bit s: slot s has timers */
    struct bide__list slots[BIDE__WHEEL_LEVELS][BIDE__WHEEL_SLOTS];
};

/* Make a timer that is not armed. */
static inline void bide__timer_init(struct bide__timer *timer, void (*fire)(struct bide__timer *))
{
    bide__list_init(&timer->link);
    timer->at = BIDE_FOREVER;
    timer->fire = fire;
}

static inline bool bide__timer_is_armed(const struct bide__timer *timer)
{
    return !bide__list_is_empty(&timer->link);
}

/* Make an empty wheel; `now` is 0 or later. */
void bide__wheel_init(struct bide__wheel *wheel, bide_time now);

/*
 * Arm a timer that is not armed. A deadline that has passed, or is negative, is due at the next
 * pop; BIDE_FOREVER is no deadline and must not be added. Constant time, unless `at` lies before
 * an earlier pop's `now`: then one step for each timer added like that and with a later deadline.
 */
void bide__wheel_add(struct bide__wheel *wheel, struct bide__timer *timer, bide_time at);

/* Disarm a timer of this wheel; harmless when it is not armed. Constant time. */
void bide__wheel_remove(struct bide__wheel *wheel, struct bide__timer *timer);

/*
 * Tell until when the owner may sleep: BIDE_FOREVER when nothing is armed, else a time not later
 * than the earliest deadline. It is that deadline unless many timers share the first slot, or many
 * are being moved; then it may be the time at which their slot begins. So a lone sleeper causes
 * exactly one wake-up. Constant time.
 */
bide_time bide__wheel_next(struct bide__wheel *wheel);

/*
 * Disarm and return the earliest timer if its deadline is `now` or before, else return NULL. Call
 * it until it returns NULL, then sleep until bide__wheel_next. A timer that is added meanwhile and
 * already due comes out in the same round. A `now` may lie years ahead, or before an earlier one.
 */
struct bide__timer *bide__wheel_pop(struct bide__wheel *wheel, bide_time now);

#endif
