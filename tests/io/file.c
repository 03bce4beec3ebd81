/* SPDX-License-Identifier: MIT */
/*
 * file.c - files: what the calls do, on whichever backend this is built for.
 */
#include "files.h"

#include <bide/short.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "io/file.h"

static int does_everything(void *arg)
{
    const char *path = files_path("a"), *to = files_path("b"), *sub = files_path("sub");
    struct stat status, plain;
    bide_file *file;
    char buf[32] = "";

    (void)arg;
    CHECK_EQ(bide_file_open(path, O_RDWR | O_CREAT | O_EXCL, 0640, &file), 0);
    CHECK_EQ(fcntl(bide_file_fd(file), F_GETFD), FD_CLOEXEC);
    CHECK_EQ(bide_file_write(file, "hello world", 11), 11);
    CHECK_EQ(bide_file_pwrite(file, "W", 1, 6), 1);
    CHECK_EQ(bide_file_read(file, buf, sizeof buf), 0); /* the position is at the end */
    CHECK_EQ(bide_file_seek(file, 0, SEEK_SET), 0);
    CHECK_EQ(bide_file_read(file, buf, 5), 5);
    CHECK_STR(buf, "hello");
    CHECK_EQ(bide_file_seek(file, 0, SEEK_CUR), 5);
    CHECK_EQ(bide_file_pread(file, buf, sizeof buf, 6), 5);
    CHECK_STR(buf, "World");
    CHECK_EQ(bide_file_pread(file, buf, sizeof buf, 11), 0);
    CHECK_EQ(bide_file_pread(file, buf, 0, 0), 0);
    CHECK_EQ(bide_file_write(file, buf, 0), 0);
    CHECK_EQ(bide_file_sync(file, false), 0);
    CHECK_EQ(bide_file_sync(file, true), 0);
    CHECK_EQ(bide_file_truncate(file, 5), 0);
    CHECK_EQ(bide_file_stat(file, &status), 0);
    CHECK_EQ(fstat(bide_file_fd(file), &plain), 0);
    CHECK_EQ(memcmp(&status, &plain, sizeof status), 0); /* every field of it */
    CHECK_EQ(status.st_size, 5);
    CHECK_EQ(bide_file_close(file), 0);
    CHECK_EQ(bide_file_close(NULL), 0);

    CHECK_EQ(bide_path_rename(path, to), 0);
    CHECK_EQ(bide_path_stat(path, &status), -ENOENT);
    CHECK_EQ(symlink(to, path), 0);
    CHECK_EQ(bide_path_stat(path, &status), 0);
    CHECK(S_ISREG(status.st_mode));
    CHECK_EQ(bide_path_lstat(path, &status), 0);
    CHECK(S_ISLNK(status.st_mode));
    CHECK_EQ(lstat(path, &plain), 0);
    CHECK_EQ(memcmp(&status, &plain, sizeof status), 0);
    CHECK_EQ(bide_path_mkdir(sub, 0755), 0);
    CHECK_EQ(bide_path_mkdir(sub, 0755), -EEXIST);
    CHECK_EQ(bide_path_unlink(sub), -EISDIR);
    CHECK_EQ(bide_path_rmdir(to), -ENOTDIR);
    CHECK_EQ(bide_path_rmdir(sub), 0);
    CHECK_EQ(bide_path_unlink(to), 0);
    CHECK_EQ(bide_path_unlink(to), -ENOENT);
    return 0;
}

/*
 * Goal:   every call does what its system call does.
 * Method: go through a file's life, and compare with plain calls.
 */
TEST(file, calls_do_as_system_calls_do)
{
    umask(022);
    CHECK_EQ(files_run(does_everything, NULL), 0);
}

static int gets_errors(void *arg)
{
    bide_file *file = (bide_file *)arg, *none = file;
    int pipe_ends[2];
    char buf[8];

    CHECK_EQ(bide_file_open(files_path("none"), O_RDONLY, 0, &file), -ENOENT);
    CHECK_EQ(bide_file_open(files_path("none/x"), O_WRONLY | O_CREAT, 0600, &file), -ENOENT);
    CHECK(file == none); /* untouched */
    CHECK_EQ(bide_file_of_fd(-1, &file), -EBADF);
    CHECK_EQ(bide_file_of_fd(100000, &file), -EBADF);

    CHECK_EQ(bide_file_open("/dev/full", O_WRONLY, 0, &file), 0);
    CHECK_EQ(bide_file_write(file, "x", 1), -ENOSPC);
    CHECK_EQ(bide_file_sync(file, false), -EINVAL);
    CHECK_EQ(bide_file_close(file), 0);

    CHECK_EQ(bide_file_open(files_directory, O_RDONLY | O_DIRECTORY, 0, &file), 0);
    CHECK_EQ(bide_file_pread(file, buf, sizeof buf, 0), -EISDIR);
    CHECK_EQ(bide_file_write(file, "x", 1), -EBADF);
    CHECK_EQ(bide_file_close(file), 0);

    files_write(files_path("f"), "abc", 3);
    CHECK_EQ(bide_file_open(files_path("f"), O_RDONLY, 0, &file), 0);
    CHECK_EQ(bide_file_pread(file, buf, sizeof buf, -1), -EINVAL);
    CHECK_EQ(bide_file_pwrite(file, buf, 1, -1), -EINVAL);
    CHECK_EQ(bide_file_pwrite(file, "x", 1, 0), -EBADF); /* not open for writing */
    CHECK_EQ(bide_file_truncate(file, 1), -EINVAL);
    CHECK_EQ(bide_file_seek(file, -1, SEEK_SET), -EINVAL);
    CHECK_EQ(bide_file_close(file), 0);

    CHECK_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    CHECK_EQ(bide_file_of_fd(pipe_ends[1], &file), 0);
    CHECK_EQ(bide_file_pwrite(file, "x", 1, 0), -ESPIPE);
    CHECK_EQ(bide_file_seek(file, 0, SEEK_CUR), -ESPIPE);
    CHECK_EQ(bide_file_write(file, "x", 1), 1);
    close(pipe_ends[0]);
    CHECK_EQ(bide_file_write(file, "x", 1), -EPIPE); /* and SIGPIPE would have killed us */
    CHECK_EQ(bide_file_close(file), 0);
    return 0;
}

/*
 * Goal:   documented errors come back, and touch nothing.
 * Method: missing files, directories, a full device, pipes, offsets below 0.
 */
TEST(file, errors_are_those_of_the_system_calls)
{
    int marker;

    CHECK_EQ(files_run(gets_errors, &marker), 0);
}

static int appends(void *arg)
{
    bide_file *file;

    (void)arg;
    files_write(files_path("log"), "one\n", 4);
    CHECK_EQ(bide_file_open(files_path("log"), O_WRONLY | O_APPEND, 0, &file), 0);
    CHECK_EQ(bide_file_write(file, "two\n", 4), 4);
    CHECK_EQ(bide_file_pwrite(file, "three\n", 6, 0), 6); /* Linux appends all the same */
    CHECK_EQ(bide_file_close(file), 0);
    CHECK(files_holds(files_path("log"), "one\ntwo\nthree\n", 14));
    return 0;
}

/*
 * Goal:   O_APPEND goes to the end.
 * Method: write and pwrite to a file that holds something.
 */
TEST(file, append_goes_to_the_end)
{
    CHECK_EQ(files_run(appends, NULL), 0);
}

static int goes_far(void *arg)
{
    const int64_t far = (int64_t)5 << 30;
    struct stat status;
    bide_file *file;
    char buf[8] = "";

    (void)arg;
    CHECK_EQ(bide_file_open(files_path("sparse"), O_RDWR | O_CREAT, 0600, &file), 0);
    CHECK_EQ(bide_file_pwrite(file, "far", 3, far), 3);
    CHECK_EQ(bide_file_stat(file, &status), 0);
    CHECK_EQ(status.st_size, far + 3);
    CHECK_EQ(bide_file_pread(file, buf, 4, far - 1), 4);
    CHECK_EQ(memcmp(buf, "\0far", 4), 0);
    CHECK_EQ(bide_file_truncate(file, far + 1), 0);
    CHECK_EQ(bide_file_seek(file, 0, SEEK_END), far + 1);
    CHECK_EQ(bide_path_unlink(files_path("sparse")), 0);
    CHECK_EQ(bide_file_pread(file, buf, 4, far - 1), 2); /* it has no name, and is there */
    CHECK_EQ(bide_file_close(file), 0);
    return 0;
}

/*
 * Goal:   offsets beyond 4 GiB arrive; a file without a name can be used until it is closed.
 * Method: a sparse file of 5 GiB.
 */
TEST(file, offsets_beyond_4_gib_work_and_deleted_files_stay)
{
    CHECK_EQ(files_run(goes_far, NULL), 0);
}

static int reads_cold_and_long(void *arg)
{
    const size_t bytes = (20 << 20) + 123;
    char *data = malloc(bytes), *back = malloc(bytes + 1);
    bide_file *file;
    ssize_t got;

    (void)arg;
    CHECK(data != NULL && back != NULL);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    CHECK_EQ(bide_file_open(files_path("long"), O_RDWR | O_CREAT, 0600, &file), 0);
    CHECK_EQ(bide_file_write(file, data, bytes), bytes);
    files_forget_pages(bide_file_fd(file));
    CHECK_EQ(bide_file_pread(file, back, 4096, 8 << 20), 4096);
    CHECK_EQ(memcmp(back, data + (8 << 20), 4096), 0);
    files_forget_pages(bide_file_fd(file));
    CHECK_EQ(bide_file_pread(file, back, bytes + 1, 0), bytes);
    CHECK_EQ(memcmp(back, data, bytes), 0);
    CHECK_EQ(bide_file_seek(file, 0, SEEK_SET), 0);
    memset(back, 0, bytes);
    for (size_t done = 0; done < bytes; done += (size_t)got) {
        got = bide_file_read(file, back + done, bytes - done);
        CHECK(got > 0);
    }
    CHECK_EQ(memcmp(back, data, bytes), 0);
    CHECK_EQ(bide_file_close(file), 0);
    free(data);
    free(back);
    return 0;
}

/*
 * Goal:   long reads and writes are whole, whether or not the page cache holds them.
 * Method: 20 MiB, several pieces of a call, cold and warm.
 */
TEST(file, long_and_cold_reads_are_whole)
{
    CHECK_EQ(files_run(reads_cold_and_long, NULL), 0);
}

enum { READERS = 10000, BLOCKS = 64, BLOCK = 4096 };

static async(int64_t, reads_block, bide_file *, file, int, number)
{
    char buf[BLOCK];
    int64_t sum = 0;
    ssize_t got = bide_file_pread(file, buf, sizeof buf, (int64_t)number * BLOCK);

    if (got != BLOCK)
        return got < 0 ? got : -EIO;
    for (int i = 0; i < BLOCK; i++)
        sum += (unsigned char)buf[i];
    return sum;
}

static int reads_at_once(void *arg)
{
    static bide_task(int64_t) readers[READERS];
    static char data[BLOCKS * BLOCK];
    int64_t sums[BLOCKS] = {0};
    int count = test_under_sanitizer() ? READERS / 10 : READERS; /* TSan knows 8,000 stacks */
    bool is_cold = *(bool *)arg;
    bide_file *file;

    for (int i = 0; i < BLOCKS * BLOCK; i++)
        sums[i / BLOCK] += (unsigned char)(data[i] = (char)(i * 31 + i / BLOCK));
    files_write(files_path("blocks"), data, sizeof data);
    CHECK_EQ(bide_file_open(files_path("blocks"), O_RDONLY, 0, &file), 0);
    file->tries_cache = !is_cold;
    for (int i = 0; i < count; i++) {
        readers[i] = spawn_with(&(bide_spawn_options){.stack_bytes = 64 * 1024}, reads_block, file,
                                i % BLOCKS);
        CHECK(readers[i] != NULL);
    }
    for (int i = 0; i < count; i++)
        CHECK_EQ(await(readers[i]), sums[i % BLOCKS]);
    CHECK_EQ(bide_file_close(file), 0);
    return 0;
}

/*
 * Goal:   10,000 reads at once each get what is theirs.
 * Method: blocks with sums of their own; once as the page cache has them, once without trying it:
 *         then all go to threads or the ring, of which there are fewer.
 */
/* timeout: 180 */
TEST(file, ten_thousand_reads_at_once_get_their_own)
{
    bool is_cold[] = {false, true};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(files_run(reads_at_once, &is_cold[i]), 0);
}

static async(int, moves, bide_file *, file, int *, ended)
{
    char byte;
    ssize_t got = bide_file_read(file, &byte, 1);

    *ended += 1;
    return got < 0 ? (int)got : byte;
}

static async(int, closes, bide_file *, file, int *, ended)
{
    int err = bide_file_close(file);

    CHECK_EQ(*ended, 1); /* it waited for the reader */
    return err;
}

static int fifo_waits(void *arg)
{
    const char *path = files_path("fifo");
    bide_stats before, after;
    bide_file *file, *other;
    char buf[4];
    int ended = 0, writer;

    (void)arg;
    CHECK_EQ(mkfifo(path, 0600), 0);
    writer = open(path, O_RDWR | O_CLOEXEC); /* or opening would wait for another */
    CHECK(writer >= 0);
    CHECK_EQ(bide_file_open(path, O_RDONLY, 0, &file), 0);
    task(int) reader = spawn(moves, file, &ended);
    CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
    bide_loop_stats(&before);
    CHECK_EQ(bide_sleep(BIDE_MS(50)), 0);
    bide_loop_stats(&after);
    CHECK(after.polls - before.polls <= 4); /* the loop sleeps meanwhile */
    CHECK(!is_done(reader));
    CHECK_EQ(bide_file_read(file, buf, 1), -EBUSY);
    CHECK_EQ(bide_file_write(file, buf, 1), -EBUSY);
    CHECK_EQ(bide_file_seek(file, 0, SEEK_CUR), -EBUSY);
    for (int i = 0; i < 100; i++) { /* files of others go on */
        CHECK_EQ(bide_file_open("/proc/self/stat", O_RDONLY, 0, &other), 0);
        CHECK_EQ(bide_file_read(other, buf, 4), 4);
        CHECK_EQ(bide_file_close(other), 0);
    }
    task(int) closer = spawn(closes, file, &ended);
    CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
    CHECK(!is_done(reader) && !is_done(closer));
    CHECK_EQ(bide_file_pread(file, buf, 1, 0), -EBADF);
    CHECK_EQ(bide_file_sync(file, false), -EBADF);
    CHECK_EQ(bide_file_seek(file, 0, SEEK_CUR), -EBUSY);
    CHECK_EQ(write(writer, "x", 1), 1);
    CHECK_EQ(await(reader), 'x');
    CHECK_EQ(await(closer), 0);
    close(writer);
    return 0;
}

/*
 * Goal:   a read that waits holds nobody else up; the position is one task's; closing waits for who
 *         is inside, and whoever comes later gets -EBADF.
 * Method: a FIFO that nobody writes to for a while.
 */
TEST(file, fifo_keeps_its_own_reader_only)
{
    CHECK_EQ(files_run(fifo_waits, NULL), 0);
}

static int second_close(void *arg)
{
    int ended = 0, ends[2];
    bide_file *file;

    (void)arg;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    CHECK_EQ(bide_file_of_fd(ends[0], &file), 0);
    detach(spawn(moves, file, &ended));
    bide_sleep(BIDE_MS(1));
    detach(spawn(closes, file, &ended));
    bide_sleep(BIDE_MS(1));
    return bide_file_close(file);
}

/*
 * Goal:   closing a file that is being closed is told and aborts.
 * Method: a reader keeps the first close waiting.
 */
TEST(file, second_close_aborts)
{
    EXPECT_DEATH(bide_run(second_close, NULL, NULL), "this file is being closed already");
}

static void posted(void *arg)
{
    CHECK_EQ(bide_file_close(arg), 0);
}

static int closes_in_a_post(void *arg)
{
    bide_loop *loop = bide_loop_hold(NULL);
    bide_file *file;

    (void)arg;
    CHECK_EQ(bide_file_open("/dev/null", O_RDONLY, 0, &file), 0);
    CHECK_EQ(bide_post(loop, posted, file), 0);
    bide_loop_release(loop);
    return bide_sleep(BIDE_MS(1));
}

/*
 * Goal:   a file can be closed where nothing may wait.
 * Method: close it in a post.
 */
TEST(file, close_works_in_a_post)
{
    CHECK_EQ(files_run(closes_in_a_post, NULL), 0);
}

static int works_on_a_virtual_clock(void *arg)
{
    bide_file *file;
    char buf[4];

    (void)arg;
    CHECK_EQ(bide_file_backend_set(NULL), -EOPNOTSUPP);
    CHECK_EQ(bide_file_open(files_path("v"), O_RDWR | O_CREAT, 0600, &file), 0);
    CHECK_EQ(bide_file_write(file, "abc", 3), 3);
    CHECK_EQ(bide_file_pread(file, buf, 4, 0), 3);
    CHECK_EQ(bide_file_close(file), 0);
    return bide_now() == 0 ? 0 : -1;
}

/*
 * Goal:   files work under bide_test_run, where no time passes.
 * Method: write and read one; a backend is refused.
 */
TEST(file, virtual_clock_makes_calls_at_once)
{
    files_make_directory();
    CHECK_EQ(bide_test_run(works_on_a_virtual_clock, NULL, 0, NULL), 0);
    files_remove_directory();
}
