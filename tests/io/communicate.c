/* SPDX-License-Identifier: MIT */
/*
 * communicate.c - feeding and reading children at once, with limits, and to the end.
 */
#include "processes.h"

enum { MEGABYTE = 1 << 20 };

static const bide_process_options all_pipes = {
    .in.kind = BIDE_STDIO_PIPE,
    .out.kind = BIDE_STDIO_PIPE,
    .err.kind = BIDE_STDIO_PIPE,
};

/* Bytes that tell their place. */
static char *numbered(size_t bytes)
{
    char *text = malloc(bytes);

    CHECK(text != NULL);
    for (size_t i = 0; i < bytes; i++)
        text[i] = (char)('a' + i * 7 % 26 + i / 4096 % 2);
    return text;
}

static int through_cat(void *arg)
{
    char *input = numbered(MEGABYTE);
    bide_output out = {.bytes_max = 0}, err = {.bytes_max = 0};
    bide_process *process = start(SH("tee /dev/stderr"), &all_pipes);

    (void)arg;
    CHECK_EQ(bide_process_communicate(process, input, MEGABYTE, &out, &err), 0);
    CHECK_EQ(bide_process_try_wait(process, NULL), 0);
    CHECK_EQ(out.bytes, MEGABYTE);
    CHECK_EQ(err.bytes, MEGABYTE);
    CHECK(memcmp(out.data, input, MEGABYTE) == 0 && memcmp(err.data, input, MEGABYTE) == 0);
    CHECK(!out.is_cut && !err.is_cut && out.data[out.bytes] == '\0');
    free(out.data);
    free(err.data);
    /* Once more is nothing more. */
    out = (bide_output){.bytes_max = 0};
    CHECK_EQ(bide_process_communicate(process, input, MEGABYTE, &out, NULL), 0);
    CHECK_EQ(out.bytes, 0);
    free(out.data);
    bide_process_free(process);
    free(input);
    return 0;
}

/*
 * Goal:   input, output and error output flow at once, much more than a pipe holds, and arrive
 *         whole.
 * Method: a megabyte through tee, which writes it twice.
 */
TEST(communicate, all_pipes_flow_at_once)
{
    CHECK_EQ(run(through_cat, NULL), 0);
}

static int ignores_input(void *arg)
{
    char *input = numbered(MEGABYTE);
    bide_process_result result = {.out.bytes_max = 0};

    (void)arg;
    signal(SIGPIPE, SIG_DFL);
    CHECK_EQ(bide_process_run(SH("exec 0<&-; sleep 0.02; echo done; exit 3"), NULL, input, MEGABYTE,
                              &result),
             0);
    CHECK_EQ(result.status.code, 3);
    CHECK_STR(result.out.data, "done\n");
    CHECK_EQ(result.err.bytes, 0);
    bide_process_result_free(&result);
    CHECK(result.out.data == NULL && result.out.bytes == 0);
    free(input);
    return 0;
}

/*
 * Goal:   a child that closes its input early is no error, and no SIGPIPE.
 * Method: a megabyte to one that reads none of it.
 */
TEST(communicate, input_that_is_not_wanted_is_no_error)
{
    CHECK_EQ(run(ignores_input, NULL), 0);
}

static int cuts(void *arg)
{
    const char *script = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890; "
                         "i=$((i+1)); done";
    bide_process_result result = {.out.bytes_max = 1};
    size_t limits[] = {1, 100, 8192, 8193, 20000, 96000 - 1};

    (void)arg;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        result.out.bytes_max = limits[i];
        CHECK_EQ(bide_process_run(SH(script), NULL, NULL, 0, &result), 0);
        CHECK_EQ(result.status.code, 0); /* it could write all of it */
        CHECK_EQ(result.out.bytes, limits[i]);
        CHECK_EQ(strlen(result.out.data), limits[i]);
        CHECK(result.out.is_cut);
        CHECK(result.out.bide__capacity <= limits[i] + 1);
        bide_process_result_free(&result);
        CHECK_EQ(result.out.bytes_max, limits[i]);
    }
    result.out.bytes_max = 96000;
    CHECK_EQ(bide_process_run(SH(script), NULL, NULL, 0, &result), 0);
    CHECK(result.out.bytes == 96000 && !result.out.is_cut);
    bide_process_result_free(&result);
    return 0;
}

/*
 * Goal:   an output beyond its limit is cut there and read on, so that the child ends; one that
 *         just fits is not cut; memory stays within the limit.
 * Method: 96,000 bytes, and limits around buffer sizes and the end.
 */
TEST(communicate, output_beyond_its_limit_is_cut_and_drained)
{
    CHECK_EQ(run(cuts, NULL), 0);
}

static int drops(void *arg)
{
    bide_process *process = start(SH("echo out; echo err >&2"), &all_pipes);
    bide_process_result result = {.out.bytes_max = 0};
    bide_output err = {.bytes_max = 0};

    (void)arg;
    CHECK_EQ(bide_process_communicate(process, NULL, 0, NULL, &err), 0);
    CHECK_STR(err.data, "err\n");
    free(err.data);
    bide_process_free(process);

    process = start(SH("echo err >&2; exit 2"), &(bide_process_options){
                                                    .out.kind = BIDE_STDIO_NULL,
                                                    .err.kind = BIDE_STDIO_PIPE,
                                                });
    err = (bide_output){.bytes_max = 0};
    CHECK_EQ(bide_process_communicate(process, "x", 1, NULL, NULL), -EINVAL);
    CHECK_EQ(bide_process_communicate(process, NULL, 0, NULL, &err), 0);
    CHECK_STR(err.data, "err\n");
    free(err.data);
    bide_process_free(process);

    process = start(SH("exit 4"), NULL); /* no pipe at all */
    CHECK_EQ(bide_process_communicate(process, NULL, 0, NULL, NULL), 0);
    bide_process_free(process);
    CHECK_EQ(bide_process_run(SH("exit 0"), &(bide_process_options){.in.kind = BIDE_STDIO_NULL},
                              "x", 1, &result),
             -EINVAL);
    CHECK_EQ(bide_process_run(SH("exit 0"), &(bide_process_options){.cwd = "/no/such"}, NULL, 0,
                              &result),
             TEST_UNDER_QEMU() || TEST_UNDER_VALGRIND() ? 0 : -ENOENT);
    bide_process_result_free(&result);
    return 0;
}

/*
 * Goal:   pipes that are missing or not wanted are passed over; input that can go nowhere is
 *         refused, and so is a program that cannot start.
 * Method: each kind of missing pipe.
 */
TEST(communicate, missing_pipes_are_passed_over)
{
    CHECK_EQ(run(drops, NULL), 0);
}

static int goes_on(void *arg)
{
    char *input = numbered(MEGABYTE);
    bide_output out = {.bytes_max = 0};
    bide_process *process = start(BIDE_ARGV("cat"), &all_pipes);
    int err = -ETIMEDOUT, timeouts = 0;

    (void)arg;
    for (int i = 0; err == -ETIMEDOUT; i++) {
        bide_time limit = i < 300 ? BIDE_US(i) : BIDE_SEC(30);
        with_timeout (limit)
            err = bide_process_communicate(process, input, MEGABYTE, &out, NULL);
        timeouts += err == -ETIMEDOUT;
    }
    CHECK_EQ(err, 0);
    CHECK(timeouts > 0);
    CHECK_EQ(out.bytes, MEGABYTE);
    CHECK(memcmp(out.data, input, MEGABYTE) == 0);
    free(out.data);
    bide_process_free(process);
    free(input);
    return 0;
}

/*
 * Goal:   a cancelled call loses nothing, neither input nor output: the next goes on where it was.
 * Method: a megabyte through cat, in calls that time out after 0, 1, 2, ... microseconds.
 */
TEST(communicate, canceled_call_is_continued_by_the_next)
{
    CHECK_EQ(run(goes_on, NULL), 0);
}

static int times_out(void *arg)
{
    const bide_process_options group = {
        .process_group = BIDE_PROCESS_GROUP_NEW,
        .grace_ns = BIDE_SEC(20),
    };
    bide_process_result result = {.out.bytes_max = 0};

    (void)arg;
    with_timeout (BIDE_MS(200))
        CHECK_EQ(bide_process_run(SH("echo begun; sleep 30 & sleep 30"), &group, NULL, 0, &result),
                 -ETIMEDOUT);
    CHECK_EQ(result.status.code, -1);
    CHECK_EQ(result.status.signal, SIGTERM);
    CHECK(result.out.bytes == 0 || strcmp(result.out.data, "begun\n") == 0);
    bide_process_result_free(&result);
    CHECK(has_no_children());
    with_timeout (0)
        CHECK_EQ(bide_process_run(SH("exit 0"), &group, NULL, 0, &result), -ETIMEDOUT);
    CHECK(result.out.data == NULL);
    return 0;
}

/*
 * Goal:   a run that times out has ended its process and group, and tells what it had written and
 *         how it was made to end.
 * Method: a shell with a child of its own, both asleep.
 */
TEST(communicate, run_that_times_out_leaves_no_process)
{
    CHECK_EQ(run(times_out, NULL), 0);
}

static async(int, talks, bide_process *, process, bide_output *, out)
{
    return bide_process_communicate(process, NULL, 0, out, NULL);
}

static int freed_meanwhile(void *arg)
{
    bide_process *process = start(SH("echo early; exec sleep 30"), &all_pipes);
    bide_output out = {.bytes_max = 0}, second = {.bytes_max = 0};
    task(int) first = spawn(talks, process, &out);

    (void)arg;
    while (out.bytes < strlen("early\n"))
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(talks(process, &second), -EBUSY);
    CHECK_EQ(bide_process_kill(process, SIGKILL), 0);
    bide_process_free(process);
    CHECK_EQ(await(first), -EBADF);
    CHECK_STR(out.data, "early\n");
    free(out.data);
    free(second.data);
    while (!has_no_children())
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    return 0;
}

/*
 * Goal:   a second call beside the first is -EBUSY; a process freed under one is -EBADF.
 * Method: both, with a child that sleeps.
 */
TEST(communicate, freed_process_ends_the_call)
{
    CHECK_EQ(run(freed_meanwhile, NULL), 0);
}

static int runs_short_of(void *arg)
{
    const int *plan = arg;
    bide_process_result result = {.out.bytes_max = 0};
    char *input = numbered(100000);
    int err;

    bide__fault_reset();
    bide__fault_fail((enum bide__call)plan[0], (uint64_t)plan[1], 1, plan[2]);
    err = bide_process_run(SH("cat; echo err >&2"), NULL, input, 100000, &result);
    CHECK(err == 0 || err == plan[2]);
    if (err == 0) {
        CHECK_EQ(result.out.bytes, 100000);
        CHECK_STR(result.err.data, "err\n");
        CHECK_EQ(result.status.code, 0);
    }
    err = bide__fault_count((enum bide__call)plan[0]) < (uint64_t)plan[1];
    bide__fault_reset();
    bide_process_result_free(&result);
    free(input);
    return err; /* 1: so many calls there are not */
}

/*
 * Goal:   a run in which anything fails ends its process and leaves nothing, or succeeds all the
 *         same.
 * Method: each allocation and call in turn.
 */
TEST(communicate, every_failure_leaves_nothing_behind)
{
    const int calls[][2] = {
        {BIDE__CALL_ALLOC, -ENOMEM},     {BIDE__CALL_MMAP, -ENOMEM}, {BIDE__CALL_READ, -EIO},
        {BIDE__CALL_READ, -EINTR},       {BIDE__CALL_WRITE, -EIO},   {BIDE__CALL_WAITID, -EINTR},
        {BIDE__CALL_EPOLL_CTL, -ENOSPC}, {BIDE__CALL_PIPE, -EMFILE},
    };

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int nth = 1;
        for (int plan[3] = {calls[i][0], 1, calls[i][1]}; run(runs_short_of, plan) == 0;
             plan[1] = ++nth)
            CHECK(nth < 1000);
    }
}
