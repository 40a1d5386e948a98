// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From objects to listeners and routes, with every object's conditions. The rules and their order
 * are the Gateway API's; how names are intersected, which listener a name belongs to and which of
 * two routes has it is the table's (model/table.h), which follows it as well: routes are handed
 * over from the oldest on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/index.h"
#include "model/config_parts.h"
#include "model/gateway_parts.h"
#include "model/table.h"
#include "thruway/name.h"

struct resolving {
	struct gateway *gw;
	struct config *config;
	size_t n_native; /* listeners of the configuration before there were ours */
	int err;
};

static bool has_kind(const struct gateway *gw, enum gw_kind kind)
{
	for (size_t i = 0; i < gw->n; i++)
		if (gw->objects[i]->kind == kind)
			return true;
	return false;
}

/* --- what is ours ---------------------------------------------------------------------------- */

static void claim_classes(struct gateway *gw)
{
	for (size_t i = 0; i < gw->n; i++) {
		struct gw_object *o = gw->objects[i];

		if (o->kind != GW_CLASS || strcmp(o->controller, GATEWAY_CONTROLLER) != 0)
			continue;
		o->is_ours = true;
		o->is_accepted = !o->parameters;
		if (o->is_accepted)
			gw_set(&o->conditions, "Accepted", true, "Accepted",
			       "the class is served by " GATEWAY_CONTROLLER);
		else
			gw_set(&o->conditions, "Accepted", false, "InvalidParameters",
			       "parametersRef: %s: there are no parameters of a class here",
			       o->parameters);
	}
}

/* Where there is no class at all, there is nobody else to serve a Gateway. */
static bool is_our_gateway(const struct gateway *gw, const struct gw_object *o)
{
	const struct gw_object *class = gw_find(gw, GW_CLASS, "", o->class);

	return !has_kind(gw, GW_CLASS) || (class && class->is_ours);
}

/* --- what goes into the configuration --------------------------------------------------------- */

/* The API takes labels of more than 63 bytes, which no client can ask for (RFC 1035 2.3.4). */
static bool can_be_asked_for(const char *hostname)
{
	char pattern[TW_NAME_SIZE];

	return tw_name_pattern(pattern, hostname, (__u32)strlen(hostname)) > 0;
}

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

static int add_text(char ***texts, size_t *n, const char *text)
{
	char **grown = reallocarray(*texts, *n + 1, sizeof(*grown));
	char *copied = strdup(text);

	if (!grown || !copied) {
		free(copied);
		*texts = grown ? grown : *texts;
		return -ENOMEM;
	}
	*texts = grown;
	grown[(*n)++] = copied;
	return 0;
}

static bool is_served(const struct gw_object *gateway, const struct gw_listener *l)
{
	return gateway->is_programmed && l->is_accepted;
}

/* The route in the table is at every place of the listener. 0 or -ENOMEM. */
static int add_to_listener(const struct gw_listener *l, struct config_route *made)
{
	int err = 0;

	for (size_t i = 0; i < l->n_places && !err; i++)
		err = add_text(&made->listeners, &made->n_listeners, l->places[i].label);
	return err;
}

static void add_route(struct resolving *r, struct config_route *made)
{
	struct config *c = r->config;
	struct config_route *grown = reallocarray(c->routes, c->n_routes + 1, sizeof(*grown));

	if (!grown) {
		r->err = -ENOMEM;
		config_route_fini(made);
		return;
	}
	c->routes = grown;
	c->routes[c->n_routes++] = *made;
}

/* --- listeners ------------------------------------------------------------------------------- */

static bool is_route_kind(const struct gw_kind_ref *kind)
{
	return !strcmp(kind->group, GATEWAY_GROUP) && !strcmp(kind->kind, "TLSRoute");
}

static void refuse_listener(struct gw_listener *l, const char *reason, const char *message)
{
	l->is_accepted = l->has_kind = false;
	gw_set(&l->conditions, "Accepted", false, reason, "%s", message);
}

/* HTTPS and Terminate: somebody else's to serve, if there is somebody. */
static bool is_terminated(const struct gw_listener *l)
{
	return l->protocol == GW_HTTPS || (l->protocol == GW_TLS && !l->is_passthrough);
}

static void check_listener(const struct resolving *r, struct gw_listener *l)
{
	size_t n_bad = 0;

	l->is_accepted = true;
	l->has_kind = !l->n_kinds;
	for (size_t i = 0; i < l->n_kinds; i++) {
		l->has_kind |= is_route_kind(&l->kinds[i]);
		n_bad += !is_route_kind(&l->kinds[i]);
	}
	if (is_terminated(l) && !r->config->n_terminate)
		refuse_listener(l,
				l->protocol == GW_TLS ? "UnsupportedValue" : "UnsupportedProtocol",
				"TLS is not terminated here, and no terminator is configured "
				"(terminate: ADDRESS)");
	else if (is_terminated(l))
		l->has_kind = false; /* its routes are the terminator's */
	else if (l->protocol != GW_TLS)
		refuse_listener(l, "UnsupportedProtocol",
				"only protocol TLS in mode Passthrough is served");
	if (n_bad && l->is_accepted && !is_terminated(l))
		gw_set(&l->conditions, "ResolvedRefs", false, "InvalidRouteKinds",
		       "only TLSRoute can be attached here");
}

/* One without a value stands for all; of a Gateway without any, number 0 does. */
static void address_of(const struct gw_object *o, size_t number, uint8_t ret_ip[16])
{
	memset(ret_ip, 0, 16);
	if (o->n_addresses && *o->addresses[number].value)
		(void)addr_parse_ip(o->addresses[number].value, ret_ip); /* has_bad_address() */
}

static size_t n_addresses_of(const struct gw_object *o)
{
	return o->n_addresses ? o->n_addresses : 1;
}

/* Is what dials @ip within @place? :: is all addresses, 0.0.0.0 all of IPv4. */
static bool is_within(const uint8_t ip[16], const uint8_t place[16])
{
	if (addr_is_any(place))
		return !addr_is_ipv4(place) || addr_is_ipv4(ip);
	return !memcmp(ip, place, 16);
}

static bool share_address(const struct gw_object *a, const struct gw_object *b)
{
	uint8_t one[16], other[16];

	for (size_t i = 0; i < n_addresses_of(a); i++)
		for (size_t k = 0; k < n_addresses_of(b); k++) {
			address_of(a, i, one);
			address_of(b, k, other);
			if (is_within(one, other) || is_within(other, one))
				return true;
		}
	return false;
}

/* Another address of the Gateway has it, too. */
static bool is_address_spare(const struct gw_object *o, size_t number)
{
	uint8_t ip[16], other[16];

	address_of(o, number, ip);
	for (size_t i = 0; i < n_addresses_of(o); i++) {
		address_of(o, i, other);
		if (i != number && is_within(ip, other) && (i < number || !is_within(other, ip)))
			return true;
	}
	return false;
}

/* HTTP, TCP and UDP; TLS and HTTPS are told apart by name and share a port. */
static bool is_tls_family(const struct gw_listener *l)
{
	return l->protocol == GW_TLS || l->protocol == GW_HTTPS;
}

/* NULL = the two can stand beside each other. */
static const char *conflict_of(const struct gw_listener *a, const struct gw_listener *b)
{
	bool has_same_name = a->hostname && b->hostname ? !strcmp(a->hostname, b->hostname)
							: a->hostname == b->hostname;

	if (a->port != b->port || a->protocol == GW_UDP || b->protocol == GW_UDP)
		return a->port == b->port && a->protocol == b->protocol ? "ProtocolConflict" : NULL;
	if (is_tls_family(a) != is_tls_family(b) && a->protocol != GW_OTHER &&
	    b->protocol != GW_OTHER)
		return "ProtocolConflict";
	if (!has_same_name || (!is_tls_family(a) && a->protocol != b->protocol))
		return NULL;
	return is_tls_family(a) || a->protocol == GW_HTTP ? "HostnameConflict" : NULL;
}

/* Nobody serves it, so that it takes nothing from others. */
static bool is_void(const struct resolving *r, const struct gw_object *gateway,
		    const struct gw_listener *l)
{
	return !gateway->is_programmed || (is_terminated(l) && !r->config->n_terminate);
}

static bool is_taken(const struct config_listener *native, const uint8_t ip[16],
		     const struct gw_listener *l)
{
	return !memcmp(native->addr, ip, 16) && ntohs(native->port) == l->port &&
	       (native->hostname && l->hostname ? !strcmp(native->hostname, l->hostname)
						: native->hostname == l->hostname);
}

/* The configuration's own listener that has this place; NULL = none. */
static const struct config_listener *rival_at(const struct resolving *r, const uint8_t ip[16],
					      const struct gw_listener *l)
{
	for (size_t i = 0; i < r->n_native; i++)
		if (is_taken(&r->config->listeners[i], ip, l))
			return &r->config->listeners[i];
	return NULL;
}

/* The configuration's own listeners stay as they are: no winner is picked among Gateways. */
static void find_rival(const struct resolving *r, const struct gw_object *o, struct gw_listener *l)
{
	const struct config_listener *rival = NULL;
	uint8_t ip[16];

	for (size_t i = 0; i < n_addresses_of(o) && !rival && is_tls_family(l); i++) {
		address_of(o, i, ip);
		rival = is_void(r, o, l) ? NULL : rival_at(r, ip, l);
	}
	if (!rival)
		return;
	l->conflict = "HostnameConflict";
	l->rival = rival->name;
}

static void find_conflicts(const struct resolving *r, struct gw_object *o, struct gw_listener *l)
{
	struct gateway *gw = r->gw;

	for (size_t i = 0; i < gw->n && !l->conflict; i++) {
		struct gw_object *other = gw->objects[i];

		if (other->kind != GW_GATEWAY || !other->is_ours || !share_address(o, other))
			continue;
		for (size_t k = 0; k < other->n_listeners && !l->conflict; k++)
			if (&other->listeners[k] != l && !is_void(r, o, l) &&
			    !is_void(r, other, &other->listeners[k]))
				l->conflict = conflict_of(l, &other->listeners[k]);
	}
	if (!l->conflict)
		find_rival(r, o, l);
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
	gw_set(&l->conditions, "Programmed", is_served(o, l),
	       is_served(o, l) ? "Programmed" : "Invalid", "%s",
	       is_served(o, l)	? "connections are accepted"
	       : l->is_accepted ? "the Gateway is not programmed"
				: "the listener is not accepted");
	for (size_t i = 0; i < l->conditions.n; i++)
		if (!strcmp(l->conditions.items[i].type, "ResolvedRefs"))
			return;
	gw_set(&l->conditions, "ResolvedRefs", true, "ResolvedRefs", "all references are resolved");
}

static void add_listener(struct resolving *r, const struct gw_object *o,
			 const struct gw_listener *l, const struct gw_place *place)
{
	struct config *c = r->config;
	struct config_listener *grown =
		reallocarray(c->listeners, c->n_listeners + 1, sizeof(*grown));
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
		.pos = o->pos,
	};
	memcpy(made->addr, place->ip, sizeof(made->addr));
	if (!made->name || (l->hostname && !made->hostname))
		r->err = -ENOMEM;
}

/* All names of @l go to the terminator, as they are. */
static void add_terminated(struct resolving *r, const struct gw_object *o, struct gw_listener *l)
{
	const struct config *c = r->config;
	struct config_route made = {.owner = TW_OWNER_FILE, .pos = o->pos, .yields_names = true};

	made.backends = calloc(c->n_terminate, sizeof(*made.backends));
	if (!made.backends ||
	    asprintf(&made.name, "%s/%s/%s terminated", o->ns, o->name, l->name) < 0 ||
	    add_text(&made.hostnames, &made.n_hostnames, l->hostname ? l->hostname : "*") ||
	    add_to_listener(l, &made)) {
		r->err = -ENOMEM;
		config_route_fini(&made);
		return;
	}
	memcpy(made.backends, c->terminate, c->n_terminate * sizeof(*made.backends));
	made.n_backends = c->n_terminate;
	add_route(r, &made);
}

static void add_place(struct resolving *r, const struct gw_object *o, struct gw_listener *l,
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

static void place_on_own_addresses(struct resolving *r, const struct gw_object *o,
				   struct gw_listener *l)
{
	uint8_t ip[16];
	char name[12];

	/* A name that nobody can ask for has no place. */
	if (!is_served(o, l) || (l->hostname && !can_be_asked_for(l->hostname)))
		return;
	for (size_t i = 0; i < n_addresses_of(o); i++) {
		if (is_address_spare(o, i))
			continue;
		address_of(o, i, ip);
		snprintf(name, sizeof(name), i ? "%zu" : "", i);
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
static void place_beside(struct resolving *r, const struct gw_object *o, struct gw_listener *l,
			 const struct gw_listener *other)
{
	char name[ADDR_TEXT_SIZE];
	size_t n = l->n_places;

	for (size_t k = 0; other->port == l->port && k < other->n_places; k++) {
		const uint8_t *ip = other->places[k].ip;

		for (size_t i = 0; i < n; i++)
			if (is_within(ip, l->places[i].ip) && !is_placed(l, ip) &&
			    !rival_at(r, ip, l))
				add_place(r, o, l, ip, addr_format_ip(name, ip));
	}
}

static void place_on_others(struct resolving *r, const struct gw_object *o, struct gw_listener *l)
{
	const struct gateway *gw = r->gw;

	for (size_t i = 0; l->n_places && i < gw->n; i++) {
		const struct gw_object *other = gw->objects[i];

		for (size_t k = 0; other->kind == GW_GATEWAY && k < other->n_listeners; k++)
			place_beside(r, o, l, &other->listeners[k]);
	}
}

static void add_listeners(struct resolving *r, struct gw_object *o)
{
	for (size_t i = 0; i < o->n_listeners; i++) {
		struct gw_listener *l = &o->listeners[i];

		place_on_others(r, o, l);
		for (size_t k = 0; k < l->n_places; k++)
			add_listener(r, o, l, &l->places[k]);
		if (l->n_places && is_terminated(l))
			add_terminated(r, o, l);
	}
}

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
		address_of(o, i, ip);
		if (!config_ip_is_usable(ip, &why))
			return o->addresses[i].value;
	}
	return NULL;
}

/* What stands in the way of the whole Gateway, whatever its listeners are. */
static void check_gateway(const struct resolving *r, struct gw_object *o)
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

static void resolve_gateways(struct resolving *r)
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

		for (size_t k = 0; o->kind == GW_GATEWAY && o->is_ours && k < o->n_listeners; k++)
			find_conflicts(r, o, &o->listeners[k]);
	}
	for (size_t i = 0; i < gw->n; i++) {
		struct gw_object *o = gw->objects[i];

		if (o->kind != GW_GATEWAY || !o->is_ours)
			continue;
		for (size_t k = 0; k < o->n_listeners; k++)
			settle_listener(o, &o->listeners[k]);
		settle_gateway(o);
		for (size_t k = 0; k < o->n_listeners; k++)
			place_on_own_addresses(r, o, &o->listeners[k]);
	}
	for (size_t i = 0; i < gw->n; i++)
		if (gw->objects[i]->kind == GW_GATEWAY)
			add_listeners(r, gw->objects[i]);
}

/* --- attachment ------------------------------------------------------------------------------ */

static const char *label_of(const struct gateway *gw, const char *ns, const char *key)
{
	const struct gw_object *o = gw_find(gw, GW_NAMESPACE, "", ns);

	for (size_t i = 0; o && i < o->n_labels; i++)
		if (!strcmp(o->labels[i].key, key))
			return o->labels[i].value;
	/* Every API server puts this one on. */
	return strcmp(key, "kubernetes.io/metadata.name") ? NULL : ns;
}

static bool is_among(const char *text, char *const *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(values[i], text))
			return true;
	return false;
}

static bool rule_fits(const struct gw_selector_rule *rule, const char *value)
{
	switch (rule->op) {
	case GW_IN:
		return value && is_among(value, rule->values, rule->n_values);
	case GW_NOT_IN:
		return !value || !is_among(value, rule->values, rule->n_values);
	case GW_EXISTS:
		return value;
	default:
		return !value;
	}
}

static bool selector_fits(const struct gateway *gw, const struct gw_listener *l, const char *ns)
{
	if (!l->has_selector)
		return false;
	for (size_t i = 0; i < l->n_labels; i++) {
		const char *value = label_of(gw, ns, l->labels[i].key);

		if (!value || strcmp(value, l->labels[i].value) != 0)
			return false;
	}
	for (size_t i = 0; i < l->n_rules; i++)
		if (!rule_fits(&l->rules[i], label_of(gw, ns, l->rules[i].key)))
			return false;
	return true;
}

static bool is_allowed(const struct gateway *gw, const struct gw_object *gateway,
		       const struct gw_listener *l, const struct gw_object *route)
{
	/* A listener that lost its port to a conflict still knows which routes are its own. */
	if (l->protocol != GW_TLS || !l->is_passthrough)
		return false;
	for (size_t i = 0; i < l->n_kinds && !is_route_kind(&l->kinds[i]); i++)
		if (i + 1 == l->n_kinds)
			return false;
	if (l->from == GW_ALL)
		return true;
	if (l->from == GW_SAME)
		return !strcmp(gateway->ns, route->ns);
	return selector_fits(gw, l, route->ns);
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
static struct gw_object *gateway_of(const struct gateway *gw, const struct gw_object *route,
				    const struct gw_parent *p)
{
	struct gw_object *gateway = NULL;

	if (!strcmp(p->group, GATEWAY_GROUP) && !strcmp(p->kind, "Gateway"))
		gateway = gw_find(gw, GW_GATEWAY, p->ns ? p->ns : route->ns, p->name);
	return gateway && gateway->is_ours ? gateway : NULL;
}

static int attach_parent(const struct gateway *gw, const struct gw_object *route,
			 struct gw_parent *p, struct config_route *made)
{
	static const char *const reasons[] = {"NoMatchingParent", "NotAllowedByListeners",
					      "NoMatchingListenerHostname", "Accepted"};
	static const char *const messages[] = {
		"the Gateway has no listener of this name or port",
		"no listener that is meant allows TLSRoutes of this namespace",
		"no hostname of the route is one of a listener that is meant",
		"the route is attached",
	};
	const struct gw_object *gateway = gateway_of(gw, route, p);
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
		if (p->attached & 1ULL << i)
			err = add_to_listener(&gateway->listeners[i], made);
	return err;
}

/* One route more is attached to the listeners of its parents. */
static void count_route(const struct gateway *gw, const struct gw_object *route)
{
	for (size_t i = 0; i < route->n_parents; i++) {
		const struct gw_parent *p = &route->parents[i];
		struct gw_object *gateway = gateway_of(gw, route, p);

		for (size_t k = 0; gateway && k < gateway->n_listeners; k++)
			gateway->listeners[k].attached += p->attached >> k & 1;
	}
}

/* --- backends -------------------------------------------------------------------------------- */

static bool is_granted(const struct gateway *gw, const char *from_ns, const char *to_ns,
		       const struct gw_backend *b)
{
	uint32_t at = INDEX_START;
	const struct gw_object *g;

	while ((g = gw_next_grant(gw, to_ns, &at))) {
		bool has_from = false, has_to = false;

		for (size_t k = 0; k < g->n_sources; k++)
			has_from |= !strcmp(g->sources[k].group, GATEWAY_GROUP) &&
				    !strcmp(g->sources[k].kind, "TLSRoute") &&
				    !strcmp(g->sources[k].ns, from_ns);
		for (size_t k = 0; k < g->n_targets; k++)
			has_to |= !strcmp(g->targets[k].group, b->group) &&
				  !strcmp(g->targets[k].kind, b->kind) &&
				  (!g->targets[k].name || !*g->targets[k].name ||
				   !strcmp(g->targets[k].name, b->name));
		if (has_from && has_to)
			return true;
	}
	return false;
}

static const struct gw_port *service_port(const struct gw_object *service, uint32_t port)
{
	for (size_t i = 0; i < service->n_ports; i++)
		if (service->ports[i].is_tcp && service->ports[i].port == port)
			return &service->ports[i];
	return NULL;
}

struct endpoints {
	struct tw_backend *items;
	size_t n;
	bool is_cut; /* there are more than a route may have */
};

static int add_endpoint(struct endpoints *list, const char *address, uint32_t port)
{
	struct tw_backend backend = {.port = htons((uint16_t)port)}, *grown;

	if (addr_parse_ip(address, backend.addr))
		return 0; /* checked when it was read */
	backend.family = addr_is_ipv4(backend.addr) ? TW_FAMILY_IPV4 : TW_FAMILY_IPV6;
	addr_format(backend.text, backend.addr, backend.port);
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->items[i].text, backend.text))
			return 0;
	list->is_cut = list->n == TW_ROUTE_BACKENDS_MAX;
	if (list->is_cut)
		return 0;
	grown = reallocarray(list->items, list->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->items = grown;
	grown[list->n++] = backend;
	return 0;
}

/* The port of this name in a slice is the target port already; without a number: all ports. */
static uint32_t slice_port(const struct gw_object *slice, const struct gw_port *wanted)
{
	for (size_t i = 0; i < slice->n_ports; i++)
		if (slice->ports[i].is_tcp && !strcmp(slice->ports[i].name, wanted->name))
			return slice->ports[i].port ? slice->ports[i].port : wanted->target;
	return 0;
}

/* Those that are ready; where none is, those that are on their way out and still serve. */
static int collect(const struct gateway *gw, const struct gw_object *service,
		   const struct gw_port *port, bool is_fallback, struct endpoints *list,
		   bool *ret_has_slices)
{
	uint32_t at = INDEX_START, number;
	const struct gw_object *s;
	int err = 0;

	while (!err && (s = gw_next_slice(gw, service->ns, service->name, &at))) {
		*ret_has_slices = true;
		number = slice_port(s, port);
		for (size_t k = 0; number && k < s->n_endpoints && !err; k++) {
			const struct gw_endpoint *e = &s->endpoints[k];

			if (is_fallback ? e->is_serving && e->is_terminating : e->is_ready)
				err = add_endpoint(list, e->address, number);
		}
	}
	return err;
}

static int add_hints(const struct gateway *gw, const struct gw_object *service,
		     const struct gw_port *port, struct endpoints *list)
{
	char ip[ADDR_TEXT_SIZE];
	struct addr addr;
	int err = 0;

	for (size_t i = 0; i < gw->n_hints; i++) {
		const struct gw_hint *hint = &gw->hints[i];

		if (strcmp(hint->ns, service->ns) != 0 || strcmp(hint->service, service->name) != 0)
			continue;
		for (size_t k = 0; k < hint->n_addresses && !err; k++)
			err = addr_parse(hint->addresses[k], &addr)
				      ? add_endpoint(list, hint->addresses[k], port->target)
				      : add_endpoint(list, addr_format_ip(ip, addr.ip),
						     ntohs(addr.port));
	}
	return err;
}

/*
 * Without any slice there may be endpoints in a native document, or else the cluster's own address
 * of the service. (A slice that holds none that is ready is an answer, too.)
 */
static int endpoints_of(const struct gateway *gw, const struct gw_object *service,
			const struct gw_port *port, struct endpoints *list)
{
	bool has_slices = false;
	int err = collect(gw, service, port, false, list, &has_slices);

	if (!err && !list->n)
		err = collect(gw, service, port, true, list, &has_slices);
	if (!err && !has_slices)
		err = add_hints(gw, service, port, list);
	if (!err && !has_slices && !list->n && *service->cluster_ip &&
	    strcmp(service->cluster_ip, "None") != 0)
		err = add_endpoint(list, service->cluster_ip, port->port);
	return err;
}

/* One backendRef, resolved: its endpoints, or why there are none. */
struct share {
	struct endpoints endpoints;
	uint32_t weight;
	const char *reason; /* NULL = the reference resolves */
	char message[600];
};

static int resolve_backend(const struct gateway *gw, const struct gw_object *route,
			   const struct gw_backend *b, struct share *share)
{
	const char *ns = b->ns ? b->ns : route->ns;
	const struct gw_object *service;
	const struct gw_port *port;

	share->weight = b->weight;
	/* First: without a grant nobody learns whether the target exists. */
	if (strcmp(ns, route->ns) != 0 && !is_granted(gw, route->ns, ns, b)) {
		share->reason = "RefNotPermitted";
		snprintf(share->message, sizeof(share->message),
			 "no ReferenceGrant in namespace %s permits %s %s", ns, b->kind, b->name);
		return 0;
	}
	if (*b->group || strcmp(b->kind, "Service") != 0) {
		share->reason = "InvalidKind";
		snprintf(share->message, sizeof(share->message), "%s%s%s cannot be a backend",
			 b->group, *b->group ? "/" : "", b->kind);
		return 0;
	}
	service = gw_find(gw, GW_SERVICE, ns, b->name);
	port = service ? service_port(service, b->port) : NULL;
	if (service && !strcmp(service->service_type, "ExternalName")) {
		share->reason = "UnsupportedValue";
		snprintf(share->message, sizeof(share->message),
			 "Service %s/%s is of type ExternalName, which is not supported "
			 "(CVE-2021-25740)",
			 ns, b->name);
		return 0;
	}
	if (!port) {
		share->reason = "BackendNotFound";
		snprintf(share->message, sizeof(share->message),
			 service ? "Service %s/%s has no TCP port %u" : "no Service %s/%s", ns,
			 b->name, b->port);
		return 0;
	}
	return endpoints_of(gw, service, port, &share->endpoints);
}

static uint64_t greatest_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static size_t n_kept(const struct share *share, size_t most)
{
	size_t n = share->endpoints.n ? share->endpoints.n : 1; /* the one that refuses */

	return n < most ? n : most;
}

/*
 * How many endpoints a share may have, so that all of them together have room in a route: small
 * ones keep theirs, and none is without. (Of large ones the first are used, so that a change at the
 * end moves nobody.)
 */
static size_t room_for_each(const struct share *shares, size_t n)
{
	size_t most = TW_ROUTE_BACKENDS_MAX + 1, sum;

	do {
		most--;
		sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += n_kept(&shares[i], most);
	} while (sum > TW_ROUTE_BACKENDS_MAX);
	return most;
}

static void add_share(const struct share *share, uint64_t factor, size_t n,
		      struct config_route *made)
{
	uint64_t weight = share->weight * factor / n;

	/* Too small to be divided: fewer endpoints have it, so that it stays what it is. */
	if (share->weight && !weight) {
		n = share->weight * factor;
		weight = 1;
	}
	for (size_t i = 0; i < n; i++) {
		struct config_backend *b = &made->backends[made->n_backends++];

		b->weight = (uint32_t)weight;
		b->is_invalid = !share->endpoints.n;
		if (share->endpoints.n)
			b->backend = share->endpoints.items[i];
	}
}

/*
 * A share is divided evenly among its endpoints; one without any keeps it, and refuses. All weights
 * are multiplied by the least number that makes them whole, if they then still fit.
 */
static int add_shares(const struct share *shares, size_t n, struct config_route *made)
{
	size_t most_endpoints = room_for_each(shares, n), n_backends = 0;
	uint64_t factor = 1, most = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = n_kept(&shares[i], most_endpoints);

		if (factor <= TW_WEIGHT_MAX)
			factor = factor / greatest_divisor(factor, k) * k;
		n_backends += k;
		most = shares[i].weight > most ? shares[i].weight : most;
	}
	if (most * factor > TW_WEIGHT_MAX)
		factor = most ? TW_WEIGHT_MAX / most : 1;
	made->backends = calloc(n_backends ? n_backends : 1, sizeof(*made->backends));
	if (!made->backends)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		add_share(&shares[i], factor, n_kept(&shares[i], most_endpoints), made);
	return 0;
}

static bool is_any_cut(const struct share *shares, size_t n)
{
	size_t most = n ? room_for_each(shares, n) : 0;

	for (size_t i = 0; i < n; i++)
		if (shares[i].endpoints.is_cut || shares[i].endpoints.n > most)
			return true;
	return false;
}

static void settle_references(struct gw_object *route, const struct share *shares)
{
	const struct share *bad = NULL;
	bool is_cut = is_any_cut(shares, route->n_backends);

	for (size_t i = route->n_backends; i-- > 0;)
		if (shares[i].reason)
			bad = &shares[i];
	for (size_t i = 0; i < route->n_parents; i++)
		if (bad && route->parents[i].is_ours)
			gw_set(&route->parents[i].conditions, "ResolvedRefs", false, bad->reason,
			       "%s", bad->message);
		else if (route->parents[i].is_ours)
			gw_set(&route->parents[i].conditions, "ResolvedRefs", true, "ResolvedRefs",
			       is_cut ? "all references are resolved; of their endpoints the "
					"first are used: a route has room for %d"
				      : "all references are resolved",
			       TW_ROUTE_BACKENDS_MAX);
}

static int resolve_backends(const struct gateway *gw, struct gw_object *route,
			    struct config_route *made)
{
	size_t n = route->n_backends ? route->n_backends : 1;
	struct share *shares = calloc(n, sizeof(*shares));
	int err = 0;

	if (!shares)
		return -ENOMEM;
	for (size_t i = 0; i < route->n_backends && !err; i++)
		err = resolve_backend(gw, route, &route->backends[i], &shares[i]);
	if (!route->n_backends)
		shares[0].weight = 1; /* forwards nothing: every connection is refused */
	if (!err)
		err = add_shares(shares, n, made);
	settle_references(route, shares);
	for (size_t i = 0; i < n; i++)
		free(shares[i].endpoints.items);
	free(shares);
	return err;
}

/* --- routes ---------------------------------------------------------------------------------- */

/* A name in the table: of 253 bytes, and another one for every route. */
static char *route_label(const char *ns, const char *name)
{
	char whole[512], *label = NULL;

	snprintf(whole, sizeof(whole), "%s/%s", ns, name);
	if (strlen(whole) <= TW_NAME_MAX)
		return strdup(whole);
	return asprintf(&label, "%.240s~%08x", whole, index_hash_text(0, whole)) < 0 ? NULL : label;
}

static int add_hostnames(const struct gw_object *route, struct config_route *made)
{
	int err = route->n_hostnames ? 0 : add_text(&made->hostnames, &made->n_hostnames, "*");

	for (size_t i = 0; i < route->n_hostnames && !err; i++)
		if (can_be_asked_for(route->hostnames[i]))
			err = add_text(&made->hostnames, &made->n_hostnames, route->hostnames[i]);
	return err;
}

/*
 * One route, among Gateways that are resolved: its conditions, and in *@made what it is in the
 * configuration (to be freed by the caller also after -ENOMEM); one without listeners or hostnames
 * serves nobody. Nothing but @route changes.
 */
static int resolve_route(const struct gateway *gw, struct gw_object *route,
			 struct config_route *made)
{
	int err = 0;

	*made = (struct config_route){
		.name = route_label(route->ns, route->name),
		.owner = TW_OWNER_FILE,
		.pos = route->pos,
		.yields_names = true,
	};
	for (size_t i = 0; i < route->n_parents && !err; i++) {
		err = attach_parent(gw, route, &route->parents[i], made);
		route->is_ours |= route->parents[i].is_ours;
	}
	if (!err)
		err = add_hostnames(route, made);
	if (!err && route->is_ours)
		err = resolve_backends(gw, route, made);
	return made->name ? err : -ENOMEM;
}

/* The oldest first; then by namespace and name. */
static int compare_age(const void *left, const void *right)
{
	const struct gw_object *a = *(struct gw_object *const *)left;
	const struct gw_object *b = *(struct gw_object *const *)right;
	int by = a->has_created && b->has_created
			 ? (a->created_ns > b->created_ns) - (a->created_ns < b->created_ns)
			 : b->has_created - a->has_created;

	/* Without a time: as old as any that has none, and younger than one that has one. */
	if (!by)
		by = strcmp(a->ns, b->ns);
	return by ? by : strcmp(a->name, b->name);
}

static void resolve_routes(struct resolving *r)
{
	struct gw_object **sorted = calloc(r->gw->n + 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted) {
		r->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < r->gw->n; i++)
		if (r->gw->objects[i]->kind == GW_ROUTE)
			sorted[n++] = r->gw->objects[i];
	qsort(sorted, n, sizeof(struct gw_object *), compare_age);
	for (size_t i = 0; i < n && !r->err; i++) {
		struct config_route made;

		r->err = resolve_route(r->gw, sorted[i], &made);
		count_route(r->gw, sorted[i]);
		if (!r->err && made.n_listeners && made.n_hostnames)
			add_route(r, &made);
		else
			config_route_fini(&made);
	}
	free(sorted);
}

static void forget(struct gw_object *o)
{
	o->is_ours = o->is_accepted = o->is_programmed = false;
	gw_clear(&o->conditions);
	for (size_t i = 0; i < o->n_listeners; i++) {
		struct gw_listener *l = &o->listeners[i];

		gw_clear(&l->conditions);
		gw_forget_places(l);
		l->conflict = l->rival = NULL;
		l->attached = 0;
	}
	for (size_t i = 0; i < o->n_parents; i++) {
		o->parents[i].is_ours = o->parents[i].is_accepted = false;
		o->parents[i].attached = 0;
		gw_clear(&o->parents[i].conditions);
	}
}

int gateway_resolve(struct gateway *gw, struct config *config)
{
	struct resolving r = {.gw = gw, .config = config, .n_native = config->n_listeners};

	for (size_t i = 0; i < gw->n; i++)
		forget(gw->objects[i]);
	claim_classes(gw);
	resolve_gateways(&r);
	if (!r.err)
		resolve_routes(&r);
	return r.err;
}
