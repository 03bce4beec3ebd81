/* SPDX-License-Identifier: MIT */
/*
 * group.c - members: their births, their ends, and what a failure does to the others.
 *
 * What a member needs beside its control block lies above its arguments, at the top of its own
 * stack: a group allocates nothing. The group is told of the end by a watch, and of a cancel around
 * it by its scope.
 */
#include <bide/async/group.h>

#include <errno.h>
#include <string.h>

#include "async/group.h"
#include "async/handle.h"
#include "sched/report.h"
#include "sched/waitq.h"

struct member {
    struct bide__watch watch;
    struct bide__list link; /* living or ended */
    struct bide_task *task;
    bide_group *group;
    struct bide__start *start; /* who started it and has not heard of it yet, or NULL */
    unsigned kind;
    bool was_started; /* it said so */
};

static bide_group *group_of(struct bide_scope *scope)
{
    return (bide_group *)(void *)((char *)scope - offsetof(bide_group, bide__scope));
}

/* Cancel the members of all groups that are to be told: in a row, however deep they nest. */
static void tell_groups(struct bide_loop *loop)
{
    if (loop->tells_groups)
        return;
    loop->tells_groups = true;
    while (!bide__list_is_empty(&loop->groups_to_tell)) {
        bide_group *group = BIDE__CONTAINER(loop->groups_to_tell.next, bide_group, bide__to_tell);
        bide__list_remove(&group->bide__to_tell);
        for (struct bide__list *at = group->bide__living.next; at != &group->bide__living;
             at = at->next)
            bide__task_cancel(BIDE__CONTAINER(at, struct member, link)->task, group->bide__code);
        bide__wake_all(&group->bide__queue, group->bide__code);
    }
    loop->tells_groups = false;
}

/* A cancel has reached the group: by its own scope, or one around it. */
static void scope_fired(struct bide_scope *scope, int code)
{
    bide_group *group = group_of(scope);
    struct bide_loop *loop = group->bide__owner->loop;

    if (code == 0 || group->bide__code != 0)
        return;
    group->bide__code = code;
    bide__list_append(&loop->groups_to_tell, &group->bide__to_tell);
    tell_groups(loop);
}

/* Cancel from inside. */
static void cancel(bide_group *group)
{
    if (group->bide__code != 0)
        return;
    group->bide__was_ours = true;
    bide_scope_cancel(&group->bide__scope);
}

bide_group *bide__group_enter(bide_group *group)
{
    struct bide_task *self = bide__task_need("with_group");

    if (group->bide__owner != NULL)
        bide__misuse("with_group: this group is already opened by %s; a group serves one block at "
                     "a time",
                     bide__task_label(group->bide__owner).text);
    group->error = 0;
    group->failed = 0;
    group->bide__owner = self;
    group->bide__count = 0;
    group->bide__code = 0;
    group->bide__was_ours = false;
    bide__list_init(&group->bide__living);
    bide__list_init(&group->bide__ended);
    bide__list_init(&group->bide__queue);
    bide__list_init(&group->bide__to_tell);
    group->bide__scope = (bide_scope){.bide__fired = scope_fired};
    bide__scope_enter(&group->bide__scope);
    scope_fired(&group->bide__scope, self->cancel_code);
    return group;
}

/* The owner sleeps until something of the group has ended. */
static int wait_member(bide_group *group, const char *what, bool passes_cancel)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, what);
    int result;

    bide__assert(group->bide__waiting == NULL);
    waiter.passes_cancel = passes_cancel;
    group->bide__waiting = &waiter;
    result = bide__park(&waiter);
    group->bide__waiting = NULL;
    return result;
}

static void release(struct member *member)
{
    bide__list_remove(&member->link);
    bide__task_release(member->task);
}

void bide__group_leave(bide_group **entered)
{
    bide_group *group = *entered;
    bide_scope *scope;

    if (group == NULL)
        return;
    scope = &group->bide__scope;
    if (group->bide__owner != bide__task_need("with_group"))
        bide__misuse("with_group: a group was left by another task than the one that opened it");
    while (group->bide__count > 0)
        wait_member(group, "with_group", true);
    while (!bide__list_is_empty(&group->bide__ended))
        release(BIDE__CONTAINER(group->bide__ended.next, struct member, link));
    /* Nobody waits for a place in a group in which none is taken. */
    bide__assert(bide__list_is_empty(&group->bide__living));
    bide__assert(bide__list_is_empty(&group->bide__queue));
    bide__scope_leave(&scope);
    group->bide__owner = NULL;
}

static void wake_owner(bide_group *group)
{
    if (group->bide__waiting != NULL)
        bide__wake(group->bide__waiting, 0);
}

/* Somebody else may live in the place that has become free. */
static void give_place(bide_group *group)
{
    struct bide__waiter *next = bide__waitq_first(&group->bide__queue);

    bide__assert(group->bide__count > 0);
    if (next != NULL)
        bide__wake(next, 0); /* the place goes over */
    else if (--group->bide__count == 0)
        wake_owner(group);
}

static void count_failure(bide_group *group, int error, const char *name, const bide_site *site)
{
    if (group->failed < group->errors_most && group->errors != NULL)
        group->errors[group->failed] = (bide_group_error){error, name, site};
    if (group->failed++ == 0)
        group->error = error;
    if (!group->collect_all)
        cancel(group);
}

/* Before it had a word for who started it: its result goes there, and is not the group's. */
static void end_start(struct member *member)
{
    struct bide__start *start = member->start;

    start->is_over = true;
    start->result = member->task->failure < 0 ? member->task->failure : -ECHILD;
    if (start->waiter != NULL)
        bide__wake(start->waiter, 0);
}

static void member_ended(struct bide__watch *watch, struct bide_task *task)
{
    struct member *member = BIDE__CONTAINER(watch, struct member, watch);
    bide_group *group = member->group;
    bool is_kept = group->keep_results && member->start == NULL;

    bide__assert(group->bide__owner != NULL && member->task == task && task->is_member);
    bide__list_remove(&member->link);
    if (is_kept)
        bide__list_append(&group->bide__ended, &member->link);
    else
        task->is_detached = true; /* goes when this call has returned */
    if (member->start != NULL)
        end_start(member);
    else if (task->failure < 0 && !(group->bide__was_ours && task->failure == -ECANCELED))
        count_failure(group, task->failure, task->name, task->site);
    if (is_kept)
        wake_owner(group);
    give_place(group);
}

/* Take a place in the group, waiting for it when all are taken. */
static int take_place(bide_group *group, struct bide_task *self)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "spawn_in");

    if (group->limit == 0 || group->bide__count < group->limit) {
        group->bide__count++;
        return 0;
    }
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    bide__waitq_join(&group->bide__queue, &waiter);
    return bide__park(&waiter); /* after an error the group may be gone */
}

int bide__group_spawn(struct bide_loop *loop, const bide_site *site,
                      const bide_spawn_options *options, int (*run)(void *frame),
                      size_t frame_bytes, struct bide_task **out)
{
    bide_group *group = options->bide__group;
    size_t at = (frame_bytes + 63) & ~(size_t)63; /* the frame's own alignment is 64 at most */
    struct member *member;
    int err;

    if (group->bide__owner == NULL)
        bide__misuse("spawn_in at %s: the group is not open; spawn_in works inside with_group, and "
                     "in members",
                     bide__site_label(site).text);
    err = take_place(group, loop->current);
    if (err < 0)
        return err;
    err = group->bide__code;
    if (err == 0) {
        err = bide__task_spawn(loop, site, options, run, at + sizeof *member, out);
        if (err < 0)
            count_failure(group, err, site->name, site);
    }
    if (err < 0) {
        give_place(group);
        return err;
    }
    member = (struct member *)(void *)((char *)(*out)->frame + at);
    *member = (struct member){
        .watch.ended = member_ended,
        .task = *out,
        .group = group,
        .start = options->bide__start,
        .kind = options->bide__kind,
    };
    (*out)->is_member = true;
    bide__task_watch(*out, &member->watch);
    bide__list_append(&group->bide__living, &member->link);
    return 0;
}

/* Of a task that is a member. */
static struct member *member_of(const struct bide_task *task)
{
    struct member *member = BIDE__CONTAINER(task->watches.next, struct member, watch.link);

    bide__assert(task->is_member && task->is_watched && member->task == task);
    return member;
}

const struct bide_task *bide__group_waits_for(const struct bide_task *task)
{
    const struct member *member = member_of(task);
    const struct bide__waiter *starter = member->start != NULL ? member->start->waiter : NULL;

    return starter != NULL ? starter->owner : member->group->bide__owner;
}

int bide__group_start(struct bide__start *start, uintptr_t handle, const bide_site *site)
{
    struct bide_task *self = bide__task_need("start_in");
    struct bide__waiter waiter = BIDE__WAITER(waiter, "start_in");
    struct bide_task *task = bide__handle_block(handle);

    if (task == NULL)
        return bide_spawn_error();
    waiter.passes_cancel = true;
    waiter.awaits = task;
    waiter.owner = self;
    waiter.site = site;
    if (self->cancel_code != 0)
        bide__task_cancel(task, -ECANCELED);
    start->waiter = &waiter;
    bide__park(&waiter);
    bide__assert(start->is_over);
    return start->result;
}

void bide__started(const void *value, size_t bytes, unsigned kind)
{
    struct bide_task *self = bide__task_need("bide_started");
    struct member *member;
    struct bide__start *start;

    if (!self->is_member)
        return;
    member = member_of(self);
    if (member->was_started)
        bide__misuse("bide_started: %s has said so already", bide__task_label(self).text);
    member->was_started = true;
    start = member->start;
    if (start == NULL)
        return;
    if (start->kind != kind)
        bide__misuse("bide_started: %s gives a value of another type than start_in has asked for",
                     bide__task_label(self).text);
    if (start->value != NULL)
        memcpy(start->value, value, bytes);
    start->is_over = true;
    member->start = NULL;
    if (start->waiter != NULL)
        bide__wake(start->waiter, 0);
}

int bide__group_next(bide_group *group, unsigned kind, uintptr_t *handle)
{
    struct bide_task *self = bide__task_need("bide_group_next");
    struct member *member;
    int err = 0;

    if (group->bide__owner != self || !group->keep_results)
        bide__misuse("bide_group_next: the group is %s", group->bide__owner == self
                                                             ? "without keep_results"
                                                             : "not opened by this task");
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    while (bide__list_is_empty(&group->bide__ended)) {
        if (group->bide__count == 0)
            return -ECHILD;
        err = wait_member(group, "bide_group_next", false);
        if (err < 0)
            return err;
    }
    member = BIDE__CONTAINER(group->bide__ended.next, struct member, link);
    if (member->kind != kind)
        bide__misuse("bide_group_next: %s has a result of another type than the handle given",
                     bide__task_label(member->task).text);
    bide__list_remove(&member->link);
    member->task->is_member = false;
    *handle = bide__handle_of(member->task);
    bide__budget_spend(self->loop);
    return 0;
}

void bide_group_cancel(bide_group *group)
{
    bide__task_need("bide_group_cancel");
    if (group->bide__owner != NULL)
        cancel(group);
}

size_t bide_group_count(const bide_group *group)
{
    return group->bide__owner != NULL ? group->bide__count : 0;
}
