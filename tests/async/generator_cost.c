/* SPDX-License-Identifier: MIT */
/*
 * generator_cost.c - what a step of a generator costs, and what it costs the others.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

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

static int inside; /* bodies that have begun and not ended */

static void leaves(int *count)
{
    --*count;
}

/* First in a body that is to be counted. */
#define ENTER()                                                                                    \
    ++inside;                                                                                      \
    defer(leaves, &inside)

static void run_seeded(void (*body)(void), uint64_t seed)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(call_body, &body, seed, &options), 0);
    if (seen.count != 0)
        CHECK_STR(seen.kept[0].message, "");
    CHECK_EQ(inside, 0);
}

static void run(void (*body)(void))
{
    run_seeded(body, 0);
}

static bide_stats stats_now(void)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    return stats;
}

static generator(int, counts, int, from, int, to)
{
    ENTER();
    for (int n = from; n < to; n++)
        yield_value(n);
}

/* 0, 1, 2 ... for ever, with a sleep before each n-th. */
static generator(int, naps, int, every, bide_time, time)
{
    ENTER();
    for (int n = 0;; n++) {
        if (every != 0 && n % every == every - 1)
            bide_sleep(time);
        yield_value(n);
    }
}

/* Owns what it reads from. */
static generator(int, adds_one, gen(int), from)
{
    ENTER();
    for_each (v, from)
        yield_value(v + 1);
}

static gen(int) pipeline(gen(int) g, int stages)
{
    for (int i = 0; i < stages; i++)
        g = generate(adds_one, g);
    return g;
}

static bool is_over;
static int turns_of_bystander;

static async(void, stands_by)
{
    for (; !is_over; turns_of_bystander++)
        bide_yield();
}

enum { MANY = 1000000 };

static void takes_many(gen(int) g, int count)
{
    for (int i = 0; i < count; i++)
        CHECK(gen_next(g, NULL));
}

static void counts_costs(void)
{
    gen(int) g = generate(naps, 0, 0);
    bide_stats before, after;
    task(void) bystander;

    takes_many(g, 1);
    bide_yield(); /* a turn's budget is whole */
    bide__fault_reset();
    before = stats_now();
    takes_many(g, 60);
    after = stats_now();
    CHECK_EQ(after.turns, before.turns);
    CHECK_EQ(after.polls, before.polls);
    takes_many(g, MANY);
    after = stats_now();
    CHECK(after.turns - before.turns >= MANY / 64);
    CHECK(after.turns - before.turns <= MANY / 62);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), 0);
    CHECK_EQ(bide__fault_system_calls(), 0);
    CHECK_EQ(after.tasks_spawned, before.tasks_spawned);

    bystander = spawn(stands_by);
    takes_many(g, MANY);
    is_over = true;
    await(bystander);
    CHECK(turns_of_bystander >= MANY / 64);
    gen_free(g);
}

/*
 * Goal:   a step costs no allocation, no system call and no turn of the loop, but whoever takes a
 *         million values at once lets the others run every 64.
 * Method: count all of them, and a bystander's turns.
 */
TEST(generator, steps_cost_no_turn_and_starve_nobody)
{
    run(counts_costs);
}

static async(void, ends_it, bide_time, time)
{
    CHECK_EQ(bide_sleep(time), 0);
    is_over = true;
}

static int takes_until_over(void *unused)
{
    task(void) timer = spawn(ends_it, BIDE_MS(1));

    (void)unused;
    for_each (v, pipeline(generate(naps, 0, 0), 3))
        if (is_over)
            break;
    await(timer);
    return 0;
}

/*
 * Goal:   values without end starve no timer.
 * Method: on the real clock, take values until a sleeper says stop.
 */
TEST(generator, endless_values_starve_no_timer)
{
    CHECK_EQ(bide_run(takes_until_over, NULL, NULL), 0);
    CHECK_EQ(inside, 0);
}

static void reuses_stacks(void)
{
    const int rounds = TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND() ? 5000 : 100000;
    const int alive = TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND() ? 1000 : 10000;
    gen(int) *all = calloc((size_t)alive, sizeof *all);
    uint64_t made;
    int v = 0;

    gen_free(generate(counts, 0, 1));
    made = stats_now().stacks_made;
    for (int i = 0; i < rounds; i++) {
        gen(int) g = generate(counts, i, i + 2);
        for (int taken = 0; taken < i % 4; taken++)
            CHECK_EQ(gen_next(g, &v), taken < 2);
        gen_free(g);
    }
    CHECK_EQ(stats_now().stacks_made, made);
    for (int i = 0; i < alive; i++)
        CHECK((all[i] = generate(counts, i, i + 3)) != NULL);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < alive; i++) {
            CHECK(gen_next(all[i], &v));
            CHECK_EQ(v, i + round);
        }
    CHECK_EQ(inside, alive);
    for (int i = 0; i < alive; i++)
        gen_free(all[i * 7 % alive]);
    free(all);
    CHECK_EQ(stats_now().tasks_living, 1);
}

/*
 * Goal:   generators one after the other share one stack, and thousands may live at once.
 * Method: 100,000 left in every state; 10,000 asked in turn and freed in another order.
 */
TEST(generator, stacks_are_reused_and_many_may_live)
{
    run(reuses_stacks);
}
