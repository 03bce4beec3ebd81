/* SPDX-License-Identifier: MIT */
/*
 * instructions.c - what instructions.sh counts under callgrind: each operation some number of times
 * and then twice as often, in turn. What one of them takes is the difference by that number: what
 * surrounds them cancels out. The least of each of the two counts is meant: a kernel that is late
 * with a message only adds to it.
 *
 * Called with the word "build", it says what the counts depend on. Those of programs that differ in
 * any of it are not to be compared.
 */
#include <bide.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "context/context.h"

#ifdef BIDE_HAVE_VALGRIND
#include <valgrind/callgrind.h>
#endif

enum { STACK_BYTES = 64 * 1024, CAPACITY = 128, MESSAGE_BYTES = 64, ROUNDS = 3 };

static void must(bool is_met, const char *what)
{
    if (is_met)
        return;
    fprintf(stderr, "instructions: %s failed\n", what);
    exit(1);
}

/*
 * The library's clock, in libc's place: it goes on by little with each look at it. How often a loop
 * polls depends on how long turns take; so they are short on every machine, and counts are exact.
 */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    static struct timespec last = {.tv_sec = 1000};

    (void)clock;
    last.tv_nsec += 100;
    if (last.tv_nsec >= BIDE_SEC(1))
        last = (struct timespec){.tv_sec = last.tv_sec + 1};
    *now = last;
    return 0;
}

/* Operations, each performed so many times. */

static void *main_context, *peer_context;

static void *switch_back(void *arg)
{
    (void)arg;
    for (;;)
        bide__context_switch(&peer_context, main_context);
    return main_context;
}

static void perform_switch(size_t count)
{
    static char stack[STACK_BYTES] __attribute__((aligned(16)));

    if (peer_context == NULL)
        peer_context = bide__context_make(stack + sizeof stack, switch_back, NULL);
    for (size_t i = 0; i < count / 2; i++)
        bide__context_switch(&main_context, peer_context);
}

static bide_async(int, yielder, size_t, count)
{
    for (size_t i = 0; i < count; i++)
        bide_yield();
    return 0;
}

static void perform_yield(size_t count)
{
    bide_task(int) one = bide_spawn(yielder, count / 2), other = bide_spawn(yielder, count / 2);

    bide_await(one);
    bide_await(other);
}

static bide_async(int, nothing)
{
    return 0;
}

static void perform_spawn(size_t count)
{
    for (size_t i = 0; i < count; i++)
        bide_await(bide_spawn(nothing));
}

static bide_async(int, answer, bide_chan(long), ping, bide_chan(long), pong, size_t, count)
{
    long value;

    for (size_t i = 0; i < count; i++) {
        bide_chan_recv(ping, &value);
        bide_chan_send(pong, value);
    }
    return 0;
}

static void perform_round_trip(size_t count)
{
    bide_chan(long) ping = bide_chan_new(long, 0);
    bide_chan(long) pong = bide_chan_new(long, 0);
    bide_task(int) partner = bide_spawn(answer, ping, pong, count);
    long value;

    for (size_t i = 0; i < count; i++) {
        bide_chan_send(ping, (long)i);
        must(bide_chan_recv(pong, &value) == 0 && value == (long)i, "a round trip");
    }
    bide_await(partner);
    bide_chan_free(ping);
    bide_chan_free(pong);
}

static bide_async(int, produce, bide_chan(long), items, size_t, count)
{
    for (size_t i = 0; i < count; i++)
        bide_chan_send(items, (long)i);
    return 0;
}

static void perform_item(size_t count)
{
    bide_chan(long) items = bide_chan_new(long, CAPACITY);
    bide_task(int) producer = bide_spawn(produce, items, count);
    long item;

    for (size_t i = 0; i < count; i++)
        must(bide_chan_recv(items, &item) == 0 && item == (long)i, "a buffered item");
    bide_await(producer);
    bide_chan_free(items);
}

static void perform_lock(size_t count)
{
    bide_mutex mutex;

    bide_mutex_init(&mutex);
    for (size_t i = 0; i < count; i++) {
        bide_mutex_lock(&mutex);
        bide_mutex_unlock(&mutex);
    }
}

static void perform_timeout(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bide_with_timeout (BIDE_SEC(60)) {
            __asm__ volatile("");
        }
    }
}

static void set_event(void *event)
{
    bide_event_set(event);
}

static void perform_post(size_t count)
{
    bide_loop *loop = bide_loop_hold(NULL);
    bide_event event;

    must(loop != NULL, "bide_loop_hold");
    for (size_t i = 0; i < count; i++) {
        bide_event_init(&event);
        must(bide_post(loop, set_event, &event) == 0, "bide_post");
        bide_event_wait(&event);
    }
    bide_loop_release(loop);
}

static bide_async(int, serve_one, bide_listener *, listener)
{
    char buf[4 * MESSAGE_BYTES];
    bide_stream *stream;
    ssize_t got;

    must(bide_accept(listener, &stream) == 0, "bide_accept");
    while ((got = bide_read(stream, buf, sizeof buf)) > 0)
        must(bide_write(stream, buf, (size_t)got) == got, "the server's bide_write");
    bide_close(stream);
    return 0;
}

static void perform_echo(size_t count)
{
    char address[64], message[MESSAGE_BYTES] = "", reply[MESSAGE_BYTES];
    bide_listener *listener;
    bide_stream *stream;
    bide_task(int) server;

    must(bide_listen("tcp://127.0.0.1:0", NULL, &listener) == 0, "bide_listen");
    must(bide_listener_address(listener, address, sizeof address) >= 0, "bide_listener_address");
    server = bide_spawn(serve_one, listener);
    must(bide_dial(address, &stream) == 0, "bide_dial");
    for (size_t i = 0; i < count; i++) {
        must(bide_write(stream, message, sizeof message) == sizeof message, "bide_write");
        must(bide_read_exact(stream, reply, sizeof reply) == sizeof reply, "bide_read_exact");
    }
    bide_close(stream);
    bide_await(server);
    bide_listener_close(listener);
}

/* Multiples of 1,024: what the scheduler does only every so many turns is counted in full. */
static const struct operation {
    const char *name;
    void (*perform)(size_t count);
    size_t count;
} operations[] = {
    {"switch", perform_switch, 2048},           {"yield", perform_yield, 2048},
    {"spawn_await", perform_spawn, 2048},       {"chan_round_trip", perform_round_trip, 2048},
    {"chan_buffered_item", perform_item, 2048}, {"mutex_lock_unlock", perform_lock, 2048},
    {"with_timeout", perform_timeout, 2048},    {"post", perform_post, 1024},
    {"tcp_echo_64_bytes", perform_echo, 1024},
};

/* Whether the counts since the last call were written down, under this title. */
static bool write_down(const char *name, size_t count)
{
#ifdef BIDE_HAVE_VALGRIND
    char title[64];

    snprintf(title, sizeof title, "%s %zu", name, count);
    CALLGRIND_DUMP_STATS_AT(title);
    return RUNNING_ON_VALGRIND != 0;
#else
    (void)name, (void)count;
    return false;
#endif
}

static int perform_all(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        const struct operation *operation = &operations[i];
        operation->perform(2 * operation->count); /* memory that is kept for reuse is there now */
        write_down("warm", 0);
        for (int round = 0; round < ROUNDS; round++) {
            operation->perform(operation->count);
            write_down(operation->name, operation->count);
            operation->perform(2 * operation->count);
            write_down(operation->name, 2 * operation->count);
        }
    }
    return 0;
}

#define TEXT(x) TEXT_(x)
#define TEXT_(x) #x

static void print_build(void)
{
    struct utsname system;
    char libc[64] = "";

    must(uname(&system) == 0, "uname");
#ifdef _CS_GNU_LIBC_VERSION
    confstr(_CS_GNU_LIBC_VERSION, libc, sizeof libc);
#endif
    printf("architecture %s\n", system.machine);
#ifdef __clang__
    printf("compiler clang %s\n",
           TEXT(__clang_major__) "." TEXT(__clang_minor__) "." TEXT(__clang_patchlevel__));
#else
    printf("compiler gcc %s\n", __VERSION__);
#endif
    printf("flags %s\n", INSTRUCTIONS_FLAGS);
    printf("backend %s\n", bide__context_backend);
    printf("libc %s\n", libc[0] != '\0' ? libc : "unknown");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "build") == 0) {
        print_build();
        return 0;
    }
    if (!write_down("warm", 0)) {
        fprintf(stderr,
                "instructions: built without valgrind's headers, or not run by callgrind\n");
        return 77;
    }
    return bide_run(perform_all, NULL, NULL) == 0 ? 0 : 1;
}
