/* SPDX-License-Identifier: MIT */
/*
 * workloads.c - the workloads of bench/peers.h with State Threads.
 *
 * It has no channels: its users write them with condition variables, and so does this. As threads
 * are not preempted, no mutex is needed around them. It has no select and no generators either.
 */
#include <st.h>

#include "peers/workload.h"

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

/* There is no yield in 1.9: a sleep of no time goes through the timers, and polls. */
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

static const struct workload workloads[] = {
    {"chan_round_trip", chan_round_trip},
    {"chan_buffered", chan_buffered},
    {"mutex", mutex},
    {"mutex_uncontended", mutex_uncontended},
    {"group", group},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    st_set_eventsys(ST_EVENTSYS_ALT); /* epoll */
    need(st_init() == 0, "st_init");
    return workload_main(argc, argv, "State Threads " ST_VERSION, workloads);
}
