/* SPDX-License-Identifier: MIT */
/*
 * resolver.h - for libraries that answer questions about names in place of the C library's threads.
 *
 *     struct mine { bide_resolver resolver; ... };             // embedded, so that lookup finds it
 *
 *     bide_resolver_use(&mine->resolver);                      // for this loop, from now on
 *
 * Numeric names, localhost, .invalid and what the loop remembers (bide_names_cache) do not come to
 * the resolver; all else that bide_getaddrinfo, bide_dial and bide_listen ask does.
 */
#ifndef BIDE_IO_RESOLVER_H
#define BIDE_IO_RESOLVER_H

#include <bide/io/names.h>

typedef struct bide_resolver bide_resolver;

/* Yours to place; zeroed memory but for the two functions. */
struct bide_resolver {
    /*
     * Answer, in the task that asks: it may wait, and must return when its scope fires. Returns
     * what bide_getaddrinfo does, made by bide_addresses_make; or -EOPNOTSUPP, and the C library is
     * asked. Nothing is checked again: service may be a name.
     */
    int (*lookup)(bide_resolver *resolver, const char *host, const char *service,
                  const bide_lookup_options *options, bide_addresses **out);
    /* It is used no more: another has its place, or the loop has ended. May be NULL. */
    void (*stop)(bide_resolver *resolver);
    unsigned bide__users; /* lookups in progress */
    bool bide__is_gone;
};

/**
 * Let a resolver answer this loop's questions from now on.
 *
 * The one before is told to stop once the lookups that it works at have ended. What the loop
 * remembers is forgotten.
 *
 * @param resolver  borrowed until it is told to stop; NULL for the C library
 *
 * Returns 0 or -ENOMEM.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API int bide_resolver_use(bide_resolver *resolver);

/**
 * Make an answer.
 *
 * @param list            copied
 * @param count           at least 1
 * @param canonical_name  copied, or NULL
 * @param ttl_ns          how long it is good; 0 for unknown
 *
 * Returns the answer, or NULL without memory.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API bide_addresses *bide_addresses_make(const bide_address *list, size_t count,
                                             const char *canonical_name, bide_time ttl_ns);

#endif
