/* SPDX-License-Identifier: MIT */
/*
 * fresh.h - contenders that do their work once, each time in a fresh process.
 *
 * Ours are functions, run in a forked copy of the benchmark; others are programs of bench/peers.h.
 * Either way the process prints one line of figures, "-" when the library has nothing for that
 * work. Those that take longer than a time limit are ended, and left out with a line that says so.
 * The contenders take turns, round after round, and ratios are formed within each round; those that
 * take seconds have one round only.
 */
#ifndef BENCH_FRESH_H
#define BENCH_FRESH_H

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "peers.h"
#include "processes.h"

enum { FRESH_FIGURES_MOST = 5, FRESH_LIMIT_SECONDS = 60, FRESH_LONG_SECONDS = 4 };

struct fresh {
    const char *key; /* in JSON; of a peer: its own, as is the name */
    const char *name;
    void (*run)(size_t count); /* ours, else NULL */
    struct peer *peer;         /* else NULL */
    int rounds;                /* that counted */
    bool is_missing;
    bool is_long;
    double samples[FRESH_FIGURES_MOST][BENCH_ROUNDS_MOST];
};

_Noreturn static inline void fresh_be(const struct fresh *of, const char *workload, size_t count,
                                      int output)
{
    char program[PATH_MAX + 64], number[32], name[64], words[64];
    char *arguments[] = {program, name, number, NULL, NULL};

    if (dup2(output, STDOUT_FILENO) < 0)
        bench_die("dup2");
    if (of->run != NULL) {
        of->run(count);
        fflush(stdout);
        _exit(0);
    }
    snprintf(program, sizeof program, "%s/%s", peers_directory, of->peer->program);
    snprintf(name, sizeof name, "%s", workload);
    snprintf(number, sizeof number, "%zu", count);
    if (of->peer->words != NULL) {
        snprintf(words, sizeof words, "%s", of->peer->words);
        arguments[3] = words;
    }
    execv(program, arguments);
    _exit(127);
}

/* Read what it prints until it ends. False, when it has not ended in time. */
static inline bool fresh_read(int from, char *text, size_t bytes)
{
    double end = bench_now_ns() + FRESH_LIMIT_SECONDS * 1e9;
    size_t length = 0;
    ssize_t got = 1;

    while (got > 0) {
        struct pollfd readable = {.fd = from, .events = POLLIN};
        double left_ms = (end - bench_now_ns()) / 1e6;
        if (left_ms <= 0 || poll(&readable, 1, (int)left_ms + 1) == 0)
            return false;
        got = read(from, text + length, bytes - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    text[length] = '\0';
    return true;
}

/* Do it once. False when there are no figures; if there never will be, it is marked as missing. */
static inline bool fresh_run(struct fresh *of, const char *workload, size_t count, double *figures,
                             int figure_count)
{
    double start = bench_now_ns();
    char text[256] = "", *at = text, *end;
    int ends[2], status, done = 0;
    bool is_in_time;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) < 0)
        bench_die("pipe2");
    child = bench_fork_pinned(-1);
    if (child == 0)
        fresh_be(of, workload, count, ends[1]);
    close(ends[1]);
    is_in_time = fresh_read(ends[0], text, sizeof text);
    close(ends[0]);
    if (!is_in_time)
        kill(child, SIGKILL);
    waitpid(child, &status, 0);
    of->is_long = bench_now_ns() - start > FRESH_LONG_SECONDS * 1e9;
    for (; done < figure_count; done++) {
        figures[done] = strtod(at, &end);
        if (end == at)
            break;
        at = end;
    }
    of->is_missing = done < figure_count;
    if (!is_in_time)
        printf("(skipped: %s has not done it in %d s)\n", of->name, FRESH_LIMIT_SECONDS);
    else if (of->is_missing && text[0] != '-')
        printf("(skipped: %s failed)\n", of->name);
    return !of->is_missing;
}

/* Name the peers as they name themselves, and see which are there. */
static inline void fresh_find(struct fresh *contenders, int count)
{
    for (int i = 0; i < count; i++) {
        struct fresh *of = &contenders[i];
        if (of->peer == NULL)
            continue;
        of->key = of->peer->key;
        of->is_missing = of->peer->version[0] == '\0';
        of->name = of->is_missing ? of->peer->name : of->peer->version;
    }
}

static inline void fresh_interleave(struct fresh *contenders, int contender_count,
                                    const char *workload, size_t count, int figure_count,
                                    int rounds)
{
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < contender_count; i++) {
            struct fresh *of = &contenders[i];
            double figures[FRESH_FIGURES_MOST];
            if (of->is_missing || (round > 0 && of->is_long) ||
                !fresh_run(of, workload, count, figures, figure_count))
                continue;
            for (int figure = 0; figure < figure_count; figure++)
                of->samples[figure][of->rounds] = figures[figure];
            of->rounds++;
        }
    }
}

static inline struct bench_spread fresh_spread(const struct fresh *of, int figure)
{
    if (of->is_missing || of->rounds == 0)
        return (struct bench_spread){NAN, NAN, NAN};
    return bench_spread_of(of->samples[figure], of->rounds);
}

/* Ours to it. */
static inline struct bench_spread fresh_ratio(const struct fresh *ours, const struct fresh *of,
                                              int figure)
{
    int rounds = of->rounds < ours->rounds ? of->rounds : ours->rounds;

    if (of->is_missing || ours->is_missing || rounds == 0)
        return (struct bench_spread){NAN, NAN, NAN};
    return bench_ratios_of(ours->samples[figure], of->samples[figure], rounds);
}

/* Ours, the first, as <figure>_<unit>; others as <figure>_<key>_<unit> and <figure>_to_<key>. */
static inline void fresh_json(const struct fresh *contenders, int count, const char *name,
                              const char *unit, int figure)
{
    char key[128];

    snprintf(key, sizeof key, "%s_%s", name, unit);
    bench_json_spread(key, fresh_spread(&contenders[0], figure));
    for (int i = 1; i < count; i++) {
        snprintf(key, sizeof key, "%s_%s_%s", name, contenders[i].key, unit);
        bench_json_spread(key, fresh_spread(&contenders[i], figure));
        snprintf(key, sizeof key, "%s_to_%s", name, contenders[i].key);
        bench_json_spread(key, fresh_ratio(&contenders[0], &contenders[i], figure));
    }
}

#endif
