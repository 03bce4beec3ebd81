/* SPDX-License-Identifier: MIT */
/*
 * combine_order.c - waiting for several in any order of events: cancels at every point, other
 * owners, chance.
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

static void run_seeded(void (*body)(void), uint64_t seed)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(call_body, &body, seed, &options), 0);
    CHECK_STR(seen.count > 0 ? seen.kept[0].message : "", ""); /* nothing was left over */
}

static void check_alone(void)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_living, 1);
    CHECK_EQ(stats.stacks_pooled, stats.stacks_made - 1);
}

static int begun, ended; /* bodies: of all that are begun, all have to end */

static async(int, yields, int, turns, int, result)
{
    int err = 0;

    begun++;
    for (int i = 0; i < turns && err == 0; i++)
        err = bide_yield();
    ended++;
    return err < 0 ? err : result;
}

static async(int, yields_stubbornly, int, turns, int, result)
{
    begun++;
    for (int i = 0; i < turns; i++)
        with_shield (BIDE_SEC(1))
            bide_yield();
    ended++;
    return result;
}

static async(int, naps, bide_time, timeout, bide_time, cleanup, int, result)
{
    begun++;
    int err = bide_sleep(timeout);
    if (cleanup > 0)
        with_shield (BIDE_SEC(1))
            bide_sleep(cleanup);
    ended++;
    return err < 0 ? err : result;
}

static async(int, awaits, task(int), t)
{
    return await(t);
}

static async(int, awaits_any, task(int), a, task(int), b)
{
    return await_any(a, b);
}

static void shares_tasks(void)
{
    for (int k = 0; k < 3; k++) {
        task(int) a = spawn(naps, 4, 0, 1), b = spawn(naps, 4, 0, 2);
        task(int) owner = spawn(awaits, a);
        task(int) other = spawn(awaits_any, b, a);
        bide_sleep(1); /* all have begun */
        if (k == 0) {
            int first = await_any(a, b);
            CHECK(first == 0 || first == 1);
            if (first == 1)
                bide_sleep(1); /* `a` is its owner's */
        } else if (k == 1) {
            CHECK_EQ(await_all(a, b), 0);
        } else {
            with_timeout (0)
                CHECK_EQ(await_all(a, b), 0); /* cancels them, whoever owns them */
        }
        CHECK_EQ(await(owner), k == 2 ? -ECANCELED : 1);
        int index = await(other);
        CHECK(index == 0 || index == 1);
        CHECK_EQ(await(b), k == 2 ? -ECANCELED : 2);
        check_alone();
    }
}

/*
 * Goal:   await_any and await_all look on, while another task awaits one of the handles, takes its
 *         result and frees it, and a third one looks on as well.
 * Method: each, under many seeds; the freed task must not be looked at again (ASan, valgrind).
 */
TEST(combine_order, another_owner_takes_the_result_meanwhile)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        run_seeded(shares_tasks, seed);
}

static async(int, detaches, task(int), t)
{
    return detach(t);
}

static void detaches_meanwhile(void)
{
    task(int) a = spawn(yields, 3, 1), b = spawn(yields, 6, 2);
    task(int) giver = spawn(detaches, a);

    int first = await_any(b, a);
    CHECK(first == 0 || first == 1);
    CHECK_EQ(await(giver), 0);
    CHECK_EQ(await(b), 2);
    bide_sleep(1);
    check_alone();
}

/*
 * Goal:   a task that is detached while await_any looks on still counts.
 * Method: detach the quicker of two.
 */
TEST(combine_order, detached_meanwhile_still_counts)
{
    run_seeded(detaches_meanwhile, 0);
}

enum call { ANY, ALL, RACE };
static enum call combined;
static int turns_to_cancel;

struct scene {
    task(int) a, b, c;
    future(int) f, mine; /* two shares of one future */
    int winner;
};

static int combine(const struct scene *scene)
{
    switch (combined) {
    case ANY: return await_any(scene->a, scene->b, scene->f, scene->c);
    case ALL: return await_all(scene->a, scene->b, scene->c);
    default: return race(scene->a, scene->b, scene->f, scene->c);
    }
}

static void settle(task(int) t)
{
    int result = await(t);

    CHECK(result == -ECANCELED || (result >= 1 && result <= 3));
}

static async(int, combines, struct scene *, scene)
{
    int result;

    scene->a = spawn(yields, 5, 1);
    scene->b = spawn(yields_stubbornly, 7, 2);
    scene->c = spawn(yields, 6, 3);
    result = combine(scene);
    CHECK(result == -ECANCELED || (result >= 0 && result <= 3));
    if (combined != RACE) {
        settle(scene->a);
        settle(scene->b);
        settle(scene->c);
        detach(scene->f);
    } else if (result == 2) {
        CHECK_EQ(await(scene->f), 9);
    } else if (result >= 0) {
        task(int) const all[] = {scene->a, scene->b, NULL, scene->c};
        settle(all[result]);
    }
    scene->winner = result;
    return result;
}

static async(void, sets_late, future(int), f, int, turns)
{
    for (int i = 0; i < turns; i++)
        bide_yield();
    future_set(f, 9); /* the other share keeps it */
}

static int outcomes[5];

static void cancels_at_turn(void)
{
    struct scene scene = {.winner = 99};

    begun = ended = 0;
    scene.f = future_new(int);
    scene.mine = future_share(scene.f);
    task(void) setter = spawn(sets_late, scene.f, turns_to_cancel % 7 + 3);
    task(int) t = spawn(combines, &scene);
    for (int i = 0; i < turns_to_cancel && !is_done(t); i++)
        bide_yield();
    cancel(t);
    int result = await(t);
    CHECK_EQ(result, scene.winner);
    await(setter);
    CHECK_EQ(await(scene.mine), 9);
    CHECK_EQ(future_set(scene.mine, 1), -ECANCELED); /* both shares are spent */
    CHECK_EQ(begun, ended);
    CHECK_EQ(begun, 3);
    outcomes[result < 0 ? 4 : result]++;
    check_alone();
}

/*
 * Goal:   a cancel at any point of any of the three loses and leaks nothing: each task that began
 *         ended, each share is spent, all stacks are back.
 * Method: cancel after k turns for every k until long after the end, under several seeds. One of
 *         the tasks ignores its cancel, a future is set at about that time too.
 */
TEST(combine_order, cancel_at_every_turn_leaks_nothing)
{
    for (int call = 0; call < 3; call++) {
        memset(outcomes, 0, sizeof outcomes);
        for (turns_to_cancel = 0; turns_to_cancel < 24; turns_to_cancel++)
            for (uint64_t seed = 0; seed < 20; seed++) {
                combined = (enum call)call;
                run_seeded(cancels_at_turn, seed);
            }
        CHECK(outcomes[0] > 0);
        if (combined != ALL) /* with tasks only, all of them end */
            CHECK(outcomes[4] > 0 && outcomes[2] > 0);
    }
}

static async(int, joins, struct scene *, scene)
{
    return await_all(scene->a);
}

static struct scene ring;

static async(int, waits_for_who_waits)
{
    return await(ring.b);
}

static void waits_in_a_ring(void)
{
    ring.a = spawn(waits_for_who_waits);
    ring.b = spawn(joins, &ring);
    bide_sleep(1);
    CHECK(await(ring.a) < 0);
}

/*
 * Goal:   a ring of waits that goes through a combination does not hang: it is found when it closes
 *         or when all tasks sleep, and is reported.
 * Method: a task awaits one that waits with await_all for the first.
 */
TEST(combine_order, ring_through_a_combination_is_reported)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    void (*body)(void) = waits_in_a_ring;

    int result = bide_test_run(call_body, &body, 0, &options);
    CHECK(result == 0 || result == -EDEADLK);
    CHECK(reports_of(&seen, BIDE_REPORT_DEADLOCK) > 0);
}

static int turns_of_others;

static async(int, counts_turns)
{
    while (bide_yield() == 0)
        turns_of_others++;
    return 0;
}

static void asks_again_and_again(void)
{
    task(int) t = spawn(yields, 0, 1);
    future(int) f = future_new(int);

    bide_sleep(1);
    task(int) other = spawn(counts_turns);
    for (int call = 0; call < 3; call++) {
        turns_of_others = 0;
        for (int i = 0; i < 1000; i++) {
            combined = (enum call)call;
            CHECK_EQ(combined == ANY   ? await_any(f, t)
                     : combined == ALL ? await_all(t)
                                       : race(t),
                     combined == ANY);
        }
        CHECK(turns_of_others > 0);
    }
    cancel(other);
    CHECK_EQ(await(other), 0);
    CHECK_EQ(await(t), 1);
    detach(f);
}

/*
 * Goal:   who asks for what has ended already, over and over, keeps nobody from running.
 * Method: a thousand times with each of the three, beside a task that counts its turns.
 */
TEST(combine_order, ended_ones_spend_of_the_budget)
{
    run_seeded(asks_again_and_again, 0);
}

enum { TASKS = 8 };

static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % bound;
}

static task(int) nap(int result)
{
    return spawn(naps, (bide_time)random_below(6), (bide_time)random_below(4), result);
}

static async(int, combines_naps, int, depth)
{
    task(int) a = nap(1), b = nap(2);
    task(int) c = depth > 0 ? spawn(combines_naps, depth - 1) : nap(3);
    int result = -1;

    with_timeout (random_below(2) == 0 ? BIDE_FOREVER : (bide_time)random_below(8)) {
        switch (random_below(3)) {
        case 0:
            result = race(a, b, c);
            if (result >= 0) {
                task(int) const all[] = {a, b, c};
                await(all[result]);
            }
            break;
        case 1:
            CHECK_EQ(await_all(a, b, c), 0);
            CHECK(is_done(a) && is_done(b) && is_done(c));
            result = await(a) + await(b) + await(c);
            break;
        default:
            result = await_any(c, b, a);
            CHECK(result < 0 || is_done(c) || is_done(b) || is_done(a));
            await(a);
            await(b);
            await(c);
            break;
        }
    }
    return result;
}

static int storms(void *arg)
{
    task(int) all[TASKS];

    (void)arg;
    for (int i = 0; i < TASKS; i++)
        all[i] = spawn(combines_naps, (int)random_below(4));
    for (int i = 0; i < TASKS; i++) {
        if (random_below(3) == 0)
            bide_sleep((bide_time)random_below(3));
        if (random_below(3) == 0)
            cancel(all[i]);
    }
    for (int i = 0; i < TASKS; i++)
        await(all[i]);
    CHECK_EQ(begun, ended);
    check_alone();
    return 0;
}

/*
 * Goal:   trees of combinations that are cancelled and timed out at random end, and leave nothing.
 * Method: 300 seeds; tasks that begin are counted against those that end, and stacks come back.
 */
TEST(combine_order, random_trees_leave_nothing)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        random_state = (uint32_t)(seed * 7919 + test_seed() * 31);
        begun = ended = 0;
        CHECK_EQ(bide_test_run(storms, NULL, seed, &options), 0);
        CHECK_STR(seen.count > 0 ? seen.kept[0].message : "", "");
    }
}
