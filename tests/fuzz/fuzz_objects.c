// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Any bytes as Kubernetes objects, and as a change of them: two texts with a line of ==== between.
 * Beyond what the sanitizers see: what explains a name is well-formed, and a change in place gives
 * what reading the second text anew gives, and taken back, what there was.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/show_config.h"
#include "base/cleanup.h"
#include "model/config_change.h"
#include "model/gateway.h"

#define FILE_NAME "input"
#define DIVIDER	  "\n====\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
	if (!is_true)
		abort();
}

/* Names that are asked for: what the configuration has itself, and what nothing has. */
static void explain_all(const struct config *config)
{
	for (size_t i = 0; i <= config->n_listeners; i++) {
		const struct config_listener *l =
			i < config->n_listeners ? &config->listeners[i] : NULL;
		struct gateway_decision decision = {.name = "app.example.com"};
		json_t *why;

		if (l) {
			decision.addr = l->addr;
			decision.port = l->port;
			decision.listener = l->name;
		}
		if (l && config->n_routes) {
			const struct config_route *r = &config->routes[i % config->n_routes];

			/* A '*' is covered by a '*' as any other label is. */
			decision.name = r->hostnames[0];
			decision.route = r->name;
		}
		why = gateway_explain(config, &decision);
		require(why && (json_is_null(why) || json_is_object(why)));
		json_decref(why);
	}
}

static struct config *read_text(const char *text, size_t len, struct config_problems *problems)
{
	struct config *config;

	(void)config_parse(FILE_NAME, text, len, &config, problems);
	require(config != NULL);
	if (config->gateway)
		explain_all(config);
	return config;
}

/* The caller's to see, as the router does; reading anew sees it by itself. */
static bool has_loop(const struct config *live, const struct config_change *change)
{
	struct config_problems problems;
	bool found = false;

	config_problems_init(&problems);
	for (size_t i = 0; i < config_change_n_routes(change) && !found; i++) {
		const struct config_route *route = config_change_route(change, i);

		found = route &&
			config_route_loops(live, route, &(struct config_host){}, &problems);
	}
	config_problems_fini(&problems);
	return found;
}

/* @live as it was, with @change, and without it again. */
static void check_change(struct config *live, struct config_change *change, const char *text,
			 size_t len)
{
	_cleanup_free_ char *before = show_config(live), *made = NULL, *unmade = NULL,
			    *expected = NULL;
	struct config_problems problems;
	struct config *fresh;

	config_problems_init(&problems);
	fresh = read_text(text, len, &problems);
	expected = show_config(fresh);
	require(config_change_make(change) == 0);
	made = show_config(live);
	if (!has_loop(live, change))
		require(!strcmp(made, expected) && problems.n_errors == live->n_object_errors);
	explain_all(live);
	require(config_change_make(change) == 0);
	unmade = show_config(live);
	require(!strcmp(unmade, before));
	config_free(fresh);
	config_problems_fini(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *cut = memmem(text, size, DIVIDER, strlen(DIVIDER));
	const char *second = cut ? cut + strlen(DIVIDER) : text + size;
	size_t len = cut ? (size_t)(cut + 1 - text) : size;
	const struct config_text next = {(char *)FILE_NAME, (char *)second,
					 size - (size_t)(second - text)};
	struct config_change *change = NULL;
	struct config_problems problems;
	struct config *live;

	config_problems_init(&problems);
	live = read_text(text, len, &problems);
	if (cut && !config_change_find(live, &next, 1, &change))
		check_change(live, change, next.text, next.len);
	config_change_free(change);
	config_free(live);
	config_problems_fini(&problems);
	return 0;
}
