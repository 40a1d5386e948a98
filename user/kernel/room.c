// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Whether the maps have room for what comes beside what goes (see room.h). Ids are counted where
 * they are given (plan.c); here it is entries of tw_names and tw_slots.
 *
 * A name may go before anything comes only if what then answers for it is what will answer in the
 * end. That is so on a bind that goes itself, and for an exact name on a bind that is calm: its
 * listeners, its wildcards and the routes behind them are the same before and after.
 */
#include "kernel/room.h"

#include <errno.h>
#include <stdlib.h>

struct room {
	struct plan *plan;
	bool is_calm[TW_BINDS_MAX]; /* by bind id */
	bool *is_early;		    /* by place of a name */
	bool *is_led_to;	    /* by route id: some listener leads to it */
};

/* --- counting ------------------------------------------------------------------------------ */

static bool names_fit(const struct plan *plan)
{
	size_t n = plan->m->by_name.used - plan->n_early;

	for (size_t i = 0; i < plan->t->n_names; i++)
		n += plan->names[i].state == PLAN_NEW;
	return n <= TW_NAMES_MAX;
}

/* Entries of tw_slots in the order of sync.c. */
static bool slots_fit(const struct plan *plan)
{
	const struct table *t = plan->t;
	size_t n = plan->m->n_slots, most;

	for (size_t i = 0; i < plan->n_early_routes; i++)
		n -= plan->m->routes[plan->early_routes[i]]->value.backends;
	for (size_t i = 0; i < t->n_routes; i++)
		if (plan->routes[i].state == PLAN_NEW || plan->routes[i].state == PLAN_MOVED)
			n += t->routes[i].n_slots;
	most = n;
	for (size_t i = 0; i < t->n_routes; i++) {
		if (plan->routes[i].state != PLAN_CHANGED)
			continue;
		n += t->routes[i].n_slots;
		if (n > most)
			most = n;
		n -= plan->m->routes[plan->routes[i].id]->value.backends;
	}
	return most <= TW_SLOTS_MAX;
}

/* --- what may go early --------------------------------------------------------------------- */

static bool is_route_same(const struct plan *plan, uint32_t i)
{
	return i == TABLE_NONE || plan->routes[i].state == PLAN_SAME;
}

static void trouble(struct room *room, uint32_t bind)
{
	if (bind < TW_BINDS_MAX)
		room->is_calm[bind] = false;
}

/* A listener that comes, goes or changes troubles its bind, and the one that it had. */
static void find_troubled_by_listeners(struct room *room)
{
	const struct plan *plan = room->plan;
	const struct table *t = plan->t;

	for (size_t i = 0; i < t->n_listeners; i++) {
		const struct plan_item *item = &plan->listeners[i];
		const struct tw_listener *is = plan->m->listeners[item->id];

		if (item->state == PLAN_SAME && is_route_same(plan, t->listeners[i].unknown_name))
			continue;
		trouble(room, plan->binds[t->listeners[i].bind].id);
		if (is)
			trouble(room, is->bind);
	}
	for (uint32_t id = 1; id < TW_LISTENERS_MAX; id++)
		if (plan->m->listeners[id] && !plan->is_listener[id])
			trouble(room, plan->m->listeners[id]->bind);
}

static void find_troubled_by_wildcards(struct room *room)
{
	const struct plan *plan = room->plan;
	const struct table *t = plan->t;

	for (size_t i = 0; i < t->n_names; i++)
		if (t->names[i].pattern[0] == '*' &&
		    (plan->names[i].state != PLAN_SAME || !is_route_same(plan, t->names[i].route)))
			trouble(room, plan->binds[t->names[i].bind].id);
	for (size_t i = 0; i < plan->n_gone; i++) {
		const struct mirror_name *is = &plan->m->names[plan->gone[i]];

		if (is->pattern[0] == '*')
			trouble(room, is->bind);
	}
}

static void find_calm(struct room *room)
{
	const struct plan *plan = room->plan;

	for (size_t i = 0; i < plan->m->n_binds; i++)
		room->is_calm[plan->m->binds[i].value.id] = true;
	find_troubled_by_listeners(room);
	find_troubled_by_wildcards(room);
}

static bool is_name_early(const struct room *room, const struct mirror_name *name)
{
	const struct plan *plan = room->plan;
	uint32_t any;

	if (name->bind >= TW_BINDS_MAX || !plan->is_bind[name->bind])
		return true;
	if (!room->is_calm[name->bind])
		return false;
	if (!name->alpn)
		return true;
	/* A search comes here by the entry without ALPN only: that must go, too. */
	any = mirror_find_name(plan->m, INDEX_NONE, name->bind, 0, name->pattern);
	return any == INDEX_NONE || plan->m->names[any].seen != plan->stamp;
}

/* Bring the early ones of plan->gone to its front; both parts keep their order. */
static int sort_out_names(struct room *room)
{
	struct plan *plan = room->plan;
	uint32_t *sorted = calloc(plan->n_gone + 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_gone; i++) {
		uint32_t place = plan->gone[i];

		room->is_early[place] = is_name_early(room, &plan->m->names[place]);
		if (room->is_early[place])
			sorted[n++] = place;
	}
	plan->n_early = n;
	for (size_t i = 0; i < plan->n_gone; i++)
		if (!room->is_early[plan->gone[i]])
			sorted[n++] = plan->gone[i];
	free(plan->gone);
	plan->gone = sorted;
	return 0;
}

/* Routes that go and that nothing leads to when the early names have gone. */
static bool is_route_early(const struct room *room, uint32_t id)
{
	const struct mirror *m = room->plan->m;

	if (!m->routes[id] || room->plan->is_route[id] || room->is_led_to[id])
		return false;
	for (uint32_t i = m->routes[id]->names; i != INDEX_NONE; i = m->names[i].next)
		if (!room->is_early[i])
			return false;
	return true;
}

static void note_led_to(struct room *room, uint32_t route)
{
	if (route < TW_ROUTES_MAX)
		room->is_led_to[route] = true;
}

static int sort_out_routes(struct room *room)
{
	struct plan *plan = room->plan;

	plan->early_routes = calloc(TW_ROUTES_MAX, sizeof(*plan->early_routes));
	if (!plan->early_routes)
		return -ENOMEM;
	for (uint32_t id = 1; id < TW_LISTENERS_MAX; id++) {
		const struct tw_listener *listener = plan->m->listeners[id];

		if (!listener)
			continue;
		note_led_to(room, listener->no_sni_route);
		note_led_to(room, listener->unknown_name_route);
		note_led_to(room, listener->not_tls_route);
	}
	for (uint32_t id = 1; id < TW_ROUTES_MAX; id++)
		if (is_route_early(room, id))
			plan->early_routes[plan->n_early_routes++] = id;
	return 0;
}

static int sort_out(struct plan *plan)
{
	struct room room = {.plan = plan};
	int r;

	room.is_early = calloc(plan->m->names_size + 1, sizeof(bool));
	room.is_led_to = calloc(TW_ROUTES_MAX, sizeof(bool));
	r = room.is_early && room.is_led_to ? 0 : -ENOMEM;
	if (!r) {
		find_calm(&room);
		r = sort_out_names(&room);
	}
	if (!r)
		r = sort_out_routes(&room);
	free(room.is_early);
	free(room.is_led_to);
	return r;
}

/* --- public ------------------------------------------------------------------------------ */

int room_refuse(struct config_problems *problems, const char *what, unsigned int most)
{
	config_problem_add(
		problems, NULL, false,
		"no room for so many new %s beside those that go (%u in all): nothing was changed; "
		"first remove those, then add the new ones, or 'thruway down' and start anew",
		what, most);
	return -ENOSPC;
}

int room_make(struct plan *plan, struct config_problems *problems)
{
	int r;

	if (names_fit(plan) && slots_fit(plan))
		return 0;
	r = sort_out(plan);
	if (r)
		return r;
	if (!names_fit(plan))
		return room_refuse(problems, "names", TW_NAMES_MAX);
	if (!slots_fit(plan))
		return room_refuse(problems, "entries of routes' backends", TW_SLOTS_MAX);
	return 0;
}
