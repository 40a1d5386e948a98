// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The router's objects as JSON (see show.h). */
#include "edge/show.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/reason.h"
#include "edge/alpn.h"

static json_int_t load(const __u64 *counter)
{
	return (json_int_t)__atomic_load_n(counter, __ATOMIC_RELAXED);
}

json_t *show_text(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

const char *show_ejection_word(enum tw_ejection ejection)
{
	static const char *const words[] = {
#define X(word, text) [TW_EJECT_##word] = #word,
		TW_EJECTIONS(X)
#undef X
	};

	return ejection < TW_EJECTION_END ? words[ejection] : NULL;
}

const char *show_path_word(enum tw_path path)
{
	static const char *const words[TW_PATHS] = {"packet", "socket", "relay"};

	return path < TW_PATHS ? words[path] : "none";
}

const char *show_balance_word(__u32 balance)
{
	static const char *const words[] = {"weighted", "least_conn", "source"};

	return balance < ARRAY_SIZE(words) ? words[balance] : "unknown";
}

const char *show_on_refuse_word(__u32 on_refuse)
{
	static const char *const words[] = {"reset", "alert", "drop"};

	return on_refuse < ARRAY_SIZE(words) ? words[on_refuse] : "unknown";
}

json_t *show_bind_address(const __u8 addr[16], __be16 port)
{
	char text[ADDR_TEXT_SIZE];

	if (addr_is_any(addr) && !addr_is_ipv4(addr))
		snprintf(text, sizeof(text), "*:%u", ntohs(port));
	else
		addr_format(text, addr, port);
	return json_string(text);
}

json_t *show_timeouts(const struct tw_timeouts *t)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "hello_ms", (json_int_t)t->hello_ms, "connect_ms",
			 (json_int_t)t->connect_ms, "idle_ms", (json_int_t)t->idle_ms,
			 "half_closed_ms", (json_int_t)t->half_closed_ms);
}

/* --- counters ---------------------------------------------------------------------------- */

static json_t *path_counts(const struct tw_path_stats *p)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "connections", load(&p->connections), "active",
			 load(&p->active), "bytes_to_backend", load(&p->bytes_to_backend),
			 "bytes_to_client", load(&p->bytes_to_client));
}

/* COUNTS of control.h, added to @object. */
static void add_counts(json_t *object, const struct tw_stats *s)
{
	const struct tw_path_stats *paths[] = {&s->packet, &s->socket, &s->relay};
	json_int_t connections = 0, active = 0, to_backend = 0, to_client = 0;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		connections += load(&paths[i]->connections);
		active += load(&paths[i]->active);
		to_backend += load(&paths[i]->bytes_to_backend);
		to_client += load(&paths[i]->bytes_to_client);
	}
	json_object_set_new(object, "connections", json_integer(connections));
	json_object_set_new(object, "active", json_integer(active));
	json_object_set_new(object, "bytes_to_backend", json_integer(to_backend));
	json_object_set_new(object, "bytes_to_client", json_integer(to_client));
	json_object_set_new(object, "connect_failures", json_integer(load(&s->connect_failures)));
	json_object_set_new(object, "refused", json_integer(load(&s->refused)));
	json_object_set_new(object, "paths",
			    json_pack("{s:o, s:o, s:o}", "packet", path_counts(&s->packet),
				      "socket", path_counts(&s->socket), "relay",
				      path_counts(&s->relay)));
}

static json_t *counts(const struct tw_stats *s)
{
	json_t *object = json_object();

	add_counts(object, s);
	return object;
}

static json_t *refusals(struct tw_refusals *r)
{
	json_t *object = json_object();

	for (unsigned int reason = TW_OK + 1; reason < TW_REFUSE_END; reason++)
		json_object_set_new(object, reason_word(reason),
				    json_integer(load(reason_counter(r, reason))));
	return object;
}

/* --- order ------------------------------------------------------------------------------- */

static int compare_lists(const json_t *a, const json_t *b)
{
	_cleanup_free_ char *left = a ? json_dumps(a, JSON_COMPACT) : NULL;
	_cleanup_free_ char *right = b ? json_dumps(b, JSON_COMPACT) : NULL;

	return left && right ? strcmp(left, right) : 0;
}

/* Routes of one name, of the command line, are on different listeners or for different ALPN. */
static int compare(const void *left, const void *right, void *key)
{
	const json_t *a = *(json_t *const *)left, *b = *(json_t *const *)right;
	int by;

	if (!key)
		return strcmp(json_string_value(a), json_string_value(b));
	by = strcmp(json_string_value(json_object_get(a, key)),
		    json_string_value(json_object_get(b, key)));
	if (!by)
		by = compare_lists(json_object_get(a, "listeners"),
				   json_object_get(b, "listeners"));
	return by ? by : compare_lists(json_object_get(a, "alpn"), json_object_get(b, "alpn"));
}

json_t *show_sorted(json_t *array, const char *key)
{
	size_t n = json_array_size(array);
	_cleanup_free_ json_t **items = calloc(n + 1, sizeof(*items));

	if (!items)
		return array;
	for (size_t i = 0; i < n; i++)
		items[i] = json_incref(json_array_get(array, i));
	qsort_r(items, n, sizeof(*items), compare, (void *)key);
	for (size_t i = 0; i < n; i++)
		json_array_set_new(array, i, items[i]);
	return array;
}

/* Takes @texts. */
static json_t *sorted_once(json_t *texts)
{
	json_t *once = json_array(), *text;
	const char *last = NULL;
	size_t i;

	show_sorted(texts, NULL);
	json_array_foreach (texts, i, text) {
		if (!last || strcmp(last, json_string_value(text)) != 0)
			json_array_append(once, text);
		last = json_string_value(text);
	}
	json_decref(texts);
	return once;
}

/* --- routes and backends ----------------------------------------------------------------- */

struct route_names {
	struct router *router;
	json_t *hostnames, *listeners, *alpn;
};

static void add_name(void *arg, const struct tw_name_key *key, const struct tw_name *value)
{
	struct route_names *names = arg;
	const struct tables *tables = router_tables(names->router);
	const struct tw_listener *listener = tables_listener(tables, value->listener);
	const char *protocol = tables_alpn(tables, key->alpn);

	json_array_append_new(names->hostnames, json_string(key->name));
	if (listener)
		json_array_append_new(names->listeners, json_string(listener->name));
	if (protocol)
		json_array_append_new(names->alpn, json_string(protocol));
}

static json_t *route_backends(struct router *router, const struct tw_route *route)
{
	const struct tw_slot *slots = tables_route_slots(router_tables(router), route->id);
	json_t *array = json_array();

	for (__u32 i = 0; slots && i < route->backends; i++) {
		const struct tw_backend *b =
			tables_backend(router_tables(router), slots[i].backend);

		json_array_append_new(array, json_pack("{s:i, s:o, s:i, s:b, s:b}", "id",
						       (int)slots[i].backend, "address",
						       show_text(b ? b->text : NULL), "weight",
						       (int)slots[i].weight, "drained",
						       b ? (int)b->drained : 0, "invalid", !b));
	}
	return array;
}

json_t *show_route(struct router *router, const struct tw_route *route)
{
	struct route_names names = {router, json_array(), json_array(), json_array()};

	tables_route_names(router_tables(router), route->id, add_name, &names);
	return json_pack("{s:i, s:s, s:o, s:s, s:o, s:o, s:o, s:s, s:i, s:b, s:o, s:o, s:o}", "id",
			 (int)route->id, "name", route->name, "direct",
			 route->local ? json_boolean(route->local == TW_LOCAL_DIRECT) : json_null(),
			 "owner", route->owner == TW_OWNER_CLI ? "cli" : "file", "hostnames",
			 sorted_once(names.hostnames), "listeners", sorted_once(names.listeners),
			 "alpn", sorted_once(names.alpn), "balance",
			 show_balance_word(route->balance), "tries", (int)route->tries, "refuse",
			 (int)route->refuse, "timeouts", show_timeouts(&route->timeouts),
			 "backends", route_backends(router, route), "stats",
			 counts(datapath_route_stats(router_datapath(router), route->id)));
}

/* Names of the routes of each backend that @address names (NULL = all), by backend id. */
static json_t **routes_by_backend(struct tables *tables, const char *address)
{
	json_t **by_id = calloc(TW_BACKENDS_MAX, sizeof(*by_id));
	const struct tw_backend *backend = NULL;
	const struct tw_route *route = NULL;

	if (!by_id)
		return NULL;
	while ((backend = tables_next_backend(tables, backend ? backend->id : 0)))
		if (!address || !strcmp(address, backend->text))
			by_id[backend->id] = json_array();
	while ((route = tables_next_route(tables, route ? route->id : 0))) {
		const struct tw_slot *slots = tables_route_slots(tables, route->id);

		for (__u32 i = 0; slots && i < route->backends; i++)
			if (by_id[slots[i].backend])
				json_array_append_new(by_id[slots[i].backend],
						      json_string(route->name));
	}
	return by_id;
}

json_t *show_backends(struct router *router, const char *address)
{
	struct tables *tables = router_tables(router);
	_cleanup_free_ json_t **routes = routes_by_backend(tables, address);
	const struct tw_backend *backend = NULL;
	json_t *array = json_array();

	while (routes && (backend = tables_next_backend(tables, backend ? backend->id : 0))) {
		__u32 id = backend->id;

		if (!routes[id])
			continue;
		json_array_append_new(
			array,
			json_pack("{s:i, s:s, s:b, s:i, s:o, s:o}", "id", (int)id, "address",
				  backend->text, "drained", (int)backend->drained, "pool",
				  (int)backend->pool, "routes", sorted_once(routes[id]), "stats",
				  counts(datapath_backend_stats(router_datapath(router), id))));
	}
	return show_sorted(array, "address");
}

/* --- listeners --------------------------------------------------------------------------- */

static json_t *fallback_backends(struct router *router, __u32 id)
{
	const struct tw_route *route = id ? tables_route(router_tables(router), id) : NULL;
	const struct tw_slot *slots = route ? tables_route_slots(router_tables(router), id) : NULL;
	json_t *array = json_array();

	for (__u32 i = 0; slots && i < route->backends; i++) {
		const struct tw_backend *b =
			tables_backend(router_tables(router), slots[i].backend);

		if (b)
			json_array_append_new(array, json_string(b->text));
	}
	return array;
}

static json_t *listener_counts(struct router *router, const struct tw_listener *l)
{
	struct tw_listener_stats *s = datapath_listener_stats(router_datapath(router), l->id);

	return json_pack("{s:I, s:I, s:o}", "accepted", load(&s->accepted), "waiting",
			 load(&s->waiting), "refused", refusals(&s->refused));
}

static json_t *paths(__u32 bits)
{
	json_t *words = json_array();

	for (enum tw_path path = 0; path < TW_PATHS; path++)
		if (bits & 1u << path)
			json_array_append_new(words, json_string(show_path_word(path)));
	return words;
}

json_t *show_listener(struct router *router, const struct tw_listener *l)
{
	return json_pack(
		"{s:i, s:s, s:o, s:b, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "id", (int)l->id,
		"name", l->name, "paths", paths(l->paths), "direct", l->local == TW_LOCAL_DIRECT,
		"address", show_bind_address(l->addr, l->port), "hostname", show_text(l->hostname),
		"on_refuse", show_on_refuse_word(l->on_refuse), "timeouts",
		show_timeouts(&l->timeouts), "no_sni", fallback_backends(router, l->no_sni_route),
		"unknown_name", fallback_backends(router, l->unknown_name_route), "not_tls",
		fallback_backends(router, l->not_tls_route), "stats", listener_counts(router, l));
}

/* --- everything counted ------------------------------------------------------------------ */

/* Counters are structs of __u64 throughout. */
static void add_words(void *sum, const void *counters, size_t size)
{
	const __u64 *from = counters;
	__u64 *to = sum;

	for (size_t i = 0; i < size / sizeof(*to); i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static json_int_t sum_refusals(const struct tw_refusals *r)
{
	const __u64 *counter = (const __u64 *)r;
	json_int_t sum = 0;

	for (size_t i = 0; i < TW_REFUSALS_N; i++)
		sum += (json_int_t)counter[i];
	return sum;
}

/* Of every id, so that what a removed route or listener has counted (and still carries) counts on.
 */
static json_t *totals_of_all_ids(struct router *router)
{
	struct datapath *dp = router_datapath(router);
	struct tw_stats sum = {};
	struct tw_listener_stats listeners = {};
	json_t *totals;

	for (__u32 id = 1; id < TW_ROUTES_MAX; id++)
		add_words(&sum, datapath_route_stats(dp, id), sizeof(sum));
	for (__u32 id = 1; id < TW_LISTENERS_MAX; id++)
		add_words(&listeners, datapath_listener_stats(dp, id), sizeof(listeners));
	totals = counts(&sum);
	json_object_del(totals, "paths");
	json_object_set_new(totals, "accepted", json_integer((json_int_t)listeners.accepted));
	json_object_set_new(totals, "waiting", json_integer((json_int_t)listeners.waiting));
	json_object_set_new(totals, "refused", json_integer(sum_refusals(&listeners.refused)));
	json_object_set_new(totals, "refusals", refusals(&listeners.refused));
	return totals;
}

static json_t *socket_path(const struct router *router)
{
	const struct tw_socket *s = datapath_socket(router_datapath((struct router *)router));
	json_t *ejected = json_object();

#define X(word, text)                                                                              \
	json_object_set_new(ejected, #word, json_integer((json_int_t)load(&s->ejected.word)));
	TW_EJECTIONS(X)
#undef X
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "joined",
			 (json_int_t)load(&s->joined), "fallbacks", (json_int_t)load(&s->fallbacks),
			 "dropped", (json_int_t)load(&s->dropped), "backlog_bytes",
			 (json_int_t)load(&s->backlog), "pool_hits",
			 (json_int_t)load(&s->pool_hits), "pool_misses",
			 (json_int_t)load(&s->pool_misses), "pool_dead",
			 (json_int_t)load(&s->pool_dead), "ejected", ejected);
}

json_t *show_stats(struct router *router)
{
	json_t *listeners = json_array(), *routes = json_array(), *backends = json_array();
	struct tables *tables = router_tables(router);
	const struct tw_listener *listener = NULL;
	const struct tw_backend *backend = NULL;
	const struct tw_route *route = NULL;
	json_t *object;

	while ((listener = tables_next_listener(tables, listener ? listener->id : 0))) {
		object = listener_counts(router, listener);
		json_object_set_new(object, "name", json_string(listener->name));
		json_array_append_new(listeners, object);
	}
	while ((route = tables_next_route(tables, route ? route->id : 0))) {
		object = counts(datapath_route_stats(router_datapath(router), route->id));
		json_object_set_new(object, "name", json_string(route->name));
		json_object_set_new(object, "owner",
				    json_string(route->owner == TW_OWNER_CLI ? "cli" : "file"));
		json_array_append_new(routes, object);
	}
	while ((backend = tables_next_backend(tables, backend ? backend->id : 0))) {
		object = counts(datapath_backend_stats(router_datapath(router), backend->id));
		json_object_set_new(object, "address", json_string(backend->text));
		json_array_append_new(backends, object);
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "listeners", listeners, "totals",
			 totals_of_all_ids(router), "routes", routes, "backends", backends,
			 "socket_path", socket_path(router));
}

/* --- connections ------------------------------------------------------------------------- */

json_t *show_connection(struct router *router, const struct conn_record *r)
{
	struct tables *tables = router_tables(router);
	const struct tw_listener *l = tables_listener(tables, r->listener);
	const struct tw_route *route = tables_route(tables, r->route);
	const struct tw_backend *b = tables_backend(tables, r->backend);
	char id[20], client[ADDR_TEXT_SIZE], local[ADDR_TEXT_SIZE];

	snprintf(id, sizeof(id), "%llx", (unsigned long long)r->id);
	addr_format(client, r->client.ip, r->client.port);
	addr_format(local, r->local.ip, r->local.port);
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:b, s:o, s:s, s:I, "
			 "s:I, s:I, s:I, "
			 "s:i}",
			 "id", id, "client", client, "local", local, "listener",
			 show_text(l ? l->name : NULL), "sni", show_text(r->sni), "alpn",
			 alpn_json(r->alpn, r->alpn_len), "route",
			 show_text(route ? route->name : NULL), "backend",
			 show_text(b ? b->text : NULL), "path", show_path_word(r->path), "direct",
			 r->is_direct, "pooled", r->is_pooled, "left",
			 show_text(show_ejection_word(r->ejection)), "state", r->state,
			 "bytes_to_backend", (json_int_t)r->bytes_to_backend, "bytes_to_client",
			 (json_int_t)r->bytes_to_client, "age_ms", (json_int_t)r->age_ms, "idle_ms",
			 (json_int_t)r->idle_ms, "tries", (int)r->tries);
}

/* --- what changed ------------------------------------------------------------------------- */

json_t *show_changes(const struct tables_changes *changes)
{
	static const char *const words[] = {"add", "change", "remove"};
	json_t *array = json_array();

	for (size_t i = 0; i < changes->n; i++)
		json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "action",
						       words[changes->items[i].action], "object",
						       changes->items[i].object, "name",
						       changes->items[i].name));
	return array;
}
