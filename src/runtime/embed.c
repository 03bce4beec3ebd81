/* SPDX-License-Identifier: MIT */
/*
 * embed.c - loops that somebody else's loop steps.
 *
 * Between two steps such a loop counts as asleep: a post rings its bell, an eventfd in its epoll,
 * and so makes the descriptor readable that the other loop polls. Every step takes the events off
 * it again.
 */
#include <bide/runtime/embed.h>

#include <errno.h>
#include <pthread.h>

#include "base/sys.h"
#include "reactor/epoll.h"
#include "runtime/run.h"

struct embedded {
    struct bide__epoll epoll;
    int result;        /* the first task's */
    pthread_t thread;  /* on which it was opened */
    bide_time left_at; /* the end of the last step */
};

static struct embedded *embedded_of(struct bide_loop *loop)
{
    return BIDE__CONTAINER(bide__epoll_of(loop), struct embedded, epoll);
}

/* The time that the other loop took is none of ours: how often to poll follows from our own. */
static void enter(struct bide_loop *loop, const char *call)
{
    const struct embedded *embedded = embedded_of(loop);

    if (!pthread_equal(embedded->thread, pthread_self()))
        bide__misuse("%s was called on another thread than the one that opened the loop", call);
    if (loop->current != &loop->root || bide__loop_here == loop)
        bide__misuse("%s was called inside that very loop, by one of its tasks or callbacks", call);
    bide__loop_enter(loop);
    bide__inbox_awake(&loop->inbox);
    loop->polled_at += bide__loop_now(loop) - embedded->left_at;
}

/* Whoever posts from now on has to ring; who did before may not have. */
static void leave(struct bide_loop *loop)
{
    if (!bide__inbox_sleep(&loop->inbox))
        loop->inbox.wake(&loop->inbox);
    embedded_of(loop)->left_at = bide__loop_now(loop);
    bide__loop_leave(loop);
}

int bide_loop_open(int (*fn)(void *arg), void *arg, const bide_options *options, bide_loop **out)
{
    struct embedded *embedded = bide__alloc(sizeof *embedded);
    bide_options chosen = options != NULL ? *options : (bide_options){0};
    struct bide_loop *loop;
    int err;

    if (embedded == NULL)
        return -ENOMEM;
    chosen.no_overflow_report = !chosen.overflow_report;
    chosen.spin_ns = 0; /* how to wait is the other loop's choice */
    err = bide__epoll_init(&embedded->epoll);
    if (err < 0) {
        free(embedded);
        return err;
    }
    embedded->result = 0;
    embedded->thread = pthread_self();
    err = bide__run_begin(&embedded->epoll.host, &embedded->epoll, fn, arg, &chosen, true,
                          &embedded->result, &loop);
    if (err == 0) {
        bide__inbox_hold(loop);       /* the caller, who may post */
        embedded->epoll.registered++; /* the bell: polls that must not wait look at it as well */
        leave(loop);
        *out = loop;
        return 0;
    }
    bide__epoll_free(&embedded->epoll);
    free(embedded);
    return err;
}

int bide_loop_fd(bide_loop *loop)
{
    return bide__epoll_of(loop)->fd;
}

bide_time bide_loop_next_timeout(bide_loop *loop)
{
    bide_time due = bide__loop_due(loop), sweep = bide__epoll_due(bide__epoll_of(loop), loop), left;

    due = due < sweep ? due : sweep;
    if (due == BIDE_FOREVER || loop->stats.tasks_living == 0)
        return BIDE_FOREVER;
    left = due == BIDE__DO_NOT_WAIT ? 0 : due - bide__loop_now(loop);
    return left > 0 ? left : 0;
}

int bide_loop_step(bide_loop *loop, bide_time max_wait)
{
    bide_time most = BIDE__DO_NOT_WAIT;
    bool goes_on;

    enter(loop, "bide_loop_step");
    if (max_wait > 0)
        most = max_wait == BIDE_FOREVER ? BIDE_FOREVER
                                        : bide__time_after(bide__loop_now(loop), max_wait);
    goes_on = bide__loop_turn(loop, most);
    leave(loop);
    return goes_on;
}

int bide_loop_close(bide_loop *loop)
{
    struct embedded *embedded = embedded_of(loop);
    int err, result;

    enter(loop, "bide_loop_close");
    if (loop->stats.tasks_living > 0 && !loop->is_ending)
        bide__loop_end(loop);
    bide__inbox_release(loop);
    err = bide__run_end(loop);
    result = embedded->result;
    bide__epoll_free(&embedded->epoll);
    free(embedded);
    return err < 0 ? err : result;
}
