/* SPDX-License-Identifier: MIT */
/*
 * timers.c - the workload "timers" of bench/sched/timers_second.c with libevent: callbacks, no
 * tasks.
 */
#include <event2/event.h>
#include <event2/event_struct.h>

#include "peers/workload.h"

static void need(bool is_done, const char *what)
{
    if (!is_done)
        bench_die(what);
}

static size_t fired;

static void on_timer(evutil_socket_t fd, short what, void *unused)
{
    (void)fd;
    (void)what;
    (void)unused;
    fired++;
}

static void timers(size_t count)
{
    double start = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    struct event_config *config = event_config_new();
    struct event *all = malloc(count * sizeof *all);
    struct event_base *base;

    need(config != NULL && all != NULL, "malloc");
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    base = event_base_new_with_config(config);
    need(base != NULL, "event_base_new_with_config");
    for (size_t i = 0; i < count; i++) {
        long us = (long)(workload_nap_ns(i, count) / 1e3);
        struct timeval after = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
        need(event_assign(&all[i], base, -1, 0, on_timer, NULL) == 0, "event_assign");
        need(event_add(&all[i], &after) == 0, "event_add");
    }
    event_base_dispatch(base);
    event_base_free(base);
    event_config_free(config);
    free(all);
    need(fired == count, "timers that did not fire");
    printf("%.4f\n", (bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / 1e9);
}

static const struct workload workloads[] = {
    {.name = "timers", .once = timers},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    char version[64];

    snprintf(version, sizeof version, "libevent %s", event_get_version());
    return workload_main(argc, argv, version, workloads);
}
