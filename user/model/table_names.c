// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who has which name: binds and listeners, what a route's hostnames are on each of them, and the
 * entries that keep listeners apart. Routes, backends and the whole are made by table.c.
 */
#include "model/table_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Rank of an exact hostname; wildcards have their length, the default has 1. */
#define RANK_EXACT 1000

uint32_t table_rank(const char *pattern)
{
	return pattern[0] == '*' ? strlen(pattern) : RANK_EXACT;
}

uint32_t table_name_hash(uint32_t bind, uint32_t alpn, const char *pattern)
{
	return index_hash_text(bind * 2048 + alpn, pattern);
}

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

uint32_t names_find_listener(const struct builder *b, const char *name)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(&b->by_listener, index_hash_text(0, name), &at)) != INDEX_NONE)
		if (!strcmp(b->table->listeners[i].config->name, name))
			return i;
	return TABLE_NONE;
}

static uint32_t find_hostname(const struct builder *b, uint32_t bind, const char *head,
			      const char *tail)
{
	uint32_t hash = index_hash_text(index_hash_text(bind, head), tail), at = INDEX_START, i;
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
		report(b, &config->pos, "listener %s: the name has more than %d characters",
		       config->name, TW_LABEL_SIZE - 1);
		return true;
	}
	rival = names_find_listener(b, config->name);
	if (rival == TABLE_NONE && bind != TABLE_NONE)
		rival = find_rival(b, bind, config->hostname);
	if (rival != TABLE_NONE) {
		report(b, &config->pos, "listener %s: has the %s of listener %s (line %u)",
		       config->name,
		       strcmp(t->listeners[rival].config->name, config->name)
			       ? "address, port and hostname"
			       : "name",
		       t->listeners[rival].config->name, t->listeners[rival].config->pos.line);
		return true;
	}
	if ((bind == TABLE_NONE && t->n_binds >= TW_BINDS_MAX - 1) ||
	    t->n_listeners >= TW_LISTENERS_MAX - 1) {
		report(b, &config->pos,
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

	if (index_add(&b->by_listener, index_hash_text(0, listener->config->name), i))
		return -ENOMEM;
	if (!hostname)
		return 0;
	hash = hostname[0] == '*'
		       ? index_hash_text(index_hash_text(listener->bind, "*"), hostname + 1)
		       : index_hash_text(index_hash_text(listener->bind, ""), hostname);
	return index_add(&b->by_hostname, hash, i);
}

int names_add_listener(struct builder *b, const struct config_listener *config)
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

static struct table_name *find_name(const struct builder *b, uint32_t bind, uint32_t alpn,
				    const char *pattern)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(&b->by_name, table_name_hash(bind, alpn, pattern), &at)) !=
	       INDEX_NONE) {
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
	    index_add(&b->by_name, table_name_hash(name->bind, name->alpn, name->pattern),
		      t->n_names))
		return -ENOMEM;
	t->names[t->n_names++] = *name;
	return 0;
}

static void report_taken(struct builder *b, const struct table_route *route,
			 const struct table_name *taken)
{
	const struct table_route *other = &b->table->routes[taken->route];
	char where[512] = "of the command line";

	if (other->owner == TW_OWNER_FILE)
		snprintf(where, sizeof(where), "%s:%u", other->pos.file ? other->pos.file : "",
			 other->pos.line);
	report(b, &route->pos,
	       "route %s: %s%s%s on listener %s is already taken by route %s (%s); "
	       "left out",
	       route->name, taken->pattern, taken->alpn ? " for ALPN " : "",
	       taken->alpn ? b->table->alpns[taken->alpn - 1] : "",
	       b->table->listeners[taken->listener].config->name, other->name, where);
}

/* Give @name to @route (number name->route), unless another one has it by right. */
static int claim_name(struct builder *b, const struct table_route *route,
		      const struct config_route *config, const struct table_name *name,
		      uint32_t *n_claimed)
{
	struct table_name *taken = find_name(b, name->bind, name->alpn, name->pattern);

	if (taken && taken->route == name->route) {
		if (taken->rank < name->rank)
			taken->rank = name->rank;
		return 0;
	}
	if (taken && taken->rank >= name->rank) {
		if (taken->rank == name->rank && !config->yields_names)
			report_taken(b, route, taken);
		return 0;
	}
	++*n_claimed;
	if (taken) {
		*taken = *name;
		return 0;
	}
	if (b->table->n_names >= TW_NAMES_MAX) {
		report(b, &route->pos, "route %s: %s: no room: at most %d names on all listeners",
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
		.rank = table_rank(hostname),
		.pattern = pattern,
	};
	int r = 0;

	if (!pattern ||
	    (b->bind_listeners[l->bind] > 1 && owner_of(b, l->bind, pattern) != listener))
		return 0;
	if (!config->n_alpn)
		return claim_name(b, route, config, &name, n_claimed);
	for (size_t i = 0; i < config->n_alpn && !r; i++) {
		name.alpn = alpns[i];
		r = claim_name(b, route, config, &name, n_claimed);
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

int names_claim(struct builder *b, const struct table_route *route,
		const struct config_route *config, const uint32_t *alpns, uint32_t *n_claimed)
{
	int r = 0;

	for (size_t i = 0; i < config->n_listeners && !r; i++) {
		uint32_t listener = names_find_listener(b, config->listeners[i]);

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

int names_finish(struct builder *b)
{
	int r = add_alpn_entries(b);

	if (!r)
		r = add_no_match_entries(b);
	if (!r)
		note_wildcards(b->table);
	return r;
}
