/* SPDX-License-Identifier: MIT */
/*
 * pool.c - the pool's threads: how many there are, how they are named, what happens when there are
 * none; its queue and its lanes; work that a task waits for.
 */
#include "runtime/pool.h"

#include "jobs.h"

#include <bide/testing.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/fault.h"
#include "reports.h"

static async(int, signals_open)
{
    sigset_t blocked;
    int open = 0;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    for (int number = 1; number < NSIG; number++)
        open += number != SIGKILL && number != SIGSTOP && sigismember(&blocked, number) == 0;
    return open;
}

/* Returns how often it was called with this count. */
static async(int, named, char *, name)
{
    return pthread_getname_np(pthread_self(), name, 16);
}

static int grows_and_shrinks(void *unused)
{
    struct gate gate;
    task(int) jobs[6];
    char name[16];

    (void)unused;
    CHECK_EQ(threads_named("bide-"), 0);
    gate_init(&gate);
    for (int i = 0; i < 6; i++) {
        jobs[i] = offload(passes, &gate, i);
        gate_wait_for(&gate, i < 4 ? i + 1 : 4);
        CHECK_EQ(threads_named("bide-work-"), i < 4 ? i + 1 : 4);
    }
    gate_open(&gate, 6);
    for (int i = 0; i < 6; i++)
        CHECK_EQ(await(jobs[i]), i);
    gate_end(&gate);
    while (threads_named("bide-") > 0) /* once they have been idle */
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(await(offload(named, name)), 0);
    CHECK_STR(name, "bide-work-5");
    /* Signals that libc keeps to itself (32, 33), and the emulator more, cannot be blocked. */
    CHECK(await(offload(signals_open)) <= (TEST_UNDER_QEMU() ? 8 : 2));
    return 0;
}

/*
 * Goal:   threads are started one by one while jobs wait and none is idle, up to the limit; idle
 *         ones end. They have names, and block all signals.
 * Method: six jobs that wait at a gate, four threads; then none.
 */
TEST(pool, threads_grow_on_demand_and_shrink)
{
    bide_options options = {.threads_max = 4, .threads_idle_ns = BIDE_MS(5)};

    CHECK_EQ(bide_run(grows_and_shrinks, NULL, &options), 0);
}

static int one_by_one(void *unused)
{
    atomic_int ran = 0;

    (void)unused;
    for (int i = 0; i < 100; i++)
        CHECK_EQ(await(offload(counts_up, &ran, i)), i);
    CHECK_EQ(threads_named("bide-work-"), 1);
    return 0;
}

/*
 * Goal:   jobs that come one after another do not make a thread each.
 * Method: a hundred, each awaited before the next.
 */
TEST(pool, idle_thread_is_used_again)
{
    CHECK_EQ(bide_run(one_by_one, NULL, NULL), 0);
}

enum { QUEUED = 3, WAITING = 5 };

struct order {
    int numbers[64];
    int count;
    atomic_int ran;
};

/* With one thread jobs run one after another: no lock is needed. */
static async(int, notes, struct order *, order, int, number)
{
    order->numbers[order->count++] = number;
    return number;
}

static async(int, submits, struct order *, order, int, number)
{
    return await(offload(notes, order, number));
}

static int fills(void *unused)
{
    struct order order = {.count = 0};
    struct gate gate;
    task(int) first, queued[QUEUED], waiting[WAITING];
    const int expected[] = {0, 1, 2, 10, 11, 13, 14, 20};

    (void)unused;
    gate_init(&gate);
    first = offload(passes, &gate, 1);
    gate_wait(&gate);
    for (int i = 0; i < QUEUED; i++)
        queued[i] = offload(notes, &order, i);
    for (int i = 0; i < WAITING; i++)
        waiting[i] = spawn(submits, &order, 10 + i);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(bide_yield(), 0);
    for (int i = 0; i < WAITING; i++)
        CHECK(!is_done(waiting[i]));
    with_timeout (BIDE_MS(1)) {
        task(int) late = offload(notes, &order, 30);
        CHECK(is_done(late));
        CHECK_EQ(await(late), -ETIMEDOUT);
    }
    cancel(waiting[2]); /* while it waits for room */
    CHECK_EQ(await(waiting[2]), -ECANCELED);
    gate_open(&gate, 1);
    CHECK_EQ(await(first), 1);
    /* There is room for one, which is promised to the first that waits: this one is the last. */
    CHECK_EQ(await(offload(notes, &order, 20)), 20);
    for (int i = 0; i < QUEUED; i++)
        CHECK_EQ(await(queued[i]), i);
    for (int i = 0; i < WAITING; i++)
        CHECK(i == 2 || await(waiting[i]) == 10 + i);
    CHECK_EQ(order.count, 8);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(order.numbers[i], expected[i]);
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   when jobs_max jobs wait for a thread, whoever offloads one more waits, first come first
 *         served, and cannot be overtaken; a cancel ends that wait, and the job never runs.
 * Method: one thread that waits at a gate; note in which order the jobs run.
 */
TEST(pool, full_queue_holds_back_in_order)
{
    bide_options options = {.threads_max = 1, .jobs_max = QUEUED};

    for (int i = 0; i < 20; i++)
        CHECK_EQ(bide_run(fills, NULL, &options), 0);
}

static int without_threads(void *unused)
{
    struct gate gate;
    task(int) jobs[4];
    atomic_int ran = 0;

    (void)unused;
    gate_init(&gate);
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_THREAD, 1, 1, -EAGAIN);
    CHECK_EQ(await(offload(counts_up, &ran, 1)), -EAGAIN);
    CHECK_EQ(detach(offload(passes, &gate, 0)), 0); /* this time there is one */
    gate_wait(&gate);
    bide__fault_fail(BIDE__CALL_THREAD, 1, UINT64_MAX, -EAGAIN);
    for (int i = 0; i < 4; i++)
        jobs[i] = offload(counts_up, &ran, i);
    CHECK_EQ(threads_named("bide-work-"), 1);
    gate_open(&gate, 1);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(await(jobs[i]), i);
    CHECK_EQ(atomic_load(&ran), 4);
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   a first thread that cannot be started fails its job with -EAGAIN, and the next job tries
 *         again; once there is one, the lack of more only makes jobs wait.
 * Method: let thread starts fail, the first one and then all.
 */
TEST(pool, failing_threads_are_done_without)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(without_threads, NULL, &options), 0);
    bide__fault_reset();
    CHECK_EQ(seen.count, 0);
}

static int starved(void *unused)
{
    atomic_int ran = 0;
    struct gate gate;
    task(int) first, second, waiting[3];
    struct order order = {.count = 0};

    (void)unused;
    gate_init(&gate);
    first = offload(passes, &gate, 0);
    gate_wait(&gate);
    second = offload(counts_up, &ran, 1);
    for (int i = 0; i < 3; i++)
        waiting[i] = spawn(submits, &order, i);
    CHECK_EQ(bide_yield(), 0);
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_THREAD, 1, UINT64_MAX, -EAGAIN);
    gate_open(&gate, 1);
    while (threads_named("bide-") > 0) /* the loop does not run meanwhile, the thread ends */
        usleep(1000);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(await(waiting[i]), -EAGAIN);
    bide__fault_reset();
    CHECK_EQ(await(first), 0);
    CHECK_EQ(await(second), 1);
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   a task that was given room and cannot use it hands it on: nobody waits for ever.
 * Method: three wait for the room of two, and no thread can be had any more.
 */
TEST(pool, unused_room_is_handed_on)
{
    bide_options options = {.threads_max = 1, .jobs_max = 1, .threads_idle_ns = BIDE_MS(1)};

    CHECK_EQ(bide_run(starved, NULL, &options), 0);
}

struct piece {
    struct gate *gate; /* NULL when it does not wait */
    int calls;
};

static void work(void *arg)
{
    struct piece *piece = arg;

    if (piece->gate != NULL)
        gate_pass(piece->gate);
    piece->calls++;
}

static async(int, calls, enum bide__lane, lane, struct piece *, piece)
{
    return bide__pool_call(lane, work, piece, "a test");
}

static int two_lanes(void *unused)
{
    struct gate gate;
    struct piece slow = {&gate, 0}, quick = {NULL, 0};

    (void)unused;
    gate_init(&gate);
    for (int full = 0; full < BIDE__LANES; full++) {
        enum bide__lane other = full == BIDE__LANE_WORK ? BIDE__LANE_NAMES : BIDE__LANE_WORK;
        task(int) jobs[3];
        gate.arrivals = 0;
        for (int i = 0; i < 3; i++)
            jobs[i] = spawn(calls, (enum bide__lane)full, &slow);
        gate_wait(&gate); /* one thread, one job in the queue, one task that waits */
        for (int i = 0; i < 10; i++)
            CHECK_EQ(bide__pool_call(other, work, &quick, "a test"), 0);
        CHECK_EQ(threads_named("bide-work-"), 1);
        CHECK_EQ(threads_named("bide-names-"), 1);
        gate_open(&gate, 3);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(await(jobs[i]), 0);
    }
    CHECK_EQ(slow.calls, 6);
    CHECK_EQ(quick.calls, 20);
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   a lane that is full, threads, queue and all, does not hold the other one back.
 * Method: each in turn waits at a gate.
 */
TEST(pool, full_lane_does_not_hold_the_other)
{
    bide_options options = {.threads_max = 1, .name_threads_max = 1, .jobs_max = 1};

    CHECK_EQ(bide_run(two_lanes, NULL, &options), 0);
}

static int calls_are_cancelled(void *unused)
{
    struct gate gate;
    struct piece slow = {&gate, 0}, quick = {NULL, 0};
    task(int) first, queued, waiting;
    bide_stats before, after;

    (void)unused;
    gate_init(&gate);
    first = spawn(calls, BIDE__LANE_WORK, &slow);
    gate_wait(&gate);
    queued = spawn(calls, BIDE__LANE_WORK, &quick);
    waiting = spawn(calls, BIDE__LANE_WORK, &quick);
    CHECK_EQ(bide_yield(), 0);
    cancel(waiting);
    CHECK_EQ(await(waiting), -ECANCELED);
    cancel(queued);
    CHECK_EQ(await(queued), -ECANCELED);
    cancel(first); /* it runs, and has memory of the task: that waits */
    bide_loop_stats(&before);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&after);
    CHECK(!is_done(first));
    CHECK_EQ(slow.calls, 0);
    gate_open(&gate, 1);
    CHECK_EQ(await(first), 0); /* it has happened */
    CHECK_EQ(slow.calls, 1);
    CHECK_EQ(quick.calls, 0);
    with_timeout (0)
        CHECK_EQ(bide__pool_call(BIDE__LANE_WORK, work, &quick, "a test"), -ETIMEDOUT);
    CHECK_EQ(quick.calls, 0);
    CHECK_EQ(bide__pool_call(BIDE__LANE_WORK, work, &quick, "a test"), 0);
    CHECK_EQ(quick.calls, 1);
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   work that a task waits for either never runs (cancelled before, while it waits for room,
 *         while it is queued) or is waited for to its end.
 * Method: one thread at a gate; cancel at each of these places.
 */
TEST(pool, cancelled_call_never_ran_or_is_waited_for)
{
    bide_options options = {.threads_max = 1, .jobs_max = 1};

    CHECK_EQ(bide_run(calls_are_cancelled, NULL, &options), 0);
}

static int handed_then_cancelled(void *unused)
{
    struct gate gate;
    struct piece slow = {&gate, 0}, quick = {NULL, 0};
    task(int) first, second, waiting, last;

    (void)unused;
    gate_init(&gate);
    first = spawn(calls, BIDE__LANE_WORK, &slow);
    gate_wait(&gate);
    second = offload(passes, &gate, 2);
    waiting = spawn(calls, BIDE__LANE_WORK, &quick);
    last = spawn(calls, BIDE__LANE_WORK, &quick);
    CHECK_EQ(bide_yield(), 0);
    cancel(second); /* gives its room to `waiting`, which is ready now */
    cancel(waiting);
    CHECK_EQ(await(waiting), -ECANCELED);
    CHECK_EQ(await(second), -ECANCELED);
    gate_open(&gate, 1);
    CHECK_EQ(await(last), 0);
    CHECK_EQ(await(first), 0);
    CHECK_EQ(quick.calls, 1);
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   a cancel that comes after room was given, and before it is used, hands the room on.
 * Method: both in one turn of the task that cancels.
 */
TEST(pool, cancel_after_room_was_given_hands_it_on)
{
    bide_options options = {.threads_max = 1, .jobs_max = 1};

    CHECK_EQ(bide_run(handed_then_cancelled, NULL, &options), 0);
}

static async(int, naps, int, ms)
{
    return usleep((useconds_t)ms * 1000);
}

enum { NAPPING = 16 };

static int naps_away(void *unused)
{
    task(int) jobs[NAPPING];
    bide_stats before, after;
    uint64_t waits;

    (void)unused;
    for (int i = 0; i < NAPPING; i++)
        jobs[i] = offload(naps, 100);
    bide_loop_stats(&before);
    waits = bide__fault_count(BIDE__CALL_EPOLL_PWAIT2) + bide__fault_count(BIDE__CALL_EPOLL_WAIT);
    for (int i = 0; i < NAPPING; i++)
        CHECK_EQ(await(jobs[i]), 0);
    bide_loop_stats(&after);
    waits = bide__fault_count(BIDE__CALL_EPOLL_PWAIT2) + bide__fault_count(BIDE__CALL_EPOLL_WAIT) -
            waits;
    /* Each job's end may wake it once; a sweep may, and the bell that rang before it slept. */
    CHECK(after.polls - before.polls <= 2 * NAPPING + 2);
    CHECK(waits <= NAPPING + 2);
    return 0;
}

/*
 * Goal:   the loop does nothing at all while jobs run (fault 61).
 * Method: 16 jobs that take a tenth of a second; count polls and system calls.
 */
TEST(pool, loop_sleeps_while_jobs_run)
{
    bide__fault_reset();
    CHECK_EQ(bide_run(naps_away, NULL, NULL), 0);
}

static int embedded(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++)
        CHECK_EQ(await(offload(naps, 20)), 0);
    return 9;
}

/*
 * Goal:   a loop that another one steps gets its jobs back, and its descriptor is readable for them
 *         and then not for ever.
 * Method: step it from poll; count the steps.
 */
TEST(pool, embedded_loop_is_told_of_its_jobs)
{
    bide_loop *loop;
    int steps = 0;

    CHECK_EQ(bide_loop_open(embedded, NULL, NULL, &loop), 0);
    do {
        struct pollfd readable = {.fd = bide_loop_fd(loop), .events = POLLIN};
        bide_time left = bide_loop_next_timeout(loop);
        poll(&readable, 1, left == BIDE_FOREVER ? -1 : (int)((left + 999999) / 1000000));
        steps++;
    } while (bide_loop_step(loop, 0) != 0);
    CHECK(steps <= 60);
    CHECK_EQ(bide_loop_close(loop), 9);
}

struct wide {
    _Alignas(64) char text[64];
    int number;
};

static async(struct wide, widened, const struct wide *, from)
{
    struct wide wide = *from;

    wide.number++;
    return wide;
}

static int without_memory(void *arg)
{
    uint64_t nth = *(uint64_t *)arg;
    struct wide wide = {.number = 1};
    task(struct wide) job;
    int number;

    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_ALLOC, nth, 1, -ENOMEM);
    job = offload(widened, &wide);
    if (job == NULL) {
        CHECK_EQ(bide_spawn_error(), -ENOMEM);
        CHECK_EQ(detach(job), -ENOMEM);
        return 1;
    }
    if (is_done(job) && future_error(job) < 0) {
        CHECK_EQ(future_error(job), -ENOMEM);
        detach(job);
        return 2;
    }
    number = await(job).number;
    CHECK_EQ(number, 2);
    return 0;
}

/*
 * Goal:   without memory offload returns NULL, as a spawn does, or a future that failed.
 * Method: each allocation fails in turn, until none is left to fail.
 */
TEST(pool, failing_allocations_are_told)
{
    int outcomes[3] = {0};

    for (uint64_t nth = 1; outcomes[0] == 0; nth++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        int outcome = bide_run(without_memory, &nth, &options);
        CHECK(outcome >= 0 && nth < 20);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_SPAWN_FAILED), outcome == 1);
        outcomes[outcome]++;
        bide__fault_reset();
    }
    CHECK(outcomes[1] >= 3 && outcomes[2] >= 1);
}
