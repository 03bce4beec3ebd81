/* SPDX-License-Identifier: MIT */
/*
 * embed.c - a loop that another one steps: when it wants to be, what a step does, its end.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "reactor/epoll.h"
#include "reports.h"
#include "sockets.h"
#include "test.h"

static bide_loop *open_loop(int (*fn)(void *arg), void *arg)
{
    bide_loop *loop = NULL;

    CHECK_EQ(bide_loop_open(fn, arg, NULL, &loop), 0);
    return loop;
}

static bool is_readable(bide_loop *loop)
{
    struct pollfd watched = {.fd = bide_loop_fd(loop), .events = POLLIN};

    return poll(&watched, 1, 0) == 1;
}

/* The shortest host: poll, step, until every task has ended. Returns how often it came back. */
static int host(bide_loop *loop)
{
    int wakes = 0;

    for (;;) {
        struct pollfd watched = {.fd = bide_loop_fd(loop), .events = POLLIN};
        bide_time left = bide_loop_next_timeout(loop);
        const struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000),
                                         .tv_nsec = (long)(left % 1000000000)};
        CHECK(ppoll(&watched, 1, left == BIDE_FOREVER ? NULL : &timeout, NULL) >= 0);
        wakes++;
        if (bide_loop_step(loop, 0) == 0)
            return wakes;
    }
}

/* --- Running */

static async(int, echoes, bide_stream *, stream)
{
    ssize_t copied = bide_copy(stream, stream);

    bide_close(stream);
    return (int)copied;
}

static int talks(void *arg)
{
    char address[64], reply[16] = "";
    bide_listener *listener;
    bide_stream *stream, *accepted;
    task(int) echo;

    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, address, sizeof address), 0);
    CHECK_EQ(bide_dial(address, &stream), 0);
    CHECK_EQ(bide_accept(listener, &accepted), 0);
    echo = spawn(echoes, accepted);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(bide_write(stream, "0123456789", 10), 10);
        CHECK_EQ(bide_read_exact(stream, reply, 10), 10);
        CHECK_EQ(bide_sleep(BIDE_US(100)), 0);
    }
    CHECK_EQ(bide_shutdown_write(stream), 0);
    CHECK_EQ(await(echo), 200);
    bide_close(stream);
    bide_listener_close(listener);
    return *(int *)arg;
}

/*
 * Goal:   a host that polls the descriptor for as long as it is told serves I/O and timers, without
 *         waiting in a step.
 * Method: an echo through sockets, with sleeps; the result is the first task's, whatever its sign.
 */
TEST(embed, polling_host_serves_io_and_timers)
{
    int results[] = {0, 42, -EIO}, fds = test_open_fds();

    for (int i = 0; i < 3; i++) {
        bide_loop *loop = open_loop(talks, &results[i]);
        host(loop);
        CHECK_EQ(bide_loop_step(loop, 0), 0); /* still */
        CHECK_EQ(bide_loop_step(loop, BIDE_FOREVER), 0);
        CHECK_EQ(bide_loop_next_timeout(loop), BIDE_FOREVER);
        CHECK_EQ(bide_loop_close(loop), results[i]);
        CHECK_EQ(test_open_fds(), fds);
    }
}

/*
 * Goal:   a step may wait: for ever, or for a time.
 * Method: the same program, in steps that wait; no descriptor is polled.
 */
TEST(embed, waiting_steps_serve_io_and_timers)
{
    bide_time most[] = {BIDE_FOREVER, BIDE_MS(50), 1};
    int zero = 0;

    for (int i = 0; i < 3; i++) {
        bide_loop *loop = open_loop(talks, &zero);
        while (bide_loop_step(loop, most[i]) != 0)
            CHECK(bide__loop_here == NULL);
        CHECK_EQ(bide_loop_close(loop), 0);
    }
}

static int turns;

static int yields_thrice(void *arg)
{
    for (int i = 0; i < 3; i++) {
        turns++;
        bide_yield();
    }
    bide_sleep(*(bide_time *)arg);
    return 0;
}

/*
 * Goal:   the next timeout says what there is to do: 0 with ready tasks, a timer's distance, for
 *         ever without either, and after the end.
 * Method: walk through these states.
 */
TEST(embed, next_timeout_tells_what_is_due)
{
    bide_time ns = BIDE_SEC(100);
    bide_loop *loop = open_loop(yields_thrice, &ns);

    CHECK_EQ(bide_loop_next_timeout(loop), 0); /* ready: never run so far */
    CHECK_EQ(turns, 0);
    while (bide_loop_next_timeout(loop) == 0)
        CHECK_EQ(bide_loop_step(loop, 0), 1);
    CHECK_EQ(turns, 3);
    CHECK(bide_loop_next_timeout(loop) > BIDE_SEC(90));
    CHECK(bide_loop_next_timeout(loop) <= BIDE_SEC(100));
    CHECK(!is_readable(loop));
    CHECK_EQ(bide_loop_close(loop), 0);

    ns = BIDE_FOREVER;
    loop = open_loop(yields_thrice, &ns);
    while (bide_loop_next_timeout(loop) == 0)
        CHECK_EQ(bide_loop_step(loop, 0), 1);
    CHECK_EQ(bide_loop_next_timeout(loop), BIDE_FOREVER);
    CHECK(!is_readable(loop));
    CHECK_EQ(bide_loop_close(loop), 0);

    ns = 1;
    loop = open_loop(yields_thrice, &ns);
    while (bide_loop_step(loop, 0) != 0)
        ;
    CHECK_EQ(bide_loop_next_timeout(loop), BIDE_FOREVER);
    CHECK_EQ(bide_loop_close(loop), 0);
}

/* --- Posts, and being idle */

static void sets_event(void *arg)
{
    bide_event_set(arg);
}

static int waits_for_event(void *arg)
{
    int err = bide_event_wait(arg);

    bide_event_clear(arg);
    return err < 0 ? err : bide_event_wait(arg);
}

/* Step while it says that there is something to do. Returns how often. */
static int settle(bide_loop *loop)
{
    int steps = 0;

    while (is_readable(loop) || bide_loop_next_timeout(loop) == 0) {
        CHECK(++steps < 10);
        if (bide_loop_step(loop, 0) == 0)
            break;
    }
    return steps;
}

/*
 * Goal:   a post between steps makes the descriptor readable; a step takes that off again, whether
 *         or not the loop has other descriptors; one post rings once.
 * Method: two posts of the host, with nothing else open; a hundred that need no more steps.
 */
TEST(embed, posts_between_steps_make_the_descriptor_readable_until_a_step)
{
    bide_event event = {0};
    bide_loop *loop = open_loop(waits_for_event, &event);

    settle(loop);
    CHECK(!is_readable(loop));
    for (int i = 0; i < 100; i++)
        CHECK_EQ(bide_post(loop, sets_event, &event), 0);
    CHECK(is_readable(loop));
    CHECK_EQ(bide_loop_next_timeout(loop), 0);
    CHECK(settle(loop) <= 2);
    CHECK(!is_readable(loop));
    CHECK_EQ(bide_loop_next_timeout(loop), BIDE_FOREVER);
    CHECK_EQ(bide_post(loop, sets_event, &event), 0);
    settle(loop);
    CHECK_EQ(bide_loop_step(loop, 0), 0);
    CHECK_EQ(bide_loop_close(loop), 0);
}

struct posting {
    bide_loop *loop;
    bide_event event;
};

static void *posts_twice(void *arg)
{
    struct posting *posting = arg;

    for (int i = 0; i < 2; i++) {
        usleep(20000);
        CHECK_EQ(bide_post(posting->loop, sets_event, &posting->event), 0);
    }
    bide_loop_release(posting->loop);
    return NULL;
}

/*
 * Goal:   posts of a thread wake a host that polls, and one that waits in steps.
 * Method: both; the host comes back a few times, not more.
 */
TEST(embed, posts_of_a_thread_wake_either_host)
{
    for (int waits = 0; waits < 2; waits++) {
        struct posting posting = {0};
        pthread_t thread;
        posting.loop = open_loop(waits_for_event, &posting.event);
        CHECK(bide_loop_hold(posting.loop) == posting.loop);
        CHECK_EQ(pthread_create(&thread, NULL, posts_twice, &posting), 0);
        if (waits)
            while (bide_loop_step(posting.loop, BIDE_FOREVER) != 0)
                ;
        else
            CHECK(host(posting.loop) <= 8);
        pthread_join(thread, NULL);
        CHECK(posting.loop->stats.polls <= 8);
        CHECK_EQ(bide_loop_close(posting.loop), 0);
    }
}

static int posts_to_itself(void *arg)
{
    bide_loop *self = bide_loop_hold(NULL);

    for (int i = 0; i < 50; i++) {
        CHECK_EQ(bide_post(self, sets_event, arg), 0);
        CHECK_EQ(bide_yield(), 0);
    }
    bide_loop_release(self);
    return 0;
}

/*
 * Goal:   a post from inside a step rings no bell.
 * Method: a task posts; the eventfd's count is what the first post of the host made it, or 0.
 */
TEST(embed, posts_inside_a_step_ring_no_bell)
{
    bide_event event = {0};
    bide_loop *loop = open_loop(posts_to_itself, &event);
    uint64_t count;

    while (bide_loop_step(loop, 0) != 0)
        ;
    if (read(loop->inbox.bell.fd, &count, sizeof count) == sizeof count)
        CHECK(count <= 2); /* what was left at the end of a step */
    CHECK_EQ(bide_loop_close(loop), 0);
}

static int reads_for_ever(void *arg)
{
    bide_stream *stream;
    char byte;
    int *plain = arg;

    stream_and_socket(AF_INET, &stream, plain);
    CHECK_EQ(bide_read(stream, &byte, 1), -ECANCELED);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   a loop whose tasks wait for descriptors is looked at once more after a second, for those
 *         that were closed behind its back, and then leaves its host in peace.
 * Method: a reader; the host polls until it is told to do so for ever; polls counted.
 */
TEST(embed, idle_loop_asks_for_one_sweep_and_then_for_nothing)
{
    int plain, rounds = 0;
    bide_loop *loop = open_loop(reads_for_ever, &plain);
    bide_time left;

    settle(loop);
    CHECK(bide_loop_next_timeout(loop) <= BIDE_SEC(1));
    while ((left = bide_loop_next_timeout(loop)) != BIDE_FOREVER || is_readable(loop)) {
        struct pollfd watched = {.fd = bide_loop_fd(loop), .events = POLLIN};
        CHECK(++rounds < 20);
        poll(&watched, 1, left == BIDE_FOREVER ? -1 : (int)(left / 1000000 + 1));
        CHECK_EQ(bide_loop_step(loop, 0), 1);
    }
    CHECK(!is_readable(loop));
    CHECK_EQ(bide_loop_close(loop), 0);
    close(plain);
}

/* --- Several loops */

static int pings(void *arg)
{
    bide_stream *stream = stream_of(*(int *)arg);
    char byte = 0;

    for (int i = 0; i < 100; i++) {
        CHECK_EQ(bide_write(stream, "x", 1), 1);
        CHECK_EQ(bide_read(stream, &byte, 1), 1);
    }
    bide_close(stream);
    return 0;
}

/*
 * Goal:   two loops on one thread do not disturb each other.
 * Method: their first tasks talk over a pair of sockets, in steps by turns.
 */
TEST(embed, two_loops_of_one_thread_talk)
{
    int ends[2], going[2] = {1, 1};
    bide_loop *loops[2];

    tcp_sockets(ends);
    for (int i = 0; i < 2; i++)
        loops[i] = open_loop(pings, &ends[i]);
    while (going[0] || going[1])
        for (int i = 0; i < 2; i++)
            going[i] = going[i] && bide_loop_step(loops[i], 0);
    CHECK_EQ(bide_loop_close(loops[0]), 0); /* opened first, closed first */
    CHECK_EQ(bide_loop_close(loops[1]), 0);
}

static void *hosts(void *arg)
{
    int zero = 0;
    bide_loop *loop = open_loop(talks, &zero);

    host(loop);
    CHECK_EQ(bide_loop_close(loop), 0);
    return arg;
}

/*
 * Goal:   loops of several threads do not know of each other.
 * Method: four at once, each with sockets.
 */
TEST(embed, loops_of_several_threads_are_independent)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, hosts, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static int runs_another(void *arg)
{
    int zero = 0;

    (void)arg;
    bide_yield();
    CHECK_EQ(bide_run(talks, &zero, NULL), 0);
    bide_yield();
    return 0;
}

static int steps_another(void *arg)
{
    bide_loop *loop = arg;

    while (bide_loop_step(loop, 0) != 0)
        CHECK_EQ(bide_yield(), 0);
    return bide_loop_close(loop);
}

static async(int, steps_it, bide_loop *, loop)
{
    return bide_loop_step(loop, 0);
}

static int steps_another_from_tasks(void *arg)
{
    while (await(spawn(steps_it, arg)) != 0)
        ;
    return bide_loop_close(arg);
}

/* From another depth of the stack each time. */
__attribute__((noinline)) static int steps_deep(bide_loop *loop, int depth)
{
    volatile char room[1000];

    room[0] = (char)depth;
    return (depth == 0 ? bide_loop_step(loop, 0) : steps_deep(loop, depth - 1)) + 0 * room[0];
}

/*
 * Goal:   loops nest in every way: one runs inside a task of an embedded one; an embedded one is
 *         stepped by a task, by several tasks in turn, and from any depth of the stack.
 * Method: each; under sanitizers as well, which must know whose stack it is.
 */
TEST(embed, loops_nest)
{
    int zero = 0;
    bide_loop *loop = open_loop(runs_another, NULL);

    host(loop);
    CHECK_EQ(bide_loop_close(loop), 0);

    CHECK_EQ(bide_run(steps_another, open_loop(talks, &zero), NULL), 0);
    CHECK_EQ(bide_run(steps_another_from_tasks, open_loop(talks, &zero), NULL), 0);

    loop = open_loop(steps_another, open_loop(talks, &zero));
    host(loop);
    CHECK_EQ(bide_loop_close(loop), 0);

    loop = open_loop(talks, &zero);
    for (int depth = 0; steps_deep(loop, depth) != 0; depth = (depth + 7) % 40)
        ;
    CHECK_EQ(bide_loop_close(loop), 0);
}
