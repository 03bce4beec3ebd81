/* SPDX-License-Identifier: MIT */
/*
 * inbox.c - posts and the sleep of a loop: the handshake as a model, step by step, and the real one
 * under many threads.
 *
 * In the model every step is atomic, and each sees all those before it. That is all there is, as
 * every access of the handshake is sequentially consistent: `head` and `posters` are changed by
 * seq_cst read-modify-writes, `is_asleep` is set and read with seq_cst. The one that is not, the
 * store that clears `is_asleep`, is the loop's own and followed by its next set: a poster that
 * misses it rings once too often.
 */
#include "sched/inbox.h"

#include <bide.h>

#include <bide/short.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sched/loop.h"
#include "sched/waitq.h"
#include "test.h"

/* --- The model */

enum { POSTERS = 2, SHUT = 15, STATES = 1 << 22 };

/* What can be left out or done in the wrong order. */
enum bite {
    NOTHING,
    NO_LOOK_BEFORE_SLEEP,  /* the loop sets is_asleep, and does not look at head again */
    LOOK_TOO_EARLY,        /* it looks first, and sets is_asleep then */
    NEVER_RINGS,           /* the poster pushes, and does not ask */
    ASKS_FIRST,            /* it asks, and pushes then */
    NO_COUNT_BEFORE_SLEEP, /* the loop does not look at posters again */
    LEAVES_SILENTLY,       /* the last poster lets go, and does not ask */
    DEADLOCK_TOO_EARLY,    /* without posters the loop reports a deadlock, and does not look */
    SHUTS_IN_TWO,          /* it takes what is there, and refuses posts then */
    BITES
};

enum loop_step {
    COUNT,       /* a turn begins, and nothing is ready: are there posters? */
    LAST_LOOK,   /* there are none: is there anything in the inbox? */
    FALL_ASLEEP, /* set is_asleep */
    LOOK,        /* read head */
    COUNT_AGAIN, /* read posters */
    WAIT,        /* until the bell has rung */
    AWAKE,       /* clear is_asleep */
    TAKE,        /* and run */
    END,         /* shut the inbox, and run what came before */
    END_LATE,
    ENDED
};

enum poster_step { PUSH, ASK, RING, LET_GO, ASK_LAST, RING_LAST, GONE, ASK_EARLY };

struct state {
    uint64_t head : 4; /* how many lie there, or SHUT */
    uint64_t asleep : 1;
    uint64_t posters : 2;
    uint64_t bell : 1;
    uint64_t loop : 4;
    uint64_t ran : 4;
    uint64_t accepted : 4;
    uint64_t step0 : 3, left0 : 3, saw0 : 1;
    uint64_t step1 : 3, left1 : 3, saw1 : 1;
    uint64_t
        is_wrong : 1; /* a deadlock was reported, and a post lay there that would have helped */
    uint64_t unused : 29;
};

_Static_assert(sizeof(struct state) == sizeof(uint64_t), "a state is one word");

struct model {
    enum bite bite;
    unsigned enough; /* after so many posts the loop ends; 0 for when nobody can post any more */
    bool keeps;      /* posters never let go: nothing but a post wakes the loop */
    unsigned states;
    unsigned losses; /* states without a next one, which are no proper end */
    uint64_t *seen;
};

static bool is_new(struct model *model, struct state state)
{
    uint64_t word, at;

    memcpy(&word, &state, sizeof word);
    word++; /* 0 is an empty place */
    for (at = word * UINT64_C(0x9E3779B97F4A7C15) >> 42; model->seen[at] != 0;
         at = (at + 1) % STATES)
        if (model->seen[at] == word)
            return false;
    CHECK(++model->states < STATES / 2);
    model->seen[at] = word;
    return true;
}

/* False when it cannot go on. */
static bool loop_steps(const struct model *model, struct state *state)
{
    enum bite bite = model->bite;

    switch ((enum loop_step)state->loop) {
    case COUNT:
        if (state->posters > 0) {
            state->loop = bite == LOOK_TOO_EARLY ? LOOK : FALL_ASLEEP;
        } else if (bite == DEADLOCK_TOO_EARLY) {
            state->is_wrong = state->head > 0;
            state->loop = END;
        } else {
            state->loop = LAST_LOOK;
        }
        return true;
    case LAST_LOOK: state->loop = state->head > 0 ? TAKE : END; return true;
    case FALL_ASLEEP:
        state->asleep = 1;
        if (bite == LOOK_TOO_EARLY)
            state->loop = WAIT;
        else
            state->loop = bite == NO_LOOK_BEFORE_SLEEP ? COUNT_AGAIN : LOOK;
        return true;
    case LOOK:
        if (state->head > 0)
            state->loop = AWAKE;
        else
            state->loop = bite == NO_COUNT_BEFORE_SLEEP ? WAIT : COUNT_AGAIN;
        return true;
    case COUNT_AGAIN:
        if (state->posters == 0)
            state->loop = AWAKE;
        else
            state->loop = bite == LOOK_TOO_EARLY ? FALL_ASLEEP : WAIT;
        return true;
    case WAIT:
        if (!state->bell)
            return false;
        state->bell = 0;
        state->loop = AWAKE;
        return true;
    case AWAKE:
        state->asleep = 0;
        state->loop = TAKE;
        return true;
    case TAKE:
        state->ran += state->head;
        state->head = 0;
        state->loop = model->enough > 0 && state->ran >= model->enough ? END : COUNT;
        return true;
    case END:
        state->ran += state->head;
        state->head = bite == SHUTS_IN_TWO ? 0 : SHUT;
        state->loop = bite == SHUTS_IN_TWO ? END_LATE : ENDED;
        return true;
    case END_LATE:
        state->head = SHUT;
        state->loop = ENDED;
        return true;
    case ENDED:
    default: return false;
    }
}

struct poster {
    unsigned step, left, saw;
};

static unsigned step_after(const struct model *model, const struct poster *self)
{
    if (self->left == 0)
        return model->keeps ? GONE : LET_GO;
    return model->bite == ASKS_FIRST ? ASK_EARLY : PUSH;
}

static void push(const struct model *model, struct state *state, struct poster *self)
{
    bool was_empty = state->head == 0, rings;

    self->left--;
    self->step = step_after(model, self);
    if (state->head == SHUT)
        return;
    state->head++;
    state->accepted++;
    rings = model->bite == ASKS_FIRST ? self->saw : model->bite != NEVER_RINGS;
    if (was_empty && rings)
        self->step = model->bite == ASKS_FIRST ? RING : ASK;
}

static bool poster_steps(const struct model *model, struct state *state, struct poster *self)
{
    unsigned next = step_after(model, self);

    switch ((enum poster_step)self->step) {
    case ASK_EARLY:
        self->saw = state->asleep;
        self->step = PUSH;
        return true;
    case PUSH: push(model, state, self); return true;
    case ASK: self->step = state->asleep ? RING : next; return true;
    case RING:
        state->bell = 1;
        self->step = next;
        return true;
    case LET_GO:
        state->posters--;
        self->step = state->posters == 0 && model->bite != LEAVES_SILENTLY ? ASK_LAST : GONE;
        return true;
    case ASK_LAST: self->step = state->asleep ? RING_LAST : GONE; return true;
    case RING_LAST:
        state->bell = 1;
        self->step = GONE;
        return true;
    case GONE:
    default: return false;
    }
}

/* Every state that can follow, each once. */
static void explore(struct model *model, struct state state)
{
    bool goes_on = false;
    struct state next = state;

    if (!is_new(model, state))
        return;
    if (loop_steps(model, &next)) {
        goes_on = true;
        explore(model, next);
    }
    for (int i = 0; i < POSTERS; i++) {
        struct poster self = i == 0 ? (struct poster){state.step0, state.left0, state.saw0}
                                    : (struct poster){state.step1, state.left1, state.saw1};
        next = state;
        if (!poster_steps(model, &next, &self))
            continue;
        goes_on = true;
        if (i == 0)
            next.step0 = self.step & 7, next.left0 = self.left & 7, next.saw0 = self.saw & 1;
        else
            next.step1 = self.step & 7, next.left1 = self.left & 7, next.saw1 = self.saw & 1;
        explore(model, next);
    }
    /* All stand still: then the loop has ended, and has run whatever it had accepted. */
    if (!goes_on && (state.loop != ENDED || state.ran != state.accepted || state.is_wrong))
        model->losses++;
}

/* All interleavings of so many posts each; returns how many end with something lost. */
static unsigned losses_of(enum bite bite, unsigned posts, unsigned enough, bool keeps,
                          unsigned *states)
{
    struct model model = {
        .bite = bite, .enough = enough, .keeps = keeps, .seen = calloc(STATES, 8)};
    unsigned first = bite == ASKS_FIRST ? ASK_EARLY : PUSH;

    CHECK(model.seen != NULL);
    explore(&model, (struct state){
                        .posters = POSTERS,
                        .step0 = first & 7,
                        .left0 = posts & 7,
                        .step1 = first & 7,
                        .left1 = posts & 7,
                    });
    free(model.seen);
    if (states != NULL)
        *states += model.states;
    return model.losses;
}

/*
 * Goal:   no order of steps loses a wake-up: every post that was accepted is run, also when the
 *         loop ends meanwhile, and a loop to which nobody can post any more learns of that (fault
 *         40).
 * Method: the model of sched/inbox.h and of the loop's turn, two posters, up to three posts each;
 *         the loop ends after 1, 2, ... posts, or when no poster is left; posters let go at their
 *         end, which wakes the loop, or never do. Every state that can be reached is looked at.
 */
TEST(inbox, no_interleaving_loses_a_wake_up)
{
    unsigned states = 0;

    for (unsigned posts = 1; posts <= 3; posts++)
        for (unsigned enough = 0; enough <= posts * POSTERS; enough++) {
            CHECK_EQ(losses_of(NOTHING, posts, enough, false, &states), 0);
            if (enough > 0)
                CHECK_EQ(losses_of(NOTHING, posts, enough, true, &states), 0);
        }
    CHECK(states > 1000);
}

/*
 * Goal:   the model bites.
 * Method: each step left out or moved in turn: some order loses something.
 */
TEST(inbox, model_finds_what_a_missing_step_loses)
{
    for (enum bite bite = NOTHING + 1; bite < BITES; bite++) {
        unsigned losses = 0;
        for (unsigned enough = 0; enough <= 4; enough++) {
            losses += losses_of(bite, 2, enough, false, NULL);
            if (enough > 0)
                losses += losses_of(bite, 2, enough, true, NULL);
        }
        if (losses == 0)
            test_fail(__FILE__, __LINE__, "the model does not notice bite %d", (int)bite);
    }
}

/* --- The real one */

enum { THREADS = 4, WINDOW = 64 };

struct item {
    struct bide__post post;
    struct sender *sender;
    long number;
    atomic_bool is_free; /* set by the loop: run, and may be posted again */
};

struct sender {
    struct storm *storm;
    pthread_t thread;
    long next;     /* the loop's: what must come next */
    long accepted; /* the thread's */
    struct item items[WINDOW];
};

struct storm {
    struct bide_loop *loop;
    long posts;  /* of each thread */
    int window;  /* how many of a thread may be under way */
    long enough; /* the first task ends then; 0 when all have come */
    long ran;
    bide_event done;
    struct sender senders[THREADS];
};

static void item_runs(struct bide__post *post)
{
    struct item *item = BIDE__CONTAINER(post, struct item, post);
    struct storm *storm = item->sender->storm;

    CHECK_EQ(item->number, item->sender->next); /* in order, each once */
    item->sender->next++;
    atomic_store_explicit(&item->is_free, true, memory_order_release);
    if (++storm->ran == storm->enough)
        bide_event_set(&storm->done);
}

static void *sender_main(void *arg)
{
    struct sender *sender = arg;
    struct storm *storm = sender->storm;

    for (long i = 0; i < storm->posts; i++) {
        struct item *item = &sender->items[i % storm->window];
        while (!atomic_load_explicit(&item->is_free, memory_order_acquire))
            sched_yield();
        atomic_store_explicit(&item->is_free, false, memory_order_relaxed);
        item->post.run = item_runs;
        item->sender = sender;
        item->number = i;
        if (!bide__inbox_push(storm->loop, &item->post))
            break;
        sender->accepted++;
    }
    bide__inbox_release(storm->loop);
    return NULL;
}

static int storms(void *arg)
{
    struct storm *storm = arg;

    storm->loop = bide__loop_here;
    CHECK_EQ(bide__inbox_open(storm->loop), 0);
    for (int i = 0; i < THREADS; i++) {
        struct sender *sender = &storm->senders[i];
        sender->storm = storm;
        for (int at = 0; at < WINDOW; at++)
            atomic_init(&sender->items[at].is_free, true);
        bide__inbox_hold(storm->loop);
        CHECK_EQ(pthread_create(&sender->thread, NULL, sender_main, sender), 0);
    }
    return bide_event_wait(&storm->done);
}

/* Run one; returns how many posts were accepted, all of which ran. */
static long storm_of(long posts, int window, long enough)
{
    struct storm *storm = calloc(1, sizeof *storm);
    long accepted = 0;

    CHECK(storm != NULL);
    storm->posts = posts;
    storm->window = window;
    storm->enough = enough != 0 ? enough : posts * THREADS;
    CHECK_EQ(bide_run(storms, storm, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(storm->senders[i].thread, NULL);
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(storm->senders[i].next, storm->senders[i].accepted);
        accepted += storm->senders[i].accepted;
    }
    CHECK_EQ(storm->ran, accepted);
    free(storm);
    return accepted;
}

/* Fewer where each costs more. */
static long scaled(long count)
{
    if (getenv("BIDE_TEST_LONG") != NULL)
        return count * 100;
    if (TEST_UNDER_VALGRIND() || TEST_UNDER_QEMU())
        return count / 100;
    return TEST_UNDER_SANITIZER() ? count / 10 : count;
}

/*
 * Goal:   under load every post runs once, and those of one poster in the order of posting (fault
 *         40).
 * Method: four threads, ten million posts, up to 64 of each thread under way (a hundred times as
 *         many with BIDE_TEST_LONG=1).
 */
/* timeout: 300 */
TEST(inbox, every_post_of_many_threads_runs_once_and_in_order)
{
    long posts = scaled(2500000);

    CHECK_EQ(storm_of(posts, WINDOW, 0), posts * THREADS);
}

/*
 * Goal:   as above, where the loop falls asleep between most posts.
 * Method: each thread waits for its post to have run before the next.
 */
/* timeout: 300 */
TEST(inbox, posts_wake_a_loop_that_is_falling_asleep)
{
    long posts = scaled(25000);

    CHECK_EQ(storm_of(posts, 1, 0), posts * THREADS);
}

/*
 * Goal:   what is accepted while the loop ends is run, the rest is refused (fault 42).
 * Method: a thousand loops that end in the middle of it; each counts both.
 */
/* timeout: 300 */
TEST(inbox, end_runs_what_was_accepted_and_refuses_the_rest)
{
    long rounds = scaled(2000), refused = 0;

    for (long round = 0; round < rounds; round++)
        refused += 400 - storm_of(100, WINDOW, 1 + round % 200);
    CHECK(refused > 0);
}
