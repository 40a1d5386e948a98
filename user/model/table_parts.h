/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What table.c and table_names.c share while a table is made; for them alone. */
#ifndef THRUWAY_TABLE_PARTS_H
#define THRUWAY_TABLE_PARTS_H

#include "base/index.h"
#include "model/table.h"

struct builder {
	struct table *table;
	struct config_problems *problems;
	size_t n_reports;	  /* how often something was not taken */
	struct index by_listener; /* listeners by name */
	struct index by_hostname; /* listeners by bind and hostname */
	struct index by_route;	  /* routes by owner, name, listener, ALPN */
	struct index by_name;	  /* names by bind, ALPN, pattern */
	struct index by_backend;  /* backends by text */
	struct index by_alpn;
	uint32_t *bind_listeners; /* how many listeners a bind has */
};

/*
 * Something cannot be taken. What stands in no file is a route of the command line: it was taken
 * when it was added, stays, and comes back when what is in its way has gone. So that is a warning.
 */
#define report(b, pos, ...)                                                                        \
	((b)->n_reports++, config_problem_add((b)->problems, (pos), !(pos)->file, __VA_ARGS__))

/* Room for @n more elements in *@array, which holds @used; arrays grow by half. 0 or -ENOMEM. */
int table_grow(void *array, size_t used, size_t n, size_t size);
#define GROW(array, used, n) table_grow(&(array), used, n, sizeof(*(array)))

/* Take @config with its bind, or report. 0 or -ENOMEM. */
int names_add_listener(struct builder *b, const struct config_listener *config);
/* Number of the listener; TABLE_NONE = there is none. */
uint32_t names_find_listener(const struct builder *b, const char *name);
/*
 * Give @route, which will be the table's next, its hostnames on its listeners, for each of the
 * protocols @alpns (config->n_alpn of them); *@n_claimed is raised by how many it got.
 */
int names_claim(struct builder *b, const struct table_route *route,
		const struct config_route *config, const uint32_t *alpns, uint32_t *n_claimed);
/* After the last route: the entries that only look-ups need. */
int names_finish(struct builder *b);

#endif
