/* SPDX-License-Identifier: MIT */
/*
 * signal.c - one handler for all signals that anybody waits for, and who is to be told.
 *
 * Dispositions are the process's, so what is here is too: a list of all who catch signals, in
 * whichever loop. The handler walks it without a lock, notes the signal, and posts to the loop.
 * Whoever leaves the list waits until no handler walks it, on any thread, before the memory goes:
 * handlers are short, and take nothing that this thread could hold.
 */
#include "io/signal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sys_signal.h"
#include "sched/task.h"
#include "sched/waitq.h"

enum { SIGNALS_MOST = 64 };

struct bide_signals {
    _Atomic(struct bide_signals *) next; /* in `all` */
    struct bide_loop *loop;
    uint64_t numbers;         /* bit n - 1: it catches signal n */
    _Atomic(uint64_t) caught; /* the same, by the handler, and not yet brought over */
    atomic_int is_posted;     /* `post` is in the loop's inbox */
    struct bide__post post;
    /* The rest is the loop's own. */
    uint64_t pending; /* brought over, and not yet taken */
    struct bide__list waiting;
    struct bide__at_stop at_stop;
    struct bide_chan *chan; /* NULL when taken by call */
    bool counts;
    bool gives_rest_back; /* what was caught and is not taken is raised again */
    bool is_dropped;
    bool has_sender; /* the task that sends into the channel lives */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows, but for the handler */
static _Atomic(struct bide_signals *) all;
static atomic_uint walkers; /* handlers that are in `all` */
static unsigned users[SIGNALS_MOST + 1];
static struct sigaction before[SIGNALS_MOST + 1];

static void handle(int number)
{
    int errno_before = errno;
    struct bide_signals *at;

    atomic_fetch_add(&walkers, 1);
    for (at = atomic_load(&all); at != NULL; at = atomic_load(&at->next)) {
        if (!(at->numbers >> (number - 1) & 1))
            continue;
        atomic_fetch_or(&at->caught, UINT64_C(1) << (number - 1));
        if (!atomic_exchange(&at->is_posted, 1) && !bide__inbox_push(at->loop, &at->post))
            atomic_store(&at->is_posted, 0);
    }
    atomic_fetch_sub(&walkers, 1);
    errno = errno_before;
}

/* One more who catches the signal. With the lock held. */
static int use(int number)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART | SA_ONSTACK};
    int err = 0;

    sigfillset(&action.sa_mask);
    if (users[number] == 0)
        err = bide__sys_sigaction(number, &action, &before[number]);
    users[number] += err == 0;
    return err;
}

/*
 * One fewer; the last gives the signal back, unless somebody else has taken it meanwhile. True when
 * it was the last.
 */
static bool unuse(int number)
{
    struct sigaction now;

    bide__assert(users[number] > 0);
    if (--users[number] > 0)
        return false;
    if (sigaction(number, NULL, &now) == 0 && now.sa_handler == handle)
        sigaction(number, &before[number], NULL);
    return true;
}

/* Returns those that nobody uses any more. */
static uint64_t unuse_all(uint64_t numbers)
{
    uint64_t unused = 0;

    for (int number = 1; number <= SIGNALS_MOST; number++)
        if ((numbers >> (number - 1) & 1) && unuse(number))
            unused |= UINT64_C(1) << (number - 1);
    return unused;
}

/* Take the signals' dispositions, and stand in the list. */
static int enlist(struct bide_signals *self)
{
    uint64_t used = 0;
    int err = 0;

    pthread_mutex_lock(&lock);
    /* In the list first: a signal that is caught at once is not lost. */
    atomic_store(&self->next, atomic_load(&all));
    atomic_store(&all, self);
    for (int number = 1; number <= SIGNALS_MOST && err == 0; number++) {
        if (!(self->numbers >> (number - 1) & 1))
            continue;
        err = use(number);
        if (err == 0)
            used |= UINT64_C(1) << (number - 1);
    }
    if (err < 0)
        unuse_all(used);
    pthread_mutex_unlock(&lock);
    return err;
}

/* Returns the signals that nobody catches any more. */
static uint64_t delist(struct bide_signals *self, bool gives_back)
{
    _Atomic(struct bide_signals *) *at = &all;
    uint64_t unused = 0;

    pthread_mutex_lock(&lock);
    if (gives_back)
        unused = unuse_all(self->numbers);
    while (atomic_load(at) != self)
        at = &atomic_load(at)->next;
    atomic_store(at, atomic_load(&self->next));
    pthread_mutex_unlock(&lock);
    while (atomic_load(&walkers) > 0)
        sched_yield();
    return unused;
}

static void free_when_done(struct bide_signals *self)
{
    if (!self->is_dropped || self->has_sender || atomic_load(&self->is_posted))
        return;
    if (self->chan != NULL)
        bide__chan_free(self->chan);
    free(self);
}

/* On the loop: the handler's notes become ours. */
static void bring_over(struct bide__post *post)
{
    struct bide_signals *self = BIDE__CONTAINER(post, struct bide_signals, post);
    struct bide__waiter *waiter;

    atomic_store(&self->is_posted, 0); /* before the notes are read: later ones post again */
    self->pending |= atomic_exchange(&self->caught, 0);
    waiter = bide__waitq_first(&self->waiting);
    if (waiter != NULL && self->pending != 0)
        bide__wake(waiter, 0);
    free_when_done(self);
}

static void stop(struct bide__at_stop *at_stop, struct bide_loop *loop)
{
    struct bide_signals *self = BIDE__CONTAINER(at_stop, struct bide_signals, at_stop);

    (void)loop;
    bide__list_init(&at_stop->link);
    bide__signals_drop(self);
}

/* Those that cannot be caught, and those that mean that the program is broken (signal(7)). */
static bool is_refused(int number)
{
    switch (number) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT: return true;
    default: return number < 1 || number > SIGNALS_MOST;
    }
}

int bide__signals_catch(const int *numbers, size_t count, bool counts, bide_signals **out)
{
    struct bide_loop *loop = bide__loop_need("bide_signals_open");
    struct bide_signals *self;
    uint64_t set = 0;
    int err;

    for (size_t i = 0; i < count; i++) {
        if (is_refused(numbers[i]))
            return -EINVAL;
        set |= UINT64_C(1) << (numbers[i] - 1);
    }
    err = bide__inbox_open(loop);
    if (err < 0)
        return err;
    self = bide__alloc_zeroed(1, sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    self->loop = loop;
    self->numbers = set;
    self->post.run = bring_over;
    self->counts = counts;
    bide__list_init(&self->waiting);
    err = enlist(self);
    if (err < 0) {
        delist(self, false);
        self->is_dropped = true;
        free_when_done(self);
        return err;
    }
    self->at_stop.stop = stop;
    bide__list_append(&loop->at_stop, &self->at_stop.link);
    loop->host->watched += counts;
    *out = self;
    return 0;
}

/* Signals that nobody has taken do what they would have done without us. */
static void raise_again(uint64_t numbers)
{
    for (int number = 1; number <= SIGNALS_MOST; number++)
        if (numbers >> (number - 1) & 1)
            kill(getpid(), number);
}

void bide__signals_drop(bide_signals *self)
{
    uint64_t unused;

    bide__assert(!self->is_dropped);
    unused = delist(self, true);
    if (self->gives_rest_back) /* where others catch it still, they were told */
        raise_again((self->pending | atomic_exchange(&self->caught, 0)) & unused);
    bide__list_remove(&self->at_stop.link);
    self->loop->host->watched -= self->counts;
    self->is_dropped = true;
    if (self->chan != NULL)
        bide__chan_close(self->chan);
    bide__wake_all(&self->waiting, -EBADF);
    free_when_done(self);
}

int bide__signals_take(bide_signals *self)
{
    struct bide_task *task = self->loop->current;
    int number;

    /* Also what the handler has noted and no poll has brought over yet. */
    while ((self->pending |= atomic_exchange(&self->caught, 0)) == 0) {
        struct bide__waiter waiter = BIDE__WAITER(waiter, "a signal");
        int err;

        if (task->cancel_code != 0)
            return bide__cancel_seen(task);
        bide__waitq_join(&self->waiting, &waiter);
        err = bide__park(&waiter);
        self->pending |= atomic_exchange(&self->caught, 0);
        if (err < 0 && (self->is_dropped || self->pending == 0))
            return err;
    }
    number = __builtin_ctzll(self->pending) + 1;
    self->pending &= self->pending - 1;
    return number;
}

int bide__signal_wait(const int *numbers, size_t count)
{
    struct bide_task *task = bide__task_need("bide_signal_wait");
    bide_signals *signals;
    int result;

    if (task->cancel_code != 0)
        return bide__cancel_seen(task);
    result = bide__signals_catch(numbers, count, true, &signals);
    if (result < 0)
        return result;
    result = bide__signals_take(signals);
    signals->gives_rest_back = true;
    bide__signals_drop(signals);
    return result;
}

/* The task that brings the signals into the channel. */
static int send_all(void *frame)
{
    bide_signals *self = *(bide_signals **)frame;
    int number, err = 0;

    while (err == 0 && (number = bide__signals_take(self)) > 0)
        err = bide_chan_send(bide_signals_chan(self), number);
    if (!self->is_dropped)
        bide__chan_close(self->chan);
    self->has_sender = false;
    free_when_done(self);
    return 0;
}

int bide__signals_open(const int *numbers, size_t count, bide_signals **out)
{
    static const bide_site site = {__FILE__, __LINE__, "bide_signals_open", "signals"};
    struct bide_task *task;
    bide_signals *self;
    int err = bide__signals_catch(numbers, count, true, &self);

    if (err < 0)
        return err;
    self->chan = bide__chan_new(sizeof(int), 0);
    err = self->chan == NULL
              ? -ENOMEM
              : bide__task_spawn(self->loop, &site, NULL, send_all, sizeof self, &task);
    if (err < 0) {
        bide__signals_drop(self);
        return err;
    }
    task->is_detached = true;
    *(bide_signals **)task->frame = self;
    self->has_sender = true;
    *out = self;
    return 0;
}

struct bide_chan *bide__signals_chan(bide_signals *signals)
{
    return signals->chan;
}

void bide_signals_close(bide_signals *signals)
{
    if (signals != NULL)
        bide__signals_drop(signals);
}
