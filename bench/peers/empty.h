/* SPDX-License-Identifier: MIT */
/*
 * empty.h - what the peers' programs of bench/empty_programs.h share: "version" as an argument.
 */
#ifndef EMPTY_H
#define EMPTY_H

#include <stdio.h>

static inline int empty_version(const char *library, const char *version)
{
    return printf("%s %s\n", library, version) < 0;
}

#endif
