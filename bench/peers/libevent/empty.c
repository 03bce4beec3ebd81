/* SPDX-License-Identifier: MIT */
/*
 * empty.c - the program of bench/empty_programs.h with libevent.
 */
#include <event2/event.h>

#include "peers/empty.h"

int main(int argc, char **argv)
{
    struct event_base *base;
    int result;

    (void)argv;
    if (argc > 1)
        return empty_version("libevent", event_get_version());
    base = event_base_new();
    if (base == NULL)
        return 1;
    result = event_base_dispatch(base); /* 1: there are no events */
    event_base_free(base);
    return result != 1;
}
