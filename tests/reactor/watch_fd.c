/* SPDX-License-Identifier: MIT */
/*
 * watch_fd.c - sets of foreign descriptors: what is told, to whom, and what is not told any more.
 */
#include "reactor/fds.h"

static async(int, takes, bide_fds *, fds, int *, fd)
{
    return bide_fds_next(fds, fd);
}

static int tells_levels(void *arg)
{
    int ends[2], pair[2], fd = -1;
    bide_fds *fds;

    (void)arg;
    make_pipe(ends);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_EQ(bide_fds_open(&fds), 0);
    CHECK(is_quiet(fds));
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), 0);
    CHECK(is_quiet(fds));
    put(ends[1]);
    for (int i = 0; i < 3; i++) { /* until it is read */
        CHECK_EQ(next_of(fds, &fd), BIDE_READ);
        CHECK_EQ(fd, ends[0]);
    }
    get(ends[0]);
    CHECK(is_quiet(fds));

    CHECK_EQ(bide_watch_fd(fds, pair[0], BIDE_READ | BIDE_WRITE), 0);
    CHECK_EQ(next_of(fds, &fd), BIDE_WRITE);
    CHECK_EQ(fd, pair[0]);
    put(pair[1]);
    CHECK_EQ(next_of(fds, &fd), BIDE_READ | BIDE_WRITE);
    CHECK_EQ(bide_watch_fd(fds, pair[0], BIDE_READ), 0);
    CHECK_EQ(next_of(fds, &fd), BIDE_READ);
    get(pair[0]);
    CHECK(is_quiet(fds));

    /* Without a further call to watch it: the edge of the inner instance. */
    task(int) waiter = spawn(takes, fds, &fd);
    bide_sleep(BIDE_MS(2));
    CHECK(!is_done(waiter));
    put(pair[1]);
    CHECK_EQ(await(waiter), BIDE_READ);
    CHECK_EQ(fd, pair[0]);
    bide_fds_close(fds);
    bide_fds_close(NULL);
    close_both(ends);
    close_both(pair);
    return 0;
}

/*
 * Goal:   what is ready is told until it no longer is, for the directions that were asked for.
 * Method: a pipe and a socket: write, read, change the interest, and look for silence in between.
 */
TEST(watch_fd, levels_are_told_until_they_end)
{
    CHECK_EQ(run(tells_levels, NULL), 0);
}

static int hangs_up(void *arg)
{
    int ends[2], pair[2], fd;
    char full[65536] = {0};
    bide_fds *fds;

    (void)arg;
    CHECK_EQ(bide_fds_open(&fds), 0);
    make_pipe(ends);
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), 0);
    close(ends[1]); /* HUP, and nothing else */
    CHECK_EQ(next_of(fds, &fd), BIDE_READ);
    CHECK_EQ(fd, ends[0]);
    close(ends[0]);

    make_pipe(ends);
    CHECK_EQ(write(ends[1], full, sizeof full), 65536);
    CHECK_EQ(bide_watch_fd(fds, ends[1], BIDE_WRITE), 0);
    CHECK(is_quiet(fds));
    close(ends[0]); /* ERR, and nothing else */
    CHECK_EQ(next_of(fds, &fd), BIDE_WRITE);
    CHECK_EQ(fd, ends[1]);
    close(ends[1]);

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_EQ(bide_watch_fd(fds, pair[0], BIDE_READ | BIDE_WRITE), 0);
    close(pair[1]);
    CHECK_EQ(next_of(fds, &fd), BIDE_READ | BIDE_WRITE);
    close(pair[0]);
    bide_fds_close(fds);
    return 0;
}

/*
 * Goal:   a hang-up alone and an error alone are told, as readiness for all that is watched.
 * Method: close the writing end, the reading end of a full pipe, and the peer of a socket.
 */
TEST(watch_fd, hang_up_is_told_in_each_direction)
{
    CHECK_EQ(run(hangs_up, NULL), 0);
}

enum { MANY = 100 };

static int takes_turns(void *arg)
{
    int pipes[MANY][2], told[1024] = {0}, fd;
    bide_fds *fds;

    (void)arg;
    CHECK_EQ(bide_fds_open(&fds), 0);
    for (int i = 0; i < MANY; i++) {
        make_pipe(pipes[i]);
        put(pipes[i][1]);
        CHECK_EQ(bide_watch_fd(fds, pipes[i][0], BIDE_READ), 0);
    }
    bide__fault_reset();
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < MANY; i++) {
            CHECK_EQ(bide_fds_next(fds, &fd), BIDE_READ);
            CHECK_EQ(++told[fd], round);
        }
    }
    /* Batches of 32, and the loop's own polls when the budget is spent. */
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_CTL), 3 * MANY); /* is it still the same? */
    CHECK(bide__fault_system_calls() <= 3 * MANY + 3 * MANY / 32 + 2 + 3 * MANY / 60 + 1);
    bide_fds_close(fds);
    for (int i = 0; i < MANY; i++)
        close_both(pipes[i]);
    return 0;
}

/*
 * Goal:   of many that stay ready each comes once in every round, and a poll serves many.
 * Method: a hundred pipes that nobody reads; three rounds; calls counted.
 */
TEST(watch_fd, all_ready_ones_take_turns)
{
    CHECK_EQ(run(takes_turns, NULL), 0);
}

static int changes_after_the_fetch(void *arg)
{
    int pairs[3][2], fd, first, second, third;
    bide_fds *fds;

    (void)arg;
    CHECK_EQ(bide_fds_open(&fds), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);
        put(pairs[i][1]);
        CHECK_EQ(bide_watch_fd(fds, pairs[i][0], BIDE_READ), 0);
    }
    CHECK_EQ(next_of(fds, &first), BIDE_READ); /* fetches all three */
    for (int i = 0; i < 3; i++)
        if (pairs[i][0] != first)
            CHECK_EQ(bide_watch_fd(fds, pairs[i][0], pairs[i][0] > first ? BIDE_WRITE : 0), 0);
    CHECK_EQ(bide_watch_fd(fds, first, 0), 0);
    second = third = -1;
    for (int i = 0; i < 3; i++)
        if (pairs[i][0] > first)
            *(second < 0 ? &second : &third) = pairs[i][0];
    for (int i = 0; i < 4 && second >= 0; i++) { /* as it is now, not as it was */
        CHECK_EQ(next_of(fds, &fd), BIDE_WRITE);
        CHECK(fd == second || fd == third);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(bide_watch_fd(fds, pairs[i][0], 0), 0);
    CHECK(is_quiet(fds));

    for (int i = 0; i < 3; i++) /* removed, and watched again: told once by the new setting */
        CHECK_EQ(bide_watch_fd(fds, pairs[i][0], BIDE_READ), 0);
    CHECK_EQ(next_of(fds, &fd), BIDE_READ);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(bide_watch_fd(fds, pairs[i][0], 0), 0);
        get(pairs[i][0]);
        CHECK_EQ(bide_watch_fd(fds, pairs[i][0], BIDE_READ), 0);
    }
    CHECK(is_quiet(fds));

    /* The number is another one's by the time its event would be handed out. */
    for (int i = 0; i < 3; i++)
        put(pairs[i][1]);
    CHECK_EQ(next_of(fds, &fd), BIDE_READ);
    for (int i = 0; i < 3; i++) {
        int fresh[2];
        CHECK_EQ(bide_watch_fd(fds, pairs[i][0], 0), 0);
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fresh), 0);
        CHECK_EQ(dup3(fresh[0], pairs[i][0], O_CLOEXEC), pairs[i][0]);
        CHECK_EQ(dup3(fresh[1], pairs[i][1], O_CLOEXEC), pairs[i][1]);
        close_both(fresh);
        CHECK_EQ(bide_watch_fd(fds, pairs[i][0], BIDE_READ), 0);
    }
    CHECK(is_quiet(fds));
    bide_fds_close(fds);
    for (int i = 0; i < 3; i++)
        close_both(pairs[i]);
    return 0;
}

/*
 * Goal:   an event that was fetched before its descriptor was removed, changed or replaced is not
 *         told.
 * Method: three sockets become ready at once; take one, then change all.
 */
TEST(watch_fd, stale_event_of_a_batch_is_dropped)
{
    CHECK_EQ(run(changes_after_the_fetch, NULL), 0);
}

static int changes_while_waited(void *arg)
{
    int ends[2], other[2], fd = -1;
    bide_fds *fds;
    bide_stats before, after;

    (void)arg;
    make_pipe(ends);
    make_pipe(other);
    put(other[1]);
    CHECK_EQ(bide_fds_open(&fds), 0);
    task(int) waiter = spawn(takes, fds, &fd); /* nothing to wait for yet */
    bide_sleep(BIDE_MS(2));
    CHECK(!is_done(waiter));
    CHECK_EQ(bide_fds_next(fds, &fd), -EBUSY);
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), 0);
    bide_sleep(BIDE_MS(2));
    CHECK(!is_done(waiter));
    CHECK_EQ(bide_watch_fd(fds, other[0], BIDE_READ), 0); /* ready already */
    CHECK_EQ(await(waiter), BIDE_READ);
    CHECK_EQ(fd, other[0]);
    CHECK_EQ(bide_watch_fd(fds, other[0], 0), 0);

    waiter = spawn(takes, fds, &fd);
    bide_sleep(BIDE_MS(2));
    CHECK_EQ(bide_watch_fd(fds, ends[1], BIDE_WRITE), 0); /* another one that is ready */
    CHECK_EQ(await(waiter), BIDE_WRITE);
    CHECK_EQ(fd, ends[1]);
    CHECK_EQ(bide_watch_fd(fds, ends[1], 0), 0);

    waiter = spawn(takes, fds, &fd);
    bide_sleep(BIDE_MS(2));
    CHECK_EQ(bide_watch_fd(fds, other[0], BIDE_READ), 0);
    CHECK_EQ(bide_watch_fd(fds, other[0], 0), 0); /* before the waiter could see it */
    bide_sleep(BIDE_MS(2));
    CHECK(!is_done(waiter));

    bide_loop_stats(&before);
    bide_fds_close(fds);
    CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&after);
    CHECK(is_done(waiter));
    CHECK_EQ(after.sleeps, before.sleeps); /* within the tick */
    CHECK_EQ(await(waiter), -EBADF);

    CHECK_EQ(bide_fds_open(&fds), 0); /* woken by an event, and closed before it runs */
    CHECK_EQ(bide_watch_fd(fds, other[0], BIDE_READ), 0);
    waiter = spawn(takes, fds, &fd);
    bide_fds_close(fds);
    detach(waiter);
    close_both(ends);
    close_both(other);
    return 0;
}

/*
 * Goal:   what is watched may change while a task waits, a second waiter is refused, and a close
 *         ends the wait at once with -EBADF.
 * Method: add, remove and close from another task, between short sleeps.
 */
TEST(watch_fd, interest_changes_while_a_task_waits)
{
    CHECK_EQ(run(changes_while_waited, NULL), 0);
}

static async(int, counts_turns, long *, turns)
{
    while (bide_yield() == 0)
        ++*turns;
    return 0;
}

static int shares_with_others(void *arg)
{
    long turns = 0;
    int plain, fd;
    bide_stream *stream;
    bide_fds *fds;
    char byte;

    (void)arg;
    stream_and_socket(AF_UNIX, &stream, &plain);
    CHECK_EQ(bide_fds_open(&fds), 0);
    CHECK_EQ(bide_watch_fd(fds, bide_stream_fd(stream), BIDE_READ), 0);
    CHECK_EQ(bide_watch_fd(fds, plain, BIDE_WRITE), 0);
    task(int) bystander = spawn(counts_turns, &turns);
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(bide_fds_next(fds, &fd), BIDE_WRITE);
    CHECK(turns >= 10000 / 64 - 1);
    cancel(bystander);
    await(bystander);

    CHECK_EQ(bide_wait_fd(plain, BIDE_WRITE), BIDE_WRITE);
    CHECK_EQ(bide_watch_fd(fds, plain, 0), 0);
    put(plain);
    CHECK_EQ(next_of(fds, &fd), BIDE_READ); /* though a stream owns it */
    CHECK_EQ(fd, bide_stream_fd(stream));
    CHECK_EQ(bide_read(stream, &byte, 1), 1);
    CHECK(is_quiet(fds));
    bide_fds_close(fds);
    bide_close(stream);
    close(plain);
    return 0;
}

/*
 * Goal:   a set that always has something ready starves nobody; streams and bide_wait_fd wait for
 *         the same descriptors beside it.
 * Method: ten thousand events at once with a bystander; watch a stream's own socket.
 */
TEST(watch_fd, others_have_their_turns_and_their_descriptors)
{
    CHECK_EQ(run(shares_with_others, NULL), 0);
}

static int waits_long(void *arg)
{
    int ends[2];
    bide_fds *fds;

    (void)arg;
    make_pipe(ends);
    CHECK_EQ(bide_fds_open(&fds), 0);
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), 0);
    CHECK(polls_while_quiet(fds) <= 4);
    bide_fds_close(fds);
    close_both(ends);
    return 0;
}

/*
 * Goal:   waiting costs nothing while nothing happens.
 * Method: polls counted.
 */
TEST(watch_fd, idle_wait_does_not_poll)
{
    CHECK_EQ(run(waits_long, NULL), 0);
}
