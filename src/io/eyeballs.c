/* SPDX-License-Identifier: MIT */
/*
 * eyeballs.c - connecting to the first of several addresses that answers. The rules stand in
 * eyeballs.h.
 */
#include "io/eyeballs.h"

#include <errno.h>
#include <netinet/tcp.h>

#include <bide/sched/sleep.h>

#include "base/sys.h"

/* Attempts on their way at once; with more addresses, the next ones wait until one has failed. */
enum { ATTEMPTS_MOST = 16 };

/* RFC 8305, section 8: the default, and what no choice may go below. */
#define DELAY BIDE_MS(250)
#define DELAY_LEAST BIDE_MS(10)

/*
 * A Unix server whose queue is full answers -EAGAIN, and no event tells when there is room
 * (connect(2)).
 */
#define QUEUE_FULL_PAUSE BIDE_MS(1)

/* A socket that is being connected, and is a stream already. */
struct attempt {
    bide_stream *stream;
    int number;
    uint32_t generation; /* of its registration */
};

struct race {
    struct bide__epoll *epoll;
    const bide_dial_options *options;
    const bide_address *list;
    size_t count;
    size_t left;       /* addresses not yet tried */
    size_t cursors[2]; /* where to look for the next one of the first's family, and of others */
    int turn;          /* whose turn it is */
    bide_time next_at; /* when the next attempt begins, while others are on their way */
    int err;           /* what to return when all fail */
    size_t running;
    struct attempt attempts[ATTEMPTS_MOST];
    struct bide__fd *fds[ATTEMPTS_MOST]; /* theirs */
};

/*
 * Start to connect. Returns 0 when it is done already, -EINPROGRESS, or why it failed. Interrupted,
 * it goes on in the background or has not begun: asking again tells which.
 */
static int connect_start(int number, const bide_address *address)
{
    bool is_unix = address->bide__any.sa_family == AF_UNIX;
    int err;

    do {
        err = bide__sys_connect(number, &address->bide__any, address->bide__bytes);
        if (err == -EAGAIN && is_unix && (err = bide_sleep(QUEUE_FULL_PAUSE)) == 0)
            err = -EINTR;
    } while (err == -EINTR);
    return err == -EALREADY ? -EINPROGRESS : err == -EISCONN ? 0 : err;
}

/* Be where the options say. */
static int bind_local(int number, const bide_address *local)
{
    /* The port is chosen when the peer is known: then many connections can share one (ip(7)). */
    if (local->bide__any.sa_family != AF_UNIX && bide_address_port(local) == 0)
        bide__sys_setsockopt(number, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    return bide__sys_bind(number, &local->bide__any, local->bide__bytes);
}

/* As connect_start does, and make a stream of it unless it failed: then nothing is left. */
static int attempt_begin(const struct race *race, const bide_address *address,
                         struct attempt *attempt)
{
    const bide_address *local = race->options->local;
    int family = address->bide__any.sa_family, started, err;

    if (local != NULL && local->bide__any.sa_family != family)
        return -EADDRNOTAVAIL;
    attempt->number = bide__sys_socket(family, SOCK_STREAM);
    if (attempt->number < 0)
        return attempt->number;
    started = local == NULL ? 0 : bind_local(attempt->number, local);
    if (started == 0)
        started = connect_start(attempt->number, address);
    err = started;
    if (started == 0 || started == -EINPROGRESS)
        err = bide__socket_stream(race->epoll, attempt->number, family, &attempt->stream);
    if (err < 0) {
        bide__sys_close(attempt->number);
        return err;
    }
    return started;
}

/* A socket is connected, or has failed: which? When it has, nothing is left of it. */
static int attempt_end(const struct race *race, struct attempt *attempt, int err, bool is_unix)
{
    if (err == 0 && !is_unix && !race->options->nagle)
        err = bide__sys_setsockopt(attempt->number, IPPROTO_TCP, TCP_NODELAY, 1);
    if (err < 0)
        bide_close(attempt->stream);
    return err;
}

/* What says little: that the machine itself has no way there. */
static bool is_vague(int err)
{
    return err == -ENETUNREACH || err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

static void note(struct race *race, int err)
{
    if (race->err == 0 || (is_vague(race->err) && !is_vague(err)))
        race->err = err;
    race->next_at = 0; /* the next one at once */
}

/* The next address: families take turns, as long as there are two (RFC 8305, section 4). */
static const bide_address *next_address(struct race *race)
{
    bide__assert(race->left > 0);
    for (;; race->turn ^= 1) {
        size_t *cursor = &race->cursors[race->turn];
        while (*cursor < race->count) {
            const bide_address *at = &race->list[(*cursor)++];
            bool is_first = at->bide__any.sa_family == race->list[0].bide__any.sa_family;
            if (is_first == (race->turn == 0)) {
                race->turn ^= 1;
                race->left--;
                return at;
            }
        }
    }
}

/* Begin an attempt. Returns 0 when it is connected already, with its stream; else -EINPROGRESS. */
static int start_next(struct race *race, bide_stream **out)
{
    const bide_address *address = next_address(race);
    struct attempt *attempt = &race->attempts[race->running];
    bide_time delay = race->options->attempt_delay_ns;
    int err = attempt_begin(race, address, attempt);

    if (err == 0)
        err = attempt_end(race, attempt, 0, address->bide__any.sa_family == AF_UNIX);
    if (err == 0) {
        *out = attempt->stream;
        return 0;
    }
    if (err != -EINPROGRESS) {
        note(race, err);
        return -EINPROGRESS;
    }
    race->fds[race->running] = bide__fd_at(race->epoll, attempt->number);
    race->fds[race->running]->ready[BIDE__OUT] = 0;
    attempt->generation = race->fds[race->running]->generation;
    race->running++;
    race->next_at = BIDE_FOREVER;
    if (delay >= 0 && race->left > 0)
        race->next_at = bide__deadline_after(delay == 0            ? DELAY
                                             : delay < DELAY_LEAST ? DELAY_LEAST
                                                                   : delay);
    return -EINPROGRESS;
}

/* Look who has arrived. Returns as start_next does. */
static int look(struct race *race, bide_stream **out)
{
    size_t kept = 0;
    int result = -EINPROGRESS;

    for (size_t i = 0; i < race->running; i++) {
        struct attempt attempt = race->attempts[i];
        struct bide__fd *fd = race->fds[i];
        bool is_ours = fd->generation == attempt.generation;
        int err = -EINPROGRESS;

        if (result != 0 && (!is_ours || fd->ready[BIDE__OUT] != 0))
            err = attempt_end(race, &attempt,
                              is_ours ? bide__sys_socket_error(attempt.number) : -EBADF, false);
        if (err == -EINPROGRESS) {
            race->attempts[kept] = attempt;
            race->fds[kept++] = fd;
        } else if (err < 0) {
            note(race, err);
        } else {
            *out = attempt.stream;
            result = 0;
        }
    }
    race->running = kept;
    return result;
}

/* Wait until something has come of an attempt, or it is time for the next. */
static int wait_for_any(struct race *race, bide_stream **out)
{
    bool may_start = race->left > 0 && race->running < ATTEMPTS_MOST;
    int err = bide__fd_wait_any(race->epoll, race->fds, race->running,
                                may_start ? race->next_at : BIDE_FOREVER, "connect");

    if (err == -ETIME) {
        race->next_at = 0;
        return -EINPROGRESS;
    }
    return err < 0 ? err : look(race, out);
}

int bide__connect_any(struct bide__epoll *epoll, const bide_address *list, size_t count,
                      const bide_dial_options *options, bide_stream **out)
{
    struct bide_task *self = bide__loop_here->current;
    struct race race = {
        .epoll = epoll,
        .options = options,
        .list = list,
        .count = count,
        .left = count,
    };
    int err = -EINPROGRESS;

    while (err == -EINPROGRESS) {
        if (self->cancel_code != 0)
            err = bide__cancel_seen(self);
        else if (race.left > 0 && race.running < ATTEMPTS_MOST && race.next_at == 0)
            err = start_next(&race, out);
        else if (race.running > 0)
            err = wait_for_any(&race, out);
        else
            err = race.err;
    }
    for (size_t i = 0; i < race.running; i++)
        bide_close(race.attempts[i].stream);
    return err;
}
