/* SPDX-License-Identifier: MIT */
/*
 * sched.c - mistakes that were made in loops and tasks.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>

#include "base/fault.h"
#include "reports.h"
#include "test.h"

static int ended, late_result;

static async(int, late_sleeper)
{
    late_result = bide_sleep(BIDE_SEC(86400));
    ended++;
    return 0;
}

static async(int, spawns_at_its_end)
{
    task(int) forgotten;

    CHECK_EQ(bide_sleep(BIDE_FOREVER), -ECANCELED);
    go(late_sleeper);
    with_shield (BIDE_SEC(1))
        go(late_sleeper);
    forgotten = spawn(late_sleeper);
    (void)forgotten;
    return 0;
}

static int leaves_spawner(void *arg)
{
    (void)arg;
    go(spawns_at_its_end);
    return bide_yield();
}

/*
 * Goal:   a task that is spawned while the loop ends is cancelled like those that lived when it
 *         began to end. It kept the loop running, for ever if it never ended by itself.
 * Method: an orphan spawns long sleepers when it is cancelled: detached, detached under a shield,
 *         and forgotten.
 */
TEST(sched, task_spawned_while_the_loop_ends_is_cancelled)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(leaves_spawner, NULL, 0, &options), 0);
    CHECK_EQ(ended, 3);
    CHECK_EQ(late_result, -ECANCELED);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_NOT_AWAITED), 1);
    CHECK_EQ(seen.count, 1);
}

static async(int, short_sleeper)
{
    return bide_sleep(BIDE_MS(500));
}

static async(int, cleans_up)
{
    CHECK_EQ(bide_sleep(BIDE_FOREVER), -ECANCELED);
    with_shield (BIDE_SEC(1)) {
        CHECK_EQ(await(spawn(short_sleeper)), 0);
        CHECK_EQ(await(spawn(late_sleeper)), 0); /* until the shield's time is up */
    }
    return bide_now() == BIDE_SEC(1) ? 0 : -ETIME;
}

static int leaves_cleaner(void *arg)
{
    (void)arg;
    go(cleans_up);
    return bide_yield();
}

/*
 * Goal:   cleanup under a shield may still spawn and await tasks while the loop ends.
 * Method: one that ends in time, and one that the shield's limit cancels.
 */
TEST(sched, task_spawned_under_a_shield_while_the_loop_ends_runs)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(leaves_cleaner, NULL, 0, &options), 0);
    CHECK_EQ(ended, 1);
    CHECK_EQ(late_result, -ETIMEDOUT);
    CHECK_EQ(seen.count, 0);
}

static async(int, yields, int, times)
{
    for (int i = 0; i < times; i++)
        bide_yield();
    return 0;
}

static int counts_own_turns(void *arg)
{
    bide_stats before, after;
    task(int) other = spawn(yields, 5000);

    (void)arg;
    bide_loop_stats(&before);
    for (int i = 0; i < 5000; i++)
        bide_yield();
    bide_loop_stats(&after);
    CHECK_EQ(after.turns - before.turns, 10000);
    return await(other);
}

/*
 * Goal:   a poll that is due while tasks are ready counts as no turn of a task.
 * Method: ten thousand turns with some forty polls among them.
 */
TEST(sched, forced_poll_is_no_turn)
{
    CHECK_EQ(bide_test_run(counts_own_turns, NULL, 0, NULL), 0);
}

static int spawns_refused(void *arg)
{
    (void)arg;
    bide__fault_fail(BIDE__CALL_MADVISE, 1, UINT64_MAX, -EAGAIN);
    bide__fault_fail(BIDE__CALL_MPROTECT, 1, UINT64_MAX, -EAGAIN);
    CHECK(spawn(yields, 1) == NULL);
    CHECK_EQ(bide_spawn_error(), -ENOMEM);
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_MMAP, 1, UINT64_MAX, -EAGAIN);
    CHECK(spawn_with(&(bide_spawn_options){.stack_bytes = 1 << 20}, yields, 1) == NULL);
    CHECK_EQ(bide_spawn_error(), -ENOMEM);
    bide__fault_reset();
    return 0;
}

/*
 * Goal:   a spawn for which the kernel has no memory is -ENOMEM, whatever the kernel calls it:
 *         -EAGAIN is tasks_max.
 * Method: guards and mappings fail with -EAGAIN, as with locked memory.
 */
TEST(sched, spawn_without_memory_is_enomem)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(spawns_refused, NULL, 0, &options), 0);
    CHECK_EQ(seen.count, 2);
}

static int inner(void *arg)
{
    (void)arg;
    return await(spawn(yields, 3));
}

static int jumps_after_inner(void *arg)
{
    jmp_buf here;
    volatile int jumps = 0;

    CHECK_EQ(bide_test_run(inner, arg, 0, NULL), 0);
    if (setjmp(here) == 0) {
        jumps++;
        longjmp(here, 1);
    }
    CHECK_EQ(jumps, 1);
    return await(spawn(yields, 3));
}

static void runs_inner(void *arg)
{
    CHECK_EQ(bide_test_run(jumps_after_inner, arg, 0, NULL), 0);
}

/*
 * Goal:   a loop inside a task knows that its own context runs on that task's stack and not on the
 *         thread's, and tells AddressSanitizer so.
 * Method: longjmp in the task after an inner loop, which makes AddressSanitizer look at the bounds
 *         of the stack that it believes in, and warn when it is on another.
 */
TEST(sched, inner_loop_runs_on_the_stack_of_the_task)
{
    int status = -1;
    char *text = test_capture_stderr(runs_inner, NULL, &status);

    CHECK_STR(text, "");
    CHECK_EQ(status, 0);
    free(text);
}

static unsigned turns_of_bystander;

static async(int, ignores_cancel, int, rounds)
{
    for (int i = 0; i < rounds; i++)
        bide_sleep(BIDE_MS(1));
    return 0;
}

static async(int, counts_bystander)
{
    while (bide_yield() == 0)
        turns_of_bystander++;
    return 0;
}

static int cancels_who_does_not_care(void *arg)
{
    task(int) deaf = spawn(ignores_cancel, 64 * 1000), bystander = spawn(counts_bystander);

    (void)arg;
    bide_yield();
    cancel(deaf);
    await(deaf);
    cancel(bystander);
    return await(bystander);
}

/*
 * Goal:   a task that goes on calling after it was cancelled does not keep the others from running.
 * Method: 64,000 calls that fail at once; a bystander must have had a turn for each budget. It had
 *         none.
 */
TEST(sched, cancelled_task_that_does_not_care_lets_others_run)
{
    CHECK_EQ(bide_test_run(cancels_who_does_not_care, NULL, 0, NULL), 0);
    CHECK(turns_of_bystander >= 900);
}

static async(int, cleans_up_for_long)
{
    bide_sleep(BIDE_FOREVER);
    with_shield (BIDE_SEC(60))
        bide_sleep(BIDE_SEC(30));
    return 0;
}

static int leaves_who_lingers(void *arg)
{
    (void)arg;
    go(cleans_up_for_long);
    return bide_yield();
}

/*
 * Goal:   who holds the end of a program up is named, once. The program hung without a word.
 * Method: a task whose shielded cleanup takes half a minute of virtual time.
 */
TEST(sched, lingering_task_is_named)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(leaves_who_lingers, NULL, 0, &options), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_LINGERING), 1);
    CHECK_CONTAINS(seen.kept[0].message, "task 'cleans_up_for_long'");
}
