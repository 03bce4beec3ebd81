/* SPDX-License-Identifier: MIT */
/*
 * lend.c - which streams hold a buffer, and when.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "io/lend.h"
#include "io/stream.h"
#include "sockets.h"
#include "test.h"

enum { PAIRS = 20 };

static int run(int (*scenario)(void *))
{
    return bide_test_run(scenario, NULL, 0, NULL);
}

static async(int, peeks, bide_stream *, in, size_t, least)
{
    const char *data;

    return (int)bide_peek(in, &data, least);
}

static int lends_in_turn(void *arg)
{
    bide_stream *ends[PAIRS][2];
    const char *first = NULL, *data;
    uint64_t allocations;

    (void)arg;
    for (int i = 0; i < PAIRS; i++)
        CHECK_EQ(bide_stream_pair(ends[i]), 0);
    bide__fault_reset();
    for (int i = 0; i < PAIRS; i++) {
        task(int) peeker = spawn(peeks, ends[i][0], 1);
        CHECK_EQ(bide_sleep(1), 0);
        CHECK(ends[i][0]->buf == NULL); /* waits without one */
        CHECK_EQ(bide_write(ends[i][1], "some bytes", 10), 10);
        CHECK_EQ(await(peeker), 10);
        CHECK(ends[i][0]->is_lent);
        CHECK_EQ(bide_peek(ends[i][0], &data, 1), 10);
        if (i == 0)
            first = data;
        CHECK(data == first);
        CHECK(memcmp(data, "some bytes", 10) == 0);
        CHECK_EQ(bide_skip(ends[i][0], 4), 4);
        CHECK(ends[i][0]->is_lent);
        CHECK_EQ(bide_skip(ends[i][0], 6), 6);
        CHECK(ends[i][0]->buf == NULL);
    }
    allocations = bide__fault_count(BIDE__CALL_ALLOC);
    CHECK(allocations <= PAIRS + 2); /* of tasks' slabs, the buffer, and where it is kept */
    for (int i = 0; i < PAIRS; i++) {
        bide_close(ends[i][0]);
        bide_close(ends[i][1]);
    }
    return 0;
}

/*
 * Goal:   a stream that waits or holds nothing has no buffer; streams use the same one in turn.
 * Method: peeks that wait, one after the other, on twenty streams; addresses compared.
 */
TEST(lend, one_buffer_serves_many_streams)
{
    CHECK_EQ(run(lends_in_turn), 0);
}

static int lends_at_once(void *arg)
{
    bide_stream *ends[PAIRS][2];
    const char *data[PAIRS];
    uint64_t allocations;

    (void)arg;
    for (int i = 0; i < PAIRS; i++)
        CHECK_EQ(bide_stream_pair(ends[i]), 0);
    for (int lap = 0; lap < 2; lap++) {
        bide__fault_reset();
        for (int i = 0; i < PAIRS; i++) {
            char letter = (char)('a' + i);
            CHECK_EQ(bide_write(ends[i][1], &letter, 1), 1);
            CHECK_EQ(bide_peek(ends[i][0], &data[i], 1), 1);
        }
        allocations = bide__fault_count(BIDE__CALL_ALLOC);
        CHECK_EQ(allocations, lap == 0 ? PAIRS : PAIRS - 8); /* so many are kept */
        for (int i = 0; i < PAIRS; i++) {
            CHECK_EQ(*data[i], 'a' + i);
            CHECK_EQ(bide_skip(ends[i][0], 1), 1);
        }
    }
    for (int i = 0; i < PAIRS; i++) {
        bide_close(ends[i][0]);
        bide_close(ends[i][1]);
    }
    return 0;
}

/*
 * Goal:   what one stream shows is never another's, and few buffers are kept after a peak.
 * Method: twenty streams show a letter each at the same time, twice; allocations counted.
 */
TEST(lend, buffers_in_use_are_apart)
{
    CHECK_EQ(run(lends_at_once), 0);
}

static int waits_for_the_rest(void *arg)
{
    static char text[40000];
    bide_stream *ends[2];
    const char *data;

    (void)arg;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + (i >> 8));
    CHECK_EQ(bide_stream_pair(ends), 0);
    task(int) peeker = spawn(peeks, ends[0], sizeof text);
    for (size_t put = 0; put < sizeof text; put += 100) {
        CHECK_EQ(bide_write(ends[1], text + put, 100), 100);
        CHECK_EQ(bide_sleep(1), 0);
        if (put + 100 < BIDE__LENT_BYTES / 4)
            CHECK(!ends[0]->is_lent);
        if (put + 100 < sizeof text)
            CHECK(ends[0]->capacity <= (put + 100 < 512 ? 1024 : 4 * (put + 100)));
    }
    CHECK_EQ(await(peeker), (int)sizeof text);
    CHECK_EQ(bide_peek(ends[0], &data, 1), (ssize_t)sizeof text);
    CHECK(memcmp(data, text, sizeof text) == 0);
    CHECK(bide__fault_count(BIDE__CALL_ALLOC) < 40);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   who has sent the beginning of something and waits holds memory in proportion to it.
 * Method: a peek of 40,000 bytes that come by the hundred; the buffer's size at every wait.
 */
TEST(lend, wait_for_the_rest_needs_little)
{
    CHECK_EQ(run(waits_for_the_rest), 0);
}

static int lacks_memory_while_waiting(void *arg)
{
    (void)arg;
    for (uint64_t nth = 1;; nth++) {
        bide_stream *ends[2];
        char line[200], got[200];
        ssize_t n;

        memset(line, 'l', sizeof line);
        line[sizeof line - 1] = '\n';
        CHECK_EQ(bide_stream_pair(ends), 0);
        task(int) peeker = spawn(peeks, ends[0], sizeof line);
        bide__fault_reset();
        bide__fault_fail(BIDE__CALL_ALLOC, nth, 1, -ENOMEM);
        CHECK_EQ(bide_write(ends[1], line, 150), 150);
        CHECK_EQ(bide_sleep(1), 0);
        CHECK_EQ(bide_write(ends[1], line + 150, 50), 50);
        CHECK_EQ(bide_sleep(1), 0);
        bool has_failed = bide__fault_count(BIDE__CALL_ALLOC) >= nth;
        bide__fault_reset();
        n = await(peeker);
        CHECK(n == -ENOMEM || n == (ssize_t)sizeof line);
        CHECK_EQ(bide_read_exact(ends[0], got, sizeof got), (ssize_t)sizeof got);
        CHECK(memcmp(got, line, sizeof line) == 0);
        bide_close(ends[0]);
        bide_close(ends[1]);
        if (!has_failed)
            return 0;
        CHECK(nth < 20);
    }
}

/*
 * Goal:   without memory for a buffer, whichever, no byte is lost.
 * Method: every allocation of a peek that waits twice fails in turn; then all is read.
 */
TEST(lend, no_memory_loses_nothing)
{
    CHECK_EQ(run(lacks_memory_while_waiting), 0);
}

static int seals(void *arg)
{
    bide_stream *ends[2];
    const char *data;

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_write(ends[1], "x", 1), 1);
    CHECK_EQ(bide_peek(ends[0], &data, 1), 1);
#ifdef BIDE__ASAN
    CHECK(!__asan_address_is_poisoned(data));
    CHECK_EQ(bide_skip(ends[0], 1), 1);
    CHECK(__asan_address_is_poisoned(data));
#endif
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   a program that looks at bytes which it has skipped is caught.
 * Method: ask AddressSanitizer about them, before and after.
 */
TEST(lend, skipped_bytes_are_sealed)
{
#ifndef BIDE__ASAN
    SKIP("only AddressSanitizer knows");
#endif
    CHECK_EQ(run(seals), 0);
}

static async(int, writes_all, bide_stream *, out, const char *, data, size_t, bytes)
{
    return (int)bide_write(out, data, bytes);
}

static int shows_while_it_writes(void *arg)
{
    static char filler[64 * 1024];
    bide_stream *source[2], *sink[2], *other[2];
    const char *data, *others;
    char got[4];

    (void)arg;
    CHECK_EQ(bide_stream_pair(source), 0);
    CHECK_EQ(bide_stream_pair(sink), 0);
    CHECK_EQ(bide_stream_pair(other), 0);
    CHECK_EQ(bide_write(sink[0], filler, sizeof filler), (ssize_t)sizeof filler); /* full */
    CHECK_EQ(bide_write(source[1], "mine", 4), 4);
    CHECK_EQ(bide_peek(source[0], &data, 4), 4);
    task(int) writer = spawn(writes_all, sink[0], data, 4);
    CHECK_EQ(bide_sleep(1), 0); /* it waits for room */
    CHECK_EQ(bide_write(other[1], "others", 6), 6);
    CHECK_EQ(bide_peek(other[0], &others, 6), 6);
    CHECK(others != data);
    CHECK_EQ(bide_read_exact(sink[1], filler, sizeof filler), (ssize_t)sizeof filler);
    CHECK_EQ(await(writer), 4);
    CHECK_EQ(bide_skip(source[0], 4), 4);
    CHECK_EQ(bide_read_exact(sink[1], got, 4), 4);
    CHECK(memcmp(got, "mine", 4) == 0);
    for (int i = 0; i < 2; i++) {
        bide_close(source[i]);
        bide_close(sink[i]);
        bide_close(other[i]);
    }
    return 0;
}

/*
 * Goal:   bytes that a peek has shown stay while their writing waits, whatever others read.
 * Method: a full sink, another stream's peek meanwhile, then room.
 */
TEST(lend, shown_bytes_stay_until_skipped)
{
    CHECK_EQ(run(shows_while_it_writes), 0);
}

static int looks_at_silent_sockets(void *arg)
{
    bide_stream *streams[PAIRS];
    task(int) peekers[PAIRS];
    int plain[PAIRS];

    (void)arg;
    for (int i = 0; i < PAIRS; i++) {
        stream_and_socket(i % 2 ? AF_INET : AF_UNIX, &streams[i], &plain[i]);
        peekers[i] = spawn(peeks, streams[i], 1);
    }
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    for (int i = 0; i < PAIRS; i++)
        CHECK(streams[i]->buf == NULL);
    for (int i = 0; i < PAIRS; i++) {
        close(plain[i]);
        CHECK_EQ(await(peekers[i]), 0);
        CHECK(streams[i]->buf == NULL);
        bide_close(streams[i]);
    }
    return 0;
}

/*
 * Goal:   a socket of which it is not yet known whether there is something costs no buffer either.
 * Method: new sockets whose peers say nothing, and then end.
 */
TEST(lend, silent_socket_has_no_buffer)
{
    CHECK_EQ(bide_run(looks_at_silent_sockets, NULL, NULL), 0);
}
