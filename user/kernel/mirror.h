/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the pinned maps hold, in memory, so that a change of one route need not read 100,000. Every
 * write to a map goes through here and is made in both. Used by tables.c and sync.c only.
 */
#ifndef THRUWAY_MIRROR_H
#define THRUWAY_MIRROR_H

#include "base/index.h"
#include "kernel/datapath.h"
#include "kernel/ids.h"
#include "kernel/tables.h"

struct mirror_route {
	struct tw_route value;
	struct tw_slot *slots; /* value.backends of them */
	uint32_t names;	       /* first of a list through mirror_name.next; INDEX_NONE = none */
};

struct mirror_name {
	char *pattern; /* NULL = this place is free */
	uint32_t bind;
	uint32_t alpn;
	struct tw_name value;
	uint32_t next, prev; /* names of the same route */
	uint32_t seen;	     /* by which sync it was last wanted */
};

/* In tw_routes, left by a sync that did not end (see sync.c), with a set that no route has. */
struct mirror_spare {
	uint32_t key;
	uint32_t set; /* 0 = none, or a route has it by now */
	uint32_t backends;
};

struct mirror {
	struct datapath *dp;
	int binds_fd, bind_keys_fd, listeners_fd, names_fd, alpns_fd, routes_fd, slots_fd,
		backends_fd;

	struct tables_bind *binds; /* TW_BINDS_MAX places */
	size_t n_binds;
	struct tw_listener **listeners; /* by id, as the following */
	struct tw_alpn_key **alpns;
	struct mirror_route **routes;
	struct tw_backend **backends;
	struct mirror_name *names; /* names_size places, some free */
	size_t names_size, names_capacity;
	uint32_t free_name; /* first of a list through mirror_name.next */

	struct ids bind_ids, listener_ids, alpn_ids, route_ids, backend_ids;
	struct index by_listener, by_route, by_backend, by_name, by_alpn;

	uint32_t last_set;
	size_t n_slots; /* entries in tw_slots */
	struct mirror_spare *spares;
	size_t n_spares;
	uint32_t stamp;		/* number of the last sync */
	bool is_stale;		/* a write failed: the maps may hold something else */
	unsigned int n_visible; /* writes that look-ups have to notice */
	bool is_live;		/* somebody may be looking up: rest between writes */
};

/*
 * Read all maps into @m, which holds nothing yet. 0 or -errno, then with the name of the map in
 * *@ret_map (NULL = it was none of them); -EUCLEAN: an entry in it is none of ours.
 */
int mirror_read(struct mirror *m, struct datapath *dp, const char **ret_map);
void mirror_fini(struct mirror *m);

/* In memory only: for reading, and as the first half of a write. mirror_add_route() takes @slots.
 */
int mirror_add_route(struct mirror *m, const struct tw_route *value, struct tw_slot *slots);
int mirror_add_name(struct mirror *m, uint32_t bind, uint32_t alpn, const char *pattern,
		    const struct tw_name *value, uint32_t *ret_place);
void mirror_link_name(struct mirror *m, uint32_t place);
void mirror_name_key(const struct mirror_name *name, struct tw_name_key *ret_key);

/*
 * Ids of what is there; 0 = it is not. mirror_find_name() gives a place or INDEX_NONE. @guess is
 * looked at first: an unchanged configuration comes in the order of its ids and places, and what
 * lies next to the last one found is nearer than what a hash leads to.
 */
uint32_t mirror_find_bind(const struct mirror *m, const struct tw_bind_key *key);
uint32_t mirror_find_listener(const struct mirror *m, const char *name);
uint32_t mirror_find_alpn(const struct mirror *m, const char *protocol);
uint32_t mirror_find_route(const struct mirror *m, uint32_t guess, uint32_t owner, const char *name,
			   const char *listener, const char *alpn);
uint32_t mirror_find_backend(const struct mirror *m, uint32_t guess, const char *text);
uint32_t mirror_find_name(const struct mirror *m, uint32_t guess, uint32_t bind, uint32_t alpn,
			  const char *pattern);

/* Ids for new things; 0 = all are in use. */
uint32_t mirror_take_route_id(struct mirror *m);
uint32_t mirror_take_backend_id(struct mirror *m);
uint32_t mirror_take_listener_id(struct mirror *m);

/*
 * Writes. All 0 or -errno (-ENOSPC: the map is full). mirror_put_*() adds or replaces; a new
 * thing's counters are zeroed first.
 */
int mirror_put_bind(struct mirror *m, const struct tw_bind_key *key, const struct tw_bind *value);
int mirror_del_bind(struct mirror *m, const struct tw_bind_key *key);
int mirror_put_listener(struct mirror *m, const struct tw_listener *value);
int mirror_del_listener(struct mirror *m, uint32_t id);
int mirror_put_alpn(struct mirror *m, uint32_t id, const char *protocol);
int mirror_del_alpn(struct mirror *m, uint32_t id);
int mirror_put_backend(struct mirror *m, const struct tw_backend *value);
int mirror_del_backend(struct mirror *m, uint32_t id);
int mirror_put_name(struct mirror *m, uint32_t bind, uint32_t alpn, const char *pattern,
		    const struct tw_name *value);
int mirror_del_name(struct mirror *m, uint32_t place);
/* A new set with @slots; nobody looks at it before a route names it. */
int mirror_add_set(struct mirror *m, const struct tw_slot *slots, uint32_t n, uint32_t *ret_set);
int mirror_del_set(struct mirror *m, uint32_t set, uint32_t n);
/* @slots: as of value->set; copied. The set that it had before stays. */
int mirror_put_route(struct mirror *m, const struct tw_route *value, const struct tw_slot *slots);
int mirror_del_route(struct mirror *m, uint32_t id);
/* The same under a key that is not the route's id, in the map only. */
int mirror_put_spare(struct mirror *m, uint32_t key, const struct tw_route *value);
int mirror_del_spare(struct mirror *m, uint32_t key);

#endif
