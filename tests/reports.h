/* SPDX-License-Identifier: MIT */
/*
 * reports.h - keep what a loop reports, so that a test can look at it afterwards.
 *
 *     struct reports seen = {0};
 *     bide_options options = REPORTS_INTO(&seen);
 *     CHECK_EQ(bide_test_run(body, NULL, 0, &options), 0);
 *     CHECK_EQ(reports_of(&seen, BIDE_REPORT_NOT_AWAITED), 1);
 */
#ifndef BIDE_TESTS_REPORTS_H
#define BIDE_TESTS_REPORTS_H

#include <stdio.h>
#include <string.h>

#include <bide/sched/loop.h>

enum { REPORTS_KEPT = 128 };

struct kept_report {
    enum bide_report_kind kind;
    int error;
    const bide_site *site;
    char task[64];
    char message[1024];
};

struct reports {
    int count; /* all of them; only the first REPORTS_KEPT are kept */
    struct kept_report kept[REPORTS_KEPT];
};

static inline void reports_add(const bide_report *report, void *arg)
{
    struct reports *reports = arg;

    if (reports->count < REPORTS_KEPT) {
        struct kept_report *kept = &reports->kept[reports->count];
        kept->kind = report->kind;
        kept->error = report->error;
        kept->site = report->site;
        snprintf(kept->task, sizeof kept->task, "%s", report->task);
        snprintf(kept->message, sizeof kept->message, "%s", report->message);
    }
    reports->count++;
}

/* clang-format off */
#define REPORTS_INTO(reports) {.on_report = reports_add, .report_arg = (reports)}
/* clang-format on */

/* How many of a kind were kept. */
static inline int reports_of(const struct reports *reports, enum bide_report_kind kind)
{
    int count = 0;

    for (int i = 0; i < reports->count && i < REPORTS_KEPT; i++)
        count += reports->kept[i].kind == kind;
    return count;
}

/* The n-th of a kind, counted from 0; NULL when there are fewer. */
static inline const struct kept_report *reports_get(const struct reports *reports,
                                                    enum bide_report_kind kind, int n)
{
    for (int i = 0; i < reports->count && i < REPORTS_KEPT; i++)
        if (reports->kept[i].kind == kind && n-- == 0)
            return &reports->kept[i];
    return NULL;
}

#endif
