/* SPDX-License-Identifier: MIT */
/*
 * testing.c - the kit for users' tests: trying seeds, and calls that fail by their names.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "reports.h"
#include "sched/loop.h"
#include "test.h"

/* Seeds shall be those that a case asks for, whatever the environment says. */
__attribute__((constructor)) static void forget_seed(void)
{
    unsetenv("BIDE_TEST_SEED");
}

/* A run that keeps count, and fails or dies at the n-th time. */
struct tries {
    int count;
    int fails_at;
    int result;
    bool aborts;
    uint64_t state; /* of the generator, at the start of the last run: the seed, or what follows */
};

static int counts_tries(void *arg)
{
    struct tries *tries = arg;

    tries->state = bide__loop_here->host->seed;
    if (++tries->count != tries->fails_at)
        return 0;
    if (tries->aborts)
        abort();
    return tries->result;
}

/*
 * Goal:   each seed of the range is run once, in order, and nothing is said when all pass.
 * Method: the runs are counted; ranges that are empty, of one, and that start anywhere.
 */
TEST(seeds, range_that_passes_returns_0)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    struct tries tries = {0};
    uint64_t failed = 77;

    CHECK_EQ(bide_test_seeds(counts_tries, &tries, 5, 0, &options, &failed), 0);
    CHECK_EQ(tries.count, 0);
    CHECK_EQ(bide_test_seeds(counts_tries, &tries, 0, 1, &options, &failed), 0);
    CHECK_EQ(tries.count, 1);
    CHECK_EQ(tries.state, 0);
    CHECK_EQ(bide_test_seeds(counts_tries, &tries, 1000, 200, &options, NULL), 0);
    CHECK_EQ(tries.count, 201);
    CHECK_EQ(bide_test_seeds(counts_tries, &tries, UINT64_MAX, 2, NULL, &failed), 0);
    CHECK_EQ(tries.count, 203);
    CHECK_EQ(tries.state, 0); /* it goes round */
    CHECK_EQ(failed, 77);
    CHECK_EQ(seen.count, 0);
}

static const struct {
    int fails_at;
    int result;
} failures[] = {{1, -EIO}, {4, 3}, {10, INT32_MIN}};

/*
 * Goal:   the first failure ends it, with its result and seed, and one report that names them.
 * Method: at the first, a middle and the last seed, negative and positive.
 */
TEST(seeds, first_failure_ends_it_and_is_reported)
{
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        struct tries tries = {.fails_at = failures[i].fails_at, .result = failures[i].result};
        uint64_t failed = 0;
        char text[160];
        int seed = 6 + tries.fails_at;

        CHECK_EQ(bide_test_seeds(counts_tries, &tries, 7, 10, &options, &failed), tries.result);
        CHECK_EQ(tries.count, tries.fails_at);
        CHECK_EQ(failed, seed);
        CHECK_EQ(seen.count, 1);
        const struct kept_report *report = reports_get(&seen, BIDE_REPORT_SEED, 0);
        CHECK(report != NULL);
        CHECK_EQ(report->error, tries.result);
        CHECK_STR(report->task, "");
        CHECK(report->site == NULL);
        snprintf(text, sizeof text,
                 "seed %d failed with %d: run it again with bide_test_run(fn, arg, %d, ...), or "
                 "with BIDE_TEST_SEED=%d",
                 seed, tries.result, seed, seed);
        CHECK_STR(report->message, text);
    }
}

static void fails_in_child(void *arg)
{
    uint64_t failed = 0;
    int result = bide_test_seeds(counts_tries, arg, 1, 10, NULL, &failed);

    exit(result == -EIO && failed == 2 ? 0 : 1);
}

/*
 * Goal:   without an on_report the seed is printed.
 * Method: standard error of a child.
 */
TEST(seeds, failure_is_printed_by_default)
{
    struct tries tries = {.fails_at = 2, .result = -EIO};
    int status = -1;
    char *text = test_capture_stderr(fails_in_child, &tries, &status);

    CHECK_STR(text, "bide: seed 2 failed with -5: run it again with bide_test_run(fn, arg, 2, "
                    "...), or with BIDE_TEST_SEED=2\n");
    CHECK_EQ(status, 0);
    free(text);
}

/* A seat, sold twice when the second customer's turn comes before the first has paid. */
static int seats;

static async(int, buys)
{
    if (seats == 0)
        return 0;
    bide_sleep(BIDE_MS(10));
    seats--;
    return 0;
}

static int sells(void *arg)
{
    ++*(int *)arg;
    seats = 1;
    task(int) first = spawn(buys);
    bide_sleep(BIDE_MS(10)); /* the next one comes when the first has just paid */
    task(int) second = spawn(buys);
    await(first);
    await(second);
    return seats;
}

/*
 * Goal:   a race that plain order hides is found, and its seed shows it again.
 * Method: search twice; run the seed by itself; the seeds before it pass.
 */
TEST(seeds, race_is_found_and_found_again)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    uint64_t failed = 0, again = 0;
    int runs = 0;

    CHECK_EQ(bide_test_run(sells, &runs, 0, NULL), 0);
    CHECK_EQ(bide_test_seeds(sells, &runs, 0, 100, &options, &failed), -1);
    CHECK(failed > 0);
    CHECK_EQ(runs, 2 + (int)failed);
    CHECK_EQ(bide_test_seeds(sells, &runs, 0, 100, &options, &again), -1);
    CHECK_EQ(again, failed);
    CHECK_EQ(bide_test_run(sells, &runs, failed, NULL), -1);
    CHECK_EQ(bide_test_seeds(sells, &runs, 0, failed, &options, NULL), 0);
    CHECK_EQ(seen.count, 2);
}

static int waits_for_ever(void *arg)
{
    (void)arg;
    return bide_test_settle() + bide_sleep(BIDE_FOREVER);
}

/*
 * Goal:   a deadlock under a seed is a failure like others; so is a loop that cannot start.
 * Method: both, with their reports.
 */
TEST(seeds, deadlock_and_failing_start_are_failures)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    uint64_t failed = 0;

    CHECK_EQ(bide_test_seeds(waits_for_ever, NULL, 3, 5, &options, &failed), -EDEADLK);
    CHECK_EQ(failed, 3);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 2);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_SEED), 1);
    options.stack_bytes = SIZE_MAX;
    CHECK_EQ(bide_test_seeds(waits_for_ever, NULL, 9, 5, &options, &failed), -EINVAL);
    CHECK_EQ(failed, 9);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_SEED), 2);
}

/*
 * Goal:   BIDE_TEST_SEED runs that seed and no other; empty, it does nothing.
 * Method: in and out of the range, decimal and not; a range that is empty stays so.
 */
TEST(seeds, environment_chooses_one_seed)
{
    struct tries tries = {.fails_at = 3, .result = -EIO};
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    uint64_t failed = 0;

    CHECK_EQ(setenv("BIDE_TEST_SEED", "0", 1), 0);
    CHECK_EQ(bide_test_seeds(counts_tries, &tries, 1, 100, NULL, NULL), 0);
    CHECK_EQ(tries.count, 1);
    CHECK_EQ(tries.state, 0);
    CHECK_EQ(setenv("BIDE_TEST_SEED", "18446744073709551615", 1), 0);
    CHECK_EQ(bide_test_seeds(counts_tries, &tries, 1, 100, NULL, NULL), 0);
    CHECK_EQ(tries.count, 2);
    CHECK_EQ(setenv("BIDE_TEST_SEED", "0x11", 1), 0);
    CHECK_EQ(bide_test_seeds(counts_tries, &tries, 1, 100, &options, &failed), -EIO);
    CHECK_EQ(tries.count, 3);
    CHECK_EQ(failed, 17);
    CHECK_EQ(bide_test_seeds(counts_tries, &tries, 1, 0, NULL, NULL), 0);
    CHECK_EQ(tries.count, 3);
    CHECK_EQ(setenv("BIDE_TEST_SEED", "", 1), 0);
    CHECK_EQ(bide_test_seeds(counts_tries, &tries, 1, 100, NULL, NULL), 0);
    CHECK_EQ(tries.count, 103);
}

static void tries_bad_seed(void *text)
{
    struct tries tries = {0};

    setenv("BIDE_TEST_SEED", text, 1);
    if (bide_test_seeds(counts_tries, &tries, 1, 10, NULL, NULL) != -EINVAL || tries.count != 0)
        exit(1);
    exit(0);
}

/*
 * Goal:   a BIDE_TEST_SEED that is no number runs nothing and is said, once.
 * Method: words, signs, blanks, a tail and a number too large.
 */
TEST(seeds, environment_that_is_no_number_is_einval)
{
    char *bad[] = {"seven", "-1", "+1", " 1", "7x", "18446744073709551616"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char expected[128];
        int status = -1;
        char *text = test_capture_stderr(tries_bad_seed, bad[i], &status);
        snprintf(expected, sizeof expected,
                 "bide: BIDE_TEST_SEED is '%s'; it must be a number from 0 to 2^64 - 1, or not "
                 "set\n",
                 bad[i]);
        CHECK_STR(text, expected);
        CHECK_EQ(status, 0);
        free(text);
    }
}

static void tries_seeds(void *arg)
{
    bide_test_seeds(counts_tries, arg, 1, 100, NULL, NULL);
}

static int tries_inside(void *arg)
{
    return bide_test_seeds(counts_tries, arg, 40, 100, NULL, NULL);
}

static void tries_seeds_of_seeds(void *arg)
{
    bide_test_seeds(tries_inside, arg, 3, 10, NULL, NULL);
}

static void own_handler(int number)
{
    static const char line[] = "own handler\n";

    (void)number;
    if (write(STDERR_FILENO, line, sizeof line - 1) < 0)
        _exit(2);
    _exit(3);
}

static void tries_with_own_handler(void *arg)
{
    signal(SIGABRT, own_handler);
    tries_seeds(arg);
}

/*
 * Goal:   a run that aborts has its seed named, then dies as ever: by the signal, or in the
 *         program's own handler.
 * Method: the third seed aborts, in children; once under seeds within seeds, which names both.
 */
TEST(seeds, abort_names_the_seed)
{
    struct tries tries = {.fails_at = 3, .aborts = true};
    int status = 0;
    char *text = test_capture_stderr(tries_seeds, &tries, &status);

    CHECK_CONTAINS(text, "bide: seed 3 aborted: run it again with BIDE_TEST_SEED=3\n");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    free(text);

    text = test_capture_stderr(tries_with_own_handler, &tries, &status);
    CHECK_STR(text, "bide: seed 3 aborted: run it again with BIDE_TEST_SEED=3\nown handler\n");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    free(text);

    text = test_capture_stderr(tries_seeds_of_seeds, &tries, &status);
    CHECK_CONTAINS(text, "bide: seed 42 aborted: run it again with BIDE_TEST_SEED=42\n"
                         "bide: seed 3 aborted: run it again with BIDE_TEST_SEED=3\n");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    free(text);
}

/*
 * Goal:   afterwards SIGABRT is handled as before, whether a seed failed or not.
 * Method: a handler of the program's own.
 */
TEST(seeds, abort_is_handled_as_before_afterwards)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    struct sigaction now;

    signal(SIGABRT, own_handler);
    for (int fails = 0; fails < 2; fails++) {
        struct tries tries = {.fails_at = fails, .result = -EIO};
        bide_test_seeds(counts_tries, &tries, 1, 2, &options, NULL);
        CHECK_EQ(sigaction(SIGABRT, NULL, &now), 0);
        CHECK(now.sa_handler == own_handler);
    }
}

static int makes_pair(void *arg)
{
    bide_stream *ends[2];
    int err = bide_stream_pair(ends);

    (void)arg;
    if (err < 0)
        return err;
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   an allocation that was planned to fail does, so often, and is counted; a reset ends it.
 * Method: pairs of streams on the virtual clock: the loop's own allocations come first.
 */
TEST(failing, nth_allocation_fails)
{
    int64_t whole, start;

    bide_test_reset();
    CHECK_EQ(bide_test_run(makes_pair, NULL, 0, NULL), 0);
    whole = bide_test_count("alloc");
    CHECK(whole >= 2);
    for (start = 1; start <= whole; start++) {
        CHECK_EQ(bide_test_fail("alloc", (uint64_t)start, 1, -ENOMEM), 0);
        CHECK_EQ(
            bide_test_run(makes_pair, NULL, 0, &(bide_options)REPORTS_INTO(&(struct reports){0})),
            -ENOMEM);
    }
    CHECK_EQ(bide_test_run(makes_pair, NULL, 0, NULL), 0);
    CHECK_EQ(bide_test_fail("alloc", 1, UINT64_MAX, -ENOMEM), 0);
    CHECK_EQ(bide_test_run(makes_pair, NULL, 0, NULL), -ENOMEM);
    bide_test_reset();
    CHECK_EQ(bide_test_count("alloc"), 0);
    CHECK_EQ(bide_test_run(makes_pair, NULL, 0, NULL), 0);
    CHECK_EQ(bide_test_count("alloc"), whole);
}

static int listens(void *arg)
{
    bide_listener *listener;
    int err = bide_listen("tcp://127.0.0.1:0", NULL, &listener);

    (void)arg;
    if (err == 0)
        bide_listener_close(listener);
    return err;
}

/*
 * Goal:   a system call fails with the error that was planned.
 * Method: a listener whose socket, bind and listen fail in turn.
 */
TEST(failing, system_call_fails_by_name)
{
    const char *calls[] = {"socket", "bind", "listen"};

    for (int i = 0; i < 3; i++) {
        bide_test_reset();
        CHECK_EQ(bide_test_fail(calls[i], 1, 1, -ENOBUFS), 0);
        CHECK_EQ(bide_run(listens, NULL, NULL), -ENOBUFS);
        CHECK_EQ(bide_test_count(calls[i]), 1);
        CHECK_EQ(bide_run(listens, NULL, NULL), 0);
        CHECK_EQ(bide_test_count(calls[i]), 2);
    }
}

static int transfers(void *arg)
{
    bide_listener *listener;
    bide_stream *ends[2];
    char address[64], text[16] = "";

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, address, sizeof address), 0);
    CHECK_EQ(bide_dial(address, &ends[0]), 0);
    CHECK_EQ(bide_accept(listener, &ends[1]), 0);
    CHECK_EQ(bide_write(ends[0], "0123456789", 10), 10);
    CHECK_EQ(bide_read_exact(ends[1], text, 10), 10);
    CHECK_STR(text, "0123456789");
    bide_close(ends[0]);
    bide_close(ends[1]);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a limit makes sockets move fewer bytes a call, and lifting it ends that.
 * Method: ten bytes at three a call, counted.
 */
TEST(failing, limit_cuts_transfers_short)
{
    bide_test_reset();
    CHECK_EQ(bide_test_limit("send", 3), 0);
    CHECK_EQ(bide_test_limit("recv", 1), 0);
    CHECK_EQ(bide_run(transfers, NULL, NULL), 0);
    CHECK_EQ(bide_test_count("send"), 4);
    CHECK(bide_test_count("recv") >= 10);
    CHECK_EQ(bide_test_limit("send", 0), 0);
    CHECK_EQ(bide_run(transfers, NULL, NULL), 0);
    CHECK_EQ(bide_test_count("send"), 5);
}

/*
 * Goal:   what is no plan is refused, and changes nothing.
 * Method: each argument wrong in turn.
 */
TEST(failing, bad_arguments_are_einval)
{
    bide_test_reset();
    CHECK_EQ(bide_test_fail("malloc", 1, 1, -ENOMEM), -EINVAL);
    CHECK_EQ(bide_test_fail("alloc", 0, 1, -ENOMEM), -EINVAL);
    CHECK_EQ(bide_test_fail("alloc", 1, 0, -ENOMEM), -EINVAL);
    CHECK_EQ(bide_test_fail("alloc", 1, 1, 0), -EINVAL);
    CHECK_EQ(bide_test_fail("alloc", 1, 1, ENOMEM), -EINVAL);
    CHECK_EQ(bide_test_limit("reads", 1), -EINVAL);
    CHECK_EQ(bide_test_limit("mmap", 1), -EINVAL);
    CHECK_EQ(bide_test_count("reads"), -EINVAL);
    CHECK_EQ(bide_test_run(makes_pair, NULL, 0, NULL), 0);
}
