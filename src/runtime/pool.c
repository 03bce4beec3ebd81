/* SPDX-License-Identifier: MIT */
/*
 * pool.c - threads for work that would block the loop. The rules stand in pool.h.
 *
 * The pool's memory belongs to the loop and to each thread; the last of them frees it. A thread
 * holds the loop as well, as long as its jobs are to go there. The loop's end waits until all have
 * let go of it, but for those that are still at a job: they go on without it.
 */
#include "runtime/pool.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sys_signal.h"
#include "reactor/epoll.h"
#include "sched/report.h"
#include "sched/waitq.h"

enum { WORK_THREADS = 32, NAME_THREADS = 8, JOBS = 1024 };

#define IDLE_TIME BIDE_SEC(10)
#define DRAIN_TIME BIDE_SEC(5)

/* What becomes of the job that a thread is at; the thread and the loop's end agree on it. */
enum at_work { AT_NOTHING, AT_WORK, AT_WORK_IN_VAIN /* it was dropped: the loop has ended */ };

/* A thread, on its own stack. */
struct worker {
    struct bide__list link;
    struct bide__job *job;
    atomic_int at; /* enum at_work */
};

struct lane {
    struct bide__pool *pool;
    const char *name;
    pthread_mutex_t lock; /* guards all below it up to `is_ending` */
    pthread_cond_t work;  /* a job was queued, or the pool ends */
    pthread_cond_t gone;  /* `holding` became 0 */
    struct bide__list queue;
    struct bide__list workers;
    unsigned queued;
    unsigned threads;
    unsigned threads_max;
    unsigned holding; /* threads that hold the loop, and are not dropped with their job */
    unsigned idle;    /* threads that wait for `work` */
    unsigned waking;  /* of those, how many were told: each is counted until it runs */
    unsigned started; /* threads, ever: names them */
    bool is_ending;   /* no job is taken any more */
    /* Threads between their job's end and the queue: as good as idle. Counted before the result
     * can be seen, and written without the lock, which whoever reads it takes afterwards. */
    atomic_uint returning;
    /* The loop's own, as is the rest: */
    struct bide__list full; /* tasks that wait for a slot */
    unsigned slots_taken;   /* by jobs that are not back, and by tasks that are about to put one */
    unsigned slots;
};

struct bide__pool {
    struct bide_loop *loop;
    atomic_uint holders; /* the loop and each thread */
    bide_time idle_ns;
    struct lane lanes[BIDE__LANES];
};

static void lane_init(struct lane *lane, struct bide__pool *pool, const char *name,
                      unsigned threads_max, unsigned jobs_max)
{
    pthread_condattr_t attr;

    *lane = (struct lane){.pool = pool, .name = name, .threads_max = threads_max};
    if (__builtin_add_overflow(threads_max, jobs_max, &lane->slots))
        lane->slots = UINT_MAX;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->work, &attr);
    pthread_cond_init(&lane->gone, NULL);
    pthread_condattr_destroy(&attr);
    bide__list_init(&lane->queue);
    bide__list_init(&lane->workers);
    bide__list_init(&lane->full);
}

static int pool_open(struct bide_loop *loop)
{
    const bide_options *options = &loop->options;
    unsigned jobs_max = options->jobs_max != 0 ? options->jobs_max : JOBS;
    struct bide__pool *pool;
    int err;

    if (loop->pool != NULL)
        return 0;
    if (bide__inbox_is_shut(&loop->inbox))
        return -ESHUTDOWN; /* a job could not come back */
    err = bide__inbox_open(loop);
    if (err < 0)
        return err;
    pool = bide__alloc(sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    pool->loop = loop;
    atomic_init(&pool->holders, 1);
    pool->idle_ns = options->threads_idle_ns != 0 ? options->threads_idle_ns : IDLE_TIME;
    lane_init(&pool->lanes[BIDE__LANE_WORK], pool, "work",
              options->threads_max != 0 ? options->threads_max : WORK_THREADS, jobs_max);
    lane_init(&pool->lanes[BIDE__LANE_NAMES], pool, "names",
              options->name_threads_max != 0 ? options->name_threads_max : NAME_THREADS, jobs_max);
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
        pthread_cond_destroy(&pool->lanes[i].gone);
    }
    free(pool);
}

/* --- On a thread of the pool */

static void finished(struct bide__post *post);

/*
 * Whether an idle thread is to be told of the queue; with the lock held. One at a time, which tells
 * the next when it runs and finds more than it takes itself: else a burst of short jobs would be a
 * wake-up each.
 */
static bool wakes_one(struct lane *lane)
{
    if (lane->queued == 0 || lane->idle == 0 || lane->waking > 0)
        return false;
    lane->waking++;
    return true;
}

/* Wait for a job, with the lock held. NULL when this thread is to end. */
static struct bide__job *next_job(struct lane *lane, struct worker *self)
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
        lane->waking -= lane->waking > 0; /* too few after a timeout: one is told in vain then */
    }
    if (lane->queued == 0 || lane->is_ending)
        return NULL;
    job = BIDE__CONTAINER(lane->queue.next, struct bide__job, link);
    bide__assert(job->state == BIDE__JOB_QUEUED);
    bide__list_remove(&job->link);
    lane->queued--;
    job->state = BIDE__JOB_RUNNING;
    job->post.run = finished;
    if (wakes_one(lane)) /* there is more to do than this thread can */
        pthread_cond_signal(&lane->work);
    self->job = job;
    atomic_store_explicit(&self->at, AT_WORK, memory_order_relaxed); /* the lock orders it */
    return job;
}

/*
 * Do the work and send the job back; from then on it is the loop's. Without the lock: the loop,
 * once woken, shall not have to wait for it. False when the loop has dropped it meanwhile.
 */
static bool run_job(struct lane *lane, struct worker *self, struct bide__job *job)
{
    struct bide_loop *loop = lane->pool->loop;

    job->work(job);
    atomic_fetch_add_explicit(&lane->returning, 1, memory_order_relaxed); /* the push orders it */
    if (atomic_exchange(&self->at, AT_NOTHING) == AT_WORK) {
        bool is_sent = bide__inbox_push(loop, &job->post);
        bide__assert(is_sent); /* the loop's end waits for what it has not dropped */
        return true;
    }
    bide__assert(job->abandon != NULL);
    job->abandon(job);
    return false;
}

/* Be no longer one of those for whom the loop's end waits. With the lock held. */
static void let_go(struct lane *lane)
{
    bide__assert(lane->holding > 0);
    if (--lane->holding == 0)
        pthread_cond_signal(&lane->gone);
}

static void *thread_main(void *arg)
{
    struct lane *lane = arg;
    struct bide__pool *pool = lane->pool;
    struct bide_loop *loop = pool->loop;
    struct worker self = {.at = AT_NOTHING};
    struct bide__job *job;
    bool holds = true;
    char name[16]; /* as long as the kernel takes them (pthread_setname_np(3)) */
    unsigned number;

    pthread_mutex_lock(&lane->lock);
    bide__list_append(&lane->workers, &self.link);
    number = ++lane->started;
    pthread_mutex_unlock(&lane->lock);
    snprintf(name, sizeof name, "bide-%s-%u", lane->name, number % 1000);
    pthread_setname_np(pthread_self(), name);
    pthread_mutex_lock(&lane->lock);
    while (holds && (job = next_job(lane, &self)) != NULL) {
        pthread_mutex_unlock(&lane->lock);
        holds = run_job(lane, &self, job);
        pthread_mutex_lock(&lane->lock);
        atomic_fetch_sub_explicit(&lane->returning, 1, memory_order_relaxed);
    }
    bide__list_remove(&self.link);
    lane->threads--; /* in one piece with the last look at the queue */
    pthread_mutex_unlock(&lane->lock);
    bide__inbox_forget(loop);
    if (holds) {
        pthread_mutex_lock(&lane->lock);
        let_go(lane);
        pthread_mutex_unlock(&lane->lock);
    }
    pool_release(pool);
    return NULL;
}

/* --- On the loop */

/* Start a thread, which was counted already. Returns 0, or -EAGAIN. */
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
    return err;
}

/* Whoever has a slot is watched: what the host waits for will happen. */
static int slot_take(struct bide_loop *loop, struct lane *lane)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "room in the pool's queue");

    if (lane->slots_taken < lane->slots && bide__waitq_first(&lane->full) == NULL) {
        lane->slots_taken++;
        loop->host->watched++;
        return 0;
    }
    bide__waitq_join(&lane->full, &waiter);
    return bide__park(&waiter); /* 0: it was handed over */
}

static void slot_release(struct bide_loop *loop, struct lane *lane)
{
    struct bide__waiter *waiter = bide__waitq_first(&lane->full);

    bide__assert(lane->slots_taken > 0 && loop->host->watched > 0);
    if (waiter != NULL) {
        bide__wake(waiter, 0);
        return;
    }
    lane->slots_taken--;
    loop->host->watched--;
}

/* The job is no longer out. */
static void come_back(struct bide__job *job)
{
    struct bide_loop *loop = job->loop;

    if (loop->pool != NULL)
        slot_release(loop, &loop->pool->lanes[job->lane]);
    else
        loop->host->watched--; /* see do_here */
}

static void finished(struct bide__post *post)
{
    struct bide__job *job = BIDE__CONTAINER(post, struct bide__job, post);

    come_back(job);
    job->done(job, 0);
}

static void never_ran(struct bide__post *post)
{
    struct bide__job *job = BIDE__CONTAINER(post, struct bide__job, post);

    come_back(job);
    job->done(job, -ECANCELED);
}

/* With the lock held. */
static void unqueue(struct lane *lane, struct bide__job *job)
{
    bide__assert(job->state == BIDE__JOB_QUEUED && lane->queued > 0);
    bide__list_remove(&job->link);
    lane->queued--;
}

/*
 * Put the job in the queue. Returns 0, -ESHUTDOWN, or the error of the thread that was to be the
 * first.
 */
static int put(struct lane *lane, struct bide__job *job)
{
    bool grows, wakes, is_alone;
    int err;

    pthread_mutex_lock(&lane->lock);
    if (lane->is_ending) {
        pthread_mutex_unlock(&lane->lock);
        return -ESHUTDOWN;
    }
    job->state = BIDE__JOB_QUEUED;
    bide__list_append(&lane->queue, &job->link);
    lane->queued++;
    wakes = wakes_one(lane);
    grows =
        lane->queued > lane->idle + atomic_load_explicit(&lane->returning, memory_order_relaxed) &&
        lane->threads < lane->threads_max;
    lane->threads += grows;
    lane->holding += grows;
    pthread_mutex_unlock(&lane->lock);
    if (wakes)
        pthread_cond_signal(&lane->work);
    err = grows ? start_thread(lane) : 0;
    if (err == 0)
        return 0;
    pthread_mutex_lock(&lane->lock);
    let_go(lane);
    is_alone = --lane->threads == 0; /* else it just waits for one of the others */
    if (is_alone)
        unqueue(lane, job); /* threads end with an empty queue only: there is no other job in it */
    pthread_mutex_unlock(&lane->lock);
    return is_alone ? err : 0;
}

/* Under a virtual clock time stands still meanwhile: the work is done at once. */
static int do_here(struct bide_loop *loop, struct bide__job *job)
{
    int err = bide__inbox_open(loop);
    struct bide__sys_quiet quiet;

    if (err < 0)
        return err;
    job->state = BIDE__JOB_RUNNING;
    loop->host->watched++;
    bide__sys_quiet_begin(&quiet); /* as on a thread, where all are blocked */
    job->work(job);
    bide__sys_quiet_end(&quiet);
    job->post.run = finished;
    bide__inbox_push(loop, &job->post);
    return 0;
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
    if (bide__inbox_is_shut(&loop->inbox))
        return -ESHUTDOWN;
    if (bide__epoll_of(loop) == NULL)
        return do_here(loop, job);
    err = pool_open(loop);
    if (err < 0)
        return err;
    lane = &loop->pool->lanes[lane_number];
    err = slot_take(loop, lane);
    if (err < 0)
        return err;
    /* A scope may have fired after the slot was handed over. */
    err = self->cancel_code != 0 ? self->cancel_code : put(lane, job);
    if (err < 0)
        slot_release(loop, lane);
    return err;
}

bool bide__pool_take_back(struct bide__job *job)
{
    struct bide_loop *loop = job->loop;
    struct lane *lane;
    bool is_queued;

    if (loop->pool == NULL)
        return false;
    lane = &loop->pool->lanes[job->lane];
    pthread_mutex_lock(&lane->lock);
    is_queued = job->state == BIDE__JOB_QUEUED;
    if (is_queued)
        unqueue(lane, job);
    pthread_mutex_unlock(&lane->lock);
    if (is_queued)
        slot_release(loop, lane);
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

/* The first job in the queue of a lane that ends; NULL when it is empty. */
static struct bide__job *drop_queued(struct lane *lane)
{
    struct bide__job *job = NULL;

    pthread_mutex_lock(&lane->lock);
    if (lane->queued > 0) {
        job = BIDE__CONTAINER(lane->queue.next, struct bide__job, link);
        unqueue(lane, job);
        job->state = BIDE__JOB_RUNNING; /* it cannot be taken back */
        job->post.run = never_ran;
    }
    pthread_mutex_unlock(&lane->lock);
    return job;
}

/*
 * Let a thread that works do so in vain. Returns its job, NULL when none does. It may be gone at
 * any moment, unless it has a `drop`. What a report needs of it is copied out.
 */
static struct bide__job *drop_running(struct lane *lane, const bide_site **site, bool *has_drop)
{
    struct bide__job *dropped = NULL;

    pthread_mutex_lock(&lane->lock);
    for (struct bide__list *at = lane->workers.next; at != &lane->workers && dropped == NULL;
         at = at->next) {
        struct worker *worker = BIDE__CONTAINER(at, struct worker, link);
        int expected = AT_WORK;
        if (atomic_load(&worker->at) != AT_WORK)
            continue;
        *site = worker->job->site; /* one that ends right now is the loop's, and stays */
        *has_drop = worker->job->drop != NULL;
        if (atomic_compare_exchange_strong(&worker->at, &expected, AT_WORK_IN_VAIN))
            dropped = worker->job;
    }
    if (dropped != NULL)
        let_go(lane);
    pthread_mutex_unlock(&lane->lock);
    return dropped;
}

static void call_drop(void *arg)
{
    struct bide__job *job = arg;

    job->drop(job);
}

/*
 * The queue goes back unworked, in order; what runs is dropped. Reports are made without the lock:
 * they are the user's code.
 */
static void lane_end(struct lane *lane, bool tells)
{
    struct bide_loop *loop = lane->pool->loop;
    const bide_site *site;
    struct bide__job *job;
    bool has_drop;

    pthread_mutex_lock(&lane->lock);
    lane->is_ending = true;
    pthread_cond_broadcast(&lane->work);
    pthread_mutex_unlock(&lane->lock);
    while ((job = drop_queued(lane)) != NULL) {
        if (tells)
            bide__report(loop, BIDE_REPORT_JOB_DROPPED, -ECANCELED, NULL, job->site,
                         "%s was offloaded and never ran: the loop has ended; await it, or allow "
                         "more time (bide_options.jobs_drain_ns)",
                         bide__site_label(job->site).text);
        bide__inbox_push(loop, &job->post);
    }
    while ((job = drop_running(lane, &site, &has_drop)) != NULL) {
        slot_release(loop, lane);
        if (has_drop)
            bide__inbox_call(loop, call_drop, job);
        if (tells)
            bide__report(loop, BIDE_REPORT_JOB_DROPPED, -ETIMEDOUT, NULL, site,
                         "%s was offloaded and still runs on its thread: the loop has ended, and "
                         "its result is lost",
                         bide__site_label(site).text);
    }
}

void bide__pool_stop(struct bide_loop *loop)
{
    struct bide__pool *pool = loop->pool;
    bide_time drain_ns = loop->options.jobs_drain_ns, until;

    if (pool == NULL)
        return;
    until = bide__time_after(bide__loop_now(loop), drain_ns == 0 ? DRAIN_TIME : drain_ns);
    while (pool->lanes[BIDE__LANE_WORK].slots_taken > 0 && bide__loop_now(loop) < until) {
        bide__loop_wait(loop, until);
        bide__loop_run(loop); /* what callbacks and posts have spawned */
    }
    lane_end(&pool->lanes[BIDE__LANE_WORK], true);
    lane_end(&pool->lanes[BIDE__LANE_NAMES], false);
    /* What a thread had done, and was not dropped, is on its way. */
    for (int i = 0; i < BIDE__LANES; i++)
        while (pool->lanes[i].slots_taken > 0)
            bide__loop_wait(loop, BIDE_FOREVER);
}

void bide__pool_free(struct bide_loop *loop)
{
    struct bide__pool *pool = loop->pool;

    if (pool == NULL)
        return;
    for (int i = 0; i < BIDE__LANES; i++) {
        struct lane *lane = &pool->lanes[i];
        pthread_mutex_lock(&lane->lock);
        while (lane->holding > 0)
            pthread_cond_wait(&lane->gone, &lane->lock);
        pthread_mutex_unlock(&lane->lock);
    }
    pool_release(pool);
    loop->pool = NULL;
}
