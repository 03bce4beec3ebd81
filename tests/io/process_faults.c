/* SPDX-License-Identifier: MIT */
/*
 * process_faults.c - child processes when the kernel or the allocator says no.
 */
#include "processes.h"

/* A spawn with everything that can fail. Returns its error. */
static int spawns_everything(void *arg)
{
    bide_process_status status;
    bide_process *process = NULL;
    bide_stream *ends[2];
    int err;

    CHECK_EQ(bide_pipe(ends), 0);
    bide_process_options options = {
        .in = {.kind = BIDE_STDIO_STREAM, .stream = ends[0]},
        .out = {.kind = BIDE_STDIO_PIPE},
        .err = {.kind = BIDE_STDIO_NULL},
    };
    const int *plan = arg;
    bide__fault_reset();
    bide__fault_fail((enum bide__call)plan[0], (uint64_t)plan[1], 1, plan[2]);
    err = bide_process_spawn(SH("exit 3"), &options, &process);
    bide__fault_reset();
    CHECK_EQ(process != NULL, err == 0);
    if (err == 0) {
        CHECK_EQ(bide_process_wait(process, &status), 0);
        CHECK_EQ(status.code, 3);
        bide_process_free(process);
    }
    bide_close(ends[0]);
    bide_close(ends[1]);
    return err;
}

/*
 * Goal:   a spawn in which any call or allocation fails leaves no child, descriptor or memory.
 * Method: each in turn, until one that does not fail any more.
 */
TEST(process_faults, every_failure_leaves_nothing_behind)
{
    const int calls[][2] = {
        {BIDE__CALL_WAITID, -ENOSYS}, /* first: it is asked once */
        {BIDE__CALL_ALLOC, -ENOMEM},  {BIDE__CALL_CLONE, -EAGAIN}, {BIDE__CALL_PIPE, -EMFILE},
        {BIDE__CALL_OPEN, -EMFILE},   {BIDE__CALL_FILE, -EIO},     {BIDE__CALL_EPOLL_CTL, -ENOSPC},
    };

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int err = -1, failed = 0;
        for (int nth = 1; err != 0; nth++, failed += err != 0) {
            int plan[] = {calls[i][0], nth, calls[i][1]};
            err = run(spawns_everything, plan);
            CHECK(err == 0 || err == calls[i][1]);
            CHECK(nth < 20);
        }
        CHECK(failed > 0);
    }
}

/* The kill of a child whose pidfd could not be registered. */
static int cannot_kill(void *arg)
{
    bide_process *process = NULL;

    (void)arg;
    bide__fault_fail(BIDE__CALL_EPOLL_CTL, 1, 1, -ENOSPC);
    bide__fault_fail(BIDE__CALL_KILL, 1, 1, -EPERM);
    CHECK_EQ(bide_process_spawn(BIDE_ARGV("true"), NULL, &process), -ENOSPC);
    bide__fault_reset();
    while (!has_no_children()) { /* a later spawn reaps it */
        siginfo_t info;
        CHECK_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
        CHECK_EQ(bide_process_spawn(BIDE_ARGV("true"), NULL, &process), 0);
        CHECK_EQ(bide_process_wait(process, NULL), 0);
        bide_process_free(process);
    }
    return 0;
}

/*
 * Goal:   a child that can neither be watched nor killed is not waited for, and is reaped later.
 * Method: let both fail; spawn others until it is gone.
 */
TEST(process_faults, child_that_cannot_be_killed_is_reaped_later)
{
    CHECK_EQ(run(cannot_kill, NULL), 0);
}

/* A life in which one call fails: how the kill, the looks and the end go on. */
static int lives(void *arg)
{
    const int *plan = arg;
    bide_process_options options = {.process_group = BIDE_PROCESS_GROUP_NEW};
    bide_process *process, *freed;
    bide_process_status status = {.code = 99};
    int err = 0, tries = 0;

    process = start(SH("kill -STOP $$; exit 1"), &options);
    freed = start(BIDE_ARGV("true"), NULL);
    bide__fault_reset();
    bide__fault_fail((enum bide__call)plan[0], (uint64_t)plan[1], 1, plan[2]);
    bide_process_free(freed);
    do {
        with_timeout (BIDE_MS(10))
            err = bide_process_wait(process, &status);
        if (err == -ETIMEDOUT)
            err = bide_process_stop(process, BIDE_MS(500), &status);
        CHECK(err == 0 || err == plan[2]);
        CHECK(++tries < 5);
    } while (err < 0);
    CHECK(status.signal == SIGTERM || status.signal == SIGKILL);
    bide_process_free(process);
    err = bide__fault_count((enum bide__call)plan[0]) < (uint64_t)plan[1]; /* not reached */
    bide__fault_reset();
    for (tries = 0; !has_no_children() && tries < 1000; tries++) {
        bide_sleep(BIDE_MS(1));
        freed = start(BIDE_ARGV("true"), NULL);
        CHECK_EQ(bide_process_wait(freed, NULL), 0);
        bide_process_free(freed);
    }
    return err;
}

/*
 * Goal:   no call that fails while processes are waited for, stopped and freed leaves a child or a
 *         descriptor behind, or a task asleep.
 * Method: each in turn, until one that is not reached; what failed is tried again.
 */
TEST(process_faults, every_failure_of_a_life_is_survived)
{
    const int calls[][2] = {
        {BIDE__CALL_WAITID, -EINTR},     {BIDE__CALL_WAITID, -EIO}, {BIDE__CALL_KILL, -EPERM},
        {BIDE__CALL_EPOLL_CTL, -ENOMEM}, {BIDE__CALL_CLOSE, -EIO},  {BIDE__CALL_MMAP, -ENOMEM},
    };

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int nth = 1;
        for (int plan[3] = {calls[i][0], 1, calls[i][1]}; run(lives, plan) == 0; plan[1] = ++nth)
            CHECK(nth < 40);
    }
}
