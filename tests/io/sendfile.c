/* SPDX-License-Identifier: MIT */
/*
 * sendfile.c - from files to streams.
 */
#include "files.h"

#include <bide/short.h>

#include <fcntl.h>
#include <signal.h>

#include "sockets.h"

enum { BYTES = (3 << 20) + 77 };

static char *data;

static bide_file *file_of_data(void)
{
    bide_file *file;

    data = malloc(BYTES);
    CHECK(data != NULL);
    for (int i = 0; i < BYTES; i++)
        data[i] = (char)(i * 13 >> 4);
    files_write(files_path("data"), data, BYTES);
    CHECK_EQ(bide_file_open(files_path("data"), O_RDONLY, 0, &file), 0);
    return file;
}

static async(int, expects, bide_stream *, stream, size_t, from, size_t, bytes)
{
    char buf[8192];

    while (bytes > 0) {
        ssize_t got = bide_read(stream, buf, bytes < sizeof buf ? bytes : sizeof buf);
        if (got <= 0)
            return got < 0 ? (int)got : -EPIPE;
        CHECK_EQ(memcmp(buf, data + from, (size_t)got), 0);
        from += (size_t)got;
        bytes -= (size_t)got;
    }
    return 0;
}

static void stream_ends(int kind, bide_stream *ends[2])
{
    int plain[2];

    if (kind == 0) {
        CHECK_EQ(bide_stream_pair(ends), 0);
        return;
    }
    if (kind == AF_INET)
        tcp_sockets(plain);
    else
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, plain), 0);
    ends[0] = stream_of(plain[0]);
    ends[1] = stream_of(plain[1]);
}

static int sends(void *arg)
{
    bide_file *file = file_of_data();
    bide_stream *ends[2];

    stream_ends(*(int *)arg, ends);
    for (int is_cold = 0; is_cold < 2; is_cold++) {
        if (is_cold)
            files_forget_pages(bide_file_fd(file));
        task(int) all = spawn(expects, ends[1], 0, BYTES);
        CHECK_EQ(bide_sendfile(ends[0], file, 0, SIZE_MAX), BYTES);
        CHECK_EQ(await(all), 0);
        if (is_cold)
            files_forget_pages(bide_file_fd(file));
        task(int) part = spawn(expects, ends[1], 1000001, 500000);
        CHECK_EQ(bide_sendfile(ends[0], file, 1000001, 500000), 500000);
        CHECK_EQ(await(part), 0);
        task(int) tail = spawn(expects, ends[1], BYTES - 10, 10);
        CHECK_EQ(bide_sendfile(ends[0], file, BYTES - 10, 4096), 10); /* short: the end */
        CHECK_EQ(await(tail), 0);
    }
    CHECK_EQ(bide_sendfile(ends[0], file, BYTES, 10), 0);
    CHECK_EQ(bide_sendfile(ends[0], file, BYTES + 1000000, 10), 0);
    CHECK_EQ(bide_sendfile(ends[0], file, 0, 0), 0);
    CHECK_EQ(bide_sendfile(ends[0], file, -1, 10), -EINVAL);
    CHECK_EQ(bide_file_seek(file, 0, SEEK_CUR), 0); /* the position is nobody's business */
    CHECK_EQ(bide_file_close(file), 0);
    CHECK_EQ(bide_file_open(files_directory, O_RDONLY, 0, &file), 0);
    CHECK(bide_sendfile(ends[0], file, 0, 10) < 0);
    CHECK_EQ(bide_write(ends[0], "x", 1), 1); /* the stream has nothing to do with that */
    CHECK_EQ(bide_file_close(file), 0);
    bide_close(ends[0]);
    bide_close(ends[1]);
    free(data);
    return 0;
}

/*
 * Goal:   what is asked for arrives, once, from memory or from the disk; the end makes it short.
 * Method: TCP, Unix, and a pair in memory, which has no descriptor.
 */
TEST(sendfile, bytes_arrive_from_memory_and_disk)
{
    int kinds[] = {0, AF_INET, AF_UNIX};

    for (int i = 0; i < 3; i++)
        CHECK_EQ(files_run(sends, &kinds[i]), 0);
}

static int sends_without_cachestat(void *arg)
{
    bide_file *file = file_of_data();
    bide_stream *ends[2];

    (void)arg;
    stream_ends(AF_INET, ends);
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_FILE, 1, 1, -ENOSYS);
    task(int) all = spawn(expects, ends[1], 0, BYTES);
    CHECK_EQ(bide_sendfile(ends[0], file, 0, SIZE_MAX), BYTES);
    CHECK_EQ(await(all), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_FILE), 1); /* not asked again */
    bide__fault_reset();
    CHECK_EQ(bide_file_close(file), 0);
    bide_close(ends[0]);
    bide_close(ends[1]);
    free(data);
    return 0;
}

/*
 * Goal:   a kernel before cachestat serves as well.
 * Method: refuse the first.
 */
TEST(sendfile, old_kernels_serve)
{
    CHECK_EQ(files_run(sends_without_cachestat, NULL), 0);
}

static int peer_goes_away(void *arg)
{
    bide_file *file = file_of_data();
    bide_stream *stream;
    ssize_t sent;
    int plain;

    stream_and_socket(*(int *)arg, &stream, &plain);
    do { /* nobody reads, but the kernel takes some */
        with_timeout (BIDE_MS(20))
            sent = bide_sendfile(stream, file, 0, SIZE_MAX);
    } while (sent == BYTES);
    CHECK(sent == -ETIMEDOUT || (sent > 0 && sent < BYTES));
    with_timeout (0)
        CHECK_EQ(bide_sendfile(stream, file, 0, SIZE_MAX), -ETIMEDOUT);
    close(plain);
    for (int i = 0; i < 3 && (sent = bide_sendfile(stream, file, 0, 100000)) >= 0; i++)
        ;
    CHECK(sent == -EPIPE || sent == -ECONNRESET);
    CHECK_EQ(bide_sendfile(stream, file, 0, 10), -EPIPE); /* SIGPIPE would have killed us */
    CHECK_EQ(bide_file_close(file), 0);
    bide_close(stream);
    free(data);
    return 0;
}

/*
 * Goal:   a timeout tells how much was sent; a peer that is gone is -EPIPE and no signal.
 * Method: a peer that does not read, and then closes.
 */
TEST(sendfile, peer_that_goes_is_an_error_and_no_signal)
{
    int families[] = {AF_INET, AF_UNIX};

    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(files_run(peer_goes_away, &families[i]), 0);
}

static async(ssize_t, sends_all, bide_stream *, stream, bide_file *, file)
{
    return bide_sendfile(stream, file, 0, SIZE_MAX);
}

static int is_closed_meanwhile(void *arg)
{
    bide_file *file = file_of_data();
    bide_stream *stream;
    int plain;

    (void)arg;
    stream_and_socket(AF_UNIX, &stream, &plain);
    task(ssize_t) sender = spawn(sends_all, stream, file);
    CHECK_EQ(bide_sleep(BIDE_MS(20)), 0);
    CHECK(!is_done(sender));
    CHECK_EQ(bide_write(stream, "x", 1), -EBUSY);
    CHECK_EQ(bide_sendfile(stream, file, 0, 1), -EBUSY);
    bide_close(stream);
    CHECK_EQ(await(sender), -EBADF);
    CHECK_EQ(bide_file_close(file), 0);
    close(plain);
    free(data);
    return 0;
}

/*
 * Goal:   closing the stream ends the call with -EBADF; meanwhile others get -EBUSY.
 * Method: a peer that does not read.
 */
TEST(sendfile, close_of_the_stream_ends_it)
{
    CHECK_EQ(files_run(is_closed_meanwhile, NULL), 0);
}

static async(ssize_t, receives, int, plain, size_t, most)
{
    static char buf[65536];
    size_t done = 0;

    CHECK_EQ(fcntl(plain, F_SETFL, O_NONBLOCK), 0);
    while (done < most) {
        ssize_t got = read(plain, buf, sizeof buf);
        if (got > 0) {
            CHECK_EQ(memcmp(buf, data + done, (size_t)got), 0);
            done += (size_t)got;
        }
        if (got == 0 || (got < 0 && bide_sleep(BIDE_US(200)) < 0))
            break;
    }
    return (ssize_t)done;
}

static int is_cancelled_anywhere(void *arg)
{
    bide_file *file = file_of_data();

    (void)arg;
    for (int turns = 0; turns < 20; turns++) {
        bide_stream *stream;
        ssize_t sent;
        int plain;
        stream_and_socket(AF_UNIX, &stream, &plain);
        if (turns % 2 == 0)
            files_forget_pages(bide_file_fd(file));
        task(ssize_t) sender = spawn(sends_all, stream, file);
        task(ssize_t) receiver = spawn(receives, plain, BYTES);
        for (int i = 0; i < turns; i++)
            bide_sleep(BIDE_US(200));
        cancel(sender);
        sent = await(sender);
        CHECK(sent == -ECANCELED || (sent > 0 && sent <= BYTES));
        bide_close(stream);
        CHECK_EQ(await(receiver), sent < 0 ? 0 : sent); /* exactly what was told */
        close(plain);
    }
    CHECK_EQ(bide_file_close(file), 0);
    free(data);
    return 0;
}

/*
 * Goal:   a cancelled call says exactly how much arrived.
 * Method: cancel after ever more time, cold and warm; count at the other end.
 */
TEST(sendfile, cancelled_call_says_how_much)
{
    CHECK_EQ(files_run(is_cancelled_anywhere, NULL), 0);
}

static int fails_in_turn(void *arg)
{
    enum bide__call calls[] = {BIDE__CALL_ALLOC, BIDE__CALL_READ, BIDE__CALL_SPLICE};
    bide_file *file = file_of_data();

    for (size_t i = 0; i < 3; i++) {
        uint64_t nth = 1, fired;
        do {
            bide_stream *ends[2];
            ssize_t sent;
            stream_ends(*(int *)arg, ends);
            bide__fault_reset();
            bide__fault_fail(calls[i], nth, 1, i == 0 ? -ENOMEM : -EIO);
            bide__fault_limit(BIDE__CALL_SPLICE, 10000);
            sent = bide_sendfile(ends[0], file, 5, 50000);
            fired = bide__fault_count(calls[i]);
            bide__fault_reset();
            CHECK(sent <= 50000 && (fired >= nth || sent == 50000));
            if (sent > 0)
                CHECK_EQ(expects(ends[1], 5, (size_t)sent), 0);
            if (fired >= nth && i == 2) /* the stream's error waits for the next call */
                CHECK(sent < 0 || bide_write(ends[0], "x", 1) == -EIO);
            bide_close(ends[0]);
            bide_close(ends[1]);
            CHECK(nth < 100);
        } while (fired >= nth++);
    }
    CHECK_EQ(bide_file_close(file), 0);
    free(data);
    return 0;
}

/*
 * Goal:   whichever call fails, the bytes told are those that arrived, and the error follows.
 * Method: fail each call in turn, sending short pieces.
 */
TEST(sendfile, each_failing_call_is_told)
{
    int kinds[] = {0, AF_UNIX};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(files_run(fails_in_turn, &kinds[i]), 0);
}
