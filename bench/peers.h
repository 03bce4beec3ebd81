/* SPDX-License-Identifier: MIT */
/*
 * peers.h - a contender that is another program: the same work, done with another library. Peers
 * that are servers: bench/servers.h.
 *
 * The programs lie beside the benchmark, in peers/; their sources are in bench/peers/. Each takes
 * the name of a workload and how many operations it shall do, does them once unmeasured and then
 * once more, and prints the nanoseconds that one took; "-" when the library has nothing for that
 * work. A round of it is a process of its own. All run on one and the same processor, so no program
 * gains by threads behind its back.
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
    PEERS = 3,
    PEER_CONTENDERS_MOST = 8,
    PEER_RUNS_MOST = 16,
    PEER_PROBE = 1000, /* operations, to see how many make a sample */
};

static struct {
    const char *key; /* of its program, and in JSON */
    const char *name;
    const char *needs;
    char version[64]; /* as its program says; "" without one */
} peers[PEERS] = {
    {.key = "go", .name = "Go", .needs = "the go command"},
    {.key = "state_threads", .name = "State Threads", .needs = "st.h"},
    {.key = "pth", .name = "GNU Pth", .needs = "pth.h"},
};

/* The yardstick, keyed like the others here: without the unit. */
#define PEERS_FCONTEXT                                                                             \
    {                                                                                              \
        .name = "jump_fcontext, one way", .key = "fcontext", .round = bench_fcontext_round         \
    }

static char peers_directory[PATH_MAX];

/* Run a peer's program and read its one line, without the newline. False when it failed. */
static inline bool peer_ask(int peer, const char *arguments, char *line, int line_bytes)
{
    char command[PATH_MAX + 128];
    FILE *output;
    bool has_line;

    snprintf(command, sizeof command, "exec '%s/%s' %s", peers_directory, peers[peer].key,
             arguments);
    fflush(stdout);
    output = popen(command, "re");
    if (output == NULL)
        bench_die("popen");
    has_line = fgets(line, line_bytes, output) != NULL;
    if (pclose(output) == 0 && has_line) {
        line[strcspn(line, "\n")] = '\0';
        return true;
    }
    fprintf(stderr, "bench: this failed: %s\n", command);
    return false;
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
    for (int i = 0; i < PEERS; i++) {
        char program[PATH_MAX + 64];
        snprintf(program, sizeof program, "%s/%s", peers_directory, peers[i].key);
        if (access(program, X_OK) != 0)
            printf("(skipped: %s; built where %s is found)\n", peers[i].name, peers[i].needs);
        else if (!peer_ask(i, "version", peers[i].version, sizeof peers[i].version))
            peers[i].version[0] = '\0';
    }
}

/* What one peer does in one match: the parameter of its round is the place in this list. */
static struct peer_run {
    int peer;
    const char *workload;
    size_t operations; /* 0: not yet known */
    bool is_missing;
} peer_runs[PEER_RUNS_MOST];
static int peer_run_count;

static inline double peer_sample(struct peer_run *run, size_t operations)
{
    char arguments[64], line[64], *end;
    double ns = NAN;

    snprintf(arguments, sizeof arguments, "%s %zu", run->workload, operations);
    if (peer_ask(run->peer, arguments, line, sizeof line)) {
        ns = strtod(line, &end);
        if (end == line)
            ns = NAN;
    }
    run->is_missing = isnan(ns);
    return ns;
}

static inline double peer_round(size_t index)
{
    struct peer_run *run = &peer_runs[index];
    double sample_ns = bench_is_quick() ? 1e7 : 5e7, ns;

    if (run->is_missing)
        return NAN;
    if (run->operations > 0)
        return peer_sample(run, run->operations);
    ns = peer_sample(run, PEER_PROBE);
    run->operations = sample_ns / ns > PEER_PROBE ? (size_t)(sample_ns / ns) : PEER_PROBE;
    return ns;
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
    peer_match_add(match);
    bench_interleave(match->contenders, match->count, rounds, 0);
    for (int i = 0; i < match->count; i++)
        match->contenders[i].ratio =
            bench_ratios_of(match->contenders[0].samples, match->contenders[i].samples, rounds);
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

/* Ours as <ours>_ns; each other one as <ours>_<key>_ns, and the ratio as <ours>_to_<key>. */
static inline void peer_match_json(const struct peer_match *match)
{
    const char *ours = match->contenders[0].key;
    char key[128];

    snprintf(key, sizeof key, "%s_ns", ours);
    bench_json_spread(key, match->contenders[0].result);
    for (int i = 1; i < match->count; i++) {
        const struct bench_contender *other = &match->contenders[i];
        snprintf(key, sizeof key, "%s_%s_ns", ours, other->key);
        bench_json_spread(key, other->result);
        snprintf(key, sizeof key, "%s_to_%s", ours, other->key);
        bench_json_spread(key, other->ratio);
    }
}

static inline void peers_json(void)
{
    printf(",\"peers\":{");
    for (int i = 0; i < PEERS; i++) {
        printf("%s\"%s\":", i > 0 ? "," : "", peers[i].key);
        if (peers[i].version[0] != '\0')
            printf("\"%s\"", peers[i].version);
        else
            printf("null");
    }
    printf("}");
}

#endif
