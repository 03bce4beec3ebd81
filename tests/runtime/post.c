/* SPDX-License-Identifier: MIT */
/*
 * post.c - what a posted function may do, when it runs, and when posting is refused.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "reports.h"
#include "sched/loop.h"
#include "test.h"

enum { SLOTS = 1024 };

static bide_loop *held;
static int ran;

static void counts(void *arg)
{
    (void)arg;
    ran++;
}

static void sets_event(void *arg)
{
    bide_event_set(arg);
}

/* --- What a post may do */

static int order[300], order_count;

static void notes(void *arg)
{
    CHECK_EQ(bide__loop_here->inbox.slots == held->inbox.slots, true);
    order[order_count++] = (int)(intptr_t)arg;
}

static void *posts_numbers(void *arg)
{
    for (intptr_t i = 0; i < 100; i++)
        CHECK_EQ(bide_post(held, notes, (void *)(i + 100)), 0);
    CHECK_EQ(bide_post(held, sets_event, arg), 0);
    bide_loop_release(held);
    return NULL;
}

static int is_posted_to(void *arg)
{
    bide_event done = {0};
    pthread_t thread;

    held = bide_loop_hold(NULL);
    CHECK(held == bide__loop_here);
    for (intptr_t i = 0; i < 100; i++)
        CHECK_EQ(bide_post(held, notes, (void *)i), 0);
    CHECK_EQ(order_count, 0); /* a post never runs at once */
    CHECK_EQ(pthread_create(&thread, NULL, posts_numbers, &done), 0);
    CHECK_EQ(bide_event_wait(&done), 0);
    CHECK_EQ(order_count, 200);
    pthread_join(thread, NULL);
    (void)arg;
    return 7;
}

/*
 * Goal:   posts of tasks and threads run on the loop, each poster's in order, and wake tasks; on
 *         the virtual clock as well, and on its every seed.
 * Method: a hundred posts of a task, then of a thread, which sets an event at last.
 */
TEST(post, posts_run_in_order_and_wake_tasks)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        order_count = 0;
        if (seed == 0)
            CHECK_EQ(bide_run(is_posted_to, NULL, NULL), 7);
        else
            CHECK_EQ(bide_test_run(is_posted_to, NULL, seed - 1, NULL), 7);
        for (int i = 1; i < 100; i++) {
            int own = -1, other = -1;
            for (int at = 0; at < order_count; at++) {
                own = order[at] == i - 1 ? at : own;
                other = order[at] == i + 99 ? at : other;
                if (order[at] == i)
                    CHECK(own >= 0);
                if (order[at] == i + 100)
                    CHECK(other >= 0);
            }
        }
    }
}

static bide_local number_of_post;

struct world {
    future(int) answer;
    task(int) child;
    bide_event again;
    int inner;
};

static async(int, sees_local)
{
    bide_yield();
    return (int)(intptr_t)bide_local_get(&number_of_post);
}

static int inner_run(void *arg)
{
    *(int *)arg = 5;
    return bide_sleep(1);
}

static void sees_no_local(void *arg)
{
    struct world *world = arg;

    CHECK(bide_local_get(&number_of_post) == NULL);
    CHECK_EQ(bide_run(inner_run, &world->inner, NULL), 0);
    bide_event_set(&world->again);
}

static void does_much(void *arg)
{
    struct world *world = arg;

    CHECK_STR(bide_task_name(), "post");
    CHECK_EQ(bide_stack_peak(), 0);
    CHECK_EQ(bide_local_set(&number_of_post, (void *)(intptr_t)3), 0);
    world->child = spawn(sees_local);
    CHECK_EQ(future_set(world->answer, 42), 0);
    CHECK_EQ(bide_sleep(1), -ECANCELED);
    CHECK_EQ(bide_yield(), -ECANCELED);
    for (int i = 0; i < 1000; i++) /* no budget runs out */
        CHECK_EQ(bide_sleep(0), -ECANCELED);
    CHECK_EQ(bide_post(held, sees_no_local, world), 0);
}

static int sees_much(void *arg)
{
    struct world world = {.answer = future_new(int)};

    (void)arg;
    held = bide_loop_hold(NULL);
    CHECK_EQ(bide_post(held, does_much, &world), 0);
    CHECK_EQ(await(world.answer), 42);
    CHECK_EQ(await(world.child), 3);
    CHECK_EQ(bide_event_wait(&world.again), 0);
    CHECK_EQ(world.inner, 5);
    bide_loop_release(held);
    return 0;
}

/*
 * Goal:   a post may do what a task may: spawn, set futures and task-local values, post again, run
 *         another loop; calls that could wait return -ECANCELED. Its local values end with it.
 * Method: one of each.
 */
TEST(post, post_may_do_what_a_task_may_but_wait)
{
    CHECK_EQ(bide_run(sees_much, NULL, NULL), 0);
    CHECK_EQ(bide_test_run(sees_much, NULL, 1, NULL), 0);
}

static generator(int, ones)
{
    for (;;)
        yield_value(1);
}

static gen(int) some_ones;

static void waits(void *arg)
{
    with_shield (BIDE_SEC(1)) {
        bide_event_wait(arg);
    }
}

static void yields(void *arg)
{
    (void)arg;
    with_shield (BIDE_SEC(1)) {
        bide_yield();
    }
}

static async(int, never_ends)
{
    return bide_sleep(BIDE_FOREVER);
}

static void awaits(void *arg)
{
    (void)arg;
    await(spawn(never_ends));
}

static void asks_generator(void *arg)
{
    int one;

    (void)arg;
    gen_next(some_ones, &one);
}

static int posts_it(void *arg)
{
    void (*fn)(void *arg);
    bide_event never = {0};

    memcpy(&fn, arg, sizeof fn);
    held = bide_loop_hold(NULL);
    some_ones = generate(ones);
    CHECK_EQ(bide_post(held, fn, &never), 0);
    return bide_sleep(BIDE_SEC(1));
}

/*
 * Goal:   a post that would have to wait all the same ends the program with one clear line.
 * Method: wait and yield under a shield, await, ask a generator.
 */
TEST(post, post_that_would_wait_aborts)
{
    void (*const fns[])(void *arg) = {waits, yields, awaits, asks_generator};

    for (int i = 0; i < 4; i++) {
        void (*fn)(void *arg) = fns[i];
        EXPECT_DEATH(bide_run(posts_it, &fn, NULL), "a function that was posted to the loop");
    }
}

/* --- Slots */

static int fills_slots(void *arg)
{
    (void)arg;
    held = bide_loop_hold(NULL);
    for (int round = 0; round < 5; round++) {
        ran = 0;
        for (int i = 0; i < SLOTS; i++)
            CHECK_EQ(bide_post(held, counts, NULL), 0);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(bide_post(held, counts, NULL), -EAGAIN);
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
        CHECK_EQ(ran, SLOTS);
    }
    return 0;
}

static void fills_it_again(void *arg)
{
    (void)arg;
    for (int i = 0; i < SLOTS; i++)
        CHECK_EQ(bide_post(held, counts, NULL), 0); /* this one's own slot is free as well */
    CHECK_EQ(bide_post(held, counts, NULL), -EAGAIN);
}

/*
 * Goal:   posts that find no slot are refused and leave nothing behind; the slots come back.
 * Method: fill them, overflow, let them run, again; at last from a post, at the loop's end; refused
 *         after that, more often than there are slots.
 */
TEST(post, full_slots_are_refused_and_come_back)
{
    CHECK_EQ(bide_run(fills_slots, NULL, NULL), 0);
    for (int i = 0; i < 3 * SLOTS; i++)
        CHECK_EQ(bide_post(held, counts, NULL), -ESHUTDOWN);
    bide_loop_release(held);
    bide_loop_release(NULL);
    CHECK_EQ(bide_test_run(fills_slots, NULL, 0, NULL), 0);
    CHECK_EQ(bide_post(held, counts, NULL), -ESHUTDOWN);
    bide_loop_release(held);
}

static int fills_in_a_post(void *arg)
{
    (void)arg;
    held = bide_loop_hold(NULL);
    ran = 0;
    CHECK_EQ(bide_post(held, fills_it_again, NULL), 0);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(ran, SLOTS);
    bide_loop_release(held);
    return 0;
}

/*
 * Goal:   a post's slot is free when it runs.
 * Method: a post fills all of them.
 */
TEST(post, running_post_has_given_its_slot_back)
{
    CHECK_EQ(bide_run(fills_in_a_post, NULL, NULL), 0);
}

/* --- What holding fails with */

static int holds_until_it_works(void *arg)
{
    static const struct {
        enum bide__call call;
        int error;
    } calls[] = {{BIDE__CALL_EVENTFD, -EMFILE},
                 {BIDE__CALL_EPOLL_CTL, -ENOSPC},
                 {BIDE__CALL_ALLOC, -ENOMEM}};
    const int *which = arg;
    int fds = test_open_fds(), failed = 0;

    for (uint64_t nth = 1;; nth++) {
        bide__fault_reset();
        bide__fault_fail(calls[*which].call, nth, 1, calls[*which].error);
        held = bide_loop_hold(NULL);
        bide__fault_reset();
        if (held != NULL)
            break;
        failed++;
        CHECK(nth < 10);
    }
    CHECK(test_open_fds() <= fds + 1);
    CHECK(failed >= 1);
    CHECK_EQ(bide_post(held, counts, NULL), 0);
    bide_loop_release(held);
    return 0;
}

/*
 * Goal:   a loop that gets no memory or descriptor to be held is not, and can be later.
 * Method: each call fails in turn, until it works; descriptors counted.
 */
TEST(post, hold_without_memory_or_descriptor_returns_null)
{
    int fds = test_open_fds();

    for (int which = 0; which < 3; which++) {
        ran = 0;
        CHECK_EQ(bide_run(holds_until_it_works, &which, NULL), 0);
        CHECK_EQ(ran, 1);
        CHECK_EQ(test_open_fds(), fds);
    }
}

/*
 * Goal:   holding the loop of nobody is a mistake that is named.
 * Method: outside of a task.
 */
TEST(post, hold_outside_of_a_task_aborts)
{
    EXPECT_DEATH(bide_loop_hold(NULL), "bide_loop_hold was called outside of a task");
}

/* --- What it costs */

static uint64_t rings(void)
{
    uint64_t count = 0;

    return read(held->inbox.bell.fd, &count, sizeof count) == sizeof count ? count : 0;
}

static async(int, posts_all_the_time)
{
    bide__fault_reset();
    for (int i = 0; i < 5000; i++) {
        for (int post = 0; post < 2; post++)
            CHECK_EQ(bide_post(held, counts, NULL), 0);
        bide_yield();
    }
    CHECK_EQ(bide__fault_system_calls(), 0);
    return 0;
}

static int counts_calls(void *arg)
{
    (void)arg;
    held = bide_loop_hold(NULL);
    CHECK_EQ(await(spawn(posts_all_the_time)), 0);
    CHECK_EQ(rings(), 0);
    bide_loop_release(held);
    return 0;
}

/*
 * Goal:   posting to a busy loop makes no system call.
 * Method: 10,000 posts of a task that yields; no call counted, and the bell's count still 0.
 */
TEST(post, posting_to_a_busy_loop_makes_no_system_call)
{
    CHECK_EQ(bide_run(counts_calls, NULL, NULL), 0);
    CHECK(ran > 9000);
}

static void *posts_late(void *arg)
{
    struct timespec a_while = {.tv_nsec = 300 * 1000 * 1000};

    nanosleep(&a_while, NULL);
    CHECK_EQ(bide_post(held, sets_event, arg), 0);
    bide_loop_release(held);
    return NULL;
}

static int sleeps_with_holder(void *arg)
{
    bide_event done = {0};
    pthread_t thread;
    bide_stats before, after;

    (void)arg;
    held = bide_loop_hold(NULL);
    CHECK_EQ(pthread_create(&thread, NULL, posts_late, &done), 0);
    bide_loop_stats(&before);
    CHECK_EQ(bide_event_wait(&done), 0);
    bide_loop_stats(&after);
    CHECK(after.polls - before.polls <= 3);
    pthread_join(thread, NULL);
    return 0;
}

/*
 * Goal:   a loop that waits for a post uses no processor (fault 61).
 * Method: polls counted while a thread lets it wait.
 */
TEST(post, idle_loop_with_a_holder_does_not_poll)
{
    CHECK_EQ(bide_run(sleeps_with_holder, NULL, NULL), 0);
    CHECK_EQ(bide_test_run(sleeps_with_holder, NULL, 0, NULL), 0);
}

static atomic_int answered;

static void *posts_at_saturation(void *arg)
{
    const uint64_t nearly = UINT64_MAX - 1;

    for (int i = 0; i < 100; i++) {
        rings();
        CHECK_EQ(write(held->inbox.bell.fd, &nearly, sizeof nearly), sizeof nearly);
        while (!atomic_load(&held->inbox.is_asleep)) /* it came back because of that */
            sched_yield();
        CHECK_EQ(bide_post(held, sets_event, arg), 0);
        while (atomic_load(&answered) <= i)
            sched_yield();
    }
    bide_loop_release(held);
    return NULL;
}

static int has_saturated_bell(void *arg)
{
    static bide_event done;
    pthread_t thread;

    (void)arg;
    held = bide_loop_hold(NULL);
    CHECK_EQ(pthread_create(&thread, NULL, posts_at_saturation, &done), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(bide_event_wait(&done), 0);
        bide_event_clear(&done);
        atomic_store(&answered, i + 1);
    }
    pthread_join(thread, NULL);
    return 0;
}

/*
 * Goal:   a bell that has rung as often as it can count still wakes the loop (fault 41).
 * Method: write 2^64 - 2 to the loop's eventfd before each of a hundred posts.
 */
TEST(post, saturated_bell_still_wakes)
{
    CHECK_EQ(bide_run(has_saturated_bell, NULL, NULL), 0);
}

/* --- Fairness */

static bool stop;
static long rounds;

static void posts_itself(void *arg)
{
    rounds++;
    if (!stop)
        CHECK_EQ(bide_post(held, posts_itself, arg), 0);
}

static async(int, answers, int, end)
{
    char byte;

    CHECK_EQ(bide_wait_fd(end, BIDE_READ), BIDE_READ);
    return (int)read(end, &byte, 1);
}

static int lives_beside_it(void *arg)
{
    int ends[2];

    (void)arg;
    held = bide_loop_hold(NULL);
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    CHECK_EQ(bide_post(held, posts_itself, NULL), 0);
    for (int i = 0; i < 20; i++) {
        task(int) reader = spawn(answers, ends[0]);
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
        CHECK(!is_done(reader));
        CHECK_EQ(write(ends[1], "x", 1), 1);
        CHECK_EQ(await(reader), 1);
    }
    CHECK(rounds > 20);
    stop = true;
    bide_loop_release(held);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/*
 * Goal:   a post that posts itself for ever starves neither tasks nor timers nor I/O (fault 44),
 *         and does not keep the loop from ending.
 * Method: twenty rounds of a sleep and a byte through a pipe beside it; then one that never stops.
 */
TEST(post, post_that_posts_itself_starves_nobody)
{
    CHECK_EQ(bide_run(lives_beside_it, NULL, NULL), 0);
}

static void posts_itself_until_refused(void *arg)
{
    int err = bide_post(held, posts_itself_until_refused, arg);

    CHECK(err == 0 || err == -ESHUTDOWN);
    ran += err == -ESHUTDOWN;
}

static int leaves_it_behind(void *arg)
{
    (void)arg;
    held = bide_loop_hold(NULL);
    CHECK_EQ(bide_post(held, posts_itself_until_refused, NULL), 0);
    CHECK_EQ(bide_post(held, posts_itself_until_refused, NULL), 0);
    return 0;
}

/*
 * Goal:   the loop ends although its posts go on posting.
 * Method: two that stop only when they are refused.
 */
TEST(post, loop_ends_although_posts_go_on)
{
    CHECK_EQ(bide_run(leaves_it_behind, NULL, NULL), 0);
    CHECK_EQ(ran, 2);
    bide_loop_release(held);
}
