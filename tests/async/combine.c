/* SPDX-License-Identifier: MIT */
/*
 * combine.c - waiting for several: who counts as first, what becomes of the others, and of a caller
 * that is cancelled.
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

static void run_seeded(void (*body)(void), uint64_t seed)
{
    struct reports seen = run_reported(body, seed, 0);

    CHECK_STR(seen.count > 0 ? seen.kept[0].message : "", ""); /* nothing was left over */
}

static void run(void (*body)(void))
{
    run_seeded(body, 0);
}

static void run_aloud(void (*body)(void))
{
    bide_test_run(call_body, &body, 0, NULL);
}

/* All tasks but the first have ended, and their stacks are back but for those with a result. */
static void check_kept(unsigned results)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_living, 1);
    CHECK_EQ(stats.stacks_pooled, stats.stacks_made - 1 - results);
}

static void check_alone(void)
{
    check_kept(0);
}

static async(int, sleeps, bide_time, timeout, int, result)
{
    int err = bide_sleep(timeout);

    return err < 0 ? err : result;
}

static async(double, halves, bide_time, timeout)
{
    bide_sleep(timeout);
    return 0.5;
}

static async(void, rests, bide_time, timeout)
{
    bide_sleep(timeout);
}

/* Cleans up under a shield before it obeys. */
static async(int, lingers, bide_time, timeout, bide_time, cleanup)
{
    int err = bide_sleep(timeout);

    with_shield (BIDE_SEC(10))
        bide_sleep(cleanup);
    return err < 0 ? err : 1;
}

static void waits_for_any(void)
{
    task(int) a = spawn(sleeps, 30, 1), b = spawn(sleeps, 10, 2);
    task(double) c = spawn(halves, 20);
    task(void) d = spawn(rests, 40);
    future(int) f = future_new(int);

    CHECK_EQ(await_any(a), 0);
    CHECK_EQ(bide_now(), 30);
    CHECK_EQ(await_any(f, d, a), 2); /* it has ended, and does so again */
    CHECK_EQ(await_any(f, d), 1);
    CHECK_EQ(bide_now(), 40);
    CHECK_EQ(await_any(d, c, b, a), 0); /* all have: the lowest index */
    CHECK_EQ(await_any(f, c, b, a, a), 1);
    CHECK_EQ(await(a), 1);
    CHECK_EQ(await(b), 2);
    CHECK(await(c) == 0.5);
    await(d);

    a = spawn(sleeps, 5, 3);
    CHECK_EQ(await_any(f, a), 1);
    CHECK_EQ(bide_now(), 45);
    future_set(f, 7);
    CHECK_EQ(await_any(a, f), 0);
    CHECK_EQ(await_any(f, a), 0);
    CHECK_EQ(await(f) + await(a), 10);
    check_alone();
}

#define SIXTEEN(t)                                                                                 \
    t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9], t[10], t[11], t[12], t[13], t[14], \
        t[15]

static void waits_for_sixteen(void)
{
    task(int) t[16];

    for (int i = 0; i < 16; i++)
        t[i] = spawn(sleeps, 20 - i, i);
    CHECK_EQ(await_any(SIXTEEN(t)), 15);
    CHECK_EQ(bide_now(), 5);
    CHECK_EQ(await_all(SIXTEEN(t)), 0);
    CHECK_EQ(bide_now(), 20);
    CHECK_EQ(await_any(SIXTEEN(t)), 0);
    for (int i = 0; i < 16; i++)
        CHECK_EQ(await(t[i]), i);
    for (int i = 0; i < 16; i++)
        t[i] = spawn(sleeps, 20 - i, i);
    CHECK_EQ(race(SIXTEEN(t)), 15);
    CHECK_EQ(bide_now(), 25);
    CHECK_EQ(await(t[15]), 15);
    check_alone();
}

/*
 * Goal:   await_any waits for the first of handles of any types, keeps them all, and of those that
 *         have ended already takes the lowest index; each of the three takes sixteen.
 * Method: tasks and futures that end at different times, in different places.
 */
TEST(combine, any_is_the_first_to_end)
{
    run(waits_for_any);
    run(waits_for_sixteen);
}

static void ends_at_once(void)
{
    task(int) a = spawn(sleeps, 10, 1), b = spawn(sleeps, 10, 2), c = spawn(sleeps, 10, 3);
    int i = await_any(a, b, c);

    CHECK(i >= 0 && i < 3);
    CHECK_EQ(bide_now(), 10);
    CHECK(i == 0 ? is_done(a) : i == 1 ? is_done(b) : is_done(c));
    CHECK_EQ(await_all(a, b, c), 0);
    CHECK_EQ(await(a) + await(b) + await(c), 6);

    a = spawn(sleeps, 10, 1);
    b = spawn(sleeps, 10, 2);
    i = race(a, b);
    CHECK(i == 0 || i == 1);
    CHECK_EQ(i == 0 ? await(a) : await(b), i + 1);
    check_alone();
}

/*
 * Goal:   when several end in one instant one of them wins, and no other is harmed.
 * Method: three sleepers to the same time, many seeds.
 */
TEST(combine, all_at_once)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        run_seeded(ends_at_once, seed);
}

static async(int, any_of, task(int), a, task(double), b, future(int), f)
{
    int first = await_any(a, b, f);

    CHECK_EQ(bide_canceled() != 0, first < 0);
    return first;
}

static void cancels_any(void)
{
    task(int) a = spawn(sleeps, 30, 1);
    task(double) b = spawn(halves, 20);
    future(int) f = future_new(int);
    task(int) caller = spawn(any_of, a, b, f);

    bide_sleep(5);
    cancel(caller);
    CHECK_EQ(await(caller), -ECANCELED);
    with_timeout (5) {
        CHECK_EQ(await_any(a, b, f), -ETIMEDOUT);
        CHECK_EQ(await_any(a, b, f), -ETIMEDOUT);
    }
    CHECK_EQ(bide_now(), 10);
    CHECK(!is_done(a) && !is_done(b) && !is_done(f)); /* they run on */
    CHECK_EQ(await_any(a, b, f), 1);
    CHECK_EQ(bide_now(), 20);
    CHECK_EQ(await(a), 1);
    CHECK(await(b) == 0.5);
    detach(f);
    check_alone();
}

/*
 * Goal:   a cancelled or timed-out await_any leaves the tasks and futures running.
 * Method: cancel its caller; a deadline around it, twice within.
 */
TEST(combine, cancelled_any_leaves_them_running)
{
    run(cancels_any);
}

static async(int, all_of, task(int), a, task(int), b)
{
    return await_all(a, b);
}

static async(int, all_of_three, task(int), a, task(int), b, future(int), f)
{
    return await_all(a, b, f);
}

static void waits_for_all(void)
{
    task(int) a = spawn(sleeps, 30, 1), b = spawn(lingers, 100, 4);
    future(int) f = future_new(int);

    CHECK_EQ(await_all(a), 0);
    CHECK_EQ(await_all(a, a), 0);
    CHECK_EQ(bide_now(), 30);
    CHECK_EQ(await(a), 1);

    a = spawn(sleeps, 100, 1);
    task(int) caller = spawn(all_of, a, b);
    bide_sleep(10);
    cancel(caller);
    CHECK_EQ(await(caller), 0); /* all have ended: what became of them their results say */
    CHECK_EQ(bide_now(), 44);
    CHECK(is_done(a) && is_done(b));
    CHECK_EQ(await(a), -ECANCELED);
    CHECK_EQ(await(b), -ECANCELED);

    a = spawn(sleeps, 100, 1);
    b = spawn(lingers, 100, 4);
    caller = spawn(all_of_three, a, b, f);
    bide_yield();
    cancel(caller);
    CHECK_EQ(await(caller), -ECANCELED); /* the future has not */
    CHECK_EQ(bide_now(), 48);
    CHECK(!is_done(f));
    CHECK_EQ(await(a), -ECANCELED);
    CHECK_EQ(await(b), -ECANCELED);

    a = spawn(sleeps, 10, 1);
    with_timeout (5) {
        CHECK_EQ(await_all(f, a), -ETIMEDOUT);
        CHECK_EQ(bide_now(), 53);
        CHECK(is_done(a) && !is_done(f));
        CHECK_EQ(await_all(a), 0); /* nothing to wait for */
        b = spawn(sleeps, 10, 1);
        CHECK_EQ(await_all(a, b), 0); /* cancelled at once */
    }
    CHECK_EQ(bide_now(), 53);
    CHECK_EQ(await(a), -ECANCELED);
    CHECK_EQ(await(b), -ECANCELED);
    future_set(f, 1);
    CHECK_EQ(await_all(f, f), 0);
    CHECK_EQ(await(f), 1);
    check_alone();
}

/*
 * Goal:   await_all waits for all; when it is cancelled it cancels the tasks, still waits for them,
 *         and says so only when a future is open.
 * Method: a cancel, a deadline, with a task that cleans up for a while; with a future and without.
 */
TEST(combine, cancelled_all_passes_the_cancel_on)
{
    run(waits_for_all);
}

static void races(void)
{
    task(int) a = spawn(sleeps, 30, 1), b = spawn(sleeps, 10, 2);
    task(double) c = spawn(halves, 20);
    task(void) d = spawn(rests, 40);

    CHECK_EQ(race(a, b, c, d), 1);
    CHECK_EQ(bide_now(), 10);
    check_kept(1); /* the losers are gone, the winner's result is kept */
    CHECK_EQ(await(b), 2);

    CHECK_EQ(race(a = spawn(sleeps, 5, 3)), 0);
    CHECK_EQ(await(a), 3);
    CHECK_EQ(bide_now(), 15);

    a = spawn(sleeps, 0, 1);
    b = spawn(sleeps, 0, 2);
    bide_sleep(1);
    CHECK_EQ(race(b, a), 0); /* both have ended */
    CHECK_EQ(await(b), 2);

    a = spawn(sleeps, 20, 1);
    b = spawn(lingers, 20, 7);
    c = spawn(halves, 3);
    CHECK_EQ(race(a, b, c), 2);
    CHECK_EQ(bide_now(), 26); /* waited for the loser's cleanup */
    CHECK(await(c) == 0.5);
    check_alone();
}

static void races_futures(void)
{
    future(int) f = future_new(int), g = future_new(int), own = future_share(g);
    task(int) a = spawn(sleeps, 10, 1);

    CHECK_EQ(race(f, a, g), 1);
    CHECK_EQ(await(a), 1);
    CHECK_EQ(future_set(f, 1), -ECANCELED); /* its share was the only one */
    CHECK(!is_done(own));
    CHECK_EQ(future_set(own, 5), 0);
    f = future_new(int);
    a = spawn(lingers, 10, 2);
    CHECK_EQ(race(f, a, own), 2);
    CHECK_EQ(bide_now(), 12);
    CHECK_EQ(await(own), 5);
    f = future_new(int);
    future_fail(f, -EIO);
    CHECK_EQ(race(f), 0);
    CHECK_EQ(await(f), -EIO);
    check_alone();
}

/*
 * Goal:   race takes the first to end; the others are cancelled, waited for and gone: no stack and
 *         no report is left of them. Of futures it gives the shares up.
 * Method: handles of several types; one that cleans up for a while; shared and unshared futures.
 */
TEST(combine, race_ends_the_losers)
{
    run(races);
    run(races_futures);
}

static future(int) shared;

static async(int, races_two, bide_time, cleanup)
{
    task(int) a = spawn(sleeps, 100, 1), b = spawn(lingers, 100, cleanup);
    int err = race(a, b, shared);

    CHECK(err < 0);
    return err;
}

static void cancels_races(void)
{
    shared = future_new(int);
    (void)future_share(shared);
    (void)future_share(shared);
    task(int) t = spawn(races_two, 5);
    bide_sleep(10);
    cancel(t);
    CHECK_EQ(await(t), -ECANCELED);
    CHECK_EQ(bide_now(), 15);
    check_alone();

    with_timeout (10) {
        CHECK_EQ(races_two(3), -ETIMEDOUT);
        CHECK_EQ(bide_now(), 28);
        CHECK_EQ(races_two(0), -ETIMEDOUT); /* at once */
    }
    CHECK_EQ(bide_now(), 28);
    CHECK_EQ(future_set(shared, 1), -ECANCELED); /* three shares, three races */
    check_alone();

    task(int) a = spawn(sleeps, 0, 4), b = spawn(sleeps, 5, 5);
    bide_sleep(1);
    bide_scope scope = BIDE_SCOPE_INIT;
    bide_scope_cancel(&scope);
    with_scope (&scope)
        CHECK_EQ(race(b, a), 1); /* it has a winner without waiting */
    CHECK_EQ(await(a), 4);
    CHECK_EQ(bide_now(), 29);
    check_alone();
}

/*
 * Goal:   a race whose caller is cancelled cancels all, waits for them, and leaves nothing.
 * Method: a cancel, a deadline, a scope that had fired before; with a cleanup, with shares.
 */
TEST(combine, cancelled_race_leaves_nothing)
{
    run(cancels_races);
}

static task(int) first_one;

static async(int, all_of_itself)
{
    task(int) other = spawn(sleeps, 1, 1);

    CHECK_EQ(await_any(other, first_one), -EDEADLK);
    CHECK_EQ(await_all(first_one, other), -EDEADLK);
    CHECK_EQ(race(other, first_one), -EDEADLK);
    CHECK_EQ(await(other), 1); /* all handles stay */
    return 5;
}

static async(int, all_of_its_owner)
{
    CHECK_EQ(await_any(first_one), -EDEADLK);
    CHECK_EQ(await_all(first_one), -EDEADLK);
    CHECK_EQ(race(first_one), -EDEADLK);
    return 6;
}

static async(int, owns)
{
    return await(spawn(all_of_its_owner));
}

static void closes_cycles(void)
{
    first_one = spawn(all_of_itself);
    bide_sleep(2);
    CHECK_EQ(await(first_one), 5);
    first_one = spawn(owns);
    bide_sleep(2);
    CHECK_EQ(await(first_one), 6);
}

/*
 * Goal:   a wait that could never end is refused with -EDEADLK and reported; no handle is touched.
 * Method: all three with the caller among the handles, and with a task that awaits the caller.
 */
TEST(combine, wait_for_oneself_is_edeadlk)
{
    struct reports seen = run_reported(closes_cycles, 0, 0);

    CHECK_EQ(seen.count, 6);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 6);
    CHECK_CONTAINS(seen.kept[0].message, "task 'all_of_itself' #2");
    CHECK_CONTAINS(seen.kept[0].message, "would wait for itself");
    CHECK_CONTAINS(seen.kept[0].message, "'await_any' at ");
    CHECK_CONTAINS(seen.kept[4].message, "task 'owns' #");
    for (int i = 0; i < 6; i++)
        CHECK_EQ(seen.kept[i].error, -EDEADLK);
}

static void any_of_null(void)
{
    task(int) t = NULL;

    await_any(spawn(sleeps, 0, 1), t);
}

static void all_of_spent(void)
{
    task(int) t = spawn(sleeps, 0, 1);

    await(t);
    await_all(t);
}

static void race_of_detached(void)
{
    task(int) t = spawn(sleeps, 0, 1);

    detach(t);
    race(t);
}

static void race_of_one_twice(void)
{
    task(int) t = spawn(sleeps, 1, 1);

    race(t, t);
}

static void race_of_ended_one_twice(void)
{
    task(int) t = spawn(sleeps, 0, 1);

    bide_sleep(1);
    race(t, t);
}

static void race_of_one_share_twice(void)
{
    future(int) f = future_new(int);

    race(f, f);
}

static async(int, awaits, task(int), t)
{
    return await(t);
}

static void race_of_awaited(void)
{
    task(int) t = spawn(sleeps, 1, 1);

    go(awaits, t);
    bide_yield();
    race(t);
}

static void race_of_awaited_future(void)
{
    future(int) f = future_new(int);

    go(awaits, f);
    bide_yield();
    race(f, spawn(sleeps, 1, 1));
    bide_yield();
}

static async(int, races_one, task(int), t)
{
    return race(t);
}

static void await_of_raced(void)
{
    task(int) t = spawn(sleeps, 1, 1);

    go(races_one, t);
    bide_yield();
    await(t);
}

/*
 * Goal:   each mistake aborts with one line that names the call.
 * Method: every one in a child.
 */
TEST(combine, misuse_aborts_with_one_line)
{
    EXPECT_DEATH(run_aloud(any_of_null), "in any_of_null(): the handle is NULL");
    EXPECT_DEATH(run_aloud(all_of_spent), "'await_all' at ");
    EXPECT_DEATH(run_aloud(all_of_spent), "in all_of_spent(): this handle is spent");
    EXPECT_DEATH(run_aloud(race_of_detached), "in race_of_detached(): this handle is spent");
    EXPECT_DEATH(run_aloud(race_of_one_twice), "bide: race at 'race' at ");
    EXPECT_DEATH(run_aloud(race_of_ended_one_twice), "bide: race at 'race' at ");
    EXPECT_DEATH(run_aloud(race_of_one_share_twice), "bide: race at 'race' at ");
    EXPECT_DEATH(run_aloud(race_of_awaited), "is already awaited by task 'awaits'");
    EXPECT_DEATH(run_aloud(race_of_awaited_future), "bide: race at 'race' at ");
    EXPECT_DEATH(run_aloud(await_of_raced), "is already awaited by task 'races_one'");
}
