/* SPDX-License-Identifier: MIT */
/*
 * resolver_stub.h - the C library's resolver, in the test's hands.
 *
 * A program that includes this has getaddrinfo, freeaddrinfo and getnameinfo of its own: the
 * library's calls come here. Names that begin with "hang" are not answered before stub_release.
 */
#ifndef BIDE_TESTS_RESOLVER_STUB_H
#define BIDE_TESTS_RESOLVER_STUB_H

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

enum { STUB_ADDRESSES = 24, STUB_NAMES = 8 };

struct stub_name {
    const char *name;
    const char *addresses[STUB_ADDRESSES]; /* as text, up to NULL */
    int code;                              /* instead of addresses: EAI_... */
    int system_error;                      /* errno, with EAI_SYSTEM */
};

static struct stub_name stub_names[STUB_NAMES]; /* set before the loop starts */
static atomic_int stub_calls;                   /* so far */
static atomic_int stub_inside;                  /* threads that are in a call now */
static pthread_mutex_t stub_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stub_opened = PTHREAD_COND_INITIALIZER;
static bool stub_is_open;

static inline void stub_hang(const char *name)
{
    if (name == NULL || strncmp(name, "hang", 4) != 0)
        return;
    pthread_mutex_lock(&stub_lock);
    while (!stub_is_open)
        pthread_cond_wait(&stub_opened, &stub_lock);
    pthread_mutex_unlock(&stub_lock);
}

static inline void stub_release(void)
{
    pthread_mutex_lock(&stub_lock);
    stub_is_open = true;
    pthread_cond_broadcast(&stub_opened);
    pthread_mutex_unlock(&stub_lock);
}

/* Wait until every thread has left, after the loop has ended. */
static inline void stub_drain(void)
{
    stub_release();
    while (atomic_load(&stub_inside) > 0)
        usleep(1000);
    usleep(50000); /* for what the threads have still to free */
}

/* The last thread of a loop that has ended closes what the loop was woken with. */
static inline void stub_expect_descriptors(int count)
{
    for (int i = 0; i < 5000 && test_open_fds() != count; i++)
        usleep(1000);
    CHECK_EQ(test_open_fds(), count);
}

/* One answer: the struct, its address and its name in one piece. */
struct stub_answer {
    struct addrinfo info;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    char name[64];
};

static inline struct addrinfo *stub_make(const char *text, uint16_t port, int family)
{
    struct stub_answer *made = calloc(1, sizeof *made);

    CHECK(made != NULL);
    made->info.ai_addr = &made->address.any;
    if (inet_pton(AF_INET, text, &made->address.v4.sin_addr) == 1) {
        made->address.v4.sin_family = AF_INET;
        made->address.v4.sin_port = htons(port);
        made->info.ai_addrlen = sizeof made->address.v4;
    } else {
        CHECK_EQ(inet_pton(AF_INET6, text, &made->address.v6.sin6_addr), 1);
        made->address.v6.sin6_family = AF_INET6;
        made->address.v6.sin6_port = htons(port);
        made->info.ai_addrlen = sizeof made->address.v6;
    }
    made->info.ai_family = made->address.any.sa_family;
    if (family == 0 || family == made->info.ai_family)
        return &made->info;
    free(made);
    return NULL;
}

static inline int stub_answer(const struct stub_name *name, const char *service,
                              const struct addrinfo *hints, struct addrinfo **out)
{
    struct addrinfo **end = out;
    uint16_t port = service == NULL ? 0 : (uint16_t)atoi(service);

    *out = NULL;
    for (int i = 0; i < STUB_ADDRESSES && name->addresses[i] != NULL; i++) {
        *end = stub_make(name->addresses[i], port, hints->ai_family);
        if (*end != NULL)
            end = &(*end)->ai_next;
    }
    if (*out == NULL)
        return EAI_ADDRFAMILY;
    if (hints->ai_flags & AI_CANONNAME) {
        struct stub_answer *first = (struct stub_answer *)(void *)*out;
        snprintf(first->name, sizeof first->name, "canonical.%s", name->name);
        first->info.ai_canonname = first->name;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    static const struct stub_name any = {.addresses = {"192.0.2.1"}};
    int code = EAI_NONAME;

    atomic_fetch_add(&stub_calls, 1);
    atomic_fetch_add(&stub_inside, 1);
    stub_hang(host);
    if (host == NULL || strncmp(host, "hang", 4) == 0 || strncmp(host, "any", 3) == 0)
        code = stub_answer(&any, service, hints, out);
    for (int i = 0; i < STUB_NAMES && host != NULL; i++)
        if (stub_names[i].name != NULL && strcasecmp(stub_names[i].name, host) == 0) {
            code = stub_names[i].code != 0 ? stub_names[i].code
                                           : stub_answer(&stub_names[i], service, hints, out);
            errno = stub_names[i].system_error;
        }
    if (code == 0 && service != NULL && strcmp(service, "nosuch") == 0) {
        freeaddrinfo(*out);
        code = EAI_SERVICE;
    }
    atomic_fetch_sub(&stub_inside, 1);
    return code;
}

#endif
