// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The route table in the kernel, as the rest of the daemon sees it (see tables.h): opening,
 * syncing, showing. The work is done by model/table.c (what should be), plan.c (what differs),
 * sync.c (in which order to write) and mirror.c (writing).
 */
#include "kernel/tables.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/mirror.h"
#include "kernel/sync.h"
#include "model/table.h"

struct tables {
	struct datapath *dp;
	struct mirror mirror;
};

/* One line about a map that could not be read; NULL when memory ran out. */
static char *read_error(const struct datapath *dp, const char *map, int err)
{
	char *text;
	int n;

	if (!map)
		return NULL;
	if (err == -EUCLEAN)
		n = asprintf(&text,
			     "%s holds what thruway does not write there: --reset removes all "
			     "pinned maps (routes added with 'thruway route add' and all counters "
			     "are lost)",
			     datapath_map_path(dp, map));
	else
		n = asprintf(&text, "%s cannot be read: %s", datapath_map_path(dp, map),
			     strerror(-err));
	return n < 0 ? NULL : text;
}

int tables_open(struct datapath *dp, struct tables **ret_tables, char **ret_why)
{
	struct tables *tables = calloc(1, sizeof(*tables));
	const char *map = NULL;
	int r;

	*ret_why = NULL;
	if (!tables)
		return -ENOMEM;
	tables->dp = dp;
	r = mirror_read(&tables->mirror, dp, &map);
	if (r) {
		*ret_why = read_error(dp, map, r);
		free(tables);
		return r;
	}
	*ret_tables = tables;
	return 0;
}

struct tables *tables_close(struct tables *tables)
{
	if (!tables)
		return NULL;
	mirror_fini(&tables->mirror);
	free(tables);
	return NULL;
}

/* After a write that failed, what the maps hold is known by reading them only. */
static int read_again(struct tables *tables, struct config_problems *problems)
{
	struct mirror fresh;
	const char *map;
	char *why;
	int r = mirror_read(&fresh, tables->dp, &map);

	if (r) {
		why = read_error(tables->dp, map, r);
		config_problem_add(problems, NULL, false, "%s", why ? why : strerror(-r));
		free(why);
		return r;
	}
	mirror_fini(&tables->mirror);
	tables->mirror = fresh;
	return 0;
}

int tables_sync(struct tables *tables, const struct config *file, const struct config_route *cli,
		size_t n_cli, enum tables_mode mode, struct tables_changes *ret_changes,
		struct config_problems *problems)
{
	struct tables_changes changes = {};
	size_t n_errors = problems->n_errors;
	struct table *table;
	int r;

	r = tables->mirror.is_stale ? read_again(tables, problems) : 0;
	if (!r)
		r = table_build(file, cli, n_cli, problems, &table);
	if (r)
		return r;
	if ((mode == TABLES_STRICT && problems->n_errors > n_errors) ||
	    (mode == TABLES_STRICT_CLI && table->n_cli_errors))
		r = -EINVAL;
	else
		r = sync_table(&tables->mirror, table, mode == TABLES_DRY_RUN,
			       ret_changes ? &changes : NULL, problems);
	table_free(table);
	if (r) {
		tables_changes_fini(&changes);
		return r;
	}
	if (ret_changes)
		*ret_changes = changes;
	return 0;
}

void tables_changes_fini(struct tables_changes *changes)
{
	for (size_t i = 0; i < changes->n; i++)
		free(changes->items[i].name);
	free(changes->items);
	*changes = (struct tables_changes){};
}

/* --- the CLI's routes, back from the maps ------------------------------------------------------
 */

static int copy_word(const char *word, char ***ret_words, size_t *ret_n)
{
	if (!*word)
		return 0;
	*ret_words = calloc(1, sizeof(**ret_words));
	if (!*ret_words)
		return -ENOMEM;
	(*ret_words)[0] = strdup(word);
	*ret_n = 1;
	return (*ret_words)[0] ? 0 : -ENOMEM;
}

static int copy_backends(const struct mirror *m, const struct mirror_route *route,
			 struct config_route *config)
{
	config->backends = calloc(route->value.backends + 1, sizeof(*config->backends));
	if (!config->backends)
		return -ENOMEM;
	for (uint32_t i = 0; i < route->value.backends; i++) {
		uint32_t id = route->slots[i].backend;
		const struct tw_backend *is = id < TW_BACKENDS_MAX ? m->backends[id] : NULL;
		struct config_backend *backend = &config->backends[config->n_backends++];

		backend->weight = route->slots[i].weight;
		backend->is_invalid = !is;
		if (!is)
			continue;
		backend->backend = *is;
		backend->backend.id = 0;
		backend->backend.drained = 0;
		backend->pool = is->pool;
	}
	return 0;
}

static int copy_route(const struct mirror *m, const struct mirror_route *route,
		      struct config_route *config)
{
	const struct tw_route *value = &route->value;
	int r;

	config->owner = TW_OWNER_CLI;
	config->balance = value->balance;
	config->tries = value->tries;
	config->refuse = value->refuse;
	config->timeouts = value->timeouts;
	config->local = value->local;
	config->name = strdup(value->name);
	r = config->name ? copy_word(value->name, &config->hostnames, &config->n_hostnames)
			 : -ENOMEM;
	if (!r)
		r = copy_word(value->listener, &config->listeners, &config->n_listeners);
	if (!r)
		r = copy_word(value->alpn, &config->alpn, &config->n_alpn);
	return r ? r : copy_backends(m, route, config);
}

int tables_take_cli_routes(struct tables *tables, struct config_route **ret_routes, size_t *ret_n)
{
	const struct mirror *m = &tables->mirror;
	struct config_route *routes;
	size_t n = 0;
	int r = 0;

	for (uint32_t id = 1; id < TW_ROUTES_MAX; id++)
		n += m->routes[id] && m->routes[id]->value.owner == TW_OWNER_CLI;
	routes = calloc(n + 1, sizeof(*routes));
	if (!routes)
		return -ENOMEM;
	n = 0;
	for (uint32_t id = 1; id < TW_ROUTES_MAX && !r; id++)
		if (m->routes[id] && m->routes[id]->value.owner == TW_OWNER_CLI)
			r = copy_route(m, m->routes[id], &routes[n++]);
	if (r) {
		while (n-- > 0)
			config_route_fini(&routes[n]);
		free(routes);
		return r;
	}
	*ret_routes = routes;
	*ret_n = n;
	return 0;
}

/* --- show -------------------------------------------------------------------------------- */

size_t tables_binds(const struct tables *tables, const struct tables_bind **ret_binds)
{
	*ret_binds = tables->mirror.binds;
	return tables->mirror.n_binds;
}

const struct tw_listener *tables_listener(const struct tables *tables, __u32 id)
{
	return id < TW_LISTENERS_MAX ? tables->mirror.listeners[id] : NULL;
}

const struct tw_route *tables_route(const struct tables *tables, __u32 id)
{
	const struct mirror_route *route = id < TW_ROUTES_MAX ? tables->mirror.routes[id] : NULL;

	return route ? &route->value : NULL;
}

const struct tw_backend *tables_backend(const struct tables *tables, __u32 id)
{
	return id < TW_BACKENDS_MAX ? tables->mirror.backends[id] : NULL;
}

const char *tables_alpn(const struct tables *tables, __u32 id)
{
	const struct tw_alpn_key *alpn = id < TW_ALPNS_MAX ? tables->mirror.alpns[id] : NULL;

	return alpn ? alpn->protocol : NULL;
}

const struct tw_listener *tables_next_listener(const struct tables *tables, __u32 after)
{
	const struct tw_listener *listener = NULL;

	while (++after < TW_LISTENERS_MAX && !listener)
		listener = tables_listener(tables, after);
	return listener;
}

const struct tw_route *tables_next_route(const struct tables *tables, __u32 after)
{
	const struct tw_route *route = NULL;

	while (++after < TW_ROUTES_MAX && !route)
		route = tables_route(tables, after);
	return route;
}

const struct tw_backend *tables_next_backend(const struct tables *tables, __u32 after)
{
	const struct tw_backend *backend = NULL;

	while (++after < TW_BACKENDS_MAX && !backend)
		backend = tables_backend(tables, after);
	return backend;
}

const struct tw_slot *tables_route_slots(const struct tables *tables, __u32 route)
{
	return tables_route(tables, route) ? tables->mirror.routes[route]->slots : NULL;
}

void tables_route_names(const struct tables *tables, __u32 route,
			void (*cb)(void *arg, const struct tw_name_key *key,
				   const struct tw_name *value),
			void *arg)
{
	const struct mirror_name *names = tables->mirror.names;
	struct tw_name_key key;

	if (!tables_route(tables, route))
		return;
	for (uint32_t i = tables->mirror.routes[route]->names; i != INDEX_NONE; i = names[i].next) {
		mirror_name_key(&names[i], &key);
		cb(arg, &key, &names[i].value);
	}
}

int tables_drain(struct tables *tables, const char *backend_text, bool drained)
{
	uint32_t id = mirror_find_backend(&tables->mirror, 0, backend_text);
	struct tw_backend value;

	if (!id)
		return -ENOENT;
	value = *tables->mirror.backends[id];
	value.drained = drained;
	return mirror_put_backend(&tables->mirror, &value);
}
