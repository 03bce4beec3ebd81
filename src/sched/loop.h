/* SPDX-License-Identifier: MIT */
/*
 * loop.h - the scheduler's own view of a loop and its tasks.
 *
 * Switching is symmetric: a task that parks takes the next ready one and switches straight to it.
 * Only when none is ready, or when a poll is due, does it switch to the loop's own context
 * (`root`), which expires timers and lets the host wait.
 */
#ifndef BIDE__SCHED_LOOP_H
#define BIDE__SCHED_LOOP_H

#include <bide/sched/loop.h>
#include <bide/sched/scope.h>

#include "base/check.h"
#include "base/fork.h"
#include "base/list.h"
#include "base/wheel.h"
#include "context/context.h"
#include "context/overflow.h"
#include "context/sanitizer.h"
#include "context/stack.h"
#include "sched/host.h"
#include "sched/inbox.h"

enum {
    BIDE__BUDGET = 64,      /* I/O calls that succeed at once before a task must yield */
    BIDE__TURNS_LEAST = 8,  /* between two polls, when turns are long */
    BIDE__TURNS_MOST = 256, /* and when they are short */
};

enum bide__task_state {
    BIDE__TASK_FREE, /* the control block is in the pool */
    BIDE__TASK_LIVE, /* spawned and not ended */
    BIDE__TASK_DONE, /* ended, its result not yet collected */
};

/*
 * The control block of a task. Its life:
 *
 *      FREE --spawn--> LIVE --its function returns--> DONE --await or detach--> FREE
 *
 * A detached task goes from LIVE to FREE at once. Handles carry the generation, which moves on at
 * every FREE, so that an old handle is recognised even after its control block serves another task.
 */
struct bide_task {
    void *frame; /* arguments and result, at the stack's top; read by the macros: stays first */
    void *sp;    /* where the context was left, while it does not run */
    struct bide_task *next;       /* in the ready queue */
    struct bide__waiter *waiter;  /* what it is parked with; NULL when ready, running or done */
    struct bide__waiter *awaiter; /* who awaits it */
    bide_scope *scope;            /* innermost; NULL outside every scope */
    int16_t cancel_code; /* what a parking call returns at once: 0, -ECANCELED, -ETIMEDOUT */
    uint8_t state;
    bool is_detached : 1;
    bool is_watched : 1;   /* `watches` is a list; before that it is whatever it was */
    bool is_future : 1;    /* it has no coroutine: somebody else fulfils it (async/future.c) */
    bool is_generator : 1; /* its consumer drives it (async/generator.c) */
    bool is_member : 1;    /* a group owns it and hears of its failure (async/group.c) */
    bool is_drained : 1;   /* its server cancels it when the loop ends (io/serve.c) */
    bool is_given_up : 1;  /* a future whose handle was detached: told to those who watch it */
    bool has_locals : 1;   /* `locals` counts; else it means nothing */
    uint32_t generation;   /* how many tasks the control block has served */
    struct bide_loop *loop;
    /* Above: one cache line, all that switching, parking and waking touch. */
    int (*run)(void *frame);
    const bide_site *site; /* where it was spawned; NULL for the first task */
    const char *name;
    uint64_t id;                 /* counts up from 1 in a loop */
    int failure;                 /* once done: the result, when it is a negative integer; else 0 */
    int16_t canceled;            /* the whole task: 0, or why (-ECANCELED, -ETIMEDOUT) */
    struct bide__list watches;   /* of struct bide__watch: who else is told of its end */
    struct bide__locals *locals; /* sched/local.h */
    struct bide__stack stack;    /* its link is in a list of the group while is_member */
    struct bide_group *group;    /* of a member, as all below; else they mean nothing */
    struct bide__start *start;   /* who started it and has not heard of it yet, or NULL */
    unsigned result_kind;        /* for bide_group_next */
    bool has_started;            /* it said so */
    struct bide__sanitizer sanitizer;
};

struct bide_loop {
    struct bide_task *current;
    struct bide_task *ready_first; /* NULL when none is ready */
    struct bide_task *ready_last;  /* meaningless then */
    int turns_left;                /* until the next poll */
    int budget;                    /* left to the running task in this turn */
    int turns_planned;             /* what turns_left started from */
    int default_class;             /* of stacks */
    struct bide__host *host;
    struct bide_task root;   /* the loop's own context, on the thread's stack */
    struct bide_task poster; /* in whose place posts run (sched/inbox.c) */
    struct bide__inbox inbox;
    struct bide__wheel timers;
    struct bide__list settling; /* who waits until all others sleep: bide_test_settle */
    struct bide__stack_pool stacks;
    bide_time polled_at;
    unsigned spin_pause;      /* sleeps to come that do not begin with spinning */
    unsigned spin_pause_last; /* how many that were after the last spin; 0 when it paid off */
    bide_time trim_at;        /* BIDE_FOREVER when no stack is to be given back */
    bide_time linger_at;      /* when to name the tasks that were told to end and did not */
    uint64_t next_id;
    int spawn_error;  /* of the last spawn that failed */
    int64_t stand_in; /* an await's result that is an error, until it is read */
    bide_options options;
    bide_stats stats; /* turns are counted at polls only: see bide_loop_stats */
    struct bide__overflow overflow;
    struct bide_task *first; /* until is_ending */
    bide_time drain_until;   /* a shutdown has begun: how long servers may drain; else 0 */
    int shutdown_signal;     /* what began it */
    bool has_shutdown;       /* a task waits for such a signal */
    bool is_ending;          /* the first task has ended, the others are told to */
    bool is_deadlocked;      /* reported once */
    bool tells_groups;       /* somebody works through groups_to_tell */
    /* Called when a member has ended, in its context; set by the first group (async/group.c). */
    void (*member_ended)(struct bide_task *member);
    struct bide__fork fork;  /* a child has a copy of the loop, but shares its descriptors */
    struct bide_loop *outer; /* the loop that runs this one inside one of its tasks */
    void *io; /* what the host keeps for the io layer; NULL under a host without I/O */
    struct bide__pool *pool;          /* NULL before the first job (runtime/pool.c) */
    struct bide_file_backend *files;  /* does calls on files instead of the pool; or NULL */
    struct bide__futures *futures;    /* NULL before the first (async/future.c) */
    struct bide__names *names;        /* NULL before the first name (io/names.c) */
    struct bide__lender *lender;      /* NULL before the first buffer came back (io/lend.c) */
    struct bide__list groups_to_tell; /* their members are being cancelled (async/group.c) */
    struct bide__list at_stop;        /* of struct bide__at_stop */
    uint64_t random;                  /* what a select draws among ready cases with; never 0 */
};

/* For layers above: called by bide__loop_stop, when no task runs any more. */
struct bide__at_stop {
    struct bide__list link;
    void (*stop)(struct bide__at_stop *at_stop, struct bide_loop *loop);
};

/*
 * The loop that runs on this thread, or NULL. A task never leaves its thread, so the value may be
 * cached.
 */
extern __thread struct bide_loop *bide__loop_here
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * The running loop; aborts with one line when called outside of a task. `call` is the public name.
 */
struct bide_loop *bide__loop_need(const char *call);
_Noreturn void bide__loop_missing(const char *call);

static inline struct bide_task *bide__task_need(const char *call)
{
    struct bide_loop *loop = bide__loop_here;

    if (__builtin_expect(loop == NULL || loop->current == &loop->root, 0))
        bide__loop_missing(call);
    return loop->current;
}

/*
 * Whether a call that may begin at once can do so with no more ado: a task makes it, none of its
 * scopes has fired, and there is budget left, of which one unit is then spent. The other case is
 * for a function apart, which starts from the beginning: so the plain one needs no stack.
 */
static inline bool bide__is_plain(struct bide_loop *loop)
{
    if (__builtin_expect(loop == NULL || loop->current == &loop->root, 0) ||
        __builtin_expect(loop->current->cancel_code != 0 || loop->budget <= 1, 0))
        return false;
    loop->budget--;
    return true;
}

/*
 * Make a loop, in memory that bide__inbox_release frees in the end. Returns 0 or a negative errno;
 * then the memory is the caller's.
 */
int bide__loop_start(struct bide_loop *loop, struct bide__host *host, const bide_options *options);

/* Be this thread's loop, inside whichever was before; and no longer be it. */
void bide__loop_enter(struct bide_loop *loop);
void bide__loop_leave(struct bide_loop *loop);

/*
 * Wait until something happens, `most` at the latest, and let ready tasks run, each for a turn or
 * so. False when every task has ended, or sleeps after a deadlock although it was told to end.
 */
bool bide__loop_turn(struct bide_loop *loop, bide_time most);

/* Wait until something happens, `most` at the latest, whether or not tasks live. */
void bide__loop_wait(struct bide_loop *loop, bide_time most);

/* Run until every task has ended. Returns 0, or -EDEADLK after a deadlock was reported. */
int bide__loop_run(struct bide_loop *loop);

/* When the loop wants its next turn at the latest: BIDE__DO_NOT_WAIT, or BIDE_FOREVER. */
bide_time bide__loop_due(struct bide_loop *loop);

/* Report what nobody awaited, and free everything but the loop itself. */
void bide__loop_stop(struct bide_loop *loop);

/* The first task has ended: tell the others to. */
void bide__loop_end(struct bide_loop *loop);

/* Tell every living task to end. */
void bide__loop_cancel_all(struct bide_loop *loop);

/* Call visit for every task that is not free. */
void bide__loop_each(struct bide_loop *loop, void (*visit)(struct bide_task *task, void *arg),
                     void *arg);

static inline bide_time bide__loop_now(struct bide_loop *loop)
{
    return loop->host->now(loop->host);
}

/* The clock plus a timeout, which saturates; also where there is no loop. */
bide_time bide__deadline_after(bide_time timeout);

static inline void bide__ready_push(struct bide_loop *loop, struct bide_task *task)
{
    task->next = NULL;
    if (loop->ready_first == NULL)
        loop->ready_first = task;
    else
        loop->ready_last->next = task;
    loop->ready_last = task;
}

/* Take whoever is next off the queue: a ready task, or the root when none is or a poll is due. */
static inline struct bide_task *bide__next(struct bide_loop *loop)
{
    struct bide_task *next = loop->ready_first;

    if (__builtin_expect(next == NULL || --loop->turns_left <= 0, 0)) {
        next = &loop->root;
    } else {
        const struct bide_task *after = loop->ready_first = next->next;
        if (after != NULL) {
            /* With many tasks its frame is in no cache: fetch it while this one runs. */
            __builtin_prefetch(after->sp);
            __builtin_prefetch((const char *)after->sp + 64);
            __builtin_prefetch((const char *)after->sp + 128);
            __builtin_prefetch((const char *)after->sp + 192);
            __builtin_prefetch(after->next);
        }
    }
    loop->current = next;
    loop->budget = BIDE__BUDGET;
    return next;
}

/*
 * Give the processor to `to`, which is not in the ready queue, and return when it is the turn of
 * `from` again. All switches but a task's last one are made by this one function, so that they
 * leave and arrive at one address: then a context can be resumed by a return that the processor
 * predicts (see asm/).
 */
void bide__switch_to(struct bide_loop *loop, struct bide_task *from, struct bide_task *to);

/* The same as the last thing that its caller does: see bide__park_last. */
static inline void bide__switch_last(struct bide_loop *loop, struct bide_task *from,
                                     struct bide_task *to)
{
    loop->current = to;
    bide__sanitizer_leave(&from->sanitizer, &to->sanitizer, false);
    bide__context_switch(&from->sp, to->sp);
    bide__sanitizer_arrive(&from->sanitizer);
}

/* bide__switch_to whoever is next. */
static inline void bide__switch_away(struct bide_loop *loop, struct bide_task *from)
{
    struct bide_task *next = bide__next(loop);

    if (next != from)
        bide__switch_to(loop, from, next);
}

/*
 * Spend one unit of the turn's budget on a call that did not have to wait; yield when it is gone.
 */
void bide__budget_gone(struct bide_loop *loop);

static inline void bide__budget_spend(struct bide_loop *loop)
{
    if (__builtin_expect(--loop->budget <= 0, 0))
        bide__budget_gone(loop);
}

/*
 * What a parking call returns at once because a scope fired, or 0. It spends of the budget as well:
 * a loop that ignores the error must not keep the others from running.
 */
static inline int bide__cancel_seen(struct bide_task *self)
{
    int code = self->cancel_code;

    if (__builtin_expect(code != 0, 0))
        bide__budget_spend(self->loop);
    return code;
}

/*
 * Recompute the task's cancel code after a scope of its changed, wake it when it must not sleep on,
 * and tell the groups it has opened.
 */
void bide__cancel_deliver(struct bide_task *task);

/* What a parking call right inside this scope of the task would return at once. */
int bide__cancel_code_in(const struct bide_task *task, const bide_scope *scope);

#endif
