/* SPDX-License-Identifier: MIT */
/*
 * unix_path.h - the file that a Unix socket is bound to: taken over from the dead, removed at last.
 */
#ifndef BIDE__IO_UNIX_PATH_H
#define BIDE__IO_UNIX_PATH_H

#include <sys/stat.h>

#include "io/address.h"

struct bide__unix_path {
    char path[sizeof(struct sockaddr_un)]; /* to be removed; "" for none */
    dev_t device;                          /* of the socket file that was made there */
    ino_t inode;
};

/*
 * Bind a socket of a type to an address of any family. A path that nobody serves any more is taken
 * over. Returns 0 or a negative errno.
 */
int bide__unix_path_bind(int number, int type, const bide_address *address);

/* Keep in mind which file a bound address has made; none for other addresses. */
void bide__unix_path_remember(struct bide__unix_path *path, const bide_address *address);

/* Remove the file, unless another one has taken its place. */
void bide__unix_path_remove(struct bide__unix_path *path);

#endif
