/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The route table in the kernel, brought to what the model says by difference. Owns ids: a route,
 * backend, listener or bind keeps its id (and so its counters) for as long as its name lives, over
 * reloads and restarts of the daemon. Main thread only.
 */
#ifndef THRUWAY_TABLES_H
#define THRUWAY_TABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "kernel/datapath.h"
#include "model/config.h"

struct tables;

/* What a sync did or (dry run) would do. */
enum tables_action { TABLES_ADD, TABLES_CHANGE, TABLES_REMOVE };
struct tables_change {
	enum tables_action action;
	const char *object; /* "listener", "route", "name" or "backend" */
	char *name;
};
struct tables_changes {
	struct tables_change *items;
	size_t n;
};
void tables_changes_fini(struct tables_changes *changes);

/*
 * Read what the pinned maps hold. The CLI's routes found there: tables_take_cli_routes(). 0, or
 * -errno with one line in *@ret_why (to be freed; NULL = none): -EUCLEAN if a map holds what cannot
 * be, which only datapath_unpin() helps against.
 */
int tables_open(struct datapath *dp, struct tables **ret_tables, char **ret_why);
struct tables *tables_close(struct tables *tables);

enum tables_mode {
	TABLES_DRY_RUN,	   /* nothing is written */
	TABLES_LENIENT,	   /* what cannot be taken is left out */
	TABLES_STRICT,	   /* if something cannot be taken: -EINVAL, and nothing is written */
	TABLES_STRICT_CLI, /* likewise, but only something of the CLI */
};

/*
 * Make the maps hold the listeners and routes of @file and the @n_cli routes of the CLI, changing
 * only what differs; each change is one atomic map write, in an order in which every look-up in
 * between finds the old route or the new one. A route that cannot be taken (no such listener, name
 * already taken by an earlier route of the same specificity, table full) is left out alone and
 * reported in @problems. That is an error, but of a route without pos.file (the CLI's, taken long
 * ago) a warning, which counts in no mode: it stays in tw_routes without a name, and has it again
 * when nobody else does. Routes are known by owner, name and, where they are for one only, listener
 * and ALPN protocol. @ret_changes may be NULL and is written on success only.
 *
 * 0 or -errno. Where old and new do not fit into the maps at once, -ENOSPC and a problem that says
 * which limit it is; nothing was written. Where a write failed, part of the change is in force, and
 * a problem says so; the next sync makes it whole.
 */
int tables_sync(struct tables *tables, const struct config *file, const struct config_route *cli,
		size_t n_cli, enum tables_mode mode, struct tables_changes *ret_changes,
		struct config_problems *problems);

/* Routes of owner CLI found in the pinned maps at open, for the caller to keep (array and fields
 * are given away). */
int tables_take_cli_routes(struct tables *tables, struct config_route **ret_routes, size_t *ret_n);

/* What is in the maps now, for show commands. Pointers are lent until the next sync. */
struct tables_bind {
	struct tw_bind_key key;
	struct tw_bind value;
};
size_t tables_binds(const struct tables *tables, const struct tables_bind **ret_binds);
/* The next listener, route or backend with an id > @after; NULL = no more. */
const struct tw_listener *tables_next_listener(const struct tables *tables, __u32 after);
const struct tw_route *tables_next_route(const struct tables *tables, __u32 after);
const struct tw_backend *tables_next_backend(const struct tables *tables, __u32 after);
const struct tw_listener *tables_listener(const struct tables *tables, __u32 id);
const struct tw_route *tables_route(const struct tables *tables, __u32 id);
const struct tw_backend *tables_backend(const struct tables *tables, __u32 id);
/* Protocol of an ALPN id, as in tw_name_key; NULL = none. */
const char *tables_alpn(const struct tables *tables, __u32 id);
/* Slots of a route's current set, route->backends of them. */
const struct tw_slot *tables_route_slots(const struct tables *tables, __u32 route);
/* Entries of tw_names that lead to @route: (*cb) for each. */
void tables_route_names(const struct tables *tables, __u32 route,
			void (*cb)(void *arg, const struct tw_name_key *key,
				   const struct tw_name *value),
			void *arg);
/* Set or clear the drained flag of a backend; kept over restarts. -ENOENT: no such backend. */
int tables_drain(struct tables *tables, const char *backend_text, bool drained);

#endif
