// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where listeners of Gateways are in the configuration: on the addresses that their Gateway asks
 * for, and, if these are all, also on each one that another Gateway asks for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/index.h"
#include "model/config_parts.h"
#include "model/gateway_resolving.h"

/* A name in the table: of 63 bytes, and another one for every place of the listener. */
static char *table_label(const struct gw_object *gateway, const char *listener, const char *place)
{
	char whole[1024], *label = NULL;

	snprintf(whole, sizeof(whole), "%s/%s/%s%s%s", gateway->ns, gateway->name, listener,
		 *place ? "/" : "", place);
	if (strlen(whole) < TW_LABEL_SIZE)
		return strdup(whole);
	if (asprintf(&label, "%.50s~%08x", whole, index_hash_text(0, whole)) < 0)
		return NULL;
	return label;
}

static void add_place(struct gw_resolving *r, const struct gw_object *o, struct gw_listener *l,
		      const uint8_t ip[16], const char *name)
{
	struct gw_place *grown = reallocarray(l->places, l->n_places + 1, sizeof(*grown));
	char *label = table_label(o, l->name, name);

	l->places = grown ? grown : l->places;
	if (!grown || !label) {
		free(label);
		r->err = -ENOMEM;
		return;
	}
	memcpy(grown[l->n_places].ip, ip, 16);
	grown[l->n_places++].label = label;
}

void gw_forget_places(struct gw_listener *l)
{
	for (size_t i = 0; i < l->n_places; i++)
		free(l->places[i].label);
	free(l->places);
	l->places = NULL;
	l->n_places = 0;
}

void gw_place(struct gw_resolving *r, const struct gw_object *o, struct gw_listener *l)
{
	uint8_t ip[16];
	char name[24];

	/* A name that nobody can ask for has no place. */
	if (!gw_is_served(o, l) || (l->hostname && !gw_can_be_asked_for(l->hostname)))
		return;
	for (size_t i = 0; i < gw_n_addresses_of(o); i++) {
		if (gw_is_address_spare(o, i))
			continue;
		gw_address_of(o, i, ip);
		*name = '\0';
		if (i)
			snprintf(name, sizeof(name), "%zu", i);
		add_place(r, o, l, ip, name);
	}
}

static bool is_placed(const struct gw_listener *l, const uint8_t ip[16])
{
	for (size_t i = 0; i < l->n_places; i++)
		if (!memcmp(l->places[i].ip, ip, 16))
			return true;
	return false;
}

/*
 * Connections to an address that a listener of another Gateway is on go by what is there, and to
 * nothing that is on all addresses: a listener on all of them has to be there as well, to make one
 * set with the other's.
 */
static void place_beside(struct gw_resolving *r, const struct gw_object *o, struct gw_listener *l,
			 const struct gw_listener *other)
{
	char name[ADDR_TEXT_SIZE];
	size_t n = l->n_places;

	for (size_t k = 0; other->port == l->port && k < other->n_places; k++) {
		const uint8_t *ip = other->places[k].ip;

		for (size_t i = 0; i < n; i++)
			if (gw_is_within(ip, l->places[i].ip) && !is_placed(l, ip) &&
			    !gw_native_at(r, ip, l))
				add_place(r, o, l, ip, addr_format_ip(name, ip));
	}
}

static void place_on_others(struct gw_resolving *r, const struct gw_object *o,
			    struct gw_listener *l)
{
	const struct gateway *gw = r->gw;

	for (size_t i = 0; l->n_places && i < gw->n; i++) {
		const struct gw_object *other = gw->objects[i];

		for (size_t k = 0; other->kind == GW_GATEWAY && k < other->n_listeners; k++)
			place_beside(r, o, l, &other->listeners[k]);
	}
}

/* The route in the table is at every place of the listener. 0 or -ENOMEM. */
int gw_add_to_listener(const struct gw_listener *l, struct config_route *made)
{
	int err = 0;

	for (size_t i = 0; i < l->n_places && !err; i++)
		err = gw_add_text(&made->listeners, &made->n_listeners, l->places[i].label);
	return err;
}

static void add_listener(struct gw_resolving *r, const struct gw_object *o,
			 const struct gw_listener *l, const struct gw_place *place)
{
	struct config *c = r->config;
	struct config_listener *grown = config_room(c->listeners, c->n_listeners, sizeof(*grown));
	struct config_listener *made;

	if (!grown) {
		r->err = -ENOMEM;
		return;
	}
	c->listeners = grown;
	made = &c->listeners[c->n_listeners++];
	*made = (struct config_listener){
		.name = strdup(place->label),
		.port = htons((uint16_t)l->port),
		.hostname = l->hostname ? strdup(l->hostname) : NULL,
		.paths = c->paths,
		.may_wait = true,
		.pos = o->pos,
	};
	memcpy(made->addr, place->ip, sizeof(made->addr));
	if (!made->name || (l->hostname && !made->hostname))
		r->err = -ENOMEM;
}

/* All names of @l go to the terminator, as they are. */
static void add_terminated(struct gw_resolving *r, const struct gw_object *o, struct gw_listener *l)
{
	const struct config *c = r->config;
	struct config_route made = {.owner = TW_OWNER_FILE, .pos = o->pos, .yields_names = true};
	_cleanup_free_ char *label = table_label(o, l->name, "");

	made.backends = calloc(c->n_terminate, sizeof(*made.backends));
	if (!label || !made.backends || asprintf(&made.name, "%s terminated", label) < 0 ||
	    gw_add_text(&made.hostnames, &made.n_hostnames, l->hostname ? l->hostname : "*") ||
	    gw_add_to_listener(l, &made)) {
		r->err = -ENOMEM;
		config_route_fini(&made);
		return;
	}
	memcpy(made.backends, c->terminate, c->n_terminate * sizeof(*made.backends));
	made.n_backends = c->n_terminate;
	if (gw_insert_route(r->config, c->n_routes, &made))
		r->err = -ENOMEM;
}

static void say_no_room(struct gw_conditions *conditions)
{
	gw_set(conditions, "Programmed", false, "NoResources",
	       "there are at most %d listeners on %d addresses and ports", TW_LISTENERS_MAX - 1,
	       TW_BINDS_MAX - 1);
}

static void add_listeners(struct gw_resolving *r, struct gw_object *o)
{
	size_t n_added = 0, n_left_out = 0;

	for (size_t i = 0; i < o->n_listeners; i++) {
		struct gw_listener *l = &o->listeners[i];

		if (l->has_no_room) {
			gw_forget_places(l);
			say_no_room(&l->conditions);
			n_left_out++;
		}
		for (size_t k = 0; k < l->n_places; k++)
			add_listener(r, o, l, &l->places[k]);
		if (l->n_places && gw_is_terminated(l))
			add_terminated(r, o, l);
		n_added += l->n_places;
	}
	if (n_left_out && !n_added)
		say_no_room(&o->conditions);
}

void gw_add_listeners(struct gw_resolving *r)
{
	struct gateway *gw = r->gw;

	for (size_t i = 0; i < gw->n; i++)
		for (size_t k = 0; k < gw->objects[i]->n_listeners; k++)
			place_on_others(r, gw->objects[i], &gw->objects[i]->listeners[k]);
	if (!r->err)
		r->err = gw_share_room(r);
	for (size_t i = 0; i < gw->n && !r->err; i++)
		add_listeners(r, gw->objects[i]);
}
