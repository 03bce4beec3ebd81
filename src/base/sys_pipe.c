/* SPDX-License-Identifier: MIT */
/*
 * sys_pipe.c - writing to a pipe that nobody reads, without a signal.
 *
 * Sockets have MSG_NOSIGNAL. For pipes Linux 6.18 has RWF_NOSIGNAL, which costs nothing. Before, a
 * write blocks SIGPIPE in this thread, takes the signal that its own -EPIPE has left, and puts the
 * mask back: two more system calls a write, about 0.3 us together. To leave SIGPIPE blocked between
 * writes would save them, but programs that a task starts would inherit the mask, and the
 * program's own writes would no longer end it in a closed pipeline. Ignoring SIGPIPE would say the
 * same to the whole process.
 *
 * A signal of a write goes to the writing thread. When the thread has not blocked it, none can be
 * pending before; when it has, one may, and then it is not ours to take.
 */
#include "base/sys_pipe.h"

#include <signal.h>

/* As in linux/fs.h, which may be older. */
enum { WITHOUT_SIGNAL = 0x100 };

/* The kernel said that it does not know the flag. */
static bool has_no_flag;

static sigset_t sigpipe_set(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

void bide__sigpipe_hold(struct bide__sigpipe *held)
{
    sigset_t set = sigpipe_set(), former;

    /* On Linux it is the calling thread's mask, and pthread_sigmask no more than this. */
    sigprocmask(SIG_BLOCK, &set, &former);
    held->was_blocked = sigismember(&former, SIGPIPE) == 1;
    held->was_pending = false;
    if (held->was_blocked && sigpending(&set) == 0)
        held->was_pending = sigismember(&set, SIGPIPE) == 1;
}

void bide__sigpipe_release(const struct bide__sigpipe *held, bool is_raised)
{
    const struct timespec at_once = {0};
    sigset_t set = sigpipe_set();

    if (is_raised && !held->was_pending)
        sigtimedwait(&set, NULL, &at_once);
    if (!held->was_blocked)
        sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static ssize_t write_flagged(int fd, const struct iovec *pieces, size_t count)
{
#ifdef SYS_pwritev2
    BIDE__FAULT(BIDE__CALL_WRITE);
    /* By number, as older C libraries lack it; an offset of -1 in both halves is none. */
    ssize_t wrote = syscall(SYS_pwritev2, fd, pieces, count, -1L, -1L, WITHOUT_SIGNAL);
    return wrote < 0 ? -errno : wrote;
#else
    (void)fd, (void)pieces, (void)count;
    return -ENOSYS;
#endif
}

static ssize_t write_held(int fd, const struct iovec *pieces, size_t count)
{
    struct bide__sigpipe held;
    ssize_t wrote;

    bide__sigpipe_hold(&held);
    wrote = bide__sys_writev(fd, pieces, count);
    bide__sigpipe_release(&held, wrote == -EPIPE);
    return wrote;
}

ssize_t bide__sys_pipe_write(int fd, const struct iovec *pieces, size_t count)
{
    ssize_t wrote;
#ifdef BIDE_FAULTS
    struct iovec first = pieces[0];

    if (bide__fault_clip(BIDE__CALL_WRITE, SIZE_MAX) != SIZE_MAX) {
        first.iov_len = bide__fault_clip(BIDE__CALL_WRITE, first.iov_len);
        pieces = &first;
        count = 1;
    }
#endif
    if (!__atomic_load_n(&has_no_flag, __ATOMIC_RELAXED)) {
        wrote = write_flagged(fd, pieces, count);
        if (wrote != -EOPNOTSUPP && wrote != -ENOSYS && wrote != -EPERM)
            return wrote; /* EPERM: a sandbox knows no such call */
        __atomic_store_n(&has_no_flag, true, __ATOMIC_RELAXED);
    }
    return write_held(fd, pieces, count);
}
