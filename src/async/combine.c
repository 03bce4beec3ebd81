/* SPDX-License-Identifier: MIT */
/*
 * combine.c - one waiter, and a watch on each of several tasks.
 */
#include <bide/async/combine.h>

#include <errno.h>

#include "async/combine.h"
#include "async/future.h"
#include "async/handle.h"
#include "sched/report.h"
#include "sched/waitq.h"

enum { MOST = 16 };

struct entry {
    struct bide__watch watch;
    struct combination *all;
    struct bide_task *task; /* not to be looked at once it has ended: others may have taken it */
    bool has_ended;
};

struct combination {
    struct bide__waiter waiter;
    int count;
    int first;      /* the index of the first that ended; -1 before */
    bool needs_all; /* and not only one of them */
    struct entry entries[MOST];
};

static void ended(struct bide__watch *watch, struct bide_task *task)
{
    struct entry *entry = BIDE__CONTAINER(watch, struct entry, watch);
    struct combination *all = entry->all;

    (void)task;
    entry->has_ended = true;
    if (all->first < 0)
        all->first = (int)(entry - all->entries);
    bide__wake(&all->waiter, 0);
}

const struct bide_task *bide__combine_waits_for(const struct bide_task *task)
{
    for (const struct bide__list *at = task->watches.next; at != &task->watches; at = at->next) {
        const struct bide__watch *watch = BIDE__CONTAINER(at, struct bide__watch, link);
        const struct combination *all;
        if (watch->ended != ended)
            continue;
        all = BIDE__CONTAINER(watch, struct entry, watch)->all;
        if (all->needs_all)
            return all->waiter.owner;
    }
    return NULL;
}

static int deadlock(const struct bide_task *self, const struct bide_task *task,
                    const bide_site *site)
{
    bide__report(self->loop, BIDE_REPORT_DEADLOCK, -EDEADLK, self, NULL,
                 "%s: %s would wait for %s, which would never end", bide__site_label(site).text,
                 bide__task_label(self).text,
                 task == self ? "itself" : bide__task_label(task).text);
    return -EDEADLK;
}

/*
 * Look the handles up and watch those that live. -EDEADLK, reported, when the wait could never end;
 * else `finish` has to be called.
 */
static int begin(struct combination *all, const uintptr_t *handles, int count, const char *call,
                 const bide_site *site)
{
    struct bide_task *self = bide__task_need(call);

    bide__assert(count >= 1 && count <= MOST);
    all->waiter = (struct bide__waiter)BIDE__WAITER(all->waiter, call);
    all->waiter.owner = self;
    all->waiter.site = site;
    all->count = count;
    all->first = -1;
    all->needs_all = false;
    for (int i = 0; i < count; i++) {
        struct bide_task *task = bide__handle_task(handles[i], call, site);
        if (bide__handle_leads_to(task, self))
            return deadlock(self, task, site);
        all->entries[i] = (struct entry){.watch.ended = ended, .all = all, .task = task};
        bide__list_init(&all->entries[i].watch.link);
    }
    for (int i = count - 1; i >= 0; i--) {
        struct entry *entry = &all->entries[i];
        if (entry->task->state == BIDE__TASK_LIVE)
            bide__task_watch(entry->task, &entry->watch);
        else
            ended(&entry->watch, entry->task);
    }
    for (int i = 0; i < count && all->first >= 0; i++)
        if (all->entries[i].has_ended) {
            all->first = i;
            break;
        }
    return 0;
}

static void finish(struct combination *all)
{
    for (int i = 0; i < all->count; i++)
        bide__list_remove(&all->entries[i].watch.link);
}

static int park(struct combination *all, bool passes_cancel)
{
    all->waiter.passes_cancel = passes_cancel;
    return bide__park(&all->waiter);
}

/*
 * Somebody may have begun to wait for us while we were about to run, and so were seen to wait for
 * nobody.
 */
static int look_again(const struct combination *all)
{
    const struct bide_task *self = all->waiter.owner;

    for (int i = 0; i < all->count; i++) {
        const struct entry *entry = &all->entries[i];
        if (!entry->has_ended && bide__handle_leads_to(entry->task, self))
            return deadlock(self, entry->task, all->waiter.site);
    }
    return 0;
}

static bool any_pending(const struct combination *all, bool futures_too)
{
    for (int i = 0; i < all->count; i++) {
        const struct entry *entry = &all->entries[i];
        if (!entry->has_ended && (futures_too || !entry->task->is_future))
            return true;
    }
    return false;
}

/* Tell the tasks among them to end, and wait until they have: no cancel keeps us from it. */
static void end_tasks(struct combination *all)
{
    for (int i = 0; i < all->count; i++)
        if (!all->entries[i].has_ended && !all->entries[i].task->is_future)
            bide__task_cancel(all->entries[i].task, -ECANCELED);
    if (any_pending(all, false))
        look_again(all); /* a report; what was begun has to end */
    while (any_pending(all, false))
        park(all, true);
}

int bide__await_any(const uintptr_t *handles, int count, const bide_site *site)
{
    struct combination all;
    int err = begin(&all, handles, count, "await_any", site);
    struct bide_task *self = bide__loop_here->current;

    if (err < 0)
        return err;
    if (self->cancel_code != 0)
        err = bide__cancel_seen(self);
    else if (all.first >= 0)
        bide__budget_spend(self->loop);
    else
        err = park(&all, false);
    finish(&all);
    return err < 0 ? err : all.first;
}

int bide__await_all(const uintptr_t *handles, int count, const bide_site *site)
{
    struct combination all;
    int err = begin(&all, handles, count, "await_all", site);
    struct bide_task *self = bide__loop_here->current;

    if (err < 0)
        return err;
    all.needs_all = true;
    if (!any_pending(&all, true))
        bide__budget_spend(self->loop);
    while (err == 0 && self->cancel_code == 0 && any_pending(&all, true)) {
        park(&all, false);
        err = look_again(&all);
    }
    if (err == 0 && any_pending(&all, true)) {
        err = self->cancel_code;
        end_tasks(&all);
    }
    if (!any_pending(&all, true))
        err = 0;
    finish(&all);
    return err;
}

int bide__race(const uintptr_t *handles, int count, const bide_site *site)
{
    struct combination all;
    int err = begin(&all, handles, count, "race", site);
    struct bide_task *self = bide__loop_here->current;
    int winner;

    if (err < 0)
        return err;
    for (int i = 0; i < count; i++) {
        struct bide_task *task = all.entries[i].task;
        if (task->is_future) {
            bide__future_claim(task, "race", site);
        } else {
            bide__handle_refuse_second_owner(task, "race", site);
            task->awaiter = &all.waiter; /* ours from now on */
        }
    }
    if (all.first < 0)
        err = self->cancel_code != 0 ? self->cancel_code : park(&all, false);
    else
        bide__budget_spend(self->loop);
    winner = all.first;
    end_tasks(&all);
    finish(&all);
    for (int i = 0; i < count; i++) {
        struct bide_task *task = all.entries[i].task;
        if (task->is_future)
            bide__future_unclaim(task);
        else
            task->awaiter = NULL;
        if (i != winner && task->is_future)
            bide__future_drop(task);
        else if (i != winner)
            bide__task_release(task);
    }
    return winner >= 0 ? winner : err;
}
