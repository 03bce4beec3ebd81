/* SPDX-License-Identifier: MIT */
/*
 * sys_process.h - the way to the kernel for child processes: clone, pidfds, waiting, signals.
 *
 * Calls younger than the oldest C library that we build with are made by number; their numbers are
 * the same on every architecture.
 */
#ifndef BIDE__BASE_SYS_PROCESS_H
#define BIDE__BASE_SYS_PROCESS_H

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/sys.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/*
 * ThreadSanitizer wraps clone, and stops to watch the parent as well when the child shares its
 * memory: the same function under its other name is not wrapped.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BIDE__CLONE __clone
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define BIDE__CLONE __clone
#endif
#ifdef BIDE__CLONE
int __clone(int (*child)(void *arg), void *stack_top, int flags, void *arg, ...);
#else
#define BIDE__CLONE clone
#endif

enum {
    BIDE__CLONE_PIDFD = 0x1000,
    BIDE__WAIT_PIDFD = 3,           /* P_PIDFD */
    BIDE__SIGNAL_GROUP = 4,         /* PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9 */
    BIDE__SIGNAL_BYTES = _NSIG / 8, /* the kernel's signal set; the C library's is larger */
};

/*
 * Call child(arg) on the stack below `stack_top` in a new process that shares this one's memory,
 * and return its pid when it has begun another program or ended. `pidfd` is -1 afterwards where the
 * kernel does not know the flag.
 */
static inline int bide__sys_clone(int (*child)(void *arg), void *stack_top, void *arg, int *pidfd)
{
    const int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
    int pid;

    BIDE__FAULT(BIDE__CALL_CLONE);
    *pidfd = -1;
    pid = bide__sys_result(BIDE__CLONE(child, stack_top, flags | BIDE__CLONE_PIDFD, arg, pidfd));
    if (pid == -EINVAL) /* an emulator that knows fork alone */
        pid = bide__sys_result(BIDE__CLONE(child, stack_top, flags, arg));
    return pid;
}

/* For a child that is not reaped yet. */
static inline int bide__sys_pidfd_open(pid_t pid)
{
    BIDE__FAULT(BIDE__CALL_CLONE);
    return bide__sys_result(syscall(SYS_pidfd_open, pid, 0));
}

/*
 * The thread's signal mask, set to `mask` and its former value put into `former`. The C library's
 * own way would leave its internal signals unblocked, whose handlers no child may run.
 */
static inline void bide__sys_signal_mask(const sigset_t *mask, sigset_t *former)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, former, BIDE__SIGNAL_BYTES);
}

/* waitid(2) of a pidfd, never waiting. info->si_pid is 0 when it has not ended. */
static inline int bide__sys_waitid(int pidfd, siginfo_t *info, int options)
{
    BIDE__FAULT(BIDE__CALL_WAITID);
    info->si_pid = 0;
    return bide__sys_result(
        waitid((idtype_t)BIDE__WAIT_PIDFD, (id_t)pidfd, info, options | WEXITED | WNOHANG));
}

/*
 * Reap a child that nobody was shown and that has ended, or is about to. Waits in the kernel for
 * that instant.
 */
static inline void bide__sys_reap(int pidfd)
{
    siginfo_t info;

    while (waitid((idtype_t)BIDE__WAIT_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
        ;
}

/* Kill and reap a child that there is no pidfd for. */
static inline void bide__sys_lose(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static inline int bide__sys_pidfd_signal(int pidfd, int number, unsigned flags)
{
    BIDE__FAULT(BIDE__CALL_KILL);
    return bide__sys_result(syscall(SYS_pidfd_send_signal, pidfd, number, NULL, flags));
}

static inline int bide__sys_kill(pid_t pid, int number)
{
    BIDE__FAULT(BIDE__CALL_KILL);
    return bide__sys_result(kill(pid, number));
}

static inline int bide__sys_process_open(const char *path, int flags)
{
    BIDE__FAULT(BIDE__CALL_OPEN);
    return bide__sys_result(open(path, flags | O_CLOEXEC));
}

/* For a child that is not reaped yet. */
static inline pid_t bide__sys_group_of(pid_t pid)
{
    return bide__sys_result(getpgid(pid));
}

/* Make a description blocking, or not. */
static inline int bide__sys_set_blocking(int fd, bool is_blocking)
{
    int flags;

    BIDE__FAULT(BIDE__CALL_FILE);
    flags = bide__sys_result(fcntl(fd, F_GETFL));
    if (flags < 0)
        return flags;
    return bide__sys_result(
        fcntl(fd, F_SETFL, is_blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK));
}

/* True, false, or why it is not known. */
static inline int bide__sys_is_pipe(int fd)
{
    struct stat about;

    BIDE__FAULT(BIDE__CALL_FILE);
    return fstat(fd, &about) < 0 ? -errno : S_ISFIFO(about.st_mode);
}

#endif
