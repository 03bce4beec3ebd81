/* SPDX-License-Identifier: MIT */
/*
 * task.c - the life of a task: spawned, run, cancelled, ended, and what is left of those that
 * nobody wanted.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reports.h"
#include "test.h"

static char trace[256];

static void note(char c)
{
    size_t length = strlen(trace);

    CHECK(length + 1 < sizeof trace);
    trace[length] = c;
}

static bide_stats stats_now(void)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    return stats;
}

static async(int, noting, char, c)
{
    note(c);
    return 0;
}

static int spawns_in_order(void *arg)
{
    (void)arg;
    task(int) a = spawn(noting, 'a');
    task(int) b = spawn(noting, 'b');
    task(int) c = spawn(noting, 'c');
    note('.');
    return await(c) + await(a) + await(b);
}

/*
 * Goal:   tasks first run in the order in which they were spawned, and spawn itself never switches.
 * Method: three tasks leave their letter, the spawner one before it awaits, in another order.
 */
TEST(task, spawn_runs_first_in_first_out_and_does_not_switch)
{
    CHECK_EQ(bide_test_run(spawns_in_order, NULL, 0, NULL), 0);
    CHECK_STR(trace, ".abc");
}

static async(int, check_name, const char *, name)
{
    CHECK_STR(bide_task_name(), name);
    bide_yield();
    CHECK_STR(bide_task_name(), name);
    return 0;
}

static int names(void *arg)
{
    (void)arg;
    CHECK_STR(bide_task_name(), "main");
    task(int) a = spawn(check_name, "check_name");
    task(int) b = spawn_with(&(bide_spawn_options){.name = "given"}, check_name, "given");
    await(a);
    await(b);
    CHECK_STR(bide_task_name(), "main");
    return 0;
}

/*
 * Goal:   a task knows its name: the one given to it, else its function's; outside there is none.
 * Method: ask on all sides, before and after a switch.
 */
TEST(task, name_is_the_given_one_or_the_function)
{
    CHECK_STR(bide_task_name(), "");
    CHECK_EQ(bide_test_run(names, NULL, 0, NULL), 0);
    CHECK_STR(bide_task_name(), "");
}

static async(int, nothing)
{
    return 0;
}

static int counts_tasks(void *arg)
{
    (void)arg;
    CHECK_EQ(stats_now().tasks_living, 1);
    task(int) a = spawn(nothing);
    task(int) b = spawn(nothing);
    CHECK_EQ(stats_now().tasks_living, 3);
    await(a);
    await(b);
    CHECK_EQ(stats_now().tasks_living, 1);
    CHECK_EQ(stats_now().tasks_most, 3);
    CHECK_EQ(stats_now().tasks_spawned, 3);
    CHECK_EQ(stats_now().tasks_failed, 0);
    CHECK(stats_now().control_bytes < 256 || TEST_UNDER_SANITIZER());
    return 0;
}

/*
 * Goal:   the counters tell how many tasks live, lived at the most and were spawned, and that one
 *         costs little.
 * Method: count around two spawns; outside of a loop everything is 0.
 */
TEST(task, stats_count_what_lives)
{
    bide_stats outside;

    memset(&outside, 0xff, sizeof outside);
    bide_loop_stats(&outside);
    CHECK_EQ(outside.tasks_spawned, 0);
    CHECK_EQ(outside.stacks_made, 0);
    CHECK_EQ(bide_test_run(counts_tasks, NULL, 0, NULL), 0);
}

static int reaches_the_limit(void *arg)
{
    (void)arg;
    task(int) a = spawn(nothing);
    task(int) b = spawn(nothing);
    task(int) refused = spawn(nothing);
    CHECK(a != NULL && b != NULL);
    CHECK(refused == NULL);
    CHECK_EQ(bide_spawn_error(), -EAGAIN);
    CHECK_EQ(go(nothing), -EAGAIN);
    bide_yield(); /* both have ended: what has a result but no life counts no more */
    task(int) again = spawn(nothing);
    CHECK(again != NULL);
    return await(a) + await(b) + await(again);
}

/*
 * Goal:   the spawn that would exceed tasks_max fails and says so; room comes back when a task
 *         ends.
 * Method: limit of three, the first task among them; four spawns; look at result, error and report.
 */
TEST(task, spawn_beyond_tasks_max_fails_with_eagain)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    options.tasks_max = 3;
    CHECK_EQ(bide_test_run(reaches_the_limit, NULL, 0, &options), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_SPAWN_FAILED), 2);
    CHECK_EQ(seen.kept[0].error, -EAGAIN);
    CHECK_STR(seen.kept[0].task, "nothing");
    CHECK_CONTAINS(seen.kept[0].message, "tasks_max");
    CHECK_CONTAINS(seen.kept[0].message, "task.c:");
    CHECK_EQ(seen.count, 2);
}

static async(int, fails_with, int, error)
{
    bide_yield();
    return error;
}

static async(long long, fails_widely)
{
    return INT64_MIN;
}

static async(unsigned, returns_unsigned)
{
    return 0xfffffff0u;
}

static int detaches_failures(void *arg)
{
    (void)arg;
    CHECK_EQ(go(fails_with, -EIO), 0);
    CHECK_EQ(go(fails_with, 5), 0);
    CHECK_EQ(go(fails_widely), 0);
    CHECK_EQ(go(returns_unsigned), 0);
    task(int) done_first = spawn(fails_with, -EPIPE);
    CHECK_EQ(bide_test_settle(), 0);
    detach(done_first);
    CHECK_EQ(stats_now().tasks_failed, 3);
    task(int) awaited = spawn(fails_with, -EBADF);
    CHECK_EQ(await(awaited), -EBADF);
    CHECK_EQ(stats_now().tasks_failed, 3);
    return 0;
}

/*
 * Goal:   a detached task that returns a negative number is counted and reported with its spawn
 *         site, whether it is detached before or after it ended; others are not.
 * Method: negative, positive, 64-bit, unsigned and awaited results.
 */
TEST(task, detached_failure_is_counted_and_reported)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(detaches_failures, NULL, 0, &options), 0);
    CHECK_EQ(seen.count, 3);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_TASK_FAILED), 3);
    CHECK_EQ(seen.kept[0].error, INT32_MIN); /* it never yielded, so it ended first */
    CHECK_EQ(seen.kept[1].error, -EIO);
    CHECK_STR(seen.kept[1].site->function, "detaches_failures");
    CHECK_STR(seen.kept[1].site->name, "fails_with");
    CHECK_CONTAINS(seen.kept[1].message, "'fails_with'");
    CHECK_CONTAINS(seen.kept[1].message, "in detaches_failures()");
    CHECK_EQ(seen.kept[2].error, -EPIPE);
}

static void prints_failures(void *options)
{
    bide_test_run(detaches_failures, NULL, 0, options);
}

/*
 * Goal:   without on_report, failures of detached tasks are printed in debug mode, and only there.
 * Method: capture standard error in both modes.
 */
TEST(task, detached_failure_is_printed_in_debug_mode_only)
{
    bide_options debug = {.debug = true};
    char *text = test_capture_stderr(prints_failures, &debug, NULL);

    CHECK_CONTAINS(text, "bide: task 'fails_with'");
    free(text);
    text = test_capture_stderr(prints_failures, NULL, NULL);
    CHECK_STR(text, "");
    free(text);
}

static async(int, sleeps_forever)
{
    int err = bide_sleep(BIDE_FOREVER);

    CHECK_EQ(bide_sleep(BIDE_SEC(1)), err); /* a level, not an event */
    CHECK_EQ(bide_yield(), err);
    CHECK_EQ(bide_canceled(), err);
    note('e');
    return err;
}

static int cancels(void *arg)
{
    (void)arg;
    task(int) unstarted = spawn(sleeps_forever);
    cancel(unstarted);
    CHECK_EQ(await(unstarted), -ECANCELED);

    task(int) asleep = spawn(sleeps_forever);
    bide_yield();
    cancel(asleep);
    cancel(asleep);
    CHECK(!is_done(asleep)); /* a request: it does not switch */
    CHECK_EQ(await(asleep), -ECANCELED);

    task(int) done = spawn(nothing);
    bide_yield();
    cancel(done);
    CHECK_EQ(await(done), 0);
    return bide_canceled();
}

/*
 * Goal:   cancel reaches a task that has not started, one that sleeps, and does nothing to one that
 *         has ended; every parking call afterwards fails at once; the canceller itself is not
 *         touched.
 * Method: one task of each sort, awaited.
 */
TEST(task, cancel_before_start_while_asleep_and_after_end)
{
    CHECK_EQ(bide_test_run(cancels, NULL, 0, NULL), 0);
    CHECK_STR(trace, "ee");
}

static int orphans_ended;

static async(int, orphan, int, cleanup_turns)
{
    int err = bide_sleep(BIDE_SEC(1000));

    with_shield (BIDE_SEC(1))
        for (int i = 0; i < cleanup_turns; i++)
            CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    orphans_ended++;
    return err;
}

static task(int) leftover;

static int leaves_orphans(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        CHECK_EQ(go(orphan, i), 0);
    leftover = spawn(orphan, 3);
    task(int) ended = spawn(nothing);
    bide_yield();
    CHECK(is_done(ended));
    CHECK_EQ(bide_now(), 0);
    return 7;
}

/*
 * Goal:   when the first task ends the others are cancelled, waited for while they clean up, and
 *         those whose handle nobody awaited are listed with their spawn site; the result stays the
 *         first task's.
 * Method: ten detached sleepers, one that is owned, and one that is owned and has ended; count them
 *         out.
 */
TEST(task, orphans_at_exit_are_cancelled_joined_and_listed)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(leaves_orphans, NULL, 0, &options), 7);
    CHECK_EQ(orphans_ended, 11);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_NOT_AWAITED), 2);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_TASK_FAILED), 10);
    CHECK_EQ(seen.count, 12);
    const struct kept_report *first = reports_get(&seen, BIDE_REPORT_NOT_AWAITED, 0);
    CHECK_STR(first->task, "orphan");
    CHECK_STR(first->site->function, "leaves_orphans");
    CHECK_CONTAINS(first->message, "never awaited");
    CHECK_CONTAINS(first->message, "task.c:");
}

static int allocated; /* what the scenario holds at the moment */

static void release(void *memory)
{
    free(memory);
    allocated--;
}

static void *hold(void)
{
    allocated++;
    return malloc(100);
}

static async(int, inner, int, n)
{
    defer(release, hold());
    for (int i = 0; i < n; i++) {
        int err = bide_yield();
        if (err < 0)
            return err;
    }
    return bide_sleep(BIDE_MS(3));
}

/* Goes through every call that parks, holding memory at each of them. */
static async(int, traveller)
{
    defer(release, hold());
    task(int) child = spawn(inner, 2);
    int out = 1, err = 0;

    with_timeout (BIDE_MS(1))
        err = await_for(child, BIDE_SEC(1), &out);
    if (err < 0)
        await(child);
    with_shield (BIDE_MS(2)) {
        defer(release, hold());
        err = bide_sleep(BIDE_SEC(1));
        CHECK_EQ(err, -ETIMEDOUT);
    }
    err = bide_sleep_until(bide_now() + BIDE_MS(5));
    task(int) last = spawn(inner, 1);
    int inner_result = await(last);
    return err < 0 ? err : inner_result;
}

struct journey {
    int turns; /* to let pass before the cancel */
    bool was_done;
};

static int cancels_after(void *arg)
{
    struct journey *journey = arg;
    task(int) t = spawn(traveller);

    for (int i = 0; i < journey->turns; i++)
        bide_sleep(i % 2 ? BIDE_MS(1) : 0);
    journey->was_done = is_done(t);
    cancel(t);
    int result = await(t);
    CHECK(result == 0 || result == -ECANCELED);
    CHECK(!journey->was_done || result == 0);
    CHECK_EQ(allocated, 0);
    CHECK_EQ(stats_now().tasks_living, 1);
    return 0;
}

/*
 * Goal:   a task that is cancelled at any point of its life ends, gives everything back, and its
 *         result says either that or that it had been through.
 * Method: cancel it after k turns for every k until it is done by then; memory and tasks counted;
 *         twenty seeds.
 */
TEST(task, cancel_at_every_parking_point_leaks_nothing)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    for (uint64_t seed = 0; seed < 20; seed++) {
        struct journey journey = {0};
        for (; !journey.was_done; journey.turns++) {
            CHECK_EQ(bide_test_run(cancels_after, &journey, seed, &options), 0);
            CHECK(journey.turns < 1000);
        }
        CHECK(journey.turns > 10);
    }
    CHECK_EQ(seen.count, 0);
}

static async(int, echo, int, n)
{
    return n;
}

static int reuses(void *arg)
{
    (void)arg;
    await(spawn(echo, 0));
    uint64_t made = stats_now().stacks_made;
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(await(spawn(echo, i)), i);
    CHECK_EQ(stats_now().stacks_made, made);
    return 0;
}

/*
 * Goal:   tasks that follow one another share one stack.
 * Method: count the stacks made over a thousand tasks.
 */
TEST(task, stack_of_an_ended_task_is_reused)
{
    CHECK_EQ(bide_test_run(reuses, NULL, 0, NULL), 0);
}

/*
 * Goal:   calls that need a task say so when there is none.
 * Method: make them outside of any loop.
 */
TEST(task, calls_outside_of_a_task_abort_with_one_line)
{
    EXPECT_DEATH(spawn(nothing), "bide: spawn was called outside of a task");
    EXPECT_DEATH(bide_stack_least(), "bide: bide_stack_least was called outside of a task");
    EXPECT_DEATH(bide_spawn_error(), "bide: bide_spawn_error was called outside of a task");
    CHECK_EQ(bide_stack_peak(), 0);
}
