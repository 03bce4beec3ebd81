/* SPDX-License-Identifier: MIT */
/*
 * testing.c - the kit for users' tests: trying seeds, and making calls fail by their names.
 */
#include <bide/testing.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#ifdef BIDE_FAULTS
#include "base/fault.h"
#endif

/*
 * The run that is being tried, for a run that ends in abort(): its seed would be lost with it. The
 * line is made before the run, since the handler may call hardly anything.
 */
struct trial {
    char line[128];
    size_t length;
    struct sigaction before;
    struct trial *outer; /* a run may try seeds of its own */
};

static struct trial *trial;

static void on_abort(int number)
{
    const struct trial *aborted = trial;

    if (write(STDERR_FILENO, aborted->line, aborted->length) < 0)
        return; /* nobody reads it, and abort() goes on by itself */
    sigaction(number, &aborted->before, NULL);
    trial = aborted->outer;
    raise(number); /* whoever handled it before does so now */
}

static int try_seed(int (*fn)(void *arg), void *arg, uint64_t seed, const bide_options *options)
{
    struct trial self = {.outer = trial};
    struct sigaction action = {.sa_handler = on_abort, .sa_flags = SA_ONSTACK};
    int result;

    self.length =
        (size_t)snprintf(self.line, sizeof self.line,
                         "bide: seed %llu aborted: run it again with BIDE_TEST_SEED=%llu\n",
                         (unsigned long long)seed, (unsigned long long)seed);
    bide__assert(self.length < sizeof self.line);
    trial = &self;
    sigaction(SIGABRT, &action, &self.before);
    result = bide_test_run(fn, arg, seed, options);
    sigaction(SIGABRT, &self.before, NULL);
    trial = self.outer;
    return result;
}

static void report_seed(uint64_t seed, int result, const bide_options *options)
{
    char message[160];
    const bide_report report = {
        .kind = BIDE_REPORT_SEED, .error = result, .task = "", .message = message};

    snprintf(message, sizeof message,
             "seed %llu failed with %d: run it again with bide_test_run(fn, arg, %llu, ...), or "
             "with BIDE_TEST_SEED=%llu",
             (unsigned long long)seed, result, (unsigned long long)seed, (unsigned long long)seed);
    if (options != NULL && options->on_report != NULL)
        options->on_report(&report, options->report_arg);
    else
        bide__say("%s", message);
}

/* The seed that the environment asks for. 1 when it does, 0 when not, -EINVAL for no number. */
static int asked_seed(uint64_t *seed)
{
    const char *text = getenv("BIDE_TEST_SEED");
    char *end;

    if (text == NULL || *text == '\0')
        return 0;
    errno = 0;
    *seed = strtoull(text, &end, 0);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0)
        return 1;
    bide__say("BIDE_TEST_SEED is '%s'; it must be a number from 0 to 2^64 - 1, or not set", text);
    return -EINVAL;
}

int bide_test_seeds(int (*fn)(void *arg), void *arg, uint64_t first, uint64_t count,
                    const bide_options *options, uint64_t *failed)
{
    int asked = asked_seed(&first);

    if (asked < 0)
        return asked;
    if (asked > 0 && count > 1)
        count = 1;
    for (uint64_t seed = first; count > 0; seed++, count--) {
        int result = try_seed(fn, arg, seed, options);
        if (result == 0)
            continue;
        report_seed(seed, result, options);
        if (failed != NULL)
            *failed = seed;
        return result;
    }
    return 0;
}

#ifdef BIDE_FAULTS

int bide_test_fail(const char *call, uint64_t nth, uint64_t times, int error)
{
    int named = bide__fault_named(call);

    if (named < 0 || nth == 0 || times == 0 || error >= 0)
        return -EINVAL;
    bide__fault_fail((enum bide__call)named, nth, times, error);
    return 0;
}

int bide_test_limit(const char *call, size_t bytes)
{
    int named = bide__fault_named(call);

    if (named != BIDE__CALL_RECV && named != BIDE__CALL_SEND)
        return -EINVAL;
    bide__fault_limit((enum bide__call)named, bytes);
    return 0;
}

int64_t bide_test_count(const char *call)
{
    int named = bide__fault_named(call);

    return named < 0 ? named : (int64_t)bide__fault_count((enum bide__call)named);
}

void bide_test_reset(void)
{
    bide__fault_reset();
}

#else

int bide_test_fail(const char *call, uint64_t nth, uint64_t times, int error)
{
    (void)call, (void)nth, (void)times, (void)error;
    return -EOPNOTSUPP;
}

int bide_test_limit(const char *call, size_t bytes)
{
    (void)call, (void)bytes;
    return -EOPNOTSUPP;
}

int64_t bide_test_count(const char *call)
{
    (void)call;
    return -EOPNOTSUPP;
}

void bide_test_reset(void) {}

#endif
