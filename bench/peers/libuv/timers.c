/* SPDX-License-Identifier: MIT */
/*
 * timers.c - the workload "timers" of bench/sched/timers_second.c with libuv: callbacks, no tasks.
 *
 * Its timers take whole milliseconds.
 */
#include <uv.h>

#include "peers/workload.h"

static void need(int err, const char *what)
{
    if (err == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(err));
    exit(1);
}

static size_t fired;

static void on_timer(uv_timer_t *timer)
{
    fired++;
    uv_close((uv_handle_t *)timer, NULL);
}

static void timers(size_t count)
{
    double start = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uv_timer_t *all = malloc(count * sizeof *all);

    if (all == NULL)
        bench_die("malloc");
    for (size_t i = 0; i < count; i++) {
        need(uv_timer_init(uv_default_loop(), &all[i]), "uv_timer_init");
        need(uv_timer_start(&all[i], on_timer, (uint64_t)(workload_nap_ns(i, count) / 1e6), 0),
             "uv_timer_start");
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    free(all);
    if (fired != count)
        exit(1);
    printf("%.4f\n", (bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / 1e9);
}

static const struct workload workloads[] = {
    {.name = "timers", .once = timers},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    char version[64];

    snprintf(version, sizeof version, "libuv %s", uv_version_string());
    return workload_main(argc, argv, version, workloads);
}
