/* SPDX-License-Identifier: MIT */
/*
 * local.c - task-local values: who sees which, and that each is destroyed once, by whoever was the
 * last to see it.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "reports.h"
#include "sched/waitq.h"
#include "test.h"

static void run(int (*body)(void *))
{
    CHECK_EQ(bide_test_run(body, NULL, 0, NULL), 0);
}

static uint64_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* What was destroyed, in order, and in which task. */
static struct {
    char text[256];
    int length;
} destroyed;

static void note_destroyed(void *value)
{
    destroyed.length += snprintf(destroyed.text + destroyed.length,
                                 sizeof destroyed.text - (size_t)destroyed.length, "%s:%s ",
                                 (const char *)value, bide_task_name());
}

/* What was destroyed since the last time somebody asked. */
static const char *news(void)
{
    static char text[sizeof destroyed.text];

    memcpy(text, destroyed.text, sizeof text);
    destroyed.text[0] = 0;
    destroyed.length = 0;
    return text;
}

static bide_local user = BIDE_LOCAL_INIT(note_destroyed);
static bide_local request = BIDE_LOCAL_INIT(note_destroyed);
static const bide_local plain = BIDE_LOCAL_INIT(NULL);

static char alice[] = "alice", bob[] = "bob", carol[] = "carol", one[] = "one", two[] = "two";

static int sets(void *arg)
{
    (void)arg;
    CHECK(bide_local_get(&user) == NULL);
    CHECK_EQ(bide_local_set(&user, NULL), 0);
    CHECK_EQ(bide_local_set(&user, alice), 0);
    CHECK_EQ(bide_local_set(&request, one), 0);
    CHECK_EQ(bide_local_set(&plain, two), 0);
    CHECK_STR(bide_local_get(&user), alice);
    CHECK_EQ(bide_local_set(&user, alice), 0); /* the same: not destroyed */
    CHECK_STR(news(), "");
    CHECK_EQ(bide_local_set(&user, bob), 0);
    CHECK_STR(news(), "alice:main ");
    CHECK_STR(bide_local_get(&user), bob);
    CHECK_EQ(bide_local_set(&user, NULL), 0);
    CHECK_STR(news(), "bob:main ");
    CHECK(bide_local_get(&user) == NULL);
    CHECK_STR(bide_local_get(&request), one);
    CHECK_STR(bide_local_get(&plain), two);
    CHECK_EQ(bide_local_set(&plain, NULL), 0);
    CHECK_EQ(bide_local_set(&user, carol), 0);
    return 0;
}

/*
 * Goal:   a task reads back what it set last; a value ends when it is replaced, unset, or with the
 *         task, the key that was set last first; outside of a task there is none.
 * Method: three keys in the first task, one without a destructor.
 */
TEST(local, value_is_kept_until_replaced)
{
    CHECK(bide_local_get(&user) == NULL);
    run(sets);
    CHECK_STR(news(), "carol:main one:main ");
    CHECK(bide_local_get(&user) == NULL);
}

static async(int, grandchild)
{
    CHECK_STR(bide_local_get(&user), alice);
    CHECK_STR(bide_local_get(&request), two);
    return 0;
}

static async(int, child)
{
    CHECK_STR(bide_local_get(&user), alice); /* although the spawner has set another since */
    CHECK_STR(bide_local_get(&request), one);
    CHECK_EQ(bide_local_set(&request, two), 0);
    task(int) t = spawn(grandchild);
    CHECK_EQ(bide_local_set(&user, NULL), 0);
    CHECK(bide_local_get(&user) == NULL);
    CHECK_EQ(await(t), 0);
    CHECK_STR(news(), "alice:grandchild ");
    return 0;
}

static async(int, stranger)
{
    CHECK(bide_local_get(&user) == NULL);
    CHECK(bide_local_get(&request) == NULL);
    return 0;
}

static int inherits(void *arg)
{
    (void)arg;
    task(int) before = spawn(stranger);
    CHECK_EQ(bide_local_set(&user, alice), 0);
    CHECK_EQ(bide_local_set(&request, one), 0);
    task(int) after = spawn(child);
    CHECK_EQ(bide_local_set(&user, carol), 0);
    CHECK_EQ(await(before), 0);
    CHECK_EQ(await(after), 0);
    CHECK_STR(news(), "two:child ");
    CHECK_STR(bide_local_get(&user), carol);
    CHECK_STR(bide_local_get(&request), one);
    CHECK_EQ(bide_test_run(sets, NULL, 0, NULL), 0); /* a loop of its own starts with nothing */
    CHECK_STR(news(), "carol:main one:main ");
    CHECK_STR(bide_local_get(&user), carol);
    return 0;
}

/*
 * Goal:   a task sees the values of its spawner as they were at the spawn; what either sets later
 *         the other does not see. A value ends with the last task that sees it, in that task.
 * Method: three generations that set, replace and unset; a task spawned before; a loop in a task.
 */
TEST(local, spawned_task_inherits_a_snapshot)
{
    run(inherits);
    CHECK_STR(news(), "one:main carol:main ");
}

static async(int, sleeps, bide_time, ns)
{
    return bide_sleep(ns);
}

static int outlives(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_local_set(&user, alice), 0);
    task(int) t = spawn(sleeps, 10);
    CHECK_EQ(go(sleeps, 20), 0);
    CHECK_EQ(bide_local_set(&user, NULL), 0);
    CHECK_EQ(await(t), 0);
    CHECK_STR(news(), "");
    bide_sleep_until(30);
    CHECK_STR(news(), "alice:sleeps ");
    CHECK_EQ(bide_local_set(&user, bob), 0);
    t = spawn(sleeps, 0);
    CHECK_EQ(bide_local_set(&user, NULL), 0);
    bide_sleep(1);
    CHECK_STR(news(), "bob:sleeps "); /* when it ended, not when it is awaited */
    return await(t);
}

/*
 * Goal:   values live as long as a task sees them, whether it is awaited or detached.
 * Method: the spawner lets go first.
 */
TEST(local, last_task_destroys)
{
    run(outlives);
}

static int lacks_memory(void *arg)
{
    int failures = 0;

    (void)arg;
    for (int shared = 0; shared < 2; shared++)
        for (uint64_t nth = 1; nth <= 3; nth++) {
            struct {
                const bide_local *key;
                char *value;
            } const tries[] = {{&request, two}, {&plain, carol}, {&request, NULL}};
            for (int i = 0; i < 3; i++) {
                CHECK_EQ(bide_local_set(&plain, NULL), 0);
                CHECK_EQ(bide_local_set(&user, alice), 0);
                CHECK_EQ(bide_local_set(&request, one), 0);
                task(int) t = shared ? spawn(sleeps, 5) : NULL;
                news();
                bide__fault_fail(BIDE__CALL_ALLOC, nth, 1, -ENOMEM);
                int err = bide_local_set(tries[i].key, tries[i].value);
                bide__fault_reset();
                CHECK(err == 0 || err == -ENOMEM);
                failures += err != 0;
                CHECK_STR(bide_local_get(&user), alice);
                if (err == -ENOMEM) {
                    CHECK_STR(bide_local_get(&request), one);
                    CHECK(bide_local_get(&plain) == NULL);
                    CHECK_STR(news(), "");
                }
                if (t != NULL)
                    await(t);
                CHECK_EQ(bide_local_set(&plain, NULL), 0);
            }
        }
    CHECK_EQ(failures, 2 + 5);
    CHECK_EQ(bide_local_set(&user, NULL), 0);
    CHECK_EQ(bide_local_set(&request, NULL), 0);
    news();
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    CHECK_EQ(bide_local_set(&user, bob), -ENOMEM); /* the first of all */
    bide__fault_fail(BIDE__CALL_ALLOC, 2, 1, -ENOMEM);
    CHECK_EQ(bide_local_set(&user, bob), -ENOMEM);
    CHECK(bide_local_get(&user) == NULL);
    return 0;
}

/*
 * Goal:   without memory a set says so, and changes nothing; a table that is the task's own takes
 *         another value, or gives one up, without any.
 * Method: let each allocation fail, with values that are shared and not.
 */
TEST(local, no_memory_keeps_the_old_value)
{
    run(lacks_memory);
    CHECK_STR(news(), "");
}

static int cannot_spawn(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_local_set(&user, alice), 0);
    CHECK(spawn(sleeps, 1) == NULL); /* tasks_max */
    CHECK(spawn_with(&(bide_spawn_options){.stack_bytes = SIZE_MAX}, sleeps, 1) == NULL);
    CHECK_EQ(bide_local_set(&user, NULL), 0);
    CHECK_STR(news(), "alice:main ");
    return 0;
}

/*
 * Goal:   a spawn that fails keeps no value alive.
 * Method: too many tasks, and too large a stack; then unset: the value ends at once.
 */
TEST(local, failed_spawn_holds_nothing)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    options.tasks_max = 1;
    CHECK_EQ(bide_test_run(cannot_spawn, NULL, 0, &options), 0);
    CHECK_EQ(reports_of(&seen, BIDE_REPORT_SPAWN_FAILED), 2);
}

static async(void, never_unwinds)
{
    for (;;) {
        struct bide__waiter waiter = BIDE__WAITER(waiter, "for ever");
        bide__park(&waiter);
    }
}

static int drops_a_stack(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_local_set(&user, alice), 0);
    CHECK_EQ(go(never_unwinds), 0);
    return bide_local_set(&user, NULL);
}

/*
 * Goal:   when a loop has to drop a stack that never unwound, what its task saw ends all the same.
 * Method: a task that sleeps on, whatever it is told.
 */
TEST(local, dropped_stack_releases_its_values)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_test_run(drops_a_stack, NULL, 0, &options), -EDEADLK);
    CHECK_STR(news(), "alice: ");
}

static void set_again(void *value)
{
    note_destroyed(value);
    CHECK_EQ(bide_local_get(&request) == NULL, value == (void *)alice);
    if (value == (void *)alice)
        CHECK_EQ(bide_local_set(&request, one), 0);
}
static const bide_local reborn = BIDE_LOCAL_INIT(set_again);

static async(int, ends_with_rebirth)
{
    CHECK_EQ(bide_local_set(&reborn, alice), 0);
    return 0;
}

static async(int, replaces)
{
    CHECK_EQ(bide_local_set(&reborn, alice), 0);
    CHECK_EQ(bide_local_set(&reborn, bob), 0); /* and the destructor sets the other key */
    CHECK_STR(bide_local_get(&reborn), bob);
    CHECK_STR(bide_local_get(&request), one);
    CHECK_EQ(bide_local_set(&reborn, NULL), 0);
    return 0;
}

static int destructors_set(void *arg)
{
    (void)arg;
    await(spawn(ends_with_rebirth));
    CHECK_STR(news(), "alice:ends_with_rebirth one:ends_with_rebirth ");
    await(spawn(replaces));
    CHECK_STR(news(), "alice:replaces bob:replaces one:replaces ");
    return 0;
}

/*
 * Goal:   a destructor may read and set values: as the task ends it sees none, and what it sets
 *         ends as well; before, it sees everything as it is by then.
 * Method: a destructor that sets another key, at the task's end and at a replacement.
 */
TEST(local, destructor_may_set_values)
{
    run(destructors_set);
}

static void set_for_ever(void *value);
static const bide_local endless = BIDE_LOCAL_INIT(set_for_ever);

static void set_for_ever(void *value)
{
    bide_local_set(&endless, value);
}

static int ends_never(void *arg)
{
    return bide_local_set(&endless, arg);
}

/*
 * Goal:   mistakes end the process with a line that says what to change.
 * Method: a set outside of a task, and a destructor that goes round in circles.
 */
TEST(local, misuse_aborts_with_one_line)
{
    EXPECT_DEATH(bide_local_set(&user, alice), "bide_local_set was called outside of a task");
    EXPECT_DEATH(bide_test_run(ends_never, alice, 0, NULL), "again and again");
}

/* Tasks that set, unset and spawn at random; each value counts its ends. */
enum { KEYS = 5, VALUES = 4000, TASKS = 60 };

static char ends[VALUES];
static int values_used, tasks_used;

static void count_end(void *value)
{
    ++*(char *)value;
}

static const bide_local keys[KEYS] = {
    BIDE_LOCAL_INIT(count_end), BIDE_LOCAL_INIT(count_end), BIDE_LOCAL_INIT(count_end),
    BIDE_LOCAL_INIT(count_end), BIDE_LOCAL_INIT(count_end),
};

struct seen_values {
    char *of[KEYS];
};

static async(int, lives, uint64_t *, state, struct seen_values, seen)
{
    for (int step = 0; step < 30; step++) {
        size_t k = random_next(state) % KEYS;
        for (int i = 0; i < KEYS; i++) {
            CHECK(bide_local_get(&keys[i]) == seen.of[i]);
            CHECK(seen.of[i] == NULL || *seen.of[i] == 0); /* what is seen lives */
        }
        switch (random_next(state) % 4) {
        case 0:
            seen.of[k] = NULL;
            CHECK_EQ(bide_local_set(&keys[k], NULL), 0);
            break;
        case 1:
            seen.of[k] = &ends[values_used++];
            CHECK_EQ(bide_local_set(&keys[k], seen.of[k]), 0);
            break;
        case 2:
            if (tasks_used++ < TASKS)
                CHECK_EQ(go(lives, state, seen), 0);
            break;
        default: bide_sleep(BIDE_NS(random_next(state) % 4));
        }
    }
    return 0;
}

static int many_live(void *arg)
{
    struct seen_values none = {0};

    await(spawn(lives, arg, none));
    with_shield (BIDE_SEC(1))
        bide_sleep(BIDE_MS(1));
    return 0;
}

/*
 * Goal:   every task sees what the rules say, and every value ends exactly once, not before the
 *         last task that sees it lets go.
 * Method: dozens of tasks that share, replace and spawn at random, each with a plain copy of what
 *         it must see, under hundreds of seeds.
 */
TEST(local, random_families_share_and_release)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        uint64_t state = test_seed() + seed;
        values_used = tasks_used = 0;
        memset(ends, 0, sizeof ends);
        CHECK_EQ(bide_test_run(many_live, &state, seed, NULL), 0);
        CHECK(values_used < VALUES);
        for (int i = 0; i < values_used; i++)
            CHECK_EQ(ends[i], 1);
    }
}

static int many_keys(void *arg)
{
    static bide_local hundred[100];

    (void)arg;
    for (int i = 0; i < 100; i++)
        CHECK_EQ(bide_local_set(&hundred[i], &hundred[i]), 0);
    for (int i = 0; i < 100; i += 2)
        CHECK_EQ(bide_local_set(&hundred[i], NULL), 0);
    for (int i = 0; i < 100; i++)
        CHECK(bide_local_get(&hundred[i]) == (i % 2 ? &hundred[i] : NULL));
    return 0;
}

/*
 * Goal:   there is no limit on keys, and zeroed memory is one without a destructor.
 * Method: a hundred of them, half of them unset again.
 */
TEST(local, many_keys_are_kept_apart)
{
    run(many_keys);
}
