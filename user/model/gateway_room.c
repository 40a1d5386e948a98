// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which listeners of Gateways the table has room for, where they ask for more than it has. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/gateway_resolving.h"
#include "model/table.h"

struct room {
	struct tw_bind_key binds[TW_BINDS_MAX];
	size_t n_binds, n_listeners;
	struct gw_listener *taken[TW_LISTENERS_MAX]; /* whose it is */
	size_t n_taken;
};

static bool has_bind(const struct room *room, const struct tw_bind_key *key)
{
	for (size_t i = 0; i < room->n_binds; i++)
		if (room->binds[i].port == key->port &&
		    !memcmp(room->binds[i].addr, key->addr, sizeof(key->addr)))
			return true;
	return false;
}

static bool take_room(struct room *room, const uint8_t ip[16], __be16 port)
{
	struct tw_bind_key key = {.port = port};

	memcpy(key.addr, ip, sizeof(key.addr));
	if (!has_bind(room, &key)) {
		if (room->n_binds >= TW_BINDS_MAX - 1)
			return false;
		room->binds[room->n_binds++] = key;
	}
	return room->n_listeners++ < TW_LISTENERS_MAX - 1;
}

static void give_room(struct room *room, struct gw_listener *l)
{
	size_t n_binds = room->n_binds, n_listeners = room->n_listeners;

	for (size_t i = 0; i < l->n_places && !l->has_no_room; i++)
		l->has_no_room = !take_room(room, l->places[i].ip, htons((uint16_t)l->port));
	if (l->n_places && !l->has_no_room) {
		room->taken[room->n_taken++] = l;
		return;
	}
	room->n_binds = n_binds;
	room->n_listeners = n_listeners;
}

static bool share_place(const struct gw_listener *a, const struct gw_listener *b)
{
	for (size_t i = 0; i < a->n_places; i++)
		for (size_t k = 0; k < b->n_places; k++)
			if (gw_is_within(a->places[i].ip, b->places[k].ip) ||
			    gw_is_within(b->places[k].ip, a->places[i].ip))
				return true;
	return false;
}

static bool covers(const struct gw_listener *l, const struct gw_listener *other)
{
	return l->port == other->port &&
	       (!l->hostname || (other->hostname && table_covers(l->hostname, other->hostname))) &&
	       share_place(l, other);
}

/* The names of one without room are nobody's: a broader one must not have them instead. */
static void spread(const struct room *room, const struct gw_listener *without)
{
	for (size_t i = 0; i < room->n_taken; i++)
		room->taken[i]->has_no_room |= covers(room->taken[i], without);
}

static void give_all(struct room *room, struct gw_object *const *gateways, size_t n)
{
	bool is_full = false;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < gateways[i]->n_listeners; k++) {
			give_room(room, &gateways[i]->listeners[k]);
			is_full |= gateways[i]->listeners[k].has_no_room;
		}
	for (size_t i = 0; is_full && i < n; i++)
		for (size_t k = 0; k < gateways[i]->n_listeners; k++)
			if (gateways[i]->listeners[k].has_no_room)
				spread(room, &gateways[i]->listeners[k]);
}

int gw_share_room(struct gw_resolving *r)
{
	_cleanup_free_ struct gw_object **sorted = calloc(r->gw->n + 1, sizeof(*sorted));
	_cleanup_free_ struct room *room = calloc(1, sizeof(*room));
	size_t n = 0;

	if (!sorted || !room)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_native; i++)
		(void)take_room(room, r->config->listeners[i].addr, r->config->listeners[i].port);
	for (size_t i = 0; i < r->gw->n; i++)
		if (r->gw->objects[i]->kind == GW_GATEWAY)
			sorted[n++] = r->gw->objects[i];
	gw_sort_by_age(sorted, n);
	give_all(room, sorted, n);
	return 0;
}
