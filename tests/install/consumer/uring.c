/* SPDX-License-Identifier: MIT */
/* uring.c - files through io_uring where the kernel has it; the same file either way. */
#include <bide.h>
#include <bide/uring.h>

#include <stdio.h>
#include <sys/stat.h>

static int body(void *arg)
{
    struct stat status;

    (void)arg;
    bide_uring_start(NULL);
    return bide_path_stat("/", &status) == 0 && S_ISDIR(status.st_mode) ? 42 : 1;
}

int main(void)
{
    return printf("%d\n", bide_run(body, NULL, NULL)) == 3 ? 0 : 1;
}
