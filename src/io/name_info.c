/* SPDX-License-Identifier: MIT */
/*
 * name_info.c - what an address is called.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "io/errand.h"
#include "io/names.h"

/* A question and its answer: apart from whoever asks, who may be gone when the answer comes. */
struct named {
    struct bide__errand errand;
    bide_address address;
    int flags;
    bool wants_host;
    bool wants_service;
    char host[NI_MAXHOST];
    char service[NI_MAXSERV];
};

static int name(struct named *named)
{
    socklen_t bytes;
    const struct sockaddr *sockaddr = bide_address_sockaddr(&named->address, &bytes);
    int code = getnameinfo(sockaddr, bytes, named->wants_host ? named->host : NULL,
                           named->wants_host ? sizeof named->host : 0,
                           named->wants_service ? named->service : NULL,
                           named->wants_service ? sizeof named->service : 0, named->flags);

    return code == EAI_FAMILY ? -EINVAL : bide__lookup_error(code, errno);
}

/* On the thread. */
static void work(struct bide__job *job)
{
    struct named *named = BIDE__CONTAINER(bide__errand_of(job), struct named, errand);

    named->errand.err = name(named);
}

/* Copy what was found, or nothing. */
static int tell(const struct named *named, char *host, size_t host_bytes, char *service,
                size_t service_bytes)
{
    if ((named->wants_host && strlen(named->host) >= host_bytes) ||
        (named->wants_service && strlen(named->service) >= service_bytes))
        return -ENOSPC;
    if (named->wants_host)
        strcpy(host, named->host);
    if (named->wants_service)
        strcpy(service, named->service);
    return 0;
}

int bide_getnameinfo(const bide_address *address, char *host, size_t host_bytes, char *service,
                     size_t service_bytes, int flags)
{
    struct bide_task *self = bide__task_need("bide_getnameinfo");
    struct named *named;
    int err;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (host == NULL && service == NULL)
        return -ENOENT;
    named = bide__alloc_zeroed(1, sizeof *named);
    if (named == NULL)
        return -ENOMEM;
    named->address = *address;
    named->flags = flags;
    named->wants_host = host != NULL;
    named->wants_service = service != NULL;
    if ((host == NULL || (flags & NI_NUMERICHOST)) &&
        (service == NULL || (flags & NI_NUMERICSERV))) {
        err = name(named); /* which asks nobody */
        if (err == 0)
            err = tell(named, host, host_bytes, service, service_bytes);
        free(named);
        bide__budget_spend(self->loop);
        return err;
    }
    bide__errand_init(&named->errand, work, NULL, NULL);
    err = bide__errand_start(self->loop, &named->errand);
    if (err < 0)
        return err;
    err = bide__errand_wait(&named->errand, "getnameinfo");
    if (err == 0)
        err = tell(named, host, host_bytes, service, service_bytes);
    bide__errand_leave(&named->errand);
    return err;
}
