/* SPDX-License-Identifier: MIT */
/*
 * stdio.c - streams of descriptors that come from elsewhere, without changing their mode.
 */
#include <bide/io/stdio.h>

#include <errno.h>
#include <stdlib.h>

#include "base/sys_pipe.h"
#include "io/pipe.h"
#include "io/socket.h"
#include "runtime/pool.h"

/* What epoll does not serve: files and their like are always ready, and wait for nobody. */
struct file {
    bide_stream stream;
    int number;            /* shares its offset and mode with the one it was made of */
    bool has_no_nowait[2]; /* reading, writing: the file system cannot say that it would wait */
};

static struct file *file_of(bide_stream *stream)
{
    return BIDE__CONTAINER(stream, struct file, stream);
}

/* What a thread of the pool does for a file that would keep the loop waiting for the disk. */
struct transfer {
    const struct file *file;
    struct iovec *pieces;
    size_t count;
    bool writes;
    ssize_t moved;
};

/* The description's offset is used and moved on: others share it. */
static void transfer(void *arg)
{
    struct transfer *self = arg;

    do
        self->moved = self->writes ? bide__sys_writev(self->file->number, self->pieces, self->count)
                                   : bide__sys_read(self->file->number, self->pieces->iov_base,
                                                    self->pieces->iov_len);
    while (self->moved == -EINTR);
}

/* What can be done in memory at once needs no thread. */
static ssize_t file_transfer(struct transfer *self, bool *has_no_nowait, const char *what)
{
    ssize_t moved = -EAGAIN;
    int err;

    if (!*has_no_nowait)
        moved = self->writes ? bide__sys_write_nowait(self->file->number, self->pieces, self->count)
                             : bide__sys_read_nowait(self->file->number, self->pieces->iov_base,
                                                     self->pieces->iov_len);
    *has_no_nowait |= moved == -EOPNOTSUPP;
    if (moved != -EAGAIN && moved != -EOPNOTSUPP && moved != -EINTR)
        return moved;
    err = bide__pool_call(BIDE__LANE_WORK, transfer, self, what);
    return err < 0 ? err : self->moved;
}

static ssize_t file_read(bide_stream *stream, void *buf, size_t bytes)
{
    struct file *file = file_of(stream);
    struct iovec piece = {.iov_base = buf, .iov_len = bide__sys_read_most(bytes)};
    struct transfer self = {.file = file, .pieces = &piece, .count = 1};

    return file_transfer(&self, &file->has_no_nowait[0], "read of a file");
}

static ssize_t file_write(bide_stream *stream, struct iovec *pieces, size_t count)
{
    struct file *file = file_of(stream);
    struct transfer self = {.file = file, .pieces = pieces, .count = count, .writes = true};

    return file_transfer(&self, &file->has_no_nowait[1], "write of a file");
}

static int file_shutdown_write(bide_stream *stream)
{
    (void)stream;
    return -EOPNOTSUPP;
}

/* A thread may be using the number: it is closed when the last call has left. */
static void file_close(bide_stream *stream)
{
    (void)stream;
}

static void file_destroy(bide_stream *stream)
{
    bide__sys_close(file_of(stream)->number);
    free(file_of(stream));
}

static const struct bide__stream_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .shutdown_write = file_shutdown_write,
    .close = file_close,
    .destroy = file_destroy,
};

static int file_stream(int number, bide_stream **out)
{
    struct file *file = bide__alloc_zeroed(1, sizeof *file);

    if (file == NULL)
        return -ENOMEM;
    bide__stream_init(&file->stream, &file_ops);
    file->number = number;
    *out = &file->stream;
    return 0;
}

/* Make a stream of a descriptor that it owns then; on failure the caller still does. */
typedef int maker(struct bide__epoll *epoll, int number, const struct stat *status,
                  bide_stream **out);

static int make_socket(struct bide__epoll *epoll, int number, const struct stat *status,
                       bide_stream **out)
{
    bide_address address;
    int err = bide__sys_socket_type(number);

    (void)status;
    if (err < 0)
        return err;
    if (err != SOCK_STREAM)
        return -EPROTOTYPE;
    err = bide__socket_name(number, false, &address);
    if (err < 0)
        return err;
    return bide__socket_stream(epoll, number, address.bide__any.sa_family, out);
}

/* A pipe, terminal or device as it is: one that blocks is asked before each call. */
static int make_device(struct bide__epoll *epoll, int number, const struct stat *status,
                       bide_stream **out)
{
    struct bide__pipe_origin origin = {.is_fifo = S_ISFIFO(status->st_mode)};
    int mode = bide__sys_mode(number), err;

    if (mode < 0)
        return mode;
    origin.access = mode & O_ACCMODE;
    origin.is_shared = (mode & O_NONBLOCK) == 0;
    err = bide__pipe_stream_of(epoll, number, origin, out);
    return err == -EPERM ? file_stream(number, out) : err;
}

static int make_file(struct bide__epoll *epoll, int number, const struct stat *status,
                     bide_stream **out)
{
    (void)epoll, (void)status;
    return file_stream(number, out);
}

static maker *make_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFSOCK: return make_socket;
    case S_IFIFO:
    case S_IFCHR: return make_device;
    case S_IFREG:
    case S_IFDIR:
    case S_IFBLK: return make_file;
    default: return NULL;
    }
}

/*
 * Open a pipe, FIFO or terminal once more. Returns the number, or a negative errno: then the stream
 * does with what it has. What else a device does when it is opened again, nobody knows.
 */
static int reopen(int number, const struct stat *status)
{
    struct stat again;
    int mode, own;

    if (!S_ISFIFO(status->st_mode) && !(S_ISCHR(status->st_mode) && bide__sys_is_terminal(number)))
        return -ENOTTY;
    mode = bide__sys_mode(number);
    if (mode < 0)
        return mode;
    own = bide__sys_reopen(number, mode & O_ACCMODE);
    if (own < 0)
        return own;
    /* Where something else is mounted at /proc, it is something else. */
    if (bide__sys_fstat(own, &again) < 0 || again.st_dev != status->st_dev ||
        again.st_ino != status->st_ino) {
        bide__sys_close(own);
        return -ENOENT;
    }
    return own;
}

/* Of a descriptor that may block: one of our own if there can be one, else itself. */
static int take_over(int fd, const struct stat *status)
{
    int mode = bide__sys_mode(fd), own;

    if (mode < 0 || (mode & O_NONBLOCK))
        return mode < 0 ? mode : fd;
    own = reopen(fd, status);
    return own < 0 ? fd : own;
}

int bide_stream_of_fd(int fd, bide_stream **out)
{
    struct bide__epoll *epoll = bide__epoll_of(bide__task_need("bide_stream_of_fd")->loop);
    struct stat status;
    maker *make;
    int own, err;

    if (epoll == NULL)
        return -EOPNOTSUPP;
    err = bide__sys_fstat(fd, &status);
    if (err < 0)
        return err;
    make = make_of(status.st_mode);
    if (make == NULL)
        return -EINVAL;
    if (make == make_file)
        return -EPERM;
    own = take_over(fd, &status);
    if (own < 0)
        return own;
    err = own == fd ? bide__sys_set_cloexec(fd) : 0;
    if (err == 0)
        err = make(epoll, own, &status, out);
    if (own != fd)
        bide__sys_close(err < 0 ? own : fd);
    return err;
}

/* The standard streams of a loop. Each is held, so that one that was closed is recognised. */
struct standard {
    struct bide__at_stop at_stop;
    bide_stream *streams[3];
};

/* No task runs any more. */
static void stop(struct bide__at_stop *at_stop, struct bide_loop *loop)
{
    struct standard *standard = BIDE__CONTAINER(at_stop, struct standard, at_stop);

    (void)loop;
    for (int i = 0; i < 3; i++) {
        bide_stream *stream = standard->streams[i];
        if (stream == NULL)
            continue;
        if (!stream->is_closed) {
            stream->is_closed = true;
            stream->ops->close(stream);
        }
        bide__stream_let_go(stream);
    }
    free(standard);
}

static struct standard *standard_of(struct bide_loop *loop)
{
    struct bide__list *head = &loop->at_stop;
    struct standard *standard;

    for (struct bide__list *at = head->next; at != head; at = at->next) {
        struct bide__at_stop *at_stop = BIDE__CONTAINER(at, struct bide__at_stop, link);
        if (at_stop->stop == stop)
            return BIDE__CONTAINER(at_stop, struct standard, at_stop);
    }
    standard = bide__alloc_zeroed(1, sizeof *standard);
    if (standard == NULL)
        return NULL;
    standard->at_stop.stop = stop;
    bide__list_append(head, &standard->at_stop.link);
    return standard;
}

/* A stream of a descriptor that stays the program's: always of a number of its own. */
static int borrow(struct bide__epoll *epoll, int fd, bide_stream **out)
{
    struct stat status;
    maker *make;
    int own, err = bide__sys_fstat(fd, &status);

    if (err < 0)
        return err;
    make = make_of(status.st_mode);
    if (make == NULL)
        return -EINVAL;
    own = reopen(fd, &status);
    if (own < 0)
        own = bide__sys_duplicate(fd);
    if (own < 0)
        return own;
    err = make(epoll, own, &status, out);
    if (err < 0)
        bide__sys_close(own);
    return err;
}

static int standard_stream(int fd, const char *call, bide_stream **out)
{
    struct bide_loop *loop = bide__task_need(call)->loop;
    struct bide__epoll *epoll = bide__epoll_of(loop);
    struct standard *standard;
    bide_stream **slot;
    int err;

    if (epoll == NULL)
        return -EOPNOTSUPP;
    standard = standard_of(loop);
    if (standard == NULL)
        return -ENOMEM;
    slot = &standard->streams[fd];
    if (*slot != NULL && (*slot)->is_closed) {
        bide__stream_let_go(*slot);
        *slot = NULL;
    }
    if (*slot == NULL) {
        err = borrow(epoll, fd, slot);
        if (err < 0)
            return err;
        bide__stream_hold(*slot);
    }
    *out = *slot;
    return 0;
}

int bide_stdin(bide_stream **out)
{
    return standard_stream(STDIN_FILENO, "bide_stdin", out);
}

int bide_stdout(bide_stream **out)
{
    return standard_stream(STDOUT_FILENO, "bide_stdout", out);
}

int bide_stderr(bide_stream **out)
{
    return standard_stream(STDERR_FILENO, "bide_stderr", out);
}
