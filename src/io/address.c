/* SPDX-License-Identifier: MIT */
/*
 * address.c - addresses as text and as the kernel's structs.
 */
#include "io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bide_address v4_address(struct in_addr host, uint16_t port)
{
    bide_address address = {.bide__bytes = sizeof address.bide__v4};

    address.bide__v4.sin_family = AF_INET;
    address.bide__v4.sin_addr = host;
    address.bide__v4.sin_port = htons(port);
    return address;
}

static bide_address v6_address(struct in6_addr host, uint32_t zone, uint16_t port)
{
    bide_address address = {.bide__bytes = sizeof address.bide__v6};

    address.bide__v6.sin6_family = AF_INET6;
    address.bide__v6.sin6_addr = host;
    address.bide__v6.sin6_scope_id = zone;
    address.bide__v6.sin6_port = htons(port);
    return address;
}

/* A decimal number up to a limit, and nothing after it; or -EINVAL. */
static int parse_number(const char *text, uint64_t most, uint64_t *number)
{
    const char *at = text;

    *number = 0;
    for (; *at >= '0' && *at <= '9' && *number <= most; at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return at == text || *at != '\0' || *number > most ? -EINVAL : 0;
}

int bide__address_port(const char *text, uint16_t *port)
{
    uint64_t number;

    if (parse_number(text, UINT16_MAX, &number) < 0)
        return -EINVAL;
    *port = (uint16_t)number;
    return 0;
}

uint32_t bide__address_interface(const char *text)
{
    uint32_t index = if_nametoindex(text);
    uint64_t number;

    return index == 0 && parse_number(text, UINT32_MAX, &number) == 0 ? (uint32_t)number : index;
}

/*
 * The part after '%' in a link-local address: an interface's name or number (RFC 4007, section 11).
 */
static int parse_zone(char *host, uint32_t *zone)
{
    char *percent = strchr(host, '%');

    *zone = 0;
    if (percent == NULL)
        return 0;
    *percent = '\0';
    *zone = bide__address_interface(percent + 1);
    return *zone == 0 ? -EINVAL : 0;
}

static int parse_v6(char *host, uint16_t port, bide_address *out)
{
    struct in6_addr v6;
    uint32_t zone;

    if (parse_zone(host, &zone) < 0 || inet_pton(AF_INET6, host, &v6) != 1)
        return -EINVAL;
    *out = v6_address(v6, zone, port);
    return 1;
}

bool bide__address_name_ends(const char *host, const char *label)
{
    size_t length = strlen(host), part = strlen(label);

    if (length > 0 && host[length - 1] == '.')
        length--; /* of the root: the same name */
    if (length < part || strncasecmp(host + length - part, label, part) != 0)
        return false;
    return length == part || host[length - part - 1] == '.';
}

int bide__address_host(const char *host, uint16_t port, bide_address out[BIDE__ADDRESSES_MOST])
{
    struct in_addr v4;
    char v6[BIDE__HOST_BYTES];

    if (bide__address_name_ends(host, "localhost")) {
        out[0] = v4_address((struct in_addr){htonl(INADDR_LOOPBACK)}, port);
        out[1] = v6_address(in6addr_loopback, 0, port);
        return 2;
    }
    if (inet_pton(AF_INET, host, &v4) == 1) {
        out[0] = v4_address(v4, port);
        return 1;
    }
    if (strchr(host, ':') == NULL || strlen(host) >= sizeof v6)
        return -ENOENT;
    strcpy(v6, host);
    return parse_v6(v6, port, out) < 0 ? -ENOENT : 1;
}

int bide__address_any(uint16_t port, bide_address out[BIDE__ADDRESSES_MOST])
{
    out[0] = v6_address(in6addr_any, 0, port);
    out[1] = v4_address((struct in_addr){htonl(INADDR_ANY)}, port);
    return 2;
}

int bide__address_split(const char *text, const char *scheme, char host[BIDE__HOST_BYTES],
                        uint16_t *port)
{
    size_t length = strlen(scheme);
    const char *colon;

    if (strncmp(text, scheme, length) != 0 || strncmp(text + length, "://", 3) != 0)
        return -EINVAL;
    text += length + 3;
    colon = strrchr(text, ':');
    if (colon == NULL || bide__address_port(colon + 1, port) < 0)
        return -EINVAL;
    length = (size_t)(colon - text);
    if (length >= BIDE__HOST_BYTES)
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    return 0;
}

static int parse_place(const char *text, const char *scheme, bide_address *out)
{
    char host[BIDE__HOST_BYTES];
    uint16_t port;
    int err = bide__address_split(text, scheme, host, &port);
    size_t length;

    if (err < 0)
        return err;
    if (host[0] == '\0')
        return bide__address_any(port, out);
    if (host[0] != '[')
        return strpbrk(host, ": /") != NULL ? -EINVAL : bide__address_host(host, port, out);
    length = strlen(host);
    if (length < 2 || host[length - 1] != ']')
        return -EINVAL;
    host[length - 1] = '\0';
    return parse_v6(host + 1, port, out);
}

/*
 * unix(7): a path ends with a zero byte, an abstract name begins with one and is as long as it is.
 */
static int parse_unix(const char *text, bide_address *out)
{
    size_t length = strlen(text);

    *out = (bide_address){.bide__un.sun_family = AF_UNIX};
    if (length == 0 || length >= sizeof out->bide__un.sun_path)
        return -EINVAL;
    memcpy(out->bide__un.sun_path, text, length);
    out->bide__bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (text[0] == '@')
        out->bide__un.sun_path[0] = '\0';
    else
        out->bide__bytes++;
    return 1;
}

int bide__address_parse(const char *text, const char *scheme,
                        bide_address out[BIDE__ADDRESSES_MOST])
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out);
    return parse_place(text, scheme, out);
}

int bide_address_parse(const char *text, bide_address *address)
{
    bide_address all[BIDE__ADDRESSES_MOST];
    int count = bide__address_parse(text, strncmp(text, "udp:", 4) == 0 ? "udp" : "tcp", all);

    if (count < 0)
        return count;
    *address = all[0];
    return 0;
}

static int format_unix(const bide_address *address, char *text, size_t size)
{
    int length = (int)address->bide__bytes - (int)offsetof(struct sockaddr_un, sun_path);
    const char *path = address->bide__un.sun_path;

    if (length <= 0)
        return snprintf(text, size, "unix:");
    if (path[0] == '\0' && memchr(path + 1, '\0', (size_t)length - 1) != NULL)
        return -EINVAL; /* no text could stand for it */
    if (path[0] == '\0')
        return snprintf(text, size, "unix:@%.*s", length - 1, path + 1);
    if (path[0] == '@')
        return snprintf(text, size, "unix:./%.*s", length, path);
    return snprintf(text, size, "unix:%.*s", length, path);
}

static int format_v6(const struct sockaddr_in6 *v6, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];

    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    if (v6->sin6_scope_id != 0)
        return snprintf(text, size, "[%s%%%u]:%u", host, v6->sin6_scope_id, ntohs(v6->sin6_port));
    return snprintf(text, size, "[%s]:%u", host, ntohs(v6->sin6_port));
}

static int format_v4(const struct sockaddr_in *v4, char *text, size_t size)
{
    char host[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    return snprintf(text, size, "%s:%u", host, ntohs(v4->sin_port));
}

int bide_address_format(const bide_address *address, const char *scheme, char *text, size_t size)
{
    char place[sizeof(struct sockaddr_un) + 16];
    size_t before = 0;
    int length;

    switch (address->bide__bytes == 0 ? AF_UNSPEC : address->bide__any.sa_family) {
    case AF_UNIX: scheme = NULL, length = format_unix(address, place, sizeof place); break;
    case AF_INET: length = format_v4(&address->bide__v4, place, sizeof place); break;
    case AF_INET6: length = format_v6(&address->bide__v6, place, sizeof place); break;
    default: return -EINVAL;
    }
    if (length < 0)
        return length;
    if (scheme != NULL)
        before = strlen(scheme) + 3;
    if (before >= size || (size_t)length >= size - before)
        return -ENOSPC;
    if (scheme != NULL) {
        memcpy(text, scheme, before - 3);
        memcpy(text + before - 3, "://", 3);
    }
    memcpy(text + before, place, (size_t)length + 1);
    return 0;
}

/* A path's zero byte may be there or not (unix(7)), and is no part of the name. */
static size_t unix_name_bytes(const bide_address *address)
{
    size_t length = address->bide__bytes - offsetof(struct sockaddr_un, sun_path);
    const char *path = address->bide__un.sun_path;

    return length == 0 || path[0] == '\0' ? length : strnlen(path, length);
}

bool bide_address_equal(const bide_address *a, const bide_address *b)
{
    const struct sockaddr_in *v4 = &a->bide__v4;
    const struct sockaddr_in6 *v6 = &a->bide__v6;

    if (a->bide__bytes == 0 || b->bide__bytes == 0)
        return a->bide__bytes == b->bide__bytes;
    if (a->bide__any.sa_family != b->bide__any.sa_family)
        return false;
    if (a->bide__any.sa_family == AF_INET)
        return v4->sin_port == b->bide__v4.sin_port &&
               v4->sin_addr.s_addr == b->bide__v4.sin_addr.s_addr;
    if (a->bide__any.sa_family == AF_INET6)
        return v6->sin6_port == b->bide__v6.sin6_port &&
               v6->sin6_scope_id == b->bide__v6.sin6_scope_id &&
               memcmp(&v6->sin6_addr, &b->bide__v6.sin6_addr, sizeof v6->sin6_addr) == 0;
    return unix_name_bytes(a) == unix_name_bytes(b) &&
           memcmp(a->bide__un.sun_path, b->bide__un.sun_path, unix_name_bytes(a)) == 0;
}

uint16_t bide_address_port(const bide_address *address)
{
    if (address->bide__bytes == 0)
        return 0;
    return address->bide__any.sa_family == AF_INET    ? ntohs(address->bide__v4.sin_port)
           : address->bide__any.sa_family == AF_INET6 ? ntohs(address->bide__v6.sin6_port)
                                                      : 0;
}

int bide_address_from_sockaddr(const struct sockaddr *sockaddr, socklen_t bytes,
                               bide_address *address)
{
    bide_address made = {.bide__bytes = bytes};
    size_t least = sizeof(sa_family_t), most = sizeof made.bide__un;

    if (bytes < least)
        return -EINVAL;
    if (sockaddr->sa_family == AF_INET)
        least = most = sizeof made.bide__v4;
    else if (sockaddr->sa_family == AF_INET6)
        least = most = sizeof made.bide__v6;
    else if (sockaddr->sa_family != AF_UNIX)
        return -EAFNOSUPPORT;
    if (bytes < least || bytes > most)
        return -EINVAL;
    memcpy(&made.bide__un, sockaddr, bytes);
    *address = made;
    return 0;
}

const struct sockaddr *bide_address_sockaddr(const bide_address *address, socklen_t *bytes)
{
    if (bytes != NULL)
        *bytes = address->bide__bytes;
    return &address->bide__any;
}
