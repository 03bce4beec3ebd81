/* SPDX-License-Identifier: MIT */
/*
 * serve.c - a task for every connection: limits, draining, and a server that lives through it all.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "reports.h"
#include "sockets.h"
#include "test.h"

/* What the handlers have seen. */
struct seen {
    unsigned running;
    unsigned most;
    unsigned served;
    unsigned canceled;
};

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    CHECK_EQ(test_open_fds(), before);
    return result;
}

static int echo(bide_stream *stream, void *arg)
{
    struct seen *seen = arg;
    ssize_t copied;

    seen->most = ++seen->running > seen->most ? seen->running : seen->most;
    copied = bide_copy(stream, stream);
    seen->running--;
    seen->served += copied > 0;
    seen->canceled += copied == -ECANCELED;
    return copied < 0 ? (int)copied : 0;
}

static async(int, serves, bide_listener *, listener, struct seen *, seen)
{
    return bide_serve(listener, echo, seen);
}

static async(int, asks, const char *, address, bide_time, pause)
{
    bide_stream *stream;
    char buf[8];
    int err = bide_dial(address, &stream);

    if (err < 0)
        return err;
    CHECK_EQ(bide_write(stream, "hello", 5), 5);
    CHECK_EQ(bide_read_exact(stream, buf, 5), 5);
    bide_sleep(pause);
    CHECK_EQ(bide_shutdown_write(stream), 0);
    CHECK_EQ(bide_read(stream, buf, 1), 0);
    bide_close(stream);
    return 0;
}

/* A listener for an address of this process's own. */
static bide_listener *open_listener(const char *address, const bide_listen_options *options,
                                    char text[64])
{
    bide_listener *listener;

    CHECK_EQ(bide_listen(address, options, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, 64), 0);
    return listener;
}

static int serves_many(void *arg)
{
    const unsigned most = *(unsigned *)arg;
    const bide_listen_options options = {.connections_max = most};
    struct seen seen = {0};
    bide_task(int) clients[100];
    char text[64];
    bide_listener *listener = open_listener("tcp://127.0.0.1:0", &options, text);

    task(int) server = spawn(serves, listener, &seen);
    for (int i = 0; i < 100; i++)
        clients[i] = spawn(asks, text, BIDE_MS(i % 5));
    for (int i = 0; i < 100; i++)
        CHECK_EQ(await(clients[i]), 0);
    cancel(server);
    CHECK_EQ(await(server), -ECANCELED);
    CHECK_EQ(seen.served, 100);
    CHECK_EQ(seen.running, 0);
    if (most != 0)
        CHECK_EQ(seen.most, most);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   all clients are served, and never more at once than connections_max allows.
 * Method: 100 clients at once, limits of none, 1 and 7.
 */
TEST(serve, limit_on_connections_holds)
{
    unsigned limits[] = {0, 1, 7};

    for (int i = 0; i < 3; i++)
        CHECK_EQ(run(serves_many, &limits[i]), 0);
}

static int drains_gracefully(void *arg)
{
    const bide_listen_options options = {.grace_ns = BIDE_MS(300)};
    const bool closes = *(bool *)arg;
    struct seen seen = {0};
    char text[64];
    bide_stream *stuck, *refused;
    bide_listener *listener = open_listener("tcp://127.0.0.1:0", &options, text);

    task(int) server = spawn(serves, listener, &seen);
    task(int) client = spawn(asks, text, BIDE_MS(100)); /* ends within the grace */
    CHECK_EQ(bide_dial(text, &stuck), 0);               /* does not */
    bide_sleep(BIDE_MS(20));
    CHECK_EQ(seen.running, 2);
    if (closes)
        bide_listener_close(listener);
    else
        cancel(server);
    CHECK_EQ(bide_test_settle(), 0);
    CHECK_EQ(bide_dial(text, &refused), -ECONNREFUSED);
    if (!closes)
        bide_listener_close(listener); /* in the middle of the drain: cuts it short in no way */
    CHECK_EQ(await(client), 0);
    CHECK_EQ(seen.canceled, 0);
    CHECK(!is_done(server));
    CHECK_EQ(await(server), closes ? -EBADF : -ECANCELED);
    CHECK_EQ(seen.canceled, 1);
    CHECK_EQ(seen.served, 1);
    CHECK_EQ(seen.running, 0);
    bide_close(stuck);
    return 0;
}

/*
 * Goal:   after a cancel, or a close by another task, no client is taken, one in progress may
 *         finish, one that does not is cancelled, and the call returns after the last.
 * Method: grace of 300 ms, one client that ends after 100 ms, one that never does.
 */
TEST(serve, drain_waits_and_then_cancels)
{
    bool closes[] = {false, true};

    for (int i = 0; i < 2; i++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        CHECK_EQ(bide_run(drains_gracefully, &closes[i], &options), 0);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_TASK_FAILED),
                 1); /* the cancelled handler's result */
    }
}

static int drains_at_once(void *arg)
{
    const bide_listen_options options = {.grace_ns = -1};
    struct seen seen = {0};
    char text[64];
    bide_stream *stuck;
    bide_listener *listener = open_listener("tcp://127.0.0.1:0", &options, text);

    (void)arg;
    task(int) server = spawn(serves, listener, &seen);
    CHECK_EQ(bide_dial(text, &stuck), 0);
    bide_sleep(BIDE_MS(5));
    cancel(server);
    CHECK_EQ(bide_test_settle(), 0);
    CHECK(is_done(server));
    CHECK_EQ(await(server), -ECANCELED);
    CHECK_EQ(seen.canceled, 1);
    bide_close(stuck);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a negative grace cancels the handlers at once.
 * Method: cancel and yield five times: no clock.
 */
TEST(serve, negative_grace_does_not_wait)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(drains_at_once, NULL, &options), 0);
}

static int closes_at_the_limit(void *arg)
{
    const bide_listen_options options = {.connections_max = 1, .grace_ns = BIDE_MS(30)};
    struct seen seen = {0};
    char text[64];
    bide_stream *stuck;
    bide_listener *listener = open_listener("tcp://127.0.0.1:0", &options, text);

    (void)arg;
    task(int) server = spawn(serves, listener, &seen);
    CHECK_EQ(bide_dial(text, &stuck), 0);
    bide_sleep(BIDE_MS(5));
    CHECK_EQ(seen.running, 1);
    bide_listener_close(listener);
    with_timeout (BIDE_SEC(10))
        CHECK_EQ(await(server), -EBADF);
    CHECK_EQ(seen.canceled, 1);
    bide_close(stuck);
    return 0;
}

/*
 * Goal:   a server that is full, and so does not accept, still notices that it was closed.
 * Method: one connection at the most, which stays; close the listener from another task.
 */
TEST(serve, close_wakes_a_full_server)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(closes_at_the_limit, NULL, &options), 0);
}

static int fails_always(bide_stream *stream, void *arg)
{
    (void)stream;
    ++*(unsigned *)arg;
    return -EIO;
}

static async(int, serves_failures, bide_listener *, listener, unsigned *, count)
{
    return bide_serve(listener, fails_always, count);
}

static int counts_failures(void *arg)
{
    char text[64];
    bide_stats stats;
    unsigned count = 0;
    bide_listener *listener = open_listener("tcp://127.0.0.1:0", NULL, text);

    (void)arg;
    task(int) server = spawn(serves_failures, listener, &count);
    for (int i = 0; i < 5; i++) {
        bide_stream *stream;
        char byte;
        CHECK_EQ(bide_dial(text, &stream), 0);
        CHECK_EQ(bide_read(stream, &byte, 1), 0);
        bide_close(stream);
    }
    bide_loop_stats(&stats);
    CHECK_EQ(count, 5);
    CHECK_EQ(stats.tasks_failed, 5);
    cancel(server);
    CHECK_EQ(await(server), -ECANCELED);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a handler's failure is counted and reported, and ends its own connection only.
 * Method: five clients whose handlers return -EIO.
 */
TEST(serve, failed_handlers_are_counted)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(counts_failures, NULL, &options), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_TASK_FAILED), 5);
    CHECK_EQ(seen.kept[0].error, -EIO);
    CHECK_STR(seen.kept[0].task, "connection");
}

static int survives_failing_spawns(void *arg)
{
    struct seen seen = {0};
    char text[64];
    bide_stream *streams[12];
    int refused = 0, held = 0;
    bide_listener *listener = open_listener("tcp://127.0.0.1:0", NULL, text);

    (void)arg;
    task(int) server = spawn(serves, listener, &seen);
    for (int i = 0; i < 12; i++) { /* main, the server, and eight more may live */
        char buf[8];
        CHECK_EQ(bide_dial(text, &streams[i]), 0);
        bide_write(streams[i], "hello", 5);
        if (bide_read_exact(streams[i], buf, 5) == 5)
            held++;
        else
            refused++;
    }
    CHECK_EQ(held, 8);
    CHECK_EQ(refused, 4);
    for (int i = 0; i < 12; i++)
        bide_close(streams[i]);
    bide_sleep(BIDE_MS(30));
    CHECK_EQ(asks(text, 0), 0); /* it still serves */
    cancel(server);
    CHECK_EQ(await(server), -ECANCELED);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   connections for which no task can be started are closed, and the server lives on.
 * Method: tasks_max leaves room for eight; twelve clients; then one more after they have left.
 */
TEST(serve, failing_spawns_are_survived)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    options.tasks_max = 10;
    CHECK_EQ(bide_run(survives_failing_spawns, NULL, &options), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_SPAWN_FAILED), 4);
}

static int has_no_stacks(void *arg)
{
    const bide_listen_options options = {.stack_bytes = (size_t)1 << 20};
    struct seen seen = {0};
    char text[64], byte;
    bide_stream *stream;
    bide_listener *listener = open_listener("tcp://127.0.0.1:0", &options, text);

    (void)arg;
    task(int) server = spawn(serves, listener, &seen);
    bide__fault_fail(BIDE__CALL_MMAP, 1, 5, -ENOMEM); /* 16 stacks of that size, 8, 4, 2, 1 */
    CHECK_EQ(bide_dial(text, &stream), 0);
    CHECK(bide_read(stream, &byte, 1) <= 0);
    bide_close(stream);
    CHECK_EQ(asks(text, 0), 0);
    cancel(server);
    CHECK_EQ(await(server), -ECANCELED);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   the same when there is no memory for the stack.
 * Method: mmap fails for the first stacks of their size.
 */
TEST(serve, missing_stacks_are_survived)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(has_no_stacks, NULL, &options), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_SPAWN_FAILED), 1);
}

static int second_server(void *arg)
{
    struct seen seen = {0};
    char text[64];
    bide_listener *listener = open_listener("tcp://127.0.0.1:0", NULL, text);

    (void)arg;
    task(int) server = spawn(serves, listener, &seen);
    bide_yield();
    CHECK_EQ(serves(listener, &seen), -EBUSY);
    CHECK_EQ(asks(text, 0), 0); /* the first is not disturbed */
    with_timeout (BIDE_MS(1))
        CHECK_EQ(await(server), -ETIMEDOUT); /* a deadline here is one there */
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a listener has one server.
 * Method: serve twice, then ask the first; end it by a time limit.
 */
TEST(serve, second_server_is_refused)
{
    CHECK_EQ(run(second_server, NULL), 0);
}

enum { CONNECTIONS = 100, ROUNDS = 200 };

/* One message on each connection, all of them before the server has its turn; then all answers. */
static void exchange(const int plain[CONNECTIONS])
{
    char buf[64] = "a message of some length";

    for (int i = 0; i < CONNECTIONS; i++)
        CHECK_EQ(send(plain[i], buf, 32, 0), 32);
    for (int i = 0; i < CONNECTIONS; i++) {
        ssize_t got;
        while ((got = recv(plain[i], buf, 32, MSG_DONTWAIT)) < 0)
            CHECK_EQ(bide_sleep(BIDE_US(100)), 0);
        CHECK_EQ(got, 32);
    }
}

static int counts_calls(void *arg)
{
    const char *address = arg;
    struct seen seen = {0};
    char text[64];
    int plain[CONNECTIONS];
    bide_listener *listener = open_listener(address, NULL, text);

    bide__fault_reset();
    task(int) server = spawn(serves, listener, &seen);
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK((plain[i] = plain_dial(text)) >= 0);
    exchange(plain);
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_CTL) >= CONNECTIONS);
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_CTL) <= 2 * (CONNECTIONS + 1)); /* with a sweep */
    bide__fault_reset();
    for (int round = 0; round < ROUNDS; round++)
        exchange(plain);
    /* How many messages share a poll is the machine's affair; bench/io/echo.c counts it. */
    CHECK(bide__fault_system_calls() <= CONNECTIONS * ROUNDS * 225ull / 100);
    CHECK_EQ(bide__fault_count(BIDE__CALL_RECV), CONNECTIONS * ROUNDS);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SEND), CONNECTIONS * ROUNDS);
    bide__fault_reset();
    for (int i = 0; i < CONNECTIONS; i++)
        close(plain[i]);
    bide_sleep(BIDE_MS(20));
    cancel(server);
    CHECK_EQ(await(server), -ECANCELED);
    CHECK_EQ(seen.served, CONNECTIONS);
    /* The listener's as well; and on a slow machine a sweep, which asks about each. */
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_CTL) >= CONNECTIONS + 1);
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_CTL) <= 2 * (CONNECTIONS + 1));
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   an echoed message costs one recv, one send and a share of a poll: at most 2.25 calls; a
 *         connection one ADD and one DEL.
 * Method: 100 connections with plain sockets at the other end, whose calls are not counted, 200
 *         rounds; TCP and Unix.
 */
TEST(serve, echo_costs_two_calls_a_message)
{
    char unix_address[64];

    snprintf(unix_address, sizeof unix_address, "unix:@bide-serve-%d", (int)getpid());
    CHECK_EQ(run(counts_calls, unix_address), 0);
    CHECK_EQ(run(counts_calls, (char[]){"tcp://127.0.0.1:0"}), 0);
}

static int holds_many(void *arg)
{
    const int count = *(int *)arg;
    struct seen seen = {0};
    char text[64], buf[4];
    bide_stats stats;
    bide_stream **streams = malloc((size_t)count * sizeof(bide_stream *));
    bide_listener *listener;

    snprintf(text, sizeof text, "unix:@bide-many-%d", (int)getpid());
    listener = open_listener(text, NULL, text);
    task(int) server = spawn(serves, listener, &seen);
    for (int i = 0; i < count; i++) {
        CHECK_EQ(bide_dial(text, &streams[i]), 0);
        CHECK_EQ(bide_write(streams[i], "abc", 3), 3);
    }
    for (int i = 0; i < count; i++)
        CHECK_EQ(bide_read_exact(streams[i], buf, 3), 3);
    bide_loop_stats(&stats);
    CHECK_EQ(seen.running, count);
    CHECK_EQ(stats.accept_refused, 0);
    for (int i = 0; i < count; i++)
        bide_close(streams[i]);
    cancel(server);
    CHECK_EQ(await(server), -ECANCELED);
    CHECK_EQ(seen.served, count);
    bide_listener_close(listener);
    free(streams);
    return 0;
}

/*
 * Goal:   ten thousand connections live at once in one process.
 * Method: both ends in this one, as many as the limit on descriptors allows; each echoes.
 */
TEST(serve, ten_thousand_connections)
{
    long limit = descriptor_limit(0);
    int count = limit > 20050 ? 10000 : (int)(limit - 50) / 2;

    if (TEST_UNDER_VALGRIND() || TEST_UNDER_SANITIZER() || TEST_UNDER_QEMU())
        count = count < 500 ? count : 500;
    CHECK(count > 100);
    CHECK_EQ(run(holds_many, &count), 0);
}
