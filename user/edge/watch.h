/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Has a configuration's file or directory changed, by whatever way: written in place, renamed over,
 * links swapped (Kubernetes' ..data), files added and removed, directories replaced, also while
 * nothing is there? inotify says that something may have happened; whether it has is told by the
 * files' identities, sizes and times. Main thread.
 *
 *	idle ──event──▶ pending ──nothing for quiet_ms, or max_ms in all──▶ compare ──▶ idle
 *
 * A file that is still being written puts the end of a change off and is none itself: the end of
 * the writing is. On a network file system, what other machines change is not seen.
 */
#ifndef THRUWAY_WATCH_H
#define THRUWAY_WATCH_H

#include <stdint.h>

struct watch;

/*
 * Watch @path, which need not exist. What is there now counts as known. 0, -ENOMEM, -EMFILE,
 * -ENOSPC (limits of inotify), -ENAMETOOLONG.
 */
int watch_open(const char *path, int quiet_ms, int max_ms, struct watch **ret_watch);
struct watch *watch_close(struct watch *watch); /* accepts NULL, returns NULL */

/* To be polled for input, then watch_dispatch(); another one after each watch_dispatch(). */
int watch_fd(const struct watch *watch);
/* Milliseconds until watch_dispatch() must be called; -1 = none. */
int watch_timeout_ms(const struct watch *watch);
/*
 * 1: it has changed since watch_open() or the last 1. 0: not, or not yet. -errno, once for each
 * time: inotify's limits do not allow it to be watched as it is now; that is tried again.
 */
int watch_dispatch(struct watch *watch);

#endif
