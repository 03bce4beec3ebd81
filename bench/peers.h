/* SPDX-License-Identifier: MIT */
/*
 * peers.h - a contender that is another program: the same work, done with another library. Peers
 * that are servers: bench/servers.h.
 *
 * The programs lie beside the benchmark, in peers/; their sources are in bench/peers/. Each takes
 * the name of a workload and how many operations it shall do, does them once unmeasured and then
 * once more, and prints the nanoseconds that one took; "-" when the library has nothing for that
 * work. Tasks that yield (yield_<tasks>) do so once unmeasured, when all have started. A round is a
 * process of its own. All run on one and the same processor, so no program gains by threads behind
 * its back. Those that take long take part in the first rounds only. What is to be measured once in
 * a process: bench/fresh.h.
 *
 * Ratios are ours to each of the others, formed within each round.
 */
#ifndef PEERS_H
#define PEERS_H

#include <limits.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum {
    PEER_CONTENDERS_MOST = 8,
    PEER_RUNS_MOST = 32,
    PEER_PROBE = 1000,    /* operations, to see how many make a sample */
    PEER_LONG_ROUNDS = 5, /* of one that takes long */
};

/*
 * Seconds that the round before those that count takes, after which there are few of these; and
 * after which there is none but that one, in quick runs after the former.
 */
#define PEER_LONG 0.06
#define PEER_VERY_LONG 1.0

struct peer {
    const char *key; /* in JSON */
    const char *name;
    const char *needs;
    const char *program; /* its name in peers/ */
    const char *words;   /* that follow its other arguments */
    char version[64];    /* as its program says; "" without one */
};

enum { PEER_GO, PEER_STATE_THREADS, PEER_PTH, PEER_ASYNCIO, PEER_UVLOOP, PEERS };

static struct peer peers[PEERS] = {
    {.key = "go", .name = "Go", .needs = "the go command", .program = "go"},
    {.key = "state_threads", .name = "State Threads", .needs = "st.h", .program = "state_threads"},
    {.key = "pth", .name = "GNU Pth", .needs = "pth.h", .program = "pth"},
    {.key = "asyncio", .name = "asyncio", .needs = "python3", .program = "asyncio"},
    {.key = "uvloop",
     .name = "uvloop",
     .needs = "python3-uvloop",
     .program = "asyncio",
     .words = "uvloop"},
};

/* The yardstick, keyed like the others here: without the unit. */
#define PEERS_FCONTEXT                                                                             \
    {                                                                                              \
        .name = "jump_fcontext, one way", .key = "fcontext", .round = bench_fcontext_round         \
    }

static char peers_directory[PATH_MAX];

/* Run a peer's program and read its one line, without the newline. False when it failed. */
static inline bool peer_ask(const struct peer *peer, const char *arguments, char *line,
                            int line_bytes)
{
    char command[PATH_MAX + 192];
    FILE *output;
    bool has_line;

    snprintf(command, sizeof command, "exec '%s/%s' %s %s", peers_directory, peer->program,
             arguments, peer->words != NULL ? peer->words : "");
    fflush(stdout);
    output = popen(command, "re");
    if (output == NULL)
        bench_die("popen");
    has_line = fgets(line, line_bytes, output) != NULL;
    if (pclose(output) == 0 && has_line) {
        line[strcspn(line, "\n")] = '\0';
        return true;
    }
    return false;
}

/* See which version there is of each, and name those that are not there. */
static inline void peers_find(struct peer *first, int count)
{
    for (struct peer *peer = first; peer < first + count; peer++) {
        char program[PATH_MAX + 64];
        snprintf(program, sizeof program, "%s/%s", peers_directory, peer->program);
        if (access(program, X_OK) == 0 &&
            peer_ask(peer, "version 2> /dev/null", peer->version, sizeof peer->version))
            continue;
        peer->version[0] = '\0';
        printf("(skipped: %s; there where %s is found)\n", peer->name, peer->needs);
    }
}

/* Stay on this processor, and look which peers there are. */
static inline void peers_start(void)
{
    cpu_set_t one;
    int processor = sched_getcpu();
    ssize_t length = readlink("/proc/self/exe", peers_directory, sizeof peers_directory - 8);

    if (length < 0)
        bench_die("/proc/self/exe");
    peers_directory[length] = '\0';
    snprintf(strrchr(peers_directory, '/'), 8, "/peers");

    CPU_ZERO(&one);
    CPU_SET((size_t)(processor < 0 ? 0 : processor), &one);
    if (sched_setaffinity(0, sizeof one, &one) < 0)
        printf("(may not choose a processor: contenders run anywhere)\n");
    peers_find(peers, PEERS);
}

/* What one peer does in one match: the parameter of its round is the place in this list. */
static struct peer_run {
    int peer;
    const char *workload;
    size_t operations; /* 0: not yet known */
    bool is_missing;
    int done;    /* rounds, with the one that does not count */
    int counted; /* rounds at most */
    double only; /* the figure of a first round that took so long that it has to do */
} peer_runs[PEER_RUNS_MOST];
static int peer_run_count;

static inline double peer_sample(struct peer_run *run, size_t operations)
{
    char arguments[64], line[64], *end;
    double ns = NAN;

    snprintf(arguments, sizeof arguments, "%s %zu", run->workload, operations);
    if (peer_ask(&peers[run->peer], arguments, line, sizeof line)) {
        ns = strtod(line, &end);
        if (end == line)
            ns = NAN;
    } else {
        fprintf(stderr, "bench: this failed: %s %s\n", peers[run->peer].name, arguments);
    }
    run->is_missing = isnan(ns);
    return ns;
}

/* The round that does not count, which decides about the others. */
static inline double peer_first_round(struct peer_run *run)
{
    double sample_ns = bench_is_quick() ? 1e7 : 5e7, start = bench_now_ns(), took_s, ns;

    ns = peer_sample(run, run->operations > 0 ? run->operations : PEER_PROBE);
    took_s = (bench_now_ns() - start) / 1e9;
    if (run->operations == 0)
        run->operations = sample_ns / ns > PEER_PROBE ? (size_t)(sample_ns / ns) : PEER_PROBE;
    run->only = took_s > (bench_is_quick() ? PEER_LONG : PEER_VERY_LONG) ? ns : NAN;
    if (!isnan(run->only))
        run->counted = 1;
    else if (took_s > PEER_LONG)
        run->counted = PEER_LONG_ROUNDS;
    return ns;
}

static inline double peer_round(size_t index)
{
    struct peer_run *run = &peer_runs[index];

    if (run->is_missing || run->done > run->counted)
        return NAN;
    if (run->done++ == 0)
        return peer_first_round(run);
    return isnan(run->only) ? peer_sample(run, run->operations) : run->only;
}

/* Matches: ours, first, then what else the benchmark puts beside it, then the peers. */

struct peer_match {
    const char *title;
    const char *workload;
    size_t operations; /* of peers; 0: as many as make a sample */
    struct bench_contender contenders[PEER_CONTENDERS_MOST];
    int own; /* contenders that are in the list already */
    int count;
};

static inline void peer_match_add(struct peer_match *match)
{
    for (int i = 0; i < PEERS; i++) {
        peer_runs[peer_run_count] = (struct peer_run){
            .peer = i,
            .workload = match->workload,
            .operations = match->operations,
            .is_missing = peers[i].version[0] == '\0',
            .counted = BENCH_ROUNDS_MOST,
        };
        match->contenders[match->own + i] = (struct bench_contender){
            .name = peers[i].version[0] != '\0' ? peers[i].version : peers[i].name,
            .key = peers[i].key,
            .round = peer_round,
            .parameter = (size_t)peer_run_count++,
        };
    }
    match->count = match->own + PEERS;
}

static inline void peer_match_run(struct peer_match *match, int rounds)
{
    struct bench_contender *all = match->contenders;

    peer_match_add(match);
    bench_interleave(all, match->count, rounds, 0);
    for (int i = 0; i < match->count; i++) {
        int counted = rounds;
        if (i >= match->own && peer_runs[all[i].parameter].counted < rounds)
            counted = peer_runs[all[i].parameter].counted;
        all[i].result = bench_spread_of(all[i].samples, counted);
        all[i].ratio = bench_ratios_of(all[0].samples, all[i].samples, counted);
    }
}

static inline void peer_match_print(const struct peer_match *match)
{
    printf("\n%s\n", match->title);
    bench_print_contenders(match->contenders, match->count, 1, "ours to it");
}

/* Our ratio to the peer that comes closest; NaN without peers. */
static inline double peer_match_ratio(const struct peer_match *match)
{
    double most = NAN;

    for (int i = match->own; i < match->count; i++)
        most = fmax(most, match->contenders[i].ratio.median);
    return most;
}

/* Each other one as <ours>_<key>_ns, and the ratio as <ours>_to_<key>. */
static inline void peer_match_json_others(const struct peer_match *match)
{
    const char *ours = match->contenders[0].key;
    char key[128];

    for (int i = 1; i < match->count; i++) {
        const struct bench_contender *other = &match->contenders[i];
        snprintf(key, sizeof key, "%s_%s_ns", ours, other->key);
        bench_json_spread(key, other->result);
        snprintf(key, sizeof key, "%s_to_%s", ours, other->key);
        bench_json_spread(key, other->ratio);
    }
}

/* And ours as <ours>_ns. */
static inline void peer_match_json(const struct peer_match *match)
{
    char key[128];

    snprintf(key, sizeof key, "%s_ns", match->contenders[0].key);
    bench_json_spread(key, match->contenders[0].result);
    peer_match_json_others(match);
}

static inline void peer_json_version(const struct peer *peer, bool is_first)
{
    printf("%s\"%s\":", is_first ? "" : ",", peer->key);
    if (peer->version[0] != '\0')
        printf("\"%s\"", peer->version);
    else
        printf("null");
}

static inline void peers_json(void)
{
    printf(",\"peers\":{");
    for (int i = 0; i < PEERS; i++)
        peer_json_version(&peers[i], i == 0);
    printf("}");
}

#endif
