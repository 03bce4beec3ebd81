/* SPDX-License-Identifier: MIT */
/*
 * Ending in good order on a signal.
 */
#include <bide.h>
#include <bide/short.h>
#include <bide/testing.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reports.h"
#include "test.h"

static async(int, raise_after, int, number, bide_time, ns)
{
    int err = bide_sleep(ns);

    return err < 0 ? err : raise(number);
}

static int sleeps_for_ever(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_shutdown_on(SIGINT, SIGTERM, BIDE_SEC(1)), 0);
    CHECK_EQ(bide_shutdown_on(SIGINT, BIDE_SEC(1)), -EALREADY);
    CHECK_EQ(bide_shutdown_signal(), 0);
    go(raise_after, SIGTERM, BIDE_MS(1));
    CHECK_EQ(bide_sleep(BIDE_SEC(1000)), -ECANCELED);
    CHECK_EQ(bide_shutdown_signal(), SIGTERM);
    return 7;
}

/*
 * Goal:   the signal cancels the first task, whose result is the program's.
 * Method: a sleeping main task, on both clocks.
 */
TEST(shutdown, signal_cancels_the_first_task)
{
    CHECK_EQ(bide_test_run(sleeps_for_ever, NULL, 0, NULL), 7);
    CHECK_EQ(bide_run(sleeps_for_ever, NULL, NULL), 7);
}

static int asks_wrongly(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_shutdown_on(SIGTERM), -EINVAL);
    CHECK_EQ(bide_shutdown_on(SIGTERM, -1), -EINVAL);
    CHECK_EQ(bide_shutdown_on(SIGKILL, BIDE_SEC(1)), -EINVAL);
    CHECK_EQ(bide_shutdown_on(INT64_C(1) << 40, BIDE_SEC(1)), -EINVAL);
    return 0;
}

/*
 * Goal:   bad arguments are refused, and catch nothing.
 * Method: no signal, a grace below 0, numbers that are no signals.
 */
TEST(shutdown, bad_arguments_are_einval)
{
    CHECK_EQ(bide_test_run(asks_wrongly, NULL, 0, NULL), 0);
}

static int is_not_signalled(void *arg)
{
    struct sigaction now;

    (void)arg;
    CHECK_EQ(bide_shutdown_on(SIGTERM, BIDE_SEC(1)), 0);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(sigaction(SIGTERM, NULL, &now), 0);
    CHECK(now.sa_handler != SIG_DFL);
    return 0;
}

/*
 * Goal:   a program that ends by itself does not wait for a signal, and gives it back.
 * Method: return, and look at the disposition.
 */
TEST(shutdown, program_may_end_by_itself)
{
    struct sigaction now;

    CHECK_EQ(bide_test_run(is_not_signalled, NULL, 0, NULL), 0);
    CHECK_EQ(sigaction(SIGTERM, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
}

static int sleeps_with_nothing_else(void *arg)
{
    bide_event never = BIDE_EVENT_INIT;

    (void)arg;
    CHECK_EQ(bide_shutdown_on(SIGTERM, BIDE_SEC(1)), 0);
    bide_event_wait(&never);
    return 0;
}

/*
 * Goal:   asking for it does not hide a deadlock.
 * Method: nothing but the signal could end the wait.
 */
TEST(shutdown, does_not_hide_a_deadlock)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(sleeps_with_nothing_else, NULL, 0, &options), -EDEADLK);
    CHECK(reports_of(&seen, BIDE_REPORT_DEADLOCK) >= 1);
}

/* What a connection saw. */
static struct {
    int finished;
    int cancelled;
} connections;

static int answer_late(bide_stream *stream, void *arg)
{
    const bide_time *ns = arg;
    char byte;

    if (bide_read(stream, &byte, 1) != 1)
        return 0;
    if (bide_sleep(*ns) < 0) {
        connections.cancelled++;
        return 0;
    }
    connections.finished += bide_write(stream, "x", 1) == 1;
    return 0;
}

static async(int, serve, bide_listener *, listener, bide_time *, answer_ns)
{
    return bide_serve(listener, answer_late, answer_ns);
}

struct serving {
    bide_time answer_ns;
    bide_time grace_ns;
    bool is_awaited; /* by main; else it is a detached task, and main just sleeps */
};

static int serves(void *arg)
{
    struct serving *serving = arg;
    bide_listener *listener;
    bide_stream *client;
    task(int) server;
    char address[64];

    CHECK_EQ(
        bide_listen("tcp://127.0.0.1:0", &(bide_listen_options){.grace_ns = BIDE_MS(1)}, &listener),
        0);
    defer(bide_listener_close, listener);
    CHECK_EQ(bide_listener_address(listener, address, sizeof address), 0);
    CHECK_EQ(bide_shutdown_on(SIGTERM, serving->grace_ns), 0);
    server = spawn(serve, listener, &serving->answer_ns);
    CHECK_EQ(bide_dial(address, &client), 0);
    defer(bide_close, client);
    CHECK_EQ(bide_write(client, "x", 1), 1);
    bide_sleep(BIDE_MS(20)); /* until the server has it */
    raise(SIGTERM);
    if (serving->is_awaited)
        return await(server) == -ECANCELED ? 0 : 1;
    detach(server);
    return bide_sleep(BIDE_SEC(100)) == -ECANCELED ? 0 : 1;
}

/*
 * Goal:   servers let their connections go on for the grace that was given, in place of their own,
 *         whoever waits for them; then they cancel them.
 * Method: an answer that takes longer than the listener's grace: with a long grace, and with none.
 */
TEST(shutdown, servers_drain_for_the_grace)
{
    for (int is_awaited = 0; is_awaited < 2; is_awaited++) {
        struct serving serving = {
            .answer_ns = BIDE_MS(200), .grace_ns = BIDE_SEC(30), .is_awaited = is_awaited};
        memset(&connections, 0, sizeof connections);
        CHECK_EQ(bide_run(serves, &serving, NULL), 0);
        if (is_awaited)
            CHECK_EQ(connections.finished, 1);
        CHECK_EQ(connections.cancelled, 0);

        serving.answer_ns = BIDE_SEC(30);
        serving.grace_ns = BIDE_MS(1);
        memset(&connections, 0, sizeof connections);
        CHECK_EQ(bide_run(serves, &serving, NULL), 0);
        CHECK_EQ(connections.cancelled, 1);
    }
}

static int holds_on(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_shutdown_on(SIGTERM, BIDE_SEC(30)), 0);
    raise(SIGTERM);
    CHECK_EQ(bide_sleep(BIDE_SEC(30)), -ECANCELED);
    raise(SIGTERM);
    pause();
    return 0;
}

/*
 * Goal:   a second signal does what it did before.
 * Method: a program that does not end on the first; it dies of the second.
 */
TEST(shutdown, second_signal_kills)
{
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        bide_run(holds_on, NULL, NULL);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}
