/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a sync has to do: the model's things with their ids, compared with what the maps hold.
 * Made by plan.c, carried out by sync.c.
 */
#ifndef THRUWAY_PLAN_H
#define THRUWAY_PLAN_H

#include "kernel/mirror.h"
#include "model/table.h"

enum plan_state {
	PLAN_SAME,
	PLAN_NEW,
	PLAN_CHANGED,
	PLAN_MOVED, /* routes: changed, and so are the names that lead to it */
};

/* One thing of the model; its number in the model's array is the number here. */
struct plan_item {
	uint32_t id;
	uint32_t key; /* routes: what names lead to while the sync runs (a spare one if moved) */
	enum plan_state state;
};

struct plan_name {
	uint32_t place; /* in the mirror; INDEX_NONE = new */
	enum plan_state state;
};

struct plan {
	struct mirror *m;
	const struct table *t;
	struct plan_item *binds, *listeners, *alpns, *routes, *backends;
	struct plan_name *names;
	uint32_t *writes; /* names to write, the most specific first */
	size_t n_writes;
	uint32_t *gone; /* places of names to remove, the least specific first */
	size_t n_gone;
	/* The first n_early of gone, then these routes, make room before anything is added. */
	size_t n_early;
	uint32_t *early_routes; /* ids */
	size_t n_early_routes;
	/* By id: wanted by the model. */
	bool *is_listener, *is_alpn, *is_route, *is_backend;
	bool *is_bind;
	/* By route id: names came to it or went from it. */
	bool *has_moved_names;
	uint32_t stamp;
};

/* 0, -ENOMEM, or -ENOSPC with a problem. On error the ids that were taken are free again. */
int plan_make(struct plan *plan, struct mirror *m, const struct table *table, uint32_t stamp,
	      struct config_problems *problems);
/* Free all but the ids. */
void plan_fini(struct plan *plan);
/* Give back the ids of what was not there before: nothing of the plan was carried out. */
void plan_drop(struct plan *plan);

/* What the maps are to hold; set is not filled in. @slots has room for the route's backends. */
void plan_route(const struct plan *plan, uint32_t i, struct tw_route *ret_route,
		struct tw_slot *ret_slots);
void plan_listener(const struct plan *plan, uint32_t i, struct tw_listener *ret_listener);
void plan_bind(const struct plan *plan, uint32_t i, struct tw_bind *ret_bind);
/* @by_key: the route's key while the sync runs, not its id. */
void plan_name(const struct plan *plan, uint32_t i, bool by_key, struct tw_name *ret_name);

#endif
