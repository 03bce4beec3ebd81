/* SPDX-License-Identifier: MIT */
/*
 * name_cache.c - names that are remembered, and resolvers of the user's own.
 *
 * The C library's resolver is the test's own (resolver_stub.h).
 */
#include <bide.h>

#include <bide/short.h>

#include <bide/testing.h>

#include <errno.h>

#include "resolver_stub.h"
#include "test.h"

/* Ask, and tell what came; the stub's count goes up by `asked`. */
static void expect(const char *host, int err, int asked)
{
    bide_addresses *found;
    int before = atomic_load(&stub_calls);

    CHECK_EQ(bide_getaddrinfo(host, "80", NULL, &found), err);
    CHECK_EQ(atomic_load(&stub_calls) - before, asked);
    if (err == 0)
        bide_addresses_free(found);
}

static int remembers(void *arg)
{
    bide_names_cache_options options = {
        .ttl_ns = BIDE_SEC(10), .negative_ns = BIDE_SEC(2), .entries_max = 3};

    (void)arg;
    expect("any-a.test", 0, 1);
    expect("any-a.test", 0, 1); /* by default nothing is remembered */
    CHECK_EQ(bide_names_cache(&options), 0);
    expect("any-a.test", 0, 1);
    expect("ANY-a.test", 0, 0);
    bide_sleep(BIDE_SEC(10) - 1);
    expect("any-a.test", 0, 0);
    bide_sleep(1);
    expect("any-a.test", 0, 1);

    expect("none.test", -ENOENT, 1);
    expect("none.test", -ENOENT, 0);
    bide_sleep(BIDE_SEC(2));
    expect("none.test", -ENOENT, 1);
    expect("again.test", -EAGAIN, 1); /* a failure that passes is never remembered */
    expect("again.test", -EAGAIN, 1);

    expect("any-b.test", 0, 1); /* a, none, b */
    expect("any-a.test", 0, 0);
    expect("any-c.test", 0, 1); /* none goes */
    expect("any-a.test", 0, 0);
    expect("any-b.test", 0, 0);
    expect("none.test", -ENOENT, 1); /* c goes */
    expect("any-a.test", 0, 0);
    expect("any-c.test", 0, 1);

    CHECK_EQ(bide_names_cache(NULL), 0);
    expect("any-a.test", 0, 1);
    options.negative_ns = 0;
    CHECK_EQ(bide_names_cache(&options), 0);
    expect("none.test", -ENOENT, 1);
    expect("none.test", -ENOENT, 1);
    options.ttl_ns = -1;
    CHECK_EQ(bide_names_cache(&options), -EINVAL);
    expect("any-a.test", 0, 1);
    expect("any-a.test", 0, 0); /* as it was */
    return 0;
}

/*
 * Goal:   what is remembered is good to the nanosecond, bounded, without case, and off by default.
 * Method: virtual clock: count the questions that reach the resolver. No thread is needed there.
 */
TEST(name_cache, cache_expires_and_is_bounded)
{
    stub_names[0] = (struct stub_name){"again.test", {NULL}, EAI_AGAIN, 0};
    for (uint64_t seed = 0; seed < 3; seed++)
        CHECK_EQ(bide_test_run(remembers, NULL, seed, NULL), 0);
}

/* --- Resolvers */

struct mine {
    bide_resolver resolver;
    int asked;
    int stopped;
    int err;
    bide_time pause;
    bide_time ttl;
};

static int mine_lookup(bide_resolver *resolver, const char *host, const char *service,
                       const bide_lookup_options *options, bide_addresses **out)
{
    struct mine *mine = (struct mine *)(void *)resolver;
    bide_address address;
    int err = bide_sleep(mine->pause);

    (void)options;
    mine->asked++;
    CHECK(strncmp(host, "any", 3) == 0 && strcmp(service, "80") == 0);
    if (err == 0)
        err = mine->err;
    if (err < 0)
        return err;
    CHECK_EQ(bide_address_parse("tcp://192.0.2.99:80", &address), 0);
    *out = bide_addresses_make(&address, 1, NULL, mine->ttl);
    return *out == NULL ? -ENOMEM : 0;
}

static void mine_stop(bide_resolver *resolver)
{
    ((struct mine *)(void *)resolver)->stopped++;
}

static async(int, asks_mine, bide_time, limit)
{
    char text[64];
    bide_addresses *found;
    int err = -1;

    with_timeout (limit)
        err = bide_getaddrinfo("any.test", "80", NULL, &found);
    if (err < 0)
        return err;
    CHECK_EQ(found->count, 1);
    CHECK_EQ(bide_address_format(&found->at[0], NULL, text, sizeof text), 0);
    CHECK_STR(text, "192.0.2.99:80");
    bide_addresses_free(found);
    return 0;
}

static int uses_mine(void *arg)
{
    const bide_names_cache_options options = {.ttl_ns = BIDE_SEC(10)};
    struct mine *first = arg, *second = first + 1;
    bide_addresses *found;
    bide_task(int) slow;

    CHECK_EQ(bide_resolver_use(&first->resolver), 0);
    CHECK_EQ(asks_mine(BIDE_FOREVER), 0);
    first->pause = BIDE_SEC(5);
    CHECK_EQ(asks_mine(BIDE_SEC(1)), -ETIMEDOUT);
    slow = spawn(asks_mine, BIDE_FOREVER);
    bide_sleep(BIDE_SEC(1));
    CHECK_EQ(bide_resolver_use(&second->resolver), 0);
    CHECK_EQ(first->stopped, 0); /* it works still */
    CHECK_EQ(await(slow), 0);
    CHECK_EQ(first->stopped, 1);

    second->err = -EOPNOTSUPP; /* it does not know such names: the C library does */
    expect("any.test", 0, 1);
    second->err = -EAGAIN;
    expect("any.test", -EAGAIN, 0);
    second->err = 0;
    CHECK_EQ(bide_names_cache(&options), 0);
    second->ttl = BIDE_SEC(3); /* shorter than ours */
    second->asked = 0;
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(bide_getaddrinfo("any.test", "80", NULL, &found), 0);
        CHECK_EQ(found->ttl_ns, BIDE_SEC(3 - i % 3)); /* what is left of it */
        bide_addresses_free(found);
        bide_sleep(BIDE_SEC(1));
    }
    CHECK_EQ(second->asked, 2);
    CHECK_EQ(bide_resolver_use(&second->resolver), 0);
    CHECK_EQ(second->stopped, 0);
    CHECK_EQ(asks_mine(BIDE_FOREVER), 0); /* what was remembered is forgotten */
    CHECK_EQ(second->asked, 3);
    CHECK_EQ(bide_resolver_use(NULL), 0);
    CHECK_EQ(second->stopped, 1);
    expect("any.test", 0, 1);
    CHECK_EQ(bide_resolver_use(&first->resolver), 0);
    return 0;
}

/*
 * Goal:   a resolver of the user's takes the questions, says how long answers are good, passes on
 *         what it does not know, and is told to stop once nothing of it is in use.
 * Method: virtual clock: two resolvers, exchanged while one works; the last is there at the end.
 */
TEST(name_cache, another_resolver_takes_over)
{
    struct mine both[2] = {{.resolver = {.lookup = mine_lookup, .stop = mine_stop}},
                           {.resolver = {.lookup = mine_lookup, .stop = mine_stop}}};

    CHECK_EQ(bide_test_run(uses_mine, both, 0, NULL), 0);
    CHECK_EQ(both[0].stopped, 2);
    CHECK_EQ(both[1].stopped, 1);
}
