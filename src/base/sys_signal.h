/* SPDX-License-Identifier: MIT */
/*
 * sys_signal.h - the kernel's calls about signals.
 */
#ifndef BIDE__BASE_SYS_SIGNAL_H
#define BIDE__BASE_SYS_SIGNAL_H

#include <signal.h>

#include "base/sys.h"

static inline int bide__sys_sigaction(int number, const struct sigaction *action,
                                      struct sigaction *before)
{
    BIDE__FAULT(BIDE__CALL_SIGACTION);
    return bide__sys_result(sigaction(number, action, before));
}

/*
 * Signals that writing raises in the thread that writes, where an error would do: SIGPIPE, and
 * SIGXFSZ at the limit of a file's size. Between begin and end they raise nothing: what came is
 * taken back, unless it was pending before.
 */
struct bide__sys_quiet {
    sigset_t before;
    sigset_t pending;
};

static inline void bide__sys_quiet_begin(struct bide__sys_quiet *quiet)
{
    sigset_t raised;

    sigemptyset(&raised);
    sigaddset(&raised, SIGPIPE);
    sigaddset(&raised, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &raised, &quiet->before);
    sigpending(&quiet->pending);
}

static inline void bide__sys_quiet_end(const struct bide__sys_quiet *quiet)
{
    static const int numbers[] = {SIGPIPE, SIGXFSZ};
    sigset_t now, raised;

    sigpending(&now);
    sigemptyset(&raised);
    for (int i = 0; i < 2; i++)
        if (sigismember(&now, numbers[i]) && !sigismember(&quiet->pending, numbers[i]))
            sigaddset(&raised, numbers[i]);
    while (sigtimedwait(&raised, NULL, &(struct timespec){0}) > 0)
        continue;
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}

#endif
