/* SPDX-License-Identifier: MIT */
/*
 * report.h - what the scheduler says to people.
 */
#ifndef BIDE__SCHED_REPORT_H
#define BIDE__SCHED_REPORT_H

#include "sched/loop.h"

/* Text for one task: its name, number and where it was spawned. */
struct bide__label {
    char text[256];
};

struct bide__label bide__task_label(const struct bide_task *task);
struct bide__label bide__site_label(const bide_site *site);

/* Hand one report to the loop's on_report, or print it as a line. `task` may be NULL. */
void bide__report(struct bide_loop *loop, enum bide_report_kind kind, int error,
                  const struct bide_task *task, const bide_site *site, const char *format, ...)
    BIDE__PRINTF(6, 7);

/* Count and report a failure of an offloaded call that nobody awaits any more. */
void bide__report_job_failed(struct bide_loop *loop, const bide_site *site, int failure);

/* One line a sleeping task: what it waits for, and where. */
void bide__report_deadlock(struct bide_loop *loop);

/* One line a task that was told to end and has not. */
void bide__report_lingering(struct bide_loop *loop);

/* For the overflow handler; `arg` is the loop. Async-signal-safe. */
void bide__report_overflow(void *arg);

#endif
