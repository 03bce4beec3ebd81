/* SPDX-License-Identifier: MIT */
/*
 * group.c - tasks that live and end together: what a failure, a cancel and a deadline do to them.
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

static struct reports run_reported(void (*body)(void), uint64_t seed, int result)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(call_body, &body, seed, &options), result);
    return seen;
}

static void run(void (*body)(void))
{
    struct reports seen = run_reported(body, 0, 0);

    CHECK_STR(seen.count > 0 ? seen.kept[0].message : "", ""); /* nothing was left over */
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
    CHECK_EQ(stats.tasks_failed, 0); /* members are the group's, not nobody's */
}

static int ended;

static async(int, sleeps, bide_time, timeout, int, result)
{
    int err = bide_sleep(timeout);

    ended++;
    return err < 0 ? err : result;
}

static async(void, rests, bide_time, timeout)
{
    bide_sleep(timeout);
    ended++;
}

static void waits_for_members(void)
{
    bide_group g = BIDE_GROUP_INIT;

    ended = 0;
    with_group (&g) {
        CHECK_EQ(bide_group_count(&g), 0);
        for (int i = 1; i <= 5; i++)
            CHECK_EQ(spawn_in(&g, sleeps, i, i), 0);
        CHECK_EQ(spawn_in(&g, rests, 6), 0);
        CHECK_EQ(spawn_in_with(&g, &(bide_spawn_options){.name = "named"}, sleeps, 0, 0), 0);
        CHECK_EQ(bide_group_count(&g), 7);
        CHECK_EQ(ended, 0); /* spawning does not switch */
        CHECK_EQ(bide_sleep(3), 0);
        CHECK(bide_group_count(&g) == 3 || bide_group_count(&g) == 4);
    }
    CHECK_EQ(bide_now(), 6);
    CHECK_EQ(ended, 7);
    CHECK_EQ(g.error, 0);
    CHECK_EQ(g.failed, 0);
    CHECK_EQ(bide_group_count(&g), 0);

    with_group (&g) {}
    with_group (&g)
        bide_sleep(4);
    CHECK_EQ(bide_now(), 10);
    with_group (&g)
        spawn_in(&g, sleeps, 5, 1);
    CHECK_EQ(bide_now(), 15); /* used again */
    check_alone();
}

/*
 * Goal:   the block is left when all members have ended; an empty one at once; a group struct
 *         serves again.
 * Method: seven members, none, a body that sleeps, one member.
 */
TEST(group, block_waits_for_all_members)
{
    run(waits_for_members);
}

static int returns_from(bide_group *g)
{
    with_group (g) {
        spawn_in(g, sleeps, 5, 1);
        return 7;
    }
    return 8;
}

static void leaves_early(void)
{
    bide_group g = BIDE_GROUP_INIT;

    ended = 0;
    CHECK_EQ(returns_from(&g), 7);
    CHECK_EQ(ended, 1);
    CHECK_EQ(bide_now(), 5);
    with_group (&g) {
        spawn_in(&g, sleeps, 5, 1);
        break;
    }
    CHECK_EQ(bide_now(), 10);
    for (int i = 0; i < 3; i++)
        with_group (&g) {
            spawn_in(&g, sleeps, 5, 1);
            if (i == 1)
                continue; /* of the block's own loop */
            spawn_in(&g, sleeps, 5, 1);
        }
    CHECK_EQ(bide_now(), 25);
    CHECK_EQ(ended, 7);
    with_group (&g) {
        bide_group inner = BIDE_GROUP_INIT;
        with_group (&inner) {
            spawn_in(&g, sleeps, 7, 1);
            spawn_in(&inner, sleeps, 5, 1);
            goto out;
        }
        CHECK(false);
    }
out:
    CHECK_EQ(bide_now(), 32);
    CHECK_EQ(ended, 9);
    CHECK_EQ(bide_group_count(&g), 0);
    check_alone();
}

/*
 * Goal:   the members are waited for by whatever way the block is left.
 * Method: return, break, continue, goto out of two.
 */
TEST(group, block_left_early_waits_all_the_same)
{
    run(leaves_early);
}

static void fails_fast(void)
{
    bide_group_error errors[3] = {{0}};
    bide_group g = {.errors = errors, .errors_most = 3};

    ended = 0;
    with_group (&g) {
        spawn_in(&g, sleeps, 100, 1);
        spawn_in(&g, sleeps, 3, -EIO);
        spawn_in(&g, sleeps, 3, -EPERM); /* in the same instant, before it hears of the other */
        spawn_in(&g, sleeps, 100, 2);
        CHECK_EQ(bide_sleep(50), -ECANCELED); /* the body too */
        CHECK_EQ(bide_now(), 3);
        CHECK_EQ(bide_canceled(), -ECANCELED);
        CHECK_EQ(spawn_in(&g, sleeps, 1, 1), -ECANCELED);
        CHECK_EQ(bide_spawn_error(), -ECANCELED);
    }
    CHECK_EQ(bide_canceled(), 0);
    CHECK_EQ(bide_now(), 3);
    CHECK_EQ(ended, 4);
    CHECK(g.error == -EIO || g.error == -EPERM);
    CHECK(g.failed == 1 || g.failed == 2); /* the second may have been cancelled in its sleep */
    CHECK_EQ(errors[0].error, g.error);
    CHECK_STR(errors[0].task, "sleeps");
    CHECK_STR(errors[0].site->function, "fails_fast");
    check_alone();

    with_group (&g) { /* while it waits at the end */
        spawn_in(&g, sleeps, 100, 1);
        spawn_in(&g, sleeps, 3, -EIO);
    }
    CHECK_EQ(bide_now(), 6);
    CHECK_EQ(g.error, -EIO);
    CHECK_EQ(g.failed, 1); /* -ECANCELED after the group's own cancel is none */
    with_group (&g)
        spawn_in(&g, sleeps, 1, 0);
    CHECK_EQ(g.error, 0); /* forgotten by the next block */
    CHECK_EQ(g.failed, 0);
    check_alone();
}

/*
 * Goal:   a failure cancels the other members and the body; g.error is the first, and what members
 *         return because of the cancel is none.
 * Method: failures while the body sleeps, and while it waits at the end.
 */
TEST(group, failure_cancels_members_and_body)
{
    run(fails_fast);
}

static async(int, fails_while_unwinding, bide_time, timeout)
{
    CHECK_EQ(bide_sleep(timeout), -ECANCELED);
    return -EBADF;
}

static void collects(void)
{
    bide_group_error errors[2] = {{0}};
    bide_group g = {.collect_all = true, .errors = errors, .errors_most = 2};

    ended = 0;
    with_group (&g) {
        spawn_in(&g, sleeps, 3, -EPERM);
        spawn_in(&g, sleeps, 2, -EIO);
        spawn_in(&g, sleeps, 9, 0);
        spawn_in(&g, sleeps, 4, -EAGAIN);
        CHECK_EQ(bide_sleep(5), 0);
        CHECK_EQ(g.failed, 3);
        CHECK_EQ(g.error, -EIO);
    }
    CHECK_EQ(bide_now(), 9);
    CHECK_EQ(ended, 4);
    CHECK_EQ(g.failed, 3);
    CHECK_EQ(errors[0].error, -EIO);
    CHECK_EQ(errors[1].error, -EPERM);

    bide_group strict = {.errors = errors, .errors_most = 2};
    with_group (&strict) {
        spawn_in(&strict, fails_while_unwinding, 9);
        spawn_in(&strict, sleeps, 1, -EIO);
    }
    CHECK_EQ(strict.error, -EIO);
    CHECK_EQ(strict.failed, 2); /* another error than the cancel's counts */
    CHECK_EQ(errors[1].error, -EBADF);

    bide_group alone = {.errors_most = 9}; /* room nowhere */
    with_group (&alone)
        spawn_in(&alone, sleeps, 1, -ECANCELED); /* without a cancel it is a failure as any */
    CHECK_EQ(alone.error, -ECANCELED);
    CHECK_EQ(alone.failed, 1);
    check_alone();
}

/*
 * Goal:   with collect_all failures cancel nothing; they are listed in the order of their ends as
 *         far as there is room, and all are counted.
 * Method: three failures, room for two; failures after a cancel; an -ECANCELED of one's own.
 */
TEST(group, collect_all_lists_failures_in_order)
{
    run(collects);
}

static bide_group *shared;

static async(int, cancels_group, bide_time, after)
{
    bide_sleep(after);
    bide_group_cancel(shared);
    bide_group_cancel(shared);
    CHECK_EQ(bide_sleep(9), -ECANCELED); /* it is a member itself */
    return 0;
}

static async(void, cancels_from_outside, bide_time, after)
{
    bide_sleep(after);
    bide_group_cancel(shared);
}

static void cancels_groups(void)
{
    bide_group g = BIDE_GROUP_INIT;

    shared = &g;
    bide_group_cancel(&g); /* closed: harmless */
    for (int i = 0; i < 3; i++) {
        bide_time begin = bide_now();
        with_group (&g) {
            spawn_in(&g, sleeps, 100, 1);
            spawn_in(&g, sleeps, 100, 1);
            if (i == 0)
                spawn_in(&g, cancels_group, 4);
            if (i == 1)
                go(cancels_from_outside, 4);
            if (i == 2) {
                bide_sleep(4);
                bide_group_cancel(&g);
                CHECK_EQ(bide_sleep(1), -ECANCELED);
                with_shield (BIDE_SEC(1)) {
                    CHECK_EQ(spawn_in(&g, sleeps, 1, 1), -ECANCELED);
                    CHECK_EQ(bide_group_count(&g), 2);
                }
            }
        }
        CHECK_EQ(bide_now() - begin, 4);
        CHECK_EQ(g.error, 0);
        CHECK_EQ(g.failed, 0);
    }
    bide_sleep(1);
    bide_group_cancel(&g);
    check_alone();
}

/*
 * Goal:   bide_group_cancel ends all members and the block and is no failure, whoever calls it.
 * Method: a member, another task, the body; a closed group.
 */
TEST(group, cancel_ends_all_and_is_no_failure)
{
    run(cancels_groups);
}

static async(int, notes_code, bide_time, timeout, int *, code, bide_time *, at)
{
    *code = bide_sleep(timeout);
    *at = bide_now();
    return 0;
}

static void deadlines_around(void)
{
    bide_group g = BIDE_GROUP_INIT;
    int code = 1;
    bide_time at = 0, begin = bide_now();

    with_timeout (10) /* while it waits at the end */
        with_group (&g)
            spawn_in(&g, notes_code, 100, &code, &at);
    CHECK_EQ(code, -ETIMEDOUT);
    CHECK_EQ(at - begin, 10);
    CHECK_EQ(g.error, 0);

    begin = bide_now();
    with_timeout (10) /* while the body is under a shield inside the group */
        with_group (&g) {
            spawn_in(&g, notes_code, 100, &code, &at);
            with_shield (50)
                CHECK_EQ(bide_sleep(20), 0);
            CHECK_EQ(bide_sleep(1), -ETIMEDOUT);
            CHECK_EQ(spawn_in(&g, sleeps, 1, 1), -ETIMEDOUT);
        }
    CHECK_EQ(code, -ETIMEDOUT);
    CHECK_EQ(at - begin, 10);
    CHECK_EQ(bide_now() - begin, 20);

    begin = bide_now();
    with_timeout (10) /* the shield is around the group: its limit counts */
        with_shield (30)
            with_group (&g) {
                spawn_in(&g, notes_code, 100, &code, &at);
                CHECK_EQ(bide_sleep(15), 0);
                CHECK_EQ(spawn_in(&g, sleeps, 1, 1), 0);
            }
    CHECK_EQ(code, -ETIMEDOUT);
    CHECK_EQ(at - begin, 30);
    CHECK_EQ(bide_now() - begin, 30);

    begin = bide_now();
    with_shield (BIDE_FOREVER) /* no limit: it ends by itself */
        with_timeout (50)
            with_group (&g)
                spawn_in(&g, notes_code, 40, &code, &at);
    CHECK_EQ(code, 0);
    CHECK_EQ(at - begin, 40);

    begin = bide_now();
    with_timeout (10) /* failures after a deadline around it count, whatever they are */
        with_group (&g) {
            spawn_in(&g, sleeps, 100, 1);
            spawn_in(&g, sleeps, 100, 1);
        }
    CHECK_EQ(g.error, -ETIMEDOUT);
    CHECK_EQ(g.failed, 2);
    check_alone();
}

/*
 * Goal:   a deadline around the group reaches its members at once and with its code, also while
 *         the body is under a shield; a shield around the group protects the members until its own
 *         limit.
 * Method: each, with the time at which a member hears of it.
 */
TEST(group, deadline_around_reaches_members_at_once)
{
    run(deadlines_around);
}

static void enters_cancelled(void)
{
    bide_group g = BIDE_GROUP_INIT;
    int code = 1;
    bide_time at = 0;
    bide_scope scope = BIDE_SCOPE_INIT;

    bide_scope_cancel(&scope);
    with_scope (&scope) {
        with_group (&g) {
            CHECK_EQ(spawn_in(&g, sleeps, 1, 1), -ECANCELED);
            with_shield (BIDE_SEC(1))
                CHECK_EQ(spawn_in(&g, sleeps, 1, 1), -ECANCELED);
        }
        with_shield (BIDE_SEC(1))
            with_group (&g)
                CHECK_EQ(spawn_in(&g, notes_code, 5, &code, &at), 0);
        CHECK_EQ(code, 0);
    }
    with_timeout (0)
        with_group (&g)
            CHECK_EQ(spawn_in(&g, sleeps, 1, 1), -ETIMEDOUT);
    CHECK_EQ(g.error, 0); /* nothing ran, nothing failed */
    CHECK_EQ(bide_now(), 5);
    check_alone();
}

/*
 * Goal:   a group that is opened in a fired scope takes no members; under a shield it does.
 * Method: a cancel, a deadline that has passed.
 */
TEST(group, opened_in_a_fired_scope_is_cancelled)
{
    run(enters_cancelled);
}

static async(int, has_group, bide_time, timeout, int *, code, bide_time *, at)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        spawn_in(&g, notes_code, timeout, code, at);
    return 5;
}

static void cancels_owners(void)
{
    int code = 1;
    bide_time at = 0;

    task(int) owner = spawn(has_group, 100, &code, &at);
    bide_sleep(3);
    cancel(owner);
    CHECK_EQ(await(owner), 5);
    CHECK_EQ(code, -ECANCELED);
    CHECK_EQ(at, 3);

    with_timeout (4) /* await passes it on to the owner, which tells its members */
        CHECK_EQ(await(spawn(has_group, 100, &code, &at)), 5);
    CHECK_EQ(code, -ETIMEDOUT);
    CHECK_EQ(at, 7);

    owner = spawn(has_group, 100, &code, &at);
    cancel(owner); /* before it has opened it */
    code = 1;
    CHECK_EQ(await(owner), 5);
    CHECK_EQ(code, 1);
    check_alone();
}

/*
 * Goal:   a cancel of the task that opened a group reaches the members: by cancel, and by the await
 *         of a task that is cancelled.
 * Method: each while it waits at the end; and before it has begun.
 */
TEST(group, cancel_of_the_owner_reaches_members)
{
    run(cancels_owners);
}

static async(int, spawns_sibling, int, more)
{
    bide_sleep(1);
    if (more > 0)
        CHECK_EQ(spawn_in(shared, spawns_sibling, more - 1), 0);
    ended++;
    return 0;
}

static void grows_from_inside(void)
{
    bide_group g = BIDE_GROUP_INIT;

    shared = &g;
    ended = 0;
    with_group (&g)
        spawn_in(&g, spawns_sibling, 9); /* the owner waits at the end by then */
    CHECK_EQ(ended, 10);
    CHECK_EQ(bide_now(), 10);
    check_alone();
}

/*
 * Goal:   members may spawn siblings while the owner waits at the end.
 * Method: each spawns the next and ends; the group is never empty.
 */
TEST(group, members_spawn_siblings_while_the_owner_waits)
{
    run(grows_from_inside);
}

static void opens_twice(void)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        with_group (&g)
            bide_yield();
}

static void spawns_into_closed(void)
{
    bide_group g = BIDE_GROUP_INIT;

    spawn_in(&g, sleeps, 1, 1);
}

static void spawns_into_left(void)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        spawn_in(&g, sleeps, 1, 1);
    spawn_in(&g, sleeps, 1, 1);
}

static async(void, leaves_for_another, bide_group *, g)
{
    bide__group_leave(&g);
}

static void left_by_another(void)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        await(spawn(leaves_for_another, &g));
}

static void opened_outside(void)
{
    bide_group g = BIDE_GROUP_INIT;

    with_group (&g)
        (void)0;
}

/*
 * Goal:   each mistake aborts with one line.
 * Method: every one in a child.
 */
TEST(group, misuse_aborts_with_one_line)
{
    EXPECT_DEATH(run_aloud(opens_twice), "with_group: this group is already opened by task 'main'");
    EXPECT_DEATH(run_aloud(spawns_into_closed), "spawn_in at 'sleeps' at ");
    EXPECT_DEATH(run_aloud(spawns_into_left), "the group is not open; spawn_in works inside");
    EXPECT_DEATH(run_aloud(left_by_another), "left by another task than the one that opened it");
    EXPECT_DEATH(opened_outside(), "bide: with_group was called outside of a task");
}
