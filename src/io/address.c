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

enum { HOST_BYTES = 128 };

/* A decimal number, 0 to 65535, and nothing after it. */
static int parse_number(const char *text, uint16_t *number)
{
    unsigned long value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9' && value <= 65535; at++)
        value = value * 10 + (unsigned long)(*at - '0');
    if (at == text || *at != '\0' || value > 65535)
        return -EINVAL;
    *number = (uint16_t)value;
    return 0;
}

static struct bide__address v4_address(struct in_addr host, uint16_t port)
{
    struct bide__address address = {.bytes = sizeof address.is.v4};

    address.is.v4.sin_family = AF_INET;
    address.is.v4.sin_addr = host;
    address.is.v4.sin_port = htons(port);
    return address;
}

static struct bide__address v6_address(struct in6_addr host, uint32_t zone, uint16_t port)
{
    struct bide__address address = {.bytes = sizeof address.is.v6};

    address.is.v6.sin6_family = AF_INET6;
    address.is.v6.sin6_addr = host;
    address.is.v6.sin6_scope_id = zone;
    address.is.v6.sin6_port = htons(port);
    return address;
}

/*
 * The part after '%' in a link-local address: an interface's name or number (RFC 4007, section 11).
 */
static int parse_zone(char *host, uint32_t *zone)
{
    char *percent = strchr(host, '%');
    uint16_t number;

    *zone = 0;
    if (percent == NULL)
        return 0;
    *percent = '\0';
    *zone = if_nametoindex(percent + 1);
    if (*zone == 0 && parse_number(percent + 1, &number) == 0)
        *zone = number;
    return *zone == 0 ? -EINVAL : 0;
}

static int parse_v6(char *host, uint16_t port, struct bide__address *out)
{
    struct in6_addr v6;
    uint32_t zone;

    if (parse_zone(host, &zone) < 0 || inet_pton(AF_INET6, host, &v6) != 1)
        return -EINVAL;
    *out = v6_address(v6, zone, port);
    return 1;
}

static int parse_host(const char *host, uint16_t port, struct bide__address *out)
{
    struct in_addr v4;

    if (*host == '\0') {
        out[0] = v6_address(in6addr_any, 0, port);
        out[1] = v4_address((struct in_addr){htonl(INADDR_ANY)}, port);
        return 2;
    }
    if (strcmp(host, "localhost") == 0) {
        out[0] = v4_address((struct in_addr){htonl(INADDR_LOOPBACK)}, port);
        out[1] = v6_address(in6addr_loopback, 0, port);
        return 2;
    }
    if (inet_pton(AF_INET, host, &v4) == 1) {
        out[0] = v4_address(v4, port);
        return 1;
    }
    return strpbrk(host, ": /") != NULL ? -EINVAL : -ENOENT;
}

static int parse_tcp(const char *text, struct bide__address *out)
{
    const char *colon = strrchr(text, ':');
    char host[HOST_BYTES];
    size_t length;
    uint16_t port;

    if (colon == NULL || parse_number(colon + 1, &port) < 0)
        return -EINVAL;
    length = (size_t)(colon - text);
    if (length >= sizeof host)
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    if (host[0] != '[')
        return parse_host(host, port, out);
    if (length < 2 || host[length - 1] != ']')
        return -EINVAL;
    host[length - 1] = '\0';
    return parse_v6(host + 1, port, out);
}

/*
 * unix(7): a path ends with a zero byte, an abstract name begins with one and is as long as it is.
 */
static int parse_unix(const char *text, struct bide__address *out)
{
    size_t length = strlen(text);

    *out = (struct bide__address){.is.un.sun_family = AF_UNIX};
    if (length == 0 || length >= sizeof out->is.un.sun_path)
        return -EINVAL;
    memcpy(out->is.un.sun_path, text, length);
    out->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (text[0] == '@')
        out->is.un.sun_path[0] = '\0';
    else
        out->bytes++;
    return 1;
}

int bide__address_parse(const char *text, struct bide__address out[BIDE__ADDRESSES_MOST])
{
    if (strncmp(text, "tcp://", 6) == 0)
        return parse_tcp(text + 6, out);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out);
    return -EINVAL;
}

static int format_unix(const struct bide__address *address, char *text, size_t size)
{
    int length = (int)address->bytes - (int)offsetof(struct sockaddr_un, sun_path);
    const char *path = address->is.un.sun_path;

    if (length <= 0)
        return snprintf(text, size, "unix:");
    if (path[0] == '\0')
        return snprintf(text, size, "unix:@%.*s", length - 1, path + 1);
    return snprintf(text, size, "unix:%.*s", length, path);
}

static int format_v6(const struct bide__address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    const struct sockaddr_in6 *v6 = &address->is.v6;

    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    if (v6->sin6_scope_id != 0)
        return snprintf(text, size, "tcp://[%s%%%u]:%u", host, v6->sin6_scope_id,
                        ntohs(v6->sin6_port));
    return snprintf(text, size, "tcp://[%s]:%u", host, ntohs(v6->sin6_port));
}

static int format_v4(const struct bide__address *address, char *text, size_t size)
{
    char host[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &address->is.v4.sin_addr, host, sizeof host);
    return snprintf(text, size, "tcp://%s:%u", host, ntohs(address->is.v4.sin_port));
}

int bide__address_format(const struct bide__address *address, char *text, size_t size)
{
    char whole[sizeof(struct sockaddr_un) + 16];
    int length = address->is.any.sa_family == AF_UNIX    ? format_unix(address, whole, sizeof whole)
                 : address->is.any.sa_family == AF_INET6 ? format_v6(address, whole, sizeof whole)
                                                         : format_v4(address, whole, sizeof whole);

    if ((size_t)length >= size)
        return -ENOSPC;
    memcpy(text, whole, (size_t)length + 1);
    return 0;
}
