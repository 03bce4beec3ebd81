/* SPDX-License-Identifier: MIT */
/*
 * fault.c - the plans of the test build: one a call.
 */
#include "base/fault.h"

#ifdef BIDE_FAULTS

#include <errno.h>
#include <string.h>

static const char *const names[] = {
    [BIDE__CALL_ALLOC] = "alloc",
    [BIDE__CALL_MMAP] = "mmap",
    [BIDE__CALL_MUNMAP] = "munmap",
    [BIDE__CALL_MADVISE] = "madvise",
    [BIDE__CALL_MPROTECT] = "mprotect",
    [BIDE__CALL_EPOLL_CREATE] = "epoll_create",
    [BIDE__CALL_EPOLL_CTL] = "epoll_ctl",
    [BIDE__CALL_EPOLL_WAIT] = "epoll_wait",
    [BIDE__CALL_EPOLL_PWAIT2] = "epoll_pwait2",
    [BIDE__CALL_SOCKET] = "socket",
    [BIDE__CALL_BIND] = "bind",
    [BIDE__CALL_LISTEN] = "listen",
    [BIDE__CALL_ACCEPT] = "accept",
    [BIDE__CALL_CONNECT] = "connect",
    [BIDE__CALL_RECV] = "recv",
    [BIDE__CALL_SEND] = "send",
    [BIDE__CALL_SHUTDOWN] = "shutdown",
    [BIDE__CALL_CLOSE] = "close",
    [BIDE__CALL_SOCKOPT] = "sockopt",
    [BIDE__CALL_READ] = "read",
    [BIDE__CALL_WRITE] = "write",
    [BIDE__CALL_PIPE] = "pipe",
    [BIDE__CALL_SPLICE] = "splice",
    [BIDE__CALL_OPEN] = "open",
    [BIDE__CALL_FILE] = "file",
    [BIDE__CALL_EVENTFD] = "eventfd",
    [BIDE__CALL_INOTIFY] = "inotify",
    [BIDE__CALL_THREAD] = "thread",
    [BIDE__CALL_CLONE] = "clone",
    [BIDE__CALL_WAITID] = "waitid",
    [BIDE__CALL_KILL] = "kill",
    [BIDE__CALL_SIGACTION] = "sigaction",
};

_Static_assert(sizeof names / sizeof names[0] == BIDE__CALL_COUNT, "every call has a name");

struct plan {
    uint64_t count; /* calls seen */
    uint64_t first; /* the first count that fails; 0 for none */
    uint64_t last;  /* the last count that fails */
    int error;      /* negative errno */
    size_t limit;   /* bytes a call may move; 0 for any number */
};

static struct plan plans[BIDE__CALL_COUNT];

void bide__fault_fail(enum bide__call call, uint64_t nth, uint64_t times, int error)
{
    struct plan *plan = &plans[call];

    plan->first = nth > UINT64_MAX - plan->count ? UINT64_MAX : plan->count + nth;
    plan->last = times > UINT64_MAX - plan->first ? UINT64_MAX : plan->first + times - 1;
    plan->error = error;
}

void bide__fault_limit(enum bide__call call, size_t bytes)
{
    plans[call].limit = bytes;
}

void bide__fault_reset(void)
{
    for (int call = 0; call < BIDE__CALL_COUNT; call++)
        plans[call] = (struct plan){0};
}

uint64_t bide__fault_count(enum bide__call call)
{
    return plans[call].count;
}

uint64_t bide__fault_system_calls(void)
{
    uint64_t total = 0;

    for (int call = BIDE__CALL_ALLOC + 1; call < BIDE__CALL_COUNT; call++)
        total += plans[call].count;
    return total;
}

int bide__fault_named(const char *name)
{
    for (int call = 0; call < BIDE__CALL_COUNT; call++)
        if (strcmp(names[call], name) == 0)
            return call;
    return -EINVAL;
}

int bide__fault_check(enum bide__call call)
{
    struct plan *plan = &plans[call];
    uint64_t count = __atomic_add_fetch(&plan->count, 1, __ATOMIC_RELAXED);

    if (plan->first == 0 || count < plan->first || count > plan->last)
        return 0;
    return plan->error;
}

size_t bide__fault_clip(enum bide__call call, size_t bytes)
{
    size_t limit = plans[call].limit;

    return limit != 0 && limit < bytes ? limit : bytes;
}

#else
typedef int bide__fault_is_for_test_builds;
#endif
