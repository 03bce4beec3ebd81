/* SPDX-License-Identifier: MIT */
/*
 * names.h - who answers a question about a name.
 *
 *      bide_getaddrinfo --> answered here: numeric, localhost, .invalid      (names.c)
 *                       --> remembered                                       (name_cache.c)
 *                       --> the loop's resolver, when one was set            (bide/io/resolver.h)
 *                       --> the C library, on a thread                       (lookup.c)
 */
#ifndef BIDE__IO_NAMES_H
#define BIDE__IO_NAMES_H

#include <bide/io/names.h>
#include <bide/io/resolver.h>

#include "io/address.h"
#include "sched/loop.h"

enum { BIDE__NAME_MOST = 1024 }; /* NI_MAXHOST without the zero byte */

/* Whoever asks the same gets the same. Borrowed, but where it says otherwise. */
struct bide__question {
    const char *host; /* "" for none */
    const char *service;
    bide_lookup_options options;
};

struct bide__name_cache;

/* What a loop knows of names; made when it is first needed. */
struct bide__names {
    struct bide__at_stop at_stop;
    struct bide__list asked;        /* questions that threads work at (lookup.c) */
    bide_resolver *resolver;        /* NULL for the C library */
    unsigned era;                   /* goes on with each change of the resolver */
    struct bide__name_cache *cache; /* NULL while nothing is remembered */
};

/* The running loop's; NULL without memory. */
struct bide__names *bide__names_of(struct bide_loop *loop);

/* Whether two questions are the same one. Names know no upper and lower case (RFC 4343). */
bool bide__question_equal(const struct bide__question *a, const struct bide__question *b);

/* How many bytes its texts take, and the same question with those put there. */
size_t bide__question_bytes(const struct bide__question *question);
struct bide__question bide__question_keep(const struct bide__question *question, char *memory);

/* Ask the C library, on a thread. Returns as bide_getaddrinfo does. Parks. */
int bide__lookup(struct bide__names *names, const struct bide__question *question,
                 bide_addresses **out);

/* A negative errno for what getaddrinfo and getnameinfo return. */
int bide__lookup_error(int code, int system_error);

/* Remember so many entries, or -ENOMEM. */
int bide__name_cache_make(const bide_names_cache_options *options, struct bide__name_cache **out);
void bide__name_cache_free(struct bide__name_cache *cache);

/* Forget everything. */
void bide__name_cache_clear(struct bide__name_cache *cache);

/*
 * What is remembered of a question: 1 when nothing is, else what bide_getaddrinfo returns.
 */
int bide__name_cache_find(struct bide__name_cache *cache, const struct bide__question *question,
                          bide_time now, bide_addresses **out);

/* Remember an answer (NULL with -ENOENT or -ENODATA). Without memory it just does not. */
void bide__name_cache_keep(struct bide__name_cache *cache, const struct bide__question *question,
                           bide_time now, int err, const bide_addresses *answer);

bide_addresses *bide__addresses_copy(const bide_addresses *addresses);

/* --- For dial and listen: what a text stands for, names included. */

struct bide__places {
    size_t count;
    const bide_address *at;
    bide_address few[BIDE__ADDRESSES_MOST];
    bide_addresses *found; /* of a name that was looked up, else NULL */
};

/*
 * Fill in the places of a text ("tcp://host:port" for the scheme "tcp", "unix:..."), one family
 * alone unless it is 0. Returns 0, after which bide__places_free ends it; or -EINVAL, or what
 * bide_getaddrinfo returns. Parks only for names that others must be asked for.
 */
int bide__places_find(struct bide__places *places, const char *text, const char *scheme,
                      int family);
void bide__places_free(struct bide__places *places);

#endif
