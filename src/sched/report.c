/* SPDX-License-Identifier: MIT */
/*
 * report.c - what the scheduler says to people: one line a fact, naming the task and where it was
 * spawned.
 */
#include "sched/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "sched/waitq.h"

enum {
    LINES_MOST = 100
}; /* of one deadlock report: a million sleepers are not worth a million lines */

struct bide__label bide__site_label(const bide_site *site)
{
    struct bide__label label;

    if (site == NULL)
        snprintf(label.text, sizeof label.text, "the first task");
    else
        snprintf(label.text, sizeof label.text, "'%s' at %s:%d in %s()", site->name, site->file,
                 site->line, site->function);
    return label;
}

struct bide__label bide__task_label(const struct bide_task *task)
{
    struct bide__label label;

    if (task->site == NULL)
        snprintf(label.text, sizeof label.text, "task '%s' #%llu (the first)", task->name,
                 (unsigned long long)task->id);
    else
        snprintf(label.text, sizeof label.text, "task '%s' #%llu (spawned at %s:%d in %s())",
                 task->name, (unsigned long long)task->id, task->site->file, task->site->line,
                 task->site->function);
    return label;
}

void bide__report(struct bide_loop *loop, enum bide_report_kind kind, int error,
                  const struct bide_task *task, const bide_site *site, const char *format, ...)
{
    char message[768];
    va_list args;
    bide_report report = {
        .kind = kind,
        .error = error,
        .task = task != NULL   ? task->name
                : site != NULL ? site->name
                               : "",
        .site = task != NULL ? task->site : site,
        .message = message,
    };

    if (loop->options.on_report == NULL && kind == BIDE_REPORT_TASK_FAILED && !loop->options.debug)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (loop->options.on_report != NULL)
        loop->options.on_report(&report, loop->options.report_arg);
    else
        bide__say("%s", message);
}

void bide__report_job_failed(struct bide_loop *loop, const bide_site *site, int failure)
{
    loop->stats.tasks_failed++;
    bide__report(loop, BIDE_REPORT_TASK_FAILED, failure, NULL, site,
                 "%s was offloaded and failed with %d, and nobody awaits it",
                 bide__site_label(site).text, failure);
}

/* A report of a line a task. */
struct listing {
    struct bide_loop *loop;
    unsigned lines;
};

static void report_sleeper(struct bide_task *task, void *arg)
{
    struct listing *deadlock = arg;
    const struct bide__waiter *waiter = task->waiter;
    const char *what;
    char on[400] = "", at[300] = "";

    if (waiter == NULL || deadlock->lines++ >= LINES_MOST)
        return;
    what = waiter->what != NULL ? waiter->what : "wait";
    if (waiter->awaits != NULL)
        snprintf(on, sizeof on, " of %s", bide__task_label(waiter->awaits).text);
    if (waiter->site != NULL)
        snprintf(at, sizeof at, " at %s:%d in %s()", waiter->site->file, waiter->site->line,
                 waiter->site->function);
    bide__report(deadlock->loop, BIDE_REPORT_DEADLOCK, -EDEADLK, task, NULL,
                 "deadlock: %s sleeps in %s%s%s", bide__task_label(task).text, what, on, at);
}

void bide__report_deadlock(struct bide_loop *loop)
{
    struct listing deadlock = {.loop = loop};

    bide__report(
        loop, BIDE_REPORT_DEADLOCK, -EDEADLK, NULL, NULL,
        "deadlock: %llu task(s) sleep, and no timer, descriptor or other task can wake them; "
        "all are cancelled",
        (unsigned long long)loop->stats.tasks_living);
    bide__loop_each(loop, report_sleeper, &deadlock);
    if (deadlock.lines > LINES_MOST)
        bide__report(loop, BIDE_REPORT_DEADLOCK, -EDEADLK, NULL, NULL,
                     "deadlock: and %u more tasks", deadlock.lines - LINES_MOST);
}

static void report_lingerer(struct bide_task *task, void *arg)
{
    struct listing *lingering = arg;
    const char *what = task->waiter != NULL ? task->waiter->what : NULL;

    if (task->state != BIDE__TASK_LIVE || lingering->lines++ >= LINES_MOST)
        return;
    bide__report(
        lingering->loop, BIDE_REPORT_LINGERING, -ECANCELED, task, NULL,
        "ending: %s was cancelled when the first task ended, and %s%s; it must return when "
        "calls say -ECANCELED",
        bide__task_label(task).text, what != NULL ? "still sleeps in " : "still runs",
        what != NULL ? what : "");
}

void bide__report_lingering(struct bide_loop *loop)
{
    struct listing lingering = {.loop = loop};

    bide__loop_each(loop, report_lingerer, &lingering);
}

void bide__report_overflow(void *arg)
{
    const struct bide_loop *loop = arg;
    const struct bide_task *task = loop->current;

    if (task == &loop->root || task == &loop->poster) {
        bide__say("stack overflow: the loop itself touched a task's guard page");
        return;
    }
    bide__say("stack overflow: %s used up its stack of %zu bytes; give it a larger one "
              "(spawn_with .stack_bytes, or bide_options.stack_bytes for all), or use less of it: "
              "no deep recursion, no large local arrays",
              bide__task_label(task).text, bide__stack_bytes(&task->stack));
}
