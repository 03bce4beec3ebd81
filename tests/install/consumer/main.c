/* SPDX-License-Identifier: MIT */
/* main.c - a user's first program, without a network: spawn two, await both, meet a timeout. */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>
#include <errno.h>
#include <stdio.h>

static async(int, sleepy, bide_time, ns, int, result)
{
    int err = bide_sleep(ns);
    return err < 0 ? err : result;
}

async_main
{
    int sum = argc > 0 && argv[0] ? 0 : 1;
    task(int) a = spawn(sleepy, BIDE_MS(2), 40);
    task(int) b = spawn(sleepy, BIDE_MS(1), 2);
    with_timeout (BIDE_SEC(20)) {
        sum += await(a) + await(b);
    }
    with_timeout (BIDE_MS(1)) {
        if (sleepy(BIDE_SEC(20), 0) != -ETIMEDOUT)
            return 1;
    }
    if (bide_test_fail("alloc", 1, 1, -ENOMEM) != -EOPNOTSUPP)
        return 1; /* that is for programs linked with bide::testing */
    printf("%d\n", sum);
    return sum == 42 ? 0 : 1;
}
