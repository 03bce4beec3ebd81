/* SPDX-License-Identifier: MIT */
/*
 * timer.c - arm and cancel one deadline while a million others are pending.
 *
 * Two ways: on the wheel itself, and as users do it, with_timeout around an empty block. All
 * pending deadlines lie between one and two minutes ahead and the new one, at random, anywhere
 * within the next two; so none comes due. The pending timers of the second way are put straight
 * into the running loop's wheel. with_timeout also reads the clock, so a clock reading stands
 * beside it. The random number, 1 to 2 ns, is counted on both ways.
 */
#include <bide.h>

#include "base/wheel.h"
#include "bench.h"
#include "sched/loop.h"

enum { PENDING_MOST = 1000000 };

static size_t calls = 1000000; /* in a round */
static size_t pending = PENDING_MOST;
static int rounds = 15;

static struct bide__timer timers[2][PENDING_MOST]; /* of the wheel, and of the loop */
static struct bide__wheel wheel;
static uint64_t random_state = 88172645463325252ULL;

/* From 0 up to a minute. */
static bide_time random_minute(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (bide_time)((double)(random_state >> 11) * 0x1p-53 * 60e9);
}

static void never(struct bide__timer *timer)
{
    (void)timer;
    abort();
}

static void arm_all(struct bide__wheel *to, struct bide__timer *first)
{
    bide_time now = bide_now();

    for (size_t i = 0; i < pending; i++) {
        bide__timer_init(&first[i], never);
        bide__wheel_add(to, &first[i], now + BIDE_SEC(60) + random_minute());
    }
}

static double wheel_round(size_t unused)
{
    bide_time now = bide_now();
    struct bide__timer timer;
    double start;

    (void)unused;
    bide__timer_init(&timer, never);
    start = bench_now_ns();
    for (size_t i = 0; i < calls; i++) {
        bide__wheel_add(&wheel, &timer, now + 1 + 2 * random_minute());
        bide__wheel_remove(&wheel, &timer);
    }
    return (bench_now_ns() - start) / (double)calls;
}

static double timeout_round(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < calls; i++) {
        /* No deadline of the rounds shall be due when the next one begins. */
        bide_with_timeout (BIDE_SEC(1) + 2 * random_minute()) {
            __asm__ volatile("");
        }
    }
    return (bench_now_ns() - start) / (double)calls;
}

static double clock_round(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < calls; i++)
        bide_now();
    return (bench_now_ns() - start) / (double)calls;
}

static struct bench_contender contenders[] = {
    {.name = "wheel: add + remove", .key = "wheel_ns", .round = wheel_round},
    {.name = "with_timeout, empty block", .key = "with_timeout_ns", .round = timeout_round},
    {.name = "bide_now, once", .key = "now_ns", .round = clock_round},
};
enum { WHEEL, TIMEOUT, CLOCK, CONTENDERS = sizeof contenders / sizeof *contenders };

static int measure(void *unused)
{
    struct bide_loop *loop = bide__loop_need("the benchmark");

    (void)unused;
    bide__wheel_init(&wheel, bide_now());
    arm_all(&wheel, timers[0]);
    arm_all(&loop->timers, timers[1]);
    bench_interleave(contenders, CONTENDERS, rounds, WHEEL);
    for (size_t i = 0; i < pending; i++)
        bide__wheel_remove(&loop->timers, &timers[1][i]);
    return 0;
}

int main(void)
{
    if (bench_is_quick()) {
        calls /= 10;
        rounds = 7;
    }
    printf("Timers: ns to arm one deadline and cancel it, with %zu others pending; %d interleaved\n"
           "rounds of %zu. Ratios are to the wheel.\n",
           pending, rounds, calls);
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    bench_print_contenders(contenders, CONTENDERS, 1, "to wheel");
    bench_target_most("wheel_ns", contenders[WHEEL].result.median, 80);
    bench_target_most("with_timeout_ns", contenders[TIMEOUT].result.median, 80);

    bench_json_open("sched/timer");
    bench_json_title("Arming and cancelling a deadline");
    bench_json_number("rounds", rounds);
    bench_json_number("pending", (double)pending);
    bench_json_contenders(contenders, CONTENDERS, "to_wheel");
    bench_json_close();
    return 0;
}
