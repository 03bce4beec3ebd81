/* SPDX-License-Identifier: MIT */
/*
 * file.c - nanoseconds for 4 KiB of a file that is in the page cache, and for opening one.
 *
 * "one after the other": a single task, so each way's latency. "64 at once": so many tasks read,
 * and the time is that of all divided by their reads. Plain pread is what a program without Bide
 * would call. The page cache is tried first by bide_file_pread; for the ways through threads and
 * io_uring it is switched off (a private switch), as if nothing were cached.
 */
#include <bide.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "io/file.h"

#ifdef BIDE_BENCH_URING
#include <bide/uring.h>
#endif

enum { BLOCK = 4096, BLOCKS = 256, TASKS = 64, IN_RING = 1, AT_ONCE = 2, UNCACHED = 4 };

static size_t reads = 100000; /* in a sample */
static int rounds = 9;
static bide_file *file;
static char path[64] = "/tmp/bide-bench-XXXXXX";

static double plain_round(size_t unused)
{
    static char buf[BLOCK];
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < reads; i++)
        if (pread(bide_file_fd(file), buf, BLOCK, (off_t)(i % BLOCKS * BLOCK)) != BLOCK)
            bench_die("pread");
    return (bench_now_ns() - start) / (double)reads;
}

static bide_async(int, reader, size_t, first, size_t, count)
{
    char buf[BLOCK];

    for (size_t i = first; i < first + count; i++)
        if (bide_file_pread(file, buf, BLOCK, (int64_t)(i % BLOCKS * BLOCK)) != BLOCK)
            bench_die("bide_file_pread");
    return 0;
}

static bool ring(bool on)
{
#ifdef BIDE_BENCH_URING
    return on ? bide_uring_start(NULL) == 0 : bide_uring_stop() == 0;
#else
    return !on;
#endif
}

static double read_round(size_t how)
{
    size_t tasks = how & AT_ONCE ? TASKS : 1;
    size_t each = (how & UNCACHED ? reads / 8 : reads) / tasks;
    bide_group group = {0};
    double start;

    if (how & IN_RING && !ring(true))
        return NAN;
    file->tries_cache = (how & UNCACHED) == 0;
    start = bench_now_ns();
    bide_with_group (&group)
        for (size_t i = 0; i < tasks; i++)
            bide_spawn_in(&group, reader, i, each);
    start = (bench_now_ns() - start) / (double)(tasks * each);
    if (how & IN_RING)
        ring(false);
    return start;
}

static double plain_open_round(size_t unused)
{
    size_t count = reads / 16;
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < count; i++)
        close(open(path, O_RDONLY | O_CLOEXEC));
    return (bench_now_ns() - start) / (double)count;
}

static double open_round(size_t how)
{
    size_t count = reads / 16;
    bide_file *opened;
    double start;

    if (how & IN_RING && !ring(true))
        return NAN;
    start = bench_now_ns();
    for (size_t i = 0; i < count; i++)
        if (bide_file_open(path, O_RDONLY, 0, &opened) < 0 || bide_file_close(opened) < 0)
            bench_die("bide_file_open");
    start = (bench_now_ns() - start) / (double)count;
    if (how & IN_RING)
        ring(false);
    return start;
}

static struct bench_contender contenders[] = {
    {.name = "plain pread", .key = "plain_ns", .round = plain_round},
    {.name = "bide_file_pread, cached", .key = "cached_ns", .round = read_round},
    {.name = "thread, one after the other",
     .key = "pool_ns",
     .round = read_round,
     .parameter = UNCACHED},
    {.name = "thread, 64 at once",
     .key = "pool_64_ns",
     .round = read_round,
     .parameter = UNCACHED | AT_ONCE},
    {.name = "io_uring, one after the other",
     .key = "uring_ns",
     .round = read_round,
     .parameter = UNCACHED | IN_RING},
    {.name = "io_uring, 64 at once",
     .key = "uring_64_ns",
     .round = read_round,
     .parameter = UNCACHED | IN_RING | AT_ONCE},
    {.name = "plain open and close", .key = "plain_open_ns", .round = plain_open_round},
    {.name = "open and close, thread", .key = "pool_open_ns", .round = open_round},
    {.name = "open and close, io_uring",
     .key = "uring_open_ns",
     .round = open_round,
     .parameter = IN_RING},
};

enum { PLAIN, CACHED, CONTENDERS = sizeof contenders / sizeof *contenders };

static int measure(void *unused)
{
    static char block[BLOCK];
    int fd = mkostemp(path, O_CLOEXEC);

    (void)unused;
    if (fd < 0)
        bench_die("mkostemp");
    for (int i = 0; i < BLOCKS; i++)
        if (write(fd, block, BLOCK) != BLOCK)
            bench_die("write");
    if (bide_file_of_fd(fd, &file) < 0)
        bench_die("bide_file_of_fd");
    bench_interleave(contenders, CONTENDERS, rounds, PLAIN);
    unlink(path);
    return bide_file_close(file);
}

int main(void)
{
    if (bench_is_quick()) {
        reads /= 5;
        rounds = 5;
    }
    printf("Files: ns for 4 KiB that the page cache holds; %d interleaved rounds.\n", rounds);
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    bench_print_contenders(contenders, CONTENDERS, 0, "to plain");
    bench_target_most("cached_ns_to_plain", contenders[CACHED].ratio.median, 2);

    bench_json_open("io/file");
    bench_json_title("Reading and opening files");
    bench_json_number("rounds", rounds);
    bench_json_contenders(contenders, CONTENDERS, "to_plain");
    bench_json_close();
    return 0;
}
