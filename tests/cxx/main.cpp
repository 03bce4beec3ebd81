/* SPDX-License-Identifier: MIT */
/* main.cpp - bide.h in a C++ program: a loop runs a function, which sleeps and returns. */
#include <bide.h>

static int body(void *arg)
{
    bide_time before = bide_now();
    int err = bide_sleep(BIDE_MS(1));
    *static_cast<bool *>(arg) = bide_now() - before >= BIDE_MS(1);
    return err < 0 ? err : 42;
}

int main()
{
    bool slept = false;
    return bide_run(body, &slept, nullptr) == 42 && slept ? 0 : 1;
}
