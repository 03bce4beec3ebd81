/* SPDX-License-Identifier: MIT */
/*
 * watch_fd_faults.c - sets of foreign descriptors: what their owners do behind our back, what is
 * refused, and what fails.
 */
#include <bide/testing.h>

#include <limits.h>
#include <stdio.h>

#include "reactor/fds.h"

static async(int, takes, bide_fds *, fds, int *, fd)
{
    return bide_fds_next(fds, fd);
}

static int closes_behind_our_back(void *arg)
{
    int ends[2], other[2], fd, again;
    bide_fds *fds;

    (void)arg;
    make_pipe(ends);
    make_pipe(other);
    CHECK_EQ(bide_fds_open(&fds), 0);
    CHECK_EQ(bide_watch_fd(fds, other[0], BIDE_READ), 0);
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), 0);
    put(ends[1]);
    close(ends[0]);
    CHECK(is_quiet(fds));
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), -EBADF);
    CHECK_EQ(bide_watch_fd(fds, ends[0], 0), 0);

    again = ends[0]; /* the number goes to somebody else while it is watched */
    CHECK_EQ(dup3(other[0], again, O_CLOEXEC), again);
    CHECK_EQ(bide_watch_fd(fds, again, BIDE_READ), 0);
    close(again);
    CHECK_EQ(dup3(other[1], again, O_CLOEXEC), again);
    CHECK_EQ(bide_watch_fd(fds, again, BIDE_WRITE), 0);
    CHECK_EQ(next_of(fds, &fd), BIDE_WRITE);
    CHECK_EQ(fd, again);
    CHECK_EQ(bide_watch_fd(fds, again, 0), 0);
    close(again);
    close(ends[1]);
    bide_fds_close(fds);
    close_both(other);
    return 0;
}

/*
 * Goal:   a number that is closed while it is watched is not told any more, and its next owner can
 *         be watched.
 * Method: close, put another descriptor there, watch it.
 */
TEST(watch_fd_faults, closed_behind_our_back_is_harmless)
{
    CHECK_EQ(run(closes_behind_our_back, NULL), 0);
}

static int closes_one_of_a_batch(void *arg)
{
    int first[2], second[2], fd;
    bide_fds *fds;

    (void)arg;
    make_pipe(first);
    make_pipe(second);
    CHECK_EQ(bide_fds_open(&fds), 0);
    CHECK_EQ(bide_watch_fd(fds, first[0], BIDE_READ), 0);
    CHECK_EQ(bide_watch_fd(fds, second[0], BIDE_READ), 0);
    put(first[1]);
    put(second[1]);
    CHECK_EQ(next_of(fds, &fd),
             BIDE_READ); /* both were fetched; the other one is closed, and its */
    int *told = fd == first[0] ? first : second, *other = fd == first[0] ? second : first;
    int duplicate = dup(other[0]); /* number given to somebody whom nobody watches, while it */
    CHECK_EQ(dup3(told[0], other[0], O_CLOEXEC), other[0]); /* stays ready in a duplicate */
    CHECK_EQ(bide_watch_fd(fds, told[0], 0), 0);
    CHECK(is_quiet(fds));
    bide_fds_close(fds);
    close(duplicate);
    close_both(first);
    close_both(second);
    return 0;
}

/*
 * Goal:   a number that was closed after its event was fetched is not told, whoever has it now.
 * Method: two ready in one batch; close one and reuse its number, with a duplicate left open.
 */
TEST(watch_fd_faults, closed_after_the_fetch_is_not_told)
{
    CHECK_EQ(run(closes_one_of_a_batch, NULL), 0);
}

/* A pipe end is watched, closed with a duplicate left, given up, and then has something to read. */
static int haunt(bide_fds *fds, int ends[2])
{
    int copy;

    make_pipe(ends);
    copy = fcntl(ends[0], F_DUPFD_CLOEXEC, 500);
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), 0);
    close(ends[0]);
    CHECK_EQ(bide_watch_fd(fds, ends[0], 0), 0);
    put(ends[1]);
    return copy;
}

static int is_haunted(void *arg)
{
    int ends[2], other[2], stranger[2], copy, fd;
    bide_fds *fds;

    (void)arg;
    make_pipe(other);
    make_pipe(stranger);
    CHECK_EQ(bide_fds_open(&fds), 0);
    CHECK_EQ(bide_watch_fd(fds, other[0], BIDE_READ), 0);
    CHECK_EQ(bide_watch_fd(fds, stranger[0], BIDE_READ), 0);
    CHECK_EQ(dup3(other[0], stranger[0], O_CLOEXEC), stranger[0]); /* which nobody asked for */
    copy = haunt(fds, ends);
    CHECK(polls_while_quiet(fds) <= 8);
    put(other[1]);
    CHECK_EQ(next_of(fds, &fd), BIDE_READ);
    CHECK_EQ(fd, other[0]);
    get(other[0]);
    CHECK(polls_while_quiet(fds) <= 4);
    close(copy);
    close(ends[1]);

    copy = haunt(fds, ends); /* and the same file comes back to the number */
    CHECK_EQ(dup3(copy, ends[0], O_CLOEXEC), ends[0]);
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), 0);
    CHECK_EQ(next_of(fds, &fd), BIDE_READ);
    CHECK_EQ(fd, ends[0]);
    CHECK_EQ(bide_watch_fd(fds, ends[0], 0), 0);
    CHECK(polls_while_quiet(fds) <= 4);
    close_both(ends);
    close(copy);

    make_pipe(ends); /* the closed number is watched anew, which tells that it is closed */
    copy = fcntl(ends[0], F_DUPFD_CLOEXEC, 500);
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), 0);
    close(ends[0]);
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ), -EBADF);
    put(ends[1]);
    CHECK(polls_while_quiet(fds) <= 8);
    close(copy);
    close(ends[1]);

    copy = haunt(fds, ends); /* starting afresh fails at each of its calls, and is tried again */
    put(other[1]);
    for (int i = 0; i < 2; i++) {
        bide__fault_fail(BIDE__CALL_EPOLL_CTL, 1, 100, -ENOSPC);
        bide__fault_fail(BIDE__CALL_EPOLL_CREATE, 1, 1, i == 0 ? -EMFILE : 0);
        with_timeout (BIDE_SEC(5))
            while ((fd = bide_fds_next(fds, &(int){0})) > 0)
                ;
        CHECK_EQ(fd, i == 0 ? -EMFILE : -ENOSPC);
    }
    bide__fault_reset();
    CHECK_EQ(next_of(fds, &fd), BIDE_READ);
    CHECK_EQ(fd, other[0]);
    get(other[0]);
    CHECK(polls_while_quiet(fds) <= 8);
    bide_fds_close(fds);
    close(copy);
    close(ends[1]);
    close_both(other);
    close_both(stranger);
    return 0;
}

/*
 * Goal:   a registration that nobody can end, as its number was closed with a duplicate left open,
 *         is neither told nor makes the wait spin.
 * Method: make one, count polls while nothing else is ready; bring the file back to its number; let
 *         the new start fail.
 */
TEST(watch_fd_faults, duplicate_of_a_closed_number_does_not_spin)
{
    CHECK_EQ(run(is_haunted, NULL), 0);
}

static int refuses(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;
    FILE *file = tmpfile();
    int ends[2], fd = -7;
    bide_fds *fds;

    (void)arg;
    make_pipe(ends);
    CHECK_EQ(bide_fds_open(&fds), 0);
    CHECK_EQ(bide_watch_fd(fds, fileno(file), BIDE_READ), -EPERM);
    fclose(file);
    CHECK_EQ(bide_watch_fd(fds, ends[0], 4), -EINVAL);
    CHECK_EQ(bide_watch_fd(fds, ends[0], BIDE_READ | 8), -EINVAL);
    CHECK_EQ(bide_watch_fd(fds, -1, BIDE_READ), -EBADF);
    CHECK_EQ(bide_watch_fd(fds, -1, 0), 0);
    CHECK_EQ(bide_watch_fd(fds, 50, BIDE_READ), -EBADF);
    bide__fault_reset();
    CHECK_EQ(bide_watch_fd(fds, INT_MAX, BIDE_READ), -EBADF);
    CHECK_EQ(bide_watch_fd(fds, INT_MAX, 0), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), 0); /* absurd numbers make no table grow */

    CHECK_EQ(bide_watch_fd(fds, ends[1], BIDE_WRITE), 0);
    bide_scope_cancel(&scope);
    with_scope (&scope) { /* though it is ready */
        CHECK_EQ(bide_fds_next(fds, &fd), -ECANCELED);
        CHECK_EQ(bide_watch_fd(fds, ends[1], 0), 0);
    }
    CHECK_EQ(fd, -7);
    task(int) waiter = spawn(takes, fds, &fd);
    bide_sleep(BIDE_MS(1));
    cancel(waiter);
    CHECK_EQ(await(waiter), -ECANCELED);
    CHECK(is_quiet(fds));
    bide_fds_close(fds);
    close_both(ends);
    return 0;
}

static int has_no_kernel(void *arg)
{
    bide_fds *fds = arg;

    CHECK_EQ(bide_fds_open(&fds), -EOPNOTSUPP);
    CHECK(fds == arg);
    return 0;
}

static int closes_twice(void *arg)
{
    int fd;
    bide_fds *fds;

    (void)arg;
    CHECK_EQ(bide_fds_open(&fds), 0);
    task(int) waiter = spawn(takes, fds, &fd); /* keeps it alive */
    bide_yield();
    bide_fds_close(fds);
    bide_fds_close(fds);
    return await(waiter);
}

/*
 * Goal:   what cannot be watched has its error; a scope that fired ends the wait, and changing a
 *         set works in it; misuse aborts with one line.
 * Method: regular file, bad numbers and events, cancel, virtual clock, a call outside a task, two
 *         closes.
 */
TEST(watch_fd_faults, errors_and_misuse_are_told)
{
    bide_fds *none = NULL;

    CHECK_EQ(run(refuses, NULL), 0);
    CHECK_EQ(bide_test_run(has_no_kernel, NULL, 0, NULL), 0);
    EXPECT_DEATH(bide_fds_open(&none), "bide_fds_open");
    EXPECT_DEATH(bide_run(closes_twice, NULL, NULL), "this set is closed already");
}

static int fails_in_turn(void *arg)
{
    static const enum bide__call calls[] = {BIDE__CALL_ALLOC, BIDE__CALL_EPOLL_CREATE,
                                            BIDE__CALL_EPOLL_CTL};
    static const int errors[] = {-ENOMEM, -EMFILE, -ENOSPC};
    int pair[2], fd, open = test_open_fds();

    (void)arg;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (int i = 0; i < 3; i++) {
        int failed = 0;
        for (uint64_t nth = 1;; nth++) {
            bide_fds *fds = NULL;
            int err;
            bide__fault_reset();
            bide__fault_fail(calls[i], nth, 1, errors[i]);
            err = bide_fds_open(&fds);
            if (err == 0)
                err = bide_watch_fd(fds, pair[0], BIDE_READ);
            if (err == 0)
                err = bide_watch_fd(fds, pair[0], BIDE_READ | BIDE_WRITE);
            if (err < 0) {
                CHECK_EQ(err, errors[i]);
                failed++;
            }
            bide__fault_reset();
            if (fds != NULL && bide_watch_fd(fds, pair[0], BIDE_WRITE) == 0) {
                CHECK_EQ(next_of(fds, &fd), BIDE_WRITE); /* of use all the same */
                CHECK_EQ(fd, pair[0]);
            }
            bide_fds_close(fds);
            if (err == 0)
                break;
        }
        CHECK(failed >= (i == 0 ? 2 : i == 1 ? 1 : 3));
    }
    close_both(pair);
    CHECK_EQ(test_open_fds(), open);
    return 0;
}

static int is_interrupted(void *arg)
{
    int ends[2], fd;
    bide_fds *fds;

    (void)arg;
    make_pipe(ends);
    CHECK_EQ(bide_fds_open(&fds), 0);
    CHECK_EQ(bide_watch_fd(fds, ends[1], BIDE_WRITE), 0);
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_EPOLL_WAIT, 1, 3, -EINTR);
    CHECK_EQ(bide_fds_next(fds, &fd), BIDE_WRITE);
    CHECK_EQ(fd, ends[1]);
    CHECK(bide__fault_count(BIDE__CALL_EPOLL_WAIT) >= 4);
    bide__fault_reset();
    bide_fds_close(fds);
    close_both(ends);
    return 0;
}

/*
 * Goal:   every allocation and system call may fail: the error is told, nothing leaks, and a set
 *         goes on working. An interrupted poll is no error.
 * Method: let each in turn fail during open, watch and change.
 */
TEST(watch_fd_faults, every_call_that_fails_is_told)
{
    CHECK_EQ(run(fails_in_turn, NULL), 0);
    CHECK_EQ(run(is_interrupted, NULL), 0);
}

static async(int, reads_all, bide_fds *, fds, long *, bytes)
{
    int fd, events;

    while ((events = bide_fds_next(fds, &fd)) > 0) {
        get(fd);
        ++*bytes;
    }
    return events;
}

static int is_cancelled_all_the_time(void *arg)
{
    enum { PIPES = 5, ROUNDS = 2000 };
    int pipes[PIPES][2];
    long bytes = 0, written = 0;
    uint64_t random = test_seed();
    bide_fds *fds;

    (void)arg;
    CHECK_EQ(bide_fds_open(&fds), 0);
    for (int i = 0; i < PIPES; i++) {
        make_pipe(pipes[i]);
        CHECK_EQ(bide_watch_fd(fds, pipes[i][0], BIDE_READ), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        task(int) reader = spawn(reads_all, fds, &bytes);
        random = random * 6364136223846793005u + 1442695040888963407u;
        for (unsigned i = 0; i < (random >> 33) % 4; i++) {
            put(pipes[(random >> 40) % PIPES][1]);
            written++;
            bide_yield();
        }
        if ((random >> 50) % 2)
            bide_yield();
        cancel(reader);
        CHECK_EQ(await(reader), -ECANCELED);
    }
    with_timeout (BIDE_MS(20))
        CHECK_EQ(reads_all(fds, &bytes), -ETIMEDOUT);
    CHECK_EQ(bytes, written);
    bide_fds_close(fds);
    for (int i = 0; i < PIPES; i++)
        close_both(pipes[i]);
    return 0;
}

/*
 * Goal:   a cancel takes nothing with it, at whatever moment it comes.
 * Method: cancel a reader of five pipes two thousand times, at random; every byte is read once.
 */
TEST(watch_fd_faults, cancel_loses_nothing)
{
    CHECK_EQ(run(is_cancelled_all_the_time, NULL), 0);
}
