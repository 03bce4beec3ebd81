/* SPDX-License-Identifier: MIT */
/*
 * report.c - what is said to people: where it goes, and that its size is bounded.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reports.h"
#include "test.h"

static async(int, sleeps)
{
    return bide_sleep(BIDE_FOREVER);
}

static int many_sleepers(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        go(sleeps);
    bide_sleep(BIDE_FOREVER);
    return 0;
}

/*
 * Goal:   the report of a great deadlock stays readable: a hundred tasks are named, the rest is
 *         counted.
 * Method: a thousand and one sleepers.
 */
TEST(report, deadlock_of_many_names_a_hundred)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(many_sleepers, NULL, 0, &options), -EDEADLK);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 102);
    CHECK_CONTAINS(seen.kept[0].message, "1001 task(s) sleep");
    CHECK_CONTAINS(seen.kept[101].message, "and 901 more tasks");
}

static char long_name[5000];

static int spawns_long_name(void *arg)
{
    (void)arg;
    memset(long_name, 'x', sizeof long_name - 1);
    task(int) t = spawn_with(&(bide_spawn_options){.name = long_name}, sleeps);
    (void)t;
    return bide_sleep(1);
}

static void reports_long_name(void *arg)
{
    CHECK_EQ(bide_test_run(spawns_long_name, arg, 0, NULL), 0);
}

/*
 * Goal:   a name longer than any line is cut, and it stays one line.
 * Method: a name of five thousand letters on a task that nobody awaits.
 */
TEST(report, long_names_are_cut)
{
    int status = -1;
    char *text = test_capture_stderr(reports_long_name, NULL, &status);

    CHECK_EQ(status, 0);
    CHECK_CONTAINS(text, "bide: task 'xxxxxxxx");
    CHECK_CONTAINS(text, "never awaited");
    CHECK(strlen(text) < 1100);
    CHECK(strchr(text, '\n') == text + strlen(text) - 1);
    free(text);
}

static void sees_loop(const bide_report *report, void *arg)
{
    bide_stats stats;

    (void)report;
    bide_loop_stats(&stats); /* allowed: it does not park */
    CHECK(stats.tasks_spawned > 0);
    ++*(int *)arg;
}

static int forgets_one(void *arg)
{
    (void)arg;
    task(int) t = spawn(sleeps);
    (void)t;
    return 0;
}

/*
 * Goal:   on_report gets its argument and may ask the loop for its counters; nothing is printed
 *         then.
 * Method: count the calls, and capture standard error.
 */
static void counts_reports(void *arg)
{
    int count = 0;
    bide_options options = {.on_report = sees_loop, .report_arg = &count};

    (void)arg;
    CHECK_EQ(bide_test_run(forgets_one, NULL, 0, &options), 0);
    CHECK_EQ(count, 1);
}

TEST(report, on_report_replaces_standard_error)
{
    int status = -1;
    char *text = test_capture_stderr(counts_reports, NULL, &status);

    CHECK_STR(text, "");
    CHECK_EQ(status, 0);
    free(text);
}

static int parks_in_report_body(void *arg)
{
    return forgets_one(arg);
}

static void parks(const bide_report *report, void *arg)
{
    (void)report;
    (void)arg;
    bide_yield();
}

/*
 * Goal:   an on_report that parks where no task runs is told so.
 * Method: yield in the report of a task that was never awaited.
 */
TEST(report, on_report_that_parks_aborts)
{
    bide_options options = {.on_report = parks};

    EXPECT_DEATH(bide_test_run(parks_in_report_body, NULL, 0, &options),
                 "bide: bide_yield was called outside of a task");
}
