/* SPDX-License-Identifier: MIT */
/*
 * name_info.c - what addresses are called; and the C library's own resolver, as it is here.
 *
 * getnameinfo is the test's own but for numbers; getaddrinfo is the machine's.
 */
#include <bide.h>

#include <bide/short.h>

#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "test.h"

static atomic_int calls;
static atomic_bool is_open;

/* Port 1 is not answered before is_open; port 2 has no name; port 3 fails. */
int getnameinfo(const struct sockaddr *restrict address, socklen_t bytes, char *restrict host,
                socklen_t host_bytes, char *restrict service, socklen_t service_bytes, int flags)
{
    struct sockaddr_in v4;

    if (address->sa_family != AF_INET || bytes != sizeof v4)
        return EAI_FAMILY;
    memcpy(&v4, address, sizeof v4);
    if ((flags & (NI_NUMERICHOST | NI_NUMERICSERV)) == 0)
        atomic_fetch_add(&calls, 1);
    while (ntohs(v4.sin_port) == 1 && !atomic_load(&is_open))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (ntohs(v4.sin_port) == 2 && (flags & NI_NAMEREQD))
        return EAI_NONAME;
    if (ntohs(v4.sin_port) == 3)
        return EAI_AGAIN;
    if (host != NULL)
        snprintf(host, host_bytes, "%s", flags & NI_NUMERICHOST ? "192.0.2.1" : "host.test");
    if (service != NULL && flags & NI_NUMERICSERV)
        snprintf(service, service_bytes, "%u", ntohs(v4.sin_port));
    else if (service != NULL)
        snprintf(service, service_bytes, "%s", flags & NI_DGRAM ? "udp" : "tcp");
    return 0;
}

static int run(int (*scenario)(void *))
{
    int result = bide_run(scenario, NULL, NULL);

    atomic_store(&is_open, true);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); /* for threads to end */
    return result;
}

static bide_address address_of(const char *text)
{
    bide_address address;

    CHECK_EQ(bide_address_parse(text, &address), 0);
    return address;
}

static int names_addresses(void *arg)
{
    const int numeric = NI_NUMERICHOST | NI_NUMERICSERV;
    bide_address http = address_of("tcp://192.0.2.1:80"), none = {0},
                 nameless = address_of("tcp://192.0.2.1:2"),
                 failing = address_of("tcp://192.0.2.1:3");
    char host[NI_MAXHOST] = "", service[NI_MAXSERV] = "";

    (void)arg;
    CHECK_EQ(bide_getnameinfo(&http, host, sizeof host, service, sizeof service, numeric), 0);
    CHECK_STR(host, "192.0.2.1");
    CHECK_STR(service, "80");
    CHECK_EQ(bide__fault_count(BIDE__CALL_THREAD), 0);
    CHECK_EQ(bide_getnameinfo(&http, host, sizeof host, service, sizeof service, 0), 0);
    CHECK_STR(host, "host.test");
    CHECK_STR(service, "tcp");
    CHECK_EQ(bide_getnameinfo(&http, NULL, 0, service, sizeof service, NI_DGRAM), 0);
    CHECK_STR(service, "udp");
    CHECK_EQ(bide_getnameinfo(&http, host, sizeof host, NULL, 0, NI_NUMERICHOST), 0);
    CHECK_STR(host, "192.0.2.1");

    CHECK_EQ(bide_getnameinfo(&http, host, 9, service, sizeof service, 0), -ENOSPC);
    CHECK_EQ(bide_getnameinfo(&http, host, 10, service, 3, 0), -ENOSPC);
    CHECK_EQ(bide_getnameinfo(&http, host, 9, NULL, 0, numeric), -ENOSPC);
    CHECK_STR(host, "192.0.2.1"); /* as it was */
    CHECK_STR(service, "udp");
    CHECK_EQ(bide_getnameinfo(&nameless, host, sizeof host, NULL, 0, NI_NAMEREQD), -ENOENT);
    CHECK_EQ(bide_getnameinfo(&failing, host, sizeof host, NULL, 0, 0), -EAGAIN);
    CHECK_EQ(bide_getnameinfo(&none, host, sizeof host, NULL, 0, 0), -EINVAL);
    CHECK_EQ(bide_getnameinfo(&none, host, sizeof host, NULL, 0, numeric), -EINVAL);
    CHECK_EQ(bide_getnameinfo(&http, NULL, 0, NULL, 0, 0), -ENOENT);
    return 0;
}

/*
 * Goal:   host and service come as they were asked for, whole or not at all; each failure has its
 *         errno.
 * Method: a resolver of our own behind it.
 */
TEST(name_info, names_and_failures)
{
    CHECK_EQ(run(names_addresses), 0);
}

static async(int, hangs, bide_time, limit)
{
    bide_address address = address_of("tcp://192.0.2.1:1");
    char host[NI_MAXHOST] = "untouched";
    int err = -1;

    with_timeout (limit)
        err = bide_getnameinfo(&address, host, sizeof host, NULL, 0, 0);
    if (err < 0)
        CHECK_STR(host, "untouched");
    return err;
}

static int gives_up(void *arg)
{
    bide_task(int) tasks[20];

    (void)arg;
    for (int i = 0; i < 20; i++)
        tasks[i] = spawn(hangs, i == 0 ? BIDE_SEC(50) : BIDE_MS(10));
    for (int i = 1; i < 20; i++)
        CHECK_EQ(await(tasks[i]), -ETIMEDOUT);
    atomic_store(&is_open, true);
    CHECK_EQ(await(tasks[0]), 0);
    atomic_store(&is_open, false);
    CHECK_EQ(hangs(BIDE_MS(1)), -ETIMEDOUT);
    return 0;
}

/*
 * Goal:   a lookup that hangs ends in time, its buffers untouched; the loop does not wait for it.
 * Method: twenty that hang, nineteen given up; one more given up at the loop's end.
 */
TEST(name_info, hung_lookups_can_be_left)
{
    CHECK_EQ(run(gives_up), 0);
}

static int runs_short(void *arg)
{
    bide_address http = address_of("tcp://192.0.2.1:80");
    char host[NI_MAXHOST];
    uint64_t nth = 1;
    int err;

    (void)arg;
    do {
        bide__fault_fail(BIDE__CALL_ALLOC, nth++, 1, -ENOMEM);
        err = bide_getnameinfo(&http, host, sizeof host, NULL, 0, 0);
        CHECK_EQ(err, err == 0 ? 0 : -ENOMEM);
    } while (err < 0);
    CHECK(nth > 2);
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    CHECK_EQ(bide_getnameinfo(&http, host, sizeof host, NULL, 0, NI_NUMERICHOST), -ENOMEM);
    return 0;
}

/*
 * Goal:   without memory it fails and leaks nothing.
 * Method: every allocation failing in turn.
 */
TEST(name_info, allocations_may_fail)
{
    CHECK_EQ(run(runs_short), 0);
}

/* The C library's own answer to the same question. */
static int answer(const char *host, const char *service, struct addrinfo **list)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

    *list = NULL;
    return getaddrinfo(host, service, &hints, list);
}

static int asks_the_machine(void *arg)
{
    static const char *const questions[][2] = {
        {"127.0.0.1", "http"}, {NULL, "https"}, {"ip6-localhost", "80"}, {"::1", "nosuchservice"}};

    (void)arg;
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        struct addrinfo *list, *at;
        bide_addresses *found = NULL;
        size_t count = 0;
        int code = answer(questions[i][0], questions[i][1], &list);
        int err = bide_getaddrinfo(questions[i][0], questions[i][1], NULL, &found);

        CHECK((code == 0) == (err == 0));
        for (at = list; at != NULL; at = at->ai_next, count++) {
            bide_address address;
            CHECK_EQ(bide_address_from_sockaddr(at->ai_addr, at->ai_addrlen, &address), 0);
            CHECK(bide_address_equal(&address, &found->at[count]));
        }
        CHECK(err < 0 || found->count == count);
        bide_addresses_free(found);
        if (list != NULL)
            freeaddrinfo(list);
    }
    return 0;
}

/*
 * Goal:   names of services and of the machine's own files are what the C library says they are.
 * Method: ask both the same; what is not in the files fails in both.
 */
TEST(name_info, answers_are_the_machines)
{
    CHECK_EQ(run(asks_the_machine), 0);
}
