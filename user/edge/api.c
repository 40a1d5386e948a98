// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What each request on the control socket does: arguments out of JSON, the router asked, the answer
 * back as JSON. Changes of routes are in api_route.c, connections in api_conn.c; the shapes are
 * control.h's, the objects' JSON is show.c's.
 */
#include "edge/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "edge/api_parts.h"
#include "edge/explain.h"
#include "edge/load.h"
#include "edge/show.h"
#include "kernel/devices.h"
#include "model/gateway.h"
#include "model/problems.h"

/* --- show -------------------------------------------------------------------------------- */

struct name_search {
	const char *asked;
	bool found;
};

static void match_hostname(void *arg, const struct tw_name_key *key, const struct tw_name *value)
{
	struct name_search *search = arg;

	(void)value;
	search->found = search->found || api_name_matches(search->asked, key->name);
}

static json_t *route_show(struct api *api, const json_t *request)
{
	struct tables *tables = router_tables(api->router);
	const char *name = api_text(request, "name");
	const struct tw_route *route = NULL;
	json_t *array = json_array();

	while ((route = tables_next_route(tables, route ? route->id : 0))) {
		struct name_search search = {name, api_name_matches(name, route->name)};

		if (!search.found)
			tables_route_names(tables, route->id, match_hostname, &search);
		if (search.found)
			json_array_append_new(array, show_route(api->router, route));
	}
	if (name && !json_array_size(array)) {
		json_decref(array);
		return api_error("no route %s", name);
	}
	return json_pack("{s:o}", "routes", show_sorted(array, "name"));
}

static json_t *listener_show(struct api *api, const json_t *request)
{
	const char *name = api_text(request, "name");
	const struct tw_listener *l = NULL;
	json_t *array = json_array();

	while ((l = tables_next_listener(router_tables(api->router), l ? l->id : 0)))
		if (!name || !strcmp(name, l->name))
			json_array_append_new(array, show_listener(api->router, l));
	if (name && !json_array_size(array)) {
		json_decref(array);
		return api_error("no listener %s", name);
	}
	return json_pack("{s:o}", "listeners", show_sorted(array, "name"));
}

static json_t *backend_show(struct api *api, const json_t *request)
{
	const char *address = api_text(request, "address");

	if (address && !api_find_backend(api, address))
		return api_error("no backend %s", address);
	return json_pack("{s:o}", "backends", show_backends(api->router, address));
}

static json_t *drain(struct api *api, const json_t *request, bool drained)
{
	const char *address = api_text(request, "address");
	json_t *shown, *answer;
	int err;

	if (!address)
		return api_error("address is missing");
	err = tables_drain(router_tables(api->router), address, drained);
	if (err == -ENOENT)
		return api_error("no backend %s", address);
	if (err)
		return api_failed(address, err, NULL);
	router_refresh_pools(api->router);
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

/* --- apply ------------------------------------------------------------------------------- */

static json_t *apply(struct api *api, const json_t *request)
{
	bool dry_run = json_is_true(json_object_get(request, "dry_run"));
	bool partial = json_is_true(json_object_get(request, "partial"));
	struct config_problems problems;
	struct tables_changes changes = {};
	json_t *answer;
	char *why = NULL;
	int err;

	config_problems_init(&problems);
	err = load_request(api->router, json_object_get(request, "files"),
			   partial ? LOAD_GOOD_ROUTES : LOAD_ALL_OR_NOTHING, dry_run, &changes,
			   &problems, &why);
	if (err) {
		answer = err == -EINVAL && problems.n_errors && !why
				 ? api_error("%zu problem%s, nothing was changed",
					     problems.n_errors, problems.n_errors == 1 ? "" : "s")
				 : api_failed("apply", err, why);
	} else {
		if (!dry_run)
			api_note_reload(api, problems.n_errors);
		/* A change of routes never touches a connection that is open. */
		answer = json_pack("{s:o, s:i, s:b}", "changes", show_changes(&changes),
				   "flows_affected", 0, "dry_run", dry_run);
	}
	api_with_problems(answer, &problems);
	config_problems_fini(&problems);
	tables_changes_fini(&changes);
	return answer;
}

/* --- the daemon itself ------------------------------------------------------------------- */

void api_fini(struct api *api)
{
	free(api->reload.why);
}

void api_note_reload(struct api *api, size_t n_errors)
{
	free(api->reload.why);
	api->reload = (struct api_reload){.in_force_ms = clock_unix_ms(), .n_errors = n_errors};
}

void api_note_failure(struct api *api, char *why)
{
	free(api->reload.why);
	api->reload.why = why;
	api->reload.failed_ms = clock_unix_ms();
}

static json_t *reload(const struct api *api)
{
	const struct api_reload *r = &api->reload;

	return json_pack("{s:I, s:I, s:I, s:o}", "in_force_unix_ms", (json_int_t)r->in_force_ms,
			 "errors", (json_int_t)r->n_errors, "failed_unix_ms",
			 (json_int_t)r->failed_ms, "why",
			 r->why ? problems_text(r->why) : json_null());
}

static json_t *paths(const struct api *api)
{
	json_t *words = json_array();

	if (router_has_socket_path(api->router))
		json_array_append_new(words, json_string(show_path_word(TW_PATH_SOCKET)));
	json_array_append_new(words, json_string(show_path_word(TW_PATH_RELAY)));
	return words;
}

/* Kubernetes objects with their statuses. A kind without namespaces is of every namespace. */
static json_t *objects(const struct api *api, const json_t *request)
{
	const struct config *config = router_config(api->router);
	const char *wanted = api_text(request, "namespace"), *ns;
	_cleanup_free_ uint8_t(*addrs)[16] = NULL;
	struct config_host host = {.has = devices_has};
	json_t *array;
	size_t i;

	if (!config->gateway)
		return json_array();
	/* Without them, a Gateway on all addresses tells none. */
	(void)devices_addresses(&addrs, &host.n);
	host.addrs = (const uint8_t(*)[16])addrs;
	array = gateway_status(config->gateway, api_text(request, "kind"),
			       api_text(request, "name"), &host);
	for (i = json_array_size(array); wanted && i-- > 0;) {
		ns = json_string_value(json_object_get(
			json_object_get(json_array_get(array, i), "metadata"), "namespace"));
		if (ns && strcmp(ns, wanted) != 0)
			json_array_remove(array, i);
	}
	return array;
}

static json_int_t n_skipped(const struct api *api)
{
	const struct config *config = router_config(api->router);

	return config->gateway ? (json_int_t)gateway_n_skipped(config->gateway) : 0;
}

static json_t *status(struct api *api, const json_t *request)
{
	struct workers_usage usage;

	workers_usage(router_workers(api->router), &usage);
	return json_pack(
		"{s:o, s:I, s:{s:s, s:i, s:s, s:I, s:o, s:i, s:I, s:I, s:I, s:o, s:I, s:o}}",
		"objects", objects(api, request), "skipped", n_skipped(api), "status", "version",
		THRUWAY_VERSION, "pid", (int)getpid(), "instance", api->instance, "uptime_s",
		(json_int_t)((clock_ms() - api->start_monotonic_ms) / 1000), "config",
		problems_text(api->config_path), "workers", (int)usage.threads, "connections",
		(json_int_t)usage.connections, "pipes", (json_int_t)usage.pipes, "bytes",
		(json_int_t)usage.bytes, "paths", paths(api), "max_connections",
		(json_int_t)usage.max_connections, "reload", reload(api));
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
	{"route.add", api_route_add},
	{"route.del", api_route_del},
	{"route.show", route_show},
	{"route.explain", route_explain},
	{"apply", apply},
	{"listener.show", listener_show},
	{"backend.show", backend_show},
	{"backend.drain", backend_drain},
	{"backend.undrain", backend_undrain},
	{"conn.show", api_conn_show},
	{"conn.kill", api_conn_kill},
	{"stats", stats},
	{"status", status},
	{"down", down},
};

/* An argument that is there but not of its type makes the request wrong. */
static json_t *check_types(const json_t *request, const char *key, json_type type)
{
	const json_t *value = json_object_get(request, key);

	if (value && !json_is_null(value) && json_typeof(value) != type)
		return api_error("%s: wrong type", key);
	return NULL;
}

static json_t *check_arguments(const char *op, const json_t *request)
{
	static const char *const flags[] = {"refuse", "dry_run", "partial", "all"};
	static const struct {
		const char *key;
		json_type type;
	} arguments[] = {
		{"name", JSON_STRING},	  {"listener", JSON_STRING},  {"balance", JSON_STRING},
		{"address", JSON_STRING}, {"id", JSON_STRING},	      {"route", JSON_STRING},
		{"backend", JSON_STRING}, {"client", JSON_STRING},    {"src", JSON_STRING},
		{"kind", JSON_STRING},	  {"namespace", JSON_STRING}, {"tries", JSON_INTEGER},
		{"port", JSON_INTEGER},	  {"files", JSON_ARRAY},      {"backends", JSON_ARRAY},
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
			answer = api_error("%s: wrong type", flags[i]);
	}
	return answer;
}

json_t *api_handle(void *arg, const json_t *request)
{
	const char *op = api_text(request, "op");
	json_t *answer;

	if (!op)
		return api_error("a request is a JSON object with \"op\"");
	answer = check_arguments(op, request);
	for (size_t i = 0; !answer && i < ARRAY_SIZE(ops); i++)
		if (!strcmp(op, ops[i].op)) {
			answer = ops[i].handle(arg, request);
			return answer ? answer : api_error("out of memory");
		}
	return answer ? answer : api_error("unknown op");
}
