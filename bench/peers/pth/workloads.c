/* SPDX-License-Identifier: MIT */
/*
 * workloads.c - the workloads of bench/peers.h with GNU Pth.
 *
 * Its message ports stand for channels: a port takes any number of messages, so what a sender has
 * to wait for is a reply. It has no generators; and starting a thread takes time in proportion to
 * those that live already, so that 100,000 would take minutes.
 */
#include <pth.h>

#include "peers/workload.h"

static void need(bool is_done, const char *what)
{
    if (!is_done)
        bench_die(what);
}

static pth_t start_thread(void *(*function)(void *), void *arg)
{
    pth_t thread = pth_spawn(PTH_ATTR_DEFAULT, function, arg);

    need(thread != NULL, "pth_spawn");
    return thread;
}

/* Where messages come in, and how to wait for one. */
struct port {
    pth_msgport_t port;
    pth_event_t arrival;
};

static void port_open(struct port *port, const char *name)
{
    port->port = pth_msgport_create(name);
    need(port->port != NULL, "pth_msgport_create");
    port->arrival = pth_event(PTH_EVENT_MSG, port->port);
    need(port->arrival != NULL, "pth_event");
}

static void port_close(struct port *port)
{
    pth_event_free(port->arrival, PTH_FREE_ALL);
    pth_msgport_destroy(port->port);
}

static pth_message_t *port_receive(struct port *port)
{
    while (pth_msgport_pending(port->port) == 0)
        pth_wait(port->arrival);
    return pth_msgport_get(port->port);
}

static struct port ping, pong;

static void *answer(void *arg)
{
    for (size_t i = *(size_t *)arg; i > 0; i--)
        pth_msgport_put(pong.port, port_receive(&ping));
    return NULL;
}

static void chan_round_trip(size_t operations)
{
    pth_message_t message = {0};
    pth_t thread;

    port_open(&ping, "ping");
    port_open(&pong, "pong");
    thread = start_thread(answer, &operations);
    for (size_t i = 0; i < operations; i++) {
        pth_msgport_put(ping.port, &message);
        port_receive(&pong);
    }
    pth_join(thread, NULL);
    port_close(&ping);
    port_close(&pong);
}

/* As many messages as there is room for; those that were received come back. */
static struct port items, empties;

static void *produce(void *arg)
{
    static pth_message_t messages[BUFFERED_CAPACITY];
    size_t count = *(size_t *)arg;

    for (size_t i = 0; i < count; i++)
        pth_msgport_put(items.port, i < BUFFERED_CAPACITY ? &messages[i] : port_receive(&empties));
    return NULL;
}

static void chan_buffered(size_t operations)
{
    pth_t thread;

    port_open(&items, "items");
    port_open(&empties, "empties");
    thread = start_thread(produce, &operations);
    for (size_t i = 0; i < operations; i++)
        pth_msgport_put(empties.port, port_receive(&items));
    pth_join(thread, NULL);
    while (pth_msgport_pending(empties.port) > 0)
        pth_msgport_get(empties.port);
    port_close(&items);
    port_close(&empties);
}

static pth_mutex_t lock = PTH_MUTEX_INIT;

static void *contend(void *arg)
{
    for (size_t i = *(size_t *)arg / 2; i > 0; i--) {
        pth_mutex_acquire(&lock, FALSE, NULL);
        pth_yield(NULL);
        pth_mutex_release(&lock);
    }
    return NULL;
}

static void mutex(size_t operations)
{
    pth_t one = start_thread(contend, &operations);
    pth_t other = start_thread(contend, &operations);

    pth_join(one, NULL);
    pth_join(other, NULL);
}

static void mutex_uncontended(size_t operations)
{
    for (size_t i = 0; i < operations; i++) {
        pth_mutex_acquire(&lock, FALSE, NULL);
        pth_mutex_release(&lock);
    }
}

/* The ports' events form a ring, and a wait for one is a wait for all. */
static struct port ports[SELECT_CHANNELS], replies;

static void *produce_in_turn(void *arg)
{
    pth_message_t message = {.m_replyport = replies.port};
    size_t count = *(size_t *)arg;

    for (size_t i = 0; i < count; i++) {
        pth_msgport_put(ports[i % SELECT_CHANNELS].port, &message);
        port_receive(&replies);
    }
    return NULL;
}

static void select8(size_t operations)
{
    pth_t thread;

    port_open(&replies, "replies");
    for (int i = 0; i < SELECT_CHANNELS; i++) {
        port_open(&ports[i], "port");
        if (i > 0)
            pth_event_concat(ports[0].arrival, ports[i].arrival, NULL);
    }
    thread = start_thread(produce_in_turn, &operations);
    for (size_t received = 0; received < operations;) {
        pth_wait(ports[0].arrival);
        for (int i = 0; i < SELECT_CHANNELS; i++) {
            if (pth_msgport_pending(ports[i].port) == 0)
                continue;
            pth_msgport_reply(pth_msgport_get(ports[i].port));
            received++;
        }
    }
    pth_join(thread, NULL);
    pth_event_free(ports[0].arrival, PTH_FREE_ALL);
    for (int i = 0; i < SELECT_CHANNELS; i++)
        pth_msgport_destroy(ports[i].port);
    port_close(&replies);
}

static void *nothing(void *arg)
{
    return arg;
}

static void spawn_one_by_one(size_t operations)
{
    for (size_t i = 0; i < operations; i++)
        pth_join(start_thread(nothing, NULL), NULL);
}

static void spawn_in_batches(size_t operations)
{
    pth_t threads[SPAWN_BATCH];

    for (size_t done = 0; done < operations; done += SPAWN_BATCH) {
        size_t batch = operations - done < SPAWN_BATCH ? operations - done : SPAWN_BATCH;
        for (size_t i = 0; i < batch; i++)
            threads[i] = start_thread(nothing, NULL);
        for (size_t i = 0; i < batch; i++)
            pth_join(threads[i], NULL);
    }
}

static size_t laps;

/* The first looks at the clock, when all have started. */
static void *yield_laps(void *arg)
{
    pth_yield(NULL);
    if (arg == NULL)
        workload.start_ns = bench_now_ns();
    for (size_t lap = 0; lap < laps; lap++)
        pth_yield(NULL);
    if (arg == NULL)
        workload.end_ns = bench_now_ns();
    return NULL;
}

static void yield_among(size_t operations)
{
    pth_t *threads = malloc(workload.tasks * sizeof *threads);

    need(threads != NULL, "malloc");
    laps = workload_laps(operations);
    for (size_t i = 0; i < workload.tasks; i++)
        threads[i] = start_thread(yield_laps, (void *)i);
    for (size_t i = 0; i < workload.tasks; i++)
        pth_join(threads[i], NULL);
    free(threads);
}

static const struct workload workloads[] = {
    {.name = "chan_round_trip", .run = chan_round_trip},
    {.name = "chan_buffered", .run = chan_buffered},
    {.name = "mutex", .run = mutex},
    {.name = "mutex_uncontended", .run = mutex_uncontended},
    {.name = "select8", .run = select8},
    {.name = "spawn_one_by_one", .run = spawn_one_by_one},
    {.name = "spawn_in_batches", .run = spawn_in_batches},
    {.name = "yield_2", .run = yield_among, .tasks = 2},
    {.name = "yield_100", .run = yield_among, .tasks = 100},
    {.name = "yield_10000", .run = yield_among, .tasks = 10000},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    unsigned version = PTH_VERSION_HEX;
    char name[64];

    need(pth_init(), "pth_init");
    /* 0xVRRTLL: version, revision, type (2: a release), level. */
    snprintf(name, sizeof name, "GNU Pth %u.%u.%u", version >> 20, version >> 12 & 0xff,
             version & 0xff);
    return workload_main(argc, argv, name, workloads);
}
