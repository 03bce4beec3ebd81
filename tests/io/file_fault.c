/* SPDX-License-Identifier: MIT */
/*
 * file_fault.c - files on threads: every call failing in turn, EINTR, and cancels at every point.
 */
#include "files.h"

#include <bide/short.h>

#include <fcntl.h>

#include "io/file.h"

/* A file's life; the first error ends it. Returns that, or 0. */
static int lives(const char *path)
{
    bide_file *file;
    struct stat status;
    char buf[16];
    ssize_t done;
    int err = bide_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &file), close_err;

    if (err < 0)
        return err;
    done = bide_file_write(file, "0123456789", 10);
    if (done == 10)
        done = bide_file_pwrite(file, "ab", 2, 10);
    if (done == 2)
        done = bide_file_pread(file, buf, sizeof buf, 0);
    if (done == 12)
        done = bide_file_sync(file, false);
    if (done == 0)
        done = bide_file_stat(file, &status);
    if (done == 0)
        done = bide_file_truncate(file, 5);
    if (done == 0)
        done = bide_file_seek(file, 0, SEEK_SET);
    if (done == 0)
        done = bide_file_read(file, buf, sizeof buf) == 5 ? 0 : -EIO;
    close_err = bide_file_close(file);
    if (done == 0 && close_err == 0)
        done = bide_path_stat(path, &status);
    if (done == 0 && close_err == 0)
        done = bide_path_unlink(path);
    return done < 0 ? (int)done : done > 0 ? 1 : close_err;
}

static int fails_in_turn(void *arg)
{
    enum bide__call calls[] = {BIDE__CALL_ALLOC, BIDE__CALL_OPEN, BIDE__CALL_READ,
                               BIDE__CALL_WRITE, BIDE__CALL_FILE, BIDE__CALL_CLOSE};
    int open_before;

    (void)arg;
    CHECK_EQ(lives(files_path("f")), 0); /* the pool is there */
    open_before = test_open_fds();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        uint64_t nth = 1, fired;
        do {
            int result;
            CHECK(nth < 100);
            bide__fault_reset();
            bide__fault_fail(calls[i], nth, 1, calls[i] == BIDE__CALL_ALLOC ? -ENOMEM : -EIO);
            result = lives(files_path("f"));
            fired = bide__fault_count(calls[i]);
            bide__fault_reset();
            CHECK_EQ(test_open_fds(), open_before);
            if (fired < nth)
                CHECK_EQ(result, 0);
            else /* the read that would have found the end has nothing to add */
                CHECK(result != 0 || calls[i] == BIDE__CALL_READ);
        } while (fired >= nth++);
        CHECK(nth > 2);
    }
    return 0;
}

/*
 * Goal:   whichever call fails, its error comes back and nothing is left open.
 * Method: fail each allocation and system call of a file's life in turn.
 */
TEST(file_fault, each_failing_call_is_told)
{
    CHECK_EQ(files_run(fails_in_turn, NULL), 0);
}

static int is_interrupted(void *arg)
{
    enum bide__call calls[] = {BIDE__CALL_OPEN, BIDE__CALL_READ, BIDE__CALL_WRITE, BIDE__CALL_FILE,
                               BIDE__CALL_CLOSE};

    (void)arg;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        uint64_t fired = 1;
        for (uint64_t nth = 1; fired >= nth; nth++) {
            bide__fault_reset();
            bide__fault_fail(calls[i], nth, 3, -EINTR);
            if (calls[i] != BIDE__CALL_FILE) /* among these is the seek, which knows no EINTR */
                CHECK_EQ(lives(files_path("f")), 0);
            fired = bide__fault_count(calls[i]);
        }
    }
    bide__fault_reset();
    bide__fault_limit(BIDE__CALL_READ, 1);
    bide__fault_limit(BIDE__CALL_WRITE, 3);
    CHECK(lives(files_path("f")) < 0); /* its read at the position takes what it gets */
    bide__fault_reset();
    return 0;
}

/*
 * Goal:   EINTR is never seen, wherever it strikes; short writes and preads go on.
 * Method: three in a row from each call on; calls that move a byte or three.
 */
TEST(file_fault, interrupts_are_not_seen)
{
    CHECK_EQ(files_run(is_interrupted, NULL), 0);
}

static int disk_fills_up(void *arg)
{
    bide_file *file;

    (void)arg;
    CHECK_EQ(bide_file_open(files_path("f"), O_RDWR | O_CREAT, 0600, &file), 0);
    bide__fault_limit(BIDE__CALL_WRITE, 4);
    bide__fault_fail(BIDE__CALL_WRITE, 3, 3, -ENOSPC);
    CHECK_EQ(bide_file_write(file, "0123456789", 10), 8);
    CHECK_EQ(bide_file_write(file, "89", 2), -ENOSPC);
    bide__fault_reset();
    CHECK_EQ(bide_file_write(file, "89", 2), 2);
    CHECK_EQ(bide_file_close(file), 0);
    CHECK(files_holds(files_path("f"), "0123456789", 10));
    return 0;
}

/*
 * Goal:   a write that fails midway says how much it wrote, and the next call why.
 * Method: four bytes a call, and ENOSPC at the third.
 */
TEST(file_fault, half_a_write_says_how_much)
{
    CHECK_EQ(files_run(disk_fills_up, NULL), 0);
}

static int no_thread(void *arg)
{
    bide_file *file;

    (void)arg;
    CHECK_EQ(bide_file_of_fd(open("/dev/null", O_RDWR | O_CLOEXEC), &file), 0);
    bide__fault_fail(BIDE__CALL_THREAD, 1, UINT64_MAX, -EAGAIN);
    CHECK_EQ(bide_file_write(file, "x", 1), -EAGAIN);
    CHECK_EQ(bide_path_unlink(files_path("none")), -EAGAIN);
    CHECK_EQ(bide_file_close(file), 0); /* on this thread, then */
    return 0;
}

/*
 * Goal:   without a thread nothing happens and the error says so; a close happens all the same.
 * Method: let no thread start.
 */
TEST(file_fault, without_threads_files_still_close)
{
    CHECK_EQ(files_run(no_thread, NULL), 0);
}

static int knows_no_nowait(void *arg)
{
    bide_file *file;
    char buf[4];
    uint64_t reads;

    (void)arg;
    files_write(files_path("f"), "abc", 3);
    CHECK_EQ(bide_file_open(files_path("f"), O_RDONLY, 0, &file), 0);
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_READ, 1, 1, -EOPNOTSUPP);
    CHECK_EQ(bide_file_pread(file, buf, 3, 0), 3);
    CHECK_EQ(bide_file_pread(file, buf, 3, 0), 3);
    reads = bide__fault_count(BIDE__CALL_READ);
    CHECK_EQ(reads, 3); /* tried once, and never again */
    CHECK_EQ(bide_file_close(file), 0);
    return 0;
}

/*
 * Goal:   a file system without reads that do not wait is asked once a file.
 * Method: refuse the first; count.
 */
TEST(file_fault, cache_is_not_tried_again_in_vain)
{
    CHECK_EQ(files_run(knows_no_nowait, NULL), 0);
}

/* --- Cancels */

enum { PIECES = 3, BYTES = PIECES * (8 << 20) };

static async(ssize_t, writes_much, bide_file *, file, char *, data)
{
    return bide_file_pwrite(file, data, BYTES, 0);
}

static async(int, opens, const char *, path)
{
    bide_file *file;
    int err = bide_file_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600, &file);

    return err < 0 ? err : bide_file_close(file);
}

/* Cancel after so many turns of others; either it has not happened, or it says what has. */
static int cancels_anywhere(void *arg)
{
    char *data = malloc(BYTES);
    int wrote_some = 0, never_opened = 0, opened = 0;

    (void)arg;
    CHECK(data != NULL);
    memset(data, 'x', BYTES);
    for (int turns = 0; turns < 30; turns++) {
        const char *path = files_path("w"), *fresh = files_path("fresh");
        struct stat status;
        bide_file *file;
        ssize_t wrote;
        int err;

        CHECK_EQ(bide_file_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &file), 0);
        task(ssize_t) writer = spawn(writes_much, file, data);
        task(int) opener = spawn(opens, fresh);
        for (int i = 0; i < turns; i++)
            bide_sleep(BIDE_US(200));
        cancel(writer);
        cancel(opener);
        wrote = await(writer);
        err = await(opener);
        CHECK_EQ(bide_file_stat(file, &status), 0);
        CHECK(wrote == -ECANCELED ? status.st_size == 0 : wrote == status.st_size);
        wrote_some += wrote > 0 && wrote < BYTES;
        CHECK_EQ(bide_path_stat(fresh, &status), err == -ECANCELED ? -ENOENT : 0);
        CHECK(err == -ECANCELED || err == 0);
        never_opened += err == -ECANCELED;
        opened += err == 0;
        if (err == 0)
            CHECK_EQ(bide_path_unlink(fresh), 0);
        CHECK_EQ(bide_file_close(file), 0);
    }
    CHECK(never_opened > 0);        /* with no turn, at least */
    (void)wrote_some, (void)opened; /* how often is the machine's business */
    free(data);
    return 0;
}

/*
 * Goal:   a cancelled call did not happen, or says how much did.
 * Method: cancel a long write and an open after ever more time, and look at the disk.
 */
/* timeout: 120 */
TEST(file_fault, cancelled_calls_say_what_happened)
{
    CHECK_EQ(files_run(cancels_anywhere, NULL), 0);
}

/* One of each kind, while the only thread is busy. */
static async(ssize_t, does, int, which, bide_file *, file, const char *, path)
{
    static char byte;
    struct stat status;
    bide_directory *directory;
    bide_file *other;

    switch (which) {
    case 0: return bide_file_open(files_path("new"), O_WRONLY | O_CREAT, 0600, &other);
    case 1: return bide_file_write(file, "x", 1);
    case 2: return bide_file_pwrite(file, "x", 1, 0);
    case 3: return bide_file_read(file, &byte, 1);
    case 4: return bide_file_pread(file, &byte, 1, 0);
    case 5: return bide_file_truncate(file, 0);
    case 6: return bide_file_sync(file, false);
    case 7: return bide_file_stat(file, &status);
    case 8: return bide_path_unlink(path);
    case 9: return bide_path_rename(path, files_path("new"));
    case 10: return bide_path_mkdir(files_path("new"), 0700);
    case 11: return bide_path_stat(path, &status);
    case 12: return bide_directory_open(files_directory, &directory);
    case 13: return bide_file_write_all(files_path("new"), "x", 1, 0600, BIDE_FILE_REPLACE);
    default: return bide_file_read_all(path, 10, &(char *){NULL}, NULL);
    }
}

enum { KINDS = 15 };

static async(ssize_t, waits_for_a_byte, bide_file *, fifo)
{
    char byte;

    return bide_file_read(fifo, &byte, 1);
}

static int is_cancelled_in_the_queue(void *arg)
{
    const char *path = files_path("f");
    bide_file *fifo, *file;
    int writer;

    (void)arg;
    files_write(path, "abc", 3);
    CHECK_EQ(mkfifo(files_path("fifo"), 0600), 0);
    writer = open(files_path("fifo"), O_RDWR | O_CLOEXEC);
    CHECK(writer >= 0);
    CHECK_EQ(bide_file_open(files_path("fifo"), O_RDONLY, 0, &fifo), 0);
    CHECK_EQ(bide_file_open(path, O_RDWR, 0, &file), 0);
    file->tries_cache = false;
    task(ssize_t) holder = spawn(waits_for_a_byte, fifo);
    CHECK_EQ(bide_sleep(BIDE_MS(10)), 0); /* now it has the thread */
    for (int which = 0; which < KINDS; which++) {
        task(ssize_t) doer = spawn(does, which, file, path);
        CHECK_EQ(bide_sleep(BIDE_US(100)), 0);
        CHECK(!is_done(doer));
        cancel(doer);
        CHECK_EQ(await(doer), -ECANCELED);
        CHECK_EQ(access(files_path("new"), F_OK), -1);
        CHECK(files_holds(path, "abc", 3));
        CHECK_EQ(lseek(bide_file_fd(file), 0, SEEK_CUR), 0);
    }
    cancel(holder); /* it has begun: nobody can take it back */
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK(!is_done(holder));
    CHECK_EQ(write(writer, "x", 1), 1);
    CHECK_EQ(await(holder), 1); /* and its byte is not lost */
    CHECK_EQ(bide_file_close(file), 0);
    CHECK_EQ(bide_file_close(fifo), 0);
    close(writer);
    return 0;
}

/*
 * Goal:   a call that is cancelled while it waits for a thread never happens; one that a thread has
 *         begun returns its true result.
 * Method: a FIFO's reader has the only thread; cancel each kind of call behind it, then the reader.
 */
TEST(file_fault, queued_calls_never_happen_once_cancelled)
{
    bide_options options = {.threads_max = 1};

    CHECK_EQ(files_run_with(is_cancelled_in_the_queue, NULL, &options), 0);
}

static int all_in_a_fired_scope(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;
    struct stat status;
    bide_file *file, *other = NULL;
    char buf[4], *data = NULL;
    const char *path = files_path("f");

    (void)arg;
    files_write(path, "abc", 3);
    CHECK_EQ(bide_file_open(path, O_RDWR, 0, &file), 0);
    bide_scope_cancel(&scope);
    with_scope (&scope) {
        CHECK_EQ(bide_file_open(path, O_RDONLY, 0, &other), -ECANCELED);
        CHECK_EQ(bide_file_read(file, buf, 1), -ECANCELED);
        CHECK_EQ(bide_file_write(file, buf, 1), -ECANCELED);
        CHECK_EQ(bide_file_pread(file, buf, 1, 0), -ECANCELED);
        CHECK_EQ(bide_file_pwrite(file, buf, 1, 0), -ECANCELED);
        CHECK_EQ(bide_file_sync(file, false), -ECANCELED);
        CHECK_EQ(bide_file_stat(file, &status), -ECANCELED);
        CHECK_EQ(bide_file_truncate(file, 0), -ECANCELED);
        CHECK_EQ(bide_path_stat(path, &status), -ECANCELED);
        CHECK_EQ(bide_path_lstat(path, &status), -ECANCELED);
        CHECK_EQ(bide_path_rename(path, "x"), -ECANCELED);
        CHECK_EQ(bide_path_unlink(path), -ECANCELED);
        CHECK_EQ(bide_path_mkdir("x", 0700), -ECANCELED);
        CHECK_EQ(bide_path_rmdir("x"), -ECANCELED);
        CHECK_EQ(bide_file_read_all(path, 10, &data, NULL), -ECANCELED);
        CHECK_EQ(bide_file_write_all(path, "", 0, 0600, 0), -ECANCELED);
        CHECK_EQ(bide_file_close(file), 0); /* this one happens */
    }
    CHECK(other == NULL && data == NULL);
    CHECK(files_holds(path, "abc", 3));
    return 0;
}

/*
 * Goal:   in a scope that has fired every call returns its code, and nothing happens but a close.
 * Method: each call once.
 */
TEST(file_fault, fired_scope_lets_nothing_happen_but_closing)
{
    CHECK_EQ(files_run(all_in_a_fired_scope, NULL), 0);
}
