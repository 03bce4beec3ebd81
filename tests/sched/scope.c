/* SPDX-License-Identifier: MIT */
/*
 * scope.c - cancel scopes: when they fire, who names the reason, what hides them, and every way out
 * of the block.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>

#include "test.h"

/* Run body() as the first task on the virtual clock. */
static int call_body(void *body)
{
    (*(void (**)(void))body)();
    CHECK_EQ(bide_canceled(), 0); /* whatever happened in the blocks is over */
    return 0;
}

static void run(void (*body)(void))
{
    CHECK_EQ(bide_test_run(call_body, &body, 0, NULL), 0);
}

static void times_out(void)
{
    with_timeout (BIDE_MS(5)) {
        CHECK_EQ(bide_canceled(), 0);
        CHECK_EQ(bide_sleep(BIDE_MS(3)), 0);
        CHECK_EQ(bide_sleep(BIDE_MS(3)), -ETIMEDOUT);
        CHECK_EQ(bide_now(), BIDE_MS(5));
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(bide_sleep(1), -ETIMEDOUT);
            CHECK_EQ(bide_sleep(0), -ETIMEDOUT);
            CHECK_EQ(bide_yield(), -ETIMEDOUT);
            CHECK_EQ(bide_canceled(), -ETIMEDOUT);
        }
    }
    CHECK_EQ(bide_now(), BIDE_MS(5));
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
}

/*
 * Goal:   after its deadline a scope makes every parking call return -ETIMEDOUT at once, again and
 *         again, until it is left; then calls park again.
 * Method: three calls of each sort inside, one behind.
 */
TEST(scope, deadline_is_a_level_until_the_block_is_left)
{
    run(times_out);
}

static void fires_early_or_never(void)
{
    with_timeout (0)
        CHECK_EQ(bide_sleep(1), -ETIMEDOUT);
    with_timeout (-1)
        CHECK_EQ(bide_yield(), -ETIMEDOUT);
    with_timeout (INT64_MIN)
        CHECK_EQ(bide_canceled(), -ETIMEDOUT);
    with_deadline (-1)
        CHECK_EQ(bide_canceled(), -ETIMEDOUT);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    with_deadline (bide_now())
        CHECK_EQ(bide_canceled(), -ETIMEDOUT);
    with_timeout (BIDE_FOREVER)
        CHECK_EQ(bide_sleep(BIDE_SEC(86400 * 365)), 0);
    with_timeout (BIDE_FOREVER - 1) /* saturates */
        CHECK_EQ(bide_sleep(BIDE_SEC(86400 * 365)), 0);
    with_deadline (BIDE_FOREVER)
        CHECK_EQ(bide_sleep(BIDE_SEC(86400 * 365)), 0);
    with_timeout (BIDE_MS(1))
        ; /* left in time: its timer is gone */
    CHECK_EQ(bide_sleep(BIDE_MS(2)), 0);
}

/*
 * Goal:   passed deadlines fire on entering, endless ones never, and sums saturate.
 * Method: 0, negative, INT64_MIN, now, INT64_MAX and one less.
 */
TEST(scope, extreme_timeouts_fire_at_once_or_never)
{
    run(fires_early_or_never);
}

static void nests(void)
{
    bide_time start = bide_now();
    bide_scope outer = BIDE_SCOPE_INIT, inner = BIDE_SCOPE_INIT;

    /* The nearest deadline wins, wherever it lies. */
    with_timeout (BIDE_MS(10))
        with_timeout (BIDE_MS(2))
            CHECK_EQ(bide_sleep(BIDE_SEC(1)), -ETIMEDOUT);
    CHECK_EQ(bide_now(), start + BIDE_MS(2));
    with_timeout (BIDE_MS(2)) {
        with_timeout (BIDE_MS(10))
            CHECK_EQ(bide_sleep(BIDE_SEC(1)), -ETIMEDOUT);
        CHECK_EQ(bide_now(), start + BIDE_MS(4));
        CHECK_EQ(bide_yield(), -ETIMEDOUT); /* it was the outer one, which still stands */
    }
    with_scope (&outer) {
        with_scope (&inner) {
            bide_scope_cancel(&inner);
            CHECK_EQ(bide_yield(), -ECANCELED);
        }
        CHECK_EQ(bide_yield(), 0); /* it was the inner one, which is left */
        CHECK(!bide_scope_fired(&outer));
    }
    CHECK(bide_scope_fired(&inner));
    CHECK(!bide_scope_fired(&outer));
}

/*
 * Goal:   the nearest deadline decides when, and the calls fail exactly as long as a scope that
 *         fired is around.
 * Method: near inside far, far inside near, and a cancelled scope inside one that is not.
 */
TEST(scope, nearest_deadline_wins_and_inner_ends_with_its_block)
{
    run(nests);
}

static void outermost_names(void)
{
    bide_scope outer = BIDE_SCOPE_INIT, inner = BIDE_SCOPE_INIT;

    bide_scope_set_timeout(&inner, BIDE_MS(1));
    with_scope (&outer) {
        with_scope (&inner) {
            CHECK_EQ(bide_sleep(BIDE_SEC(1)), -ETIMEDOUT);
            bide_scope_cancel(&outer);
            CHECK_EQ(bide_sleep(BIDE_SEC(1)), -ECANCELED);
            CHECK(bide_scope_fired(&outer) && bide_scope_fired(&inner));
        }
        CHECK_EQ(bide_yield(), -ECANCELED);
    }
    outer = (bide_scope)BIDE_SCOPE_INIT;
    inner = (bide_scope)BIDE_SCOPE_INIT;
    bide_scope_set_timeout(&outer, BIDE_MS(1));
    with_scope (&outer)
        with_scope (&inner) {
            CHECK_EQ(bide_sleep(BIDE_SEC(1)), -ETIMEDOUT);
            bide_scope_cancel(&inner);
            CHECK_EQ(bide_sleep(BIDE_SEC(1)), -ETIMEDOUT);
        }
    CHECK(bide_scope_fired(&outer) && bide_scope_fired(&inner));
}

/*
 * Goal:   of several scopes that fired the outermost names the reason.
 * Method: a deadline inside a cancel, and a cancel inside a deadline.
 */
TEST(scope, outermost_fired_scope_names_the_reason)
{
    run(outermost_names);
}

static int leaves_by_return(void)
{
    with_timeout (BIDE_MS(1))
        with_shield (BIDE_MS(1))
            return bide_sleep(BIDE_SEC(1));
    return 0;
}

static void leaves_every_way(void)
{
    int rounds = 0, after = 0;

    CHECK_EQ(leaves_by_return(), -ETIMEDOUT);
    CHECK_EQ(bide_canceled(), 0);
    for (int i = 0; i < 4; i++) {
        with_timeout (0) {
            rounds++;
            if (i % 2)
                break; /* leaves the block, not the loop around it */
            CHECK_EQ(bide_yield(), -ETIMEDOUT);
            continue; /* likewise */
        }
        after++;
        CHECK_EQ(bide_yield(), 0);
    }
    CHECK_EQ(rounds, 4);
    CHECK_EQ(after, 4);
    with_timeout (0)
        with_timeout (0)
            goto out;
out:
    CHECK_EQ(bide_yield(), 0);
}

/*
 * Goal:   return, break, continue and goto leave the block in order: the scopes are gone, and the
 *         body ran once.
 * Method: each of them out of scopes that have fired; the next parking call parks.
 */
TEST(scope, break_continue_return_and_goto_leave_it)
{
    run(leaves_every_way);
}

static async(int, shielded, bide_time, limit, int *, inside)
{
    int err = bide_sleep(BIDE_FOREVER);

    CHECK_EQ(err, -ECANCELED);
    with_shield (limit) {
        CHECK_EQ(bide_canceled(), 0);
        *inside = bide_sleep(BIDE_MS(10));
    }
    CHECK_EQ(bide_canceled(), -ECANCELED); /* it still stands */
    return bide_yield();
}

static void shields(void)
{
    int inside = 1;
    bide_scope scope = BIDE_SCOPE_INIT;

    task(int) generous = spawn(shielded, BIDE_SEC(1), &inside);
    bide_yield();
    cancel(generous);
    CHECK_EQ(await(generous), -ECANCELED);
    CHECK_EQ(inside, 0);
    task(int) tight = spawn(shielded, BIDE_MS(2), &inside);
    bide_yield();
    cancel(tight);
    CHECK_EQ(await(tight), -ECANCELED);
    CHECK_EQ(inside, -ETIMEDOUT);

    /* What lies inside a shield works as ever. */
    with_timeout (0)
        with_shield (BIDE_FOREVER) {
            with_timeout (BIDE_MS(1))
                CHECK_EQ(bide_sleep(BIDE_SEC(1)), -ETIMEDOUT);
            CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
            with_scope (&scope) {
                bide_scope_cancel(&scope);
                CHECK_EQ(bide_yield(), -ECANCELED);
                with_shield (BIDE_SEC(1))
                    CHECK_EQ(bide_yield(), 0);
            }
        }
}

/*
 * Goal:   under a shield a cancelled task may wait, for the shield's own time at the most; scopes
 *         inside it work.
 * Method: cleanup shorter and longer than the limit, and scopes and shields inside a shield.
 */
TEST(scope, shield_lets_cleanup_wait_for_a_limited_time)
{
    run(shields);
}

static async(int, sleeps_in_shield, bool *, woke_early)
{
    bide_time start = bide_now();

    with_shield (BIDE_SEC(1)) {
        CHECK_EQ(bide_sleep(BIDE_MS(10)), 0);
        *woke_early = bide_now() != start + BIDE_MS(10);
    }
    return bide_sleep(BIDE_SEC(1));
}

static void cancels_shielded_sleeper(void)
{
    bool woke_early = true;

    task(int) t = spawn(sleeps_in_shield, &woke_early);
    bide_yield();
    cancel(t); /* while it sleeps under the shield */
    CHECK_EQ(await(t), -ECANCELED);
    CHECK(!woke_early);
    CHECK_EQ(bide_now(), BIDE_MS(10));
}

/*
 * Goal:   a cancel that comes while the task sleeps under a shield wakes it not, and is seen when
 *         the shield is left.
 * Method: cancel at once; the shielded sleep lasts its 10 ms, the next one fails at once.
 */
TEST(scope, cancel_during_a_shielded_sleep_waits)
{
    run(cancels_shielded_sleeper);
}

static void cancels_before_entry(void)
{
    bide_scope scope = BIDE_SCOPE_INIT;
    bide_scope past = BIDE_SCOPE_INIT;

    bide_scope_cancel(&scope);
    bide_scope_cancel(&scope);
    CHECK(bide_scope_fired(&scope));
    with_scope (&scope)
        CHECK_EQ(bide_sleep(1), -ECANCELED);
    bide_scope_set_timeout(&past, BIDE_MS(1)); /* counts from here */
    CHECK_EQ(bide_sleep(BIDE_MS(2)), 0);
    CHECK(!bide_scope_fired(&past));
    with_scope (&past)
        CHECK_EQ(bide_yield(), -ETIMEDOUT);
    CHECK(bide_scope_fired(&past));
}

/*
 * Goal:   a scope that was cancelled, or whose deadline passed, before it is entered fires on
 *         entering.
 * Method: both.
 */
TEST(scope, cancel_before_entry_fires_on_entering)
{
    run(cancels_before_entry);
}

static void moves_the_deadline(void)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    with_scope (&scope) {
        bide_scope_set_timeout(&scope, BIDE_MS(1));
        bide_scope_set_timeout(&scope, BIDE_MS(10)); /* later */
        CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
        bide_scope_set_deadline(&scope, BIDE_FOREVER); /* away */
        CHECK_EQ(bide_sleep(BIDE_MS(50)), 0);
        bide_scope_set_timeout(&scope, BIDE_MS(1));
        CHECK_EQ(bide_sleep(BIDE_MS(50)), -ETIMEDOUT);
        bide_scope_set_timeout(&scope, BIDE_SEC(1)); /* too late: it has fired */
        CHECK_EQ(bide_sleep(1), -ETIMEDOUT);
    }
    CHECK(bide_scope_fired(&scope));

    bide_scope now = BIDE_SCOPE_INIT;
    with_scope (&now) {
        bide_scope_set_deadline(&now, bide_now());
        CHECK_EQ(bide_canceled(), -ETIMEDOUT);
    }
    bide_scope moved = BIDE_SCOPE_INIT;
    bide_scope_set_timeout(&moved, BIDE_MS(1));
    bide_scope_set_deadline(&moved, BIDE_FOREVER);
    with_scope (&moved)
        CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
    CHECK(!bide_scope_fired(&moved));
}

/*
 * Goal:   the deadline may be moved later, earlier, away and back while inside; one that has passed
 *         fires at once; a scope that has fired stays so.
 * Method: all of these.
 */
TEST(scope, set_deadline_inside_moves_it)
{
    run(moves_the_deadline);
}

static bide_scope shared;

static async(int, works_in_shared)
{
    int err = 0;

    with_scope (&shared)
        err = bide_sleep(BIDE_SEC(1));
    CHECK_EQ(bide_yield(), 0);
    return err;
}

static async(int, waits_in_shared, task(int), other)
{
    int result = 0;

    with_scope (&shared)
        result = await(other);
    CHECK_EQ(bide_yield(), 0);
    return result;
}

static async(int, sleeps)
{
    return bide_sleep(BIDE_SEC(1));
}

static void cancels_from_outside(void)
{
    task(int) worker = spawn(works_in_shared);
    bide_yield();
    bide_scope_cancel(&shared);
    CHECK_EQ(await(worker), -ECANCELED);
    CHECK(bide_scope_fired(&shared));

    /* The task in it awaits another: that one is told. */
    shared = (bide_scope)BIDE_SCOPE_INIT;
    task(int) waiter = spawn(waits_in_shared, spawn(sleeps));
    CHECK_EQ(bide_test_settle(), 0);
    bide_scope_cancel(&shared);
    CHECK_EQ(await(waiter), -ECANCELED);
    CHECK_EQ(bide_now(), 0);

    shared = (bide_scope)BIDE_SCOPE_INIT;
    bide_scope_set_timeout(&shared, BIDE_MS(2));
    waiter = spawn(waits_in_shared, spawn(sleeps));
    CHECK_EQ(await(waiter), -ETIMEDOUT); /* the deadline of another goes on to the awaited task */
    CHECK_EQ(bide_now(), BIDE_MS(2));
}

/*
 * Goal:   another task may cancel a scope; whoever sleeps in it wakes, and a task awaited from
 *         inside it is told.
 * Method: a sleeper, an await with a cancel, an await with a deadline.
 */
TEST(scope, cancel_from_another_task_reaches_what_is_awaited_inside)
{
    run(cancels_from_outside);
}

static void cancels_after_leaving(void)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    with_scope (&scope)
        CHECK_EQ(bide_yield(), 0);
    CHECK(!bide_scope_fired(&scope));
    bide_scope_cancel(&scope);
    CHECK_EQ(bide_yield(), 0);
    CHECK(bide_scope_fired(&scope));
}

/*
 * Goal:   cancelling a scope that was left touches nobody.
 * Method: park afterwards.
 */
TEST(scope, cancel_after_the_block_touches_nobody)
{
    run(cancels_after_leaving);
}

static async(int, races, bide_time, deadline)
{
    int err = 1;

    with_deadline (deadline)
        err = bide_sleep_until(BIDE_MS(5));
    CHECK_EQ(bide_now(), deadline < BIDE_MS(5) ? deadline : BIDE_MS(5));
    CHECK_EQ(bide_canceled(), 0);
    return err;
}

static void races_deadlines(void)
{
    CHECK_EQ(await(spawn(races, BIDE_MS(5) - 1)), -ETIMEDOUT);
}

static void races_equal_deadlines(void)
{
    CHECK_EQ(await(spawn(races, BIDE_MS(5))), -ETIMEDOUT); /* armed first, fires first */
}

static void races_later_deadlines(void)
{
    CHECK_EQ(await(spawn(races, BIDE_MS(5) + 1)), 0);
}

/*
 * Goal:   a sleep against its scope's deadline has exactly one outcome, decided to the nanosecond.
 * Method: the deadline one earlier, equal, one later.
 */
TEST(scope, deadline_against_sleep_has_one_outcome)
{
    run(races_deadlines);
    run(races_equal_deadlines);
    run(races_later_deadlines);
}

static void enters_twice(void)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    with_scope (&scope)
        with_scope (&scope)
            bide_yield();
}

static void leaves_out_of_order(void)
{
    bide_scope outer = BIDE_SCOPE_INIT, inner = BIDE_SCOPE_INIT;
    bide_scope *out = bide__scope_enter(&outer);

    bide__scope_enter(&inner);
    bide__scope_leave(&out);
}

static void leaves_twice(void)
{
    bide_scope scope = BIDE_SCOPE_INIT;
    bide_scope *entered = bide__scope_enter(&scope);

    bide__scope_leave(&entered);
    bide__scope_leave(&entered);
}

static void enters_outside(void)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    with_scope (&scope)
        CHECK(false);
}

/*
 * Goal:   entering a scope twice, leaving one that is not the innermost, leaving one twice, and
 *         entering one without a task abort with one line.
 * Method: each in a child.
 */
TEST(scope, misuse_aborts_with_one_line)
{
    EXPECT_DEATH(run(enters_twice), "bide: with_scope: this scope is already entered by 'main'");
    EXPECT_DEATH(run(leaves_out_of_order), "bide: a scope was left that is not the innermost");
    EXPECT_DEATH(run(leaves_twice), "bide: a scope was left that is not the innermost");
    EXPECT_DEATH(enters_outside(), "bide: with_scope was called outside of a task");
}

static async(int, nested_timeouts, int, depth)
{
    int err = 0;

    with_timeout (BIDE_MS(100 - depth))
        err = depth < 50 ? nested_timeouts(depth + 1) : bide_sleep(BIDE_SEC(1));
    return err;
}

static void nests_deep(void)
{
    CHECK_EQ(nested_timeouts(0), -ETIMEDOUT);
    CHECK_EQ(bide_now(), BIDE_MS(50));
    CHECK_EQ(bide_sleep(BIDE_SEC(1)), 0);
}

/*
 * Goal:   scopes nest deeply, over calls.
 * Method: fifty-one of them, the innermost being the nearest.
 */
TEST(scope, fifty_scopes_nest)
{
    run(nests_deep);
}
