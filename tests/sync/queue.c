/* SPDX-License-Identifier: MIT */
/*
 * queue.c - a queue between tasks: order, waiting, the count of undone work, the end; and that no
 * item is lost or doubled, whatever is cancelled when.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reports.h"
#include "test.h"

static void run(int (*body)(void *))
{
    CHECK_EQ(bide_test_run(body, NULL, 0, NULL), 0);
}

static uint64_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* An item with a priority, of which several may be equal, and its number of arrival. */
struct ranked {
    int rank;
    int number;
    char odd[3];
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *first = a, *second = b;

    CHECK_EQ((uintptr_t)a % _Alignof(struct ranked), 0);
    CHECK_EQ((uintptr_t)b % _Alignof(struct ranked), 0);
    return first->rank < second->rank ? -1 : first->rank > second->rank;
}

static const bide_queue_options orders[] = {
    {.order = BIDE_QUEUE_FIFO},
    {.order = BIDE_QUEUE_LIFO},
    {.order = BIDE_QUEUE_PRIORITY, .compare = by_rank},
    {.order = BIDE_QUEUE_FIFO, .capacity = 37},
    {.order = BIDE_QUEUE_LIFO, .capacity = 37},
    {.order = BIDE_QUEUE_PRIORITY, .compare = by_rank, .capacity = 37},
    {.order = BIDE_QUEUE_FIFO, .capacity = 1},
};
enum { ORDERS = sizeof orders / sizeof orders[0] };

/* Which of the listed items must come out next. */
static size_t expected_next(const struct ranked *items, size_t count, enum bide_queue_order order)
{
    size_t best = order == BIDE_QUEUE_LIFO ? count - 1 : 0;

    for (size_t i = 0; order == BIDE_QUEUE_PRIORITY && i < count; i++)
        if (items[i].rank < items[best].rank)
            best = i;
    return best;
}

static void compare_with_model(const bide_queue_options *options, uint64_t state)
{
    static struct ranked model[4096];
    queue(struct ranked) q = queue_new(struct ranked, options);
    size_t count = 0;

    for (int step = 0; step < 4000; step++) {
        struct ranked item = {.rank = (int)(random_next(&state) % 20), .number = step};
        bool grows = step / 500 % 2 == 0; /* up and down, past many sizes of the array */
        if (random_next(&state) % 4 < (grows ? 3 : 1)) {
            bool is_full = options->capacity != 0 && count == options->capacity;
            CHECK_EQ(queue_try_put(q, item), is_full ? -EAGAIN : 0);
            if (!is_full)
                model[count++] = item;
        } else if (count == 0) {
            CHECK_EQ(queue_try_get(q, &item), -EAGAIN);
            CHECK_EQ(item.number, step); /* untouched */
        } else {
            size_t next = expected_next(model, count, options->order);
            CHECK_EQ(queue_try_get(q, &item), 0);
            CHECK_EQ(item.number, model[next].number);
            CHECK_EQ(item.rank, model[next].rank);
            memmove(&model[next], &model[next + 1], (--count - next) * sizeof model[0]);
        }
        CHECK_EQ(queue_len(q), count);
    }
    queue_free(q);
}

/*
 * Goal:   items come out in the order asked for, equals of a priority in the order of arrival, from
 *         bounded and unbounded queues; a full and an empty one refuse.
 * Method: random puts and gets against a plain list, over arrays that grow, wrap and shrink. No
 *         loop is needed for what does not wait.
 */
TEST(queue, items_come_out_in_order)
{
    for (int i = 0; i < ORDERS; i++)
        for (uint64_t seed = 0; seed < 5; seed++)
            compare_with_model(&orders[i], test_seed() + seed);
}

static int by_alignment(const void *a, const void *b)
{
    CHECK_EQ((uintptr_t)a % _Alignof(max_align_t), 0);
    return memcmp(a, b, 1);
}

static int keeps_types(void *arg)
{
    const bide_queue_options by_size = {.order = BIDE_QUEUE_PRIORITY, .compare = by_alignment};
    queue(const char *) texts = queue_new(const char *, NULL);
    queue(double) numbers = queue_new(double, NULL);
    queue(struct ranked) structs = queue_new(struct ranked, NULL);
    queue(max_align_t) aligned = queue_new(max_align_t, &by_size);
    const char *text;
    double number;
    struct ranked item;
    max_align_t wide = {0};

    CHECK_EQ(queue_put(texts, "here"), 0);
    CHECK_EQ(queue_get(texts, &text), 0);
    CHECK_STR(text, "here");
    CHECK_EQ(queue_put(numbers, 1), 0); /* converted as by an assignment */
    CHECK_EQ(queue_get(numbers, &number), 0);
    CHECK(number == 1.0);
    CHECK_EQ(queue_put(structs, ((struct ranked){1, 2, {3}})), 0);
    CHECK_EQ(queue_get(structs, &item), 0);
    CHECK_EQ(item.rank + item.number + item.odd[0], 6);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(queue_put(aligned, wide), 0);
    CHECK_EQ(queue_get(aligned, &wide), 0);
    queue_free(texts), queue_free(numbers), queue_free(structs), queue_free(aligned);
    (void)arg;
    return 0;
}

/*
 * Goal:   items of any type go through whole, and lie aligned where a compare function sees them.
 * Method: pointers, numbers, structs by value, and the type with the strictest alignment.
 */
TEST(queue, items_keep_type_and_alignment)
{
    run(keeps_types);
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

static int hands_over(void *arg)
{
    queue(int) q = queue_new(int, NULL);
    task(void) getters[4], joiner;
    int v;

    (void)arg;
    for (int i = 0; i < 4; i++) {
        getters[i] = spawn(gets, q, i);
        bide_yield();
    }
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(i % 2 ? queue_put(q, 10 + i) : queue_try_put(q, 10 + i), 0);
        CHECK_EQ(queue_len(q), 0);
        CHECK_EQ(queue_try_get(q, &v), -EAGAIN); /* it is somebody's already */
    }
    CHECK_EQ(result_count, 0); /* a put does not switch */
    joiner = spawn(joins, q, 4);
    for (int i = 0; i < 4; i++) {
        await(getters[i]);
        CHECK_EQ(results[i], 0);
        CHECK_EQ(values[i], 10 + i);
    }
    for (int i = 0; i < 4; i++) {
        bide_yield();
        CHECK_EQ(result_count, 4); /* an item that was handed over counts as undone */
        queue_task_done(q);
    }
    await(joiner);
    CHECK_EQ(results[4], 0);
    queue_free(q);
    return 0;
}

/*
 * Goal:   waiting getters are served in the order in which they came, each item going straight to
 *         one of them; join waits for it to be marked done.
 * Method: four getters, four puts while nobody runs, a join.
 */
TEST(queue, put_hands_over_to_the_first_getter)
{
    run(hands_over);
}

static int waits_while_full(void *arg)
{
    queue(int) q = queue_new(int, &(bide_queue_options){.capacity = 2});
    task(void) putters[5];
    int v = -1;

    (void)arg;
    for (int i = 0; i < 5; i++) {
        putters[i] = spawn(puts_value, q, i);
        bide_yield();
    }
    CHECK_EQ(result_count, 2);
    CHECK_EQ(queue_len(q), 2);
    CHECK_EQ(queue_try_put(q, 99), -EAGAIN);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(queue_get(q, &v), 0);
        CHECK_EQ(v, i);
        CHECK_EQ(queue_len(q), 2);
        CHECK_EQ(queue_try_put(q, 99), -EAGAIN); /* nobody overtakes */
    }
    CHECK_EQ(result_count, 2); /* a get does not switch */
    for (int i = 0; i < 5; i++) {
        await(putters[i]);
        CHECK_EQ(results[i], 0);
    }
    CHECK_EQ(queue_get(q, &v), 0);
    CHECK_EQ(v, 3);
    CHECK_EQ(queue_get(q, &v), 0);
    CHECK_EQ(v, 4);
    queue_free(q);
    return 0;
}

/*
 * Goal:   putters of a full queue wait in line, and a place that falls free is the first one's.
 * Method: five putters for two places; each get moves one item in before any of them runs.
 */
TEST(queue, put_waits_while_full_in_order)
{
    run(waits_while_full);
}

static async(int, cancelled_get, queue(int), q)
{
    int v = 7;
    int err = queue_get(q, &v);

    CHECK_EQ(v, 7);
    CHECK_EQ(queue_get(q, &v), err); /* a level */
    CHECK_EQ(queue_put(q, 1), err);
    CHECK_EQ(queue_join(q), err);
    return err;
}

static async(int, cancelled_put, queue(int), q, int, value)
{
    return queue_put(q, value);
}

static async(int, cancelled_join, queue(int), q)
{
    return queue_join(q);
}

static async(int, gets_then_sees_cancel, queue(int), q)
{
    int v = 0;

    CHECK_EQ(queue_get(q, &v), 0);
    CHECK_EQ(v, 5);
    CHECK_EQ(queue_get(q, &v), -ECANCELED);
    return v;
}

static async(int, puts_then_sees_cancel, queue(int), q)
{
    CHECK_EQ(queue_put(q, 6), 0);
    CHECK_EQ(queue_put(q, 7), -ECANCELED);
    return 0;
}

static int cancels_each_wait(void *arg)
{
    queue(int) q = queue_new(int, &(bide_queue_options){.capacity = 1});
    int v;

    (void)arg;
    task(int) first = spawn(cancelled_get, q), second = spawn(gets_then_sees_cancel, q);
    bide_yield();
    cancel(first);
    CHECK_EQ(queue_put(q, 5), 0); /* to the second, although the first has not run since */
    cancel(second);               /* too late for its first call, in time for the next */
    CHECK_EQ(await(first), -ECANCELED);
    CHECK_EQ(await(second), 5);

    CHECK_EQ(queue_put(q, 1), 0);
    first = spawn(cancelled_put, q, 2);
    second = spawn(puts_then_sees_cancel, q);
    task(int) joiner = spawn(cancelled_join, q);
    bide_yield();
    cancel(first), cancel(joiner);
    CHECK_EQ(queue_get(q, &v), 0);
    CHECK_EQ(v, 1);
    cancel(second);
    CHECK_EQ(await(first), -ECANCELED);
    CHECK_EQ(await(second), 0);
    CHECK_EQ(await(joiner), -ECANCELED);
    CHECK_EQ(queue_get(q, &v), 0);
    CHECK_EQ(v, 6);
    CHECK_EQ(queue_len(q), 0);

    with_timeout (BIDE_MS(5)) {
        CHECK_EQ(queue_get(q, &v), -ETIMEDOUT);
        CHECK_EQ(queue_join(q), -ETIMEDOUT);
    }
    CHECK_EQ(queue_put(q, 8), 0);
    with_timeout (BIDE_MS(5))
        CHECK_EQ(queue_put(q, 9), -ETIMEDOUT);
    with_timeout (0) { /* would not have to wait */
        CHECK_EQ(queue_get(q, &v), -ETIMEDOUT);
        CHECK_EQ(v, 6);
    }
    CHECK_EQ(queue_len(q), 1);
    queue_free(q);
    return 0;
}

/*
 * Goal:   a cancelled wait takes and puts nothing, and lets those behind it through; one that was
 *         served before the cancel came has succeeded.
 * Method: cancel a get, a put and a join while they wait, those behind them after they were served;
 *         deadlines, and scopes that have fired before the call.
 */
TEST(queue, cancel_loses_no_item)
{
    run(cancels_each_wait);
}

static uint64_t bystander_turns;

static async(int, bystander, const bool *, ends)
{
    for (; !*ends && bide_yield() == 0;)
        bystander_turns++;
    return 0;
}

static int never_waits(void *arg)
{
    queue(int) q = queue_new(int, NULL);
    bool ends = false;
    task(int) other = spawn(bystander, &ends);
    int v;

    (void)arg;
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(queue_put(q, i), 0);
    CHECK(bystander_turns > 100);
    bystander_turns = 0;
    for (int i = 0; i < 10000; i++) {
        CHECK_EQ(queue_get(q, &v), 0);
        queue_task_done(q);
    }
    CHECK(bystander_turns > 100);
    bystander_turns = 0;
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(queue_join(q), 0);
    CHECK(bystander_turns > 100);
    queue_shutdown(q, BIDE_QUEUE_DRAIN);
    bystander_turns = 0;
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(queue_put(q, i), -EPIPE);
    CHECK(bystander_turns > 100);
    bystander_turns = 0;
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(queue_get(q, &v), -EPIPE);
    CHECK(bystander_turns > 100);
    ends = true;
    await(other);
    queue_free(q);
    return 0;
}

/*
 * Goal:   a task whose calls never have to wait, or that ignores the end, lets others run.
 * Method: count a bystander's turns.
 */
TEST(queue, calls_that_do_not_wait_spend_the_budget)
{
    run(never_waits);
}

static int waits_for_nobody(void *arg)
{
    queue(int) q = queue_new(int, NULL);
    int v;

    (void)arg;
    CHECK_EQ(queue_get(q, &v), -ECANCELED);
    queue_free(q);
    return 0;
}

/*
 * Goal:   a deadlock report names the call and the line that waits.
 * Method: get from a queue that nobody puts into.
 */
TEST(queue, deadlock_report_names_the_call)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(waits_for_nobody, NULL, 0, &options), -EDEADLK);
    CHECK_CONTAINS(reports_get(&seen, BIDE_REPORT_DEADLOCK, 1)->message,
                   "sleeps in queue_get at tests/sync/queue.c");
}

/* Producers and consumers who give up and are cancelled at random; each item is a number. */
enum { PRODUCERS = 4, CONSUMERS = 3, EACH = 12, ITEMS = PRODUCERS * EACH };

struct market {
    queue(struct ranked) q;
    bide_queue_options options;
    enum bide_queue_ending ending;
    uint64_t state;
    int put[ITEMS], got[ITEMS];
};

static void market_drop(void *item, void *arg)
{
    struct market *market = arg;

    market->got[((struct ranked *)item)->number]++;
}

static async(int, produces, struct market *, market, int, first)
{
    for (int i = first; i < first + EACH; i++) {
        struct ranked item = {.rank = (int)(random_next(&market->state) % 3), .number = i};
        int err = 0;
        with_timeout (BIDE_NS(random_next(&market->state) % 6))
            err = queue_put(market->q, item);
        CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED || err == -EPIPE);
        market->put[i] = err == 0;
        bide_sleep(BIDE_NS(random_next(&market->state) % 3));
    }
    return 0;
}

static async(int, consumes, struct market *, market)
{
    for (int err = 0; err != -EPIPE && err != -ECANCELED;) {
        struct ranked item = {.number = -1};
        with_timeout (BIDE_NS(random_next(&market->state) % 6))
            err = queue_get(market->q, &item);
        CHECK_EQ(item.number >= 0, err == 0);
        if (err != 0)
            continue;
        market->got[item.number]++;
        bide_sleep(BIDE_NS(random_next(&market->state) % 3));
        queue_task_done(market->q);
    }
    return 0;
}

static int trades(void *arg)
{
    struct market *market = arg;
    task(int) producers[PRODUCERS], consumers[CONSUMERS];
    struct ranked item;

    market->options.drop = market_drop;
    market->options.drop_arg = market;
    market->q = queue_new(struct ranked, &market->options);
    for (int i = 0; i < CONSUMERS; i++)
        consumers[i] = spawn(consumes, market);
    for (int i = 0; i < PRODUCERS; i++)
        producers[i] = spawn(produces, market, i * EACH);
    for (int i = 0; i < 2; i++) {
        bide_sleep(BIDE_NS(random_next(&market->state) % 20));
        cancel(consumers[i]);
        cancel(producers[i]);
    }
    if (market->ending != 0)
        bide_sleep(BIDE_NS(random_next(&market->state) % 20));
    else
        for (int i = 0; i < PRODUCERS; i++)
            while (!is_done(producers[i]))
                bide_sleep(1);
    queue_shutdown(market->q, market->ending ? market->ending : BIDE_QUEUE_DRAIN);
    for (int i = 0; i < PRODUCERS; i++)
        await(producers[i]);
    for (int i = 0; i < CONSUMERS; i++)
        await(consumers[i]);
    while (queue_try_get(market->q, &item) == 0) {
        market->got[item.number]++;
        queue_task_done(market->q);
    }
    CHECK_EQ(queue_join(market->q), 0);
    queue_free(market->q);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQ(market->put[i], market->got[i]);
    return 0;
}

/*
 * Goal:   whatever times out, is cancelled or shut down when, each item that was put is got or
 *         dropped exactly once, and one that was not put never is; the count of undone work agrees.
 * Method: virtual clock with steps so small that everything coincides, under hundreds of seeds,
 *         with every order, bounded and not, and every ending.
 */
TEST(queue, cancels_and_endings_conserve_items)
{
    for (uint64_t seed = 0; seed < 60; seed++)
        for (int i = 0; i < ORDERS; i++)
            for (unsigned ending = 0; ending <= BIDE_QUEUE_IMMEDIATE; ending++) {
                struct market market = {
                    .options = orders[i], .ending = ending, .state = test_seed() + seed};
                if (market.options.capacity > 3)
                    market.options.capacity = 3;
                CHECK_EQ(bide_test_run(trades, &market, seed, NULL), 0);
            }
}
