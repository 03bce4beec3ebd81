/* SPDX-License-Identifier: MIT */
/*
 * hello.c - two tasks that sleep at the same time, and a third thing that waits for both.
 */
#include <bide.h>
#include <bide/short.h>

#include <stdio.h>

/* An ordinary function that can also be spawned: its type, its name, its parameters in pairs. */
static async(int, greet, const char *, name, bide_time, after)
{
    bide_sleep(after); /* looks blocking; only this task waits */
    return printf("hello, %s\n", name);
}

async_main
{
    bide_time start = bide_now();
    task(int) slow = spawn(greet, "world", BIDE_MS(60));
    task(int) fast = spawn(greet, "you", BIDE_MS(30));
    int bytes = await(slow) + await(fast); /* greet's own type comes back */
    double ms = (double)(bide_now() - start) / 1e6;

    printf("%d bytes in %.1f ms, not in 90\n", bytes, ms);
    bytes += greet("again", 0); /* called like any other function, too */

    return bytes == 13 + 11 + 13 && ms >= 60 ? 0 : 1;
}
