// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The objects' statuses in the shape that a cluster shows. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "model/gateway_resolving.h"

/* What the API has room for. */
#define ADDRESSES_MAX 16

/* RFC 3339, as Kubernetes has it. */
static json_t *time_of(int64_t since_s)
{
	time_t since = (time_t)since_s;
	char text[32];
	struct tm tm;

	if (!gmtime_r(&since, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return NULL;
	return json_string(text);
}

/* What is Programmed is not, while the host lacks @absent (NULL = nothing). */
static json_t *condition(const struct gw_condition *c, int64_t generation, const char *absent)
{
	json_t *item = json_pack("{s:s, s:s, s:s, s:s, s:I}", "type", c->type, "status",
				 c->is_true ? "True" : "False", "reason", c->reason, "message",
				 c->message ? c->message : "", "observedGeneration",
				 (json_int_t)generation);

	if (absent && c->is_true && !strcmp(c->type, "Programmed")) {
		json_object_set_new(item, "status", json_string("False"));
		json_object_set_new(item, "reason", json_string("AddressNotUsable"));
		json_object_set_new(item, "message",
				    json_sprintf("this host has no address %s; connections are "
						 "accepted when it has",
						 absent));
		/* Since when, nobody was there to see. */
		return item;
	}
	if (c->since_s)
		json_object_set_new(item, "lastTransitionTime", time_of(c->since_s));
	return item;
}

static json_t *conditions(const struct gw_conditions *c, int64_t generation, const char *absent)
{
	json_t *array = json_array();

	for (size_t i = 0; i < c->n; i++) {
		if (c->items[i].is_set)
			json_array_append_new(array, condition(&c->items[i], generation, absent));
	}
	return array;
}

static json_t *listener(const struct gw_listener *l, int64_t generation, const char *absent)
{
	json_t *supported = json_array();

	if (l->has_kind && l->is_accepted)
		json_array_append_new(supported, json_pack("{s:s, s:s}", "group", GATEWAY_GROUP,
							   "kind", "TLSRoute"));
	return json_pack("{s:s, s:o, s:i, s:o}", "name", l->name, "supportedKinds", supported,
			 "attachedRoutes", (int)l->attached, "conditions",
			 conditions(&l->conditions, generation, absent));
}

/* --- addresses ------------------------------------------------------------------------------- */

/* Some listener of the Gateway accepts connections there. */
static bool is_bound(const struct gw_object *o, const uint8_t ip[16])
{
	for (size_t i = 0; i < o->n_listeners; i++)
		for (size_t k = 0; k < o->listeners[i].n_places; k++)
			if (!memcmp(o->listeners[i].places[k].ip, ip, 16))
				return true;
	return false;
}

static void add_address(json_t *addresses, const char *value)
{
	const json_t *one;
	size_t i;

	json_array_foreach (addresses, i, one)
		if (!strcmp(json_string_value(json_object_get(one, "value")), value))
			return;
	if (i < ADDRESSES_MAX)
		json_array_append_new(addresses,
				      json_pack("{s:s, s:s}", "type", "IPAddress", "value", value));
}

/* Of this host within @any, all or all of IPv4: those that another host can dial. */
static void add_host(json_t *addresses, const struct config_host *host, const uint8_t any[16])
{
	char text[ADDR_TEXT_SIZE];

	for (size_t i = 0; host && i < host->n; i++)
		if (gw_is_within(host->addrs[i], any) && addr_is_global(host->addrs[i]))
			add_address(addresses, addr_format_ip(text, host->addrs[i]));
}

static bool is_absent(const struct config_host *host, const uint8_t ip[16])
{
	return host && host->has && !addr_is_any(ip) && !host->has(ip);
}

/* One that the Gateway asks for and the host does not have (yet); NULL = it has all. */
static const char *absent_address(const struct gw_object *o, const struct config_host *host)
{
	uint8_t ip[16];

	for (size_t i = 0; i < o->n_addresses; i++) {
		gw_address_of(o, i, ip);
		if (is_bound(o, ip) && is_absent(host, ip))
			return o->addresses[i].value;
	}
	return NULL;
}

static json_t *addresses_of(const struct gw_object *o, const struct config_host *host)
{
	json_t *addresses = json_array();
	uint8_t ip[16];

	for (size_t i = 0; i < gw_n_addresses_of(o); i++) {
		gw_address_of(o, i, ip);
		if (!is_bound(o, ip) || is_absent(host, ip))
			continue;
		if (addr_is_any(ip))
			add_host(addresses, host, ip);
		else if (!gw_is_address_spare(o, i))
			add_address(addresses, o->addresses[i].value);
	}
	return addresses;
}

/* --- objects --------------------------------------------------------------------------------- */

static json_t *gateway_of(const struct gw_object *o, const struct config_host *host)
{
	json_t *listeners = json_array(), *addresses = addresses_of(o, host);
	const char *absent = absent_address(o, host);
	bool is_anywhere = json_array_size(addresses);

	for (size_t i = 0; i < o->n_listeners; i++)
		json_array_append_new(listeners, listener(&o->listeners[i], o->generation,
							  is_anywhere ? NULL : absent));
	return json_pack("{s:o, s:o, s:o}", "addresses", addresses, "conditions",
			 conditions(&o->conditions, o->generation, absent), "listeners", listeners);
}

static json_t *parent(const struct gw_parent *p, int64_t generation)
{
	json_t *ref =
		json_pack("{s:s, s:s, s:s}", "group", p->group, "kind", p->kind, "name", p->name);

	if (p->ns)
		json_object_set_new(ref, "namespace", json_string(p->ns));
	if (p->section)
		json_object_set_new(ref, "sectionName", json_string(p->section));
	if (p->port)
		json_object_set_new(ref, "port", json_integer(p->port));
	return json_pack("{s:o, s:s, s:o}", "parentRef", ref, "controllerName", GATEWAY_CONTROLLER,
			 "conditions", conditions(&p->conditions, generation, NULL));
}

static json_t *status_of(const struct gw_object *o, const struct config_host *host)
{
	json_t *parents;

	switch (o->kind) {
	case GW_CLASS:
		/* Names of the API's own list of features, sorted. */
		return json_pack("{s:o, s:[{s:s}, {s:s}, {s:s}]}", "conditions",
				 conditions(&o->conditions, o->generation, NULL),
				 "supportedFeatures", "name", "Gateway", "name", "ReferenceGrant",
				 "name", "TLSRoute");
	case GW_GATEWAY:
		return gateway_of(o, host);
	case GW_ROUTE:
		parents = json_array();
		for (size_t i = 0; i < o->n_parents; i++)
			if (o->parents[i].is_ours)
				json_array_append_new(parents,
						      parent(&o->parents[i], o->generation));
		return json_pack("{s:o}", "parents", parents);
	default:
		return NULL;
	}
}

static json_t *item(const struct gw_object *o, const struct config_host *host)
{
	json_t *meta =
		json_pack("{s:s, s:I}", "name", o->name, "generation", (json_int_t)o->generation);

	if (*o->ns)
		json_object_set_new(meta, "namespace", json_string(o->ns));
	return json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", o->api_version, "kind",
			 gw_kind_word(o->kind), "metadata", meta, "status", status_of(o, host));
}

/* A route that names no Gateway of ours is nobody else's to show; a Gateway may be. */
static bool is_shown(const struct gw_object *o)
{
	return o->kind == GW_ROUTE || o->is_ours;
}

json_t *gateway_status(const struct gateway *gw, const char *kind, const char *name,
		       const struct config_host *host)
{
	_cleanup_free_ const struct gw_object **sorted = NULL;
	json_t *array = json_array();
	size_t n;

	sorted = gw_sorted(gw, &n);
	for (size_t i = 0; i < n; i++)
		if (is_shown(sorted[i]) &&
		    (!kind || !strcasecmp(kind, gw_kind_word(sorted[i]->kind))) &&
		    (!name || !strcmp(name, sorted[i]->name)))
			json_array_append_new(array, item(sorted[i], host));
	return array;
}
