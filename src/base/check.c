/* SPDX-License-Identifier: MIT */
/*
 * check.c - lines on standard error.
 *
 * One write(2) a line, so that lines of several threads do not mix, and no stdio, whose locks a
 * task may hold.
 */
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void say_line(const char *format, va_list args)
{
    char line[1024] = "bide: ";
    const size_t room = sizeof line - 2;
    int length = vsnprintf(line + 6, room - 6, format, args);
    size_t end = 6;

    if (length > 0)
        end += (size_t)length < room - 6 ? (size_t)length : room - 7;
    line[end++] = '\n';
    for (size_t done = 0; done < end;) {
        ssize_t wrote = write(STDERR_FILENO, line + done, end - done);
        if (wrote <= 0)
            return; /* nobody reads it: there is no better place to say so */
        done += (size_t)wrote;
    }
}

void bide__say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say_line(format, args);
    va_end(args);
}

void bide__misuse(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say_line(format, args);
    va_end(args);
    abort();
}

void bide__assert_failed(const char *condition, const char *file, int line)
{
    bide__misuse("internal error: '%s' does not hold at %s:%d; please report this", condition, file,
                 line);
}
