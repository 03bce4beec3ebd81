/* SPDX-License-Identifier: MIT */
/*
 * io.c - streams over sockets under interruption, short reads and writes, and a failure of every
 * call in turn.
 */
#include <bide.h>

#include <bide/short.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/fault.h"
#include "reports.h"
#include "sockets.h"
#include "test.h"

/* timeout: 120 */

static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % bound;
}

/* The byte at a position of a test stream: no period that a buffer size could hide. */
static char byte_at(size_t position)
{
    return (char)(position * 131 + (position >> 8) * 29 + (position >> 16));
}

/* Now and then: an interruption at one of the next calls, and another limit on their bytes. */
static void disturb(void)
{
    enum bide__call call = random_below(2) ? BIDE__CALL_RECV : BIDE__CALL_SEND;

    if (random_below(4) == 0)
        bide__fault_fail(call, 1 + random_below(3), 1 + random_below(3), -EINTR);
    if (random_below(4) == 0)
        bide__fault_limit(call, random_below(3) * random_below(5000));
}

static async(int, writes_randomly, bide_stream *, out, size_t, total)
{
    enum { MOST = 100000 };
    char *data = malloc(MOST);

    for (size_t done = 0; done < total;) {
        size_t some = 1 + random_below(random_below(8) == 0 ? MOST : 3000);
        some = some < total - done ? some : total - done;
        for (size_t i = 0; i < some; i++)
            data[i] = byte_at(done + i);
        disturb();
        for (size_t at = 0; at < some;) { /* time out now and then, and go on behind it */
            ssize_t wrote = 0;
            with_timeout (random_below(8) == 0 ? BIDE_US(50) : BIDE_SEC(20))
                wrote = bide_write(out, data + at, some - at);
            CHECK(wrote > 0 || wrote == -ETIMEDOUT);
            at += wrote > 0 ? (size_t)wrote : 0;
        }
        done += some;
        if (random_below(3) == 0)
            bide_yield();
    }
    free(data);
    return bide_shutdown_write(out);
}

static async(int, reads_randomly, bide_stream *, in, size_t, total)
{
    enum { MOST = 200000 };
    char *data = malloc(MOST);
    size_t done = 0;
    ssize_t got = 1;

    while (got != 0) {
        const char *shown;
        size_t most = 1 + random_below(random_below(8) == 0 ? MOST : 5000);
        disturb();
        with_timeout (random_below(8) == 0 ? BIDE_US(50) : BIDE_SEC(20)) {
            if (random_below(4) == 0 && (got = bide_peek(in, &shown, most % 60000)) > 0) {
                CHECK_EQ(shown[got - 1], byte_at(done + (size_t)got - 1));
                CHECK_EQ(shown[0], byte_at(done));
            }
            got = random_below(2) ? bide_read(in, data, most) : bide_read_exact(in, data, most);
        }
        CHECK(got >= 0 || got == -ETIMEDOUT);
        for (ssize_t i = 0; i < got; i++)
            CHECK_EQ(data[i], byte_at(done + (size_t)i));
        done += got > 0 ? (size_t)got : 0;
        if (random_below(3) == 0)
            bide_yield();
    }
    CHECK_EQ(done, total);
    free(data);
    return 0;
}

static int transfers(void *arg)
{
    const size_t total = 400000;
    bide_stream *ends[2];
    int sockets[2];

    if (*(int *)arg == AF_INET)
        tcp_sockets(sockets);
    else
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    for (int i = 0; i < 2; i++)
        ends[i] = stream_of(sockets[i]);
    bide__fault_reset();
    task(int) tasks[4] = {
        spawn(writes_randomly, ends[0], total), spawn(reads_randomly, ends[0], total),
        spawn(writes_randomly, ends[1], total), spawn(reads_randomly, ends[1], total)};
    for (int i = 0; i < 4; i++)
        CHECK_EQ(await(tasks[i]), 0);
    if (!TEST_UNDER_SANITIZER() && !TEST_UNDER_VALGRIND() && !TEST_UNDER_QEMU())
        CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_CTL), 0); /* no sweep had to help */
    bide__fault_reset();
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   no wake-up is lost and no byte doubled, whatever the sizes, interruptions and time-outs.
 * Method: both directions at once with random sizes, limits on single reads and writes, EINTR at
 *         random calls, time-outs of 50 us; every byte is compared; TCP and Unix, several seeds. A
 *         lost wake-up would be healed by the sweep after a second: it must not come to that.
 */
TEST(io, random_transfers_lose_nothing)
{
    int families[] = {AF_INET, AF_UNIX}, rounds = getenv("BIDE_TEST_LONG") != NULL ? 200 : 20;

    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < 2; i++) {
            random_state = (uint32_t)(test_seed() * 1000 + (uint64_t)round);
            CHECK_EQ(bide_run(transfers, &families[i], NULL), 0);
        }
}

static async(ssize_t, echoes, bide_stream *, stream)
{
    return bide_copy(stream, stream);
}

static int is_blocked_falsely(void *arg)
{
    bide_stream *stream;
    int plain;
    char buf[16];

    (void)arg;
    stream_and_socket(AF_UNIX, &stream, &plain);
    task(ssize_t) echo = spawn(echoes, stream);
    bide_sleep(BIDE_MS(1));
    for (int i = 0; i < 4; i++) {
        bide__fault_fail(i % 2 ? BIDE__CALL_SEND : BIDE__CALL_RECV, 1, 1, -EAGAIN);
        CHECK_EQ(send(plain, "hello", 5, 0), 5);
        with_timeout (BIDE_SEC(10))
            CHECK_EQ(bide_wait_fd(plain, BIDE_READ), BIDE_READ);
        CHECK_EQ(recv(plain, buf, sizeof buf, 0), 5);
    }
    close(plain);
    CHECK_EQ(await(echo), 20);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   even an EAGAIN that the kernel did not mean delays for a sweep and hangs nothing.
 * Method: recv and send in turn say EAGAIN once, with bytes and room there.
 */
TEST(io, false_eagain_is_healed_by_the_sweep)
{
    CHECK_EQ(bide_run(is_blocked_falsely, NULL, NULL), 0);
}

static void no_op(int signal_number)
{
    (void)signal_number;
}

static int echoes_under_signals(void *arg)
{
    const struct itimerval kilohertz = {{0, 1000}, {0, 1000}};
    bide_stream *ends[2];
    int sockets[2];
    char line[64];

    (void)arg;
    tcp_sockets(sockets);
    for (int i = 0; i < 2; i++)
        ends[i] = stream_of(sockets[i]);
    setitimer(ITIMER_REAL, &kilohertz, NULL);
    task(ssize_t) echo = spawn(echoes, ends[0]);
    for (int i = 0; i < 20000; i++) {
        int length = (int)bide_printf(ends[1], "message %d\n", i);
        CHECK_EQ(bide_read_line(ends[1], line, sizeof line), length);
        CHECK_EQ(atoi(line + 8), i);
        if (i % 100 == 0)
            bide_sleep(BIDE_US(300));
    }
    CHECK_EQ(bide_shutdown_write(ends[1]), 0);
    CHECK(await(echo) > 0);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   signals disturb neither calls nor waits.
 * Method: an echo of 20,000 lines under a 1 kHz timer signal whose handler does nothing, without
 *         SA_RESTART.
 */
TEST(io, echo_under_a_signal_storm)
{
    struct sigaction action = {.sa_handler = no_op};

    sigaction(SIGALRM, &action, NULL);
    CHECK_EQ(bide_run(echoes_under_signals, NULL, NULL), 0);
}

/* A server and a client that give up at the first error; each returns it. */
static async(int, serves_once, bide_listener *, listener)
{
    bide_stream *stream;
    char line[64];
    ssize_t n = bide_accept(listener, &stream);

    if (n < 0)
        return (int)n;
    while ((n = bide_read_line(stream, line, sizeof line)) > 0)
        if ((n = bide_write(stream, line, (size_t)n)) < 0)
            break;
    bide_close(stream);
    return (int)n;
}

static int asks_once(const char *address)
{
    bide_stream *stream;
    char line[64], local[64];
    static char text[2000];
    ssize_t n = bide_dial(address, &stream);

    if (n < 0)
        return (int)n;
    memset(text, ' ', sizeof text - 1);
    n = bide_stream_local_address(stream, local, sizeof local);
    for (int i = 0; i < 3 && n >= 0; i++) {
        n = bide_printf(stream, "line %d\n", i);
        if (n >= 0)
            n = bide_read_line(stream, line, sizeof line);
    }
    if (n >= 0)
        n = bide_shutdown_write(stream);
    if (n >= 0)
        n = bide_read(stream, line, sizeof line);
    if (n >= 0)
        n = bide_printf(stream, "%s", text); /* too long for the stack, and too late */
    n = n == -EPIPE ? 0 : n > 0 ? -EBADMSG : n;
    bide_close(stream);
    return (int)n;
}

static int whole_story(void *arg)
{
    bide_listener *listener;
    char text[64];
    int err = bide_listen(arg, NULL, &listener), served = 0;

    if (err < 0)
        return err;
    err = bide_listener_address(listener, text, sizeof text);
    if (err == 0) {
        task(int) server = spawn(serves_once, listener);
        if (server == NULL) {
            err = bide_spawn_error();
        } else {
            with_timeout (BIDE_SEC(5))
                err = asks_once(text);
            cancel(server);
            served = await(server);
            CHECK(served <= 0);
        }
    }
    bide_listener_close(listener);
    return err;
}

/* An error that the call can give, for the plan. */
static int error_of(enum bide__call call)
{
    switch (call) {
    case BIDE__CALL_ALLOC:
    case BIDE__CALL_MMAP: return -ENOMEM;
    case BIDE__CALL_EPOLL_CTL: return -ENOSPC;
    case BIDE__CALL_EPOLL_WAIT:
    case BIDE__CALL_EPOLL_PWAIT2: return -EINTR;
    case BIDE__CALL_EPOLL_CREATE:
    case BIDE__CALL_SOCKET:
    case BIDE__CALL_ACCEPT: return -EMFILE;
    case BIDE__CALL_CLOSE: return -EIO;
    default: return -ENETDOWN;
    }
}

/*
 * Goal:   whichever allocation or system call fails, the error comes back, and neither memory nor
 *         descriptors leak.
 * Method: a server and a client; the n-th call of each kind fails, for growing n, until the story
 *         ends untouched; TCP and Unix; the leak checker watches the memory.
 */
TEST(io, every_call_fails_in_turn)
{
    char path[64];
    const char *addresses[] = {"tcp://127.0.0.1:0", path};

    snprintf(path, sizeof path, "unix:bide-story-%d.sock", (int)getpid());
    for (int i = 0; i < 2; i++) {
        for (enum bide__call call = 0; call < BIDE__CALL_COUNT; call++) {
            if (call == BIDE__CALL_MUNMAP)
                continue; /* gives back memory: nothing can be done */
            for (uint64_t n = 1;; n++) {
                struct reports seen = {0};
                bide_options options = REPORTS_INTO(&seen);
                const int open = test_open_fds();
                int result;

                CHECK(n < 200);
                bide__fault_reset();
                bide__fault_fail(call, n, 1, error_of(call));
                result = bide_run(whole_story, (void *)(uintptr_t)addresses[i], &options);
                CHECK_EQ(test_open_fds(), open);
                CHECK(access(path + 5, F_OK) < 0);
                if (result > 0 || result == -EBADMSG)
                    test_fail(__FILE__, __LINE__, "call %d, n %d: %d", (int)call, (int)n, result);
                if (bide__fault_count(call) < n) {
                    CHECK_EQ(result, 0);
                    break;
                }
            }
        }
    }
}

static async(int, tells_story, const char *, address)
{
    return whole_story((void *)(uintptr_t)address);
}

struct cut {
    const char *address;
    int turns;
    bool was_done;
};

static int cancels_story(void *arg)
{
    struct cut *cut = arg;
    task(int) story = spawn(tells_story, cut->address);
    int result;

    for (int i = 0; i < cut->turns && !is_done(story); i++)
        bide_yield();
    cut->was_done = is_done(story);
    cancel(story);
    result = await(story);
    CHECK(cut->was_done ? result == 0 : result == 0 || result == -ECANCELED);
    return 0;
}

/*
 * Goal:   wherever a server and its client are cancelled, they end, and nothing is left behind.
 * Method: cancel after k turns, for every k until the story ends by itself; descriptors and the
 *         path are looked for; the leak checker watches the memory.
 */
TEST(io, cancel_at_every_turn_leaves_nothing)
{
    char path[64];
    const char *addresses[] = {"tcp://127.0.0.1:0", path};

    snprintf(path, sizeof path, "unix:bide-cut-%d.sock", (int)getpid());
    for (int i = 0; i < 2; i++) {
        struct cut cut = {.address = addresses[i]};
        for (; !cut.was_done; cut.turns++) {
            const int open = test_open_fds();
            CHECK(cut.turns < 5000);
            CHECK_EQ(bide_run(cancels_story, &cut, NULL), 0);
            CHECK_EQ(test_open_fds(), open);
            CHECK(access(path + 5, F_OK) < 0);
        }
        CHECK(cut.turns > 3);
    }
}
