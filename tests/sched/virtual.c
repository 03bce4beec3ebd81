/* SPDX-License-Identifier: MIT */
/*
 * virtual.c - the host of tests: same seed, same run; another seed, another legal interleaving.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "test.h"

struct run {
    char text[128];
    size_t length;
};

static struct run *now_running;

static void note(char c)
{
    CHECK(now_running->length + 1 < sizeof now_running->text);
    now_running->text[now_running->length++] = c;
}

static async(int, wanders, char, letter)
{
    for (int i = 0; i < 8; i++) {
        note(letter);
        CHECK_EQ(i % 3 == 2 ? bide_sleep(BIDE_MS(i)) : bide_yield(), 0);
    }
    return 0;
}

static int wander_all(void *arg)
{
    (void)arg;
    task(int) a = spawn(wanders, 'a');
    task(int) b = spawn(wanders, 'b');
    task(int) c = spawn(wanders, 'c');
    task(int) d = spawn(wanders, 'd');
    return await(a) + await(b) + await(c) + await(d);
}

static struct run run_with(uint64_t seed)
{
    struct run run = {0};

    now_running = &run;
    CHECK_EQ(bide_test_run(wander_all, NULL, seed, NULL), 0);
    CHECK_EQ(run.length, 32);
    return run;
}

/*
 * Goal:   a seed fixes the run, and seeds differ from one another.
 * Method: four tasks that yield and sleep leave a trace; run each of 50 seeds twice, compare.
 */
TEST(virtual, same_seed_same_run_and_other_seeds_others)
{
    struct run plain = run_with(0);
    int differs = 0;

    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct run once = run_with(seed), again = run_with(seed);
        CHECK_STR(once.text, again.text);
        differs += strcmp(once.text, plain.text) != 0;
    }
    CHECK(differs >= 45);
    CHECK(strncmp(plain.text, "abcdabcdabcd", 12) == 0);
}

static async(int, marks, char, letter)
{
    note(letter);
    return 0;
}

static int three_tasks(void *arg)
{
    (void)arg;
    go(marks, 'a');
    go(marks, 'b');
    go(marks, 'c');
    return bide_sleep(1);
}

/*
 * Goal:   the permutation reaches every order, and no task is lost or doubled by it.
 * Method: three tasks under 500 seeds: all six orders are seen, and nothing else.
 */
TEST(virtual, seeds_reach_all_six_orders_of_three_tasks)
{
    const char *const orders[] = {"abc", "acb", "bac", "bca", "cab", "cba"};
    int seen[6] = {0}, total = 0;

    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct run run = {0};
        now_running = &run;
        CHECK_EQ(bide_test_run(three_tasks, NULL, seed, NULL), 0);
        for (int i = 0; i < 6; i++)
            seen[i] += strcmp(run.text, orders[i]) == 0;
    }
    for (int i = 0; i < 6; i++) {
        CHECK(seen[i] > 0);
        total += seen[i];
    }
    CHECK_EQ(total, 500);
}

static int watches_the_clock(void *arg)
{
    (void)arg;
    CHECK_EQ(bide_now(), 0);
    for (int i = 0; i < 1000; i++)
        bide_yield();
    CHECK_EQ(bide_now(), 0);
    CHECK_EQ(bide_sleep(7), 0);
    CHECK_EQ(bide_now(), 7);
    return 0;
}

/*
 * Goal:   time starts at 0, stands still while a task is ready, and jumps to exactly the next
 *         deadline.
 * Method: read the clock around a thousand yields and one sleep, under several seeds.
 */
TEST(virtual, time_stands_still_while_tasks_run)
{
    for (uint64_t seed = 0; seed < 10; seed++)
        CHECK_EQ(bide_test_run(watches_the_clock, NULL, seed, NULL), 0);
}

static int waits_for_fd(void *arg)
{
    (void)arg;
    return bide_wait_fd(0, BIDE_READ);
}

/*
 * Goal:   what needs the kernel says that it is not there, instead of hanging.
 * Method: wait for a descriptor.
 */
TEST(virtual, descriptors_are_not_supported)
{
    CHECK_EQ(bide_test_run(waits_for_fd, NULL, 0, NULL), -EOPNOTSUPP);
}

static async(int, yields_often, int *, running)
{
    for (int i = 0; i < 300; i++)
        CHECK_EQ(bide_yield(), 0);
    --*running;
    return 0;
}

static int seeded_bystander(void *arg)
{
    int running = 10;

    (void)arg;
    for (int i = 0; i < 10; i++)
        go(yields_often, &running);
    int turns = 0;
    while (running > 0) {
        CHECK(++turns < 100000);
        CHECK_EQ(bide_yield(), 0);
    }
    return 0;
}

/*
 * Goal:   permuting the ready tasks starves none of them: random is fair in the long run.
 * Method: ten tasks of 300 yields each, and a bystander that counts its own turns until they are
 *         through.
 */
TEST(virtual, permuted_tasks_all_make_progress)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        CHECK_EQ(bide_test_run(seeded_bystander, NULL, seed, NULL), 0);
}
