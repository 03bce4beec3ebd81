/* SPDX-License-Identifier: MIT */
/*
 * datagram.c - datagram sockets: every kind of address, one datagram at a time, and what can
 * happen meanwhile.
 */
#include "datagrams.h"

#include <bide/testing.h>

#include <sys/time.h>

static const char *const pairs[] = {"udp://127.0.0.1:0", "udp://[::1]:0", "unix:"};
enum { PAIRS = 3 };

static async(ssize_t, receives, bide_datagram *, datagram)
{
    char buf[16];

    return bide_datagram_recv(datagram, buf, sizeof buf, NULL);
}

static int opens_everywhere(void *arg)
{
    static const struct {
        const char *addr, *begins, *to;
    } kinds[] = {
        {"udp://127.0.0.1:0", "udp://127.0.0.1:", "udp://127.0.0.1:%u"},
        {"udp://localhost:0", "udp://127.0.0.1:", "udp://127.0.0.1:%u"},
        {"udp://[::1]:0", "udp://[::1]:", "udp://[::1]:%u"},
        {"udp://[::]:0", "udp://[::]:", "udp://127.0.0.1:%u"},
        {"udp://:0", "udp://[::]:", "udp://[::1]:%u"},
        {NULL, "udp://[::]:", "udp://127.0.0.1:%u"},
        {"udp://0.0.0.0:0", "udp://0.0.0.0:", "udp://127.0.0.1:%u"},
    };

    (void)arg;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        bide_datagram *server = opened(kinds[i].addr, NULL), *client = opened(NULL, NULL);
        bide_address at = local_of(server), to, from, back;
        char text[64], buf[16];

        CHECK_EQ(bide_address_format(&at, "udp", text, sizeof text), 0);
        CHECK(strncmp(text, kinds[i].begins, strlen(kinds[i].begins)) == 0);
        CHECK(bide_address_port(&at) > 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, kinds[i].to, bide_address_port(&at));
#pragma GCC diagnostic pop
        CHECK_EQ(bide_address_parse(text, &to), 0);
        CHECK_EQ(bide_datagram_send(client, "ping", 4, &to), 4);
        CHECK_EQ(bide_datagram_recv(server, buf, sizeof buf, &from), 4);
        CHECK_EQ(bide_address_port(&from),
                 bide_address_port(&(bide_address[]){local_of(client)}[0]));
        CHECK_EQ(bide_datagram_send(server, "pong!", 5, &from), 5);
        CHECK_EQ(bide_datagram_recv(client, buf, sizeof buf, &back), 5);
        CHECK(bide_address_equal(&to, &back)); /* IPv4 stays IPv4 */
        CHECK_EQ(bide_datagram_connect(client, &to), 0);
        CHECK_EQ(bide_datagram_peer_address(server, &back), -ENOTCONN);
        CHECK_EQ(bide_datagram_peer_address(client, &back), 0);
        CHECK(bide_address_equal(&to, &back));
        CHECK_EQ(bide_datagram_send(client, "ping", 4, NULL), 4);
        CHECK_EQ(bide_datagram_recv(server, buf, sizeof buf, NULL), 4);
        bide_datagram_close(server);
        bide_datagram_close(client);
    }
    return 0;
}

/*
 * Goal:   each form of UDP address binds where it says; replies reach who asked; IPv4 peers of a
 *         socket of both families have IPv4 addresses.
 * Method: ask and answer by address, then connected.
 */
TEST(datagram, udp_opens_on_every_form)
{
    CHECK_EQ(run(opens_everywhere, NULL), 0);
}

static int has_unix_names(void *arg)
{
    char addr[64], text[128], buf[8];
    bide_datagram *server, *second = NULL, *client;
    bide_address at, from;
    struct stat status;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int plain = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)arg;
    snprintf(addr, sizeof addr, "unix:bide-test-%d.sock", (int)getpid());
    unlink(addr + 5);
    strcpy(un.sun_path, addr + 5);
    CHECK_EQ(bind(plain, (struct sockaddr *)&un, sizeof un), 0);
    CHECK_EQ(bide_datagram_open(addr, NULL, &second), -EADDRINUSE); /* served */
    close(plain);
    server = opened(addr, NULL); /* left behind: taken over */
    CHECK_EQ(bide_datagram_open(addr, NULL, &second), -EADDRINUSE);
    CHECK(second == NULL);
    at = local_of(server);
    CHECK_EQ(bide_address_format(&at, "udp", text, sizeof text), 0);
    CHECK_STR(text, addr);

    client = opened("unix:", NULL);
    CHECK_EQ(bide_datagram_send(client, "a", 1, &at), 1);
    CHECK_EQ(bide_datagram_recv(server, buf, sizeof buf, &from), 1);
    CHECK_EQ(bide_datagram_send(server, "bc", 2, &from), 2);
    CHECK_EQ(bide_datagram_recv(client, buf, sizeof buf, NULL), 2);

    plain = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(sendto(plain, "abc", 3, 0, (struct sockaddr *)&un, sizeof un), 3);
    CHECK_EQ(bide_datagram_recv(server, buf, sizeof buf, &from), 3);
    CHECK_EQ(bide_address_format(&from, "udp", text, sizeof text), 0);
    CHECK_STR(text, "unix:"); /* nobody to answer to */
    close(plain);

    bide_datagram_close(server);
    CHECK(stat(addr + 5, &status) < 0);
    CHECK_EQ(bide_datagram_send(client, "a", 1, &at), -ENOENT);
    CHECK_EQ(bide_datagram_send(client, "a", 1, NULL), -ENOTCONN);
    bide_datagram_close(client);

    server = opened(addr, NULL);
    CHECK_EQ(unlink(addr + 5), 0);
    second = opened(addr, NULL); /* somebody else's by now: stays */
    bide_datagram_close(server);
    CHECK_EQ(stat(addr + 5, &status), 0);
    bide_datagram_close(second);

    snprintf(addr, sizeof addr, "unix:@bide-test-%d", (int)getpid());
    server = opened(addr, NULL);
    at = local_of(server);
    CHECK_EQ(bide_address_format(&at, NULL, text, sizeof text), 0);
    CHECK_STR(text, addr);
    bide_datagram_close(server);
    return 0;
}

/*
 * Goal:   Unix names follow the rules of listeners: the dead are taken over, the living are not,
 *         our file is removed and nobody else's; a sender without a name is told as such.
 * Method: plain sockets as the dead, the living and the nameless.
 */
TEST(datagram, unix_names_follow_the_rules)
{
    CHECK_EQ(run(has_unix_names, NULL), 0);
}

static int keeps_whole(void *arg)
{
    bide_datagram *ends[2];
    bide_address at, from;
    char buf[8] = "........";

    datagram_pair(arg, ends);
    at = local_of(ends[0]);
    CHECK_EQ(bide_datagram_send(ends[0], "", 0, NULL), 0);
    CHECK_EQ(bide_datagram_recv(ends[1], buf, sizeof buf, NULL), 0);
    CHECK_EQ(bide_datagram_send(ends[0], NULL, 0, NULL), 0);
    CHECK_EQ(bide_datagram_recv(ends[1], NULL, 0, NULL), 0);
    CHECK_EQ(bide_datagram_send(ends[0], "0123456789", 10, NULL), 10);
    CHECK_EQ(bide_datagram_send(ends[0], "12345678", 8, NULL), 8);
    CHECK_EQ(bide_datagram_send(ends[0], "x", 1, NULL), 1);
    memset(&from, 0, sizeof from);
    CHECK_EQ(bide_datagram_recv(ends[1], buf, 4, &from), -EMSGSIZE);
    CHECK(memcmp(buf, "0123....", 8) == 0);
    CHECK(bide_address_equal(&from, &at));
    CHECK_EQ(bide_datagram_recv(ends[1], buf, 8, NULL), 8); /* fits to the byte */
    CHECK_EQ(bide_datagram_recv(ends[1], buf, 0, NULL), -EMSGSIZE);
    with_timeout (BIDE_MS(2))
        CHECK_EQ(bide_datagram_recv(ends[1], buf, 1, NULL), -ETIMEDOUT); /* the rest is gone */
    close_both(ends);
    return 0;
}

/*
 * Goal:   empty datagrams are datagrams; one that does not fit is taken, said and not cut silently.
 * Method: lengths around the buffer's, down to none.
 */
TEST(datagram, boundaries_are_kept)
{
    for (int i = 0; i < PAIRS; i++)
        CHECK_EQ(run(keeps_whole, (void *)pairs[i]), 0);
}

static int refuses(void *arg)
{
    bide_datagram *datagram = NULL, *socket = opened("udp://127.0.0.1:0", NULL);
    const bide_datagram_options negative[] = {{.receive_buffer_bytes = -1},
                                              {.send_buffer_bytes = -1}};
    const bide_address none = {.bide__bytes = 0};
    bide_address at = local_of(socket), v6;
    static char large[65536];
    char text[64];

    (void)arg;
    CHECK_EQ(bide_datagram_open("udp://127.0.0.1", NULL, &datagram), -EINVAL);
    CHECK_EQ(bide_datagram_open("tcp://127.0.0.1:0", NULL, &datagram), -EINVAL);
    CHECK_EQ(bide_datagram_open("udp://example.invalid:0", NULL, &datagram), -ENOENT);
    CHECK_EQ(bide_datagram_open("unix:/no/such/directory/x", NULL, &datagram), -ENOENT);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(bide_datagram_open("udp://127.0.0.1:0", &negative[i], &datagram), -EINVAL);
    CHECK_EQ(bide_address_format(&at, "udp", text, sizeof text), 0);
    CHECK_EQ(bide_datagram_open(text, NULL, &datagram), -EADDRINUSE);
    CHECK(datagram == NULL);

    CHECK_EQ(bide_datagram_connect(socket, &none), -EINVAL);
    CHECK_EQ(bide_datagram_send(socket, "a", 1, NULL), -EDESTADDRREQ);
    CHECK_EQ(bide_datagram_send(socket, "a", 1, &none), -EDESTADDRREQ);
    CHECK_EQ(bide_datagram_send(socket, large, sizeof large, &at), -EMSGSIZE);
    CHECK_EQ(bide_address_parse("udp://[::1]:9", &v6), 0);
    CHECK_EQ(bide_datagram_send(socket, "a", 1, &v6), -EAFNOSUPPORT);
    CHECK_EQ(bide_address_parse("udp://255.255.255.255:9", &v6), 0);
    CHECK_EQ(bide_datagram_send(socket, "a", 1, &v6), -EACCES); /* options.broadcast */
    bide__fault_fail(BIDE__CALL_SEND, 1, 1, -ENOBUFS);
    CHECK_EQ(bide_datagram_send(socket, "a", 1, &at), -ENOBUFS);
    drain(socket, 0);
    bide_datagram_close(socket);
    bide_datagram_close(NULL);
    return 0;
}

/*
 * Goal:   each documented error of opening, connecting and sending comes, and nothing was done.
 * Method: provoke one after the other.
 */
TEST(datagram, errors_are_told)
{
    CHECK_EQ(run(refuses, NULL), 0);
}

static int shares_port(void *arg)
{
    static const bide_datagram_options kinds[] = {{.reuse_port = true}, {.reuse_address = true}};
    const bide_datagram_options v6_only = {.v6_only = true};
    bide_datagram *one, *two;
    bide_address at, to;
    char text[64];

    (void)arg;
    for (int i = 0; i < 2; i++) {
        one = opened("udp://127.0.0.1:0", &kinds[i]);
        at = local_of(one);
        bide_address_format(&at, "udp", text, sizeof text);
        CHECK_EQ(bide_datagram_open(text, NULL, &two), -EADDRINUSE);
        two = opened(text, &kinds[i]);
        bide_datagram_close(one);
        bide_datagram_close(two);
    }
    one = opened("udp://[::]:0", &v6_only);
    at = local_of(one);
    snprintf(text, sizeof text, "udp://127.0.0.1:%u", bide_address_port(&at));
    CHECK_EQ(bide_address_parse(text, &to), 0);
    CHECK_EQ(bide_datagram_connect(one, &to), -EAFNOSUPPORT);
    two = opened(text, NULL); /* not taken by the first */
    bide_datagram_close(one);
    bide_datagram_close(two);
    return 0;
}

static int option_of(bide_datagram *datagram, int option)
{
    int value = -1;
    socklen_t bytes = sizeof value;

    CHECK_EQ(getsockopt(bide_datagram_fd(datagram), SOL_SOCKET, option, &value, &bytes), 0);
    return value;
}

static int sets_options(void *arg)
{
    const bide_datagram_options options = {
        .broadcast = true, .receive_buffer_bytes = 9000, .send_buffer_bytes = 11000};
    const char *const addrs[] = {"udp://127.0.0.1:0", "unix:"};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        bide_datagram *datagram = opened(addrs[i], &options);
        CHECK_EQ(option_of(datagram, SO_RCVBUF), 18000); /* doubled, socket(7) */
        CHECK_EQ(option_of(datagram, SO_SNDBUF), 22000);
        CHECK_EQ(option_of(datagram, SO_BROADCAST), i == 0);
        bide_datagram_close(datagram);
    }
    return 0;
}

/*
 * Goal:   options do what they say.
 * Method: second sockets on the same port; the others are read back from the kernel.
 */
TEST(datagram, options_reach_the_kernel)
{
    CHECK_EQ(run(shares_port, NULL), 0);
    CHECK_EQ(run(sets_options, NULL), 0);
}

static int is_refused(void *arg)
{
    bide_datagram *client = opened(NULL, NULL), *server = opened(arg, NULL);
    bide_address at = local_of(server);
    char buf[8];

    CHECK_EQ(bide_datagram_connect(client, &at), 0);
    bide_datagram_close(server);
    CHECK_EQ(bide_datagram_send(client, "a", 1, NULL), 1);
    CHECK_EQ(bide_datagram_recv(client, buf, 1, NULL), -ECONNREFUSED);
    with_timeout (BIDE_MS(2))
        CHECK_EQ(bide_datagram_recv(client, buf, 1, NULL), -ETIMEDOUT); /* once */
    task(ssize_t) reader = spawn(receives, client);
    CHECK_EQ(bide_sleep(BIDE_MS(2)), 0);
    CHECK_EQ(bide_datagram_send(client, "a", 1, NULL), 1);
    CHECK_EQ(await(reader), -ECONNREFUSED); /* wakes who waits */
    CHECK_EQ(bide_datagram_send(client, "a", 1, NULL), 1);
    CHECK_EQ(poll(&(struct pollfd){.fd = bide_datagram_fd(client)}, 1, 10000), 1); /* POLLERR */
    CHECK_EQ(bide_datagram_send(client, "a", 1, NULL), -ECONNREFUSED);
    CHECK_EQ(bide_datagram_send(client, "a", 1, NULL), 1); /* the refused one was not sent */
    bide_datagram_close(client);
    return 0;
}

/*
 * Goal:   an ICMP error of a connected socket is one call's error, once, and wakes a receiver; the
 *         socket lives on.
 * Method: a server that is gone, on loopback.
 */
TEST(datagram, refusal_is_told_once)
{
    CHECK_EQ(run(is_refused, "udp://127.0.0.1:0"), 0);
    CHECK_EQ(run(is_refused, "udp://[::1]:0"), 0);
}

static int opens_with_failures(void *arg)
{
    const bide_datagram_options options = {.reuse_address = true,
                                           .reuse_port = true,
                                           .broadcast = true,
                                           .receive_buffer_bytes = 9000,
                                           .send_buffer_bytes = 9000};
    static const struct {
        enum bide__call call;
        int error;
    } faults[] = {
        {BIDE__CALL_ALLOC, -ENOMEM},     {BIDE__CALL_SOCKET, -EMFILE},
        {BIDE__CALL_BIND, -EADDRINUSE},  {BIDE__CALL_SOCKOPT, -ENOMEM},
        {BIDE__CALL_EPOLL_CTL, -ENOSPC},
    };
    const char *addr = arg;
    struct stat status;

    bide_datagram_close(opened("unix:", NULL)); /* the table of descriptors is there */
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        for (uint64_t nth = 1;; nth++) {
            bide_datagram *datagram = NULL;
            int before = test_open_fds(), err;
            bide__fault_reset();
            bide__fault_fail(faults[i].call, nth, 1, faults[i].error);
            err = bide_datagram_open(addr, &options, &datagram);
            bool has_fired = bide__fault_count(faults[i].call) >= nth;
            bide__fault_reset();
            CHECK(has_fired || err == 0);
            CHECK((err == 0) == (datagram != NULL));
            CHECK(err == 0 || err == faults[i].error);
            bide_datagram_close(datagram);
            CHECK_EQ(test_open_fds(), before);
            CHECK(addr[0] != 'u' || addr[1] != 'n' || lstat(addr + 5, &status) < 0);
            if (!has_fired)
                break;
        }
    }
    return 0;
}

/*
 * Goal:   a failure anywhere in opening leaves no descriptor, no file and no memory.
 * Method: every allocation and system call in turn, until none is left to fail.
 */
TEST(datagram, every_failure_in_opening_cleans_up)
{
    char addr[64];

    CHECK_EQ(run(opens_with_failures, "udp://127.0.0.1:0"), 0);
    CHECK_EQ(run(opens_with_failures, "udp://[::1]:0"), 0);
    snprintf(addr, sizeof addr, "unix:bide-test-%d.sock", (int)getpid());
    unlink(addr + 5);
    CHECK_EQ(run(opens_with_failures, addr), 0);
}

static int answers(void *arg)
{
    bide_datagram *ends[2];
    char buf[8];

    (void)arg;
    datagram_pair("udp://127.0.0.1:0", ends);
    bide__fault_reset();
    for (int i = 0; i < 100; i++) {
        task(ssize_t) reader = spawn(receives, ends[1]);
        CHECK_EQ(bide_yield(), 0);
        CHECK_EQ(bide_datagram_send(ends[0], "abc", 3, NULL), 3);
        CHECK_EQ(await(reader), 3);
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_CTL), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SEND), 100);
    CHECK(bide__fault_count(BIDE__CALL_RECV) <= 200);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), 0);
    with_timeout (BIDE_MS(1))
        CHECK_EQ(bide_datagram_recv(ends[1], buf, 1, NULL), -ETIMEDOUT);
    close_both(ends);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_CTL), 2);
    return 0;
}

/*
 * Goal:   a datagram costs a call to send, at most two to receive, no registration and no memory.
 * Method: a hundred of them, counted.
 */
TEST(datagram, costs_no_more_calls_than_it_must)
{
    CHECK_EQ(run(answers, NULL), 0);
}

static int has_no_kernel(void *arg)
{
    bide_datagram *datagram = NULL;

    (void)arg;
    CHECK_EQ(bide_datagram_open(NULL, NULL, &datagram), -EOPNOTSUPP);
    CHECK(datagram == NULL);
    return 0;
}

/*
 * Goal:   on the virtual clock there are no sockets.
 * Method: open one.
 */
TEST(datagram, virtual_clock_has_no_datagrams)
{
    CHECK_EQ(bide_test_run(has_no_kernel, NULL, 0, NULL), 0);
}
