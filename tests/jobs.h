/* SPDX-License-Identifier: MIT */
/*
 * jobs.h - what tests of offloaded calls share: a gate that a job waits at, and counting threads.
 *
 *     struct gate gate;
 *     gate_init(&gate);                        // in a task
 *     task(int) t = offload(passes, &gate, 7);
 *     gate_wait(&gate);                        // until it runs
 *     gate_open(&gate, 1);                     // lets one job through
 *     CHECK_EQ(await(t), 7);
 *     gate_end(&gate);
 */
#ifndef BIDE_TESTS_JOBS_H
#define BIDE_TESTS_JOBS_H

#include <bide.h>

#include <bide/short.h>

#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

struct gate {
    bide_loop *loop; /* told of each arrival; NULL when none is to be told */
    bide_event arrived;
    int arrivals; /* the loop's own */
    atomic_int passed;
    sem_t open;
};

static inline void gate_init(struct gate *gate)
{
    memset(gate, 0, sizeof *gate);
    sem_init(&gate->open, 0, 0);
    gate->loop = bide_loop_hold(NULL);
    CHECK(gate->loop != NULL);
}

/* The loop may then end. Jobs at the gate stay there, and may be let through later. */
static inline void gate_forget(struct gate *gate)
{
    bide_loop_release(gate->loop);
    gate->loop = NULL;
}

static inline void gate_open(struct gate *gate, int count)
{
    while (count-- > 0)
        sem_post(&gate->open);
}

static inline void gate_end(struct gate *gate)
{
    if (gate->loop != NULL)
        gate_forget(gate);
    sem_destroy(&gate->open);
}

static inline void gate_arrived(void *arg)
{
    struct gate *gate = arg;

    gate->arrivals++;
    bide_event_set(&gate->arrived);
}

/* Wait until so many jobs have come to the gate. */
static inline void gate_wait_for(struct gate *gate, int arrivals)
{
    while (gate->arrivals < arrivals) {
        bide_event_clear(&gate->arrived);
        CHECK_EQ(bide_event_wait(&gate->arrived), 0);
    }
}

static inline void gate_wait(struct gate *gate)
{
    gate_wait_for(gate, 1);
}

/* On a job's thread. */
static inline void gate_pass(struct gate *gate)
{
    if (gate->loop != NULL)
        CHECK_EQ(bide_post(gate->loop, gate_arrived, gate), 0);
    while (sem_wait(&gate->open) != 0)
        CHECK_EQ(errno, EINTR);
    atomic_fetch_add(&gate->passed, 1);
}

static __attribute__((unused)) async(int, passes, struct gate *, gate, int, value)
{
    gate_pass(gate);
    return value;
}

static __attribute__((unused)) async(int, counts_up, atomic_int *, count, int, value)
{
    atomic_fetch_add(count, 1);
    return value;
}

/* Threads of this process whose name begins so. */
static inline int threads_named(const char *prefix)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    int count = 0;

    CHECK(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL) {
        char path[320], name[32] = "";
        FILE *file;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file == NULL)
            continue;
        if (fgets(name, sizeof name, file) != NULL)
            count += strncmp(name, prefix, strlen(prefix)) == 0;
        fclose(file);
    }
    closedir(tasks);
    return count;
}

/* Wait, outside of any loop, until no thread of a pool is left. */
static inline void threads_gone(void)
{
    while (threads_named("bide-") > 0)
        usleep(1000);
}

#endif
