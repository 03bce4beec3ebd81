/* SPDX-License-Identifier: MIT */
/*
 * settle.c - waiting until every other task is asleep: no sooner, no later, and no time passes.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "reports.h"
#include "sched/waitq.h"
#include "test.h"

enum { SEEDS = 300 };

static int awake; /* tasks of a test that have something left to do before they sleep */

static async(int, yields_then_sleeps, int, turns, bide_time, ns)
{
    for (int i = 0; i < turns; i++) {
        int err = bide_yield();
        if (err < 0)
            return err;
    }
    awake--;
    return bide_sleep(ns);
}

static async(int, works_then_awaits, int, turns, task(int), other)
{
    for (int i = 0; i < turns; i++)
        bide_yield();
    awake--;
    return await(other);
}

static async(int, waits_in, struct bide__list *, queue)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "test");

    bide__waitq_join(queue, &waiter);
    awake--;
    return bide__park(&waiter);
}

static int settles_among_sleepers(void *arg)
{
    struct bide__list queue = {0};
    task(int) tasks[4];

    (void)arg;
    awake = 5;
    tasks[0] = spawn(yields_then_sleeps, 0, BIDE_MS(1));
    tasks[1] = spawn(yields_then_sleeps, 7, BIDE_FOREVER);
    tasks[2] = spawn(works_then_awaits, 3, spawn(yields_then_sleeps, 20, BIDE_SEC(3600)));
    tasks[3] = spawn(waits_in, &queue);
    CHECK_EQ(bide_test_settle(), 0);
    CHECK_EQ(awake, 0);
    CHECK_EQ(bide_now(), 0); /* the one that sleeps a millisecond does so still */
    for (int i = 0; i < 4; i++)
        CHECK(!is_done(tasks[i]));
    CHECK_EQ(bide_test_settle(), 0); /* all are asleep already */
    CHECK_EQ(bide_now(), 0);
    CHECK(bide__wake(bide__waitq_first(&queue), 5));
    CHECK_EQ(bide_test_settle(), 0);
    CHECK(is_done(tasks[3]) && !is_done(tasks[0]));
    CHECK_EQ(await(tasks[3]), 5);
    CHECK_EQ(await(tasks[0]), 0);
    CHECK_EQ(bide_now(), BIDE_MS(1));
    cancel(tasks[1]);
    CHECK_EQ(await(tasks[1]), -ECANCELED);
    CHECK_EQ(await(tasks[2]), 0);
    CHECK_EQ(bide_now(), BIDE_SEC(3600));
    return 0;
}

/*
 * Goal:   it returns when every other task has gone to sleep, and no timer has moved.
 * Method: tasks that sleep on timers, on each other and in a queue, after different numbers of
 *         turns, under many seeds.
 */
TEST(settle, returns_when_all_others_sleep_and_no_time_has_passed)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        CHECK_EQ(bide_test_run(settles_among_sleepers, NULL, seed, NULL), 0);
}

static int settles_alone(void *arg)
{
    bide_stats before, after;

    (void)arg;
    bide_loop_stats(&before);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(bide_test_settle(), 0);
    bide_loop_stats(&after);
    CHECK(after.turns - before.turns >= 100); /* each gives the others a chance */
    CHECK_EQ(after.sleeps, before.sleeps);
    return 0;
}

/*
 * Goal:   the only task does not wait for anybody.
 * Method: on both hosts; the loop never sleeps.
 */
TEST(settle, returns_when_alone)
{
    CHECK_EQ(bide_test_run(settles_alone, NULL, 0, NULL), 0);
    CHECK_EQ(bide_test_run(settles_alone, NULL, 9, NULL), 0);
    CHECK_EQ(bide_run(settles_alone, NULL, NULL), 0);
}

static async(int, plays, int *, turns, int, count)
{
    while (count-- > 0) {
        ++*turns;
        CHECK_EQ(bide_yield(), 0);
    }
    return bide_sleep(1);
}

static int settles_beside_busy(void *arg)
{
    int turns = 0;
    task(int) first = spawn(plays, &turns, 10000);
    task(int) second = spawn(plays, &turns, 3000);

    (void)arg;
    CHECK_EQ(bide_test_settle(), 0);
    CHECK_EQ(turns, 13000);
    return await(first) + await(second);
}

/*
 * Goal:   tasks that yield are not asleep, through many polls of the loop.
 * Method: two that yield thousands of times each before they sleep.
 */
TEST(settle, waits_for_those_that_yield)
{
    for (uint64_t seed = 0; seed < 10; seed++)
        CHECK_EQ(bide_test_run(settles_beside_busy, NULL, seed, NULL), 0);
}

/* What happened, a letter each. */
static struct {
    char text[512];
    size_t length;
} events;

static void note(char event)
{
    CHECK(events.length + 1 < sizeof events.text);
    events.text[events.length++] = event;
    events.text[events.length] = '\0';
}

static async(int, settles_and_works, char, name)
{
    task(int) helper;

    for (int i = 0; i < 3; i++) {
        CHECK_EQ(bide_test_settle(), 0);
        CHECK_EQ(awake, 0);
        note(name);
        awake++;
        helper = spawn(yields_then_sleeps, name - 'a', BIDE_MS(1));
        detach(helper);
    }
    return 0;
}

static int settles_from_three(void *arg)
{
    task(int) tasks[3];

    (void)arg;
    for (int i = 0; i < 3; i++)
        tasks[i] = spawn(settles_and_works, (char)('a' + i));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(await(tasks[i]), 0);
    return 0;
}

/*
 * Goal:   several that wait go on one at a time, in the order in which they came, each only when
 *         what the one before it set going sleeps again.
 * Method: three, three times each, each starting a task that works for some turns. Under seeds
 *         the order in which they come is another, and they still take turns.
 */
TEST(settle, several_go_on_one_at_a_time_in_order)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        events.length = 0;
        awake = 0; /* the last helper may have been cancelled before it slept */
        CHECK_EQ(bide_test_run(settles_from_three, NULL, seed, NULL), 0);
        CHECK_EQ(events.length, 9);
        CHECK(memcmp(events.text, events.text + 3, 6) == 0);
        CHECK(strchr(events.text, 'a') && strchr(events.text, 'b') && strchr(events.text, 'c'));
        if (seed == 0)
            CHECK_STR(events.text, "abcabcabc");
    }
}

static int settles_in_fired_scopes(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    bide_scope_cancel(&scope);
    with_scope (&scope) {
        CHECK_EQ(bide_test_settle(), -ECANCELED);
        CHECK_EQ(bide_test_settle(), -ECANCELED);
        with_shield (BIDE_SEC(1))
            CHECK_EQ(bide_test_settle(), 0);
    }
    with_timeout (0)
        CHECK_EQ(bide_test_settle(), -ETIMEDOUT);
    with_timeout (1)
        CHECK_EQ(bide_test_settle(), 0); /* no time passes */
    CHECK_EQ(bide_now(), 0);
    return bide_test_settle();
}

/*
 * Goal:   inside a scope that has fired it returns the scope's code at once; a shield hides it.
 * Method: a cancelled scope, deadlines that have passed and have not.
 */
TEST(settle, fired_scope_is_returned_at_once)
{
    CHECK_EQ(bide_test_run(settles_in_fired_scopes, NULL, 0, NULL), 0);
}

static async(int, settles)
{
    return bide_test_settle();
}

static async(int, stays_busy, const bool *, ends)
{
    while (!*ends)
        CHECK_EQ(bide_yield(), 0);
    return 0;
}

static int cancels_settlers(void *arg)
{
    unsigned mask = *(unsigned *)arg;
    bool ends = false;
    task(int) busy = spawn(stays_busy, &ends);
    task(int) settlers[3];

    for (int i = 0; i < 3; i++)
        settlers[i] = spawn(settles);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(bide_yield(), 0);
    for (int i = 0; i < 3; i++)
        if (mask & 1u << i)
            cancel(settlers[i]);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(bide_yield(), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(is_done(settlers[i]), (mask & 1u << i) != 0);
    ends = true;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(await(settlers[i]), mask & 1u << i ? -ECANCELED : 0);
    return await(busy);
}

/*
 * Goal:   a cancel ends the wait of whom it means, and of no other.
 * Method: three wait beside a busy task; each set of them is cancelled.
 */
TEST(settle, cancel_while_waiting_ends_that_wait)
{
    for (unsigned mask = 0; mask < 8; mask++)
        for (uint64_t seed = 0; seed < 20; seed++)
            CHECK_EQ(bide_test_run(cancels_settlers, &mask, seed, NULL), 0);
}

static int cancels_after_wake(void *arg)
{
    task(int) first = spawn(settles), second = spawn(settles);

    (void)arg;
    CHECK_EQ(await(first), 0);
    CHECK(!is_done(second));
    cancel(second);
    return await(second);
}

/*
 * Goal:   the place of one that was cancelled in the queue is free: nothing is left of it.
 * Method: the first goes on and the second, next in line, is cancelled by who awaited the first.
 */
TEST(settle, cancelled_one_leaves_the_queue)
{
    CHECK_EQ(bide_test_run(cancels_after_wake, NULL, 0, NULL), -ECANCELED);
}

static int times_out_beside_busy(void *arg)
{
    bool ends = false;
    task(int) busy = spawn(stays_busy, &ends);
    int result = 0;

    (void)arg;
    with_timeout (BIDE_MS(2))
        result = bide_test_settle();
    ends = true;
    CHECK_EQ(await(busy), 0);
    return result;
}

/*
 * Goal:   a deadline ends the wait for a task that never sleeps, where time passes meanwhile.
 * Method: the real clock.
 */
TEST(settle, deadline_ends_the_wait_under_the_real_clock)
{
    CHECK_EQ(bide_run(times_out_beside_busy, NULL, NULL), -ETIMEDOUT);
}

static int deadlocks(void *settles_first)
{
    struct bide__list queue = {0};
    task(int) waiter = spawn(waits_in, &queue);

    if (settles_first != NULL)
        for (int i = 0; i < 3; i++)
            CHECK_EQ(bide_test_settle(), 0);
    int result = await(waiter);
    CHECK_EQ(bide_test_settle(), -ECANCELED);
    with_shield (BIDE_SEC(1))
        CHECK_EQ(bide_test_settle(), 0);
    return result;
}

/*
 * Goal:   waiting so is no deadlock, and hides none.
 * Method: the same deadlock with and without it: the same reports. It works while the loop
 *         unwinds.
 */
TEST(settle, deadlock_is_reported_as_ever)
{
    struct reports seen[2] = {0};

    for (int i = 0; i < 2; i++) {
        bide_options options = REPORTS_INTO(&seen[i]);
        CHECK_EQ(bide_test_run(deadlocks, i ? &options : NULL, 0, &options), -EDEADLK);
        CHECK_EQ(reports_of(&seen[i], BIDE_REPORT_DEADLOCK), 3);
        CHECK_EQ(seen[i].count, 3);
        for (int j = 0; j < 3; j++)
            CHECK_STR(seen[i].kept[j].message, seen[0].kept[j].message);
    }
}

static async(int, sleeps_and_notes, bide_time, until, char, name)
{
    int err = bide_sleep_until(until);

    for (int i = 0; i < 3; i++)
        bide_yield();
    note(name);
    return err;
}

static int lets_time_pass(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 3; i++) {
        detach(spawn(sleeps_and_notes, BIDE_MS(5) * i, (char)('0' + i)));
        detach(spawn(sleeps_and_notes, BIDE_MS(5) * i, (char)('0' + i)));
    }
    for (int i = 1; i <= 3; i++) {
        CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
        CHECK_EQ(bide_test_settle(), 0);
        CHECK_EQ(bide_now(), BIDE_MS(5) * i);
        CHECK_EQ(events.length, 2 * i);
        CHECK_EQ(events.text[2 * i - 1], '0' + i);
    }
    return 0;
}

/*
 * Goal:   bide_sleep and then this lets time pass: what was due by then has been done, and what is
 *         due later has not.
 * Method: two tasks due at each of three times, which work for some turns after it.
 */
TEST(settle, after_a_sleep_all_that_was_due_is_done)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        events.length = 0;
        CHECK_EQ(bide_test_run(lets_time_pass, NULL, seed, NULL), 0);
    }
}

static async(int, wanders, char, name)
{
    for (int i = 0; i < 6; i++) {
        note(name);
        CHECK_EQ(i % 3 == 2   ? bide_sleep(BIDE_MS(1))
                 : i % 3 == 1 ? bide_test_settle()
                              : bide_yield(),
                 0);
    }
    return 0;
}

static int wander_all(void *arg)
{
    (void)arg;
    task(int) a = spawn(wanders, 'a');
    task(int) b = spawn(wanders, 'b');
    task(int) c = spawn(wanders, 'c');
    return await(a) + await(b) + await(c);
}

/*
 * Goal:   a seed fixes the order of events with such waits in it as well, and seeds differ.
 * Method: the events of a program are recorded twice under each seed.
 */
TEST(settle, same_seed_gives_the_same_run)
{
    char first[sizeof events.text], plain[sizeof events.text];
    int different = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        events.length = 0;
        CHECK_EQ(bide_test_run(wander_all, NULL, seed, NULL), 0);
        CHECK_EQ(events.length, 18);
        strcpy(first, events.text);
        events.length = 0;
        CHECK_EQ(bide_test_run(wander_all, NULL, seed, NULL), 0);
        CHECK_STR(events.text, first);
        if (seed == 0)
            strcpy(plain, first);
        different += strcmp(first, plain) != 0;
    }
    CHECK(different > SEEDS / 2);
}

static async(int, waits_for_byte, int, fd)
{
    char byte;
    int events_seen = bide_wait_fd(fd, BIDE_READ);

    return events_seen < 0 ? events_seen : (int)read(fd, &byte, 1);
}

static int settles_with_pipe(void *arg)
{
    bide_stats before, after;
    int ends[2];

    (void)arg;
    CHECK_EQ(pipe(ends), 0);
    task(int) reader = spawn(waits_for_byte, ends[0]);
    task(int) sleeper = spawn(yields_then_sleeps, 0, BIDE_SEC(3600));
    bide_loop_stats(&before);
    CHECK_EQ(bide_test_settle(), 0);
    CHECK(!is_done(reader) && !is_done(sleeper));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(bide_test_settle(), 0); /* the byte was there, so its reader was not asleep */
    CHECK(is_done(reader) && !is_done(sleeper));
    bide_loop_stats(&after);
    CHECK_EQ(after.sleeps, before.sleeps);
    cancel(sleeper);
    CHECK_EQ(await(sleeper), -ECANCELED);
    close(ends[0]);
    close(ends[1]);
    return await(reader);
}

/*
 * Goal:   under the real loop, who has I/O ready does not count as asleep, and nothing is waited
 *         for.
 * Method: a reader of a pipe, empty and with a byte in it, and one that sleeps an hour.
 */
TEST(settle, real_loop_looks_at_io_once)
{
    CHECK_EQ(bide_run(settles_with_pipe, NULL, NULL), 1);
}

static int runs_inner(void *arg)
{
    bool ends = false;
    task(int) busy = spawn(stays_busy, &ends);

    (void)arg;
    CHECK_EQ(bide_yield(), 0);
    CHECK_EQ(bide_test_run(settles_among_sleepers, NULL, 0, NULL), 0);
    ends = true;
    return await(busy);
}

/*
 * Goal:   a loop inside a task of another settles by itself.
 * Method: a task of the outer loop is ready all the while.
 */
TEST(settle, inner_loop_settles_by_itself)
{
    CHECK_EQ(bide_test_run(runs_inner, NULL, 0, NULL), 0);
}

static async(int, settles_at_the_end, int *, shielded)
{
    int err = bide_sleep(BIDE_FOREVER);

    CHECK_EQ(bide_test_settle(), -ECANCELED);
    with_shield (BIDE_SEC(1))
        *shielded = bide_test_settle();
    return err;
}

static int leaves_others_behind(void *shielded)
{
    detach(spawn(settles_at_the_end, shielded));
    detach(spawn(yields_then_sleeps, 30, BIDE_FOREVER));
    return bide_test_settle();
}

/*
 * Goal:   cleanup in a loop that ends may wait so under a shield.
 * Method: a task left behind by the first one.
 */
TEST(settle, works_while_the_loop_ends)
{
    int shielded = -1;

    CHECK_EQ(bide_test_run(leaves_others_behind, &shielded, 0, NULL), 0);
    CHECK_EQ(shielded, 0);
}

/*
 * Goal:   outside of a task it says so.
 * Method: the main program calls it.
 */
TEST(settle, aborts_outside_of_a_task)
{
    EXPECT_DEATH(bide_test_settle(), "bide_test_settle was called outside of a task");
}
