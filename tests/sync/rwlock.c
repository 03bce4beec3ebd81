/* SPDX-License-Identifier: MIT */
/*
 * rwlock.c - readers together, writers alone, everyone in turn.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/sweep.h"
#include "test.h"

static bide_rwlock lock = BIDE_RWLOCK_INIT;
static int readers, readers_most, writers, order[16], order_count;

static void enter(bool writes)
{
    *(writes ? &writers : &readers) += 1;
    CHECK(writers == 0 || (writers == 1 && readers == 0));
    if (readers > readers_most)
        readers_most = readers;
}

static void leave(bool writes)
{
    *(writes ? &writers : &readers) -= 1;
    if (writes)
        bide_rwlock_write_unlock(&lock);
    else
        bide_rwlock_read_unlock(&lock);
}

/* Lock, stay for so long, unlock. */
static async(int, visits, int, number, bool, writes, bide_time, stay)
{
    int err = writes ? bide_rwlock_write_lock(&lock) : bide_rwlock_read_lock(&lock);

    if (err < 0)
        return err;
    enter(writes);
    if (number >= 0)
        order[order_count++] = number;
    err = bide_sleep(stay);
    leave(writes);
    return err;
}

/* Visitors by letter, one a millisecond: r, w. */
static int spawn_visitors(task(int) *tasks, const char *kinds, bide_time stay)
{
    int count = 0;

    order_count = readers_most = 0;
    for (; kinds[count] != '\0'; count++) {
        tasks[count] = spawn(visits, count, kinds[count] == 'w', stay);
        bide_sleep(BIDE_MS(1));
    }
    return count;
}

static int line_of_all_kinds(void *arg)
{
    task(int) tasks[8];
    int count;

    (void)arg;
    CHECK_EQ(bide_rwlock_read_lock(&lock), 0);
    CHECK_EQ(bide_rwlock_read_lock(&lock), 0); /* allowed while no writer waits */
    count = spawn_visitors(tasks, "wrrwwrrr", BIDE_MS(10));
    CHECK_EQ(order_count, 0); /* the writer keeps the readers behind it out */
    bide_rwlock_read_unlock(&lock);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(order_count, 0);
    bide_rwlock_read_unlock(&lock);
    for (int i = 0; i < count; i++)
        CHECK_EQ(await(tasks[i]), 0);
    CHECK_EQ(readers_most, 3);
    CHECK_EQ(bide_now(), BIDE_MS(9 + 5 * 10)); /* w, rr, w, w, rrr */
    CHECK_EQ(order[0], 0);
    CHECK_EQ(order[1] + order[2], 1 + 2);
    CHECK_EQ(order[3], 3);
    CHECK_EQ(order[4], 4);
    CHECK_EQ(bide_rwlock_try_write_lock(&lock), 0); /* free in the end */
    bide_rwlock_write_unlock(&lock);
    return 0;
}

/*
 * Goal:   everyone in turn: a writer that waits is not overtaken by readers, and readers that
 *         follow each other go in together.
 * Method: a line of writers and readers behind two readers; a hundred seeds.
 */
TEST(rwlock, line_is_served_in_order_and_readers_together)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(line_of_all_kinds, NULL, seed, NULL), 0);
}

static int readers_without_end(void *arg)
{
    task(int) writer;
    task(int) tasks[40];

    (void)arg;
    order_count = 0;
    for (int i = 0; i < 20; i++) { /* always two inside */
        tasks[i] = spawn(visits, -1, false, BIDE_MS(2));
        bide_sleep(BIDE_MS(1));
    }
    writer = spawn(visits, 0, true, 0);
    bide_yield();
    for (int i = 20; i < 40; i++) {
        tasks[i] = spawn(visits, -1, false, BIDE_MS(2));
        bide_sleep(BIDE_MS(1));
        CHECK(is_done(writer) || i < 24);
    }
    for (int i = 0; i < 40; i++)
        CHECK_EQ(await(tasks[i]), 0);
    return await(writer);
}

/*
 * Goal:   a writer gets its turn however many readers keep coming.
 * Method: a reader a millisecond, each staying for two.
 */
TEST(rwlock, writer_is_not_starved)
{
    CHECK_EQ(bide_test_run(readers_without_end, NULL, 0, NULL), 0);
}

static int tries(void *arg)
{
    bide_rwlock zeroed, made, mine = BIDE_RWLOCK_INIT;

    (void)arg;
    memset(&zeroed, 0, sizeof zeroed);
    memset(&made, 0xa5, sizeof made);
    bide_rwlock_init(&made);
    for (int i = 0; i < 3; i++) {
        bide_rwlock *each = i == 0 ? &mine : i == 1 ? &zeroed : &made;
        CHECK_EQ(bide_rwlock_try_read_lock(each), 0);
        CHECK_EQ(bide_rwlock_try_read_lock(each), 0);
        CHECK_EQ(bide_rwlock_try_write_lock(each), -EBUSY);
        bide_rwlock_read_unlock(each);
        CHECK_EQ(bide_rwlock_try_write_lock(each), -EBUSY);
        bide_rwlock_read_unlock(each);
        CHECK_EQ(bide_rwlock_try_write_lock(each), 0);
        CHECK_EQ(bide_rwlock_try_write_lock(each), -EBUSY);
        CHECK_EQ(bide_rwlock_try_read_lock(each), -EBUSY);
        bide_rwlock_write_unlock(each);
        CHECK_EQ(bide_rwlock_write_lock(each), 0);
        bide_rwlock_write_unlock(each);
    }
    return 0;
}

static int tries_past_a_line(void *arg)
{
    task(int) writer;

    (void)arg;
    CHECK_EQ(bide_rwlock_read_lock(&lock), 0);
    writer = spawn(visits, -1, true, 0);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_rwlock_try_read_lock(&lock), -EBUSY); /* would be before the writer */
    CHECK_EQ(bide_rwlock_try_write_lock(&lock), -EBUSY);
    bide_rwlock_read_unlock(&lock);
    CHECK_EQ(bide_rwlock_try_read_lock(&lock), -EBUSY); /* it is the writer's already */
    return await(writer);
}

/*
 * Goal:   the try forms take what is free, say -EBUSY otherwise, and overtake nobody.
 * Method: locks from the initialiser, zeroed memory and bide_rwlock_init; then a line.
 */
TEST(rwlock, try_forms_do_not_wait_or_overtake)
{
    CHECK_EQ(bide_test_run(tries, NULL, 0, NULL), 0);
    CHECK_EQ(bide_test_run(tries_past_a_line, NULL, 0, NULL), 0);
}

static async(int, visits_for_a_while, bool, writes, bide_time, timeout)
{
    int err = 1;

    with_timeout (timeout)
        err = visits(-1, writes, 0);
    return err;
}

static int writer_gives_up(void *arg)
{
    bool by_deadline = *(bool *)arg;
    task(int) writer, tasks[3];

    CHECK_EQ(bide_rwlock_read_lock(&lock), 0);
    writer = spawn(visits_for_a_while, true, by_deadline ? BIDE_MS(10) : BIDE_FOREVER);
    bide_sleep(BIDE_MS(1));
    spawn_visitors(tasks, "rrw", BIDE_MS(5));
    CHECK_EQ(order_count, 0);
    if (!by_deadline)
        cancel(writer);
    CHECK_EQ(await(writer), by_deadline ? -ETIMEDOUT : -ECANCELED);
    CHECK_EQ(await(tasks[0]), 0);
    CHECK_EQ(await(tasks[1]), 0);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(readers_most, 2);
    CHECK_EQ(order_count, 2); /* not the writer behind them: this task still reads */
    cancel(tasks[2]);
    CHECK_EQ(await(tasks[2]), -ECANCELED);
    bide_rwlock_read_unlock(&lock);
    return 0;
}

/*
 * Goal:   a writer that gives up at the head lets the readers behind it in, to those that read.
 * Method: cancel and deadline, with readers and another writer behind; many seeds.
 */
TEST(rwlock, writer_that_gives_up_lets_readers_in)
{
    for (int by_deadline = 0; by_deadline < 2; by_deadline++)
        for (uint64_t seed = 0; seed < 100; seed++) {
            bool deadline = by_deadline;
            CHECK_EQ(bide_test_run(writer_gives_up, &deadline, seed, NULL), 0);
        }
}

static async(int, locks_then_sleeps, bool, writes)
{
    CHECK_EQ(writes ? bide_rwlock_write_lock(&lock) : bide_rwlock_read_lock(&lock), 0);
    enter(writes);
    CHECK_EQ(bide_sleep(1), -ECANCELED);
    leave(writes);
    return 0;
}

static int hands_over_and_cancels(void *arg)
{
    (void)arg;
    for (int writes = 0; writes < 2; writes++) {
        task(int) next, behind;
        CHECK_EQ(bide_rwlock_write_lock(&lock), 0);
        next = spawn(locks_then_sleeps, writes);
        bide_sleep(BIDE_MS(1));
        behind = spawn(visits, -1, !writes, 0);
        bide_sleep(BIDE_MS(1));
        bide_rwlock_write_unlock(&lock);
        cancel(next);
        cancel(behind);
        CHECK_EQ(bide_rwlock_try_write_lock(&lock), -EBUSY);
        CHECK_EQ(await(next), 0);
        CHECK_EQ(await(behind), -ECANCELED);
        CHECK_EQ(bide_rwlock_try_write_lock(&lock), 0);
        bide_rwlock_write_unlock(&lock);
    }
    return 0;
}

/*
 * Goal:   a lock that was handed over is held, even by who is cancelled before its turn.
 * Method: unlock, then cancel the next in line and the one behind, in one turn; reader and writer.
 */
TEST(rwlock, handed_over_lock_survives_a_cancel)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(hands_over_and_cancels, NULL, seed, NULL), 0);
}

static int locks_in_fired_scopes(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    with_timeout (0) {
        CHECK_EQ(bide_rwlock_read_lock(&lock), -ETIMEDOUT);
        CHECK_EQ(bide_rwlock_write_lock(&lock), -ETIMEDOUT);
    }
    with_scope (&scope) {
        bide_scope_cancel(&scope);
        CHECK_EQ(bide_rwlock_read_lock(&lock), -ECANCELED);
        CHECK_EQ(bide_rwlock_write_lock(&lock), -ECANCELED);
        CHECK_EQ(bide_rwlock_try_write_lock(&lock), 0);
        bide_rwlock_write_unlock(&lock);
    }
    return 0;
}

/*
 * Goal:   in a scope that fired the lock calls return the code and hold nothing.
 * Method: a passed deadline, and a cancelled scope.
 */
TEST(rwlock, lock_in_a_fired_scope_takes_nothing)
{
    CHECK_EQ(bide_test_run(locks_in_fired_scopes, NULL, 0, NULL), 0);
}

/* Read and write a few times, some of it with a time limit. */
static async(int, comes_and_goes, struct sweep *, at)
{
    for (int i = 0; i < 4; i++) {
        bool writes = sweep_random(at, 3) == 0;
        int err = 1;
        with_timeout (sweep_random(at, 3) == 0 ? BIDE_MS(sweep_random(at, 3)) : BIDE_FOREVER)
            err = writes ? bide_rwlock_write_lock(&lock) : bide_rwlock_read_lock(&lock);
        if (err == -ECANCELED)
            return err;
        if (err == -ETIMEDOUT)
            continue;
        CHECK_EQ(err, 0);
        enter(writes);
        err = bide_sleep(BIDE_MS(sweep_random(at, 3)));
        leave(writes);
        if (err < 0)
            return err;
    }
    return 0;
}

static int comes_and_goes_cancelled(void *arg)
{
    struct sweep *at = arg;
    task(int) tasks[5];

    for (int i = 0; i < 5; i++)
        tasks[i] = spawn(comes_and_goes, at);
    bide_sleep(at->at);
    cancel(tasks[at->victim]);
    for (int i = 0; i < 5; i++) {
        int err = await(tasks[i]);
        CHECK(err == 0 || (err == -ECANCELED && i == at->victim));
    }
    CHECK(readers == 0 && writers == 0);
    CHECK_EQ(bide_rwlock_try_write_lock(&lock), 0); /* free, and nobody in line */
    bide_rwlock_write_unlock(&lock);
    return 0;
}

/*
 * Goal:   whatever is cancelled or times out, writers are alone, nobody waits for ever, and the
 *         lock is free in the end.
 * Method: five tasks that read and write at random, two thousand runs.
 */
TEST(rwlock, cancel_at_any_moment_keeps_it_whole)
{
    sweep(comes_and_goes_cancelled, 5, 9);
}

static async(int, looks_on, int, turns)
{
    for (int i = 0; i < turns; i++) {
        CHECK_EQ(bide_rwlock_try_write_lock(&lock), 0); /* nobody yields while holding it */
        bide_rwlock_write_unlock(&lock);
        CHECK_EQ(bide_yield(), 0);
    }
    return 0;
}

static int locks_without_end(void *arg)
{
    (void)arg;
    for (int writes = 0; writes < 2; writes++) {
        task(int) bystander = spawn(looks_on, 10);
        while (!is_done(bystander)) {
            CHECK_EQ(writes ? bide_rwlock_write_lock(&lock) : bide_rwlock_read_lock(&lock), 0);
            enter(writes);
            leave(writes);
        }
        CHECK_EQ(await(bystander), 0);
    }
    return 0;
}

/*
 * Goal:   a task that never has to wait for the lock lets the others run, while not holding it.
 * Method: loops that end only when a bystander has had its turns.
 */
TEST(rwlock, uncontended_locking_starves_nobody)
{
    CHECK_EQ(bide_test_run(locks_without_end, NULL, 0, NULL), 0);
}

static int calls(void *call)
{
    (*(void (**)(void))call)();
    return 0;
}

static void run(void (*body)(void))
{
    bide_test_run(calls, &body, 0, NULL);
}

static void unlocks_reading_for_nothing(void)
{
    bide_rwlock_read_unlock(&lock);
}

static void unlocks_reading_of_a_writer(void)
{
    bide_rwlock_write_lock(&lock);
    bide_rwlock_read_unlock(&lock);
}

static void unlocks_writing_for_nothing(void)
{
    bide_rwlock_read_lock(&lock);
    bide_rwlock_write_unlock(&lock);
}

static void unlocks_writing_of_another(void)
{
    spawn(visits, -1, true, BIDE_SEC(1));
    bide_yield();
    bide_rwlock_write_unlock(&lock);
}

static void reads_while_it_writes(void)
{
    bide_rwlock_write_lock(&lock);
    bide_rwlock_read_lock(&lock);
}

static void writes_twice(void)
{
    bide_rwlock_write_lock(&lock);
    bide_rwlock_write_lock(&lock);
}

static async(int, writes_and_ends, int, unused)
{
    (void)unused;
    return bide_rwlock_write_lock(&lock);
}

static void reads_after_a_writer_that_ended(void)
{
    await(spawn(writes_and_ends, 0));
    bide_rwlock_read_lock(&lock);
}

/*
 * Goal:   a mistake is one clear line that names the tasks, and an abort.
 * Method: each in a process of its own.
 */
TEST(rwlock, mistakes_abort_and_name_the_tasks)
{
    EXPECT_DEATH(run(unlocks_reading_for_nothing), "what no task holds for reading; unlock once");
    EXPECT_DEATH(run(unlocks_reading_of_a_writer), "a writer holds it");
    EXPECT_DEATH(run(unlocks_writing_for_nothing), "does not hold this lock for writing, nobody");
    EXPECT_DEATH(run(unlocks_writing_of_another), "lock for writing, task 'visits' #2");
    EXPECT_DEATH(run(reads_while_it_writes),
                 "bide_rwlock_read_lock: task 'main' #1 (the first) holds this lock for writing");
    EXPECT_DEATH(run(writes_twice), "bide_rwlock_write_lock: task 'main' #1");
    EXPECT_DEATH(run(reads_after_a_writer_that_ended), "ended without unlocking it");
    EXPECT_DEATH(bide_rwlock_read_lock(&lock), "was called outside of a task");
    EXPECT_DEATH(bide_rwlock_write_lock(&lock), "was called outside of a task");
    EXPECT_DEATH(bide_rwlock_try_write_lock(&lock), "was called outside of a task");
    EXPECT_DEATH(bide_rwlock_write_unlock(&lock), "was called outside of a task");
}
