/* SPDX-License-Identifier: MIT */
/*
 * shutdown.c - a signal that ends the program in good order.
 */
#include <errno.h>

#include <bide/sched/sleep.h>

#include "io/signal.h"
#include "sched/task.h"

enum { SIGNALS_MOST = 16 };

/* The frame of the task that waits for the signal. */
struct shutdown {
    bide_signals *signals;
    bide_time grace_ns;
};

static int shut_down(void *frame)
{
    const struct shutdown *shutdown = frame;
    struct bide_loop *loop = bide__loop_here;
    int number = bide__signals_take(shutdown->signals);

    bide__signals_drop(shutdown->signals);
    if (number < 0)
        return 0; /* the loop ends by itself */
    loop->shutdown_signal = number;
    if (loop->is_ending)
        return 0; /* and has told everybody */
    loop->drain_until = bide__time_after(bide_now(), shutdown->grace_ns);
    bide__task_cancel(loop->first, -ECANCELED);
    if (bide_sleep_until(loop->drain_until) == 0)
        bide__loop_cancel_all(loop);
    return 0;
}

int bide__shutdown_on(const bide_time *numbers, size_t count)
{
    static const bide_site site = {__FILE__, __LINE__, "bide_shutdown_on", "shutdown"};
    struct bide_loop *loop = bide__loop_need("bide_shutdown_on");
    struct shutdown shutdown;
    int signals[SIGNALS_MOST];
    struct bide_task *task;
    int err;

    if (count < 2 || count > SIGNALS_MOST || numbers[count - 1] < 0)
        return -EINVAL;
    if (loop->has_shutdown || loop->is_ending)
        return -EALREADY;
    shutdown.grace_ns = numbers[count - 1];
    for (size_t i = 0; i < count - 1; i++)
        signals[i] = numbers[i] < 1 || numbers[i] > 64 ? 0 : (int)numbers[i];
    err = bide__signals_catch(signals, count - 1, false, &shutdown.signals);
    if (err < 0)
        return err;
    err = bide__task_spawn(loop, &site, NULL, shut_down, sizeof shutdown, &task);
    if (err < 0) {
        bide__signals_drop(shutdown.signals);
        return err;
    }
    task->is_detached = true;
    *(struct shutdown *)task->frame = shutdown;
    loop->has_shutdown = true;
    return 0;
}

int bide_shutdown_signal(void)
{
    return bide__loop_need("bide_shutdown_signal")->shutdown_signal;
}
