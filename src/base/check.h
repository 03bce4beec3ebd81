/* SPDX-License-Identifier: MIT */
/*
 * check.h - assertions that stay on, and the one way to end the process over a mistake.
 *
 * bide__assert guards an invariant of ours; bide__misuse reports a mistake of the caller. Both
 * print one line to standard error and abort, in release builds too.
 */
#ifndef BIDE__BASE_CHECK_H
#define BIDE__BASE_CHECK_H

#include <bide/base/api.h>

#define bide__assert(condition)                                                                    \
    (__builtin_expect(!!(condition), 1) ? (void)0                                                  \
                                        : bide__assert_failed(#condition, __FILE__, __LINE__))

_Noreturn void bide__assert_failed(const char *condition, const char *file, int line);

/* Print "bide: " and the message as one line, then abort. */
_Noreturn void bide__misuse(const char *format, ...) BIDE__PRINTF(1, 2);

/* Print "bide: " and the message as one line to standard error, in one write, without stdio. */
void bide__say(const char *format, ...) BIDE__PRINTF(1, 2);

#endif
