/* SPDX-License-Identifier: MIT */
/*
 * watchdog.c - a timer signal that looks whether the loop got any further since the last one.
 *
 * The handler runs on whatever the thread runs on, usually the stack of the very task it names, so
 * that a backtrace from there shows what the task is doing. It reads the loop of its own thread
 * only.
 */
#include <bide/debug/watchdog.h>

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "sched/report.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { FRAMES_MOST = 32 };

#define LIMIT_LEAST BIDE_MS(1)

struct watchdog {
    bool is_running;
    timer_t timer;
    bide_time limit;
    uint64_t turn;    /* the turn seen at the last tick; 0 when none ran */
    unsigned ticks;   /* that saw this turn */
    bool is_reported; /* this turn was */
};

static __thread struct watchdog watchdog;

/*
 * The signal's handler is the process's: the first thread installs it, the last puts back what was.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned watching; /* threads; under the lock */
static struct sigaction before;

/* A number that changes with every turn, and 0 while the loop itself runs. */
static uint64_t current_turn(const struct bide_loop *loop)
{
    if (loop == NULL || loop->current == &loop->root)
        return 0;
    return loop->stats.turns + (uint64_t)(loop->turns_planned - loop->turns_left) + 1;
}

static void report(const struct bide_loop *loop, unsigned ticks)
{
    void *frames[FRAMES_MOST];
    int count = backtrace(frames, FRAMES_MOST);

    bide__say(
        "watchdog: %s has held its loop for more than %lld ms; it should yield, or hand blocking "
        "work to a thread; it is here:",
        bide__task_label(loop->current).text, (long long)(watchdog.limit * ticks / 1000000));
    backtrace_symbols_fd(frames, count, STDERR_FILENO);
}

static void on_tick(int number)
{
    const struct bide_loop *loop = bide__loop_here;
    uint64_t turn = current_turn(loop);
    int saved_errno = errno;

    (void)number;
    if (turn == 0 || turn != watchdog.turn) {
        watchdog.turn = turn;
        watchdog.ticks = 0;
        watchdog.is_reported = false;
    } else if (!watchdog.is_reported) {
        watchdog.is_reported = true;
        report(loop, ++watchdog.ticks);
    }
    errno = saved_errno;
}

static int start_timer(bide_time limit)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMAX};
    struct timespec every = {.tv_sec = (time_t)(limit / 1000000000),
                             .tv_nsec = (long)(limit % 1000000000)};
    struct itimerspec spec = {.it_interval = every, .it_value = every};

    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &watchdog.timer) < 0)
        return -errno;
    if (timer_settime(watchdog.timer, 0, &spec, NULL) < 0) {
        int err = -errno;
        timer_delete(watchdog.timer);
        return err;
    }
    return 0;
}

static void handler_install(void)
{
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    if (watching++ == 0)
        sigaction(SIGRTMAX, &action, &before);
    pthread_mutex_unlock(&lock);
}

static void handler_remove(void)
{
    pthread_mutex_lock(&lock);
    if (--watching == 0)
        sigaction(SIGRTMAX, &before, NULL);
    pthread_mutex_unlock(&lock);
}

int bide_watchdog_start(bide_time limit)
{
    void *frame;
    int err;

    bide__task_need("bide_watchdog_start");
    if (limit < LIMIT_LEAST)
        return -EINVAL;
    if (watchdog.is_running)
        return -EALREADY;
    backtrace(&frame, 1); /* loads the unwinder now and not in the handler */
    watchdog = (struct watchdog){.limit = limit};
    handler_install();
    err = start_timer(limit);
    if (err < 0)
        handler_remove();
    watchdog.is_running = err == 0;
    return err;
}

/*
 * A tick that is on its way when the timer goes must not meet the default action, which is to die.
 */
static void take_pending_tick(void)
{
    sigset_t tick, former;
    struct timespec none = {0};

    sigemptyset(&tick);
    sigaddset(&tick, SIGRTMAX);
    pthread_sigmask(SIG_BLOCK, &tick, &former);
    timer_delete(watchdog.timer);
    while (sigtimedwait(&tick, NULL, &none) == SIGRTMAX)
        ;
    pthread_sigmask(SIG_SETMASK, &former, NULL);
}

void bide_watchdog_stop(void)
{
    if (!watchdog.is_running)
        return;
    take_pending_tick();
    handler_remove();
    watchdog.is_running = false;
}
