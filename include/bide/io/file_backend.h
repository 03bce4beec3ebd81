/* SPDX-License-Identifier: MIT */
/*
 * file_backend.h - who does the calls on files: threads of the pool, or a backend in their place.
 *
 * A backend (bide/uring.h has one) takes calls over, one by one, and may pass on any of them: those
 * go to the pool. Programs see no difference.
 */
#ifndef BIDE_IO_FILE_BACKEND_H
#define BIDE_IO_FILE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <bide/base/api.h>

/* One call each, with the fields of bide_file_call that it reads. */
typedef enum bide_file_verb {
    BIDE_FILE_OPEN,     /* path, flags, mode; the result is the descriptor */
    BIDE_FILE_CLOSE,    /* fd */
    BIDE_FILE_READ,     /* fd, buf, bytes, offset: as pread(2), or read(2) when it is negative */
    BIDE_FILE_WRITE,    /* fd, buf, bytes, offset: as pwrite(2) or write(2) */
    BIDE_FILE_SYNC,     /* fd, flags: 1 for fdatasync(2) */
    BIDE_FILE_STAT,     /* fd, or path when that is not NULL; flags: 1 for lstat(2); status */
    BIDE_FILE_TRUNCATE, /* fd, offset */
    BIDE_FILE_RENAME,   /* path, other */
    BIDE_FILE_UNLINK,   /* path */
    BIDE_FILE_MKDIR,    /* path, mode */
    BIDE_FILE_RMDIR,    /* path */
    BIDE_FILE_ENTRIES,  /* fd, buf, bytes: as getdents64(2) */
    BIDE_FILE_PAGE_IN,  /* fd, bytes, offset: how many bytes are there, and in memory now */
    BIDE_FILE_VERBS
} bide_file_verb;

typedef struct bide_file_call {
    bide_file_verb verb;
    int fd;
    int flags;
    mode_t mode;
    const char *path;
    const char *other;
    void *buf; /* only read from by a write */
    size_t bytes;
    int64_t offset;
    struct stat *status;
    ssize_t result; /* what the system call returned, or a negative errno */
} bide_file_call;

typedef struct bide_file_backend bide_file_backend;

struct bide_file_backend {
    /*
     * Called by the task that makes the call, which it may park. Returns 0 when the call was made,
     * with its result; -ENOSYS to leave it to the pool; or the code of a scope that fired, when the
     * call was not made. A call that was cancelled and happened all the same has happened: 0. What
     * the fields point to is the caller's, and nobody else may touch it after the return. -EINTR is
     * no result.
     */
    int (*call)(bide_file_backend *backend, bide_file_call *call);
};

/**
 * Let a backend do the calls on files of this loop.
 *
 * Calls that another one has begun stay with that. The loop's end does not tell the backend: what
 * it has running must be a task, which the end cancels.
 *
 * @param backend  borrowed until it is replaced; NULL for the pool alone, as at the start
 *
 * Returns 0, or -EOPNOTSUPP under a virtual clock, where the pool's work is done in place.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only; each loop has its own.
 */
BIDE_API int bide_file_backend_set(bide_file_backend *backend);

/**
 * Tell the backend of this loop.
 *
 * Returns it, or NULL: the pool alone.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API bide_file_backend *bide_file_backend_get(void);

#endif
