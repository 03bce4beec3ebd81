/* SPDX-License-Identifier: MIT */
/*
 * worker_pool.c - many jobs, a few at a time; results as they come; one failure among them.
 *
 * The pool is a group with a limit. There are no workers to be kept: each job is a task, and starts
 * when there is room for it. By itself a failure would cancel the other jobs; here it is collected.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 3 };

static const struct job {
    const char *file;
    int ms; /* it takes */
    bool exists;
} jobs[] = {
    {"cat.png", 30, true}, {"dog.png", 5, true},  {"eel.png", 10, true}, {"fox.png", 20, true},
    {"gnu.png", 5, false}, {"hen.png", 10, true}, {"owl.png", 5, true},  {"yak.png", 20, true},
};

enum { JOBS = sizeof jobs / sizeof *jobs };

static size_t most; /* jobs that lived at once */

/* Returns which job it was. */
static async(int, shrink, bide_group *, pool, int, number)
{
    int err = bide_sleep(BIDE_MS(jobs[number].ms));

    if (bide_group_count(pool) > most)
        most = bide_group_count(pool);
    if (err == 0 && !jobs[number].exists)
        err = -ENOENT;
    return err < 0 ? err : number;
}

async_main
{
    bide_group_error failures[JOBS];
    bide_group pool = {
        .limit = AT_ONCE,
        .keep_results = true,
        .collect_all = true,
        .errors = failures,
        .errors_most = JOBS,
    };
    task(int) ended;
    size_t done = 0;
    bool is_right = true, is_done[JOBS] = {false};

    with_group (&pool) {
        for (int i = 0; i < JOBS; i++)
            spawn_in_with(&pool, &(bide_spawn_options){.name = jobs[i].file}, shrink, &pool, i);
        printf("the last job has begun; %zu are under way\n", bide_group_count(&pool));
        while (bide_group_next(&pool, &ended) == 0) {
            int number = await(ended); /* does not wait: it has ended */
            if (number < 0)
                continue;
            printf("%s took %d ms\n", jobs[number].file, jobs[number].ms);
            is_done[number] = true;
            done++;
        }
    }
    for (size_t i = 0; i < pool.failed; i++)
        printf("%s failed: %s\n", failures[i].task, strerror(-failures[i].error));
    printf("%zu done, %zu failed, at most %zu at once\n", done, pool.failed, most);

    for (int i = 0; i < JOBS; i++)
        is_right = is_right && is_done[i] == jobs[i].exists;
    return is_right && pool.failed == 1 && pool.error == -ENOENT && most == AT_ONCE ? 0 : 1;
}
