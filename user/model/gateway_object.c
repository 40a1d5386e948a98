// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The end of an object: all that gateway_read*.c and gateway_resolve.c put into it. */
#include <stdlib.h>

#include "model/gateway_parts.h"

static void free_pairs(struct gw_pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(pairs[i].key);
		free(pairs[i].value);
	}
	free(pairs);
}

static void listener_fini(struct gw_listener *l)
{
	free(l->name);
	free(l->hostname);
	free(l->protocol_text);
	free_pairs(l->labels, l->n_labels);
	for (size_t i = 0; i < l->n_rules; i++) {
		for (size_t k = 0; k < l->rules[i].n_values; k++)
			free(l->rules[i].values[k]);
		free(l->rules[i].values);
		free(l->rules[i].key);
	}
	free(l->rules);
	for (size_t i = 0; i < l->n_kinds; i++) {
		free(l->kinds[i].group);
		free(l->kinds[i].kind);
	}
	free(l->kinds);
	gw_forget_places(l);
	gw_conditions_fini(&l->conditions);
}

void gw_backends_free(struct gw_backend *backends, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(backends[i].group);
		free(backends[i].kind);
		free(backends[i].ns);
		free(backends[i].name);
		free(backends[i].fault);
	}
	free(backends);
}

static void free_route_parts(struct gw_object *o)
{
	for (size_t i = 0; i < o->n_parents; i++) {
		free(o->parents[i].group);
		free(o->parents[i].kind);
		free(o->parents[i].ns);
		free(o->parents[i].name);
		free(o->parents[i].section);
		gw_conditions_fini(&o->parents[i].conditions);
	}
	free(o->parents);
	for (size_t i = 0; i < o->n_hostnames; i++)
		free(o->hostnames[i]);
	free(o->hostnames);
	gw_backends_free(o->backends, o->n_backends);
}

static void free_other_parts(struct gw_object *o)
{
	for (size_t i = 0; i < o->n_sources; i++) {
		free(o->sources[i].group);
		free(o->sources[i].kind);
		free(o->sources[i].ns);
	}
	free(o->sources);
	for (size_t i = 0; i < o->n_targets; i++) {
		free(o->targets[i].group);
		free(o->targets[i].kind);
		free(o->targets[i].name);
	}
	free(o->targets);
	for (size_t i = 0; i < o->n_ports; i++)
		free(o->ports[i].name);
	free(o->ports);
	for (size_t i = 0; i < o->n_endpoints; i++)
		free(o->endpoints[i].address);
	free(o->endpoints);
}

struct gw_object *gw_object_free(struct gw_object *o)
{
	if (!o)
		return NULL;
	for (size_t i = 0; i < o->n_listeners; i++)
		listener_fini(&o->listeners[i]);
	free(o->listeners);
	for (size_t i = 0; i < o->n_addresses; i++) {
		free(o->addresses[i].type);
		free(o->addresses[i].value);
	}
	free(o->addresses);
	free_route_parts(o);
	free_other_parts(o);
	free_pairs(o->labels, o->n_labels);
	gw_conditions_fini(&o->conditions);
	free(o->api_version);
	free(o->ns);
	free(o->name);
	free(o->bundle_version);
	free(o->controller);
	free(o->parameters);
	free(o->class);
	free(o->service_type);
	free(o->cluster_ip);
	free(o);
	return NULL;
}
