/* SPDX-License-Identifier: MIT */
/*
 * spin.c - looking for a while before sleeping: how often, for how long, and what ends it.
 *
 * On a host of the test's own, whose clock goes on by a microsecond with each look: so looks can be
 * counted. The real one is in tests/reactor/spin.c.
 */
#include <bide.h>

#include <bide/short.h>

#include <stdatomic.h>

#include "runtime/run.h"
#include "sched/loop.h"
#include "sched/waitq.h"
#include "test.h"

enum { LOOK_NS = 1000, SPIN_NS = 50 * LOOK_NS };

/* --- A host that counts */

struct counting {
    struct bide__host host;
    bide_time now;
    bide_time event_at; /* when `waiter` is to be woken */
    struct bide__waiter *waiter;
    struct bide__post *post; /* to be pushed at post_at, as if by another thread */
    bide_time post_at;
    uint64_t looks, waits, rings;
    bool is_awake_at_post; /* the loop did not count as asleep */
};

static struct counting *counting_of(struct bide__host *host)
{
    return BIDE__CONTAINER(host, struct counting, host);
}

static bide_time counting_now(struct bide__host *host)
{
    return counting_of(host)->now;
}

static void counting_wait(struct bide__host *host, struct bide_loop *loop, bide_time deadline)
{
    struct counting *self = counting_of(host);
    bide_time next = deadline;

    if (deadline == BIDE__DO_NOT_WAIT) {
        self->looks++;
        self->now += LOOK_NS;
    } else {
        self->waits++;
        next = self->waiter != NULL && self->event_at < next ? self->event_at : next;
        next = self->post != NULL && self->post_at < next ? self->post_at : next;
        CHECK(next != BIDE_FOREVER);
        self->now = next > self->now ? next : self->now;
    }
    if (self->waiter != NULL && self->event_at <= self->now) {
        bide__wake(self->waiter, 0);
        self->waiter = NULL;
    }
    if (self->post != NULL && self->post_at <= self->now) {
        self->is_awake_at_post = atomic_load(&loop->inbox.is_asleep) == 0;
        CHECK(bide__inbox_push(loop, self->post));
        self->post = NULL;
    }
}

static void counting_ring(struct bide__inbox *inbox)
{
    struct bide_loop *loop = BIDE__CONTAINER(inbox, struct bide_loop, inbox);

    counting_of(loop->host)->rings++;
}

static void counting_close(struct bide__inbox *inbox)
{
    (void)inbox;
}

static int counting_open(struct bide__host *host, struct bide__inbox *inbox)
{
    (void)host;
    inbox->wake = counting_ring;
    inbox->close = counting_close;
    return 0;
}

static struct counting *here(void)
{
    return counting_of(bide__loop_here->host);
}

/* Park until an event that comes so much later. */
static void wait_event(bide_time after)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "an event");
    struct counting *self = here();

    self->event_at = self->now + after;
    self->waiter = &waiter;
    self->host.watched++;
    CHECK_EQ(bide__park(&waiter), 0);
    self->host.watched--;
}

static int run_counting(int (*fn)(void *arg), bide_time spin_ns)
{
    struct counting counting = {
        .host = {.now = counting_now,
                 .wait = counting_wait,
                 .open = counting_open,
                 .may_spin = true},
        .now = BIDE_SEC(1),
    };
    const bide_options options = {.spin_ns = spin_ns};
    struct bide_loop *loop;
    int result = 0;

    CHECK_EQ(bide__run_begin(&counting.host, NULL, fn, NULL, &options, false, &result, &loop), 0);
    CHECK_EQ(bide__run_end(loop), 0);
    return result;
}

static bide_stats stats_now(void)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    return stats;
}

/* --- How often, and how long */

static int meets_early_events(void *arg)
{
    struct counting *self = here();
    uint64_t looks = self->looks;

    (void)arg;
    for (int i = 0; i < 100; i++)
        wait_event(10 * LOOK_NS);
    CHECK_EQ(self->waits, 0);
    CHECK_EQ(self->looks - looks, 1000);
    CHECK_EQ(stats_now().spins, 100);
    CHECK_EQ(stats_now().spins_in_vain, 0);
    CHECK_EQ(stats_now().sleeps, 100);
    return 0;
}

/*
 * Goal:   what comes within the spin is found by looking, and the loop never waits.
 * Method: a hundred events, each ten looks away.
 */
TEST(spin, early_event_is_found_without_waiting)
{
    CHECK_EQ(run_counting(meets_early_events, SPIN_NS), 0);
}

static int meets_late_events(void *arg)
{
    /* Spins in vain, and pauses of 1, 3, 7, 15, 15 ... sleeps between them. */
    static const int spinning[] = {0, 2, 6, 14, 30, 46, 62, 78, 94};
    struct counting *self = here();
    size_t next = 0;

    (void)arg;
    for (int i = 0; i < 100; i++) {
        uint64_t looks = self->looks;
        bool spins = next < sizeof spinning / sizeof *spinning && spinning[next] == i;
        wait_event(BIDE_MS(1));
        CHECK_EQ(self->looks - looks, spins ? SPIN_NS / LOOK_NS : 0);
        next += spins;
    }
    CHECK_EQ(self->waits, 100);
    CHECK_EQ(stats_now().spins, 9);
    CHECK_EQ(stats_now().spins_in_vain, 9);

    /* One that pays off, after the pause, and it spins before every sleep again. */
    for (int i = 0; i < 10; i++)
        wait_event(10 * LOOK_NS);
    CHECK_EQ(stats_now().spins, 9);
    for (int i = 0; i < 10; i++)
        wait_event(10 * LOOK_NS);
    CHECK_EQ(stats_now().spins, 19);
    CHECK_EQ(stats_now().spins_in_vain, 9);
    wait_event(BIDE_MS(1));
    wait_event(BIDE_MS(1));
    wait_event(BIDE_MS(1));
    CHECK_EQ(stats_now().spins, 21);
    return 0;
}

/*
 * Goal:   a spin takes no more than its time, and those in vain become rare: at last one in 16
 *         sleeps, until one pays off.
 * Method: a hundred events that come too late, some that do not, late ones again.
 */
TEST(spin, in_vain_becomes_rare_until_it_pays_off)
{
    CHECK_EQ(run_counting(meets_late_events, SPIN_NS), 0);
}

static int meets_events(void *arg)
{
    struct counting *self = here();
    uint64_t looks = self->looks;

    (void)arg;
    for (int i = 0; i < 10; i++)
        wait_event(10 * LOOK_NS);
    CHECK_EQ(self->looks, looks);
    CHECK_EQ(self->waits, 10);
    CHECK_EQ(stats_now().spins, 0);
    return 0;
}

/*
 * Goal:   without the option the loop waits at once; a negative one is none.
 * Method: events; looks counted.
 */
TEST(spin, off_by_default)
{
    CHECK_EQ(run_counting(meets_events, 0), 0);
    CHECK_EQ(run_counting(meets_events, -1), 0);
}

static int meets_one_after_long(void *arg)
{
    struct counting *self = here();
    uint64_t looks = self->looks;

    (void)arg;
    wait_event(BIDE_SEC(3));
    CHECK_EQ(self->looks - looks, BIDE_SEC(1) / LOOK_NS);
    CHECK_EQ(self->waits, 1);
    return 0;
}

/*
 * Goal:   no spin takes more than a second, also one that is to last for ever.
 * Method: an event after three seconds; looks counted.
 */
TEST(spin, a_second_at_most)
{
    CHECK_EQ(run_counting(meets_one_after_long, BIDE_FOREVER), 0);
    CHECK_EQ(run_counting(meets_one_after_long, BIDE_SEC(2)), 0);
}

/* --- Timers */

static int sleeps_in_and_beyond(void *arg)
{
    struct counting *self = here();
    bide_time due;

    (void)arg;
    for (int i = 1; i <= 40; i++) {
        due = self->now + i * LOOK_NS - LOOK_NS / 2; /* between two looks */
        CHECK_EQ(bide_sleep_until(due), 0);
        CHECK(self->now >= due && self->now < due + LOOK_NS);
    }
    CHECK_EQ(self->waits, 0);
    CHECK_EQ(stats_now().spins, 40);
    CHECK_EQ(stats_now().spins_in_vain, 0);
    due = self->now + 4 * SPIN_NS; /* the spin is over before */
    CHECK_EQ(bide_sleep_until(due), 0);
    CHECK_EQ(self->now, due);
    CHECK_EQ(self->waits, 1);
    CHECK_EQ(stats_now().spins_in_vain, 1);
    return 0;
}

/*
 * Goal:   a timer that is due within a spin fires at the first look after it; one due later, at its
 *         time.
 * Method: both, on a clock that only looks advance.
 */
TEST(spin, timers_are_neither_late_nor_early)
{
    CHECK_EQ(run_counting(sleeps_in_and_beyond, SPIN_NS), 0);
}

/* --- Posts */

struct posted {
    struct bide__post post;
    bide_event done;
};

static void sets(struct bide__post *post)
{
    bide_event_set(&BIDE__CONTAINER(post, struct posted, post)->done);
}

static void wait_post(bide_time after)
{
    struct posted posted = {.post.run = sets};
    struct counting *self = here();

    self->post = &posted.post;
    self->post_at = self->now + after;
    CHECK_EQ(bide_event_wait(&posted.done), 0);
}

static int is_posted_to(void *arg)
{
    struct counting *self = here();
    bide_loop *held = bide_loop_hold(NULL);

    (void)arg;
    wait_post(10 * LOOK_NS);
    CHECK(self->is_awake_at_post);
    CHECK_EQ(self->rings, 0);
    CHECK_EQ(self->waits, 0);
    CHECK_EQ(stats_now().spins_in_vain, 0);
    wait_post(2 * SPIN_NS); /* too late: it sleeps by then */
    CHECK(!self->is_awake_at_post);
    CHECK_EQ(self->rings, 1);
    CHECK_EQ(self->waits, 1);
    CHECK_EQ(stats_now().spins_in_vain, 1);
    bide_loop_release(held);
    return 0;
}

/*
 * Goal:   who posts to a spinning loop need not ring; who posts after it does (fault 40).
 * Method: posts in between two looks, and while the host waits.
 */
TEST(spin, posters_ring_only_after_it)
{
    CHECK_EQ(run_counting(is_posted_to, SPIN_NS), 0);
}
