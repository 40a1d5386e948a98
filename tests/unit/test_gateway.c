// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Gateway API objects in, names with their routes and statuses out. The cases stand in
 * tests/unit/gateway/, each with the rule that it is about as a comment; objects, a line of ----,
 * and what is expected:
 *
 *	problems (but warnings that say so)
 *	name PATTERN on LISTENER: ROUTE BACKEND*WEIGHT,...     or "refused"
 *	KIND NAME [part]: TYPE=STATUS/REASON ...
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

#include "../lib/case_file.h"
#include "base/cleanup.h"
#include "model/gateway.h"
#include "model/table.h"

#define CASES	       "tests/unit/gateway"
#define CASES_AT_LEAST 530

/* --- what came out, as text ------------------------------------------------------------------ */

static void print_name(FILE *out, const struct table *t, const struct table_name *name)
{
	const struct table_route *route =
		name->route == TABLE_NONE ? NULL : &t->routes[name->route];

	fprintf(out, "name %s on %s:%u:", name->pattern, t->listeners[name->listener].config->name,
		ntohs(t->binds[name->bind].key.port));
	if (!route || name->flags & TW_NAME_NO_MATCH) {
		fprintf(out, " refused\n");
		return;
	}
	fprintf(out, " %s", route->name);
	for (uint32_t i = 0; i < route->n_slots; i++) {
		const struct table_slot *slot = &t->slots[route->first_slot + i];

		fprintf(out, "%c%s*%u", i ? ',' : ' ',
			slot->backend == TABLE_NONE ? "refused" : t->backends[slot->backend]->text,
			slot->weight);
	}
	fputc('\n', out);
}

static int compare_names(const void *left, const void *right, void *table)
{
	const struct table_name *a = left, *b = right;
	const struct table *t = table;
	int by = strcmp(t->listeners[a->listener].config->name,
			t->listeners[b->listener].config->name);

	return by ? by : strcmp(a->pattern, b->pattern);
}

static void print_conditions(FILE *out, const json_t *conditions)
{
	json_t *c;
	size_t i;

	json_array_foreach (conditions, i, c) {
		if (!strcmp(json_string_value(json_object_get(c, "reason")), "NoConflicts"))
			continue;
		fprintf(out, " %s=%s/%s", json_string_value(json_object_get(c, "type")),
			json_string_value(json_object_get(c, "status")),
			json_string_value(json_object_get(c, "reason")));
	}
	fputc('\n', out);
}

static void print_item(FILE *out, const json_t *item)
{
	const json_t *status = json_object_get(item, "status"),
		     *meta = json_object_get(item, "metadata");
	const char *kind = json_string_value(json_object_get(item, "kind"));
	const char *name = json_string_value(json_object_get(meta, "name"));
	json_t *part;
	size_t i;

	if (json_object_get(status, "conditions")) {
		fprintf(out, "%s %s:", kind, name);
		print_conditions(out, json_object_get(status, "conditions"));
	}
	json_array_foreach (json_object_get(status, "listeners"), i, part) {
		fprintf(out, "%s %s %s: attached %lld kinds %zu", kind, name,
			json_string_value(json_object_get(part, "name")),
			json_integer_value(json_object_get(part, "attachedRoutes")),
			json_array_size(json_object_get(part, "supportedKinds")));
		print_conditions(out, json_object_get(part, "conditions"));
	}
	json_array_foreach (json_object_get(status, "parents"), i, part) {
		fprintf(out, "%s %s:", kind, name);
		print_conditions(out, json_object_get(part, "conditions"));
	}
}

/* A configuration, its table and what was wrong with it. */
struct outcome {
	struct config_problems problems;
	struct config *config;
	struct table *table;
};

/* Problems of the configuration, not those of the table, go to @out (NULL = nowhere). */
static void outcome_init(struct outcome *o, const char *text, size_t len, FILE *out)
{
	*o = (struct outcome){};
	config_problems_init(&o->problems);
	(void)config_parse("f", text, len, &o->config, &o->problems);
	assert_non_null(o->config);
	if (out)
		config_problems_print(&o->problems, out);
	assert_int_equal(table_build(o->config, NULL, 0, &o->problems, &o->table), 0);
}

static void outcome_fini(struct outcome *o)
{
	table_free(o->table);
	config_free(o->config);
	config_problems_fini(&o->problems);
}

static char *result_of(const char *text, size_t len)
{
	struct outcome o;
	struct table *table;
	char *result = NULL;
	size_t size, i;
	json_t *items, *item;
	FILE *out = open_memstream(&result, &size);

	assert_non_null(out);
	outcome_init(&o, text, len, out);
	table = o.table;
	if (table->n_names)
		qsort_r(table->names, table->n_names, sizeof(*table->names), compare_names, table);
	for (i = 0; i < table->n_names; i++)
		print_name(out, table, &table->names[i]);
	if (o.config->gateway) {
		items = gateway_status(o.config->gateway, NULL, NULL, NULL);
		json_array_foreach (items, i, item)
			print_item(out, item);
		json_decref(items);
	}
	fclose(out);
	outcome_fini(&o);
	return result;
}

/* --- cases ----------------------------------------------------------------------------------- */

/* *@n_wrong counts those that came out differently; each is shown. */
static size_t check_file(const char *path, size_t *n_wrong)
{
	_cleanup_free_ char *all = read_file(path);
	char *next, *input, *expected;
	size_t n = 0;

	assert_int_equal(strncmp(all, "====\n", 5), 0);
	for (input = all + 5; input; input = next, n++) {
		_cleanup_free_ char *result = NULL;

		expected = strstr(input, "\n----\n");
		assert_non_null(expected);
		result = result_of(input, (size_t)(expected + 1 - input));
		expected += 6;
		next = strncmp(expected, "====\n", 5) ? strstr(expected, "\n====\n") : expected - 1;
		if (next) {
			next[1] = '\0';
			next += 6;
		}
		if (!strcmp(result, expected))
			continue;
		++*n_wrong;
		fprintf(stderr, "case %zu of %s\n%.*s-- expected:\n%s-- came:\n%s", n + 1, path,
			(int)strcspn(input, "\n") + 1, input, expected, result);
	}
	return n;
}

static void every_case_gives_the_names_and_statuses_of_its_rule(void **state)
{
	DIR *dir = opendir(CASES);
	struct dirent *entry;
	size_t n = 0, n_wrong = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		_cleanup_free_ char *path = NULL;

		if (!strstr(entry->d_name, ".cases"))
			continue;
		assert_true(asprintf(&path, CASES "/%s", entry->d_name) > 0);
		n += check_file(path, &n_wrong);
	}
	closedir(dir);
	assert_int_equal(n_wrong, 0);
	assert_true(n >= CASES_AT_LEAST);
}

/* --- more endpoints than a route has room for ------------------------------------------------- */

/* A Service with @n endpoints 10.@number.x.y. */
static void print_service(FILE *out, unsigned int number, unsigned int n)
{
	fprintf(out,
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: s%u}\n"
		"spec: {ports: [{port: 443}]}\n",
		number);
	for (unsigned int first = 0; first < n; first += 1000) {
		fprintf(out,
			"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			"metadata: {name: s%u-%u, labels: {kubernetes.io/service-name: s%u}}\n"
			"addressType: IPv4\nports: [{port: 443}]\nendpoints:\n",
			number, first, number);
		for (unsigned int i = first; i < n && i < first + 1000; i++)
			fprintf(out, "- {addresses: [10.%u.%u.%u]}\n", number, i / 250, i % 250);
	}
}

/* One route with a reference of weight @weights[i] to a Service with @sizes[i] endpoints. */
static char *objects_with_endpoints(const unsigned int *sizes, const unsigned int *weights,
				    unsigned int n)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	fprintf(out, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
		     "metadata: {name: gw}\nspec:\n  gatewayClassName: any\n  listeners:\n"
		     "  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}\n"
		     "---\napiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\n"
		     "metadata: {name: r}\nspec:\n  parentRefs: [{name: gw}]\n"
		     "  hostnames: [app.example.com]\n  rules: [{backendRefs: [");
	for (unsigned int i = 0; i < n; i++)
		fprintf(out, "%s{name: s%u, port: 443, weight: %u}", i ? ", " : "", i, weights[i]);
	fprintf(out, "]}]\n");
	for (unsigned int i = 0; i < n; i++)
		print_service(out, i, sizes[i]);
	fclose(out);
	return text;
}

/* What the endpoints of Service @number have in all, and how many there are. */
static uint64_t weight_of(const struct table *t, unsigned int number, size_t *ret_n)
{
	uint64_t weight = 0;
	char prefix[16];

	*ret_n = 0;
	snprintf(prefix, sizeof(prefix), "10.%u.", number);
	for (size_t i = 0; i < t->n_slots; i++) {
		if (strncmp(t->backends[t->slots[i].backend]->text, prefix, strlen(prefix)) != 0)
			continue;
		weight += t->slots[i].weight;
		++*ret_n;
	}
	return weight;
}

/* 16 of 64 listeners are one too many: it goes without, and the others do not. */
static void a_listener_without_room_is_left_out_alone(void **state)
{
	_cleanup_free_ char *text = NULL, *shown = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct outcome o;
	json_t *items;

	(void)state;
	assert_non_null(out);
	for (unsigned int i = 0; i < 17; i++) {
		fprintf(out,
			"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
			"metadata: {name: g%02u}\nspec:\n  gatewayClassName: any\n  listeners:\n",
			i);
		for (unsigned int k = 0; k < 64; k++)
			fprintf(out,
				"  - {name: l%u, port: %u, protocol: TLS, hostname: "
				"h%u-%u.example, "
				"tls: {mode: Passthrough}}\n",
				k, 443 + k, i, k);
	}
	fclose(out);
	outcome_init(&o, text, strlen(text), NULL);
	assert_int_equal(o.problems.n, 0);
	assert_int_equal(o.table->n_listeners, TW_LISTENERS_MAX - 1);
	items = gateway_status(o.config->gateway, "Gateway", "g15", NULL);
	shown = json_dumps(items, 0);
	/* Of one listener alone. */
	assert_non_null(strstr(shown, "NoResources"));
	assert_null(strstr(strstr(shown, "NoResources") + 1, "NoResources"));
	json_decref(items);
	items = gateway_status(o.config->gateway, "Gateway", "g16", NULL);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(
				json_object_get(json_object_get(json_array_get(items, 0), "status"),
						"conditions"),
				1),
			"reason")),
		"NoResources");
	json_decref(items);
	outcome_fini(&o);
}

static void print_gateway(FILE *out, const char *name, const char *address, const char *created)
{
	fprintf(out,
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
		"metadata: {name: %s, creationTimestamp: \"%s\"}\nspec:\n  gatewayClassName: any\n"
		"  addresses: [{value: %s}]\n  listeners:\n",
		name, created, address);
}

static bool has_room(const struct gateway *gateway, const char *name)
{
	json_t *items = gateway_status(gateway, "Gateway", name, NULL);
	_cleanup_free_ char *shown = json_dumps(items, 0);
	bool found = !strstr(shown, "NoResources");

	json_decref(items);
	return found;
}

/* On another address than the one without room: none of that one's names could come to it. */
static void a_broader_listener_elsewhere_keeps_its_room(void **state)
{
	_cleanup_free_ char *text = NULL;
	char name[8];
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct outcome o;

	(void)state;
	assert_non_null(out);
	print_gateway(out, "old", "10.9.0.1", "2020-01-01T00:00:00Z");
	fputs("  - {name: l, port: 443, protocol: TLS, tls: {mode: Passthrough}}\n", out);
	for (unsigned int i = 0; i < TW_BINDS_MAX - 2; i++) {
		snprintf(name, sizeof(name), "m%u", i / 64);
		if (i % 64 == 0)
			print_gateway(out, name, "10.9.0.2", "2021-01-01T00:00:00Z");
		fprintf(out, "  - {name: l%u, port: %u, protocol: TLS, tls: {mode: Passthrough}}\n",
			i, 1000 + i);
	}
	print_gateway(out, "new", "10.9.0.2", "2024-01-01T00:00:00Z");
	fputs("  - {name: l, port: 443, protocol: TLS, hostname: app.example.com, tls: {mode: "
	      "Passthrough}}\n",
	      out);
	fclose(out);
	outcome_init(&o, text, strlen(text), NULL);
	assert_int_equal(o.problems.n, 0);
	assert_int_equal(o.table->n_listeners, TW_BINDS_MAX - 1);
	assert_true(has_room(o.config->gateway, "old"));
	assert_false(has_room(o.config->gateway, "new"));
	outcome_fini(&o);
}

static void every_reference_has_room_where_one_has_too_many_endpoints(void **state)
{
	static const unsigned int sizes[] = {2500, 1, 300}, weights[] = {1, 1, 2};
	_cleanup_free_ char *text = objects_with_endpoints(sizes, weights, 3);
	json_t *items;
	char *shown;
	uint64_t large;
	struct outcome o;
	size_t n;

	(void)state;
	outcome_init(&o, text, strlen(text), NULL);
	assert_int_equal(o.problems.n, 0);
	assert_int_equal(o.table->n_slots, TW_ROUTE_BACKENDS_MAX);
	large = weight_of(o.table, 0, &n);
	assert_int_equal(n, TW_ROUTE_BACKENDS_MAX - 1 - 300);
	/* Shares are whole numbers of at most TW_WEIGHT_MAX. */
	assert_true(weight_of(o.table, 1, &n) * 99 / 100 <= large);
	assert_true(weight_of(o.table, 1, &n) * 101 / 100 >= large);
	assert_int_equal(n, 1);
	assert_true(weight_of(o.table, 2, &n) * 99 / 200 <= large);
	assert_true(weight_of(o.table, 2, &n) * 101 / 200 >= large);
	assert_int_equal(n, 300);
	items = gateway_status(o.config->gateway, "TLSRoute", "r", NULL);
	shown = json_dumps(items, 0);
	assert_non_null(strstr(shown, "a route has room for 1024"));
	free(shown);
	json_decref(items);
	outcome_fini(&o);
}

static void sixteen_large_references_have_the_same_room(void **state)
{
	unsigned int sizes[16], weights[16];
	struct outcome o;
	char *text;
	size_t n;

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		sizes[i] = 200;
		weights[i] = 1;
	}
	text = objects_with_endpoints(sizes, weights, 16);
	outcome_init(&o, text, strlen(text), NULL);
	for (unsigned int i = 0; i < 16; i++) {
		assert_int_equal(weight_of(o.table, i, &n), 64);
		assert_int_equal(n, 64);
	}
	outcome_fini(&o);
	free(text);
}

static void a_small_weight_stays_small_with_many_endpoints(void **state)
{
	static const unsigned int sizes[] = {1, 100}, weights[] = {1000000, 3};
	_cleanup_free_ char *text = objects_with_endpoints(sizes, weights, 2);
	struct outcome o;
	size_t n;

	(void)state;
	outcome_init(&o, text, strlen(text), NULL);
	assert_int_equal(weight_of(o.table, 0, &n), 1000000);
	assert_int_equal(weight_of(o.table, 1, &n), 3);
	outcome_fini(&o);
}

/* --- times of conditions ---------------------------------------------------------------------- */

#define GATEWAY_AND_ROUTE                                                                          \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n"   \
	"  gatewayClassName: any\n  listeners:\n"                                                  \
	"  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}\n---\n"               \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\nmetadata: {name: r}\nspec:\n"   \
	"  parentRefs: [{name: gw}]\n  hostnames: [app.example.com]\n"                             \
	"  rules: [{backendRefs: [{name: app, port: 443}]}]\n"
#define SERVICE                                                                                    \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: app}\n"                              \
	"spec: {clusterIP: 10.0.0.1, ports: [{port: 443}]}\n"

/* lastTransitionTime of a condition of the first item's first listener or parent, or its own. */
static void assert_since(const struct gateway *gateway, const char *kind, const char *part,
			 const char *type, const char *expected)
{
	json_t *items = gateway_status(gateway, kind, NULL, NULL), *condition;
	const json_t *status = json_object_get(json_array_get(items, 0), "status");
	const char *since = NULL;
	size_t i;

	if (part)
		status = json_array_get(json_object_get(status, part), 0);
	json_array_foreach (json_object_get(status, "conditions"), i, condition)
		if (!strcmp(json_string_value(json_object_get(condition, "type")), type))
			since = json_string_value(json_object_get(condition, "lastTransitionTime"));
	if (expected)
		assert_string_equal(since, expected);
	else
		assert_null(since);
	json_decref(items);
}

#define AT_100 "1970-01-01T00:01:40Z"
#define AT_200 "1970-01-01T00:03:20Z"

static void a_condition_has_the_time_when_its_status_changed(void **state)
{
	static const char *const texts[] = {GATEWAY_AND_ROUTE, GATEWAY_AND_ROUTE SERVICE,
					    GATEWAY_AND_ROUTE SERVICE};
	struct outcome o[3];
	struct gateway *gw[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		outcome_init(&o[i], texts[i], strlen(texts[i]), NULL);
		gw[i] = o[i].config->gateway;
		assert_since(gw[i], "TLSRoute", "parents", "Accepted", NULL);
		gateway_date(gw[i], i ? gw[i - 1] : NULL, 100 * ((int64_t)i + 1));
	}
	assert_since(gw[0], "TLSRoute", "parents", "ResolvedRefs", AT_100);
	assert_since(gw[1], "TLSRoute", "parents", "ResolvedRefs", AT_200);
	assert_since(gw[2], "TLSRoute", "parents", "ResolvedRefs", AT_200);
	for (size_t i = 0; i < 3; i++) {
		assert_since(gw[i], "TLSRoute", "parents", "Accepted", AT_100);
		assert_since(gw[i], "Gateway", NULL, "Programmed", AT_100);
		assert_since(gw[i], "Gateway", "listeners", "Conflicted", AT_100);
		outcome_fini(&o[i]);
	}
}

static void a_store_that_is_resolved_again_keeps_its_times(void **state)
{
	static const char text[] = GATEWAY_AND_ROUTE;
	struct config *again = calloc(1, sizeof(*again));
	struct outcome o;

	(void)state;
	assert_non_null(again);
	outcome_init(&o, text, strlen(text), NULL);
	gateway_date(o.config->gateway, NULL, 100);
	assert_int_equal(gateway_resolve(o.config->gateway, again), 0);
	gateway_date(o.config->gateway, NULL, 200);
	assert_since(o.config->gateway, "TLSRoute", "parents", "ResolvedRefs", AT_100);
	assert_since(o.config->gateway, "Gateway", "listeners", "ResolvedRefs", AT_100);
	config_free(again);
	outcome_fini(&o);
}

/* --- addresses of a Gateway ------------------------------------------------------------------- */

static const uint8_t host_addrs[][16] = {
	{[10] = 0xff, 0xff, 127, 0, 0, 1},
	{[10] = 0xff, 0xff, 198, 51, 100, 7},
	{[10] = 0xff, 0xff, 169, 254, 0, 7},
	{[15] = 1},
	{0xfe, 0x80, [15] = 7},
	{0x20, 0x01, 0x0d, 0xb8, [15] = 7},
	{0x20, 0x01, 0x0d, 0xb8, [15] = 7},
};

static void assert_addresses(const char *asked_for, const char *expected)
{
	const struct config_host host = {host_addrs, sizeof(host_addrs) / sizeof(*host_addrs),
					 NULL};
	_cleanup_free_ char *text = NULL, *shown = NULL;
	struct outcome o;
	json_t *items;

	assert_true(
		asprintf(&text,
			 "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
			 "metadata: {name: gw}\nspec:\n  gatewayClassName: any\n  addresses: %s\n"
			 "  listeners:\n"
			 "  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}\n",
			 asked_for) > 0);
	outcome_init(&o, text, strlen(text), NULL);
	items = gateway_status(o.config->gateway, "Gateway", "gw", &host);
	shown = json_dumps(
		json_object_get(json_object_get(json_array_get(items, 0), "status"), "addresses"),
		JSON_COMPACT);
	assert_string_equal(shown, expected);
	json_decref(items);
	outcome_fini(&o);
}

static void a_gateway_has_the_addresses_that_can_be_dialled(void **state)
{
	(void)state;
	assert_addresses("[{value: 192.0.2.1}, {value: \"2001:db8::1\"}]",
			 "[{\"type\":\"IPAddress\",\"value\":\"192.0.2.1\"},"
			 "{\"type\":\"IPAddress\",\"value\":\"2001:db8::1\"}]");
	/* On all addresses: those of the host that others can dial, each once. */
	assert_addresses("[]", "[{\"type\":\"IPAddress\",\"value\":\"198.51.100.7\"},"
			       "{\"type\":\"IPAddress\",\"value\":\"2001:db8::7\"}]");
	assert_addresses("[{type: IPAddress}]",
			 "[{\"type\":\"IPAddress\",\"value\":\"198.51.100.7\"},"
			 "{\"type\":\"IPAddress\",\"value\":\"2001:db8::7\"}]");
	assert_addresses("[{value: 0.0.0.0}]",
			 "[{\"type\":\"IPAddress\",\"value\":\"198.51.100.7\"}]");
	assert_addresses("[{value: \"2001:db8::1\"}, {value: \"2001:db8:0::1\"}]",
			 "[{\"type\":\"IPAddress\",\"value\":\"2001:db8::1\"}]");
	/* Not accepted, not usable: nothing is bound. */
	assert_addresses("[{value: 192.0.2.1}, {type: Hostname, value: a.example}]", "[]");
	assert_addresses("[{value: 192.0.2.1}, {value: 224.0.0.1}]", "[]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_gives_the_names_and_statuses_of_its_rule),
		cmocka_unit_test(a_listener_without_room_is_left_out_alone),
		cmocka_unit_test(a_broader_listener_elsewhere_keeps_its_room),
		cmocka_unit_test(every_reference_has_room_where_one_has_too_many_endpoints),
		cmocka_unit_test(sixteen_large_references_have_the_same_room),
		cmocka_unit_test(a_small_weight_stays_small_with_many_endpoints),
		cmocka_unit_test(a_condition_has_the_time_when_its_status_changed),
		cmocka_unit_test(a_store_that_is_resolved_again_keeps_its_times),
		cmocka_unit_test(a_gateway_has_the_addresses_that_can_be_dialled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
