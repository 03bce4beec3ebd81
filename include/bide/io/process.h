/* SPDX-License-Identifier: MIT */
/*
 * process.h - child processes: started, fed, read, waited for, ended.
 *
 *     bide_process *p;
 *     bide_process_options options = {.out = {.kind = BIDE_STDIO_PIPE}, .kill_on_exit = true};
 *     int err = bide_process_spawn(BIDE_ARGV("ls", "-l"), &options, &p);
 *
 *     while (err == 0 && (n = bide_read_line(bide_process_stdout(p), line, sizeof line)) > 0)
 *         ...
 *     if (err == 0)
 *         err = bide_process_wait(p, &status);
 *     bide_process_free(p);
 *
 * Each child is watched through a pidfd of its own: no signal handler is installed, SIGCHLD is left
 * to the program around, whose own children are never reaped, and no call ever reaches a stranger
 * who has got the number of a child that ended. Needs Linux 5.4.
 *
 *      running --ends--> ended --reaped by wait, try_wait, communicate, stop--> status is known
 *         |
 *         +--freed--> reaped in the background: by a task while the loop runs and has room for one,
 *                     else by any later spawn or free; no zombie stays beside a program that spawns
 *
 * With kill_on_exit no child outlives what waits for it: see bide_process_options.
 */
#ifndef BIDE_IO_PROCESS_H
#define BIDE_IO_PROCESS_H

#include <bide/base/api.h>
#include <bide/base/time.h>
#include <bide/io/stream.h>

typedef struct bide_process bide_process;

/* What a child gets as one of its descriptors 0, 1 and 2. */
enum bide_stdio_kind {
    BIDE_STDIO_INHERIT, /* what this process has there */
    BIDE_STDIO_NULL,    /* /dev/null */
    BIDE_STDIO_PIPE,    /* a pipe, whose other end is bide_process_stdin, _stdout or _stderr */
    BIDE_STDIO_FD,      /* a descriptor, borrowed for the spawn and handed over as it is */
    BIDE_STDIO_STREAM,  /* a stream's descriptor, in blocking mode as programs expect it */
    BIDE_STDIO_STDOUT,  /* for err alone: wherever out goes */
};

/*
 * One of the three. Of a stream over a pipe the child gets a description of its own, and the stream
 * may be used on. Any other description would be shared, and so would be its blocking mode: such a
 * stream is given to the child, and serves for bide_close alone from then on (-EBADF).
 */
struct bide_stdio {
    enum bide_stdio_kind kind;
    int fd;
    bide_stream *stream; /* borrowed for the spawn */
};

/* A limit of the child's: a RLIMIT_ number, and values in its unit; UINT64_MAX for none. */
struct bide_process_limit {
    int resource;
    uint64_t soft;
    uint64_t hard;
};

/* What the child was doing when it could not begin its program. */
enum bide_process_step {
    BIDE_PROCESS_STEP_NONE, /* it was not the child that failed */
    BIDE_PROCESS_STEP_SESSION,
    BIDE_PROCESS_STEP_GROUP,
    BIDE_PROCESS_STEP_STDIO,
    BIDE_PROCESS_STEP_CWD,
    BIDE_PROCESS_STEP_LIMITS,
    BIDE_PROCESS_STEP_EXEC,
};

#define BIDE_PROCESS_GROUP_NEW (-1)

/* Choices for one process; zero means the default. All that is pointed to is borrowed. */
typedef struct bide_process_options {
    const char *const *env; /* "NAME=value", ends with NULL; NULL for this process's own */
    const char *cwd;        /* where it runs; NULL for where this process does */
    const char *program;    /* what to run, when that is not argv[0] */
    struct bide_stdio in;   /* its standard input, */
    struct bide_stdio out;  /* output */
    struct bide_stdio err;  /* and error output */
    bool keep_descriptors;  /* it inherits descriptors above 2 that are not close-on-exec; by
                                  default it gets none at all */
    bool default_signals;   /* no signal is ignored or blocked in it; by default those stay so
                                  that are in the spawning thread */
    bool new_session;       /* it leads a session, and a process group, of its own */
    pid_t process_group;    /* 0: ours; BIDE_PROCESS_GROUP_NEW: one of its own; else joins it */
    const struct bide_process_limit *limits;
    size_t limit_count;

    /*
     * It must not outlive what waits for it. bide_process_free stops it as bide_process_stop does,
     * with grace_ns, and so do bide_process_wait and bide_process_communicate when a scope around
     * them fires, before they return that scope's code: together with its process group, where it
     * leads one of its own.
     */
    bool kill_on_exit;
    bide_time grace_ns; /* between SIGTERM and SIGKILL; default 5 s, negative for none */

    enum bide_process_step *failed_step; /* or NULL: set when the spawn fails */
} bide_process_options;

/* How a process ended. */
typedef struct bide_process_status {
    int code;      /* what it exited with, 0 to 255; -1 when a signal ended it */
    int signal;    /* which one did; 0 when it exited */
    bool has_core; /* and left a core dump */
} bide_process_status;

/* The arguments of a command, as an array that ends with NULL; lives as long as the block. */
#ifndef __cplusplus
#define BIDE_ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
#endif

/**
 * Start a program in a child process.
 *
 * A program without a slash in its name is looked for along this process's PATH; a name with one is
 * taken as it is, and a relative one is relative to `cwd`. Signals that are caught here are at
 * their default in the child. It gets no descriptors but 0, 1 and 2 (before Linux 5.9 those up to
 * the limit of descriptors are closed in it).
 *
 * No memory is copied, however much this process has: the child borrows it until the program
 * begins, as with vfork(2). The thread stands still meanwhile.
 *
 * @param argv     the arguments, argv[0] being the program's name; ends with NULL; borrowed for the
 *                 call
 * @param options  borrowed for the call, or NULL
 * @param out      the process, owned by the caller: bide_process_free
 *
 * Returns 0, or an error after which there is no child:
 *   -ENOENT, -EACCES, -ENOEXEC, -E2BIG, ...  the program cannot be run (execve(2)), or another of
 *                the child's steps failed: options.failed_step says which
 *   -EINVAL      no arguments; a kind of stdio where it makes no sense; a stream to read from that
 *                has read ahead, for the child would miss that
 *   -EBADF       a descriptor or stream that is not open
 *   -EBUSY       a task is reading or writing the stream that would be given away
 *   -EPIPE       a stream that writes to a FIFO which nobody reads
 *   -EOPNOTSUPP  a stream without a descriptor; or the loop has a virtual clock
 *   -EAGAIN, -ENOMEM, -EMFILE, -ENFILE  the kernel's word
 *   -ENOSPC      epoll has no room for the pidfd: the program, which may have begun, was killed
 *   -ENOSYS      a kernel before Linux 5.4, or none of its own (some emulators)
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; nothing was started
 * Blocks:  the thread, until the child has begun its program: well under a millisecond as a rule.
 * Cancel:  safe: it either did not happen or succeeded.
 * Threads: tasks only; the process belongs to their loop.
 * Source:  clone(2) (CLONE_VFORK, CLONE_PIDFD), execve(2), pidfd_open(2).
 */
BIDE_API int bide_process_spawn(const char *const argv[], const bide_process_options *options,
                                bide_process **out);

/**
 * Wait until a process has ended.
 *
 * Several tasks may wait for one. Once it is known how the process ended the call says so at once,
 * as often as it is asked.
 *
 * @param process  borrowed
 * @param status   filled; or NULL
 *
 * Returns 0, or
 *   -ECHILD     it has ended, but not how: this process ignores SIGCHLD (or has SA_NOCLDWAIT), or
 *               somebody else reaped the child
 *   -EBADF      freed meanwhile, or its descriptor was closed behind the library's back
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired; with kill_on_exit the process is stopped
 *               first, as bide_process_stop does
 * Blocks:  until it has ended.
 * Cancel:  safe: the status is kept for the next call, or for bide_process_try_wait.
 * Threads: the process's own loop.
 * Source:  waitid(2), P_PIDFD.
 */
BIDE_API int bide_process_wait(bide_process *process, bide_process_status *status);

/**
 * Ask how a process ended, without waiting.
 *
 * @param process  borrowed
 * @param status   filled; or NULL
 *
 * Returns 0, -EAGAIN while it runs, or -ECHILD, -EBADF as bide_process_wait does.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the process's own loop.
 */
BIDE_API int bide_process_try_wait(bide_process *process, bide_process_status *status);

/**
 * Send a signal to a process.
 *
 * @param process  borrowed
 * @param signal   its number; 0 only asks whether there is anybody to get it
 *
 * Returns 0, -ESRCH when it has ended and was reaped, -EINVAL for no such signal, or -EPERM.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the process's own loop.
 * Source:  pidfd_send_signal(2).
 */
BIDE_API int bide_process_kill(bide_process *process, int signal);

/**
 * Send a signal to the process group that a process leads.
 *
 * @param process  borrowed; spawned with new_session or BIDE_PROCESS_GROUP_NEW
 * @param signal   its number
 *
 * Returns 0, or
 *   -EINVAL  no such signal, or it leads no group
 *   -ESRCH   it has ended and was reaped: its number may be another group's by now
 *   -EPERM   none of them may be sent the signal
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the process's own loop.
 */
BIDE_API int bide_process_kill_group(bide_process *process, int signal);

/**
 * End a process: SIGTERM, a while to obey, then SIGKILL; and reap it.
 *
 * Where it leads a process group the signals go to the whole group, and what is left of that when
 * the process itself has ended is killed. One that has ended before is only reaped.
 *
 * @param process   borrowed
 * @param grace_ns  nanoseconds between the signals; 0 or less for SIGKILL at once
 * @param status    filled; or NULL
 *
 * Returns 0, -ECHILD as bide_process_wait does, -EPERM when it may not be sent signals (it runs as
 * somebody else), or -ETIMEDOUT when the kernel has not ended it 5 s after SIGKILL.
 * Blocks:  until it has ended.
 * Cancel:  not seen: the call is cleanup, and takes grace_ns and 5 s at the most.
 * Threads: the process's own loop.
 */
BIDE_API int bide_process_stop(bide_process *process, bide_time grace_ns,
                               bide_process_status *status);

/**
 * Tell the number of a process.
 *
 * @param process  borrowed
 *
 * Returns the number; once the process was reaped it may be another one's.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API pid_t bide_process_pid(const bide_process *process);

/**
 * Get the stream that writes to a process's standard input.
 *
 * @param process  borrowed
 *
 * Returns the stream, which is the process's: bide_process_close_stdin; NULL when it is no pipe or
 * was closed.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the process's own loop.
 */
BIDE_API bide_stream *bide_process_stdin(bide_process *process);

/**
 * Get the stream that reads a process's standard output.
 *
 * @param process  borrowed
 *
 * Returns the stream, which is the process's and closed with it; NULL when it is no pipe.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the process's own loop.
 */
BIDE_API bide_stream *bide_process_stdout(bide_process *process);

/**
 * Get the stream that reads a process's error output.
 *
 * @param process  borrowed
 *
 * Returns the stream, which is the process's and closed with it; NULL when it is no pipe.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the process's own loop.
 */
BIDE_API bide_stream *bide_process_stderr(bide_process *process);

/**
 * Close the pipe to a process's standard input, so that it reads the end.
 *
 * @param process  borrowed
 *
 * Returns nothing; a second time, or without a pipe, nothing happens.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the process's own loop.
 */
BIDE_API void bide_process_close_stdin(bide_process *process);

/**
 * Give a process up: its pipes are closed, and tasks that still wait for it return -EBADF.
 *
 * One that still runs is stopped first when it was spawned with kill_on_exit. Otherwise it runs on,
 * and is reaped in the background when it ends; that keeps neither the loop nor the program alive.
 * defer(bide_process_free, p) does it however a block is left.
 *
 * @param process  owned, and gone after the call; NULL is ignored
 *
 * Returns nothing.
 * Blocks:  with kill_on_exit, until it has ended, as bide_process_stop does; else no.
 * Cancel:  not seen.
 * Threads: the process's own loop.
 */
BIDE_API void bide_process_free(bide_process *process);

#endif
