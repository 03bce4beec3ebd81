/* SPDX-License-Identifier: MIT */
/*
 * group.c - members: their births, their ends, and what a failure does to the others.
 *
 * What a member needs lies in its control block: a group allocates nothing, and where many members
 * end one after the other, no end touches the stack of the next. The group's lists run through the
 * links that the stack pool needs for free stacks alone. The group is told of the end by the task's
 * last steps (bide_loop.member_ended), and of a cancel around it by its scope.
 */
#include <bide/async/group.h>

#include <errno.h>
#include <string.h>

#include "async/group.h"
#include "async/handle.h"
#include "sched/report.h"
#include "sched/waitq.h"

/* The member at a place in one of the group's lists. */
static struct bide_task *member_at(struct bide__list *link)
{
    return BIDE__CONTAINER(link, struct bide_task, stack.link);
}

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
            bide__task_cancel(member_at(at), group->bide__code);
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

static void member_ended(struct bide_task *member);

bide_group *bide__group_enter(bide_group *group)
{
    struct bide_task *self = bide__task_need("with_group");

    if (group->bide__owner != NULL)
        bide__misuse("with_group: this group is already opened by %s; a group serves one block at "
                     "a time",
                     bide__task_label(group->bide__owner).text);
    self->loop->member_ended = member_ended;
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

static void release(struct bide_task *member)
{
    bide__list_remove(&member->stack.link);
    bide__task_release(member);
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
        release(member_at(group->bide__ended.next));
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
static void end_start(const struct bide_task *member)
{
    struct bide__start *start = member->start;

    start->is_over = true;
    start->result = member->failure < 0 ? member->failure : -ECHILD;
    if (start->waiter != NULL)
        bide__wake(start->waiter, 0);
}

/* Of a member that is off the list: its result is wanted, or a failure, or both. */
__attribute__((noinline)) static void tell_result(bide_group *group, struct bide_task *member)
{
    bool is_kept = group->keep_results && member->start == NULL;

    bide__assert(bide__list_is_empty(&member->stack.link));
    if (is_kept)
        bide__list_append(&group->bide__ended, &member->stack.link);
    else
        member->is_detached = true;
    if (member->start != NULL)
        end_start(member);
    else if (member->failure < 0 && !(group->bide__was_ours && member->failure == -ECANCELED))
        count_failure(group, member->failure, member->name, member->site);
    if (is_kept)
        wake_owner(group);
    give_place(group);
}

/* Needs no room on the member's stack but for a return address: see task_main. */
static void member_ended(struct bide_task *member)
{
    bide_group *group = member->group;

    bide__assert(group->bide__owner != NULL && member->state == BIDE__TASK_DONE);
    bide__list_remove(&member->stack.link);
    if (group->keep_results || member->start != NULL || member->failure < 0) {
        tell_result(group, member);
        return;
    }
    member->is_detached = true; /* goes when this call has returned */
    give_place(group);
}

/* Wait for a place in a group in which all are taken. */
__attribute__((noinline)) static int wait_for_place(bide_group *group, struct bide_task *self)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "spawn_in");

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
    struct bide_task *member;
    int err = 0;

    if (group->bide__owner == NULL)
        bide__misuse("spawn_in at %s: the group is not open; spawn_in works inside with_group, and "
                     "in members",
                     bide__site_label(site).text);
    if (group->limit == 0 || group->bide__count < group->limit)
        group->bide__count++;
    else
        err = wait_for_place(group, loop->current);
    if (err < 0)
        return err;
    err = group->bide__code;
    if (err == 0) {
        err = bide__task_spawn(loop, site, options, run, frame_bytes, &member);
        if (err < 0)
            count_failure(group, err, site->name, site);
    }
    if (err < 0) {
        give_place(group);
        return err;
    }
    member->is_member = true;
    member->has_started = false;
    member->group = group;
    member->start = options->bide__start;
    member->result_kind = options->bide__kind;
    bide__list_append(&group->bide__living, &member->stack.link);
    *out = member;
    return 0;
}

const struct bide_task *bide__group_waits_for(const struct bide_task *task)
{
    const struct bide__waiter *starter;

    bide__assert(task->is_member);
    starter = task->start != NULL ? task->start->waiter : NULL;
    return starter != NULL ? starter->owner : task->group->bide__owner;
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
    struct bide__start *start;

    if (!self->is_member)
        return;
    if (self->has_started)
        bide__misuse("bide_started: %s has said so already", bide__task_label(self).text);
    self->has_started = true;
    start = self->start;
    if (start == NULL)
        return;
    if (start->kind != kind)
        bide__misuse("bide_started: %s gives a value of another type than start_in has asked for",
                     bide__task_label(self).text);
    if (start->value != NULL)
        memcpy(start->value, value, bytes);
    start->is_over = true;
    self->start = NULL;
    if (start->waiter != NULL)
        bide__wake(start->waiter, 0);
}

int bide__group_next(bide_group *group, unsigned kind, uintptr_t *handle)
{
    struct bide_task *self = bide__task_need("bide_group_next");
    struct bide_task *member;
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
    member = member_at(group->bide__ended.next);
    if (member->result_kind != kind)
        bide__misuse("bide_group_next: %s has a result of another type than the handle given",
                     bide__task_label(member).text);
    bide__list_remove(&member->stack.link);
    member->is_member = false;
    *handle = bide__handle_of(member);
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
