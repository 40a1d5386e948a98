// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Requests about connections: conn.show, conn.kill. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "edge/api_parts.h"
#include "edge/show.h"

/* Several of the command line may have one name, each for its own listener or protocol. */
static json_t *find_routes(struct api *api, const char *name, uint32_t **ret_ids, size_t *ret_n)
{
	const struct tw_route *route = NULL;
	uint32_t *ids = NULL, *grown;
	size_t n = 0;

	while ((route = tables_next_route(router_tables(api->router), route ? route->id : 0))) {
		if (!api_name_matches(name, route->name))
			continue;
		grown = realloc(ids, (n + 1) * sizeof(*ids));
		if (!grown) {
			free(ids);
			return api_error("out of memory");
		}
		ids = grown;
		ids[n++] = route->id;
	}
	if (!n)
		return api_error("no route %s", name);
	*ret_ids = ids;
	*ret_n = n;
	return NULL;
}

static uint32_t listener_id(struct api *api, const char *name)
{
	const struct tw_listener *l = NULL;

	while ((l = tables_next_listener(router_tables(api->router), l ? l->id : 0)))
		if (!strcmp(name, l->name))
			return l->id;
	return 0;
}

/* Sets *@ret_routes, too, which @filter points to. */
static json_t *read_filter(struct api *api, const json_t *request, struct workers_filter *filter,
			   uint32_t **ret_routes)
{
	const char *id = api_text(request, "id"), *route = api_text(request, "route");
	const char *backend = api_text(request, "backend"), *client = api_text(request, "client");
	const char *listener = api_text(request, "listener");
	const struct tw_backend *b;
	json_t *answer;
	char *end;

	if (id) {
		errno = 0;
		filter->id = strtoull(id, &end, 16);
		if (errno || *end || !filter->id)
			return api_error("'%s' is not the id of a connection (see conn show)", id);
	}
	if (route) {
		answer = find_routes(api, route, ret_routes, &filter->n_routes);
		if (answer)
			return answer;
		filter->routes = *ret_routes;
	}
	if (listener && !(filter->listener = listener_id(api, listener)))
		return api_error("no listener %s", listener);
	if (backend) {
		b = api_find_backend(api, backend);
		if (!b)
			return api_error("no backend %s", backend);
		filter->backend = b->id;
	}
	if (client && addr_parse_ip(client, filter->client))
		return api_error("'%s' is not an IP address", client);
	return NULL;
}

struct conn_list {
	struct router *router;
	json_t *array;
};

static void add_connection(void *arg, const struct conn_record *r)
{
	struct conn_list *list = arg;

	json_array_append_new(list->array, show_connection(list->router, r));
}

json_t *api_conn_show(struct api *api, const json_t *request)
{
	_cleanup_free_ uint32_t *routes = NULL;
	struct workers_filter filter = {};
	struct conn_list list = {api->router, NULL};
	json_t *answer = read_filter(api, request, &filter, &routes);
	int err;

	if (answer)
		return answer;
	list.array = json_array();
	err = workers_list(router_workers(api->router), &filter, add_connection, &list);
	if (err) {
		json_decref(list.array);
		return api_failed("conn show", err, NULL);
	}
	if (filter.id && !json_array_size(list.array)) {
		json_decref(list.array);
		return api_error("no connection %s", api_text(request, "id"));
	}
	return json_pack("{s:o}", "connections", list.array);
}

json_t *api_conn_kill(struct api *api, const json_t *request)
{
	static const struct workers_filter empty;
	_cleanup_free_ uint32_t *routes = NULL;
	struct workers_filter filter = {};
	json_t *answer = read_filter(api, request, &filter, &routes);
	size_t n;

	if (answer)
		return answer;
	if (!memcmp(&filter, &empty, sizeof(filter)) &&
	    !json_is_true(json_object_get(request, "all")))
		return api_error(
			"conn kill: which? an id, --route, --client, --listener, --backend or "
			"--all");
	n = workers_kill(router_workers(api->router), &filter);
	if (!n && filter.id)
		return api_error("no connection %s", api_text(request, "id"));
	return json_pack("{s:I}", "killed", (json_int_t)n);
}
