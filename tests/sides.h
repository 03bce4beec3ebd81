/* SPDX-License-Identifier: MIT */
/*
 * sides.h - what programs get as standard input and output, and the other side of it.
 */
#ifndef BIDE_TESTS_SIDES_H
#define BIDE_TESTS_SIDES_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "test.h"

/* How a program gets at its descriptors. */
enum way {
    OPENS_AGAIN,
    ASKS_KERNEL, /* /proc lets it open nothing; the kernel knows calls that do not wait */
    POLLS_FIRST, /* nor that */
    WAYS
};

/* What a descriptor is. */
enum kind { PIPE, FIFO, TERMINAL, SOCKETS, KINDS };

/* The two sides of something: what the program gets, and the other one, which never waits. */
struct sides {
    int program;
    int other;
};

/* A terminal that passes bytes on as they are, a line at a time. Both sides block. */
static inline struct sides terminal(void)
{
    struct sides sides = {.other = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    struct termios modes;

    if (sides.other < 0 || grantpt(sides.other) < 0 || unlockpt(sides.other) < 0)
        SKIP("no pseudoterminals here");
    sides.program = open(ptsname(sides.other), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (sides.program < 0)
        SKIP("no pseudoterminals here");
    CHECK_EQ(tcgetattr(sides.program, &modes), 0);
    modes.c_lflag &= (tcflag_t) ~(tcflag_t)ECHO;
    modes.c_oflag &= (tcflag_t) ~(tcflag_t)OPOST;
    CHECK_EQ(tcsetattr(sides.program, TCSANOW, &modes), 0);
    return sides;
}

/* A FIFO under a name that nobody else has. */
static inline bool mktemp_fifo(char *path)
{
    int number = mkstemp(path);

    return number >= 0 && close(number) == 0 && unlink(path) == 0 && mkfifo(path, 0600) == 0;
}

static inline struct sides make_sides(enum kind kind, bool program_reads)
{
    int ends[2];

    if (kind == TERMINAL)
        return terminal();
    if (kind == PIPE) {
        CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    } else if (kind == FIFO) {
        char path[] = "/tmp/bide-fifo-XXXXXX";
        CHECK(mktemp_fifo(path));
        ends[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        ends[1] = open(path, O_WRONLY | O_CLOEXEC);
        CHECK(ends[0] >= 0 && ends[1] >= 0);
        CHECK_EQ(fcntl(ends[0], F_SETFL, 0), 0);
        unlink(path);
    } else {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    }
    return program_reads ? (struct sides){ends[0], ends[1]} : (struct sides){ends[1], ends[0]};
}

static inline bool blocks(int fd)
{
    int mode = fcntl(fd, F_GETFL);

    CHECK(mode >= 0);
    return !(mode & O_NONBLOCK);
}

#endif
