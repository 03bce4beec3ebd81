/* SPDX-License-Identifier: MIT */
/*
 * empty.c - the program of bench/empty_programs.h with State Threads, which has no way to end.
 */
#include <st.h>

#include "peers/empty.h"

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return empty_version("State Threads", ST_VERSION);
    return st_set_eventsys(ST_EVENTSYS_ALT) != 0 || st_init() != 0;
}
