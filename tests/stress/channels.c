/* SPDX-License-Identifier: MIT */
/*
 * channels.c - conservation: whatever is cancelled, times out or is closed, a message that a send
 * reported as sent is received exactly once, and one that it did not, never (faults 50, 51, 56).
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "base/random.h"
#include "test.h"

enum {
    CHANNELS = 3,
    PRODUCERS = 4,
    CONSUMERS_MOST = 4,
    ATTEMPTS = 25, /* of each producer */
    MESSAGES_MOST = PRODUCERS * ATTEMPTS * CHANNELS + 1,
    ACTORS = PRODUCERS + CONSUMERS_MOST,
};

static const size_t capacities[] = {0, 0, 1, 2, 5};

/* One run. Messages are numbers, each offered to one channel once. */
static struct {
    uint64_t random;
    chan(int) c[CHANNELS];
    int next_message;
    int sent[MESSAGES_MOST];     /* times a send of it returned success */
    int received[MESSAGES_MOST]; /* times it came out */
    int sender[MESSAGES_MOST];
    int consumers;
    int last[CHANNELS][PRODUCERS]; /* the last one received of each producer */
    bool is_ordered;               /* one receiver: what a producer sent comes in its order */
    task(void) actors[ACTORS];
    bide_scope *scopes[ACTORS]; /* those they are in, to be cancelled by others */
    int producers_left;
    bool is_over;
} sim;

/* How often each outcome was seen in all runs: a test that never sees one proves nothing of it. */
static struct {
    int sent, received, canceled, timed_out, closed, not_now, selected;
} outcomes;

static uint32_t below(uint32_t limit)
{
    return bide__random_below(&sim.random, limit);
}

static void count_error(int err)
{
    outcomes.canceled += err == -ECANCELED;
    outcomes.timed_out += err == -ETIMEDOUT;
    outcomes.closed += err == -EPIPE;
    outcomes.not_now += err == -EAGAIN;
    CHECK(err == -ECANCELED || err == -ETIMEDOUT || err == -EPIPE || err == -EAGAIN);
}

static int message_new(int producer)
{
    CHECK(sim.next_message < MESSAGES_MOST);
    sim.sender[sim.next_message] = producer;
    return sim.next_message++;
}

static void was_sent(int message)
{
    sim.sent[message]++;
    outcomes.sent++;
}

static void was_received(int channel, int message)
{
    CHECK(message > 0 && message < sim.next_message);
    sim.received[message]++;
    outcomes.received++;
    if (sim.is_ordered) {
        int *last = &sim.last[channel][sim.sender[message]];
        CHECK(*last < message);
        *last = message;
    }
}

/* Offer a message, or one to each of several channels. */
static void attempt_to_send(int producer)
{
    int m[CHANNELS] = {message_new(producer), message_new(producer), message_new(producer)};
    uint32_t first = below(CHANNELS), second = below(CHANNELS);
    chan(int) a = sim.c[first], b = sim.c[second];
    int got = 0, result;
    bool ok = true;

    switch (below(sim.is_ordered ? 5 : 6)) {
    case 0: result = chan_try_send(a, m[0]); break;
    case 1: result = chan_send(a, m[0]); break;
    case 2: result = select_any(on_send(a, m[0]), on_send(b, m[1]), on_default()); break;
    case 3: result = select_any(on_send(a, m[0]), on_send_ok(b, m[1], &ok)); break;
    case 4: result = select_any(on_send(a, m[0]), on_send(b, m[1]), on_after(below(3))); break;
    default:
        result = select_any(on_send(a, m[0]), on_send(b, m[1]), on_recv(a, &got));
        if (result == 2)
            was_received((int)first, got);
        else
            CHECK_EQ(got, 0);
    }
    outcomes.selected += result > 0;
    if (result < 0)
        count_error(result);
    else if (result < 2 && ok)
        was_sent(m[result]);
}

/* Receive from one channel or from several. -EPIPE when all are closed and drained. */
static int attempt_to_receive(void)
{
    uint32_t one = below(CHANNELS);
    int v[CHANNELS] = {0}, result;
    bool ok = true;

    switch (below(4)) {
    case 0:
        result = chan_try_recv(sim.c[one], &v[one]);
        result = result < 0 ? result : (int)one;
        break;
    case 1:
        result = chan_recv(sim.c[one], &v[one]);
        result = result < 0 ? result : (int)one;
        break;
    case 2:
        result = select_any(on_recv(sim.c[0], &v[0]), on_recv_ok(sim.c[1], &v[1], &ok),
                            on_recv(sim.c[2], &v[2]), on_after(below(3)));
        break;
    default:
        result = select_any(on_recv(sim.c[0], &v[0]), on_recv(sim.c[1], &v[1]),
                            on_recv(sim.c[2], &v[2]));
    }
    for (int i = 0; i < CHANNELS; i++)
        CHECK_EQ(v[i] != 0, i == result && ok);
    outcomes.selected += result > 0;
    if (result < 0)
        count_error(result);
    else if (result < CHANNELS && ok)
        was_received(result, v[result]);
    return result;
}

/* One attempt in a scope that may time out, and that others may cancel. */
static void attempt(int actor)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    if (below(3) == 0)
        bide_scope_set_timeout(&scope, below(4));
    sim.scopes[actor] = &scope;
    with_scope (&scope) {
        if (actor < PRODUCERS)
            attempt_to_send(actor);
        else
            attempt_to_receive();
    }
    sim.scopes[actor] = NULL;
    if (below(4) == 0)
        bide_sleep(below(4));
}

static async(void, produces, int, actor)
{
    for (int i = 0; i < ATTEMPTS && bide_canceled() == 0; i++)
        attempt(actor);
    sim.producers_left--;
}

static async(void, consumes, int, actor)
{
    while (!sim.is_over && bide_canceled() == 0)
        attempt(actor);
}

/* Cancel what the others do, now and then a whole task; close a channel early in some runs. */
static async(void, disturbs)
{
    bool closes_early = below(4) == 0;

    while (!sim.is_over) {
        uint32_t actor = below((uint32_t)(PRODUCERS + sim.consumers));
        if (sim.scopes[actor] != NULL)
            bide_scope_cancel(sim.scopes[actor]);
        if (below(40) == 0)
            cancel(sim.actors[actor]);
        if (closes_early && below(60) == 0)
            chan_close(sim.c[below(CHANNELS)]);
        bide_sleep(below(5));
    }
}

/* Take what is there; the rest of the run need not wait for anybody who was cancelled. */
static void drain(void)
{
    int message;

    for (int i = 0; i < CHANNELS; i++)
        while (chan_try_recv(sim.c[i], &message) == 0)
            was_received(i, message);
}

static int conserves(void *unused)
{
    task(void) disturber;

    (void)unused;
    for (int i = 0; i < CHANNELS; i++)
        sim.c[i] = chan_new(int, capacities[below(5)]);
    sim.consumers = 1 + (int)below(CONSUMERS_MOST);
    sim.is_ordered = sim.consumers == 1 && below(2) == 0;
    sim.producers_left = PRODUCERS;
    for (int i = 0; i < PRODUCERS; i++)
        sim.actors[i] = spawn(produces, i);
    for (int i = PRODUCERS; i < PRODUCERS + sim.consumers; i++)
        sim.actors[i] = spawn(consumes, i);
    disturber = spawn(disturbs);
    while (sim.producers_left > 0) {
        if (!sim.is_ordered || is_done(sim.actors[PRODUCERS]))
            drain();
        bide_sleep(10);
    }
    sim.is_over = true;
    for (int i = 0; i < CHANNELS; i++)
        chan_close(sim.c[i]);
    await(disturber);
    for (int i = 0; i < PRODUCERS + sim.consumers; i++)
        await(sim.actors[i]);
    drain();
    for (int i = 0; i < CHANNELS; i++) {
        CHECK_EQ(chan_len(sim.c[i]), 0);
        chan_free(sim.c[i]);
    }
    for (int i = 1; i < sim.next_message; i++) {
        CHECK(sim.sent[i] <= 1);
        CHECK_EQ(sim.received[i], sim.sent[i]);
    }
    return 0;
}

/*
 * Goal:   what was sent is received once, what was not, never; from one producer to one consumer in
 *         order.
 * Method: four producers and one to four consumers on three channels, buffered and not, with plain
 *         calls, tries and selects; scopes that time out, scopes and tasks that are cancelled,
 *         channels that are closed at random. 3000 seeds, which permute the ready tasks as well.
 */
TEST(channels, random_cancels_lose_and_double_nothing)
{
    uint64_t start = test_seed();

    for (uint64_t seed = start; seed < start + 3000; seed++) {
        memset(&sim, 0, sizeof sim);
        sim.random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
        sim.next_message = 1;
        CHECK_EQ(bide_test_run(conserves, NULL, seed % 8 == 0 ? 0 : seed, NULL), 0);
    }
    CHECK(outcomes.sent > 1000 && outcomes.received == outcomes.sent);
    CHECK(outcomes.canceled > 1000 && outcomes.timed_out > 1000);
    CHECK(outcomes.closed > 100 && outcomes.not_now > 100 && outcomes.selected > 1000);
}

/* One sender and one receiver; after so many turns one of the two is cancelled. */
static struct {
    size_t capacity;
    int turns;
    bool selects;
    bool cancels_sender;
    int sent, received; /* counts, and so the next message's number */
} pair;

enum { PAIR_MESSAGES = 6 };

static async(void, sends_some, chan(int), c, chan(int), other)
{
    for (int i = 0; i < PAIR_MESSAGES; i++) {
        int result = pair.selects ? select_any(on_send(c, pair.sent), on_send(other, -1))
                                  : chan_send(c, pair.sent);
        CHECK(result == 0 || result == -ECANCELED || result == -EPIPE);
        if (result != 0)
            return;
        pair.sent++;
    }
}

static async(void, receives_some, chan(int), c, chan(int), other)
{
    for (;;) {
        int value = -1;
        int result = pair.selects ? select_any(on_recv(other, &value), on_recv(c, &value)) - 1
                                  : chan_recv(c, &value);
        if (result != 0)
            return;
        CHECK_EQ(value, pair.received);
        pair.received++;
        if (value % 2 == 0 && bide_yield() < 0)
            return;
    }
}

static int cancels_one(void *unused)
{
    chan(int) c = chan_new(int, pair.capacity), to = chan_new(int, 0), from = chan_new(int, 0);
    task(void) sender = spawn(sends_some, c, to), receiver = spawn(receives_some, c, from);
    int value;

    (void)unused;
    for (int i = 0; i < pair.turns; i++)
        bide_yield();
    bool was_in_time = !is_done(pair.cancels_sender ? sender : receiver);
    cancel(pair.cancels_sender ? sender : receiver);
    for (int i = 0; i < 30; i++)
        bide_yield(); /* the other one goes on for as long as it can */
    CHECK(is_done(pair.cancels_sender ? sender : receiver));
    chan_close(c);
    await(sender);
    await(receiver);
    while (chan_try_recv(c, &value) == 0)
        CHECK_EQ(value, pair.received++);
    CHECK_EQ(pair.received, pair.sent);
    chan_free(c);
    chan_free(to);
    chan_free(from);
    return was_in_time;
}

/*
 * Goal:   a cancel at any point loses nothing and doubles nothing, and leaves no trace in channels
 *         that a select only looked at.
 * Method: cancel the sender or the receiver after k turns, for every k until it has ended (or a
 *         limit, for a receiver that waits on), plain and selecting, with three capacities.
 */
TEST(channels, cancel_at_every_turn_conserves)
{
    static const size_t sizes[] = {0, 1, 3};

    for (int variant = 0; variant < 12; variant++) {
        bool was_in_time = true;
        for (int turns = 0; was_in_time && turns < 40; turns++) {
            memset(&pair, 0, sizeof pair);
            pair.capacity = sizes[variant % 3];
            pair.turns = turns;
            pair.selects = variant / 3 % 2 != 0;
            pair.cancels_sender = variant / 6 != 0;
            was_in_time = bide_test_run(cancels_one, NULL, 0, NULL);
            CHECK(turns > 0 || was_in_time);
        }
    }
}
