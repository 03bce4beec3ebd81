/* SPDX-License-Identifier: MIT */
/*
 * file.c - opening and closing files, and the way to the page cache, the backend or the pool.
 */
#include "io/file.h"

#include <errno.h>
#include <stdlib.h>

#include <bide/sched/scope.h>

#include "base/sys_file.h"
#include "reactor/epoll.h"
#include "runtime/pool.h"
#include "sched/waitq.h"

enum { SCRATCH_BYTES = 64 * 1024 }; /* on a thread's stack */

/* --- On whichever thread makes the call */

/* All of it, unless the disk is full or broken: then as far as it got. */
static ssize_t write_all(const bide_file_call *call)
{
    size_t done = 0;

    while (done < call->bytes) {
        ssize_t put =
            bide__sys_file_write(call->fd, (const char *)call->buf + done, call->bytes - done,
                                 call->offset < 0 ? -1 : call->offset + (int64_t)done);
        if (put == -EINTR)
            continue;
        if (put <= 0)
            return done > 0 ? (ssize_t)done : put;
        done += (size_t)put;
    }
    return (ssize_t)done;
}

static ssize_t page_in(const bide_file_call *call)
{
    char scratch[SCRATCH_BYTES];
    size_t done = 0;

    while (done < call->bytes) {
        size_t left = call->bytes - done;
        ssize_t got =
            bide__sys_file_read(call->fd, scratch, left < sizeof scratch ? left : sizeof scratch,
                                call->offset + (int64_t)done);
        if (got == -EINTR)
            continue;
        if (got <= 0)
            return done > 0 ? (ssize_t)done : got;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static ssize_t make(const bide_file_call *call)
{
    switch (call->verb) {
    case BIDE_FILE_OPEN: return bide__sys_open(call->path, call->flags, call->mode);
    case BIDE_FILE_READ: return bide__sys_file_read(call->fd, call->buf, call->bytes, call->offset);
    case BIDE_FILE_WRITE: return write_all(call);
    case BIDE_FILE_SYNC: return bide__sys_sync(call->fd, call->flags != 0);
    case BIDE_FILE_STAT:
        return call->path == NULL ? bide__sys_fstat(call->fd, call->status)
                                  : bide__sys_stat(call->path, call->flags == 0, call->status);
    case BIDE_FILE_TRUNCATE: return bide__sys_truncate(call->fd, call->offset);
    case BIDE_FILE_RENAME: return bide__sys_rename(call->path, call->other);
    case BIDE_FILE_UNLINK: return bide__sys_unlink(call->path);
    case BIDE_FILE_MKDIR: return bide__sys_mkdir(call->path, call->mode);
    case BIDE_FILE_RMDIR: return bide__sys_rmdir(call->path);
    case BIDE_FILE_ENTRIES: return bide__sys_entries(call->fd, call->buf, call->bytes);
    case BIDE_FILE_PAGE_IN: return page_in(call);
    default: bide__assert(call->verb == BIDE_FILE_CLOSE); return bide__sys_close(call->fd);
    }
}

void bide__file_work(bide_file_call *call)
{
    do
        call->result = make(call);
    while (call->result == -EINTR && call->verb != BIDE_FILE_CLOSE);
    /* The descriptor is gone, whatever a signal interrupted (close(2)). */
    if (call->verb == BIDE_FILE_CLOSE && call->result == -EINTR)
        call->result = 0;
}

static void work(void *arg)
{
    bide__file_work(arg);
}

void bide__file_work_here(bide_file_call *call)
{
    struct bide__sys_quiet quiet;

    bide__sys_quiet_begin(&quiet);
    bide__file_work(call);
    bide__sys_quiet_end(&quiet);
}

/* --- On the loop */

int bide__file_do(bide_file_call *call, const char *what)
{
    struct bide_task *self = bide__task_need(what);
    struct bide_loop *loop = self->loop;
    int err = -ENOSYS;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (loop->files != NULL) {
        err = loop->files->call(loop->files, call);
        bide__budget_spend(loop); /* it may not have had to wait */
    }
    return err == -ENOSYS ? bide__pool_call(BIDE__LANE_WORK, work, call, what) : err;
}

ssize_t bide__file_result(bide_file_call *call, const char *what)
{
    int err = bide__file_do(call, what);

    return err < 0 ? err : call->result;
}

int bide_file_backend_set(bide_file_backend *backend)
{
    struct bide_loop *loop = bide__task_need("bide_file_backend_set")->loop;

    if (bide__epoll_of(loop) == NULL)
        return -EOPNOTSUPP;
    loop->files = backend;
    return 0;
}

bide_file_backend *bide_file_backend_get(void)
{
    return bide__task_need("bide_file_backend_get")->loop->files;
}

int bide__file_enter(bide_file *file, const char *what)
{
    struct bide_task *self = bide__task_need(what);

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (file->is_closed)
        return -EBADF;
    file->users++;
    return 0;
}

void bide__file_leave(bide_file *file)
{
    bide__assert(file->users > 0);
    if (--file->users == 0)
        bide__wake_all(&file->closing, 0);
}

void bide__file_settle(bide_file *file)
{
    bide_with_shield (BIDE_FOREVER) {
        while (file->users > 0) {
            struct bide__waiter waiter = BIDE__WAITER(waiter, "calls on a file that is closed");
            bide__waitq_join(&file->closing, &waiter);
            bide__park(&waiter);
        }
    }
}

/* The same for calls that use the position, which is one task's at a time. */
static int enter_moving(bide_file *file, const char *what)
{
    int err = bide__file_enter(file, what);

    if (err == 0 && file->is_moving) {
        bide__file_leave(file);
        return -EBUSY;
    }
    if (err == 0)
        file->is_moving = true;
    return err;
}

static void leave_moving(bide_file *file)
{
    file->is_moving = false;
    bide__file_leave(file);
}

/*
 * Read what is in the page cache, or return -EAGAIN. Not on a virtual clock, where one seed is one
 * run, whatever is cached. O_DIRECT would wait for the disk all the same.
 */
static ssize_t read_cached(bide_file *file, void *buf, size_t bytes, int64_t offset)
{
    struct bide_loop *loop = bide__loop_here;
    ssize_t got;

    if (!file->tries_cache || bytes > BIDE__FILE_CACHED_MOST || bide__epoll_of(loop) == NULL)
        return -EAGAIN;
    do
        got = bide__sys_file_read_cached(file->fd, buf, bytes, offset);
    while (got == -EINTR);
    if (got == -EOPNOTSUPP || got == -ENOSYS || got == -EPERM) {
        file->tries_cache = false; /* this file system, kernel or sandbox knows no such read */
        return -EAGAIN;
    }
    if (got >= 0)
        bide__budget_spend(loop);
    return got;
}

ssize_t bide__file_some(bide_file *file, void *buf, size_t bytes, int64_t offset, const char *what)
{
    bide_file_call call = {
        .verb = BIDE_FILE_READ,
        .fd = file->fd,
        .buf = buf,
        .bytes = bytes < BIDE__FILE_PIECE ? bytes : BIDE__FILE_PIECE,
        .offset = offset,
    };
    ssize_t got = read_cached(file, buf, bytes, offset);

    return got == -EAGAIN ? bide__file_result(&call, what) : got;
}

ssize_t bide__file_put(bide_file *file, const void *buf, size_t bytes, int64_t offset,
                       const char *what)
{
    size_t done = 0;
    ssize_t put = 0;

    do {
        size_t left = bytes - done;
        bide_file_call call = {
            .verb = BIDE_FILE_WRITE,
            .fd = file->fd,
            .buf = (char *)(uintptr_t)buf + done,
            .bytes = left < BIDE__FILE_PIECE ? left : BIDE__FILE_PIECE,
            .offset = offset < 0 ? -1 : offset + (int64_t)done,
        };
        put = bide__file_result(&call, what);
        if (put <= 0)
            break;
        done += (size_t)put;
    } while (done < bytes);
    return done > 0 ? (ssize_t)done : put;
}

ssize_t bide__file_page_in(bide_file *file, int64_t offset, size_t bytes, const char *what)
{
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t start = offset / page * page;
    const int64_t pages = (offset + (int64_t)bytes - start + page - 1) / page;
    bide_file_call call = {
        .verb = BIDE_FILE_PAGE_IN, .fd = file->fd, .bytes = bytes, .offset = offset};
    int64_t cached = -EAGAIN;
    char byte;

    if (file->counts_pages && file->tries_cache && bide__epoll_of(bide__loop_here) != NULL) {
        cached = bide__sys_cached_pages(file->fd, (uint64_t)start, (uint64_t)(pages * page));
        if (cached < 0)
            file->counts_pages = false; /* before Linux 6.5, or a file without pages */
    }
    /* Pages that are counted may still be on their way in: the last byte tells of most of them. */
    if (cached >= pages && read_cached(file, &byte, 1, offset + (int64_t)bytes - 1) == 1)
        return (ssize_t)bytes;
    /* The file ends before one more: then all that it has here is counted. */
    if (cached >= 0 && cached < pages && read_cached(file, &byte, 1, start + cached * page) == 0)
        return (ssize_t)bytes;
    return bide__file_result(&call, what);
}

/* --- Opening and closing */

static void file_init(bide_file *file, int fd, int flags)
{
    *file = (bide_file){
        .fd = fd,
        .is_append = (flags & O_APPEND) != 0,
        .tries_cache = (flags & O_DIRECT) == 0,
        .counts_pages = true,
    };
    bide__list_init(&file->closing);
}

int bide_file_open(const char *path, int flags, mode_t mode, bide_file **out)
{
    bide_file_call call = {.verb = BIDE_FILE_OPEN, .path = path, .flags = flags, .mode = mode};
    bide_file *file;
    ssize_t fd;

    bide__task_need("bide_file_open");
    file = bide__alloc(sizeof *file);
    if (file == NULL)
        return -ENOMEM;
    fd = bide__file_result(&call, "bide_file_open");
    if (fd < 0) {
        free(file);
        return (int)fd;
    }
    file_init(file, (int)fd, flags);
    *out = file;
    return 0;
}

int bide_file_of_fd(int fd, bide_file **out)
{
    int flags = bide__sys_open_flags(fd);
    bide_file *file;

    bide__task_need("bide_file_of_fd");
    if (flags < 0)
        return flags;
    file = bide__alloc(sizeof *file);
    if (file == NULL)
        return -ENOMEM;
    file_init(file, fd, flags);
    *out = file;
    return 0;
}

int bide_file_close(bide_file *file)
{
    struct bide_task *self;
    bide_file_call call = {.verb = BIDE_FILE_CLOSE};

    if (file == NULL)
        return 0;
    self = bide__task_need("bide_file_close");
    if (file->is_closed)
        bide__misuse("bide_file_close: this file is being closed already");
    file->is_closed = true;
    call.fd = file->fd;
    bide_with_shield (BIDE_FOREVER) {
        bide__file_settle(file);
        /* In a callback, which must not wait, or without a thread, it is closed right here. */
        if (self->waiter != NULL || bide__file_do(&call, "bide_file_close") < 0)
            bide__file_work_here(&call);
    }
    free(file);
    return (int)call.result;
}

int bide_file_fd(const bide_file *file)
{
    return file->fd;
}

/* --- Reading and writing */

ssize_t bide_file_read(bide_file *file, void *buf, size_t bytes)
{
    ssize_t got = enter_moving(file, "bide_file_read");

    if (got < 0)
        return got;
    got = bide__file_some(file, buf, bytes, -1, "bide_file_read");
    leave_moving(file);
    return got;
}

ssize_t bide_file_write(bide_file *file, const void *buf, size_t bytes)
{
    ssize_t put = enter_moving(file, "bide_file_write");

    if (put < 0)
        return put;
    put = bide__file_put(file, buf, bytes, -1, "bide_file_write");
    leave_moving(file);
    return put;
}

ssize_t bide_file_pread(bide_file *file, void *buf, size_t bytes, int64_t offset)
{
    ssize_t got = bide__file_enter(file, "bide_file_pread");
    size_t done = 0;

    if (got < 0)
        return got;
    if (offset < 0)
        got = -EINVAL;
    while (got >= 0 && done < bytes) {
        got = bide__file_some(file, (char *)buf + done, bytes - done, offset + (int64_t)done,
                              "bide_file_pread");
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    bide__file_leave(file);
    return done > 0 ? (ssize_t)done : got;
}

ssize_t bide_file_pwrite(bide_file *file, const void *buf, size_t bytes, int64_t offset)
{
    ssize_t put = bide__file_enter(file, "bide_file_pwrite");

    if (put < 0)
        return put;
    put = offset < 0 ? -EINVAL : bide__file_put(file, buf, bytes, offset, "bide_file_pwrite");
    bide__file_leave(file);
    return put;
}

int64_t bide_file_seek(bide_file *file, int64_t offset, int whence)
{
    if (file->is_moving)
        return -EBUSY;
    return file->is_closed ? -EBADF : bide__sys_seek(file->fd, offset, whence);
}

/* --- The rest */

static int call_on(bide_file *file, bide_file_call *call, const char *what)
{
    int err = bide__file_enter(file, what);

    if (err < 0)
        return err;
    call->fd = file->fd;
    err = (int)bide__file_result(call, what);
    bide__file_leave(file);
    return err;
}

int bide_file_sync(bide_file *file, bool data_only)
{
    return call_on(file, &(bide_file_call){.verb = BIDE_FILE_SYNC, .flags = data_only},
                   "bide_file_sync");
}

int bide_file_stat(bide_file *file, struct stat *status)
{
    return call_on(file, &(bide_file_call){.verb = BIDE_FILE_STAT, .status = status},
                   "bide_file_stat");
}

int bide_file_truncate(bide_file *file, int64_t bytes)
{
    return call_on(file, &(bide_file_call){.verb = BIDE_FILE_TRUNCATE, .offset = bytes},
                   "bide_file_truncate");
}
