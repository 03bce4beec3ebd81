/* SPDX-License-Identifier: MIT */
/*
 * host_libuv.c - Bide's tasks in a libuv program: its loop watches theirs and steps it.
 */
#include <uv.h>

#include "host_tasks.h"

struct host {
    bide_loop *loop;
    struct host_tasks tasks;
    int result;
    uv_poll_t readable;   /* bide_loop_fd */
    uv_timer_t due;       /* bide_loop_next_timeout */
    uv_prepare_t prepare; /* which sets it before libuv waits */
    uv_timer_t ticker;    /* the program's own */
};

static void step(struct host *host)
{
    host->tasks.steps++;
    if (bide_loop_step(host->loop, 0) != 0)
        return;
    /* Every task has ended. libuv lets go of the descriptor before it is closed. */
    uv_close((uv_handle_t *)&host->readable, NULL);
    uv_close((uv_handle_t *)&host->due, NULL);
    uv_close((uv_handle_t *)&host->prepare, NULL);
    uv_close((uv_handle_t *)&host->ticker, NULL);
    host->result = bide_loop_close(host->loop);
}

static void on_readable(uv_poll_t *readable, int status, int events)
{
    (void)status, (void)events;
    step(readable->data);
}

static void on_due(uv_timer_t *due)
{
    step(due->data);
}

/* Right before libuv waits: for how long may it? It counts in milliseconds, rounded up here. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct host *host = prepare->data;
    bide_time left = bide_loop_next_timeout(host->loop);

    if (left == BIDE_FOREVER)
        uv_timer_stop(&host->due);
    else
        uv_timer_start(&host->due, on_due, (uint64_t)(left / BIDE_MS(1) + (left % BIDE_MS(1) > 0)),
                       0);
}

static void on_tick(uv_timer_t *ticker)
{
    struct host *host = ticker->data;

    host_ticked(&host->tasks, host->loop);
}

int main(void)
{
    static struct host host;
    uv_loop_t *loop = uv_default_loop();

    host.readable.data = host.due.data = host.prepare.data = host.ticker.data = &host;
    if (bide_loop_open(host_first_task, &host.tasks, NULL, &host.loop) < 0 ||
        uv_poll_init(loop, &host.readable, bide_loop_fd(host.loop)) < 0)
        return 1;
    uv_timer_init(loop, &host.due);
    uv_prepare_init(loop, &host.prepare);
    uv_timer_init(loop, &host.ticker);
    uv_poll_start(&host.readable, UV_READABLE, on_readable);
    uv_prepare_start(&host.prepare, on_prepare);
    uv_timer_start(&host.ticker, on_tick, 5, 5);

    uv_run(loop, UV_RUN_DEFAULT);
    if (uv_loop_close(loop) < 0)
        return 1;
    return host_verdict("libuv", &host.tasks, host.result);
}
