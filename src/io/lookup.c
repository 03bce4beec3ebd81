/* SPDX-License-Identifier: MIT */
/*
 * lookup.c - asking the C library for a host's addresses, on a thread.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>

#include "base/sys.h"
#include "io/errand.h"
#include "io/names.h"

int bide__lookup_error(int code, int system_error)
{
    switch (code) {
    case 0: return 0;
    case EAI_NONAME: return -ENOENT;
    case EAI_NODATA:
    case EAI_ADDRFAMILY: return -ENODATA;
    case EAI_AGAIN: return -EAGAIN;
    case EAI_SERVICE: return -EPROTONOSUPPORT;
    case EAI_FAMILY: return -EAFNOSUPPORT;
    case EAI_BADFLAGS: return -EINVAL;
    case EAI_MEMORY: return -ENOMEM;
    case EAI_OVERFLOW: return -ENOSPC;
    case EAI_SYSTEM: break;
    default: return -EIO;
    }
    /* These mean something else in the calls that return it. */
    if (system_error == ECANCELED || system_error == ETIMEDOUT)
        return -EAGAIN;
    return system_error > 0 ? -system_error : -EIO;
}

struct asked {
    struct bide__errand errand;
    bide_addresses *answer;
    unsigned era; /* of the resolver that was asked */
    struct bide__question question;
    char texts[];
};

static struct asked *asked_of(struct bide__errand *errand)
{
    return BIDE__CONTAINER(errand, struct asked, errand);
}

static void asked_empty(struct bide__errand *errand)
{
    bide_addresses_free(asked_of(errand)->answer);
}

/* What the C library found, in our form. */
static int convert(const struct addrinfo *found, bide_addresses **out)
{
    const char *canonical = found->ai_canonname; /* in the first only (getaddrinfo(3)) */
    bide_address *list;
    size_t count = 0;
    int err = 0;

    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        count++;
    list = bide__alloc(count * sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    count = 0;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        if (bide_address_from_sockaddr(at->ai_addr, at->ai_addrlen, &list[count]) == 0)
            count++;
    if (count == 0)
        err = -ENODATA;
    else if ((*out = bide_addresses_make(list, count, canonical, 0)) == NULL)
        err = -ENOMEM;
    free(list);
    return err;
}

/* On the thread. */
static void asked_work(struct bide__job *job)
{
    struct asked *asked = asked_of(bide__errand_of(job));
    const struct bide__question *question = &asked->question;
    const bide_lookup_options *options = &question->options;
    const char *host = question->host[0] != '\0' ? question->host : NULL;
    const char *service = question->service[0] != '\0' ? question->service : NULL;
    const struct addrinfo hints = {
        .ai_family = options->family,
        /* One of them, for else every address comes three times. */
        .ai_socktype = options->datagram ? SOCK_DGRAM : SOCK_STREAM,
        .ai_flags = (options->numeric && host != NULL ? AI_NUMERICHOST : 0) |
                    (options->canonical && host != NULL ? AI_CANONNAME : 0) |
                    (options->passive ? AI_PASSIVE : 0),
    };
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, service, &hints, &found);

    if (code != 0) {
        asked->errand.err = bide__lookup_error(code, errno);
        return;
    }
    asked->errand.err = convert(found, &asked->answer);
    freeaddrinfo(found);
}

static void asked_done(struct bide__job *job, int code)
{
    struct asked *asked = asked_of(bide__errand_of(job));
    struct bide_loop *loop = job->loop;

    if (code == 0 && loop->names->cache != NULL && loop->names->era == asked->era)
        bide__name_cache_keep(loop->names->cache, &asked->question, bide__loop_now(loop),
                              asked->errand.err, asked->answer);
    bide__errand_back(&asked->errand, code);
}

/* The same question, when a thread works at it or will. */
static struct asked *find_asked(struct bide__names *names, const struct bide__question *question)
{
    for (struct bide__list *at = names->asked.next; at != &names->asked; at = at->next) {
        struct asked *asked = asked_of(BIDE__CONTAINER(at, struct bide__errand, link));
        if (bide__question_equal(&asked->question, question))
            return asked;
    }
    return NULL;
}

static int ask(struct bide__names *names, const struct bide__question *question, struct asked **out)
{
    struct asked *asked = bide__alloc(sizeof *asked + bide__question_bytes(question));
    int err;

    if (asked == NULL)
        return -ENOMEM;
    bide__errand_init(&asked->errand, asked_work, asked_done, asked_empty);
    asked->answer = NULL;
    asked->era = names->era;
    asked->question = bide__question_keep(question, asked->texts);
    err = bide__errand_start(bide__loop_here, &asked->errand);
    if (err < 0)
        return err;
    /* Only now: until it was queued, the scope of the task that asks might have taken it away. */
    bide__list_append(&names->asked, &asked->errand.link);
    *out = asked;
    return 0;
}

int bide__lookup(struct bide__names *names, const struct bide__question *question,
                 bide_addresses **out)
{
    struct bide_loop *loop = bide__loop_here;
    struct asked *asked;
    int err;

    /* Whatever still runs then never comes back. */
    if (bide__inbox_is_shut(&loop->inbox))
        return -ESHUTDOWN;
    asked = find_asked(names, question);
    err = asked != NULL ? 0 : ask(names, question, &asked);
    if (err < 0)
        return err;
    err = bide__errand_wait(&asked->errand, "getaddrinfo");
    if (err == 0) {
        bide_addresses *copy = asked->answer;
        if (asked->errand.users > 1)
            copy = bide__addresses_copy(asked->answer);
        else
            asked->answer = NULL;
        if (copy == NULL)
            err = -ENOMEM;
        else
            *out = copy;
    }
    bide__errand_leave(&asked->errand);
    return err;
}
