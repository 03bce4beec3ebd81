/* SPDX-License-Identifier: MIT */
/*
 * datagram_multicast.c - multicast groups, and how datagrams to them leave.
 *
 * A socket of IPv6 may speak IPv4 as well, and has the options of both: each setting goes to both.
 */
#include "io/datagram.h"

#include <errno.h>

#include "base/sys_datagram.h"

/* 0 when multicast can be spoken of at all. */
static int check(const bide_datagram *datagram)
{
    return !bide__datagram_is_open(datagram) ? -EBADF
           : datagram->family == AF_UNIX     ? -EOPNOTSUPP
                                             : 0;
}

/* The number of an interface, 0 for NULL, or -ENODEV. */
static int interface_number(const char *interface)
{
    uint32_t number = interface == NULL ? 0 : bide__address_interface(interface);

    return interface != NULL && (number == 0 || number > INT32_MAX) ? -ENODEV : (int)number;
}

static int change_group(bide_datagram *datagram, const bide_address *group, const char *interface,
                        bool joins)
{
    const int number = interface_number(interface);
    int err = check(datagram);

    if (err < 0 || number < 0)
        return err < 0 ? err : number;
    if (group->bide__bytes > 0 && group->bide__any.sa_family == AF_INET6) {
        const struct ipv6_mreq request = {
            .ipv6mr_multiaddr = group->bide__v6.sin6_addr,
            .ipv6mr_interface = number > 0 ? (unsigned)number : group->bide__v6.sin6_scope_id,
        };
        return bide__sys_setsockopt_of(datagram->number, IPPROTO_IPV6,
                                       joins ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP, &request,
                                       sizeof request);
    }
    if (group->bide__bytes > 0 && group->bide__any.sa_family == AF_INET) {
        const struct ip_mreqn request = {
            .imr_multiaddr = group->bide__v4.sin_addr,
            .imr_ifindex = number,
        };
        return bide__sys_setsockopt_of(datagram->number, IPPROTO_IP,
                                       joins ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request,
                                       sizeof request);
    }
    return -EINVAL;
}

int bide_datagram_join(bide_datagram *datagram, const bide_address *group, const char *interface)
{
    return change_group(datagram, group, interface, true);
}

int bide_datagram_leave(bide_datagram *datagram, const bide_address *group, const char *interface)
{
    return change_group(datagram, group, interface, false);
}

/* Set a number of both families, or of IPv4 alone where the socket is that. */
static int set_both(bide_datagram *datagram, int v6_option, int v4_option, int value)
{
    int err = 0;

    if (datagram->family == AF_INET6)
        err = bide__sys_setsockopt(datagram->number, IPPROTO_IPV6, v6_option, value);
    if (err == 0)
        err = bide__sys_setsockopt(datagram->number, IPPROTO_IP, v4_option, value);
    return err;
}

int bide_datagram_set_multicast_hops(bide_datagram *datagram, int hops)
{
    int err = check(datagram);

    if (err < 0)
        return err;
    if (hops < 0 || hops > 255)
        return -EINVAL;
    return set_both(datagram, IPV6_MULTICAST_HOPS, IP_MULTICAST_TTL, hops);
}

int bide_datagram_set_multicast_loop(bide_datagram *datagram, bool on)
{
    int err = check(datagram);

    return err < 0 ? err : set_both(datagram, IPV6_MULTICAST_LOOP, IP_MULTICAST_LOOP, on);
}

int bide_datagram_set_multicast_interface(bide_datagram *datagram, const char *interface)
{
    const int number = interface_number(interface);
    const struct ip_mreqn request = {.imr_ifindex = number};
    int err = check(datagram);

    if (err == 0 && number < 0)
        err = number;
    if (err == 0 && datagram->family == AF_INET6)
        err = bide__sys_setsockopt(datagram->number, IPPROTO_IPV6, IPV6_MULTICAST_IF, number);
    if (err == 0)
        err = bide__sys_setsockopt_of(datagram->number, IPPROTO_IP, IP_MULTICAST_IF, &request,
                                      sizeof request);
    return err == -EADDRNOTAVAIL ? -ENODEV : err;
}
