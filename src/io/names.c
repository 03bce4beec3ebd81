/* SPDX-License-Identifier: MIT */
/*
 * names.c - answering about names: what needs nobody else is answered here.
 */
#include "io/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/sys.h"

/* --- Answers */

bide_addresses *bide_addresses_make(const bide_address *list, size_t count,
                                    const char *canonical_name, bide_time ttl_ns)
{
    struct {
        bide_addresses head; /* first: freed by this address */
        bide_address list[];
    } * made;
    size_t name_bytes = canonical_name == NULL ? 0 : strlen(canonical_name) + 1;
    char *name;

    bide__assert(count > 0);
    made = bide__alloc(sizeof *made + count * sizeof made->list[0] + name_bytes);
    if (made == NULL)
        return NULL;
    memcpy(made->list, list, count * sizeof *list);
    name = (char *)&made->list[count];
    if (canonical_name != NULL)
        memcpy(name, canonical_name, name_bytes);
    made->head = (bide_addresses){
        .count = count,
        .at = made->list,
        .canonical_name = canonical_name == NULL ? NULL : name,
        .ttl_ns = ttl_ns,
    };
    return &made->head;
}

bide_addresses *bide__addresses_copy(const bide_addresses *addresses)
{
    return bide_addresses_make(addresses->at, addresses->count, addresses->canonical_name,
                               addresses->ttl_ns);
}

void bide_addresses_free(bide_addresses *addresses)
{
    free(addresses);
}

/* --- Questions */

bool bide__question_equal(const struct bide__question *a, const struct bide__question *b)
{
    const bide_lookup_options *x = &a->options, *y = &b->options;

    return strcasecmp(a->host, b->host) == 0 && strcmp(a->service, b->service) == 0 &&
           x->family == y->family && x->numeric == y->numeric && x->canonical == y->canonical &&
           x->passive == y->passive && x->datagram == y->datagram;
}

size_t bide__question_bytes(const struct bide__question *question)
{
    return strlen(question->host) + strlen(question->service) + 2;
}

struct bide__question bide__question_keep(const struct bide__question *question, char *memory)
{
    size_t bytes = strlen(question->host) + 1;
    struct bide__question kept = *question;

    kept.host = memcpy(memory, question->host, bytes);
    kept.service = strcpy(memory + bytes, question->service);
    return kept;
}

/* --- The loop's */

static void resolver_leave(bide_resolver *resolver)
{
    if (resolver != NULL && resolver->bide__is_gone && resolver->bide__users == 0 &&
        resolver->stop != NULL)
        resolver->stop(resolver);
}

static void resolver_end(struct bide__names *names)
{
    bide_resolver *resolver = names->resolver;

    names->resolver = NULL;
    if (resolver != NULL)
        resolver->bide__is_gone = true;
    resolver_leave(resolver);
}

/* Threads may hang in questions still: each frees its own, and looks at nothing here. */
static void stop(struct bide__at_stop *at_stop, struct bide_loop *loop)
{
    struct bide__names *names = BIDE__CONTAINER(at_stop, struct bide__names, at_stop);

    resolver_end(names);
    bide__name_cache_free(names->cache);
    free(names);
    loop->names = NULL;
}

struct bide__names *bide__names_of(struct bide_loop *loop)
{
    if (loop->names == NULL) {
        struct bide__names *names = bide__alloc_zeroed(1, sizeof *names);
        if (names == NULL)
            return NULL;
        bide__list_init(&names->asked);
        names->at_stop.stop = stop;
        bide__list_append(&loop->at_stop, &names->at_stop.link);
        loop->names = names;
    }
    return loop->names;
}

int bide_names_cache(const bide_names_cache_options *options)
{
    struct bide__names *names = bide__names_of(bide__loop_need("bide_names_cache"));

    if (options != NULL && (options->ttl_ns < 0 || options->negative_ns < 0))
        return -EINVAL;
    if (names == NULL)
        return -ENOMEM;
    bide__name_cache_free(names->cache);
    names->cache = NULL;
    return options == NULL || options->ttl_ns == 0 ? 0
                                                   : bide__name_cache_make(options, &names->cache);
}

int bide_resolver_use(bide_resolver *resolver)
{
    struct bide__names *names = bide__names_of(bide__loop_need("bide_resolver_use"));

    if (names == NULL)
        return -ENOMEM;
    if (names->cache != NULL)
        bide__name_cache_clear(names->cache);
    if (resolver == names->resolver)
        return 0;
    names->era++;
    resolver_end(names);
    names->resolver = resolver;
    if (resolver != NULL)
        resolver->bide__is_gone = false;
    return 0;
}

/* --- bide_getaddrinfo */

/*
 * Those of one family, moved to the front; 0 is every family. Returns how many are left.
 */
static int keep_family(bide_address *list, int count, int family)
{
    int kept = 0;

    for (int i = 0; i < count; i++)
        if (family == 0 || list[i].bide__any.sa_family == family)
            list[kept++] = list[i];
    return kept;
}

/*
 * What ends in a number is no name (RFC 1123, section 2.1). The C library would take 127.1 and
 * 0x7f.1 for addresses: they have a form that filters for addresses do not expect (RFC 6943,
 * section 3.1.1).
 */
static bool ends_in_number(const char *host)
{
    const char *end = host + strlen(host), *last, *digits = "0123456789";

    if (end > host && end[-1] == '.')
        end--;
    for (last = end; last > host && last[-1] != '.';)
        last--;
    if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X'))
        last += 2, digits = "0123456789abcdefABCDEF";
    return last < end && last + strspn(last, digits) >= end;
}

/* Answer without asking anybody. Returns as bide_getaddrinfo, or 1 when that cannot be done. */
static int answer_here(const struct bide__question *question, bide_addresses **out)
{
    const bide_lookup_options *options = &question->options;
    const char *host = question->host[0] != '\0' ? question->host : "localhost";
    bide_address list[BIDE__ADDRESSES_MOST];
    uint16_t port = 0;
    int count;

    /* The C library takes a star for the host itself, which is not what anybody means by it. */
    if (bide__address_name_ends(host, "invalid") || strcmp(host, "*") == 0)
        return -ENOENT;
    if (ends_in_number(host) && bide__address_host(host, port, list) < 0)
        return -ENOENT;
    if (question->service[0] != '\0' && bide__address_port(question->service, &port) < 0)
        return 1; /* by its name */
    if (question->host[0] == '\0' && options->passive)
        count = bide__address_any(port, list);
    else
        count = bide__address_host(host, port, list);
    if (count < 0)
        return options->numeric ? count : 1;
    count = keep_family(list, count, options->family);
    if (count == 0)
        return -ENODATA;
    *out = bide_addresses_make(list, (size_t)count, options->canonical ? host : NULL, 0);
    return *out == NULL ? -ENOMEM : 0;
}

static int ask_resolver(struct bide__names *names, const struct bide__question *question,
                        bide_addresses **out)
{
    bide_resolver *resolver = names->resolver;
    int err;

    resolver->bide__users++;
    err = resolver->lookup(resolver, question->host[0] != '\0' ? question->host : NULL,
                           question->service[0] != '\0' ? question->service : NULL,
                           &question->options, out);
    if (err > 0)
        err = -EIO; /* nothing that a resolver may say */
    bide__assert(resolver->bide__users > 0);
    resolver->bide__users--;
    if (names->cache != NULL && !resolver->bide__is_gone)
        bide__name_cache_keep(names->cache, question, bide__loop_now(bide__loop_here), err,
                              err == 0 ? *out : NULL);
    resolver_leave(resolver);
    return err;
}

/* Ask whoever knows. */
static int ask(struct bide_loop *loop, const struct bide__question *question, bide_addresses **out)
{
    struct bide__names *names = bide__names_of(loop);
    int err = names == NULL ? -ENOMEM : 1;

    if (err == 1 && names->cache != NULL)
        err = bide__name_cache_find(names->cache, question, bide__loop_now(loop), out);
    if (err != 1) {
        bide__budget_spend(loop);
        return err;
    }
    err = names->resolver == NULL ? -EOPNOTSUPP : ask_resolver(names, question, out);
    return err == -EOPNOTSUPP ? bide__lookup(names, question, out) : err;
}

int bide_getaddrinfo(const char *host, const char *service, const bide_lookup_options *options,
                     bide_addresses **out)
{
    struct bide_task *self = bide__task_need("bide_getaddrinfo");
    struct bide__question question = {
        .host = host != NULL ? host : "",
        .service = service != NULL ? service : "",
    };
    bide_addresses *found;
    int err;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (options != NULL)
        question.options = *options;
    if ((host == NULL && service == NULL) || strlen(question.host) > BIDE__NAME_MOST)
        return -EINVAL;
    if (question.options.family != 0 && question.options.family != AF_INET &&
        question.options.family != AF_INET6)
        return -EAFNOSUPPORT;
    if (host != NULL && host[0] == '\0')
        return -ENOENT;
    err = answer_here(&question, &found);
    if (err == 1)
        err = ask(self->loop, &question, &found);
    else
        bide__budget_spend(self->loop);
    if (err == 0)
        *out = found;
    return err;
}

/* --- Places */

int bide__places_find(struct bide__places *places, const char *text, const char *scheme, int family)
{
    int count = bide__address_parse(text, scheme, places->few);
    const bide_lookup_options options = {.family = family};
    char host[BIDE__HOST_BYTES], service[8];
    uint16_t port;
    int err;

    places->found = NULL;
    if (count >= 0) {
        places->at = places->few;
        places->count = (size_t)keep_family(places->few, count, family);
        return places->count == 0 ? -ENODATA : 0;
    }
    if (count != -ENOENT || bide__address_split(text, scheme, host, &port) < 0)
        return count;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    err = bide_getaddrinfo(host, service, &options, &places->found);
    if (err < 0)
        return err;
    places->at = places->found->at;
    places->count = places->found->count;
    return 0;
}

void bide__places_free(struct bide__places *places)
{
    bide_addresses_free(places->found);
}
