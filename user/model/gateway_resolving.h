/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the files share that resolve the objects of a store, in this order: Gateways and their
 * listeners (gateway_listeners.c), conflicts among these (gateway_conflicts.c), where they are
 * (gateway_places.c); then route by route (gateway_routes.c) its parents (gateway_attach.c,
 * gateway_selector.c), its references (gateway_backends.c) and their endpoints
 * (gateway_endpoints.c). gateway_resolve.c does it for all, gateway_change.c for some.
 */
#ifndef THRUWAY_GATEWAY_RESOLVING_H
#define THRUWAY_GATEWAY_RESOLVING_H

#include "model/gateway_parts.h"

struct gw_resolving {
	struct gateway *gw;
	struct config *config;
	size_t n_native; /* listeners of the configuration before there were ours */
	int err;
};

/* --- Gateways: gateway_listeners.c ----------------------------------------------------------- */

/* All Gateways that are ours, with their conditions; their listeners go into the configuration. */
void gw_resolve_gateways(struct gw_resolving *r);
/* Connections to it are accepted. */
bool gw_is_served(const struct gw_object *gateway, const struct gw_listener *l);
bool gw_is_route_kind(const struct gw_kind_ref *kind);

/* --- addresses and conflicts: gateway_conflicts.c -------------------------------------------- */

/* Address @number of a Gateway; one that asks for none has one: all. */
void gw_address_of(const struct gw_object *o, size_t number, uint8_t ret_ip[16]);
size_t gw_n_addresses_of(const struct gw_object *o);
/* Another address of the Gateway has it, too. */
bool gw_is_address_spare(const struct gw_object *o, size_t number);
/* Is what dials @ip within @place? :: is all addresses, 0.0.0.0 all of IPv4. */
bool gw_is_within(const uint8_t ip[16], const uint8_t place[16]);
/* Sets conflict and rival of its listeners. */
void gw_find_conflicts(const struct gw_resolving *r, struct gw_object *o);
/* The configuration's own listener with this address and @l's port and name; NULL = none. */
const struct config_listener *gw_native_at(const struct gw_resolving *r, const uint8_t ip[16],
					   const struct gw_listener *l);

/* --- the configuration: gateway_places.c, gateway_resolve.c ----------------------------------- */

/* The first for all listeners, then the second for all Gateways. */
void gw_place(struct gw_resolving *r, const struct gw_object *o, struct gw_listener *l);
void gw_add_listeners(struct gw_resolving *r);
/*
 * gateway_room.c: sets has_no_room of listeners that have places. The oldest have room first,
 * native listeners before them. 0 or -ENOMEM.
 */
int gw_share_room(struct gw_resolving *r);
/* gateway_routes.c: the oldest first. */
void gw_sort_by_age(struct gw_object **objects, size_t n);
/* The route in the table is at every place of the listener. 0 or -ENOMEM. */
int gw_add_to_listener(const struct gw_listener *l, struct config_route *made);
/* The API takes labels of more than 63 bytes, which no client can ask for (RFC 1035 2.3.4). */
bool gw_can_be_asked_for(const char *hostname);
int gw_add_text(char ***texts, size_t *n, const char *text);

/* --- routes: each by itself, among Gateways that are resolved --------------------------------- */

/* gateway_routes.c; all: 0 or -ENOMEM. */
int gw_resolve_routes(struct gateway *gw, struct config *config);
/* One whose object, or what it leads to, has changed; one that is new; one that goes. */
int gw_renew_route(struct gateway *gw, struct config *config, struct gw_object *route);
int gw_put_route(struct gateway *gw, struct config *config, struct gw_object *route);
void gw_take_route(struct gateway *gw, struct config *config, struct gw_object *route);
/* Takes @made. */
int gw_insert_route(struct config *config, size_t at, struct config_route *made);
/* gateway_resolve.c: as if it had never been resolved, but for the times of its conditions. */
void gw_forget(struct gw_object *o);

/* gateway_selector.c: the namespace is one that the listener's selector takes. */
bool gw_selector_fits(const struct gateway *gw, const struct gw_listener *l, const char *ns);
/* Why it takes nobody; NULL = it makes sense. */
const char *gw_selector_fault(const struct gw_listener *l);

/* gateway_attach.c: 0 or -ENOMEM. */
int gw_attach(const struct gateway *gw, const struct gw_object *route, struct gw_parent *p,
	      struct config_route *made);
/* @n routes more, 1 or -1, are attached to the listeners of its parents. */
void gw_count_route(const struct gateway *gw, const struct gw_object *route, int n);

/* gateway_backends.c: 0 or -ENOMEM. */
int gw_resolve_backends(const struct gateway *gw, struct gw_object *route,
			struct config_route *made);

/* gateway_endpoints.c: 0 or -ENOMEM; gw_endpoints_fini() in any case. */
struct gw_endpoints {
	struct tw_backend *items;
	size_t n;
	struct index by_address; /* of items */
	bool is_cut;		 /* there are more than a route may have */
};

void gw_endpoints_fini(struct gw_endpoints *list);
int gw_endpoints_of(const struct gateway *gw, const struct gw_object *service,
		    const struct gw_port *port, struct gw_endpoints *list);

#endif
