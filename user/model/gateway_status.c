// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The objects' statuses in the shape that a cluster shows. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "model/gateway_resolving.h"

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

static json_t *conditions(const struct gw_conditions *c, int64_t generation)
{
	json_t *array = json_array();

	for (size_t i = 0; i < c->n; i++) {
		const struct gw_condition *one = &c->items[i];
		json_t *item;

		if (!one->is_set)
			continue;
		item = json_pack("{s:s, s:s, s:s, s:s, s:I}", "type", one->type, "status",
				 one->is_true ? "True" : "False", "reason", one->reason, "message",
				 one->message ? one->message : "", "observedGeneration",
				 (json_int_t)generation);
		if (one->since_s)
			json_object_set_new(item, "lastTransitionTime", time_of(one->since_s));
		json_array_append_new(array, item);
	}
	return array;
}

static json_t *listener(const struct gw_listener *l, int64_t generation)
{
	json_t *supported = json_array();

	if (l->has_kind && l->is_accepted)
		json_array_append_new(supported, json_pack("{s:s, s:s}", "group", GATEWAY_GROUP,
							   "kind", "TLSRoute"));
	return json_pack("{s:s, s:o, s:i, s:o}", "name", l->name, "supportedKinds", supported,
			 "attachedRoutes", (int)l->attached, "conditions",
			 conditions(&l->conditions, generation));
}

/*
 * Clients can dial it. Of a Gateway on all addresses there is none to be told: which ones the host
 * has nobody knows here.
 */
static bool is_bound(const struct gw_object *o, size_t number)
{
	uint8_t ip[16];

	gw_address_of(o, number, ip);
	for (size_t i = 0; i < o->n_listeners; i++)
		for (size_t k = 0; k < o->listeners[i].n_places; k++)
			if (!memcmp(o->listeners[i].places[k].ip, ip, 16))
				return !addr_is_any(ip) && !gw_is_address_spare(o, number);
	return false;
}

static json_t *gateway_of(const struct gw_object *o)
{
	json_t *listeners = json_array(), *addresses = json_array();

	for (size_t i = 0; i < o->n_listeners; i++)
		json_array_append_new(listeners, listener(&o->listeners[i], o->generation));
	for (size_t i = 0; i < o->n_addresses; i++)
		if (is_bound(o, i))
			json_array_append_new(addresses,
					      json_pack("{s:s, s:s}", "type", o->addresses[i].type,
							"value", o->addresses[i].value));
	return json_pack("{s:o, s:o, s:o}", "addresses", addresses, "conditions",
			 conditions(&o->conditions, o->generation), "listeners", listeners);
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
			 "conditions", conditions(&p->conditions, generation));
}

static json_t *status_of(const struct gw_object *o)
{
	json_t *parents;

	switch (o->kind) {
	case GW_CLASS:
		/* Names of the API's own list of features, sorted. */
		return json_pack("{s:o, s:[{s:s}, {s:s}, {s:s}]}", "conditions",
				 conditions(&o->conditions, o->generation), "supportedFeatures",
				 "name", "Gateway", "name", "ReferenceGrant", "name", "TLSRoute");
	case GW_GATEWAY:
		return gateway_of(o);
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

static json_t *item(const struct gw_object *o)
{
	json_t *meta =
		json_pack("{s:s, s:I}", "name", o->name, "generation", (json_int_t)o->generation);

	if (*o->ns)
		json_object_set_new(meta, "namespace", json_string(o->ns));
	return json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", o->api_version, "kind",
			 gw_kind_word(o->kind), "metadata", meta, "status", status_of(o));
}

/* A route that names no Gateway of ours is nobody else's to show; a Gateway may be. */
static bool is_shown(const struct gw_object *o)
{
	return o->kind == GW_ROUTE || o->is_ours;
}

json_t *gateway_status(const struct gateway *gw, const char *kind, const char *name)
{
	_cleanup_free_ const struct gw_object **sorted = NULL;
	json_t *array = json_array();
	size_t n;

	sorted = gw_sorted(gw, &n);
	for (size_t i = 0; i < n; i++)
		if (is_shown(sorted[i]) &&
		    (!kind || !strcasecmp(kind, gw_kind_word(sorted[i]->kind))) &&
		    (!name || !strcmp(name, sorted[i]->name)))
			json_array_append_new(array, item(sorted[i]));
	return array;
}
