/* SPDX-License-Identifier: MIT */
/*
 * signal.h - catching signals, for whoever waits for them.
 */
#ifndef BIDE__IO_SIGNAL_H
#define BIDE__IO_SIGNAL_H

#include <bide/io/signal.h>

#include "sched/loop.h"

/*
 * Catch signals until bide__signals_drop. While `counts`, tasks that sleep for ever are no
 * deadlock: a signal may come.
 */
int bide__signals_catch(const int *numbers, size_t count, bool counts, bide_signals **out);
void bide__signals_drop(bide_signals *signals);

/* Wait for the next signal: its number, or -ECANCELED, -ETIMEDOUT. One task at a time. */
int bide__signals_take(bide_signals *signals);

#endif
