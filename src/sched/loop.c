/* SPDX-License-Identifier: MIT */
/*
 * loop.c - what the loop's own context does when no task runs: expire timers, let the host wait,
 * give memory back.
 */
#include "sched/loop.h"

#include <errno.h>
#include <string.h>

#include "base/random.h"
#include "sched/local.h"
#include "sched/report.h"
#include "sched/task.h"
#include "sched/waitq.h"

enum {
    POLL_TOO_RARE_NS = 200 * 1000, /* between two polls: poll twice as often */
    POLL_TOO_OFTEN_NS = 50 * 1000, /* poll half as often */
    SPIN_PAUSE_MOST = 15,          /* sleeps without spinning, after many spins in vain */
};

#define TRIM_INTERVAL BIDE_SEC(1)
#define LINGER_TIME BIDE_SEC(5)
#define SPIN_MOST                                                                                  \
    BIDE_SEC(1) /* the host's own chores, and a deadlock, wait for the end of a spin */
#define RANDOM_START UINT64_C(0x9E3779B97F4A7C15)

__thread struct bide_loop *bide__loop_here;

void bide__loop_missing(const char *call)
{
    bide__misuse(
        "%s was called outside of a task: only code that bide_run or async_main started can "
        "wait or spawn",
        call);
}

struct bide_loop *bide__loop_need(const char *call)
{
    return bide__task_need(call)->loop;
}

int bide__loop_start(struct bide_loop *loop, struct bide__host *host, const bide_options *options)
{
    int err;

    memset(loop, 0, sizeof *loop);
    if (options != NULL)
        loop->options = *options;
    loop->host = host;
    if (!host->may_spin)
        loop->options.spin_ns = 0;
    else if (loop->options.spin_ns > SPIN_MOST)
        loop->options.spin_ns = SPIN_MOST;
    loop->turns_planned = loop->turns_left = BIDE__TURNS_MOST;
    loop->trim_at = BIDE_FOREVER;
    loop->linger_at = BIDE_FOREVER;
    loop->polled_at = bide__loop_now(loop);
    bide__stack_pool_init(&loop->stacks, sizeof(struct bide_task),
                          offsetof(struct bide_task, stack));
    /* Not the seed itself: from that the order of the ready tasks is drawn. */
    loop->random = host->seed ^ RANDOM_START;
    if (loop->random == 0)
        loop->random = RANDOM_START;
    loop->default_class = bide__stack_class_of(&loop->stacks, loop->options.stack_bytes);
    if (loop->default_class < 0)
        return loop->default_class;
    if (!loop->options.no_overflow_report) {
        err = bide__overflow_start(&loop->overflow, &loop->stacks, bide__report_overflow, loop);
        if (err < 0)
            return err;
    }
    bide__list_init(&loop->groups_to_tell);
    bide__list_init(&loop->at_stop);
    bide__wheel_init(&loop->timers, loop->polled_at);
    loop->root.loop = loop;
    loop->current = &loop->root;
    loop->poster = (struct bide_task){
        .waiter = &bide__calling_back,
        .cancel_code = -ECANCELED,
        .state = BIDE__TASK_LIVE,
        .loop = loop,
        .name = "post",
        .canceled = -ECANCELED,
    };
    atomic_init(&loop->inbox.holders, 1);
    bide__fork_mark(&loop->fork);
    return 0;
}

void bide__loop_enter(struct bide_loop *loop)
{
    bide__assert(loop->current == &loop->root && bide__loop_here != loop);
    loop->outer = bide__loop_here;
    if (loop->outer != NULL) /* this one's own context runs on the stack of that one's task */
        loop->root.sanitizer = loop->outer->current->sanitizer;
    else
        bide__sanitizer_start_thread(&loop->root.sanitizer);
    bide__loop_here = loop;
}

void bide__loop_leave(struct bide_loop *loop)
{
    bide__assert(bide__loop_here == loop && loop->current == &loop->root);
    bide__loop_here = loop->outer;
}

struct visit {
    void (*call)(struct bide_task *task, void *arg);
    void *arg;
};

static void visit_stack(struct bide__stack *stack, void *arg)
{
    struct bide_task *task = BIDE__CONTAINER(stack, struct bide_task, stack);
    struct visit *visit = arg;

    if (task->state != BIDE__TASK_FREE)
        visit->call(task, visit->arg);
}

void bide__loop_each(struct bide_loop *loop, void (*call)(struct bide_task *task, void *arg),
                     void *arg)
{
    bide__stack_each(&loop->stacks, visit_stack, &(struct visit){call, arg});
}

static void cancel_living(struct bide_task *task, void *unused)
{
    (void)unused;
    if (task->state == BIDE__TASK_LIVE)
        bide__task_cancel(task, -ECANCELED);
}

/* In a shutdown: servers let their connections go on for a while. */
static void cancel_undrained(struct bide_task *task, void *unused)
{
    if (!task->is_drained)
        cancel_living(task, unused);
}

void bide__loop_end(struct bide_loop *loop)
{
    bide_time now = bide__loop_now(loop);

    loop->is_ending = true;
    loop->first = NULL;
    loop->linger_at =
        bide__time_after(loop->drain_until > now ? loop->drain_until : now, LINGER_TIME);
    bide__loop_each(loop, loop->drain_until > now ? cancel_undrained : cancel_living, NULL);
}

void bide__loop_cancel_all(struct bide_loop *loop)
{
    bide__loop_each(loop, cancel_living, NULL);
}

/* Nothing can happen any more: say so, then let every task unwind with -ECANCELED. */
static void deadlock(struct bide_loop *loop)
{
    bide__report_deadlock(loop);
    loop->is_deadlocked = true;
    bide__loop_cancel_all(loop);
}

/* Give memory back in time, and see to it that there is a next time while too much is kept. */
static void trim_stacks(struct bide_loop *loop, bide_time now)
{
    if (now >= loop->trim_at) {
        bide__stack_trim(&loop->stacks);
        loop->trim_at = BIDE_FOREVER;
    }
    if (loop->trim_at == BIDE_FOREVER && bide__stack_has_surplus(&loop->stacks))
        loop->trim_at = bide__time_after(now, TRIM_INTERVAL);
}

/*
 * Poll often enough that timers and I/O are seen in time, and seldom enough that it costs nothing
 * beside short turns.
 */
static void plan_turns(struct bide_loop *loop, bide_time now)
{
    bide_time elapsed = now - loop->polled_at;

    if (elapsed > POLL_TOO_RARE_NS && loop->turns_planned > BIDE__TURNS_LEAST)
        loop->turns_planned /= 2;
    else if (elapsed < POLL_TOO_OFTEN_NS && loop->turns_planned < BIDE__TURNS_MOST)
        loop->turns_planned *= 2;
}

/* The turns since the last poll. The one that used the plan up went to no task, but led here. */
static uint64_t turns_of_plan(const struct bide_loop *loop)
{
    return (uint64_t)(loop->turns_planned - loop->turns_left - (loop->turns_left <= 0));
}

/*
 * Whether something outside can wake a task: an event, or somebody who may post, or has. In this
 * order: the last one who lets go has posted before.
 */
static bool is_watched(struct bide_loop *loop)
{
    return loop->host->watched > 0 ||
           (atomic_load(&loop->inbox.posters) > 0 && !bide__inbox_is_shut(&loop->inbox)) ||
           bide__inbox_has(&loop->inbox);
}

/* Let the host wait; whoever posts meanwhile rings. */
static void sleep_until(struct bide_loop *loop, bide_time until)
{
    if (!loop->inbox.is_open) {
        loop->host->wait(loop->host, loop, until);
        return;
    }
    if (!bide__inbox_sleep(&loop->inbox) || (until == BIDE_FOREVER && !is_watched(loop)))
        until = BIDE__DO_NOT_WAIT;
    loop->host->wait(loop->host, loop, until);
    bide__inbox_awake(&loop->inbox);
}

/*
 * Before a sleep: look again and again for a while, if the program wants that and the last times
 * were not in vain. The loop is awake, so nobody who posts has to ring. True when there is no
 * reason to sleep any more.
 */
static bool spin(struct bide_loop *loop, bide_time until)
{
    bide_time now, end;
    bool has_come;

    if (loop->options.spin_ns <= 0)
        return false;
    if (loop->spin_pause > 0) {
        loop->spin_pause--;
        return false;
    }
    loop->stats.spins++;
    end = bide__time_after(bide__loop_now(loop), loop->options.spin_ns);
    end = end < until ? end : until;
    do {
        loop->host->wait(loop->host, loop, BIDE__DO_NOT_WAIT);
        loop->turns_left = loop->turns_planned; /* for the host: none since it looked */
        has_come = loop->ready_first != NULL || bide__inbox_has(&loop->inbox);
        now = bide__loop_now(loop);
    } while (!has_come && now < end);
    if (has_come) {
        loop->spin_pause_last = 0;
    } else if (now < until) {
        loop->stats.spins_in_vain++;
        if (loop->spin_pause_last < SPIN_PAUSE_MOST)
            loop->spin_pause_last = loop->spin_pause_last * 2 + 1;
        loop->spin_pause = loop->spin_pause_last;
    }
    return has_come || now >= until;
}

static void poll(struct bide_loop *loop, bide_time until)
{
    const bool may_wait = until != BIDE__DO_NOT_WAIT;
    struct bide__timer *timer;
    bide_time now;

    if (bide__fork_is_child(&loop->fork))
        bide__misuse("this process was forked by a task, and shares the loop's descriptors with "
                     "its parent: let it call exec or _exit, and nothing of the library");
    loop->stats.polls++;
    loop->stats.sleeps += may_wait;
    loop->stats.turns += turns_of_plan(loop);
    if (!may_wait)
        loop->host->wait(loop->host, loop, until);
    else if (!spin(loop, until))
        sleep_until(loop, until);
    now = bide__loop_now(loop);
    if (!may_wait)
        plan_turns(loop, now);
    loop->turns_left = loop->turns_planned;
    loop->polled_at = now;
    while ((timer = bide__wheel_pop(&loop->timers, now)) != NULL)
        timer->fire(timer);
    if (bide__inbox_has(&loop->inbox))
        bide__inbox_run(loop);
    trim_stacks(loop, now);
    if (now >= loop->linger_at && loop->stats.tasks_living > 0) {
        loop->linger_at = BIDE_FOREVER;
        bide__report_lingering(loop);
    }
}

bide_time bide__loop_due(struct bide_loop *loop)
{
    bide_time due = bide__wheel_next(&loop->timers);

    if (loop->ready_first != NULL || bide__inbox_has(&loop->inbox))
        return BIDE__DO_NOT_WAIT;
    trim_stacks(loop, loop->polled_at);
    due = due < loop->trim_at ? due : loop->trim_at;
    return due < loop->linger_at || loop->stats.tasks_living == 0 ? due : loop->linger_at;
}

/*
 * Let the host wait until something is due, `most` at the latest. False when nothing can ever
 * happen again.
 */
static bool idle(struct bide_loop *loop, bide_time most)
{
    if (!is_watched(loop) && bide__wheel_next(&loop->timers) == BIDE_FOREVER)
        return false;
    bide__loop_wait(loop, most);
    return true;
}

void bide__loop_wait(struct bide_loop *loop, bide_time most)
{
    bide_time due = bide__loop_due(loop);

    poll(loop, due < most ? due : most);
}

/*
 * Every task sleeps: when some do so in bide_test_settle, let the first of them go on, unless what
 * is due already wakes another. False when there are none.
 */
static bool settle(struct bide_loop *loop)
{
    bide__assert(loop->ready_first == NULL);
    if (bide__waitq_first(&loop->settling) == NULL)
        return false;
    poll(loop, BIDE__DO_NOT_WAIT);
    if (loop->ready_first == NULL)
        bide__wake(bide__waitq_first(&loop->settling), 0);
    bide__assert(loop->ready_first != NULL);
    return true;
}

/*
 * Put a list of `count` tasks in a random order: shuffle its halves and merge them, each next task
 * from either half with a chance as large as what is left of it. So every order is as likely as any
 * other.
 */
static struct bide_task *shuffle(struct bide_task *list, uint64_t count, uint64_t *state)
{
    struct bide_task *first = list, *second, *shuffled = NULL, **end = &shuffled;
    uint64_t left = count / 2, right = count - left;

    if (count < 2)
        return list;
    for (uint64_t i = 1; i < left; i++)
        list = list->next;
    second = list->next;
    list->next = NULL;
    first = shuffle(first, left, state);
    second = shuffle(second, right, state);
    while (left + right > 0) {
        bool from_first = bide__random_next(state) % (left + right) < left;
        struct bide_task **half = from_first ? &first : &second;
        *end = *half;
        *half = (*half)->next;
        end = &(*end)->next;
        *(from_first ? &left : &right) -= 1;
    }
    *end = NULL;
    return shuffled;
}

/*
 * Under a seed: put the ready tasks in another order, and plan a poll, which permutes again, after
 * a random number of turns.
 */
static void permute_ready(struct bide_loop *loop)
{
    uint64_t *state = &loop->host->seed;
    uint64_t count = 0;

    for (struct bide_task *task = loop->ready_first; task != NULL; task = task->next)
        count++;
    loop->ready_first = shuffle(loop->ready_first, count, state);
    for (struct bide_task *task = loop->ready_first; task != NULL; task = task->next)
        loop->ready_last = task;
    loop->turns_planned = loop->turns_left = (int)(bide__random_next(state) % (count + 1)) + 2;
}

/* Run ready tasks until none is left or a poll is due. */
static void run_ready(struct bide_loop *loop)
{
    if (loop->host->seed != 0)
        permute_ready(loop);
    bide__switch_away(loop, &loop->root);
    bide__assert(loop->current == &loop->root);
}

bool bide__loop_turn(struct bide_loop *loop, bide_time most)
{
    if (loop->stats.tasks_living == 0)
        return false;
    if (loop->ready_first != NULL) {
        poll(loop, BIDE__DO_NOT_WAIT);
    } else if (!settle(loop) && !idle(loop, most)) {
        if (loop->is_deadlocked)
            return false; /* they were told to end and sleep on: nothing more can be done */
        deadlock(loop);
    }
    if (loop->ready_first != NULL)
        run_ready(loop);
    return loop->stats.tasks_living > 0;
}

int bide__loop_run(struct bide_loop *loop)
{
    while (bide__loop_turn(loop, BIDE_FOREVER))
        ;
    return loop->is_deadlocked ? -EDEADLK : 0;
}

static void report_leftover(struct bide_task *task, void *arg)
{
    struct bide_loop *loop = arg;

    if (task->state == BIDE__TASK_LIVE)
        bide__report(loop, BIDE_REPORT_DEADLOCK, -EDEADLK, task, NULL,
                     "%s sleeps on after it was cancelled; its stack is dropped without unwinding",
                     bide__task_label(task).text);
    else
        bide__report(loop, BIDE_REPORT_NOT_AWAITED, 0, task, NULL,
                     task->is_generator
                         ? "%s is a generator that was never freed; gen_free it, or use for_each"
                         : "%s was never awaited; await it, detach it, or spawn it with go()",
                     bide__task_label(task).text);
}

/* Of a task that ended they are gone. */
static void drop_locals(struct bide_task *task, void *unused)
{
    (void)unused;
    bide__locals_drop(task);
}

static void sanitizer_end(struct bide__stack *stack, void *unused)
{
    (void)unused;
    bide__sanitizer_end(&BIDE__CONTAINER(stack, struct bide_task, stack)->sanitizer);
}

void bide__loop_stop(struct bide_loop *loop)
{
    bide__assert(bide__loop_here == loop);
    bide__loop_each(loop, report_leftover, loop);
    while (!bide__list_is_empty(&loop->at_stop)) {
        struct bide__at_stop *at_stop =
            BIDE__CONTAINER(loop->at_stop.next, struct bide__at_stop, link);
        bide__list_remove(&at_stop->link);
        at_stop->stop(at_stop, loop);
    }
    bide__loop_each(loop, drop_locals, NULL);
    bide__stack_each(&loop->stacks, sanitizer_end, NULL);
    if (!loop->options.no_overflow_report)
        bide__overflow_stop(&loop->overflow);
    bide__stack_pool_free(&loop->stacks);
    bide__fork_unmark(&loop->fork);
}

__attribute__((noinline)) void bide__switch_to(struct bide_loop *loop, struct bide_task *from,
                                               struct bide_task *to)
{
    loop->current = to;
    bide__sanitizer_leave(&from->sanitizer, &to->sanitizer, false);
    bide__context_switch(&from->sp, to->sp);
    bide__sanitizer_arrive(&from->sanitizer);
}

void bide__budget_gone(struct bide_loop *loop)
{
    struct bide_task *self = loop->current;

    loop->budget = BIDE__BUDGET;
    bide__ready_push(loop, self);
    bide__switch_away(loop, self);
}

void bide_loop_stats(bide_stats *stats)
{
    struct bide_loop *loop = bide__loop_here;

    if (loop == NULL) {
        memset(stats, 0, sizeof *stats);
        return;
    }
    *stats = loop->stats;
    stats->turns += turns_of_plan(loop);
    stats->stacks_made = loop->stacks.made_count;
    stats->stacks_pooled = loop->stacks.hot_count;
    stats->control_bytes = loop->stacks.control_bytes;
}
