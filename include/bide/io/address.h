/* SPDX-License-Identifier: MIT */
/*
 * address.h - socket addresses: as text, and as what the kernel takes.
 *
 *     bide_address server;
 *     char text[64];
 *
 *     bide_address_parse("udp://[::1]:53", &server);
 *     bide_address_format(&server, "udp", text, sizeof text);
 *
 * An address is a place, not a way to talk to it: tcp://1.2.3.4:53 and udp://1.2.3.4:53 are the
 * same address. Hence whoever writes it as text names the scheme.
 */
#ifndef BIDE_IO_ADDRESS_H
#define BIDE_IO_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <bide/base/api.h>

/*
 * An IPv4, IPv6 or Unix address. A plain value: copy it, embed it; not to look into. Zeroed memory
 * is no address.
 */
typedef struct bide_address {
    union {
        struct sockaddr_un bide__un; /* the largest: first, so that zeroing means all of it */
        struct sockaddr bide__any;
        struct sockaddr_in bide__v4;
        struct sockaddr_in6 bide__v6;
    };
    socklen_t bide__bytes; /* of the one that counts; 0 for no address */
} bide_address;

/**
 * Read an address from text: "tcp://1.2.3.4:80", "udp://1.2.3.4:53", "udp://[::1]:53",
 * "udp://[fe80::1%eth0]:53", "unix:/path", "unix:@abstract".
 *
 * Nobody is asked for names: a host is numeric, "localhost" (127.0.0.1) or empty ([::], any).
 *
 * @param text     borrowed for the call
 * @param address  filled
 *
 * Returns 0, or
 *   -EINVAL     the text is malformed, or names an interface that is not there (by its name)
 *   -ENOENT     the host is neither numeric nor localhost
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API int bide_address_parse(const char *text, bide_address *address);

/**
 * Write an address as text, in the form that bide_address_parse reads.
 *
 * With "udp" 127.0.0.1 is "udp://127.0.0.1:53"; with NULL "127.0.0.1:53", for people to read. A
 * Unix address is "unix:/path", "unix:@abstract" or, without a name, "unix:", whatever the scheme.
 *
 * @param address  borrowed for the call
 * @param scheme   "tcp", "udp" or another word; NULL for none
 * @param text     filled, with a zero byte; 128 bytes always do for "tcp" and "udp"
 * @param size     its size in bytes
 *
 * Returns 0, -ENOSPC when it does not fit, or -EINVAL for what is no address, and for an abstract
 * name with a zero byte in it.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API int bide_address_format(const bide_address *address, const char *scheme, char *text,
                                 size_t size);

/**
 * Tell whether two addresses are the same: host, zone and port, or name.
 *
 * An IPv4 address and the same one in IPv6 clothes ([::ffff:1.2.3.4]) are not.
 *
 * @param a  borrowed for the call
 * @param b  borrowed for the call
 *
 * Returns whether they are.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API bool bide_address_equal(const bide_address *a, const bide_address *b);

/**
 * Tell an address's port.
 *
 * @param address  borrowed for the call
 *
 * Returns the port, or 0 for an address without one.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API uint16_t bide_address_port(const bide_address *address);

/**
 * Make an address of a struct of the socket interface's.
 *
 * @param sockaddr  borrowed for the call; an IPv4, IPv6 or Unix one
 * @param bytes     its length
 * @param address   filled
 *
 * Returns 0, or
 *   -EINVAL        the length does not fit the family
 *   -EAFNOSUPPORT  another family
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 * Source:  ip(7), ipv6(7), unix(7).
 */
BIDE_API int bide_address_from_sockaddr(const struct sockaddr *sockaddr, socklen_t bytes,
                                        bide_address *address);

/**
 * Show an address as the socket interface takes it: connect, bind, sendto.
 *
 * @param address  borrowed
 * @param bytes    set to the length; NULL when nobody wants it
 *
 * Returns the struct, which lives in `address`.
 * Blocks:  no.
 * Cancel:  not a parking point.
 * Threads: any.
 */
BIDE_API const struct sockaddr *bide_address_sockaddr(const bide_address *address,
                                                      socklen_t *bytes);

#endif
