// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Why a name is served as it is, in words of the Gateway API: which Gateway's listener it belongs
 * to, which TLSRoute has it and by which rule, which ones lost, which Services share it; or which
 * object's condition stands in the way. What was decided is given: the table's answer is explained,
 * not made again. (What stands in the way is gateway_obstacles.c's.)
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "model/gateway_explaining.h"
#include "model/table.h"

static const char *const rule_words[] = {"only", "specificity", "age", "name", "owner", "left_out"};

/* --- names ----------------------------------------------------------------------------------- */

json_t *gw_text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

bool gw_covers(const char *hostname, const char *name)
{
	return !hostname || table_covers(hostname, name);
}

const char *gw_best_of(char *const *hostnames, size_t n, const char *name)
{
	const char *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (table_covers(hostnames[i], name) &&
		    (!best || table_rank(hostnames[i]) > table_rank(best)))
			best = hostnames[i];
	return best;
}

/* The object that @made, one of the configuration, was made of; NULL = it is no TLSRoute's. */
static const struct gw_object *object_of(const struct explaining *e,
					 const struct config_route *made)
{
	const char *slash = made->yields_names ? strchr(made->name, '/') : NULL;
	const struct gw_object *found;
	char ns[64];

	if (!slash || (size_t)(slash - made->name) >= sizeof(ns))
		return NULL;
	memcpy(ns, made->name, (size_t)(slash - made->name));
	ns[slash - made->name] = '\0';
	found = gw_find(e->gw, GW_ROUTE, ns, slash + 1);
	/* A name that was too long for the table stands there in another form. */
	for (size_t i = 0; !found && i < e->gw->n_by_age; i++)
		if (e->gw->by_age[i]->config_number == (size_t)(made - e->config->routes) + 1)
			found = e->gw->by_age[i];
	return found;
}

/* --- the listener ---------------------------------------------------------------------------- */

static bool has_bind(const struct config_listener *l, const struct gateway_decision *d)
{
	return d->addr && l->port == d->port && !memcmp(l->addr, d->addr, sizeof(l->addr));
}

static const struct config_listener *find_made(const struct explaining *e, const char *name)
{
	for (size_t i = 0; i < e->config->n_listeners; i++)
		if (!strcmp(e->config->listeners[i].name, name))
			return &e->config->listeners[i];
	return NULL;
}

static bool is_same_place(const struct config_pos *a, const struct config_pos *b)
{
	return a->line == b->line && a->column == b->column && gw_same_text(a->file, b->file);
}

/* The Gateway's listener that @made was made of: within one Gateway, port and name tell it. */
static void find_listener(struct explaining *e, const struct config_listener *made)
{
	for (size_t i = 0; i < e->gw->n && !e->listener; i++) {
		const struct gw_object *o = e->gw->objects[i];

		if (o->kind != GW_GATEWAY || !o->is_ours || !is_same_place(&o->pos, &made->pos))
			continue;
		for (size_t k = 0; k < o->n_listeners; k++) {
			const struct gw_listener *l = &o->listeners[k];

			if (!l->is_accepted || l->port != ntohs(made->port) ||
			    !gw_same_text(l->hostname, made->hostname))
				continue;
			e->gateway = o;
			e->listener = l;
		}
	}
}

static json_t *explain_listener(const struct explaining *e)
{
	size_t n = 0;
	json_t *text;

	if (!e->listener)
		return json_null();
	for (size_t i = 0; i < e->config->n_listeners; i++) {
		const struct config_listener *l = &e->config->listeners[i];

		n += has_bind(l, e->d) && gw_covers(l->hostname, e->d->name);
	}
	text = n > 1 ? json_sprintf("the most specific of the %zu listeners here that cover the "
				    "name",
				    n)
		     : json_string("the only listener here that covers the name");
	return json_pack("{s:s, s:s, s:s, s:o, s:b, s:o}", "namespace", e->gateway->ns, "gateway",
			 e->gateway->name, "name", e->listener->name, "hostname",
			 gw_text_or_null(e->listener->hostname), "terminated",
			 gw_is_terminated(e->listener), "text", text);
}

/* --- which route has the name ---------------------------------------------------------------- */

enum place { ELSEWHERE, ON_ANOTHER_LISTENER, ON_THE_LISTENER };

static enum place place_of(const struct explaining *e, const struct config_route *made)
{
	const struct config_listener *l;
	enum place place = ELSEWHERE;

	for (size_t i = 0; i < made->n_listeners; i++) {
		if (e->listener && !strcmp(made->listeners[i], e->d->listener))
			return ON_THE_LISTENER;
		l = find_made(e, made->listeners[i]);
		if (l && has_bind(l, e->d) && gw_covers(l->hostname, e->d->name))
			place = ON_ANOTHER_LISTENER;
	}
	return place;
}

static void find_route(struct explaining *e)
{
	for (size_t i = 0; e->d->route && i < e->config->n_routes && !e->route; i++) {
		const struct config_route *made = &e->config->routes[i];
		const char *hostname;

		if (strcmp(made->name, e->d->route) != 0)
			continue;
		hostname = gw_best_of(made->hostnames, made->n_hostnames, e->d->name);
		if (!hostname)
			continue;
		e->route = object_of(e, made);
		e->made = made;
		e->hostname = hostname;
	}
}

static const char *time_text(const struct gw_object *o, char dst[32])
{
	time_t seconds = (time_t)(o->created_us / 1000000);
	struct tm tm;

	if (!o->has_created || !gmtime_r(&seconds, &tm) || !strftime(dst, 32, "%FT%TZ", &tm))
		return "no creationTimestamp";
	return dst;
}

/* By which rule @loser does not have the name; LEFT_OUT: by the rules it would. */
static enum rule rule_between(const struct explaining *e, const struct gw_object *loser,
			      const char *hostname)
{
	const struct gw_object *winner = e->route;
	int by;

	if (!winner)
		return e->d->route ? BY_OWNER : LEFT_OUT;
	if (table_rank(e->hostname) != table_rank(hostname))
		return table_rank(e->hostname) > table_rank(hostname) ? BY_SPECIFICITY : LEFT_OUT;
	if (winner->has_created != loser->has_created)
		return winner->has_created ? BY_AGE : LEFT_OUT;
	if (winner->has_created && winner->created_us != loser->created_us)
		return winner->created_us < loser->created_us ? BY_AGE : LEFT_OUT;
	by = strcmp(winner->ns, loser->ns);
	if (!by)
		by = strcmp(winner->name, loser->name);
	return by < 0 ? BY_NAME : LEFT_OUT;
}

static json_t *why_lost(const struct explaining *e, const struct gw_object *loser, enum rule rule)
{
	char time[32], other[32];

	switch (rule) {
	case BY_SPECIFICITY:
		return json_string("its hostname is less specific");
	case BY_AGE:
		return json_sprintf("it is younger (%s; the other: %s)", time_text(loser, time),
				    time_text(e->route, other));
	case BY_NAME:
		return json_string("it is as old, and comes later by namespace and name");
	case BY_OWNER:
		return json_sprintf("route %s, which is no TLSRoute's, has the name", e->d->route);
	default:
		return json_string("it is not in the table: the daemon's log says why");
	}
}

static void add_lost(struct explaining *e, const struct gw_object *o, const char *hostname,
		     const char *by, json_t *text)
{
	json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:o}", "namespace", o->ns, "name", o->name,
				"hostname", hostname, "by", by, "text", text);

	if (json_array_size(e->lost) < GW_NAMED_MAX)
		json_array_append_new(e->lost, one);
	else
		json_decref(one);
}

/* The attached routes that have the name among theirs, and did not get it. */
static void explain_lost(struct explaining *e)
{
	for (size_t i = 0; i < e->config->n_routes; i++) {
		const struct config_route *made = &e->config->routes[i];
		const char *hostname = gw_best_of(made->hostnames, made->n_hostnames, e->d->name);
		const struct gw_object *o = hostname ? object_of(e, made) : NULL;
		enum place place = o ? place_of(e, made) : ELSEWHERE;
		enum rule rule;

		if (!o || o == e->route)
			continue;
		if (place == ON_ANOTHER_LISTENER)
			add_lost(e, o, hostname, "listener",
				 json_string("the name belongs to another listener than its own"));
		if (place == ELSEWHERE && !e->d->route)
			add_lost(e, o, hostname, "elsewhere",
				 json_string("it is attached at other ports or addresses"));
		if (place != ON_THE_LISTENER)
			continue;
		rule = rule_between(e, o, hostname);
		if (rule > e->rule && rule < BY_OWNER)
			e->rule = rule;
		add_lost(e, o, hostname, rule_words[rule], why_lost(e, o, rule));
	}
}

static json_t *explain_route(const struct explaining *e)
{
	static const char *const texts[] = {
		"the only TLSRoute that has the name here",
		"its hostname is more specific than the others'",
		"it is the oldest of those whose hostname is as specific",
		"it comes first by namespace and name of those as specific and as old",
	};

	if (!e->route)
		return json_null();
	return json_pack("{s:s, s:s, s:o, s:s, s:s}", "namespace", e->route->ns, "name",
			 e->route->name, "hostname", gw_text_or_null(e->hostname), "by",
			 rule_words[e->rule], "text", texts[e->rule]);
}

/* --- Services -------------------------------------------------------------------------------- */

/* Of backendRef number @ref: those in the table that may be given connections. */
static json_t *endpoints_of(const struct explaining *e, size_t ref, bool *ret_is_refused)
{
	json_t *endpoints = json_array();

	for (size_t i = 0; i < e->made->n_backends; i++) {
		const struct config_backend *b = &e->made->backends[i];

		if (b->ref != ref || !b->weight)
			continue;
		if (b->is_invalid)
			*ret_is_refused = true;
		else
			json_array_append_new(endpoints, json_string(b->backend.text));
	}
	return endpoints;
}

static json_t *why_refused(const struct gw_backend *b)
{
	return json_sprintf("its share is refused: %s",
			    b->fault ? b->fault : "no endpoint is ready");
}

static json_t *explain_services(const struct explaining *e)
{
	json_t *services = json_array(), *endpoints;
	double sum = 0;

	for (size_t i = 0; e->route && i < e->route->n_backends; i++)
		sum += e->route->backends[i].weight;
	for (size_t i = 0; e->route && i < e->route->n_backends; i++) {
		const struct gw_backend *b = &e->route->backends[i];
		double share = sum > 0 ? b->weight / sum : 0;
		bool is_refused = e->made->is_bad;

		endpoints = endpoints_of(e, i, &is_refused);
		json_array_append_new(services,
				      json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:o, s:o}", "kind",
						b->kind, "namespace", b->ns ? b->ns : e->route->ns,
						"name", b->name, "port", (int)b->port, "weight",
						(int)b->weight, "share", 100 * share, "endpoints",
						endpoints, "text",
						is_refused ? why_refused(b) : json_null()));
	}
	return services;
}

/* ---------------------------------------------------------------------------------------------- */

json_t *gateway_explain(const struct config *config, const struct gateway_decision *decision)
{
	struct explaining e = {.config = config, .gw = config->gateway, .d = decision};
	const struct config_listener *made;
	json_t *listener, *route, *services;

	if (!config->gateway || !decision->name)
		return json_null();
	made = decision->listener ? find_made(&e, decision->listener) : NULL;
	if (made && gw_covers(made->hostname, decision->name))
		find_listener(&e, made);
	find_route(&e);
	e.lost = json_array();
	e.obstacles = json_array();
	e.sorted = gw_sorted(e.gw, &e.n_sorted);
	explain_lost(&e);
	gw_find_obstacles(&e);
	free(e.sorted);
	if (!e.listener && !json_array_size(e.lost) && !json_array_size(e.obstacles)) {
		json_decref(e.lost);
		json_decref(e.obstacles);
		return json_null();
	}
	listener = explain_listener(&e);
	route = explain_route(&e);
	services = explain_services(&e);
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "listener", listener, "route", route, "lost",
			 e.lost, "services", services, "obstacles", e.obstacles);
}
