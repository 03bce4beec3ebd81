/* SPDX-License-Identifier: MIT */
/*
 * process.h - a child process and who owns it.
 *
 * The child itself, a pidfd and its registration, is a piece of memory of its own, as it may
 * outlive the bide_process: freed while it runs, it passes to a task that waits for its end, and
 * from that, when the loop ends first, to a list that all loops of the process share.
 *
 *      bide_process --freed--> reaper (a detached task) --loop ends--> orphans
 *
 * Whoever has it reaps it, and nobody else waits for it.
 */
#ifndef BIDE__IO_PROCESS_H
#define BIDE__IO_PROCESS_H

#include <bide/io/process.h>

#include "io/endpoint.h"

struct bide__child {
    struct bide__child *next;  /* among the orphans */
    struct bide__endpoint end; /* the pidfd; once orphaned only its number counts */
    pid_t pid;
};

enum bide__process_life {
    BIDE__PROCESS_RUNS,  /* or has ended and is not reaped */
    BIDE__PROCESS_ENDED, /* `status` is known */
    BIDE__PROCESS_LOST,  /* it ended, and nobody will know how */
};

struct bide_process {
    struct bide__child *child; /* NULL once reaped or handed over */
    unsigned users;            /* calls in progress; the owner counts as one */
    enum bide__process_life life;
    bool is_freed;
    bool leads_group;  /* the process group of its number */
    bool sweeps_group; /* it was told to end: what is left of the group goes when it is reaped */
    bool kill_on_exit;
    bool had_stdin; /* a pipe, which may be closed by now */
    bide_time grace_ns;
    pid_t pid;
    size_t fed; /* bytes of the input that communicate has written */
    bide_stream *pipes[3];
    bide_process_status status;
};

/* Keep the memory while a call runs. */
void bide__process_hold(bide_process *process);
void bide__process_let_go(bide_process *process);

/*
 * Start what the options say, and fill the process's child, pid and pipes. On failure nothing is
 * left of it.
 */
int bide__process_start(struct bide__epoll *epoll, bide_process *process, const char *const argv[],
                        const bide_process_options *options);

/* Kill and reap a child that nobody has seen. Its memory is gone after the call. */
void bide__child_undo(struct bide__child *child);

#endif
