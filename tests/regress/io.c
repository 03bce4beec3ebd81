/* SPDX-License-Identifier: MIT */
/*
 * io.c - what once was wrong in reactor and io, and is told by no other test.
 */
#include <bide.h>

#include <bide/short.h>
#include <bide/testing.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "sockets.h"
#include "test.h"

static int listens_on_a_file(void *arg)
{
    bide_listener *listener = NULL;
    struct stat status;
    char address[64];
    FILE *file;

    (void)arg;
    snprintf(address, sizeof address, "unix:bide-file-%d", (int)getpid());
    file = fopen(address + 5, "w");
    CHECK(file != NULL);
    fputs("precious", file);
    fclose(file);
    CHECK_EQ(bide_listen(address, NULL, &listener), -EADDRINUSE);
    CHECK_EQ(stat(address + 5, &status), 0);
    CHECK_EQ(status.st_size, 8);
    unlink(address + 5);

    CHECK_EQ(symlink("nowhere", address + 5), 0);
    CHECK_EQ(bide_listen(address, NULL, &listener), -EADDRINUSE);
    CHECK_EQ(lstat(address + 5, &status), 0);
    unlink(address + 5);
    return 0;
}

/*
 * Goal:   listening on a path that is no socket leaves it alone. (Connecting to a regular file is
 *         refused as a dead server's socket is, and so it was removed.)
 * Method: a file with contents, a dangling link.
 */
TEST(io, listen_removes_no_file)
{
    CHECK_EQ(bide_run(listens_on_a_file, NULL, NULL), 0);
}

static async(ssize_t, reads_letters, bide_stream *, in, char *, got)
{
    ssize_t some, done = 0;

    while ((some = bide_read(in, got + done, 64)) > 0)
        done += some;
    return some < 0 ? some : done;
}

static int sends_urgent_data(void *arg)
{
    bide_stream *stream;
    char got[128] = "";
    int plain;

    stream_and_socket(*(int *)arg, &stream, &plain);
    task(ssize_t) reader = spawn(reads_letters, stream, got);
    bide_sleep(BIDE_MS(1));
    bide__fault_reset();
    CHECK_EQ(send(plain, "abc", 3, 0), 3);
    if (send(plain, "!", 1, MSG_OOB) == 1) { /* Unix sockets know it since Linux 5.15 */
        CHECK_EQ(send(plain, "def", 3, 0), 3);
        for (int i = 0; i < 100 && strcmp(got, "abcdef") != 0; i++)
            bide_sleep(BIDE_MS(2));
        CHECK_STR(got, "abcdef");
    }
    close(plain);
    CHECK(await(reader) != 0);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   bytes behind urgent data are read at once. (Every read stops at the mark, which the
 *         short-read shortcut took for an empty socket: they lay there until the next event.)
 * Method: bytes, one urgent byte and bytes again while a reader sleeps; TCP and Unix.
 */
TEST(io, bytes_behind_urgent_data_are_read)
{
    int families[] = {AF_INET, AF_UNIX};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(bide_run(sends_urgent_data, &families[i], NULL), 0);
}

/* Send bytes with a descriptor beside them (unix(7), SCM_RIGHTS). */
static void send_with_descriptor(int plain, const char *text)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};

    memcpy(CMSG_DATA(&control.header), &plain, sizeof plain);
    CHECK_EQ(sendmsg(plain, &message, 0), (ssize_t)piece.iov_len);
}

static int sends_descriptors(void *arg)
{
    bide_stream *stream;
    char got[128] = "";
    int plain, open;

    (void)arg;
    stream_and_socket(AF_UNIX, &stream, &plain);
    open = test_open_fds();
    task(ssize_t) reader = spawn(reads_letters, stream, got);
    bide_sleep(BIDE_MS(1));
    send_with_descriptor(plain, "abc");
    CHECK_EQ(send(plain, "def", 3, 0), 3);
    for (int i = 0; i < 100 && strcmp(got, "abcdef") != 0; i++)
        bide_sleep(BIDE_MS(2));
    CHECK_STR(got, "abcdef");
    CHECK_EQ(test_open_fds(), open); /* nobody asked for it: the kernel closed it */
    close(plain);
    CHECK_EQ(await(reader), 6);
    bide_close(stream);
    return 0;
}

/*
 * Goal:   bytes behind a passed descriptor are read at once. (A read ends with the bytes that came
 *         with one, which the short-read shortcut took for an empty socket.)
 * Method: bytes with a descriptor and bytes without while a reader sleeps.
 */
TEST(io, bytes_behind_a_passed_descriptor_are_read)
{
    CHECK_EQ(bide_run(sends_descriptors, NULL, NULL), 0);
}

static int takes_a_path_over(void *arg)
{
    bide_listener *first, *second;
    bide_stream *stream;
    char address[64];

    (void)arg;
    snprintf(address, sizeof address, "unix:bide-path-%d", (int)getpid());
    CHECK_EQ(bide_listen(address, NULL, &first), 0);
    unlink(address + 5);
    CHECK_EQ(bide_listen(address, NULL, &second), 0);
    bide_listener_close(first);
    CHECK_EQ(bide_dial(address, &stream), 0);
    bide_close(stream);
    bide_listener_close(second);
    CHECK_EQ(access(address + 5, F_OK), -1);
    return 0;
}

/*
 * Goal:   closing a listener removes its own socket file and not another's at the same path.
 * Method: two listeners, one after the other, on a path; close the first.
 */
TEST(io, close_removes_no_other_listeners_path)
{
    CHECK_EQ(bide_run(takes_a_path_over, NULL, NULL), 0);
}

static int closes_itself(bide_stream *stream, void *arg)
{
    char byte;

    (void)arg;
    if (bide_read(stream, &byte, 1) == 1)
        bide_write(stream, &byte, 1);
    bide_close(stream);
    return 0;
}

static async(int, serves_closers, bide_listener *, listener)
{
    return bide_serve(listener, closes_itself, NULL);
}

static int talks_to_closers(void *arg)
{
    bide_listener *listener;
    bide_stream *stream;
    char address[64], byte;

    (void)arg;
    CHECK_EQ(bide_listen("unix:@", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, address, sizeof address), 0);
    task(int) server = spawn(serves_closers, listener);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(bide_dial(address, &stream), 0);
        CHECK_EQ(bide_write(stream, "x", 1), 1);
        CHECK_EQ(bide_read(stream, &byte, 1), 1);
        CHECK_EQ(bide_read(stream, &byte, 1), 0);
        bide_close(stream);
    }
    cancel(server);
    CHECK_EQ(await(server), -ECANCELED);
    bide_listener_close(listener);
    return 0;
}

/*
 * Goal:   a handler may close its stream. That was a use after free.
 * Method: a hundred connections whose handlers do.
 */
TEST(io, handler_may_close_its_stream)
{
    CHECK_EQ(bide_run(talks_to_closers, NULL, NULL), 0);
}

static int lowers_the_limit(void *arg)
{
    bide_stream *ends[2];
    const char *data;
    char line[100];

    (void)arg;
    CHECK_EQ(bide_stream_pair(ends), 0);
    CHECK_EQ(bide_write(ends[1], "0123456789012345678", 19), 19);
    CHECK_EQ(bide_peek(ends[0], &data, 1), 19); /* the buffer is large by now */
    CHECK_EQ(bide_skip(ends[0], 19), 19);
    CHECK_EQ(bide_stream_set_limit(ends[0], 10), 0);
    CHECK_EQ(bide_write(ends[1], "0123456789012345678\n", 20), 20);
    CHECK_EQ(bide_peek(ends[0], &data, 1), 10);
    CHECK_EQ(bide_read_line(ends[0], line, sizeof line), -EMSGSIZE);
    CHECK_EQ(bide_read(ends[0], line, sizeof line), 10);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return 0;
}

/*
 * Goal:   a limit that is lowered later holds, however large the buffer is already.
 * Method: fill a buffer, lower the limit, send a longer line.
 */
TEST(io, lowered_limit_holds)
{
    CHECK_EQ(bide_run(lowers_the_limit, NULL, NULL), 0);
}

static async(int, reads_bytes, bide_stream *, stream)
{
    ssize_t got;
    char byte;

    do
        got = bide_read(stream, &byte, 1);
    while (got > 0);
    return (int)got;
}

static async(int, looks_at_bytes, bide_stream *, stream)
{
    const char *data;
    ssize_t got;

    while ((got = bide_peek(stream, &data, 1)) > 0)
        CHECK_EQ(data[0], 0);
    return (int)got;
}

static int closes_while_others_run(void *arg)
{
    static char zeros[1000];
    bide_stream *ends[2];
    char byte;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(bide_stream_pair(ends), 0);
        CHECK_EQ(bide_write(ends[1], zeros, sizeof zeros), (ssize_t)sizeof zeros);
        task(int) user = i == 0 ? spawn(reads_bytes, ends[0]) : spawn(looks_at_bytes, ends[0]);
        bide_yield(); /* until its budget is gone, in the middle of a call */
        CHECK_EQ(bide_read(ends[0], &byte, 1), -EBUSY);
        bide_close(ends[0]);
        CHECK_EQ(await(user), -EBADF);
        bide_close(ends[1]);
    }
    return 0;
}

/*
 * Goal:   a call that yields because its budget is gone is still inside: a close gives -EBADF, a
 *         second reader -EBUSY. It returned what it had, of a stream that was gone; and what a peek
 *         showed was another stream's by then.
 * Method: reads and peeks that never wait, and a close after a turn of theirs.
 */
TEST(io, call_out_of_budget_is_still_inside)
{
    CHECK_EQ(bide_test_run(closes_while_others_run, NULL, 0, NULL), 0);
}

static async(int, accepts_all, bide_listener *, listener)
{
    bide_stream *stream;
    int err;

    while ((err = bide_accept(listener, &stream)) == 0)
        bide_close(stream);
    return err;
}

static int closes_while_accepting(void *arg)
{
    bide_listener *listener;
    int plain[100];
    char text[64];

    (void)arg;
    CHECK_EQ(bide_listen("tcp://127.0.0.1:0", NULL, &listener), 0);
    CHECK_EQ(bide_listener_address(listener, text, sizeof text), 0);
    for (int i = 0; i < 100; i++)
        CHECK((plain[i] = plain_dial(text)) >= 0);
    task(int) acceptor = spawn(accepts_all, listener);
    bide_yield();
    bide_listener_close(listener);
    CHECK_EQ(await(acceptor), -EBADF);
    for (int i = 0; i < 100; i++)
        close(plain[i]);
    return 0;
}

/*
 * Goal:   the same of accepting.
 * Method: a hundred connections in the queue, and a close after 64 of them.
 */
TEST(io, accept_out_of_budget_is_still_inside)
{
    CHECK_EQ(bide_run(closes_while_accepting, NULL, NULL), 0);
}

static async(int, copies_all, bide_stream *, to, bide_stream *, from)
{
    return (int)bide_copy(to, from);
}

static int closes_a_destination(void *arg)
{
    static char bytes[64 * 1024];
    bide_stream *source[2], *sink[2];

    (void)arg;
    CHECK_EQ(bide_stream_pair(source), 0);
    CHECK_EQ(bide_stream_pair(sink), 0);
    CHECK_EQ(bide_write(sink[0], bytes, sizeof bytes - 30000), (ssize_t)sizeof bytes - 30000);
    CHECK_EQ(bide_write(source[1], bytes, 60000), 60000);
    bide_shutdown_write(source[1]);
    task(int) copier = spawn(copies_all, sink[0], source[0]);
    bide_sleep(1);
    bide_close(sink[0]);
    CHECK_EQ(await(copier), -EBADF);
    CHECK_EQ(bide_read_exact(source[0], bytes, sizeof bytes), 30000);
    for (int i = 0; i < 2; i++)
        bide_close(source[i]);
    bide_close(sink[1]);
    return 0;
}

/*
 * Goal:   what a destination got before it was closed does not stay in the source.
 * Method: room for half of what is copied, then a close.
 */
TEST(io, copy_to_a_closed_stream_consumes_what_went)
{
    CHECK_EQ(bide_test_run(closes_a_destination, NULL, 0, NULL), 0);
}
