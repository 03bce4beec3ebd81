/* SPDX-License-Identifier: MIT */
/*
 * sync.c - seeded random programs over everything that tasks wait with.
 *
 * A seed makes a world of shared objects (sync_world.h) and a tree of tasks, in groups, which do
 * random things to them and to each other: the chaos. Meanwhile, whenever all sleep, a judge looks
 * at the ledger (sync_ledger.h), and somebody is canceled. When all have ended, the objects are
 * emptied and the ledger must balance. Then comes the quiet: on the same objects, without timeouts
 * and cancels, a fixed amount of work must get done (sync_quiet.h); what the chaos has broken shows
 * as a deadlock.
 *
 * A failure names its seed, which then runs alone with
 *
 *     BIDE_TEST_SEED=<seed> BIDE_STRESS_SEEDS=1 test_stress_sync <case>
 *
 * BIDE_STRESS_SEEDS is how many seeds to run, from BIDE_TEST_SEED on; BIDE_STRESS_SECONDS how long
 * the real loop is tried.
 */
#include "stress/sync_quiet.h"

#include <signal.h>
#include <time.h>

enum { ROUNDS = 100, ROUNDS_MOST = 5000, NESTING_MOST = 2 };

/* --- The chaos ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*perform)(struct actor *a);
    int weight;
} operations[] = {
    {"send", op_send, 12},          {"receive", op_receive, 12},    {"try", op_try, 6},
    {"select", op_select, 16},      {"queue", op_queue, 16},        {"join", op_join, 2},
    {"broadcast", op_broadcast, 4}, {"subscribe", op_subscribe, 5}, {"watch", op_watch, 6},
    {"mutex", op_mutex, 10},        {"cond", op_cond, 12},          {"sem", op_sem, 12},
    {"rwlock", op_rwlock, 14},      {"event", op_event, 6},         {"barrier", op_barrier, 6},
    {"once", op_once, 5},           {"waitgroup", op_waitgroup, 6}, {"rate", op_rate, 6},
    {"tick", op_tick, 3},           {"sleep", op_sleep, 6},         {"yield", op_yield, 3},
    {"children", op_children, 8},   {"group", op_group, 6},         {"sibling", op_sibling, 3},
    {"future", op_future, 16},      {"combine", op_combine, 8},     {"generator", op_generator, 6},
    {"for_each", op_for_each, 3},   {"local", op_local, 6},         {"close", op_close, 1},
};

static int draw_operation(struct actor *a)
{
    enum { COUNT = sizeof operations / sizeof *operations };
    static int total;
    int dice, i = 0;

    if (total == 0)
        for (int n = 0; n < COUNT; n++)
            total += operations[n].weight;
    for (dice = pick(a, total); dice >= operations[i].weight; i++)
        dice -= operations[i].weight;
    return i;
}

/* One operation, inside a scope of its own with something more in it. */
static void enclose(struct actor *a, bide_scope *scope, struct frame *frame, int i)
{
    bide_time time = some_time(a), inner = bide_now() + time;

    switch (pick(a, 6)) {
    case 0:
        frame->is_shielded = true;
        frame->due = inner;
        with_shield (time) {
            operations[i].perform(a);
        }
        frame->is_shielded = false;
        break;
    case 1:
    case 2:
        frame->due = inner < frame->due ? inner : frame->due;
        with_timeout (time) {
            operations[i].perform(a);
        }
        break;
    case 3:
        bide_scope_set_deadline(scope, BIDE_FOREVER);
        if (!bide_scope_fired(scope))
            frame->due = frame->scope_due = BIDE_FOREVER;
        /* fall through */
    default: operations[i].perform(a);
    }
}

static void perform(struct actor *a)
{
    int i = draw_operation(a);
    const char *before = a->operation;
    bide_scope scope = BIDE_SCOPE_INIT;
    struct frame frame = {
        .outer = a->frame, .scope = &scope, .due = BIDE_FOREVER, .scope_due = BIDE_FOREVER};

    w.operations_left--;
    a->operation = operations[i].name;
    if (one_in(a, 3)) {
        bide_time time = some_time(a);
        frame.due = frame.scope_due = bide_now() + time;
        bide_scope_set_timeout(&scope, time);
    }
    with_scope (&scope) {
        a->frame = &frame;
        enclose(a, &scope, &frame, i);
    }
    a->frame = frame.outer;
    MUST(!w.is_virtual || bide_canceled() == 0 || a->task->canceled != 0 || was_told(a, a->frame));
    if (bide_scope_fired(&scope))
        MUST(frame.was_canceled || !w.is_virtual || frame.scope_due <= bide_now());
    a->operation = before;
}

/* Another operation, or none, inside one. */
static void nested(struct actor *a)
{
    int count = a->nesting < NESTING_MOST ? pick(a, 3) : 0;

    a->nesting++;
    for (; count > 0 && w.operations_left > 0 && !w.is_over; count--)
        perform(a);
    a->nesting--;
}

static void act(struct actor *a)
{
    for (int n = 0; n < a->operations && w.operations_left > 0 && !w.is_over; n++) {
        if (a->start_pending && n == a->starts_at) {
            a->start_pending = false;
            bide_started(3 * a->number + 1);
        }
        perform(a);
        if (bide_canceled() != 0 && one_in(a, 3))
            break;
    }
}

/* The first of all tasks but main: a group of others. */
static async(void, begins, int, number)
{
    struct actor *a = &w.actors[number];

    a->task = bide__loop_here->current;
    troop_run(a, 2 + pick(a, 11), 40, 40);
    actor_over(a);
}

/* Cancel some scope that the actor is in. */
static void cancel_frame(struct actor *a, bool innermost)
{
    struct frame *frame = a->frame;

    while (frame != NULL && !innermost && frame->outer != NULL && below(&w.random, 2) == 0)
        frame = frame->outer;
    if (frame != NULL && frame->scope != NULL)
        bide_scope_cancel(frame->scope);
    if (frame != NULL)
        frame->was_canceled = true;
}

static void disturb(void)
{
    struct actor *a = &w.actors[1 + below(&w.random, w.actors_count - 1)];

    for (int i = 1; w.is_over && i < w.actors_count; i++)
        if (!w.actors[i].is_ended)
            cancel_frame(&w.actors[i], true);
    if (a->is_ended)
        return;
    switch (below(&w.random, 10)) {
    case 0:
    case 1:
    case 2: cancel_frame(a, false); break;
    case 3:
        if (a->handle != NULL)
            cancel(a->handle);
        break;
    case 4:
        if (a->troop == NULL || below(&w.random, 10) > 0)
            break;
        a->troop->was_ours |= a->troop->group.bide__code == 0;
        bide_group_cancel(&a->troop->group);
        break;
    default: break;
    }
}

static void chaos(void)
{
    struct actor *first = actor_new(&w.actors[0], 0);
    task(void) root = spawn(begins, first->number);

    for (int round = 0; w.living > 1; round++) {
        w.is_over = round > ROUNDS;
        MUST(round < ROUNDS_MOST);
        bide_sleep(BIDE_US(below(&w.random, 10)));
        MUST(bide_test_settle() == 0);
        judge();
        disturb();
    }
    await(root);
}

/* --- A program ------------------------------------------------------------------------------ */

static struct actor *main_actor(void)
{
    struct actor *a;

    w.actors_count = w.living = 0;
    a = actor_new(NULL, 0);
    a->task = bide__loop_here->current;
    return a;
}

/* Take out what is left of the chaos, and give up the futures. */
static void empty(struct actor *a)
{
    a->operation = "emptying";
    for (int i = 0; i < CHANS; i++)
        while (try_receive_from(a, i) == 0)
            continue;
    for (int i = 0; i < QUEUES; i++)
        while (try_get_from(a, i) == 0)
            queue_done(i);
    for (int i = 0; i < SLOTS; i++)
        if (w.slots[i] != NULL) {
            share_detach(w.slots[i]);
            w.slots[i] = NULL;
        }
    for (int i = 0; i < w.promises_count; i++)
        MUST(w.promises[i].shares == 0 && w.promises[i].is_over);
}

static int program(void *unused)
{
    bide_stats stats;

    (void)unused;
    world_make();
    main_actor();
    chaos();
    empty(&w.actors[0]);
    MUST(bide_test_settle() == 0);
    judge();
    must_balance();
    quiet(main_actor());
    empty(&w.actors[0]);
    judge();
    must_balance();
    bide_loop_stats(&stats);
    MUST(stats.tasks_living == 1);
    world_free();
    return 0;
}

/* Detached tasks may fail; all else is nothing that should happen. */
static void on_report(const bide_report *report, void *unused)
{
    (void)unused;
    if (report->kind == BIDE_REPORT_TASK_FAILED) {
        w.failures_seen++;
        return;
    }
    fprintf(stderr, "report: %s\n", report->message);
    w.reports++;
}

static void run_program(uint64_t seed, bool is_virtual)
{
    bide_options options = {.on_report = on_report};
    int result;

    world_clear(seed, is_virtual);
    alarm(is_virtual ? 60 : 120);
    result = is_virtual
                 ? bide_test_run(program, NULL, seed % 8 == 0 ? 0 : scatter(seed, 1), &options)
                 : bide_run(program, NULL, &options);
    alarm(0);
    MUST_OF(NULL, result == 0, "the program ends well");
    MUST_OF(NULL, w.reports == 0, "there is nothing to report");
}

/* --- The cases ------------------------------------------------------------------------------ */

static void on_signal(int number)
{
    fprintf(stderr, "signal %d (%s)\n", number, strsignal(number));
    tell_seed(actor_running());
    signal(number, SIG_DFL);
    raise(number);
}

static void on_death(void)
{
    tell_seed(actor_running());
}

/* What a sanitizer calls before it ends the process. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

/* A seed that ends otherwise than by a check is told as well. */
static void watch_out(void)
{
    static const int signals[] = {SIGABRT, SIGALRM, SIGSEGV, SIGBUS};

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (i < 2 || !TEST_UNDER_SANITIZER())
            sigaction(signals[i],
                      &(struct sigaction){.sa_handler = on_signal, .sa_flags = SA_ONSTACK}, NULL);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(on_death);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

static time_t seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/*
 * Goal:   whatever tasks do to each other, nothing is lost, doubled or left behind, and nobody
 *         waits for what is there.
 * Method: 10,000 programs on the virtual clock, 1,000 where each takes ten times as long: under
 *         valgrind, qemu and sanitizers. The seed makes the program, and permutes the ready tasks.
 */
TEST(sync, ten_thousand_random_programs)
{
    bool is_slow = TEST_UNDER_SANITIZER() || TEST_UNDER_VALGRIND() || TEST_UNDER_QEMU();
    uint64_t count = from_environment("BIDE_STRESS_SEEDS", is_slow ? 1000 : 10000);

    watch_out();
    for (uint64_t seed = test_seed(); count > 0; seed++, count--)
        run_program(seed, true);
    for (struct outcomes *of = outcomes; of->call; of++)
        fprintf(stderr, "%-24s %8lu %8lu %8lu %8lu\n", of->call, of->succeeded, of->canceled,
                of->timed_out, of->failed);
}

/*
 * Goal:   a seed that failed fails again.
 * Method: run some twice; all results of all calls are the same.
 */
TEST(sync, same_seed_is_the_same_program)
{
    watch_out();
    for (uint64_t seed = test_seed(), end = seed + 100; seed < end; seed++) {
        run_program(seed, true);
        uint64_t fingerprint = w.fingerprint;
        run_program(seed, true);
        CHECK(fingerprint == w.fingerprint && w.traced > 0);
    }
}

/*
 * Goal:   the same with timers and polls of the kernel in between.
 * Method: programs under bide_run, with timeouts of microseconds: for a minute under sanitizers,
 *         else for two seconds.
 */
/* timeout: 30 */
TEST(sync, random_programs_on_the_real_loop)
{
    uint64_t seconds = from_environment("BIDE_STRESS_SECONDS", TEST_UNDER_SANITIZER() ? 60 : 2);
    uint64_t count = from_environment("BIDE_STRESS_SEEDS", UINT64_MAX);
    time_t end = seconds_now() + (time_t)seconds;

    watch_out();
    for (uint64_t seed = test_seed(); count > 0 && seconds_now() < end; seed++, count--)
        run_program(seed, false);
}
