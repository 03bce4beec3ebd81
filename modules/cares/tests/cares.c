/* SPDX-License-Identifier: MIT */
/*
 * cares.c - names through c-ares, from a server that is the test's own, and mostly hostile.
 */
#include <bide.h>

#include <bide/short.h>

#include <arpa/inet.h>
#include <bide/cares.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "test.h"

enum { PACKET = 1500, RR_A = 1, RR_CNAME = 5, RR_AAAA = 28, EVIL = 66, GOOD = 5 };

struct server {
    int udp;
    int elsewhere; /* another socket, from which no answer may come */
    bide_listener *tcp;
    char text[64];
    int queries;     /* by UDP */
    int tcp_queries; /* by TCP */
};

/* A packet that is being written. */
struct packet {
    unsigned char bytes[PACKET];
    size_t length;
};

static void put16(struct packet *packet, int value)
{
    packet->bytes[packet->length++] = (unsigned char)(value >> 8);
    packet->bytes[packet->length++] = (unsigned char)value;
}

/* Where the question ends: its name, type and class. */
static size_t question_end(const unsigned char *query, size_t length)
{
    size_t at = 12;

    while (at < length && query[at] != 0)
        at += query[at] + 1u;
    return at + 5;
}

/* Start an answer to a query: header with a return code, and the question. */
static void begin(struct packet *packet, const unsigned char *query, size_t length, int rcode)
{
    packet->length = question_end(query, length);
    CHECK(packet->length <= length && length < PACKET / 2);
    memcpy(packet->bytes, query, packet->length);
    packet->bytes[2] = 0x81; /* an answer; recursion was desired */
    packet->bytes[3] = (unsigned char)(0x80 | rcode);
    memset(packet->bytes + 6, 0, 6);
    packet->bytes[5] = 1;
}

/* Add an address whose last byte says who gave it. */
static void add_address(struct packet *packet, int type, int last, int name_at)
{
    static const unsigned char v4[] = {192, 0, 2, 0};
    static const unsigned char v6[] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    size_t bytes = type == RR_A ? 4 : 16;

    put16(packet, 0xc000 | name_at);
    put16(packet, type);
    put16(packet, 1);
    put16(packet, 0);
    put16(packet, 60); /* seconds to live */
    put16(packet, (int)bytes);
    memcpy(packet->bytes + packet->length, type == RR_A ? v4 : v6, bytes);
    packet->length += bytes;
    packet->bytes[packet->length - 1] = (unsigned char)last;
    packet->bytes[7]++;
}

static void add_alias(struct packet *packet)
{
    static const char name[] = "\4real\4test";

    put16(packet, 0xc00c);
    put16(packet, RR_CNAME);
    put16(packet, 1);
    put16(packet, 0);
    put16(packet, 30);
    put16(packet, sizeof name);
    memcpy(packet->bytes + packet->length, name, sizeof name);
    packet->length += sizeof name;
    packet->bytes[7]++;
}

/* The answer to a query whose first label says what to do; 0 bytes for none. */
static void answer(struct packet *packet, const unsigned char *query, size_t length, bool by_tcp)
{
    const char *label = (const char *)query + 13;
    int type = query[question_end(query, length) - 3];
    int name_at = 12;

    begin(packet, query, length, 0);
    if (strncmp(label, "nx", 2) == 0)
        begin(packet, query, length, 3);
    else if (strncmp(label, "fail", 4) == 0)
        begin(packet, query, length, 2);
    else if (strncmp(label, "refused", 7) == 0)
        begin(packet, query, length, 5);
    else if (strncmp(label, "silent", 6) == 0)
        packet->length = 0;
    else if (strncmp(label, "trunc", 5) == 0 && !by_tcp)
        packet->bytes[2] |= 2;
    else if (strncmp(label, "liar", 4) == 0)
        packet->bytes[7] = 50; /* answers, it says */
    else if (strncmp(label, "junk", 4) == 0)
        memset(packet->bytes + 2, 0xff, packet->length - 2);
    else if (strncmp(label, "empty", 5) != 0 && (type == RR_A || strncmp(label, "both", 4) == 0)) {
        if (strncmp(label, "alias", 5) == 0) {
            add_alias(packet);
            name_at = (int)question_end(query, length) + 12;
        }
        add_address(packet, type, GOOD, name_at);
    }
}

/* Before the real answer, some that must not be believed. */
static void attack(const struct server *server, const unsigned char *query, size_t length,
                   const struct sockaddr_in *from)
{
    const char *label = (const char *)query + 13;
    struct packet packet;
    int number = server->udp;

    begin(&packet, query, length, 0);
    add_address(&packet, query[question_end(query, length) - 3], EVIL, 12);
    if (strncmp(label, "wrongid", 7) == 0)
        packet.bytes[1] ^= 1;
    else if (strncmp(label, "wrongname", 9) == 0)
        packet.bytes[14] ^= 1;
    else if (strncmp(label, "elsewhere", 9) == 0)
        number = server->elsewhere;
    else if (strncmp(label, "garbage", 7) == 0)
        memset(packet.bytes, 0xc0, packet.length);
    else if (strncmp(label, "short", 5) == 0)
        packet.length = 5;
    else
        return;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(sendto(number, packet.bytes, packet.length, 0, (const struct sockaddr *)from,
                        sizeof *from),
                 packet.length);
}

static async(int, serves_udp, struct server *, server)
{
    unsigned char query[PACKET];
    struct packet packet;

    for (;;) {
        struct sockaddr_in from;
        socklen_t bytes = sizeof from;
        ssize_t got;
        int err = bide_wait_fd(server->udp, BIDE_READ);

        if (err < 0)
            return 0;
        got = recvfrom(server->udp, query, sizeof query, MSG_DONTWAIT, (struct sockaddr *)&from,
                       &bytes);
        if (got < 17)
            continue;
        server->queries++;
        attack(server, query, (size_t)got, &from);
        answer(&packet, query, (size_t)got, false);
        if (packet.length > 0)
            CHECK_EQ(sendto(server->udp, packet.bytes, packet.length, 0, (struct sockaddr *)&from,
                            bytes),
                     packet.length);
    }
}

static int serves_tcp(bide_stream *stream, void *arg)
{
    struct server *server = arg;
    unsigned char query[PACKET], size[2];
    struct packet packet;

    while (bide_read_exact(stream, size, 2) == 2) {
        size_t bytes = (size_t)size[0] << 8 | size[1];

        if (bytes < 17 || bytes > PACKET / 2 ||
            bide_read_exact(stream, query, bytes) != (ssize_t)bytes)
            return 0;
        server->tcp_queries++;
        if (strncmp((const char *)query + 13, "truncate_and_go", 15) == 0)
            return 0;
        answer(&packet, query, bytes, true);
        size[0] = (unsigned char)(packet.length >> 8);
        size[1] = (unsigned char)packet.length;
        if (bide_write(stream, size, 2) < 0 || bide_write(stream, packet.bytes, packet.length) < 0)
            return 0;
    }
    return 0;
}

static async(int, serves_streams, struct server *, server)
{
    bide_serve(server->tcp, serves_tcp, server);
    return 0;
}

static void server_start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    char text[64];

    memset(server, 0, sizeof *server);
    server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    server->elsewhere = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* A port that is free for both. */
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", &(bide_listen_options){.grace_ns = -1}, &server->tcp),
             0);
    CHECK_EQ(bide_listener_address(server->tcp, text, sizeof text), 0);
    address.sin_port = htons((uint16_t)atoi(strrchr(text, ':') + 1));
    CHECK_EQ(bind(server->udp, (struct sockaddr *)&address, bytes), 0);
    snprintf(server->text, sizeof server->text, "%s", text + strlen("tcp://"));
    go(serves_udp, server);
    go(serves_streams, server);
}

static void server_end(struct server *server)
{
    bide_listener_close(server->tcp);
    close(server->udp);
    close(server->elsewhere);
}

static void use(const struct server *server, unsigned tries, bide_time timeout)
{
    const bide_cares_options options = {
        .servers = server->text, .timeout_ns = timeout, .tries = tries, .dns_only = true};

    CHECK_EQ(bide_cares_start(&options), 0);
}

/* The address must be the real server's. */
static int ask(const char *host, bide_addresses **out)
{
    const bide_lookup_options options = {.family = AF_INET, .canonical = true};
    bide_addresses *found;
    int err = bide_getaddrinfo(host, "80", &options, &found);
    char text[64];

    if (err < 0)
        return err;
    CHECK_EQ(found->count, 1);
    CHECK_EQ(bide_address_format(&found->at[0], NULL, text, sizeof text), 0);
    CHECK_STR(text, "192.0.2.5:80");
    if (out != NULL)
        *out = found;
    else
        bide_addresses_free(found);
    return 0;
}

static int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    /* The last thread of a loop closes what the loop was woken with. */
    for (int i = 0; i < 5000 && test_open_fds() != before; i++)
        usleep(1000);
    CHECK_EQ(test_open_fds(), before);
    return result;
}

static int finds(void *arg)
{
    struct server server;
    bide_addresses *found;

    (void)arg;
    server_start(&server);
    use(&server, 1, BIDE_SEC(30));
    CHECK_EQ(ask("good.test.", &found), 0);
    CHECK_EQ(found->ttl_ns, BIDE_SEC(60));
    bide_addresses_free(found);
    CHECK_EQ(ask("alias.test.", &found), 0);
    CHECK_STR(found->canonical_name, "real.test");
    CHECK_EQ(found->ttl_ns, BIDE_SEC(30));
    bide_addresses_free(found);
    CHECK_EQ(bide_getaddrinfo("both.test.", NULL, NULL, &found), 0);
    CHECK_EQ(found->count, 2);
    bide_addresses_free(found);
    CHECK_EQ(ask("nx.test.", NULL), -ENOENT);
    CHECK_EQ(ask("empty.test.", NULL), -ENODATA);
    CHECK_EQ(ask("fail.test.", NULL), -EAGAIN);
    CHECK_EQ(ask("refused.test.", NULL), -EAGAIN);
    CHECK_EQ(ask("x.invalid", NULL), -ENOENT);
    CHECK_EQ(bide_getaddrinfo("localhost", "80", NULL, &found), 0);
    bide_addresses_free(found);
    /* A service's name is the C library's to know, as far as it knows any. */
    CHECK(bide_getaddrinfo("good.test.", "no-such-service", NULL, &found) < 0);
    server_end(&server);
    return 0;
}

/*
 * Goal:   answers, aliases, times to live and refusals of a server reach whoever asked.
 * Method: a server on loopback with a name for each.
 */
TEST(cares, answers_are_the_servers)
{
    CHECK_EQ(run(finds, NULL), 0);
}

static int is_attacked(void *arg)
{
    static const char *const names[] = {"wrongid.test.", "wrongname.test.", "elsewhere.test.",
                                        "garbage.test.", "short.test."};
    struct server server;

    (void)arg;
    server_start(&server);
    use(&server, 2, BIDE_SEC(30));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        CHECK_EQ(ask(names[i], NULL), 0);
    server_end(&server);
    return 0;
}

/*
 * Goal:   answers with a wrong id, another question, from another place or without sense are not
 *         believed, and do not keep the right one from coming.
 * Method: three of each ahead of the right one.
 */
TEST(cares, spoofed_answers_are_not_believed)
{
    CHECK_EQ(run(is_attacked, NULL), 0);
}

static int is_truncated(void *arg)
{
    struct server server;

    (void)arg;
    server_start(&server);
    use(&server, 2, BIDE_SEC(30));
    CHECK_EQ(ask("trunc.test.", NULL), 0);
    CHECK_EQ(server.queries, 1);
    CHECK_EQ(server.tcp_queries, 1);
    server_end(&server);
    return 0;
}

/*
 * Goal:   an answer that is cut off is asked for again by TCP.
 * Method: a name that is cut off by UDP alone.
 */
TEST(cares, truncated_answers_come_by_tcp)
{
    CHECK_EQ(run(is_truncated, NULL), 0);
}

static int is_silent(void *arg)
{
    struct server server;

    (void)arg;
    server_start(&server);
    use(&server, 2, BIDE_MS(20));
    CHECK_EQ(ask("silent.test.", NULL), -EAGAIN);
    CHECK_EQ(server.queries, 2); /* tries */
    CHECK_EQ(ask("junk.test.", NULL) < 0, 1);
    CHECK(ask("liar.test.", NULL) < 0);
    CHECK(ask("truncate_and_go.test.", NULL) < 0);
    CHECK(server.tcp_queries > 0);
    use(&server, 2, BIDE_SEC(30));
    with_timeout (BIDE_MS(20))
        CHECK_EQ(ask("silent.test.", NULL), -ETIMEDOUT);
    server_end(&server);
    return 0;
}

/*
 * Goal:   a server that says nothing, or nonsense, ends in an error: by its own time limit and
 *         tries, or by the scope's.
 * Method: names that are never answered properly, one of them by TCP; count what the server was
 *         asked.
 */
TEST(cares, silence_and_nonsense_end)
{
    CHECK_EQ(run(is_silent, NULL), 0);
}

static async(int, asks, const char *, host)
{
    return ask(host, NULL);
}

static int asks_many(void *arg)
{
    bide_task(int) tasks[50];
    struct server server;
    int open;

    (void)arg;
    server_start(&server);
    use(&server, 1, BIDE_SEC(30));
    open = test_open_fds();
    for (int turns = 0; turns < 8; turns++) {
        task(int) one = spawn(asks, "silent.test.");
        for (int i = 0; i < turns; i++)
            bide_yield();
        cancel(one);
        CHECK_EQ(await(one), -ECANCELED);
        CHECK_EQ(test_open_fds(), open);
    }
    for (int i = 0; i < 50; i++)
        tasks[i] = spawn(asks, i % 2 ? "good.test." : "silent.test.");
    for (int i = 1; i < 50; i += 2)
        CHECK_EQ(await(tasks[i]), 0);
    for (int i = 0; i < 50; i += 2) {
        CHECK(!is_done(tasks[i]));
        cancel(tasks[i]);
        CHECK_EQ(await(tasks[i]), -ECANCELED);
    }
    CHECK_EQ(test_open_fds(), open);
    CHECK_EQ(bide__fault_count(BIDE__CALL_THREAD), 0);
    go(asks, "silent.test."); /* the loop's end cancels it */
    bide_sleep(BIDE_MS(5));
    server_end(&server);
    return 0;
}

/*
 * Goal:   many lookups go on at once without a thread, and can be cancelled at any point, which
 *         leaves no descriptor.
 * Method: cancel one after 0 to 7 turns; fifty at once, half of them never answered.
 */
TEST(cares, lookups_go_on_at_once_and_can_be_cancelled)
{
    CHECK_EQ(run(asks_many, NULL), 0);
}

static int starts_badly(void *arg)
{
    bide_cares_options options = {.servers = "not a server"};

    (void)arg;
    CHECK_EQ(bide_cares_start(&options), -EINVAL);
    options.servers = "127.0.0.1";
    options.timeout_ns = -1;
    CHECK_EQ(bide_cares_start(&options), -EINVAL);
    CHECK_EQ(bide_cares_start(NULL), 0);
    bide__fault_fail(BIDE__CALL_EPOLL_CTL, 1, 1, -ENOSPC);
    CHECK_EQ(ask("good.test.", NULL), -ENOSPC);
    return 0;
}

/*
 * Goal:   choices that make no sense are refused; a kernel that takes no more ends a lookup.
 * Method: bad servers, a negative time; an epoll that is full.
 */
TEST(cares, bad_choices_are_refused)
{
    CHECK_EQ(run(starts_badly, NULL), 0);
}

static int remembers(void *arg)
{
    const bide_names_cache_options cache = {.ttl_ns = BIDE_SEC(3600)};
    struct server server;
    bide_stream *stream;

    (void)arg;
    server_start(&server);
    use(&server, 1, BIDE_SEC(30));
    CHECK_EQ(bide_names_cache(&cache), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(ask("good.test.", NULL), 0);
    CHECK_EQ(server.queries, 1);
    CHECK_EQ(bide_dial("tcp://nx.test.:80", &stream), -ENOENT);
    CHECK_EQ(bide_dial("tcp://empty.test.:80", &stream), -ENODATA);
    server_end(&server);
    return 0;
}

/*
 * Goal:   dialling asks c-ares, and what it found can be remembered.
 * Method: count what the server was asked.
 */
TEST(cares, dial_and_cache_use_it)
{
    CHECK_EQ(run(remembers, NULL), 0);
}
