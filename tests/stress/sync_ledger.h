/* SPDX-License-Identifier: MIT */
/*
 * sync_ledger.h - what must be true, whatever the program does.
 *
 * While things run: an item is received once, and only if its send says so; a call in a scope that
 * has fired does not succeed, and none is canceled in one that has not; nobody overtakes who came
 * first. When all other tasks sleep, the judge looks at each: nobody sleeps who may go on, or who
 * was canceled, and what went in and what came out is what lies inside.
 */
#ifndef BIDE_TESTS_STRESS_SYNC_LEDGER_H
#define BIDE_TESTS_STRESS_SYNC_LEDGER_H

#include "stress/sync_world.h"

/* --- Calls ---------------------------------------------------------------------------------- */

static void call_begin(struct actor *a, struct call *call, const char *name)
{
    *call = (struct call){
        .outer = a->call, .name = name, .code = bide_canceled(), .ticket = ++w.tickets};
    a->call = call;
}

static void call_waits(struct call *call, struct wait wait)
{
    if (call->count < CALL_WAITS)
        call->waits[call->count++] = wait;
}

/* The actor sleeps in its innermost call, in this wait of it. */
static bool is_asleep(const struct actor *a, const struct wait *wait)
{
    return !a->is_ended && a->task != NULL && a->task->waiter != NULL &&
           (wait->what == NULL || strcmp(wait->what, a->task->waiter->what) == 0);
}

/* Whoever asked before this call, and still waits, was to be served first. */
static void must_not_overtake(const struct actor *a, const struct call *call, const void *line)
{
    for (int i = 0; i < w.actors_count; i++) {
        const struct actor *other = &w.actors[i];
        if (other == a || other->call == NULL || other->call->ticket > call->ticket)
            continue;
        for (int k = 0; k < other->call->count; k++)
            MUST_OF(a,
                    other->call->waits[k].line != line || !is_asleep(other, &other->call->waits[k]),
                    "nobody is served before one who came first");
    }
}

static bool is_cancel(long long result)
{
    return result == -ECANCELED || result == -ETIMEDOUT;
}

/* How often each call ended in which way, in all programs: one that never waits proves nothing. */
static struct outcomes {
    const char *call;
    uint64_t succeeded, canceled, timed_out, failed;
} outcomes[64];

static void count_outcome(const char *call, long long result)
{
    struct outcomes *of = outcomes;

    while (of->call != NULL && strcmp(of->call, call) != 0)
        of++;
    MUST(of < outcomes + sizeof outcomes / sizeof *outcomes - 1);
    of->call = call;
    of->succeeded += result >= 0;
    of->canceled += result == -ECANCELED;
    of->timed_out += result == -ETIMEDOUT;
    of->failed += result < 0 && !is_cancel(result);
}

static void note(const struct actor *a, const char *call, long long result)
{
    uint64_t i = w.traced++ % TRACE;

    w.trace[i].actor = a->number;
    w.trace[i].operation = a->operation != NULL ? a->operation : "-";
    w.trace[i].call = call;
    w.trace[i].result = result;
    w.trace[i].at = bide_now();
    count_outcome(call, result);
    w.fingerprint = scatter(w.fingerprint ^ (uint64_t)result, (uint64_t)a->number);
}

/* The end of a call for which what happened says nothing of cancels. */
static void call_end_any(struct actor *a, struct call *call, long long result)
{
    MUST(a->call == call);
    a->call = call->outer;
    note(a, call->name, result);
}

static bool frame_fired(const struct frame *frame)
{
    return frame->scope != NULL ? bide_scope_fired(frame->scope)
                                : frame->troop->group.bide__code != 0;
}

/* Whether something that the actor is in has fired: its calls must not wait. */
static bool was_told(const struct actor *a, const struct frame *frame)
{
    bide_time now = w.is_virtual ? bide_now() : -1;

    for (; frame != NULL; frame = frame->outer) {
        if (frame->due <= now || (!frame->is_shielded && frame_fired(frame)))
            return true;
        if (frame->is_shielded)
            return false;
    }
    return a->troop != NULL && a->troop->group.bide__code != 0;
}

/* The end of a call that had to wait; below 0 it failed. `line` is where it was served, or NULL. */
static void call_end(struct actor *a, struct call *call, long long result, const void *line)
{
    call_end_any(a, call, result);
    MUST(!is_cancel(result) || bide_canceled() != 0);
    MUST(!is_cancel(result) || !w.is_virtual || a->task->canceled != 0 || was_told(a, a->frame));
    MUST(call->code == 0 || is_cancel(result));
    if (result >= 0 && line != NULL)
        must_not_overtake(a, call, line);
}

/* An expression as a call that parks, with the one thing that it waits for: see struct wait. */
#define PARK(a, name, wait_, expression)                                                           \
    __extension__({                                                                                \
        struct call call_;                                                                         \
        call_begin(a, &call_, name);                                                               \
        call_waits(&call_, wait_);                                                                 \
        __auto_type result_ = (expression);                                                        \
        call_end(a, &call_, result_, call_.waits[0].line);                                         \
        result_;                                                                                   \
    })

/* The same for one that does not wait; served_in is the line that it must not overtake in. */
#define TRY(a, name, served_in, expression)                                                        \
    __extension__({                                                                                \
        struct call call_;                                                                         \
        call_begin(a, &call_, name);                                                               \
        int result_ = (expression);                                                                \
        call_.code = 0;                                                                            \
        call_end(a, &call_, result_, served_in);                                                   \
        result_;                                                                                   \
    })

#define WAIT(...) ((struct wait){__VA_ARGS__})

static bool never(const struct actor *a, const struct wait *wait)
{
    (void)a, (void)wait;
    return false;
}

/* How many others sleep for the same reason on this object. */
static int sleepers(bool (*reason)(const struct actor *, const struct wait *), int index,
                    const struct actor *except)
{
    int count = 0;

    for (int i = 0; i < w.actors_count; i++) {
        const struct actor *a = &w.actors[i];
        for (int k = 0; a != except && a->call != NULL && k < a->call->count; k++)
            count += a->call->waits[k].may_go_on == reason && a->call->waits[k].index == index &&
                     is_asleep(a, &a->call->waits[k]);
    }
    return count;
}

/* Nobody who sleeps in the line came before this one. */
static bool is_first(const struct actor *a, const struct wait *wait)
{
    for (int i = 0; i < w.actors_count; i++) {
        const struct call *call = w.actors[i].call;
        if (call != NULL && call->count > 0 && call->ticket < a->call->ticket &&
            call->waits[0].line == wait->line && is_asleep(&w.actors[i], &call->waits[0]))
            return false;
    }
    return true;
}

/* --- Items ---------------------------------------------------------------------------------- */

static struct item item_offer(struct actor *a, int flow)
{
    int number = w.items_count++;

    MUST(number < ITEMS_MOST);
    w.items[number] = (struct item_record){.flow = (uint8_t)flow, .sender = (uint8_t)a->number};
    return (struct item){number, flow, pick(a, 4), ~number};
}

/* What a send said of it: 0, or an error. Tries and calls that park alike. */
static void item_result(struct item item, int result)
{
    struct item_record *record = &w.items[item.number];
    const struct flow *flow = &w.flows[record->flow];

    MUST(!record->is_sent && !record->is_refused);
    if (result >= 0) {
        record->is_sent = true;
        w.flows[record->flow].sent++;
    } else {
        record->is_refused = true;
        MUST(!record->is_received);
        MUST(is_cancel(result) || result == -EAGAIN || (result == -EPIPE && flow->is_closed));
    }
}

static struct item_record *item_arrived(int flow, struct item item)
{
    MUST(item.number > 0 && item.number < w.items_count && item.seal == ~item.number);
    MUST(item.flow == flow && w.items[item.number].flow == flow);
    struct item_record *record = &w.items[item.number];
    MUST(!record->is_received && !record->is_refused);
    record->is_received = true;
    w.flows[flow].received++;
    return record;
}

/* What a receive said: 0 and the item, or an error. */
static void item_received(struct actor *a, int flow, struct item item, int result)
{
    if (result < 0) {
        MUST(item.number == 0);
        MUST(is_cancel(result) || result == -EAGAIN ||
             (result == -EPIPE && w.flows[flow].is_closed));
        return;
    }
    int *last = &a->last[flow][item_arrived(flow, item)->sender];
    MUST(!w.flows[flow].is_ordered || *last < item.number);
    *last = item.number;
}

static void item_dropped(void *item, void *arg)
{
    const struct item *dropped = item;

    (void)arg;
    MUST(w.flows[dropped->flow].is_closed);
    item_arrived(dropped->flow, *dropped);
}

/* --- Actors --------------------------------------------------------------------------------- */

/* NULL when there are enough. It is to be started by the caller, or else given up. */
static struct actor *actor_new(struct actor *parent, int operations)
{
    struct actor *a;

    if (w.actors_count == ACTORS_MOST)
        return NULL;
    a = &w.actors[w.actors_count];
    memset(a, 0, sizeof *a);
    a->number = w.actors_count++;
    a->random = scatter(w.seed, (uint64_t)w.tickets * ACTORS_MOST + (uint64_t)a->number + 1);
    a->operations = operations;
    a->fails_one_in = 8;
    a->depth = parent != NULL ? parent->depth + 1 : 0;
    a->starts_at = -1;
    for (int i = 0; i < LOCALS; i++) {
        a->local[i] = parent != NULL ? parent->local[i] : -1;
        if (a->local[i] >= 0)
            w.values[a->local[i]].seers++;
    }
    w.living++;
    return a;
}

static void actor_over(struct actor *a)
{
    MUST_OF(a, !a->is_ended && a->mutexes == 0 && a->rwlocks == 0 && a->frame == NULL,
            "an actor ends once, and holds nothing then");
    a->is_ended = true;
    for (int i = 0; i < LOCALS; i++)
        if (a->local[i] >= 0)
            w.values[a->local[i]].seers--;
    w.living--;
}

/* It was not started. */
static void actor_give_up(struct actor *a)
{
    actor_over(a);
}

/* What the group of a member that ends is to know of it. */
static void troop_hears(struct troop *troop, const struct actor *a)
{
    troop->living--;
    if (a->start_pending)
        return; /* who started it hears of it instead */
    if (troop->group.keep_results)
        troop->kept++;
    if (a->result >= 0 || (troop->was_ours && a->result == -ECANCELED))
        return;
    if (troop->failed++ == 0)
        troop->error = a->result;
    if (!troop->group.collect_all && troop->group.bide__code == 0)
        troop->was_ours = true;
}

/* The last thing that an actor does. Returns its result. */
static int actor_end(struct actor *a)
{
    int code = bide_canceled();

    a->result = a->number;
    if (code != 0 && one_in(a, 2))
        a->result = code;
    else if (one_in(a, a->fails_one_in))
        a->result = -1000 - a->number;
    a->operation = "ending";
    note(a, "return", a->result);
    actor_over(a);
    if (a->troop != NULL)
        troop_hears(a->troop, a);
    w.failures_due += a->is_detached && a->result < 0;
    return a->result;
}

/* --- The judge ------------------------------------------------------------------------------ */

static void judge_cancels(const struct actor *a)
{
    const struct bide__waiter *waiter = a->task->waiter;
    const struct bide_task *awaited = waiter->passes_cancel ? waiter->awaits : NULL;

    if (was_told(a, a->frame))
        MUST_OF(a, a->task->cancel_code != 0, "a cancel or timeout reaches who is inside");
    if (a->troop != NULL && a->troop->group.bide__code != 0)
        MUST_OF(a, a->task->canceled != 0, "a group's cancel reaches its members");
    if (a->troop != NULL)
        MUST_OF(a, bide_group_count(&a->troop->group) == (size_t)a->troop->living,
                "a group counts those who live");
    if (a->task->cancel_code != 0)
        MUST_OF(a, waiter->passes_cancel, "nobody sleeps in a scope that has fired");
    if (a->task->cancel_code != 0 && awaited != NULL)
        MUST_OF(a, awaited->canceled != 0, "a cancel is passed on to who is awaited");
}

static void judge_flows(void)
{
    for (int i = 0; i < FLOWS; i++) {
        size_t inside = i < CHANS ? chan_len(w.chans[i].c) : queue_len(w.queues[i - CHANS].q);
        MUST((size_t)(w.flows[i].sent - w.flows[i].received) == inside);
    }
}

static void judge_locks(void)
{
    for (int i = 0; i < SEMS; i++)
        MUST(bide_sem_value(&w.sems[i].sem) + w.sems[i].held == w.sems[i].permits);
    for (int i = 0; i < MUTEXES; i++)
        MUST(w.mutexes[i].owed == 0 || w.mutexes[i].holder >= 0);
    MUST(w.barrier.others == w.barrier.firsts * ((int)w.barrier.parties - 1));
    for (int i = 0; i < w.values_count; i++)
        MUST(w.values[i].is_gone == (w.values[i].seers == 0));
}

/* To be called when all others sleep. */
static void judge(void)
{
    for (int i = 0; i < w.actors_count; i++) {
        const struct actor *a = &w.actors[i];
        if (a->is_ended || a->task == NULL || a->task->waiter == NULL)
            continue;
        judge_cancels(a);
        for (int k = 0; a->call != NULL && k < a->call->count; k++)
            MUST_OF(a,
                    !is_asleep(a, &a->call->waits[k]) ||
                        !a->call->waits[k].may_go_on(a, &a->call->waits[k]),
                    "nobody sleeps who may go on: this wake-up was lost");
    }
    judge_flows();
    judge_locks();
}

/* Everything has been taken out: what was sent was received, and nothing else. */
static void must_balance(void)
{
    for (int i = 1; i < w.items_count; i++)
        MUST(w.items[i].is_sent == w.items[i].is_received);
    for (int i = 0; i < SEMS; i++)
        MUST(w.sems[i].held == 0 && bide_sem_value(&w.sems[i].sem) == w.sems[i].permits);
    for (int i = 0; i < MUTEXES; i++)
        MUST(w.mutexes[i].holder < 0 && w.mutexes[i].owed == 0);
    for (int i = 0; i < RWLOCKS; i++)
        MUST(w.rwlocks[i].writer < 0 && w.rwlocks[i].readers == 0);
    for (int i = 0; i < QUEUES; i++)
        MUST(w.queues[i].taken == 0);
    MUST(w.waitgroup.count == 0);
    MUST(w.failures_seen == w.failures_due);
}

#endif
