/* SPDX-License-Identifier: MIT */
/*
 * offload_end.c - what becomes of offloaded calls when the loop ends.
 */
#include "jobs.h"

#include <bide/testing.h>

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "reports.h"

static atomic_int ran;

static int leaves_detached(void *arg)
{
    int *count = arg;

    for (int i = 0; i < *count; i++)
        CHECK_EQ(detach(offload(counts_up, &ran, i)), 0);
    return 3;
}

static int has_idle_threads(void *unused)
{
    task(int) jobs[8];

    (void)unused;
    for (int i = 0; i < 8; i++)
        jobs[i] = offload(counts_up, &ran, i);
    CHECK_EQ(await_all(jobs[0], jobs[1], jobs[2], jobs[3], jobs[4], jobs[5], jobs[6], jobs[7]), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(await(jobs[i]), i);
    return 0;
}

/*
 * Goal:   nothing of a loop is left when it has ended, though its threads were idle: no descriptor
 *         that a thread closes later.
 * Method: count, many times.
 */
TEST(offload_end, idle_threads_let_go_of_the_loop_first)
{
    int fds = test_open_fds();

    for (int i = 0; i < 200; i++) {
        CHECK_EQ(bide_run(has_idle_threads, NULL, NULL), 0);
        CHECK_EQ(test_open_fds(), fds);
    }
}

/*
 * Goal:   the loop's end waits for jobs that nobody awaits, so that all of them run (fault 60).
 * Method: a hundred on two threads, with a limit that never comes; then under the virtual clock.
 */
TEST(offload_end, detached_jobs_are_drained)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    int count = 100;

    options.threads_max = 2;
    options.jobs_drain_ns = BIDE_FOREVER;
    CHECK_EQ(bide_run(leaves_detached, &count, &options), 3);
    CHECK_EQ(atomic_load(&ran), count);
    CHECK_EQ(bide_test_run(leaves_detached, &count, 7, &options), 3);
    CHECK_EQ(atomic_load(&ran), 2 * count);
    CHECK_EQ(seen.count, 0);
}

static struct gate gate;
static int done_codes[4], done_count;

static void notes_code(void *arg)
{
    task(int) job = *(task(int) *)arg;

    done_codes[done_count++] = future_error(job);
    detach(job);
}

/* One runs, three are queued: one detached, one of which a callback waits, one not even that. */
static int leaves_blocked(void *unused)
{
    static task(int) watched;
    static bide_callback callback;

    (void)unused;
    gate_init(&gate);
    detach(offload(passes, &gate, -EIO));
    gate_wait(&gate);
    gate_forget(&gate);
    detach(offload(counts_up, &ran, 1));
    watched = offload(counts_up, &ran, 2);
    on_done(watched, &callback, notes_code, (void *)&watched);
    return 0;
}

/*
 * Goal:   when the time for it is over (or there is none) each job that is left is reported once:
 *         the one that runs, and those that never will, which end with -ECANCELED. The one that
 *         runs ends safely after the loop has.
 * Method: one thread, which waits at a gate until bide_run has returned; no time, and some.
 */
TEST(offload_end, jobs_that_are_left_are_reported_and_dropped)
{
    for (int i = 0; i < 2; i++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        int fds = test_open_fds();

        options.threads_max = 1;
        options.jobs_drain_ns = i == 0 ? -1 : BIDE_MS(20);
        done_count = 0;
        CHECK_EQ(bide_run(leaves_blocked, NULL, &options), 0);
        CHECK_EQ(seen.count, 3);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_JOB_DROPPED), 3);
        for (int n = 0; n < 3; n++) {
            CHECK_EQ(seen.kept[n].error, n < 2 ? -ECANCELED : -ETIMEDOUT);
            CHECK_STR(seen.kept[n].task, n < 2 ? "counts_up" : "passes");
            CHECK_CONTAINS(seen.kept[n].message, n < 2 ? "never ran" : "still runs");
        }
        CHECK_EQ(done_count, 1);
        CHECK_EQ(done_codes[0], -ECANCELED);
        CHECK_EQ(atomic_load(&ran), 0);
        CHECK_EQ(threads_named("bide-work-"), 1);
        gate_open(&gate, 1);
        threads_gone();
        CHECK_EQ(atomic_load(&gate.passed), 1);
        CHECK_EQ(test_open_fds(), fds);
        gate_end(&gate);
    }
}

static void opens_the_gate(const bide_report *report, void *arg)
{
    struct reports *seen = arg;

    reports_add(report, seen);
    if (report->error == -ECANCELED)
        return;
    gate_open(&gate, 1);
    threads_gone(); /* the job ends while it is being reported */
}

/*
 * Goal:   reports are made without a lock that the pool's threads need.
 * Method: the handler waits for the job's thread to end.
 */
TEST(offload_end, report_handler_may_wait_for_the_job)
{
    struct reports seen = {0};
    bide_options options = {.threads_max = 1, .jobs_drain_ns = -1};

    options.on_report = opens_the_gate;
    options.report_arg = &seen;
    CHECK_EQ(bide_run(leaves_blocked, NULL, &options), 0);
    CHECK_EQ(seen.count, 3);
    gate_end(&gate);
}

static int late_result;

static async(int, offloads_late)
{
    task(int) job = offload(counts_up, &ran, 5);

    late_result = await(job);
    with_shield (BIDE_FOREVER) {
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
        late_result += 100 * await(offload(counts_up, &ran, 6));
    }
    return 0;
}

static void spawns_late(void *unused)
{
    (void)unused;
    detach(spawn(offloads_late));
}

static async(int, posts_late, bide_loop *, loop)
{
    int err = bide_post(loop, spawns_late, NULL);

    bide_loop_release(loop);
    return err;
}

static int leaves_a_post(void *unused)
{
    (void)unused;
    return detach(offload(posts_late, bide_loop_hold(NULL)));
}

/*
 * Goal:   a task that comes to life while the loop waits for its jobs runs to its end, and nothing
 *         is waited for after it; it is cancelled as all tasks of a loop that ends, and may offload
 *         under a shield.
 * Method: a job posts a function that spawns it. The time limit never comes.
 */
TEST(offload_end, tasks_spawned_while_draining_end_first)
{
    bide_options options = {.jobs_drain_ns = BIDE_FOREVER};

    CHECK_EQ(bide_run(leaves_a_post, NULL, &options), 0);
    CHECK_EQ(late_result, 600 - ECANCELED);
    CHECK_EQ(atomic_load(&ran), 1);
}

/*
 * Goal:   the same with no time for jobs: what is spawned by the last post of all, when the pool
 *         has ended, or has never been, is told so.
 * Method: as above; then a post that nobody but the end runs.
 */
static int leaves_a_last_post(void *unused)
{
    bide_loop *loop = bide_loop_hold(NULL);

    (void)unused;
    CHECK_EQ(bide_post(loop, spawns_late, NULL), 0);
    bide_loop_release(loop);
    return 0;
}

TEST(offload_end, offload_after_the_end_is_refused)
{
    for (int i = 0; i < 2; i++) {
        late_result = 0;
        CHECK_EQ(i == 0 ? bide_run(leaves_a_last_post, NULL, NULL)
                        : bide_test_run(leaves_a_last_post, NULL, 5, NULL),
                 0);
        CHECK(late_result == -100 * ESHUTDOWN - ECANCELED || late_result == 600 - ECANCELED);
    }
}

static int cleanup_result;

static async(int, cleans_up)
{
    CHECK_EQ(bide_sleep(BIDE_SEC(1000)), -ECANCELED);
    CHECK_EQ(await(offload(counts_up, &ran, 1)), -ECANCELED);
    with_shield (BIDE_FOREVER)
        cleanup_result = await(offload(counts_up, &ran, 2));
    return 0;
}

static int ends_with_a_task(void *unused)
{
    (void)unused;
    CHECK_EQ(detach(spawn(cleans_up)), 0);
    return bide_yield();
}

/*
 * Goal:   while the loop ends, a task may offload under a shield, and not without.
 * Method: one that is cancelled by the end, on both hosts.
 */
TEST(offload_end, cleanup_may_offload_under_a_shield)
{
    CHECK_EQ(bide_run(ends_with_a_task, NULL, NULL), 0);
    CHECK_EQ(cleanup_result, 2);
    cleanup_result = 0;
    CHECK_EQ(bide_test_run(ends_with_a_task, NULL, 11, NULL), 0);
    CHECK_EQ(cleanup_result, 2);
    CHECK_EQ(atomic_load(&ran), 2);
}

/*
 * Goal:   closing an embedded loop drains and drops as the end of bide_run does.
 * Method: step once, close; both kinds of leftovers.
 */
TEST(offload_end, embedded_loop_drains_and_drops)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);
    bide_loop *loop;
    int count = 10;

    CHECK_EQ(bide_loop_open(leaves_detached, &count, &options, &loop), 0);
    CHECK_EQ(bide_loop_step(loop, 0), 0);
    CHECK_EQ(bide_loop_close(loop), 3);
    CHECK_EQ(atomic_load(&ran), count);
    CHECK_EQ(seen.count, 0);

    options.threads_max = 1;
    options.jobs_drain_ns = -1;
    atomic_store(&ran, 0);
    CHECK_EQ(bide_loop_open(leaves_blocked, NULL, &options, &loop), 0);
    while (bide_loop_step(loop, BIDE_FOREVER) != 0)
        ;
    CHECK_EQ(bide_loop_close(loop), 0);
    CHECK_EQ(seen.count, 3);
    gate_open(&gate, 1);
    threads_gone();
    CHECK_EQ(atomic_load(&ran), 0);
    gate_end(&gate);
}

static int never_awaited(void *unused)
{
    task(int) job = offload(counts_up, &ran, 1);

    (void)unused;
    (void)job;
    return 0;
}

/*
 * Goal:   a job whose handle was forgotten runs, and is reported as a task would be.
 * Method: both hosts.
 */
TEST(offload_end, forgotten_handle_is_reported)
{
    for (int i = 0; i < 2; i++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        CHECK_EQ(i == 0 ? bide_run(never_awaited, NULL, &options)
                        : bide_test_run(never_awaited, NULL, 2, &options),
                 0);
        CHECK_EQ(seen.count, 1);
        CHECK_EQ(seen.kept[0].kind, BIDE_REPORT_NOT_AWAITED);
        CHECK_STR(seen.kept[0].task, "counts_up");
    }
    CHECK_EQ(atomic_load(&ran), 2);
}

static task(int) dropped;
static bide_loop *ended_loop;
static atomic_int slow_is_over;

static async(int, is_slow, int, ms)
{
    usleep((useconds_t)ms * 1000);
    atomic_store(&slow_is_over, 1);
    return 7;
}

static void cancels_the_dropped(void *arg)
{
    (void)arg;
    CHECK(is_done(dropped));
    cancel(dropped);
    detach(dropped);
}

static void posts_when_dropped(const bide_report *report, void *arg)
{
    (void)arg;
    CHECK_EQ(report->kind, BIDE_REPORT_JOB_DROPPED);
    while (!atomic_load(&slow_is_over))
        usleep(1000);
    usleep(20000); /* its thread has let go of it */
    CHECK_EQ(bide_post(ended_loop, cancels_the_dropped, NULL), 0);
}

static int leaves_a_slow_one(void *unused)
{
    (void)unused;
    ended_loop = bide_loop_hold(NULL);
    dropped = offload(is_slow, 100);
    return bide_sleep(BIDE_MS(30));
}

/*
 * Goal:   the future of a job that was dropped while it ran has failed, and knows the job no more.
 * Method: a last post cancels and detaches it when the thread has freed the job; ASan.
 */
TEST(offload_end, handle_of_a_dropped_job_has_failed)
{
    bide_options options = {.jobs_drain_ns = -1, .on_report = posts_when_dropped};

    CHECK_EQ(bide_run(leaves_a_slow_one, NULL, &options), 0);
    bide_loop_release(ended_loop);
}

static async(int, outlasts_the_linger_time, int, seconds)
{
    sleep((unsigned)seconds);
    return 0;
}

static int leaves_a_long_one(void *unused)
{
    (void)unused;
    return detach(offload(outlasts_the_linger_time, 6));
}

/*
 * Goal:   the end of the loop waits for a detached job without a turn of the processor.
 * Method: one that takes longer than the time after which lingering tasks are named; CPU time.
 */
TEST(offload_end, draining_sleeps)
{
    bide_options options = {.jobs_drain_ns = BIDE_SEC(30)};
    struct rusage usage;

    CHECK_EQ(bide_run(leaves_a_long_one, NULL, &options), 0);
    CHECK_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    if (!TEST_UNDER_VALGRIND() && !TEST_UNDER_QEMU())
        CHECK(usage.ru_utime.tv_sec == 0 && usage.ru_utime.tv_usec < 500000);
}
