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

#endif
