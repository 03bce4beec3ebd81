/* SPDX-License-Identifier: MIT */
/*
 * processes.h - what tests of child processes share: a loop that must leave nothing behind, and
 * the test program itself as a child that tells what it was given.
 */
#ifndef BIDE_TESTS_PROCESSES_H
#define BIDE_TESTS_PROCESSES_H

#include <bide.h>

#include <bide/short.h>
#include <bide/testing.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "test.h"

#define SH(script) BIDE_ARGV("/bin/sh", "-c", script)

/* Neither a living child nor a zombie. */
static inline bool has_no_children(void)
{
    return waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD;
}

/* Run a scenario that leaves neither descriptors nor children behind. */
static inline int run(int (*scenario)(void *), void *arg)
{
    int before = test_open_fds();
    int result = bide_run(scenario, arg, NULL);

    CHECK_EQ(test_open_fds(), before);
    CHECK(has_no_children());
    return result;
}

static inline bide_process *start(const char *const *argv, const bide_process_options *options)
{
    bide_process *process;

    CHECK_EQ(bide_process_spawn(argv, options, &process), 0);
    return process;
}

/* What a child may be asked to tell. */

static inline void tell_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    bool is_open[128] = {false};

    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int number = entry->d_name[0] == '.' ? -1 : atoi(entry->d_name);
        if (number >= 0 && number < 128 && number != dirfd(dir))
            is_open[number] = true;
    }
    closedir(dir);
    for (int i = 0; i < 128; i++)
        if (is_open[i])
            printf("%d ", i);
}

static inline void tell_signals(void)
{
    sigset_t mask;

    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int i = 1; i < _NSIG; i++) {
        struct sigaction action;
        if (i == SIGSEGV || i == SIGBUS || i == SIGFPE)
            continue; /* a sanitizer in the child catches them */
        if (sigismember(&mask, i) == 1)
            printf("blocked%d ", i);
        if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            printf(action.sa_handler == SIG_IGN ? "ignored%d " : "caught%d ", i);
    }
}

static inline void tell_identity(void)
{
    struct rlimit limit;
    char cwd[256];

    getrlimit(RLIMIT_NOFILE, &limit);
    printf("%s%s%s %d %ld %ld", getsid(0) == getpid() ? "session " : "",
           getpgrp() == getpid() ? "group " : "", getcwd(cwd, sizeof cwd), (int)getpgrp(),
           (long)limit.rlim_cur, (long)limit.rlim_max);
}

/* Leave the group that it leads for its parent's. */
static inline void leave_group(void)
{
    setpgid(0, getpgid(getppid()));
    printf("r\n");
    fflush(stdout);
    pause();
}

/* A child does its part instead of running test cases. */
__attribute__((constructor)) static inline void be_a_child(void)
{
    const char *part = getenv("BIDE_TEST_CHILD");

    if (part == NULL)
        return;
    if (strcmp(part, "descriptors") == 0)
        tell_descriptors();
    else if (strcmp(part, "signals") == 0)
        tell_signals();
    else if (strcmp(part, "identity") == 0)
        tell_identity();
    else if (strcmp(part, "leave") == 0)
        leave_group();
    fflush(stdout);
    _exit(0);
}

/* Where this program lies. */
static inline void own_path(char *path, size_t size)
{
    ssize_t bytes = readlink("/proc/self/exe", path, size - 1);

    CHECK(bytes > 0);
    path[bytes] = '\0';
}

/* Run this program as such a child and return its output, to be freed. The options may have all. */
static inline char *ask_child(const char *part, const bide_process_options *options)
{
    bide_process_options all = options != NULL ? *options : (bide_process_options){0};
    bide_process_result result = {.out.bytes_max = 0};
    char variable[64], path[4096];
    const char *const env[] = {variable, NULL};

    own_path(path, sizeof path);
    snprintf(variable, sizeof variable, "BIDE_TEST_CHILD=%s", part);
    all.env = env;
    CHECK_EQ(bide_process_run(BIDE_ARGV(path), &all, NULL, 0, &result), 0);
    CHECK_EQ(result.status.code, 0);
    if (result.err.bytes > 0)
        printf("%s", result.err.data);
    free(result.err.data);
    return result.out.data;
}

#endif
