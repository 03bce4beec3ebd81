/* SPDX-License-Identifier: MIT */
/*
 * sendfile.c - GB a second from a file in the page cache to a Unix socket that a process drains.
 *
 * Compared with what a program without Bide would write: a blocking socket and a loop of
 * sendfile(2). bide_copy reads and writes instead, through memory of the program's.
 */
#include <bide.h>

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "io/socket.h"

enum { BYTES = 64 << 20, PIECE = 256 * 1024 };

static size_t laps = 8;
static int rounds = 7;
static char path[64] = "/tmp/bide-bench-XXXXXX";
static pid_t drain;

/* A socket whose other end a process reads and throws away. */
static int drained_socket(void)
{
    static char scrap[1 << 20];
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        bench_die("socketpair");
    drain = fork();
    if (drain == 0) {
        close(ends[0]);
        while (read(ends[1], scrap, sizeof scrap) > 0)
            ;
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

static double gigabytes(double start)
{
    waitpid(drain, NULL, 0); /* all of it has arrived */
    return (double)laps * BYTES / (bench_now_ns() - start);
}

static double plain_round(size_t unused)
{
    int file = open(path, O_RDONLY | O_CLOEXEC), to = drained_socket();
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < laps; i++)
        for (off_t at = 0; at < BYTES;)
            if (sendfile(to, file, &at, PIECE) <= 0)
                bench_die("sendfile");
    close(to);
    close(file);
    return gigabytes(start);
}

static double bide_round(size_t copies)
{
    int number = drained_socket();
    bide_stream *to, *from;
    bide_file *file;
    double start;

    fcntl(number, F_SETFL, O_NONBLOCK);
    if (bide__socket_stream(bide__epoll_of(bide__loop_here), number, AF_UNIX, &to) < 0 ||
        bide_file_open(path, O_RDONLY, 0, &file) < 0)
        bench_die("bide_file_open");
    start = bench_now_ns();
    for (size_t i = 0; i < laps && !copies; i++)
        if (bide_sendfile(to, file, 0, SIZE_MAX) != BYTES)
            bench_die("bide_sendfile");
    if (!copies)
        bide_file_close(file);
    for (size_t i = 0; i < laps && copies; i++) {
        if (i > 0 && bide_file_open(path, O_RDONLY, 0, &file) < 0)
            bench_die("bide_file_open");
        if (bide_file_stream(file, &from) < 0 || bide_copy(to, from) != BYTES)
            bench_die("bide_copy");
        bide_close(from);
    }
    bide_close(to);
    return gigabytes(start);
}

static struct bench_contender contenders[] = {
    {.name = "plain sendfile, blocking", .key = "plain_gb_s", .round = plain_round},
    {.name = "bide_sendfile", .key = "sendfile_gb_s", .round = bide_round},
    {.name = "bide_copy", .key = "copy_gb_s", .round = bide_round, .parameter = 1},
};

enum { PLAIN, SENDFILE, CONTENDERS = sizeof contenders / sizeof *contenders };

static int measure(void *unused)
{
    static char block[1 << 20];
    int fd = mkostemp(path, O_CLOEXEC);

    (void)unused;
    for (int i = 0; i < BYTES >> 20; i++)
        if (write(fd, block, sizeof block) != sizeof block)
            bench_die("write");
    close(fd);
    bench_interleave(contenders, CONTENDERS, rounds, PLAIN);
    return unlink(path);
}

int main(void)
{
    if (bench_is_quick()) {
        laps = 2;
        rounds = 3;
    }
    printf("Sendfile: GB/s from the page cache to a Unix socket; %d interleaved rounds.\n", rounds);
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    bench_print_contenders(contenders, CONTENDERS, 2, "to plain");
    bench_target_least("sendfile_gb_s_to_plain", contenders[SENDFILE].ratio.median, 0.7);

    bench_json_open("io/sendfile");
    bench_json_title("A file to a socket");
    bench_json_number("rounds", rounds);
    bench_json_contenders(contenders, CONTENDERS, "to_plain");
    bench_json_close();
    return 0;
}
