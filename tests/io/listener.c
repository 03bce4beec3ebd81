/* SPDX-License-Identifier: MIT */
/*
 * listener.c - listening on every kind of address, and accepting through whatever happens.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "reports.h"
#include "sockets.h"
#include "test.h"

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    CHECK_EQ(test_open_fds(), before);
    return result;
}

/* A path of this process's own in the working directory, where sockets may be made. */
static const char *own_path(void)
{
    static char path[64];

    snprintf(path, sizeof path, "unix:bide-test-%d.sock", (int)getpid());
    unlink(path + 5);
    return path;
}

static async(int, accepts, bide_listener *, listener)
{
    bide_stream *stream;
    int err = bide_accept(listener, &stream);

    if (err == 0)
        bide_close(stream);
    return err;
}

/* Connect with a plain socket and accept it. */
static void meet(bide_listener *listener, const char *address)
{
    bide_stream *stream;
    int plain = plain_dial(address);

    CHECK(plain >= 0);
    CHECK_EQ(bide_accept(listener, &stream), 0);
    bide_close(stream);
    close(plain);
}

static int listens_everywhere(void *arg)
{
    static const struct {
        const char *address, *begins, *client;
    } kinds[] = {
        {"tcp://127.0.0.1:0", "tcp://127.0.0.1:", "tcp://127.0.0.1:%s"},
        {"tcp://localhost:0", "tcp://127.0.0.1:", "tcp://127.0.0.1:%s"},
        {"tcp://[::1]:0", "tcp://[::1]:", "tcp://[::1]:%s"},
        {"tcp://[::]:0", "tcp://[::]:", "tcp://127.0.0.1:%s"}, /* both families */
        {"tcp://[::]:0", "tcp://[::]:", "tcp://[::1]:%s"},
        {"tcp://:0", "tcp://[::]:", "tcp://127.0.0.1:%s"},
        {"tcp://0.0.0.0:0", "tcp://0.0.0.0:", "tcp://127.0.0.1:%s"},
    };

    (void)arg;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        bide_listener *listener;
        char text[64], client[80];

        CHECK_EQ(bide_listen(kinds[i].address, NULL, &listener), 0);
        CHECK_EQ(bide_listener_address(listener, text, 8), -ENOSPC);
        CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
        CHECK(strncmp(text, kinds[i].begins, strlen(kinds[i].begins)) == 0);
        CHECK(strcmp(strrchr(text, ':'), ":0") != 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(client, sizeof client, kinds[i].client, strrchr(text, ':') + 1);
#pragma GCC diagnostic pop
        meet(listener, client);
        bide_listener_close(listener);
        CHECK(plain_dial(client) < 0);
    }
    return 0;
}

/*
 * Goal:   each form of TCP address listens where it says, on a port that can be asked for, until
 *         closed.
 * Method: port 0, ask, connect, close, connect again.
 */
TEST(listener, listens_on_every_tcp_form)
{
    CHECK_EQ(run(listens_everywhere, NULL), 0);
}

static int keeps_families_apart(void *arg)
{
    const bide_listen_options options = {.v6_only = true};
    bide_listener *listener;
    char text[64], client[80];

    (void)arg;
    CHECK_EQ(bide_listen("tcp://[::]:0", &options, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    snprintf(client, sizeof client, "tcp://127.0.0.1:%s", strrchr(text, ':') + 1);
    CHECK(plain_dial(client) < 0);
    snprintf(client, sizeof client, "tcp://[::1]:%s", strrchr(text, ':') + 1);
    meet(listener, client);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   v6_only keeps IPv4 out.
 * Method: connect by both families.
 */
TEST(listener, v6_only_refuses_ipv4)
{
    CHECK_EQ(run(keeps_families_apart, NULL), 0);
}

static int shares_port(void *arg)
{
    const bide_listen_options options = {.reuse_port = true};
    bide_listener *one, *two, *three;
    char text[64];

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", &options, &one), 0);
    CHECK_EQ(bide_listener_address(one, text, sizeof text), 0);
    CHECK_EQ(bide_listen(text, &options, &two), 0);
    three = NULL;
    CHECK_EQ(bide_listen(text, NULL, &three), -EADDRINUSE);
    CHECK(three == NULL);
    bide_listener_close(one);
    meet(two, text);
    bide_listener_close(two);

    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &one), 0);
    CHECK_EQ(bide_listener_address(one, text, sizeof text), 0);
    CHECK_EQ(bide_listen(text, NULL, &two), -EADDRINUSE);
    bide_listener_close(one);
    CHECK_EQ(bide_listen(text, NULL, &two), 0); /* at once, whatever lingers */
    bide_listener_close(two);
    return 0;
}

/*
 * Goal:   a port is shared when both ask for it, taken otherwise, and free after closing.
 * Method: second listeners on the same port with and without reuse_port.
 */
TEST(listener, port_is_shared_only_on_demand)
{
    CHECK_EQ(run(shares_port, NULL), 0);
}

static int takes_over_path(void *arg)
{
    const char *address = own_path();
    bide_listener *listener, *second = NULL;
    struct stat status;
    char text[128];
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    (void)arg;
    strcpy(un.sun_path, address + 5);
    CHECK_EQ(bind(stale, (struct sockaddr *)&un, sizeof un), 0);
    close(stale);

    CHECK_EQ(bide_listen(address, NULL, &listener), 0); /* left behind: taken over */
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    CHECK_STR(text, address);
    CHECK_EQ(bide_listen(address, NULL, &second), -EADDRINUSE); /* served: not */
    meet(listener, address);
    meet(listener, address); /* the first was the question of the second listener */
    bide_listener_close(listener);
    CHECK(stat(address + 5, &status) < 0);
    CHECK_EQ(bide_listen(address, NULL, &listener), 0);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a dead server's path is taken over, a living one's is not, and closing removes it.
 * Method: bind and close a plain socket, listen there twice, close, listen again.
 */
TEST(listener, stale_path_is_taken_over)
{
    CHECK_EQ(run(takes_over_path, NULL), 0);
}

static int has_other_unix_names(void *arg)
{
    bide_listener *listener;
    char address[256] = "unix:", text[256];

    (void)arg;
    snprintf(address, sizeof address, "unix:@bide-test-%d", (int)getpid());
    CHECK_EQ(bide_listen(address, NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    CHECK_STR(text, address);
    meet(listener, address);
    bide_listener_close(listener);

    memset(address + 5, 'x', 200);
    address[5 + 108] = '\0';
    CHECK_EQ(bide_listen(address, NULL, &listener), -EINVAL);
    CHECK_EQ(bide_listen("unix:/no/such/directory/x", NULL, &listener), -ENOENT);
    CHECK_EQ(bide_listen("tcp://127.0.0.1", NULL, &listener), -EINVAL);
    CHECK_EQ(bide_listen("tcp://example.invalid:1", NULL, &listener), -ENOENT);
    bide__fault_fail(BIDE__CALL_BIND, 1, 1, -EADDRNOTAVAIL);
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), -EADDRNOTAVAIL);
    return 0;
}

/*
 * Goal:   abstract names work; paths that are too long or lie nowhere are told apart.
 * Method: one of each; foreign and unknown hosts too.
 */
TEST(listener, other_addresses_get_their_error)
{
    CHECK_EQ(run(has_other_unix_names, NULL), 0);
}

static int closes_under_accept(void *arg)
{
    bide_listener *listener;
    bide_stats before, after;
    bide_stream *stream;
    char text[64];

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    task(int) acceptor = spawn(accepts, listener);
    CHECK_EQ(bide_sleep(BIDE_MS(20)), 0);
    CHECK_EQ(bide_accept(listener, &stream), -EBUSY);
    bide_loop_stats(&before);
    bide_listener_close(listener);
    bide_listener_close(NULL);
    CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&after);
    CHECK(is_done(acceptor));
    CHECK_EQ(after.sleeps, before.sleeps);
    CHECK_EQ(await(acceptor), -EBADF);

    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    acceptor = spawn(accepts, listener);
    CHECK_EQ(bide_yield(), 0);
    cancel(acceptor);
    CHECK_EQ(await(acceptor), -ECANCELED);
    meet(listener, text);
    with_timeout (BIDE_MS(2))
        CHECK_EQ(bide_accept(listener, &stream), -ETIMEDOUT);
    meet(listener, text);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   closing wakes the accepting task with -EBADF in the same tick; a second one gets -EBUSY;
 *         a cancelled one loses no connection.
 * Method: park one, try another, close; park one, cancel it, connect.
 */
TEST(listener, close_and_cancel_wake_the_acceptor)
{
    CHECK_EQ(run(closes_under_accept, NULL), 0);
}

static int survives_accept_errors(void *arg)
{
    static const int errors[] = {ECONNABORTED, EPROTO, EINTR,       ENETDOWN,   EHOSTDOWN,
                                 EHOSTUNREACH, ENONET, ENETUNREACH, EOPNOTSUPP, EPERM,
                                 ENOPROTOOPT,  EMFILE, ENFILE,      ENOBUFS,    ENOMEM};
    bide_listener *listener;
    bide_stream *stream;
    char text[64];

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        int plain = plain_dial(text);
        bide__fault_fail(BIDE__CALL_ACCEPT, 1, 3, -errors[i]);
        with_timeout (BIDE_SEC(10))
            CHECK_EQ(bide_accept(listener, &stream), 0);
        bide_close(stream);
        close(plain);
    }
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   no error that accept reports about one connection, or for want of something, ends the
 *         listener.
 * Method: each three times in a row, with a connection waiting.
 */
TEST(listener, accept_errors_are_survived)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(survives_accept_errors, NULL, &options), 0);
    CHECK(reports_of(&seen, BIDE_REPORT_ACCEPT) >= 1);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_ACCEPT), seen.count);
}

static int closes_while_backing_off(void *arg)
{
    bide_listener *listener;
    bide_stats before, after;
    char text[64];
    int plain;

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    plain = plain_dial(text);
    bide__fault_fail(BIDE__CALL_ACCEPT, 1, 1000, -EMFILE);
    task(int) acceptor = spawn(accepts, listener);
    CHECK_EQ(bide_sleep(BIDE_MS(200)), 0);
    bide_loop_stats(&before);
    CHECK(before.accept_refused >= 3 && before.accept_refused <= 8);
    bide_listener_close(listener);
    CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&after);
    CHECK(is_done(acceptor));
    CHECK_EQ(after.sleeps, before.sleeps);
    CHECK_EQ(await(acceptor), -EBADF);
    bide__fault_reset();
    close(plain);
    return 0;
}

/*
 * Goal:   closing wakes an acceptor that backs off as it wakes any other.
 * Method: no descriptor for 200 ms, so that the pause is long; close; yield once.
 */
TEST(listener, close_wakes_an_acceptor_that_backs_off)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(closes_while_backing_off, NULL, &options), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_ACCEPT), 1);
}

/* Nobody connects: that must cost no accept, only so many times asking. */
static void accept_none(bide_listener *listener, uint64_t asked)
{
    bide_stream *stream;
    uint64_t accepts_before = bide__fault_count(BIDE__CALL_ACCEPT);
    uint64_t asked_before = bide__fault_count(BIDE__CALL_FILE);

    with_timeout (BIDE_MS(5))
        CHECK_EQ(bide_accept(listener, &stream), -ETIMEDOUT);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ACCEPT), accepts_before);
    CHECK_EQ(bide__fault_count(BIDE__CALL_FILE) - asked_before, asked);
}

static int accepts_what_is_there(void *arg)
{
    bide_listener *listener;
    bide_stream *stream;
    char text[64];
    int plain[8];

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    for (int i = 0; i < 8; i++)
        plain[i] = plain_dial(text);
    bide__fault_reset();
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(bide_accept(listener, &stream), 0);
        bide_close(stream);
        close(plain[i]);
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_ACCEPT), 8);
    CHECK_EQ(bide__fault_count(BIDE__CALL_FILE), 7);
    /* What the loop was told of them is old by then: it may have to find that out. */
    with_timeout (BIDE_MS(5))
        CHECK_EQ(bide_accept(listener, &stream), -ETIMEDOUT);
    accept_none(listener, 0);

    for (int i = 0; i < 8; i++) { /* one at a time */
        task(int) acceptor = spawn(accepts, listener);
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
        plain[0] = plain_dial(text);
        CHECK_EQ(await(acceptor), 0);
        accept_none(listener, 1);
        close(plain[0]);
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_ACCEPT), 16);

    meet(listener, text);
    bide__fault_fail(BIDE__CALL_FILE, 1, 1, -ENOMEM); /* no answer: then it tries */
    with_timeout (BIDE_MS(5))
        CHECK_EQ(bide_accept(listener, &stream), -ETIMEDOUT);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ACCEPT), 18);
    meet(listener, text);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a connection costs one accept; whether there is another is asked, not tried; nothing is
 *         lost when the question fails.
 * Method: eight at once, then one at a time; calls counted.
 */
TEST(listener, empty_queue_is_asked_not_accepted)
{
    CHECK_EQ(run(accepts_what_is_there, NULL), 0);
}

static int fills_backlog(void *arg)
{
    const bide_listen_options options = {.backlog = 2};
    const char *address = own_path();
    bide_listener *listener;
    bide_stream *stream;
    bide_address parsed[BIDE__ADDRESSES_MOST];
    int plain[8], queued = 0;

    (void)arg;
    CHECK_EQ(bide_listen(address, &options, &listener), 0);
    CHECK_EQ(bide__address_parse(address, "tcp", parsed), 1);
    for (int i = 0; i < 8; i++) {
        plain[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        queued += connect(plain[i], &parsed[0].bide__any, parsed[0].bide__bytes) == 0;
    }
    CHECK(queued >= 2 && queued <= 3); /* the kernel takes one more than it was told */
    for (int i = 0; i < queued; i++) {
        CHECK_EQ(bide_accept(listener, &stream), 0);
        bide_close(stream);
    }
    for (int i = 0; i < 8; i++)
        close(plain[i]);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   options.backlog is what the kernel queues.
 * Method: eight connects to a backlog of two that nobody accepts.
 */
TEST(listener, backlog_reaches_the_kernel)
{
    CHECK_EQ(run(fills_backlog, NULL), 0);
}

static int has_no_kernel(void *arg)
{
    bide_listener *listener = NULL;
    bide_stream *stream = NULL;

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), -EOPNOTSUPP);
    CHECK_EQ(bide_dial("tcp://127.0.0.1:1", &stream), -EOPNOTSUPP);
    CHECK_EQ(bide_wait_fd(0, BIDE_READ), -EOPNOTSUPP);
    CHECK(listener == NULL && stream == NULL);
    return 0;
}

/*
 * Goal:   on the virtual clock what needs the kernel says so.
 * Method: listen, dial and wait_fd.
 */
TEST(listener, virtual_clock_has_no_sockets)
{
    CHECK_EQ(bide_test_run(has_no_kernel, NULL, 0, NULL), 0);
}

enum { CLIENTS = 200 };

/* Connect all clients at once, then let each wait for its answer. In a process of its own. */
static int be_clients(const char *address)
{
    int plain[CLIENTS];
    char answer[8];

    for (int i = 0; i < CLIENTS; i++)
        if ((plain[i] = plain_dial(address)) < 0)
            return 1;
    for (int i = 0; i < CLIENTS; i++) {
        if (recv(plain[i], answer, sizeof answer, 0) != 2)
            return 2;
        close(plain[i]);
    }
    return 0;
}

static async(int, answers, bide_stream *, stream)
{
    bide_sleep(BIDE_MS(10));
    bide_write(stream, "ok", 2);
    bide_close(stream);
    return 0;
}

static int serves_with_few_descriptors(void *arg)
{
    bide_listener *listener;
    bide_stats stats;
    char text[64];
    pid_t child;
    int status;

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    child = fork();
    if (child == 0) {
        descriptor_limit(CLIENTS + 50);
        _exit(be_clients(text));
    }
    CHECK_EQ(descriptor_limit(64), 64);
    for (int served = 0; served < CLIENTS; served++) {
        bide_stream *stream;
        with_timeout (BIDE_SEC(20))
            CHECK_EQ(bide_accept(listener, &stream), 0);
        go(answers, stream);
    }
    while (waitpid(child, &status, WNOHANG) == 0)
        bide_sleep(BIDE_MS(5));
    CHECK_EQ(status, 0);
    bide_loop_stats(&stats);
    CHECK(stats.accept_refused >= 1);
    CHECK(stats.accept_refused <= 3 * CLIENTS); /* counted, not spun */
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a process that runs out of descriptors serves all its clients in the end, without
 *         spinning, and says so once.
 * Method: 64 descriptors, 200 clients from another process.
 */
TEST(listener, descriptor_limit_is_survived)
{
    if (TEST_UNDER_VALGRIND())
        SKIP("valgrind needs descriptors of its own, and has its own limit");
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(serves_with_few_descriptors, NULL, &options), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_ACCEPT), 1);
    CHECK_EQ(reports_get(&seen, BIDE_REPORT_ACCEPT, 0)->error, -EMFILE);
}
