/* SPDX-License-Identifier: MIT */
/*
 * list.c - order, membership and harmless repetition of the intrusive list.
 */
#include "base/list.h"

#include "test.h"

struct item {
    int before;
    struct bide__list link;
    int number;
};

enum { ITEMS = 5 };

static struct item items[ITEMS];

static void make_items(void)
{
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        bide__list_init(&items[i].link);
    }
}

static int number_of(struct bide__list *link)
{
    return BIDE__CONTAINER(link, struct item, link)->number;
}

/* The list holds exactly these items, in both directions. The numbers are decimal digits. */
static void check_list(struct bide__list *head, const char *numbers)
{
    struct bide__list *link = head;

    CHECK_EQ(bide__list_is_empty(head), *numbers == '\0');
    for (; *numbers != '\0'; numbers++) {
        CHECK(link->next->prev == link);
        link = link->next;
        CHECK(link != head);
        CHECK_EQ(number_of(link), *numbers - '0');
    }
    CHECK(link->next == head);
    CHECK(head->prev == link);
}

/*
 * Goal:   an empty list says so, has neither first nor last, and an unlinked node is on no list.
 * Method: ask right after init.
 */
TEST(list, empty_after_init)
{
    struct bide__list head;

    make_items();
    bide__list_init(&head);
    check_list(&head, "");
    CHECK(bide__list_first(&head) == NULL);
    CHECK(bide__list_last(&head) == NULL);
    CHECK(bide__list_is_empty(&items[0].link));
}

/*
 * Goal:   append adds at the tail, prepend at the front; first and last are the ends.
 * Method: mix both, and walk the list both ways after each.
 */
TEST(list, order_of_append_and_prepend)
{
    struct bide__list head;

    make_items();
    bide__list_init(&head);
    bide__list_append(&head, &items[1].link);
    check_list(&head, "1");
    CHECK(bide__list_first(&head) == bide__list_last(&head));
    CHECK(!bide__list_is_empty(&items[1].link));
    bide__list_append(&head, &items[2].link);
    check_list(&head, "12");
    bide__list_prepend(&head, &items[0].link);
    check_list(&head, "012");
    bide__list_prepend(&items[1].link, &items[3].link);
    check_list(&head, "0132");
    bide__list_append(&items[0].link, &items[4].link);
    check_list(&head, "40132");
    CHECK_EQ(number_of(bide__list_first(&head)), 4);
    CHECK_EQ(number_of(bide__list_last(&head)), 2);
}

/*
 * Goal:   a node can be removed at the front, in the middle, at the tail, as the only one, and
 *         again when it is on no list, also one that never was.
 * Method: remove each of these, everything twice.
 */
TEST(list, remove_anywhere_and_twice)
{
    static const int order[ITEMS] = {2, 0, 4, 3, 1};
    static const char *const left[ITEMS] = {"0134", "134", "13", "1", ""};
    struct bide__list head;

    make_items();
    bide__list_init(&head);
    bide__list_remove(&items[0].link);
    CHECK(bide__list_is_empty(&items[0].link));
    for (int i = 0; i < ITEMS; i++)
        bide__list_append(&head, &items[i].link);
    for (int i = 0; i < ITEMS; i++) {
        bide__list_remove(&items[order[i]].link);
        CHECK(bide__list_is_empty(&items[order[i]].link));
        bide__list_remove(&items[order[i]].link);
        check_list(&head, left[i]);
    }
}

/*
 * Goal:   splice keeps both orders and leaves the source empty and usable, whichever side is empty.
 * Method: all four combinations of empty and filled.
 */
TEST(list, splice_keeps_order)
{
    struct bide__list to;
    struct bide__list from;

    make_items();
    bide__list_init(&to);
    bide__list_init(&from);
    bide__list_splice(&to, &from);
    check_list(&to, "");
    bide__list_append(&from, &items[0].link);
    bide__list_append(&from, &items[1].link);
    bide__list_splice(&to, &from);
    check_list(&to, "01");
    check_list(&from, "");
    bide__list_splice(&to, &from);
    check_list(&to, "01");
    bide__list_append(&from, &items[2].link);
    bide__list_append(&from, &items[3].link);
    bide__list_append(&from, &items[4].link);
    bide__list_splice(&to, &from);
    check_list(&to, "01234");
    check_list(&from, "");
}
