/* SPDX-License-Identifier: MIT */
/*
 * sys.h - the one way to the kernel and to the allocator.
 *
 * Thin inline functions which return what the kernel says, a negative errno on failure: errno is
 * read right here and goes nowhere else. In a test build each one first asks fault.h whether to
 * fail.
 */
#ifndef BIDE__BASE_SYS_H
#define BIDE__BASE_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bide/base/time.h>

#ifdef BIDE_FAULTS
#include "base/fault.h"
#define BIDE__FAULT(call)                                                                          \
    do {                                                                                           \
        int fault_error = bide__fault_check(call);                                                 \
        if (fault_error != 0)                                                                      \
            return fault_error;                                                                    \
    } while (0)
#define BIDE__FAULT_NULL(call)                                                                     \
    do {                                                                                           \
        if (bide__fault_check(call) != 0)                                                          \
            return NULL;                                                                           \
    } while (0)
#define BIDE__FAULT_CLIP(call, bytes) bide__fault_clip(call, bytes)
#else
#define BIDE__FAULT(call) (void)0
#define BIDE__FAULT_NULL(call) (void)0
#define BIDE__FAULT_CLIP(call, bytes) (bytes)
#endif

/*
 * What a call returned, or the negative errno it left: called with the call itself as its argument.
 */
static inline int bide__sys_result(long returned)
{
    return returned < 0 ? -errno : (int)returned;
}

static inline void *bide__alloc(size_t bytes)
{
    BIDE__FAULT_NULL(BIDE__CALL_ALLOC);
    return malloc(bytes);
}

static inline void *bide__alloc_zeroed(size_t count, size_t bytes)
{
    BIDE__FAULT_NULL(BIDE__CALL_ALLOC);
    return calloc(count, bytes);
}

/* Each cache line of it holds nobody else's; not zeroed. */
static inline void *bide__alloc_lines(size_t bytes)
{
    BIDE__FAULT_NULL(BIDE__CALL_ALLOC);
    return aligned_alloc(64, (bytes + 63) & ~(size_t)63);
}

static inline void *bide__realloc(void *old, size_t bytes)
{
    BIDE__FAULT_NULL(BIDE__CALL_ALLOC);
    return realloc(old, bytes);
}

/*
 * A clock_gettime that fails would mean that the kernel has no monotonic clock: not a case that
 * Linux knows.
 */
static inline bide_time bide__sys_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (bide_time)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Private anonymous memory, committed by touching. */
static inline int bide__sys_mmap(size_t bytes, void **out)
{
    BIDE__FAULT(BIDE__CALL_MMAP);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    *out = memory;
    return 0;
}

static inline int bide__sys_munmap(void *memory, size_t bytes)
{
    BIDE__FAULT(BIDE__CALL_MUNMAP);
    return bide__sys_result(munmap(memory, bytes));
}

static inline int bide__sys_madvise(void *memory, size_t bytes, int advice)
{
    BIDE__FAULT(BIDE__CALL_MADVISE);
    return bide__sys_result(madvise(memory, bytes, advice));
}

static inline int bide__sys_mprotect(void *memory, size_t bytes, int protection)
{
    BIDE__FAULT(BIDE__CALL_MPROTECT);
    return bide__sys_result(mprotect(memory, bytes, protection));
}

static inline int bide__sys_epoll_create(void)
{
    BIDE__FAULT(BIDE__CALL_EPOLL_CREATE);
    return bide__sys_result(epoll_create1(EPOLL_CLOEXEC));
}

static inline int bide__sys_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
    BIDE__FAULT(BIDE__CALL_EPOLL_CTL);
    return bide__sys_result(epoll_ctl(epoll_fd, op, fd, event));
}

static inline int bide__sys_epoll_wait(int epoll_fd, struct epoll_event *events, int count,
                                       int timeout_ms)
{
    BIDE__FAULT(BIDE__CALL_EPOLL_WAIT);
    return bide__sys_result(epoll_wait(epoll_fd, events, count, timeout_ms));
}

/*
 * epoll_pwait2(2), Linux 5.11: the timeout in nanoseconds; called by number, as older C libraries
 * lack it.
 */
static inline int bide__sys_epoll_pwait2(int epoll_fd, struct epoll_event *events, int count,
                                         const struct timespec *timeout)
{
#ifdef SYS_epoll_pwait2
    BIDE__FAULT(BIDE__CALL_EPOLL_PWAIT2);
    return bide__sys_result(syscall(SYS_epoll_pwait2, epoll_fd, events, count, timeout, NULL, 0));
#else
    (void)epoll_fd, (void)events, (void)count, (void)timeout;
    return -ENOSYS;
#endif
}

static inline int bide__sys_eventfd(void)
{
    BIDE__FAULT(BIDE__CALL_EVENTFD);
    return bide__sys_result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

/*
 * Add 1 to an eventfd: an edge for whoever polls it. It is never read, unless it has no room left:
 * then it is emptied first, since a write that fails makes no edge (eventfd(2)). For signal
 * handlers as well: keeps errno.
 */
static inline void bide__sys_eventfd_ring(int fd)
{
    const uint64_t one = 1;
    uint64_t many;
    int before = errno;

    while (write(fd, &one, sizeof one) < 0 && errno == EAGAIN)
        if (read(fd, &many, sizeof many) < 0 && errno != EAGAIN && errno != EINTR)
            break;
    errno = before;
}

/*
 * Start a thread that nobody joins. Signals are for the program's own threads: all are blocked in
 * it.
 */
static inline int bide__sys_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int err;

    BIDE__FAULT(BIDE__CALL_THREAD);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    err = pthread_create(&thread, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -err;
}

static inline int bide__sys_socket(int family, int type)
{
    BIDE__FAULT(BIDE__CALL_SOCKET);
    return bide__sys_result(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static inline int bide__sys_bind(int fd, const struct sockaddr *address, socklen_t bytes)
{
    BIDE__FAULT(BIDE__CALL_BIND);
    return bide__sys_result(bind(fd, address, bytes));
}

static inline int bide__sys_listen(int fd, int backlog)
{
    BIDE__FAULT(BIDE__CALL_LISTEN);
    return bide__sys_result(listen(fd, backlog));
}

static inline int bide__sys_accept(int fd)
{
    BIDE__FAULT(BIDE__CALL_ACCEPT);
    return bide__sys_result(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

static inline int bide__sys_connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
    BIDE__FAULT(BIDE__CALL_CONNECT);
    return bide__sys_result(connect(fd, address, bytes));
}

/*
 * How many bytes to ask for at once. A test build's limit lies here and not in bide__sys_recv: a
 * read that is shorter than what was asked for means that nothing is left, and must not lie.
 */
static inline size_t bide__sys_recv_most(size_t bytes)
{
    return BIDE__FAULT_CLIP(BIDE__CALL_RECV, bytes);
}

/*
 * MSG_DONTWAIT, here and below: a socket that came from elsewhere may be shared with processes for
 * which it must go on blocking.
 */
static inline ssize_t bide__sys_recv(int fd, void *buf, size_t bytes)
{
    BIDE__FAULT(BIDE__CALL_RECV);
    ssize_t got = recv(fd, buf, bytes, MSG_DONTWAIT);
    return got < 0 ? -errno : got;
}

/*
 * The same of a Unix socket. There a read ends with the bytes that descriptors came along with,
 * though more may follow: `is_cut` says so. Nobody asked for them, so the kernel closes them.
 */
static inline ssize_t bide__sys_recv_unix(int fd, void *buf, size_t bytes, bool *is_cut)
{
    struct iovec piece = {.iov_base = buf, .iov_len = bytes};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    BIDE__FAULT(BIDE__CALL_RECV);
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
    *is_cut = got >= 0 && (message.msg_flags & MSG_CTRUNC) != 0;
    return got < 0 ? -errno : got;
}

/* MSG_NOSIGNAL: a peer that went away is -EPIPE, never a SIGPIPE. */
static inline ssize_t bide__sys_send(int fd, const void *buf, size_t bytes)
{
    BIDE__FAULT(BIDE__CALL_SEND);
    ssize_t sent =
        send(fd, buf, BIDE__FAULT_CLIP(BIDE__CALL_SEND, bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

static inline ssize_t bide__sys_sendv(int fd, struct iovec *iov, size_t count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};

#ifdef BIDE_FAULTS
    if (count > 0 && bide__fault_clip(BIDE__CALL_SEND, SIZE_MAX) != SIZE_MAX)
        return bide__sys_send(fd, iov[0].iov_base, iov[0].iov_len);
#endif
    BIDE__FAULT(BIDE__CALL_SEND);
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

static inline int bide__sys_socket_name(int fd, struct sockaddr *address, socklen_t *bytes)
{
    BIDE__FAULT(BIDE__CALL_SOCKOPT);
    return bide__sys_result(getsockname(fd, address, bytes));
}

static inline int bide__sys_peer_name(int fd, struct sockaddr *address, socklen_t *bytes)
{
    BIDE__FAULT(BIDE__CALL_SOCKOPT);
    return bide__sys_result(getpeername(fd, address, bytes));
}

static inline int bide__sys_shutdown(int fd, int how)
{
    BIDE__FAULT(BIDE__CALL_SHUTDOWN);
    return bide__sys_result(shutdown(fd, how));
}

/* 0 for a number that is open, else -EBADF. */
static inline int bide__sys_fd_check(int fd)
{
    BIDE__FAULT(BIDE__CALL_SOCKOPT);
    return bide__sys_result(fcntl(fd, F_GETFD)) < 0 ? -EBADF : 0;
}

static inline int bide__sys_fstat(int fd, struct stat *out)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(fstat(fd, out));
}

/* Whatever it returns, the descriptor is gone (close(2)): so a failure on demand closes as well. */
static inline int bide__sys_close(int fd)
{
    int result = bide__sys_result(close(fd));

    BIDE__FAULT(BIDE__CALL_CLOSE);
    return result;
}

static inline int bide__sys_setsockopt(int fd, int level, int option, int value)
{
    BIDE__FAULT(BIDE__CALL_SOCKOPT);
    return bide__sys_result(setsockopt(fd, level, option, &value, sizeof value));
}

/*
 * The pending error of a socket (SO_ERROR, which the read clears), as a negative errno; 0 when
 * there is none.
 */
static inline int bide__sys_socket_error(int fd)
{
    int error = 0;
    socklen_t bytes = sizeof error;

    BIDE__FAULT(BIDE__CALL_SOCKOPT);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        return -errno;
    return -error;
}

#endif
