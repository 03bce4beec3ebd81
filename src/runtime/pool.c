/* SPDX-License-Identifier: MIT */
/*
 * pool.c - threads for work that would block the loop. The rules stand in pool.h.
 *
 * The pool's memory belongs to the loop and to each thread; the last of them frees it. A thread
 * holds the loop as well, so that a job that ends too late finds an inbox that refuses it.
 */
#include "runtime/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sys.h"
#include "reactor/epoll.h"
#include "sched/report.h"
#include "sched/waitq.h"

enum { WORK_THREADS = 32, NAME_THREADS = 8, JOBS = 1024 };

#define IDLE_TIME BIDE_SEC(10)
#define DRAIN_TIME BIDE_SEC(5)

struct lane {
    struct bide__pool *pool;
    const char *name;
    pthread_mutex_t lock; /* guards all below it up to `full` */
    pthread_cond_t work;  /* a job was queued, or the pool ends */
    struct bide__list queue;
    struct bide__list busy; /* jobs that run */
    unsigned queued;
    unsigned threads;
    unsigned threads_max;
    unsigned idle;          /* threads that wait for `work` */
    unsigned started;       /* threads, ever: names them */
    bool is_ending;         /* no job is taken any more */
    struct bide__list full; /* tasks that wait for room in the queue; the loop's own, as is: */
    unsigned outstanding;   /* jobs that have not come back */
};

struct bide__pool {
    struct bide_loop *loop;
    atomic_uint holders; /* the loop and each thread */
    unsigned jobs_max;   /* in a queue */
    bide_time idle_ns;
    struct lane lanes[BIDE__LANES];
};

static void lane_init(struct lane *lane, struct bide__pool *pool, const char *name,
                      unsigned threads_max)
{
    pthread_condattr_t attr;

    *lane = (struct lane){.pool = pool, .name = name, .threads_max = threads_max};
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->work, &attr);
    pthread_condattr_destroy(&attr);
    bide__list_init(&lane->queue);
    bide__list_init(&lane->busy);
    bide__list_init(&lane->full);
}

static int pool_open(struct bide_loop *loop)
{
    const bide_options *options = &loop->options;
    struct bide__pool *pool;
    int err;

    if (loop->pool != NULL)
        return 0;
    err = bide__inbox_open(loop);
    if (err < 0)
        return err;
    pool = bide__alloc(sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    pool->loop = loop;
    atomic_init(&pool->holders, 1);
    pool->jobs_max = options->jobs_max != 0 ? options->jobs_max : JOBS;
    pool->idle_ns = options->threads_idle_ns != 0 ? options->threads_idle_ns : IDLE_TIME;
    lane_init(&pool->lanes[BIDE__LANE_WORK], pool, "work",
              options->threads_max != 0 ? options->threads_max : WORK_THREADS);
    lane_init(&pool->lanes[BIDE__LANE_NAMES], pool, "names",
              options->name_threads_max != 0 ? options->name_threads_max : NAME_THREADS);
    loop->pool = pool;
    return 0;
}

/* One fewer of those whom the pool belongs to. */
static void pool_release(struct bide__pool *pool)
{
    /* Release pairs with acquire: the last one sees the locks as the others left them. */
    if (atomic_fetch_sub_explicit(&pool->holders, 1, memory_order_acq_rel) > 1)
        return;
    for (int i = 0; i < BIDE__LANES; i++) {
        pthread_mutex_destroy(&pool->lanes[i].lock);
        pthread_cond_destroy(&pool->lanes[i].work);
    }
    free(pool);
}

/* --- On a thread of the pool */

/* Wait for a job, with the lock held. NULL when this thread is to end. */
static struct bide__job *next_job(struct lane *lane)
{
    struct bide__job *job;
    int err = 0;

    while (lane->queued == 0 && !lane->is_ending && err != ETIMEDOUT) {
        bide_time until = bide__time_after(bide__sys_now(), lane->pool->idle_ns);
        const struct timespec at = {.tv_sec = (time_t)(until / 1000000000),
                                    .tv_nsec = (long)(until % 1000000000)};
        lane->idle++;
        err = pthread_cond_timedwait(&lane->work, &lane->lock, &at);
        lane->idle--;
    }
    if (lane->queued == 0)
        return NULL;
    job = BIDE__CONTAINER(lane->queue.next, struct bide__job, link);
    bide__assert(job->state == BIDE__JOB_QUEUED);
    bide__list_remove(&job->link);
    bide__list_append(&lane->busy, &job->link);
    job->state = BIDE__JOB_RUNNING;
    lane->queued--;
    return job;
}

static void finished(struct bide__post *post);

/* Do the work, and send the job back. With the lock held, which it lets go meanwhile. */
static void run_job(struct lane *lane, struct bide__job *job)
{
    pthread_mutex_unlock(&lane->lock);
    job->work(job);
    pthread_mutex_lock(&lane->lock);
    bide__list_remove(&job->link);
    pthread_mutex_unlock(&lane->lock); /* the loop, once woken, shall not have to wait for it */
    job->post.run = finished;
    /* From here on it is the loop's, unless that has ended. */
    if (!bide__inbox_push(lane->pool->loop, &job->post) && job->abandon != NULL)
        job->abandon(job);
    pthread_mutex_lock(&lane->lock);
}

static void *thread_main(void *arg)
{
    struct lane *lane = arg;
    struct bide__pool *pool = lane->pool;
    struct bide_loop *loop = pool->loop;
    struct bide__job *job;
    char name[16]; /* as long as the kernel takes them (pthread_setname_np(3)) */

    pthread_mutex_lock(&lane->lock);
    snprintf(name, sizeof name, "bide-%s-%u", lane->name, ++lane->started % 1000);
    pthread_setname_np(pthread_self(), name);
    while ((job = next_job(lane)) != NULL)
        run_job(lane, job);
    lane->threads--;
    pthread_mutex_unlock(&lane->lock);
    pool_release(pool);
    bide__inbox_forget(loop);
    return NULL;
}

/* --- On the loop */

/* Start one more, which was counted already. Returns 0, or -EAGAIN, -ENOMEM. */
static int start_thread(struct lane *lane)
{
    struct bide__pool *pool = lane->pool;
    int err;

    atomic_fetch_add_explicit(&pool->holders, 1, memory_order_relaxed);
    bide__inbox_keep(pool->loop);
    err = bide__sys_thread(thread_main, lane);
    if (err == 0)
        return 0;
    atomic_fetch_sub_explicit(&pool->holders, 1, memory_order_relaxed);
    bide__inbox_forget(pool->loop);
    pthread_mutex_lock(&lane->lock);
    lane->threads--;
    pthread_mutex_unlock(&lane->lock);
    return err;
}

/* The job is no longer outstanding: who waits for room may look again. */
static void count_out(struct bide__job *job)
{
    struct bide_loop *loop = job->loop;
    struct bide__waiter *waiter;

    bide__assert(loop->host->watched > 0);
    loop->host->watched--;
    if (loop->pool == NULL)
        return;
    bide__assert(loop->pool->lanes[job->lane].outstanding > 0);
    loop->pool->lanes[job->lane].outstanding--;
    waiter = bide__waitq_first(&loop->pool->lanes[job->lane].full);
    if (waiter != NULL)
        bide__wake(waiter, 0);
}

static void finished(struct bide__post *post)
{
    struct bide__job *job = BIDE__CONTAINER(post, struct bide__job, post);

    count_out(job);
    job->done(job, 0);
}

static void never_ran(struct bide__post *post)
{
    struct bide__job *job = BIDE__CONTAINER(post, struct bide__job, post);

    count_out(job);
    job->done(job, -ECANCELED);
}

/*
 * Put the job in the queue. Returns 0, -EBUSY while that is full, -ESHUTDOWN, or the error of the
 * thread that was to be the first.
 */
static int put(struct lane *lane, struct bide__job *job)
{
    bool grows;
    int err = 0;

    pthread_mutex_lock(&lane->lock);
    if (lane->is_ending || lane->queued >= lane->pool->jobs_max) {
        err = lane->is_ending ? -ESHUTDOWN : -EBUSY;
        pthread_mutex_unlock(&lane->lock);
        return err;
    }
    job->state = BIDE__JOB_QUEUED;
    bide__list_append(&lane->queue, &job->link);
    lane->queued++;
    if (lane->idle > 0)
        pthread_cond_signal(&lane->work);
    grows = lane->queued > lane->idle && lane->threads < lane->threads_max;
    lane->threads += grows;
    pthread_mutex_unlock(&lane->lock);
    lane->outstanding++;
    lane->pool->loop->host->watched++;
    if (grows)
        err = start_thread(lane);
    /* With others running it just waits for one of them. */
    if (err < 0 && lane->threads == 0 && bide__pool_take_back(job))
        return err;
    return 0;
}

/* Under a virtual clock time stands still meanwhile: the work is done at once. */
static int do_here(struct bide_loop *loop, struct bide__job *job)
{
    int err = bide__inbox_open(loop);

    if (err < 0)
        return err;
    if (bide__inbox_is_shut(&loop->inbox))
        return -ESHUTDOWN;
    job->state = BIDE__JOB_RUNNING;
    loop->host->watched++;
    job->work(job);
    job->post.run = finished;
    return bide__inbox_push(loop, &job->post) ? 0 : -ESHUTDOWN;
}

int bide__pool_submit(struct bide_loop *loop, enum bide__lane lane_number, struct bide__job *job)
{
    struct bide_task *self = loop->current;
    struct lane *lane;
    int err;

    job->loop = loop;
    job->lane = lane_number;
    bide__list_init(&job->link);
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (bide__epoll_of(loop) == NULL)
        return do_here(loop, job);
    err = pool_open(loop);
    if (err < 0)
        return err;
    lane = &loop->pool->lanes[lane_number];
    while ((err = put(lane, job)) == -EBUSY) {
        struct bide__waiter waiter = BIDE__WAITER(waiter, "room in the pool's queue");
        bide__waitq_join(&lane->full, &waiter);
        err = bide__park(&waiter);
        if (err < 0)
            return err;
    }
    return err;
}

bool bide__pool_take_back(struct bide__job *job)
{
    struct lane *lane;
    bool is_queued;

    if (job->loop->pool == NULL)
        return false;
    lane = &job->loop->pool->lanes[job->lane];
    pthread_mutex_lock(&lane->lock);
    is_queued = job->state == BIDE__JOB_QUEUED;
    if (is_queued) {
        bide__list_remove(&job->link);
        lane->queued--;
    }
    pthread_mutex_unlock(&lane->lock);
    if (is_queued)
        count_out(job);
    return is_queued;
}

/* A job that a task waits for, on its stack. */
struct call {
    struct bide__job job;
    struct bide__waiter waiter;
    void (*work)(void *arg);
    void *arg;
    bool is_done;
};

static void call_work(struct bide__job *job)
{
    struct call *call = BIDE__CONTAINER(job, struct call, job);

    call->work(call->arg);
}

static void call_done(struct bide__job *job, int code)
{
    struct call *call = BIDE__CONTAINER(job, struct call, job);

    bide__assert(code == 0 && !call->is_done);
    call->is_done = true;
    bide__wake(&call->waiter, 0);
}

int bide__pool_call(enum bide__lane lane, void (*work)(void *arg), void *arg, const char *what)
{
    struct bide_task *self = bide__task_need(what);
    struct call call = {
        .job = {.work = call_work, .done = call_done},
        .waiter = BIDE__WAITER(call.waiter, what),
        .work = work,
        .arg = arg,
    };
    int err = bide__pool_submit(self->loop, lane, &call.job);

    if (err < 0)
        return err;
    err = bide__park(&call.waiter);
    if (call.is_done)
        return 0;
    if (bide__pool_take_back(&call.job))
        return err;
    while (!call.is_done) /* it runs, and has our memory: further cancels change nothing */
        bide__park(&call.waiter);
    return 0;
}

/* The queue of a lane that ends goes back unworked, in order; what runs is told about. */
static void lane_end(struct lane *lane, bool tells)
{
    struct bide_loop *loop = lane->pool->loop;
    struct bide__list *at;

    pthread_mutex_lock(&lane->lock);
    lane->is_ending = true;
    while (!bide__list_is_empty(&lane->queue)) {
        struct bide__job *job = BIDE__CONTAINER(lane->queue.next, struct bide__job, link);
        bide__list_remove(&job->link);
        lane->queued--;
        job->state = BIDE__JOB_RUNNING;
        job->post.run = never_ran;
        if (tells)
            bide__report(loop, BIDE_REPORT_JOB_DROPPED, -ECANCELED, NULL, job->site,
                         "%s was offloaded and never ran: the loop has ended; await it, or allow "
                         "more time (bide_options.jobs_drain_ns)",
                         bide__site_label(job->site).text);
        bide__inbox_push(loop, &job->post);
    }
    for (at = lane->busy.next; tells && at != &lane->busy; at = at->next)
        bide__report(loop, BIDE_REPORT_JOB_DROPPED, -ETIMEDOUT, NULL,
                     BIDE__CONTAINER(at, struct bide__job, link)->site,
                     "%s was offloaded and still runs on its thread: the loop has ended, and its "
                     "result is lost",
                     bide__site_label(BIDE__CONTAINER(at, struct bide__job, link)->site).text);
    pthread_cond_broadcast(&lane->work);
    pthread_mutex_unlock(&lane->lock);
}

void bide__pool_stop(struct bide_loop *loop)
{
    struct bide__pool *pool = loop->pool;
    bide_time drain_ns = loop->options.jobs_drain_ns, until;

    if (pool == NULL)
        return;
    until = bide__time_after(bide__loop_now(loop), drain_ns == 0 ? DRAIN_TIME : drain_ns);
    while (pool->lanes[BIDE__LANE_WORK].outstanding > 0 && bide__loop_now(loop) < until)
        if (!bide__loop_turn(loop, until))
            bide__loop_wait(loop, until);
    lane_end(&pool->lanes[BIDE__LANE_WORK], true);
    lane_end(&pool->lanes[BIDE__LANE_NAMES], false);
}

void bide__pool_free(struct bide_loop *loop)
{
    if (loop->pool == NULL)
        return;
    pool_release(loop->pool);
    loop->pool = NULL;
}
