/* SPDX-License-Identifier: MIT */
/*
 * offload.c - calls on threads: a round trip, many in flight, and what the loop does meanwhile.
 *
 * Round trip: hand an empty job to a thread and wait for its end. The yardstick does the same with
 * one mutex and two condition variables. In flight: a thousand jobs are handed over, then all are
 * waited for; the yardstick is a queue with one mutex, and a counter that the last job signals. At
 * rest: a hundred jobs sleep on threads; the loop's polls are counted.
 */
#include <bide.h>

#include <pthread.h>
#include <unistd.h>

#include "bench.h"

enum { IN_FLIGHT = 1000, THREADS = 4, ASLEEP = 100 };

static size_t trips = 20000; /* in a round */
static size_t waves = 20;
static int rounds = 15;
static int sleep_ms = 1000;

/* The yardstick: a pool as small as one can be. */

struct plain_job {
    struct plain_job *next;
    void (*work)(struct plain_job *job);
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct plain_job *first, **end;
    size_t left; /* until the one who waits is told */
} plain = {PTHREAD_MUTEX_INITIALIZER,
           PTHREAD_COND_INITIALIZER,
           PTHREAD_COND_INITIALIZER,
           NULL,
           &plain.first,
           0};

static void *plain_main(void *unused)
{
    pthread_mutex_lock(&plain.lock);
    for (;;) {
        struct plain_job *job = plain.first;
        if (job == NULL) {
            pthread_cond_wait(&plain.work, &plain.lock);
            continue;
        }
        plain.first = job->next;
        if (plain.first == NULL)
            plain.end = &plain.first;
        pthread_mutex_unlock(&plain.lock);
        job->work(job);
        pthread_mutex_lock(&plain.lock);
        if (--plain.left == 0)
            pthread_cond_signal(&plain.done);
    }
    return unused;
}

static void plain_start(int threads)
{
    pthread_t thread;

    while (threads-- > 0) {
        if (pthread_create(&thread, NULL, plain_main, NULL) != 0)
            bench_die("pthread_create");
        pthread_detach(thread);
    }
}

static void plain_put(struct plain_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&plain.lock);
    *plain.end = job;
    plain.end = &job->next;
    plain.left++;
    pthread_mutex_unlock(&plain.lock);
    pthread_cond_signal(&plain.work);
}

static void plain_wait(void)
{
    pthread_mutex_lock(&plain.lock);
    while (plain.left > 0)
        pthread_cond_wait(&plain.done, &plain.lock);
    pthread_mutex_unlock(&plain.lock);
}

static void plain_nothing(struct plain_job *job)
{
    (void)job;
}

static double plain_trip_round(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < trips; i++) {
        struct plain_job job = {.work = plain_nothing};
        plain_put(&job);
        plain_wait();
    }
    return (bench_now_ns() - start) / (double)trips;
}

static double plain_flight_round(size_t unused)
{
    static struct plain_job jobs[IN_FLIGHT];
    double start = bench_now_ns();

    (void)unused;
    for (size_t wave = 0; wave < waves; wave++) {
        for (int i = 0; i < IN_FLIGHT; i++) {
            jobs[i].work = plain_nothing;
            plain_put(&jobs[i]);
        }
        plain_wait();
    }
    return (bench_now_ns() - start) / (double)(waves * IN_FLIGHT);
}

static bide_async(int, nothing, int, value)
{
    return value;
}

static double trip_round(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < trips; i++)
        bide_await(bide_offload(nothing, (int)i));
    return (bench_now_ns() - start) / (double)trips;
}

static double flight_round(size_t unused)
{
    static bide_task(int) jobs[IN_FLIGHT];
    double start = bench_now_ns();

    (void)unused;
    for (size_t wave = 0; wave < waves; wave++) {
        for (int i = 0; i < IN_FLIGHT; i++)
            jobs[i] = bide_offload(nothing, i);
        for (int i = 0; i < IN_FLIGHT; i++)
            bide_await(jobs[i]);
    }
    return (bench_now_ns() - start) / (double)(waves * IN_FLIGHT);
}

static struct bench_contender trip[] = {
    {.name = "mutex and two conditions", .key = "plain_trip_ns", .round = plain_trip_round},
    {.name = "offload and await", .key = "trip_ns", .round = trip_round},
};

static struct bench_contender flight[] = {
    {.name = "a queue and a mutex", .key = "plain_flight_ns", .round = plain_flight_round},
    {.name = "offload, then await", .key = "flight_ns", .round = flight_round},
};

enum { CONTENDERS = 2 };

static int measure_trip(void *unused)
{
    (void)unused;
    plain_start(1);
    bench_interleave(trip, CONTENDERS, rounds, 0);
    return 0;
}

static int measure_flight(void *unused)
{
    (void)unused;
    plain_start(THREADS - 1); /* beside the one that is there already */
    bench_interleave(flight, CONTENDERS, rounds, 0);
    return 0;
}

static bide_async(int, naps, int, ms)
{
    return usleep((useconds_t)ms * 1000);
}

static double polls_at_rest, cpu_at_rest_ms;

static int measure_rest(void *unused)
{
    static bide_task(int) jobs[ASLEEP];
    bide_stats before, after;
    double cpu_ns;

    (void)unused;
    for (int i = 0; i < ASLEEP; i++)
        jobs[i] = bide_offload(naps, sleep_ms);
    bide_loop_stats(&before);
    cpu_ns = bench_cpu_ns();
    for (int i = 0; i < ASLEEP; i++)
        bide_await(jobs[i]);
    cpu_at_rest_ms = (bench_cpu_ns() - cpu_ns) / 1e6;
    bide_loop_stats(&after);
    polls_at_rest = (double)(after.polls - before.polls);
    return 0;
}

int main(void)
{
    if (bench_is_quick()) {
        trips /= 10;
        waves /= 10;
        rounds = 7;
        sleep_ms = 200;
    }
    printf("Calls on threads; %d interleaved rounds of %zu round trips, and of %zu times %d jobs\n"
           "in flight on %d threads.\n",
           rounds, trips, waves, IN_FLIGHT, THREADS);
    fflush(stdout);
    if (bide_run(measure_trip, NULL, &(bide_options){.threads_max = 1}) != 0 ||
        bide_run(measure_flight, NULL, &(bide_options){.threads_max = THREADS}) != 0 ||
        bide_run(measure_rest, NULL, &(bide_options){.threads_max = ASLEEP}) != 0)
        return 1;

    printf("\nRound trip, ns\n");
    bench_print_contenders(trip, CONTENDERS, 0, "to plain");
    printf("\n%d in flight, ns a job\n", IN_FLIGHT);
    bench_print_contenders(flight, CONTENDERS, 0, "to plain");
    printf("\n%d jobs that sleep %d ms: %.0f polls, %.2f ms of the loop's CPU time\n", ASLEEP,
           sleep_ms, polls_at_rest, cpu_at_rest_ms);
    bench_target_most("trip_to_plain", trip[1].ratio.median, 1.3);
    bench_target_most("polls_at_rest", polls_at_rest, ASLEEP + 5);

    bench_json_open("runtime/offload");
    bench_json_title("Offloaded calls");
    bench_json_number("rounds", rounds);
    bench_json_contenders(trip, CONTENDERS, "to_plain");
    bench_json_contenders(flight, CONTENDERS, "to_plain");
    bench_json_number("polls_at_rest", polls_at_rest);
    bench_json_number("cpu_at_rest_ms", cpu_at_rest_ms);
    bench_json_close();
    return 0;
}
