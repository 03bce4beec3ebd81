/* SPDX-License-Identifier: MIT */
/*
 * sync_world.h - what the random programs of sync.c work on: objects that all share, the actors
 * that use them, and beside each what the ledger knows of it.
 *
 * An actor is a task (or a generator) with a stream of random numbers of its own. It performs
 * operations, each inside a frame: a scope that others may cancel, maybe with a timeout, maybe with
 * a shield inside. While it is in a call that may wait, the call says what it waits for.
 */
#ifndef BIDE_TESTS_STRESS_SYNC_WORLD_H
#define BIDE_TESTS_STRESS_SYNC_WORLD_H

#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "sched/waitq.h"
#include "test.h"

enum {
    ACTORS_MOST = 80,
    CHANS = 3,
    QUEUES = 2,
    FLOWS = CHANS + QUEUES, /* what items go through: the channels, then the queues */
    MUTEXES = 2,
    SEMS = 2,
    RWLOCKS = 2,
    EVENTS = 2,
    ONCES = 2,
    SLOTS = 4, /* futures that can be set at one time */
    LOCALS = 3,
    PROMISES_MOST = 256,
    VALUES_MOST = 512,
    ITEMS_MOST = 8192,
    OPERATIONS_MOST = 1500, /* of one program */
    CALL_WAITS = 4,
    TRACE = 40,
};

/* What is handed from task to task: a number that no other item has, and means to see damage. */
struct item {
    int number;
    int flow;
    int priority;
    int seal; /* ~number */
};

struct item_record {
    uint8_t flow;
    uint8_t sender;
    bool is_sent;     /* its send returned success */
    bool is_refused;  /* or an error */
    bool is_received; /* or dropped by a queue that was shut down */
};

struct flow {
    int sent, received;
    bool is_closed;
    bool is_ordered; /* what one task has sent and one has received comes in the order of sending */
};

/* A future, from its making to its last share. */
struct promise {
    future(int) f;
    int shares;
    bool is_over;
    bool is_canceled; /* no value is wanted any more */
    int outcome;      /* once over */
};

/* A group, on its owner's stack. */
struct troop {
    bide_group group;
    bide_group_error errors[2];
    int living, failed, error;
    int kept, delivered; /* results for bide_group_next */
    bool was_ours;       /* canceled by a failure or bide_group_cancel */
};

/* What encloses an operation, and can be canceled. */
struct frame {
    struct frame *outer;
    bide_scope *scope;   /* or NULL: the troop's */
    struct troop *troop; /* or NULL */
    bool is_shielded;    /* what is outside of here, this scope among it, is not seen inside */
    bide_time due;       /* when what is inside is to time out */
    bide_time scope_due; /* when the scope is */
    bool was_canceled;   /* the scope, by somebody */
};

struct actor;

/* One thing that a call waits for. */
struct wait {
    const void *line; /* where those who came first are served first; or NULL */
    const char *what; /* how the waiter is called, of a call that waits twice; or NULL */
    bool (*may_go_on)(const struct actor *a, const struct wait *wait); /* when all others sleep */
    const void *object;
    int index;     /* of the object among its like */
    uint64_t need; /* permits and the like */
};

struct call {
    struct call *outer; /* it is made from inside a function that this one calls */
    const char *name;
    int code; /* what bide_canceled said when it began */
    uint64_t ticket;
    int count;
    struct wait waits[CALL_WAITS];
};

struct actor {
    int number;
    uint64_t random;
    struct bide_task *task; /* NULL before its first turn */
    const char *operation;
    struct frame *frame;
    struct call *call;
    task(int) handle; /* while another may cancel it; else NULL */
    int operations;   /* to perform */
    int fails_one_in;
    int depth;        /* of its family */
    int nesting;      /* of operations inside operations */
    unsigned mutexes; /* held, as bits, and not to be asked for again */
    unsigned rwlocks;
    struct troop *troop; /* it is a member of; or NULL */
    int starts_at;       /* the operation before which it says started; -1 for never */
    bool is_counted;     /* as living, in the troop */
    bool start_pending;  /* somebody waits for that in start_in */
    bool is_detached;
    bool is_ended;
    int result;
    int local[LOCALS];            /* the value it sees, or -1 */
    int last[FLOWS][ACTORS_MOST]; /* number of the last item received, of each sender */
};

static struct world {
    uint64_t seed;
    bool is_virtual;
    uint64_t random; /* of the objects, and of what main does */
    uint64_t fingerprint;
    uint64_t tickets;
    bool is_over; /* no operation begins any more */
    bool may_close;
    int operations_left;
    int actors_count, living; /* main among them */
    int items_count, promises_count, values_count;
    int failures_due, failures_seen; /* detached tasks that failed, as reports */
    int reports;                     /* that nobody expects */

    struct {
        chan(struct item) c;
        size_t capacity;
    } chans[CHANS];
    struct {
        queue(struct item) q;
        bide_queue_options options;
        int taken; /* got, and not marked done */
        int idles; /* times when nothing was in it and all was done */
    } queues[QUEUES];
    struct flow flows[FLOWS];
    struct {
        bide_mutex mutex;
        bide_cond cond;
        int holder; /* an actor's number, or -1 */
        int owed;   /* successful waits: signals that were meant for somebody */
        int turn;   /* in the quiet phase */
    } mutexes[MUTEXES];
    struct {
        bide_sem sem;
        size_t permits, held;
    } sems[SEMS];
    struct {
        bide_rwlock lock;
        int readers, writer; /* a writer's number, or -1 */
    } rwlocks[RWLOCKS];
    bide_event events[EVENTS];
    struct {
        bide_barrier barrier;
        size_t parties;
        int firsts, others; /* waits that returned 1, and 0 */
    } barrier;
    struct {
        bide_once once;
        int runner; /* an actor's number, or -1 */
        int successes, result;
    } onces[ONCES];
    struct {
        bide_waitgroup group;
        int count;
    } waitgroup;
    struct {
        broadcast(uint64_t) b; /* of the numbers from 0 on */
        uint64_t capacity, sent;
        bool is_closed;
    } broadcast;
    struct {
        watch(uint64_t) w; /* of the numbers from 1 on, which are its versions as well */
        uint64_t version;
        bool is_closed;
    } watch;
    struct {
        bide_rate rate;
        bide_time cost, full_at; /* of one permit; when the bucket will be full again */
        int64_t burst;
    } rate;
    struct {
        bide_ticker ticker;
        bide_time interval, start;
        enum bide_tick_policy policy;
        int64_t ticks;
    } ticker;
    struct promise *slots[SLOTS];
    struct {
        uint64_t heard, seen; /* what the last message of the quiet phase will be */
    } quiet;

    struct {
        int actor;
        const char *operation, *call;
        long long result;
        bide_time at;
    } trace[TRACE];
    uint64_t traced;
    struct actor actors[ACTORS_MOST]; /* the first is main's */
    struct item_record items[ITEMS_MOST];
    struct promise promises[PROMISES_MOST];
    struct {
        int seers; /* actors that see it */
        bool is_gone;
    } values[VALUES_MOST];
} w;

/* The line of those who do `what` to the index-th object. */
enum line {
    SENDERS,
    RECEIVERS,
    PUTTERS,
    GETTERS,
    JOINERS,
    LOCKERS,
    SIGNALED,
    TAKERS,
    SPENDERS,
    READERS_AND_WRITERS,
    WATCHERS,
    PARTIES,
    CALLERS,
    LINES,
};
static const char lines[LINES][8];
#define LINE(what, index) (&lines[what][index])

/* --- Failing -------------------------------------------------------------------------------- */

static struct actor *actor_running(void)
{
    struct bide_loop *loop = bide__loop_here;

    for (int i = 0; loop != NULL && i < w.actors_count; i++)
        if (!w.actors[i].is_ended && w.actors[i].task == loop->current)
            return &w.actors[i];
    return NULL;
}

/* What was going on, and how to see it again. */
static void tell_seed(const struct actor *a)
{
    const char *suffix =
        w.is_virtual ? "ten_thousand_random_programs" : "random_programs_on_the_real_loop";

    fprintf(stderr, "the last calls that returned:\n");
    for (uint64_t i = w.traced < TRACE ? 0 : w.traced - TRACE; i < w.traced; i++)
        fprintf(stderr, "  at %lld ns  actor %d  %s: %s = %lld\n", (long long)w.trace[i % TRACE].at,
                w.trace[i % TRACE].actor, w.trace[i % TRACE].operation, w.trace[i % TRACE].call,
                w.trace[i % TRACE].result);
    fprintf(stderr, "seed %llu failed", (unsigned long long)w.seed);
    if (a != NULL)
        fprintf(stderr, ": actor %d in operation %s, call %s", a->number,
                a->operation != NULL ? a->operation : "none",
                a->call != NULL ? a->call->name : "none");
    fprintf(stderr, "\nrun it alone: BIDE_TEST_SEED=%llu BIDE_STRESS_SEEDS=1 test_stress_sync %s\n",
            (unsigned long long)w.seed, suffix);
}

/* MUST(condition) holds of the running actor; MUST_OF(actor, condition, why) of another one. */
#define MUST(condition) MUST_OF(actor_running(), condition, #condition)
#define MUST_OF(actor, condition, why)                                                             \
    ((condition) ? (void)0 : must_fail((actor), (why), __FILE__, __LINE__))

_Noreturn static void must_fail(const struct actor *a, const char *why, const char *file, int line)
{
    tell_seed(a);
    test_fail(file, line, "seed %llu: %s", (unsigned long long)w.seed, why);
}

/* --- Random numbers ------------------------------------------------------------------------- */

/* A number from which to start a stream, unlike that of any neighbour. */
static uint64_t scatter(uint64_t seed, uint64_t stream)
{
    uint64_t z = seed * UINT64_C(0x9E3779B97F4A7C15) + stream * UINT64_C(0xD1B54A32D192ED03);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (z ^ z >> 31) | 1;
}

static int below(uint64_t *random, int limit)
{
    return (int)bide__random_below(random, (uint32_t)limit);
}

/* A number from 0 on, below the limit. */
static int pick(struct actor *a, int limit)
{
    return below(&a->random, limit);
}

static bool one_in(struct actor *a, int count)
{
    return pick(a, count) == 0;
}

static bide_time some_time(struct actor *a)
{
    bide_time time = BIDE_US(one_in(a, 8) ? 40 : pick(a, 12));

    return one_in(a, 4) ? time + pick(a, 1000) : time;
}

/* --- Making and ending ---------------------------------------------------------------------- */

static int item_order(const void *one, const void *other)
{
    return ((const struct item *)one)->priority - ((const struct item *)other)->priority;
}

static void item_dropped(void *item, void *arg);

static void make_flows(void)
{
    static const size_t capacities[] = {0, 0, 1, 2, 5};

    for (int i = 0; i < CHANS; i++) {
        w.chans[i].capacity = capacities[below(&w.random, 5)];
        w.chans[i].c = chan_new(struct item, w.chans[i].capacity);
        w.flows[i].is_ordered = true;
    }
    for (int i = 0; i < QUEUES; i++) {
        w.queues[i].options = (bide_queue_options){
            .capacity = capacities[1 + below(&w.random, 4)],
            .order = (enum bide_queue_order)below(&w.random, 3),
            .compare = item_order,
            .drop = item_dropped,
        };
        w.queues[i].q = queue_new(struct item, &w.queues[i].options);
        w.flows[CHANS + i].is_ordered = w.queues[i].options.order == BIDE_QUEUE_FIFO;
    }
    w.broadcast.capacity = 1 + (uint64_t)below(&w.random, 4);
    w.broadcast.b = broadcast_new(uint64_t, w.broadcast.capacity);
    w.watch.version = 1;
    w.watch.w = watch_new(uint64_t, 1);
}

static void make_locks(void)
{
    for (int i = 0; i < MUTEXES; i++)
        w.mutexes[i].holder = -1;
    for (int i = 0; i < SEMS; i++) {
        w.sems[i].permits = 1 + (size_t)below(&w.random, 4);
        bide_sem_init(&w.sems[i].sem, w.sems[i].permits);
    }
    for (int i = 0; i < RWLOCKS; i++)
        w.rwlocks[i].writer = -1;
    for (int i = 0; i < ONCES; i++)
        w.onces[i].runner = -1;
    w.barrier.parties = 2 + (size_t)below(&w.random, 2);
    bide_barrier_init(&w.barrier.barrier, w.barrier.parties);
    w.rate.cost = BIDE_US(1 + below(&w.random, 5)) + below(&w.random, 2);
    w.rate.burst = 1 + below(&w.random, 4);
    w.rate.rate = (bide_rate)BIDE_RATE_INIT(1, w.rate.cost, w.rate.burst);
    w.ticker.interval = BIDE_US(1 + below(&w.random, 8));
    w.ticker.policy = (enum bide_tick_policy)below(&w.random, 3);
    w.ticker.start = bide_now();
    bide_ticker_init(&w.ticker.ticker, w.ticker.interval, w.ticker.policy);
}

static void world_clear(uint64_t seed, bool is_virtual)
{
    memset(&w, 0, offsetof(struct world, trace)); /* what follows is cleared as it is taken */
    w.traced = 0;
    w.seed = seed;
    w.is_virtual = is_virtual;
    w.random = scatter(seed, 0);
    w.operations_left = OPERATIONS_MOST;
    w.items_count = 1;
}

static void world_make(void)
{
    w.may_close = below(&w.random, 4) == 0;
    make_flows();
    make_locks();
}

static void world_free(void)
{
    for (int i = 0; i < CHANS; i++)
        chan_free(w.chans[i].c);
    for (int i = 0; i < QUEUES; i++)
        queue_free(w.queues[i].q);
    broadcast_free(w.broadcast.b);
    watch_free(w.watch.w);
}

#endif
