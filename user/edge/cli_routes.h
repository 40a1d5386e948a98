/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The routes that the command line added, as a list. A change is tried on a copy of the array,
 * whose routes point to the same texts, and taken when it is in force.
 */
#ifndef THRUWAY_CLI_ROUTES_H
#define THRUWAY_CLI_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "model/config.h"

struct cli_routes {
	struct config_route *items;
	size_t n;
};

/* Free the routes and the list. */
void cli_routes_fini(struct cli_routes *routes);

/* Number of the route of the same name, listener and ALPN; routes->n = there is none. */
size_t cli_routes_find(const struct cli_routes *routes, const struct config_route *like);
/* Is it for this listener and ALPN? NULL = whatever it is for. */
bool cli_route_is_for(const struct config_route *route, const char *listener, const char *alpn);

/* What would stay and what would go. Both lists point into the one that was split. */
struct cli_split {
	struct cli_routes kept, gone;
};

/* 0 or -ENOMEM. */
int cli_routes_split(const struct cli_routes *routes,
		     bool (*is_gone)(void *arg, const struct config_route *route), void *arg,
		     struct cli_split *ret_split);
/* Make @routes what was kept, free what is gone. */
void cli_routes_take_split(struct cli_routes *routes, struct cli_split *split);
/* Forget about it; nothing for what was taken. */
void cli_split_fini(struct cli_split *split);

#endif
