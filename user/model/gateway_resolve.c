// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From objects to listeners and routes, with every object's conditions: classes, then Gateways,
 * then routes. The rules and their order are the Gateway API's; how names are intersected, which
 * listener a name belongs to and which of two routes has it is the table's (model/table.h), which
 * follows it as well: routes are handed over from the oldest on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/index.h"
#include "model/config_parts.h"
#include "model/gateway_resolving.h"
#include "thruway/name.h"

/* The newest v1.x of the Gateway API whose rules these are. */
#define GATEWAY_API_MINOR_MAX 6u

/* --- what goes into the configuration --------------------------------------------------------- */

/* The API takes labels of more than 63 bytes, which no client can ask for (RFC 1035 2.3.4). */
bool gw_can_be_asked_for(const char *hostname)
{
	char pattern[TW_NAME_SIZE];

	return tw_name_pattern(pattern, hostname, (__u32)strlen(hostname)) > 0;
}

int gw_add_text(char ***texts, size_t *n, const char *text)
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

void gw_add_route(struct gw_resolving *r, struct config_route *made)
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

/* --- one route -------------------------------------------------------------------------------- */

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
	int err = route->n_hostnames ? 0 : gw_add_text(&made->hostnames, &made->n_hostnames, "*");

	for (size_t i = 0; i < route->n_hostnames && !err; i++)
		if (gw_can_be_asked_for(route->hostnames[i]))
			err = gw_add_text(&made->hostnames, &made->n_hostnames,
					  route->hostnames[i]);
	return err;
}

/*
 * One route, among Gateways that are resolved: its conditions, and in *@made what it is in the
 * configuration (to be freed by the caller also after -ENOMEM); one without listeners or hostnames
 * serves nobody. Nothing but @route changes.
 */
int gw_resolve_route(const struct gateway *gw, struct gw_object *route, struct config_route *made)
{
	int err = 0;

	*made = (struct config_route){
		.name = route_label(route->ns, route->name),
		.owner = TW_OWNER_FILE,
		.pos = route->pos,
		.yields_names = true,
	};
	for (size_t i = 0; i < route->n_parents && !err; i++) {
		err = gw_attach(gw, route, &route->parents[i], made);
		route->is_ours |= route->parents[i].is_ours;
	}
	if (!err)
		err = add_hostnames(route, made);
	if (!err && route->is_ours)
		err = gw_resolve_backends(gw, route, made);
	return made->name ? err : -ENOMEM;
}

/* --- all ------------------------------------------------------------------------------------- */

/* v1.0 to v1.6, also before and after a release of these ("v1.6.1-dev"). */
static bool is_known_version(const char *version)
{
	unsigned int minor;

	return sscanf(version, "v1.%u.", &minor) == 1 && minor <= GATEWAY_API_MINOR_MAX;
}

/* Where the objects came with the API's definitions; without them nobody knows. */
static void settle_version(const struct gateway *gw, struct gw_object *class)
{
	const struct gw_object *bad = NULL;
	bool has_crds = false;

	for (size_t i = 0; i < gw->n && !bad; i++) {
		const struct gw_object *o = gw->objects[i];

		if (o->kind != GW_CRD)
			continue;
		has_crds = true;
		if (!o->bundle_version || !is_known_version(o->bundle_version))
			bad = o;
	}
	if (bad)
		gw_set(&class->conditions, "SupportedVersion", false, "UnsupportedVersion",
		       "%s is of version %s; v1.0 to v1.%u are known, others may work", bad->name,
		       bad->bundle_version ? bad->bundle_version : "(not said)",
		       GATEWAY_API_MINOR_MAX);
	else if (has_crds)
		gw_set(&class->conditions, "SupportedVersion", true, "SupportedVersion",
		       "all definitions are of a version that is known");
}

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
		settle_version(gw, o);
	}
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

static void resolve_routes(struct gw_resolving *r)
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

		r->err = gw_resolve_route(r->gw, sorted[i], &made);
		gw_count_route(r->gw, sorted[i]);
		if (!r->err && made.n_listeners && made.n_hostnames)
			gw_add_route(r, &made);
		else
			config_route_fini(&made);
	}
	free(sorted);
}

static void forget(struct gw_object *o)
{
	o->is_ours = o->is_accepted = o->is_programmed = false;
	gw_unset(&o->conditions);
	for (size_t i = 0; i < o->n_listeners; i++) {
		struct gw_listener *l = &o->listeners[i];

		gw_unset(&l->conditions);
		gw_forget_places(l);
		l->conflict = l->rival = NULL;
		l->attached = 0;
	}
	for (size_t i = 0; i < o->n_parents; i++) {
		o->parents[i].is_ours = o->parents[i].is_accepted = false;
		o->parents[i].attached = 0;
		gw_unset(&o->parents[i].conditions);
	}
}

int gateway_resolve(struct gateway *gw, struct config *config)
{
	struct gw_resolving r = {.gw = gw, .config = config, .n_native = config->n_listeners};

	for (size_t i = 0; i < gw->n; i++)
		forget(gw->objects[i]);
	claim_classes(gw);
	gw_resolve_gateways(&r);
	if (!r.err)
		resolve_routes(&r);
	return r.err;
}
