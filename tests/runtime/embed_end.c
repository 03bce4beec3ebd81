/* SPDX-License-Identifier: MIT */
/*
 * embed_end.c - a loop that another one steps: how it begins and ends, what it leaves alone, and
 * what is refused.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "reports.h"
#include "sched/loop.h"
#include "test.h"

static int began, unwound;

static int returns_arg(void *arg)
{
    began++;
    return *(int *)arg;
}

static bide_loop *open_loop(int (*fn)(void *arg), void *arg, const bide_options *options)
{
    bide_loop *loop = NULL;

    CHECK_EQ(bide_loop_open(fn, arg, options, &loop), 0);
    return loop;
}

/* --- Closing */

static async(int, sleeps_on)
{
    int err = bide_sleep(BIDE_FOREVER);

    unwound++;
    return err;
}

static int leaves_sleepers(void *arg)
{
    began++;
    for (int i = 0; i < 10; i++)
        go(sleeps_on);
    if (*(int *)arg != 0)
        return *(int *)arg;
    int err = bide_sleep(BIDE_FOREVER);
    unwound++;
    return err;
}

/*
 * Goal:   closing cancels what lives, waits for it, and returns the first task's result; at any
 *         time: before the first step, while all sleep, after the first task has ended, after all.
 * Method: after 0, 1, 2, ... steps, first tasks that sleep and that return.
 */
TEST(embed_end, close_unwinds_every_task_at_any_time)
{
    int fds = test_open_fds();

    for (int result = 0; result < 2; result++)
        for (int steps = 0; steps < 5; steps++) {
            began = unwound = 0;
            bide_loop *loop = open_loop(leaves_sleepers, &result, NULL);
            for (int i = 0; i < steps; i++)
                bide_loop_step(loop, 0);
            CHECK_EQ(bide_loop_close(loop), result != 0 ? result : -ECANCELED);
            CHECK_EQ(began, 1);
            CHECK_EQ(unwound, result != 0 ? 10 : 11);
            CHECK_EQ(test_open_fds(), fds);
        }
}

static async(int, counts_itself)
{
    began++;
    return bide_sleep(BIDE_SEC(1));
}

static void spawns(void *arg)
{
    (void)arg;
    go(counts_itself);
}

static int waits_for_future(void *arg)
{
    bide_callback callback;
    future(int) never = future_new(int);

    (void)arg;
    on_done(never, &callback, spawns, NULL);
    return await(never);
}

/*
 * Goal:   what callbacks do while a close cancels is done in the place of a task.
 * Method: the callback of a future that ends by it spawns.
 */
TEST(embed_end, callbacks_of_a_close_may_spawn)
{
    bide_loop *loop = open_loop(waits_for_future, NULL, NULL);

    bide_loop_step(loop, 0);
    CHECK_EQ(bide_loop_close(loop), -ECANCELED);
    CHECK_EQ(began, 1);
}

static int insists(void *arg)
{
    bide_event never = {0};

    (void)arg;
    with_shield (BIDE_FOREVER) {
        CHECK_EQ(bide_event_wait(&never), -ECANCELED);
    }
    return 1;
}

static void counts(void *arg)
{
    ++*(int *)arg;
}

/*
 * Goal:   a task that nothing can wake any more does not hang the close: it is a deadlock.
 * Method: one that waits under a shield.
 */
TEST(embed_end, close_finds_a_deadlock)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    bide_loop *loop = open_loop(insists, NULL, &options);

    CHECK_EQ(bide_loop_step(loop, 0), 1);
    CHECK_EQ(bide_loop_step(loop, 0), 1); /* no deadlock before: the host may post */
    CHECK_EQ(seen.count, 0);
    CHECK_EQ(bide_loop_close(loop), -EDEADLK);
    CHECK(reports_of(&seen, BIDE_REPORT_DEADLOCK) >= 2);
}

/*
 * Goal:   posts that were accepted run at the close at last, also where all tasks had ended; a
 *         holder is refused then, and frees what is left.
 * Method: post before the close, hold over it.
 */
TEST(embed_end, close_runs_posts_and_refuses_later_ones)
{
    int fds = test_open_fds(), zero = 0, count = 0;
    bide_loop *loop = open_loop(returns_arg, &zero, NULL);

    CHECK_EQ(bide_loop_step(loop, 0), 0);
    bide_loop_hold(loop);
    CHECK_EQ(bide_post(loop, counts, &count), 0);
    CHECK_EQ(bide_loop_close(loop), 0);
    CHECK_EQ(count, 1);
    CHECK_EQ(bide_post(loop, counts, &count), -ESHUTDOWN);
    bide_loop_release(loop);
    CHECK_EQ(test_open_fds(), fds);
}

/* --- Misuse */

static bide_loop *stepped;

static int steps_itself(void *arg)
{
    (void)arg;
    return bide_loop_step(stepped, 0);
}

static int closes_itself(void *arg)
{
    (void)arg;
    return bide_loop_close(stepped);
}

static void steps_in_post(void *arg)
{
    bide_loop_step(arg, 0);
}

static int posts_a_step(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_post(stepped, steps_in_post, stepped), 0);
    return bide_sleep(BIDE_FOREVER);
}

static void steps_in_report(const bide_report *report, void *arg)
{
    (void)report, (void)arg;
    bide_loop_step(stepped, 0);
}

static int sleeps_for_ever(void *arg)
{
    (void)arg;
    with_shield (BIDE_FOREVER) {
        bide_sleep(BIDE_FOREVER);
    }
    return 0;
}

static void steps_all(int (*fn)(void *arg))
{
    stepped = open_loop(fn, NULL, NULL);
    for (int i = 0; i < 3; i++)
        bide_loop_step(stepped, 0);
}

static void closes_with_report(void)
{
    bide_options options = {.on_report = steps_in_report};

    stepped = open_loop(sleeps_for_ever, NULL, &options);
    bide_loop_step(stepped, 0);
    bide_loop_close(stepped);
}

static void *steps_on_thread(void *arg)
{
    bide_loop_step(arg, 0);
    return NULL;
}

static void steps_elsewhere(void)
{
    int zero = 0;
    pthread_t thread;

    CHECK_EQ(pthread_create(&thread, NULL, steps_on_thread, open_loop(returns_arg, &zero, NULL)),
             0);
    pthread_join(thread, NULL);
}

/*
 * Goal:   a step from inside the loop or on another thread ends the program with one clear line.
 * Method: a task, a post and a report that step or close their own loop; another thread.
 */
TEST(embed_end, step_from_inside_or_elsewhere_aborts)
{
    EXPECT_DEATH(steps_all(steps_itself), "bide_loop_step was called inside that very loop");
    EXPECT_DEATH(steps_all(closes_itself), "bide_loop_close was called inside that very loop");
    EXPECT_DEATH(steps_all(posts_a_step), "bide_loop_step was called inside that very loop");
    EXPECT_DEATH(closes_with_report(), "bide_loop_step was called inside that very loop");
    EXPECT_DEATH(steps_elsewhere(), "bide_loop_step was called on another thread");
}

/* --- Opening */

static const struct {
    enum bide__call call;
    int error;
} beginnings[] = {
    {BIDE__CALL_ALLOC, -ENOMEM},        {BIDE__CALL_MMAP, -ENOMEM},
    {BIDE__CALL_EPOLL_CREATE, -EMFILE}, {BIDE__CALL_EPOLL_CREATE, -ENFILE},
    {BIDE__CALL_EVENTFD, -EMFILE},      {BIDE__CALL_EPOLL_CTL, -ENOSPC},
};

/*
 * Goal:   an open that gets no memory or descriptor says so, leaves `out` alone, has called
 *         nothing, and gives back what it had got.
 * Method: each kind of call fails, the first, the second, ... until none does; once and for good.
 */
TEST(embed_end, failing_open_returns_the_error_and_leaves_nothing)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    int fds = test_open_fds(), zero = 0, failed = 0;

    options.overflow_report = true;
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        for (uint64_t nth = 1;; nth++) {
            bide_loop *loop = NULL;
            bide__fault_reset();
            bide__fault_fail(beginnings[i].call, nth, UINT64_MAX, beginnings[i].error);
            int err = bide_loop_open(returns_arg, &zero, &options, &loop);
            bide__fault_reset();
            if (err == 0) {
                CHECK_EQ(bide_loop_close(loop), 0);
                break;
            }
            CHECK_EQ(err, beginnings[i].error);
            CHECK(loop == NULL);
            CHECK_EQ(test_open_fds(), fds);
            CHECK(bide__loop_here == NULL);
            CHECK(nth < 30);
            failed++;
        }
    CHECK(failed >= 9);
    options.stack_bytes = SIZE_MAX;
    bide_loop *none = NULL;
    CHECK_EQ(bide_loop_open(returns_arg, &zero, &options, &none), -EINVAL);
    CHECK(none == NULL);
    CHECK_EQ(test_open_fds(), fds);
}

/*
 * Goal:   a step goes on when a signal interrupts its wait, and where the kernel has no
 *         epoll_pwait2.
 * Method: both injected.
 */
TEST(embed_end, interrupted_waits_are_no_error)
{
    static const struct {
        enum bide__call call;
        int error;
    } failures[] = {{BIDE__CALL_EPOLL_PWAIT2, -EINTR},
                    {BIDE__CALL_EPOLL_WAIT, -EINTR},
                    {BIDE__CALL_EPOLL_PWAIT2, -ENOSYS}};

    for (int i = 0; i < 3; i++) {
        int result = 0;
        bide_loop *loop = open_loop(leaves_sleepers, &result, NULL);
        bide__fault_fail(failures[i].call, 1, 3, failures[i].error);
        for (int step = 0; step < 6; step++)
            CHECK_EQ(bide_loop_step(loop, BIDE_US(100)), 1);
        bide__fault_reset();
        CHECK_EQ(bide_loop_close(loop), -ECANCELED);
    }
}

/* --- What is left alone */

static struct sigaction actions[2][65];

static void remember(int which)
{
    for (int number = 1; number <= 64; number++)
        sigaction(number, NULL, &actions[which][number]);
}

/* How many signals are handled otherwise than before. SA_RESTORER comes with any sigaction. */
static int changed(void)
{
    const unsigned restorer = 0x04000000;
    int count = 0;

    remember(1);
    for (int number = 1; number <= 64; number++)
        count += actions[0][number].sa_handler != actions[1][number].sa_handler ||
                 ((unsigned)(actions[0][number].sa_flags ^ actions[1][number].sa_flags) &
                  ~restorer) != 0;
    return count;
}

static int threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;

    CHECK(tasks != NULL);
    while (readdir(tasks) != NULL)
        count++;
    closedir(tasks);
    return count;
}

/*
 * Goal:   signals, their alternate stack and threads are the host's: a loop touches none of them,
 *         unless it is asked for the report of stack overflows.
 * Method: compared before and after each call.
 */
TEST(embed_end, signals_and_threads_are_left_alone)
{
    int result = 0, before = threads();
    bide_options options = {.overflow_report = true};
    stack_t stacks[2];

    remember(0);
    sigaltstack(NULL, &stacks[0]);
    bide_loop *loop = open_loop(leaves_sleepers, &result, NULL);
    CHECK_EQ(changed(), 0);
    bide_loop_step(loop, 0);
    bide_loop_step(loop, BIDE_US(10));
    CHECK_EQ(changed(), 0);
    CHECK_EQ(threads(), before);
    sigaltstack(NULL, &stacks[1]);
    CHECK_EQ(stacks[0].ss_flags, stacks[1].ss_flags);
    CHECK(stacks[0].ss_sp == stacks[1].ss_sp);
    bide_loop_close(loop);
    CHECK_EQ(changed(), 0);

    loop = open_loop(leaves_sleepers, &result, &options);
    CHECK_EQ(changed(), 2);
    bide_loop_close(loop);
    CHECK_EQ(changed(), 0);
}

__attribute__((noinline)) static int overflows(volatile char *outer)
{
    volatile char room[4000];

    room[0] = *outer;
    return (room[0] != 0 ? overflows(room) : 0) + room[0];
}

static int overflows_soon(void *arg)
{
    volatile char start = 1;

    (void)arg;
    bide_yield();
    return overflows(&start);
}

/* Of three loops, end all but one, in some order, and let that one overflow. */
static void ends_all_but(int which, const int order[2])
{
    bide_options options = {.overflow_report = true};
    int zero = 0;
    bide_loop *loops[3];

    for (int i = 0; i < 3; i++)
        loops[i] = open_loop(i == which ? overflows_soon : returns_arg, &zero, &options);
    for (int i = 0; i < 2; i++)
        bide_loop_close(loops[order[i]]);
    while (bide_loop_step(loops[which], 0) != 0)
        ;
}

/*
 * Goal:   loops of one thread end in any order, and the overflow report of those that go on works:
 *         their guards are known, and the alternate stack is there.
 * Method: three loops, two of which end, in either order; the third overflows. Then all end.
 */
TEST(embed_end, overflow_reports_survive_the_end_of_other_loops)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    bide_options options = {.overflow_report = true};
    int zero = 0;
    stack_t before, after;

    remember(0);
    sigaltstack(NULL, &before);
    for (int i = 0; i < 6; i++) {
        bide_loop *loops[3];
        for (int n = 0; n < 3; n++)
            loops[n] = open_loop(returns_arg, &zero, &options);
        for (int n = 0; n < 3; n++)
            CHECK_EQ(bide_loop_close(loops[orders[i][n]]), 0);
        CHECK_EQ(changed(), 0);
        sigaltstack(NULL, &after);
        CHECK_EQ(after.ss_flags, before.ss_flags);
    }
    if (TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND())
        SKIP("the checker reports the overflow in its own words");
    for (int i = 0; i < 6; i++)
        EXPECT_DEATH(ends_all_but(orders[i][2], orders[i]), "stack overflow: task 'main'");
}
