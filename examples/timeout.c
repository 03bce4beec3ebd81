/* SPDX-License-Identifier: MIT */
/*
 * timeout.c - a block of code with a time limit, and cleaning up after it.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Three steps of 40 ms. No step knows of a limit: each just hands on the error of a call. */
static int work(int *steps)
{
    int err = 0;

    for (*steps = 0; err == 0 && *steps < 3; *steps += err == 0)
        err = bide_sleep(BIDE_MS(40));
    return err;
}

async_main
{
    bide_scope attempt = BIDE_SCOPE_INIT;
    int steps = 0, err = 0, cleanup = -1;

    with_timeout (BIDE_SEC(10)) {
        err = work(&steps);
    }
    printf("with 10 s:   %d steps, %s\n", steps, strerror(-err));
    if (steps != 3 || err != 0)
        return 1;

    /* A scope with a name can be asked afterwards whether it fired, and not one around it. */
    bide_scope_set_timeout(&attempt, BIDE_MS(60));
    with_scope (&attempt) {
        err = work(&steps);
        if (bide_sleep(BIDE_MS(1)) != -ETIMEDOUT)
            return 1; /* and so does every call from now on */
        with_shield (BIDE_SEC(1)) {
            cleanup = bide_sleep(BIDE_MS(10)); /* but not here, for a second at most */
        }
    }
    printf("with 60 ms:  %d steps, %s\n", steps, strerror(-err));
    printf("its cleanup: %s\n", strerror(-cleanup));

    return bide_scope_fired(&attempt) && steps < 3 && err == -ETIMEDOUT && cleanup == 0 ? 0 : 1;
}
