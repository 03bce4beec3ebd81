/* SPDX-License-Identifier: MIT */
/*
 * file_stream.c - files as streams.
 */
#include "files.h"

#include <bide/short.h>

#include <fcntl.h>

#include "io/stream.h"
#include "reports.h"

static bide_stream *opened(const char *path, int flags)
{
    bide_file *file;
    bide_stream *stream;

    CHECK_EQ(bide_file_open(path, flags, 0600, &file), 0);
    CHECK_EQ(bide_file_stream(file, &stream), 0);
    return stream;
}

enum { LINES = 50000 };

static int lines_go_and_come(void *arg)
{
    const char *path = files_path("lines");
    bide_stream *stream = opened(path, O_WRONLY | O_CREAT);
    char line[64], expected[64];
    uint64_t writes;

    (void)arg;
    bide__fault_reset();
    for (int i = 0; i < LINES; i++)
        CHECK(bide_printf(stream, "line %d of many\n", i) > 0);
    CHECK_EQ(bide_flush(stream), 0);
    writes = bide__fault_count(BIDE__CALL_WRITE);
    CHECK(writes < 50); /* they were collected */
    CHECK_EQ(bide_flush(stream), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_WRITE), writes);
    CHECK_EQ(bide_shutdown_write(stream), -EOPNOTSUPP);
    CHECK_EQ(bide_stream_fd(stream), -EOPNOTSUPP);
    bide_close(stream);

    stream = opened(path, O_RDONLY);
    for (int i = 0; i < LINES; i++) {
        snprintf(expected, sizeof expected, "line %d of many\n", i);
        CHECK_EQ(bide_read_line(stream, line, sizeof line), strlen(expected));
        CHECK_STR(line, expected);
    }
    CHECK_EQ(bide_read_line(stream, line, sizeof line), 0);
    CHECK_EQ(bide_read(stream, line, sizeof line), 0);
    CHECK_EQ(bide_write(stream, "x", 1), 1); /* collected: nobody has asked the file yet */
    CHECK_EQ(bide_flush(stream), -EBADF);
    bide_close(stream); /* reported, as the test below has it */
    return 0;
}

/*
 * Goal:   lines go out in few calls and come back; the end is told.
 * Method: 50,000 lines; count the writes.
 */
TEST(file_stream, lines_go_and_come)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(files_run_with(lines_go_and_come, NULL, &options), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_LOST_WRITE), 1);
    CHECK_EQ(seen.kept[0].error, -EBADF);
}

static int grows(void *arg)
{
    const char *path = files_path("log");
    bide_stream *reader, *writer;
    char line[32];

    (void)arg;
    files_write(path, "one\n", 4);
    reader = opened(path, O_RDONLY);
    writer = opened(path, O_WRONLY | O_APPEND);
    CHECK_EQ(bide_read_line(reader, line, sizeof line), 4);
    CHECK_EQ(bide_read_line(reader, line, sizeof line), 0);
    CHECK_EQ(bide_write(writer, "two\nthr", 7), 7);
    CHECK_EQ(bide_read_line(reader, line, sizeof line), 0); /* not flushed */
    CHECK_EQ(bide_flush(writer), 0);
    CHECK_EQ(bide_read_line(reader, line, sizeof line), 4);
    CHECK_STR(line, "two\n");
    CHECK_EQ(bide_read_line(reader, line, sizeof line), 3); /* the end, for now */
    CHECK_STR(line, "thr");
    CHECK_EQ(bide_write(writer, "ee\n", 3), 3);
    bide_close(writer);
    CHECK_EQ(bide_read_line(reader, line, sizeof line), 3);
    CHECK_STR(line, "ee\n");
    bide_close(reader);
    return 0;
}

/*
 * Goal:   a file that grows can be read on; what was collected is there after a flush or close.
 * Method: read to the end, append, read on.
 */
TEST(file_stream, growing_file_is_read_on)
{
    CHECK_EQ(files_run(grows, NULL), 0);
}

static int reads_and_writes(void *arg)
{
    const char *path = files_path("both");
    bide_file *file;
    bide_stream *stream;
    char line[32], *large = malloc(200000);

    (void)arg;
    files_write(path, "head one two three\nfour\n", 24);
    CHECK_EQ(bide_file_open(path, O_RDWR, 0, &file), 0);
    CHECK_EQ(bide_file_read(file, line, 5), 5); /* the stream begins where the file is */
    CHECK_EQ(bide_file_stream(file, &stream), 0);
    CHECK_EQ(bide_read_until(stream, line, sizeof line, " ", 1), 4);
    CHECK_STR(line, "one ");
    CHECK_EQ(bide_write(stream, "TWO", 3), 3); /* right behind, not behind what was read ahead */
    CHECK_EQ(bide_read_line(stream, line, sizeof line), 7);
    CHECK_STR(line, " three\n");
    CHECK_EQ(bide_write(stream, "FO", 2), 2);
    bide_close(stream);
    CHECK(files_holds(path, "head one TWO three\nFOur\n", 24));

    CHECK(large != NULL);
    memset(large, 'z', 200000);
    stream = opened(path, O_RDWR | O_TRUNC);
    CHECK_EQ(bide_write(stream, large, 10), 10);
    CHECK_EQ(bide_write(stream, large, 199990), 199990); /* larger than what is collected */
    CHECK_EQ(bide_write(stream, "", 0), 0);
    bide_close(stream);
    CHECK(files_holds(path, large, 200000));
    free(large);
    return 0;
}

/*
 * Goal:   reading and writing go by one position, whatever was read ahead or collected.
 * Method: take turns on one file, and look at it.
 */
TEST(file_stream, reading_and_writing_share_the_position)
{
    CHECK_EQ(files_run(reads_and_writes, NULL), 0);
}

static int copies(void *arg)
{
    bide_stream *from, *to;
    char *data = malloc(300000);

    (void)arg;
    CHECK(data != NULL);
    for (int i = 0; i < 300000; i++)
        data[i] = (char)(i * 7 >> 3);
    files_write(files_path("from"), data, 300000);
    from = opened(files_path("from"), O_RDONLY);
    to = opened(files_path("to"), O_WRONLY | O_CREAT);
    CHECK_EQ(bide_copy(to, from), 300000);
    bide_close(from);
    bide_close(to);
    CHECK(files_holds(files_path("to"), data, 300000));
    free(data);
    return 0;
}

/*
 * Goal:   bide_copy works from file to file.
 * Method: 300,000 bytes.
 */
TEST(file_stream, copy_works)
{
    CHECK_EQ(files_run(copies, NULL), 0);
}

static int keeps_what_it_cannot_write(void *arg)
{
    bide_stream *stream = opened(files_path("f"), O_WRONLY | O_CREAT);
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(bide_write(stream, "0123456789", 10), 10);
    bide_scope_cancel(&scope);
    with_scope (&scope)
        CHECK_EQ(bide_flush(stream), -ECANCELED);
    if (!FILES_IN_RING) {
        bide__fault_limit(BIDE__CALL_WRITE, 4);
        bide__fault_fail(BIDE__CALL_WRITE, 2, 4, -ENOSPC);
        CHECK_EQ(bide_flush(stream), -ENOSPC);
        CHECK(files_holds(files_path("f"), "0123", 4));
        CHECK_EQ(bide_flush(stream), -ENOSPC);
        bide__fault_reset();
        CHECK_EQ(bide_flush(stream), 0);
        CHECK(files_holds(files_path("f"), "0123456789", 10));
    }
    CHECK_EQ(bide_write(stream, "ab", 2), 2);
    with_scope (&scope)
        bide_close(stream);
    CHECK(files_holds(files_path("f"), "0123456789ab", 12));
    return 0;
}

/*
 * Goal:   nothing that was collected is lost: not to a cancel, not to a full disk; a close writes
 *         it even in a cancelled scope.
 * Method: fail a flush midway, and look at the file each time.
 */
TEST(file_stream, failed_flush_keeps_what_is_left)
{
    CHECK_EQ(files_run(keeps_what_it_cannot_write, NULL), 0);
}

static int loses_at_close(void *arg)
{
    bide_stream *stream = opened("/dev/full", O_WRONLY);

    (void)arg;
    CHECK_EQ(bide_write(stream, "lost", 4), 4);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   what a close cannot write is reported.
 * Method: a full device.
 */
TEST(file_stream, lost_write_is_reported)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(files_run_with(loses_at_close, NULL, &options), 0);
    CHECK_EQ(seen.count, 1);
    CHECK_EQ(seen.kept[0].kind, BIDE_REPORT_LOST_WRITE);
    CHECK_EQ(seen.kept[0].error, -ENOSPC);
    CHECK_CONTAINS(seen.kept[0].message, "4 bytes");
}

static void closes_in_a_post(void *arg)
{
    bide_close(arg);
}

static int posts_a_close(void *arg)
{
    bide_stream *stream = opened(files_path("f"), O_WRONLY | O_CREAT);
    bide_loop *loop = bide_loop_hold(NULL);

    (void)arg;
    CHECK_EQ(bide_write(stream, "kept", 4), 4);
    CHECK_EQ(bide_post(loop, closes_in_a_post, stream), 0);
    bide_loop_release(loop);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK(files_holds(files_path("f"), "kept", 4));
    return 0;
}

/*
 * Goal:   a stream of a file can be closed where nothing may wait, and is written.
 * Method: close it in a post.
 */
TEST(file_stream, close_in_a_post_writes)
{
    CHECK_EQ(files_run(posts_a_close, NULL), 0);
}

static async(ssize_t, reads_one, bide_stream *, stream)
{
    char byte;

    return bide_read(stream, &byte, 1);
}

static int closes_under_a_reader(void *arg)
{
    bide_stream *stream;
    int writer;

    (void)arg;
    CHECK_EQ(mkfifo(files_path("fifo"), 0600), 0);
    writer = open(files_path("fifo"), O_RDWR | O_CLOEXEC);
    CHECK(writer >= 0);
    stream = opened(files_path("fifo"), O_RDWR);
    CHECK_EQ(bide_write(stream, "!", 1), 1); /* a FIFO has no position: this stays collected */
    CHECK_EQ(bide_flush(stream), 0);
    CHECK_EQ(bide_read(stream, &(char){0}, 1), 1);
    task(ssize_t) reader = spawn(reads_one, stream);
    CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
    CHECK(!is_done(reader));
    CHECK_EQ(write(writer, "x", 1), 1); /* or the close below would wait for ever */
    bide_close(stream);
    CHECK_EQ(await(reader), 1); /* it had its byte already */
    close(writer);
    return 0;
}

/*
 * Goal:   closing waits for the task that reads, and leaves nothing behind.
 * Method: a FIFO's reader, which gets its byte while another task closes.
 */
TEST(file_stream, close_waits_for_the_reader)
{
    CHECK_EQ(files_run(closes_under_a_reader, NULL), 0);
}

static async(int, flushes, bide_stream *, stream)
{
    return bide_flush(stream);
}

static async(ssize_t, writes, bide_stream *, stream, const char *, data, size_t, bytes)
{
    return bide_write(stream, data, bytes);
}

static int is_cancelled_behind_a_reader(void *arg)
{
    static char large[70000];
    bide_stream *stream, *fifo;
    int writer;

    (void)arg;
    CHECK_EQ(mkfifo(files_path("fifo"), 0600), 0);
    writer = open(files_path("fifo"), O_RDWR | O_CLOEXEC);
    CHECK(writer >= 0);
    fifo = opened(files_path("fifo"), O_RDONLY);
    stream = opened(files_path("f"), O_RDWR | O_CREAT);
    CHECK_EQ(bide_write(stream, "abc", 3), 3);
    task(ssize_t) holder = spawn(reads_one, fifo);
    CHECK_EQ(bide_sleep(BIDE_MS(10)), 0); /* now it has the thread */
    task(int) flusher = spawn(flushes, stream);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(bide_write(stream, "x", 1), -EBUSY);
    CHECK_EQ(bide_read(stream, large, 1), -EBUSY);
    cancel(flusher);
    CHECK_EQ(await(flusher), -ECANCELED);
    task(ssize_t) large_writer = spawn(writes, stream, large, sizeof large);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    cancel(large_writer);
    CHECK_EQ(await(large_writer), -ECANCELED);
    task(ssize_t) reader = spawn(reads_one, stream); /* flushes first */
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    cancel(reader);
    CHECK_EQ(await(reader), -ECANCELED);
    CHECK(files_holds(files_path("f"), "", 0));
    CHECK_EQ(write(writer, "x", 1), 1);
    CHECK_EQ(await(holder), 1);
    CHECK_EQ(bide_flush(stream), 0);
    CHECK(files_holds(files_path("f"), "abc", 3)); /* all of it, once */
    bide_close(stream);
    bide_close(fifo);
    close(writer);
    return 0;
}

/*
 * Goal:   a flush, a write or a read that is cancelled while it waits for a thread loses nothing of
 *         what was collected, and writes none of it twice.
 * Method: a FIFO's reader has the only thread; cancel each behind it.
 */
TEST(file_stream, cancelled_flush_keeps_what_is_collected)
{
    bide_options options = {.threads_max = 1};

    if (FILES_IN_RING)
        SKIP("there is no thread to wait for");
    CHECK_EQ(files_run_with(is_cancelled_behind_a_reader, NULL, &options), 0);
}
