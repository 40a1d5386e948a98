// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What keeps a name from being served, or from being served as objects ask for: each with the
 * condition that says so.
 */
#include <arpa/inet.h>
#include <string.h>

#include "base/addr.h"
#include "model/gateway_explaining.h"
#include "model/gateway_resolving.h"

static const struct gw_condition *find_false(const struct gw_conditions *c, const char *type)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->items[i].type, type) && !c->items[i].is_true)
			return &c->items[i];
	return NULL;
}

/* @part "" = the object as a whole; @condition NULL = there is none that says it, @why does. */
static void add_obstacle(struct explaining *e, const struct gw_object *o, const char *part,
			 const struct gw_condition *condition, const char *why)
{
	const char *kind = gw_kind_word(o->kind), *comma = *part ? ", " : "";
	const char *status = condition && condition->is_true ? "True" : "False";
	json_t *text;

	if (json_array_size(e->obstacles) >= GW_NAMED_MAX)
		return;
	if (condition) {
		why = condition->message ? condition->message : "";
		text = json_sprintf("%s %s/%s%s%s: %s=%s/%s: %s", kind, o->ns, o->name, comma, part,
				    condition->type, status, condition->reason, why);
	} else {
		text = json_sprintf("%s %s/%s%s%s: %s", kind, o->ns, o->name, comma, part, why);
	}
	json_array_append_new(e->obstacles,
			      json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:o}", "kind",
					kind, "namespace", o->ns, "name", o->name, "part",
					gw_text_or_null(*part ? part : NULL), "type",
					gw_text_or_null(condition ? condition->type : NULL),
					"status", gw_text_or_null(condition ? status : NULL),
					"reason",
					gw_text_or_null(condition ? condition->reason : NULL),
					"message", why, "text", text));
}

/* Is it at the address and port that are asked about? */
static bool is_meant(const struct explaining *e, const struct gw_object *gateway,
		     const struct gw_listener *l)
{
	uint8_t ip[16] = {};

	if (e->d->port && htons((uint16_t)l->port) != e->d->port)
		return false;
	if (!e->d->addr)
		return true;
	for (size_t i = 0; i < gateway->n_addresses; i++) {
		const char *value = gateway->addresses[i].value;

		memset(ip, 0, sizeof(ip));
		/* One that is no IP has kept the whole Gateway from being accepted. */
		if ((*value && addr_parse_ip(value, ip)) || gw_is_within(e->d->addr, ip))
			return true;
	}
	return !gateway->n_addresses && gw_is_within(e->d->addr, ip);
}

/* Listeners that would have the name, if they were accepted, or had room. */
static void find_bad_listeners(struct explaining *e, const struct gw_object *o)
{
	const struct gw_condition *of_all = find_false(&o->conditions, "Accepted");
	char part[300];

	for (size_t i = 0; i < o->n_listeners; i++) {
		const struct gw_listener *l = &o->listeners[i];
		const struct gw_condition *its =
			find_false(&l->conditions, l->has_no_room ? "Programmed" : "Accepted");

		if ((l->is_accepted && !l->has_no_room) || !is_meant(e, o, l) ||
		    !gw_covers(l->hostname, e->d->name))
			continue;
		snprintf(part, sizeof(part), "listener %s", l->name);
		if (its)
			add_obstacle(e, o, part, its, NULL);
		else if (of_all)
			add_obstacle(e, o, "", of_all, NULL);
	}
}

static void explain_parent(struct explaining *e, const struct gw_object *o,
			   const struct gw_parent *p)
{
	const struct gw_condition *bad = find_false(&p->conditions, "Accepted");
	const char *ns = p->ns ? p->ns : o->ns;
	const struct gw_object *gateway = NULL;
	char part[600];

	snprintf(part, sizeof(part), "parent %s/%s%s%s", ns, p->name, p->section ? "/" : "",
		 p->section ? p->section : "");
	if (!strcmp(p->group, GATEWAY_GROUP) && !strcmp(p->kind, "Gateway"))
		gateway = gw_find(e->gw, GW_GATEWAY, ns, p->name);
	if (bad)
		add_obstacle(e, o, part, bad, NULL);
	else if (!p->is_ours)
		add_obstacle(e, o, part, NULL,
			     gateway ? "the Gateway is of a class that is not ours"
				     : "there is no such Gateway");
}

/* A TLSRoute that has the name among its own: where it is not attached, or does not resolve. */
static void explain_object(struct explaining *e, const struct gw_object *o)
{
	const struct gw_condition *bad = NULL;

	if (o->n_hostnames && !gw_best_of(o->hostnames, o->n_hostnames, e->d->name))
		return;
	for (size_t i = 0; i < o->n_parents; i++) {
		explain_parent(e, o, &o->parents[i]);
		if (!bad)
			bad = find_false(&o->parents[i].conditions, "ResolvedRefs");
	}
	if (!o->n_parents)
		add_obstacle(e, o, "", NULL, "it has no parentRefs");
	/* About the backends, and so the same for all parents. */
	if (bad && o == e->route)
		add_obstacle(e, o, "", bad, NULL);
}

/* Where nothing is wrong with any object, none has the name. */
static void explain_nothing(struct explaining *e)
{
	char part[300];

	if (e->listener) {
		snprintf(part, sizeof(part), "listener %s", e->listener->name);
		add_obstacle(e, e->gateway, part, NULL,
			     "no TLSRoute that is attached here has the name");
		return;
	}
	for (size_t i = 0; i < e->n_sorted; i++) {
		const struct gw_object *o = e->sorted[i];
		bool is_here = false;

		for (size_t k = 0; o->kind == GW_GATEWAY && o->is_ours && k < o->n_listeners; k++)
			is_here |= is_meant(e, o, &o->listeners[k]);
		if (is_here)
			add_obstacle(e, o, "", NULL, "no listener here has the name");
	}
}

void gw_find_obstacles(struct explaining *e)
{
	for (size_t i = 0; i < e->n_sorted; i++) {
		const struct gw_object *o = e->sorted[i];

		if (o->kind == GW_GATEWAY && o->is_ours)
			find_bad_listeners(e, o);
		else if (o->kind == GW_ROUTE)
			explain_object(e, o);
	}
	if (!json_array_size(e->obstacles) && !json_array_size(e->lost) && !e->d->route)
		explain_nothing(e);
}
