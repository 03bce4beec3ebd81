/* SPDX-License-Identifier: MIT */
/*
 * generator_life.c - every way in which a generator ends.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static char notes[128];

static void note(const char *text)
{
    CHECK(strlen(notes) + strlen(text) < sizeof notes);
    strcat(notes, text);
}

static async(int, asks, gen(int), g)
{
    int v = -1;

    return gen_next(g, &v) ? v : -1;
}

static generator(int, cleans_up)
{
    char *room = malloc(100); /* LeakSanitizer sees it go, or not */

    note("begin ");
    defer(free, room);
    defer(note, "a ");
    with_scope (&(bide_scope)BIDE_SCOPE_INIT) {
        defer(note, "b ");
        yield_value(1);
        note("second ");
        yield_value(2);
    }
    note("end ");
}

static void frees(int after, const char *expected)
{
    gen(int) g = generate(cleans_up);

    notes[0] = '\0';
    for (int i = 0; i < after; i++)
        gen_next(g, NULL);
    gen_free(g);
    CHECK_STR(notes, expected);
    CHECK_EQ(stats_now().tasks_living, 1);
}

static void frees_everywhere(void)
{
    gen(int) none = NULL;

    gen_free(none);
    frees(0, "");
    frees(1, "begin b a ");
    frees(2, "begin second b a ");
    frees(3, "begin second b end a ");
    frees(9, "begin second b end a ");
}

/*
 * Goal:   gen_free unwinds the body from where it stands, defers last first, and a body that never
 *         began stays so; NULL is harmless, outside of a task as well.
 * Method: free after each number of values; compare what the body notes.
 */
TEST(generator_life, free_unwinds_from_every_state)
{
    gen(int) none = NULL;

    gen_free(none);
    run(frees_everywhere);
}

static void sleeps_shielded(int *result)
{
    with_shield (BIDE_SEC(1))
        *result = bide_sleep(BIDE_MS(5));
}

static int plain_sleep, shielded_sleep;

static void sleeps_plain(int *result)
{
    *result = bide_sleep(BIDE_MS(5));
}

static generator(int, cleans_slowly)
{
    ENTER();
    defer(sleeps_shielded, &shielded_sleep);
    defer(sleeps_plain, &plain_sleep);
    yield_value(1);
    yield_value(2);
}

static async(int, frees_given, gen(int), g)
{
    gen_free(g);
    return bide_canceled();
}

static void frees_slowly(bool is_canceled)
{
    bide_time start = bide_now();
    gen(int) g = generate(cleans_slowly);
    task(int) freer;

    shielded_sleep = plain_sleep = 1;
    CHECK(gen_next(g, NULL));
    freer = spawn(frees_given, g);
    bide_yield();
    CHECK_EQ(inside, 1);
    bide_test_settle();
    if (is_canceled)
        cancel(freer); /* heeded by neither: the body is waited for */
    CHECK_EQ(await(freer), is_canceled ? -ECANCELED : 0);
    CHECK_EQ(bide_now(), start + BIDE_MS(5));
    CHECK_EQ(plain_sleep, -ECANCELED);
    CHECK_EQ(shielded_sleep, 0);
}

static void frees_with_and_without_cancel(void)
{
    frees_slowly(false);
    frees_slowly(true);
}

/*
 * Goal:   gen_free waits for a body whose cleanup waits under a shield, and no cancel of who frees
 *         cuts that short.
 * Method: a defer that sleeps 5 ms shielded, and one that sleeps without; cancel meanwhile.
 */
TEST(generator_life, free_waits_for_shielded_cleanup)
{
    run(frees_with_and_without_cancel);
}

static generator(int, yields_shielded, bide_time, limit)
{
    ENTER();
    with_shield (limit) {
        bide_sleep(BIDE_MS(10));
        yield_value(1);
        yield_value(2);
    }
    yield_value(3);
}

static void frees_shielded(void)
{
    gen(int) g = generate(yields_shielded, BIDE_SEC(1));

    CHECK(gen_next(g, NULL));
    gen_free(g);
    CHECK_EQ(bide_now(), BIDE_MS(10));
    for_each (v, generate(yields_shielded, BIDE_FOREVER))
        break;
    CHECK_EQ(bide_now(), BIDE_MS(20));
}

/*
 * Goal:   a body that stands in yield_value inside of a shield is freed at once: nobody asks any
 *         more, so there is nothing to wait for.
 * Method: shields of a second and without a limit; look at the clock.
 */
TEST(generator_life, free_of_a_shielded_yield_waits_for_nothing)
{
    run(frees_shielded);
}

static void times_out(void)
{
    gen(int) g = generate(naps, 3, BIDE_SEC(1));
    int v = -1;

    with_timeout (BIDE_MS(5)) {
        CHECK(gen_next(g, &v) && gen_next(g, &v));
        CHECK_EQ(bide_canceled(), 0);
        CHECK(!gen_next(g, &v)); /* the body sleeps */
        CHECK_EQ(bide_canceled(), -ETIMEDOUT);
        CHECK(!gen_next(g, &v));
    }
    CHECK_EQ(bide_now(), BIDE_MS(5));
    CHECK_EQ(inside, 0);
    CHECK(!gen_next(g, &v));
    CHECK_EQ(v, 1);
    gen_free(g);
    g = pipeline(generate(naps, 1, BIDE_SEC(1)), 3);
    task(int) asker = spawn(asks, g);
    bide_test_settle();
    cancel(asker); /* through three that ask one another */
    CHECK_EQ(await(asker), -1);
    CHECK_EQ(bide_now(), BIDE_MS(5));
    CHECK_EQ(inside, 0);
    gen_free(g);
    with_timeout (BIDE_MS(5))
        for_each (n, generate(yields_shielded, BIDE_SEC(1)))
            v = n;
    CHECK_EQ(v, 2); /* it takes 10 ms: what is made under a shield still comes */
    CHECK_EQ(bide_now(), BIDE_MS(15));
}

/*
 * Goal:   a cancel or deadline of the consumer reaches a body that waits, through generators that
 *         ask generators, and stays with it; bide_canceled tells it from the end. What a body makes
 *         under a shield is handed over.
 * Method: a deadline, a cancel from outside, and a shield longer than the deadline.
 */
TEST(generator_life, cancel_goes_on_to_the_waiting_body)
{
    run(times_out);
}

static void asks_canceled(void)
{
    for (int before = 0; before < 200; before++) {
        gen(int) g = generate(naps, 0, 0);
        bide_scope scope = BIDE_SCOPE_INIT;
        int v = -1;

        with_scope (&scope) {
            for (int i = 0; i < before; i++)
                CHECK(gen_next(g, &v));
            bide_scope_cancel(&scope);
            if (before % 2 == 0)
                with_shield (BIDE_SEC(1))
                    CHECK(gen_next(g, &v) && v == before);
            CHECK(!gen_next(g, &v));
            CHECK(!gen_next(g, &v));
        }
        CHECK_EQ(v, before - (before % 2));
        CHECK_EQ(inside, 0);
        gen_free(g);
    }
    bide_scope fired = BIDE_SCOPE_INIT;
    bide_scope_cancel(&fired);
    notes[0] = '\0';
    with_scope (&fired)
        for_each (v, generate(cleans_up))
            note("value ");
    CHECK_STR(notes, "");
}

/*
 * Goal:   in a cancelled scope a body that has not begun does not run, one that stands between two
 *         values unwinds, and gen_next comes back, whatever is left of the turn's budget; a shield
 *         gives it one value more.
 * Method: cancel after 0 to 199 values.
 */
TEST(generator_life, asking_in_a_canceled_scope_ends_it)
{
    run(asks_canceled);
}

static task(int) victim; /* NULL once awaited */

static async(void, cancels_victim, int, turns)
{
    for (int i = 0; i < turns; i++)
        bide_yield();
    if (victim != NULL)
        cancel(victim);
}

/* Cancels the victim after so many turns, and returns its result. */
static int canceled_after(int turns)
{
    task(void) canceler = spawn(cancels_victim, turns);
    int result = await(victim);

    victim = NULL;
    await(canceler);
    return result;
}

enum { STAGES = 3, TAKEN_MOST = 150 };

/* Asks g through `reads`, which does not own it. */
static generator(int, reads, gen(int), g)
{
    int v;

    ENTER();
    while (gen_next(g, &v))
        yield_value(v);
}

static async(int, takes, int, every)
{
    gen(int) stages[STAGES] = {generate(naps, every, BIDE_MS(1))};
    int taken = 0, v;

    for (int i = 1; i < STAGES; i++)
        stages[i] = generate(reads, stages[i - 1]);
    for (; taken < TAKEN_MOST && gen_next(stages[STAGES - 1], &v); taken++)
        CHECK_EQ(v, taken);
    CHECK(taken == TAKEN_MOST || bide_canceled() != 0);
    for (int i = STAGES; i-- > 0;)
        gen_free(stages[i]);
    return taken;
}

static int cancel_after;

static void cancels_after(void)
{
    victim = spawn(takes, cancel_after % 2 == 0 ? 0 : 64);
    CHECK(canceled_after(cancel_after / 2) <= TAKEN_MOST);
    CHECK_EQ(inside, 0);
    CHECK_EQ(stats_now().tasks_living, 1);
}

/* Asks until a body that sleeps for an hour, after `count` values. */
static async(int, falls_asleep, int, count)
{
    int taken = 0;

    for_each (v, generate(naps, count + 1, BIDE_SEC(3600)))
        taken++;
    CHECK_EQ(bide_canceled(), -ECANCELED);
    return taken;
}

static void cancels_between_turns(void)
{
    for (int count = 0; count < 200; count++) {
        victim = spawn(falls_asleep, count);
        CHECK(canceled_after(count / 70) <= count);
        CHECK_EQ(bide_now(), 0);
    }
}

/*
 * Goal:   a cancel at any moment ends consumer and generators, values stay in order until then, and
 *         nothing is left; one that comes in the turn that the budget grants to others is not lost.
 * Method: a chain of three, cancelled after every number of turns, under 20 seeds; a body that goes
 *         to sleep for an hour after 0 to 199 values, cancelled before: no time may pass.
 */
TEST(generator_life, cancel_after_any_turn_leaks_nothing)
{
    for (cancel_after = 0; cancel_after < 60; cancel_after++)
        for (uint64_t seed = 0; seed < 20; seed++)
            run_seeded(cancels_after, seed);
    for (uint64_t seed = 0; seed < 20; seed++)
        run_seeded(cancels_between_turns, seed);
}

static generator(int, limits_itself)
{
    ENTER();
    with_timeout (BIDE_MS(5))
        for (int n = 0;; n++)
            yield_value(n);
}

static task(int) consumer;

static generator(int, awaits_consumer)
{
    yield_value(await_for(consumer, BIDE_SEC(1), NULL));
    cancel(consumer);
    CHECK_EQ(bide_canceled(), -ECANCELED); /* it goes on to us */
    yield_value(0);
    note("not reached ");
}

static async(int, is_awaited)
{
    int result = 0;

    for_each (v, generate(awaits_consumer))
        result = v;
    return result;
}

static void acts_on_consumer(void)
{
    gen(int) g = generate(limits_itself);
    int v = -1;

    CHECK(gen_next(g, &v) && gen_next(g, &v));
    bide_sleep(BIDE_MS(6));
    CHECK_EQ(inside, 0); /* its own deadline, while nobody asked */
    CHECK(!gen_next(g, &v));
    CHECK_EQ(v, 1);
    gen_free(g);
    consumer = spawn(is_awaited);
    CHECK_EQ(await(consumer), -EDEADLK);
    CHECK_STR(notes, "");
}

/*
 * Goal:   a body's own deadline around its values ends it, also while nobody asks; a body that
 *         awaits who asks it is told of the cycle; one that cancels who asks it is cancelled too.
 * Method: one of each.
 */
TEST(generator_life, bodies_limit_themselves_and_act_on_their_consumer)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    void (*body)(void) = acts_on_consumer;

    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), 0);
    CHECK_EQ(seen.count, 3);
    CHECK_CONTAINS(seen.kept[1].message, "task 'is_awaited'");
    CHECK_CONTAINS(seen.kept[1].message, "awaits awaits_consumer at 'gen_next' at ");
}

static uint64_t storm_state;

static int random_below(int bound)
{
    storm_state = storm_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((storm_state >> 33) % (uint64_t)bound);
}

static async(int, breaks_off, int, after)
{
    int taken = 0;

    for_each (v,
              pipeline(generate(naps, 1 + random_below(90), BIDE_MS(random_below(3))), after % 4))
        if (++taken >= after)
            return taken;
    return -1;
}

static void storms(void)
{
    task(int) tasks[8];

    for (int i = 0; i < 8; i++)
        tasks[i] = i % 2 == 0 ? spawn(takes, 1 + random_below(90))
                              : spawn(breaks_off, 1 + random_below(150));
    for (int i = 0; i < 4; i++) {
        if (random_below(2) == 0)
            bide_yield();
        else
            bide_sleep(BIDE_MS(random_below(4)));
        /* Those of even index hold no generator that another one owns. */
        cancel(tasks[2 * random_below(4)]);
    }
    for (int i = 0; i < 8; i++)
        CHECK(i % 2 == 0 ? await(tasks[i]) >= 0 : await(tasks[i]) > 0);
    CHECK_EQ(inside, 0);
    CHECK_EQ(stats_now().tasks_living, 1);
}

/*
 * Goal:   consumers that finish, break off or are cancelled leave nothing and disturb nobody.
 * Method: eight of them with their chains, sleeps and cancels drawn from the seed; 300 seeds.
 */
TEST(generator_life, random_ends_leave_nothing)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        storm_state = seed * test_seed();
        run_seeded(storms, seed);
    }
}
