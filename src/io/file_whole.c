/* SPDX-License-Identifier: MIT */
/*
 * file_whole.c - a whole file at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bide/io/path.h>
#include <bide/sched/scope.h>

#include "base/sys_file.h"
#include "io/file.h"

enum {
    FIRST_BYTES = 4096, /* of a file that does not know its size, as those in /proc */
    NAMES_TRIED = 100,
};

struct whole {
    char *data;
    size_t bytes;
    size_t capacity; /* the zero byte's room left out */
};

static int grow(struct whole *whole, size_t capacity)
{
    char *data = bide__realloc(whole->data, capacity + 1);

    if (data == NULL)
        return -ENOMEM;
    whole->data = data;
    whole->capacity = capacity;
    return 0;
}

/* Read to the end, which may be elsewhere than stat says. A byte beyond the limit tells. */
static int read_whole(bide_file *file, size_t bytes_max, struct whole *whole)
{
    struct stat status;
    int err = bide_file_stat(file, &status);
    size_t size = err == 0 && status.st_size > 0 ? (size_t)status.st_size : FIRST_BYTES;

    if (err < 0)
        return err;
    if (S_ISREG(status.st_mode) && status.st_size > 0 && (uint64_t)status.st_size > bytes_max)
        return -EFBIG;
    err = grow(whole, size + 1);
    while (err == 0) {
        ssize_t got;
        if (whole->bytes == whole->capacity && (err = grow(whole, whole->capacity * 2)) < 0)
            break;
        got = bide_file_read(file, whole->data + whole->bytes, whole->capacity - whole->bytes);
        if (got < 0)
            return (int)got;
        if (got == 0)
            break;
        whole->bytes += (size_t)got;
        if (whole->bytes > bytes_max)
            return -EFBIG;
    }
    return err;
}

int bide_file_read_all(const char *path, size_t bytes_max, char **data, size_t *bytes)
{
    struct whole whole = {0};
    bide_file *file;
    int err = bide_file_open(path, O_RDONLY, 0, &file);

    if (err < 0)
        return err;
    err = read_whole(file, bytes_max, &whole);
    bide_file_close(file);
    if (err < 0) {
        free(whole.data);
        return err;
    }
    whole.data[whole.bytes] = '\0';
    *data = whole.data;
    if (bytes != NULL)
        *bytes = whole.bytes;
    return 0;
}

/* Write, maybe sync, and close a file that was opened. */
static int fill(bide_file *file, const void *data, size_t bytes, bool syncs)
{
    size_t done = 0;
    int err = 0, close_err;

    while (done < bytes) {
        ssize_t put = bide_file_write(file, (const char *)data + done, bytes - done);
        if (put <= 0) {
            err = put < 0 ? (int)put : -EIO;
            break;
        }
        done += (size_t)put;
    }
    if (err == 0 && syncs)
        err = bide_file_sync(file, false);
    close_err = bide_file_close(file);
    return err < 0 ? err : close_err;
}

/* Open a new file beside the path; its name is written to `beside`. */
static int open_beside(const char *path, mode_t mode, char *beside, size_t size, bide_file **out)
{
    const char *slash = strrchr(path, '/');
    int directory = slash == NULL ? 0 : (int)(slash + 1 - path);
    static unsigned counter; /* a thread that takes another's number finds the name taken */
    int err = -EEXIST;

    for (int i = 0; err == -EEXIST && i < NAMES_TRIED; i++) {
        snprintf(beside, size, "%.*s.%d-%u.new", directory, path, (int)getpid(),
                 __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
        err = bide_file_open(beside, O_WRONLY | O_CREAT | O_EXCL, mode, out);
    }
    return err;
}

static int replace(const char *path, const void *data, size_t bytes, mode_t mode)
{
    size_t size = strlen(path) + 40;
    char *beside = bide__alloc(size);
    bide_file *file;
    int err;

    if (beside == NULL)
        return -ENOMEM;
    err = open_beside(path, mode, beside, size, &file);
    if (err == 0) {
        err = fill(file, data, bytes, true);
        if (err == 0)
            err = bide_path_rename(beside, path);
        if (err < 0) {
            bide_file_call call = {.verb = BIDE_FILE_UNLINK, .path = beside};
            bide_with_shield (BIDE_FOREVER) {
                if (bide__file_do(&call, "bide_file_write_all") < 0)
                    bide__file_work_here(&call);
            }
        }
    }
    free(beside);
    return err;
}

int bide_file_write_all(const char *path, const void *data, size_t bytes, mode_t mode,
                        unsigned flags)
{
    bide_file *file;
    int err;

    if (flags & BIDE_FILE_REPLACE)
        return replace(path, data, bytes, mode);
    err = bide_file_open(path, O_WRONLY | O_CREAT | O_TRUNC, mode, &file);
    return err < 0 ? err : fill(file, data, bytes, false);
}
