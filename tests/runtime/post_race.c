/* SPDX-License-Identifier: MIT */
/*
 * post_race.c - posts against what happens at the same moment: signal handlers, the loop's end, and
 * its finding that nobody is left who could wake it.
 */
#include <bide.h>
#include <bide/testing.h>

#include <bide/short.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "context/sanitizer.h"
#include "reports.h"
#include "test.h"

enum { SLOTS = 1024 };

static long scaled(long count)
{
    if (getenv("BIDE_TEST_LONG") != NULL)
        return count * 100;
    if (TEST_UNDER_VALGRIND() || TEST_UNDER_QEMU())
        return count / 50;
    return TEST_UNDER_SANITIZER() ? count / 5 : count;
}

/* --- Signal handlers */

static bide_loop *held;
static long ran;
static atomic_long accepted, refused;
static atomic_bool stop;

static void counts(void *arg)
{
    (void)arg;
    ran++;
}

static bool posts_one(void)
{
    int err = bide_post(held, counts, NULL);

    CHECK(err == 0 || err == -EAGAIN);
    atomic_fetch_add(err == 0 ? &accepted : &refused, 1);
    return err == 0;
}

static void on_signal(int number)
{
    int before = errno;

    errno = 4711 + number;
    posts_one();
    posts_one();
    CHECK_EQ(errno, 4711 + number);
    errno = before;
}

static pthread_t loop_thread;

/* Posts, and lets signals interrupt both the loop and other posts of its own. */
static void *posts_and_signals(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        posts_one();
        pthread_kill(loop_thread, SIGUSR1);
        pthread_kill(pthread_self(), SIGUSR2);
        posts_one();
    }
    return NULL;
}

static int lives_in_a_storm(void *arg)
{
    struct itimerval every = {{.tv_usec = 50}, {.tv_usec = 50}}, never = {{0}, {0}};
    long enough = scaled(200000);
    pthread_t thread;

    (void)arg;
    held = bide_loop_hold(NULL);
    loop_thread = pthread_self();
    CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
    CHECK_EQ(pthread_create(&thread, NULL, posts_and_signals, NULL), 0);
    while (ran < enough) {
        for (int i = 0; i < 20; i++)
            posts_one();
        CHECK_EQ(bide_sleep(1000), 0);
        CHECK_EQ(bide_yield(), 0);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
    CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(ran, atomic_load(&accepted));
    for (int i = 0; i < SLOTS; i++) /* none has leaked */
        CHECK(posts_one());
    CHECK_EQ(bide_post(held, counts, NULL), -EAGAIN);
    return 0;
}

/*
 * Goal:   posts of signal handlers that interrupt the loop, its own posts, and those of a thread
 *         are run, each once; no slot is lost, and errno is kept.
 * Method: a timer of 20 kHz and two threads' storms of signals, while both post; counted, and in
 *         the end all slots are filled.
 */
/* timeout: 300 */
TEST(post_race, handlers_that_interrupt_posts_lose_nothing)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGUSR2, &action, NULL), 0);
    CHECK_EQ(bide_run(lives_in_a_storm, NULL, NULL), 0);
    CHECK_EQ(ran, atomic_load(&accepted));
    bide_loop_release(held);
}

static bide_event happened;
static bide_loop *asleep;

static void sets_event(void *arg)
{
    bide_event_set(arg);
}

static void wakes(int number)
{
    int before = errno;

    (void)number;
    bide_post(asleep, sets_event, &happened);
    errno = before;
}

static int waits_for_signals(void *arg)
{
    struct itimerval soon = {.it_value = {.tv_usec = 200}};

    (void)arg;
    asleep = bide_loop_hold(NULL);
    for (long i = 0; i < scaled(500); i++) {
        bide_event_clear(&happened);
        soon.it_value.tv_usec = (suseconds_t)(1 + i % 50);
        CHECK_EQ(setitimer(ITIMER_REAL, &soon, NULL), 0);
        CHECK_EQ(bide_event_wait(&happened), 0);
    }
    bide_loop_release(asleep);
    return 0;
}

/*
 * Goal:   a handler that runs on the loop's own thread wakes it, at whatever instruction of falling
 *         asleep it came.
 * Method: a timer of 1 to 50 microseconds, again and again; both hosts.
 */
TEST(post_race, handler_wakes_the_loop_it_interrupts)
{
    struct sigaction action = {.sa_handler = wakes};

#ifdef BIDE__TSAN
    SKIP("ThreadSanitizer puts handlers off until a call that it knows, and epoll_pwait2 is none");
#endif
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(bide_run(waits_for_signals, NULL, NULL), 0);
    CHECK_EQ(bide_test_run(waits_for_signals, NULL, 0, NULL), 0);
}

/* --- The loop's end */

struct end {
    bide_loop *loop;
    pthread_barrier_t start;
    pthread_t threads[2];
    atomic_long accepted, refused;
    long ran;
    bool is_virtual;
};

static void counts_in(void *arg)
{
    ((struct end *)arg)->ran++;
}

static void *posts_until_refused(void *arg)
{
    struct end *end = arg;
    int err;

    pthread_barrier_wait(&end->start);
    do {
        err = bide_post(end->loop, counts_in, end);
        CHECK(err == 0 || err == -EAGAIN || err == -ESHUTDOWN);
        if (err == 0)
            atomic_fetch_add(&end->accepted, 1);
    } while (err != -ESHUTDOWN);
    bide_loop_release(end->loop);
    return NULL;
}

static int ends_soon(void *arg)
{
    struct end *end = arg;

    end->loop = bide_loop_hold(NULL);
    bide_loop_hold(end->loop);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&end->threads[i], NULL, posts_until_refused, end), 0);
    pthread_barrier_wait(&end->start);
    return bide_yield();
}

/*
 * Goal:   posts that race with the end of the loop are either run, once, or refused (fault 42); who
 *         lets go last frees what is left.
 * Method: 2,000 loops, on either host, with two threads that post until they are refused.
 */
/* timeout: 300 */
TEST(post_race, posts_at_the_end_are_run_or_refused)
{
    int fds = test_open_fds();

    for (long i = 0; i < scaled(2000); i++) {
        struct end end = {.is_virtual = i % 2 != 0};
        pthread_barrier_init(&end.start, NULL, 3);
        if (end.is_virtual)
            CHECK_EQ(bide_test_run(ends_soon, &end, 0, NULL), 0);
        else
            CHECK_EQ(bide_run(ends_soon, &end, NULL), 0);
        for (int thread = 0; thread < 2; thread++)
            pthread_join(end.threads[thread], NULL);
        CHECK_EQ(end.ran, atomic_load(&end.accepted));
        pthread_barrier_destroy(&end.start);
    }
    CHECK_EQ(test_open_fds(), fds);
}

static async(int, job)
{
    return 1;
}

static int lates;

static async(int, lingers)
{
    static bide_event never;

    with_shield (BIDE_FOREVER) {
        lates++;
        CHECK(await(offload(job)) < 0);
        CHECK(bide_event_wait(&never) < 0);
    }
    return 0;
}

static void spawns_late(void *arg)
{
    (void)arg;
    go(lingers);
}

static int posts_and_ends(void *arg)
{
    held = bide_loop_hold(NULL);
    return bide_post(held, spawns_late, arg);
}

/*
 * Goal:   a task that only a last post has spawned is run to its end; where nothing can wake it any
 *         more this is found, although the loop is held: posts are refused by now. So are jobs,
 *         which could not come back.
 * Method: it offloads, then waits under a shield.
 */
TEST(post_race, tasks_of_the_last_posts_end_or_are_found_asleep)
{
    struct reports seen = {0};
    bide_options options = REPORTS_INTO(&seen);

    CHECK_EQ(bide_run(posts_and_ends, NULL, &options), -EDEADLK);
    CHECK_EQ(lates, 1);
    CHECK(reports_of(&seen, BIDE_REPORT_DEADLOCK) > 0);
    CHECK_EQ(bide_post(held, counts, NULL), -ESHUTDOWN);
    bide_loop_release(held);
}

/* --- Deadlocks */

struct waiting {
    bide_loop *loop;
    bide_event event;
    atomic_int round;
    int posts; /* before it lets go */
    int ran;
};

static void posted(void *arg)
{
    struct waiting *waiting = arg;

    if (++waiting->ran == waiting->posts)
        bide_event_set(&waiting->event);
}

/* Lets go at another moment each time. */
static void *lets_go(void *arg)
{
    struct waiting *waiting = arg;
    int round = atomic_load(&waiting->round);

    for (volatile int i = 0; i < round * 7 % 2000; i++)
        ;
    for (int i = 0; i < waiting->posts; i++)
        CHECK_EQ(bide_post(waiting->loop, posted, waiting), 0);
    bide_loop_release(waiting->loop);
    return NULL;
}

static int waits_beside(void *arg)
{
    struct waiting *waiting = arg;
    pthread_t thread;
    int err;

    waiting->loop = bide_loop_hold(NULL);
    CHECK_EQ(pthread_create(&thread, NULL, lets_go, waiting), 0);
    CHECK_EQ(bide_event_wait(&waiting->event), waiting->posts > 0 ? 0 : -ECANCELED);
    err = bide_canceled();
    pthread_join(thread, NULL);
    return err;
}

/*
 * Goal:   as long as somebody holds a loop its sleep is no deadlock; when the last one lets go it
 *         is, at whatever moment that comes.
 * Method: thousands of loops, on either host, whose one task sleeps while a thread lets go, a
 *         little later each time.
 */
/* timeout: 300 */
TEST(post_race, deadlock_is_found_when_the_last_holder_lets_go)
{
    for (long round = 0; round < scaled(5000); round++) {
        struct reports seen = {0};
        bide_options options = REPORTS_INTO(&seen);
        struct waiting waiting = {.round = (int)round};
        if (round % 2 == 0)
            CHECK_EQ(bide_run(waits_beside, &waiting, &options), -EDEADLK);
        else
            CHECK_EQ(bide_test_run(waits_beside, &waiting, 0, &options), -EDEADLK);
        CHECK_EQ(reports_of(&seen, BIDE_REPORT_DEADLOCK), 2);
    }
}

/*
 * Goal:   a post that comes right before its poster lets go is no deadlock either.
 * Method: as above, with one to three posts.
 */
/* timeout: 300 */
TEST(post_race, posts_before_letting_go_are_no_deadlock)
{
    for (long round = 0; round < scaled(10000); round++) {
        struct waiting waiting = {.round = (int)round, .posts = 1 + (int)round % 3};
        if (round % 2 == 0)
            CHECK_EQ(bide_run(waits_beside, &waiting, NULL), 0);
        else
            CHECK_EQ(bide_test_run(waits_beside, &waiting, 0, NULL), 0);
    }
}

static void *holds_and_lets_go(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        bide_loop *again = bide_loop_hold(arg);
        CHECK(again == arg);
        bide_loop_release(again);
    }
    bide_loop_release(arg);
    return NULL;
}

static int is_held_by_many(void *arg)
{
    pthread_t threads[4];

    (void)arg;
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, holds_and_lets_go, bide_loop_hold(NULL)), 0);
    for (int i = 0; i < 4; i++)
        pthread_detach(threads[i]);
    return bide_yield();
}

/*
 * Goal:   holders that come and go while the loop ends leave nothing behind.
 * Method: four threads hold and let go, past the end of it; LeakSanitizer and descriptors.
 */
TEST(post_race, holders_may_outlive_the_loop)
{
    int fds = test_open_fds();

    for (long i = 0; i < scaled(100); i++)
        CHECK_EQ(bide_run(is_held_by_many, NULL, NULL), 0);
    while (test_open_fds() > fds) /* until the last thread has let go */
        sched_yield();
}
