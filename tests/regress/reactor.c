/* SPDX-License-Identifier: MIT */
/*
 * reactor.c - mistakes that were made in waiting for the kernel.
 */
#include <bide.h>

#include <errno.h>

#include "base/fault.h"
#include "test.h"

static int naps(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        bide_time start = bide_now();
        CHECK_EQ(bide_sleep(BIDE_US(100)), 0);
        CHECK(bide_now() - start >= BIDE_US(100));
    }
    return 0;
}

/*
 * Goal:   a sandbox that forbids epoll_pwait2 (old container runtimes answer -EPERM to calls they
 *         do not know) is like a kernel without it. It was an internal error.
 * Method: let the call fail so; it is asked once, and sleeping works.
 */
TEST(reactor, forbidden_epoll_pwait2_is_done_without)
{
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_EPOLL_PWAIT2, 1, UINT64_MAX, -EPERM);
    CHECK_EQ(bide_run(naps, NULL, NULL), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_EPOLL_PWAIT2), 1);
}
