/* SPDX-License-Identifier: MIT */
/*
 * inotify.c - events of real files, one at a time and as a channel.
 */
#include "io/inotify_place.h"

static async(int, takes, bide_inotify *, inotify, bide_inotify_event *, event)
{
    return bide_inotify_next(inotify, event);
}

static int tells_everything(void *arg)
{
    char long_name[NAME_MAX + 1] = "", from[512], to[512];
    bide_inotify *inotify = watch_place(IN_CREATE | IN_MODIFY | IN_DELETE | IN_MOVE);
    bide_inotify_event event;
    uint32_t cookie;
    int watch;

    (void)arg;
    CHECK(is_quiet(inotify));
    touch("one", "x");
    expect(inotify, IN_CREATE, "one");
    expect(inotify, IN_MODIFY, "one");
    CHECK(is_quiet(inotify));

    task(int) taker = spawn(takes, inotify, &event);
    bide_sleep(BIDE_MS(1));
    CHECK(!is_done(taker));
    in_place("one", from);
    in_place("two", to);
    CHECK_EQ(rename(from, to), 0);
    CHECK_EQ(await(taker), 0);
    CHECK_EQ(event.mask, IN_MOVED_FROM);
    CHECK_STR(event.name, "one");
    CHECK(event.cookie != 0);
    cookie = event.cookie;
    CHECK_EQ(bide_inotify_next(inotify, &event), 0);
    CHECK_EQ(event.mask, IN_MOVED_TO);
    CHECK_STR(event.name, "two");
    CHECK_EQ(event.cookie, cookie);

    memset(long_name, 'n', NAME_MAX);
    touch(long_name, "");
    expect(inotify, IN_CREATE, long_name);
    in_place("directory", to);
    CHECK_EQ(mkdir(to, 0700), 0);
    expect(inotify, IN_CREATE | IN_ISDIR, "directory");

    touch("itself", "x");
    expect(inotify, IN_CREATE, "itself");
    expect(inotify, IN_MODIFY, "itself");
    in_place("itself", from);
    watch = bide_inotify_add(inotify, from, IN_MODIFY);
    CHECK_EQ(bide_inotify_add(inotify, from, IN_ATTRIB), watch); /* the same file */
    CHECK_EQ(chmod(from, 0600), 0);
    CHECK_EQ(bide_inotify_next(inotify, &event), 0);
    CHECK_EQ(event.watch, watch);
    CHECK_EQ(event.mask, IN_ATTRIB);
    CHECK_STR(event.name, "");
    bide_inotify_close(inotify);
    bide_inotify_close(NULL);
    return 0;
}

/*
 * Goal:   each kind of event comes with its watch, mask, cookie and name, names of every length
 *         among them, to a task that waits and to one that comes later.
 * Method: create, write, rename, make a directory, change a file that is itself watched.
 */
TEST(inotify, events_come_with_their_names)
{
    CHECK_EQ(run(tells_everything, NULL), 0);
}

static int ends_watches(void *arg)
{
    bide_inotify *inotify;
    char path[512];
    int watch;

    (void)arg;
    touch("file", "x");
    in_place("file", path);
    CHECK_EQ(bide_inotify_open(&inotify), 0);
    watch = bide_inotify_add(inotify, path, IN_MODIFY | IN_DELETE_SELF);
    CHECK(watch > 0);
    touch("file", "x");
    CHECK_EQ(bide_inotify_remove(inotify, watch), 0);
    CHECK_EQ(bide_inotify_remove(inotify, watch), -EINVAL);
    expect(inotify, IN_MODIFY, ""); /* from before */
    expect(inotify, IN_IGNORED, "");
    CHECK(is_quiet(inotify));

    CHECK(bide_inotify_add(inotify, path, IN_MODIFY | IN_DELETE_SELF) != watch);
    delete ("file");
    expect(inotify, IN_DELETE_SELF, "");
    expect(inotify, IN_IGNORED, "");
    CHECK(is_quiet(inotify));
    bide_inotify_close(inotify);
    return 0;
}

/*
 * Goal:   a watch that is removed, or whose file goes, ends with IN_IGNORED and nothing after it.
 * Method: remove one with an event under way, delete the file of another.
 */
TEST(inotify, watches_end_with_ignored)
{
    CHECK_EQ(run(ends_watches, NULL), 0);
}

static long queue_limit(void)
{
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    long limit = -1;

    if (file != NULL && fscanf(file, "%ld", &limit) != 1)
        limit = -1;
    if (file != NULL)
        fclose(file);
    return limit;
}

static int overflows(void *arg)
{
    const bool by_channel = *(bool *)arg;
    const long limit = queue_limit();
    bide_inotify *inotify = watch_place(IN_ATTRIB);
    chan(bide_inotify_event) events = by_channel ? bide_inotify_events(inotify) : NULL;
    bide_inotify_event event;
    long count = 0;
    int err;

    flood(limit + 1000);
    do {
        err = by_channel ? chan_recv(events, &event) : bide_inotify_next(inotify, &event);
        CHECK_EQ(err, 0);
        if (event.mask == IN_Q_OVERFLOW)
            break;
        CHECK_STR(event.name, count % 2 == 0 ? "even" : "odd");
        count++;
    } while (true);
    CHECK_EQ(event.watch, -1);
    CHECK_EQ(count, limit);
    touch("even", "");
    flood(2);
    for (int i = 0; i < 2; i++) { /* and it goes on */
        err = by_channel ? chan_recv(events, &event) : bide_inotify_next(inotify, &event);
        CHECK_EQ(err, 0);
        CHECK_EQ(event.mask, IN_ATTRIB);
    }
    bide_inotify_close(inotify);
    return 0;
}

/*
 * Goal:   when the kernel had to drop events that is told, behind all those it kept, and later ones
 *         come again; by either way.
 * Method: a thousand events more than the kernel's limit while nobody takes any.
 */
TEST(inotify, overflow_is_told_in_its_place)
{
    bool ways[] = {false, true};

    if (queue_limit() < 0 || queue_limit() > 100000)
        SKIP("the kernel's limit of queued events is not known, or too high");
    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(overflows, &ways[i]), 0);
}

static int is_a_channel(void *arg)
{
    bide_inotify *inotify = watch_place(IN_CREATE);
    chan(int) numbers = chan_new(int, 1);
    chan(bide_inotify_event) events;
    bide_inotify_event event;
    int number = 0;

    (void)arg;
    task(int) taker = spawn(takes, inotify, &event);
    bide_yield();
    CHECK(bide_inotify_events(inotify) == NULL); /* it is taken */
    cancel(taker);
    CHECK_EQ(await(taker), -ECANCELED);

    touch("before", "");
    events = bide_inotify_events(inotify);
    CHECK(events != NULL && bide_inotify_events(inotify) == events);
    CHECK_EQ(bide_inotify_next(inotify, &event), -EBUSY);
    CHECK_EQ(select_any(on_recv(events, &event), on_recv(numbers, &number)), 0);
    CHECK_STR(event.name, "before");
    CHECK_EQ(select_any(on_recv(events, &event), on_recv(numbers, &number), on_after(BIDE_MS(2))),
             2);
    chan_send(numbers, 7);
    CHECK_EQ(select_any(on_recv(events, &event), on_recv(numbers, &number)), 1);
    CHECK_EQ(number, 7);
    touch("after", "");
    CHECK_EQ(select_any(on_recv(events, &event), on_recv(numbers, &number)), 0);
    CHECK_STR(event.name, "after");

    for (int i = 0; i < 100; i++) { /* more than it holds: the rest waits in the kernel */
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        touch(name, "");
        if (i % 10 == 0)
            bide_yield();
    }
    bide_sleep(BIDE_MS(2));
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(chan_recv(events, &event), 0);
        CHECK_EQ(atoi(event.name), i);
    }
    CHECK_EQ(chan_try_recv(events, &event), -EAGAIN);
    bide_inotify_close(inotify);
    chan_free(numbers);
    return 0;
}

/*
 * Goal:   events come as a channel, to be selected among others, in order and however many.
 * Method: select with another channel and a timer; a hundred files before anybody receives; the
 *         other way to take events is refused meanwhile.
 */
TEST(inotify, events_as_a_channel)
{
    CHECK_EQ(run(is_a_channel, NULL), 0);
}

static int spares_calls(void *arg)
{
    bide_inotify *inotify = watch_place(IN_CREATE);
    bide_stats before, after;

    (void)arg;
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        touch(name, "");
    }
    bide__fault_reset();
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        expect(inotify, IN_CREATE, name);
    }
    CHECK_EQ(bide__fault_count(BIDE__CALL_READ), 1);
    bide_loop_stats(&before);
    with_timeout (BIDE_MS(50)) {
        bide_inotify_event event;
        CHECK_EQ(bide_inotify_next(inotify, &event), -ETIMEDOUT);
    }
    bide_loop_stats(&after);
    CHECK_EQ(bide__fault_count(BIDE__CALL_READ), 1); /* known to be empty */
    CHECK(after.polls - before.polls <= 3);
    bide_inotify_close(inotify);
    return 0;
}

/*
 * Goal:   one read serves many events, and waiting costs nothing while nothing happens.
 * Method: fifty events at once; reads and polls counted.
 */
TEST(inotify, a_batch_costs_one_read)
{
    CHECK_EQ(run(spares_calls, NULL), 0);
}

static bide_inotify *left_open;
static chan(bide_inotify_event) left_events;

static int ends_with_it_open(void *arg)
{
    (void)arg;
    left_open = watch_place(IN_CREATE);
    left_events = bide_inotify_events(left_open);
    CHECK(left_events != NULL);
    bide_sleep(BIDE_MS(1));
    return 0;
}

/*
 * Goal:   the task that fills a channel keeps no loop from ending.
 * Method: return from the first task with it open.
 */
TEST(inotify, loop_ends_with_an_open_channel)
{
    snprintf(place, sizeof place, "/");
    CHECK_EQ(bide_run(ends_with_it_open, NULL, NULL), 0);
    chan_free(left_events); /* as their loop is gone, nothing else could */
    free(left_open);
}
