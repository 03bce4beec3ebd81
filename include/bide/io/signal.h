/* SPDX-License-Identifier: MIT */
/*
 * signal.h - signals as something to wait for.
 *
 *     bide_shutdown_on(SIGINT, SIGTERM, BIDE_SEC(10));    // first thing in a server's main task
 *
 *     bide_signals *s;                                    // reload on SIGHUP, beside other work
 *     bide_signals_open(&s, SIGHUP, SIGUSR1);
 *     while (chan_recv(bide_signals_chan(s), &number) == 0) ...
 *     bide_signals_close(s);
 *
 * No signal handler is installed but by these calls. What a signal did before they give back to it
 * when nobody waits for it any more. Signals of one number that come before the first was taken
 * count as one, as the kernel has it. Every loop of the process that asked is told of each.
 *
 * A signal whose disposition somebody else changes meanwhile is theirs, and stays so.
 */
#ifndef BIDE_IO_SIGNAL_H
#define BIDE_IO_SIGNAL_H

#include <signal.h>

#include <bide/base/time.h>
#include <bide/sync/chan.h>

typedef struct bide_signals bide_signals;

/**
 * Catch signals from now on; bide_signals_open is the way to do so.
 *
 * @param numbers  borrowed for the call
 * @param count    how many, at least 1
 * @param out      owned by the caller: bide_signals_close
 *
 * Returns 0, or as bide_signals_open says.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API int bide__signals_open(const int *numbers, size_t count, bide_signals **out);

/**
 * Give the channel; bide_signals_chan is the way to do so.
 *
 * @param signals  borrowed
 *
 * Returns the channel.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: the loop's own.
 */
BIDE_API struct bide_chan *bide__signals_chan(bide_signals *signals);

/**
 * Stop catching these signals, and close the channel they came by.
 *
 * What each signal did before it does again, unless somebody else still waits for it. Signals that
 * were caught and not received are dropped.
 *
 * @param signals  owned, and gone after the call, its channel as well; NULL is ignored
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point: works in a cancelled scope.
 * Threads: the loop's own.
 */
BIDE_API void bide_signals_close(bide_signals *signals);

/**
 * Wait for one of some signals; bide_signal_wait is the way to do so.
 *
 * @param numbers  borrowed for the call
 * @param count    how many, at least 1
 *
 * Returns, blocks and cancels as bide_signal_wait says.
 * Blocks:  yes.
 * Cancel:  as there.
 * Threads: tasks only.
 */
BIDE_API int bide__signal_wait(const int *numbers, size_t count);

/**
 * End the program in good order on a signal; bide_shutdown_on is the way to do so.
 *
 * @param numbers  borrowed for the call: the signals, and last the grace in nanoseconds
 * @param count    how many
 *
 * Returns as bide_shutdown_on says.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API int bide__shutdown_on(const bide_time *numbers, size_t count);

/**
 * Tell which signal has begun the shutdown that bide_shutdown_on asked for.
 *
 * Returns its number, or 0 when none has.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API int bide_shutdown_signal(void);

#ifndef __cplusplus

/*
 * bide_signals_open(&s, numbers...): catch these signals from now on, until bide_signals_close.
 *
 * Returns 0 with s owned by the caller, or
 *   -EINVAL  no such signal, or one that cannot be caught or is a fault (SIGKILL, SIGSEGV ...)
 *   -ENOMEM, -EMFILE, -ENFILE  no memory or descriptor; nothing is caught
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 * Source:  sigaction(2), signal(7).
 */
#define bide_signals_open(out, ...)                                                                \
    bide__signals_open((const int[]){__VA_ARGS__},                                                 \
                       sizeof((const int[]){__VA_ARGS__}) / sizeof(int), (out))

/*
 * bide_signals_chan(s): the signals' numbers, as a chan(int) that is received from or selected on.
 * It is s's: it gives -EPIPE after bide_signals_close, or when the loop ends, and is not to be
 * freed.
 */
#define bide_signals_chan(s) ((bide_chan(int))(uintptr_t)bide__signals_chan(s))

/*
 * bide_signal_wait(numbers...): wait for one of these signals. They are caught while the call waits
 * only: before and after it they do what they did.
 *
 * Returns the number of the one that came, the errors of bide_signals_open, or
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  yes.
 * Cancel:  safe: a signal that has come is returned, even when a scope fires at the same time. Of
 *          several that came, the others do what they did before the call.
 * Threads: tasks only.
 */
#define bide_signal_wait(...)                                                                      \
    bide__signal_wait((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

/*
 * bide_shutdown_on(numbers..., grace): end the program in good order when one of these signals
 * comes.
 *
 * The loop's first task is cancelled then: what waits in it returns -ECANCELED, and what it awaits
 * is cancelled with it. Servers (bide_serve) take no more connections and let those they have go on
 * for `grace` nanoseconds in place of the listener's own grace, whether or not the first task has
 * returned meanwhile; then they, and every other task, are cancelled. The signals do again what
 * they did before: a second one mostly kills.
 *
 * Returns 0, -EINVAL for a bad number, more than 15 of them, or a grace below 0, -EALREADY when it
 * was asked before, or the errors of bide_signals_open and spawn.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
#define bide_shutdown_on(...)                                                                      \
    bide__shutdown_on((const bide_time[]){__VA_ARGS__},                                            \
                      sizeof((const bide_time[]){__VA_ARGS__}) / sizeof(bide_time))

#endif /* __cplusplus */
#endif
