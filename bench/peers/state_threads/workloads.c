/* SPDX-License-Identifier: MIT */
/*
 * workloads.c - the workloads of bench/peers.h with State Threads.
 *
 * It has no channels: its users write them with condition variables, and so does this. As threads
 * are not preempted, no mutex is needed around them. It has no select and no generators either, and
 * 1.9 has no yield: a sleep of no time stands for it, which goes through the timers, and polls
 * whenever all have had their turn.
 */
#include <st.h>

#include "memory.h"
#include "peers/workload.h"

enum { SMALL_STACK_BYTES = 64 * 1024 }; /* where there are many, as in ours */

static void need(bool is_done, const char *what)
{
    if (!is_done)
        bench_die(what);
}

static st_thread_t start_thread(void *(*function)(void *), void *arg)
{
    st_thread_t thread = st_thread_create(function, arg, 1, 0);

    need(thread != NULL, "st_thread_create");
    return thread;
}

/* Room for one value, which a receiver takes out before the next is put in. */
struct slot {
    st_cond_t filled;
    bool is_full;
    long value;
};

static void slot_put(struct slot *slot, long value)
{
    slot->value = value;
    slot->is_full = true;
    st_cond_signal(slot->filled);
}

static long slot_take(struct slot *slot)
{
    while (!slot->is_full)
        st_cond_wait(slot->filled);
    slot->is_full = false;
    return slot->value;
}

static struct slot ping, pong;

static void *answer(void *arg)
{
    for (size_t i = *(size_t *)arg; i > 0; i--)
        slot_put(&pong, slot_take(&ping));
    return NULL;
}

static void chan_round_trip(size_t operations)
{
    st_thread_t thread;

    ping.filled = st_cond_new();
    pong.filled = st_cond_new();
    thread = start_thread(answer, &operations);
    for (size_t i = 0; i < operations; i++) {
        slot_put(&ping, (long)i);
        slot_take(&pong);
    }
    st_thread_join(thread, NULL);
    st_cond_destroy(ping.filled);
    st_cond_destroy(pong.filled);
}

/* A ring of values. */
static struct {
    long values[BUFFERED_CAPACITY];
    size_t put, taken; /* in all */
    st_cond_t not_empty, not_full;
} ring;

static void *produce(void *arg)
{
    for (size_t i = *(size_t *)arg; i > 0; i--) {
        while (ring.put - ring.taken == BUFFERED_CAPACITY)
            st_cond_wait(ring.not_full);
        ring.values[ring.put++ % BUFFERED_CAPACITY] = (long)i;
        st_cond_signal(ring.not_empty);
    }
    return NULL;
}

static void chan_buffered(size_t operations)
{
    volatile long value;
    st_thread_t thread;

    ring.not_empty = st_cond_new();
    ring.not_full = st_cond_new();
    thread = start_thread(produce, &operations);
    for (size_t i = 0; i < operations; i++) {
        while (ring.put == ring.taken)
            st_cond_wait(ring.not_empty);
        value = ring.values[ring.taken++ % BUFFERED_CAPACITY];
        st_cond_signal(ring.not_full);
    }
    (void)value;
    st_thread_join(thread, NULL);
    st_cond_destroy(ring.not_empty);
    st_cond_destroy(ring.not_full);
}

static st_mutex_t lock;

static void *contend(void *arg)
{
    for (size_t i = *(size_t *)arg / 2; i > 0; i--) {
        st_mutex_lock(lock);
        st_usleep(0);
        st_mutex_unlock(lock);
    }
    return NULL;
}

static void mutex(size_t operations)
{
    st_thread_t one, other;

    lock = st_mutex_new();
    one = start_thread(contend, &operations);
    other = start_thread(contend, &operations);
    st_thread_join(one, NULL);
    st_thread_join(other, NULL);
    st_mutex_destroy(lock);
}

static void mutex_uncontended(size_t operations)
{
    lock = st_mutex_new();
    for (size_t i = 0; i < operations; i++) {
        st_mutex_lock(lock);
        st_mutex_unlock(lock);
    }
    st_mutex_destroy(lock);
}

static void *nothing(void *arg)
{
    return arg;
}

/*
 * Threads that are joined one by one stand for a group. A thread that was joined gives its stack
 * back in a last turn of its own, for which the sleep makes way: else the next round finds none.
 */
static void group(size_t operations)
{
    st_thread_t *threads = malloc(operations * sizeof(st_thread_t));

    need(threads != NULL, "malloc");
    for (size_t i = 0; i < operations; i++)
        threads[i] = start_thread(nothing, NULL);
    for (size_t i = 0; i < operations; i++)
        st_thread_join(threads[i], NULL);
    st_usleep(0);
    free(threads);
}

static void spawn_one_by_one(size_t operations)
{
    for (size_t i = 0; i < operations; i++)
        st_thread_join(start_thread(nothing, NULL), NULL);
}

static void spawn_in_batches(size_t operations)
{
    st_thread_t threads[SPAWN_BATCH];

    for (size_t done = 0; done < operations; done += SPAWN_BATCH) {
        size_t batch = operations - done < SPAWN_BATCH ? operations - done : SPAWN_BATCH;
        for (size_t i = 0; i < batch; i++)
            threads[i] = start_thread(nothing, NULL);
        for (size_t i = 0; i < batch; i++)
            st_thread_join(threads[i], NULL);
    }
}

/* Threads with small stacks, which all end before this returns. */
static st_thread_t *start_many(void *(*function)(void *), size_t count)
{
    st_thread_t *threads = malloc(count * sizeof(st_thread_t));

    need(threads != NULL, "malloc");
    memset(threads, 1, count * sizeof(st_thread_t)); /* touched: not a part of what they cost */
    for (size_t i = 0; i < count; i++) {
        threads[i] = st_thread_create(function, (void *)i, 1, SMALL_STACK_BYTES);
        need(threads[i] != NULL, "st_thread_create");
    }
    return threads;
}

static void join_many(st_thread_t *threads, size_t count)
{
    for (size_t i = 0; i < count; i++)
        st_thread_join(threads[i], NULL);
    free(threads);
}

static size_t laps;

/* The first looks at the clock, when all have started. */
static void *yield_laps(void *arg)
{
    st_usleep(0);
    if (arg == NULL)
        workload.start_ns = bench_now_ns();
    for (size_t lap = 0; lap < laps; lap++)
        st_usleep(0);
    if (arg == NULL)
        workload.end_ns = bench_now_ns();
    return NULL;
}

static void yield_among(size_t operations)
{
    laps = workload_laps(operations);
    join_many(start_many(yield_laps, workload.tasks), workload.tasks);
}

static size_t asleep;

static void *sleep_long(void *unused)
{
    asleep++;
    st_sleep(3600);
    return unused;
}

static void sleep_many(size_t count)
{
    double resident = bench_status_bytes("VmRSS") + (double)count * sizeof(st_thread_t);
    double start = bench_now_ns(), start_s;
    st_thread_t *threads = start_many(sleep_long, count);

    while (asleep < count)
        st_usleep(0);
    start_s = (bench_now_ns() - start) / 1e9;
    resident = (bench_status_bytes("VmRSS") - resident) / (double)count;
    start = bench_now_ns();
    for (size_t i = 0; i < count; i++)
        st_thread_interrupt(threads[i]);
    join_many(threads, count);
    printf("%.4f %.4f %.0f\n", start_s, (bench_now_ns() - start) / 1e9, resident);
}

static size_t naps;

static void *nap(void *arg)
{
    st_usleep((st_utime_t)(workload_nap_ns((size_t)arg, naps) / 1e3));
    return NULL;
}

static void timers(size_t count)
{
    double start = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);

    naps = count;
    join_many(start_many(nap, count), count);
    printf("%.4f\n", (bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / 1e9);
}

static const struct workload workloads[] = {
    {.name = "chan_round_trip", .run = chan_round_trip},
    {.name = "chan_buffered", .run = chan_buffered},
    {.name = "mutex", .run = mutex},
    {.name = "mutex_uncontended", .run = mutex_uncontended},
    {.name = "group", .run = group},
    {.name = "spawn_one_by_one", .run = spawn_one_by_one},
    {.name = "spawn_in_batches", .run = spawn_in_batches},
    {.name = "yield_2", .run = yield_among, .tasks = 2},
    {.name = "yield_100", .run = yield_among, .tasks = 100},
    {.name = "yield_10000", .run = yield_among, .tasks = 10000},
    {.name = "yield_100000", .run = yield_among, .tasks = 100000},
    {.name = "sleep", .once = sleep_many},
    {.name = "timers", .once = timers},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    /* Debian builds the library without epoll. */
    need(st_set_eventsys(ST_EVENTSYS_POLL) == 0, "st_set_eventsys");
    need(st_init() == 0, "st_init");
    return workload_main(argc, argv, "State Threads " ST_VERSION, workloads);
}
