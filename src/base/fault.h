/* SPDX-License-Identifier: MIT */
/*
 * fault.h - what the system-call seam asks in a test build: shall this call fail, and how far may
 * it get?
 *
 * Only the library that is built with BIDE_FAULTS asks (bide::testing). Every call is counted as
 * well, so that tests can assert on the number of system calls and allocations instead of on time.
 * Users plan with bide_test_fail and its neighbours (bide/testing.h), which call what is here.
 * Loops on several threads may be counted; plans are made while one thread runs.
 */
#ifndef BIDE__BASE_FAULT_H
#define BIDE__BASE_FAULT_H

#include <stddef.h>
#include <stdint.h>

/* Each has a name in fault.c, which bide/testing.h lists. */
enum bide__call {
    BIDE__CALL_ALLOC,
    BIDE__CALL_MMAP,
    BIDE__CALL_MUNMAP,
    BIDE__CALL_MADVISE,
    BIDE__CALL_MPROTECT,
    BIDE__CALL_EPOLL_CREATE,
    BIDE__CALL_EPOLL_CTL,
    BIDE__CALL_EPOLL_WAIT,
    BIDE__CALL_EPOLL_PWAIT2,
    BIDE__CALL_SOCKET,
    BIDE__CALL_BIND,
    BIDE__CALL_LISTEN,
    BIDE__CALL_ACCEPT,
    BIDE__CALL_CONNECT,
    BIDE__CALL_RECV,
    BIDE__CALL_SEND,
    BIDE__CALL_SHUTDOWN,
    BIDE__CALL_CLOSE,
    BIDE__CALL_SOCKOPT,
    BIDE__CALL_READ,
    BIDE__CALL_WRITE,
    BIDE__CALL_PIPE,
    BIDE__CALL_SPLICE,
    BIDE__CALL_OPEN,
    BIDE__CALL_FILE,
    BIDE__CALL_EVENTFD,
    BIDE__CALL_INOTIFY,
    BIDE__CALL_THREAD,
    BIDE__CALL_CLONE,
    BIDE__CALL_WAITID,
    BIDE__CALL_KILL,
    BIDE__CALL_SIGACTION,
    BIDE__CALL_COUNT
};

/*
 * Let call number `nth` from now (1 is the next) and the `times - 1` after it fail with the
 * negative errno `error`.
 */
void bide__fault_fail(enum bide__call call, uint64_t nth, uint64_t times, int error);

/* Let recv and send move at most `bytes` a call; 0 lifts the limit. */
void bide__fault_limit(enum bide__call call, size_t bytes);

/* Forget every plan and set the counters to zero. */
void bide__fault_reset(void);

/* Calls made since the last reset, those that were made to fail included. */
uint64_t bide__fault_count(enum bide__call call);

/* All system calls since the last reset (allocations are not system calls). */
uint64_t bide__fault_system_calls(void);

/* The call of that name, or -EINVAL. */
int bide__fault_named(const char *name);

/* For sys.h: count the call, return 0 to go on or the negative errno to fail with. */
int bide__fault_check(enum bide__call call);

/* For sys.h: how many of `bytes` this call may move. */
size_t bide__fault_clip(enum bide__call call, size_t bytes);

#endif
