/* SPDX-License-Identifier: MIT */
/*
 * cares.c - a resolver that drives c-ares.
 *
 * Each lookup has a channel, made and destroyed by the task that asks, which also serves it:
 * nothing is shared, so that leaving is safe at any time, and no task lives on without a lookup.
 * c-ares opens several sockets in one; an epoll of the lookup's own makes them one descriptor to
 * wait for.
 */
#include <bide/cares.h>

#include <ares.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <bide/io/resolver.h>
#include <bide/reactor/wait_fd.h>
#include <bide/sched/scope.h>

struct cares {
    bide_resolver resolver; /* first: it is what the library knows */
    bide_cares_options options;
    char servers[];
};

/* One lookup, on its task's stack. */
struct lookup {
    ares_channel channel;
    int epoll;
    int trouble; /* a socket could not be waited for: why */
    bool is_done;
    int status;
    struct ares_addrinfo *found;
};

/* c-ares's words as those of bide_getaddrinfo. */
static int error_of(int status)
{
    switch (status) {
    case ARES_SUCCESS: return 0;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
    case ARES_ENONAME: return -ENOENT;
    case ARES_ENODATA: return -ENODATA;
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED:
    case ARES_ESERVFAIL: return -EAGAIN;
    case ARES_ENOMEM: return -ENOMEM;
    case ARES_EBADSTR: return -EINVAL;
    default: return -EIO; /* refused, or nothing that could be read */
    }
}

/* c-ares opened, closed or changed a socket. */
static void socket_changed(void *arg, ares_socket_t number, int readable, int writable)
{
    struct lookup *lookup = arg;
    struct epoll_event event = {
        .events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0),
        .data.fd = number,
    };

    if (event.events == 0) {
        epoll_ctl(lookup->epoll, EPOLL_CTL_DEL, number, NULL);
        return;
    }
    if (epoll_ctl(lookup->epoll, EPOLL_CTL_MOD, number, &event) < 0 &&
        epoll_ctl(lookup->epoll, EPOLL_CTL_ADD, number, &event) < 0)
        lookup->trouble = -errno;
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct lookup *lookup = arg;

    (void)timeouts;
    lookup->is_done = true;
    lookup->status = status;
    lookup->found = found;
}

/* Let c-ares look at what came, or at the time when nothing did. */
static void process(struct lookup *lookup)
{
    struct epoll_event events[8];
    int count = epoll_wait(lookup->epoll, events, 8, 0);

    for (int i = 0; i < count; i++) {
        const uint32_t broken = EPOLLERR | EPOLLHUP;
        bool reads = events[i].events & (EPOLLIN | broken);
        bool writes = events[i].events & (EPOLLOUT | broken);
        ares_process_fd(lookup->channel, reads ? events[i].data.fd : ARES_SOCKET_BAD,
                        writes ? events[i].data.fd : ARES_SOCKET_BAD);
    }
    if (count <= 0)
        ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* Wait once, and go on. Returns 0 or why the lookup cannot. */
static int step(struct lookup *lookup)
{
    struct timeval until, *left = ares_timeout(lookup->channel, NULL, &until);
    bide_scope pause = BIDE_SCOPE_INIT;
    int err = 0;

    if (left != NULL)
        bide_scope_set_timeout(&pause, (bide_time)left->tv_sec * 1000000000 +
                                           (bide_time)left->tv_usec * 1000);
    bide_with_scope (&pause)
        err = bide_wait_fd(lookup->epoll, BIDE_READ);
    if (err < 0 && (bide_canceled() != 0 || !bide_scope_fired(&pause)))
        return bide_canceled() != 0 ? bide_canceled() : err;
    process(lookup);
    return lookup->trouble;
}

/*
 * The sockets of c-ares are made here, for it writes to TCP ones in a way that raises SIGPIPE, and
 * leaves a moment in which another thread's child could inherit them.
 */
static ares_socket_t make_socket(int family, int type, int protocol, void *arg)
{
    (void)arg;
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int close_socket(ares_socket_t number, void *arg)
{
    (void)arg;
    return close(number);
}

static int connect_socket(ares_socket_t number, const struct sockaddr *address,
                          ares_socklen_t bytes, void *arg)
{
    (void)arg;
    return connect(number, address, bytes);
}

static ares_ssize_t receive(ares_socket_t number, void *buf, size_t bytes, int flags,
                            struct sockaddr *from, ares_socklen_t *from_bytes, void *arg)
{
    (void)arg;
    return recvfrom(number, buf, bytes, flags, from, from_bytes);
}

static ares_ssize_t send_pieces(ares_socket_t number, const struct iovec *pieces, int count,
                                void *arg)
{
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};

    (void)arg;
    return sendmsg(number, &message, MSG_NOSIGNAL);
}

static const struct ares_socket_functions sockets = {
    .asocket = make_socket,
    .aclose = close_socket,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendv = send_pieces,
};

/* Later versions of c-ares prefer another call, which earlier ones lack. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void take_sockets(ares_channel channel)
{
    ares_set_socket_functions(channel, &sockets, NULL);
}
#pragma GCC diagnostic pop

static int channel_open(const struct cares *cares, struct lookup *lookup)
{
    const bide_cares_options *chosen = &cares->options;
    bide_time ms = chosen->timeout_ns / 1000000 + (chosen->timeout_ns % 1000000 != 0);
    char dns_only[] = "b";
    struct ares_options options = {
        .timeout = ms > INT_MAX ? INT_MAX : (int)ms,
        .tries = chosen->tries > INT_MAX ? INT_MAX : (int)chosen->tries,
        .lookups = dns_only,
        .sock_state_cb = socket_changed,
        .sock_state_cb_data = lookup,
    };
    int mask = ARES_OPT_SOCK_STATE_CB | (chosen->dns_only ? ARES_OPT_LOOKUPS : 0) |
               (ms > 0 ? ARES_OPT_TIMEOUTMS : 0) | (chosen->tries > 0 ? ARES_OPT_TRIES : 0);
    int status = ares_init_options(&lookup->channel, &options, mask);

    if (status != ARES_SUCCESS)
        return status == ARES_ENOMEM ? -ENOMEM : -EIO;
    take_sockets(lookup->channel);
    if (chosen->servers != NULL)
        status = ares_set_servers_ports_csv(lookup->channel, chosen->servers);
    if (status == ARES_SUCCESS)
        return 0;
    ares_destroy(lookup->channel);
    return status == ARES_ENOMEM ? -ENOMEM : -EINVAL;
}

/* c-ares's answer in our form: every address once, good for as long as the first to go. */
static int convert(const struct ares_addrinfo *found, bool canonical, bide_addresses **out)
{
    const struct ares_addrinfo_cname *alias;
    const char *name = found->name;
    bide_address *list;
    size_t count = 0;
    int ttl = INT_MAX;

    for (const struct ares_addrinfo_node *at = found->nodes; at != NULL; at = at->ai_next)
        count++;
    if (count == 0)
        return -ENODATA;
    list = malloc(count * sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    count = 0;
    for (const struct ares_addrinfo_node *at = found->nodes; at != NULL; at = at->ai_next) {
        if (bide_address_from_sockaddr(at->ai_addr, at->ai_addrlen, &list[count]) == 0)
            count++;
        if (at->ai_ttl < ttl)
            ttl = at->ai_ttl;
    }
    for (alias = found->cnames; alias != NULL; alias = alias->next) {
        name = alias->name;
        if (alias->ttl < ttl)
            ttl = alias->ttl;
    }
    /* One that is good for no time at all must not look like one whose time is unknown. */
    *out = count == 0 ? NULL
                      : bide_addresses_make(list, count, canonical ? name : NULL,
                                            ttl > 0 ? (bide_time)ttl * 1000000000 : 1);
    free(list);
    return count == 0 ? -ENODATA : *out == NULL ? -ENOMEM : 0;
}

static bool is_number(const char *service)
{
    return service == NULL || service[strspn(service, "0123456789")] == '\0';
}

static int look_up(bide_resolver *resolver, const char *host, const char *service,
                   const bide_lookup_options *options, bide_addresses **out)
{
    const struct cares *cares = (const struct cares *)(const void *)resolver;
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NUMERICSERV | (options->canonical ? ARES_AI_CANONNAME : 0),
        .ai_family = options->family,
        .ai_socktype = options->datagram ? SOCK_DGRAM : SOCK_STREAM,
    };
    struct lookup lookup = {.epoll = -1};
    int err;

    if (host == NULL || !is_number(service))
        return -EOPNOTSUPP;
    lookup.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (lookup.epoll < 0)
        return -errno;
    err = channel_open(cares, &lookup);
    if (err == 0) {
        ares_getaddrinfo(lookup.channel, host, service, &hints, answered, &lookup);
        err = lookup.trouble;
        while (err == 0 && !lookup.is_done)
            err = step(&lookup);
        if (lookup.is_done)
            err = error_of(lookup.status);
        if (err == 0)
            err = convert(lookup.found, options->canonical, out);
        ares_destroy(lookup.channel); /* ends what goes on, by a last call of `answered` */
        if (lookup.found != NULL)
            ares_freeaddrinfo(lookup.found);
    }
    close(lookup.epoll);
    return err;
}

static void stop(bide_resolver *resolver)
{
    free(resolver);
    ares_library_cleanup();
}

/* Whether c-ares can read the servers. */
static int check(const struct cares *cares)
{
    struct lookup lookup = {.epoll = -1};
    int err = channel_open(cares, &lookup);

    if (err == 0)
        ares_destroy(lookup.channel);
    return err;
}

int bide_cares_start(const bide_cares_options *options)
{
    size_t bytes = options != NULL && options->servers != NULL ? strlen(options->servers) + 1 : 0;
    struct cares *cares;
    int err;

    if (options != NULL && options->timeout_ns < 0)
        return -EINVAL;
    cares = calloc(1, sizeof *cares + bytes);
    if (cares == NULL)
        return -ENOMEM;
    cares->resolver.lookup = look_up;
    cares->resolver.stop = stop;
    if (options != NULL)
        cares->options = *options;
    if (bytes > 0)
        cares->options.servers = memcpy(cares->servers, options->servers, bytes);
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        free(cares);
        return -ENOMEM;
    }
    err = check(cares);
    if (err == 0)
        err = bide_resolver_use(&cares->resolver);
    if (err < 0)
        stop(&cares->resolver);
    return err;
}
