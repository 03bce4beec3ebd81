/* SPDX-License-Identifier: MIT */
/*
 * sync_tasks.h - operations on tasks: children, groups, futures, combinations,
 * callbacks.
 */
#ifndef BIDE_TESTS_STRESS_SYNC_TASKS_H
#define BIDE_TESTS_STRESS_SYNC_TASKS_H

#include "stress/sync_locks.h"

enum { DEPTH_MOST = 4, CHILDREN_MOST = 3, PARTIES_MOST = 4 };

static void act(struct actor *a);
static void locals_check(const struct actor *a);

/* It lives, as a member. Who started it says so, or itself when that waits for its word. */
static void troop_counts(struct actor *a)
{
    if (a->troop != NULL && !a->is_counted)
        a->troop->living++;
    a->is_counted = true;
    MUST(a->troop == NULL || a->troop->group.limit == 0 ||
         (size_t)a->troop->living <= a->troop->group.limit);
}

static async(int, acts, int, number)
{
    struct actor *a = &w.actors[number];

    a->task = bide__loop_here->current;
    troop_counts(a);
    locals_check(a);
    act(a);
    return actor_end(a);
}

/* --- Children ------------------------------------------------------------------------------- */

/* A child that runs; NULL when there are enough. */
static struct actor *child_spawn(struct actor *a)
{
    struct actor *child = a->depth < DEPTH_MOST ? actor_new(a, 1 + pick(a, 6)) : NULL;

    if (child == NULL)
        return NULL;
    child->handle = spawn(acts, child->number);
    MUST(child->handle != NULL);
    return child;
}

static bool has_ended(const struct actor *a, const struct wait *wait)
{
    const struct actor *child = wait->object;

    (void)a;
    return child->is_ended;
}

/* The handle, which nobody else may cancel from now on. */
static task(int) handle_take(struct actor *child)
{
    task(int) handle = child->handle;

    child->handle = NULL;
    return handle;
}

static void child_await(struct actor *a, struct actor *child)
{
    struct call call;

    call_begin(a, &call, "await");
    call_waits(&call, WAIT(.may_go_on = has_ended, .object = child));
    int result = await(child->handle);
    child->handle = NULL;
    call_end_any(a, &call, result);
    MUST(child->is_ended && result == child->result);
}

static void child_detach(struct actor *child)
{
    child->is_detached = true;
    w.failures_due += child->is_ended && child->result < 0;
    MUST(detach(handle_take(child)) == 0);
}

static void child_await_for(struct actor *a, struct actor *child)
{
    struct call call;
    int result = INT32_MIN, err;

    call_begin(a, &call, "await_for");
    call_waits(&call, WAIT(.may_go_on = has_ended, .object = child));
    err = await_for(child->handle, some_time(a), &result);
    call_end_any(a, &call, err);
    if (err < 0) {
        MUST(err == -ETIMEDOUT || (err == -ECANCELED && bide_canceled() != 0));
        MUST(!child->is_ended || call.code != 0);
        MUST(result == INT32_MIN);
        bide_cancel(child->handle);
        child_await(a, child);
    } else {
        child->handle = NULL;
        MUST(child->is_ended && result == child->result);
    }
}

static void child_settle(struct actor *a, struct actor *child)
{
    switch (pick(a, 6)) {
    case 0: child_detach(child); break;
    case 1: child_await_for(a, child); break;
    case 2: cancel(child->handle); /* fall through */
    default: child_await(a, child);
    }
}

static void called(void *arg)
{
    ++*(int *)arg;
}

static void op_children(struct actor *a)
{
    struct actor *children[CHILDREN_MOST] = {NULL};
    int calls = 0;
    bide_callback callback;

    for (int i = 0, count = 1 + pick(a, CHILDREN_MOST); i < count; i++)
        children[i] = child_spawn(a);
    if (children[0] != NULL) {
        on_done(children[0]->handle, &callback, called, &calls);
        nested(a);
        bide_on_done_remove(&callback);
        MUST(calls == is_done(children[0]->handle) && calls == children[0]->is_ended);
    }
    for (int i = 0; i < CHILDREN_MOST; i++)
        if (children[i] != NULL)
            child_settle(a, children[i]);
}

/* --- Groups --------------------------------------------------------------------------------- */

static bool may_join_troop(const struct actor *a, const struct wait *wait)
{
    const struct troop *troop = wait->object;

    /* Temporary skip: who comes to a full group that is canceled already waits all the same. */
    if (wait->need != 0)
        return false;
    return troop->group.bide__code != 0 ||
           (is_first(a, wait) && (size_t)troop->living < troop->group.limit);
}

static bool all_have_ended(const struct actor *a, const struct wait *wait)
{
    const struct troop *troop = wait->object;

    (void)a;
    return troop->living == 0;
}

static bool has_result(const struct actor *a, const struct wait *wait)
{
    const struct troop *troop = wait->object;

    return troop->kept > troop->delivered || all_have_ended(a, wait);
}

/* start_in: wait until the member has said started, or ended. */
static int troop_start(struct actor *a, struct troop *troop, struct actor *member)
{
    int said = 0;

    member->starts_at = one_in(a, 4) ? -1 : pick(a, member->operations);
    member->start_pending = true;
    int result = start_in(&troop->group, &said, acts, member->number);
    if (result == 0) {
        MUST(!member->start_pending && said == 3 * member->number + 1);
    } else if (member->is_ended) {
        MUST(result == (member->result < 0 ? member->result : -ECHILD) && said == 0);
    }
    return result;
}

/* Spawn a member into a group, which may be a full one. 0, or why it was not spawned. */
static int troop_spawn(struct actor *a, struct troop *troop, int operations, int fails_one_in)
{
    struct actor *member = actor_new(a, operations);
    bool starts = one_in(a, 4);
    struct call call;
    int result;

    if (member == NULL)
        return -EAGAIN;
    member->troop = troop;
    member->fails_one_in = fails_one_in;
    call_begin(a, &call, starts ? "start_in" : "spawn_in");
    call_waits(&call, WAIT(.line = troop, .what = "spawn_in", .may_go_on = may_join_troop,
                           .object = troop, .need = troop->group.bide__code != 0));
    call_waits(&call, WAIT(.what = "start_in", .may_go_on = has_ended, .object = member));
    result = starts ? troop_start(a, troop, member) : spawn_in(&troop->group, acts, member->number);
    call_end_any(a, &call, result);
    if (member->task == NULL && result < 0) {
        MUST(is_cancel(result) && (troop->group.bide__code != 0 || bide_canceled() != 0));
        actor_give_up(member);
        return result;
    }
    troop_counts(member);
    if (!starts)
        must_not_overtake(a, &call, troop);
    return 0;
}

static void op_sibling(struct actor *a)
{
    if (a->troop != NULL && a->depth < DEPTH_MOST)
        troop_spawn(a, a->troop, 1 + pick(a, 5), 8);
}

static void troop_next(struct actor *a, struct troop *troop)
{
    for (;;) {
        task(int) handle = NULL;
        int result = PARK(a, "group_next", WAIT(.may_go_on = has_result, .object = troop),
                          bide_group_next(&troop->group, &handle));
        if (result == -ECHILD)
            MUST(troop->living == 0 && troop->kept == troop->delivered);
        if (result < 0) {
            MUST(handle == NULL && (result == -ECHILD || is_cancel(result)));
            return;
        }
        troop->delivered++;
        MUST(is_done(handle));
        result = await(handle);
        for (int i = 0; i < w.actors_count; i++)
            if (w.actors[i].troop == troop && w.actors[i].is_ended && w.actors[i].result == result)
                result = INT32_MAX;
        MUST(result == INT32_MAX);
    }
}

static void troop_run(struct actor *a, int members, int operations, int fails_one_in)
{
    struct troop troop = {.group = {.limit = one_in(a, 4) ? 1 + (size_t)pick(a, 3) : 0,
                                    .collect_all = one_in(a, 3),
                                    .keep_results = one_in(a, 3),
                                    .errors = troop.errors,
                                    .errors_most = 2}};
    struct frame frame = {.outer = a->frame, .troop = &troop, .due = BIDE_FOREVER};
    struct call call;

    with_group (&troop.group) {
        a->frame = &frame;
        for (; members > 0; members--)
            troop_spawn(a, &troop, 1 + pick(a, operations), fails_one_in);
        nested(a);
        if (one_in(a, a->depth > 1 ? 8 : 40)) {
            troop.was_ours |= troop.group.bide__code == 0;
            bide_group_cancel(&troop.group);
        }
        if (troop.group.keep_results && one_in(a, 2))
            troop_next(a, &troop);
        call_begin(a, &call, "leaving with_group");
        call_waits(&call, WAIT(.may_go_on = all_have_ended, .object = &troop));
    }
    call_end_any(a, &call, troop.group.error);
    a->frame = frame.outer;
    MUST(troop.living == 0);
    MUST(troop.group.failed == (size_t)troop.failed && troop.group.error == troop.error);
    MUST(troop.failed == 0 || troop.errors[0].error == troop.error);
}

static void op_group(struct actor *a)
{
    if (a->depth < DEPTH_MOST)
        troop_run(a, 1 + pick(a, 4), 6, 8);
}

/* --- Futures -------------------------------------------------------------------------------- */

/* The future in a slot, or a new one; the slot has a share in it. NULL when there were enough. */
static struct promise *promise_at(int slot)
{
    struct promise *promise = w.slots[slot];

    if (promise != NULL || w.promises_count == PROMISES_MOST)
        return promise;
    promise = &w.promises[w.promises_count++];
    *promise = (struct promise){.f = future_new(int), .shares = 1};
    MUST(promise->f != NULL);
    return w.slots[slot] = promise;
}

static void promise_over(struct promise *promise, int outcome, bool is_canceled)
{
    MUST(!promise->is_over);
    promise->is_over = true;
    promise->outcome = outcome;
    promise->is_canceled = is_canceled;
}

static void share_take(struct promise *promise)
{
    promise->f = future_share(promise->f);
    promise->shares++;
}

static void share_spent(struct promise *promise)
{
    MUST(promise->shares > 0);
    if (--promise->shares == 0 && !promise->is_over)
        promise_over(promise, -ECANCELED, true);
}

static void share_detach(struct promise *promise)
{
    bool is_last = promise->shares == 1, was_over = promise->is_over;
    future(int) f = promise->f;

    share_spent(promise);
    MUST(detach(f) == 0);
    if (is_last && !was_over)
        MUST(future_set(f, 1) == -ECANCELED); /* nobody is left to care */
}

static bool is_fulfilled(const struct actor *a, const struct wait *wait)
{
    const struct promise *promise = wait->object;

    (void)a;
    return promise->is_over;
}

static void share_await(struct actor *a, struct promise *promise)
{
    struct call call;
    int result;

    call_begin(a, &call, "await a future");
    call_waits(&call, WAIT(.may_go_on = is_fulfilled, .object = promise));
    result = await(promise->f);
    call_end_any(a, &call, result);
    if (promise->is_over)
        MUST(result == promise->outcome);
    else
        MUST(is_cancel(result) && bide_canceled() != 0);
    share_spent(promise);
}

static void share_await_for(struct actor *a, struct promise *promise)
{
    struct call call;
    int result = INT32_MIN, err;

    call_begin(a, &call, "await_for a future");
    call_waits(&call, WAIT(.may_go_on = is_fulfilled, .object = promise));
    err = await_for(promise->f, some_time(a), &result);
    call_end_any(a, &call, err);
    MUST((err == 0) == promise->is_over && (err == 0 || is_cancel(err)));
    MUST(result == (err == 0 ? promise->outcome : INT32_MIN));
    if (err == 0)
        share_spent(promise);
    else
        share_detach(promise);
}

static void share_settle(struct actor *a, struct promise *promise)
{
    switch (pick(a, 4)) {
    case 0: share_detach(promise); break;
    case 1: share_await_for(a, promise); break;
    default: share_await(a, promise);
    }
}

/* Fulfil, fail or cancel it. Who waits finds it over when it is their turn. */
static void promise_end(struct actor *a, struct promise *promise)
{
    int value = pick(a, 1000), dice = pick(a, 6);

    if (promise->is_over) {
        if (promise->is_canceled)
            MUST(future_set(promise->f, value) == -ECANCELED);
        return;
    }
    promise_over(promise, dice == 0 ? -ECANCELED : dice == 1 ? -EIO : value, dice == 0);
    if (dice == 0)
        cancel(promise->f);
    else
        MUST((dice == 1 ? future_fail(promise->f, -EIO) : future_set(promise->f, value)) == 0);
    MUST(is_done(promise->f));
    MUST(future_error(promise->f) == (promise->outcome < 0 ? promise->outcome : 0));
}

static void op_future(struct actor *a)
{
    int slot = pick(a, SLOTS), calls = 0;
    struct promise *promise = promise_at(slot);
    bide_callback callback;

    if (promise == NULL)
        return;
    switch (pick(a, 8)) {
    case 0:
        w.slots[slot] = NULL;
        on_done(promise->f, &callback, called, &calls);
        share_detach(promise);
        MUST(calls == promise->is_over); /* the last share tells those who still want to know */
        bide_on_done_remove(&callback);
        return;
    case 1:
    case 2: promise_end(a, promise); return;
    case 3:
        share_take(promise);
        on_done(promise->f, &callback, called, &calls);
        nested(a);
        bide_on_done_remove(&callback);
        MUST(calls == promise->is_over);
        break;
    default: share_take(promise);
    }
    share_settle(a, promise);
}

/* --- Combinations --------------------------------------------------------------------------- */

/* Children and shares of futures, to be waited for together. */
struct parties {
    int count;
    uintptr_t handles[PARTIES_MOST];
    struct actor *children[PARTIES_MOST];
    struct promise *promises[PARTIES_MOST]; /* where there is no child */
};

static bool party_is_over(const struct parties *all, int i)
{
    return all->children[i] != NULL ? all->children[i]->is_ended : all->promises[i]->is_over;
}

static bool any_is_over(const struct actor *a, const struct wait *wait)
{
    const struct parties *all = wait->object;
    bool any = false;

    (void)a;
    for (int i = 0; i < all->count; i++)
        any |= party_is_over(all, i);
    return any;
}

static bool all_are_over(const struct actor *a, const struct wait *wait)
{
    const struct parties *all = wait->object;
    bool each = true;

    (void)a;
    for (int i = 0; i < all->count; i++)
        each &= party_is_over(all, i);
    return each;
}

/* A race ends when one has, and all tasks have. */
static bool race_is_over(const struct actor *a, const struct wait *wait)
{
    const struct parties *all = wait->object;
    bool tasks = true;

    for (int i = 0; i < all->count; i++)
        tasks &= all->children[i] == NULL || all->children[i]->is_ended;
    return tasks && any_is_over(a, wait);
}

static void parties_gather(struct actor *a, struct parties *all)
{
    for (int n = 1 + pick(a, PARTIES_MOST); n > 0; n--) {
        int i = all->count;
        struct actor *child = one_in(a, 2) ? child_spawn(a) : NULL;
        struct promise *promise = child == NULL ? promise_at(pick(a, SLOTS)) : NULL;
        if (child == NULL && promise == NULL)
            continue;
        if (promise != NULL)
            share_take(promise);
        all->children[i] = child;
        all->promises[i] = promise;
        all->handles[i] = child != NULL ? (uintptr_t)child->handle : (uintptr_t)promise->f;
        all->count++;
    }
}

/* After a race: all but the winner are gone. */
static void losers_spent(const struct parties *all, int winner)
{
    for (int i = 0; i < all->count; i++) {
        if (i != winner && all->children[i] == NULL)
            share_spent(all->promises[i]);
    }
}

static void party_settle(struct actor *a, struct parties *all, int i)
{
    if (all->children[i] == NULL) {
        share_settle(a, all->promises[i]);
        return;
    }
    all->children[i]->handle = (task(int))all->handles[i];
    child_settle(a, all->children[i]);
}

static void op_combine(struct actor *a)
{
    static const bide_site site = BIDE__SITE("op_combine");
    struct parties all = {0};
    static int (*const calls[])(const uintptr_t *, int,
                                const bide_site *) = {bide__await_any, bide__await_all, bide__race};
    static bool (*const reasons[])(const struct actor *,
                                   const struct wait *) = {any_is_over, all_are_over, race_is_over};
    static const char *const names[] = {"await_any", "await_all", "race"};
    int kind = pick(a, 3), result;
    struct call call;

    parties_gather(a, &all);
    if (all.count == 0)
        return;
    for (int i = 0; i < all.count && kind == 2; i++)
        if (all.children[i] != NULL)
            all.children[i]->handle = NULL; /* the race spends it: others may not cancel it */
    call_begin(a, &call, names[kind]);
    call_waits(&call, WAIT(.may_go_on = reasons[kind], .object = &all));
    result = calls[kind](all.handles, all.count, &site);
    call_end_any(a, &call, result);
    MUST(result >= 0 || (is_cancel(result) && bide_canceled() != 0));
    MUST(result < 0 || reasons[kind](a, &call.waits[0]));
    MUST(result < 0 || kind == 1 || party_is_over(&all, result));
    MUST(kind != 0 || call.code == 0 || result < 0);
    for (int i = 0; i < all.count && kind != 0; i++)
        MUST(all.children[i] == NULL || all.children[i]->is_ended || (kind == 2 && i == result));
    if (kind == 2)
        losers_spent(&all, result);
    for (int i = 0; i < all.count; i++)
        if (kind != 2 || i == result)
            party_settle(a, &all, i);
}

#endif
