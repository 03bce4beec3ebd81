/* SPDX-License-Identifier: MIT */
/*
 * list.h - the node that locks and the like embed to keep tasks in line. Not to look into.
 */
#ifndef BIDE_BASE_LIST_H
#define BIDE_BASE_LIST_H

/* Head or node of a circular list. Zeroed memory is an empty head, until something joins it. */
struct bide__list {
    struct bide__list *next; /* of a head: the first node */
    struct bide__list *prev; /* of a head: the last node */
};

#endif
