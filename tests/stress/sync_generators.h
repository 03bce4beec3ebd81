/* SPDX-License-Identifier: MIT */
/*
 * sync_generators.h - the operations on generators and on task-local values.
 */
#ifndef BIDE_TESTS_STRESS_SYNC_GENERATORS_H
#define BIDE_TESTS_STRESS_SYNC_GENERATORS_H

#include "stress/sync_tasks.h"

/* --- Generators ----------------------------------------------------------------------------- */

static void body_left(struct actor *body)
{
    body->operation = "a generator's end";
    actor_over(body);
}

/* A body is an actor: it waits, holds things between two values, and is left by any way. */
static generator(int, counts, struct actor *, body, int, count)
{
    body->task = bide__loop_here->current;
    defer(body_left, body);
    for (int i = 0; i < count; i++) {
        size_t held = one_in(body, 4) && acquire(body, 0, 1) == 0;
        if (one_in(body, 3))
            nested(body);
        if (held)
            release(0, 1);
        yield_value(i);
    }
}

/* A body that gives no more was asked for all, or was canceled, maybe before it began. */
static void body_must_be_done(const struct actor *body, int taken, int count)
{
    if (body->task == NULL)
        MUST(bide_canceled() != 0);
    else
        MUST(body->is_ended && (taken == count || body->task->canceled != 0));
}

/* The generator was freed. A body begins only when it is asked. */
static void body_is_gone(struct actor *body, bool was_asked)
{
    MUST(was_asked || body->task == NULL);
    if (body->task == NULL)
        actor_over(body);
    MUST(body->is_ended);
}

static void op_generator(struct actor *a)
{
    struct actor *body = a->depth < DEPTH_MOST ? actor_new(a, 3) : NULL;
    int count = pick(a, 5), wanted = pick(a, 6), taken = 0, value = -1;
    bool was_asked = wanted > 0;

    if (body == NULL)
        return;
    gen(int) g = generate(counts, body, count);
    MUST(g != NULL);
    for (; wanted > 0; wanted--) {
        struct call call;
        call_begin(a, &call, "gen_next");
        bool more = gen_next(g, &value);
        call_end_any(a, &call, more);
        if (!more) {
            body_must_be_done(body, taken, count);
            break;
        }
        MUST(value == taken);
        taken++;
        if (one_in(a, 3))
            nested(a);
    }
    gen_free(g);
    body_is_gone(body, was_asked);
}

static void op_for_each(struct actor *a)
{
    struct actor *body = a->depth < DEPTH_MOST ? actor_new(a, 3) : NULL;
    int expected = 0;

    if (body == NULL)
        return;
    for_each (value, generate(counts, body, 3)) {
        MUST(value == expected);
        expected++;
        if (one_in(a, 4))
            break;
    }
    body_is_gone(body, true);
}

/* --- Task-local values ---------------------------------------------------------------------- */

static void value_gone(void *value)
{
    MUST(!*(bool *)value);
    *(bool *)value = true;
}

static const bide_local keys[LOCALS] = {BIDE_LOCAL_INIT(value_gone), BIDE_LOCAL_INIT(value_gone),
                                        BIDE_LOCAL_INIT(value_gone)};

static void locals_check(const struct actor *a)
{
    for (int i = 0; i < LOCALS; i++) {
        const bool *value = bide_local_get(&keys[i]);
        MUST(value == (a->local[i] < 0 ? NULL : &w.values[a->local[i]].is_gone));
        MUST(value == NULL || !*value);
    }
}

static void op_local(struct actor *a)
{
    int i = pick(a, LOCALS), old = a->local[i];
    int new = one_in(a, 4) || w.values_count == VALUES_MOST ? -1 : w.values_count++;

    locals_check(a);
    if (old >= 0)
        w.values[old].seers--;
    if (new >= 0) {
        w.values[new].seers = 1;
        w.values[new].is_gone = false;
    }
    a->local[i] = new;
    MUST(bide_local_set(&keys[i], new < 0 ? NULL : &w.values[new].is_gone) == 0);
    locals_check(a);
}

#endif
