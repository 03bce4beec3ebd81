/* SPDX-License-Identifier: MIT */
/*
 * context.c - nanoseconds for one switch, one way.
 *
 * Two loops on two stacks hand over to each other and do nothing else. The contenders take turns
 * within one run, round after round, so that a change of clock speed or a noisy neighbour meets all
 * of them.
 *
 * jump_fcontext is measured when built with -DBIDE_BENCH_FCONTEXT and linked with the static
 * libboost_context.a. It is called directly, not through our fcontext backend.
 */
#include "raw_switch.h"

#include <ucontext.h>

/* swapcontext enters the kernel twice each time, so it gets fewer switches in a round. */
enum { ROUNDS = 31, SLOW_SWITCHES = 100000 };

static ucontext_t ucontext_main;
static ucontext_t ucontext_peer;

static void ucontext_loop(void)
{
    for (;;)
        swapcontext(&ucontext_peer, &ucontext_main);
}

static void ucontext_start(void)
{
    getcontext(&ucontext_peer);
    ucontext_peer.uc_stack.ss_sp = raw_switch_stack_top() - RAW_SWITCH_STACK;
    ucontext_peer.uc_stack.ss_size = RAW_SWITCH_STACK;
    ucontext_peer.uc_link = NULL;
    makecontext(&ucontext_peer, ucontext_loop, 0);
}

static double ucontext_round(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (int i = 0; i < SLOW_SWITCHES / 2; i++)
        swapcontext(&ucontext_main, &ucontext_peer);
    return (bench_now_ns() - start) / SLOW_SWITCHES;
}

static struct bench_contender contenders[] = {
    {.name = "ours", .key = "ours", .round = raw_switch_round},
    {.name = "swapcontext", .key = "swapcontext", .round = ucontext_round},
    {.name = "jump_fcontext", .key = "fcontext", .round = bench_fcontext_round},
};
enum { OURS, UCONTEXT, FCONTEXT, CONTENDERS = sizeof contenders / sizeof *contenders };

int main(void)
{
    struct bench_spread to_fcontext;

    ucontext_start();
    bench_interleave(contenders, CONTENDERS, ROUNDS, OURS);
    to_fcontext = bench_ratios_of(contenders[OURS].samples, contenders[FCONTEXT].samples, ROUNDS);

    printf("method: two contexts hand over to each other; contenders in turn, %d rounds of %d "
           "switches\n",
           ROUNDS, RAW_SWITCHES);
    printf("(swapcontext: %d); ns per switch, one way; backend %s\n", SLOW_SWITCHES,
           bide__context_backend);
    printf("%-14s %8s %8s %8s %8s\n", "", "median", "least", "most", "to ours");
    for (int c = 0; c < CONTENDERS; c++) {
        const struct bench_contender *k = &contenders[c];
        printf("%-14s", k->name);
        bench_print_cell(8, 2, k->result.median);
        bench_print_cell(8, 2, k->result.least);
        bench_print_cell(8, 2, k->result.most);
        bench_print_cell(8, 2, k->ratio.median);
        printf("\n");
    }

    bench_json_open("context/switch");
    bench_json_title("A switch between two contexts, one way");
    printf(",\"backend\":\"%s\",\"peers\":{\"swapcontext\":\"swapcontext\"}",
           bide__context_backend);
    bench_json_number("rounds", ROUNDS);
    bench_json_spread("switch_ns", contenders[OURS].result);
    bench_json_spread("switch_fcontext_ns", contenders[FCONTEXT].result);
    bench_json_spread("switch_to_fcontext", to_fcontext);
    bench_json_spread("switch_swapcontext_ns", contenders[UCONTEXT].result);
    bench_json_spread(
        "switch_to_swapcontext",
        bench_ratios_of(contenders[OURS].samples, contenders[UCONTEXT].samples, ROUNDS));
    bench_json_close();
    return 0;
}
