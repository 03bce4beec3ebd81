/* SPDX-License-Identifier: MIT */
/*
 * address.h - what a text may stand for, beyond one address.
 *
 *      SCHEME://HOST:PORT  HOST is a.b.c.d, [IPv6] (%zone allowed), localhost, or nothing for any
 *      unix:/path  unix:relative/path  unix:@abstract
 */
#ifndef BIDE__IO_ADDRESS_H
#define BIDE__IO_ADDRESS_H

#include <bide/io/address.h>

enum { BIDE__ADDRESSES_MOST = 2 };

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
