/* SPDX-License-Identifier: MIT */
/*
 * empty_programs.h - programs that start a library's loop, have nothing to do, and end: one with
 * Bide, one in C alone, and one for each peer. What they take is what the library takes.
 *
 * They lie beside the benchmark, in peers/; their sources are bench/peers/<name>/empty.c. Those in
 * C and C++ are linked with the static library where there is one, and with the shared C library.
 */
#ifndef EMPTY_PROGRAMS_H
#define EMPTY_PROGRAMS_H

#include "servers.h"

#define EMPTY_OWN(name_in_json, title, program)                                                    \
    {                                                                                              \
        .key = name_in_json, .name = title, .words = {"peers/" program},                           \
        .needs = "a native build without sanitizers",                                              \
    }

#define EMPTY_PEER(library, title, needed)                                                         \
    {                                                                                              \
        .key = library, .name = title, .needs = needed, .has_version = true,                       \
        .words = {"peers/" library "_empty"},                                                      \
    }

enum { EMPTY_BIDE, EMPTY_C, EMPTY_LISTEN, EMPTY_PROGRAMS = 10 };

/* Not servers, but found, named and versioned as those are. */
static struct bench_server empty_programs[EMPTY_PROGRAMS] = {
    [EMPTY_BIDE] = EMPTY_OWN("bide", "Bide", "bide_empty"),
    [EMPTY_C] = EMPTY_OWN("c", "C alone", "c_empty"),
    [EMPTY_LISTEN] = EMPTY_OWN("bide_listen", "Bide, which listens", "bide_listen"),
    EMPTY_PEER("libuv", "libuv", "uv.h"),
    EMPTY_PEER("libevent", "libevent", "event2/event.h"),
    EMPTY_PEER("asio", "Boost.Asio", "boost/asio.hpp"),
    EMPTY_PEER("state_threads", "State Threads", "st.h"),
    EMPTY_PEER("pth", "GNU Pth", "pth.h"),
    EMPTY_PEER("go", "Go", "the go command"),
    EMPTY_PEER("asyncio", "Python's asyncio", "python3"),
};

/* Within a JSON line, in the form of bench/peers.h: all but ours, by name. */
static inline void empty_programs_json(void)
{
    printf(",\"peers\":{");
    for (int i = EMPTY_C; i < EMPTY_PROGRAMS; i++) {
        printf("%s\"%s\":", i > EMPTY_C ? "," : "", empty_programs[i].key);
        if (empty_programs[i].is_missing)
            printf("null");
        else
            printf("\"%s\"", empty_programs[i].name);
    }
    printf("}");
}

/* <work>_<unit> is ours, <work>_<key>_<unit> another's. */
static inline void empty_programs_json_spread(int program, const char *work, const char *unit,
                                              struct bench_spread spread)
{
    char key[96];

    if (program == EMPTY_BIDE)
        snprintf(key, sizeof key, "%s_%s", work, unit);
    else
        snprintf(key, sizeof key, "%s_%s_%s", work, empty_programs[program].key, unit);
    bench_json_spread(key, spread);
}

#endif
