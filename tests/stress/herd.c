/* SPDX-License-Identifier: MIT */
/*
 * herd.c - several loops that listen on one port (fault 13).
 */
#include "test.h"

#include <bide.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPS = 8, CONNECTIONS = 400 };

static pthread_barrier_t published; /* the port that the first loop got */
static char address[64];
static atomic_int listening, accepted, sleeps, ended;

static int take_connections(void *first)
{
    const bide_listen_options options = {.reuse_port = true};
    bide_listener *listener;
    bide_stream *stream;
    bide_stats before, after;

    CHECK_EQ(bide_listen(first != NULL ? "tcp://127.0.0.1:0" : address, &options, &listener), 0);
    if (first != NULL) {
        CHECK_EQ(bide_listener_address(listener, address, sizeof address), 0);
        pthread_barrier_wait(&published);
    }
    atomic_fetch_add(&listening, 1);
    bide_loop_stats(&before);
    while (!atomic_load(&ended)) {
        int err = 0;
        bide_with_timeout (BIDE_SEC(2))
            err = bide_accept(listener, &stream);
        if (err == 0) {
            atomic_fetch_add(&accepted, 1);
            bide_close(stream);
        } else {
            CHECK_EQ(err, -ETIMEDOUT);
        }
    }
    bide_loop_stats(&after);
    atomic_fetch_add(&sleeps, (int)(after.sleeps - before.sleeps));
    bide_listener_close(listener);
    return 0;
}

static void *run_loop(void *first)
{
    CHECK_EQ(bide_run(take_connections, first, NULL), 0);
    return NULL;
}

/* Connect, and wait until the other side has closed. */
static void connect_once(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char byte;

    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    CHECK_EQ(read(fd, &byte, 1), 0);
    close(fd);
}

/*
 * Goal:   a connection wakes one loop, not all that listen on its port.
 * Method: eight loops with SO_REUSEPORT, 400 connections one after the other; all waits of all
 *         loops are counted: one a connection, and a few for deadlines. A herd would take eight.
 */
TEST(herd, one_connection_wakes_one_of_eight_loops)
{
    pthread_t threads[LOOPS];

    pthread_barrier_init(&published, NULL, 2);
    pthread_create(&threads[0], NULL, run_loop, address);
    pthread_barrier_wait(&published);
    for (int i = 1; i < LOOPS; i++)
        pthread_create(&threads[i], NULL, run_loop, NULL);
    while (atomic_load(&listening) < LOOPS)
        usleep(1000);
    for (int i = 0; i < CONNECTIONS; i++)
        connect_once((uint16_t)atoi(strrchr(address, ':') + 1));
    atomic_store(&ended, 1);
    for (int i = 0; i < LOOPS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&published);
    CHECK_EQ(atomic_load(&accepted), CONNECTIONS);
    CHECK(atomic_load(&sleeps) <= CONNECTIONS + CONNECTIONS / 4 + LOOPS * 16);
}
