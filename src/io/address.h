/* SPDX-License-Identifier: MIT */
/*
 * address.h - addresses as text and as the kernel's structs.
 *
 *      tcp://HOST:PORT     HOST is a.b.c.d, [IPv6] (%zone allowed), localhost, or nothing for any
 *      unix:/path  unix:relative/path  unix:@abstract
 */
#ifndef BIDE__IO_ADDRESS_H
#define BIDE__IO_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct bide__address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    } is;
    socklen_t bytes;
};

enum { BIDE__ADDRESSES_MOST = 2 };

/*
 * Parse a text into the addresses it stands for, in the order in which to try them: localhost and
 * the empty host have two. Returns their number, -EINVAL (malformed) or -ENOENT (a name that is not
 * known here).
 */
int bide__address_parse(const char *text, struct bide__address out[BIDE__ADDRESSES_MOST]);

/* Write an address as text. Returns 0 or -ENOSPC. */
int bide__address_format(const struct bide__address *address, char *text, size_t size);

#endif
