/* SPDX-License-Identifier: MIT */
/*
 * typed.c - handles that carry a type: what goes through, and that each argument is looked at once.
 * What must not compile is in tests/compile_fail.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "test.h"

static int call_body(void *body)
{
    (*(void (**)(void))body)();
    return 0;
}

static void run(void (*body)(void))
{
    CHECK_EQ(bide_test_run(call_body, &body, 0, NULL), 0);
}

struct dozen {
    int32_t value[3];
};
struct large {
    unsigned char bytes[BIDE_ITEM_BYTES_MAX];
};
struct nothing {
};

static struct large large_in, large_out;

static async(int, sends_large, chan(struct large), c)
{
    return chan_send(c, large_in);
}

static void carries_types(void)
{
    for (size_t capacity = 0; capacity < 3; capacity += 2) {
        chan(struct large) c = chan_new(struct large, capacity);
        task(int) t = spawn(sends_large, c);
        memset(&large_in, 0x5a, sizeof large_in);
        large_in.bytes[sizeof large_in - 1] = 7;
        memset(&large_out, 0, sizeof large_out);
        CHECK_EQ(chan_recv(c, &large_out), 0);
        CHECK_EQ(memcmp(&large_in, &large_out, sizeof large_in), 0);
        CHECK_EQ(await(t), 0);
        chan_free(c);
    }

#define CARRIES(T, sent, equal)                                                                    \
    do {                                                                                           \
        chan(T) of_type = chan_new(T, 2);                                                          \
        T got;                                                                                     \
        CHECK_EQ(chan_send(of_type, sent), 0);                                                     \
        CHECK_EQ(chan_try_send(of_type, sent), 0);                                                 \
        CHECK_EQ(chan_try_send(of_type, sent), -EAGAIN);                                           \
        CHECK_EQ(chan_recv(of_type, &got), 0);                                                     \
        CHECK(equal);                                                                              \
        CHECK_EQ(chan_try_recv(of_type, &got), 0);                                                 \
        CHECK(equal);                                                                              \
        chan_free(of_type);                                                                        \
    } while (0)
    CARRIES(char, 'x', got == 'x');
    CARRIES(short, -2, got == -2);
    CARRIES(double, 3, got == 3.0); /* converted as by an assignment */
    CARRIES(int64_t, INT64_MIN, got == INT64_MIN);
    CARRIES(long double, 1.5L, got == 1.5L);
    CARRIES(const char *, "text", strcmp(got, "text") == 0);
    CARRIES(void *, &large_in, got == &large_in);
    CARRIES(int *, NULL, got == NULL);
    CARRIES(struct nothing, (struct nothing){}, true);
    chan(struct dozen) c = chan_new(struct dozen, 1);
    struct dozen got;
    CHECK_EQ(chan_send(c, (struct dozen){{1, 2, 3}}), 0); /* the commas are no arguments */
    CHECK_EQ(chan_recv(c, &got), 0);
    CHECK(got.value[0] == 1 && got.value[1] == 2 && got.value[2] == 3);
    chan_free(c);
}

/*
 * Goal:   values of every size and kind arrive as they were sent.
 * Method: no byte, 1, 2, 4, 8, 12, 16 bytes and 64 KiB; numbers, pointers, structs.
 */
TEST(typed, carries_any_type)
{
    run(carries_types);
}

static void through_the_others(void)
{
    broadcast(struct dozen) b = broadcast_new(struct dozen, 1);
    watch(struct dozen) w = watch_new(struct dozen, (struct dozen){{1, 2, 3}});
    bide_cursor cursor = BIDE_CURSOR_INIT;
    struct dozen got;
    uint64_t seen = 0;

    CHECK_EQ(broadcast_send(b, (struct dozen){{4, 5, 6}}), 0);
    CHECK_EQ(broadcast_recv(b, &cursor, &got), 0);
    CHECK_EQ(got.value[2], 6);
    CHECK_EQ(watch_get(w).value[1], 2);
    CHECK_EQ(watch_set(w, (struct dozen){{7, 8, 9}}), 0);
    CHECK_EQ(watch_next(w, &seen, &got), 0);
    CHECK_EQ(got.value[0], 7);
    broadcast_free(b);
    watch_free(w);
}

/*
 * Goal:   broadcasts and watches carry structs as channels do.
 * Method: compound literals with commas in each macro that takes a value.
 */
TEST(typed, broadcast_and_watch_carry_structs)
{
    run(through_the_others);
}

static int looked_at;

static chan(int) look(chan(int) c)
{
    looked_at++;
    return c;
}

static int *look_slot(int *slot)
{
    looked_at++;
    return slot;
}

static int look_value(int value)
{
    looked_at++;
    return value;
}

#define LOOKS(count, expression)                                                                   \
    do {                                                                                           \
        looked_at = 0;                                                                             \
        CHECK_EQ(expression, 0);                                                                   \
        CHECK_EQ(looked_at, count);                                                                \
    } while (0)

static void looks_once(void)
{
    chan(int) c = chan_new(int, 2);
    broadcast(int) b = broadcast_new(int, 2);
    watch(int) w = watch_new(int, 0);
    bide_cursor cursor = broadcast_subscribe(b);
    uint64_t seen = 0;
    int value, inner = 0;

    LOOKS(2, chan_send(look(c), look_value(1)));
    LOOKS(2, chan_recv(look(c), look_slot(&value)));
    LOOKS(2, chan_try_send(look(c), look_value(1)));
    LOOKS(2, chan_try_recv(look(c), look_slot(&value)));
    LOOKS(1, chan_len(look(c)));
    LOOKS(2, select_any(on_send(look(c), look_value(1))));
    LOOKS(2, select_any(on_recv(look(c), look_slot(&value))));
    LOOKS(1, broadcast_send(b, look_value(1)));
    LOOKS(1, broadcast_recv(b, &cursor, look_slot(&value)));
    LOOKS(1, watch_set(w, look_value(1)));
    LOOKS(1, watch_next(w, &seen, look_slot(&value)));

    CHECK_EQ(chan_send(c, 41), 0); /* one macro inside another: their names do not meet */
    CHECK_EQ(chan_send(c, chan_recv(c, &inner) + inner + 1), 0);
    CHECK_EQ(select_any(on_recv(c, select_any(on_default()) == 0 ? &value : NULL)), 0);
    CHECK_EQ(value, 42);
    chan_free(c);
    broadcast_free(b);
    watch_free(w);
}

/*
 * Goal:   the macros evaluate each argument once, and nest.
 * Method: arguments that count.
 */
TEST(typed, arguments_are_evaluated_once)
{
    run(looks_once);
}
