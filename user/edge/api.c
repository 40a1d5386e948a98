// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What each request on the control socket does: arguments out of JSON, the router asked, the answer
 * back as JSON. The shapes are control.h's; the objects' JSON is show.c's.
 */
#include "edge/api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/reason.h"
#include "edge/explain.h"
#include "edge/load.h"
#include "edge/show.h"
#include "model/problems.h"

/* --- answers and arguments --------------------------------------------------------------- */

static json_t *error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static json_t *error(const char *fmt, ...)
{
	json_t *text, *answer;
	va_list ap;

	va_start(ap, fmt);
	text = json_vsprintf(fmt, ap);
	va_end(ap);
	/* NULL: what the user sent is in it and is not UTF-8. */
	answer = json_pack("{s:o}", "error",
			   text ? text : json_string("the request holds text that is not UTF-8"));
	return answer;
}

/* The router's own one line, else what errno says; frees @why. */
static json_t *failed(const char *what, int err, char *why)
{
	json_t *answer = why ? error("%s", why) : error("%s: %s", what, strerror(-err));

	free(why);
	return answer;
}

static json_t *with_problems(json_t *answer, const struct config_problems *problems)
{
	if (problems->n)
		json_object_set_new(answer, "problems", problems_json(problems));
	return answer;
}

static const char *text_arg(const json_t *request, const char *key)
{
	return json_string_value(json_object_get(request, key));
}

/* An argument that is there but not of its type makes the request wrong. */
static json_t *check_types(const json_t *request, const char *key, json_type type)
{
	const json_t *value = json_object_get(request, key);

	if (value && !json_is_null(value) && json_typeof(value) != type)
		return error("%s: wrong type", key);
	return NULL;
}

/* --- route.add, route.del ---------------------------------------------------------------- */

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
		return error("more than %d backends", TW_ROUTE_BACKENDS_MAX);
	route->backends = calloc(json_array_size(list) + 1, sizeof(*route->backends));
	if (!route->backends)
		return error("out of memory");
	json_array_foreach (list, i, item) {
		if (!json_is_string(item))
			return error("backends[%zu]: wrong type", i);
		if (config_parse_backend(json_string_value(item), &route->backends[i], &why)) {
			answer = error("%s", why ? why : "not a backend");
			free(why);
			return answer;
		}
		route->n_backends++;
	}
	return NULL;
}

static json_t *read_route(const json_t *request, struct config_route *route)
{
	const char *name = text_arg(request, "name"), *listener = text_arg(request, "listener");
	const char *alpn = text_arg(request, "alpn"), *balance = text_arg(request, "balance");
	const json_t *tries = json_object_get(request, "tries");
	char hostname[TW_NAME_SIZE], *why = NULL;
	json_t *answer;

	route->owner = TW_OWNER_CLI;
	route->refuse = json_is_true(json_object_get(request, "refuse"));
	if (!name)
		return error("route.add: name is missing");
	if (config_parse_hostname(name, hostname, &why))
		return failed(name, -EINVAL, why);
	if (copy_text_list(hostname, &route->hostnames, &route->n_hostnames))
		return error("out of memory");
	route->name = strdup(hostname);
	if (listener && copy_text_list(listener, &route->listeners, &route->n_listeners))
		return error("out of memory");
	if (alpn && (!*alpn || strlen(alpn) >= TW_ALPN_SIZE))
		return error("alpn: 1..%d bytes are expected", TW_ALPN_SIZE - 1);
	if (alpn && copy_text_list(alpn, &route->alpn, &route->n_alpn))
		return error("out of memory");
	if (balance && parse_balance(balance, &route->balance))
		return error("balance: '%s' is none of weighted, least_conn, source", balance);
	if (tries && (json_integer_value(tries) < 1 || json_integer_value(tries) > TW_TRIES_MAX))
		return error("tries: 1..%d is expected", TW_TRIES_MAX);
	route->tries = (uint32_t)json_integer_value(tries);
	answer = read_backends(json_object_get(request, "backends"), route);
	if (answer)
		return answer;
	if (route->refuse && route->n_backends)
		return error("a route that refuses its name takes no backends");
	if (!route->refuse && !route->n_backends)
		return error("route %s: at least one backend is needed, as 10.0.0.5:8443",
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

static json_t *route_add(struct api *api, const json_t *request)
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
	if (err == -EINVAL && problems.n) {
		answer = error("%s", problems.items[problems.n - 1].text);
		free(why);
	} else if (err) {
		answer = failed(like.name, err, why);
	} else {
		answer = json_pack("{s:o}", "route", show_added(api->router, &like));
	}
	with_problems(answer, &problems);
	config_problems_fini(&problems);
	return answer;
}

static json_t *route_del(struct api *api, const json_t *request)
{
	const char *name = text_arg(request, "name");
	char hostname[TW_NAME_SIZE], *why = NULL;
	size_t n = 0;
	int err;

	if (!name)
		return error("route.del: name is missing");
	if (config_parse_hostname(name, hostname, &why))
		return failed(name, -EINVAL, why);
	err = router_del_route(api->router, hostname, text_arg(request, "listener"),
			       text_arg(request, "alpn"), &n, &why);
	if (err)
		return failed(hostname, err, why);
	if (!n)
		return error("no route of the command line is named %s (those of the configuration "
			     "file are removed there)",
			     hostname);
	return json_pack("{s:I}", "deleted", (json_int_t)n);
}

/* --- show -------------------------------------------------------------------------------- */

/* The name asked for: as given, or normalised where it is a hostname. */
static bool name_matches(const char *asked, const char *name)
{
	char hostname[TW_NAME_SIZE], *why = NULL;

	if (!asked || !strcmp(asked, name))
		return true;
	if (config_parse_hostname(asked, hostname, &why)) {
		free(why);
		return false;
	}
	return !strcmp(hostname, name);
}

struct name_search {
	const char *asked;
	bool found;
};

static void match_hostname(void *arg, const struct tw_name_key *key, const struct tw_name *value)
{
	struct name_search *search = arg;

	(void)value;
	search->found = search->found || name_matches(search->asked, key->name);
}

static json_t *route_show(struct api *api, const json_t *request)
{
	struct tables *tables = router_tables(api->router);
	const char *name = text_arg(request, "name");
	const struct tw_route *route = NULL;
	json_t *array = json_array();

	while ((route = tables_next_route(tables, route ? route->id : 0))) {
		struct name_search search = {name, name_matches(name, route->name)};

		if (!search.found)
			tables_route_names(tables, route->id, match_hostname, &search);
		if (search.found)
			json_array_append_new(array, show_route(api->router, route));
	}
	if (name && !json_array_size(array)) {
		json_decref(array);
		return error("no route %s", name);
	}
	return json_pack("{s:o}", "routes", array);
}

static json_t *listener_show(struct api *api, const json_t *request)
{
	const char *name = text_arg(request, "name");
	const struct tw_listener *l = NULL;
	json_t *array = json_array();

	while ((l = tables_next_listener(router_tables(api->router), l ? l->id : 0)))
		if (!name || !strcmp(name, l->name))
			json_array_append_new(array, show_listener(api->router, l));
	if (name && !json_array_size(array)) {
		json_decref(array);
		return error("no listener %s", name);
	}
	return json_pack("{s:o}", "listeners", array);
}

static const struct tw_backend *find_backend(struct api *api, const char *address)
{
	const struct tw_backend *b = NULL;

	while ((b = tables_next_backend(router_tables(api->router), b ? b->id : 0)))
		if (!strcmp(address, b->text))
			return b;
	return NULL;
}

static json_t *backend_show(struct api *api, const json_t *request)
{
	const char *address = text_arg(request, "address");

	if (address && !find_backend(api, address))
		return error("no backend %s", address);
	return json_pack("{s:o}", "backends", show_backends(api->router, address));
}

static json_t *drain(struct api *api, const json_t *request, bool drained)
{
	const char *address = text_arg(request, "address");
	json_t *shown, *answer;
	int err;

	if (!address)
		return error("address is missing");
	err = tables_drain(router_tables(api->router), address, drained);
	if (err == -ENOENT)
		return error("no backend %s", address);
	if (err)
		return failed(address, err, NULL);
	shown = show_backends(api->router, address);
	answer = json_pack("{s:O}", "backend", json_array_get(shown, 0));
	json_decref(shown);
	return answer;
}

static json_t *backend_drain(struct api *api, const json_t *request)
{
	return drain(api, request, true);
}

static json_t *backend_undrain(struct api *api, const json_t *request)
{
	return drain(api, request, false);
}

static json_t *stats(struct api *api, const json_t *request)
{
	(void)request;
	return json_pack("{s:o}", "stats", show_stats(api->router));
}

/* --- connections ------------------------------------------------------------------------- */

/* Several of the command line may have one name, each for its own listener or protocol. */
static json_t *find_routes(struct api *api, const char *name, uint32_t **ret_ids, size_t *ret_n)
{
	const struct tw_route *route = NULL;
	uint32_t *ids = NULL, *grown;
	size_t n = 0;

	while ((route = tables_next_route(router_tables(api->router), route ? route->id : 0))) {
		if (!name_matches(name, route->name))
			continue;
		grown = realloc(ids, (n + 1) * sizeof(*ids));
		if (!grown) {
			free(ids);
			return error("out of memory");
		}
		ids = grown;
		ids[n++] = route->id;
	}
	if (!n)
		return error("no route %s", name);
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
	const char *id = text_arg(request, "id"), *route = text_arg(request, "route");
	const char *backend = text_arg(request, "backend"), *client = text_arg(request, "client");
	const char *listener = text_arg(request, "listener");
	const struct tw_backend *b;
	json_t *answer;
	char *end;

	if (id) {
		errno = 0;
		filter->id = strtoull(id, &end, 16);
		if (errno || *end || !filter->id)
			return error("'%s' is not the id of a connection (see conn show)", id);
	}
	if (route) {
		answer = find_routes(api, route, ret_routes, &filter->n_routes);
		if (answer)
			return answer;
		filter->routes = *ret_routes;
	}
	if (listener && !(filter->listener = listener_id(api, listener)))
		return error("no listener %s", listener);
	if (backend) {
		b = find_backend(api, backend);
		if (!b)
			return error("no backend %s", backend);
		filter->backend = b->id;
	}
	if (client && addr_parse_ip(client, filter->client))
		return error("'%s' is not an IP address", client);
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

static json_t *conn_show(struct api *api, const json_t *request)
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
		return failed("conn show", err, NULL);
	}
	return json_pack("{s:o}", "connections", list.array);
}

static json_t *conn_kill(struct api *api, const json_t *request)
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
		return error("conn kill: which? an id, --route, --client, --listener, --backend or "
			     "--all");
	n = workers_kill(router_workers(api->router), &filter);
	if (!n && filter.id)
		return error("no connection %s", text_arg(request, "id"));
	return json_pack("{s:I}", "killed", (json_int_t)n);
}

/* --- apply ------------------------------------------------------------------------------- */

static json_t *apply(struct api *api, const json_t *request)
{
	bool dry_run = json_is_true(json_object_get(request, "dry_run"));
	bool partial = json_is_true(json_object_get(request, "partial"));
	struct config_problems problems;
	struct tables_changes changes = {};
	struct config *config = NULL;
	json_t *answer;
	char *why = NULL;
	int err;

	config_problems_init(&problems);
	err = load_request(json_object_get(request, "files"), &config, &problems);
	if (!err)
		err = load_commit(api->router, TAKE_PTR(config),
				  partial ? LOAD_GOOD_ROUTES : LOAD_ALL_OR_NOTHING, dry_run,
				  &changes, &problems, &why);
	if (err) {
		answer = err == -EINVAL && problems.n_errors && !why
				 ? error("%zu problem%s, nothing was changed", problems.n_errors,
					 problems.n_errors == 1 ? "" : "s")
				 : failed("apply", err, why);
	} else {
		/* A change of routes never touches a connection that is open. */
		answer = json_pack("{s:o, s:i, s:b}", "changes", show_changes(&changes),
				   "flows_affected", 0, "dry_run", dry_run);
	}
	config_free(config);
	with_problems(answer, &problems);
	config_problems_fini(&problems);
	tables_changes_fini(&changes);
	return answer;
}

/* --- the daemon itself ------------------------------------------------------------------- */

static json_t *status(struct api *api, const json_t *request)
{
	struct workers_usage usage;

	(void)request;
	workers_usage(router_workers(api->router), &usage);
	return json_pack("{s:{s:s, s:i, s:s, s:I, s:s, s:i, s:I, s:I, s:I, s:[s], s:I}}", "status",
			 "version", THRUWAY_VERSION, "pid", (int)getpid(), "instance",
			 api->instance, "uptime_s",
			 (json_int_t)((clock_ms() - api->start_monotonic_ms) / 1000), "config",
			 api->config_path, "workers", (int)usage.threads, "connections",
			 (json_int_t)usage.connections, "pipes", (json_int_t)usage.pipes, "bytes",
			 (json_int_t)usage.bytes, "paths", "relay", "max_connections",
			 (json_int_t)usage.max_connections);
}

static json_t *down(struct api *api, const json_t *request)
{
	(void)api;
	(void)request;
	return json_pack("{s:b}", "down", 1);
}

static json_t *route_explain(struct api *api, const json_t *request)
{
	return explain_request(api->router, request);
}

/* --- dispatch ---------------------------------------------------------------------------- */

static const struct {
	const char *op;
	json_t *(*handle)(struct api *api, const json_t *request);
} ops[] = {
	{"route.add", route_add},
	{"route.del", route_del},
	{"route.show", route_show},
	{"route.explain", route_explain},
	{"apply", apply},
	{"listener.show", listener_show},
	{"backend.show", backend_show},
	{"backend.drain", backend_drain},
	{"backend.undrain", backend_undrain},
	{"conn.show", conn_show},
	{"conn.kill", conn_kill},
	{"stats", stats},
	{"status", status},
	{"down", down},
};

static json_t *check_arguments(const char *op, const json_t *request)
{
	static const char *const flags[] = {"refuse", "dry_run", "partial", "all"};
	static const struct {
		const char *key;
		json_type type;
	} arguments[] = {
		{"name", JSON_STRING},	  {"listener", JSON_STRING}, {"balance", JSON_STRING},
		{"address", JSON_STRING}, {"id", JSON_STRING},	     {"route", JSON_STRING},
		{"backend", JSON_STRING}, {"client", JSON_STRING},   {"src", JSON_STRING},
		{"tries", JSON_INTEGER},  {"port", JSON_INTEGER},    {"files", JSON_ARRAY},
		{"backends", JSON_ARRAY},
	};
	json_t *answer = NULL;

	for (size_t i = 0; !answer && i < ARRAY_SIZE(arguments); i++)
		answer = check_types(request, arguments[i].key, arguments[i].type);
	if (!answer)
		answer = check_types(request, "alpn",
				     strcmp(op, "route.explain") ? JSON_STRING : JSON_ARRAY);
	for (size_t i = 0; !answer && i < ARRAY_SIZE(flags); i++) {
		const json_t *flag = json_object_get(request, flags[i]);

		if (flag && !json_is_boolean(flag))
			answer = error("%s: wrong type", flags[i]);
	}
	return answer;
}

json_t *api_handle(void *arg, const json_t *request)
{
	const char *op = text_arg(request, "op");
	json_t *answer;

	if (!op)
		return error("a request is a JSON object with \"op\"");
	answer = check_arguments(op, request);
	for (size_t i = 0; !answer && i < ARRAY_SIZE(ops); i++)
		if (!strcmp(op, ops[i].op)) {
			answer = ops[i].handle(arg, request);
			return answer ? answer : error("out of memory");
		}
	return answer ? answer : error("unknown op");
}
