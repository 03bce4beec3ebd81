/* SPDX-License-Identifier: MIT */
/*
 * testing.h - run a program on a virtual clock, the same way each time.
 *
 * Under bide_test_run time stands still while tasks run and jumps to the next deadline when all of
 * them sleep: a year's sleep takes no time. A seed permutes the order in which ready tasks run: the
 * same seed gives the same run, another one another legal interleaving. Descriptors are not served
 * there: streams come from bide_stream_pair, and calls that need the kernel return -EOPNOTSUPP.
 *
 *     for (uint64_t seed = 1; seed <= 1000; seed++)
 *         if (bide_test_run(scenario, NULL, seed, NULL) != 0)
 *             printf("seed %llu breaks it\n", (unsigned long long)seed);
 */
#ifndef BIDE_TESTING_H
#define BIDE_TESTING_H

#include <bide/sched/loop.h>

/**
 * Run a function as the first task of a loop with a virtual clock, which starts at 0.
 *
 * @param fn       the first task's body
 * @param arg      passed to it
 * @param seed     0 runs ready tasks in the order in which they became ready; any other permutes it
 * @param options  borrowed for the call, or NULL
 *
 * Returns what bide_run returns.
 * Blocks:  the calling thread, until every task has ended.
 * Cancel:  not a parking point; it may be called inside a task, and then holds that task's loop.
 * Threads: any.
 */
BIDE_API int bide_test_run(int (*fn)(void *arg), void *arg, uint64_t seed,
                           const bide_options *options);

#endif
