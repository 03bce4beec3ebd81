/* SPDX-License-Identifier: MIT */
/*
 * runner.c - shell commands, a few at a time: their lines as they come, a time limit for each, and
 * a summary that tells exactly how each ended.
 *
 *     runner 'make -C one' 'make -C two'       10 minutes each
 *
 * Each command leads a process group of its own. One whose time is up is asked to end (SIGTERM),
 * and killed together with all that it has started when it does not. Without arguments the program
 * checks itself with commands that succeed, fail, crash, hang and do not listen.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 3, JOBS_MOST = 100 };

struct job {
    const char *command;
    int err; /* 0, -ETIMEDOUT, or why it could not run */
    int lines;
    bide_time took;
    bide_process_status status;
};

/* What the program checks itself with, and how each must end. */
static const struct check {
    const char *command;
    int code, signal;
    bool in_time;
} checks[] = {
    {"for step in 1 2 3; do echo step $step of 3; sleep 0.05; done", 0, 0, true},
    {"echo this will not do >&2; exit 3", 3, 0, true},
    {"ulimit -c 0; echo about to crash; kill -SEGV $$", -1, SIGSEGV, true},
    {"echo waiting for nothing; sleep 60", -1, SIGTERM, false},
    {"trap '' TERM; echo not listening; while :; do sleep 1; done", -1, SIGKILL, false},
    {"echo last one", 0, 0, true},
};

enum { CHECKS = sizeof checks / sizeof *checks };

static bide_time time_limit, grace;

/* Show lines as they come, until the command closes its output. */
static int show_lines(struct job *job, int number, bide_stream *output)
{
    char line[256];
    ssize_t bytes;

    while ((bytes = bide_read_line(output, line, sizeof line)) != 0) {
        if (bytes == -EMSGSIZE) /* in pieces then */
            bytes = bide_read(output, line, sizeof line - 1);
        if (bytes <= 0)
            return (int)bytes;
        bytes -= line[bytes - 1] == '\n';
        printf("[%d] %.*s\n", number, (int)bytes, line);
        fflush(stdout);
        job->lines++;
    }
    return 0;
}

static void end_process(void *process)
{
    bide_process_free(process);
}

static async(int, run_job, struct job *, job, int, number)
{
    const bide_process_options options = {
        .in.kind = BIDE_STDIO_NULL,
        .out.kind = BIDE_STDIO_PIPE,
        .err.kind = BIDE_STDIO_STDOUT,
        .process_group = BIDE_PROCESS_GROUP_NEW,
        .kill_on_exit = true, /* Ctrl-C, or whatever ends this task: the command goes with it */
        .grace_ns = grace,
    };
    bide_time began = bide_now();
    bide_process *process;

    printf("[%d] $ %s\n", number, job->command);
    job->err = bide_process_spawn(BIDE_ARGV("/bin/sh", "-c", job->command), &options, &process);
    if (job->err < 0)
        return job->err;
    defer(end_process, process);
    with_timeout (time_limit) {
        job->err = show_lines(job, number, bide_process_stdout(process));
        if (job->err == 0)
            job->err = bide_process_wait(process, &job->status);
    }
    if (job->err < 0)
        bide_process_stop(process, grace, &job->status);
    job->took = bide_now() - began;
    return job->err;
}

static void print_job(const struct job *job, int number)
{
    printf("[%d] %5lld ms, %d line(s), ", number, (long long)(job->took / 1000000), job->lines);
    if (job->err == -ETIMEDOUT)
        printf("out of time: ");
    else if (job->err < 0)
        printf("%s: ", strerror(-job->err));
    if (job->status.signal != 0)
        printf("%s%s\n", strsignal(job->status.signal), job->status.has_core ? ", core" : "");
    else
        printf("exit %d\n", job->status.code);
}

/* Returns how many did not succeed. */
static int run_all(struct job *jobs, int count)
{
    bide_group group = {.limit = AT_ONCE, .collect_all = true};
    int failed = 0;

    with_group (&group) {
        for (int i = 0; i < count; i++)
            spawn_in(&group, run_job, &jobs[i], i + 1);
    }
    printf("\n");
    for (int i = 0; i < count; i++) {
        print_job(&jobs[i], i + 1);
        failed += jobs[i].err < 0 || jobs[i].status.code != 0;
    }
    return failed;
}

static int check_self(struct job *jobs)
{
    bool is_right = true;

    for (int i = 0; i < CHECKS; i++)
        jobs[i].command = checks[i].command;
    time_limit = BIDE_MS(800);
    grace = BIDE_MS(300);
    run_all(jobs, CHECKS);
    for (int i = 0; i < CHECKS; i++)
        is_right = is_right && jobs[i].status.code == checks[i].code &&
                   jobs[i].status.signal == checks[i].signal &&
                   jobs[i].err == (checks[i].in_time ? 0 : -ETIMEDOUT);
    return is_right ? 0 : 1;
}

async_main
{
    static struct job jobs[JOBS_MOST];

    if (argc < 2)
        return check_self(jobs);
    if (argc > JOBS_MOST)
        return 2;
    for (int i = 1; i < argc; i++)
        jobs[i - 1].command = argv[i];
    time_limit = BIDE_SEC(600);
    grace = BIDE_SEC(5);
    return run_all(jobs, argc - 1) == 0 ? 0 : 1;
}
