// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which listeners a route is attached to, by its references to parents, or why to none. */
#include <string.h>

#include "model/gateway_resolving.h"
#include "model/table.h"

/* --- parents --------------------------------------------------------------------------------- */

static bool is_allowed(const struct gateway *gw, const struct gw_object *gateway,
		       const struct gw_listener *l, const struct gw_object *route)
{
	/* A listener that lost its port to a conflict still knows which routes are its own. */
	if (l->protocol != GW_TLS || !l->is_passthrough)
		return false;
	for (size_t i = 0; i < l->n_kinds && !gw_is_route_kind(&l->kinds[i]); i++)
		if (i + 1 == l->n_kinds)
			return false;
	if (l->from == GW_ALL)
		return true;
	if (l->from == GW_SAME)
		return !strcmp(gateway->ns, route->ns);
	return gw_selector_fits(gw, l, route->ns);
}

static bool has_name(const struct gw_listener *l, const struct gw_object *route)
{
	if (!l->hostname || !route->n_hostnames)
		return true;
	for (size_t i = 0; i < route->n_hostnames; i++)
		if (table_covers(l->hostname, route->hostnames[i]) ||
		    table_covers(route->hostnames[i], l->hostname))
			return true;
	return false;
}

static bool is_meant(const struct gw_parent *p, const struct gw_listener *l)
{
	return (!p->section || !strcmp(p->section, l->name)) && (!p->port || p->port == l->port);
}

/* How far a reference gets: each step says why it ends there. */
enum step { NO_LISTENER, NOT_ALLOWED, NO_NAME, ATTACHED };

/* To which of the Gateway's listeners: a bit for each. */
static enum step attach_to_gateway(const struct gateway *gw, const struct gw_object *gateway,
				   const struct gw_parent *p, const struct gw_object *route,
				   uint64_t *ret_attached)
{
	enum step step = NO_LISTENER;

	for (size_t i = 0; i < gateway->n_listeners; i++) {
		const struct gw_listener *l = &gateway->listeners[i];
		enum step reached = NOT_ALLOWED;

		if (!is_meant(p, l))
			continue;
		if (is_allowed(gw, gateway, l, route))
			reached = has_name(l, route) ? ATTACHED : NO_NAME;
		if (reached == ATTACHED)
			*ret_attached |= 1ULL << i;
		if (reached > step)
			step = reached;
	}
	return step;
}

/* NULL = it is none of ours. */
static struct gw_object *parent_of(const struct gateway *gw, const struct gw_object *route,
				   const struct gw_parent *p)
{
	struct gw_object *gateway = NULL;

	if (!strcmp(p->group, GATEWAY_GROUP) && !strcmp(p->kind, "Gateway"))
		gateway = gw_find(gw, GW_GATEWAY, p->ns ? p->ns : route->ns, p->name);
	return gateway && gateway->is_ours ? gateway : NULL;
}

/*
 * To listener @number of @gateway by a reference before @p, too: one with the route's own namespace
 * and one without are two references to the same Gateway.
 */
static bool is_attached_before(const struct gateway *gw, const struct gw_object *route,
			       const struct gw_parent *p, const struct gw_object *gateway,
			       size_t number)
{
	for (const struct gw_parent *q = route->parents; q < p; q++)
		if (q->attached >> number & 1 && parent_of(gw, route, q) == gateway)
			return true;
	return false;
}

int gw_attach(const struct gateway *gw, const struct gw_object *route, struct gw_parent *p,
	      struct config_route *made)
{
	static const char *const reasons[] = {"NoMatchingParent", "NotAllowedByListeners",
					      "NoMatchingListenerHostname", "Accepted"};
	static const char *const messages[] = {
		"the Gateway has no listener of this name or port",
		"no listener that is meant allows TLSRoutes of this namespace",
		"no hostname of the route is one of a listener that is meant",
		"the route is attached",
	};
	const struct gw_object *gateway = parent_of(gw, route, p);
	enum step step;
	int err = 0;

	p->is_ours = gateway;
	p->attached = 0;
	if (!gateway)
		return 0;
	step = attach_to_gateway(gw, gateway, p, route, &p->attached);
	p->is_accepted = step == ATTACHED;
	gw_set(&p->conditions, "Accepted", p->is_accepted, reasons[step], "%s", messages[step]);
	for (size_t i = 0; i < gateway->n_listeners && !err; i++)
		if (p->attached >> i & 1 && !is_attached_before(gw, route, p, gateway, i))
			err = gw_add_to_listener(&gateway->listeners[i], made);
	return err;
}

void gw_count_route(const struct gateway *gw, const struct gw_object *route, int n)
{
	for (size_t i = 0; i < route->n_parents; i++) {
		const struct gw_parent *p = &route->parents[i];
		struct gw_object *gateway = parent_of(gw, route, p);

		for (size_t k = 0; gateway && k < gateway->n_listeners; k++)
			if (p->attached >> k & 1 && !is_attached_before(gw, route, p, gateway, k))
				gateway->listeners[k].attached += (uint32_t)n;
	}
}
