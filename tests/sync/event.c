/* SPDX-License-Identifier: MIT */
/*
 * event.c - a set reaches all who wait, and stays until it is cleared.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reports.h"
#include "sync/sweep.h"
#include "test.h"

static bide_event event = BIDE_EVENT_INIT;
static int order[16], order_count;

static async(int, waits, int, number)
{
    int err = bide_event_wait(&event);

    order[order_count++] = number;
    return err;
}

static int sets(void *arg)
{
    task(int) tasks[5];

    (void)arg;
    order_count = 0;
    bide_event_clear(&event);
    for (int i = 0; i < 5; i++) {
        tasks[i] = spawn(waits, i);
        bide_sleep(BIDE_MS(1));
    }
    CHECK(!bide_event_is_set(&event));
    bide_event_set(&event);
    bide_event_set(&event);
    CHECK(bide_event_is_set(&event));
    CHECK_EQ(order_count, 0); /* does not switch */
    CHECK_EQ(bide_event_wait(&event), 0);
    CHECK_EQ(order_count, 0); /* did not wait */
    bide_event_clear(&event);
    CHECK(!bide_event_is_set(&event));
    for (int i = 0; i < 5; i++)
        CHECK_EQ(await(tasks[i]), 0);
    with_timeout (BIDE_MS(1))
        CHECK_EQ(bide_event_wait(&event), -ETIMEDOUT);
    return 0;
}

static int sets_in_order(void *arg)
{
    int err = sets(arg);

    for (int i = 0; i < 5; i++)
        CHECK_EQ(order[i], i);
    return err;
}

/*
 * Goal:   a set wakes all who wait, in their order, also when it is cleared before their turn; who
 *         comes while it is set does not wait, who comes after the clear does.
 * Method: five wait; set twice, wait, clear, all in one turn; under many seeds.
 */
TEST(event, set_wakes_all_even_when_cleared_at_once)
{
    CHECK_EQ(bide_test_run(sets_in_order, NULL, 0, NULL), 0);
    for (uint64_t seed = 1; seed < 100; seed++)
        CHECK_EQ(bide_test_run(sets, NULL, seed, NULL), 0);
}

static async(int, waits_for_a_while, int, number, bide_time, timeout)
{
    int err = 1;

    with_timeout (timeout)
        err = waits(number);
    return err;
}

static int gives_up(void *arg)
{
    task(int) cancelled, late, patient;

    (void)arg;
    order_count = 0;
    bide_event_init(&event);
    cancelled = spawn(waits, 0);
    late = spawn(waits_for_a_while, 1, BIDE_MS(5));
    patient = spawn(waits, 2);
    bide_sleep(BIDE_MS(1));
    cancel(cancelled);
    bide_event_set(&event);
    cancel(patient); /* the set came first */
    CHECK_EQ(await(cancelled), -ECANCELED);
    CHECK_EQ(await(late), 0);
    CHECK_EQ(await(patient), 0);
    bide_event_clear(&event);
    CHECK_EQ(waits_for_a_while(3, BIDE_MS(5)), -ETIMEDOUT);
    return 0;
}

/*
 * Goal:   cancel or set, whichever came first decides; a deadline times out.
 * Method: a cancel before the set, one after it in the same turn, and a wait for what is not set.
 */
TEST(event, cancel_against_set_is_decided_by_who_was_first)
{
    for (uint64_t seed = 0; seed < 100; seed++)
        CHECK_EQ(bide_test_run(gives_up, NULL, seed, NULL), 0);
}

static int waits_in_fired_scopes(void *arg)
{
    bide_scope scope = BIDE_SCOPE_INIT;

    (void)arg;
    for (int is_set = 0; is_set < 2; is_set++) {
        bide_event_init(&event);
        if (is_set)
            bide_event_set(&event);
        with_timeout (0)
            CHECK_EQ(bide_event_wait(&event), -ETIMEDOUT);
    }
    with_scope (&scope) {
        bide_scope_cancel(&scope);
        CHECK_EQ(bide_event_wait(&event), -ECANCELED);
    }
    return 0;
}

/*
 * Goal:   in a scope that fired wait returns the code at once, whether the event is set or not.
 * Method: a passed deadline, and a cancelled scope.
 */
TEST(event, wait_in_a_fired_scope_says_so)
{
    CHECK_EQ(bide_test_run(waits_in_fired_scopes, NULL, 0, NULL), 0);
}

static int waits_until_set(void *arg)
{
    struct sweep *at = arg;
    task(int) tasks[3];

    order_count = 0;
    bide_event_init(&event);
    for (int i = 0; i < 3; i++)
        tasks[i] = spawn(waits, i);
    bide_sleep(at->at);
    cancel(tasks[at->victim]);
    bide_sleep_until(BIDE_MS(2));
    bide_event_set(&event);
    for (int i = 0; i < 3; i++) {
        int err = await(tasks[i]);
        CHECK(err == 0 || (err == -ECANCELED && i == at->victim));
    }
    CHECK_EQ(order_count, 3);
    return 0;
}

/*
 * Goal:   whenever a waiter is cancelled, all the others are woken.
 * Method: three wait for a set after 2 ms; cancel each at each moment until then.
 */
TEST(event, cancel_at_any_moment_strands_nobody)
{
    sweep(waits_until_set, 3, 2);
}

static async(int, waits_on, bide_event *, on)
{
    return bide_event_wait(on);
}

static int frees_after_set(void *arg)
{
    bide_event *made = malloc(sizeof *made), zeroed;
    task(int) tasks[3];

    (void)arg;
    memset(&zeroed, 0, sizeof zeroed);
    CHECK(!bide_event_is_set(&zeroed));
    bide_event_set(&zeroed);
    CHECK_EQ(bide_event_wait(&zeroed), 0);
    bide_event_init(made);
    for (int i = 0; i < 3; i++)
        tasks[i] = spawn(waits_on, made);
    bide_sleep(BIDE_MS(1));
    bide_event_set(made);
    free(made);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(await(tasks[i]), 0);
    return 0;
}

/*
 * Goal:   once set, an event may be freed: who was woken touches it no more.
 * Method: free it in the turn of the set; the address sanitizer watches.
 */
TEST(event, may_be_freed_after_set)
{
    CHECK_EQ(bide_test_run(frees_after_set, NULL, 0, NULL), 0);
}

static async(int, looks_on, int, turns)
{
    for (int i = 0; i < turns; i++)
        CHECK_EQ(bide_yield(), 0);
    return 0;
}

static int waits_without_end(void *arg)
{
    task(int) bystander = spawn(looks_on, 10);

    (void)arg;
    bide_event_init(&event);
    bide_event_set(&event);
    while (!is_done(bystander))
        CHECK_EQ(bide_event_wait(&event), 0);
    return await(bystander);
}

/*
 * Goal:   a task that waits again and again for what is set lets the others run.
 * Method: a loop that ends only when a bystander has had its turns.
 */
TEST(event, wait_for_what_is_set_starves_nobody)
{
    CHECK_EQ(bide_test_run(waits_without_end, NULL, 0, NULL), 0);
}

static int sets_it(void *arg)
{
    bide_event_set(arg);
    return 0;
}

static int sets_from_another_loop(void *arg)
{
    bide_event_init(&event);
    go(waits, 0);
    bide_sleep(BIDE_MS(1));
    return bide_test_run(sets_it, arg, 0, NULL);
}

/*
 * Goal:   a mistake is one clear line, and an abort.
 * Method: wait outside of a task; set from a loop inside the task of another loop.
 */
TEST(event, mistakes_abort_and_say_why)
{
    EXPECT_DEATH(bide_event_wait(&event), "bide_event_wait was called outside of a task");
    EXPECT_DEATH(bide_test_run(sets_from_another_loop, &event, 0, NULL),
                 "waits in bide_event_wait on one loop, and was to be woken from another");
}

static int waits_for_nobody(void *arg)
{
    (void)arg;
    bide_event_init(&event);
    CHECK_EQ(bide_event_wait(&event), -ECANCELED);
    return 0;
}

/*
 * Goal:   an event that nobody will set is reported as a deadlock, with the call that waits.
 * Method: the only task waits.
 */
TEST(event, deadlock_names_the_wait)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(waits_for_nobody, NULL, 0, &options), -EDEADLK);
    CHECK_CONTAINS(seen.kept[1].message, "sleeps in bide_event_wait");
}
