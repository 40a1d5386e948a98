// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Comparing the model with the maps (see plan.h). Reads both, writes neither. */
#include "kernel/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/room.h"

/* --- values -------------------------------------------------------------------------------- */

static void copy_text(char *dst, const char *src, size_t size)
{
	memcpy(dst, src, strnlen(src, size - 1)); /* the rest is zero already */
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
	return value ? value : otherwise;
}

static uint32_t route_id(const struct plan *plan, uint32_t i)
{
	return i == TABLE_NONE ? 0 : plan->routes[i].id;
}

void plan_route(const struct plan *plan, uint32_t i, struct tw_route *ret_route,
		struct tw_slot *ret_slots)
{
	const struct table_route *route = &plan->t->routes[i];
	const struct table_slot *slots = plan->t->slots + route->first_slot;

	*ret_route = (struct tw_route){
		.id = plan->routes[i].id,
		.owner = route->owner,
		.balance = route->balance,
		.backends = route->n_slots,
		.total_weight = route->total_weight,
		.stride = route->stride,
		.tries = route->tries,
		.refuse = route->refuse,
		.timeouts = route->timeouts,
		.local = route->local,
	};
	copy_text(ret_route->name, route->name, TW_NAME_SIZE);
	copy_text(ret_route->listener, route->listener, TW_LABEL_SIZE);
	copy_text(ret_route->alpn, route->alpn, TW_ALPN_SIZE);
	for (uint32_t n = 0; n < route->n_slots; n++)
		ret_slots[n] = (struct tw_slot){
			.backend = slots[n].backend == TABLE_NONE
					   ? 0
					   : plan->backends[slots[n].backend].id,
			.weight = slots[n].weight,
			.upto = slots[n].upto,
			.hash = slots[n].hash,
		};
}

void plan_listener(const struct plan *plan, uint32_t i, struct tw_listener *ret_listener)
{
	const struct table_listener *listener = &plan->t->listeners[i];
	const struct config_listener *config = listener->config;
	const struct tw_timeouts *timeouts = &config->timeouts;

	*ret_listener = (struct tw_listener){
		.port = config->port,
		.on_refuse = config->on_refuse,
		.id = plan->listeners[i].id,
		.bind = plan->binds[listener->bind].id,
		.timeouts =
			{
				or_default(timeouts->hello_ms, TW_HELLO_MS_DEFAULT),
				or_default(timeouts->connect_ms, TW_CONNECT_MS_DEFAULT),
				or_default(timeouts->idle_ms, TW_IDLE_MS_DEFAULT),
				or_default(timeouts->half_closed_ms, TW_HALF_CLOSED_MS_DEFAULT),
			},
		.no_sni_route = route_id(plan, listener->no_sni),
		.unknown_name_route = route_id(plan, listener->unknown_name),
		.not_tls_route = route_id(plan, listener->not_tls),
		.paths = config->paths,
		.local = config->local ? config->local : TW_LOCAL_OFF,
	};
	copy_text(ret_listener->name, config->name, TW_LABEL_SIZE);
	if (config->hostname)
		copy_text(ret_listener->hostname, config->hostname, TW_NAME_SIZE);
	memcpy(ret_listener->addr, config->addr, sizeof(ret_listener->addr));
}

void plan_bind(const struct plan *plan, uint32_t i, struct tw_bind *ret_bind)
{
	const struct table_bind *bind = &plan->t->binds[i];

	*ret_bind = (struct tw_bind){
		.id = plan->binds[i].id,
		.listener = plan->listeners[bind->listener].id,
		.wildcard_labels = {bind->wildcard_labels[0], bind->wildcard_labels[1]},
	};
}

void plan_name(const struct plan *plan, uint32_t i, bool by_key, struct tw_name *ret_name)
{
	const struct table_name *name = &plan->t->names[i];
	const struct plan_item *route;

	*ret_name = (struct tw_name){
		.listener = plan->listeners[name->listener].id,
		.flags = name->flags,
	};
	if (name->route == TABLE_NONE)
		return;
	route = &plan->routes[name->route];
	ret_name->route = by_key ? route->key : route->id;
}

/* --- ids --------------------------------------------------------------------------------- */

static bool give_id(struct plan_item *item, uint32_t found, uint32_t taken)
{
	item->id = item->key = found ? found : taken;
	item->state = found ? PLAN_SAME : PLAN_NEW;
	return item->id;
}

static bool find_bind_ids(struct plan *plan)
{
	for (size_t i = 0; i < plan->t->n_binds; i++) {
		uint32_t id = mirror_find_bind(plan->m, &plan->t->binds[i].key);

		if (!give_id(&plan->binds[i], id,
			     id ? 0 : ids_take(&plan->m->bind_ids, NULL, NULL)))
			return false;
		plan->is_bind[plan->binds[i].id] = true;
	}
	return true;
}

static bool find_listener_ids(struct plan *plan)
{
	for (size_t i = 0; i < plan->t->n_listeners; i++) {
		const char *name = plan->t->listeners[i].config->name;
		uint32_t id = mirror_find_listener(plan->m, name);

		if (!give_id(&plan->listeners[i], id, id ? 0 : mirror_take_listener_id(plan->m)))
			return false;
		plan->is_listener[plan->listeners[i].id] = true;
	}
	return true;
}

static bool find_alpn_ids(struct plan *plan)
{
	for (size_t i = 0; i < plan->t->n_alpns; i++) {
		uint32_t id = mirror_find_alpn(plan->m, plan->t->alpns[i]);

		if (!give_id(&plan->alpns[i], id,
			     id ? 0 : ids_take(&plan->m->alpn_ids, NULL, NULL)))
			return false;
		plan->is_alpn[plan->alpns[i].id] = true;
	}
	return true;
}

static bool find_backend_ids(struct plan *plan)
{
	for (size_t i = 0; i < plan->t->n_backends; i++) {
		uint32_t id = mirror_find_backend(plan->m, i ? plan->backends[i - 1].id + 1 : 1,
						  plan->t->backends[i]->text);

		if (!give_id(&plan->backends[i], id, id ? 0 : mirror_take_backend_id(plan->m)))
			return false;
		plan->is_backend[plan->backends[i].id] = true;
	}
	return true;
}

static bool find_route_ids(struct plan *plan)
{
	for (size_t i = 0; i < plan->t->n_routes; i++) {
		const struct table_route *route = &plan->t->routes[i];
		uint32_t id =
			mirror_find_route(plan->m, i ? plan->routes[i - 1].id + 1 : 1, route->owner,
					  route->name, route->listener, route->alpn);

		if (!give_id(&plan->routes[i], id, id ? 0 : mirror_take_route_id(plan->m)))
			return false;
		plan->is_route[plan->routes[i].id] = true;
	}
	return true;
}

static int find_ids(struct plan *plan, struct config_problems *problems)
{
	if (!find_bind_ids(plan))
		return room_refuse(problems, "listening addresses", TW_BINDS_MAX - 1);
	if (!find_listener_ids(plan))
		return room_refuse(problems, "listeners", TW_LISTENERS_MAX - 1);
	if (!find_alpn_ids(plan))
		return room_refuse(problems, "ALPN protocols", TW_ALPNS_MAX - 1);
	if (!find_backend_ids(plan))
		return room_refuse(problems, "backends", TW_BACKENDS_MAX - 1);
	if (!find_route_ids(plan))
		return room_refuse(problems, "routes", TW_ROUTES_MAX - 1);
	return 0;
}

/* After the comparison, which tells the routes that need one. */
static int find_spare_keys(struct plan *plan, struct config_problems *problems)
{
	for (size_t i = 0; i < plan->t->n_routes; i++) {
		struct plan_item *item = &plan->routes[i];

		if (item->state != PLAN_MOVED)
			continue;
		item->key = mirror_take_route_id(plan->m);
		if (!item->key)
			return room_refuse(problems,
					   "routes that change names and backends at once",
					   TW_ROUTES_MAX - 1);
	}
	return 0;
}

/* --- comparison ---------------------------------------------------------------------------- */

static bool is_route_same(const struct mirror_route *is, struct tw_route *wanted,
			  const struct tw_slot *slots)
{
	wanted->set = is->value.set;
	return !memcmp(&is->value, wanted, sizeof(*wanted)) &&
	       (!wanted->backends || !memcmp(is->slots, slots, wanted->backends * sizeof(*slots)));
}

static void compare_routes(struct plan *plan, struct tw_slot *slots)
{
	struct tw_route wanted;

	for (size_t i = 0; i < plan->t->n_routes; i++) {
		struct plan_item *item = &plan->routes[i];

		if (item->state == PLAN_NEW)
			continue;
		plan_route(plan, i, &wanted, slots);
		if (!is_route_same(plan->m->routes[item->id], &wanted, slots))
			item->state = plan->has_moved_names[item->id] ? PLAN_MOVED : PLAN_CHANGED;
	}
}

static void compare_listeners(struct plan *plan)
{
	struct tw_listener wanted;

	for (size_t i = 0; i < plan->t->n_listeners; i++) {
		struct plan_item *item = &plan->listeners[i];

		if (item->state == PLAN_NEW)
			continue;
		plan_listener(plan, i, &wanted);
		if (memcmp(plan->m->listeners[item->id], &wanted, sizeof(wanted)) != 0)
			item->state = PLAN_CHANGED;
	}
}

static void compare_name(struct plan *plan, uint32_t i)
{
	const struct table_name *name = &plan->t->names[i];
	struct plan_name *planned = &plan->names[i];
	uint32_t alpn = name->alpn ? plan->alpns[name->alpn - 1].id : 0;
	struct mirror_name *is;
	struct tw_name wanted;

	plan_name(plan, i, false, &wanted);
	planned->place = mirror_find_name(plan->m, i ? planned[-1].place + 1 : 0,
					  plan->binds[name->bind].id, alpn, name->pattern);
	if (planned->place == INDEX_NONE) {
		planned->state = PLAN_NEW;
		plan->has_moved_names[wanted.route] = true;
		return;
	}
	is = &plan->m->names[planned->place];
	is->seen = plan->stamp;
	if (!memcmp(&is->value, &wanted, sizeof(wanted)))
		return;
	planned->state = PLAN_CHANGED;
	if (is->value.route == wanted.route)
		return;
	plan->has_moved_names[wanted.route] = true;
	if (is->value.route < TW_ROUTES_MAX)
		plan->has_moved_names[is->value.route] = true;
}

static int compare_names(struct plan *plan)
{
	struct mirror *m = plan->m;

	for (size_t i = 0; i < plan->t->n_names; i++)
		compare_name(plan, i);
	plan->gone = calloc(m->names_size + 1, sizeof(*plan->gone));
	if (!plan->gone)
		return -ENOMEM;
	for (size_t i = 0; i < m->names_size; i++) {
		const struct mirror_name *is = &m->names[i];

		if (!is->pattern || is->seen == plan->stamp)
			continue;
		plan->gone[plan->n_gone++] = i;
		if (is->value.route < TW_ROUTES_MAX)
			plan->has_moved_names[is->value.route] = true;
	}
	return 0;
}

/* --- order of names ------------------------------------------------------------------------ */

/* Of two patterns that match one name, the more specific ranks higher; so does one with ALPN. */
static uint32_t rank_of(const char *pattern, uint32_t alpn)
{
	return 2 * table_rank(pattern) + !!alpn;
}

static int by_rank_falling(const void *a, const void *b, void *arg)
{
	const struct table_name *names = arg;
	const struct table_name *x = &names[*(const uint32_t *)a],
				*y = &names[*(const uint32_t *)b];
	uint32_t rx = rank_of(x->pattern, x->alpn), ry = rank_of(y->pattern, y->alpn);

	return rx < ry ? 1 : rx > ry ? -1 : 0;
}

static int by_rank_rising(const void *a, const void *b, void *arg)
{
	const struct mirror_name *names = arg;
	const struct mirror_name *x = &names[*(const uint32_t *)a],
				 *y = &names[*(const uint32_t *)b];
	uint32_t rx = rank_of(x->pattern, x->alpn), ry = rank_of(y->pattern, y->alpn);

	return rx < ry ? -1 : rx > ry ? 1 : 0;
}

static int order_names(struct plan *plan)
{
	const struct table *t = plan->t;

	plan->writes = calloc(t->n_names + 1, sizeof(*plan->writes));
	if (!plan->writes)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_names; i++) {
		uint32_t route = t->names[i].route;

		if (plan->names[i].state != PLAN_SAME ||
		    (route != TABLE_NONE && plan->routes[route].state == PLAN_MOVED))
			plan->writes[plan->n_writes++] = i;
	}
	qsort_r(plan->writes, plan->n_writes, sizeof(*plan->writes), by_rank_falling, t->names);
	qsort_r(plan->gone, plan->n_gone, sizeof(*plan->gone), by_rank_rising, plan->m->names);
	return 0;
}

/* --- public ------------------------------------------------------------------------------ */

static int allocate(struct plan *plan)
{
	const struct table *t = plan->t;

	plan->binds = calloc(t->n_binds + 1, sizeof(*plan->binds));
	plan->listeners = calloc(t->n_listeners + 1, sizeof(*plan->listeners));
	plan->alpns = calloc(t->n_alpns + 1, sizeof(*plan->alpns));
	plan->routes = calloc(t->n_routes + 1, sizeof(*plan->routes));
	plan->backends = calloc(t->n_backends + 1, sizeof(*plan->backends));
	plan->names = calloc(t->n_names + 1, sizeof(*plan->names));
	plan->is_bind = calloc(TW_BINDS_MAX, sizeof(bool));
	plan->is_listener = calloc(TW_LISTENERS_MAX, sizeof(bool));
	plan->is_alpn = calloc(TW_ALPNS_MAX, sizeof(bool));
	plan->is_route = calloc(TW_ROUTES_MAX, sizeof(bool));
	plan->is_backend = calloc(TW_BACKENDS_MAX, sizeof(bool));
	plan->has_moved_names = calloc(TW_ROUTES_MAX, sizeof(bool));
	return plan->binds && plan->listeners && plan->alpns && plan->routes && plan->backends &&
			       plan->names && plan->is_bind && plan->is_listener && plan->is_alpn &&
			       plan->is_route && plan->is_backend && plan->has_moved_names
		       ? 0
		       : -ENOMEM;
}

int plan_make(struct plan *plan, struct mirror *m, const struct table *table, uint32_t stamp,
	      struct config_problems *problems)
{
	struct tw_slot *slots = calloc(TW_ROUTE_BACKENDS_MAX, sizeof(*slots));
	int r;

	*plan = (struct plan){.m = m, .t = table, .stamp = stamp};
	r = slots ? allocate(plan) : -ENOMEM;
	if (!r)
		r = find_ids(plan, problems);
	if (!r)
		r = compare_names(plan);
	if (!r) {
		compare_routes(plan, slots);
		compare_listeners(plan);
		r = find_spare_keys(plan, problems);
	}
	if (!r)
		r = order_names(plan);
	if (!r)
		r = room_make(plan, problems);
	free(slots);
	if (r) {
		plan_drop(plan);
		plan_fini(plan);
	}
	return r;
}

static void drop_ids(struct ids *ids, const struct plan_item *items, size_t n)
{
	for (; items && n-- > 0;)
		if (items[n].id && items[n].state == PLAN_NEW)
			ids_untake(ids, items[n].id);
}

void plan_drop(struct plan *plan)
{
	for (size_t i = plan->routes ? plan->t->n_routes : 0; i-- > 0;)
		if (plan->routes[i].state == PLAN_MOVED && plan->routes[i].key &&
		    plan->routes[i].key != plan->routes[i].id)
			ids_untake(&plan->m->route_ids, plan->routes[i].key);
	drop_ids(&plan->m->bind_ids, plan->binds, plan->t->n_binds);
	drop_ids(&plan->m->listener_ids, plan->listeners, plan->t->n_listeners);
	drop_ids(&plan->m->alpn_ids, plan->alpns, plan->t->n_alpns);
	drop_ids(&plan->m->backend_ids, plan->backends, plan->t->n_backends);
	drop_ids(&plan->m->route_ids, plan->routes, plan->t->n_routes);
}

void plan_fini(struct plan *plan)
{
	free(plan->binds);
	free(plan->listeners);
	free(plan->alpns);
	free(plan->routes);
	free(plan->backends);
	free(plan->names);
	free(plan->writes);
	free(plan->gone);
	free(plan->early_routes);
	free(plan->is_bind);
	free(plan->is_listener);
	free(plan->is_alpn);
	free(plan->is_route);
	free(plan->is_backend);
	free(plan->has_moved_names);
	*plan = (struct plan){};
}
