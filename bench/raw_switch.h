/* SPDX-License-Identifier: MIT */
/*
 * raw_switch.h - our own switch, one way, between two contexts that do nothing else: what is left
 * of a task's when there is no scheduler.
 */
#ifndef RAW_SWITCH_H
#define RAW_SWITCH_H

#include "bench.h"
#include "context/context.h"

enum { RAW_SWITCH_STACK = 64 * 1024, RAW_SWITCHES = 2000000 };

static void *raw_switch_main;
static void *raw_switch_peer;

static inline char *raw_switch_stack_top(void)
{
    char *low =
        mmap(NULL, RAW_SWITCH_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (low == MAP_FAILED)
        bench_die("mmap");
    return low + RAW_SWITCH_STACK;
}

static void *raw_switch_loop(void *arg)
{
    (void)arg;
    for (;;)
        bide__context_switch(&raw_switch_peer, raw_switch_main);
    return raw_switch_main;
}

static inline double raw_switch_round(size_t unused)
{
    double start;

    (void)unused;
    if (raw_switch_peer == NULL)
        raw_switch_peer = bide__context_make(raw_switch_stack_top(), raw_switch_loop, NULL);
    start = bench_now_ns();
    for (int i = 0; i < RAW_SWITCHES / 2; i++)
        bide__context_switch(&raw_switch_main, raw_switch_peer);
    return (bench_now_ns() - start) / RAW_SWITCHES;
}

#endif
