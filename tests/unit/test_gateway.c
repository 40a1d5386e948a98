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
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

#include "base/cleanup.h"
#include "model/gateway.h"
#include "model/table.h"

#define CASES	       "tests/unit/gateway"
#define CASES_AT_LEAST 500

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

static char *result_of(const char *text, size_t len)
{
	struct config_problems problems;
	struct table *table = NULL;
	struct config *config;
	char *result = NULL;
	size_t size, i;
	json_t *items, *item;
	FILE *out = open_memstream(&result, &size);

	assert_non_null(out);
	config_problems_init(&problems);
	(void)config_parse("f", text, len, &config, &problems);
	assert_non_null(config);
	config_problems_print(&problems, out);
	assert_int_equal(table_build(config, NULL, 0, &problems, &table), 0);
	if (table->n_names)
		qsort_r(table->names, table->n_names, sizeof(*table->names), compare_names, table);
	for (i = 0; i < table->n_names; i++)
		print_name(out, table, &table->names[i]);
	if (config->gateway) {
		items = gateway_status(config->gateway, NULL, NULL);
		json_array_foreach (items, i, item)
			print_item(out, item);
		json_decref(items);
	}
	fclose(out);
	table_free(table);
	config_free(config);
	config_problems_fini(&problems);
	return result;
}

/* --- cases ----------------------------------------------------------------------------------- */

static char *read_file(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		fail_msg("%s: %s (tests run in the root of the tree)", path, strerror(errno));
	assert_true(getdelim(&text, &size, '\0', file) > 0);
	return text;
}

static size_t check_file(const char *path)
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
		if (strcmp(result, expected))
			fail_msg("case %zu of %s\n%.*s-- expected:\n%s-- came:\n%s", n + 1, path,
				 (int)strcspn(input, "\n") + 1, input, expected, result);
	}
	return n;
}

static void every_case_gives_the_names_and_statuses_of_its_rule(void **state)
{
	DIR *dir = opendir(CASES);
	struct dirent *entry;
	size_t n = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		_cleanup_free_ char *path = NULL;

		if (!strstr(entry->d_name, ".cases"))
			continue;
		assert_true(asprintf(&path, CASES "/%s", entry->d_name) > 0);
		n += check_file(path);
	}
	closedir(dir);
	assert_true(n >= CASES_AT_LEAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_gives_the_names_and_statuses_of_its_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
