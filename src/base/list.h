/* SPDX-License-Identifier: MIT */
/*
 * list.h - an intrusive circular doubly linked list.
 *
 * Head and nodes are the same struct. An empty head and an unlinked node point to themselves: so a
 * node can be asked whether it is on a list, removing it twice is harmless, and nothing here has a
 * special case or can fail. A list owns nothing; whoever embeds a node removes it before its memory
 * goes away.
 */
#ifndef BIDE__BASE_LIST_H
#define BIDE__BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include <bide/base/list.h>

/* The struct of this type whose member ptr points to; a ptr of another type draws a warning. */
#define BIDE__CONTAINER(ptr, type, member)                                                         \
    ((type *)(void *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

static inline void bide__list_init(struct bide__list *list)
{
    list->next = list;
    list->prev = list;
}

/* Of a head: whether nothing is listed. Of a node: whether it is on no list. */
static inline bool bide__list_is_empty(const struct bide__list *list)
{
    return list->next == list;
}

/* Link the node, which is on no list, before the given place. Before the head is at the tail. */
static inline void bide__list_append(struct bide__list *head, struct bide__list *node)
{
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

/* Link the node, which is on no list, after the given place. After the head is at the front. */
static inline void bide__list_prepend(struct bide__list *head, struct bide__list *node)
{
    bide__list_append(head->next, node);
}

static inline void bide__list_remove(struct bide__list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    bide__list_init(node);
}

/* The first node, or NULL when the list is empty. */
static inline struct bide__list *bide__list_first(const struct bide__list *head)
{
    return bide__list_is_empty(head) ? NULL : head->next;
}

/* The last node, or NULL when the list is empty. */
static inline struct bide__list *bide__list_last(const struct bide__list *head)
{
    return bide__list_is_empty(head) ? NULL : head->prev;
}

/* Move all nodes of one list to the tail of another, in their order; the first is then empty. */
static inline void bide__list_splice(struct bide__list *to_tail, struct bide__list *from)
{
    if (bide__list_is_empty(from))
        return;
    from->next->prev = to_tail->prev;
    from->prev->next = to_tail;
    to_tail->prev->next = from->next;
    to_tail->prev = from->prev;
    bide__list_init(from);
}

#endif
