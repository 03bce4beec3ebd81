/* SPDX-License-Identifier: MIT */
/*
 * uring.c - a ring a loop, and a task that reaps it.
 *
 *      task:    fill an entry, submit ---> done already: go on (what the page cache holds)
 *                                     \--> wait for the event of the call
 *      reaper:  wait for the ring's eventfd ---> set the events of the calls that have ended
 *
 * Every submission is followed by a look at the completions, so the reaper has to do with calls
 * that take time only. While there are none it waits for an event and not for the descriptor: a
 * loop whose tasks all sleep for ever still is found out.
 *
 * A call, its buffers and its entry's data are on the calling task's stack. So that task stays
 * until the completion has come, whatever is cancelled.
 */
#include <bide.h>

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bide/uring.h>

enum { ENTRIES = 256 };

struct uring {
    bide_file_backend backend;
    struct io_uring ring;
    int bell;         /* the eventfd that the kernel rings for completions */
    bide_sem room;    /* entries that are free; keeps completions from overflowing */
    size_t users;     /* tasks inside of a call */
    size_t waiting;   /* of them, those whose completion is to come */
    bide_event work;  /* `waiting` is not 0 any more, or `is_ending` has changed */
    bide_event ended; /* the reaper is gone; for bide_uring_stop */
    bool is_ending;
    bool is_awaited; /* bide_uring_stop frees */
    bool knows[BIDE_FILE_VERBS];
    bool knows_cancel;
};

struct pending {
    bide_event done;
    bool is_done;
    bool is_waiting; /* counted in `waiting` */
    int result;
};

/* --- Completions */

static void reap(struct uring *uring)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        struct pending *pending = io_uring_cqe_get_data(cqe);
        if (pending != NULL) { /* else a cancel's own */
            pending->result = cqe->res;
            pending->is_done = true;
            uring->waiting -= pending->is_waiting;
            bide_event_set(&pending->done);
        }
        io_uring_cqe_seen(&uring->ring, cqe);
    }
}

static void silence(const struct uring *uring)
{
    uint64_t count;

    while (read(uring->bell, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

/* Wait for something to do. Returns a scope's error, which is the loop's end. */
static int reaper_wait(struct uring *uring)
{
    int err;

    if (uring->waiting == 0) {
        err = bide_event_wait(&uring->work);
        bide_event_clear(&uring->work);
        return err;
    }
    err = bide_wait_fd(uring->bell, BIDE_READ);
    if (err < 0 && bide_canceled() == 0)
        err = bide_sleep(BIDE_MS(1)); /* no memory to wait with: look again soon */
    return err < 0 ? err : 0;
}

static bide_async(int, reaper, struct uring *, uring)
{
    while (!uring->is_ending || uring->users > 0) {
        int err = 0;

        if (uring->is_ending) {
            bide_with_shield (BIDE_FOREVER)
                reaper_wait(uring);
        } else {
            err = reaper_wait(uring);
        }
        if (err < 0) { /* the loop ends: what is in the ring is waited for, the rest is threads' */
            uring->is_ending = true;
            if (bide_file_backend_get() == &uring->backend)
                bide_file_backend_set(NULL);
        }
        silence(uring);
        reap(uring);
    }
    io_uring_queue_exit(&uring->ring);
    close(uring->bell);
    bide_event_set(&uring->ended);
    if (!uring->is_awaited)
        free(uring);
    return 0;
}

/* --- Calls */

/* What the ring can take. */
static bool takes(const struct uring *uring, const bide_file_call *call)
{
    return uring->knows[call->verb] && call->bytes <= INT32_MAX;
}

static void prepare(struct io_uring_sqe *sqe, const bide_file_call *call, struct statx *status)
{
    unsigned bytes = (unsigned)call->bytes;
    uint64_t offset = call->offset < 0 ? UINT64_MAX : (uint64_t)call->offset;
    bool has_path = call->path != NULL;

    switch (call->verb) {
    case BIDE_FILE_OPEN:
        io_uring_prep_openat(sqe, AT_FDCWD, call->path, call->flags | O_CLOEXEC, call->mode);
        /* Else the ring opens without blocking first, and a FIFO takes that for its answer. */
        io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
        break;
    case BIDE_FILE_READ: io_uring_prep_read(sqe, call->fd, call->buf, bytes, offset); break;
    case BIDE_FILE_WRITE:
        io_uring_prep_write(sqe, call->fd, call->buf, bytes, offset);
        /* On a thread of the kernel's: on ours it might raise SIGPIPE or SIGXFSZ. */
        io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
        break;
    case BIDE_FILE_SYNC:
        io_uring_prep_fsync(sqe, call->fd, call->flags != 0 ? IORING_FSYNC_DATASYNC : 0);
        break;
    case BIDE_FILE_STAT:
        io_uring_prep_statx(sqe, has_path ? AT_FDCWD : call->fd, has_path ? call->path : "",
                            AT_NO_AUTOMOUNT | (has_path ? 0 : AT_EMPTY_PATH) |
                                (has_path && call->flags != 0 ? AT_SYMLINK_NOFOLLOW : 0),
                            STATX_BASIC_STATS, status);
        break;
    case BIDE_FILE_RENAME:
        io_uring_prep_renameat(sqe, AT_FDCWD, call->path, AT_FDCWD, call->other, 0);
        break;
    case BIDE_FILE_UNLINK:
    case BIDE_FILE_RMDIR:
        io_uring_prep_unlinkat(sqe, AT_FDCWD, call->path,
                               call->verb == BIDE_FILE_RMDIR ? AT_REMOVEDIR : 0);
        break;
    case BIDE_FILE_MKDIR: io_uring_prep_mkdirat(sqe, AT_FDCWD, call->path, call->mode); break;
    default: io_uring_prep_close(sqe, call->fd); break;
    }
}

static struct timespec time_of(const struct statx_timestamp *stamp)
{
    return (struct timespec){.tv_sec = (time_t)stamp->tv_sec, .tv_nsec = (long)stamp->tv_nsec};
}

/* As stat(2) would have filled it. */
static void status_of(const struct statx *from, struct stat *to)
{
    memset(to, 0, sizeof *to);
    to->st_dev = makedev(from->stx_dev_major, from->stx_dev_minor);
    to->st_ino = (ino_t)from->stx_ino;
    to->st_mode = from->stx_mode;
    to->st_nlink = from->stx_nlink;
    to->st_uid = from->stx_uid;
    to->st_gid = from->stx_gid;
    to->st_rdev = makedev(from->stx_rdev_major, from->stx_rdev_minor);
    to->st_size = (off_t)from->stx_size;
    to->st_blksize = (blksize_t)from->stx_blksize;
    to->st_blocks = (blkcnt_t)from->stx_blocks;
    to->st_atim = time_of(&from->stx_atime);
    to->st_mtim = time_of(&from->stx_mtime);
    to->st_ctim = time_of(&from->stx_ctime);
}

/* An entry to fill; never none, as a submission empties the queue. */
static struct io_uring_sqe *entry(struct uring *uring)
{
    struct io_uring_sqe *sqe;

    while ((sqe = io_uring_get_sqe(&uring->ring)) == NULL) {
        io_uring_submit(&uring->ring);
        bide_with_shield (BIDE_FOREVER)
            bide_sleep(BIDE_MS(1));
    }
    return sqe;
}

/*
 * Submit, and look at what has ended. The kernel may be short of memory: what is in the queue stays
 * there, and goes with a later attempt.
 */
static void submit(struct uring *uring)
{
    while (io_uring_submit(&uring->ring) < 0 && io_uring_sq_ready(&uring->ring) > 0) {
        reap(uring);
        bide_with_shield (BIDE_FOREVER)
            bide_sleep(BIDE_MS(1));
    }
    reap(uring);
}

/* Wait for the completion; cancel the call when a scope fires, and wait all the same. */
static int await_pending(struct uring *uring, struct pending *pending)
{
    int err;

    if (pending->is_done)
        return 0;
    uring->waiting++;
    pending->is_waiting = true;
    bide_event_set(&uring->work);
    err = bide_event_wait(&pending->done);
    if (!pending->is_done && uring->knows_cancel) {
        struct io_uring_sqe *sqe = entry(uring);
        io_uring_prep_cancel(sqe, pending, 0);
        io_uring_sqe_set_data(sqe, NULL);
        submit(uring);
    }
    bide_with_shield (BIDE_FOREVER) {
        while (!pending->is_done)
            bide_event_wait(&pending->done);
    }
    return err;
}

static void leave(struct uring *uring)
{
    if (--uring->users == 0 && uring->is_ending)
        bide_event_set(&uring->work);
}

/*
 * What the ring does otherwise than read(2) and write(2): 0 when nothing. With an offset, it would
 * ignore it where there are none. Without, it does not move the position on after a call that did
 * a part only, so that the rest would be written over the beginning.
 */
static int differs(const bide_file_call *call)
{
    bool has_offsets;

    if (call->verb != BIDE_FILE_READ && call->verb != BIDE_FILE_WRITE)
        return 0;
    has_offsets = lseek(call->fd, 0, SEEK_CUR) >= 0 || errno != ESPIPE;
    if (call->offset >= 0)
        return has_offsets ? 0 : -ESPIPE;
    return has_offsets ? -ENOSYS : 0;
}

static int uring_call(bide_file_backend *backend, bide_file_call *call)
{
    struct uring *uring = (struct uring *)(void *)backend;
    struct statx status;
    struct pending pending;
    int err;

    if (!takes(uring, call))
        return -ENOSYS;
    err = differs(call);
    if (err == -ENOSYS)
        return err;
    if (err < 0) {
        call->result = err;
        return bide_canceled();
    }
    uring->users++;
    err = bide_sem_acquire(&uring->room);
    if (err < 0) {
        leave(uring);
        return err;
    }
    do {
        struct io_uring_sqe *sqe = entry(uring);
        pending = (struct pending){.done = BIDE_EVENT_INIT};
        prepare(sqe, call, &status);
        io_uring_sqe_set_data(sqe, &pending);
        submit(uring);
        err = await_pending(uring, &pending);
        /* Cut short by the cancel, before anything happened; else it has happened. */
        if (err < 0 && pending.result != -ECANCELED && pending.result != -EINTR)
            err = 0;
    } while (err == 0 && pending.result == -EINTR && call->verb != BIDE_FILE_CLOSE);
    if (err == 0)
        call->result = pending.result;
    if (err == 0 && call->verb == BIDE_FILE_STAT && pending.result == 0)
        status_of(&status, call->status);
    bide_sem_release(&uring->room);
    leave(uring);
    return err;
}

/* --- Starting and stopping */

static int look_at(struct uring *uring)
{
    static const struct {
        bide_file_verb verb;
        int op;
    } known[] = {
        {BIDE_FILE_OPEN, IORING_OP_OPENAT},     {BIDE_FILE_CLOSE, IORING_OP_CLOSE},
        {BIDE_FILE_READ, IORING_OP_READ},       {BIDE_FILE_WRITE, IORING_OP_WRITE},
        {BIDE_FILE_SYNC, IORING_OP_FSYNC},      {BIDE_FILE_STAT, IORING_OP_STATX},
        {BIDE_FILE_RENAME, IORING_OP_RENAMEAT}, {BIDE_FILE_UNLINK, IORING_OP_UNLINKAT},
        {BIDE_FILE_RMDIR, IORING_OP_UNLINKAT},  {BIDE_FILE_MKDIR, IORING_OP_MKDIRAT},
    };
    const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS;
    struct io_uring_probe *probe = io_uring_get_probe_ring(&uring->ring);

    if (probe == NULL || (uring->ring.features & needed) != needed) {
        io_uring_free_probe(probe);
        return -ENOSYS;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        uring->knows[known[i].verb] = io_uring_opcode_supported(probe, known[i].op);
    uring->knows_cancel = io_uring_opcode_supported(probe, IORING_OP_ASYNC_CANCEL);
    io_uring_free_probe(probe);
    return 0;
}

static int uring_open(struct uring *uring, unsigned entries)
{
    int err;

    uring->backend.call = uring_call;
    bide_sem_init(&uring->room, entries);
    err = io_uring_queue_init(entries, &uring->ring, 0);
    if (err < 0)
        return err;
    uring->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = uring->bell < 0 ? -errno : look_at(uring);
    if (err == 0)
        err = io_uring_register_eventfd(&uring->ring, uring->bell);
    if (err == 0)
        return 0;
    if (uring->bell >= 0)
        close(uring->bell);
    io_uring_queue_exit(&uring->ring);
    return err;
}

static struct uring *uring_here(void)
{
    bide_file_backend *backend = bide_file_backend_get();

    return backend != NULL && backend->call == uring_call ? (struct uring *)(void *)backend : NULL;
}

int bide_uring_start(const bide_uring_options *options)
{
    unsigned entries = options != NULL && options->entries != 0 ? options->entries : ENTRIES;
    struct uring *uring;
    int err;

    if (bide_file_backend_get() != NULL)
        return uring_here() != NULL ? -EALREADY : -EBUSY;
    err = bide_file_backend_set(NULL);
    if (err < 0)
        return err;
    uring = calloc(1, sizeof *uring);
    if (uring == NULL)
        return -ENOMEM;
    err = uring_open(uring, entries);
    if (err < 0) {
        free(uring);
        return err;
    }
    bide_task(int) task = bide_spawn(reaper, uring);
    if (task == NULL) {
        close(uring->bell);
        io_uring_queue_exit(&uring->ring);
        free(uring);
        return -EAGAIN;
    }
    bide_detach(task);
    bide_file_backend_set(&uring->backend);
    return 0;
}

int bide_uring_stop(void)
{
    struct uring *uring = uring_here();

    if (uring == NULL)
        return -ENOENT;
    bide_file_backend_set(NULL);
    uring->is_ending = uring->is_awaited = true;
    bide_event_set(&uring->work);
    bide_with_shield (BIDE_FOREVER)
        bide_event_wait(&uring->ended);
    free(uring);
    return 0;
}
