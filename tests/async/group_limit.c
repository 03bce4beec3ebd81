/* SPDX-License-Identifier: MIT */
/*
 * group_limit.c - a group's choices: how many may live at once, results as completed, and members
 * that say when they are ready.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "reports.h"
#include "test.h"

static int call_body(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static void run_with(void (*body)(void), bide_options options)
{
    struct reports seen = {0};

    options.on_report = reports_add;
    options.report_arg = &seen;
    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), 0);
    CHECK_EQ(seen.count, reports_of(&seen, BIDE_REPORT_SPAWN_FAILED));
}

static void run(void (*body)(void))
{
    run_with(body, (bide_options){0});
}

static void run_aloud(void (*body)(void))
{
    bide_test_run(call_body, &body, 0, NULL);
}

static void check_alone(void)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_living, 1);
    CHECK_EQ(stats.stacks_pooled, stats.stacks_made - 1);
}

static bide_group *shared;
static int living, most, order[64], order_count;

static async(int, lives, bide_time, timeout, int, number)
{
    living++;
    most = living > most ? living : most;
    order[order_count++] = number;
    int err = bide_sleep(timeout);
    living--;
    return err;
}

static async(int, spawns_one, bide_group *, g, int, number)
{
    return spawn_in(g, lives, 5, number);
}

static void limits_members(void)
{
    bide_group g = {.limit = 3};

    living = most = order_count = 0;
    with_group (&g) {
        for (int i = 0; i < 10; i++) {
            CHECK_EQ(spawn_in(&g, lives, 2, i), 0);
            CHECK(bide_group_count(&g) <= 3);
            CHECK_EQ(bide_now(), i < 3 ? 0 : i / 3 * 2);
        }
    }
    CHECK_EQ(bide_now(), 8);
    CHECK_EQ(most, 3);
    CHECK_EQ(order_count, 10);
    check_alone();

    most = order_count = 0;
    task(int) spawners[8];
    g.limit = 1;
    with_group (&g) {
        for (int i = 0; i < 8; i++)
            spawners[i] = spawn(spawns_one, &g, i);
        for (int i = 0; i < 8; i++)
            CHECK_EQ(await(spawners[i]), 0);
    }
    CHECK_EQ(bide_now(), 48);
    CHECK_EQ(most, 1);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(order[i], i); /* first come, first served */
    check_alone();
}

/*
 * Goal:   never more members live than the limit says, and who waits for a place gets it in turn.
 * Method: ten from the body; eight from tasks outside, one place.
 */
TEST(group_limit, never_more_than_the_limit_in_turn)
{
    run(limits_members);
}

static void cancels_spawners(void)
{
    bide_group g = {.limit = 1};
    task(int) spawners[4];

    order_count = 0;
    with_group (&g) {
        CHECK_EQ(spawn_in(&g, lives, 5, 9), 0);
        for (int i = 0; i < 4; i++)
            spawners[i] = spawn(spawns_one, &g, i);
        bide_sleep(1);
        cancel(spawners[0]);
        cancel(spawners[2]);
        CHECK_EQ(await(spawners[0]), -ECANCELED);
        CHECK_EQ(await(spawners[2]), -ECANCELED);
        CHECK_EQ(bide_group_count(&g), 1);
        CHECK_EQ(await(spawners[1]), 0);
        CHECK_EQ(bide_now(), 5);
        CHECK_EQ(await(spawners[3]), 0);
        CHECK_EQ(bide_now(), 10);
        with_timeout (2)
            CHECK_EQ(spawn_in(&g, lives, 5, 8), -ETIMEDOUT);
        CHECK_EQ(bide_now(), 12);
    }
    CHECK_EQ(bide_now(), 15);
    CHECK_EQ(order_count, 3);
    CHECK_EQ(order[1], 1);
    CHECK_EQ(order[2], 3);
    check_alone();
}

/*
 * Goal:   a spawn that is cancelled while it waits has spawned nothing and takes no place.
 * Method: cancel two of four that wait, the first among them; deadlines around a spawn.
 */
TEST(group_limit, cancelled_spawn_takes_no_place)
{
    run(cancels_spawners);
}

static int told;

static async(int, spawns_on_the_heap, bide_group *, g)
{
    int err = spawn_in(g, lives, 5, 1); /* `g` may be gone when it returns */

    told += err == -ECANCELED;
    return err;
}

static void cancels_with_a_queue(void)
{
    task(int) spawners[5];

    told = 0;
    for (int how = 0; how < 3; how++) {
        bide_group *g = calloc(1, sizeof *g);
        g->limit = 1;
        with_timeout (how == 2 ? 5 : BIDE_FOREVER) {
            with_group (g) {
                CHECK_EQ(spawn_in(g, lives, 100, 0), 0);
                for (int i = 0; i < 5; i++)
                    spawners[i] = spawn(spawns_on_the_heap, g);
                bide_sleep(3);
                if (how == 0)
                    bide_group_cancel(g);
                if (how == 1)
                    break; /* the member ends at 100, and the first of the queue is next */
            }
        }
        memset(g, 0xee, sizeof *g);
        free(g);
        for (int i = 0; i < 5; i++)
            CHECK_EQ(await(spawners[i]), how == 0 ? -ECANCELED : how == 1 ? 0 : -ETIMEDOUT);
    }
    CHECK_EQ(told, 5);
    check_alone();
}

/*
 * Goal:   who waits from outside for a place in a group that is cancelled gets its code, and does
 *         not touch the group any more; of a group that is being left, a place in turn.
 * Method: five spawners in the queue; the group's memory is freed right after the block. ASan and
 *         valgrind look on.
 */
TEST(group_limit, queue_of_a_cancelled_group_is_told)
{
    run(cancels_with_a_queue);
}

static void runs_out(void)
{
    bide_group g = {.limit = 2, .collect_all = true};

    shared = &g;
    with_group (&g) {
        CHECK_EQ(spawn_in(&g, lives, 5, 1), 0);
        CHECK_EQ(spawn_in(&g, lives, 5, 2), 0); /* tasks_max is 3 */
        bide_sleep(6);
        CHECK_EQ(spawn_in(&g, lives, 5, 1), 0);
        task(int) other = spawn(spawns_one, &g, 2);
        CHECK_EQ(await(other), -EAGAIN); /* it lives itself, so there is no room */
        CHECK_EQ(bide_group_count(&g), 1);
        CHECK_EQ(spawn_in_with(&g, &(bide_spawn_options){.stack_bytes = SIZE_MAX / 2}, lives, 1, 1),
                 -EINVAL);
        CHECK_EQ(bide_group_count(&g), 1);
        bide__fault_fail(BIDE__CALL_MMAP, 1, UINT64_MAX, -ENOMEM);
        CHECK_EQ(spawn_in_with(&g, &(bide_spawn_options){.stack_bytes = 1 << 22}, lives, 1, 1),
                 -ENOMEM);
        bide__fault_reset();
        CHECK_EQ(bide_group_count(&g), 1);
        CHECK_EQ(spawn_in(&g, lives, 5, 2), 0);
    }
    CHECK_EQ(g.error, -EAGAIN);
    CHECK_EQ(g.failed, 3); /* what was not spawned is not done */
    check_alone();
}

/*
 * Goal:   a spawn that fails gives its place back.
 * Method: tasks_max, an impossible stack, no memory; then the place is free.
 */
TEST(group_limit, failed_spawn_gives_its_place_back)
{
    run_with(runs_out, (bide_options){.tasks_max = 3});
}

static async(int, returns, bide_time, timeout, int, result)
{
    int err = bide_sleep(timeout);

    return err < 0 ? err : result;
}

static async(double, returns_double, bide_time, timeout)
{
    bide_sleep(timeout);
    return 0.5;
}

static void takes_next(void)
{
    bide_group g = {.keep_results = true};
    task(int) t = NULL;
    task(double) d = NULL;

    with_group (&g) {
        CHECK_EQ(bide_group_next(&g, &t), -ECHILD);
        CHECK(t == NULL);
        for (int i = 5; i > 0; i--)
            spawn_in(&g, returns, 2 * i, i);
        for (int i = 1; i <= 3; i++) {
            CHECK_EQ(bide_group_next(&g, &t), 0);
            CHECK_EQ(bide_now(), 2 * i);
            CHECK(is_done(t));
            CHECK_EQ(await(t), i);
        }
        bide_sleep(10); /* two more have ended */
        CHECK_EQ(bide_group_count(&g), 0);
        CHECK_EQ(bide_group_next(&g, &t), 0);
        CHECK_EQ(detach(t), 0);
        CHECK_EQ(bide_group_next(&g, &t), 0);
        CHECK_EQ(await(t), 5);
        CHECK_EQ(bide_group_next(&g, &t), -ECHILD);

        spawn_in(&g, returns_double, 1);
        CHECK_EQ(bide_group_next(&g, &d), 0);
        CHECK(await(d) == 0.5);
        spawn_in(&g, returns, 1, 1);
        with_timeout (0)
            CHECK_EQ(bide_group_next(&g, &t), -ETIMEDOUT);
        spawn_in(&g, returns, 4, 1);
        CHECK_EQ(bide_group_next(&g, &t), 0); /* none was lost */
        CHECK_EQ(await(t), 1);
        bide_time before = bide_now();
        with_timeout (1)
            CHECK_EQ(bide_group_next(&g, &t), -ETIMEDOUT);
        CHECK_EQ(bide_now(), before + 1);
        for (int i = 0; i < 5; i++)
            spawn_in(&g, returns, i, i); /* nobody asks for them */
    }
    check_alone();

    with_group (&g) {
        spawn_in(&g, returns, 3, -EIO);
        spawn_in(&g, returns, 9, 1);
        CHECK_EQ(bide_group_next(&g, &t), -ECANCELED); /* the failure cancelled the block */
        with_shield (BIDE_SEC(1)) {
            CHECK_EQ(bide_group_next(&g, &t), 0);
            CHECK_EQ(await(t), -EIO);
            CHECK_EQ(bide_group_next(&g, &t), 0);
            CHECK_EQ(await(t), -ECANCELED);
            CHECK_EQ(bide_group_next(&g, &t), -ECHILD);
        }
    }
    CHECK_EQ(g.error, -EIO);
    CHECK_EQ(g.failed, 1);

    bide_group all = {.keep_results = true, .collect_all = true};
    with_group (&all) {
        spawn_in(&all, returns, 3, -EIO);
        spawn_in(&all, returns, 4, 6);
        CHECK_EQ(bide_group_next(&all, &t), 0);
        CHECK_EQ(await(t), -EIO);
        CHECK_EQ(bide_group_next(&all, &t), 0);
        CHECK_EQ(await(t), 6);
    }
    CHECK_EQ(all.failed, 1);
    check_alone();
}

/*
 * Goal:   results come in the order of the ends; those nobody asks for go with the block; a call
 *         that is cancelled loses none.
 * Method: with waiting and without, detached ones, of two types, deadlines, failures.
 */
TEST(group_limit, next_gives_results_as_completed)
{
    run(takes_next);
}

static void next_of_another_type(void)
{
    bide_group g = {.keep_results = true};
    task(int) t = NULL;

    with_group (&g) {
        spawn_in(&g, returns_double, 0);
        bide_group_next(&g, &t);
    }
}

static void next_without_results(void)
{
    bide_group g = BIDE_GROUP_INIT;
    task(int) t = NULL;

    with_group (&g)
        bide_group_next(&g, &t);
}

static async(int, asks_next)
{
    task(int) t = NULL;

    return bide_group_next(shared, &t);
}

static void next_of_another(void)
{
    bide_group g = {.keep_results = true};

    shared = &g;
    with_group (&g)
        await(spawn(asks_next));
}

static async(int, starts_twice)
{
    bide_started(1);
    bide_started(2);
    return 0;
}

static void started_twice(void)
{
    bide_group g = BIDE_GROUP_INIT;
    int value;

    with_group (&g) {
        start_in(&g, &value, starts_twice);
        bide_sleep(1);
    }
}

static async(int, starts_double)
{
    bide_started(0.5);
    return 0;
}

static void started_otherwise(void)
{
    bide_group g = BIDE_GROUP_INIT;
    int value;

    with_group (&g)
        start_in(&g, &value, starts_double);
}

/*
 * Goal:   each mistake aborts with one line.
 * Method: every one in a child.
 */
TEST(group_limit, misuse_aborts_with_one_line)
{
    EXPECT_DEATH(run_aloud(next_of_another_type), "bide_group_next: task 'returns_double' #2");
    EXPECT_DEATH(run_aloud(next_of_another_type), "another type than the handle given");
    EXPECT_DEATH(run_aloud(next_without_results), "the group is without keep_results");
    EXPECT_DEATH(run_aloud(next_of_another), "the group is not opened by this task");
    EXPECT_DEATH(run_aloud(started_twice), "bide_started: task 'starts_twice' #2");
    EXPECT_DEATH(run_aloud(started_otherwise), "a value of another type than start_in");
}

static async(int, serves, bide_time, startup, int, port, int, result)
{
    int err = bide_sleep(startup);

    if (err < 0)
        return err;
    if (port > 0)
        bide_started(port);
    if (result != 0)
        return result;
    err = bide_sleep(port > 0 ? 10 : 0);
    return err;
}

static async(int, cleans_up_at_start, int *, ended)
{
    int err = bide_sleep(BIDE_SEC(1));

    with_shield (BIDE_SEC(1))
        bide_sleep(4);
    ++*ended;
    return err;
}

static async(int, starts_outside, bide_group *, g, int *, ended)
{
    return start_in(g, (int *)NULL, cleans_up_at_start, ended);
}

static async(int, starts_freely)
{
    bide_started(1);
    bide_started(2.0); /* nobody asked */
    return 3;
}

static async(int, starts_in_vain)
{
    bide_started(1);
    return 3;
}

static void starts(void)
{
    bide_group g = BIDE_GROUP_INIT;
    int port = -1, ended = 0;

    with_group (&g) {
        CHECK_EQ(start_in(&g, &port, serves, 3, 80, 0), 0);
        CHECK_EQ(port, 80);
        CHECK_EQ(bide_now(), 3);
        CHECK_EQ(bide_group_count(&g), 1); /* a member like others now */
        CHECK_EQ(start_in(&g, (int *)NULL, serves, 1, 81, 0), 0);
        CHECK_EQ(start_in(&g, &port, serves, 1, 0, -EADDRINUSE), -EADDRINUSE);
        CHECK_EQ(start_in(&g, &port, serves, 1, 0, 5), -ECHILD);
        CHECK_EQ(start_in(&g, &port, serves, 0, 0, 0), -ECHILD);
        CHECK_EQ(port, 80);
        CHECK_EQ(g.error, 0);
        CHECK_EQ(g.failed, 0);
        CHECK_EQ(bide_canceled(), 0); /* nothing was cancelled by that */
        CHECK_EQ(bide_group_count(&g), 2);
        CHECK_EQ(await(spawn(starts_freely)), 3);
        CHECK_EQ(spawn_in(&g, starts_in_vain), 0);

        bide_time begin = bide_now();
        task(int) parent = spawn(starts_outside, &g, &ended);
        bide_sleep(1);
        cancel(parent);
        CHECK_EQ(await(parent), -ECANCELED);
        CHECK_EQ(ended, 1); /* it was waited for */
        CHECK_EQ(bide_now() - begin, 5);
        CHECK_EQ(g.failed, 0);
        with_timeout (2)
            CHECK_EQ(start_in(&g, (int *)NULL, cleans_up_at_start, &ended), -ETIMEDOUT);
        CHECK_EQ(bide_now() - begin, 11);
        CHECK_EQ(ended, 2);
        with_timeout (0) /* cancelled before it runs */
            CHECK(start_in(&g, &port, serves, 5, 82, 0) < 0);
        CHECK_EQ(port, 80);
    }
    CHECK_EQ(g.failed, 0);
    check_alone();

    with_group (&g) { /* a failure after it was ready is the group's */
        CHECK_EQ(start_in(&g, &port, serves, 1, 83, -EIO), 0);
        CHECK_EQ(port, 83);
    }
    CHECK_EQ(g.error, -EIO);

    with_group (&g) { /* a sibling fails meanwhile */
        spawn_in(&g, returns, 2, -EPERM);
        CHECK_EQ(start_in(&g, (int *)NULL, cleans_up_at_start, &ended), -ECANCELED);
        CHECK_EQ(start_in(&g, (int *)NULL, cleans_up_at_start, &ended), -ECANCELED);
        CHECK_EQ(ended, 3); /* the group took no more */
    }
    CHECK_EQ(g.error, -EPERM);
    CHECK_EQ(g.failed, 1);

    bide_group kept = {.keep_results = true, .limit = 1};
    task(int) t = NULL;
    with_group (&kept) {
        CHECK_EQ(start_in(&kept, &port, serves, 1, 0, -EIO), -EIO);
        CHECK_EQ(start_in(&kept, &port, serves, 1, 84, 6), 0);
        CHECK_EQ(bide_group_next(&kept, &t), 0); /* the one that was ready, only */
        CHECK_EQ(await(t), 6);
        CHECK_EQ(bide_group_next(&kept, &t), -ECHILD);
    }
    CHECK_EQ(kept.error, 0);
    check_alone();
}

/*
 * Goal:   start_in returns when the member is ready, with its value; when it ends before, with its
 *         error, which is not the group's; when the caller is cancelled the member ends first.
 * Method: ready ones, failing ones, silent ones; cancels, deadlines, a failing sibling; a limit and
 *         kept results beside it.
 */
TEST(group_limit, start_in_waits_for_the_members_word)
{
    run(starts);
}

static int begun, ended;

static async(int, takes_turns, int, turns, bool, says_so)
{
    int err = 0;

    begun++;
    for (int i = 0; i < turns && err == 0; i++)
        err = bide_yield();
    if (says_so)
        bide_started(turns);
    ended++;
    return err < 0 ? err : 1;
}

static async(int, does_all)
{
    bide_group g = {.limit = 2, .keep_results = true};
    task(int) t = NULL;
    int value = 0;

    with_group (&g) {
        for (int i = 1; i <= 3; i++)
            spawn_in(&g, takes_turns, i, false);
        start_in(&g, &value, takes_turns, 2, true);
        while (bide_group_next(&g, &t) == 0)
            await(t);
        spawn_in(&g, takes_turns, 2, false);
    }
    CHECK_EQ(begun, ended);
    return g.error < 0 ? g.error : begun == 5 ? 0 : -ECANCELED;
}

static int turns_to_cancel, outcomes[2];

static void cancels_at_turn(void)
{
    begun = ended = 0;
    task(int) t = spawn(does_all);
    for (int i = 0; i < turns_to_cancel && !is_done(t); i++)
        bide_yield();
    cancel(t);
    int result = await(t);
    CHECK(result == 0 || result == -ECANCELED);
    CHECK_EQ(begun, ended);
    outcomes[result == 0]++;
    check_alone();
}

/*
 * Goal:   a cancel at any parking point of a group leaks nothing: of all members that began none
 *         lives when the block is left, and all stacks are back.
 * Method: cancel after k turns for every k: in spawn_in, start_in, bide_group_next, at the end.
 */
TEST(group_limit, cancel_at_every_turn_leaks_nothing)
{
    for (turns_to_cancel = 0; turns_to_cancel < 24; turns_to_cancel++)
        run(cancels_at_turn);
    CHECK(outcomes[0] > 8 && outcomes[1] > 0);
}
