/* SPDX-License-Identifier: MIT */
/*
 * generator_misuse.c - every wrong way to use a generator, and what the loop then says and does.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>

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

static async(int, asks, gen(int), g)
{
    int v = -1;

    return gen_next(g, &v) ? v : -1;
}

static void sleeps_shielded(int *result)
{
    with_shield (BIDE_SEC(1))
        *result = bide_sleep(BIDE_MS(5));
}

static int shielded_sleep;

static generator(int, cleans_slowly)
{
    ENTER();
    defer(sleeps_shielded, &shielded_sleep);
    yield_value(1);
    yield_value(2);
}

static async(int, frees_given, gen(int), g)
{
    gen_free(g);
    return bide_canceled();
}

static gen(int) shared;

static void two_ask(void)
{
    shared = generate(naps, 1, BIDE_SEC(1));
    go(asks, shared);
    bide_yield();
    gen_next(shared, NULL);
}

static void frees_asked(void)
{
    shared = generate(naps, 1, BIDE_SEC(1));
    go(asks, shared);
    bide_yield();
    gen_free(shared);
}

static void frees_twice_at_once(void)
{
    shared = generate(cleans_slowly);
    gen_next(shared, NULL);
    go(frees_given, shared);
    bide_test_settle();
    gen_free(shared);
}

static void calls(void (**misuse)(void))
{
    (*misuse)();
}

static generator(int, is_its_own, __typeof__(void (*)(void)), misuse, bool, in_cleanup)
{
    if (!in_cleanup)
        misuse();
    with_timeout (BIDE_MS(1)) {
        defer(calls, &misuse);
        yield_value(1);
    }
}

static void asks_shared(void)
{
    gen_next(shared, NULL);
}

static void frees_shared(void)
{
    gen_free(shared);
}

static void asks_itself(void)
{
    shared = generate(is_its_own, asks_shared, false);
    gen_next(shared, NULL);
}

static void frees_itself(void)
{
    shared = generate(is_its_own, frees_shared, false);
    gen_next(shared, NULL);
}

static void asks_itself_unasked(void)
{
    shared = generate(is_its_own, asks_shared, true);
    gen_next(shared, NULL);
    bide_sleep(BIDE_MS(2));
}

static void frees_itself_unasked(void)
{
    shared = generate(is_its_own, frees_shared, true);
    gen_next(shared, NULL);
    bide_sleep(BIDE_MS(2));
}

static void asks_freed(void)
{
    shared = generate(naps, 0, 0);
    gen_free(shared);
    gen(int) next = generate(naps, 0, 0); /* in the same control block */
    CHECK(next != shared);
    gen_next(shared, NULL);
}

static void frees_freed(void)
{
    shared = generate(naps, 0, 0);
    gen_free(shared);
    gen_free(shared);
}

static void asks_null(void)
{
    gen_next((gen(int))NULL, NULL);
}

static struct bide__generator *lent;

static generator(int, borrows)
{
    int v = 1;

    bide__generator_yield(lent, &v);
    yield_value(v);
}

static generator(int, lends)
{
    lent = bide__generator_;
    for_each (v, generate(borrows))
        yield_value(v);
}

static void yields_astray(void)
{
    gen_next(generate(lends), NULL);
}

static generator(int, lends_out)
{
    lent = bide__generator_;
    yield_value(1);
}

static void yields_from_task(void)
{
    int v = 2;

    gen_next(generate(lends_out), NULL);
    bide__generator_yield(lent, &v);
}

static void generates_outside(void)
{
    (void)generate(naps, 0, 0);
}

/*
 * Goal:   each mistake aborts with one line that says what and where, in release builds too.
 * Method: every one in a child.
 */
TEST(generator_misuse, misuse_aborts_with_one_line)
{
    EXPECT_DEATH(run(two_ask), "in two_ask(): task 'naps' #2");
    EXPECT_DEATH(run(two_ask), "is running: its values go to one task at a time");
    EXPECT_DEATH(run(frees_asked), "bide: gen_free: task 'naps' #2");
    EXPECT_DEATH(run(frees_twice_at_once), "bide: gen_free: task 'cleans_slowly' #2");
    EXPECT_DEATH(run(asks_itself), "in asks_shared(): task 'is_its_own' #2");
    EXPECT_DEATH(run(frees_itself), "bide: gen_free: task 'is_its_own' #2");
    EXPECT_DEATH(run(asks_itself_unasked), "in asks_shared(): task 'is_its_own' #2");
    EXPECT_DEATH(run(frees_itself_unasked), "bide: gen_free: task 'is_its_own' #2");
    EXPECT_DEATH(run(asks_freed), "in asks_freed(): this generator was already freed");
    EXPECT_DEATH(run(frees_freed), "bide: gen_free: this generator was already freed");
    EXPECT_DEATH(run(asks_null), "in asks_null(): the generator is NULL");
    EXPECT_DEATH(run(yields_astray), "another generator than the running one, which is task 'bor");
    EXPECT_DEATH(run(yields_from_task), "another generator than the running one, which is task 'm");
    EXPECT_DEATH(generates_outside(), "bide: generate was called outside of a task");
    EXPECT_DEATH(asks_shared(), "bide: gen_next was called outside of a task");
    EXPECT_DEATH((shared = (gen(int))(uintptr_t)64, frees_shared()), "outside of a task");
}

static int forgets(void *unused)
{
    gen(int) between = generate(cleans_slowly), ended = generate(counts, 0, 0);

    (void)unused;
    (void)generate(naps, 0, 0);
    shielded_sleep = 1;
    CHECK(gen_next(between, NULL) && !gen_next(ended, NULL));
    return 0;
}

/*
 * Goal:   generators that nobody frees are unwound at the loop's end, and each is reported.
 * Method: forget one that has not begun, one between two values, one at its end.
 */
TEST(generator_misuse, forgotten_ones_unwind_and_are_reported)
{
    static const char *const names[] = {"cleans_slowly", "counts", "naps"};
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(forgets, NULL, 0, &options), 0);
    CHECK_EQ(inside, 0);
    CHECK_EQ(shielded_sleep, 0);
    CHECK_EQ(seen.count, 3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(seen.kept[i].kind, BIDE_REPORT_NOT_AWAITED);
        CHECK_STR(seen.kept[i].task, names[i]);
        CHECK_CONTAINS(seen.kept[i].message, "gen_free");
    }
}

static int sum_at_end;

static generator(int, begins)
{
    sum_at_end += 1000;
    yield_value(1);
}

static async(void, is_there_at_the_end)
{
    gen(int) g = generate(naps, 1, BIDE_SEC(3600));

    CHECK(!gen_next(g, NULL));
    CHECK_EQ(bide_canceled(), -ECANCELED);
    gen_free(g);
    gen_free(generate(begins));
    for_each (v, generate(begins))
        sum_at_end += 100;
    with_shield (BIDE_SEC(1))
        for_each (v, generate(counts, 1, 3))
            sum_at_end += v;
}

static void ends_around_consumers(void)
{
    sum_at_end = 0;
    go(is_there_at_the_end);
    go(is_there_at_the_end);
    bide_test_settle();
}

/*
 * Goal:   the loop's end ends a consumer that waits in gen_next. The bodies of generators that are
 *         made after that do not begin, except under a shield, and can be freed.
 * Method: two detached consumers, 50 seeds.
 */
TEST(generator_misuse, loop_end_comes_through_to_consumers)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        run_seeded(ends_around_consumers, seed);
        CHECK_EQ(sum_at_end, 6);
    }
}

static bide_event never = BIDE_EVENT_INIT;

static generator(int, waits_for_ever)
{
    ENTER();
    CHECK_EQ(bide_event_wait(&never), -ECANCELED);
}

static void deadlocks(void)
{
    CHECK(!gen_next(shared = generate(waits_for_ever), NULL));
    CHECK_EQ(bide_canceled(), -ECANCELED);
    gen_free(shared);
}

/*
 * Goal:   a deadlock names the consumer, what it asks and where, and the body and what it waits in.
 * Method: a body that waits for an event that nobody sets.
 */
TEST(generator_misuse, deadlock_names_both_sides)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    void (*body)(void) = deadlocks;

    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), -EDEADLK);
    CHECK_EQ(seen.count, 3);
    CHECK_CONTAINS(seen.kept[1].message, "#1 (the first) sleeps in gen_next of task 'waits_for_e");
    CHECK_CONTAINS(seen.kept[1].message, "in deadlocks()");
    CHECK_CONTAINS(seen.kept[2].message, "task 'waits_for_ever' #2");
    CHECK_CONTAINS(seen.kept[2].message, "event");
    CHECK_EQ(inside, 0);
}
