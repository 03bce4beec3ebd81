/* SPDX-License-Identifier: MIT */
/*
 * names.h - what a name stands for, and what an address is called.
 *
 *     bide_addresses *found;
 *
 *     with_timeout (BIDE_SEC(3))
 *         err = bide_getaddrinfo("www.example.org", "443", NULL, &found);
 *     for (size_t i = 0; err == 0 && i < found->count; i++)
 *         use(&found->at[i]);
 *     bide_addresses_free(found);
 *
 * The C library is asked, so /etc/hosts, nsswitch.conf and its modules are honoured. It blocks, so
 * it is asked on threads of their own (bide_options.name_threads_max): what hangs there keeps
 * neither the loop nor offloaded work from going on. A question cannot be taken back from the C
 * library: a call that is cancelled or timed out returns at once, and the answer is thrown away
 * when it comes. While all those threads hang, further questions wait, until one comes back or
 * their scope fires. Tasks that ask the same at the same time share one question. Under
 * bide_test_run there are no threads: the C library is asked right away, on the loop.
 *
 * Three kinds of name ask nobody (RFC 6761, RFC 4291): numeric ones, localhost with all that ends
 * in .localhost, and what ends in .invalid. Numeric ones are strict: 127.1 and 0x7f.0.0.1 are
 * names that nobody has. bide/io/resolver.h lets another library answer.
 */
#ifndef BIDE_IO_NAMES_H
#define BIDE_IO_NAMES_H

#include <bide/base/api.h>
#include <bide/base/time.h>
#include <bide/io/address.h>

/* What was found; one piece of memory, freed by bide_addresses_free. */
typedef struct bide_addresses {
    size_t count;               /* at least 1 */
    const bide_address *at;     /* in the order in which to try them (RFC 6724) */
    const char *canonical_name; /* NULL unless it was asked for, and is known */
    bide_time ttl_ns;           /* how long it stays true; 0 where nobody says */
} bide_addresses;

/* Choices for one question; zero means the default. */
typedef struct bide_lookup_options {
    int family;     /* AF_INET or AF_INET6 only; 0 for both */
    bool numeric;   /* the host is an address as text, else it is -ENOENT */
    bool canonical; /* tell the name that the host's name is an alias of */
    bool passive;   /* no host is any address, for listening; by default it is this machine */
    bool datagram;  /* the service's port is UDP's; by default TCP's */
} bide_lookup_options;

/**
 * Find the addresses of a host.
 *
 * @param host     borrowed for the call: a name, or an address as text; NULL for this machine (see
 *                 passive)
 * @param service  borrowed for the call: a port number as text, or a service's name ("https"); NULL
 *                 for port 0
 * @param options  borrowed for the call, or NULL
 * @param out      what was found, owned by the caller: bide_addresses_free
 *
 * Returns 0, or
 *   -ENOENT        there is no such name (EAI_NONAME)
 *   -ENODATA       there is, and it has no address (EAI_NODATA), or none of the family
 *                  (EAI_ADDRFAMILY)
 *   -EAGAIN        it cannot be told now: the server does not answer, or no thread could be
 *                  started (EAI_AGAIN); it may help to try again
 *   -EIO           it cannot be told: the server refuses (EAI_FAIL)
 *   -EPROTONOSUPPORT  there is no such service (EAI_SERVICE)
 *   -EAFNOSUPPORT  another family than those three was asked for (EAI_FAMILY)
 *   -EINVAL        neither host nor service, or a host of more than 1,024 bytes
 *   -ENOMEM, -EMFILE, ...  what the machine lacks (EAI_MEMORY, EAI_SYSTEM)
 *   -ESHUTDOWN     the loop ends
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  until somebody answers, or knows that nobody will.
 * Cancel:  safe: returns at once, whatever the thread is doing, and leaves nothing to be freed.
 * Threads: tasks only.
 * Source:  getaddrinfo(3), RFC 6761 sections 6.3 and 6.4.
 */
BIDE_API int bide_getaddrinfo(const char *host, const char *service,
                              const bide_lookup_options *options, bide_addresses **out);

/**
 * Free what bide_getaddrinfo found.
 *
 * @param addresses  owned, and gone after the call; NULL is ignored
 *
 * Returns nothing.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API void bide_addresses_free(bide_addresses *addresses);

/**
 * Find the name of an address, and of its port.
 *
 * @param address        borrowed for the call
 * @param host           filled with a zero-terminated name, or with the address as text where there
 *                       is none; NULL when nobody wants it
 * @param host_bytes     its size; NI_MAXHOST (1,025) always does
 * @param service        filled with the service's name, or the port's number; may be NULL
 * @param service_bytes  its size; NI_MAXSERV (32) always does
 * @param flags          those of <netdb.h>: NI_NAMEREQD (a name, or -ENOENT), NI_NUMERICHOST,
 *                       NI_NUMERICSERV (with both nobody is asked), NI_DGRAM (UDP's services)
 *
 * Returns 0, or
 *   -ENOENT     it has no name, and NI_NAMEREQD wants one; or nothing was asked for
 *   -ENOSPC     what was found does not fit
 *   -EINVAL     not an address, or unknown flags
 *   -EAGAIN, -EIO, -ENOMEM, -ESHUTDOWN  as of bide_getaddrinfo
 *   -ECANCELED, -ETIMEDOUT  an enclosing scope fired
 * Blocks:  until somebody answers, or knows that nobody will.
 * Cancel:  safe: returns at once, and the buffers are touched no more.
 * Threads: tasks only.
 * Source:  getnameinfo(3).
 */
BIDE_API int bide_getnameinfo(const bide_address *address, char *host, size_t host_bytes,
                              char *service, size_t service_bytes, int flags);

/* Choices for the loop's memory of names. */
typedef struct bide_names_cache_options {
    bide_time ttl_ns;      /* how long an answer is good, and never longer than it says itself */
    bide_time negative_ns; /* the same of -ENOENT and -ENODATA; 0 forgets them at once */
    unsigned entries_max;  /* so many names, then the one not used for longest goes; 256 */
} bide_names_cache_options;

/**
 * Let this loop remember the names that it has looked up, or forget them all.
 *
 * By default nothing is remembered: the C library does not say how long an answer is good, and
 * what it asks (nscd, systemd-resolved) may remember for it.
 *
 * @param options  borrowed for the call; NULL, or a ttl_ns of 0, forgets all and remembers no more
 *
 * Returns 0, or -ENOMEM (nothing is remembered), -EINVAL for a negative time.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: tasks only.
 */
BIDE_API int bide_names_cache(const bide_names_cache_options *options);

#endif
