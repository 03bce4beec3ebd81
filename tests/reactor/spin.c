/* SPDX-License-Identifier: MIT */
/*
 * spin.c - spinning before sleep on the real host: posts, descriptors, deadlock, fork; and where
 * there is no spinning. tests/sched/spin.c counts how often and how long.
 *
 * Where something is to come within a spin, it lasts a second.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "reports.h"
#include "sched/loop.h"
#include "test.h"

static bide_stats stats_now(void)
{
    bide_stats stats;

    bide_loop_stats(&stats);
    return stats;
}

static void (*real_ring)(struct bide__inbox *inbox);
static atomic_int rings;

static void count_ring(struct bide__inbox *inbox)
{
    atomic_fetch_add(&rings, 1);
    real_ring(inbox);
}

/* Posts from now on are counted when they ring. */
static void count_rings(void)
{
    struct bide__inbox *inbox = &bide__loop_here->inbox;

    real_ring = inbox->wake;
    inbox->wake = count_ring;
    atomic_store(&rings, 0);
}

/* A spin so long that whatever the test waits for comes within it. */
static const bide_options spin_long = {.spin_ns = BIDE_SEC(1)};

static async(int, doubles, int, number)
{
    return number * 2;
}

static int offloads(void *arg)
{
    bide_loop *held = bide_loop_hold(NULL); /* the inbox is open from here on */

    (void)arg;
    count_rings();
    for (int i = 0; i < 100; i++) {
        task(int) job = offload(doubles, i);
        CHECK_EQ(await(job), 2 * i);
    }
    if (stats_now().spins_in_vain > 0)
        SKIP("a thread got no processor for a second");
    CHECK_EQ(atomic_load(&rings), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_PWAIT2), 0);
    bide_loop_release(held);
    return 0;
}

/*
 * Goal:   what threads have done is seen by a spinning loop, and none writes to its eventfd.
 * Method: offloaded calls; rings and waits counted.
 */
TEST(spin, offloaded_calls_come_back_without_a_ring)
{
    bide__fault_reset();
    CHECK_EQ(bide_run(offloads, NULL, &spin_long), 0);
}

static void *echoes(void *arg)
{
    int fd = *(int *)arg;
    char byte;

    while (read(fd, &byte, 1) == 1)
        CHECK_EQ(write(fd, &byte, 1), 1);
    return NULL;
}

static int converses(void *arg)
{
    int ends[2];
    pthread_t thread;
    bide_stream *stream;
    char byte = 'x';

    (void)arg;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQ(pthread_create(&thread, NULL, echoes, &ends[1]), 0);
    CHECK_EQ(bide_stream_of_fd(ends[0], &stream), 0);
    bide__fault_reset();
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(bide_write(stream, &byte, 1), 1);
        CHECK_EQ(bide_read(stream, &byte, 1), 1);
    }
    CHECK(stats_now().spins >= 1);
    CHECK_EQ(stats_now().spins_in_vain, 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_PWAIT2), 0);
    bide_close(stream);
    pthread_join(thread, NULL);
    close(ends[1]);
    return 0;
}

/*
 * Goal:   an answer that comes within the spin is read without a wait in the kernel.
 * Method: a thread echoes; calls counted.
 */
TEST(spin, echo_without_a_wait)
{
    CHECK_EQ(bide_run(converses, NULL, &spin_long), 0);
}

static async(int, waits_for, bide_event *, event)
{
    return bide_event_wait(event);
}

static int waits_for_ever(void *arg)
{
    bide_event never = {0};

    (void)arg;
    return bide_event_wait(&never);
}

static void *lets_go(void *loop)
{
    bide_loop_release(loop);
    return NULL;
}

static int waits_beside_a_holder(void *arg)
{
    bide_event never = {0};
    bide_loop *held = bide_loop_hold(NULL);
    pthread_t thread;
    int result;

    (void)arg;
    CHECK_EQ(pthread_create(&thread, NULL, lets_go, held), 0);
    task(int) waiter = spawn(waits_for, &never);
    result = await(waiter);
    pthread_join(thread, NULL);
    return result;
}

/*
 * Goal:   a deadlock is found, also when the last who could post lets go of a loop that spins.
 * Method: an event that nobody sets; on the real host.
 */
TEST(spin, deadlock_is_found)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    options.spin_ns = BIDE_MS(50);
    CHECK_EQ(bide_run(waits_for_ever, NULL, &options), -EDEADLK);
    CHECK_EQ(bide_run(waits_beside_a_holder, NULL, &options), -EDEADLK);
    CHECK(reports_of(&seen, BIDE_REPORT_DEADLOCK) >= 2);
}

static async(int, reads, bide_stream *, stream)
{
    char byte;

    return (int)bide_read(stream, &byte, 1);
}

static int idles(void *arg)
{
    bide_stats before;
    bide_stream *stream;
    int ends[2];

    (void)arg;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQ(bide_stream_of_fd(ends[0], &stream), 0);
    task(int) reader = spawn(reads, stream);
    before = stats_now();
    CHECK_EQ(bide_sleep(BIDE_SEC(3)), 0);
    CHECK(stats_now().polls - before.polls <= 8);
    CHECK(stats_now().spins - before.spins <= 4);
    close(ends[1]);
    CHECK_EQ(await(reader), 0);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   an idle loop wakes up once, to look at its registrations again, and spins no more often.
 * Method: a reader, three idle seconds; polls and spins counted.
 */
TEST(spin, idle_loop_spins_once_a_sleep)
{
    CHECK_EQ(bide_run(idles, NULL, &(bide_options){.spin_ns = BIDE_US(50)}), 0);
}

static int closed_while_it_waits(void *arg)
{
    bide_stream *stream;
    int ends[2];

    (void)arg;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQ(bide_stream_of_fd(ends[0], &stream), 0);
    task(int) reader = spawn(reads, stream);
    CHECK_EQ(bide_yield(), 0);
    close(ends[0]);
    CHECK_EQ(await(reader), -EBADF);
    bide_close(stream);
    close(ends[1]);
    return 0;
}

/*
 * Goal:   who waits for a number that was closed behind the library's back is told, though the loop
 *         spins.
 * Method: close it under a reader, nothing else to wait for; the longest spin.
 */
TEST(spin, closed_behind_our_back_is_found)
{
    CHECK_EQ(bide_run(closed_while_it_waits, NULL, &spin_long), 0);
}

/* --- Where there is none */

static int sleeps(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(stats_now().spins, 0);
    CHECK(stats_now().sleeps >= 10);
    return 0;
}

/*
 * Goal:   neither the virtual clock, which would stand still, nor a loop that another one steps
 *         spins.
 * Method: sleeps on both, with the option.
 */
TEST(spin, virtual_and_embedded_loops_never_spin)
{
    bide_loop *loop;

    CHECK_EQ(bide_test_run(sleeps, NULL, 0, &spin_long), 0);
    CHECK_EQ(bide_test_run(sleeps, NULL, 7, &spin_long), 0);
    CHECK_EQ(bide_loop_open(sleeps, NULL, &spin_long, &loop), 0);
    while (bide_loop_step(loop, BIDE_FOREVER) > 0)
        ;
    CHECK_EQ(bide_loop_close(loop), 0);
}

static int forks(void *arg)
{
    pid_t child;
    int status;

    (void)arg;
    child = fork();
    if (child == 0)
        bide_sleep(BIDE_MS(1));
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status));
    return 0;
}

/*
 * Goal:   a child that goes on with its parent's loop is told, before it spins.
 * Method: fork in a task, sleep in the child (fault 59).
 */
TEST(spin, forked_child_is_told)
{
    if (TEST_UNDER_QEMU())
        SKIP("the emulator does not wipe memory on fork");
    CHECK_EQ(bide_run(forks, NULL, &spin_long), 0);
}
