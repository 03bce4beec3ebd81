/* SPDX-License-Identifier: MIT */
/*
 * sweep.h - a cancel at every moment of a scenario.
 *
 * A scenario spawns tasks that do one step a millisecond of the virtual clock, cancels `victim` of
 * them at `at`, and counts afterwards. Seeds settle who comes first within a millisecond.
 *
 *     bide_sleep(at->at);
 *     cancel(tasks[at->victim]);
 */
#ifndef BIDE_TESTS_SYNC_SWEEP_H
#define BIDE_TESTS_SYNC_SWEEP_H

#include <bide.h>
#include <bide/testing.h>

#include "test.h"

enum { SWEEP_SEEDS = 40 };

struct sweep {
    int victim;
    bide_time at;
    uint64_t random; /* what sweep_random draws from */
};

/* A number below `limit`, the same in each run of a seed. */
static inline int sweep_random(struct sweep *at, int limit)
{
    at->random = at->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((at->random >> 33) % (uint64_t)limit);
}

/* Run the scenario, which takes a struct sweep, for each victim and each moment up to the last. */
static inline void sweep(int (*scenario)(void *at), int victims, int last_ms)
{
    for (int victim = 0; victim < victims; victim++)
        for (int ms = 0; ms <= last_ms; ms++)
            for (uint64_t seed = 0; seed < SWEEP_SEEDS; seed++) {
                struct sweep at = {victim, BIDE_MS(ms), test_seed() + seed};
                CHECK_EQ(bide_test_run(scenario, &at, seed, NULL), 0);
            }
}

#endif
