/* SPDX-License-Identifier: MIT */
/* main.cpp - bide.h in a C++ program: a loop runs a function, which sleeps, locks and returns. */
#include <bide.h>

static bide_mutex shared_mutex = BIDE_MUTEX_INIT;

struct account {
    bide_mutex mutex = BIDE_MUTEX_INIT;
    bide_cond cond = BIDE_COND_INIT;
    bide_sem sem = BIDE_SEM_INIT(3);
};

static int opens(void *)
{
    return 7;
}

/* Every static initialiser, and a call on each that does not have to wait. */
static bool locks()
{
    account mine;
    bide_event event = BIDE_EVENT_INIT;
    bide_barrier barrier = BIDE_BARRIER_INIT(1);
    bide_rwlock lock = BIDE_RWLOCK_INIT;
    bide_once once = BIDE_ONCE_INIT;
    bide_waitgroup group = BIDE_WAITGROUP_INIT;
    bool ok = bide_mutex_lock(&shared_mutex) == 0 && bide_mutex_try_lock(&mine.mutex) == 0;

    bide_cond_signal(&mine.cond);
    bide_event_set(&event);
    ok = ok && bide_sem_acquire_n(&mine.sem, 3) == 0 && bide_sem_value(&mine.sem) == 0;
    ok = ok && bide_event_wait(&event) == 0 && bide_barrier_wait(&barrier) == 1;
    ok = ok && bide_rwlock_read_lock(&lock) == 0 && bide_once_do(&once, opens, nullptr) == 7;
    ok = ok && bide_waitgroup_wait(&group) == 0;
    bide_mutex_unlock(&mine.mutex);
    bide_mutex_unlock(&shared_mutex);
    return ok;
}
/* The initialisers of what users place work in both languages. */
static bide_rate rate = BIDE_RATE_INIT(1, BIDE_SEC(1), 1);
static bide_local key = BIDE_LOCAL_INIT(nullptr);

static int body(void *arg)
{
    bide_time before = bide_now();
    int err = bide_sleep(BIDE_MS(1));
    *static_cast<bool *>(arg) = bide_now() - before >= BIDE_MS(1);
    if (!locks())
        return 1;
    return err < 0 ? err : 42;
    if (err == 0)
        err = bide_rate_acquire(&rate);
    if (err == 0)
        err = bide_local_set(&key, arg);
    return err < 0 || bide_local_get(&key) != arg ? err : 42;
}

int main()
{
    bool slept = false;
    return bide_run(body, &slept, nullptr) == 42 && slept ? 0 : 1;
}
