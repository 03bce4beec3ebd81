/* SPDX-License-Identifier: MIT */
/*
 * host_glib.c - Bide's tasks in a GLib program: a source of its main loop steps theirs.
 */
#include <glib.h>

#include "host_tasks.h"

struct bide_source {
    GSource base;
    bide_loop *loop;
    gpointer watch; /* of bide_loop_fd */
    struct host_tasks *tasks;
    GMainLoop *main_loop;
};

static gboolean source_prepare(GSource *base, gint *timeout_ms)
{
    bide_time left = bide_loop_next_timeout(((struct bide_source *)base)->loop);
    bide_time ms = left / BIDE_MS(1) + (left % BIDE_MS(1) > 0); /* rounded up */

    *timeout_ms = left == BIDE_FOREVER ? -1 : (gint)MIN(ms, G_MAXINT);
    return left == 0;
}

static gboolean source_check(GSource *base)
{
    struct bide_source *source = (struct bide_source *)base;

    return g_source_query_unix_fd(base, source->watch) != 0 ||
           bide_loop_next_timeout(source->loop) == 0;
}

static gboolean source_dispatch(GSource *base, GSourceFunc callback, gpointer data)
{
    struct bide_source *source = (struct bide_source *)base;

    (void)callback, (void)data;
    source->tasks->steps++;
    if (bide_loop_step(source->loop, 0) != 0)
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(source->main_loop); /* every task has ended */
    return G_SOURCE_REMOVE;
}

static gboolean on_tick(gpointer data)
{
    struct bide_source *source = data;

    host_ticked(source->tasks, source->loop);
    return G_SOURCE_CONTINUE;
}

int main(void)
{
    static GSourceFuncs functions = {
        .prepare = source_prepare, .check = source_check, .dispatch = source_dispatch};
    struct host_tasks tasks = {0};
    struct bide_source *source = (void *)g_source_new(&functions, sizeof *source);
    guint ticker;
    int result;

    if (bide_loop_open(host_first_task, &tasks, NULL, &source->loop) < 0)
        return 1;
    source->tasks = &tasks;
    source->main_loop = g_main_loop_new(NULL, FALSE);
    source->watch = g_source_add_unix_fd(&source->base, bide_loop_fd(source->loop), G_IO_IN);
    g_source_attach(&source->base, NULL);
    ticker = g_timeout_add(5, on_tick, source);

    g_main_loop_run(source->main_loop);
    g_source_remove(ticker);
    result = bide_loop_close(source->loop); /* GLib let go of its descriptor with the source */
    g_main_loop_unref(source->main_loop);
    g_source_unref(&source->base);
    return host_verdict("glib", &tasks, result);
}
