/* SPDX-License-Identifier: MIT */
/*
 * fault.c - the system-call seam: what it counts, and that calls fail as planned.
 */
#include "base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "test.h"

/*
 * Goal:   exactly the planned calls fail, with the planned error, and nothing was done by them.
 * Method: the third and fourth of six mappings.
 */
TEST(fault, nth_call_fails_so_many_times)
{
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_MMAP, 3, 2, -EAGAIN);
    for (int i = 1; i <= 6; i++) {
        void *memory = NULL;
        int err = bide__sys_mmap(4096, &memory);
        CHECK_EQ(err, i == 3 || i == 4 ? -EAGAIN : 0);
        CHECK((memory == NULL) == (err < 0));
        if (memory != NULL)
            CHECK_EQ(bide__sys_munmap(memory, 4096), 0);
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_MMAP), 6);
    CHECK_EQ(bide__fault_count(BIDE__CALL_MUNMAP), 4);
}

/*
 * Goal:   a plan counts from the moment it is made, may last for ever, and a new one replaces it.
 * Method: plans in the middle of a row of calls.
 */
TEST(fault, plan_counts_from_now_and_may_last)
{
    bide__fault_reset();
    for (int i = 0; i < 5; i++)
        CHECK_EQ(bide__fault_check(BIDE__CALL_SOCKET), 0);
    bide__fault_fail(BIDE__CALL_SOCKET, 2, UINT64_MAX, -EMFILE);
    CHECK_EQ(bide__fault_check(BIDE__CALL_SOCKET), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(bide__fault_check(BIDE__CALL_SOCKET), -EMFILE);
    bide__fault_fail(BIDE__CALL_SOCKET, 1, 1, -ENFILE);
    CHECK_EQ(bide__fault_check(BIDE__CALL_SOCKET), -ENFILE);
    CHECK_EQ(bide__fault_check(BIDE__CALL_SOCKET), 0);
    bide__fault_fail(BIDE__CALL_SOCKET, 1, UINT64_MAX, -EMFILE);
    bide__fault_reset();
    CHECK_EQ(bide__fault_check(BIDE__CALL_SOCKET), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_SOCKET), 1);
    bide__fault_fail(BIDE__CALL_SOCKET, UINT64_MAX, UINT64_MAX, -EMFILE); /* as good as never */
    CHECK_EQ(bide__fault_check(BIDE__CALL_SOCKET), 0);
}

/*
 * Goal:   each call has the name that bide/testing.h gives it, and nothing else has one.
 * Method: all names in the order of the enum, and what is nearly one.
 */
TEST(fault, calls_are_found_by_name)
{
    const char *names[] = {"alloc",        "mmap",      "munmap",     "madvise",      "mprotect",
                           "epoll_create", "epoll_ctl", "epoll_wait", "epoll_pwait2", "socket",
                           "bind",         "listen",    "accept",     "connect",      "recv",
                           "send",         "shutdown",  "close",      "sockopt",      "read",
                           "write",        "pipe",      "splice",     "open",         "file",
                           "eventfd",      "inotify",   "thread",     "clone",        "waitid",
                           "kill",         "sigaction"};
    const char *wrong[] = {"", "ALLOC", "allo", "alloc ", "count", "writev"};

    CHECK_EQ(sizeof names / sizeof names[0], BIDE__CALL_COUNT);
    for (int i = 0; i < BIDE__CALL_COUNT; i++)
        CHECK_EQ(bide__fault_named(names[i]), i);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_EQ(bide__fault_named(wrong[i]), -EINVAL);
}

/*
 * Goal:   allocations can fail, and are counted apart from system calls.
 * Method: each kind of allocation, once refused, once granted.
 */
TEST(fault, allocations_fail_and_are_no_system_calls)
{
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 3, -ENOMEM);
    CHECK(bide__alloc(10) == NULL);
    CHECK(bide__alloc_zeroed(10, 10) == NULL);
    CHECK(bide__realloc(NULL, 10) == NULL);
    void *memory = bide__alloc(10);
    CHECK(memory != NULL);
    free(memory);
    memory = bide__alloc_zeroed(3, 5);
    CHECK(memory != NULL && memcmp(memory, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15) == 0);
    memory = bide__realloc(memory, 1000);
    CHECK(memory != NULL);
    free(memory);
    CHECK_EQ(bide__fault_count(BIDE__CALL_ALLOC), 6);
    CHECK_EQ(bide__fault_system_calls(), 0);
}

/*
 * Goal:   recv and send move no more than the limit; lifting it restores them. Errors come as
 *         negative errno.
 * Method: a socket pair, seven bytes at three a call.
 */
TEST(fault, limit_makes_short_transfers)
{
    int ends[2];
    char text[8] = "";

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    bide__fault_reset();
    bide__fault_limit(BIDE__CALL_SEND, 3);
    bide__fault_limit(BIDE__CALL_RECV, 2);
    CHECK_EQ(bide__sys_send(ends[0], "1234567", 7), 3);
    CHECK_EQ(bide__sys_recv_most(7), 2); /* the caller asks for less: see sys.h */
    CHECK_EQ(bide__sys_recv(ends[1], text, bide__sys_recv_most(7)), 2);
    CHECK_STR(text, "12");
    struct iovec iov[2] = {{.iov_base = "4567", .iov_len = 4}, {.iov_base = "89", .iov_len = 2}};
    CHECK_EQ(bide__sys_sendv(ends[0], iov, 2), 3);
    bide__fault_limit(BIDE__CALL_SEND, 0);
    bide__fault_limit(BIDE__CALL_RECV, 0);
    CHECK_EQ(bide__sys_sendv(ends[0], iov, 1), 4);
    CHECK_EQ(bide__sys_recv(ends[1], text, 7), 7);
    CHECK_STR(text, "3456456");
    CHECK_EQ(bide__sys_recv(ends[1], text, 7), 1);
    CHECK_EQ(bide__sys_recv(ends[1], text, 7), -EAGAIN);
    CHECK_EQ(bide__sys_close(ends[1]), 0);
    CHECK_EQ(bide__sys_send(ends[0], "1", 1), -EPIPE); /* and no SIGPIPE */
    CHECK_EQ(bide__sys_close(ends[0]), 0);
    CHECK_EQ(bide__sys_close(ends[0]), -EBADF);
    CHECK_EQ(bide__fault_system_calls(), 11);
}
