/* SPDX-License-Identifier: MIT */
/*
 * datagram_multicast.c - groups on loopback: who hears what.
 */
#include "datagrams.h"

enum { LOOPBACK = 1 }; /* the number of lo on Linux */

static void need_options(void)
{
    if (TEST_UNDER_QEMU())
        SKIP("qemu-user knows but some of the options");
}

struct family {
    const char *addr, *group, *interface;
};

static const struct family v4 = {"udp://0.0.0.0:0", "udp://239.77.1.2:%u", "lo"};
static const struct family v6 = {"udp://[::]:0", "udp://[ff01::7712]:%u", "1"};

static bide_address group_of(const struct family *family, unsigned port)
{
    bide_address group;
    char text[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, family->group, port);
#pragma GCC diagnostic pop
    CHECK_EQ(bide_address_parse(text, &group), 0);
    return group;
}

static int hears_groups(void *arg)
{
    const struct family *family = arg;
    bide_datagram *member = opened(family->addr, NULL), *sender = opened(family->addr, NULL);
    bide_address at = local_of(member), group = group_of(family, bide_address_port(&at));
    char buf[8];

    CHECK_EQ(bide_datagram_set_multicast_interface(sender, family->interface), 0);
    CHECK_EQ(bide_datagram_join(member, &group, family->interface), 0);
    CHECK_EQ(bide_datagram_join(member, &group, family->interface), -EADDRINUSE);
    CHECK_EQ(bide_datagram_send(sender, "one", 3, &group), 3);
    CHECK_EQ(bide_datagram_recv(member, buf, sizeof buf, NULL), 3);

    CHECK_EQ(bide_datagram_set_multicast_hops(sender, 0), 0); /* does not leave the machine */
    CHECK_EQ(bide_datagram_send(sender, "three", 5, &group), 5);
    CHECK_EQ(bide_datagram_recv(member, buf, sizeof buf, NULL), 5);
    drain(member, 0);

    CHECK_EQ(bide_datagram_leave(member, &group, family->interface), 0);
    CHECK_EQ(bide_datagram_leave(member, &group, family->interface), -EADDRNOTAVAIL);
    CHECK_EQ(bide_datagram_send(sender, "four", 4, &group), 4);
    CHECK_EQ(bide_datagram_send(sender, "five", 4, &group), 4);
    with_timeout (BIDE_MS(2))
        CHECK_EQ(bide_datagram_recv(member, buf, sizeof buf, NULL), -ETIMEDOUT);
    bide_datagram_close(member);
    bide_datagram_close(sender);
    return 0;
}

/*
 * Goal:   a group is heard between joining and leaving, hops or no hops.
 * Method: IPv4 on lo, with a socket of its own and with one of both families.
 */
TEST(datagram_multicast, groups_are_joined_and_left)
{
    const struct family both = {"udp://:0", v4.group, "lo"};

    need_options();
    CHECK_EQ(run(hears_groups, (void *)&v4), 0);
    CHECK_EQ(run(hears_groups, (void *)&both), 0);
}

static int shares_groups(void *arg)
{
    const bide_datagram_options options = {.reuse_address = true};
    const struct family *family = arg;
    bide_datagram *one = opened(family->addr, &options), *two, *sender;
    bide_address at = local_of(one), group = group_of(family, bide_address_port(&at));
    char text[64], buf[8];

    CHECK_EQ(bide_address_format(&at, "udp", text, sizeof text), 0);
    two = opened(text, &options);
    sender = opened(family->addr, NULL);
    CHECK_EQ(bide_datagram_join(one, &group, family->interface), 0);
    CHECK_EQ(bide_datagram_join(two, &group, family->interface), 0);
    CHECK_EQ(bide_datagram_set_multicast_interface(sender, family->interface), 0);
    CHECK_EQ(bide_datagram_send(sender, "all", 3, &group), 3);
    CHECK_EQ(bide_datagram_recv(one, buf, sizeof buf, NULL), 3);
    CHECK_EQ(bide_datagram_recv(two, buf, sizeof buf, NULL), 3);
    bide_datagram_close(one);
    bide_datagram_close(two);
    bide_datagram_close(sender);
    return 0;
}

/*
 * Goal:   sockets that share a port with reuse_address all get a multicast datagram.
 * Method: two members, one datagram.
 */
TEST(datagram_multicast, all_members_hear)
{
    need_options();
    CHECK_EQ(run(shares_groups, (void *)&v4), 0);
}

/* Whether the kernel lists the group of v6 on lo. */
static bool is_listed(void)
{
    FILE *list = fopen("/proc/net/igmp6", "re");
    char line[256];
    bool is_found = false;

    CHECK(list != NULL);
    while (fgets(line, sizeof line, list) != NULL)
        is_found |= strstr(line, "ff010000000000000000000000007712") != NULL;
    fclose(list);
    return is_found;
}

static int is_a_member(void *arg)
{
    bide_datagram *member = opened(v6.addr, NULL);
    bide_address group = group_of(&v6, 1), zoned;

    (void)arg;
    CHECK_EQ(bide_datagram_join(member, &group, "1"), 0);
    CHECK(is_listed());
    CHECK_EQ(bide_datagram_join(member, &group, "lo"), -EADDRINUSE);
    CHECK_EQ(bide_datagram_leave(member, &group, "lo"), 0);
    CHECK(!is_listed());
    CHECK_EQ(bide_datagram_leave(member, &group, "lo"), -EADDRNOTAVAIL);
    CHECK_EQ(bide_address_parse("udp://[ff01::7712%lo]:1", &zoned), 0);
    CHECK_EQ(bide_datagram_join(member, &zoned, NULL), 0); /* the zone says where */
    CHECK_EQ(bide_datagram_leave(member, &group, "lo"), 0);
    CHECK_EQ(bide_datagram_join(member, &group, "lo"), 0);
    bide_datagram_close(member);
    CHECK(!is_listed());
    return 0;
}

/*
 * Goal:   groups of IPv6 are joined on the interface that is named, and left, at closing too.
 * Method: the kernel's list; the loopback device passes nothing on to its groups of IPv6.
 */
TEST(datagram_multicast, v6_groups_are_joined_and_left)
{
    need_options();
    CHECK_EQ(run(is_a_member, NULL), 0);
}

static int option_of(bide_datagram *datagram, int level, int option)
{
    int value = -1;
    socklen_t bytes = sizeof value;

    CHECK_EQ(getsockopt(bide_datagram_fd(datagram), level, option, &value, &bytes), 0);
    return value;
}

static int sets_options(void *arg)
{
    const struct family *families[] = {&v4, &v6};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        bide_datagram *datagram = opened(families[i]->addr, NULL);
        bide_address group = group_of(families[i], 1), host = local_of(datagram);
        CHECK_EQ(bide_datagram_set_multicast_hops(datagram, 7), 0);
        CHECK_EQ(bide_datagram_set_multicast_loop(datagram, false), 0);
        CHECK_EQ(bide_datagram_set_multicast_interface(datagram, "lo"), 0);
        CHECK_EQ(option_of(datagram, IPPROTO_IP, IP_MULTICAST_TTL), 7);
        CHECK_EQ(option_of(datagram, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
        if (i == 1) {
            CHECK_EQ(option_of(datagram, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 7);
            CHECK_EQ(option_of(datagram, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 0);
            CHECK_EQ(option_of(datagram, IPPROTO_IPV6, IPV6_MULTICAST_IF), LOOPBACK);
        }
        CHECK_EQ(bide_datagram_set_multicast_interface(datagram, NULL), 0);
        CHECK_EQ(bide_datagram_set_multicast_hops(datagram, -1), -EINVAL);
        CHECK_EQ(bide_datagram_set_multicast_hops(datagram, 256), -EINVAL);
        CHECK_EQ(bide_datagram_set_multicast_interface(datagram, "nosuchif"), -ENODEV);
        CHECK_EQ(bide_datagram_set_multicast_interface(datagram, "54321"), -ENODEV);
        CHECK_EQ(bide_datagram_set_multicast_interface(datagram, "0"), -ENODEV);
        CHECK_EQ(bide_datagram_join(datagram, &group, "nosuchif"), -ENODEV);
        CHECK_EQ(bide_datagram_join(datagram, &group, "54321"), -ENODEV);
        CHECK_EQ(bide_datagram_join(datagram, &host, "lo"), -EINVAL);
        CHECK_EQ(bide_datagram_leave(datagram, &group, "lo"), -EADDRNOTAVAIL);
        for (uint64_t nth = 1; nth <= (i == 0 ? 1 : 2); nth++) {
            bide__fault_fail(BIDE__CALL_SOCKOPT, nth, 1, -ENOBUFS);
            CHECK_EQ(bide_datagram_set_multicast_hops(datagram, 1), -ENOBUFS);
            bide__fault_fail(BIDE__CALL_SOCKOPT, nth, 1, -ENOBUFS);
            CHECK_EQ(bide_datagram_set_multicast_interface(datagram, "lo"), -ENOBUFS);
        }
        bide__fault_fail(BIDE__CALL_SOCKOPT, 1, 1, -ENOBUFS);
        CHECK_EQ(bide_datagram_join(datagram, &group, "lo"), -ENOBUFS);
        bide__fault_reset();
        close(bide_datagram_fd(datagram));
        bide_datagram *other = opened(families[i]->addr, NULL); /* takes the number */
        CHECK_EQ(bide_datagram_join(datagram, &group, "lo"), -EBADF);
        CHECK_EQ(bide_datagram_set_multicast_hops(datagram, 1), -EBADF);
        CHECK_EQ(bide_datagram_set_multicast_loop(datagram, true), -EBADF);
        CHECK_EQ(bide_datagram_set_multicast_interface(datagram, "lo"), -EBADF);
        bide_datagram_close(datagram);
        bide_datagram_close(other);
    }
    bide_datagram *local = opened("unix:", NULL);
    bide_address name = local_of(local), group = group_of(&v4, 1);
    CHECK_EQ(bide_datagram_join(local, &group, NULL), -EOPNOTSUPP);
    CHECK_EQ(bide_datagram_leave(local, &name, NULL), -EOPNOTSUPP);
    CHECK_EQ(bide_datagram_set_multicast_hops(local, 1), -EOPNOTSUPP);
    CHECK_EQ(bide_datagram_set_multicast_loop(local, true), -EOPNOTSUPP);
    CHECK_EQ(bide_datagram_set_multicast_interface(local, NULL), -EOPNOTSUPP);
    bide_datagram_close(local);
    local = opened("udp://127.0.0.1:0", NULL);
    CHECK_EQ(bide_datagram_join(local, &name, NULL), -EINVAL);
    bide_datagram_close(local);
    return 0;
}

/*
 * Goal:   options reach the kernel, for both families where the socket has both, and each
 *         documented error comes.
 * Method: set and read back; wrong values, interfaces, addresses, sockets; injected failures.
 */
TEST(datagram_multicast, options_are_read_back)
{
    need_options();
    CHECK_EQ(run(sets_options, NULL), 0);
}
