/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One answer to why a name is served as it is, while it is made; between gateway_explain.c and
 * gateway_obstacles.c.
 */
#ifndef THRUWAY_GATEWAY_EXPLAINING_H
#define THRUWAY_GATEWAY_EXPLAINING_H

#include "model/gateway_parts.h"

/* Of a list in the answer, as many are named. */
#define GW_NAMED_MAX 100

/* By which rule one route has a name before another: each counts where those before it do not. */
enum rule { BY_BEING_ALONE, BY_SPECIFICITY, BY_AGE, BY_NAME, BY_OWNER, LEFT_OUT };

struct explaining {
	const struct config *config;
	const struct gateway *gw;
	const struct gateway_decision *d;
	/* The listener that the name belongs to; NULL = it is none of a Gateway. */
	const struct gw_object *gateway;
	const struct gw_listener *listener;
	/* The TLSRoute that has it, and its hostname; NULL = none has. */
	const struct gw_object *route;
	const struct config_route *made;
	const char *hostname;
	enum rule rule; /* by which it has the name */
	json_t *lost, *obstacles;
	const struct gw_object **sorted; /* see gw_sorted() */
	size_t n_sorted;
};

/* gateway_explain.c */
json_t *gw_text_or_null(const char *text);
/* @hostname NULL = all names. */
bool gw_covers(const char *hostname, const char *name);
/* The most specific of @hostnames that covers @name; NULL = none does. */
const char *gw_best_of(char *const *hostnames, size_t n, const char *name);

/* gateway_obstacles.c: adds to e->obstacles. */
void gw_find_obstacles(struct explaining *e);

#endif
