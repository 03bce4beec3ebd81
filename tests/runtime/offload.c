/* SPDX-License-Identifier: MIT */
/*
 * offload.c - typed calls on threads: their types, their handles, cancelling them.
 */
#include "jobs.h"

#include <bide/testing.h>

#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/fault.h"
#include "reports.h"

struct pair {
    double left;
    long right;
};

struct wide {
    _Alignas(64) char text[64];
    int number;
};

static async(long, thread_of)
{
    return syscall(SYS_gettid);
}

static async(struct pair, swapped, struct pair, pair)
{
    return (struct pair){(double)pair.right, (long)pair.left};
}

static async(const char *, rest, const char *, text, size_t, from)
{
    return text + from;
}

static async(double, halved, double, number)
{
    return number / 2;
}

static async(void, stores, int *, where, int, what)
{
    *where = what;
}

static async(struct wide, widened, const struct wide *, from)
{
    struct wide wide = *from;

    wide.number++;
    return wide;
}

static async(signed char, fails_short)
{
    return -EIO;
}

static int typed(void *unused)
{
    struct wide wide = {.text = "wide", .number = 41}, got;
    struct pair four = {3, 4};
    task(long) thread = offload(thread_of);
    task(struct pair) pair = offload(swapped, four);
    task(const char *) text = offload(rest, "offload", 3);
    task(double) half = offload(halved, 5);
    int stored = 0;
    task(void) nothing = offload(stores, &stored, 9);
    task(struct wide) large = offload(widened, &wide);
    struct pair swap;

    (void)unused;
    four.left = 0; /* the job has its own */
    swap = await(pair);
    CHECK(await(thread) != syscall(SYS_gettid));
    CHECK(swap.left == 4 && swap.right == 3);
    CHECK_STR(await(text), "load");
    CHECK(await(half) == 2.5);
    await(nothing);
    CHECK_EQ(stored, 9);
    got = await(large);
    CHECK_EQ(got.number, 42);
    CHECK_STR(got.text, "wide");
    CHECK_EQ(await(offload(fails_short)), -EIO);
    return 0;
}

/*
 * Goal:   results and arguments of every sort arrive as they would by a call, copied at the call,
 *         and the call is made on another thread.
 * Method: integers, a double, pointers, void, structs, one of them aligned to 64 bytes.
 */
TEST(offload, results_and_arguments_keep_their_types)
{
    CHECK_EQ(bide_run(typed, NULL, NULL), 0);
}

static async(int, sum1, int, a)
{
    return a;
}
static async(int, sum2, int, a, long, b)
{
    return a + (int)b;
}
static async(int, sum3, int, a, long, b, char, c)
{
    return a + (int)b + c;
}
static async(int, sum4, int, a, long, b, char, c, double, d)
{
    return a + (int)b + c + (int)d;
}
static async(int, sum5, int, a, long, b, char, c, double, d, short, e)
{
    return a + (int)b + c + (int)d + e;
}
static async(int, sum6, int, a, long, b, char, c, double, d, short, e, float, f)
{
    return a + (int)b + c + (int)d + e + (int)f;
}
static async(int, sum7, int, a, long, b, char, c, double, d, short, e, float, f, int *, g)
{
    return a + (int)b + c + (int)d + e + (int)f + *g;
}
static async(int, sum8, int, a, long, b, char, c, double, d, short, e, float, f, int *, g,
             struct pair, h)
{
    return a + (int)b + c + (int)d + e + (int)f + *g + (int)h.right;
}

static int counted(void *unused)
{
    int g = 64;

    (void)unused;
    CHECK_EQ(await(offload(sum1, 1)), 1);
    CHECK_EQ(await(offload(sum2, 1, 2)), 3);
    CHECK_EQ(await(offload(sum3, 1, 2, 4)), 7);
    CHECK_EQ(await(offload(sum4, 1, 2, 4, 8)), 15);
    CHECK_EQ(await(offload(sum5, 1, 2, 4, 8, 16)), 31);
    CHECK_EQ(await(offload(sum6, 1, 2, 4, 8, 16, 32)), 63);
    CHECK_EQ(await(offload(sum7, 1, 2, 4, 8, 16, 32, &g)), 127);
    CHECK_EQ(await(offload(sum8, 1, 2, 4, 8, 16, 32, &g, ((struct pair){0, 128}))), 255);
    return 0;
}

/*
 * Goal:   one to eight arguments are passed on (none at all: see above).
 * Method: each is a bit of the sum, on both hosts.
 */
TEST(offload, up_to_eight_arguments_arrive)
{
    CHECK_EQ(bide_run(counted, NULL, NULL), 0);
    CHECK_EQ(bide_test_run(counted, NULL, 1, NULL), 0);
}

static void sets_flag(void *arg)
{
    *(bool *)arg = true;
}

static int handled(void *unused)
{
    struct gate gate;
    task(int) slow, quick, other;
    bide_callback callback;
    bool was_called = false;
    int value = 0;

    (void)unused;
    gate_init(&gate);
    slow = offload(passes, &gate, 5);
    CHECK(!is_done(slow));
    CHECK_EQ(future_error(slow), -EINPROGRESS);
    CHECK_EQ(await_for(slow, 0, &value), -ETIMEDOUT);
    CHECK_EQ(await_for(slow, BIDE_MS(1), &value), -ETIMEDOUT);
    quick = offload(passes, &gate, 6);
    on_done(slow, &callback, sets_flag, &was_called);
    future_share(slow);
    gate_open(&gate, 2);
    CHECK_EQ(await_all(slow, quick), 0);
    CHECK(was_called && is_done(slow) && is_done(quick));
    CHECK_EQ(future_error(slow), 0);
    CHECK_EQ(await_for(slow, 0, &value), 0);
    CHECK_EQ(value, 5);
    CHECK_EQ(await(slow), 5); /* the other share */
    CHECK_EQ(await(quick), 6);

    slow = offload(passes, &gate, 7);
    quick = offload(sum1, 8);
    other = offload(passes, &gate, 9);
    gate_wait_for(&gate, 4);
    CHECK_EQ(await_any(slow, quick, other), 1);
    CHECK_EQ(race(slow, quick, other), 1);
    CHECK_EQ(await(quick), 8);
    gate_open(&gate, 2); /* those that lost run on */
    while (atomic_load(&gate.passed) < 4)
        bide_sleep(BIDE_MS(1));
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   a job's handle is one like any other: await_for, is_done, on_done, shares, await_any,
 *         await_all and race take it.
 * Method: jobs that wait at a gate beside some that do not.
 */
TEST(offload, handle_is_a_futures)
{
    CHECK_EQ(bide_run(handled, NULL, NULL), 0);
    threads_gone();
}

static int cancels_queued(void *unused)
{
    struct gate gate;
    atomic_int ran = 0;
    task(int) first, second, third, shared;

    (void)unused;
    gate_init(&gate);
    first = offload(passes, &gate, 1);
    gate_wait(&gate);
    second = offload(counts_up, &ran, 2);
    cancel(second);
    CHECK(is_done(second));
    CHECK_EQ(future_error(second), -ECANCELED);
    CHECK_EQ(await(second), -ECANCELED);
    third = offload(counts_up, &ran, 3);
    with_timeout (BIDE_MS(1))
        CHECK_EQ(await(third), -ETIMEDOUT);
    shared = offload(counts_up, &ran, 4);
    future_share(shared);
    with_timeout (BIDE_MS(1))
        CHECK_EQ(await(shared), -ETIMEDOUT);
    gate_open(&gate, 1);
    CHECK_EQ(await(first), 1);
    CHECK_EQ(await(shared), 4); /* somebody still wanted it */
    CHECK_EQ(await(offload(counts_up, &ran, 5)), 5);
    CHECK_EQ(atomic_load(&ran), 2);
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   a job that is cancelled before a thread took it never runs, whoever cancels; one of which
 *         a share is left does.
 * Method: one thread, held at the gate; count those that ran.
 */
TEST(offload, cancelled_while_queued_never_runs)
{
    bide_options options = {.threads_max = 1};

    CHECK_EQ(bide_run(cancels_queued, NULL, &options), 0);
}

static async(int, awaits_pass, struct gate *, gate, int, value)
{
    return await(offload(passes, gate, value));
}

static int cancels_running(void *unused)
{
    struct gate gate;
    bide_group group = {.collect_all = true};
    bide_stats stats;
    task(int) job;

    (void)unused;
    gate_init(&gate);
    job = offload(passes, &gate, 1);
    gate_wait_for(&gate, 1);
    cancel(job);
    CHECK_EQ(await(job), -ECANCELED);

    job = offload(passes, &gate, -EIO);
    gate_wait_for(&gate, 2);
    with_timeout (BIDE_MS(1))
        CHECK_EQ(await(job), -ETIMEDOUT);

    job = spawn(awaits_pass, &gate, 3);
    gate_wait_for(&gate, 3);
    cancel(job);
    CHECK_EQ(await(job), -ECANCELED);

    with_group (&group) {
        spawn_in(&group, awaits_pass, &gate, 4);
        gate_wait_for(&gate, 4);
        bide_group_cancel(&group);
    }
    CHECK_EQ(atomic_load(&gate.passed), 0);
    gate_open(&gate, 4);
    while (atomic_load(&gate.passed) < 4)
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_failed, 0);
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   the await of a running job ends at once when it is cancelled, by its handle, a timeout,
 *         its task or its group; the result that comes later is thrown away, a failure too.
 * Method: none has passed the gate when all awaits have returned. LeakSanitizer sees the rest.
 */
TEST(offload, cancelled_while_running_is_let_go)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(cancels_running, NULL, &options), 0);
    CHECK_EQ(seen.count, 0);
    threads_gone();
}

static int detaches(void *unused)
{
    struct gate gate;
    atomic_int ran = 0;
    bide_stats stats;
    task(int) first, done;

    (void)unused;
    gate_init(&gate);
    first = offload(passes, &gate, -EPIPE);
    gate_wait(&gate);
    CHECK_EQ(detach(first), 0);                       /* while it runs */
    CHECK_EQ(detach(offload(counts_up, &ran, 1)), 0); /* while it is queued */
    CHECK_EQ(detach(offload(counts_up, &ran, -EINTR)), 0);
    done = offload(counts_up, &ran, -ENXIO);
    gate_open(&gate, 1);
    while (!is_done(done))
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(atomic_load(&ran), 3);
    CHECK_EQ(detach(done), 0); /* after its end */
    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_failed, 3);
    gate_end(&gate);
    return 0;
}

/*
 * Goal:   a detached job runs all the same, whether it was queued or ran; a failure is counted and
 *         reported as a task's is, whether it came before the detach or after.
 * Method: one thread, held at the gate.
 */
TEST(offload, detached_runs_and_tells_of_its_failure)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    const int errors[] = {-EPIPE, -EINTR, -ENXIO};
    const char *names[] = {"passes", "counts_up", "counts_up"};

    options.threads_max = 1;
    options.debug = true;
    CHECK_EQ(bide_run(detaches, NULL, &options), 0);
    CHECK_EQ(seen.count, 3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(seen.kept[i].kind, BIDE_REPORT_TASK_FAILED);
        CHECK_EQ(seen.kept[i].error, errors[i]);
        CHECK_CONTAINS(seen.kept[i].message, names[i]);
        CHECK_STR(seen.kept[i].site->name, names[i]);
    }
}

static int cancels_detached(void *unused)
{
    task(int) job = offload(sum1, 1);

    (void)unused;
    detach(job);
    cancel(job);
    return 0;
}

/*
 * Goal:   misuse is named: offloading outside of a task, cancelling what was detached.
 * Method: in children.
 */
TEST(offload, misuse_is_named)
{
    EXPECT_DEATH((void)offload(sum1, 1), "offload was called outside of a task");
    EXPECT_DEATH(bide_run(cancels_detached, NULL, NULL), "cancel: this handle is spent");
}

static int results[2];

static void offloads(void *arg)
{
    atomic_int *ran = arg;
    task(int) job = offload(counts_up, ran, 1);

    CHECK(is_done(job));
    results[0] = await(job);
}

static int offloads_where_nothing_may_wait(void *unused)
{
    atomic_int ran = 0;
    bide_loop *loop = bide_loop_hold(NULL);
    future(int) f = future_new(int);
    bide_callback callback;

    (void)unused;
    CHECK_EQ(bide_post(loop, offloads, &ran), 0);
    bide_loop_release(loop);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(results[0], -ECANCELED);
    results[0] = 0;
    on_done(f, &callback, offloads, &ran);
    future_set(f, 1);
    CHECK_EQ(results[0], -ECANCELED);
    CHECK_EQ(await(f), 1);
    CHECK_EQ(atomic_load(&ran), 0);
    return 0;
}

/*
 * Goal:   in a posted function and in a callback, which must not wait, offload fails cleanly.
 * Method: both hosts.
 */
TEST(offload, fails_where_nothing_may_wait)
{
    CHECK_EQ(bide_run(offloads_where_nothing_may_wait, NULL, NULL), 0);
    CHECK_EQ(bide_test_run(offloads_where_nothing_may_wait, NULL, 3, NULL), 0);
}

static int sleeps(void *arg)
{
    task(long) inner = offload(thread_of);

    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK(await(inner) != *(long *)arg);
    return 17;
}

static async(int, runs_a_loop, long, thread)
{
    return bide_run(sleeps, &thread, NULL);
}

static void counts_posts(void *arg)
{
    ++*(int *)arg;
}

static async(int, posts, bide_loop *, loop, int *, count)
{
    int sent = 0;

    while (sent < 100)
        sent += bide_post(loop, counts_posts, count) == 0;
    bide_loop_release(loop);
    return sent;
}

static int nests(void *unused)
{
    int count = 0;

    (void)unused;
    CHECK_EQ(await(offload(runs_a_loop, syscall(SYS_gettid))), 17);
    CHECK_EQ(await(offload(posts, bide_loop_hold(NULL), &count)), 100);
    CHECK_EQ(count, 100); /* posts run in order, and the result is one */
    return 0;
}

/*
 * Goal:   a job may post to the loop, which sees that before the result, and may run a loop of its
 *         own, which has a pool of its own.
 * Method: count; compare thread ids.
 */
TEST(offload, job_may_post_and_run_a_loop)
{
    CHECK_EQ(bide_run(nests, NULL, NULL), 0);
}

enum { TRACED = 12 };

struct trace {
    int order[TRACED];
    int count;
};

static async(int, traced, struct trace *, trace, int, number)
{
    int got = await(offload(sum1, number));

    trace->order[trace->count++] = got;
    return got == number ? 0 : -EIO;
}

static int traces(void *arg)
{
    task(int) all[TRACED];
    long here = syscall(SYS_gettid);

    CHECK_EQ(await(offload(thread_of)), here);
    for (int i = 0; i < TRACED; i++)
        all[i] = spawn(traced, arg, i);
    for (int i = 0; i < TRACED; i++)
        CHECK_EQ(await(all[i]), 0);
    return 0;
}

/*
 * Goal:   under bide_test_run a job is done right away, without a thread, and a seed leads to the
 *         same order every time, different seeds to different ones.
 * Method: 300 seeds, each twice.
 */
TEST(offload, virtual_clock_is_deterministic)
{
    struct trace first, trace[2];
    int different = 0;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        for (int i = 0; i < 2; i++) {
            memset(&trace[i], 0, sizeof trace[i]);
            CHECK_EQ(bide_test_run(traces, &trace[i], seed, NULL), 0);
            CHECK_EQ(trace[i].count, TRACED);
        }
        CHECK(memcmp(&trace[0], &trace[1], sizeof first) == 0);
        if (seed == 1)
            first = trace[0];
        different += memcmp(&first, &trace[0], sizeof first) != 0;
    }
    CHECK(different > 200);
    CHECK_EQ(threads_named("bide-"), 0);
}

static int sleeps_for_ever(void *unused)
{
    bide_event never = {0};

    (void)unused;
    CHECK_EQ(await(offload(sum1, 1)), 1);
    CHECK_EQ(detach(offload(sum1, 1)), 0);
    return bide_event_wait(&never);
}

/*
 * Goal:   a task that sleeps for ever is a deadlock when the jobs are done, and not before; idle
 *         threads of the pool do not hide it.
 * Method: both hosts.
 */
TEST(offload, deadlock_is_still_seen)
{
    for (int is_virtual = 0; is_virtual < 2; is_virtual++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        CHECK_EQ(is_virtual ? bide_test_run(sleeps_for_ever, NULL, 1, &options)
                            : bide_run(sleeps_for_ever, NULL, &options),
                 -EDEADLK);
        CHECK(reports_of(&seen, BIDE_REPORT_DEADLOCK) >= 2);
    }
}
