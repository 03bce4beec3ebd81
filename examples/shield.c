/* SPDX-License-Identifier: MIT */
/*
 * shield.c - cleaning up when the time is up, although cleaning up takes time.
 *
 * run() knows of no time limit; its caller sets one. When that has passed, every call that waits
 * fails at once, so the transfer ends. But on its way out it has to tell the bank, and to wait for
 * the bank's word. A shield gives it the time to do so, up to a limit of its own.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Answers one request after the other, slowly, until its customer has gone. */
static async(int, bank, bide_stream *, customer, bide_time, delay)
{
    char line[32];
    ssize_t n;

    while ((n = bide_read_line(customer, line, sizeof line)) > 0) {
        int err = bide_sleep(delay);

        if (err < 0)
            return err;
        bide_printf(customer, "done: %s", line);
    }
    return (int)n;
}

struct transfer {
    bide_stream *bank;
    bide_time goodbye; /* how long to wait for the bank's last word */
    bool is_done;
    int undo; /* how that went */
};

static int ask(bide_stream *bank, const char *request)
{
    char want[32], line[32] = "";
    ssize_t n = bide_printf(bank, "%s\n", request);

    snprintf(want, sizeof want, "done: %s\n", request);
    while (n > 0 && strcmp(line, want) != 0) /* before it there may be a late answer */
        n = bide_read_line(bank, line, sizeof line);
    return n < 0 ? (int)n : n == 0 ? -EPIPE : 0;
}

static void finish(struct transfer *transfer)
{
    if (transfer->is_done)
        return;
    with_shield (transfer->goodbye) {
        transfer->undo = ask(transfer->bank, "undo");
    }
}

static int run(struct transfer *transfer)
{
    int err;

    defer(finish, transfer); /* also runs when one of the calls below fails */
    err = ask(transfer->bank, "debit");
    if (err == 0)
        err = ask(transfer->bank, "credit");
    transfer->is_done = err == 0;
    return err;
}

/* Whether a transfer, and undoing it, went as they should. */
static bool try_it(const char *what, bide_time delay, bide_time limit, bide_time goodbye, int want,
                   int want_undo)
{
    bide_stream *ends[2];
    struct transfer transfer = {.goodbye = goodbye};
    int err = bide_stream_pair(ends);

    if (err < 0)
        return false;
    task(int) serving = spawn(bank, ends[1], delay);
    transfer.bank = ends[0];
    with_timeout (limit) {
        err = run(&transfer);
    }
    bide_close(ends[0]); /* so the bank reads no more */
    cancel(serving);
    await(serving);
    bide_close(ends[1]);
    printf("%s: %s", what, err == 0 ? "paid" : strerror(-err));
    if (err < 0)
        printf("; undo: %s", strerror(-transfer.undo));
    printf("\n");
    return err == want && transfer.undo == want_undo;
}

async_main
{
    bool quick = try_it("a quick bank ", 0, BIDE_SEC(10), BIDE_SEC(10), 0, 0);
    bool slow = try_it("a slow bank  ", BIDE_MS(30), BIDE_MS(45), BIDE_SEC(10), -ETIMEDOUT, 0);
    bool silent =
        try_it("a silent bank", BIDE_FOREVER, BIDE_MS(20), BIDE_MS(20), -ETIMEDOUT, -ETIMEDOUT);

    return quick && slow && silent ? 0 : 1;
}
