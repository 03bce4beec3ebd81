/* SPDX-License-Identifier: MIT */
/*
 * event.c - a flag that tasks wait for. Nobody is in line while it is set.
 */
#include <bide/sync/event.h>

#include "sync/line.h"

void bide_event_init(bide_event *event)
{
    *event = (bide_event)BIDE_EVENT_INIT;
}

void bide_event_set(bide_event *event)
{
    bide__assert(!event->bide__is_set || bide__line_is_empty(&event->bide__waiting));
    event->bide__is_set = true;
    bide__line_hand_all(&event->bide__waiting, 0);
}

void bide_event_clear(bide_event *event)
{
    event->bide__is_set = false;
}

int bide_event_wait(bide_event *event)
{
    struct bide_task *self = bide__task_need("bide_event_wait");

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (!event->bide__is_set)
        return bide__line_wait(&event->bide__waiting, "bide_event_wait");
    bide__budget_spend(self->loop);
    return 0;
}

bool bide_event_is_set(const bide_event *event)
{
    return event->bide__is_set;
}
