/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's own configuration, read at start and again: on SIGHUP, with --watch whenever it
 * changes, and from time to time while something outside of it (a port in use) stands in its way.
 */
#ifndef THRUWAY_RELOAD_H
#define THRUWAY_RELOAD_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "edge/api.h"

struct watch;

struct source {
	const char *path; /* FILE, DIR, or "-" */
	bool is_default;  /* it may be missing: nothing yet */
	bool is_watched;
};

/* As load_file(). */
int source_read(const struct source *source, struct config **ret_config,
		struct config_problems *problems);

struct reload {
	const struct source *source;
	struct api *api;     /* whose router it is, and who tells what came of it */
	struct watch *watch; /* NULL = it is not watched */
	int retry_ms;	     /* how long until the next time; 0 = nothing is to be tried again */
	int64_t retry_at_ms;
};

/* Begin to watch, if the source says so. 0, or -errno, which the log tells. */
int reload_watch(struct reload *reload);
void reload_now(struct reload *reload);
/* For poll(2), before reload_dispatch(), which takes what came of the mounts. */
struct pollfd reload_poll_files(const struct reload *reload);
struct pollfd reload_poll_mounts(const struct reload *reload);
int reload_timeout_ms(const struct reload *reload); /* -1 = none */
void reload_dispatch(struct reload *reload, short mounts_revents);
void reload_fini(struct reload *reload);

#endif
