/* SPDX-License-Identifier: MIT */
/*
 * start.c - what starting and ending a loop costs: nothing is made before somebody needs it.
 *
 * bench/runtime/start.c measures the time; here system calls are counted, which do not vary.
 */
#include <bide.h>

#include <unistd.h>

#include "../bench/calls.h"
#include "test.h"

static int nothing(void *unused)
{
    (void)unused;
    return 0;
}

static int sleeps(void *unused)
{
    (void)unused;
    return bide_sleep(BIDE_MS(1));
}

/* What a run of this makes of system calls, in a process of its own. */
static struct bench_calls calls_of(int (*fn)(void *arg))
{
    static struct bench_calls calls;
    pid_t child;

    if (TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND() || TEST_UNDER_QEMU())
        SKIP("the program around this one makes calls of its own");
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (!bench_calls_begin())
            _exit(1);
        bench_calls_mark();
        bide_run(fn, NULL, NULL);
        bench_calls_mark();
        _exit(1);
    }
    if (!bench_calls_count(child, &calls))
        SKIP("may not trace a child");
    return calls;
}

static void check_nothing_early(const struct bench_calls *calls)
{
    CHECK_EQ(calls->each[SYS_epoll_create1], 1);
    CHECK_EQ(calls->each[SYS_close], 1); /* so no other descriptor */
    CHECK_EQ(calls->each[SYS_eventfd2], 0);
    CHECK_EQ(calls->each[SYS_pipe2], 0);
    CHECK_EQ(calls->each[SYS_epoll_ctl], 0);
    CHECK_EQ(calls->each[SYS_clone], 0);
#ifdef SYS_clone3
    CHECK_EQ(calls->each[SYS_clone3], 0);
#endif
}

/*
 * Goal:   an empty program pays for a loop and one stack, and for nothing that it does not use: no
 *         thread, no descriptor but epoll's, and no wait.
 * Method: system calls from the start to the end of a run, counted by ptrace. The bound is today's
 *         26, and four for kernels that guard stacks in another way and for libc's heap.
 */
TEST(start, empty_run_makes_only_what_it_uses)
{
    struct bench_calls calls = calls_of(nothing);

    check_nothing_early(&calls);
    CHECK_EQ(calls.each[SYS_epoll_pwait], 0);
#ifdef SYS_epoll_pwait2
    CHECK_EQ(calls.each[SYS_epoll_pwait2], 0);
#endif
    CHECK(calls.total >= 2);
    CHECK(calls.total <= 30);
}

/*
 * Goal:   waiting adds the wait alone.
 * Method: the same with a sleep, against the count without one.
 */
TEST(start, run_that_sleeps_adds_the_wait)
{
    long empty = calls_of(nothing).total;
    struct bench_calls calls = calls_of(sleeps);

    check_nothing_early(&calls);
    CHECK(calls.total > empty);
    CHECK(calls.total <= empty + 4);
}
