/* SPDX-License-Identifier: MIT */
/*
 * group_order.c - groups inside groups, many members, the loop's end, and any order of events.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "reports.h"
#include "test.h"

static int call_body(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static struct reports run_reported(void (*body)(void), const bide_options *given, int result)
{
    struct reports seen = {0};
    bide_options options = given != NULL ? *given : (bide_options){0};

    options.on_report = reports_add;
    options.report_arg = &seen;
    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), result);
    return seen;
}

static void run(void (*body)(void))
{
    struct reports seen = run_reported(body, NULL, 0);

    CHECK_STR(seen.count > 0 ? seen.kept[0].message : "", ""); /* nothing was left over */
}

static void check_alone(void)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_living, 1);
    CHECK_EQ(stats.tasks_failed, 0);
}

static int begun, ended;

static async(int, sleeps, bide_time, timeout, int, result)
{
    begun++;
    int err = bide_sleep(timeout);
    ended++;
    return err < 0 ? err : result;
}

static bide_time ended_at[4]; /* by depth */

static async(int, nests, int, depth, bide_time, timeout)
{
    bide_group g = BIDE_GROUP_INIT;
    int err = 0;

    with_group (&g) {
        if (depth > 0) {
            CHECK_EQ(spawn_in(&g, nests, depth - 1, timeout), 0);
            CHECK_EQ(spawn_in(&g, nests, depth - 1, timeout), 0);
        } else {
            err = bide_sleep(timeout);
        }
    }
    ended_at[depth] = bide_now();
    return err < 0 ? err : g.error;
}

static void nests_three_deep(void)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        spawn_in(&g, nests, 3, 5);
    CHECK_EQ(g.error, 0);
    CHECK_EQ(bide_now(), 5);

    with_group (&g) {
        spawn_in(&g, nests, 3, 100);
        bide_sleep(3);
        bide_group_cancel(&g);
    }
    CHECK_EQ(bide_now(), 8);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(ended_at[i], 8);
    CHECK_EQ(g.error, 0); /* our own cancel, and it came back as such */

    with_timeout (4)
        with_group (&g)
            spawn_in(&g, nests, 3, 100);
    CHECK_EQ(bide_now(), 12);
    CHECK_EQ(g.error, -ETIMEDOUT); /* the code went all the way down and up */

    with_group (&g) {
        spawn_in(&g, nests, 3, 100);
        spawn_in(&g, sleeps, 2, -EIO);
    }
    CHECK_EQ(bide_now(), 14);
    CHECK_EQ(g.error, -EIO);
    CHECK_EQ(g.failed, 1);
    check_alone();
}

/*
 * Goal:   a cancel, a deadline and a failure at the top reach every level of groups inside groups
 *         in the same instant.
 * Method: a tree of three levels, two branches each.
 */
TEST(group_order, groups_inside_groups)
{
    run(nests_three_deep);
}

static int depth_reached;

static async(int, chains, int, depth)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g) {
        if (depth > 0)
            CHECK_EQ(spawn_in(&g, chains, depth - 1), 0);
        else
            depth_reached = bide_sleep(BIDE_SEC(1));
    }
    CHECK_EQ(bide_now(), 5);
    return g.error;
}

static int chain_length;

static void chains_long(void)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g) {
        CHECK_EQ(spawn_in(&g, chains, chain_length), 0);
        bide_sleep(5);
        bide_group_cancel(&g);
    }
    CHECK_EQ(depth_reached, -ECANCELED);
    CHECK_EQ(bide_now(), 5);
    check_alone();
}

/*
 * Goal:   a cancel goes down any number of groups without recursion: stacks do not depend on it.
 * Method: 2,000 groups, each opened by the one member of the one before (300 under a sanitizer), on
 *         small stacks.
 */
TEST(group_order, cancel_goes_down_a_chain_of_groups)
{
    bide_options options = {.stack_bytes = 1 << 14};

    chain_length = TEST_UNDER_SANITIZER() ? 300 : 2000;
    run_reported(chains_long, &options, 0);
}

static void has_many(void)
{
    bide_group g = BIDE_GROUP_INIT;
    int count = TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND() ? 2000 : 20000;

    begun = ended = 0;
    with_group (&g) {
        for (int i = 0; i < count; i++)
            CHECK_EQ(spawn_in(&g, sleeps, i % 7, 0), 0);
        CHECK_EQ(bide_group_count(&g), count);
    }
    CHECK_EQ(ended, count);
    with_group (&g) {
        for (int i = 0; i < count; i++)
            CHECK_EQ(spawn_in(&g, sleeps, 1000, 0), 0);
        CHECK_EQ(spawn_in(&g, sleeps, 1, -EIO), 0);
    }
    CHECK_EQ(begun, 2 * count + 1);
    CHECK_EQ(ended, 2 * count + 1);
    CHECK_EQ(g.failed, 1);
    check_alone();
}

/*
 * Goal:   many members, all waited for, and all cancelled by one failure.
 * Method: 20,000, twice.
 */
TEST(group_order, twenty_thousand_members)
{
    bide_options options = {.stack_bytes = 1 << 14};

    run_reported(has_many, &options, 0);
}

static async(int, opens_and_waits)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g) {
        spawn_in(&g, sleeps, BIDE_SEC(9), 0);
        spawn_in(&g, sleeps, BIDE_SEC(9), 0);
        if (bide_sleep(1) == 0)
            spawn_in(&g, sleeps, BIDE_SEC(9), 0);
    }
    ended += 100;
    return g.error;
}

static async(int, keeps_results_open)
{
    bide_group g = {.keep_results = true, .limit = 1};

    with_group (&g) {
        spawn_in(&g, sleeps, 0, 1);
        spawn_in(&g, sleeps, BIDE_SEC(9), 1);
        CHECK_EQ(spawn_in(&g, sleeps, BIDE_SEC(9), 1), -ECANCELED);
    }
    ended += 100;
    return g.error;
}

static void ends_with_open_groups(void)
{
    begun = ended = 0;
    go(opens_and_waits);
    go(keeps_results_open);
    bide_sleep(5);
}

/*
 * Goal:   when the loop ends, open groups are cancelled, their members end, and nothing is left
 *         over; a group that ended so failed, and who opened it says so.
 * Method: detached tasks with groups: one waits at the end, one in its body.
 */
TEST(group_order, loop_ends_with_open_groups)
{
    struct reports seen = run_reported(ends_with_open_groups, NULL, 0);

    CHECK_EQ(begun, 5);
    CHECK_EQ(ended, 205);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_NOT_AWAITED), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_TASK_FAILED), seen.count); /* the two that opened them */
    CHECK_EQ(seen.count, 2);
}

static async(int, waits_for_ever)
{
    return await(future_new(int));
}

static void sleeps_for_ever(void)
{
    bide_group g = {.limit = 2};

    with_group (&g) {
        spawn_in(&g, waits_for_ever);
        spawn_in(&g, waits_for_ever);
        CHECK_EQ(spawn_in(&g, waits_for_ever), -ECANCELED);
    }
    CHECK_EQ(g.error, -ECANCELED);
    with_group (&g)
        CHECK_EQ(spawn_in(&g, waits_for_ever), -ECANCELED); /* all were cancelled */
}

static void waits_at_the_end_for_ever(void)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        spawn_in(&g, waits_for_ever);
}

/*
 * Goal:   when all tasks sleep for ever those in groups are named with what they wait for, then
 *         cancelled; the owner as well.
 * Method: an owner in the queue of its own group; one that waits at the end.
 */
TEST(group_order, deadlock_in_a_group_is_reported)
{
    struct reports seen = run_reported(sleeps_for_ever, NULL, -EDEADLK);

    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 4);
    CHECK_CONTAINS(seen.kept[1].message, "sleeps in spawn_in");
    CHECK_CONTAINS(seen.kept[2].message, "task 'waits_for_ever' #2");

    seen = run_reported(waits_at_the_end_for_ever, NULL, -EDEADLK);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 3);
    CHECK_CONTAINS(seen.kept[1].message, "sleeps in with_group");
}

static task(int) opener;
static int ring_result;

static async(int, awaits_opener)
{
    return ring_result = await(opener);
}

static async(int, opens_for_ring)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        spawn_in(&g, awaits_opener);
    return g.error;
}

static async(int, opens_for_long_ring)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        spawn_in(&g, opens_for_ring);
    return g.error;
}

static async(int, starts_for_ring)
{
    bide_group g = BIDE_GROUP_INIT;
    int err = 0;

    with_group (&g)
        err = start_in(&g, (int *)NULL, awaits_opener);
    return err;
}

static async(int, awaits_child_in_ring)
{
    return await(spawn(awaits_opener));
}

static async(int, groups_a_child_in_ring)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        spawn_in(&g, awaits_child_in_ring);
    return g.error;
}

static async(int, races_for_ring)
{
    task(int) t = spawn(awaits_opener);

    CHECK_EQ(race(t), 0);
    return await(t);
}

static void rings(void)
{
    bide_stats stats;

    ring_result = 0;
    bide_sleep(1);
    CHECK_EQ(ring_result, -EDEADLK);
    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_living, 1);
}

static void ring_through_a_member(void)
{
    opener = spawn(opens_for_ring);
    rings();
}

static void ring_through_two_groups(void)
{
    opener = spawn(opens_for_long_ring);
    rings();
}

static void ring_through_a_start(void)
{
    opener = spawn(starts_for_ring);
    rings();
}

static void ring_through_a_member_and_an_await(void)
{
    opener = spawn(groups_a_child_in_ring);
    rings();
}

static void ring_through_a_race(void)
{
    opener = spawn(races_for_ring);
    rings();
}

/*
 * Goal:   a task that awaits one that cannot end before it does is told -EDEADLK, and the ring is
 *         undone: whatever the other one waits in. No cancel could end such a ring.
 * Method: a member awaits who opened its group, directly, through another group, and through an
 *         await; one that is being started awaits who started it; one awaits who races it.
 */
TEST(group_order, ring_through_a_group_is_edeadlk)
{
    void (*const all[])(void) = {ring_through_a_member, ring_through_two_groups,
                                 ring_through_a_start, ring_through_a_member_and_an_await,
                                 ring_through_a_race};

    for (int i = 0; i < 5; i++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        void (*body)(void) = all[i];
        CHECK_EQ(bide_test_run(call_body, &body, 0, &options), 0);
        CHECK(reports_of(&seen, BIDE_REPORT_DEADLOCK) > 0);
    }
}

static int spawned, refused;
static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % bound;
}

static bide_group *top; /* NULL once it is left */

static void spawn_more(bide_group *g, int depth);

static async(int, does_something, bide_group *, g, int, depth)
{
    int err = 0;

    begun++;
    for (uint32_t steps = random_below(4); steps > 0 && err == 0; steps--) {
        switch (random_below(8)) {
        case 0: err = bide_yield(); break;
        case 1: /* siblings: with a limit, all members may wait for each other's places */
            with_timeout (3)
                spawn_more(g, depth - 1);
            break;
        case 2: {
            bide_group own = {.limit = random_below(3), .collect_all = random_below(2) == 0};
            with_timeout (random_below(2) == 0 ? (bide_time)random_below(6) : BIDE_FOREVER)
                with_group (&own) {
                    spawn_more(&own, depth - 1);
                    if (random_below(4) == 0)
                        bide_group_cancel(&own);
                    if (random_below(4) == 0)
                        break;
                    err = bide_sleep((bide_time)random_below(3));
                }
            CHECK_EQ(bide_group_count(&own), 0);
            CHECK((own.failed == 0) == (own.error == 0));
            break;
        }
        case 3:
            with_shield (4)
                bide_sleep((bide_time)random_below(3));
            break;
        case 4:
            if (random_below(4) == 0)
                bide_group_cancel(g);
            break;
        default: err = bide_sleep((bide_time)random_below(4)); break;
        }
    }
    bide_started(depth);
    ended++;
    return err < 0 ? err : random_below(8) == 0 ? -EIO : 1;
}

static void spawn_more(bide_group *g, int depth)
{
    int value = -1;

    if (depth <= 0)
        return;
    for (uint32_t i = random_below(4); i > 0; i--) {
        int err;
        if (random_below(4) == 0) {
            err = start_in(g, &value, does_something, g, depth);
            CHECK(err == 0 ? value == depth : err < 0 && value == -1);
            value = -1;
            continue;
        }
        err = spawn_in(g, does_something, g, depth);
        spawned += err == 0;
        refused += err < 0;
        CHECK(err == 0 || err == -ECANCELED || err == -ETIMEDOUT);
    }
}

static async(int, spawns_from_outside, int, count)
{
    for (int i = 0; i < count; i++) {
        if (bide_sleep((bide_time)random_below(4)) < 0 || top == NULL)
            return 0;
        int err = spawn_in(top, does_something, top, 1);
        CHECK(err == 0 || err == -ECANCELED || err == -ETIMEDOUT);
        refused += err < 0;
    }
    return 0;
}

static int storms(void *arg)
{
    (void)arg;
    for (int round = 0; round < 3; round++) {
        bide_group g = {
            .limit = random_below(4), .collect_all = random_below(2) == 0, .keep_results = true};
        task(int) outside = spawn(spawns_from_outside, 3);
        task(int) t = NULL;
        begun = ended = 0;
        with_timeout (random_below(2) == 0 ? (bide_time)random_below(12) : BIDE_FOREVER) {
            with_group (&g) {
                top = &g;
                spawn_more(&g, 4);
                while (bide_group_next(&g, &t) == 0)
                    await(t);
                bide_sleep((bide_time)random_below(3));
                top = NULL;
            }
        }
        CHECK_EQ(begun, ended); /* all that began were waited for */
        CHECK_EQ(bide_group_count(&g), 0);
        await(outside);
        check_alone();
    }
    return 0;
}

/*
 * Goal:   trees of groups in which members fail, cancel, time out, spawn siblings and are started,
 *         with limits, shields and spawners from outside, end; and each block is left only when
 *         all of its members have ended.
 * Method: 300 seeds; those that begin are counted against those that end. All sorts of outcomes are
 *         seen.
 */
TEST(group_order, random_trees_end_before_their_blocks)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        random_state = (uint32_t)(seed * 7919 + test_seed() * 31);
        top = NULL;
        CHECK_EQ(bide_test_run(storms, NULL, seed, &options), 0);
        CHECK_STR(seen.count > 0 ? seen.kept[0].message : "", "");
    }
    CHECK(spawned > 1000 && refused > 100);
}
