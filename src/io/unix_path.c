/* SPDX-License-Identifier: MIT */
/*
 * unix_path.c - the file that a Unix socket is bound to.
 */
#include "io/unix_path.h"

#include <errno.h>
#include <string.h>

#include "base/sys.h"

/*
 * A path that nobody serves any more: its socket refuses to connect. So does what is no socket at
 * all, and a file of somebody's must stay.
 */
static bool is_stale(int type, const bide_address *address)
{
    struct stat status;
    int number, err;

    if (lstat(address->bide__un.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    number = bide__sys_socket(AF_UNIX, type);
    if (number < 0)
        return false;
    err = bide__sys_connect(number, &address->bide__any, address->bide__bytes);
    bide__sys_close(number);
    return err == -ECONNREFUSED;
}

int bide__unix_path_bind(int number, int type, const bide_address *address)
{
    int err = bide__sys_bind(number, &address->bide__any, address->bide__bytes);

    if (err != -EADDRINUSE || !bide__address_is_path(address) || !is_stale(type, address))
        return err;
    unlink(address->bide__un.sun_path);
    return bide__sys_bind(number, &address->bide__any, address->bide__bytes);
}

void bide__unix_path_remember(struct bide__unix_path *path, const bide_address *address)
{
    struct stat status;

    path->path[0] = '\0';
    if (!bide__address_is_path(address) || lstat(address->bide__un.sun_path, &status) < 0)
        return; /* or somebody was quick to take it away */
    strcpy(path->path, address->bide__un.sun_path);
    path->device = status.st_dev;
    path->inode = status.st_ino;
}

void bide__unix_path_remove(struct bide__unix_path *path)
{
    struct stat status;

    if (path->path[0] != '\0' && lstat(path->path, &status) == 0 && status.st_dev == path->device &&
        status.st_ino == path->inode)
        unlink(path->path);
    path->path[0] = '\0';
}
