/* SPDX-License-Identifier: MIT */
/*
 * cares.h - names looked up by c-ares, on the loop, in place of threads that ask the C library.
 *
 *     bide_cares_start(NULL);                           // once, in a task, for its loop
 *     bide_dial("tcp://www.example.org:80", &stream);   // from now on asks the servers itself
 *
 * Any number of lookups go on at once, each with sockets of its own, so that its source port is as
 * hard to guess as its id. What the system is set up with (/etc/resolv.conf, /etc/hosts) is read
 * anew for each. Modules of nsswitch.conf are not asked. Answers say how long they are good, which
 * bide_names_cache keeps to. A and AAAA are asked for at once, and the answer is there when both
 * have come (there is no Resolution Delay as in RFC 8305, section 3).
 *
 * A library of its own: bide::cares, or -lbide_cares.
 */
#ifndef BIDE_CARES_H
#define BIDE_CARES_H

#include <bide/base/api.h>
#include <bide/base/time.h>

/* Zero means the default. */
typedef struct bide_cares_options {
    const char *servers;  /* "192.0.2.1,192.0.2.2:5353,[2001:db8::1]:53", copied; NULL for those of
                             /etc/resolv.conf */
    bide_time timeout_ns; /* how long a server has to answer the first time, rounded up to
                             milliseconds; then ever longer. c-ares's own, 5 s or 2 s */
    unsigned tries;       /* of each server; c-ares's own, 4 or 3 */
    bool dns_only;        /* do not look into /etc/hosts */
} bide_cares_options;

/**
 * Let c-ares answer this loop's questions about names from now on (bide_resolver_use).
 *
 * Services that have a name instead of a number are left to the C library, and so is
 * bide_getnameinfo. It ends with the loop, or when another resolver is set.
 *
 * @param options  borrowed for the call, or NULL
 *
 * Returns 0, or
 *   -EINVAL  the servers are malformed, or a time is negative
 *   -ENOMEM  no memory
 * Blocks:  no.
 * Cancel:  not a parking point. Lookups are cancelled as bide_getaddrinfo says: at once, and
 *          nothing is left.
 * Threads: tasks only. c-ares is initialised for the process: no other thread may start it or end
 *          it at the same time.
 * Source:  ares_library_init(3), ares_init_options(3), ares_set_servers_csv(3).
 */
BIDE_API int bide_cares_start(const bide_cares_options *options);

#endif
