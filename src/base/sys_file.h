/* SPDX-License-Identifier: MIT */
/*
 * sys_file.h - the system calls of files, directories and paths. As sys.h: a negative errno.
 */
#ifndef BIDE__BASE_SYS_FILE_H
#define BIDE__BASE_SYS_FILE_H

#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/sys_signal.h"

/* The kernel's number is the same on every processor (Linux 6.5). */
enum { BIDE__CACHESTAT = 451 };

static inline int bide__sys_open(const char *path, int flags, mode_t mode)
{
    BIDE__FAULT(BIDE__CALL_OPEN);
    return bide__sys_result(open(path, flags | O_CLOEXEC, mode));
}

/* From an offset, or with a negative one from the descriptor's own position. */
static inline ssize_t bide__sys_file_read(int fd, void *buf, size_t bytes, int64_t offset)
{
    ssize_t got;

    BIDE__FAULT(BIDE__CALL_READ);
    bytes = BIDE__FAULT_CLIP(BIDE__CALL_READ, bytes);
    got = offset < 0 ? read(fd, buf, bytes) : pread(fd, buf, bytes, (off_t)offset);
    return got < 0 ? -errno : got;
}

/* The same of what the page cache holds: -EAGAIN, or fewer bytes, when the rest would block. */
static inline ssize_t bide__sys_file_read_cached(int fd, void *buf, size_t bytes, int64_t offset)
{
#ifdef RWF_NOWAIT
    struct iovec piece = {.iov_base = buf, .iov_len = BIDE__FAULT_CLIP(BIDE__CALL_READ, bytes)};
    ssize_t got;

    BIDE__FAULT(BIDE__CALL_READ);
    got = preadv2(fd, &piece, 1, offset < 0 ? -1 : (off_t)offset, RWF_NOWAIT);
    return got < 0 ? -errno : got;
#else
    (void)fd, (void)buf, (void)bytes, (void)offset;
    return -EOPNOTSUPP;
#endif
}

static inline ssize_t bide__sys_file_write(int fd, const void *buf, size_t bytes, int64_t offset)
{
    ssize_t put;

    BIDE__FAULT(BIDE__CALL_WRITE);
    bytes = BIDE__FAULT_CLIP(BIDE__CALL_WRITE, bytes);
    put = offset < 0 ? write(fd, buf, bytes) : pwrite(fd, buf, bytes, (off_t)offset);
    return put < 0 ? -errno : put;
}

static inline int bide__sys_sync(int fd, bool data_only)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(data_only ? fdatasync(fd) : fsync(fd));
}

static inline int bide__sys_stat(const char *path, bool follows, struct stat *out)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(follows ? stat(path, out) : lstat(path, out));
}

static inline int bide__sys_truncate(int fd, int64_t bytes)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(ftruncate(fd, (off_t)bytes));
}

static inline int64_t bide__sys_seek(int fd, int64_t offset, int whence)
{
    off_t at;

    BIDE__FAULT(BIDE__CALL_FILE);
    at = lseek(fd, (off_t)offset, whence);
    return at < 0 ? -errno : (int64_t)at;
}

/* The flags of an open descriptor; -EBADF. */
static inline int bide__sys_open_flags(int fd)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(fcntl(fd, F_GETFL));
}

static inline int bide__sys_rename(const char *from, const char *to)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(rename(from, to));
}

static inline int bide__sys_unlink(const char *path)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(unlink(path));
}

static inline int bide__sys_mkdir(const char *path, mode_t mode)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(mkdir(path, mode));
}

static inline int bide__sys_rmdir(const char *path)
{
    BIDE__FAULT(BIDE__CALL_FILE);
    return bide__sys_result(rmdir(path));
}

/* As many entries as fit, in the form of getdents64(2): the bytes they take, 0 at the end. */
static inline ssize_t bide__sys_entries(int fd, void *buf, size_t bytes)
{
    long got;

    BIDE__FAULT(BIDE__CALL_FILE);
    got = syscall(SYS_getdents64, fd, buf, bytes);
    return got < 0 ? -errno : (ssize_t)got;
}

/* How many pages of a range of a file are in the page cache: cachestat(2). */
static inline int64_t bide__sys_cached_pages(int fd, uint64_t offset, uint64_t bytes)
{
    const uint64_t range[2] = {offset, bytes};
    uint64_t counts[5] = {0};

    BIDE__FAULT(BIDE__CALL_FILE);
    if (syscall(BIDE__CACHESTAT, fd, range, counts, 0) < 0)
        return -errno;
    return (int64_t)counts[0];
}

/* Send from a file to a socket or pipe that does not block. sendfile has no MSG_NOSIGNAL. */
static inline ssize_t bide__sys_sendfile(int to, int from, int64_t offset, size_t bytes)
{
    off_t at = (off_t)offset;
    struct bide__sys_quiet quiet;
    ssize_t sent;

    BIDE__FAULT(BIDE__CALL_SPLICE);
    bytes = BIDE__FAULT_CLIP(BIDE__CALL_SPLICE, bytes);
    bide__sys_quiet_begin(&quiet);
    sent = sendfile(to, from, &at, bytes);
    sent = sent < 0 ? -errno : sent;
    bide__sys_quiet_end(&quiet);
    return sent;
}

#endif
