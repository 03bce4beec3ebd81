/* SPDX-License-Identifier: MIT */
/*
 * stdio.c - standard input and output, shared with whoever else holds them: programs that run a
 * loop on them, as children, and the modes they leave behind.
 */
#include <bide.h>

#include <bide/short.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "sides.h"
#include "test.h"

/* A child that runs a scenario in a loop on these descriptors; -1 leaves one as it is. */
struct program {
    pid_t pid;
    int progress; /* a byte for each bide step it tells of */
};

static int tell_fd;

static void tell(void)
{
    CHECK_EQ(write(tell_fd, "x", 1), 1);
}

static struct program start(int in, int out, enum way way, int (*scenario)(void *))
{
    struct program program;
    int ends[2];

    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    program.pid = fork();
    CHECK(program.pid >= 0);
    if (program.pid == 0) {
        close(ends[0]);
        tell_fd = ends[1];
        if (in >= 0)
            dup2(in, 0);
        if (out >= 0)
            dup2(out, 1);
        close_range(3, (unsigned)tell_fd - 1, 0);
        bide__fault_reset();
        if (way != OPENS_AGAIN)
            bide__fault_fail(BIDE__CALL_OPEN, 1, UINT64_MAX, -EACCES);
        if (way == POLLS_FIRST) {
            bide__fault_fail(BIDE__CALL_READ, 1, 1, -EOPNOTSUPP);
            bide__fault_fail(BIDE__CALL_WRITE, 1, 1, -EOPNOTSUPP);
        }
        _exit(bide_run(scenario, NULL, NULL) == 0 ? 0 : 1);
    }
    close(ends[1]);
    program.progress = ends[0];
    return program;
}

static void wait_told(const struct program *program)
{
    char byte;

    CHECK_EQ(read(program->progress, &byte, 1), 1);
}

static void end(const struct program *program)
{
    int status;

    CHECK_EQ(waitpid(program->pid, &status, 0), program->pid);
    CHECK_EQ(status, 0);
    close(program->progress);
}

/* Wait until the program sleeps in the kernel, so that its loop is known to wait. */
static void wait_asleep(const struct program *program)
{
    char path[40], state;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)program->pid);
    for (int asleep = 0; asleep < 3;) {
        FILE *file = fopen(path, "r");
        CHECK(file != NULL);
        CHECK_EQ(fscanf(file, "%*d %*s %c", &state), 1);
        fclose(file);
        asleep = state == 'S' ? asleep + 1 : 0;
        usleep(1000);
    }
}

static int copies_a_line(void *arg)
{
    bide_stream *in, *out;
    char line[64];
    ssize_t length;

    (void)arg;
    CHECK_EQ(bide_stdin(&in), 0);
    CHECK_EQ(bide_stdout(&out), 0);
    tell();
    length = bide_read_line(in, line, sizeof line);
    CHECK_EQ(length, 6);
    CHECK_EQ(bide_write(out, line, (size_t)length), length);
    tell();
    CHECK_EQ(bide_read_line(in, line, sizeof line), 6);
    return 0;
}

static void keeps_modes(enum kind in_kind, enum kind out_kind, enum way way)
{
    struct sides in = make_sides(in_kind, true), out = make_sides(out_kind, false);
    struct program program = start(in.program, out.program, way, copies_a_line);
    char line[64];

    wait_told(&program);
    wait_asleep(&program);
    CHECK(blocks(in.program) && blocks(out.program) && blocks(in.other) && blocks(out.other));
    CHECK_EQ(write(in.other, "hello\n", 6), 6);
    wait_told(&program);
    CHECK_EQ(read(out.other, line, sizeof line), 6);
    wait_asleep(&program);
    CHECK(blocks(in.program) && blocks(out.program) && blocks(in.other) && blocks(out.other));
    CHECK_EQ(write(in.other, "again\n", 6), 6);
    end(&program);
    CHECK(blocks(in.program) && blocks(out.program) && blocks(in.other) && blocks(out.other));
    close(in.program);
    close(in.other);
    close(out.program);
    close(out.other);
}

/*
 * Goal:   what a program shares with its shell never becomes non-blocking, while it runs and after.
 * Method: a child with every kind of input and output, in every way of getting at them; F_GETFL of
 *         the originals while it waits, between, and when it has ended.
 */
TEST(stdio, shared_descriptors_stay_blocking)
{
    for (int way = 0; way < WAYS; way++)
        for (int in = 0; in < KINDS; in++)
            for (int out = 0; out < KINDS; out++)
                keeps_modes((enum kind)in, (enum kind)out, (enum way)way);
}

/* Tells that the loop goes on. */
static async(int, ticks)
{
    while (bide_sleep(BIDE_MS(1)) == 0)
        tell();
    return 0;
}

enum { MUCH = 400000, TICKS = 5 };

/* Lines of 100 bytes. */
static void fill(char data[MUCH])
{
    for (size_t i = 0; i < MUCH; i++)
        data[i] = i % 100 == 99 ? '\n' : (char)('a' + (i * 7 + i / 100) % 26);
}

static int writes_much(void *arg)
{
    static char data[MUCH];
    bide_stream *out;

    (void)arg;
    fill(data);
    CHECK_EQ(bide_stdout(&out), 0);
    task(int) ticker = spawn(ticks);
    CHECK_EQ(bide_write(out, data, MUCH), MUCH);
    cancel(ticker);
    CHECK_EQ(await(ticker), 0);
    return 0;
}

static int reads_much(void *arg)
{
    static char data[MUCH], wanted[MUCH];
    bide_stream *in;

    (void)arg;
    fill(wanted);
    CHECK_EQ(bide_stdin(&in), 0);
    task(int) ticker = spawn(ticks);
    CHECK_EQ(bide_read_exact(in, data, MUCH), MUCH);
    CHECK(memcmp(data, wanted, MUCH) == 0);
    cancel(ticker);
    CHECK_EQ(await(ticker), 0);
    return 0;
}

/* The other side of a program: the parent itself, on a descriptor that waits. */
static void read_or_write_much(int fd, bool reads)
{
    static char data[MUCH], wanted[MUCH];

    fill(wanted);
    for (size_t done = 0; done < MUCH;) {
        ssize_t moved = reads ? read(fd, data + done, MUCH - done)
                              : write(fd, wanted + done, MUCH - done < 1000 ? MUCH - done : 1000);
        CHECK(moved > 0);
        done += (size_t)moved;
    }
    CHECK(!reads || memcmp(data, wanted, MUCH) == 0);
}

/*
 * Goal:   a program that waits for its output to be read, or for its input, runs its other tasks;
 *         and no byte is lost.
 * Method: 400 kB each way, and the other side only begins when a ticker has told of five turns;
 *         over every kind, in every way.
 */
TEST(stdio, waiting_keeps_nobody_else_waiting)
{
    for (int way = 0; way < WAYS; way++) {
        for (int kind = 0; kind < KINDS; kind++) {
            for (int reads = 0; reads <= 1; reads++) {
                struct sides sides = make_sides((enum kind)kind, reads);
                struct program program =
                    start(reads ? sides.program : -1, reads ? -1 : sides.program, (enum way)way,
                          reads ? reads_much : writes_much);
                for (int i = 0; i < TICKS; i++)
                    wait_told(&program);
                read_or_write_much(sides.other, !reads);
                end(&program);
                close(sides.program);
                close(sides.other);
            }
        }
    }
}

static int reads_late(void *arg)
{
    bide_stream *in;
    char line[64];

    (void)arg;
    CHECK_EQ(bide_stdin(&in), 0);
    for (int i = 0; i < 2; i++) {
        with_timeout (BIDE_MS(5))
            CHECK_EQ(bide_read(in, line, sizeof line), -ETIMEDOUT);
        with_timeout (BIDE_MS(5))
            CHECK_EQ(bide_read_line(in, line, sizeof line), -ETIMEDOUT);
        tell();
        CHECK_EQ(bide_read_line(in, line, sizeof line), 6);
        CHECK_STR(line, i == 0 ? "hello\n" : "again\n");
    }
    tell();
    while (bide_read(in, line, sizeof line) > 0)
        ;
    return 0;
}

/*
 * Goal:   a read of standard input that is cancelled has taken nothing.
 * Method: time out twice, then a line comes; twice; over every kind, in every way.
 */
TEST(stdio, canceled_read_loses_no_byte)
{
    for (int way = 0; way < WAYS; way++) {
        for (int kind = 0; kind < KINDS; kind++) {
            struct sides sides = make_sides((enum kind)kind, true);
            struct program program = start(sides.program, -1, (enum way)way, reads_late);
            close(sides.program);
            wait_told(&program);
            CHECK_EQ(write(sides.other, "hello\n", 6), 6);
            wait_told(&program);
            CHECK_EQ(write(sides.other, "again\n", 6), 6);
            wait_told(&program);
            close(sides.other); /* and a hang-up is the end */
            end(&program);
        }
    }
}

static int loses_its_reader(void *arg)
{
    static char data[MUCH];
    bide_stream *out, *err;
    ssize_t wrote;

    (void)arg;
    CHECK_EQ(bide_stdout(&out), 0);
    CHECK_EQ(bide_stderr(&err), 0);
    CHECK(out != err);
    tell();
    wrote = bide_write(out, data, MUCH);
    CHECK(wrote > 0 && wrote < MUCH);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(bide_write(out, "x", 1), -EPIPE);
    return 0;
}

/*
 * Goal:   a closed pipeline is -EPIPE, and the program lives: SIGPIPE would kill it.
 * Method: close the reader under a child's parked write; pipe, FIFO and socket, in every way.
 */
TEST(stdio, closed_pipeline_is_epipe)
{
    const enum kind kinds[] = {PIPE, FIFO, SOCKETS};

    for (int way = 0; way < WAYS; way++) {
        for (int i = 0; i < 3; i++) {
            struct sides sides = make_sides(kinds[i], false);
            struct program program = start(-1, sides.program, (enum way)way, loses_its_reader);
            wait_told(&program);
            wait_asleep(&program);
            close(sides.other);
            end(&program);
            close(sides.program);
        }
    }
}

static int reads_terminal(void *arg)
{
    bide_stream *in, *out;
    char line[64];

    (void)arg;
    CHECK_EQ(bide_stdin(&in), 0);
    CHECK_EQ(bide_stdout(&out), 0);
    tell();
    CHECK_EQ(bide_read(in, line, sizeof line), 4); /* a whole line, though it came in pieces */
    CHECK(memcmp(line, "abc\n", 4) == 0);
    tell();
    CHECK_EQ(bide_read(in, line, sizeof line), 4); /* one line of two that are there */
    CHECK_EQ(bide_read(in, line, 2), 2);           /* half a line */
    CHECK_EQ(bide_read(in, line, sizeof line), 2);
    tell();
    CHECK_EQ(bide_read(in, line, sizeof line), 0); /* ^D */
    tell();
    CHECK_EQ(bide_read(in, line, sizeof line), 2); /* and a terminal goes on after it */
    CHECK_EQ(bide_write(out, "both\n", 5), 5);
    CHECK_EQ(bide_shutdown_write(in), -EOPNOTSUPP);
    tell();
    CHECK(bide_read(in, line, sizeof line) <= 0); /* hung up */
    CHECK(bide_read(in, line, sizeof line) <= 0);
    CHECK_EQ(bide_write(out, "x", 1), -EIO);
    return 0;
}

/*
 * Goal:   a terminal is read by the line, ends at ^D, and goes on; a hang-up wakes the reader.
 * Method: lines in pieces and two at once, an end, a line, then the master is closed.
 */
TEST(stdio, terminal_is_read_by_lines_and_hangs_up)
{
    for (int way = 0; way < WAYS; way++) {
        struct sides sides = terminal();
        struct program program = start(sides.program, sides.program, (enum way)way, reads_terminal);
        char line[8];

        close(sides.program);
        wait_told(&program);
        CHECK_EQ(write(sides.other, "ab", 2), 2);
        wait_asleep(&program);
        CHECK_EQ(write(sides.other, "c\n", 2), 2);
        wait_told(&program);
        CHECK_EQ(write(sides.other, "one\ntwo\n", 8), 8);
        wait_told(&program);
        CHECK_EQ(write(sides.other, "\4", 1), 1);
        wait_told(&program);
        CHECK_EQ(write(sides.other, "z\n", 2), 2);
        wait_told(&program);
        CHECK_EQ(read(sides.other, line, sizeof line), 5);
        wait_asleep(&program);
        close(sides.other);
        end(&program);
    }
}

static int filters(void *arg)
{
    bide_stream *in, *out;
    char text[8];

    (void)arg;
    CHECK_EQ(bide_stdin(&in), 0);
    CHECK_EQ(bide_stdout(&out), 0);
    CHECK_EQ(bide_read_exact(in, text, 4), 4);
    CHECK_EQ(bide_write(out, text, 4), 4);
    CHECK_EQ(bide_writev(out, (struct iovec[]){{"<", 1}, {"", 0}, {">\n", 2}}, 3), 3);
    CHECK_EQ(bide_shutdown_write(out), -EOPNOTSUPP);
    return 0;
}

/*
 * Goal:   files as input and output are read and written where the shell left off, and the shell
 *         goes on where the program did; O_APPEND is kept.
 * Method: offsets of the parent's descriptors after the child has ended, with and without O_APPEND.
 */
TEST(stdio, offsets_of_files_are_shared)
{
    char path[] = "/tmp/bide-stdio-XXXXXX", text[64];
    int in = mkstemp(path);

    CHECK(in >= 0);
    CHECK_EQ(write(in, "one\ntwo\nthree\n", 14), 14);
    for (int appends = 0; appends <= 1; appends++) {
        char out_path[] = "/tmp/bide-stdio-XXXXXX";
        int out = mkstemp(out_path), reader = open(out_path, O_RDONLY | O_CLOEXEC);
        struct program program;

        CHECK(out >= 0 && reader >= 0);
        CHECK_EQ(fcntl(out, F_SETFL, appends ? O_APPEND : 0), 0);
        CHECK_EQ(write(out, "head\n", 5), 5);
        CHECK_EQ(lseek(out, appends ? 0 : 5, SEEK_SET), appends ? 0 : 5);
        CHECK_EQ(lseek(in, 4, SEEK_SET), 4);
        program = start(in, out, OPENS_AGAIN, filters);
        end(&program);
        CHECK_EQ(lseek(in, 0, SEEK_CUR), 8);
        CHECK_EQ(lseek(out, 0, SEEK_CUR), 12);
        CHECK_EQ(write(out, "tail\n", 5), 5);
        CHECK_EQ(read(reader, text, sizeof text), 17);
        CHECK(memcmp(text, "head\ntwo\n<>\ntail\n", 17) == 0);
        CHECK_EQ(fcntl(out, F_GETFL) & O_APPEND, appends ? O_APPEND : 0);
        CHECK(blocks(in) && blocks(out));
        unlink(out_path);
        close(out);
        close(reader);
    }
    unlink(path);
    close(in);
}

static int uses_null(void *arg)
{
    bide_stream *in, *out;
    char byte;

    (void)arg;
    CHECK_EQ(bide_stdin(&in), 0);
    CHECK_EQ(bide_stdout(&out), 0);
    CHECK_EQ(bide_read(in, &byte, 1), 0);
    CHECK_EQ(bide_write(out, "gone", 4), 4);
    return 0;
}

/*
 * Goal:   /dev/null, which epoll refuses, is empty and takes everything.
 * Method: a child with it as input and output.
 */
TEST(stdio, null_device_is_empty)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct program program = start(null, null, OPENS_AGAIN, uses_null);

    end(&program);
    close(null);
}
