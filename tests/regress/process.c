/* SPDX-License-Identifier: MIT */
/*
 * Mistakes once made about child processes.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "processes.h"
#include "test.h"

static async(int, communicates, bide_process *, process)
{
    bide_output out = {.bytes_max = 100};
    int err = bide_process_communicate(process, "x", 1, &out, NULL);

    free(out.data);
    return err;
}

static int disturbs_communicate(void *arg)
{
    bide_process *process;
    bool frees = arg != NULL;
    const bide_process_options options = {.in = {.kind = BIDE_STDIO_PIPE},
                                          .out = {.kind = BIDE_STDIO_PIPE},
                                          .err = {.kind = BIDE_STDIO_PIPE}};

    CHECK_EQ(bide_process_spawn(BIDE_ARGV("/bin/cat"), &options, &process), 0);
    task(int) t = spawn(communicates, process);
    bide_yield(); /* it has spawned its own tasks, and they have not begun */
    if (frees)
        bide_process_free(process);
    else
        bide_process_close_stdin(process);
    CHECK_EQ(await(t), -EBADF);
    if (!frees)
        bide_process_free(process);
    return 0;
}

/*
 * Goal:   communicate holds its streams before its tasks begin.
 * Method: close the input, or free the process, in between: -EBADF.
 */
TEST(process, communicate_survives_a_close_before_it_begins)
{
    CHECK_EQ(bide_run(disturbs_communicate, NULL, NULL), 0);
    CHECK_EQ(bide_run(disturbs_communicate, "frees", NULL), 0);
}

static int loses_a_pidfd(void *arg)
{
    bide_process *lost, *other;
    bide_process_status status;
    int number;

    (void)arg;
    number = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the next descriptor's number */
    close(number);
    CHECK_EQ(bide_process_spawn(BIDE_ARGV("/bin/true"), NULL, &lost), 0);
    close(number);
    CHECK_EQ(bide_process_spawn(BIDE_ARGV("/bin/sh", "-c", "exit 42"), NULL, &other), 0);
    bide_process_free(lost);
    CHECK_EQ(bide_process_wait(other, &status), 0);
    CHECK_EQ(status.code, 42);
    bide_process_free(other);
    return 0;
}

/*
 * Goal:   a process whose pidfd was closed behind the library's back reaps nobody else's child.
 * Method: another process takes the number over, and is still waited for.
 */
TEST(process, lost_pidfd_reaches_no_stranger)
{
    CHECK_EQ(bide_run(loses_a_pidfd, NULL, NULL), 0);
    while (waitpid(-1, NULL, 0) > 0) /* the first child, which nobody could reap any more */
        continue;
}

static int gives_a_blocking_socket(void *arg)
{
    bide_process *process;
    bide_stream *stream;
    int ends[2], shared;

    (void)arg;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    shared = dup(ends[0]);
    CHECK_EQ(bide_stream_of_fd(ends[0], &stream), 0);
    const bide_process_options options = {
        .in = {.kind = BIDE_STDIO_STREAM, .stream = stream},
    };
    CHECK_EQ(bide_process_spawn(BIDE_ARGV("/nonexistent"), &options, &process), -ENOENT);
    CHECK_EQ(fcntl(shared, F_GETFL) & O_NONBLOCK, 0);
    bide_close(stream);
    close(shared);
    close(ends[1]);
    return 0;
}

/*
 * Goal:   a spawn that fails leaves the mode of a shared socket as it was.
 * Method: a blocking socket as a stream, and a program that is not there.
 */
TEST(process, failed_spawn_leaves_the_mode_of_streams)
{
    if (TEST_UNDER_QEMU())
        SKIP("a failed exec is told by the status there");
    if (TEST_UNDER_VALGRIND())
        SKIP("a failed exec is told by the status there");
    CHECK_EQ(bide_run(gives_a_blocking_socket, NULL, NULL), 0);
}

static bide_process *posted;
static int post_result;

static void waits_in_a_post(void *event)
{
    post_result = bide_process_wait(posted, NULL);
    bide_process_free(posted);
    bide_event_set(event);
}

static int posts_a_wait(void *arg)
{
    const bide_process_options options = {.kill_on_exit = true};
    bide_event done = BIDE_EVENT_INIT;
    bide_loop *loop = bide_loop_hold(NULL);

    (void)arg;
    CHECK_EQ(bide_process_spawn(BIDE_ARGV("/bin/sleep", "1000"), &options, &posted), 0);
    CHECK_EQ(bide_post(loop, waits_in_a_post, &done), 0);
    CHECK_EQ(bide_event_wait(&done), 0);
    CHECK_EQ(post_result, -ECANCELED);
    bide_loop_release(loop);
    return 0;
}

/*
 * Goal:   in a post a wait is refused, and giving up a process kills it, without waiting.
 * Method: a process that would run for long, with kill_on_exit; it is gone when the loop is.
 */
TEST(process, post_may_give_a_process_up)
{
    CHECK_EQ(bide_run(posts_a_wait, NULL, NULL), 0);
}
