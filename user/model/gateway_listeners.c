// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What becomes of Gateways and their listeners, and the conditions that say so. */
#include <string.h>

#include "model/config_parts.h"
#include "model/gateway_resolving.h"

/* --- listeners ------------------------------------------------------------------------------- */

bool gw_is_served(const struct gw_object *gateway, const struct gw_listener *l)
{
	return gateway->is_programmed && l->is_accepted;
}

bool gw_is_route_kind(const struct gw_kind_ref *kind)
{
	return !strcmp(kind->group, GATEWAY_GROUP) && !strcmp(kind->kind, "TLSRoute");
}

static void refuse_listener(struct gw_listener *l, const char *reason, const char *message)
{
	l->is_accepted = l->has_kind = false;
	gw_set(&l->conditions, "Accepted", false, reason, "%s", message);
}

/* HTTPS and Terminate: somebody else's to serve, if there is somebody. */
bool gw_is_terminated(const struct gw_listener *l)
{
	return l->protocol == GW_HTTPS || (l->protocol == GW_TLS && !l->is_passthrough);
}

static void check_listener(const struct gw_resolving *r, struct gw_listener *l)
{
	size_t n_bad = 0;

	l->is_accepted = true;
	l->has_kind = !l->n_kinds;
	for (size_t i = 0; i < l->n_kinds; i++) {
		l->has_kind |= gw_is_route_kind(&l->kinds[i]);
		n_bad += !gw_is_route_kind(&l->kinds[i]);
	}
	if (gw_is_terminated(l) && !r->config->n_terminate)
		refuse_listener(l,
				l->protocol == GW_TLS ? "UnsupportedValue" : "UnsupportedProtocol",
				"TLS is not terminated here, and no terminator is configured "
				"(terminate: ADDRESS)");
	else if (gw_is_terminated(l))
		l->has_kind = false; /* its routes are the terminator's */
	else if (l->protocol != GW_TLS)
		refuse_listener(l, "UnsupportedProtocol",
				"only protocol TLS in mode Passthrough is served");
	else if (l->from == GW_SELECTOR && gw_selector_fault(l))
		refuse_listener(l, "UnsupportedValue", gw_selector_fault(l));
	if (n_bad && l->is_accepted && !gw_is_terminated(l))
		gw_set(&l->conditions, "ResolvedRefs", false, "InvalidRouteKinds",
		       "only TLSRoute can be attached here");
}

static void settle_listener(const struct gw_object *o, struct gw_listener *l)
{
	if (l->conflict) {
		char message[200] = "another listener has this port and name, or a protocol that "
				    "cannot share it";

		if (l->rival)
			snprintf(message, sizeof(message),
				 "listener %s of the configuration has this address, port and name",
				 l->rival);
		refuse_listener(l, l->conflict, message);
		gw_set(&l->conditions, "Conflicted", true, l->conflict, "%s", message);
	} else {
		gw_set(&l->conditions, "Conflicted", false, "NoConflicts", "no conflicts");
	}
	if (l->is_accepted)
		gw_set(&l->conditions, "Accepted", true, "Accepted", "the listener is valid");
	gw_set(&l->conditions, "Programmed", gw_is_served(o, l),
	       gw_is_served(o, l) ? "Programmed" : "Invalid", "%s",
	       gw_is_served(o, l) ? "connections are accepted"
	       : l->is_accepted	  ? "the Gateway is not programmed"
				  : "the listener is not accepted");
	if (!gw_is_set(&l->conditions, "ResolvedRefs"))
		gw_set(&l->conditions, "ResolvedRefs", true, "ResolvedRefs",
		       "all references are resolved");
}

/* --- Gateways -------------------------------------------------------------------------------- */

/* Of addresses, only IPs can be listened on. */
static bool has_bad_address(const struct gw_object *o)
{
	uint8_t ip[16];

	for (size_t i = 0; i < o->n_addresses; i++)
		if (strcmp(o->addresses[i].type, "IPAddress") != 0 ||
		    (*o->addresses[i].value && addr_parse_ip(o->addresses[i].value, ip)))
			return true;
	return false;
}

/* Accepted, but no socket can be bound to it; NULL = all can. */
static const char *unusable_address(const struct gw_object *o)
{
	const char *why;
	uint8_t ip[16];

	for (size_t i = 0; i < o->n_addresses; i++) {
		gw_address_of(o, i, ip);
		if (!config_ip_is_usable(ip, &why))
			return o->addresses[i].value;
	}
	return NULL;
}

/* What stands in the way of the whole Gateway, whatever its listeners are. */
static void check_gateway(const struct gw_resolving *r, struct gw_object *o)
{
	const struct gw_object *class = gw_find(r->gw, GW_CLASS, "", o->class);

	o->is_accepted = false;
	if (class && !class->is_accepted)
		gw_set(&o->conditions, "Accepted", false, "Invalid",
		       "GatewayClass %s is not accepted", o->class);
	else if (o->parameters)
		gw_set(&o->conditions, "Accepted", false, "InvalidParameters",
		       "infrastructure.parametersRef: %s: there are no parameters of a Gateway "
		       "here",
		       o->parameters);
	else if (has_bad_address(o))
		gw_set(&o->conditions, "Accepted", false, "UnsupportedAddress",
		       "only addresses of type IPAddress can be listened on");
	else
		o->is_accepted = true;
	o->is_programmed = o->is_accepted && !unusable_address(o);
}

static void settle_gateway(struct gw_object *o)
{
	size_t n_good = 0;

	if (!o->is_accepted) {
		gw_set(&o->conditions, "Programmed", false, "Invalid",
		       "the Gateway is not accepted");
		return;
	}
	for (size_t i = 0; i < o->n_listeners; i++)
		n_good += o->listeners[i].is_accepted;
	if (n_good == o->n_listeners)
		gw_set(&o->conditions, "Accepted", true, "Accepted", "the Gateway is valid");
	else
		gw_set(&o->conditions, "Accepted", n_good, "ListenersNotValid",
		       "%zu of %zu listeners are valid", n_good, o->n_listeners);
	if (!o->is_programmed)
		gw_set(&o->conditions, "Programmed", false, "AddressNotUsable",
		       "%s cannot be listened on", unusable_address(o));
	else
		gw_set(&o->conditions, "Programmed", n_good, n_good ? "Programmed" : "Invalid",
		       n_good ? "connections are accepted" : "no listener is valid");
}

static bool has_kind(const struct gateway *gw, enum gw_kind kind)
{
	for (size_t i = 0; i < gw->n; i++)
		if (gw->objects[i]->kind == kind)
			return true;
	return gw_has_bad(gw, kind);
}

/* Where there is no class at all, there is nobody else to serve a Gateway. */
static bool is_our_gateway(const struct gateway *gw, const struct gw_object *o)
{
	const struct gw_object *class = gw_find(gw, GW_CLASS, "", o->class);

	return !has_kind(gw, GW_CLASS) || (class && class->is_ours);
}

void gw_resolve_gateways(struct gw_resolving *r)
{
	struct gateway *gw = r->gw;

	for (size_t i = 0; i < gw->n; i++) {
		struct gw_object *o = gw->objects[i];

		if (o->kind != GW_GATEWAY || !is_our_gateway(gw, o))
			continue;
		o->is_ours = true;
		check_gateway(r, o);
		for (size_t k = 0; k < o->n_listeners; k++)
			check_listener(r, &o->listeners[k]);
	}
	for (size_t i = 0; i < gw->n; i++) {
		struct gw_object *o = gw->objects[i];

		if (o->kind == GW_GATEWAY && o->is_ours)
			gw_find_conflicts(r, o);
	}
	for (size_t i = 0; i < gw->n; i++) {
		struct gw_object *o = gw->objects[i];

		if (o->kind != GW_GATEWAY || !o->is_ours)
			continue;
		for (size_t k = 0; k < o->n_listeners; k++)
			settle_listener(o, &o->listeners[k]);
		settle_gateway(o);
		for (size_t k = 0; k < o->n_listeners; k++)
			gw_place(r, o, &o->listeners[k]);
	}
	gw_add_listeners(r);
}
