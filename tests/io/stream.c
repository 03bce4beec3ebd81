/* SPDX-License-Identifier: MIT */
/*
 * stream.c - what every kind of stream has in common: whole writes, pieces, formatted text, errors
 * kept after partial progress, the budget, closing while calls are inside.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "sockets.h"
#include "test.h"

enum { RING = 64 * 1024 }; /* what a direction of a pair holds */

static int run(int (*scenario)(void *))
{
    return bide_test_run(scenario, NULL, 0, NULL);
}

static void close_both(bide_stream *ends[2])
{
    bide_close(ends[0]);
    bide_close(ends[1]);
}

static int writes_pieces(void *arg)
{
    bide_stream *ends[2];
    char letters[40], got[2048];
    struct iovec pieces[40];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_writev(ends[0], NULL, 0), 0);
    CHECK_EQ(bide_writev(ends[0], NULL, -1), -EINVAL);
    CHECK_EQ(bide_writev(ends[0], (struct iovec[3]){{NULL, 0}, {letters, 0}, {NULL, 0}}, 3), 0);
    CHECK_EQ(bide_write(ends[0], NULL, 0), 0);

    for (int i = 0; i < 40; i++) {
        letters[i] = (char)('A' + i);
        pieces[i] = (struct iovec){&letters[i], i % 3 != 1}; /* every third is empty */
        if (i % 3 == 1)
            pieces[i].iov_base = NULL;
    }
    CHECK_EQ(bide_writev(ends[0], pieces, 40), 27);
    CHECK_EQ(bide_read(ends[1], got, sizeof got), 27);
    for (int i = 0, at = 0; i < 40; i++) {
        if (i % 3 != 1)
            CHECK_EQ(got[at++], 'A' + i);
        CHECK_EQ(pieces[i].iov_len, i % 3 != 1); /* the caller's pieces are only borrowed */
    }
    close_both(ends);
    return 0;
}

/*
 * Goal:   pieces are written in order, whatever their number, empty ones too.
 * Method: none, negative, only empty, and 40 with empty ones and null pointers among them.
 */
TEST(stream, writev_takes_any_pieces)
{
    CHECK_EQ(run(writes_pieces), 0);
}

static async(ssize_t, writes_three, bide_stream *, out)
{
    static char data[RING];
    const struct iovec pieces[] = {{data, 10}, {data, RING}, {data, 10}};

    return bide_writev(out, pieces, 3);
}

static int cancels_pieces(void *arg)
{
    bide_stream *ends[2];
    static char got[2 * RING];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    task(ssize_t) writer = spawn(writes_three, ends[0]);
    bide_yield();
    cancel(writer);
    CHECK_EQ(await(writer), RING); /* in the middle of the second piece */
    CHECK_EQ(bide_shutdown_write(ends[0]), 0);
    CHECK_EQ(bide_read_exact(ends[1], got, sizeof got), RING);
    close_both(ends);
    return 0;
}

/*
 * Goal:   a cancelled writev tells exactly how much was written.
 * Method: pieces beyond the ring, nobody reads; cancel; the peer counts.
 */
TEST(stream, writev_canceled_in_the_middle_counts)
{
    CHECK_EQ(run(cancels_pieces), 0);
}

static int prints(void *arg)
{
    bide_stream *ends[2];
    static char text[3000], got[4000];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_printf(ends[0], "%s", ""), 0);
    CHECK_EQ(bide_printf(ends[0], "%d-%s\n", 42, "x"), 5);
    CHECK_EQ(bide_read(ends[1], got, sizeof got), 5);
    CHECK(memcmp(got, "42-x\n", 5) == 0);
    for (int length = 1022; length <= 1026; length++) { /* around the size that needs memory */
        memset(text, 'a' + length % 26, (size_t)length);
        text[length] = '\0';
        CHECK_EQ(bide_printf(ends[0], "%s", text), length);
        CHECK_EQ(bide_read(ends[1], got, sizeof got), length);
        CHECK(memcmp(got, text, (size_t)length) == 0);
    }
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    CHECK_EQ(bide_printf(ends[0], "%2999d", 1), -ENOMEM);
    CHECK_EQ(bide_printf(ends[0], "%2999d", 1), 2999);
    CHECK_EQ(bide_read(ends[1], got, sizeof got), 2999); /* nothing came of the failed one */
    close_both(ends);
    return 0;
}

/*
 * Goal:   formatted text of any length comes whole, or not at all without memory for it.
 * Method: empty, short, around 1024 bytes, 2999 bytes with and without memory.
 */
TEST(stream, printf_of_any_length)
{
    CHECK_EQ(run(prints), 0);
}

static int keeps_write_error(void *arg)
{
    bide_stream *stream;
    int plain;
    char data[100] = {0}, got[200];

    (void)arg;
    for (int pieces = 0; pieces <= 1; pieces++) {
        stream_and_socket(AF_UNIX, &stream, &plain);
        bide__fault_limit(BIDE__CALL_SEND, 30);
        bide__fault_fail(BIDE__CALL_SEND, 3, 1, -ENETDOWN);
        if (pieces)
            CHECK_EQ(bide_writev(stream, (struct iovec[2]){{data, 50}, {data, 50}}, 2), 50);
        else
            CHECK_EQ(bide_write(stream, data, sizeof data), 60);
        CHECK_EQ(bide_write(stream, data, 1), -ENETDOWN); /* told now, and once */
        CHECK_EQ(bide_write(stream, data, 1), 1);
        CHECK_EQ(recv(plain, got, sizeof got, MSG_DONTWAIT), pieces ? 51 : 61);
        bide__fault_reset();
        bide_close(stream);
        close(plain);
    }
    return 0;
}

/*
 * Goal:   a write that fails after some bytes returns their number, and the next one the error.
 * Method: the third send fails, after two of at most 30 bytes.
 */
TEST(stream, write_error_after_progress_is_kept)
{
    CHECK_EQ(bide_run(keeps_write_error, NULL, NULL), 0);
}

static int keeps_read_error(void *arg)
{
    const int error = *(int *)arg;
    const char *data;
    char got[100];

    for (int call = 0; call < 3; call++) {
        bide_stream *stream;
        int plain;

        stream_and_socket(AF_UNIX, &stream, &plain);
        CHECK_EQ(send(plain, "0123456789", 10, 0), 10);
        bide__fault_limit(BIDE__CALL_RECV, 4);
        bide__fault_fail(BIDE__CALL_RECV, 3, 1, error);
        if (call == 0)
            CHECK_EQ(bide_read_exact(stream, got, 10), 8);
        if (call == 1)
            CHECK_EQ(bide_skip(stream, 10), 8);
        if (call == 2)
            CHECK_EQ(bide_peek(stream, &data, 10), 8);
        if (call == 2)
            CHECK_EQ(bide_skip(stream, 8), 8);
        CHECK_EQ(bide_read(stream, got, sizeof got), error);
        CHECK_EQ(bide_read(stream, got, sizeof got), 2);
        CHECK(memcmp(got, "89", 2) == 0);
        bide__fault_reset();
        bide_close(stream);
        close(plain);
    }
    return 0;
}

/*
 * Goal:   a read that fails after some bytes returns their number, and the next one the error; a
 *         connection's own time-out among them, though scopes have the same number for theirs.
 * Method: the third recv fails, after two of 4 bytes, in each call that reads several times.
 */
TEST(stream, read_error_after_progress_is_kept)
{
    int errors[] = {-ECONNRESET, -ETIMEDOUT, -EIO};

    for (int i = 0; i < 3; i++)
        CHECK_EQ(bide_run(keeps_read_error, &errors[i], NULL), 0);
}

static int scope_error_is_not_kept(void *arg)
{
    bide_stream *ends[2];
    char got[8];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_write(ends[1], "abc", 3), 3);
    with_timeout (BIDE_SEC(1)) {
        CHECK_EQ(bide_read_exact(ends[0], got, 8), 3);
        CHECK_EQ(bide_read_exact(ends[0], got, 8), -ETIMEDOUT);
        CHECK_EQ(bide_write(ends[0], "x", 1), -ETIMEDOUT);
    }
    CHECK_EQ(bide_write(ends[1], "de", 2), 2);
    CHECK_EQ(bide_read(ends[0], got, 8), 2);
    close_both(ends);
    return 0;
}

/*
 * Goal:   a scope's error ends with the scope.
 * Method: time out after partial progress; after the block the stream works as before.
 */
TEST(stream, timeout_after_progress_is_forgotten)
{
    CHECK_EQ(run(scope_error_is_not_kept), 0);
}

static int canceled_already(void *arg)
{
    bide_stream *ends[2];
    bide_scope scope = BIDE_SCOPE_INIT;
    const char *data;
    char got[8];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_write(ends[1], "abc\n", 4), 4);
    bide_scope_cancel(&scope);
    with_scope (&scope) {
        CHECK_EQ(bide_read(ends[0], got, 1), -ECANCELED);
        CHECK_EQ(bide_read_exact(ends[0], got, 1), -ECANCELED);
        CHECK_EQ(bide_read_line(ends[0], got, 8), -ECANCELED);
        CHECK_EQ(bide_peek(ends[0], &data, 1), -ECANCELED);
        CHECK_EQ(bide_skip(ends[0], 1), -ECANCELED);
        CHECK_EQ(bide_write(ends[0], "x", 1), -ECANCELED);
        CHECK_EQ(bide_printf(ends[0], "x"), -ECANCELED);
        CHECK_EQ(bide_copy(ends[0], ends[1]), -ECANCELED);
        CHECK_EQ(bide_shutdown_write(ends[0]), 0); /* these two must work to clean up */
        CHECK_EQ(bide_read_exact(ends[0], got, 0), -ECANCELED);
    }
    CHECK_EQ(bide_read_line(ends[0], got, 8), 4);
    close_both(ends);
    return 0;
}

/*
 * Goal:   in a cancelled scope no call moves a byte, though it could without waiting.
 * Method: each call in such a scope, then read what must still be there.
 */
TEST(stream, calls_in_a_canceled_scope_do_nothing)
{
    CHECK_EQ(run(canceled_already), 0);
}

static async(int, turns_counter, uint64_t *, turns)
{
    while (bide_yield() == 0)
        ++*turns;
    return 0;
}

/* An endless source: what is read from it was never written. */
static async(int, floods, bide_stream *, out)
{
    static const char data[RING];

    while (bide_write(out, data, sizeof data) > 0)
        ;
    return 0;
}

static async(ssize_t, drains, bide_stream *, in)
{
    return bide_skip(in, SIZE_MAX / 2);
}

static int copies_firehose(void *arg)
{
    const int how = *(int *)arg;
    bide_stream *source[2], *sink[2];
    uint64_t turns = 0;
    bide_stats before, after;

    CHECK_EQ(bide_stream_pair(source), 0);
    CHECK_EQ(bide_stream_pair(sink), 0);
    task(int) flood = spawn(floods, source[0]);
    task(ssize_t) drain = spawn(drains, sink[1]);
    task(int) counter = spawn(turns_counter, &turns);
    bide_loop_stats(&before);
    with_timeout (BIDE_MS(50)) {
        static char scratch[8 * RING];
        ssize_t moved = 0;
        if (how == 0)
            moved = bide_copy(sink[0], source[1]);
        if (how == 1)
            moved = bide_skip(source[1], SIZE_MAX / 2);
        if (how == 2)
            while ((moved = bide_read_exact(source[1], scratch, sizeof scratch)) > 0)
                ;
        CHECK(moved > 0 || moved == -ETIMEDOUT);
    }
    bide_loop_stats(&after);
    CHECK(turns > 10);
    bide_close(source[1]);
    bide_close(sink[0]);
    cancel(counter);
    CHECK_EQ(await(counter), 0);
    CHECK_EQ(await(flood), 0);
    CHECK(await(drain) >= 0);
    bide_close(source[0]);
    bide_close(sink[1]);
    return 0;
}

/*
 * Goal:   one long call on streams that are always ready neither starves other tasks nor outlives
 *         its time limit.
 * Method: real clock, an endless source, 50 ms to copy, skip and read in; a bystander counts turns.
 */
TEST(stream, long_call_leaves_turns_to_others)
{
    for (int how = 0; how < 3; how++)
        CHECK_EQ(bide_run(copies_firehose, &how, NULL), 0);
}

/* Alone on an always-ready source and sink: nothing ever parks. */
static int copies_alone(void *arg)
{
    bide_stream *from, *to;
    uint64_t turns = 0;
    ssize_t copied = 0;

    (void)arg;
    from = never_parking_stream();
    to = never_parking_stream();
    task(int) counter = spawn(turns_counter, &turns);
    with_timeout (BIDE_MS(50))
        copied = bide_copy(to, from);
    CHECK(copied > 0);
    CHECK(turns > 10);
    cancel(counter);
    CHECK_EQ(await(counter), 0);
    bide_close(from);
    bide_close(to);
    return 0;
}

/*
 * Goal:   a copy whose both ends are ready every time still yields, and still times out.
 * Method: streams of a kind that never parks; a bystander counts turns.
 */
TEST(stream, copy_that_never_parks_times_out)
{
    CHECK_EQ(bide_run(copies_alone, NULL, NULL), 0);
}

static int spends_budget(void *arg)
{
    bide_stream *stream = never_parking_stream();
    uint64_t turns = 0;
    char byte;
    const char *data;

    (void)arg;
    task(int) counter = spawn(turns_counter, &turns);
    for (int i = 0; i < 6400; i++) {
        if (i % 2)
            CHECK_EQ(bide_read(stream, &byte, 1), 1);
        else
            CHECK(bide_peek(stream, &data, 1) >= 1);
    }
    CHECK(turns >= 6400 / 64 - 1);
    cancel(counter);
    CHECK_EQ(await(counter), 0);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   calls that are served from the buffer spend from the budget like any others.
 * Method: thousands of one-byte reads without a wait; a bystander gets a turn for every 64.
 */
TEST(stream, buffered_reads_spend_the_budget)
{
    CHECK_EQ(run(spends_budget), 0);
}

static async(ssize_t, prints_much, bide_stream *, out)
{
    return bide_printf(out, "%200000d", 1);
}

static async(ssize_t, reads_line, bide_stream *, in)
{
    char line[64];

    return bide_read_line(in, line, sizeof line);
}

static int closes_under_calls(void *arg)
{
    bide_stream *ends[2], *other[2];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_stream_pair(other), 0);
    CHECK_EQ(bide_write(ends[1], "no newline", 10), 10);
    task(ssize_t) printer = spawn(prints_much, ends[0]);
    task(ssize_t) reader = spawn(reads_line, ends[0]);
    task(ssize_t) drain = spawn(drains, other[0]);
    CHECK_EQ(bide_test_settle(), 0);
    bide_close(ends[0]);
    CHECK_EQ(await(printer), -EBADF); /* though some was written: there is no next call */
    CHECK_EQ(await(reader), -EBADF);
    bide_close(other[1]);
    CHECK_EQ(await(drain), 0);
    bide_close(other[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   closing a stream while buffered calls are inside frees its memory after they have left.
 * Method: a parked printf and a parked read_line with bytes in the buffer; AddressSanitizer
 *         watches.
 */
TEST(stream, close_under_buffered_calls_is_safe)
{
    CHECK_EQ(run(closes_under_calls), 0);
}

static int closes_twice(void *arg)
{
    bide_stream *ends[2];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    task(ssize_t) reader = spawn(reads_line, ends[0]);
    bide_yield();
    bide_close(ends[0]);
    bide_close(ends[0]);
    return (int)await(reader);
}

/*
 * Goal:   a second close that can be recognised is one clear line.
 * Method: close twice while a task still is inside a call.
 */
TEST(stream, second_close_aborts)
{
    EXPECT_DEATH(run(closes_twice), "bide_close: this stream is closed already");
}

/*
 * Goal:   a stream call outside of a task is one clear line.
 * Method: close and make a pair in the bare process.
 */
TEST(stream, calls_outside_a_task_abort)
{
    bide_stream *ends[2];

    EXPECT_DEATH(bide_stream_pair(ends), "bide_stream_pair was called outside of a task");
}
