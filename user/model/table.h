/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration, resolved: every name on every bind leads to one listener and one route. Plain
 * data without ids, maps or file descriptors; kernel/tables.c writes it. How names are resolved
 * follows the Gateway API:
 *
 *   - On each listener a route has the intersection of its hostnames with the listener's.
 *   - A name belongs to the most specific listener of its bind that covers it, and to no other. So
 *     that a search never falls through to a broader one, a listener's own hostname always has an
 *     entry (TW_NAME_NO_MATCH where no route has it).
 *   - Of two routes with the same name on the same listener, the one whose own hostname is more
 *     specific has it; else the earlier one, and the file's before the command line's.
 */
#ifndef THRUWAY_MODEL_TABLE_H
#define THRUWAY_MODEL_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "model/config.h"

#define TABLE_NONE UINT32_MAX

struct table_bind {
	struct tw_bind_key key;
	uint32_t listener; /* without hostname, else the first of the bind */
	uint64_t wildcard_labels[2];
};

struct table_listener {
	const struct config_listener *config;
	uint32_t bind;
	uint32_t no_sni, unknown_name, not_tls; /* routes; TABLE_NONE = refuse */
};

struct table_route {
	const char *name;
	const char *listener; /* the one that it is for; "" = all, or several */
	const char *alpn;     /* likewise */
	uint32_t hash;	      /* of owner and these three: what it is known by */
	enum tw_owner owner;
	enum tw_balance balance;
	uint32_t tries;
	bool refuse;
	struct tw_timeouts timeouts; /* 0 = the listener's */
	enum tw_local local;	     /* UNSET = the listener's */
	uint32_t first_slot, n_slots;
	uint32_t total_weight;
	uint32_t stride;
	struct config_pos pos;
};

struct table_slot {
	uint32_t backend; /* TABLE_NONE = refuses its share */
	uint32_t weight;
	uint32_t upto;
	uint32_t hash;
};

struct table_name {
	uint32_t bind;
	uint32_t listener;
	uint32_t route; /* TABLE_NONE: see flags */
	uint32_t alpn;	/* number in alpns + 1; 0 = any */
	uint32_t flags; /* enum tw_name_flags */
	uint32_t rank;	/* of the route's own hostname: the higher, the more specific */
	const char *pattern;
};

/* Numbers in these arrays are what the fields above hold. Strings and backends are the config's. */
struct table {
	struct table_bind *binds;
	struct table_listener *listeners;
	struct table_route *routes;
	struct table_slot *slots;
	struct table_name *names;
	const struct tw_backend **backends;
	const char **alpns;
	char **texts; /* names of implicit routes */
	size_t n_binds, n_listeners, n_routes, n_slots, n_names, n_backends, n_alpns, n_texts;
	size_t n_cli_errors; /* of those reported: about the CLI's routes */
};

/*
 * Resolve @file and the CLI's routes. What cannot be taken is left out alone and reported in
 * @problems: a listener, a route, or one name of a route. A CLI route stays in the table even
 * without a name, so that it has its name again when nobody else does; of a route whose position
 * is in no file that is a warning, else an error. 0 or -ENOMEM; the table points into @file and
 * @cli.
 */
int table_build(const struct config *file, const struct config_route *cli, size_t n_cli,
		struct config_problems *problems, struct table **ret_table);
struct table *table_free(struct table *table); /* accepts NULL, returns NULL */

/* Does @pattern ("a.b", "*.b", "*") match every name that @name matches? */
bool table_covers(const char *pattern, const char *name);
/* Of two patterns that match one name, the more specific ranks higher. */
uint32_t table_rank(const char *pattern);
/* Hashes of what a route and a name are known by. */
uint32_t table_route_hash(uint32_t owner, const char *name, const char *listener, const char *alpn);
uint32_t table_name_hash(uint32_t bind, uint32_t alpn, const char *pattern);

#endif
