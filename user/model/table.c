// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From configuration to the flat route table (see table.h): binds and listeners first, then route
 * by route the names and backends, then the entries that keep listeners apart.
 */
#include "model/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/index.h"
#include "model/shares.h"

/* Rank of an exact hostname; wildcards have their length, the default has 1. */
#define RANK_EXACT 1000

struct builder {
	struct table *table;
	struct config_problems *problems;
	struct index by_listener; /* listeners by name */
	struct index by_hostname; /* listeners by bind and hostname */
	struct index by_route;	  /* routes by owner, name, listener, ALPN */
	struct index by_name;	  /* names by bind, ALPN, pattern */
	struct index by_backend;  /* backends by text */
	struct index by_alpn;
	uint32_t *bind_listeners; /* how many listeners a bind has */
};

static uint32_t hash_text(uint32_t seed, const char *text)
{
	return index_hash(seed, text, strlen(text));
}

/* Room for @n more elements in *@array; arrays grow by half. */
static int grow(void *array, size_t used, size_t n, size_t size)
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

#define GROW(array, used, n) grow(&(array), used, n, sizeof(*(array)))

bool table_covers(const char *pattern, const char *name)
{
	size_t suffix, len;

	if (pattern[0] != '*')
		return !strcmp(pattern, name);
	suffix = strlen(pattern + 1);
	len = strlen(name);
	return len > suffix && !strcmp(name + len - suffix, pattern + 1);
}

/* The names that both match; NULL = none. */
static const char *intersect(const char *listener, const char *route)
{
	if (!listener || table_covers(listener, route))
		return route;
	return table_covers(route, listener) ? listener : NULL;
}

/* --- binds and listeners ----------------------------------------------------------------- */

static uint32_t find_listener(const struct builder *b, const char *name)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(&b->by_listener, hash_text(0, name), &at)) != INDEX_NONE)
		if (!strcmp(b->table->listeners[i].config->name, name))
			return i;
	return TABLE_NONE;
}

static uint32_t find_hostname(const struct builder *b, uint32_t bind, const char *head,
			      const char *tail)
{
	uint32_t hash = hash_text(hash_text(bind, head), tail), at = INDEX_START, i;
	size_t len = strlen(head);

	while ((i = index_next(&b->by_hostname, hash, &at)) != INDEX_NONE) {
		const struct table_listener *listener = &b->table->listeners[i];
		const char *hostname = listener->config->hostname;

		if (listener->bind == bind && !strncmp(hostname, head, len) &&
		    !strcmp(hostname + len, tail))
			return i;
	}
	return TABLE_NONE;
}

static uint32_t find_bind(const struct table *table, const struct tw_bind_key *key)
{
	for (uint32_t i = 0; i < table->n_binds; i++)
		if (!memcmp(&table->binds[i].key, key, sizeof(*key)))
			return i;
	return TABLE_NONE;
}

/* A listener of the bind that takes the same hostname (or also all). */
static uint32_t find_rival(const struct builder *b, uint32_t bind, const char *hostname)
{
	uint32_t speaks;

	if (hostname)
		return hostname[0] == '*' ? find_hostname(b, bind, "*", hostname + 1)
					  : find_hostname(b, bind, "", hostname);
	speaks = b->table->binds[bind].listener;
	return b->table->listeners[speaks].config->hostname ? TABLE_NONE : speaks;
}

static int add_bind(struct builder *b, const struct tw_bind_key *key, uint32_t listener)
{
	struct table *t = b->table;

	if (GROW(t->binds, t->n_binds, 1))
		return -ENOMEM;
	t->binds[t->n_binds++] = (struct table_bind){.key = *key, .listener = listener};
	return 0;
}

static bool is_listener_taken(struct builder *b, const struct config_listener *config,
			      uint32_t bind)
{
	struct table *t = b->table;
	uint32_t rival;

	if (strlen(config->name) >= TW_LABEL_SIZE) {
		config_problem_add(b->problems, &config->pos, false,
				   "listener %s: the name has more than %d characters",
				   config->name, TW_LABEL_SIZE - 1);
		return true;
	}
	rival = find_listener(b, config->name);
	if (rival == TABLE_NONE && bind != TABLE_NONE)
		rival = find_rival(b, bind, config->hostname);
	if (rival != TABLE_NONE) {
		config_problem_add(b->problems, &config->pos, false,
				   "listener %s: has the %s of listener %s (line %u)", config->name,
				   strcmp(t->listeners[rival].config->name, config->name)
					   ? "address, port and hostname"
					   : "name",
				   t->listeners[rival].config->name,
				   t->listeners[rival].config->pos.line);
		return true;
	}
	if ((bind == TABLE_NONE && t->n_binds >= TW_BINDS_MAX - 1) ||
	    t->n_listeners >= TW_LISTENERS_MAX - 1) {
		config_problem_add(b->problems, &config->pos, false,
				   "listener %s: no room: at most %d listeners on %d addresses and "
				   "ports",
				   config->name, TW_LISTENERS_MAX - 1, TW_BINDS_MAX - 1);
		return true;
	}
	return false;
}

static int index_listener(struct builder *b, uint32_t i)
{
	const struct table_listener *listener = &b->table->listeners[i];
	const char *hostname = listener->config->hostname;
	uint32_t hash;

	if (index_add(&b->by_listener, hash_text(0, listener->config->name), i))
		return -ENOMEM;
	if (!hostname)
		return 0;
	hash = hostname[0] == '*' ? hash_text(hash_text(listener->bind, "*"), hostname + 1)
				  : hash_text(hash_text(listener->bind, ""), hostname);
	return index_add(&b->by_hostname, hash, i);
}

static int add_listener(struct builder *b, const struct config_listener *config)
{
	struct tw_bind_key key = {.port = config->port};
	struct table *t = b->table;
	uint32_t bind, i = t->n_listeners;

	memcpy(key.addr, config->addr, sizeof(key.addr));
	bind = find_bind(t, &key);
	if (is_listener_taken(b, config, bind))
		return 0;
	if (bind == TABLE_NONE) {
		bind = t->n_binds;
		if (add_bind(b, &key, i))
			return -ENOMEM;
	} else if (!config->hostname) {
		t->binds[bind].listener = i;
	}
	if (GROW(t->listeners, i, 1))
		return -ENOMEM;
	t->listeners[t->n_listeners++] = (struct table_listener){
		.config = config,
		.bind = bind,
		.no_sni = TABLE_NONE,
		.unknown_name = TABLE_NONE,
		.not_tls = TABLE_NONE,
	};
	b->bind_listeners[bind]++;
	return index_listener(b, i);
}

/* The most specific listener of @bind that covers @pattern; TABLE_NONE if none does. */
static uint32_t owner_of(const struct builder *b, uint32_t bind, const char *pattern)
{
	const char *rest = pattern;
	uint32_t i;

	i = pattern[0] == '*' ? TABLE_NONE : find_hostname(b, bind, "", pattern);
	while (i == TABLE_NONE && (rest = strchr(rest, '.'))) {
		i = find_hostname(b, bind, "*", rest);
		rest++;
	}
	if (i != TABLE_NONE)
		return i;
	i = b->table->binds[bind].listener;
	return b->table->listeners[i].config->hostname ? TABLE_NONE : i;
}

/* --- names ------------------------------------------------------------------------------- */

static uint32_t name_hash(uint32_t bind, uint32_t alpn, const char *pattern)
{
	return hash_text(bind * 2048 + alpn, pattern);
}

static struct table_name *find_name(const struct builder *b, uint32_t bind, uint32_t alpn,
				    const char *pattern)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(&b->by_name, name_hash(bind, alpn, pattern), &at)) != INDEX_NONE) {
		struct table_name *name = &b->table->names[i];

		if (name->bind == bind && name->alpn == alpn && !strcmp(name->pattern, pattern))
			return name;
	}
	return NULL;
}

static int add_name(struct builder *b, const struct table_name *name)
{
	struct table *t = b->table;

	if (GROW(t->names, t->n_names, 1) ||
	    index_add(&b->by_name, name_hash(name->bind, name->alpn, name->pattern), t->n_names))
		return -ENOMEM;
	t->names[t->n_names++] = *name;
	return 0;
}

static uint32_t rank_of(const char *hostname)
{
	return hostname[0] == '*' ? strlen(hostname) : RANK_EXACT;
}

static void report_taken(struct builder *b, const struct table_route *route,
			 const struct table_name *taken)
{
	const struct table_route *other = &b->table->routes[taken->route];
	char where[32] = "of the command line";

	if (other->owner == TW_OWNER_FILE)
		snprintf(where, sizeof(where), "line %u", other->pos.line);
	config_problem_add(b->problems, &route->pos, false,
			   "route %s: %s%s%s on listener %s is already taken by route %s (%s); "
			   "left out",
			   route->name, taken->pattern, taken->alpn ? " for ALPN " : "",
			   taken->alpn ? b->table->alpns[taken->alpn - 1] : "",
			   b->table->listeners[taken->listener].config->name, other->name, where);
}

/* Give @name to @route (number name->route), unless another one has it by right. */
static int claim_name(struct builder *b, const struct table_route *route,
		      const struct table_name *name, uint32_t *n_claimed)
{
	struct table_name *taken = find_name(b, name->bind, name->alpn, name->pattern);

	if (taken && taken->route == name->route) {
		if (taken->rank < name->rank)
			taken->rank = name->rank;
		return 0;
	}
	if (taken && taken->rank >= name->rank) {
		if (taken->rank == name->rank)
			report_taken(b, route, taken);
		return 0;
	}
	++*n_claimed;
	if (taken) {
		*taken = *name;
		return 0;
	}
	if (b->table->n_names >= TW_NAMES_MAX) {
		config_problem_add(b->problems, &route->pos, false,
				   "route %s: %s: no room: at most %d names on all listeners",
				   route->name, name->pattern, TW_NAMES_MAX);
		--*n_claimed;
		return 0;
	}
	return add_name(b, name);
}

/* The route's @hostname on @listener, for each of its protocols. */
static int claim_hostname(struct builder *b, const struct table_route *route,
			  const struct config_route *config, const uint32_t *alpns,
			  uint32_t listener, const char *hostname, uint32_t *n_claimed)
{
	const struct table_listener *l = &b->table->listeners[listener];
	const char *pattern = intersect(l->config->hostname, hostname);
	struct table_name name = {
		.bind = l->bind,
		.listener = listener,
		.route = b->table->n_routes,
		.flags = config->refuse ? TW_NAME_REFUSE : 0,
		.rank = rank_of(hostname),
		.pattern = pattern,
	};
	int r = 0;

	if (!pattern ||
	    (b->bind_listeners[l->bind] > 1 && owner_of(b, l->bind, pattern) != listener))
		return 0;
	if (!config->n_alpn)
		return claim_name(b, route, &name, n_claimed);
	for (size_t i = 0; i < config->n_alpn && !r; i++) {
		name.alpn = alpns[i];
		r = claim_name(b, route, &name, n_claimed);
	}
	return r;
}

static int claim_on_listener(struct builder *b, const struct table_route *route,
			     const struct config_route *config, const uint32_t *alpns,
			     uint32_t listener, uint32_t *n_claimed)
{
	int r = 0;

	for (size_t i = 0; i < config->n_hostnames && !r; i++)
		r = claim_hostname(b, route, config, alpns, listener, config->hostnames[i],
				   n_claimed);
	return r;
}

static int claim_names(struct builder *b, const struct table_route *route,
		       const struct config_route *config, const uint32_t *alpns,
		       uint32_t *n_claimed)
{
	int r = 0;

	for (size_t i = 0; i < config->n_listeners && !r; i++) {
		uint32_t listener = find_listener(b, config->listeners[i]);

		if (listener != TABLE_NONE)
			r = claim_on_listener(b, route, config, alpns, listener, n_claimed);
	}
	for (size_t i = 0; !config->n_listeners && i < b->table->n_listeners && !r; i++)
		r = claim_on_listener(b, route, config, alpns, i, n_claimed);
	return r;
}

/* Entries with ALPN need one without, which says that they exist. */
static int add_alpn_entries(struct builder *b)
{
	size_t n = b->table->n_names;

	for (size_t i = 0; i < n; i++) {
		struct table_name name = b->table->names[i];
		struct table_name *any;

		if (!name.alpn)
			continue;
		any = find_name(b, name.bind, 0, name.pattern);
		if (any) {
			any->flags |= TW_NAME_ALPN;
			continue;
		}
		name.alpn = 0;
		name.route = TABLE_NONE;
		name.flags = TW_NAME_ALPN | TW_NAME_ONLY_ALPN;
		if (add_name(b, &name))
			return -ENOMEM;
	}
	return 0;
}

/* A listener's own hostname ends the search, so that no broader listener gets its names. */
static int add_no_match_entries(struct builder *b)
{
	for (size_t i = 0; i < b->table->n_listeners; i++) {
		const struct table_listener *listener = &b->table->listeners[i];
		struct table_name *name, no_match = {
						 .bind = listener->bind,
						 .listener = i,
						 .route = TABLE_NONE,
						 .flags = TW_NAME_NO_MATCH,
						 .pattern = listener->config->hostname,
					 };

		if (!no_match.pattern)
			continue;
		name = find_name(b, listener->bind, 0, no_match.pattern);
		if (name && name->route == TABLE_NONE)
			name->flags = TW_NAME_ALPN | TW_NAME_NO_MATCH;
		else if (!name && add_name(b, &no_match))
			return -ENOMEM;
	}
	return 0;
}

static void note_wildcards(struct table *table)
{
	for (size_t i = 0; i < table->n_names; i++) {
		uint32_t labels = 0;

		if (table->names[i].pattern[0] != '*')
			continue;
		for (const char *p = table->names[i].pattern; *p; p++)
			labels += *p == '.';
		table->binds[table->names[i].bind].wildcard_labels[labels / 64 % 2] |=
			1ULL << labels % 64;
	}
}

/* --- routes and backends ------------------------------------------------------------------- */

static int find_or_add_backend(struct builder *b, const struct tw_backend *backend,
			       uint32_t *ret_backend)
{
	uint32_t hash = hash_text(0, backend->text), at = INDEX_START, i;
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

static uint32_t find_route(const struct builder *b, const struct table_route *like, uint32_t hash)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(&b->by_route, hash, &at)) != INDEX_NONE) {
		const struct table_route *route = &b->table->routes[i];

		if (route->owner == like->owner && !strcmp(route->name, like->name) &&
		    !strcmp(route->listener, like->listener) && !strcmp(route->alpn, like->alpn))
			return i;
	}
	return TABLE_NONE;
}

static uint32_t route_hash(const struct table_route *route)
{
	return hash_text(hash_text(hash_text(route->owner, route->name), route->listener),
			 route->alpn);
}

static int add_route(struct builder *b, struct table_route *route,
		     const struct config_backend *backends, size_t n)
{
	struct table *t = b->table;

	if (GROW(t->routes, t->n_routes, 1) || add_slots(b, route, backends, n) ||
	    index_add(&b->by_route, route_hash(route), t->n_routes))
		return -ENOMEM;
	t->routes[t->n_routes++] = *route;
	return 0;
}

/* Report why @route cannot be in the table at all; false = it can. */
static bool is_route_refused(struct builder *b, const struct table_route *route,
			     const struct config_route *config)
{
	const struct table *t = b->table;
	uint32_t other = find_route(b, route, route_hash(route));

	if (other != TABLE_NONE)
		config_problem_add(b->problems, &route->pos, false,
				   "route %s: another route has this name (line %u): give one of "
				   "them another 'name'",
				   route->name, t->routes[other].pos.line);
	else if (strlen(route->name) > TW_NAME_MAX)
		config_problem_add(b->problems, &route->pos, false,
				   "route %s: the name has more than %d characters", route->name,
				   TW_NAME_MAX);
	else if (config->n_backends > TW_ROUTE_BACKENDS_MAX)
		config_problem_add(b->problems, &route->pos, false,
				   "route %s: %zu backends: at most %d", route->name,
				   config->n_backends, TW_ROUTE_BACKENDS_MAX);
	else if (t->n_routes >= TW_ROUTES_MAX - 1 ||
		 t->n_backends + config->n_backends >= TW_BACKENDS_MAX ||
		 t->n_slots + config->n_backends > TW_SLOTS_MAX)
		config_problem_add(b->problems, &route->pos, false,
				   "route %s: no room: at most %d routes with %d backends in all",
				   route->name, TW_ROUTES_MAX - 1, TW_BACKENDS_MAX - 1);
	else
		return false;
	return true;
}

/* A route for a listener that is not there serves nobody; false = all are there. */
static bool is_listener_missing(struct builder *b, const struct table_route *route,
				const struct config_route *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (find_listener(b, config->listeners[i]) == TABLE_NONE) {
			config_problem_add(b->problems, &route->pos, false,
					   "route %s: there is no listener %s; left out",
					   route->name, config->listeners[i]);
			return true;
		}
	return false;
}

static uint32_t find_or_add_alpn(struct builder *b, const char *protocol)
{
	uint32_t hash = hash_text(0, protocol), at = INDEX_START, i;
	struct table *t = b->table;

	while ((i = index_next(&b->by_alpn, hash, &at)) != INDEX_NONE)
		if (!strcmp(t->alpns[i], protocol))
			return i + 1;
	if (t->n_alpns >= TW_ALPNS_MAX || strlen(protocol) >= TW_ALPN_SIZE)
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
			config_problem_add(b->problems, &route->pos, false,
					   "route %s: ALPN %s: no room: at most %d protocols of %d "
					   "bytes",
					   route->name, config->alpn[i], TW_ALPNS_MAX,
					   TW_ALPN_SIZE - 1);
			return false;
		}
	}
	return true;
}

static int add_config_route(struct builder *b, const struct config_route *config)
{
	_cleanup_free_ uint32_t *alpns = calloc(config->n_alpn + 1, sizeof(*alpns));
	struct table_route route = {
		.name = config->name,
		.listener = config->n_listeners == 1 ? config->listeners[0] : "",
		.alpn = config->n_alpn == 1 ? config->alpn[0] : "",
		.owner = config->owner,
		.balance = config->balance,
		.tries = config->tries ? config->tries : TW_TRIES_DEFAULT,
		.refuse = config->refuse,
		.timeouts = config->timeouts,
		.pos = config->pos,
	};
	uint32_t n_claimed = 0;
	size_t n_errors = b->problems->n_errors;

	if (!alpns)
		return -ENOMEM;
	if (is_route_refused(b, &route, config) || !read_alpns(b, &route, config, alpns))
		return 0;
	if (!is_listener_missing(b, &route, config) &&
	    claim_names(b, &route, config, alpns, &n_claimed))
		return -ENOMEM;
	if (!n_claimed && n_errors == b->problems->n_errors && b->table->n_listeners)
		config_problem_add(b->problems, &route.pos, true,
				   "route %s: no listener has any of its hostnames", route.name);
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
		.listener = listener->name,
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

static int build(struct builder *b, const struct config *file, const struct config_route *cli,
		 size_t n_cli)
{
	int r = index_reserve(&b->by_name, file->n_routes + n_cli);

	for (size_t i = 0; i < file->n_listeners && !r; i++)
		r = add_listener(b, &file->listeners[i]);
	for (size_t i = 0; i < b->table->n_listeners && !r; i++)
		r = add_insteads(b, &b->table->listeners[i]);
	for (size_t i = 0; i < file->n_routes && !r; i++)
		r = add_config_route(b, &file->routes[i]);
	for (size_t i = 0; i < n_cli && !r; i++)
		r = add_config_route(b, &cli[i]);
	if (!r)
		r = add_alpn_entries(b);
	if (!r)
		r = add_no_match_entries(b);
	if (!r)
		note_wildcards(b->table);
	return r;
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
