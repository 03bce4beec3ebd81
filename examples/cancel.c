/* SPDX-License-Identifier: MIT */
/*
 * cancel.c - a cancelled task is asked to end: its calls fail, and it returns like any function.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void clean_up(int *cleaned)
{
    ++*cleaned;
    printf("cleaned up %d\n", *cleaned);
}

static async(int, inner, int *, cleaned)
{
    defer(clean_up, cleaned); /* whichever way the block is left */
    int err = bide_sleep(BIDE_FOREVER);

    printf("inner: %s\n", strerror(-err));
    return err;
}

static async(int, outer, int *, cleaned)
{
    task(int) waited_for = spawn(inner, cleaned);

    defer(clean_up, cleaned);
    int err =
        await(waited_for); /* the cancel goes on to who is awaited, so nobody is left behind */

    printf("outer: %s\n", strerror(-err));
    return err;
}

async_main
{
    int cleaned = 0;
    task(int) running = spawn(outer, &cleaned);

    bide_sleep(BIDE_MS(20));
    cancel(running); /* a request: the handle is still ours to await */
    int err = await(running);

    return err == -ECANCELED && cleaned == 2 ? 0 : 1;
}
