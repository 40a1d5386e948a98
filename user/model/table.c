// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From configuration to the flat route table (see table.h): listeners first, then route by route
 * backends, protocols and names, then what only all names together tell. Whose a name is:
 * table_names.c.
 */
#include "model/table_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/shares.h"

int table_grow(void *array, size_t used, size_t n, size_t size)
{
	size_t capacity = 16, wanted = used + n;
	void *grown;

	/* The capacity is a function of the number used, so that nobody needs to keep it. */
	while (capacity < used)
		capacity += capacity / 2;
	if (used && wanted <= capacity)
		return 0;
	while (capacity < wanted)
		capacity += capacity / 2;
	grown = reallocarray(*(void **)array, capacity, size);
	if (!grown)
		return -ENOMEM;
	*(void **)array = grown;
	return 0;
}

uint32_t table_route_hash(uint32_t owner, const char *name, const char *listener, const char *alpn)
{
	return index_hash_text(index_hash_text(index_hash_text(owner, name), listener), alpn);
}

/* --- routes and backends ------------------------------------------------------------------- */

static int find_or_add_backend(struct builder *b, const struct tw_backend *backend,
			       uint32_t *ret_backend)
{
	uint32_t hash = index_hash_text(0, backend->text), at = INDEX_START, i;
	struct table *t = b->table;

	while ((i = index_next(&b->by_backend, hash, &at)) != INDEX_NONE)
		if (!strcmp(t->backends[i]->text, backend->text))
			break;
	if (i == INDEX_NONE) {
		i = t->n_backends;
		if (GROW(t->backends, t->n_backends, 1) || index_add(&b->by_backend, hash, i))
			return -ENOMEM;
		t->backends[t->n_backends++] = backend;
	}
	/* Several routes have it: the largest pool counts. */
	if (backend->pool > t->backends[i]->pool)
		t->backends[i] = backend;
	*ret_backend = i;
	return 0;
}

static int add_slots(struct builder *b, struct table_route *route,
		     const struct config_backend *backends, size_t n)
{
	struct table *t = b->table;

	if (GROW(t->slots, t->n_slots, n))
		return -ENOMEM;
	route->first_slot = t->n_slots;
	route->n_slots = n;
	for (size_t i = 0; i < n; i++) {
		struct table_slot slot = {.backend = TABLE_NONE, .weight = backends[i].weight};

		if (!backends[i].is_invalid &&
		    find_or_add_backend(b, &backends[i].backend, &slot.backend))
			return -ENOMEM;
		slot.hash = shares_hash(backends[i].backend.text);
		t->slots[t->n_slots++] = slot;
	}
	shares_divide(t->slots + route->first_slot, n, &route->total_weight, &route->stride);
	return 0;
}

static uint32_t find_route(const struct builder *b, const struct table_route *like)
{
	uint32_t hash = like->hash, at = INDEX_START, i;

	while ((i = index_next(&b->by_route, hash, &at)) != INDEX_NONE) {
		const struct table_route *route = &b->table->routes[i];

		if (route->owner == like->owner && !strcmp(route->name, like->name) &&
		    !strcmp(route->listener, like->listener) && !strcmp(route->alpn, like->alpn))
			return i;
	}
	return TABLE_NONE;
}

static int add_route(struct builder *b, struct table_route *route,
		     const struct config_backend *backends, size_t n)
{
	struct table *t = b->table;

	if (GROW(t->routes, t->n_routes, 1) || add_slots(b, route, backends, n) ||
	    index_add(&b->by_route, route->hash, t->n_routes))
		return -ENOMEM;
	t->routes[t->n_routes++] = *route;
	return 0;
}

/* Report why @route cannot be in the table at all; false = it can. */
static bool is_route_refused(struct builder *b, const struct table_route *route,
			     const struct config_route *config)
{
	const struct table *t = b->table;
	uint32_t other = find_route(b, route);

	if (other != TABLE_NONE)
		report(b, &route->pos,
		       "route %s: another route has this name (line %u): give one of "
		       "them another 'name'",
		       route->name, t->routes[other].pos.line);
	else if (strlen(route->name) > TW_NAME_MAX)
		report(b, &route->pos, "route %s: the name has more than %d characters",
		       route->name, TW_NAME_MAX);
	else if (config->n_backends > TW_ROUTE_BACKENDS_MAX)
		report(b, &route->pos, "route %s: %zu backends: at most %d", route->name,
		       config->n_backends, TW_ROUTE_BACKENDS_MAX);
	else if (t->n_routes >= TW_ROUTES_MAX - 1 ||
		 t->n_backends + config->n_backends >= TW_BACKENDS_MAX ||
		 t->n_slots + config->n_backends > TW_SLOTS_MAX)
		report(b, &route->pos,
		       "route %s: no room: at most %d routes with %d backends in all", route->name,
		       TW_ROUTES_MAX - 1, TW_BACKENDS_MAX - 1);
	else
		return false;
	return true;
}

/* A route for a listener that is not there serves nobody; false = all are there. */
static bool is_listener_missing(struct builder *b, const struct table_route *route,
				const struct config_route *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (names_find_listener(b, config->listeners[i]) == TABLE_NONE) {
			report(b, &route->pos, "route %s: there is no listener %s; left out",
			       route->name, config->listeners[i]);
			return true;
		}
	return false;
}

static uint32_t find_or_add_alpn(struct builder *b, const char *protocol)
{
	uint32_t hash = index_hash_text(0, protocol), at = INDEX_START, i;
	struct table *t = b->table;

	while ((i = index_next(&b->by_alpn, hash, &at)) != INDEX_NONE)
		if (!strcmp(t->alpns[i], protocol))
			return i + 1;
	if (t->n_alpns >= TW_ALPNS_MAX - 1 || strlen(protocol) >= TW_ALPN_SIZE)
		return 0;
	if (GROW(t->alpns, t->n_alpns, 1) || index_add(&b->by_alpn, hash, t->n_alpns))
		return 0;
	t->alpns[t->n_alpns++] = protocol;
	return t->n_alpns;
}

/* The route's protocols as numbers; false = one cannot be taken (reported). */
static bool read_alpns(struct builder *b, const struct table_route *route,
		       const struct config_route *config, uint32_t *alpns)
{
	for (size_t i = 0; i < config->n_alpn; i++) {
		alpns[i] = find_or_add_alpn(b, config->alpn[i]);
		if (!alpns[i]) {
			report(b, &route->pos,
			       "route %s: ALPN %s: no room: at most %d protocols of %d "
			       "bytes",
			       route->name, config->alpn[i], TW_ALPNS_MAX - 1, TW_ALPN_SIZE - 1);
			return false;
		}
	}
	return true;
}

static int add_config_route(struct builder *b, const struct config_route *config)
{
	_cleanup_free_ uint32_t *alpns = calloc(config->n_alpn + 1, sizeof(*alpns));
	/* Only the command line may give a name to several routes. What a file's route is for may
	 * change, and it stays the same one, with its counters and connections. */
	bool is_cli = config->owner == TW_OWNER_CLI;
	struct table_route route = {
		.name = config->name,
		.listener = is_cli && config->n_listeners == 1 ? config->listeners[0] : "",
		.alpn = is_cli && config->n_alpn == 1 ? config->alpn[0] : "",
		.owner = config->owner,
		.balance = config->balance,
		.tries = config->tries ? config->tries : TW_TRIES_DEFAULT,
		.refuse = config->refuse,
		.timeouts = config->timeouts,
		.local = config->local,
		.pos = config->pos,
	};
	uint32_t n_claimed = 0;
	size_t n_reports = b->n_reports;

	if (!alpns)
		return -ENOMEM;
	route.hash = table_route_hash(route.owner, route.name, route.listener, route.alpn);
	if (is_route_refused(b, &route, config) || !read_alpns(b, &route, config, alpns))
		return 0;
	if (!is_listener_missing(b, &route, config) &&
	    names_claim(b, &route, config, alpns, &n_claimed))
		return -ENOMEM;
	if (!n_claimed && n_reports == b->n_reports && b->table->n_listeners)
		config_problem_add(
			b->problems, &route.pos, true,
			config->yields_names
				? "route %s: other routes or listeners have its hostnames"
				: "route %s: no listener has any of its hostnames",
			route.name);
	if (!n_claimed && route.owner == TW_OWNER_FILE)
		return 0;
	return add_route(b, &route, config->backends, config->n_backends);
}

/* --- routes for what a listener would refuse ------------------------------------------------ */

static int add_instead(struct builder *b, const struct config_listener *listener, const char *what,
		       const struct config_backend *backends, size_t n, uint32_t *ret_route)
{
	struct table *t = b->table;
	struct table_route route = {
		.listener = "",
		.alpn = "",
		.owner = TW_OWNER_FILE,
		.tries = TW_TRIES_DEFAULT,
		.pos = listener->pos,
	};
	const struct config_route limits = {.n_backends = n};
	char *name;

	if (!n)
		return 0;
	if (GROW(t->texts, t->n_texts, 1) || asprintf(&name, "%s/%s", listener->name, what) < 0)
		return -ENOMEM;
	t->texts[t->n_texts++] = name;
	route.name = name;
	route.hash = table_route_hash(route.owner, route.name, route.listener, route.alpn);
	if (is_route_refused(b, &route, &limits))
		return 0;
	*ret_route = t->n_routes;
	return add_route(b, &route, backends, n);
}

static int add_insteads(struct builder *b, struct table_listener *listener)
{
	const struct config_listener *config = listener->config;
	int r;

	r = add_instead(b, config, "no_sni", config->no_sni, config->n_no_sni, &listener->no_sni);
	if (!r)
		r = add_instead(b, config, "unknown_name", config->unknown_name,
				config->n_unknown_name, &listener->unknown_name);
	if (!r)
		r = add_instead(b, config, "not_tls", config->not_tls, config->n_not_tls,
				&listener->not_tls);
	return r;
}

/* --- public ------------------------------------------------------------------------------ */

/* At least; growing later copies all that is there. */
static int reserve(struct builder *b, const struct config *file, size_t n_cli)
{
	size_t n_routes = file->n_routes + n_cli, n_backends = 0;
	int r;

	for (size_t i = 0; i < file->n_routes; i++)
		n_backends += file->routes[i].n_backends;
	if (n_backends > TW_BACKENDS_MAX)
		n_backends = TW_BACKENDS_MAX;
	r = index_reserve(&b->by_name, n_routes);
	if (!r)
		r = index_reserve(&b->by_route, n_routes);
	return r ? r : index_reserve(&b->by_backend, n_backends);
}

static int build(struct builder *b, const struct config *file, const struct config_route *cli,
		 size_t n_cli)
{
	size_t n_errors;
	int r = reserve(b, file, n_cli);

	for (size_t i = 0; i < file->n_listeners && !r; i++)
		r = names_add_listener(b, &file->listeners[i]);
	for (size_t i = 0; i < b->table->n_listeners && !r; i++)
		r = add_insteads(b, &b->table->listeners[i]);
	for (size_t i = 0; i < file->n_routes && !r; i++)
		r = add_config_route(b, &file->routes[i]);
	n_errors = b->problems->n_errors;
	for (size_t i = 0; i < n_cli && !r; i++)
		r = add_config_route(b, &cli[i]);
	b->table->n_cli_errors = b->problems->n_errors - n_errors;
	return r ? r : names_finish(b);
}

int table_build(const struct config *file, const struct config_route *cli, size_t n_cli,
		struct config_problems *problems, struct table **ret_table)
{
	uint32_t bind_listeners[TW_BINDS_MAX] = {};
	struct builder b = {.problems = problems, .bind_listeners = bind_listeners};
	int r = -ENOMEM;

	b.table = calloc(1, sizeof(*b.table));
	if (b.table)
		r = build(&b, file, cli, n_cli);
	index_fini(&b.by_listener);
	index_fini(&b.by_hostname);
	index_fini(&b.by_route);
	index_fini(&b.by_name);
	index_fini(&b.by_backend);
	index_fini(&b.by_alpn);
	if (r) {
		table_free(b.table);
		return r;
	}
	*ret_table = b.table;
	return 0;
}

struct table *table_free(struct table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->n_texts; i++)
		free(table->texts[i]);
	free(table->binds);
	free(table->listeners);
	free(table->routes);
	free(table->slots);
	free(table->names);
	free(table->backends);
	free(table->alpns);
	free(table->texts);
	free(table);
	return NULL;
}
