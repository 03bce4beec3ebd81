/* SPDX-License-Identifier: MIT */
/*
 * dial_names.c - dialling names that have several addresses: who is tried when, who wins, and what
 * is left of the others.
 *
 * The C library's resolver is the test's own (resolver_stub.h).
 */
#include <bide.h>

#include <bide/short.h>

#include <sys/syscall.h>

#include "base/fault.h"
#include "resolver_stub.h"
#include "sockets.h"

static char tried[64][64]; /* what was connected to, in order */
static int tried_count;
static int far_error = EHOSTUNREACH; /* of addresses that are not this machine's */

/* The C library's, but that it keeps a record, and that tests never leave the machine. */
int connect(int number, const struct sockaddr *address, socklen_t bytes)
{
    bide_address place;

    if (bide_address_from_sockaddr(address, bytes, &place) == 0 && tried_count < 64 &&
        place.bide__any.sa_family != AF_UNIX) {
        CHECK_EQ(bide_address_format(&place, NULL, tried[tried_count], 64), 0);
        *strrchr(tried[tried_count], ':') = '\0';
        if (strncmp(tried[tried_count], "127.", 4) != 0 &&
            strcmp(tried[tried_count], "[::1]") != 0) {
            tried_count++;
            errno = far_error;
            return -1;
        }
        tried_count++;
    }
    return (int)syscall(SYS_connect, number, address, bytes);
}

static void expect_tried(const char *const hosts[], int count)
{
    CHECK_EQ(tried_count, count);
    for (int i = 0; i < count; i++)
        CHECK_STR(tried[i], hosts[i]);
    tried_count = 0;
}

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    stub_drain();
    stub_expect_descriptors(before);
    return result;
}

/* A plain listening socket at a port, 0 for any; returns the port. */
static int listen_plain(const char *host, int *port, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t bytes = sizeof address;
    int number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    CHECK_EQ(setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    CHECK_EQ(inet_pton(AF_INET, host, &address.sin_addr), 1);
    CHECK_EQ(bind(number, (struct sockaddr *)&address, bytes), 0);
    CHECK_EQ(listen(number, backlog), 0);
    CHECK_EQ(getsockname(number, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return number;
}

/*
 * Hosts that never answer: their queues are full, so that the kernel drops further SYNs. All at one
 * port, of 127.1.0.1 and up.
 */
enum { SILENT_MOST = 20, FILLERS = 3 };

struct silent {
    int count;
    int port;
    int sockets[SILENT_MOST][1 + FILLERS];
};

static void silent_start(struct silent *silent, int count)
{
    *silent = (struct silent){.count = count};
    for (int i = 0; i < count; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(0x7f010001u + (unsigned)i)};
        char host[32];

        snprintf(host, sizeof host, "127.1.0.%d", 1 + i);
        silent->sockets[i][0] = listen_plain(host, &silent->port, 0);
        address.sin_port = htons((uint16_t)silent->port);
        for (int k = 1; k <= FILLERS; k++) {
            silent->sockets[i][k] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            connect(silent->sockets[i][k], (struct sockaddr *)&address, sizeof address);
        }
    }
}

static void silent_end(struct silent *silent)
{
    for (int i = 0; i < silent->count; i++)
        for (int k = 0; k <= FILLERS; k++)
            close(silent->sockets[i][k]);
}

/* A name that stands for these, and the text to dial it with. */
static void name_them(const char *name, int port, char text[64], const char *const hosts[])
{
    stub_names[0] = (struct stub_name){.name = name};
    for (int i = 0; hosts[i] != NULL; i++)
        stub_names[0].addresses[i] = hosts[i];
    snprintf(text, 64, "tcp://%s:%d", name, port);
}

static void expect_peer(bide_stream *stream, const char *host, int port)
{
    char peer[64], expected[64];

    snprintf(expected, sizeof expected, "tcp://%s:%d", host, port);
    CHECK_EQ(bide_stream_peer_address(stream, peer, sizeof peer), 0);
    CHECK_STR(peer, expected);
    bide_close(stream);
}

static int skips_refused(void *arg)
{
    static const char *const hosts[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", NULL};
    int port = 0, listener = listen_plain("127.0.0.4", &port, 64), open = test_open_fds();
    bide_stream *stream;
    char text[64];

    (void)arg;
    name_them("some.test", port, text, hosts);
    CHECK_EQ(bide_dial(text, &stream), 0);
    expect_peer(stream, "127.0.0.4", port);
    CHECK_EQ(bide__fault_count(BIDE__CALL_CONNECT), 3);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SOCKET), 3);
    CHECK(test_open_fds() <= open + 2); /* the loop's own, for posts from threads */
    close(listener);
    open = test_open_fds();
    CHECK_EQ(bide_dial(text, &stream), -ECONNREFUSED);
    CHECK_EQ(bide__fault_count(BIDE__CALL_CONNECT), 3 + 4);
    CHECK_EQ(test_open_fds(), open);
    CHECK_EQ(atomic_load(&stub_calls), 2);
    return 0;
}

/*
 * Goal:   addresses that refuse are passed over at once, in order, and nothing is tried after the
 *         one that answers.
 * Method: four addresses of a name, the third of them listens; then none does. Count the calls.
 */
TEST(dial_names, refused_addresses_are_passed_over)
{
    CHECK_EQ(run(skips_refused, NULL), 0);
}

static int waits_for_none(void *arg)
{
    static const char *const hosts[] = {"127.1.0.1", "127.1.0.2", "127.0.0.4", NULL};
    const bide_dial_options fast = {.attempt_delay_ns = 1},
                            patient = {.attempt_delay_ns = -1, .timeout_ns = BIDE_MS(50)};
    struct silent silent;
    int open, listener;
    bide_stream *stream = NULL;
    bide_time start;
    char text[64];

    (void)arg;
    silent_start(&silent, 2);
    listener = listen_plain("127.0.0.4", &silent.port, 64);
    name_them("some.test", silent.port, text, hosts);
    CHECK_EQ(bide_dial(text, &stream), 0); /* the pool's descriptors are there now */
    expect_peer(stream, "127.0.0.4", silent.port);
    open = test_open_fds();
    bide__fault_reset();
    start = bide_now();
    CHECK_EQ(bide_dial_with(text, &fast, &stream), 0);
    CHECK(bide_now() - start >= BIDE_MS(20)); /* twice the least delay */
    CHECK_EQ(test_open_fds(), open + 1);
    expect_peer(stream, "127.0.0.4", silent.port);
    CHECK_EQ(bide__fault_count(BIDE__CALL_CONNECT), 3);
    CHECK_EQ(bide__fault_count(BIDE__CALL_CLOSE), 3);

    stream = NULL;
    bide__fault_reset();
    CHECK_EQ(bide_dial_with(text, &patient, &stream), -ETIMEDOUT);
    CHECK_EQ(bide__fault_count(BIDE__CALL_CONNECT), 1);
    CHECK(stream == NULL);
    CHECK_EQ(test_open_fds(), open);
    close(listener);
    silent_end(&silent);
    return 0;
}

/*
 * Goal:   an address that does not answer is joined by the next after the delay, the first that is
 *         connected wins, and the losers are closed; a negative delay waits for the first.
 * Method: two addresses whose queues are full, and one that answers.
 */
TEST(dial_names, silent_addresses_are_overtaken)
{
    CHECK_EQ(run(waits_for_none, NULL), 0);
}

static int failure_starts_next(void *arg)
{
    static const char *const hosts[] = {"127.1.0.1", "127.0.0.3", "127.0.0.4", NULL};
    const bide_dial_options slow = {.attempt_delay_ns = BIDE_MS(100)};
    struct silent silent;
    bide_stream *stream;
    bide_stats before, after;
    int listener;
    char text[64];

    (void)arg;
    silent_start(&silent, 1);
    listener = listen_plain("127.0.0.4", &silent.port, 64);
    name_them("some.test", silent.port, text, hosts);
    bide_loop_stats(&before);
    CHECK_EQ(bide_dial_with(text, &slow, &stream), 0);
    bide_loop_stats(&after);
    expect_peer(stream, "127.0.0.4", silent.port);
    CHECK_EQ(bide__fault_count(BIDE__CALL_CONNECT), 3);
    CHECK_EQ(after.tasks_spawned, before.tasks_spawned); /* one task does it all */
    close(listener);
    silent_end(&silent);
    return 0;
}

/*
 * Goal:   while one attempt hangs, the failure of another starts the next at once.
 * Method: one address silent, one refuses, one answers.
 */
TEST(dial_names, failure_starts_the_next_at_once)
{
    CHECK_EQ(run(failure_starts_next, NULL), 0);
}

static int alternates(void *arg)
{
    static const char *const hosts[] = {"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1",
                                        "2001:db8::4", "192.0.2.2",   NULL};
    static const char *const order[] = {"[2001:db8::1]", "192.0.2.1",     "[2001:db8::2]",
                                        "192.0.2.2",     "[2001:db8::3]", "[2001:db8::4]"};
    static const char *const turned[] = {"192.0.2.1", "[2001:db8::1]", "192.0.2.2"};
    const bide_dial_options v4 = {.family = AF_INET}, odd = {.family = AF_UNIX};
    bide_stream *stream;
    char text[64];

    (void)arg;
    name_them("both.test", 9, text, hosts);
    CHECK_EQ(bide_dial(text, &stream), -EHOSTUNREACH);
    expect_tried(order, 6);
    CHECK_EQ(bide_dial_with(text, &v4, &stream), -EHOSTUNREACH);
    expect_tried((const char *const[]){"192.0.2.1", "192.0.2.2"}, 2);
    CHECK_EQ(bide_dial_with(text, &odd, &stream), -EAFNOSUPPORT);
    CHECK_EQ(
        bide_dial_with("tcp://127.0.0.1:80", &(bide_dial_options){.family = AF_INET6}, &stream),
        -ENODATA);
    stub_names[0] =
        (struct stub_name){"both.test", {"192.0.2.1", "192.0.2.2", "2001:db8::1"}, 0, 0};
    CHECK_EQ(bide_dial(text, &stream), -EHOSTUNREACH);
    expect_tried(turned, 3);
    return 0;
}

/*
 * Goal:   the families take turns, beginning with that of the first address (RFC 8305, section 4);
 *         one family alone can be asked for.
 * Method: keep a record of what is connected to; nothing answers.
 */
TEST(dial_names, families_take_turns)
{
    CHECK_EQ(run(alternates, NULL), 0);
}

static int tells_why(void *arg)
{
    static const struct {
        int first, second, expected;
    } errors[] = {
        {EHOSTUNREACH, EHOSTDOWN, -EHOSTUNREACH},    {ENETUNREACH, EHOSTUNREACH, -EHOSTUNREACH},
        {EAFNOSUPPORT, ECONNREFUSED, -ECONNREFUSED}, {EADDRNOTAVAIL, ENETUNREACH, -EADDRNOTAVAIL},
        {ECONNREFUSED, ENETUNREACH, -ECONNREFUSED},
    };
    bide_stream *stream = NULL;
    char text[64];

    (void)arg;
    name_them("two.test", 9, text, (const char *const[]){"2001:db8::1", "192.0.2.1", NULL});
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        far_error = errors[i].second;
        bide__fault_reset();
        bide__fault_fail(BIDE__CALL_CONNECT, 1, 1, -errors[i].first);
        CHECK_EQ(bide_dial(text, &stream), errors[i].expected);
        CHECK(stream == NULL);
    }
    stub_names[0] = (struct stub_name){"two.test", {NULL}, EAI_AGAIN, 0};
    CHECK_EQ(bide_dial(text, &stream), -EAGAIN);
    CHECK_EQ(bide_dial("tcp://nosuch.test:80", &stream), -ENOENT);
    CHECK_EQ(bide_dial("tcp://nosuch.test", &stream), -EINVAL);
    CHECK_EQ(bide_dial("tcp://no such.test:80", &stream), -EINVAL);
    return 0;
}

/*
 * Goal:   when all fail the first error counts, unless it only says that the machine has no way.
 * Method: two addresses, each failing in its own way; and names that are not known.
 */
TEST(dial_names, most_telling_error_counts)
{
    CHECK_EQ(run(tells_why, NULL), 0);
}

static async(int, dials, const char *, text, const bide_dial_options *, options)
{
    bide_stream *stream;
    int err = bide_dial_with(text, options, &stream);

    if (err == 0)
        bide_close(stream);
    return err;
}

static int gives_up(void *arg)
{
    const bide_dial_options fast = {.attempt_delay_ns = BIDE_MS(10)};
    struct silent silent;
    int open = 0;
    char text[64];

    (void)arg;
    silent_start(&silent, 4);
    name_them("some.test", silent.port, text,
              (const char *const[]){"127.1.0.1", "127.1.0.2", "127.1.0.3", "127.1.0.4", NULL});
    for (int attempts = 0; attempts <= 4; attempts++) {
        task(int) dialer;

        tried_count = 0;
        dialer = spawn(dials, text, &fast);
        while (tried_count < attempts)
            bide_sleep(BIDE_MS(1));
        cancel(dialer);
        CHECK_EQ(await(dialer), -ECANCELED);
        if (attempts == 0)
            bide_sleep(BIDE_MS(20)); /* the lookup comes back */
        if (attempts == 1)
            open = test_open_fds();
        CHECK(attempts < 2 || test_open_fds() == open);
    }
    for (int i = 0; i < 8; i++) { /* and after so many turns */
        task(int) dialer = spawn(dials, text, &fast);
        for (int turns = 0; turns < i; turns++)
            bide_yield();
        cancel(dialer);
        CHECK_EQ(await(dialer), -ECANCELED);
    }
    bide_sleep(BIDE_MS(5));
    CHECK_EQ(test_open_fds(), open);
    with_timeout (BIDE_MS(30))
        CHECK_EQ(dials(text, &fast), -ETIMEDOUT);
    CHECK_EQ(test_open_fds(), open);
    silent_end(&silent);
    return 0;
}

/*
 * Goal:   a cancel ends all attempts, however many are on their way, and leaves no descriptor.
 * Method: four silent addresses; cancel during the lookup, and with one to four attempts.
 */
TEST(dial_names, cancel_closes_every_attempt)
{
    CHECK_EQ(run(gives_up, NULL), 0);
}

static int loses_attempts(void *arg)
{
    const bide_dial_options fast = {.attempt_delay_ns = BIDE_MS(10)};
    struct silent silent;
    bide_stream *stream;
    int ends[2], lowest;
    char text[64];
    task(int) dialer;

    (void)arg;
    silent_start(&silent, 2);
    name_them("some.test", silent.port, text,
              (const char *const[]){"127.1.0.1", "127.1.0.2", NULL});
    CHECK_EQ(dials("tcp://nosuch.test:80", NULL), -ENOENT); /* the pool's descriptors are there */
    for (int reuse = 0; reuse < 2; reuse++) {
        lowest = dup(0);
        close(lowest);
        tried_count = 0;
        dialer = spawn(dials, text, &fast);
        while (tried_count < 2)
            bide_sleep(BIDE_MS(1));
        bide_sleep(BIDE_MS(1));
        CHECK_EQ(close(lowest), 0); /* the first attempt's */
        if (reuse) {
            CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
            CHECK_EQ(ends[0], lowest);
            stream = stream_of(ends[0]);
            bide_sleep(BIDE_MS(1));
            bide_close(stream);
            close(ends[1]);
        }
        CHECK(!is_done(dialer)); /* the second goes on */
        CHECK_EQ(close(lowest + 1), 0);
        CHECK_EQ(await(dialer), -EBADF); /* about a second later */
    }
    silent_end(&silent);
    return 0;
}

/*
 * Goal:   attempts whose descriptors somebody else closed fail, and what has their numbers then is
 *         left alone.
 * Method: close both behind its back; let a stream have the first one's number.
 */
TEST(dial_names, closed_behind_our_back_is_ebadf)
{
    CHECK_EQ(run(loses_attempts, NULL), 0);
}

static int many_silent(void *arg)
{
    const bide_dial_options fast = {.attempt_delay_ns = BIDE_MS(10)};
    static char hosts[SILENT_MOST][16];
    const char *list[SILENT_MOST + 1] = {NULL};
    struct silent silent;
    char text[64];
    int open;

    (void)arg;
    silent_start(&silent, SILENT_MOST);
    for (int i = 0; i < SILENT_MOST; i++) {
        snprintf(hosts[i], sizeof hosts[i], "127.1.0.%d", 1 + i);
        list[i] = hosts[i];
    }
    name_them("many.test", silent.port, text, list);
    CHECK_EQ(dials("tcp://nosuch.test:80", NULL), -ENOENT); /* the pool's descriptors are there */
    open = test_open_fds();
    tried_count = 0;
    task(int) dialer = spawn(dials, text, &fast);
    while (tried_count < 16)
        bide_sleep(BIDE_MS(1));
    bide_sleep(BIDE_MS(50));
    CHECK_EQ(tried_count, 16);
    CHECK_EQ(test_open_fds(), open + 16);
    cancel(dialer);
    CHECK_EQ(await(dialer), -ECANCELED);
    CHECK_EQ(test_open_fds(), open);
    silent_end(&silent);
    return 0;
}

/*
 * Goal:   no more than 16 attempts are on their way at once.
 * Method: twenty silent addresses.
 */
TEST(dial_names, attempts_are_bounded)
{
    CHECK_EQ(run(many_silent, NULL), 0);
}

static int every_call_fails(void *arg)
{
    static const enum bide__call calls[] = {BIDE__CALL_ALLOC, BIDE__CALL_SOCKET,
                                            BIDE__CALL_EPOLL_CTL, BIDE__CALL_CONNECT,
                                            BIDE__CALL_SOCKOPT};
    const bide_dial_options fast = {.attempt_delay_ns = BIDE_MS(10)};
    struct silent silent;
    int listener, open;
    bide_stream *stream;
    char text[64];

    (void)arg;
    silent_start(&silent, 1);
    listener = listen_plain("127.0.0.4", &silent.port, 64);
    name_them("some.test", silent.port, text,
              (const char *const[]){"127.1.0.1", "127.0.0.3", "127.0.0.4", NULL});
    CHECK_EQ(dials(text, &fast), 0);
    open = test_open_fds();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (uint64_t nth = 1; nth < 12; nth++) {
            int err = -1, accepted;

            bide__fault_reset();
            bide__fault_fail(calls[i], nth, 1, -ENOMEM);
            with_timeout (BIDE_MS(40))
                err = bide_dial_with(text, &fast, &stream);
            if (err == 0)
                bide_close(stream);
            /* With the one that answers lost, only the silent one is left to wait for. */
            CHECK(err == 0 || err == -ENOMEM || err == -ETIMEDOUT || err == -ECONNREFUSED);
            CHECK_EQ(test_open_fds(), open);
            accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (accepted >= 0)
                close(accepted);
        }
    }
    close(listener);
    silent_end(&silent);
    return 0;
}

/*
 * Goal:   whatever call fails on the way, the attempts go on or end, and no descriptor is left.
 * Method: each call that dialling makes, failing one time after the other.
 */
TEST(dial_names, every_call_may_fail)
{
    CHECK_EQ(run(every_call_fails, NULL), 0);
}
