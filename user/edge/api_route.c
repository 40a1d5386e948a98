// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Requests that change the routes of the command line: route.add, route.del. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edge/api_parts.h"
#include "edge/show.h"

static int parse_balance(const char *word, enum tw_balance *ret_balance)
{
	for (__u32 i = 0; i <= TW_BALANCE_SOURCE; i++)
		if (!strcmp(word, show_balance_word(i))) {
			*ret_balance = (enum tw_balance)i;
			return 0;
		}
	return -EINVAL;
}

static int copy_text_list(const char *text, char ***ret_list, size_t *ret_n)
{
	char **list = calloc(1, sizeof(*list));

	if (list)
		list[0] = strdup(text);
	if (!list || !list[0]) {
		free(list);
		return -ENOMEM;
	}
	*ret_list = list;
	*ret_n = 1;
	return 0;
}

static json_t *read_backends(const json_t *list, struct config_route *route)
{
	char *why = NULL;
	json_t *item, *answer;
	size_t i;

	if (json_array_size(list) > TW_ROUTE_BACKENDS_MAX)
		return api_error("more than %d backends", TW_ROUTE_BACKENDS_MAX);
	route->backends = calloc(json_array_size(list) + 1, sizeof(*route->backends));
	if (!route->backends)
		return api_error("out of memory");
	json_array_foreach (list, i, item) {
		if (!json_is_string(item))
			return api_error("backends[%zu]: wrong type", i);
		if (config_parse_backend(json_string_value(item), &route->backends[i], &why)) {
			answer = api_error("%s", why ? why : "not a backend");
			free(why);
			return answer;
		}
		route->n_backends++;
	}
	return NULL;
}

static json_t *read_route(const json_t *request, struct config_route *route)
{
	const char *name = api_text(request, "name"), *listener = api_text(request, "listener");
	const char *alpn = api_text(request, "alpn"), *balance = api_text(request, "balance");
	const json_t *tries = json_object_get(request, "tries");
	char hostname[TW_NAME_SIZE], *why = NULL;
	json_t *answer;

	route->owner = TW_OWNER_CLI;
	route->refuse = json_is_true(json_object_get(request, "refuse"));
	if (!name)
		return api_error("route.add: name is missing");
	if (config_parse_hostname(name, hostname, &why))
		return api_failed(name, -EINVAL, why);
	if (copy_text_list(hostname, &route->hostnames, &route->n_hostnames))
		return api_error("out of memory");
	route->name = strdup(hostname);
	if (listener && copy_text_list(listener, &route->listeners, &route->n_listeners))
		return api_error("out of memory");
	if (alpn && (!*alpn || strlen(alpn) >= TW_ALPN_SIZE))
		return api_error("alpn: 1..%d bytes are expected", TW_ALPN_SIZE - 1);
	if (alpn && copy_text_list(alpn, &route->alpn, &route->n_alpn))
		return api_error("out of memory");
	if (balance && parse_balance(balance, &route->balance))
		return api_error("balance: '%s' is none of weighted, least_conn, source", balance);
	if (tries && (json_integer_value(tries) < 1 || json_integer_value(tries) > TW_TRIES_MAX))
		return api_error("tries: 1..%d is expected", TW_TRIES_MAX);
	route->tries = (uint32_t)json_integer_value(tries);
	answer = read_backends(json_object_get(request, "backends"), route);
	if (answer)
		return answer;
	if (route->refuse && route->n_backends)
		return api_error("a route that refuses its name takes no backends");
	if (!route->refuse && !route->n_backends)
		return api_error("route %s: at least one backend is needed, as 10.0.0.5:8443",
				 hostname);
	return NULL;
}

/* The route that @like made, as it is in force. */
static json_t *show_added(struct router *router, const struct tw_route *like)
{
	const struct tw_route *route = NULL;

	while ((route = tables_next_route(router_tables(router), route ? route->id : 0)))
		if (route->owner == TW_OWNER_CLI && !strcmp(route->name, like->name) &&
		    !strcmp(route->listener, like->listener) && !strcmp(route->alpn, like->alpn))
			return show_route(router, route);
	return json_null();
}

/* What is said of the route that is added stands behind what is said of the file's. */
static const char *last_error(const struct config_problems *problems)
{
	for (size_t i = problems->n; i-- > 0;)
		if (!problems->items[i].is_warning)
			return problems->items[i].text;
	return "it cannot be taken";
}

json_t *api_route_add(struct api *api, const json_t *request)
{
	struct config_problems problems;
	struct config_route route = {};
	struct tw_route like = {};
	char *why = NULL;
	json_t *answer;
	int err;

	answer = read_route(request, &route);
	if (answer) {
		config_route_fini(&route);
		return answer;
	}
	snprintf(like.name, sizeof(like.name), "%s", route.name);
	if (route.n_listeners)
		snprintf(like.listener, sizeof(like.listener), "%s", route.listeners[0]);
	if (route.n_alpn)
		snprintf(like.alpn, sizeof(like.alpn), "%s", route.alpn[0]);
	config_problems_init(&problems);
	err = router_add_route(api->router, &route, &problems, &why);
	if (err == -EINVAL && problems.n_errors) {
		answer = api_error("%s", last_error(&problems));
		free(why);
	} else if (err) {
		answer = api_failed(like.name, err, why);
	} else {
		answer = json_pack("{s:o}", "route", show_added(api->router, &like));
	}
	api_with_problems(answer, &problems);
	config_problems_fini(&problems);
	return answer;
}

json_t *api_route_del(struct api *api, const json_t *request)
{
	const char *name = api_text(request, "name");
	char hostname[TW_NAME_SIZE], *why = NULL;
	size_t n = 0;
	int err;

	if (!name)
		return api_error("route.del: name is missing");
	if (config_parse_hostname(name, hostname, &why))
		return api_failed(name, -EINVAL, why);
	err = router_del_route(api->router, hostname, api_text(request, "listener"),
			       api_text(request, "alpn"), &n, &why);
	if (err)
		return api_failed(hostname, err, why);
	if (!n)
		return api_error(
			"no route of the command line is named %s (those of the configuration "
			"file are removed there)",
			hostname);
	return json_pack("{s:I}", "deleted", (json_int_t)n);
}
