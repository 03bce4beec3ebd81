/* SPDX-License-Identifier: MIT */
/*
 * inotify_faults.c - events of real files: closing, cancelling, refusing and failing.
 */
#include <bide/testing.h>

#include "io/inotify_place.h"

static async(int, takes, bide_inotify *, inotify, bide_inotify_event *, event)
{
    return bide_inotify_next(inotify, event);
}

static async(int, receives, chan(bide_inotify_event), events)
{
    bide_inotify_event event;

    return chan_recv(events, &event);
}

static int closes_while_waited(void *arg)
{
    bide_inotify_event event;
    bide_inotify *inotify = watch_place(IN_CREATE);

    (void)arg;
    task(int) taker = spawn(takes, inotify, &event);
    bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_inotify_next(inotify, &event), -EBUSY);
    bide_inotify_close(inotify);
    CHECK_EQ(bide_yield(), 0);
    CHECK(is_done(taker));
    CHECK_EQ(await(taker), -EBADF);

    inotify = watch_place(IN_CREATE);
    task(int) receiver = spawn(receives, bide_inotify_events(inotify));
    bide_sleep(BIDE_MS(1));
    bide_inotify_close(inotify);
    CHECK_EQ(await(receiver), -EPIPE);

    inotify = watch_place(IN_CREATE); /* before the task that fills it has begun */
    CHECK(bide_inotify_events(inotify) != NULL);
    bide_inotify_close(inotify);

    inotify = watch_place(IN_ATTRIB); /* while that task waits for room */
    CHECK(bide_inotify_events(inotify) != NULL);
    flood(50);
    bide_sleep(BIDE_MS(1));
    bide_inotify_close(inotify);

    inotify = watch_place(IN_CREATE); /* behind our back: our number is a stranger's */
    taker = spawn(takes, inotify, &event);
    bide_sleep(BIDE_MS(1));
    for (int fd = 3; fd < 100; fd++) {
        char link[64], target[64] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof target - 1) > 0 && strstr(target, "inotify") != NULL)
            close(fd);
    }
    with_timeout (BIDE_SEC(10))
        CHECK_EQ(await(taker), -EBADF);
    CHECK_EQ(bide_inotify_add(inotify, place, IN_CREATE), -EBADF);
    CHECK_EQ(bide_inotify_remove(inotify, 1), -EBADF);
    CHECK_EQ(bide_inotify_next(inotify, &event), -EBADF);
    bide_inotify_close(inotify);
    return 0;
}

/*
 * Goal:   a close ends every wait: -EBADF for the task that takes events, -EPIPE for receivers, and
 *         the filling task goes in whatever state it is; so does a close behind our back.
 * Method: close in each of these states; descriptors are counted.
 */
TEST(inotify_faults, close_ends_every_wait)
{
    CHECK_EQ(run(closes_while_waited, NULL), 0);
}

/* Which numbered files were told of. */
static async(int, collects, bide_inotify *, inotify, int *, seen, int *, count)
{
    bide_inotify_event event;
    int err;

    while ((err = bide_inotify_next(inotify, &event)) == 0) {
        seen[atoi(event.name)]++;
        ++*count;
    }
    return err;
}

static async(int, receives_all, chan(bide_inotify_event), events, int *, seen, int *, count)
{
    bide_inotify_event event;
    int err;

    while ((err = chan_recv(events, &event)) == 0) {
        seen[atoi(event.name)]++;
        ++*count;
    }
    return err;
}

static int is_cancelled_all_the_time(void *arg)
{
    enum { FILES = 300 };
    const bool by_channel = *(bool *)arg;
    int seen[FILES] = {0}, count = 0;
    uint64_t random = test_seed();
    bide_inotify *inotify = watch_place(IN_CREATE);
    chan(bide_inotify_event) events = by_channel ? bide_inotify_events(inotify) : NULL;

    for (int made = 0; count < FILES;) {
        task(int) taker = by_channel ? spawn(receives_all, events, seen, &count)
                                     : spawn(collects, inotify, seen, &count);
        random = random * 6364136223846793005u + 1442695040888963407u;
        for (unsigned i = 0; i < (random >> 33) % 4 && made < FILES; i++) {
            char name[16];
            snprintf(name, sizeof name, "%d", made++);
            touch(name, "");
            if ((random >> (40 + i)) % 2)
                bide_yield();
        }
        for (unsigned i = 0; i < (random >> 50) % 3; i++)
            bide_yield();
        cancel(taker);
        CHECK_EQ(await(taker), -ECANCELED);
    }
    for (int i = 0; i < FILES; i++)
        CHECK_EQ(seen[i], 1);
    bide_inotify_close(inotify);
    return 0;
}

/*
 * Goal:   a cancel loses no event, at whatever moment it comes and by either way of taking them.
 * Method: create 300 files in bursts while takers are cancelled at random; each is told once.
 */
TEST(inotify_faults, cancel_loses_no_event)
{
    bool ways[] = {false, true};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(is_cancelled_all_the_time, &ways[i]), 0);
}

static int refuses(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;
    bide_inotify *inotify = watch_place(IN_CREATE);
    bide_inotify_event event = {.watch = -7};
    char path[512];

    (void)arg;
    in_place("missing", path);
    CHECK_EQ(bide_inotify_add(inotify, path, IN_MODIFY), -ENOENT);
    CHECK_EQ(bide_inotify_add(inotify, place, 0), -EINVAL);
    touch("file", "");
    in_place("file", path);
    CHECK_EQ(bide_inotify_add(inotify, path, IN_MODIFY | IN_ONLYDIR), -ENOTDIR);
    CHECK_EQ(bide_inotify_remove(inotify, 4711), -EINVAL);
    bide_scope_cancel(&scope);
    with_scope (&scope) { /* though there is one */
        CHECK_EQ(bide_inotify_next(inotify, &event), -ECANCELED);
        CHECK_EQ(event.watch, -7);
    }
    expect(inotify, IN_CREATE, "file");
    bide_inotify_close(inotify);
    return 0;
}

static int has_no_kernel(void *arg)
{
    bide_inotify *inotify = arg;

    CHECK_EQ(bide_inotify_open(&inotify), -EOPNOTSUPP);
    CHECK(inotify == arg);
    return 0;
}

static int closes_twice(void *arg)
{
    bide_inotify_event event;
    bide_inotify *inotify;

    (void)arg;
    CHECK_EQ(bide_inotify_open(&inotify), 0);
    task(int) taker = spawn(takes, inotify, &event); /* keeps it alive */
    bide_yield();
    bide_inotify_close(inotify);
    bide_inotify_close(inotify);
    return await(taker);
}

/*
 * Goal:   what cannot be watched has its error, a scope that fired takes nothing, and misuse aborts
 *         with one line.
 * Method: missing file, empty mask, unknown watch, virtual clock, outside a task, two closes.
 */
TEST(inotify_faults, errors_and_misuse_are_told)
{
    bide_inotify *none = NULL;

    CHECK_EQ(run(refuses, NULL), 0);
    CHECK_EQ(bide_test_run(has_no_kernel, NULL, 0, NULL), 0);
    EXPECT_DEATH(bide_inotify_open(&none), "bide_inotify_open");
    EXPECT_DEATH(bide_run(closes_twice, NULL, NULL), "it is closed already");
}

static int fails_in_turn(void *arg)
{
    static const enum bide__call calls[] = {BIDE__CALL_ALLOC, BIDE__CALL_INOTIFY,
                                            BIDE__CALL_EPOLL_CTL};
    static const int errors[] = {-ENOMEM, -EMFILE, -ENOSPC};
    int open = test_open_fds();
    bide_inotify_event event;

    (void)arg;
    for (int i = 0; i < 3; i++) {
        int failed = 0, err;
        for (uint64_t nth = 1;; nth++) {
            bide_inotify *inotify = NULL;
            chan(bide_inotify_event) events = NULL;
            bide__fault_reset();
            bide__fault_fail(calls[i], nth, 1, errors[i]);
            err = bide_inotify_open(&inotify);
            if (err == 0 && (err = bide_inotify_add(inotify, place, IN_CREATE)) > 0)
                err = (events = bide_inotify_events(inotify)) == NULL ? -ENOMEM : 0;
            bide__fault_reset();
            bide_inotify_close(inotify);
            CHECK_EQ(test_open_fds(), open);
            if (err == 0)
                break;
            CHECK_EQ(err, errors[i]);
            failed++;
        }
        CHECK(failed >= 1);
    }

    bide_inotify *inotify = watch_place(IN_CREATE);
    touch("file", "");
    bide__fault_fail(BIDE__CALL_READ, 1, 3, -EINTR);
    expect(inotify, IN_CREATE, "file");
    CHECK_EQ(bide__fault_count(BIDE__CALL_READ), 4);
    touch("another", "");
    bide__fault_fail(BIDE__CALL_READ, 1, 1, -EIO);
    CHECK_EQ(bide_inotify_next(inotify, &event), -EIO);
    expect(inotify, IN_CREATE, "another");
    bide__fault_fail(BIDE__CALL_MMAP, 1, 100, -ENOMEM); /* stacks for the task that fills it */
    bide__fault_fail(BIDE__CALL_ALLOC, 2, 100, -ENOMEM);
    (void)bide_inotify_events(inotify);
    bide__fault_reset();
    bide_inotify_close(inotify);

    inotify = watch_place(IN_CREATE); /* the filling task meets an error: receivers are told */
    chan(bide_inotify_event) events = bide_inotify_events(inotify);
    bide__fault_fail(BIDE__CALL_READ, 1, 1, -EIO);
    CHECK_EQ(chan_recv(events, &event), -EPIPE);
    bide__fault_reset();
    bide_inotify_close(inotify);
    return 0;
}

/*
 * Goal:   every allocation and system call may fail: the error is told, nothing leaks, no event is
 *         lost, and an interrupted read is no error.
 * Method: let each in turn fail during open, add and events; then reads.
 */
TEST(inotify_faults, every_call_that_fails_is_told)
{
    CHECK_EQ(run(fails_in_turn, NULL), 0);
}
