/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A configuration with its objects' statuses as text, to be compared with another one's. */
#ifndef THRUWAY_SHOW_CONFIG_H
#define THRUWAY_SHOW_CONFIG_H

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "model/gateway.h"

static void show_backends(FILE *out, const struct config_route *route)
{
	for (size_t i = 0; i < route->n_backends; i++)
		fprintf(out, " %s*%u%s", route->backends[i].backend.text, route->backends[i].weight,
			route->backends[i].is_invalid ? "!" : "");
	fputc('\n', out);
}

/* All of it that a change may touch. */
static char *show_config(const struct config *config)
{
	_cleanup_free_ char *statuses = NULL;
	json_t *items = config->gateway ? gateway_status(config->gateway, NULL, NULL, NULL) : NULL;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (size_t i = 0; i < config->n_listeners; i++)
		fprintf(out, "listener %s %s:%u\n", config->listeners[i].name,
			config->listeners[i].pos.file, config->listeners[i].pos.line);
	for (size_t i = 0; i < config->n_routes; i++) {
		const struct config_route *r = &config->routes[i];

		fprintf(out, "%s %s %s %s:%u", r->name, r->hostnames[0],
			r->n_listeners ? r->listeners[0] : "all", r->pos.file, r->pos.line);
		show_backends(out, r);
	}
	if (items)
		fprintf(out, "%zu objects, %zu skipped\n", gateway_n_objects(config->gateway),
			gateway_n_skipped(config->gateway));
	statuses = json_dumps(items, JSON_INDENT(1) | JSON_SORT_KEYS);
	fputs(statuses ? statuses : "", out);
	json_decref(items);
	fclose(out);
	return text;
}

#endif
