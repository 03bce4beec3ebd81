/* SPDX-License-Identifier: MIT */
/*
 * empty.c - the program of bench/empty_programs.h with GNU Pth.
 */
#include <pth.h>

#include "peers/empty.h"

int main(int argc, char **argv)
{
    char version[16];

    (void)argv;
    if (argc > 1) { /* 0xVRRTLL: version, revision, type, level */
        snprintf(version, sizeof version, "%u.%u.%u", (unsigned)PTH_VERSION_HEX >> 20,
                 (unsigned)PTH_VERSION_HEX >> 12 & 0xff, (unsigned)PTH_VERSION_HEX & 0xff);
        return empty_version("GNU Pth", version);
    }
    return !pth_init() || !pth_kill();
}
