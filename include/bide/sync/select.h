/* SPDX-License-Identifier: MIT */
/*
 * select.h - wait for the first of several things to happen on channels.
 *
 *     switch (select_any(on_recv(jobs, &job), on_send(log, line), on_after(BIDE_SEC(1)))) {
 *     case 0: work(&job); break;
 *     case 1: break;                      // the line was sent
 *     case 2: puts("nothing for a second"); break;
 *     default: return;                    // below 0: a channel is closed, or a scope fired
 *     }
 *
 * Exactly one case happens, or none and the call says why. Among several that could happen at once
 * one is drawn at random, each with the same chance.
 *
 * A closed channel. A receive from one that is closed and drained, and a send to one that is
 * closed, can only fail; that counts as ready, so that nobody waits for it, but never looks like a
 * value: when such a case is drawn, select_any returns -EPIPE and nothing has happened. Who wants
 * to know which channel it was, or to go on with the others, takes on_recv_ok and on_send_ok: then
 * the case's index is returned as usual, and `ok` says whether a value was moved.
 *
 *     case 0: if (!ok) jobs = NULL; ...
 *
 * A NULL channel makes a case that never happens: a way to switch cases off.
 */
#ifndef BIDE_SYNC_SELECT_H
#define BIDE_SYNC_SELECT_H

#include <bide/base/api.h>
#include <bide/base/time.h>
#include <bide/sync/chan.h>

/* How many cases one select_any takes. */
#define BIDE_SELECT_MAX 16

enum bide__case_kind {
    BIDE__CASE_RECV,
    BIDE__CASE_SEND,
    BIDE__CASE_AFTER,
    BIDE__CASE_DEFAULT,
};

/* What on_recv and its kin make; only to be listed in a select_any. */
struct bide__case {
    struct bide_chan *chan; /* NULL: never */
    void *slot;             /* where the value goes to or comes from */
    bool *ok;               /* set to whether a value was moved; NULL when not asked for */
    bide_time after;        /* nanoseconds */
    enum bide__case_kind kind;
};

/* select_any */
BIDE_API int bide__select(const struct bide__case *cases, size_t count, const bide_site *site);

#ifndef __cplusplus

/*
 * select_any(case, ...): wait until one of 1 to 16 cases happens.
 *
 * Returns the index of the one case that happened, counted from 0 in the order written, else
 * nothing has happened:
 *   -EPIPE  an on_recv or on_send can only fail, as its channel is closed (above)
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  yes, unless there is an on_default or a case that can happen at once. When no case can
 *          ever happen it waits for a cancel.
 * Cancel:  safe: on any error no value was moved.
 * Threads: tasks of the channels' loop.
 */
#define bide_select_any(...) BIDE__SELECT(BIDE__JOIN(bide__cases_, __COUNTER__), __VA_ARGS__)
#define BIDE__SELECT(cases, ...)                                                                   \
    __extension__({                                                                                \
        static const bide_site BIDE__JOIN(cases, _site) = BIDE__SITE("select_any");                \
        const struct bide__case cases[] = {__VA_ARGS__};                                           \
        _Static_assert(sizeof cases / sizeof *cases <= BIDE_SELECT_MAX,                            \
                       "select_any takes 16 cases at the most");                                   \
        bide__select(cases, sizeof cases / sizeof *cases, &BIDE__JOIN(cases, _site));              \
    })

/* on_recv(c, &v): a value was received into v. v is untouched unless this case happens. */
#define bide_on_recv(c, slot) BIDE__ON_RECV(c, slot, NULL)

/* on_recv_ok(c, &v, &ok): the same, or (ok is false, v untouched) c is closed and drained. */
#define bide_on_recv_ok(c, slot, is_ok) BIDE__ON_RECV(c, slot, is_ok)
#define BIDE__ON_RECV(c, slot_, ok_)                                                               \
    (struct bide__case)                                                                            \
    {                                                                                              \
        .chan = BIDE__OBJECT(c, bide_chan), .slot = BIDE__SLOT(c, bide_chan, slot_), .ok = (ok_),  \
        .kind = BIDE__CASE_RECV                                                                    \
    }

/* on_send(c, v): v was sent. v is evaluated in any case, when select_any is called. */
#define bide_on_send(c, ...)                                                                       \
    BIDE__ON_SEND(c, BIDE__JOIN(bide__item_, __COUNTER__), NULL, __VA_ARGS__)

/*
 * on_send_ok(c, v, &ok): the same, or (ok is false) c is closed. A compound literal with commas
 * needs parentheses here.
 */
#define bide_on_send_ok(c, v, is_ok)                                                               \
    BIDE__ON_SEND(c, BIDE__JOIN(bide__item_, __COUNTER__), is_ok, v)
/* The inner block is there for its conversion: a list would let a number stand for a struct. */
#define BIDE__ON_SEND(c, item, ok_, ...)                                                           \
    (struct bide__case)                                                                            \
    {                                                                                              \
        .chan = BIDE__OBJECT(c, bide_chan),                                                        \
        .slot = (BIDE__ITEM_OF(c, bide_chan)[1]){__extension__({                                   \
            BIDE__ITEM_OF(c, bide_chan) item = BIDE__ONE(__VA_ARGS__);                             \
            item;                                                                                  \
        })},                                                                                       \
        .ok = (ok_), .kind = BIDE__CASE_SEND                                                       \
    }

/*
 * on_after(ns): so many nanoseconds have passed since select_any was called, and nothing else has
 * happened. Of several the earliest counts. With 0 or less it happens at once unless another case
 * can; with BIDE_FOREVER, never.
 */
#define bide_on_after(ns)                                                                          \
    (struct bide__case)                                                                            \
    {                                                                                              \
        .after = (ns), .kind = BIDE__CASE_AFTER                                                    \
    }

/* on_default(): nothing else can happen at once, not counting an on_after. Never waits. */
#define bide_on_default()                                                                          \
    (struct bide__case)                                                                            \
    {                                                                                              \
        .kind = BIDE__CASE_DEFAULT                                                                 \
    }

#endif /* __cplusplus */
#endif
