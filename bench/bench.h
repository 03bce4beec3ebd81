/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the benchmarks share: clock, medians, interleaving, targets, the JSON line, and
 * jump_fcontext as the yardstick.
 *
 * Contenders take turns within one process, round after round, so that a change of clock speed or
 * a noisy neighbour meets all of them. A ratio is the median of the ratios within each round.
 * Figures that could not be measured are NaN: "-" in tables, null in JSON.
 */
#ifndef BENCH_H
#define BENCH_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { BENCH_ROUNDS_MOST = 64, BENCH_TARGETS_MOST = 8 };

/* BIDE_BENCH_QUICK: a few seconds, for figures that only show that all works. */
static inline bool bench_is_quick(void)
{
    return getenv("BIDE_BENCH_QUICK") != NULL;
}

static inline double bench_clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline double bench_now_ns(void)
{
    return bench_clock_ns(CLOCK_MONOTONIC);
}

/* Of this thread. */
static inline double bench_cpu_ns(void)
{
    return bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

_Noreturn static inline void bench_die(const char *what)
{
    perror(what);
    exit(1);
}

/* Medians. */

struct bench_spread {
    double median;
    double least;
    double most;
};

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static inline struct bench_spread bench_spread_of(const double *samples, int count)
{
    double sorted[BENCH_ROUNDS_MOST];

    for (int i = 0; i < count; i++) {
        if (isnan(samples[i]))
            return (struct bench_spread){NAN, NAN, NAN};
        sorted[i] = samples[i];
    }
    qsort(sorted, (size_t)count, sizeof *sorted, bench_compare);
    return (struct bench_spread){
        .median = (sorted[count / 2] + sorted[(count - 1) / 2]) / 2,
        .least = sorted[0],
        .most = sorted[count - 1],
    };
}

static inline struct bench_spread bench_ratios_of(const double *above, const double *below,
                                                  int count)
{
    double ratios[BENCH_ROUNDS_MOST];

    for (int i = 0; i < count; i++)
        ratios[i] = above[i] / below[i];
    return bench_spread_of(ratios, count);
}

/* Of what is counted, not measured. */
static inline struct bench_spread bench_always(double value)
{
    return (struct bench_spread){value, value, value};
}

/* Contenders. */

struct bench_contender {
    const char *name; /* in the table */
    const char *key;  /* in JSON */
    double (*round)(size_t parameter);
    size_t parameter;
    double samples[BENCH_ROUNDS_MOST];
    struct bench_spread result;
    struct bench_spread ratio; /* to the contender that all are compared with */
};

/* One round that does not count, then `rounds` of them. All are compared with `contenders[to]`. */
static inline void bench_interleave(struct bench_contender *contenders, int count, int rounds,
                                    int to)
{
    for (int round = -1; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            double sample = contenders[i].round(contenders[i].parameter);
            if (round >= 0)
                contenders[i].samples[round] = sample;
        }
    }
    for (int i = 0; i < count; i++) {
        contenders[i].result = bench_spread_of(contenders[i].samples, rounds);
        contenders[i].ratio =
            bench_ratios_of(contenders[i].samples, contenders[to].samples, rounds);
    }
}

static inline void bench_print_cell(int width, int digits, double value)
{
    if (isnan(value))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, value);
}

/* The table of bench_interleave: values with so many digits, and the ratio under this heading. */
static inline void bench_print_contenders(const struct bench_contender *contenders, int count,
                                          int digits, const char *ratio_heading)
{
    printf("%-34s %10s %10s %10s %12s\n", "", "median", "least", "most", ratio_heading);
    for (int i = 0; i < count; i++) {
        printf("%-34s", contenders[i].name);
        bench_print_cell(10, digits, contenders[i].result.median);
        bench_print_cell(10, digits, contenders[i].result.least);
        bench_print_cell(10, digits, contenders[i].result.most);
        bench_print_cell(12, 2, contenders[i].ratio.median);
        printf("\n");
    }
}

/* Targets: each is printed as a line and kept for the JSON line. */

struct bench_target {
    const char *key;
    double value;
    double limit;
    bool is_floor; /* at least, not at most */
};

static struct bench_target bench_targets[BENCH_TARGETS_MOST];
static int bench_target_count;

static inline bool bench_is_met(const struct bench_target *target)
{
    return target->is_floor ? target->value >= target->limit : target->value <= target->limit;
}

static inline void bench_target(const char *key, double value, double limit, bool is_floor)
{
    struct bench_target *target = &bench_targets[bench_target_count++];

    *target = (struct bench_target){key, value, limit, is_floor};
    printf("target: %s %s %g:", key, is_floor ? "at least" : "at most", limit);
    bench_print_cell(0, 3, value);
    printf(", %s\n", isnan(value) ? "not measured" : bench_is_met(target) ? "met" : "MISSED");
}

static inline void bench_target_most(const char *key, double value, double most)
{
    bench_target(key, value, most, false);
}

static inline void bench_target_least(const char *key, double value, double least)
{
    bench_target(key, value, least, true);
}

/* The JSON line. */

static inline void bench_json_value(double value)
{
    if (isnan(value))
        printf("null");
    else
        printf("%.6g", value);
}

static inline void bench_json_open(const char *bench)
{
    printf("{\"bench\":\"%s\",\"quick\":%s", bench, bench_is_quick() ? "true" : "false");
}

/* What it is about, for charts and the page. */
static inline void bench_json_title(const char *title)
{
    printf(",\"title\":\"%s\"", title);
}

static inline void bench_json_number(const char *key, double value)
{
    printf(",\"%s\":", key);
    bench_json_value(value);
}

static inline void bench_json_spread(const char *key, struct bench_spread spread)
{
    printf(",\"%s\":{\"median\":", key);
    bench_json_value(spread.median);
    printf(",\"min\":");
    bench_json_value(spread.least);
    printf(",\"max\":");
    bench_json_value(spread.most);
    printf("}");
}

/* Figures of all contenders, and their ratios under key_suffix. */
static inline void bench_json_contenders(const struct bench_contender *contenders, int count,
                                         const char *suffix)
{
    char key[64];

    for (int i = 0; i < count; i++) {
        bench_json_spread(contenders[i].key, contenders[i].result);
        snprintf(key, sizeof key, "%s_%s", contenders[i].key, suffix);
        bench_json_spread(key, contenders[i].ratio);
    }
}

/* The targets, whether all are met (null when one could not be measured), and the end. */
static inline void bench_json_close(void)
{
    bool all_met = true, all_known = true;

    printf(",\"targets\":[");
    for (int i = 0; i < bench_target_count; i++) {
        const struct bench_target *target = &bench_targets[i];
        bool is_known = !isnan(target->value);
        bool is_met = is_known && bench_is_met(target);
        printf("%s{\"figure\":\"%s\",\"%s\":%g,\"value\":", i > 0 ? "," : "", target->key,
               target->is_floor ? "at_least" : "at_most", target->limit);
        bench_json_value(target->value);
        printf(",\"met\":%s}", is_known ? is_met ? "true" : "false" : "null");
        all_known = all_known && is_known;
        all_met = all_met && (is_met || !is_known);
    }
    printf("],\"met\":%s}\n", !all_met ? "false" : all_known ? "true" : "null");
    fflush(stdout);
}

/* The yardstick: one way of a switch between two contexts that do nothing else. */

#ifdef BIDE_BENCH_FCONTEXT

enum { BENCH_FCONTEXT_STACK = 64 * 1024, BENCH_FCONTEXT_SWITCHES = 2000000 };

/* Boost.Context's C interface, which none of its headers declares. */
typedef struct {
    void *fctx;
    void *data;
} transfer_t;

extern transfer_t jump_fcontext(void *to, void *data);
extern void *make_fcontext(void *top, size_t size, void (*entry)(transfer_t));

static void bench_fcontext_loop(transfer_t from)
{
    for (;;)
        from = jump_fcontext(from.fctx, NULL);
}

static inline double bench_fcontext_round(size_t unused)
{
    static void *peer;
    double start;

    (void)unused;
    if (peer == NULL) {
        char *low = mmap(NULL, BENCH_FCONTEXT_STACK, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (low == MAP_FAILED)
            bench_die("mmap");
        peer = make_fcontext(low + BENCH_FCONTEXT_STACK, BENCH_FCONTEXT_STACK, bench_fcontext_loop);
    }
    start = bench_now_ns();
    for (int i = 0; i < BENCH_FCONTEXT_SWITCHES / 2; i++)
        peer = jump_fcontext(peer, NULL).fctx;
    return (bench_now_ns() - start) / BENCH_FCONTEXT_SWITCHES;
}

static inline void bench_fcontext_say(void)
{
    printf("Ratios are to one switch of Boost.Context's jump_fcontext, measured in the same "
           "rounds.\n");
}

#else

static inline double bench_fcontext_round(size_t unused)
{
    (void)unused;
    return NAN;
}

static inline void bench_fcontext_say(void)
{
    printf("Without the static libboost_context.a there is no yardstick: ratios are null.\n");
}

#endif

#define BENCH_FCONTEXT                                                                             \
    {                                                                                              \
        .name = "jump_fcontext, one way", .key = "fcontext_ns", .round = bench_fcontext_round      \
    }

#endif
