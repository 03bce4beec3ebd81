/* SPDX-License-Identifier: MIT */
/*
 * address.h - what a text may stand for, beyond one address.
 *
 *      SCHEME://HOST:PORT  HOST is a.b.c.d, [IPv6] (%zone allowed), localhost, nothing for any,
 *                          or a name that others know (io/names.h)
 *      unix:/path  unix:relative/path  unix:@abstract
 */
#ifndef BIDE__IO_ADDRESS_H
#define BIDE__IO_ADDRESS_H

#include <bide/io/address.h>

enum {
    BIDE__ADDRESSES_MOST = 2,
    BIDE__HOST_BYTES = 256, /* a name has at most 253 (RFC 1035, section 2.3.4), and a dot */
};

/*
 * Parse a text into the addresses it stands for, in the order in which to try them: localhost and
 * the empty host have two. Of the schemes with ports only one is taken ("tcp"). Returns their
 * number, -EINVAL (malformed) or -ENOENT (a name that is not known here).
 */
int bide__address_parse(const char *text, const char *scheme,
                        bide_address out[BIDE__ADDRESSES_MOST]);

/* The number of an interface, given by its name or as a number in text; 0 for neither. */
uint32_t bide__address_interface(const char *text);

/*
 * The parts of "SCHEME://HOST:PORT", brackets included. Returns 0 or -EINVAL.
 */
int bide__address_split(const char *text, const char *scheme, char host[BIDE__HOST_BYTES],
                        uint16_t *port);

/*
 * The addresses of a host that nobody need be asked for: numeric, or localhost and what ends in
 * .localhost (RFC 6761, section 6.3). Returns their number or -ENOENT.
 */
int bide__address_host(const char *host, uint16_t port, bide_address out[BIDE__ADDRESSES_MOST]);

/* Those of no host in particular. */
int bide__address_any(uint16_t port, bide_address out[BIDE__ADDRESSES_MOST]);

/* A decimal number, 0 to 65535, and nothing after it; or -EINVAL. */
int bide__address_port(const char *text, uint16_t *number);

/* Whether a name is this label, or lies below it. */
bool bide__address_name_ends(const char *host, const char *label);

/*
 * Set the length after the kernel has filled in an address of so many bytes, none for a Unix
 * socket without a name.
 */
static inline void bide__address_came(bide_address *address, socklen_t bytes)
{
    if (bytes < sizeof(sa_family_t)) {
        address->bide__any.sa_family = AF_UNIX;
        bytes = sizeof(sa_family_t);
    }
    address->bide__bytes = bytes;
}

/* Whether it is a Unix address with a path, which has a file. */
static inline bool bide__address_is_path(const bide_address *address)
{
    return address->bide__any.sa_family == AF_UNIX && address->bide__bytes > sizeof(sa_family_t) &&
           address->bide__un.sun_path[0] != '\0';
}

#endif
