/* SPDX-License-Identifier: MIT */
/*
 * sys_inotify.h - inotify(7), through the seam.
 */
#ifndef BIDE__BASE_SYS_INOTIFY_H
#define BIDE__BASE_SYS_INOTIFY_H

#include <sys/inotify.h>

#include "base/sys.h"

static inline int bide__sys_inotify_init(void)
{
    BIDE__FAULT(BIDE__CALL_INOTIFY);
    return bide__sys_result(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
}

static inline int bide__sys_inotify_add(int fd, const char *path, uint32_t mask)
{
    BIDE__FAULT(BIDE__CALL_INOTIFY);
    return bide__sys_result(inotify_add_watch(fd, path, mask));
}

static inline int bide__sys_inotify_remove(int fd, int watch)
{
    BIDE__FAULT(BIDE__CALL_INOTIFY);
    return bide__sys_result(inotify_rm_watch(fd, watch));
}

static inline ssize_t bide__sys_inotify_read(int fd, void *buf, size_t bytes)
{
    BIDE__FAULT(BIDE__CALL_READ);
    ssize_t got = read(fd, buf, bytes);
    return got < 0 ? -errno : got;
}

#endif
