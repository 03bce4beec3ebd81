/* SPDX-License-Identifier: MIT */
/*
 * process_spawn.c - what a child is given, and what is told when it cannot begin.
 */
#include "processes.h"

#include <sys/stat.h>

#include "sockets.h"

/* An emulator runs fork in place of vfork, so that a child's failure is its status 127. */
static void need_shared_memory(void)
{
    if (TEST_UNDER_QEMU() || TEST_UNDER_VALGRIND())
        SKIP("emulated, a child shares no memory with its parent and cannot tell what failed");
}

/* An emulator cannot start a program for another processor, and this one is. */
static void need_ourselves(void)
{
    if (TEST_UNDER_QEMU())
        SKIP("emulated, the test program cannot start itself");
    if (TEST_UNDER_VALGRIND())
        SKIP("the emulator has descriptors and handlers of its own");
}

static void fails(const char *const *argv, bide_process_options options, int error,
                  enum bide_process_step step)
{
    bide_process *process = NULL;
    enum bide_process_step failed = BIDE_PROCESS_STEP_STDIO;

    options.failed_step = &failed;
    CHECK_EQ(bide_process_spawn(argv, &options, &process), error);
    CHECK(process == NULL);
    CHECK_EQ(failed, step);
    CHECK(has_no_children());
}

static int steps_that_fail(void *arg)
{
    const char *directory = arg;
    const char *const true_argv[] = {"true", NULL};
    struct bide_process_limit unknown = {.resource = 9999};
    bide_process_options none = {.env = NULL};
    char text[300], long_name[400];

    fails(BIDE_ARGV("/no/such/program"), none, -ENOENT, BIDE_PROCESS_STEP_EXEC);
    fails(BIDE_ARGV("no-such-program-anywhere"), none, -ENOENT, BIDE_PROCESS_STEP_EXEC);
    fails(BIDE_ARGV("/dev/null/x"), none, -ENOTDIR, BIDE_PROCESS_STEP_EXEC);
    fails(BIDE_ARGV("/tmp"), none, -EACCES, BIDE_PROCESS_STEP_EXEC);
    fails(BIDE_ARGV(""), none, -ENOENT, BIDE_PROCESS_STEP_NONE);
    memset(long_name, 'n', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    fails(BIDE_ARGV(long_name), none, -ENOENT, BIDE_PROCESS_STEP_EXEC);
    snprintf(text, sizeof text, "%s/script", directory);
    fails(BIDE_ARGV(text), none, -ENOEXEC, BIDE_PROCESS_STEP_EXEC);
    fails(true_argv, (bide_process_options){.cwd = "/no/such/directory"}, -ENOENT,
          BIDE_PROCESS_STEP_CWD);
    fails(true_argv, (bide_process_options){.process_group = 1}, -EPERM, BIDE_PROCESS_STEP_GROUP);
    fails(true_argv, (bide_process_options){.limits = &unknown, .limit_count = 1}, -EINVAL,
          BIDE_PROCESS_STEP_LIMITS);
    return 0;
}

/*
 * Goal:   a child that cannot begin its program is an error of the spawn, which names the step; it
 *         leaves no child, no zombie and no descriptor.
 * Method: missing and unsuitable programs, directory, group and limit; each time the program has no
 *         child afterwards.
 */
TEST(process_spawn, failed_step_is_the_spawns_error)
{
    char directory[] = "/tmp/bide-process-XXXXXX", path[64];
    int fd;

    need_shared_memory();
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/script", directory);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    CHECK_EQ(write(fd, "exit 0\n", 7), 7);
    close(fd);
    CHECK_EQ(run(steps_that_fail, directory), 0);
    unlink(path);
    rmdir(directory);
}

static int senseless(void *arg)
{
    const char *const argv[] = {"true", NULL}, *const no_argv[] = {NULL};
    const enum bide_process_step none = BIDE_PROCESS_STEP_NONE;
    bide_process_options options = {.cwd = NULL};
    bide_stream *pair[2], *ends[2];
    char line[16];

    (void)arg;
    fails(NULL, options, -EINVAL, none);
    fails(no_argv, options, -EINVAL, none);
    fails(argv, (bide_process_options){.limit_count = 1}, -EINVAL, none);
    fails(argv, (bide_process_options){.process_group = -7}, -EINVAL, none);
    fails(argv, (bide_process_options){.process_group = 7, .new_session = true}, -EINVAL, none);
    fails(argv, (bide_process_options){.in.kind = BIDE_STDIO_STDOUT}, -EINVAL, none);
    fails(argv, (bide_process_options){.out.kind = BIDE_STDIO_STDOUT}, -EINVAL, none);
    fails(argv, (bide_process_options){.out.kind = (enum bide_stdio_kind)99}, -EINVAL, none);
    fails(argv, (bide_process_options){.out = {.kind = BIDE_STDIO_FD, .fd = -1}}, -EBADF, none);
    fails(argv, (bide_process_options){.out = {.kind = BIDE_STDIO_FD, .fd = 999}}, -EBADF, none);
    fails(argv, (bide_process_options){.out.kind = BIDE_STDIO_STREAM}, -EINVAL, none);
    CHECK_EQ(bide_stream_pair(pair), 0);
    fails(argv, (bide_process_options){.in = {.kind = BIDE_STDIO_STREAM, .stream = pair[0]}},
          -EOPNOTSUPP, none);
    bide_close(pair[0]);
    bide_close(pair[1]);
    CHECK_EQ(bide_pipe(ends), 0);
    fails(argv, (bide_process_options){.out = {.kind = BIDE_STDIO_STREAM, .stream = ends[0]}},
          -EBADF, none);
    fails(argv, (bide_process_options){.in = {.kind = BIDE_STDIO_STREAM, .stream = ends[1]}},
          -EBADF, none);
    CHECK_EQ(bide_write(ends[1], "a line\nanother\n", 15), 15);
    CHECK_EQ(bide_read_line(ends[0], line, sizeof line), 7);
    fails(argv, (bide_process_options){.in = {.kind = BIDE_STDIO_STREAM, .stream = ends[0]}},
          -EINVAL, none);
    bide_close(ends[0]);
    bide_close(ends[1]);
    with_timeout (0)
        fails(argv, options, -ETIMEDOUT, none);
    return 0;
}

static int without_a_kernel(void *arg)
{
    (void)arg;
    fails(BIDE_ARGV("true"), (bide_process_options){.cwd = NULL}, -EOPNOTSUPP,
          BIDE_PROCESS_STEP_NONE);
    return 0;
}

/*
 * Goal:   wishes that make no sense, and a scope that has fired, are refused before any child is.
 * Method: one after the other; also under a virtual clock.
 */
TEST(process_spawn, senseless_options_are_refused)
{
    CHECK_EQ(run(senseless, NULL), 0);
    CHECK_EQ(bide_test_run(without_a_kernel, NULL, 1, NULL), 0);
}

static int searches_path(void *arg)
{
    char *directory = arg, path[128];
    bide_process_status status;
    bide_process *process;

    snprintf(path, sizeof path, "/no/such/place:%s::/bin:/usr/bin", directory);
    setenv("PATH", path, 1);
    process = start(BIDE_ARGV("true"), NULL); /* the first of that name is not executable */
    CHECK_EQ(bide_process_wait(process, &status), 0);
    CHECK_EQ(status.code, 0);
    bide_process_free(process);
    if (!TEST_UNDER_QEMU() && !TEST_UNDER_VALGRIND()) {
        setenv("PATH", directory, 1);
        fails(BIDE_ARGV("true"), (bide_process_options){.cwd = NULL}, -EACCES,
              BIDE_PROCESS_STEP_EXEC);
    }
    unsetenv("PATH");
    process = start(BIDE_ARGV("sh", "-c", "exit 7"), NULL);
    CHECK_EQ(bide_process_wait(process, &status), 0);
    CHECK_EQ(status.code, 7);
    bide_process_free(process);
    return 0;
}

/*
 * Goal:   a program is found along PATH as execvp finds it; without PATH in the usual places.
 * Method: a directory without it, one with a namesake that may not be run, an empty entry.
 */
TEST(process_spawn, path_is_searched_in_order)
{
    char directory[] = "/tmp/bide-process-XXXXXX", path[64];

    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/true", directory);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    CHECK_EQ(run(searches_path, directory), 0);
    unlink(path);
    rmdir(directory);
}

static int is_given_what_was_said(void *arg)
{
    bide_process_result result = {.out.bytes_max = 0};
    const char *const env[] = {"WORD=from the parent", NULL};
    const bide_process_options options = {
        .env = env,
        .cwd = "/usr",
        .program = "/bin/sh",
        .err.kind = BIDE_STDIO_STDOUT,
    };
    const char *script = "echo $0 $WORD; pwd; echo to err >&2; read line || echo no input";

    (void)arg;
    CHECK_EQ(bide_process_run(BIDE_ARGV("another", "-c", script), &options, NULL, 0, &result), 0);
    CHECK_STR(result.out.data, "another from the parent\n/usr\nto err\nno input\n");
    CHECK(result.err.data == NULL);
    bide_process_result_free(&result);
    return 0;
}

/*
 * Goal:   arguments, environment, working directory, and error output along with the output.
 * Method: a shell tells.
 */
TEST(process_spawn, child_gets_arguments_environment_and_directory)
{
    CHECK_EQ(run(is_given_what_was_said, NULL), 0);
}

static int counts_descriptors(void *arg)
{
    bide_process_options keep = {.keep_descriptors = true};
    char *text;

    (void)arg;
    CHECK_EQ(dup2(STDERR_FILENO, 50), 50); /* without close-on-exec, as strangers open them */
    text = ask_child("descriptors", NULL);
    CHECK_STR(text, "0 1 2 ");
    free(text);
    text = ask_child("descriptors", &keep);
    CHECK_CONTAINS(text, "0 1 2 ");
    CHECK_CONTAINS(text, " 50 ");
    free(text);
    close(50);
    return 0;
}

/*
 * Goal:   a child has descriptors 0, 1 and 2 and no other, not even those of strangers.
 * Method: it lists its own, while we have pipes, an epoll and a descriptor that is inherited.
 */
TEST(process_spawn, child_gets_no_other_descriptors)
{
    need_ourselves();
    CHECK_EQ(run(counts_descriptors, NULL), 0);
}

static void caught(int number)
{
    (void)number;
}

static int compares_signals(void *arg)
{
    bide_process_options clear = {.default_signals = true};
    sigset_t some, before, after;
    char *text;

    (void)arg;
    for (int i = 1; i < _NSIG; i++) /* a test may run in the background, and ignore some */
        signal(i, SIG_DFL);
    signal(SIGUSR1, caught);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&some);
    sigprocmask(SIG_SETMASK, &some, NULL);
    sigaddset(&some, SIGHUP);
    sigprocmask(SIG_BLOCK, &some, NULL);
    sigprocmask(SIG_SETMASK, NULL, &before);
    text = ask_child("signals", NULL);
    CHECK_STR(text, "blocked1 ignored12 ");
    free(text);
    text = ask_child("signals", &clear);
    CHECK_STR(text, "");
    free(text);
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int i = 1; i < _NSIG; i++)
        CHECK_EQ(sigismember(&before, i), sigismember(&after, i));
    CHECK(signal(SIGUSR1, SIG_DFL) == caught);
    return 0;
}

/*
 * Goal:   signals caught here are at their default in a child, its mask is ours; nothing is ignored
 *         or blocked when that was wished. Ours are as before.
 * Method: catch one, ignore one, block one; the child lists.
 */
TEST(process_spawn, child_gets_mask_and_default_dispositions)
{
    need_ourselves();
#ifndef __mips__ /* other numbers */
    CHECK_EQ(run(compares_signals, NULL), 0);
#endif
}

static int compares_identity(void *arg)
{
    struct bide_process_limit limit = {RLIMIT_NOFILE, 20, 30};
    bide_process_options options = {.cwd = "/", .limits = &limit, .limit_count = 1};
    char expected[64], *text;
    bide_process *leader;

    (void)arg;
    snprintf(expected, sizeof expected, "/ %d 20 30", (int)getpgrp());
    text = ask_child("identity", &options);
    CHECK_STR(text, expected);
    free(text);
    options.process_group = BIDE_PROCESS_GROUP_NEW;
    text = ask_child("identity", &options);
    CHECK_CONTAINS(text, "group / ");
    CHECK(strstr(text, "session") == NULL);
    free(text);
    options.new_session = true;
    text = ask_child("identity", &options);
    CHECK_CONTAINS(text, "session group / ");
    free(text);
    leader = start(SH("sleep 30"), &(bide_process_options){.process_group = -1});
    options.new_session = false;
    options.process_group = bide_process_pid(leader);
    snprintf(expected, sizeof expected, "/ %d 20 30", (int)bide_process_pid(leader));
    text = ask_child("identity", &options);
    CHECK_STR(text, expected);
    free(text);
    CHECK_EQ(bide_process_stop(leader, 0, NULL), 0);
    bide_process_free(leader);
    return 0;
}

/*
 * Goal:   session, process group and limits are what was asked for.
 * Method: the child tells; it joins ours, leads one, leads a session, joins another child's.
 */
TEST(process_spawn, child_gets_session_group_and_limits)
{
    need_ourselves();
    CHECK_EQ(run(compares_identity, NULL), 0);
}

static int swaps_places(void *arg)
{
    int to_child[2], from_child[2], kept[2] = {dup(0), dup(1)};
    bide_process *process;
    char text[16];

    (void)arg;
    CHECK_EQ(pipe2(to_child, O_CLOEXEC), 0);
    CHECK_EQ(pipe2(from_child, O_CLOEXEC), 0);
    CHECK_EQ(dup3(from_child[1], 0, O_CLOEXEC), 0);
    CHECK_EQ(dup3(to_child[0], 1, O_CLOEXEC), 1);
    process = start(BIDE_ARGV("cat"), &(bide_process_options){
                                          .in = {.kind = BIDE_STDIO_FD, .fd = 1},
                                          .out = {.kind = BIDE_STDIO_FD, .fd = 0},
                                      });
    close(to_child[0]);
    close(from_child[1]);
    CHECK_EQ(write(to_child[1], "swapped", 7), 7);
    close(to_child[1]);
    CHECK_EQ(bide_process_wait(process, NULL), 0);
    CHECK_EQ(read(from_child[0], text, sizeof text), 7);
    bide_process_free(process);
    /* At its place already, but close-on-exec. */
    CHECK_EQ(pipe2(to_child, O_CLOEXEC), 0);
    CHECK_EQ(dup3(to_child[1], 1, O_CLOEXEC), 1);
    process = start(SH("echo here"), &(bide_process_options){
                                         .out = {.kind = BIDE_STDIO_FD, .fd = 1},
                                     });
    CHECK_EQ(bide_process_wait(process, NULL), 0);
    CHECK_EQ(read(to_child[0], text, sizeof text), 5);
    bide_process_free(process);
    CHECK((fcntl(1, F_GETFD) & FD_CLOEXEC) != 0); /* ours is as it was */
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        CHECK_EQ(dup2(kept[i], i), i);
        close(kept[i]);
    }
    close(from_child[0]);
    return 0;
}

/*
 * Goal:   descriptors find their places whatever numbers they have here.
 * Method: 1 wanted as 0 and 0 as 1; then one that is at its place and close-on-exec.
 */
TEST(process_spawn, descriptors_in_each_others_places)
{
    CHECK_EQ(run(swaps_places, NULL), 0);
}

static int starts_without_stdio(void *arg)
{
    bide_process_result result = {.out.bytes_max = 0};
    int kept[3];

    (void)arg;
    for (int i = 0; i < 3; i++)
        kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
    for (int i = 0; i < 3; i++)
        close(i);
    CHECK_EQ(bide_process_run(SH("cat; echo err >&2"), NULL, "text", 4, &result), 0);
    for (int i = 0; i < 3; i++) {
        dup2(kept[i], i);
        close(kept[i]);
    }
    CHECK_STR(result.out.data, "text");
    CHECK_STR(result.err.data, "err\n");
    bide_process_result_free(&result);
    return 0;
}

/*
 * Goal:   pipes work where this process has no descriptors 0, 1 and 2 and their ends get those.
 * Method: close all three around a run.
 */
TEST(process_spawn, pipes_that_lie_in_the_places)
{
    CHECK_EQ(run(starts_without_stdio, NULL), 0);
}

static int spawns_on_small_stack(void *arg)
{
    bide_process *process = start(BIDE_ARGV("true"), NULL);
    bide_process_status status;

    (void)arg;
    CHECK_EQ(bide_process_wait(process, &status), 0);
    bide_process_free(process);
    return status.code;
}

/*
 * Goal:   a small stack will do: the child runs on another.
 * Method: a loop whose stacks are of the smallest size.
 */
TEST(process_spawn, small_stack_is_enough)
{
    bide_options options = {.stack_bytes = 1};

    if (TEST_UNDER_SANITIZER())
        SKIP("what a sanitizer adds to a frame takes more");
    CHECK_EQ(bide_run(spawns_on_small_stack, NULL, &options), 0);
    CHECK(has_no_children());
}

static async(ssize_t, reads_on, bide_stream *, stream)
{
    char byte;

    return bide_read(stream, &byte, 1);
}

static int hands_over_pipes(void *arg)
{
    bide_stream *to[2], *from[2];
    bide_process_options options;
    bide_process *process;
    char line[32];

    (void)arg;
    CHECK_EQ(bide_pipe(to), 0);
    CHECK_EQ(bide_pipe(from), 0);
    options = (bide_process_options){
        .in = {.kind = BIDE_STDIO_STREAM, .stream = to[0]},
        .out = {.kind = BIDE_STDIO_STREAM, .stream = from[1]},
    };
    /* A program that met O_NONBLOCK would fail at once: there is nothing to read yet. */
    process = start(BIDE_ARGV("cat"), &options);
    CHECK((fcntl(bide_stream_fd(to[0]), F_GETFL) & O_NONBLOCK) != 0);
    bide_close(to[0]);
    CHECK_EQ(bide_sleep(BIDE_MS(20)), 0);
    CHECK_EQ(bide_write(to[1], "through\n", 8), 8);
    CHECK_EQ(bide_read_line(from[0], line, sizeof line), 8);
    CHECK_EQ(bide_write(from[1], "ours\n", 5), 5); /* the stream still is good */
    CHECK_EQ(bide_read_line(from[0], line, sizeof line), 5);
    bide_close(to[1]);
    CHECK_EQ(bide_process_wait(process, NULL), 0);
    bide_process_free(process);
    bide_close(from[0]);
    bide_close(from[1]);
    return 0;
}

static int hands_over_sockets(void *arg)
{
    bide_process_options options;
    bide_process_status status;
    bide_process *process, *second;
    bide_stream *stream;
    int plain;
    char text[16];

    stream_and_socket(*(int *)arg, &stream, &plain);
    options = (bide_process_options){
        .in = {.kind = BIDE_STDIO_STREAM, .stream = stream},
        .out = {.kind = BIDE_STDIO_STREAM, .stream = stream},
    };
    task(ssize_t) reader = spawn(reads_on, stream);
    CHECK_EQ(bide_yield(), 0);
    fails(BIDE_ARGV("cat"), options, -EBUSY, BIDE_PROCESS_STEP_NONE);
    cancel(reader);
    CHECK_EQ(await(reader), -ECANCELED);
    if (!TEST_UNDER_QEMU() && !TEST_UNDER_VALGRIND())
        fails(BIDE_ARGV("/no/such/program"), options, -ENOENT, BIDE_PROCESS_STEP_EXEC);
    else
        options.failed_step = NULL;
    /* It was given back. */
    CHECK((fcntl(bide_stream_fd(stream), F_GETFL) & O_NONBLOCK) != 0);
    CHECK_EQ(bide_write(stream, "1", 1), 1);
    CHECK_EQ(recv(plain, text, sizeof text, 0), 1);

    process = start(BIDE_ARGV("cat"), &options);
    CHECK_EQ(bide_read(stream, text, 1), -EBADF);
    CHECK_EQ(bide_write(stream, "x", 1), -EBADF);
    CHECK_EQ(bide_shutdown_write(stream), -EBADF);
    CHECK_EQ(bide_process_spawn(BIDE_ARGV("cat"), &options, &second), -EBADF);
    bide_close(stream);
    CHECK_EQ(bide_sleep(BIDE_MS(20)), 0);
    CHECK_EQ(send(plain, "inetd", 5, 0), 5);
    CHECK_EQ(recv(plain, text, sizeof text, 0), 5);
    CHECK_EQ(shutdown(plain, SHUT_WR), 0);
    CHECK_EQ(bide_process_wait(process, &status), 0);
    CHECK_EQ(status.code, 0);
    bide_process_free(process);
    close(plain);
    return 0;
}

/*
 * Goal:   a stream's descriptor reaches the child in blocking mode; a pipe's stream stays good, and
 *         a socket's, whose mode is shared, serves for nothing but closing; after a failure it is
 *         ours again.
 * Method: cat between two pipes; cat as an inetd service on TCP and Unix sockets.
 */
TEST(process_spawn, streams_reach_the_child_blocking)
{
    int families[] = {AF_INET, AF_UNIX};

    CHECK_EQ(run(hands_over_pipes, NULL), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(hands_over_sockets, &families[i]), 0);
}
