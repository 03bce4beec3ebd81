/* SPDX-License-Identifier: MIT */
/*
 * buffer.c - lines, delimiters, peeking and copying, wherever the bytes are cut into pieces.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "test.h"

/* Write the text in two pieces with a pause between, so that the reader sees the cut; then end. */
static async(int, feeds, bide_stream *, out, const char *, text, size_t, bytes, size_t, cut)
{
    CHECK_EQ(bide_write(out, text, cut), (ssize_t)cut);
    CHECK_EQ(bide_sleep(1), 0);
    CHECK_EQ(bide_write(out, text + cut, bytes - cut), (ssize_t)(bytes - cut));
    CHECK_EQ(bide_sleep(1), 0);
    return bide_shutdown_write(out);
}

/* What a scenario reads from, and the text that comes, cut at a place. */
struct feed {
    bide_stream *ends[2];
    bide_task(int) feeder;
};

static bide_stream *feed_start(struct feed *feed, const char *text, size_t bytes, size_t cut)
{
    CHECK_EQ(bide_stream_pair(feed->ends), 0);
    feed->feeder = spawn(feeds, feed->ends[0], text, bytes, cut);
    return feed->ends[1];
}

static void feed_end(struct feed *feed)
{
    CHECK_EQ(await(feed->feeder), 0);
    bide_close(feed->ends[0]);
    bide_close(feed->ends[1]);
}

static int run(int (*scenario)(void *))
{
    return bide_test_run(scenario, NULL, 0, NULL);
}

static int reads_lines(void *arg)
{
    static const char text[] = "first\n\ncr lf\r\nze\0ro\nlast";
    const size_t bytes = sizeof text - 1;

    (void)arg;
    for (size_t cut = 0; cut <= bytes; cut++) {
        struct feed feed;
        bide_stream *in = feed_start(&feed, text, bytes, cut);
        char line[8];

        CHECK_EQ(bide_read_line(in, line, sizeof line), 6);
        CHECK_STR(line, "first\n");
        CHECK_EQ(bide_read_line(in, line, sizeof line), 1);
        CHECK_STR(line, "\n");
        CHECK_EQ(bide_read_line(in, line, sizeof line), 7); /* fits to the byte */
        CHECK_STR(line, "cr lf\r\n");
        CHECK_EQ(bide_read_line(in, line, sizeof line), 6);
        CHECK(memcmp(line, "ze\0ro\n", 7) == 0);
        CHECK_EQ(bide_read_line(in, line, 5), 4); /* no newline at the end, and just fits */
        CHECK_STR(line, "last");
        CHECK_EQ(bide_read_line(in, line, sizeof line), 0);
        CHECK_STR(line, "");
        CHECK_EQ(bide_read_line(in, line, sizeof line), 0);
        feed_end(&feed);
    }
    return 0;
}

/*
 * Goal:   lines come whole: empty ones, with CR LF, with zero bytes, the last without a newline;
 *         such as just fit as well.
 * Method: one text, cut at every byte.
 */
TEST(buffer, read_line_at_every_cut)
{
    CHECK_EQ(run(reads_lines), 0);
}

static int refuses_long_lines(void *arg)
{
    static const char text[] = "toolong\nnext\nwithout end";
    const size_t bytes = sizeof text - 1;

    (void)arg;
    for (size_t cut = 0; cut <= bytes; cut++) {
        struct feed feed;
        bide_stream *in = feed_start(&feed, text, bytes, cut);
        char line[16] = "", shorter[4];

        for (size_t size = 0; size <= 8; size++)
            CHECK_EQ(bide_read_line(in, line, size), -EMSGSIZE);
        CHECK_EQ(bide_read_line(in, line, 9), 8); /* nothing was consumed */
        CHECK_STR(line, "toolong\n");
        CHECK_EQ(bide_read_line(in, line, 6), 5);
        CHECK_EQ(bide_read_line(in, line, 11), -EMSGSIZE); /* at the end, and a byte too long */
        CHECK_EQ(bide_read(in, shorter, sizeof shorter), 4);
        CHECK(memcmp(shorter, "with", 4) == 0);
        CHECK_EQ(bide_read_line(in, line, 8), 7);
        CHECK_STR(line, "out end");
        feed_end(&feed);
    }
    return 0;
}

/*
 * Goal:   a line that does not fit is told so before a byte of it is lost.
 * Method: every buffer size below the one that fits, then that one; at every cut.
 */
TEST(buffer, long_line_stays_in_the_stream)
{
    CHECK_EQ(run(refuses_long_lines), 0);
}

static int keeps_limit(void *arg)
{
    static char text[300];
    struct feed feed;
    const char *data;
    char line[400];

    (void)arg;
    memset(text, 'x', sizeof text);
    text[100] = '\n';
    bide_stream *in = feed_start(&feed, text, sizeof text, 0);
    CHECK_EQ(bide_stream_set_limit(in, 0), -EINVAL);
    CHECK_EQ(bide_stream_set_limit(in, 100), 0);
    CHECK_EQ(bide_read_line(in, line, sizeof line), -EMSGSIZE);
    CHECK_EQ(bide_peek(in, &data, 101), -EMSGSIZE);
    CHECK_EQ(bide_peek(in, &data, 100), 100);
    CHECK_EQ(bide_stream_set_limit(in, 101), 0);
    CHECK_EQ(bide_read_line(in, line, sizeof line), 101);
    CHECK_EQ(bide_read_line(in, line, sizeof line), -EMSGSIZE);
    CHECK_EQ(bide_read_exact(in, line, 199), 199); /* takes no room in the stream */
    CHECK_EQ(bide_read(in, line, 1), 0);
    feed_end(&feed);
    return 0;
}

/*
 * Goal:   a stream looks no farther ahead than its limit, to the byte; reading is not limited.
 * Method: a line of 101 bytes under limits of 100 and 101.
 */
TEST(buffer, limit_holds_to_the_byte)
{
    CHECK_EQ(run(keeps_limit), 0);
}

static int has_huge_limit(void *arg)
{
    struct feed feed;
    const char *data;
    char byte;
    bide_stream *in = feed_start(&feed, "a", 1, 1);

    (void)arg;
    CHECK_EQ(bide_stream_set_limit(in, SIZE_MAX), 0);
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    CHECK_EQ(bide_peek(in, &data, SIZE_MAX / 2 + 2), -ENOMEM);
    CHECK_EQ(bide_read(in, &byte, 1), 1);
    feed_end(&feed);
    return 0;
}

/*
 * Goal:   no size makes the arithmetic of the buffer run in circles.
 * Method: the largest limit, and a peek beyond half of the address space.
 */
TEST(buffer, huge_peek_is_no_memory)
{
    CHECK_EQ(run(has_huge_limit), 0);
}

static int finds_delimiters(void *arg)
{
    static const char text[] = "a==b=-==-c==-==-=";
    const size_t bytes = sizeof text - 1;

    (void)arg;
    for (size_t cut = 0; cut <= bytes; cut++) {
        struct feed feed;
        bide_stream *in = feed_start(&feed, text, bytes, cut);
        char piece[32];

        CHECK_EQ(bide_read_until(in, piece, sizeof piece, "", 0), -EINVAL);
        CHECK_EQ(bide_read_until(in, piece, 9, "==-", 3), -EMSGSIZE);
        CHECK_EQ(bide_read_until(in, piece, 10, "==-", 3), 9);
        CHECK_STR(piece, "a==b=-==-");
        CHECK_EQ(bide_read_until(in, piece, sizeof piece, "==-", 3), 4);
        CHECK_STR(piece, "c==-");
        CHECK_EQ(bide_read_until(in, piece, sizeof piece, "==-", 3), 3);
        CHECK_STR(piece, "==-");
        CHECK_EQ(bide_read_until(in, piece, sizeof piece, "==-", 3), 1);
        CHECK_STR(piece, "=");
        CHECK_EQ(bide_read_until(in, piece, sizeof piece, "==-", 3), 0);
        feed_end(&feed);
    }
    return 0;
}

/*
 * Goal:   a delimiter of several bytes is found wherever reads cut it, after false starts too.
 * Method: a text with half delimiters, cut at every byte.
 */
TEST(buffer, read_until_at_every_cut)
{
    CHECK_EQ(run(finds_delimiters), 0);
}

static int peeks(void *arg)
{
    static const char text[] = "0123456789";

    (void)arg;
    for (size_t cut = 0; cut <= 10; cut++) {
        struct feed feed;
        bide_stream *in = feed_start(&feed, text, 10, cut);
        const char *data;
        char buf[8];

        CHECK_EQ(bide_peek(in, &data, 0), 0);
        CHECK(bide_peek(in, &data, 4) >= 4);
        CHECK(memcmp(data, "0123", 4) == 0);
        CHECK_EQ(bide_skip(in, 2), 2);
        CHECK(bide_peek(in, &data, 1) >= 1);
        CHECK_EQ(data[0], '2');
        CHECK_EQ(bide_read_exact(in, buf, 3), 3);
        CHECK(memcmp(buf, "234", 3) == 0);
        CHECK_EQ(bide_peek(in, &data, 6), 5); /* the stream ended before the sixth */
        CHECK(memcmp(data, "56789", 5) == 0);
        CHECK_EQ(bide_skip(in, 3), 3);
        CHECK_EQ(bide_skip(in, 3), 2);
        CHECK_EQ(bide_skip(in, 3), 0);
        CHECK_EQ(bide_peek(in, &data, 1), 0);
        feed_end(&feed);
    }
    return 0;
}

/*
 * Goal:   peek shows, skip consumes, and reading goes on behind both.
 * Method: a mix of all three over ten bytes, cut at every byte.
 */
TEST(buffer, peek_and_skip_at_every_cut)
{
    CHECK_EQ(run(peeks), 0);
}

static int skips_far(void *arg)
{
    static char text[50000];
    struct feed feed;
    char byte = 0;

    (void)arg;
    text[sizeof text - 1] = 'z';
    bide_stream *in = feed_start(&feed, text, sizeof text, 20000);
    CHECK_EQ(bide_skip(in, 0), 0);
    CHECK_EQ(bide_skip(in, sizeof text - 1), (ssize_t)sizeof text - 1);
    CHECK_EQ(bide_read(in, &byte, 1), 1);
    CHECK_EQ(byte, 'z');
    feed_end(&feed);
    return 0;
}

/*
 * Goal:   skipping much needs no buffer.
 * Method: skip 50 kB; the stream allocates nothing: the counts with and without the skip agree.
 */
TEST(buffer, skip_allocates_nothing)
{
    bide__fault_reset();
    CHECK_EQ(run(skips_far), 0);
    CHECK(bide__fault_count(BIDE__CALL_ALLOC) < 16);
}

static int lacks_memory(void *arg)
{
    struct feed feed;
    const char *data;
    char line[16];
    bide_stream *sink[2];

    (void)arg;
    bide_stream *in = feed_start(&feed, "one\ntwo\n", 8, 8);
    CHECK_EQ(bide_stream_pair(sink), 0);
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 3, -ENOMEM);
    CHECK_EQ(bide_read_line(in, line, sizeof line), -ENOMEM);
    CHECK_EQ(bide_peek(in, &data, 1), -ENOMEM);
    CHECK_EQ(bide_copy(sink[0], in), -ENOMEM);
    CHECK_EQ(bide_read_line(in, line, sizeof line), 4); /* nothing was consumed */
    CHECK_STR(line, "one\n");
    CHECK_EQ(bide_copy(sink[0], in), 4);
    CHECK_EQ(bide_read(sink[1], line, sizeof line), 4);
    CHECK(memcmp(line, "two\n", 4) == 0);
    bide_close(sink[0]);
    bide_close(sink[1]);
    feed_end(&feed);
    return 0;
}

/*
 * Goal:   without memory for the buffer a call says so and consumes nothing.
 * Method: the first allocation fails for each call that needs one; then all is read.
 */
TEST(buffer, no_memory_consumes_nothing)
{
    CHECK_EQ(run(lacks_memory), 0);
}

static int copies(void *arg)
{
    static char text[200000], got[sizeof text];
    const size_t cuts[] = {0, 1, 65536, sizeof text};

    (void)arg;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 131 + (i >> 8));
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct feed feed, sink;
        bide_stream *in = feed_start(&feed, text, sizeof text, cuts[i]);
        char first;

        CHECK_EQ(bide_read(in, &first, 1), 1);
        CHECK_EQ(bide_stream_pair(sink.ends), 0);
        sink.feeder = NULL;
        for (size_t done = 1, more = 0; done < sizeof text; done += more) {
            with_timeout (BIDE_US(1)) { /* until the sink is full, or the source dry */
                ssize_t copied = bide_copy(sink.ends[0], in);
                CHECK(copied > 0 || copied == -ETIMEDOUT);
                more = copied > 0 ? (size_t)copied : 0;
            }
            CHECK_EQ(bide_read_exact(sink.ends[1], got + done, more), (ssize_t)more);
        }
        CHECK(memcmp(got + 1, text + 1, sizeof text - 1) == 0);
        CHECK_EQ(bide_copy(sink.ends[0], in), 0);
        bide_close(sink.ends[0]);
        bide_close(sink.ends[1]);
        feed_end(&feed);
    }
    return 0;
}

/*
 * Goal:   a copy that times out, at whichever end, returns what it copied and loses nothing.
 * Method: copy 200 kB in rounds of a microsecond into a ring of 64 kB, comparing every byte.
 */
TEST(buffer, copy_in_rounds_loses_nothing)
{
    CHECK_EQ(run(copies), 0);
}

static int copies_into_closed(void *arg)
{
    struct feed feed;
    bide_stream *sink[2];
    char rest[8] = "";

    (void)arg;
    bide_stream *in = feed_start(&feed, "abcdef", 6, 6);
    CHECK_EQ(bide_stream_pair(sink), 0);
    bide_close(sink[1]);
    CHECK_EQ(bide_copy(sink[0], in), -EPIPE);
    CHECK_EQ(bide_copy(sink[0], in), -EPIPE);
    CHECK_EQ(bide_read(in, rest, sizeof rest), 6);
    CHECK_STR(rest, "abcdef");
    bide_close(sink[0]);
    feed_end(&feed);
    return 0;
}

/*
 * Goal:   what could not be written stays in the source.
 * Method: copy into a stream whose peer is closed, then read the source.
 */
TEST(buffer, copy_error_leaves_bytes_in_the_source)
{
    CHECK_EQ(run(copies_into_closed), 0);
}

static async(int, echoes, bide_stream *, stream)
{
    ssize_t copied = bide_copy(stream, stream);

    return (int)copied;
}

static int copies_to_itself(void *arg)
{
    bide_stream *ends[2];
    char line[16];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    task(int) echo = spawn(echoes, ends[0]);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(bide_printf(ends[1], "line %2d\n", i), 8);
        CHECK_EQ(bide_read_line(ends[1], line, sizeof line), 8);
    }
    CHECK_EQ(bide_shutdown_write(ends[1]), 0);
    CHECK_EQ(await(echo), 800);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   an echo server is one call: a stream copied to itself.
 * Method: a hundred lines there and back.
 */
TEST(buffer, copy_to_itself_echoes)
{
    CHECK_EQ(run(copies_to_itself), 0);
}

/* Reads everything by a mix of calls, keeping what it got; survives cancels by starting again. */
static async(int, reads_mixed, bide_stream *, in, char *, got, size_t *, done)
{
    char line[64];

    for (int call = 0;; call++) {
        const char *data;
        ssize_t n = call % 4 == 0   ? bide_read_line(in, line, sizeof line)
                    : call % 4 == 1 ? bide_read_until(in, line, sizeof line, "--", 2)
                    : call % 4 == 2 ? bide_read_exact(in, line, 3)
                                    : bide_peek(in, &data, 5);
        if (n <= 0)
            return (int)n;
        if (call % 4 == 3) {
            n = n < 5 ? n : 5;
            memcpy(line, data, (size_t)n);
            if (bide_skip(in, (size_t)n) == -ECANCELED)
                return -ECANCELED;
        }
        memcpy(got + *done, line, (size_t)n);
        *done += (size_t)n;
    }
}

static async(int, trickles, bide_stream *, out, const char *, text)
{
    for (; *text != '\0'; text++) {
        CHECK_EQ(bide_write(out, text, 1), 1);
        bide_yield();
    }
    return bide_shutdown_write(out);
}

static int cancels_reader_after(void *arg)
{
    static const char text[] = "line one\npiece--abcdefghline two\nother--ABCDEFGH\n";
    const int turns = *(int *)arg;
    bide_stream *ends[2];
    char got[sizeof text] = "";
    size_t done = 0;
    bool was_canceled;
    int result;

    CHECK_EQ(bide_stream_pair(ends), 0);
    task(int) writer = spawn(trickles, ends[0], text);
    task(int) reader = spawn(reads_mixed, ends[1], got, &done);
    for (int i = 0; i < turns; i++)
        bide_yield();
    was_canceled = !is_done(reader);
    cancel(reader);
    result = await(reader);
    CHECK(result == 0 || (was_canceled && result == -ECANCELED)); /* the end may have come first */
    CHECK_EQ(reads_mixed(ends[1], got, &done), 0);
    CHECK_STR(got, text);
    CHECK_EQ(await(writer), 0);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return was_canceled;
}

/*
 * Goal:   wherever a reader is cancelled, no byte is lost or doubled.
 * Method: a writer trickles single bytes to calls of every kind; cancel the reader after k turns,
 *         for every k until it ends by itself; go on reading and compare the whole text.
 */
TEST(buffer, cancel_at_every_turn_conserves_bytes)
{
    int turns = 0;

    for (uint64_t seed = 0; seed < 5; seed++) {
        for (turns = 0; bide_test_run(cancels_reader_after, &turns, seed, NULL) == 1; turns++)
            CHECK(turns < 10000);
        CHECK(turns > 5);
    }
}
