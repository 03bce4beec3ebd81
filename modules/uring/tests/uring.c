/* SPDX-License-Identifier: MIT */
/*
 * uring.c - what only the ring does: starting, stopping, cancelling in the kernel.
 */
#include "files.h"

#include <bide/short.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "io/file.h"
#include "reports.h"

static int starts_and_stops(void *arg)
{
    bide_file *file;

    (void)arg;
    CHECK_EQ(bide_uring_start(NULL), -EALREADY); /* files_run has */
    CHECK_EQ(bide_uring_stop(), 0);
    CHECK_EQ(bide_uring_stop(), -ENOENT);
    CHECK(bide_file_backend_get() == NULL);
    CHECK_EQ(bide_file_open("/dev/null", O_RDONLY, 0, &file), 0);
    CHECK_EQ(bide_uring_start(&(bide_uring_options){.entries = 4}), 0);
    CHECK_EQ(bide_file_close(file), 0);
    CHECK_EQ(bide_uring_stop(), 0);
    CHECK_EQ(bide_uring_start(&(bide_uring_options){.entries = 1u << 30}), -EINVAL);
    CHECK_EQ(bide_file_backend_set(&(bide_file_backend){NULL}), 0);
    CHECK_EQ(bide_uring_start(NULL), -EBUSY);
    CHECK_EQ(bide_file_backend_set(NULL), 0);
    return 0;
}

/*
 * Goal:   it starts once, stops once, and can start again.
 * Method: every order of both.
 */
TEST(uring, starts_and_stops)
{
    CHECK_EQ(files_run(starts_and_stops, NULL), 0);
}

static int refused(void *arg)
{
    (void)arg;
    return bide_uring_start(NULL);
}

/*
 * Goal:   a virtual clock has no ring.
 * Method: start under bide_test_run.
 */
TEST(uring, virtual_clock_refuses)
{
    CHECK_EQ(bide_test_run(refused, NULL, 0, NULL), -EOPNOTSUPP);
}

static int uses_no_thread(void *arg)
{
    bide_file *file;
    struct stat status;
    char buf[8];

    (void)arg;
    bide__fault_reset();
    CHECK_EQ(bide_file_open(files_path("f"), O_RDWR | O_CREAT, 0600, &file), 0);
    CHECK_EQ(bide_file_pwrite(file, "abc", 3, 0), 3);
    CHECK_EQ(bide_file_sync(file, false), 0);
    files_forget_pages(bide_file_fd(file));
    CHECK_EQ(bide_file_pread(file, buf, 8, 0), 3);
    CHECK_EQ(bide_file_stat(file, &status), 0);
    CHECK_EQ(bide_file_close(file), 0);
    CHECK_EQ(bide_path_stat(files_path("f"), &status), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_THREAD), 0);
    return 0;
}

/*
 * Goal:   calls really go through the ring.
 * Method: no thread is ever started.
 */
TEST(uring, calls_take_no_thread)
{
    CHECK_EQ(files_run(uses_no_thread, NULL), 0);
}

static async(ssize_t, reads, bide_file *, file)
{
    char byte;

    return bide_file_read(file, &byte, 1);
}

static int gives_up(void *arg)
{
    bide_file *file;
    int writer;

    (void)arg;
    CHECK_EQ(mkfifo(files_path("fifo"), 0600), 0);
    writer = open(files_path("fifo"), O_RDWR | O_CLOEXEC);
    CHECK(writer >= 0);
    CHECK_EQ(bide_file_open(files_path("fifo"), O_RDONLY, 0, &file), 0);
    for (int i = 0; i < 100; i++) {
        task(ssize_t) reader = spawn(reads, file);
        if (i % 2 == 0)
            CHECK_EQ(bide_sleep(BIDE_US(100)), 0);
        cancel(reader);
        CHECK_EQ(await(reader), -ECANCELED);
        with_timeout (BIDE_US(200))
            CHECK_EQ(reads(file), -ETIMEDOUT);
    }
    CHECK_EQ(write(writer, "x", 1), 1);
    CHECK_EQ(reads(file), 1); /* nobody has swallowed it */
    CHECK_EQ(bide_file_close(file), 0);
    close(writer);
    return 0;
}

/*
 * Goal:   a read of a FIFO that nobody writes to can be given up, and takes no later byte.
 * Method: cancel and time out, before and after it has begun.
 */
TEST(uring, fifo_read_is_given_up)
{
    CHECK_EQ(files_run(gives_up, NULL), 0);
}

static async(int, reads_and_closes, bide_file *, file)
{
    CHECK_EQ(reads(file), -ECANCELED);
    return bide_file_close(file); /* on a thread: the ring takes nothing new any more */
}

static int leaves_calls_behind(void *arg)
{
    bide_file *file;

    (void)arg;
    CHECK_EQ(mkfifo(files_path("fifo"), 0600), 0);
    CHECK_EQ(bide_file_open(files_path("fifo"), O_RDWR, 0, &file), 0);
    detach(spawn(reads_and_closes, file));
    return bide_sleep(BIDE_MS(1));
}

static int leaves_and_closes(void *arg)
{
    bide_file *file;

    (void)arg;
    CHECK_EQ(mkfifo(files_path("fifo"), 0600), 0);
    CHECK_EQ(bide_file_open(files_path("fifo"), O_RDWR, 0, &file), 0);
    task(ssize_t) reader = spawn(reads, file);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    cancel(reader);
    CHECK_EQ(bide_uring_stop(), 0); /* waits for it */
    CHECK_EQ(await(reader), -ECANCELED);
    return bide_file_close(file);
}

/*
 * Goal:   the loop's end, and stopping, wait for what is in the ring.
 * Method: leave a reader of a FIFO behind; stop under one.
 */
TEST(uring, ends_wait_for_what_is_in_the_ring)
{
    CHECK_EQ(files_run(leaves_and_closes, NULL), 0);
    CHECK_EQ(files_run(leaves_calls_behind, NULL), 0);
}

static async(int, one, bide_file *, file, int, number)
{
    char buf[512];
    ssize_t got = bide_file_pread(file, buf, sizeof buf, number * 512);

    return got == 512 && buf[0] == (char)number && buf[511] == (char)number ? 0 : -EIO;
}

static int few_entries(void *arg)
{
    static char data[100 * 512];
    bide_group group = {0};
    bide_file *file;

    (void)arg;
    CHECK_EQ(bide_uring_stop(), 0);
    CHECK_EQ(bide_uring_start(&(bide_uring_options){.entries = 2}), 0);
    for (int i = 0; i < 100; i++)
        memset(data + i * 512, i, 512);
    files_write(files_path("f"), data, sizeof data);
    CHECK_EQ(bide_file_open(files_path("f"), O_RDONLY, 0, &file), 0);
    file->tries_cache = false;
    for (int round = 0; round < 20; round++) {
        if (round % 2 == 0)
            files_forget_pages(bide_file_fd(file));
        with_group (&group)
            for (int i = 0; i < 100; i++)
                spawn_in(&group, one, file, i);
        CHECK_EQ(group.error, 0);
        group = (bide_group){0};
    }
    return bide_file_close(file);
}

/*
 * Goal:   more calls than entries wait their turn.
 * Method: 100 readers on two entries, cold and warm.
 */
TEST(uring, few_entries_serve_many)
{
    CHECK_EQ(files_run(few_entries, NULL), 0);
}

static async(int, fills, bide_file *, file)
{
    static char bytes[1 << 20];
    ssize_t put = bide_file_pwrite(file, bytes, sizeof bytes, 0);

    CHECK_EQ(put, sizeof bytes);
    return bide_file_sync(file, false);
}

static int stops_with_calls_inside(void *arg)
{
    bide_event never = BIDE_EVENT_INIT;
    bide_file *file;

    CHECK_EQ(bide_file_open(arg, O_RDWR | O_CREAT | O_TRUNC, 0600, &file), 0);
    task(int) filler = spawn(fills, file);
    bide_yield();
    CHECK_EQ(bide_uring_stop(), 0);
    CHECK_EQ(await(filler), 0);
    CHECK_EQ(bide_uring_start(NULL), 0);
    CHECK_EQ(await(spawn(fills, file)), 0);
    CHECK_EQ(bide_file_close(file), 0);
    return bide_event_wait(&never);
}

static int starts_first(void *path)
{
    int err = bide_uring_start(NULL);

    if (err == -ENOSYS || err == -EPERM)
        SKIP("no io_uring here");
    CHECK_EQ(err, 0);
    return stops_with_calls_inside(path);
}

/*
 * Goal:   stopping waits for calls that take time, and no longer; a ring without calls hides no
 *         deadlock.
 * Method: stop while a large write is on its way; then a write, and a wait that nothing can end.
 */
TEST(uring, stop_waits_for_calls_and_then_all_is_quiet)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    char directory[] = "/tmp/bide-uring-XXXXXX", path[64];

    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/big", directory);
    CHECK_EQ(bide_run(starts_first, path, &options), -EDEADLK);
    CHECK(reports_of(&seen, BIDE_REPORT_DEADLOCK) > 0);
    unlink(path);
    rmdir(directory);
}

static int writes_over_the_limit(void *arg)
{
    static char bytes[2 << 20];
    bide_file *file;

    memset(bytes, 'A', 1 << 20);
    memset(bytes + (1 << 20), 'B', 1 << 20);
    CHECK_EQ(bide_file_open(arg, O_RDWR | O_CREAT | O_TRUNC, 0600, &file), 0);
    CHECK_EQ(bide_file_write(file, bytes, sizeof bytes), 1 << 20);
    CHECK_EQ(bide_file_pread(file, bytes + 1, 1, 0), 1);
    CHECK_EQ(bytes[1], 'A'); /* the rest was not written over the beginning */
    CHECK_EQ(bide_file_close(file), 0);
    CHECK_EQ(bide_file_write_all(arg, "old", 3, 0600, 0), 0);
    CHECK_EQ(bide_file_write_all(arg, bytes, sizeof bytes, 0600, BIDE_FILE_REPLACE), -EFBIG);
    CHECK_EQ(bide_file_open(arg, O_RDONLY, 0, &file), 0);
    CHECK_EQ(bide_file_read(file, bytes, sizeof bytes), 3);
    CHECK_EQ(bide_file_close(file), 0);
    return 0;
}

/*
 * Goal:   a write that has room for a part says so, as without a ring, and writes nothing twice.
 * Method: a limit on the size of files.
 */
TEST(uring, partial_write_at_the_position_is_told)
{
    const struct rlimit limit = {1 << 20, 1 << 20};
    char directory[] = "/tmp/bide-uring-XXXXXX", path[64];

    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/full", directory);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK_EQ(files_run(writes_over_the_limit, path), 0);
    unlink(path);
    rmdir(directory);
}

static int is_forbidden(void *arg)
{
    bide_file *file;
    char buf[4];

    CHECK_EQ(bide_uring_start(NULL), *(int *)arg);
    CHECK(bide_file_backend_get() == NULL);
    files_write(files_path("f"), "abc", 3);
    CHECK_EQ(bide_file_open(files_path("f"), O_RDONLY, 0, &file), 0);
    CHECK_EQ(bide_file_pread(file, buf, 4, 0), 3);
    return bide_file_close(file);
}

/* From now on this process's io_uring_setup fails so. */
static bool forbid(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void run_forbidden(int error)
{
    int expected = -error, before = test_open_fds();

    if (!forbid(error))
        SKIP("no seccomp filters here");
    files_make_directory();
    CHECK_EQ(bide_run(is_forbidden, &expected, NULL), 0);
    files_remove_directory();
    files_check_open(before);
}

/*
 * Goal:   where a sandbox forbids the ring, starting it says so and threads go on.
 * Method: a seccomp filter in place of the sandbox.
 */
TEST(uring, sandbox_that_forbids_it_leaves_threads)
{
    run_forbidden(EPERM);
}

/*
 * Goal:   so they do where the kernel has none.
 * Method: the same filter, answering as such a kernel does.
 */
TEST(uring, kernel_without_it_leaves_threads)
{
    run_forbidden(ENOSYS);
}
