/* SPDX-License-Identifier: MIT */
/*
 * Catching signals: who is told, what is left behind, and what a storm of them does.
 */
#include <bide.h>
#include <bide/short.h>
#include <bide/testing.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/fault.h"
#include "reports.h"
#include "test.h"

static struct sigaction disposition(int number)
{
    struct sigaction now;

    CHECK_EQ(sigaction(number, NULL, &now), 0);
    return now;
}

static async(int, raise_after, int, number, bide_time, ns)
{
    int err = bide_sleep(ns);

    return err < 0 ? err : raise(number);
}

static int waits(void *arg)
{
    task(int) raiser = spawn(raise_after, SIGUSR1, BIDE_MS(5));

    (void)arg;
    CHECK_EQ(bide_signal_wait(SIGUSR2, SIGUSR1), SIGUSR1);
    CHECK_EQ(await(raiser), 0);
    CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
    CHECK(disposition(SIGUSR2).sa_handler == SIG_DFL);
    return 0;
}

/*
 * Goal:   a task waits for one of some signals, which then do what they did before.
 * Method: one raised while it waits, on the virtual clock and on the real one.
 */
TEST(signal, wait_returns_the_number_and_leaves_nothing)
{
    CHECK_EQ(bide_test_run(waits, NULL, 0, NULL), 0);
    CHECK_EQ(bide_run(waits, NULL, NULL), 0);
}

static int wait_is_cancelled(void *arg)
{
    (void)arg;
    with_timeout (BIDE_MS(1)) {
        CHECK_EQ(bide_signal_wait(SIGUSR1), -ETIMEDOUT);
        CHECK_EQ(bide_signal_wait(SIGUSR1), -ETIMEDOUT); /* at once, and catching nothing */
    }
    CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
    return 0;
}

/*
 * Goal:   a wait that a scope ends gives the signal back.
 * Method: a timeout, and a second call in the scope that has fired.
 */
TEST(signal, wait_that_times_out_leaves_nothing)
{
    CHECK_EQ(bide_test_run(wait_is_cancelled, NULL, 0, NULL), 0);
}

static int refuses(void *arg)
{
    bide_signals *signals = (bide_signals *)arg;

    CHECK_EQ(bide_signals_open(&signals, SIGUSR1, SIGKILL), -EINVAL);
    CHECK_EQ(bide_signals_open(&signals, SIGSEGV), -EINVAL);
    CHECK_EQ(bide_signals_open(&signals, 0), -EINVAL);
    CHECK_EQ(bide_signals_open(&signals, 65), -EINVAL);
    CHECK_EQ(bide_signal_wait(SIGSTOP), -EINVAL);
    CHECK(signals == (bide_signals *)arg);
    CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
    return 0;
}

/*
 * Goal:   signals that cannot be caught, and those that mean a fault, are refused.
 * Method: each kind, beside a good one: nothing is caught.
 */
TEST(signal, bad_numbers_are_einval)
{
    CHECK_EQ(bide_test_run(refuses, NULL, 0, NULL), 0);
}

static int comes_by_channel(void *arg)
{
    bide_signals *signals;
    int number = 0, other = 0;
    chan(int) work = chan_new(int, 1);

    (void)arg;
    CHECK_EQ(bide_signals_open(&signals, SIGHUP, SIGUSR1), 0);
    raise(SIGHUP);
    raise(SIGUSR1);
    raise(SIGHUP); /* coalesces with the first */
    CHECK_EQ(chan_recv(bide_signals_chan(signals), &number), 0);
    CHECK_EQ(number, SIGHUP);
    CHECK_EQ(select_any(on_recv(work, &other), on_recv(bide_signals_chan(signals), &number)), 1);
    CHECK_EQ(number, SIGUSR1);
    CHECK_EQ(select_any(on_recv(bide_signals_chan(signals), &number), on_after(BIDE_MS(1))), 1);
    bide_signals_close(signals);
    CHECK(disposition(SIGHUP).sa_handler == SIG_DFL);
    chan_free(work);
    return 0;
}

/*
 * Goal:   signals come by a channel, each once however often it was raised before it was taken.
 * Method: receive and select; raise before anybody receives.
 */
TEST(signal, channel_brings_each_once)
{
    CHECK_EQ(bide_test_run(comes_by_channel, NULL, 0, NULL), 0);
    CHECK_EQ(bide_run(comes_by_channel, NULL, NULL), 0);
}

static async(int, receive_one, bide_signals *, signals)
{
    int number;

    return chan_recv(bide_signals_chan(signals), &number);
}

static int closes_under_receiver(void *arg)
{
    bide_signals *signals;
    task(int) receiver;

    (void)arg;
    CHECK_EQ(bide_signals_open(&signals, SIGUSR1), 0);
    receiver = spawn(receive_one, signals);
    CHECK_EQ(bide_test_settle(), 0);
    raise(SIGUSR1); /* caught, and on its way, when all is closed */
    bide_signals_close(signals);
    CHECK_EQ(await(receiver), -EPIPE);
    bide_signals_close(NULL);
    return 0;
}

/*
 * Goal:   closing wakes a receiver, also while a signal is on its way.
 * Method: raise and close in one turn; hundreds of orders.
 */
TEST(signal, close_wakes_the_receiver)
{
    for (uint64_t seed = 0; seed < 200; seed++)
        CHECK_EQ(bide_test_run(closes_under_receiver, NULL, seed, NULL), 0);
}

static int forgets_to_close(void *arg)
{
    bide_signals *signals;

    CHECK_EQ(bide_signals_open(&signals, SIGUSR1), 0);
    raise(SIGUSR1);
    if (arg != NULL)
        bide_yield();
    return 0;
}

/*
 * Goal:   what is still open when the loop ends is closed then.
 * Method: end with a signal caught, and brought over or not.
 */
TEST(signal, end_of_the_loop_closes)
{
    static int yields;

    CHECK_EQ(bide_test_run(forgets_to_close, NULL, 0, NULL), 0);
    CHECK_EQ(bide_test_run(forgets_to_close, &yields, 0, NULL), 0);
    CHECK_EQ(bide_run(forgets_to_close, &yields, NULL), 0);
    CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
}

static void theirs(int number)
{
    (void)number;
}

static int two_catch_it(void *arg)
{
    bide_signals *first, *second;
    int number;

    (void)arg;
    signal(SIGUSR1, theirs);
    CHECK_EQ(bide_signals_open(&first, SIGUSR1), 0);
    CHECK_EQ(bide_signals_open(&second, SIGUSR1, SIGUSR2), 0);
    raise(SIGUSR1);
    CHECK_EQ(chan_recv(bide_signals_chan(second), &number), 0);
    CHECK_EQ(chan_recv(bide_signals_chan(first), &number), 0);
    bide_signals_close(first);
    raise(SIGUSR1);
    CHECK_EQ(chan_recv(bide_signals_chan(second), &number), 0);
    bide_signals_close(second);
    CHECK(disposition(SIGUSR1).sa_handler == theirs);
    CHECK(disposition(SIGUSR2).sa_handler == SIG_DFL);
    CHECK_EQ(bide_signals_open(&first, SIGUSR1), 0);
    signal(SIGUSR1, SIG_IGN); /* somebody else takes it while we catch it */
    bide_signals_close(first);
    CHECK(disposition(SIGUSR1).sa_handler == SIG_IGN);
    signal(SIGUSR1, SIG_DFL);
    return 0;
}

/*
 * Goal:   each who catches a signal is told; the last gives back what was there, but takes nothing
 *         from somebody who came later.
 * Method: two at once, over a handler of the program's.
 */
TEST(signal, all_are_told_and_the_last_gives_back)
{
    CHECK_EQ(bide_test_run(two_catch_it, NULL, 0, NULL), 0);
}

static atomic_bool storm_is_over;

static void *storm(void *arg)
{
    const pthread_t *target = arg;

    for (int i = 0; i < 100000; i++)
        pthread_kill(*target, i % 2 ? SIGUSR1 : SIGUSR2);
    atomic_store(&storm_is_over, true);
    return NULL;
}

static int weathers(void *arg)
{
    pthread_t self = pthread_self(), thread;
    bide_signals *signals, *other;
    int number, received = 0, err = 0;

    (void)arg;
    CHECK_EQ(bide_signals_open(&signals, SIGUSR1, SIGUSR2), 0);
    atomic_store(&storm_is_over, false);
    CHECK_EQ(pthread_create(&thread, NULL, storm, &self), 0);
    while (!atomic_load(&storm_is_over) || err == 0) {
        CHECK_EQ(bide_signals_open(&other, SIGUSR1), 0); /* joins and leaves in the middle of it */
        with_timeout (BIDE_MS(1))
            err = chan_recv(bide_signals_chan(signals), &number);
        received += err == 0;
        bide_signals_close(other);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(received > 0);
    bide_signals_close(signals);
    return 0;
}

/* timeout: 120 */
/*
 * Goal:   a storm of signals coalesces, loses not the last one, and harms nobody who comes or goes.
 * Method: a thread sends 100,000 while subscriptions are opened and closed; fault 63.
 */
TEST(signal, storm_coalesces)
{
    CHECK_EQ(bide_run(weathers, NULL, NULL), 0);
}

static int fails_each(void *arg)
{
    bide_signals *signals = NULL;
    int *nth = arg, err = bide_signals_open(&signals, SIGUSR1, SIGUSR2);

    CHECK_EQ(err < 0, signals == NULL);
    *nth = err;
    bide_signals_close(signals);
    CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
    CHECK(disposition(SIGUSR2).sa_handler == SIG_DFL);
    return 0;
}

/*
 * Goal:   failing to catch leaves nothing caught, open or allocated.
 * Method: each allocation, eventfd and sigaction in turn.
 */
TEST(signal, failures_leave_nothing)
{
    static const enum bide__call calls[] = {BIDE__CALL_EVENTFD, BIDE__CALL_SIGACTION};
    int open_before = test_open_fds(), err;

    for (size_t i = 0; i < 2; i++) {
        uint64_t nth = 0;
        do {
            bide__fault_reset();
            bide__fault_fail(calls[i], ++nth, 1, -EMFILE);
            CHECK_EQ(bide_run(fails_each, &err, NULL), 0);
            CHECK(err == 0 || err == -EMFILE);
        } while (err < 0);
        CHECK(nth > 1);
    }
    bide__fault_reset();
    CHECK_EQ(test_open_fds(), open_before);
}

static int only_a_signal_can_help(void *arg)
{
    bide_signals *signals;
    int number;

    (void)arg;
    CHECK_EQ(bide_signals_open(&signals, SIGALRM), 0);
    alarm(1);
    CHECK_EQ(chan_recv(bide_signals_chan(signals), &number), 0);
    bide_signals_close(signals);
    return 0;
}

/*
 * Goal:   waiting for a signal is no deadlock, and costs nothing while it waits.
 * Method: nothing but an alarm can wake the loop; polls counted.
 */
TEST(signal, waiting_is_no_deadlock)
{
    CHECK_EQ(bide_run(only_a_signal_can_help, NULL, NULL), 0);
    CHECK_EQ(bide_test_run(only_a_signal_can_help, NULL, 0, NULL), 0);
}

static int handled;

static async(int, raise_and_cancel, bide_scope *, scope)
{
    raise(SIGUSR1);
    bide_scope_cancel(scope);
    return 0;
}

static async(int, raise_both)
{
    raise(SIGUSR1);
    raise(SIGUSR2);
    return 0;
}

static void count_it(int number)
{
    (void)number;
    handled++;
}

static int has_come_already(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    with_scope (&scope) {
        task(int) raiser = spawn(raise_and_cancel, &scope);
        CHECK_EQ(bide_signal_wait(SIGUSR1), SIGUSR1);
        detach(raiser);
    }
    return 0;
}

/*
 * Goal:   a signal that has come is returned, even when a scope fires before it was brought over.
 * Method: raise and cancel in one turn.
 */
TEST(signal, wait_returns_what_came_before_the_cancel)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(has_come_already, NULL, seed, NULL), 0);
}

static int two_come(void *arg)
{
    (void)arg;
    signal(SIGUSR2, count_it);
    task(int) raiser = spawn(raise_both);
    CHECK_EQ(bide_signal_wait(SIGUSR1, SIGUSR2), SIGUSR1);
    CHECK_EQ(await(raiser), 0);
    CHECK_EQ(handled, 1);
    signal(SIGUSR2, SIG_DFL);
    return 0;
}

/*
 * Goal:   of two that came, the one that is not returned does what it did before.
 * Method: a handler of the program's counts it.
 */
TEST(signal, wait_gives_the_others_back)
{
    CHECK_EQ(bide_test_run(two_come, NULL, 0, NULL), 0);
}
