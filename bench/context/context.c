/* SPDX-License-Identifier: MIT */
/*
 * context.c - nanoseconds for one switch, one way.
 *
 * Two loops on two stacks hand over to each other and do nothing else. The contenders take turns
 * within one run, round after round, so that a change of clock speed or a noisy neighbour meets all
 * of them; the medians are compared.
 *
 * jump_fcontext is measured when built with -DBIDE_BENCH_FCONTEXT and linked with the static
 * libboost_context.a. It is called directly, not through our fcontext backend.
 */
#include "context/context.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

enum { ROUNDS = 31, STACK_BYTES = 64 * 1024 };

/* One-way switches in a round. swapcontext enters the kernel twice each time, so it gets fewer. */
enum { FAST_SWITCHES = 2000000, SLOW_SWITCHES = 100000 };

static char *new_stack_top(void)
{
    char *low = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (low == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return low + STACK_BYTES;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *samples, int count)
{
    qsort(samples, (size_t)count, sizeof *samples, compare_doubles);
    return samples[count / 2];
}

/* Ours. */

static void *ours_main;
static void *ours_peer;

static void *ours_loop(void *arg)
{
    (void)arg;
    for (;;)
        bide__context_switch(&ours_peer, ours_main);
    return ours_main;
}

static void ours_start(void)
{
    ours_peer = bide__context_make(new_stack_top(), ours_loop, NULL);
}

static double ours_round(void)
{
    double start = now_ns();
    for (int i = 0; i < FAST_SWITCHES / 2; i++)
        bide__context_switch(&ours_main, ours_peer);
    return (now_ns() - start) / FAST_SWITCHES;
}

/* Boost.Context, whose C interface no header declares. */

#ifdef BIDE_BENCH_FCONTEXT
typedef struct {
    void *fctx;
    void *data;
} transfer_t;

extern transfer_t jump_fcontext(void *to, void *data);
extern void *make_fcontext(void *top, size_t size, void (*entry)(transfer_t));

static void *fcontext_peer;

static void fcontext_loop(transfer_t t)
{
    for (;;)
        t = jump_fcontext(t.fctx, NULL);
}

static void fcontext_start(void)
{
    fcontext_peer = make_fcontext(new_stack_top(), STACK_BYTES, fcontext_loop);
}

static double fcontext_round(void)
{
    void *peer = fcontext_peer;
    double start = now_ns();
    for (int i = 0; i < FAST_SWITCHES / 2; i++)
        peer = jump_fcontext(peer, NULL).fctx;
    fcontext_peer = peer;
    return (now_ns() - start) / FAST_SWITCHES;
}
#endif

/* The C library's. */

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
    ucontext_peer.uc_stack.ss_sp = new_stack_top() - STACK_BYTES;
    ucontext_peer.uc_stack.ss_size = STACK_BYTES;
    ucontext_peer.uc_link = NULL;
    makecontext(&ucontext_peer, ucontext_loop, 0);
}

static double ucontext_round(void)
{
    double start = now_ns();
    for (int i = 0; i < SLOW_SWITCHES / 2; i++)
        swapcontext(&ucontext_main, &ucontext_peer);
    return (now_ns() - start) / SLOW_SWITCHES;
}

struct contender {
    const char *name;
    void (*start)(void);
    double (*round)(void);
    double ns[ROUNDS];
    double median_ns;
};

static struct contender contenders[] = {
    {.name = "ours", .start = ours_start, .round = ours_round},
    {.name = "swapcontext", .start = ucontext_start, .round = ucontext_round},
#ifdef BIDE_BENCH_FCONTEXT
    {.name = "jump_fcontext", .start = fcontext_start, .round = fcontext_round},
#endif
};
enum { OURS, UCONTEXT, FCONTEXT, CONTENDERS = sizeof contenders / sizeof *contenders };

int main(void)
{
    for (int c = 0; c < CONTENDERS; c++) {
        contenders[c].start();
        contenders[c].round();
    }
    for (int r = 0; r < ROUNDS; r++)
        for (int c = 0; c < CONTENDERS; c++)
            contenders[c].ns[r] = contenders[c].round();

    printf("method: two contexts hand over to each other; contenders in turn, %d rounds of %d "
           "switches\n",
           ROUNDS, FAST_SWITCHES);
    printf("(swapcontext: %d); ns per switch, one way; backend %s\n", SLOW_SWITCHES,
           bide__context_backend);
    printf("%-14s %8s %8s %8s %8s\n", "", "median", "least", "most", "to ours");
    for (int c = 0; c < CONTENDERS; c++) {
        struct contender *k = &contenders[c];
        k->median_ns = median(k->ns, ROUNDS);
        printf("%-14s %8.2f %8.2f %8.2f %8.2f\n", k->name, k->median_ns, k->ns[0],
               k->ns[ROUNDS - 1], k->median_ns / contenders[OURS].median_ns);
    }

    double ours = contenders[OURS].median_ns;
    printf("{\"bench\":\"context/switch\",\"unit\":\"ns\",\"ours\":%.3f", ours);
    if (CONTENDERS > FCONTEXT)
        printf(",\"fcontext\":%.3f", contenders[CONTENDERS - 1].median_ns);
    else
        printf(",\"fcontext\":null");
    printf(",\"swapcontext\":%.3f", contenders[UCONTEXT].median_ns);
    if (CONTENDERS > FCONTEXT)
        printf(",\"ratio_fcontext\":%.3f}\n", ours / contenders[CONTENDERS - 1].median_ns);
    else
        printf(",\"ratio_fcontext\":null}\n");
    return 0;
}
