// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * TLSRoutes in the configuration, each resolved by itself among Gateways that are. They stand there
 * from the oldest on, behind what Gateways have put there and before the configuration's own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/index.h"
#include "model/config_parts.h"
#include "model/gateway_resolving.h"

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
 * Its conditions, and in *@made what it is in the configuration (to be freed by the caller also
 * after -ENOMEM); one without listeners or hostnames serves nobody. Nothing but @route changes.
 */
static int resolve(const struct gateway *gw, struct gw_object *route, struct config_route *made)
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

/* --- their order ------------------------------------------------------------------------------ */

/* The oldest first; then by namespace and name. */
static int compare_age(const struct gw_object *a, const struct gw_object *b)
{
	int by = a->has_created && b->has_created
			 ? (a->created_us > b->created_us) - (a->created_us < b->created_us)
			 : b->has_created - a->has_created;

	/* Without a time: as old as any that has none, and younger than one that has one. */
	if (!by)
		by = strcmp(a->ns, b->ns);
	return by ? by : strcmp(a->name, b->name);
}

static int compare_items(const void *left, const void *right)
{
	return compare_age(*(struct gw_object *const *)left, *(struct gw_object *const *)right);
}

void gw_sort_by_age(struct gw_object **objects, size_t n)
{
	if (n)
		qsort(objects, n, sizeof(struct gw_object *), compare_items);
}

static int list_by_age(struct gateway *gw)
{
	struct gw_object **sorted = calloc(gw->n + 1, sizeof(struct gw_object *));
	size_t n = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < gw->n; i++)
		if (gw->objects[i]->kind == GW_ROUTE)
			sorted[n++] = gw->objects[i];
	gw_sort_by_age(sorted, n);
	free(gw->by_age);
	gw->by_age = sorted;
	gw->n_by_age = n;
	return 0;
}

/* The number of the first that is not older than @route. */
static size_t find_age(const struct gateway *gw, const struct gw_object *route)
{
	size_t low = 0, high = gw->n_by_age;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_age(gw->by_age[middle], route) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* --- their places in the configuration -------------------------------------------------------- */

int gw_insert_route(struct config *c, size_t at, struct config_route *made)
{
	struct config_route *grown = config_room(c->routes, c->n_routes, sizeof(*grown));

	if (!grown) {
		config_route_fini(made);
		return -ENOMEM;
	}
	c->routes = grown;
	memmove(grown + at + 1, grown + at, (c->n_routes - at) * sizeof(*grown));
	grown[at] = *made;
	c->n_routes++;
	return 0;
}

/* Those from @first on have moved by one. */
static void renumber(struct gateway *gw, size_t first, bool is_up)
{
	for (size_t i = first; i < gw->n_by_age; i++) {
		size_t *number = &gw->by_age[i]->config_number;

		if (*number)
			*number = is_up ? *number + 1 : *number - 1;
	}
}

static int insert(struct gateway *gw, struct config *c, size_t age, struct config_route *made)
{
	size_t before = age, at = gw->first_route;
	bool is_last;
	int err;

	while (before && !gw->by_age[before - 1]->config_number)
		before--;
	if (before)
		at = gw->by_age[before - 1]->config_number;
	is_last = at == c->n_routes;
	err = gw_insert_route(c, at, made);
	if (err)
		return err;
	if (!is_last)
		renumber(gw, age + 1, true);
	gw->by_age[age]->config_number = at + 1;
	return 0;
}

static void drop(struct gateway *gw, struct config *c, size_t age)
{
	size_t at = gw->by_age[age]->config_number;

	if (!at)
		return;
	config_route_fini(&c->routes[at - 1]);
	memmove(c->routes + at - 1, c->routes + at, (c->n_routes - at) * sizeof(*c->routes));
	c->n_routes--;
	gw->by_age[age]->config_number = 0;
	renumber(gw, age + 1, false);
}

/* --- one, and all ----------------------------------------------------------------------------- */

/* Resolve the one at @age anew: what it was before is forgotten, but for its place. */
static int settle(struct gateway *gw, struct config *c, size_t age)
{
	struct gw_object *route = gw->by_age[age];
	size_t at = route->config_number;
	struct config_route made;
	int err;

	gw_forget(route);
	err = resolve(gw, route, &made);
	gw_count_route(gw, route, 1);
	route->config_number = at;
	if (err || !made.n_listeners || !made.n_hostnames) {
		config_route_fini(&made);
		drop(gw, c, age);
		return err;
	}
	if (!at)
		return insert(gw, c, age, &made);
	config_route_fini(&c->routes[at - 1]);
	c->routes[at - 1] = made;
	return 0;
}

int gw_resolve_routes(struct gateway *gw, struct config *c)
{
	int err = list_by_age(gw);

	gw->first_route = c->n_routes;
	for (size_t i = 0; i < gw->n_by_age && !err; i++)
		err = settle(gw, c, i);
	return err;
}

int gw_renew_route(struct gateway *gw, struct config *c, struct gw_object *route)
{
	gw_count_route(gw, route, -1);
	return settle(gw, c, find_age(gw, route));
}

int gw_put_route(struct gateway *gw, struct config *c, struct gw_object *route)
{
	struct gw_object **grown =
		reallocarray(gw->by_age, gw->n_by_age + 1, sizeof(struct gw_object *));
	size_t age;

	if (!grown)
		return -ENOMEM;
	gw->by_age = grown;
	age = find_age(gw, route);
	memmove(grown + age + 1, grown + age, (gw->n_by_age - age) * sizeof(struct gw_object *));
	grown[age] = route;
	gw->n_by_age++;
	route->config_number = 0;
	return settle(gw, c, age);
}

void gw_take_route(struct gateway *gw, struct config *c, struct gw_object *route)
{
	size_t age = find_age(gw, route);

	gw_count_route(gw, route, -1);
	drop(gw, c, age);
	gw->n_by_age--;
	memmove(gw->by_age + age, gw->by_age + age + 1,
		(gw->n_by_age - age) * sizeof(struct gw_object *));
}

/* Those to the terminator come before all others. */
bool gateway_leads_to_terminator(const struct gateway *gw, size_t i)
{
	return gw && i < gw->first_route;
}
