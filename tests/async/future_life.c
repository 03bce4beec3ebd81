/* SPDX-License-Identifier: MIT */
/*
 * future_life.c - what becomes of futures: who is told of the end, what is left at the loop's end,
 * without memory, and in any order of events.
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

static struct reports run_reported(void (*body)(void), int result)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), result);
    return seen;
}

static void run_quiet(void (*body)(void))
{
    struct reports seen = run_reported(body, 0);

    CHECK_STR(seen.count > 0 ? seen.kept[0].message : "", "");
}

static void leaves_some_over(void)
{
    future(int) unset = future_new(int), set = future_new(int), shared = future_new(int);

    (void)unset;
    future_set(set, 1);
    future_set(shared, 1);
    for (int i = 0; i < 3; i++)
        (void)future_share(shared);
    await(shared);
    detach(shared);
    detach(future_new(int));
}

/*
 * Goal:   a future that somebody owns when the loop ends is reported, with the place where it was
 *         made and how many shares were left.
 * Method: one never set, one set, one with two of four shares; one that was detached.
 */
TEST(future_life, never_awaited_is_reported_at_the_loops_end)
{
    struct reports seen = run_reported(leaves_some_over, 0);
    int unset = 0, set = 0, shared = 0;

    CHECK_EQ(seen.count, 3);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_NOT_AWAITED), 3);
    for (int i = 0; i < 3; i++) {
        const char *text = seen.kept[i].message;
        CHECK_CONTAINS(text, "in leaves_some_over()");
        CHECK_STR(seen.kept[i].task, "future");
        unset += strstr(text, "never set, and 1 of its shares") != NULL;
        set += strstr(text, "fulfilled, and 1 of its shares") != NULL;
        shared += strstr(text, "fulfilled, and 2 of its shares") != NULL;
    }
    CHECK_EQ(unset, 1);
    CHECK_EQ(set, 1);
    CHECK_EQ(shared, 1);
}

static char calls[64];
static future(int) watched;

static void note(void *letter)
{
    char *end = calls + strlen(calls);

    end[0] = *(const char *)letter;
    end[1] = '\0';
}

static void note_state(void *handle)
{
    note(is_done(*(future(int) *)handle) ? "d" : "p");
    note(future_error(*(future(int) *)handle) == 0 ? "v" : "e");
}

static async(int, yields, int, turns)
{
    int err = 0;

    for (int i = 0; i < turns && err == 0; i++)
        err = bide_yield();
    return err;
}

static async(int, takes, future(int), f, char *, letter)
{
    int value = await(f);

    note(letter);
    return value;
}

static void tells_of_a_future(void)
{
    bide_callback a, b, c, late, seen;
    future(int) f = future_new(int);

    calls[0] = '\0';
    on_done(f, &a, note, "a");
    on_done(f, &b, note, "b");
    on_done(f, &c, note, "c");
    on_done(f, &seen, note_state, &f);
    bide_on_done_remove(&b);
    bide_on_done_remove(&b);
    CHECK_EQ(future_set(f, 1), 0);
    CHECK_STR(calls, "acdv"); /* in the setter, before it goes on */
    on_done(f, &late, note, "l");
    CHECK_STR(calls, "acdvl");
    bide_on_done_remove(&a);
    bide_on_done_remove(&late);
    CHECK_EQ(await(f), 1);

    calls[0] = '\0';
    f = future_new(int);
    on_done(f, &seen, note_state, &f);
    cancel(f);
    CHECK_STR(calls, "de");
    CHECK_EQ(await(f), -ECANCELED);

    calls[0] = '\0';
    f = future_new(int);
    on_done(f, &a, note, "a");
    detach(f); /* nobody will take it, but it is over */
    CHECK_STR(calls, "a");

    calls[0] = '\0';
    f = future_new(int);
    task(int) t = spawn(takes, future_share(f), "t");
    bide_yield();
    on_done(f, &a, note, "a");
    future_fail(f, -EIO);
    CHECK_STR(calls, "a");
    CHECK_EQ(await(t), -EIO);
    CHECK_STR(calls, "at");
    CHECK_EQ(await(f), -EIO);
}

static void tells_of_a_task(void)
{
    bide_callback a, b, c, seen;
    task(int) t = spawn(yields, 2);

    calls[0] = '\0';
    on_done(t, &a, note, "a");
    on_done(t, &b, note, "b");
    on_done(t, &c, note, "c");
    on_done(t, &seen, note_state, &t);
    bide_on_done_remove(&a);
    CHECK_STR(calls, "");
    CHECK_EQ(await(t), 0);
    CHECK_STR(calls, "bcdv");
    bide_on_done_remove(&c);

    calls[0] = '\0';
    t = spawn(yields, 2);
    on_done(t, &a, note, "a");
    detach(t);
    for (int i = 0; i < 4; i++)
        bide_yield();
    CHECK_STR(calls, "a");

    calls[0] = '\0';
    t = spawn(yields, 2);
    on_done(t, &seen, note_state, &t);
    cancel(t);
    CHECK_STR(calls, "");
    bide_yield();
    CHECK_STR(calls, "de");
    on_done(t, &a, note, "a");
    CHECK_STR(calls, "dea");
    CHECK_EQ(await(t), -ECANCELED);
}

/*
 * Goal:   callbacks are called once, in the order of their registration, at the end and not before;
 *         at once when it has ended; not after they were taken back.
 * Method: several on a future and on a task: values, errors, cancels, detached ones.
 */
TEST(future_life, callbacks_are_called_in_order_at_the_end)
{
    run_quiet(tells_of_a_future);
    run_quiet(tells_of_a_task);
}

static bide_callback other_callback;

static void removes_other(void *letter)
{
    note(letter);
    bide_on_done_remove(&other_callback);
}

static void spawns_from_callback(void *unused)
{
    (void)unused;
    go(yields, 3);
}

static void sets_next(void *handle)
{
    CHECK_EQ(future_set(*(future(int) *)handle, 9), 0);
}

static void acts_in_callbacks(void)
{
    bide_callback a, b, c;
    future(int) f = future_new(int), next = future_new(int);

    calls[0] = '\0';
    on_done(f, &a, removes_other, "r");
    on_done(f, &other_callback, note, "x");
    on_done(f, &b, sets_next, &next);
    on_done(f, &c, spawns_from_callback, NULL);
    future_set(f, 1);
    CHECK_STR(calls, "r");
    CHECK_EQ(await(next), 9);
    await(f);

    task(int) t = spawn(yields, 1);
    next = future_new(int);
    on_done(t, &a, sets_next, &next);
    on_done(t, &b, spawns_from_callback, NULL);
    on_done(t, &c, spawns_from_callback, NULL);
    CHECK_EQ(await(next), 9);
    CHECK_EQ(await(t), 0);
    bide_sleep(1);
}

/*
 * Goal:   a callback may take others back, set futures and spawn.
 * Method: each, on a future and on a task, in whose last breath it runs.
 */
TEST(future_life, callbacks_may_act)
{
    run_quiet(acts_in_callbacks);
}

static bide_callback next_callback;
static future(int) next_future;

static void note_next(void *unused)
{
    (void)unused;
    note("n");
}

/* Give the share up, and watch the next future: in the block that has become free just now. */
static void goes_on_to_the_next(void *unused)
{
    (void)unused;
    note("1");
    detach(watched);
    next_future = future_new(int);
    on_done(next_future, &next_callback, note_next, NULL);
}

static void chains_futures(void)
{
    bide_callback first, second;
    future(int) f = future_new(int);

    calls[0] = '\0';
    watched = f;
    on_done(f, &first, goes_on_to_the_next, NULL);
    on_done(f, &second, note, "2");
    CHECK_EQ(future_set(f, 1), 0);
    CHECK_STR(calls, "12"); /* the next one is not done */
    CHECK(!is_done(next_future));
    CHECK_EQ(future_set(next_future, 2), 0);
    CHECK_STR(calls, "12n");
    CHECK_EQ(await(next_future), 2);
}

/*
 * Goal:   a callback may give the last share up and make the next future, in whose block the
 *         callbacks of the old one do not mingle with its own.
 * Method: so, with another callback behind it.
 */
TEST(future_life, callback_may_replace_its_future)
{
    run_quiet(chains_futures);
}

static task(int) dying;

static void detaches_and_spawns(void *unused)
{
    (void)unused;
    note("1");
    detach(dying);
    for (int i = 0; i < 3; i++)
        go(yields, 2);
}

static void detaches_in_callback(void)
{
    bide_callback first, second;

    calls[0] = '\0';
    dying = spawn(yields, 1);
    on_done(dying, &first, detaches_and_spawns, NULL);
    on_done(dying, &second, note, "2");
    for (int i = 0; i < 10; i++)
        bide_yield();
    CHECK_STR(calls, "12");
    bide_stats stats;
    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_living, 1);
}

/*
 * Goal:   a callback may detach the task that is ending, and spawn: the new tasks do not get the
 *         stack it runs on.
 * Method: so, with another callback behind it.
 */
TEST(future_life, callback_may_detach_its_task)
{
    run_quiet(detaches_in_callback);
}

struct large {
    char bytes[1024];
};

static int refused_in_turn(void *arg)
{
    uint64_t nth = *(uint64_t *)arg;

    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_ALLOC, nth, 1, -ENOMEM);
    future(struct large) f = future_new(struct large);
    bool was_refused = f == NULL;
    bide__fault_reset();
    if (was_refused)
        f = future_new(struct large);
    CHECK(f != NULL);
    struct large value = {"y"};
    CHECK_EQ(future_set(f, value), 0);
    CHECK_EQ(await(f).bytes[0], 'y');
    return was_refused;
}

/*
 * Goal:   without memory future_new is NULL, nothing leaks, and the next one works.
 * Method: every allocation of the first future fails in turn.
 */
TEST(future_life, refused_memory_is_null)
{
    uint64_t nth = 1;

    while (bide_test_run(refused_in_turn, &nth, 0, NULL) == 1)
        nth++;
    CHECK_EQ(nth, 4); /* the list of slabs, a slab, the room */
}

static void makes_thousands(void)
{
    enum { COUNT = 5000 };
    future(int) *all = malloc(COUNT * sizeof *all);
    uint64_t allocations;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            all[i] = future_new(int);
            CHECK(all[i] != NULL);
        }
        for (int i = COUNT - 1; i >= 0; i--)
            CHECK_EQ(future_set(all[i], i * 3), 0);
        for (int i = 0; i < COUNT; i++)
            CHECK_EQ(await(all[i]), i * 3);
        for (int i = 0; i < COUNT; i++)
            CHECK_EQ(future_set(all[i], 1), -ECANCELED); /* stale, all of them */
        if (round == 0)
            allocations = bide__fault_count(BIDE__CALL_ALLOC);
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), allocations);
    free(all);
}

/*
 * Goal:   thousands of futures at once, and their blocks serve again.
 * Method: 5,000, three times over; allocations are counted after the first.
 */
TEST(future_life, thousands_of_futures)
{
    run_quiet(makes_thousands);
}

static void waits_for_nobody(void)
{
    CHECK_EQ(await(future_new(int)), -ECANCELED);
}

/*
 * Goal:   a future that nobody sets is named when all tasks sleep, with the place of the await.
 * Method: await one.
 */
TEST(future_life, deadlock_names_the_future)
{
    struct reports seen = run_reported(waits_for_nobody, -EDEADLK);

    CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 2);
    CHECK_CONTAINS(seen.kept[1].message, "task 'main' #1 (the first) sleeps in await of ");
    CHECK_CONTAINS(seen.kept[1].message, "'future' #2 (");
    CHECK_CONTAINS(seen.kept[1].message, "in waits_for_nobody()");
}

static void fails_beyond_the_type(void)
{
    future(int8_t) f = future_new(int8_t);

    CHECK_EQ(future_fail(f, -200), 0);
    CHECK_EQ(future_error(f), -200);
    CHECK(await(f) < 0);
}

/*
 * Goal:   an error that the type has no room for is still an error.
 * Method: -200 in a byte, where the low byte is a value.
 */
TEST(future_life, error_beyond_the_type_stays_negative)
{
    run_quiet(fails_beyond_the_type);
}

static void polls_in_a_cancelled_scope(void)
{
    future(int) f = future_new(int);
    bide_scope scope = BIDE_SCOPE_INIT;

    bide_scope_cancel(&scope);
    with_scope (&scope) {
        CHECK_EQ(await_for(f, 0, NULL), -ECANCELED);
        CHECK_EQ(await_for(f, BIDE_SEC(1), NULL), -ECANCELED);
        future_set(f, 1);
        CHECK_EQ(await_for(f, 0, NULL), 0);
    }
}

/*
 * Goal:   await_for on a future in a scope that has fired says so whatever its limit, as it does on
 *         a task; a value that is there is not refused.
 * Method: no limit and one, before the value; none after it.
 */
TEST(future_life, await_for_without_a_limit_sees_the_cancel)
{
    run_quiet(polls_in_a_cancelled_scope);
}

enum { WAITERS = 6 };

struct mix {
    uint32_t random;
    future(int) f;
    bide_callback callback;
    int told;
    int outcomes[3]; /* value, error, timed out or cancelled */
    int set_result;
};

static uint32_t random_below(struct mix *mix, uint32_t bound)
{
    mix->random = mix->random * 1664525 + 1013904223;
    return (mix->random >> 8) % bound;
}

static void told(void *arg)
{
    ((struct mix *)arg)->told++;
}

static async(void, takes_somehow, struct mix *, mix)
{
    bide_time wait = (bide_time)random_below(mix, 4), limit = (bide_time)random_below(mix, 4);
    bool has_limit = random_below(mix, 2) == 0;
    int value = -1, err = 0;

    with_timeout (random_below(mix, 2) == 0 ? BIDE_FOREVER : (bide_time)random_below(mix, 5)) {
        bide_sleep(wait);
        if (has_limit)
            err = await_for(mix->f, limit, &value);
        else
            value = await(mix->f);
    }
    if (err < 0) {
        CHECK(has_limit && (err == -ETIMEDOUT || err == -ECANCELED));
        CHECK_EQ(value, -1);
        detach(mix->f); /* the share is still ours */
        mix->outcomes[2]++;
    } else if (value == 42) {
        mix->outcomes[0]++;
    } else {
        CHECK(value == -EIO || value == -ECANCELED || value == -ETIMEDOUT);
        mix->outcomes[1]++;
    }
}

static async(void, ends_somehow, struct mix *, mix)
{
    bide_sleep((bide_time)random_below(mix, 4));
    switch (random_below(mix, 3)) {
    case 0: mix->set_result = future_set(mix->f, 42); break;
    case 1: mix->set_result = future_fail(mix->f, -EIO); break;
    default: mix->set_result = 1; break; /* never */
    }
}

static int mixes(void *arg)
{
    struct mix *mix = arg;
    task(void) waiters[WAITERS];

    mix->f = future_new(int);
    on_done(mix->f, &mix->callback, told, mix);
    for (int i = 0; i < WAITERS; i++) {
        if (i > 0)
            (void)future_share(mix->f);
        waiters[i] = spawn(takes_somehow, mix);
    }
    task(void) setter = spawn(ends_somehow, mix);
    with_timeout (3) { /* then all are cancelled, one after the other */
        for (int i = 0; i < WAITERS; i++)
            await(waiters[i]);
    }
    await(setter);
    CHECK_EQ(mix->outcomes[0] + mix->outcomes[1] + mix->outcomes[2], WAITERS);
    CHECK_EQ(mix->told, 1);
    if (mix->set_result == 1 || mix->set_result == -ECANCELED)
        CHECK_EQ(mix->outcomes[0], 0);
    CHECK_EQ(future_set(mix->f, 1), -ECANCELED); /* every share is spent */
    return 0;
}

/*
 * Goal:   whatever the order of set, fail, timeout, deadline and cancel: each waiter has exactly
 *         one outcome, no share is lost, and the end is told once.
 * Method: six waiters of random sorts within four nanoseconds, 500 seeds; all kinds are seen.
 */
TEST(future_life, every_waiter_has_one_outcome_in_any_order)
{
    int sums[3] = {0};

    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        struct mix mix = {.random = (uint32_t)(seed * 7919 + test_seed() * 31)};
        CHECK_EQ(bide_test_run(mixes, &mix, seed, &options), 0);
        CHECK_EQ(seen.count, 0);
        for (int i = 0; i < 3; i++)
            sums[i] += mix.outcomes[i];
    }
    CHECK(sums[0] > 0 && sums[1] > 0 && sums[2] > 0);
}
