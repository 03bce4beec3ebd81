/* SPDX-License-Identifier: MIT */
/*
 * post.h - what a loop needs before others may post to it.
 */
#ifndef BIDE__RUNTIME_POST_H
#define BIDE__RUNTIME_POST_H

struct bide_loop;

/* Make a loop ready for bide_post. Returns 0, or -ENOMEM, -EMFILE, -ENFILE, -ENOSPC. */
int bide__post_open(struct bide_loop *loop);

#endif
