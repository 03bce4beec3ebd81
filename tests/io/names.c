/* SPDX-License-Identifier: MIT */
/*
 * names.c - looking up names: what comes of it, and what a resolver that hangs can do to the rest.
 *
 * The C library's resolver is the test's own (resolver_stub.h).
 */
#include <bide.h>

#include <bide/short.h>

#include <errno.h>

#include "base/fault.h"
#include "resolver_stub.h"
#include "test.h"

static int run_with(int (*scenario)(void *), void *arg, const bide_options *options)
{
    int before = test_open_fds(), result;

    result = bide_run(scenario, arg, options);
    stub_drain();
    stub_expect_descriptors(before);
    return result;
}

static int run(int (*scenario)(void *), void *arg)
{
    return run_with(scenario, arg, NULL);
}

static const char *text_of(const bide_addresses *found, size_t i)
{
    static char text[8][80];

    CHECK(i < found->count);
    CHECK_EQ(bide_address_format(&found->at[i], NULL, text[i], sizeof text[i]), 0);
    return text[i];
}

static int finds_addresses(void *arg)
{
    const bide_lookup_options v6 = {.family = AF_INET6}, odd = {.family = AF_UNIX},
                              canonical = {.canonical = true}, numeric = {.numeric = true};
    bide_addresses *found = NULL;
    char longest[1100];

    (void)arg;
    CHECK_EQ(bide_getaddrinfo("both.test", "80", NULL, &found), 0);
    CHECK_EQ(found->count, 3);
    CHECK_STR(text_of(found, 0), "[2001:db8::1]:80");
    CHECK_STR(text_of(found, 1), "192.0.2.7:80");
    CHECK_STR(text_of(found, 2), "[2001:db8::2]:80");
    CHECK(found->canonical_name == NULL && found->ttl_ns == 0);
    bide_addresses_free(found);

    CHECK_EQ(bide_getaddrinfo("both.test", NULL, &v6, &found), 0);
    CHECK_EQ(found->count, 2);
    CHECK_STR(text_of(found, 1), "[2001:db8::2]:0");
    bide_addresses_free(found);
    CHECK_EQ(bide_getaddrinfo("BOTH.test", NULL, &canonical, &found), 0);
    CHECK_STR(found->canonical_name, "canonical.both.test");
    bide_addresses_free(found);

    found = NULL;
    memset(longest, 'a', sizeof longest);
    longest[1025] = '\0';
    CHECK_EQ(bide_getaddrinfo(longest, NULL, NULL, &found), -EINVAL);
    longest[1024] = '\0';
    CHECK_EQ(bide_getaddrinfo(longest, NULL, NULL, &found), -ENOENT);
    CHECK_EQ(bide_getaddrinfo(NULL, NULL, NULL, &found), -EINVAL);
    CHECK_EQ(bide_getaddrinfo("", "80", NULL, &found), -ENOENT);
    CHECK_EQ(bide_getaddrinfo("both.test", "80", &odd, &found), -EAFNOSUPPORT);
    CHECK_EQ(bide_getaddrinfo("both.test", "80", &numeric, &found), -ENOENT);
    CHECK_EQ(bide_getaddrinfo("both.test", "nosuch", NULL, &found), -EPROTONOSUPPORT);
    CHECK(found == NULL);
    bide_addresses_free(NULL);
    return 0;
}

/*
 * Goal:   a list comes as the resolver gave it, with the port, one family or its canonical name
 *         when asked for; what cannot be asked is told apart.
 * Method: a name with three addresses of two families; bad questions.
 */
TEST(names, answers_are_the_resolvers)
{
    stub_names[0] =
        (struct stub_name){"both.test", {"2001:db8::1", "192.0.2.7", "2001:db8::2"}, 0, 0};
    CHECK_EQ(run(finds_addresses, NULL), 0);
}

static int each_error(void *arg)
{
    static const struct {
        int code, system_error, expected;
    } errors[] = {
        {EAI_NONAME, 0, -ENOENT},
        {EAI_NODATA, 0, -ENODATA},
        {EAI_ADDRFAMILY, 0, -ENODATA},
        {EAI_AGAIN, 0, -EAGAIN},
        {EAI_FAIL, 0, -EIO},
        {EAI_SERVICE, 0, -EPROTONOSUPPORT},
        {EAI_FAMILY, 0, -EAFNOSUPPORT},
        {EAI_MEMORY, 0, -ENOMEM},
        {EAI_SYSTEM, EMFILE, -EMFILE},
        {EAI_SYSTEM, ETIMEDOUT, -EAGAIN},
        {EAI_SYSTEM, ECANCELED, -EAGAIN},
        {EAI_SYSTEM, 0, -EIO},
        {EAI_BADFLAGS, 0, -EINVAL},
        {EAI_SOCKTYPE, 0, -EIO},
    };

    (void)arg;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        bide_addresses *found = NULL;

        stub_names[0] =
            (struct stub_name){"error.test", {NULL}, errors[i].code, errors[i].system_error};
        CHECK_EQ(bide_getaddrinfo("error.test", "80", NULL, &found), errors[i].expected);
        CHECK(found == NULL);
    }
    return 0;
}

/*
 * Goal:   each error of the resolver has its errno, none of which looks like a cancel.
 * Method: a name for which the resolver fails in every way.
 */
TEST(names, resolver_errors_become_errnos)
{
    CHECK_EQ(run(each_error, NULL), 0);
}

static int asks_nobody(void *arg)
{
    static const struct {
        const char *host, *first, *second;
    } known[] = {
        {"127.0.0.1", "127.0.0.1:80", NULL},        {"::1", "[::1]:80", NULL},
        {"fe80::1%1", "[fe80::1%1]:80", NULL},      {"localhost", "127.0.0.1:80", "[::1]:80"},
        {"LocalHost.", "127.0.0.1:80", "[::1]:80"}, {"a.b.localhost", "127.0.0.1:80", "[::1]:80"},
        {NULL, "127.0.0.1:80", "[::1]:80"},
    };
    static const char *const unknown[] = {"x.invalid", "invalid.", "127.1",   "0x7f.0.0.1",
                                          "256.1.1.1", "1.2.3.4.", "12345678"};
    const bide_lookup_options v4 = {.family = AF_INET}, v6 = {.family = AF_INET6},
                              passive = {.passive = true}, canonical = {.canonical = true};
    bide_addresses *found;

    (void)arg;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        CHECK_EQ(bide_getaddrinfo(known[i].host, "80", NULL, &found), 0);
        CHECK_STR(text_of(found, 0), known[i].first);
        CHECK_EQ(found->count, known[i].second == NULL ? 1 : 2);
        if (known[i].second != NULL)
            CHECK_STR(text_of(found, 1), known[i].second);
        bide_addresses_free(found);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        CHECK_EQ(bide_getaddrinfo(unknown[i], "80", NULL, &found), -ENOENT);
    CHECK_EQ(bide_getaddrinfo("127.0.0.1", "80", &v6, &found), -ENODATA);
    CHECK_EQ(bide_getaddrinfo("localhost", "80", &v4, &found), 0);
    CHECK_EQ(found->count, 1);
    bide_addresses_free(found);
    CHECK_EQ(bide_getaddrinfo(NULL, "80", &passive, &found), 0);
    CHECK_STR(text_of(found, 0), "[::]:80");
    CHECK_STR(text_of(found, 1), "0.0.0.0:80");
    bide_addresses_free(found);
    CHECK_EQ(bide_getaddrinfo("127.0.0.1", "80", &canonical, &found), 0);
    CHECK_STR(found->canonical_name, "127.0.0.1");
    bide_addresses_free(found);
    CHECK_EQ(atomic_load(&stub_calls), 0);
    CHECK_EQ(bide__fault_count(BIDE__CALL_THREAD), 0);
    return 0;
}

/*
 * Goal:   numeric names, localhost and .invalid are answered without the resolver or a thread, and
 *         what only looks like an address is a name that nobody has.
 * Method: each form, with families; count calls and threads.
 */
TEST(names, special_names_ask_nobody)
{
    CHECK_EQ(run(asks_nobody, NULL), 0);
}

static async(int, looks_up, int, number, bide_time, limit)
{
    bide_addresses *found;
    char host[32];
    int err = -1;

    snprintf(host, sizeof host, "hang-%d.test", number);
    with_timeout (limit)
        err = bide_getaddrinfo(host, "80", NULL, &found);
    if (err == 0)
        bide_addresses_free(found);
    return err;
}

static async(int, computes, int, number)
{
    return number + 1;
}

static int hundred_hang(void *arg)
{
    bide_task(int) tasks[100];
    bide_stats stats;
    int running;

    (void)arg;
    for (int i = 0; i < 100; i++)
        tasks[i] = spawn(looks_up, i, BIDE_MS(300));
    for (int i = 0; i < 20; i++) { /* meanwhile */
        task(int) work = offload(computes, i);
        CHECK_EQ(await(work), i + 1);
    }
    for (int i = 0; i < 100; i++)
        CHECK_EQ(await(tasks[i]), -ETIMEDOUT);
    running = atomic_load(&stub_calls); /* as many as there are threads for names */
    CHECK(running > 0 && running <= 8);
    for (int i = 0; i < 12; i++) { /* and now those that wait for one of them */
        task(int) late = spawn(looks_up, 200 + i, BIDE_SEC(50));
        bide_sleep(BIDE_MS(1));
        CHECK(!is_done(late));
        cancel(late);
        CHECK_EQ(await(late), -ECANCELED);
    }
    CHECK(atomic_load(&stub_inside) <= 8);
    bide_loop_stats(&stats);
    CHECK_EQ(stats.tasks_failed, 0);
    return 0;
}

/*
 * Goal:   a resolver that hangs stops nothing but lookups: they end in time, offloaded work goes
 *         on, and the loop's end waits for no thread (libuv issue 28).
 * Method: a hundred lookups of different names, none answered; after the loop has ended, let the
 *         threads go: what they hold is freed (the address sanitizer's word).
 */
TEST(names, hung_lookups_stop_nothing_else)
{
    int before = test_open_fds();

    CHECK_EQ(bide_run(hundred_hang, NULL, NULL), 0);
    CHECK(atomic_load(&stub_inside) > 0);
    stub_drain();
    stub_expect_descriptors(before);
}

static void wait_for_calls(int count)
{
    while (atomic_load(&stub_inside) < count)
        bide_sleep(BIDE_MS(1));
}

static int late_answers(void *arg)
{
    bide_task(int) tasks[2], patient;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        tasks[i] = spawn(looks_up, i, BIDE_SEC(50));
        wait_for_calls(1 + i);
        cancel(tasks[i]);
        CHECK_EQ(await(tasks[i]), -ECANCELED);
    }
    patient = spawn(looks_up, 1, BIDE_SEC(50)); /* the same: it joins the thread that hangs */
    bide_sleep(BIDE_MS(5));
    CHECK_EQ(atomic_load(&stub_calls), 2);
    stub_release();
    CHECK_EQ(await(patient), 0);
    while (atomic_load(&stub_inside) > 0)
        bide_sleep(BIDE_MS(1));
    bide_sleep(BIDE_MS(10)); /* the answer that nobody waits for comes back as well */
    return 0;
}

/*
 * Goal:   answers that come after their task has gone are thrown away, unless another task has
 *         asked the same meanwhile.
 * Method: cancel two lookups, ask one of them again, let the resolver answer.
 */
TEST(names, late_answers_are_thrown_away)
{
    CHECK_EQ(run(late_answers, NULL), 0);
}

static int shares(void *arg)
{
    bide_task(int) tasks[10];

    (void)arg;
    for (int i = 0; i < 10; i++)
        tasks[i] = spawn(looks_up, 7, BIDE_SEC(50));
    wait_for_calls(1);
    cancel(tasks[0]); /* who asked first */
    cancel(tasks[5]);
    bide_yield();
    stub_release();
    for (int i = 0; i < 10; i++)
        CHECK_EQ(await(tasks[i]), i % 5 == 0 ? -ECANCELED : 0);
    CHECK_EQ(atomic_load(&stub_calls), 1);
    return 0;
}

/*
 * Goal:   tasks that ask the same share one question, and it outlives whoever asked first.
 * Method: ten tasks, two cancelled while the thread hangs; the others have an answer each.
 */
TEST(names, same_question_is_asked_once)
{
    CHECK_EQ(run(shares, NULL), 0);
}

static int cancels_everywhere(void *arg)
{
    bide_task(int) tasks[6];

    (void)arg;
    /* One runs, two are queued, three wait for room in the queue. */
    for (int i = 0; i < 6; i++)
        tasks[i] = spawn(looks_up, i, BIDE_SEC(50));
    wait_for_calls(1);
    bide_sleep(BIDE_MS(1));
    for (int i = 5; i >= 0; i -= 2) {
        cancel(tasks[i]);
        CHECK_EQ(await(tasks[i]), -ECANCELED);
    }
    cancel(tasks[0]);
    CHECK_EQ(await(tasks[0]), -ECANCELED);
    task(int) never = spawn(looks_up, 9, BIDE_SEC(50));
    cancel(never); /* before it runs */
    CHECK_EQ(await(never), -ECANCELED);
    stub_release();
    CHECK_EQ(await(tasks[2]), 0);
    CHECK_EQ(await(tasks[4]), 0);
    CHECK_EQ(atomic_load(&stub_calls), 3);
    return 0;
}

/*
 * Goal:   a lookup can be cancelled wherever it waits; what was not begun never runs.
 * Method: one thread and a queue of two: cancel one that runs, that is queued, that waits for room,
 *         and that has not asked.
 */
TEST(names, cancel_works_wherever_it_waits)
{
    const bide_options options = {.name_threads_max = 1, .jobs_max = 2};

    CHECK_EQ(run_with(cancels_everywhere, NULL, &options), 0);
}

static async(int, ends_late, bide_time, limit)
{
    bide_addresses *found;
    int err = -1;

    with_shield (limit)
        err = bide_getaddrinfo("hang-late.test", NULL, NULL, &found);
    if (err == 0)
        bide_addresses_free(found);
    CHECK_EQ(err, -ETIMEDOUT);
    return 0;
}

static int leaves_them(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        go(ends_late, BIDE_MS(20));
    for (int i = 0; i < 3; i++)
        go(looks_up, i, BIDE_SEC(50));
    bide_sleep(BIDE_MS(5));
    return 0;
}

/*
 * Goal:   the loop may end while lookups hang, are queued and are waited for under a shield.
 * Method: return while they do; one thread, so that some are queued.
 */
TEST(names, loop_ends_while_lookups_hang)
{
    const bide_options options = {.name_threads_max = 1};

    CHECK_EQ(run_with(leaves_them, NULL, &options), 0);
}

static int runs_short(void *arg)
{
    const bide_names_cache_options cache = {.ttl_ns = BIDE_SEC(1)};
    bide_addresses *found = NULL;
    uint64_t nth = 1;
    int err;

    (void)arg;
    CHECK_EQ(bide_getaddrinfo("any.test", "80", NULL, &found), 0); /* the pool is there now */
    bide_addresses_free(found);
    found = NULL;
    do {
        bide__fault_fail(BIDE__CALL_ALLOC, nth++, 1, -ENOMEM);
        err = bide_getaddrinfo("any.test", "80", NULL, &found);
        CHECK_EQ(err, err == 0 ? 0 : -ENOMEM);
        CHECK((found == NULL) == (err < 0));
    } while (err < 0);
    CHECK_EQ(nth, 5); /* the question, the list, the answer; then none is left to fail */
    bide_addresses_free(found);
    bide__fault_reset();
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    CHECK_EQ(bide_names_cache(&cache), -ENOMEM);
    CHECK_EQ(bide_names_cache(&cache), 0);
    for (nth = 4; nth <= 5; nth++) { /* what it remembers is less important than the answer */
        bide__fault_fail(BIDE__CALL_ALLOC, nth, 1, -ENOMEM);
        CHECK_EQ(bide_getaddrinfo("any.test", "80", NULL, &found), 0);
        bide_addresses_free(found);
        CHECK_EQ(bide_names_cache(NULL), 0);
        bide__fault_reset();
        CHECK_EQ(bide_names_cache(&cache), 0);
    }
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM);
    CHECK_EQ(bide_getaddrinfo("127.0.0.1", "80", NULL, &found), -ENOMEM);
    return 0;
}

/*
 * Goal:   without memory a lookup fails, leaks nothing, and the next one works.
 * Method: every allocation failing in turn.
 */
TEST(names, allocations_may_fail)
{
    CHECK_EQ(run(runs_short, NULL), 0);
}

static int has_no_thread(void *arg)
{
    bide_addresses *found;

    (void)arg;
    bide__fault_fail(BIDE__CALL_ALLOC, 1, 1, -ENOMEM); /* what the loop has of names */
    CHECK_EQ(bide_getaddrinfo("any.test", "80", NULL, &found), -ENOMEM);
    bide__fault_fail(BIDE__CALL_THREAD, 1, 1, -EAGAIN);
    CHECK_EQ(bide_getaddrinfo("any.test", "80", NULL, &found), -EAGAIN);
    CHECK_EQ(bide_getaddrinfo("any.test", "80", NULL, &found), 0);
    bide_addresses_free(found);
    return 0;
}

/*
 * Goal:   without a thread a lookup fails, and the next one works.
 * Method: the first thread failing, and the loop's own memory before it.
 */
TEST(names, threads_may_fail)
{
    CHECK_EQ(run(has_no_thread, NULL), 0);
}

static int is_canceled(void *arg)
{
    bide_addresses *found = NULL;
    bide_scope scope = BIDE_SCOPE_INIT;
    bide_address address;
    char host[64] = "as it was";

    (void)arg;
    CHECK_EQ(bide_address_parse("tcp://127.0.0.1:80", &address), 0);
    bide_scope_cancel(&scope);
    with_scope (&scope) {
        CHECK_EQ(bide_getaddrinfo("127.0.0.1", "80", NULL, &found), -ECANCELED);
        CHECK_EQ(bide_getaddrinfo("any.test", "80", NULL, &found), -ECANCELED);
        CHECK_EQ(bide_getnameinfo(&address, host, sizeof host, NULL, 0, NI_NUMERICHOST),
                 -ECANCELED);
    }
    CHECK(found == NULL);
    CHECK_STR(host, "as it was");
    CHECK_EQ(atomic_load(&stub_calls), 0);
    return 0;
}

/*
 * Goal:   in a scope that has fired nothing is asked, not even what needs nobody.
 * Method: cancel, then call.
 */
TEST(names, fired_scope_is_seen_first)
{
    CHECK_EQ(run(is_canceled, NULL), 0);
}

/*
 * Goal:   outside of a task a lookup is a mistake with a line that says so.
 * Method: call it without a loop.
 */
TEST(names, outside_a_task_is_a_mistake)
{
    bide_addresses *found;

    EXPECT_DEATH(bide_getaddrinfo("any.test", NULL, NULL, &found), "bide_getaddrinfo");
}
