/* SPDX-License-Identifier: MIT */
/*
 * calls.h - count the system calls of a process, by ptrace: between two marks, or of a program.
 *
 * The process asks to be traced and then makes a mark, a system call that does nothing, before and
 * after what is to be counted. The tracer stops it at every system call and counts those between
 * the marks. Of a program all are counted, from the end of execve to the exit, in all its threads.
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BENCH_CALLS_NUMBERS = 1024 };

struct bench_calls {
    long total;
    long each[BENCH_CALLS_NUMBERS]; /* by system call number */
};

/* In the process: stop until the tracer goes on. False when it may not be traced. */
static inline bool bench_calls_begin(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        return false;
    raise(SIGSTOP);
    return true;
}

/* In the process: the first mark begins the count, the second ends it. */
static inline void bench_calls_mark(void)
{
    syscall(SYS_getppid);
}

/*
 * In the tracer: count until the second mark, then end the process, a child. False when it could
 * not be traced or ended before.
 */
static inline bool bench_calls_count(pid_t child, struct bench_calls *calls)
{
    int marks = 0, status, signal_number = 0;

    memset(calls, 0, sizeof *calls);
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
        return false;
    ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    while (marks < 2) {
        struct __ptrace_syscall_info info = {0};

        if (ptrace(PTRACE_SYSCALL, child, NULL, signal_number) < 0 ||
            waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
            return false;
        signal_number = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
        if (signal_number != 0)
            continue;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) < 0)
            break;
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        if (info.entry.nr == SYS_getppid) {
            marks++;
        } else if (marks == 1) {
            calls->total++;
            if (info.entry.nr < BENCH_CALLS_NUMBERS)
                calls->each[info.entry.nr]++;
        }
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return marks == 2;
}

/*
 * In the tracer: count all system calls of a child that has become another program by now or will,
 * and of its threads, until it ends. False when it could not be traced or did not exit with 0.
 */
static inline bool bench_calls_count_all(pid_t child, struct bench_calls *calls)
{
    bool has_begun = false; /* the program, for the exec is not its own */
    int status, signal_number;
    pid_t thread = child;

    memset(calls, 0, sizeof *calls);
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
        return false;
    ptrace(PTRACE_SETOPTIONS, child, NULL,
           PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SYSCALL, child, NULL, 0);
    while ((thread = waitpid(-1, &status, __WALL)) > 0) {
        struct __ptrace_syscall_info info = {0};

        if (!WIFSTOPPED(status)) {
            if (thread == child)
                return WIFEXITED(status) && WEXITSTATUS(status) == 0 && has_begun;
            continue;
        }
        signal_number = WSTOPSIG(status);
        has_begun = has_begun || status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8);
        if (signal_number == (SIGTRAP | 0x80) && has_begun &&
            ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) > 0 &&
            info.op == PTRACE_SYSCALL_INFO_ENTRY) {
            calls->total++;
            if (info.entry.nr < BENCH_CALLS_NUMBERS)
                calls->each[info.entry.nr]++;
        }
        if (signal_number == (SIGTRAP | 0x80) || signal_number == SIGTRAP ||
            signal_number == SIGSTOP) /* ours: a new thread begins with the latter */
            signal_number = 0;
        ptrace(PTRACE_SYSCALL, thread, NULL, signal_number);
    }
    return false;
}

#endif
