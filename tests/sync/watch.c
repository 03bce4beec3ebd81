/* SPDX-License-Identifier: MIT */
/*
 * watch.c - the latest value is always seen, the ones in between may be skipped.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>

#include "base/fault.h"
#include "base/random.h"
#include "reports.h"
#include "test.h"

static int call_body(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static void run_seeded(void (*body)(void), uint64_t seed)
{
    CHECK_EQ(bide_test_run(call_body, &body, seed, NULL), 0);
}

static void run(void (*body)(void))
{
    run_seeded(body, 0);
}

static async(int, watches, watch(int), w, uint64_t *, seen)
{
    uint64_t seen_before = *seen;
    int value = -1;
    int err = watch_next(w, seen, &value);

    CHECK(err == 0 || (value == -1 && *seen == seen_before));
    return err < 0 ? err : value;
}

static void latest(void)
{
    watch(int) w = watch_new(int, 10);
    uint64_t seen = 0, late = 0;
    int value = -1;

    CHECK_EQ(watch_get(w), 10);
    CHECK_EQ(watch_next(w, &seen, &value), 0); /* the initial value is news to who saw none */
    CHECK_EQ(value, 10);
    CHECK_EQ(watch_set(w, 11), 0);
    CHECK_EQ(watch_set(w, 12), 0);
    CHECK_EQ(watch_get(w), 12);
    CHECK_EQ(watch_next(w, &seen, &value), 0);
    CHECK_EQ(value, 12);

    task(int) t = spawn(watches, w, &seen);
    bide_yield();
    CHECK(!is_done(t));
    CHECK_EQ(watch_set(w, 12), 0); /* an equal one is news too */
    CHECK_EQ(await(t), 12);

    CHECK_EQ(watch_next(w, &late, &value), 0);
    CHECK_EQ(value, 12);
    CHECK_EQ(late, seen);
    watch_free(w);
}

/*
 * Goal:   watch_next returns at once when there is a newer value, else waits for one; watch_get
 *         never waits.
 * Method: one that has seen nothing, one that skips a value, one that waits, one that comes late.
 */
TEST(watch, next_takes_the_latest_or_waits)
{
    run(latest);
}

static void fills_again(void)
{
    watch(int) w = watch_new(int, 0);
    uint64_t seen[3];
    task(int) tasks[3];
    int value;

    for (int i = 0; i < 3; i++) {
        seen[i] = 0;
        CHECK_EQ(watch_next(w, &seen[i], &value), 0);
        tasks[i] = spawn(watches, w, &seen[i]);
    }
    bide_yield();
    CHECK_EQ(watch_set(w, 1), 0);
    CHECK_EQ(watch_set(w, 2), 0); /* before anybody's turn */
    cancel(tasks[0]);             /* too late: it has a value */
    CHECK_EQ(watch_set(w, 3), 0);
    watch_close(w);
    watch_free(w);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(await(tasks[i]), 3);
        CHECK_EQ(seen[i], seen[0]);
    }
}

/*
 * Goal:   the value is the latest when watch_next returns, not when the task was woken; a close, a
 *         cancel or a free that comes later takes nothing away.
 * Method: three values, a cancel, a close and a free in one turn.
 */
TEST(watch, value_is_the_latest_at_return)
{
    run(fills_again);
}

static void closes(void)
{
    watch(int) w = watch_new(int, 1);
    uint64_t seen = 0, behind = 0;
    int value = -1;

    CHECK_EQ(watch_next(w, &seen, &value), 0);
    task(int) t = spawn(watches, w, &seen);
    bide_yield();
    watch_close(w);
    watch_close(w);
    CHECK_EQ(watch_set(w, 2), -EPIPE);
    CHECK_EQ(await(t), -EPIPE);
    CHECK_EQ(watch_next(w, &seen, &value), -EPIPE);
    CHECK_EQ(watch_next(w, &behind, &value), 0); /* the last value is always seen */
    CHECK_EQ(value, 1);
    CHECK_EQ(watch_next(w, &behind, &value), -EPIPE);
    CHECK_EQ(watch_get(w), 1);
    watch_free(w);

    w = watch_new(int, 1);
    seen = 0;
    CHECK_EQ(watch_next(w, &seen, &value), 0);
    t = spawn(watches, w, &seen);
    bide_yield();
    watch_close(w);
    watch_free(w); /* before the watcher's turn */
    CHECK_EQ(await(t), -EPIPE);
}

/*
 * Goal:   closing wakes who waits; the last value is still to be had.
 * Method: one that waits, one that is behind; each call after the close.
 */
TEST(watch, close_keeps_the_last_value)
{
    run(closes);
}

static void cancels(void)
{
    watch(int) w = watch_new(int, 1);
    uint64_t seen = 0;
    int value = -1;

    CHECK_EQ(watch_next(w, &seen, &value), 0);
    with_timeout (BIDE_MS(1)) {
        CHECK_EQ(watch_next(w, &seen, &value), -ETIMEDOUT);
        CHECK_EQ(watch_set(w, 2), 0); /* no parking point */
        CHECK_EQ(watch_next(w, &seen, &value), -ETIMEDOUT);
    }
    CHECK_EQ(value, 1);
    CHECK_EQ(watch_next(w, &seen, &value), 0);
    CHECK_EQ(value, 2);

    task(int) t = spawn(watches, w, &seen);
    bide_yield();
    cancel(t);
    CHECK_EQ(watch_set(w, 3), 0); /* too late for that one */
    CHECK_EQ(await(t), -ECANCELED);
    CHECK_EQ(watch_next(w, &seen, &value), 0);
    CHECK_EQ(value, 3);

    t = spawn(watches, w, &seen);
    bide_yield();
    CHECK_EQ(watch_set(w, 4), 0);
    cancel(t);
    CHECK_EQ(await(t), 4);

    t = spawn(watches, w, &seen);
    bide_yield();
    cancel(t);
    watch_free(w);
    CHECK_EQ(await(t), -ECANCELED);
}

/*
 * Goal:   a cancelled watch_next leaves `seen` alone, so that the next one finds what it missed.
 * Method: timeout, fired scope, cancel before and after a set in one turn, free after a cancel.
 */
TEST(watch, cancel_misses_no_change)
{
    run(cancels);
}

static uint64_t seed_now;

enum { CHANGES = 200, WATCHERS = 4 };

/* Watches under random timeouts until the end: values grow, and the last one is among them. */
static async(void, follows, watch(int), w, uint64_t, state)
{
    uint64_t seen = 0;
    int err = 0, value = -1, before = -1;

    while (err != -EPIPE) {
        with_timeout ((bide_time)bide__random_below(&state, 4)) {
            err = watch_next(w, &seen, &value);
        }
        if (err == 0) {
            CHECK(value > before);
            CHECK_EQ(value, watch_get(w));
        } else {
            CHECK(err == -EPIPE || err == -ETIMEDOUT);
            CHECK_EQ(value, before);
        }
        before = value;
        if (bide__random_below(&state, 8) == 0)
            bide_sleep(bide__random_below(&state, 20));
    }
    CHECK_EQ(value, CHANGES);
}

static void many(void)
{
    uint64_t state = seed_now * 2 + 1;
    watch(int) w = watch_new(int, 0);
    task(void) tasks[WATCHERS];

    for (int i = 0; i < WATCHERS; i++)
        tasks[i] = spawn(follows, w, bide__random_next(&state) | 1);
    for (int i = 1; i <= CHANGES; i++) {
        CHECK_EQ(watch_set(w, i), 0);
        if (bide__random_below(&state, 3) != 0)
            bide_sleep(bide__random_below(&state, 3));
    }
    watch_close(w);
    for (int i = 0; i < WATCHERS; i++)
        await(tasks[i]);
    watch_free(w);
}

/*
 * Goal:   each watcher sees ever newer values, each time the latest, and the last one in any case.
 * Method: one sets, four watch with random pauses and timeouts, 300 seeds.
 */
TEST(watch, values_grow_and_the_last_is_seen)
{
    for (seed_now = 1; seed_now <= 300; seed_now++)
        run_seeded(many, seed_now);
}

static int turns;

static async(void, counts_turns)
{
    while (bide_yield() == 0)
        turns++;
}

static void does_not_starve(void)
{
    watch(int) w = watch_new(int, 0);
    task(void) t = spawn(counts_turns);
    uint64_t seen = 0;
    int value;

    for (int i = 0; i < 500; i++) {
        CHECK_EQ(watch_set(w, i), 0);
        CHECK_EQ(watch_next(w, &seen, &value), 0);
    }
    watch_close(w);
    for (int i = 0; i < 500; i++) {
        CHECK_EQ(watch_set(w, i), -EPIPE);
        CHECK_EQ(watch_next(w, &seen, &value), -EPIPE);
    }
    CHECK(turns >= 2000 / 64 - 2);
    cancel(t);
    await(t);
    watch_free(w);
}

/*
 * Goal:   calls that need not wait let others run.
 * Method: a bystander's turns are counted, before and after a close.
 */
TEST(watch, calls_that_never_wait_starve_nobody)
{
    run(does_not_starve);
}

static void mistakes(void)
{
    watch(int) w = watch_new(int, 1), null = NULL;
    uint64_t seen = 0, ahead = 5;
    int value;

    EXPECT_DEATH(watch_set(null, 1), "watch_set: the watch is NULL");
    EXPECT_DEATH((void)watch_get(null), "watch_get: the watch is NULL");
    EXPECT_DEATH(watch_next(null, &seen, &value), "watch_next: the watch is NULL");
    EXPECT_DEATH(watch_close(null), "watch_close: the watch is NULL");
    EXPECT_DEATH(watch_next(w, &ahead, &value), "`seen` is ahead of the watch");
    watch_free(null);

    CHECK_EQ(watch_next(w, &seen, &value), 0);
    task(int) t = spawn(watches, w, &seen);
    bide_yield();
    EXPECT_DEATH(watch_free(w), "watch_free: task 'watches'");
    EXPECT_DEATH(watch_free(w), "still waits in it, in watch_next; close it first");
    watch_close(w);
    CHECK_EQ(await(t), -EPIPE);
    watch_free(w);
}

/*
 * Goal:   mistakes end in one clear line; without memory watch_new returns NULL.
 * Method: each of them.
 */
TEST(watch, mistakes_abort_and_no_memory_is_null)
{
    watch(int) w = watch_new(int, 1); /* outside of a task: made before the loop */
    uint64_t seen = 0;
    int value;

    run(mistakes);
    CHECK_EQ(watch_get(w), 1);
    EXPECT_DEATH(watch_set(w, 1), "watch_set was called outside of a task");
    EXPECT_DEATH(watch_next(w, &seen, &value), "watch_next was called outside of a task");
    watch_free(w);
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    w = watch_new(int, 1);
    CHECK(w == NULL);
}

static void locks_up(void)
{
    watch(int) w = watch_new(int, 1);
    uint64_t seen = 0;
    int value;

    CHECK_EQ(watch_next(w, &seen, &value), 0);
    CHECK_EQ(watch_next(w, &seen, &value), -ECANCELED);
    watch_free(w);
}

/*
 * Goal:   who waits for ever is reported with its place (fault 54).
 * Method: the only task watches.
 */
TEST(watch, deadlock_report_names_call_and_line)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    void (*body)(void) = locks_up;

    CHECK_EQ(bide_test_run(call_body, &body, 0, &options), -EDEADLK);
    const struct kept_report *report = reports_get(&seen, BIDE_REPORT_DEADLOCK, 1);
    CHECK(report != NULL);
    CHECK_CONTAINS(report->message, "sleeps in watch_next");
    CHECK_CONTAINS(report->message, "in locks_up()");
}
