/* SPDX-License-Identifier: MIT */
/*
 * queue_end.c - how a queue ends: shut down, freed, misused; and without memory.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>

#include "base/fault.h"
#include "test.h"

static void run(int (*body)(void *))
{
    CHECK_EQ(bide_test_run(body, NULL, 0, NULL), 0);
}

static int results[8], result_count;
static int values[8];

static async(void, gets, queue(int), q, int, index)
{
    values[index] = -1;
    results[index] = queue_get(q, &values[index]);
    result_count++;
}

static async(void, puts_value, queue(int), q, int, index)
{
    results[index] = queue_put(q, index);
    result_count++;
}

static async(void, joins, queue(int), q, int, index)
{
    results[index] = queue_join(q);
    result_count++;
}

static int dropped[8], drop_count;

static void keep_dropped(void *item, void *arg)
{
    queue(int) *q = arg;

    if (q != NULL) { /* it may look, and finds the item gone */
        CHECK_EQ(queue_try_put(*q, 1), -EPIPE);
        CHECK_EQ(queue_try_get(*q, &values[7]), queue_len(*q) > 0 ? 0 : -EPIPE);
    }
    dropped[drop_count++] = *(int *)item;
}

static int drains(void *arg)
{
    queue(int) q = queue_new(int, (&(bide_queue_options){.capacity = 2, .drop = keep_dropped}));
    task(void) putter, joiner;
    int v;

    (void)arg;
    CHECK_EQ(queue_put(q, 1), 0);
    CHECK_EQ(queue_put(q, 2), 0);
    putter = spawn(puts_value, q, 0);
    joiner = spawn(joins, q, 1);
    bide_yield();
    queue_shutdown(q, BIDE_QUEUE_DRAIN);
    await(putter);
    CHECK_EQ(results[0], -EPIPE);
    CHECK_EQ(queue_put(q, 3), -EPIPE);
    CHECK_EQ(queue_try_put(q, 3), -EPIPE);
    CHECK_EQ(queue_get(q, &v), 0);
    CHECK_EQ(v, 1);
    queue_shutdown(q, BIDE_QUEUE_DRAIN); /* changes nothing */
    CHECK_EQ(queue_try_get(q, &v), 0);
    CHECK_EQ(v, 2);
    CHECK_EQ(queue_get(q, &v), -EPIPE);
    CHECK_EQ(queue_try_get(q, &v), -EPIPE);
    CHECK_EQ(v, 2);
    queue_task_done(q);
    bide_yield();
    CHECK_EQ(result_count, 1);
    queue_task_done(q);
    await(joiner);
    CHECK_EQ(results[1], 0);
    CHECK_EQ(queue_join(q), 0);
    queue_free(q);

    q = queue_new(int, NULL);
    task(void) getter = spawn(gets, q, 2);
    bide_yield();
    queue_shutdown(q, BIDE_QUEUE_DRAIN);
    queue_free(q); /* before those who were told have run */
    await(getter);
    CHECK_EQ(results[2], -EPIPE);
    CHECK_EQ(values[2], -1);
    CHECK_EQ(drop_count, 0);
    return 0;
}

/*
 * Goal:   after a shutdown that drains, nothing more is put, what is in the queue can be got, and
 *         then gets end; join waits for the work as before.
 * Method: a waiting putter, joiner and getter; each call before, at and after the end.
 */
TEST(queue_end, shutdown_drains)
{
    run(drains);
}

static int ends_at_once(void *arg)
{
    queue(int) q;
    const bide_queue_options options = {.capacity = 3, .drop = keep_dropped, .drop_arg = &q};
    task(void) putter, joiner, getter;
    int v;

    (void)arg;
    q = queue_new(int, &options);
    CHECK_EQ(queue_put(q, 0), 0);
    CHECK_EQ(queue_get(q, &v), 0);
    for (int i = 1; i <= 3; i++) /* across the end of the ring */
        CHECK_EQ(queue_put(q, i), 0);
    putter = spawn(puts_value, q, 0);
    joiner = spawn(joins, q, 1);
    bide_yield();
    queue_shutdown(q, BIDE_QUEUE_DRAIN);
    queue_shutdown(q, BIDE_QUEUE_IMMEDIATE); /* a drain can still be cut short */
    queue_shutdown(q, BIDE_QUEUE_DRAIN);     /* but not taken back */
    CHECK_EQ(queue_len(q), 0);
    CHECK_EQ(drop_count, 2); /* the first one's drop got the second itself */
    CHECK_EQ(dropped[0], 1);
    CHECK_EQ(values[7], 2);
    CHECK_EQ(dropped[1], 3);
    CHECK_EQ(queue_get(q, &v), -EPIPE);
    CHECK_EQ(queue_put(q, 9), -EPIPE);
    await(putter);
    CHECK_EQ(results[0], -EPIPE);
    queue_task_done(q);
    queue_task_done(q);
    await(joiner);
    CHECK_EQ(results[1], 0);
    queue_free(q);

    q = queue_new(int, NULL);
    CHECK_EQ(queue_put(q, 1), 0);
    joiner = spawn(joins, q, 3);
    bide_yield();
    queue_shutdown(q, BIDE_QUEUE_IMMEDIATE); /* which leaves nothing to wait for */
    await(joiner);
    CHECK_EQ(results[3], 0);
    queue_free(q);

    q = queue_new(int, NULL);
    getter = spawn(gets, q, 2);
    bide_yield();
    queue_shutdown(q, BIDE_QUEUE_IMMEDIATE);
    CHECK_EQ(queue_join(q), 0);
    await(getter);
    CHECK_EQ(results[2], -EPIPE);
    queue_free(q);
    return 0;
}

/*
 * Goal:   a shutdown at once hands every item that nobody will get to the drop function, once, and
 *         counts it as done; waiting tasks end, and join waits only for what was taken before.
 * Method: a queue whose drop function uses the queue; a drain that is cut short.
 */
TEST(queue_end, shutdown_at_once_drops_what_is_left)
{
    run(ends_at_once);
}

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void frees(enum bide_queue_order order, size_t capacity)
{
    const bide_queue_options options = {
        .order = order, .capacity = capacity, .compare = by_value, .drop = keep_dropped};
    queue(int) q = queue_new(int, &options);
    int sum = 0;

    drop_count = 0;
    for (int n = 0; n < 6; n++)
        queue_try_put(q, 1 << n);
    size_t count = queue_len(q);
    queue_free(q);
    CHECK_EQ(count, capacity == 0 ? 6 : capacity);
    CHECK_EQ(drop_count, count);
    for (size_t n = 0; n < count; n++)
        sum += dropped[n];
    CHECK_EQ(sum, (1 << count) - 1);
}

/*
 * Goal:   free drops each item that is left once, and takes NULL.
 * Method: every order, bounded and not; the items are bits, and their sum tells.
 */
TEST(queue_end, free_drops_what_is_left)
{
    for (size_t capacity = 0; capacity < 6; capacity++) {
        frees(BIDE_QUEUE_FIFO, capacity);
        frees(BIDE_QUEUE_LIFO, capacity);
        frees(BIDE_QUEUE_PRIORITY, capacity);
    }
    queue_free((queue(int))NULL);
}

static int frees_under_a_waiter(void *arg)
{
    int which = *(int *)arg;
    queue(int) q = queue_new(int, &(bide_queue_options){.capacity = 1});

    if (which > 0)
        CHECK_EQ(queue_put(q, 1), 0);
    task(void) waiter = which == 0   ? spawn(gets, q, 0)
                        : which == 1 ? spawn(puts_value, q, 0)
                                     : spawn(joins, q, 0);
    bide_yield();
    queue_free(q);
    await(waiter);
    return 0;
}

static void join_outside(void)
{
    queue(int) q = queue_new(int, NULL);
    queue_join(q);
}

static void done_too_often(void)
{
    queue(int) q = queue_new(int, NULL);
    int v;

    CHECK_EQ(queue_try_put(q, 1), 0);
    CHECK_EQ(queue_try_put(q, 1), 0);
    CHECK_EQ(queue_try_get(q, &v), 0);
    queue_task_done(q);
    queue_task_done(q); /* the other was put, but not taken */
}

/*
 * Goal:   mistakes end the process with a line that says what to change.
 * Method: each one in a process of its own.
 */
TEST(queue_end, misuse_aborts_with_one_line)
{
    const char *const waits[] = {"still waits in queue_get", "still waits in queue_put",
                                 "still waits in queue_join"};
    queue(int) none = NULL;

    for (int i = 0; i < 3; i++)
        EXPECT_DEATH(bide_test_run(frees_under_a_waiter, &i, 0, NULL), waits[i]);
    EXPECT_DEATH(done_too_often(), "more often than items were taken");
    EXPECT_DEATH(join_outside(), "bide_queue_join was called outside of a task");
    EXPECT_DEATH(queue_put(none, 1), "bide_queue_put was called outside of a task");
    EXPECT_DEATH(queue_len(none), "the queue is NULL");
    EXPECT_DEATH(queue_try_put(none, 1), "the queue is NULL");
    EXPECT_DEATH((void)queue_new(int, &(bide_queue_options){.order = BIDE_QUEUE_PRIORITY}),
                 "needs options.compare");
    EXPECT_DEATH((void)queue_new(int, &(bide_queue_options){.order = 9}), "no order 9");
    EXPECT_DEATH(queue_shutdown(queue_new(int, NULL), 0), "BIDE_QUEUE_DRAIN or");
}

static int lacks_memory(void *arg)
{
    queue(int) q;
    int v, count = 0;

    (void)arg;
    for (int nth = 1; nth <= 2; nth++) {
        bide__fault_fail(BIDE__CALL_ALLOC, (uint64_t)nth, 1, -ENOMEM);
        CHECK(queue_new(int, &(bide_queue_options){.capacity = 4}) == NULL);
    }
    bide__fault_reset();
    CHECK(queue_new(int, &(bide_queue_options){.capacity = SIZE_MAX}) == NULL);
    CHECK(queue_new(int, &(bide_queue_options){.capacity = SIZE_MAX / 2}) == NULL);

    q = queue_new(int, NULL);
    for (int step = 0; step < 1000; step++) { /* every growth fails first */
        bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
        int err = step % 2 ? queue_try_put(q, count) : queue_put(q, count);
        CHECK(err == 0 || err == -ENOMEM);
        count += err == 0;
        CHECK_EQ(queue_len(q), count);
        bide__fault_reset();
        if (err != 0)
            CHECK_EQ(queue_put(q, count++), 0);
    }
    CHECK(bide__fault_count(BIDE__CALL_ALLOC) < 20);
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 500, -ENOMEM);
    for (int i = 0; i < count - 10; i++) { /* nor can it shrink, which does not matter */
        CHECK_EQ(queue_get(q, &v), 0);
        CHECK_EQ(v, i);
    }
    bide__fault_reset();
    for (int i = count - 10; i < count; i++) {
        CHECK_EQ(queue_get(q, &v), 0);
        CHECK_EQ(v, i);
    }
    CHECK(bide__fault_count(BIDE__CALL_ALLOC) > 2); /* memory goes back after a peak */

    task(void) getter = spawn(gets, q, 0);
    bide_yield();
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    CHECK_EQ(queue_put(q, 3), 0); /* a hand-over needs none */
    bide__fault_reset();
    await(getter);
    CHECK_EQ(values[0], 3);
    queue_free(q);
    return 0;
}

/*
 * Goal:   without memory, queue_new returns NULL and a put -ENOMEM with the item not put; nothing
 *         is lost, and gets never fail.
 * Method: let each allocation fail once; sizes that overflow.
 */
TEST(queue_end, no_memory_loses_nothing)
{
    run(lacks_memory);
}
