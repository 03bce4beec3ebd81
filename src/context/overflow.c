/* SPDX-License-Identifier: MIT */
/*
 * overflow.c - the SIGSEGV and SIGBUS handler, and the alternate stack it runs on.
 *
 * Handlers belong to the process, alternate stacks to a thread. The first thread that watches
 * installs the handlers, the last one puts back what was there; a lock guards the count, and only
 * starting and stopping takes it.
 */
#include "context/overflow.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/sys.h"

enum { ALTERNATE_BYTES = 64 * 1024 };

static const int signals[] = {SIGSEGV, SIGBUS};
enum { SIGNALS = sizeof signals / sizeof signals[0] };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned watching; /* threads; under the lock */
static struct sigaction before[SIGNALS];

/* What this thread watches; the handler reads it on the same thread. */
static __thread struct bide__overflow *volatile watched __attribute__((tls_model("initial-exec")));

/*
 * Hand a fault that is not ours to whoever had the signal before. Where nobody had, the default
 * action ends the process: the instruction faults again, or, where no instruction did (kill,
 * raise), the signal is sent again.
 */
static void chain(int number, siginfo_t *info, void *context)
{
    const struct sigaction *old = &before[number == SIGBUS];
    bool was_sent = info->si_code <= 0;

    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(number, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(number);
    } else if (old->sa_handler != SIG_IGN || !was_sent) {
        sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        if (was_sent)
            raise(number);
    }
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    struct bide__overflow *overflow = watched;

    for (; overflow != NULL; overflow = overflow->outer)
        if (bide__stack_guards(overflow->pool, info->si_addr)) {
            overflow->report(overflow->arg);
            sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
            return;
        }
    chain(number, info, context);
}

static int alternate_stack_start(struct bide__overflow *overflow)
{
    int err;

    overflow->memory = NULL;
    if (sigaltstack(NULL, &overflow->before) < 0)
        return -errno;
    if (!(overflow->before.ss_flags & SS_DISABLE))
        return 0; /* the program's own, or a sanitizer's: it serves us as well */
    overflow->memory_bytes = ALTERNATE_BYTES;
    err = bide__sys_mmap(overflow->memory_bytes, &overflow->memory);
    if (err < 0)
        return err;
    stack_t ours = {.ss_sp = overflow->memory, .ss_size = overflow->memory_bytes};
    if (sigaltstack(&ours, NULL) < 0) {
        err = -errno;
        bide__sys_munmap(overflow->memory, overflow->memory_bytes);
        return err;
    }
    return 0;
}

int bide__overflow_start(struct bide__overflow *overflow, const struct bide__stack_pool *pool,
                         void (*report)(void *arg), void *arg)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    int err = alternate_stack_start(overflow);

    if (err < 0)
        return err;
    overflow->pool = pool;
    overflow->report = report;
    overflow->arg = arg;
    overflow->outer = watched;
    watched = overflow;
    action.sa_sigaction = on_fault;
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    if (watching++ == 0)
        for (int i = 0; i < SIGNALS; i++)
            sigaction(signals[i], &action, &before[i]);
    pthread_mutex_unlock(&lock);
    return 0;
}

/* Loops that somebody else steps may end in any order. */
static void unwatch(struct bide__overflow *overflow)
{
    struct bide__overflow *inner = watched;

    bide__assert(inner != NULL);
    if (inner == overflow) {
        watched = overflow->outer;
        return;
    }
    while (inner->outer != overflow)
        inner = inner->outer;
    inner->outer = overflow->outer;
}

void bide__overflow_stop(struct bide__overflow *overflow)
{
    pthread_mutex_lock(&lock);
    if (--watching == 0)
        for (int i = 0; i < SIGNALS; i++) {
            struct sigaction now;
            sigaction(signals[i], NULL, &now);
            if (now.sa_sigaction == on_fault) /* else somebody chained to us: leave theirs */
                sigaction(signals[i], &before[i], NULL);
        }
    pthread_mutex_unlock(&lock);
    unwatch(overflow);
    if (overflow->memory == NULL)
        return;
    if (watched !=
        NULL) { /* another loop of this thread, begun later: it needs the stack as well */
        watched->memory = overflow->memory;
        watched->memory_bytes = overflow->memory_bytes;
        watched->before = overflow->before;
        return;
    }
    sigaltstack(&overflow->before, NULL);
    bide__sys_munmap(overflow->memory, overflow->memory_bytes);
}
