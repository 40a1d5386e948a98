// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The command line's routes (see cli_routes.h). */
#include "edge/cli_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void cli_routes_fini(struct cli_routes *routes)
{
	for (size_t i = 0; i < routes->n; i++)
		config_route_fini(&routes->items[i]);
	free(routes->items);
	memset(routes, 0, sizeof(*routes));
}

static const char *only(char *const *list, size_t n)
{
	return n ? list[0] : "";
}

bool cli_route_is_for(const struct config_route *route, const char *listener, const char *alpn)
{
	return (!listener || !strcmp(only(route->listeners, route->n_listeners), listener)) &&
	       (!alpn || !strcmp(only(route->alpn, route->n_alpn), alpn));
}

size_t cli_routes_find(const struct cli_routes *routes, const struct config_route *like)
{
	size_t i;

	for (i = 0; i < routes->n; i++)
		if (!strcmp(routes->items[i].name, like->name) &&
		    cli_route_is_for(&routes->items[i], only(like->listeners, like->n_listeners),
				     only(like->alpn, like->n_alpn)))
			break;
	return i;
}

int cli_routes_split(const struct cli_routes *routes,
		     bool (*is_gone)(void *arg, const struct config_route *route), void *arg,
		     struct cli_split *split)
{
	memset(split, 0, sizeof(*split));
	split->kept.items = calloc(routes->n + 1, sizeof(*routes->items));
	split->gone.items = calloc(routes->n + 1, sizeof(*routes->items));
	if (!split->kept.items || !split->gone.items) {
		cli_split_fini(split);
		return -ENOMEM;
	}
	for (size_t i = 0; i < routes->n; i++) {
		const struct config_route *route = &routes->items[i];
		struct cli_routes *list = is_gone(arg, route) ? &split->gone : &split->kept;

		list->items[list->n++] = *route;
	}
	return 0;
}

void cli_routes_take_split(struct cli_routes *routes, struct cli_split *split)
{
	free(routes->items);
	*routes = split->kept;
	memset(&split->kept, 0, sizeof(split->kept));
	cli_routes_fini(&split->gone);
}

void cli_split_fini(struct cli_split *split)
{
	free(split->kept.items);
	free(split->gone.items);
	memset(split, 0, sizeof(*split));
}
