/* SPDX-License-Identifier: MIT */
/* faults.c - a user's test: the program survives each allocation that fails. */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>
#include <errno.h>
#include <stdio.h>

static int passes_a_byte(void *arg)
{
    bide_stream *ends[2];
    char byte = 0;
    int err = bide_stream_pair(ends);

    (void)arg;
    if (err < 0)
        return err;
    bide_write(ends[0], "*", 1);
    bide_read(ends[1], &byte, 1);
    bide_close(ends[0]);
    bide_close(ends[1]);
    return byte;
}

int main(void)
{
    int result = -ENOMEM, failed = 0;

    for (uint64_t nth = 1; result == -ENOMEM && nth < 100; nth++) {
        bide_test_reset();
        if (bide_test_fail("alloc", nth, 1, -ENOMEM) != 0)
            return 1;
        result = bide_test_run(passes_a_byte, NULL, 0, NULL);
        failed += result == -ENOMEM;
    }
    if (failed == 0)
        return 1;
    printf("%d\n", result);
    return 0;
}
