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
 * the writing is; of a new one, max_ms after it came at the latest. On a network file system, what
 * other machines change is not seen.
 */
#ifndef THRUWAY_WATCH_H
#define THRUWAY_WATCH_H

#include <stdbool.h>
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
/* Has it changed since watch_open() or the last true? */
bool watch_dispatch(struct watch *watch);
/*
 * -errno, once for each time: inotify's limits do not allow it to be watched as it is now; that is
 * tried again. 0 = there is nothing to say.
 */
int watch_take_error(struct watch *watch);
/* What is there now counts as known, by whatever way it came: it is being read. */
void watch_renew(struct watch *watch);

/* To be polled for POLLPRI (-1 = there is none), then watch_note_mounts(): mounts are no event. */
int watch_mounts_fd(const struct watch *watch);
void watch_note_mounts(struct watch *watch);

#endif
