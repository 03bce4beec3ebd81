/* SPDX-License-Identifier: MIT */
/*
 * pair.c - two streams connected in memory: every byte in order, ends and closes from both sides.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "reports.h"
#include "test.h"

enum { RING = 64 * 1024 }; /* what a direction of a pair holds */

static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % bound;
}

/* The byte at a position of the test stream: no period that a ring or buffer size could hide. */
static char byte_at(size_t position)
{
    return (char)(position * 131 + (position >> 8) * 29 + (position >> 16));
}

static async(int, writes_randomly, bide_stream *, out, size_t, total)
{
    static char data[3 * RING];

    for (size_t done = 0; done < total;) {
        size_t some = 1 + random_below(random_below(8) == 0 ? sizeof data : 700);
        some = some < total - done ? some : total - done;
        for (size_t i = 0; i < some; i++)
            data[i] = byte_at(done + i);
        CHECK_EQ(bide_write(out, data, some), (ssize_t)some);
        done += some;
        if (random_below(3) == 0)
            bide_yield();
    }
    return bide_shutdown_write(out);
}

static async(int, reads_randomly, bide_stream *, in, size_t, total)
{
    static char data[2 * RING];
    size_t done = 0;
    ssize_t got;

    while ((got = bide_read(in, data, 1 + random_below(random_below(8) == 0 ? sizeof data : 900))) >
           0) {
        for (ssize_t i = 0; i < got; i++)
            CHECK_EQ(data[i], byte_at(done + (size_t)i));
        done += (size_t)got;
        if (random_below(3) == 0)
            bide_yield();
    }
    CHECK_EQ(got, 0);
    CHECK_EQ(done, total);
    return 0;
}

static int transfers(void *arg)
{
    bide_stream *ends[2];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    task(int) writer = spawn(writes_randomly, ends[0], 500000);
    CHECK_EQ(reads_randomly(ends[1], 500000), 0);
    CHECK_EQ(await(writer), 0);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   whatever the sizes of writes and reads and whoever runs first, each byte arrives once and
 *         in order, and the end after the last.
 * Method: random sizes from 1 byte to three rings, ready order permuted by 20 seeds.
 */
TEST(pair, bytes_arrive_in_order_at_any_size)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        random_state = (uint32_t)(seed + test_seed() * 1000);
        CHECK_EQ(bide_test_run(transfers, NULL, seed, NULL), 0);
    }
}

static async(ssize_t, reads, bide_stream *, in)
{
    char buf[16];

    return bide_read(in, buf, sizeof buf);
}

static async(ssize_t, writes, bide_stream *, out, size_t, bytes)
{
    static char data[4 * RING];

    return bide_write(out, data, bytes);
}

static int fills(void *arg)
{
    bide_stream *ends[2];
    char buf[RING];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    task(ssize_t) writer = spawn(writes, ends[0], 2 * RING);
    bide_sleep(BIDE_SEC(1));
    CHECK(!is_done(writer));
    for (int round = 0; round < 2; round++)
        CHECK_EQ(bide_read_exact(ends[1], buf, sizeof buf), (ssize_t)sizeof buf);
    CHECK_EQ(await(writer), 2 * RING);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   a peer that does not read stops the writer instead of filling memory.
 * Method: write twice the ring; a second later the writer sleeps; it ends when all was read, and
 *         nothing was allocated beside the loop, the pair and the stacks.
 */
TEST(pair, writer_parks_while_peer_does_not_read)
{
    bide__fault_reset();
    CHECK_EQ(bide_test_run(fills, NULL, 0, NULL), 0);
    CHECK(bide__fault_count(BIDE__CALL_ALLOC) < 16);
}

static int ends_stream(void *arg)
{
    bide_stream *ends[2];
    char buf[8];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_write(ends[0], "ab", 2), 2);
    CHECK_EQ(bide_shutdown_write(ends[0]), 0);
    CHECK_EQ(bide_write(ends[0], "c", 1), -EPIPE);
    CHECK_EQ(bide_read(ends[1], buf, sizeof buf), 2);
    CHECK_EQ(bide_read(ends[1], buf, sizeof buf), 0);
    CHECK_EQ(bide_read(ends[1], buf, sizeof buf), 0);

    CHECK_EQ(bide_write(ends[1], "still open", 10), 10); /* half-close: the other way goes on */
    CHECK_EQ(bide_read(ends[0], buf, sizeof buf), 8);
    bide_close(ends[1]);
    CHECK_EQ(bide_read(ends[0], buf, sizeof buf), 2);
    CHECK_EQ(bide_read(ends[0], buf, sizeof buf), 0);
    bide_close(ends[0]);
    return 0;
}

/*
 * Goal:   an end of stream comes after the bytes before it, stays, and leaves the other direction.
 * Method: shut down one end, write the other way, close.
 */
TEST(pair, end_comes_after_the_bytes)
{
    CHECK_EQ(bide_test_run(ends_stream, NULL, 0, NULL), 0);
}

static int peer_closes(void *arg)
{
    bide_stream *ends[2];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    task(ssize_t) reader = spawn(reads, ends[0]);
    task(ssize_t) writer = spawn(writes, ends[0], RING + 1);
    CHECK_EQ(bide_yield(), 0);
    bide_close(ends[1]);
    CHECK_EQ(await(reader), 0);
    CHECK_EQ(await(writer), RING);
    CHECK_EQ(bide_write(ends[0], "x", 1), -EPIPE);
    bide_close(ends[0]);
    return 0;
}

/*
 * Goal:   the peer's close ends a parked read with the end of the stream and a parked write with
 *         what it had written; the next write says why.
 * Method: park both on one end and close the other.
 */
TEST(pair, close_of_the_peer_wakes_reader_and_writer)
{
    CHECK_EQ(bide_test_run(peer_closes, NULL, 0, NULL), 0);
}

static int own_end_closes(void *arg)
{
    bide_stream *ends[2];
    char full[RING] = {0};
    bide_stats before, after;

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_write(ends[0], full, sizeof full), (ssize_t)sizeof full);
    task(ssize_t) reader = spawn(reads, ends[0]);
    task(ssize_t) writer = spawn(writes, ends[0], 1);
    CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&before);
    bide_close(ends[0]);
    CHECK_EQ(bide_yield(), 0);
    bide_loop_stats(&after);
    CHECK(is_done(reader) && is_done(writer));
    CHECK(after.polls - before.polls <= 1);
    CHECK_EQ(await(reader), -EBADF);
    CHECK_EQ(await(writer), -EBADF);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   closing a stream wakes its own reader and writer with -EBADF at their next turn.
 * Method: park both, close, yield once.
 */
TEST(pair, close_wakes_own_waiters_with_ebadf)
{
    CHECK_EQ(bide_test_run(own_end_closes, NULL, 0, NULL), 0);
}

static int second_ones(void *arg)
{
    bide_stream *ends[2];
    char full[RING] = {0};
    const char *data;

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_write(ends[0], full, sizeof full), (ssize_t)sizeof full);
    task(ssize_t) reader = spawn(reads, ends[0]);
    task(ssize_t) writer = spawn(writes, ends[0], 1);
    CHECK_EQ(bide_yield(), 0);
    CHECK_EQ(bide_read(ends[0], full, 1), -EBUSY);
    CHECK_EQ(bide_read_exact(ends[0], full, 1), -EBUSY);
    CHECK_EQ(bide_read_line(ends[0], full, sizeof full), -EBUSY);
    CHECK_EQ(bide_peek(ends[0], &data, 1), -EBUSY);
    CHECK_EQ(bide_skip(ends[0], 1), -EBUSY);
    CHECK_EQ(bide_write(ends[0], "x", 1), -EBUSY);
    CHECK_EQ(bide_writev(ends[0], NULL, 0), -EBUSY);
    CHECK_EQ(bide_printf(ends[0], "x"), -EBUSY);
    CHECK_EQ(bide_copy(ends[0], ends[1]), -EBUSY);
    CHECK_EQ(bide_copy(ends[1], ends[0]), -EBUSY);

    CHECK_EQ(bide_write(ends[1], "hello", 5), 5); /* the first ones are served as ever */
    CHECK_EQ(await(reader), 5);
    CHECK_EQ(bide_read(ends[1], full, sizeof full), RING);
    CHECK_EQ(await(writer), 1);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   a second reader or writer gets -EBUSY at once and disturbs nothing.
 * Method: park one of each, try every call, then serve the parked ones.
 */
TEST(pair, second_reader_and_writer_are_refused)
{
    CHECK_EQ(bide_test_run(second_ones, NULL, 0, NULL), 0);
}

static int waits_for_nobody(void *arg)
{
    bide_stream *ends[2];
    char byte;

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_read(ends[0], &byte, 1), -ECANCELED);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 7;
}

/*
 * Goal:   a read that nobody can ever answer is reported as a deadlock and not slept on.
 * Method: read from a pair with no other task, on the virtual clock and on the real one.
 */
TEST(pair, read_with_nobody_left_is_a_deadlock)
{
    for (int real = 0; real <= 1; real++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        int result = real ? bide_run(waits_for_nobody, NULL, &options)
                          : bide_test_run(waits_for_nobody, NULL, 0, &options);
        CHECK_EQ(result, -EDEADLK);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 2); /* a summary, and the task */
        CHECK_EQ(seen.count, 2);
        CHECK_EQ(seen.kept[1].error, -EDEADLK);
        CHECK_STR(seen.kept[1].task, "main");
        CHECK_CONTAINS(seen.kept[1].message, "read of a stream pair");
    }
}

static int needs_kernel(void *arg)
{
    bide_stream *ends[2];
    char text[64] = "untouched";

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_stream_fd(ends[0]), -EOPNOTSUPP);
    CHECK_EQ(bide_stream_set_nodelay(ends[0], true), -EOPNOTSUPP);
    CHECK_EQ(bide_stream_set_keepalive(ends[0], 0, 0, 0), -EOPNOTSUPP);
    CHECK_EQ(bide_stream_local_address(ends[0], text, sizeof text), -EOPNOTSUPP);
    CHECK_EQ(bide_stream_peer_address(ends[0], text, sizeof text), -EOPNOTSUPP);
    CHECK_STR(text, "untouched");
    bide_close(ends[0]);
    bide_close(ends[1]);
    bide_close(NULL);
    return 0;
}

/*
 * Goal:   what only sockets have says so.
 * Method: each such call on a pair.
 */
TEST(pair, socket_calls_are_not_supported)
{
    CHECK_EQ(bide_test_run(needs_kernel, NULL, 0, NULL), 0);
}

static int has_no_memory(void *arg)
{
    bide_stream *ends[2] = {NULL, NULL};

    (void)arg;
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    CHECK_EQ(bide_stream_pair(ends), -ENOMEM);
    CHECK(ends[0] == NULL && ends[1] == NULL);
    return 0;
}

/*
 * Goal:   without memory for a pair the call says so and leaves `out` alone.
 * Method: the next allocation fails.
 */
TEST(pair, no_memory_is_told)
{
    CHECK_EQ(bide_test_run(has_no_memory, NULL, 0, NULL), 0);
}

static int closes_in_order(void *arg)
{
    int order = *(int *)arg;
    bide_stream *ends[2];

    CHECK_EQ(bide_stream_pair(ends), 0);
    task(ssize_t) first = spawn(reads, ends[0]);
    task(ssize_t) second = spawn(reads, ends[1]);
    CHECK_EQ(bide_sleep(1), 0);
    bide_close(ends[order & 1]);
    if (order & 2)
        bide_yield();
    bide_close(ends[1 - (order & 1)]);
    CHECK(await(first) <= 0);
    CHECK(await(second) <= 0);
    return 0;
}

/*
 * Goal:   the shared memory outlives the last call inside, whichever end closes first.
 * Method: both ends have a parked reader; close them in both orders, with and without a turn
 *         between; AddressSanitizer and the leak checker watch.
 */
TEST(pair, closing_in_any_order_is_safe)
{
    for (int order = 0; order < 4; order++)
        for (uint64_t seed = 0; seed < 5; seed++)
            CHECK_EQ(bide_test_run(closes_in_order, &order, seed, NULL), 0);
}

static int cancels_reader(void *arg)
{
    bide_stream *ends[2];
    char buf[8] = "";

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    task(ssize_t) reader = spawn(reads, ends[0]);
    CHECK_EQ(bide_yield(), 0);
    cancel(reader);
    CHECK_EQ(bide_write(ends[1], "abc", 3), 3);
    CHECK_EQ(await(reader), -ECANCELED);
    with_timeout (BIDE_SEC(1))
        CHECK_EQ(bide_read(ends[0], buf, sizeof buf), 3);
    CHECK_STR(buf, "abc");

    reader = spawn(reads, ends[0]);
    CHECK_EQ(bide_yield(), 0);
    CHECK_EQ(bide_write(ends[1], "de", 2), 2);
    cancel(reader); /* the bytes came first */
    CHECK_EQ(await(reader), 2);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   a read is either cancelled and takes nothing, or takes the bytes: both orders.
 * Method: cancel and then write, in one turn; write and then cancel, in one turn.
 */
TEST(pair, cancel_and_bytes_in_both_orders)
{
    CHECK_EQ(bide_test_run(cancels_reader, NULL, 0, NULL), 0);
}
