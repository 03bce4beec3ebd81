/* SPDX-License-Identifier: MIT */
/*
 * testing.h - test a program that uses Bide: on a virtual clock, the same way each time, and with
 * the failures that a real machine seldom has.
 *
 * Under bide_test_run time stands still while tasks run and jumps to the next deadline when all of
 * them sleep: a year's sleep takes no time, and bide_sleep is the way to let time pass. A seed
 * permutes the order in which ready tasks run: the same seed gives the same run, another one
 * another legal interleaving, and bide_test_seeds tries many. Descriptors are not waited for there:
 * streams come from bide_stream_pair, and what else would have to wait for one returns -EOPNOTSUPP.
 * Offloaded calls, files and names take no thread and no time; signals and posts come as ever.
 *
 *     static int scenario(void *arg) { ... return balance == 200 ? 0 : -1; }
 *
 *     if (bide_test_seeds(scenario, NULL, 0, 1000, NULL, NULL) != 0)
 *         return 1;                                    // the seed has been printed
 *
 * The calls that make others fail work in programs that are linked with bide::testing (with
 * pkg-config: bide-testing) in place of bide::bide. That library is slower, and otherwise the same.
 * The page docs/testing.md shows how it all goes together.
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

/**
 * Run a function under one seed after the other, until it fails under one.
 *
 * The seed that failed is reported (BIDE_REPORT_SEED): as a line on standard error, or to
 * options->on_report. A run that aborts, as assert does and the library over a mistake, ends the
 * process; a line on standard error names its seed as well.
 *
 * With BIDE_TEST_SEED=n in the environment only seed n is run, whatever the range.
 *
 * @param fn       the first task's body; whatever it returns but 0 is a failure
 * @param arg      passed to it each time: what one run leaves there is there in the next
 * @param first    the first seed
 * @param count    how many seeds to try, going up by 1
 * @param options  borrowed for the call, or NULL; for each run
 * @param failed   set to the seed that failed; may be NULL
 *
 * Returns 0 when every run returned 0, else what bide_test_run returned first; or
 *   -EINVAL  BIDE_TEST_SEED is no number, which a line on standard error says; nothing was run
 * Blocks:  the calling thread, until the last run has ended.
 * Cancel:  not a parking point; it may be called inside a task, and then holds that task's loop.
 * Threads: any, one at a time in a process: it handles SIGABRT meanwhile.
 */
BIDE_API int bide_test_seeds(int (*fn)(void *arg), void *arg, uint64_t first, uint64_t count,
                             const bide_options *options, uint64_t *failed);

/**
 * Wait until every other task is asleep, while the virtual clock stands still.
 *
 * In place of a number of yields that happens to be enough. Tasks that wait in here count as
 * asleep; they go on one at a time, in the order in which they came, each when all others sleep
 * again. A task that yields for ever never sleeps.
 *
 * Under bide_run it looks at timers and I/O once, without waiting, before it finds all asleep. What
 * is still on its way through the kernel is not waited for.
 *
 * Returns 0, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  until no other task can run; at least one turn.
 * Cancel:  safe: there is nothing to lose.
 * Threads: tasks only.
 */
BIDE_API int bide_test_settle(void);

/**
 * Let the n-th call of a kind from now fail, and so many after it.
 *
 * A plan replaces the one made before for that kind, and holds until bide_test_reset. What is
 * planned happens on whichever thread makes the call. The kinds, each named after the system call
 * behind it:
 *
 *     alloc       memory for anything but stacks; whoever asks then returns -ENOMEM
 *     mmap munmap madvise mprotect                        memory of stacks
 *     epoll_create epoll_ctl epoll_wait epoll_pwait2
 *     socket bind listen accept connect shutdown close
 *     recv send   reading and writing sockets, with their variants
 *     sockopt     asking sockets for options and addresses, and setting them
 *     read write pipe splice  files, and other descriptors than sockets; splice is sendfile too
 *     open file   opening files; file is every other call on files, directories and their names
 *     eventfd inotify         making one; inotify also what it watches
 *     thread      starting a thread of the pool
 *     clone waitid kill       processes
 *     sigaction   changing what a signal does
 *
 * The virtual clock and bide_stream_pair by themselves make calls of the first two lines only.
 *
 * @param call   its name, as above
 * @param nth    1 is the next one
 * @param times  how many fail in a row; UINT64_MAX for all from then on
 * @param error  negative errno, which the kernel seems to have answered
 *
 * Returns 0, or
 *   -EINVAL      there is no such call, nth or times is 0, or error is not below 0
 *   -EOPNOTSUPP  the program is not linked with bide::testing
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any, while no other thread runs a loop.
 */
BIDE_API int bide_test_fail(const char *call, uint64_t nth, uint64_t times, int error);

/**
 * Let sockets send or receive no more than so many bytes with one call.
 *
 * @param call   "send" or "recv"
 * @param bytes  the most; 0 lifts the limit
 *
 * Returns 0, or
 *   -EINVAL      it is another call
 *   -EOPNOTSUPP  the program is not linked with bide::testing
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any, while no other thread runs a loop.
 */
BIDE_API int bide_test_limit(const char *call, size_t bytes);

/**
 * Tell how many calls of a kind were made since the last bide_test_reset.
 *
 * @param call  its name, as in bide_test_fail
 *
 * Returns the number, those that were made to fail included, or
 *   -EINVAL      there is no such call
 *   -EOPNOTSUPP  the program is not linked with bide::testing
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API int64_t bide_test_count(const char *call);

/**
 * Forget every planned failure and limit, and count calls from 0 again.
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any, while no other thread runs a loop.
 */
BIDE_API void bide_test_reset(void);

#endif
