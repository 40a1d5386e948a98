// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Carrying a plan out, so that at every moment each name leads where it led before or where it is
 * to lead, and nowhere else. A look-up takes the most specific entry that matches, so:
 *
 *   1. What nothing leads to yet: backends, protocols, sets, new routes, new listeners.
 *   2. New and changed names, the most specific first. Once the most specific new entry for a name
 *      stands, only a more specific old one (old answer) can come before it.
 *   3. Routes and listeners that change in place. Their names are the same before and after, and
 *      new names that take some of theirs away stand since step 2.
 *   4. Names that go, the least specific first: the old entry that answers for a name goes as the
 *      last of those that match it, so no other old one comes to light.
 *   5. What nothing leads to any more.
 *
 * A route whose backends and names both change fits nowhere in this: its old names must not reach
 * its new backends, nor its new names the old ones. Its new half is put under a spare key in step
 * 1, where the names of step 2 find it. After step 4 no name leads to its old half; then the route
 * itself is written, its names are led back to it, and the spare key is free again. Counters are
 * those of tw_route.id all the time.
 *
 * A changed route has its new set only from just before it is switched, and its old one until just
 * after; so a change of all routes needs room for one set. Where old and new names do not fit into
 * the maps together, what may go early goes before step 1 (room.c).
 *
 * Two protocols of one name that change together are two writes; a client that offers both may meet
 * the one new and the other old.
 */
#include "kernel/sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/plan.h"

struct sync {
	struct plan plan;
	struct mirror *m;
	struct tw_slot *slots; /* room for one route's */
	uint32_t *sets;	       /* new set of each route that moved */
};

/* --- room, before step 1 ------------------------------------------------------------------ */

static int remove_route(struct sync *s, uint32_t id)
{
	uint32_t set = s->m->routes[id]->value.set, n = s->m->routes[id]->value.backends;
	int r = mirror_del_route(s->m, id);

	return r ? r : mirror_del_set(s->m, set, n);
}

static int remove_early(struct sync *s)
{
	int r = 0;

	for (size_t i = 0; i < s->plan.n_early && !r; i++)
		r = mirror_del_name(s->m, s->plan.gone[i]);
	for (size_t i = 0; i < s->plan.n_early_routes && !r; i++)
		r = remove_route(s, s->plan.early_routes[i]);
	return r;
}

/* --- step 1 ------------------------------------------------------------------------------ */

static int add_backends(struct sync *s)
{
	int r = 0;

	for (size_t i = 0; i < s->plan.t->n_backends && !r; i++) {
		struct tw_backend value = *s->plan.t->backends[i];
		const struct tw_backend *is = s->m->backends[s->plan.backends[i].id];

		if (s->plan.backends[i].state != PLAN_NEW && is->pool == value.pool)
			continue;
		value.id = s->plan.backends[i].id;
		value.drained = s->plan.backends[i].state == PLAN_NEW ? 0 : is->drained;
		r = mirror_put_backend(s->m, &value);
	}
	return r;
}

static int add_alpns(struct sync *s)
{
	int r = 0;

	for (size_t i = 0; i < s->plan.t->n_alpns && !r; i++)
		if (s->plan.alpns[i].state == PLAN_NEW)
			r = mirror_put_alpn(s->m, s->plan.alpns[i].id, s->plan.t->alpns[i]);
	return r;
}

/* What route number @i is to be, with a new set. */
static int make_route(struct sync *s, size_t i, struct tw_route *ret_value)
{
	plan_route(&s->plan, i, ret_value, s->slots);
	return mirror_add_set(s->m, s->slots, ret_value->backends, &ret_value->set);
}

static int prepare_route(struct sync *s, size_t i)
{
	const struct plan_item *item = &s->plan.routes[i];
	struct tw_route value;
	int r = make_route(s, i, &value);

	if (r)
		return r;
	if (item->state == PLAN_NEW)
		return mirror_put_route(s->m, &value, s->slots);
	s->sets[i] = value.set;
	return mirror_put_spare(s->m, item->key, &value);
}

static int prepare_routes(struct sync *s)
{
	int r = 0;

	for (size_t i = 0; i < s->plan.t->n_routes && !r; i++)
		if (s->plan.routes[i].state == PLAN_NEW || s->plan.routes[i].state == PLAN_MOVED)
			r = prepare_route(s, i);
	return r;
}

/*
 * A listener that changes what it refuses differently and which names it refuses: until the names
 * are right it just refuses, or a name of the one would get the backend of the other.
 */
static int quiet_listener(struct sync *s, const struct tw_listener *wanted)
{
	struct tw_listener is = *s->m->listeners[wanted->id];

	if (is.bind == wanted->bind && !strcmp(is.hostname, wanted->hostname))
		return 0;
	is.no_sni_route = 0;
	is.unknown_name_route = 0;
	is.not_tls_route = 0;
	return mirror_put_listener(s->m, &is);
}

static int prepare_listeners(struct sync *s)
{
	struct tw_listener value;
	int r = 0;

	for (size_t i = 0; i < s->plan.t->n_listeners && !r; i++) {
		plan_listener(&s->plan, i, &value);
		if (s->plan.listeners[i].state == PLAN_NEW)
			r = mirror_put_listener(s->m, &value);
		else if (s->plan.listeners[i].state == PLAN_CHANGED)
			r = quiet_listener(s, &value);
	}
	return r;
}

/* --- binds ------------------------------------------------------------------------------- */

static const struct tw_bind *bind_in_maps(const struct sync *s, uint32_t id)
{
	for (size_t i = 0; i < s->m->n_binds; i++)
		if (s->m->binds[i].value.id == id)
			return &s->m->binds[i].value;
	return NULL;
}

/* While names of both old and new stand, look-ups must try the label counts of both. */
static int widen_binds(struct sync *s)
{
	int r = 0;

	for (size_t i = 0; i < s->plan.t->n_binds && !r; i++) {
		const struct tw_bind *is = bind_in_maps(s, s->plan.binds[i].id);
		struct tw_bind wanted, wide;

		if (!is)
			continue;
		plan_bind(&s->plan, i, &wanted);
		wide = *is;
		wide.wildcard_labels[0] |= wanted.wildcard_labels[0];
		wide.wildcard_labels[1] |= wanted.wildcard_labels[1];
		if (memcmp(&wide, is, sizeof(wide)) != 0)
			r = mirror_put_bind(s->m, &s->plan.t->binds[i].key, &wide);
	}
	return r;
}

/* With @is_last the label counts, too, are what they are to be. New binds come with their names. */
static int put_binds(struct sync *s, bool is_last)
{
	int r = 0;

	for (size_t i = 0; i < s->plan.t->n_binds && !r; i++) {
		const struct tw_bind *is = bind_in_maps(s, s->plan.binds[i].id);
		struct tw_bind wanted;

		plan_bind(&s->plan, i, &wanted);
		if (is && !is_last)
			memcpy(wanted.wildcard_labels, is->wildcard_labels,
			       sizeof(wanted.wildcard_labels));
		if (!is || memcmp(&wanted, is, sizeof(wanted)) != 0)
			r = mirror_put_bind(s->m, &s->plan.t->binds[i].key, &wanted);
	}
	return r;
}

static int remove_binds(struct sync *s)
{
	int r = 0;

	for (size_t i = s->m->n_binds; i-- > 0 && !r;) {
		const struct tw_bind_key key = s->m->binds[i].key;

		if (!s->plan.is_bind[s->m->binds[i].value.id])
			r = mirror_del_bind(s->m, &key);
	}
	return r;
}

/* --- steps 2 to 4 -------------------------------------------------------------------------- */

static int put_name(struct sync *s, uint32_t i, bool by_key)
{
	const struct table_name *name = &s->plan.t->names[i];
	uint32_t alpn = name->alpn ? s->plan.alpns[name->alpn - 1].id : 0;
	struct tw_name value;

	plan_name(&s->plan, i, by_key, &value);
	return mirror_put_name(s->m, s->plan.binds[name->bind].id, alpn, name->pattern, &value);
}

static int write_names(struct sync *s)
{
	int r = 0;

	for (size_t i = 0; i < s->plan.n_writes && !r; i++)
		r = put_name(s, s->plan.writes[i], true);
	return r;
}

/* Write the route itself; its old set has no use any more. */
static int switch_route(struct sync *s, size_t i)
{
	uint32_t id = s->plan.routes[i].id;
	uint32_t old_set = s->m->routes[id]->value.set, old_n = s->m->routes[id]->value.backends;
	struct tw_route value;
	int r = 0;

	if (s->plan.routes[i].state == PLAN_MOVED) {
		plan_route(&s->plan, i, &value, s->slots);
		value.set = s->sets[i];
	} else {
		r = make_route(s, i, &value);
	}
	if (!r)
		r = mirror_put_route(s->m, &value, s->slots);
	return r ? r : mirror_del_set(s->m, old_set, old_n);
}

static int change_in_place(struct sync *s)
{
	struct tw_listener value;
	int r = 0;

	for (size_t i = 0; i < s->plan.t->n_routes && !r; i++)
		if (s->plan.routes[i].state == PLAN_CHANGED)
			r = switch_route(s, i);
	for (size_t i = 0; i < s->plan.t->n_listeners && !r; i++) {
		if (s->plan.listeners[i].state != PLAN_CHANGED)
			continue;
		plan_listener(&s->plan, i, &value);
		r = mirror_put_listener(s->m, &value);
	}
	return r;
}

static int remove_names(struct sync *s)
{
	int r = 0;

	for (size_t i = s->plan.n_early; i < s->plan.n_gone && !r; i++)
		r = mirror_del_name(s->m, s->plan.gone[i]);
	return r;
}

/* --- routes that moved, and step 5 ------------------------------------------------------------ */

static int settle_moved(struct sync *s)
{
	int r = 0;

	for (size_t i = 0; i < s->plan.t->n_routes && !r; i++)
		if (s->plan.routes[i].state == PLAN_MOVED)
			r = switch_route(s, i);
	for (size_t i = 0; i < s->plan.n_writes && !r; i++) {
		uint32_t route = s->plan.t->names[s->plan.writes[i]].route;

		if (route != TABLE_NONE && s->plan.routes[route].state == PLAN_MOVED)
			r = put_name(s, s->plan.writes[i], false);
	}
	for (size_t i = 0; i < s->plan.t->n_routes && !r; i++)
		if (s->plan.routes[i].state == PLAN_MOVED)
			r = mirror_del_spare(s->m, s->plan.routes[i].key);
	return r;
}

static int remove_spare(struct mirror *m, const struct mirror_spare *spare)
{
	int r = mirror_del_spare(m, spare->key);

	return r ? r : mirror_del_set(m, spare->set, spare->backends);
}

static int remove_rest(struct sync *s)
{
	struct mirror *m = s->m;
	int r = 0;

	for (uint32_t id = 1; id < TW_LISTENERS_MAX && !r; id++)
		if (m->listeners[id] && !s->plan.is_listener[id])
			r = mirror_del_listener(m, id);
	for (uint32_t id = 1; id < TW_ROUTES_MAX && !r; id++)
		if (m->routes[id] && !s->plan.is_route[id])
			r = remove_route(s, id);
	for (; m->n_spares && !r; m->n_spares--)
		r = remove_spare(m, &m->spares[m->n_spares - 1]);
	for (uint32_t id = 1; id < TW_BACKENDS_MAX && !r; id++)
		if (m->backends[id] && !s->plan.is_backend[id])
			r = mirror_del_backend(m, id);
	for (uint32_t id = 1; id < TW_ALPNS_MAX && !r; id++)
		if (m->alpns[id] && !s->plan.is_alpn[id])
			r = mirror_del_alpn(m, id);
	return r;
}

static int carry_out(struct sync *s)
{
	int r = remove_binds(s);

	if (!r)
		r = remove_early(s);
	if (!r)
		r = add_backends(s);
	if (!r)
		r = add_alpns(s);
	if (!r)
		r = prepare_routes(s);
	if (!r)
		r = prepare_listeners(s);
	if (!r)
		r = widen_binds(s);
	if (!r)
		r = write_names(s);
	if (!r)
		r = change_in_place(s);
	if (!r)
		r = put_binds(s, false);
	if (!r)
		r = remove_names(s);
	if (!r)
		r = put_binds(s, true);
	if (!r)
		r = settle_moved(s);
	if (!r)
		r = remove_rest(s);
	return r;
}

/* --- what changes, for the user -------------------------------------------------------------- */

static int add_change(struct tables_changes *changes, enum tables_action action, const char *object,
		      const char *name)
{
	struct tables_change *grown;
	char *copy;

	if (!(changes->n & (changes->n - 1))) { /* 0 or a power of two: full */
		grown = reallocarray(changes->items, changes->n ? changes->n * 2 : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		changes->items = grown;
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	changes->items[changes->n++] = (struct tables_change){action, object, copy};
	return 0;
}

static int list_item(struct tables_changes *changes, enum plan_state state, const char *object,
		     const char *name)
{
	if (state == PLAN_SAME)
		return 0;
	return add_change(changes, state == PLAN_NEW ? TABLES_ADD : TABLES_CHANGE, object, name);
}

static int list_wanted(const struct plan *plan, struct tables_changes *changes)
{
	const struct table *t = plan->t;
	int r = 0;

	for (size_t i = 0; i < t->n_listeners && !r; i++)
		r = list_item(changes, plan->listeners[i].state, "listener",
			      t->listeners[i].config->name);
	for (size_t i = 0; i < t->n_routes && !r; i++)
		r = list_item(changes, plan->routes[i].state, "route", t->routes[i].name);
	for (size_t i = 0; i < t->n_names && !r; i++)
		if (t->names[i].route != TABLE_NONE)
			r = list_item(changes, plan->names[i].state, "name", t->names[i].pattern);
	for (size_t i = 0; i < t->n_backends && !r; i++)
		r = list_item(changes, plan->backends[i].state, "backend", t->backends[i]->text);
	return r;
}

static int list_gone(const struct plan *plan, struct tables_changes *changes)
{
	const struct mirror *m = plan->m;
	int r = 0;

	for (uint32_t id = 1; id < TW_LISTENERS_MAX && !r; id++)
		if (m->listeners[id] && !plan->is_listener[id])
			r = add_change(changes, TABLES_REMOVE, "listener", m->listeners[id]->name);
	for (uint32_t id = 1; id < TW_ROUTES_MAX && !r; id++)
		if (m->routes[id] && !plan->is_route[id])
			r = add_change(changes, TABLES_REMOVE, "route", m->routes[id]->value.name);
	for (size_t i = 0; i < plan->n_gone && !r; i++)
		if (m->names[plan->gone[i]].value.route)
			r = add_change(changes, TABLES_REMOVE, "name",
				       m->names[plan->gone[i]].pattern);
	for (uint32_t id = 1; id < TW_BACKENDS_MAX && !r; id++)
		if (m->backends[id] && !plan->is_backend[id])
			r = add_change(changes, TABLES_REMOVE, "backend", m->backends[id]->text);
	return r;
}

/* --- public ------------------------------------------------------------------------------ */

int sync_table(struct mirror *m, const struct table *table, bool dry_run,
	       struct tables_changes *changes, struct config_problems *problems)
{
	struct sync s = {.m = m};
	int r;

	s.slots = calloc(TW_ROUTE_BACKENDS_MAX, sizeof(*s.slots));
	s.sets = calloc(table->n_routes + 1, sizeof(*s.sets));
	r = s.slots && s.sets ? plan_make(&s.plan, m, table, ++m->stamp, problems) : -ENOMEM;
	if (r)
		goto out;
	if (changes)
		r = list_wanted(&s.plan, changes);
	if (changes && !r)
		r = list_gone(&s.plan, changes);
	if (dry_run || r) {
		plan_drop(&s.plan);
	} else {
		m->is_live = m->n_binds > 0;
		m->is_stale = true;
		r = carry_out(&s);
		m->is_stale = r != 0;
		if (r)
			config_problem_add(problems, NULL, false,
					   "a map could not be written (%s): part of the change is "
					   "in force, the next change or reload makes it whole",
					   strerror(-r));
	}
	plan_fini(&s.plan);
out:
	free(s.slots);
	free(s.sets);
	return r;
}
