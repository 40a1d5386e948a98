// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A change of a store that is resolved (see gateway.h). TLSRoutes, Services and EndpointSlices
 * concern themselves and the routes that refer to them, and nobody else: a route's conditions and
 * backends are its own, and all it does to a Gateway is to be counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/index.h"
#include "model/gateway_resolving.h"

/* Beyond so many, and this part of all objects, reading everything anew is as fast. */
#define CHANGES_MIN	64
#define CHANGES_PORTION 16

static int compare_items(const void *left, const void *right)
{
	return gw_compare(*(struct gw_object *const *)left, *(struct gw_object *const *)right);
}

static void sort(struct gateway_batch *batch)
{
	if (batch->n)
		qsort(batch->objects, batch->n, sizeof(struct gw_object *), compare_items);
}

/* Of a sorted batch, the one with @o's kind, namespace and name; NULL = none. */
static struct gw_object *find(const struct gateway_batch *batch, const struct gw_object *o)
{
	struct gw_object **found = batch->n ? bsearch(&o, batch->objects, batch->n,
						      sizeof(struct gw_object *), compare_items)
					    : NULL;

	return found ? *found : NULL;
}

/* --- is it one? ------------------------------------------------------------------------------- */

/* Two of the same name come, or one whose namesake stays. */
static bool stands_twice(const struct gateway_change *change)
{
	const struct gateway_batch *in = &change->in;

	for (size_t i = 0; i < in->n; i++) {
		const struct gw_object *o = in->objects[i];

		if (i && !gw_compare(in->objects[i - 1], o))
			return true;
		if (gw_find(change->gateway, o->kind, o->ns, o->name) && !find(&change->out, o))
			return true;
	}
	return false;
}

int gateway_change_check(struct gateway_change *change)
{
	const struct gateway *gw = change->gateway;

	if (gw->has_replaced ||
	    change->out.n + change->in.n > gw->n / CHANGES_PORTION + CHANGES_MIN ||
	    gateway_has_order(&change->out) || gateway_has_order(&change->in))
		return -EAGAIN;
	sort(&change->out);
	sort(&change->in);
	return stands_twice(change) ? -EAGAIN : 0;
}

/* --- making it -------------------------------------------------------------------------------- */

static int add_concerned(struct gateway_change *change, struct gw_object *route)
{
	struct gw_object **grown = reallocarray(change->concerned, change->n_concerned + 1,
						sizeof(struct gw_object *));

	if (!grown)
		return -ENOMEM;
	change->concerned = grown;
	grown[change->n_concerned++] = route;
	route->is_concerned = true;
	return 0;
}

/* Routes that refer to what comes or goes, and stay themselves. */
static int list_users(struct gateway_change *change, const struct gateway_batch *batch)
{
	int err = 0;

	for (size_t i = 0; i < batch->n && !err; i++) {
		const struct gw_object *o = batch->objects[i];
		const char *service = o->kind == GW_SLICE ? gw_service_of(o) : o->name;
		uint32_t at = INDEX_START;
		struct gw_object *route;

		while (o->kind != GW_ROUTE && !err &&
		       (route = gw_next_user(change->gateway, o->ns, service, &at)))
			if (!route->is_concerned && !find(&change->out, route))
				err = add_concerned(change, route);
	}
	return err;
}

static int change_store(struct gateway_change *change)
{
	struct gateway *gw = change->gateway;
	int err = 0;

	for (size_t i = 0; i < change->out.n && !err; i++)
		if (!find(&change->in, change->out.objects[i]))
			err = gw_store_remove(gw, change->out.objects[i]);
	for (size_t i = 0; i < change->in.n && !err; i++) {
		struct gw_object *o = change->in.objects[i], *was = find(&change->out, o);

		err = was ? gw_store_replace(gw, was, o) : gw_store_add(gw, o);
	}
	return err;
}

static int change_routes(struct gateway_change *change)
{
	size_t n_users = change->n_concerned;
	int err = 0;

	for (size_t i = 0; i < n_users && !err; i++)
		err = gw_renew_route(change->gateway, change->config, change->concerned[i]);
	for (size_t i = 0; i < change->in.n && !err; i++) {
		struct gw_object *o = change->in.objects[i];

		if (o->kind != GW_ROUTE)
			continue;
		err = gw_put_route(change->gateway, change->config, o);
		if (!err)
			err = add_concerned(change, o);
	}
	return err;
}

static void turn_round(struct gateway_change *change)
{
	struct gateway_batch out = change->out;
	size_t n_skipped = change->gateway->n_skipped;

	change->out = change->in;
	change->in = out;
	change->gateway->n_skipped = change->n_skipped;
	change->n_skipped = n_skipped;
	for (size_t i = 0; i < change->n_concerned; i++)
		change->concerned[i]->is_concerned = false;
}

int gateway_change_make(struct gateway_change *change)
{
	int err;

	change->n_concerned = 0;
	err = list_users(change, &change->out);
	if (!err)
		err = list_users(change, &change->in);
	for (size_t i = 0; i < change->out.n && !err; i++)
		if (change->out.objects[i]->kind == GW_ROUTE)
			gw_take_route(change->gateway, change->config, change->out.objects[i]);
	if (!err)
		err = change_store(change);
	if (!err)
		err = change_routes(change);
	change->is_broken |= err;
	turn_round(change);
	return err;
}

/* --- after it --------------------------------------------------------------------------------- */

const struct config_route *gateway_change_route(const struct gateway_change *change, size_t i)
{
	size_t number = change->concerned[i]->config_number;

	return number ? &change->config->routes[number - 1] : NULL;
}

void gateway_change_date(const struct gateway_change *change, int64_t now_s)
{
	for (size_t i = 0; i < change->n_concerned; i++)
		gw_date(change->concerned[i], find(&change->in, change->concerned[i]), now_s);
}

static bool is_place_of(const struct gw_object *o, const char *label)
{
	for (size_t i = 0; i < o->n_listeners; i++)
		for (size_t k = 0; k < o->listeners[i].n_places; k++)
			if (!strcmp(o->listeners[i].places[k].label, label))
				return true;
	return false;
}

/*
 * Its listeners, and the routes to the terminator. By name: where it stood, another one may stand
 * by now.
 */
static void move_gateway(const struct gateway *gw, struct config *c, const struct gw_object *o,
			 uint32_t line)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		if (is_place_of(o, c->listeners[i].name))
			c->listeners[i].pos.line = line;
	for (size_t i = 0; i < gw->first_route; i++)
		if (is_place_of(o, c->routes[i].listeners[0]))
			c->routes[i].pos.line = line;
}

void gateway_move(const struct gateway *gw, struct config *c, const struct gateway_batch *batch,
		  int64_t lines)
{
	for (size_t i = 0; i < batch->n; i++) {
		struct gw_object *o = batch->objects[i];
		uint32_t line = (uint32_t)(o->pos.line + lines);

		if (o->config_number)
			c->routes[o->config_number - 1].pos.line = line;
		if (o->kind == GW_GATEWAY)
			move_gateway(gw, c, o, line);
		o->pos.line = line;
	}
}

void gateway_change_fini(struct gateway_change *change)
{
	/* Broken, the store may hold them: better lost than freed twice. */
	if (change->is_broken)
		free(change->in.objects);
	else
		gateway_batch_fini(&change->in);
	free(change->out.objects);
	free(change->concerned);
	*change = (struct gateway_change){};
}
