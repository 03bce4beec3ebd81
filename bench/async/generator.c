/* SPDX-License-Identifier: MIT */
/*
 * generator.c - one step of a generator: from gen_next to its yield_value and back with the value.
 *
 * There are two switches in a step, so it cannot cost less than twice one of our own, which is
 * measured raw, between two contexts that do nothing else.
 */
#include <bide.h>

#include "peers.h"
#include "raw_switch.h"

static size_t steps = 5000000; /* in a round */
static int rounds = 15;

static bide_generator(long, naturals)
{
    for (long n = 0;; n++)
        bide_yield_value(n);
}

static double step_round(size_t unused)
{
    bide_gen(long) generator = bide_generate(naturals);
    double start = bench_now_ns(), end;
    long sum = 0, value = 0;

    (void)unused;
    for (size_t i = 0; i < steps; i++) {
        bide_gen_next(generator, &value);
        sum += value;
    }
    end = bench_now_ns();
    bide_gen_free(generator);
    if (sum != (long)(steps * (steps - 1) / 2))
        abort();
    return (end - start) / (double)steps;
}

static struct peer_match match = {
    .title = "A step of a generator, ns",
    .workload = "generator",
    .contenders = {{.name = "Bide", .key = "step", .round = step_round},
                   {.name = "our switch, one way", .key = "switch", .round = raw_switch_round},
                   PEERS_FCONTEXT},
    .own = 3,
};
enum { STEP, SWITCH, FCONTEXT };

static int measure(void *unused)
{
    (void)unused;
    peer_match_run(&match, rounds);
    return 0;
}

int main(void)
{
    if (bench_is_quick()) {
        steps /= 5;
        rounds = 7;
    }
    printf("Generators: ns from gen_next to yield_value and back; %d interleaved rounds, ours of\n"
           "%zu steps. Go: a goroutine and a channel.\n",
           rounds, steps);
    peers_start();
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    peer_match_print(&match);
    bench_target_most("step_to_fcontext", match.contenders[FCONTEXT].ratio.median, 3);

    bench_json_open("async/generator");
    bench_json_title("Generator, a step");
    bench_json_number("rounds", rounds);
    peers_json();
    peer_match_json(&match);
    bench_json_close();
    return 0;
}
