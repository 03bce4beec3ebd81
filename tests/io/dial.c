/* SPDX-License-Identifier: MIT */
/*
 * dial.c - connecting: to whom, what when nobody answers, and nothing left behind.
 */
#include <bide.h>

#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/fault.h"
#include "sockets.h"
#include "test.h"

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    CHECK_EQ(test_open_fds(), before);
    return result;
}

static async(ssize_t, echoes_one, bide_listener *, listener)
{
    bide_stream *stream;
    ssize_t copied;

    CHECK_EQ(bide_accept(listener, &stream), 0);
    copied = bide_copy(stream, stream);
    bide_close(stream);
    return copied;
}

static int dials_everything(void *arg)
{
    static const char *const addresses[] = {"tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://:0"};
    char path[64], name[64];

    (void)arg;
    snprintf(path, sizeof path, "unix:bide-dial-%d.sock", (int)getpid());
    snprintf(name, sizeof name, "unix:@bide-dial-%d", (int)getpid());
    for (size_t i = 0; i < 5; i++) {
        bide_listener *listener;
        bide_stream *stream;
        char text[64], local[64], peer[64], buf[16];
        const char *address = i < 3 ? addresses[i] : i == 3 ? path : name;

        CHECK_EQ(bide_listen(address, NULL, &listener), 0);
        CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
        task(ssize_t) echo = spawn(echoes_one, listener);
        CHECK_EQ(bide_dial(text, &stream), 0);
        CHECK_EQ(bide_stream_peer_address(stream, peer, sizeof peer), 0);
        if (i != 2)
            CHECK_STR(peer, text);
        CHECK_EQ(bide_stream_local_address(stream, local, sizeof local), 0);
        CHECK(strncmp(local, text, i < 3 ? 6 : 5) == 0);
        if (i >= 3)
            CHECK_STR(local, "unix:"); /* the dialling side has no name */
        CHECK_EQ(bide_stream_peer_address(stream, peer, strlen(peer)), -ENOSPC);
        CHECK_EQ(bide_write(stream, "hello", 5), 5);
        CHECK_EQ(bide_read_exact(stream, buf, 5), 5);
        CHECK_EQ(bide_shutdown_write(stream), 0);
        CHECK_EQ(await(echo), 5);
        bide_close(stream);
        bide_listener_close(listener);
    }
    return 0;
}

/*
 * Goal:   every kind of address can be dialled, and both ends can be asked where they are.
 * Method: listen, dial what the listener says, echo; IPv4, IPv6, any, path, abstract.
 */
TEST(dial, reaches_every_kind_of_listener)
{
    CHECK_EQ(run(dials_everything, NULL), 0);
}

static int dials_localhost(void *arg)
{
    static const char *const families[] = {"tcp://127.0.0.1:0", "tcp://[::1]:0"};

    (void)arg;
    for (int i = 0; i < 2; i++) { /* refused on 127.0.0.1, it finds ::1 */
        bide_listener *listener;
        bide_stream *stream;
        char text[64], client[80];

        CHECK_EQ(bide_listen(families[i], NULL, &listener), 0);
        CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
        snprintf(client, sizeof client, "tcp://localhost:%s", strrchr(text, ':') + 1);
        CHECK_EQ(bide_dial(client, &stream), 0);
        bide_close(stream);
        bide_listener_close(listener);
        CHECK_EQ(bide_dial(client, &stream), -ECONNREFUSED);
        bide__fault_fail(BIDE__CALL_SOCKET, 2, 1, -EAFNOSUPPORT); /* a machine without IPv6 */
        CHECK_EQ(bide_dial(client, &stream), -ECONNREFUSED);
    }
    return 0;
}

/*
 * Goal:   localhost is both families; when neither answers the error is that of the first.
 * Method: listen on one of them, dial, close, dial; and with the second family missing.
 */
TEST(dial, localhost_tries_both_families)
{
    CHECK_EQ(run(dials_localhost, NULL), 0);
}

static int is_refused(void *arg)
{
    bide_stream *stream = NULL;
    bide_listener *listener;
    char text[64];

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    bide_listener_close(listener);
    CHECK_EQ(bide_dial(text, &stream), -ECONNREFUSED);
    CHECK_EQ(bide_dial("tcp://example.invalid:80", &stream), -ENOENT);
    CHECK_EQ(bide_dial("tcp://127.0.0.1", &stream), -EINVAL);
    CHECK_EQ(bide_dial("unix:", &stream), -EINVAL);
    CHECK_EQ(bide_dial("unix:/no/such/socket", &stream), -ENOENT);
    CHECK_EQ(bide_dial("unix:@bide-nobody-is-there", &stream), -ECONNREFUSED);
    CHECK(stream == NULL);
    return 0;
}

/*
 * Goal:   each failure has its own error and leaves `out` alone.
 * Method: a closed port, unknown names, malformed addresses, paths that nobody serves.
 */
TEST(dial, failures_are_told_apart)
{
    CHECK_EQ(run(is_refused, NULL), 0);
}

/* A listening TCP socket whose queue is full, so that a further connect hangs. */
static int full_listener(char text[64], int fillers[16])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_EQ(bind(listener, (struct sockaddr *)&address, bytes), 0);
    CHECK_EQ(listen(listener, 0), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    snprintf(text, 64, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    for (int i = 0; i < 16; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fillers[i], (struct sockaddr *)&address, bytes);
    }
    return listener;
}

static async(int, dials, const char *, address)
{
    bide_stream *stream;
    int err = bide_dial(address, &stream);

    if (err == 0)
        bide_close(stream);
    return err;
}

static int gives_up(void *arg)
{
    int fillers[16], listener, open;
    char text[64];
    bide_stream *stream;

    (void)arg;
    listener = full_listener(text, fillers);
    open = test_open_fds();
    with_timeout (BIDE_MS(50))
        CHECK_EQ(bide_dial(text, &stream), -ETIMEDOUT);
    CHECK_EQ(test_open_fds(), open);
    for (int turns = 0; turns < 4; turns++) {
        task(int) dialer = spawn(dials, text);
        for (int i = 0; i < turns; i++)
            bide_yield();
        if (turns == 3)
            bide_sleep(BIDE_MS(5));
        cancel(dialer);
        CHECK_EQ(await(dialer), -ECANCELED);
        CHECK_EQ(test_open_fds(), open);
    }
    for (int i = 0; i < 16; i++)
        close(fillers[i]);
    close(listener);
    return 0;
}

/*
 * Goal:   an attempt that nobody answers ends with its scope and leaves no descriptor.
 * Method: a listening socket with a full queue: the kernel drops further SYNs; time out, and cancel
 *         after 0 to 3 turns.
 */
TEST(dial, timeout_and_cancel_leave_no_descriptor)
{
    CHECK_EQ(run(gives_up, NULL), 0);
}

static int waits_for_backlog(void *arg)
{
    const bide_listen_options options = {.backlog = 1};
    bide_listener *listener;
    bide_task(int) dialers[8];
    bide_stream *accepted[8];
    char text[64];
    int open, done = 0;

    (void)arg;
    snprintf(text, sizeof text, "unix:@bide-full-%d", (int)getpid());
    CHECK_EQ(bide_listen(text, &options, &listener), 0);
    open = test_open_fds();
    for (int i = 0; i < 8; i++)
        dialers[i] = spawn(dials, text);
    bide_sleep(BIDE_MS(10));
    for (int i = 0; i < 8; i++)
        done += is_done(dialers[i]);
    CHECK(done >= 1 && done <= 2); /* the kernel takes one more than the backlog */
    cancel(dialers[7]);
    CHECK_EQ(await(dialers[7]), -ECANCELED);
    for (int i = 0; i < 7; i++)
        CHECK_EQ(bide_accept(listener, &accepted[i]), 0);
    for (int i = 0; i < 7; i++) {
        CHECK_EQ(await(dialers[i]), 0);
        bide_close(accepted[i]);
    }
    CHECK_EQ(test_open_fds(), open);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a Unix server whose queue is full makes dialling wait, not fail.
 * Method: eight dials to a backlog of one; cancel one, accept the others.
 */
TEST(dial, full_unix_backlog_is_waited_for)
{
    CHECK_EQ(run(waits_for_backlog, NULL), 0);
}

static int is_interrupted(void *arg)
{
    static const char *const addresses[] = {"tcp://127.0.0.1:0", "unix:@bide-dial-interrupted"};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        bide_listener *listener;
        bide_stream *stream;
        char text[64], buf[8];

        CHECK_EQ(bide_listen(addresses[i], NULL, &listener), 0);
        CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
        task(ssize_t) echo = spawn(echoes_one, listener);
        bide__fault_fail(BIDE__CALL_CONNECT, 1, 3, -EINTR);
        with_timeout (BIDE_SEC(10)) {
            CHECK_EQ(bide_dial(text, &stream), 0);
            CHECK_EQ(bide_write(stream, "hello", 5), 5);
            CHECK_EQ(bide_read_exact(stream, buf, 5), 5);
        }
        bide_close(stream);
        CHECK_EQ(await(echo), 5);
        bide_listener_close(listener);
    }
    return 0;
}

/*
 * Goal:   an interrupted connect is asked again and not taken for a connection.
 * Method: the first three connects say -EINTR without having begun; then bytes go to and fro.
 */
TEST(dial, interrupted_connect_is_retried)
{
    CHECK_EQ(run(is_interrupted, NULL), 0);
}

static int names_are_short(void *arg)
{
    bide_stream *stream;
    int plain;
    char text[64];

    (void)arg;
    stream_and_socket(AF_UNIX, &stream, &plain);
    CHECK_EQ(bide_stream_local_address(stream, text, sizeof text), 0);
    CHECK_STR(text, "unix:");
    CHECK_EQ(bide_stream_peer_address(stream, text, 6), 0);
    for (size_t size = 0; size < 6; size++)
        CHECK_EQ(bide_stream_peer_address(stream, text, size), -ENOSPC);
    CHECK_STR(text, "unix:");
    bide_close(stream);
    close(plain);

    stream_and_socket(AF_INET, &stream, &plain);
    close(plain);
    bide_sleep(BIDE_MS(5));
    while (bide_write(stream, "x", 1) == 1)
        bide_sleep(BIDE_MS(1));
    CHECK_EQ(bide_stream_peer_address(stream, text, sizeof text), -ENOTCONN);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   unnamed sockets have a text; one that is too long for the buffer leaves it untouched; a
 *         peer that is gone has none.
 * Method: a socketpair with every size; a TCP connection after a reset.
 */
TEST(dial, addresses_of_unnamed_and_gone_peers)
{
    CHECK_EQ(run(names_are_short, NULL), 0);
}
