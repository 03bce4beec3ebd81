/* SPDX-License-Identifier: MIT */
/*
 * loop.h - one thread's scheduler: its options, what it reports, what it counts.
 *
 * A loop lives as long as the bide_run that started it (bide/runtime/run.h), or from bide_loop_open
 * to bide_loop_close (bide/runtime/embed.h). It runs ready tasks in the order in which they became
 * ready, and looks at timers and I/O when none is ready, and every so many switches even when some
 * always is.
 */
#ifndef BIDE_SCHED_LOOP_H
#define BIDE_SCHED_LOOP_H

#include <bide/base/api.h>
#include <bide/base/time.h>
#include <bide/sched/task.h>

/* What a loop has to tell that no return value says. */
enum bide_report_kind {
    BIDE_REPORT_TASK_FAILED,  /* a detached task returned a negative number */
    BIDE_REPORT_SPAWN_FAILED, /* no stack, or tasks_max reached; spawn returned NULL */
    BIDE_REPORT_NOT_AWAITED,  /* the loop ended, and nobody had awaited or detached this task */
    BIDE_REPORT_DEADLOCK,     /* one a sleeping task: nothing is left that could wake it */
    BIDE_REPORT_LINGERING, /* seconds after it was told to end with the loop, a task still lives */
    BIDE_REPORT_ACCEPT, /* a listener backs off: no descriptor or memory for the next connection */
    BIDE_REPORT_JOB_DROPPED, /* the loop ended before an offloaded call had run, or had returned */
    BIDE_REPORT_LOST_WRITE,  /* a file stream was closed, and not all could be written */
    BIDE_REPORT_SEED,        /* bide_test_seeds found a seed under which the run fails */
};

typedef struct bide_report {
    enum bide_report_kind kind;
    int error;             /* negative errno, or the task's result */
    const char *task;      /* the task's name */
    const bide_site *site; /* where it was spawned; NULL for the first task */
    const char *message;   /* one line in words, without a newline; borrowed for the call */
} bide_report;

/* Choices for one loop; zero means the default. */
typedef struct bide_options {
    size_t stack_bytes;        /* usable stack of a task that asks for none of its own: 256 KiB */
    size_t tasks_max;          /* spawns beyond so many living tasks fail; 0 for no limit */
    bool debug;                /* print failed detached tasks as well */
    bool no_overflow_report;   /* install no SIGSEGV and SIGBUS handlers */
    bool overflow_report;      /* install them for a loop of bide_loop_open, too */
    unsigned threads_max;      /* for offloaded calls and files; 32 */
    unsigned name_threads_max; /* for resolving names; 8 */
    unsigned jobs_max;         /* that wait for a thread; who offloads more waits: 1,024 */
    bide_time threads_idle_ns; /* after which an idle thread ends; 10 s */
    /*
     * How long the end of the loop waits for offloaded calls that nobody awaits; below 0 not at
     * all. What has not run then never will, and each is reported. 5 s.
     */
    bide_time jobs_drain_ns;
    /*
     * How long the loop, before it sleeps, goes on looking for events, timers and posts: 0 for not
     * at all, a second at most. What comes meanwhile is served sooner, since nothing has to be
     * woken, at the price of that much of a processor. When it was in vain, the next sleep goes
     * without, then the next 3, 7, at last 15, until it pays off again; so a program that idles
     * hardly spins. Worth it where the answer to what was just sent comes within tens of
     * microseconds, and a processor is free. Not under bide_test_run and bide_loop_open.
     */
    bide_time spin_ns;
    /* Called instead of printing a line on standard error; must not park. */
    void (*on_report)(const bide_report *, void *arg);
    void *report_arg;
} bide_options;

typedef struct bide_stats {
    uint64_t tasks_spawned;
    uint64_t tasks_living;   /* spawned and not ended */
    uint64_t tasks_most;     /* the most that lived at once */
    uint64_t tasks_failed;   /* detached tasks that returned a negative number */
    uint64_t turns;          /* times a task was given the processor */
    uint64_t polls;          /* times the loop looked at I/O and timers */
    uint64_t sleeps;         /* polls that were allowed to wait */
    uint64_t spins;          /* sleeps that began with spinning (bide_options.spin_ns) */
    uint64_t spins_in_vain;  /* after which the loop did have to wait */
    uint64_t stacks_made;    /* reserved so far */
    uint64_t stacks_pooled;  /* free, with memory resident */
    uint64_t control_bytes;  /* memory of a task beside its stack */
    uint64_t accept_refused; /* times a listener backed off for want of a descriptor or memory */
} bide_stats;

/**
 * Copy the running loop's counters.
 *
 * @param stats  borrowed; filled
 *
 * Returns nothing; outside a loop every counter is 0.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
BIDE_API void bide_loop_stats(bide_stats *stats);

#endif
