/* SPDX-License-Identifier: MIT */
/*
 * epoll.c - the reactor under streams: generations, sleeping without epoll_pwait2, and a fair share
 * for timers, tasks and descriptors.
 */
#include <bide.h>

#include <bide/short.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include "base/fault.h"
#include "reports.h"
#include "sockets.h"
#include "test.h"

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    CHECK_EQ(test_open_fds(), before);
    return result;
}

static async(ssize_t, reads, bide_stream *, in)
{
    char buf[16];

    return bide_read(in, buf, sizeof buf);
}

/* Two readers are woken by one poll; whoever runs first replaces the other's stream. */
struct batch {
    bide_stream *streams[2];
    int plain[2];
    bide_stream *fresh;
    int fresh_plain;
    int first; /* -1 until one has run */
};

static async(ssize_t, reads_or_replaces, struct batch *, batch, int, self)
{
    const int other = 1 - self;
    char buf[16];
    int number = bide_stream_fd(batch->streams[other]);
    ssize_t got = bide_read(batch->streams[self], buf, sizeof buf);

    if (batch->first >= 0)
        return got;
    batch->first = self;
    CHECK_EQ(got, 3);
    bide_close(batch->streams[other]);
    stream_and_socket(AF_UNIX, &batch->fresh, &batch->fresh_plain);
    CHECK_EQ(bide_stream_fd(batch->fresh), number);
    CHECK_EQ(send(batch->fresh_plain, "fresh", 5, 0), 5);
    return got;
}

static int replaces_in_one_batch(void *arg)
{
    struct batch batch = {.first = -1};
    ssize_t results[2];
    char buf[16];

    (void)arg;
    for (int i = 0; i < 2; i++)
        stream_and_socket(AF_UNIX, &batch.streams[i], &batch.plain[i]);
    task(ssize_t) tasks[2] = {spawn(reads_or_replaces, &batch, 0),
                              spawn(reads_or_replaces, &batch, 1)};
    bide_sleep(BIDE_MS(1));
    for (int i = 0; i < 2; i++)
        CHECK_EQ(send(batch.plain[i], "old", 3, 0), 3);
    for (int i = 0; i < 2; i++)
        results[i] = await(tasks[i]);
    CHECK_EQ(results[batch.first], 3);
    CHECK_EQ(results[1 - batch.first], -EBADF);
    CHECK_EQ(bide_read(batch.fresh, buf, sizeof buf), 5); /* nobody else had them */
    bide_close(batch.streams[batch.first]);
    bide_close(batch.fresh);
    for (int i = 0; i < 2; i++)
        close(batch.plain[i]);
    close(batch.fresh_plain);
    return 0;
}

/*
 * Goal:   a task that was woken for a stream which then was closed reads nothing of the stream that
 *         got its number.
 * Method: two readers in one batch of events; the first closes the other's stream and opens another
 *         with bytes in it.
 */
TEST(epoll, number_reused_inside_a_batch)
{
    CHECK_EQ(run(replaces_in_one_batch, NULL), 0);
}

static int old_registration_speaks(void *arg)
{
    bide_stream *old, *fresh;
    int old_plain, fresh_ends[2], number, copy;

    (void)arg;
    stream_and_socket(AF_UNIX, &old, &old_plain);
    number = bide_stream_fd(old);
    copy = dup(number); /* keeps the old registration alive */
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fresh_ends), 0);
    CHECK_EQ(dup2(fresh_ends[0], number), number);
    close(fresh_ends[0]);
    fresh = stream_of(number);
    task(ssize_t) reader = spawn(reads, fresh);
    bide_sleep(BIDE_MS(1));
    bide__fault_reset();
    CHECK_EQ(send(old_plain, "old", 3, 0), 3);
    bide_sleep(BIDE_MS(5));
    CHECK(bide__fault_system_calls() >= 1);
    CHECK_EQ(bide__fault_count(BIDE__CALL_RECV), 0); /* nobody was woken by it */
    CHECK_EQ(send(fresh_ends[1], "new", 3, 0), 3);
    CHECK_EQ(await(reader), 3);
    CHECK_EQ(reads(old), -EBADF);
    bide_close(old);
    bide_close(fresh);
    close(copy);
    close(old_plain);
    close(fresh_ends[1]);
    return 0;
}

/*
 * Goal:   an event of a former owner's registration does not reach the number's new owner.
 * Method: keep the old registration alive by dup, give the number to another stream, let the old
 *         peer write: the generation tells them apart, no read is tried.
 */
TEST(epoll, event_of_a_former_owner_is_dropped)
{
    CHECK_EQ(run(old_registration_speaks, NULL), 0);
}

static int reopens_for_long(void *arg)
{
    const long rounds = *(long *)arg;
    const int open = test_open_fds();

    for (long i = 0; i < rounds; i++) {
        bide_stream *stream;
        int plain;

        stream_and_socket(AF_UNIX, &stream, &plain);
        task(ssize_t) reader = spawn(reads, stream);
        bide_yield();
        if (i % 3 == 0)
            CHECK_EQ(send(plain, "abc", 3, 0), 3);
        if (i % 2 == 0)
            cancel(reader);
        bide_close(stream);
        close(plain);
        CHECK_EQ(await(reader), i % 2 == 0 ? -ECANCELED : -EBADF);
    }
    CHECK_EQ(test_open_fds(), open);
    CHECK_EQ(bide__epoll_of(bide__loop_here)->registered, 0);
    return 0;
}

/*
 * Goal:   cancelling, closing and reopening for long leaves nothing behind.
 * Method: 100,000 rounds (a million with BIDE_TEST_LONG=1) on the same number, with events pending
 *         in some; descriptors and registrations counted.
 */
/* timeout: 300 */
TEST(epoll, cancel_close_reopen_for_long)
{
    long rounds = getenv("BIDE_TEST_LONG") != NULL ? 1000000 : 100000;

    if (TEST_UNDER_VALGRIND() || TEST_UNDER_SANITIZER() || TEST_UNDER_QEMU())
        rounds /= 20;
    CHECK_EQ(run(reopens_for_long, &rounds), 0);
}

static int sleeps_and_reads(void *arg)
{
    const int error = *(int *)arg;
    const bide_time lengths[] = {1, BIDE_US(100), BIDE_US(1500), BIDE_MS(20)};
    bide_stream *stream;
    int plain;

    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_EPOLL_PWAIT2, 1, UINT64_MAX, error);
    stream_and_socket(AF_UNIX, &stream, &plain);
    for (int i = 0; i < 4; i++) {
        bide_time start = bide_now();
        CHECK_EQ(bide_sleep(lengths[i]), 0);
        CHECK(bide_now() >= start + lengths[i]);
    }
    task(ssize_t) reader = spawn(reads, stream);
    task(ssize_t) other = NULL;
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(send(plain, "abc", 3, 0), 3);
    CHECK_EQ(await(reader), 3); /* with no timer at all */
    other = spawn(reads, stream);
    with_timeout (BIDE_MS(5))
        CHECK_EQ(await(other), -ETIMEDOUT);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_PWAIT2), 1); /* the kernel was believed */
    bide_close(stream);
    close(plain);
    bide__fault_reset();
    return 0;
}

/*
 * Goal:   a kernel without epoll_pwait2, or a sandbox that forbids it, is asked once; waits are
 *         never early and events still come.
 * Method: the call fails with -ENOSYS, -EPERM.
 */
TEST(epoll, epoll_pwait2_is_optional)
{
    int errors[] = {-ENOSYS, -EPERM};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(sleeps_and_reads, &errors[i]), 0);
}

static void no_op(int signal_number)
{
    (void)signal_number;
}

static int sleeps_under_signals(void *arg)
{
    bide_time start = bide_now();
    bide_stats before, after;

    (void)arg;
    bide_loop_stats(&before);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(bide_sleep(BIDE_MS(10)), 0);
    bide_loop_stats(&after);
    CHECK(bide_now() >= start + BIDE_MS(100));
    CHECK(after.polls - before.polls >= 15); /* there were signals */
    bide__fault_fail(BIDE__CALL_EPOLL_PWAIT2, 1, 5, -EINTR);
    CHECK_EQ(bide_sleep(BIDE_MS(10)), 0);
    CHECK(bide_now() >= start + BIDE_MS(110));
    return 0;
}

/*
 * Goal:   signals neither end a sleep early nor fail it.
 * Method: a 1 kHz timer signal, with and without epoll_pwait2; -EINTR five times in a row.
 */
TEST(epoll, signals_do_not_shorten_sleeps)
{
    const struct itimerval kilohertz = {{0, 1000}, {0, 1000}}, off = {0};

    signal(SIGALRM, no_op);
    for (int without = 0; without <= 1; without++) {
        bide__fault_reset();
        if (without)
            bide__fault_fail(BIDE__CALL_EPOLL_PWAIT2, 1, 1, -ENOSYS);
        setitimer(ITIMER_REAL, &kilohertz, NULL);
        CHECK_EQ(run(sleeps_under_signals, NULL), 0);
        setitimer(ITIMER_REAL, &off, NULL);
    }
}

static async(int, rearms, uint64_t *, turns, bool, yields)
{
    while ((yields ? bide_yield() : bide_sleep(0)) == 0)
        ++*turns;
    return 0;
}

static async(int, plays, bide_stream *, ball)
{
    char byte;

    while (bide_write(ball, "o", 1) == 1 && bide_read(ball, &byte, 1) == 1)
        ;
    return 0;
}

static int is_served_among_busy_tasks(void *arg)
{
    const bool plays_ball = *(bool *)arg;
    bide_stream *stream, *ball[2] = {NULL, NULL};
    uint64_t turns[2] = {0};
    int plain, sockets[2];
    bide_task(int) players[2];

    stream_and_socket(AF_UNIX, &stream, &plain);
    task(int) sleeper = spawn(rearms, &turns[0], false);
    task(int) yielder = spawn(rearms, &turns[1], true);
    if (plays_ball) {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
        for (int i = 0; i < 2; i++) {
            ball[i] = stream_of(sockets[i]);
            players[i] = spawn(plays, ball[i]);
        }
    }
    for (int i = 0; i < 100; i++) {
        uint64_t before = turns[0];
        task(ssize_t) reader = spawn(reads, stream);
        bide_yield();
        CHECK_EQ(send(plain, "abc", 3, 0), 3);
        CHECK_EQ(await(reader), 3);
        CHECK_EQ(bide_sleep(1), 0);
        CHECK(turns[0] - before <= 4000); /* a few polls' distance */
    }
    CHECK(turns[0] > 100 && turns[1] > 100);
    if (plays_ball) {
        for (int i = 0; i < 2; i++)
            bide_close(ball[i]);
        for (int i = 0; i < 2; i++)
            CHECK_EQ(await(players[i]), 0);
    }
    cancel(sleeper);
    cancel(yielder);
    CHECK_EQ(await(sleeper), 0);
    CHECK_EQ(await(yielder), 0);
    bide_close(stream);
    close(plain);
    return 0;
}

/*
 * Goal:   descriptors and timers are served though tasks are always ready: sleeping for nothing,
 *         yielding, playing ball over sockets.
 * Method: a hundred messages and timers among such tasks; their turns in between are counted.
 */
TEST(epoll, busy_tasks_starve_nobody)
{
    bool plays_ball[] = {false, true};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(is_served_among_busy_tasks, &plays_ball[i]), 0);
}

static int returns_one(void *arg)
{
    (void)arg;
    return 1;
}

/*
 * Goal:   without a descriptor or memory for the reactor, bide_run says so and calls nothing.
 * Method: epoll_create and each allocation fail in turn, until the run succeeds.
 */
TEST(epoll, failure_to_start_is_told)
{
    int result = 0, open = test_open_fds();

    bide__fault_fail(BIDE__CALL_EPOLL_CREATE, 1, 1, -EMFILE);
    CHECK_EQ(bide_run(returns_one, NULL, NULL), -EMFILE);
    for (uint64_t n = 1; result != 1; n++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        CHECK(n < 20);
        bide__fault_reset();
        bide__fault_fail(BIDE__CALL_ALLOC, n, 1, -ENOMEM);
        result = bide_run(returns_one, NULL, &options);
        CHECK(result == 1 || result == -ENOMEM);
        CHECK_EQ(test_open_fds(), open);
    }
}

static int reads_the_clock(void *arg)
{
    struct timespec before, after;
    bide_time now;

    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &before);
    now = bide_now();
    clock_gettime(CLOCK_MONOTONIC, &after);
    CHECK(now >= before.tv_sec * INT64_C(1000000000) + before.tv_nsec);
    CHECK(now <= after.tv_sec * INT64_C(1000000000) + after.tv_nsec);
    return 0;
}

/*
 * Goal:   time is CLOCK_MONOTONIC: setting the wall clock moves no deadline.
 * Method: read it between two readings of that clock.
 */
TEST(epoll, clock_is_monotonic)
{
    CHECK_EQ(run(reads_the_clock, NULL), 0);
}

static int is_not_deadlocked(void *arg)
{
    bide_stream *stream;
    int plain;

    (void)arg;
    stream_and_socket(AF_UNIX, &stream, &plain);
    task(ssize_t) reader = spawn(reads, stream);
    if (fork() == 0) { /* wakes us when the loop has nothing but the descriptor */
        usleep(30000);
        _exit(send(plain, "abc", 3, 0) != 3);
    }
    CHECK_EQ(await(reader), 3);
    bide_close(stream);
    close(plain);
    return 0;
}

/*
 * Goal:   tasks that wait for nothing but a descriptor are no deadlock.
 * Method: one parked reader, no timer; another process writes after 30 ms.
 */
TEST(epoll, waiting_for_a_descriptor_is_no_deadlock)
{
    CHECK_EQ(run(is_not_deadlocked, NULL), 0);
}
