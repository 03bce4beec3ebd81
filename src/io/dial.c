/* SPDX-License-Identifier: MIT */
/*
 * dial.c - connecting to a server: where it is, and then to the first address that answers.
 */
#include <bide/io/dial.h>

#include <errno.h>

#include <bide/sched/scope.h>

#include "io/eyeballs.h"
#include "io/names.h"

static int dial(struct bide__epoll *epoll, const char *addr, const bide_dial_options *options,
                bide_stream **out)
{
    struct bide__places places;
    int err = bide__places_find(&places, addr, "tcp", options->family);

    if (err < 0)
        return err;
    err = bide__connect_any(epoll, places.at, places.count, options, out);
    bide__places_free(&places);
    return err;
}

int bide_dial_with(const char *addr, const bide_dial_options *options, bide_stream **out)
{
    static const bide_dial_options none;
    struct bide_task *self = bide__task_need("bide_dial");
    struct bide__epoll *epoll = bide__epoll_of(self->loop);
    bide_stream *stream = NULL;
    int err = 0;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (epoll == NULL)
        return -EOPNOTSUPP;
    if (options == NULL)
        options = &none;
    if (options->timeout_ns == 0)
        err = dial(epoll, addr, options, &stream);
    else
        bide_with_timeout (options->timeout_ns)
            err = dial(epoll, addr, options, &stream);
    if (err == 0)
        *out = stream;
    bide__budget_spend(self->loop);
    return err;
}

int bide_dial(const char *addr, bide_stream **out)
{
    return bide_dial_with(addr, NULL, out);
}
