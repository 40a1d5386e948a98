// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The configuration resolved into the flat route table: who has which name, shares, what is left
 * out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/index.h"
#include "model/shares.h"
#include "model/table.h"

#define BACKENDS(address) "backends: [{address: '" address "'}]"

struct fixture {
	struct config *config;
	struct config_route *cli;
	size_t n_cli;
	struct config_problems problems;
	struct table *table;
};

static struct fixture *fixture_new(const char *yaml)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	config_problems_init(&f->problems);
	(void)config_parse("t.yaml", yaml, strlen(yaml), &f->config, &f->problems);
	assert_non_null(f->config);
	config_problems_fini(&f->problems); /* what the parser says is test_config's */
	config_problems_init(&f->problems);
	return f;
}

/* A route of the command line for @hostname. */
static void fixture_add_cli(struct fixture *f, const char *hostname, const char *listener)
{
	struct config_route *route;

	f->cli = reallocarray(f->cli, f->n_cli + 1, sizeof(*f->cli));
	assert_non_null(f->cli);
	route = &f->cli[f->n_cli++];
	*route = (struct config_route){.owner = TW_OWNER_CLI, .name = strdup(hostname)};
	route->hostnames = calloc(1, sizeof(char *));
	route->hostnames[route->n_hostnames++] = strdup(hostname);
	route->backends = calloc(1, sizeof(*route->backends));
	route->n_backends = 1;
	route->backends[0].weight = 1;
	strcpy(route->backends[0].backend.text, "10.0.0.99:443");
	if (listener) {
		route->listeners = calloc(1, sizeof(char *));
		route->listeners[route->n_listeners++] = strdup(listener);
	}
}

static void fixture_build(struct fixture *f)
{
	f->table = table_free(f->table);
	config_problems_fini(&f->problems);
	config_problems_init(&f->problems);
	assert_int_equal(table_build(f->config, f->cli, f->n_cli, &f->problems, &f->table), 0);
}

static void fixture_free(struct fixture *f)
{
	table_free(f->table);
	config_problems_fini(&f->problems);
	config_free(f->config);
	for (size_t i = 0; i < f->n_cli; i++)
		config_route_fini(&f->cli[i]);
	free(f->cli);
	free(f);
}

static struct fixture *built(const char *yaml)
{
	struct fixture *f = fixture_new(yaml);

	fixture_build(f);
	return f;
}

static const struct table_name *find(const struct fixture *f, const char *pattern, const char *alpn)
{
	for (size_t i = 0; i < f->table->n_names; i++) {
		const struct table_name *name = &f->table->names[i];
		const char *its = name->alpn ? f->table->alpns[name->alpn - 1] : "";

		if (!strcmp(name->pattern, pattern) && !strcmp(its, alpn))
			return name;
	}
	return NULL;
}

/* "LISTENER ROUTE" that @pattern leads to; "-" where it leads to no route; NULL: no entry. */
static const char *leads(const struct fixture *f, const char *pattern)
{
	static char text[TW_NAME_SIZE + TW_LABEL_SIZE];
	const struct table_name *name = find(f, pattern, "");

	if (!name)
		return NULL;
	snprintf(text, sizeof(text), "%s %s", f->table->listeners[name->listener].config->name,
		 name->route == TABLE_NONE ? "-" : f->table->routes[name->route].name);
	return text;
}

static const char *problem(const struct fixture *f)
{
	return f->problems.n ? f->problems.items[0].text : "";
}

/* --- names ------------------------------------------------------------------------------- */

static void pattern_covers_itself_and_what_is_narrower(void **state)
{
	(void)state;
	assert_true(table_covers("*", "a.b"));
	assert_true(table_covers("*", "*.b"));
	assert_true(table_covers("*.b", "a.b"));
	assert_true(table_covers("*.b", "x.a.b"));
	assert_true(table_covers("*.b", "*.b"));
	assert_true(table_covers("*.b", "*.a.b"));
	assert_false(table_covers("*.b", "b"));
	assert_false(table_covers("*.b", "ab"));
	assert_false(table_covers("*.a.b", "*.b"));
	assert_false(table_covers("*.b", "*"));
	assert_false(table_covers("a.b", "*.b"));
	assert_true(table_covers("a.b", "a.b"));
}

static void route_has_the_intersection_with_each_listener(void **state)
{
	struct fixture *f =
		built("listeners:\n"
		      "- {name: s, port: 1, hostname: '*.s.com'}\n"
		      "- {name: e, port: 2, hostname: e.com}\n"
		      "routes: [{name: r, hostnames: ['*.com'], " BACKENDS("10.0.0.1:1") "}]\n");

	(void)state;
	assert_int_equal(f->table->n_names, 2);
	assert_string_equal(leads(f, "*.s.com"), "s r");
	assert_string_equal(leads(f, "e.com"), "e r");
	fixture_free(f);
}

static void name_goes_to_the_most_specific_listener_only(void **state)
{
	struct fixture *f =
		built("listeners:\n"
		      "- {name: all, port: 1}\n"
		      "- {name: wide, port: 1, hostname: '*.com'}\n"
		      "- {name: deep, port: 1, hostname: '*.a.com'}\n"
		      "- {name: one, port: 1, hostname: x.a.com}\n"
		      "routes: [{name: r, hostnames: [x.a.com, y.a.com, b.com, c.net], " BACKENDS(
			      "10.0.0.1:1") "}]\n");

	(void)state;
	assert_string_equal(leads(f, "x.a.com"), "one r");
	assert_string_equal(leads(f, "y.a.com"), "deep r");
	assert_string_equal(leads(f, "b.com"), "wide r");
	assert_string_equal(leads(f, "c.net"), "all r");
	fixture_free(f);
}

static void listener_hostname_without_route_ends_the_search(void **state)
{
	struct fixture *f =
		built("listeners:\n"
		      "- {name: all, port: 1}\n"
		      "- {name: own, port: 1, hostname: '*.a.com'}\n"
		      "routes: [{name: r, hostnames: ['*'], listeners: [all], " BACKENDS(
			      "10.0.0.1:1") "}]\n");

	(void)state;
	assert_string_equal(leads(f, "*.a.com"), "own -");
	assert_int_equal(find(f, "*.a.com", "")->flags, TW_NAME_NO_MATCH);
	assert_string_equal(leads(f, "*"), "all r");
	fixture_free(f);
}

static void more_specific_hostname_of_a_later_route_has_the_name(void **state)
{
	struct fixture *f =
		built("listeners: [{name: l, port: 1, hostname: '*.foo.com'}]\n"
		      "routes:\n"
		      "- {name: broad, hostnames: ['*.com'], " BACKENDS(
			      "10.0.0.1:1") "}\n"
					    "- {name: own, hostnames: ['*.foo.com'], " BACKENDS(
						    "10.0.0.2:1") "}\n");

	(void)state;
	assert_string_equal(leads(f, "*.foo.com"), "l own");
	assert_int_equal(f->problems.n, 0);
	fixture_free(f);
}

static void earlier_route_keeps_a_name_that_both_have(void **state)
{
	struct fixture *f =
		built("listeners: [{name: l, port: 1, hostname: a.com}]\n"
		      "routes:\n"
		      "- {name: first, hostnames: ['*.com'], " BACKENDS(
			      "10.0.0.1:1") "}\n"
					    "- {name: second, hostnames: ['*.com'], listeners: "
					    "[l], " BACKENDS("10.0.0.2:1") "}\n");

	(void)state;
	assert_string_equal(leads(f, "a.com"), "l first");
	assert_int_equal(f->problems.n_errors, 1);
	assert_string_equal(problem(f),
			    "route second: a.com on listener l is already taken by route "
			    "first (t.yaml:3); left out");
	assert_int_equal(f->problems.items[0].pos.line, 4);
	assert_int_equal(f->table->n_routes, 1);
	fixture_free(f);
}

static void file_route_has_its_name_before_the_command_line(void **state)
{
	struct fixture *f = fixture_new(
		"listeners: [{name: l, port: 1}]\n"
		"routes: [{name: r, hostnames: [a.com], " BACKENDS("10.0.0.1:1") "}]\n");

	(void)state;
	fixture_add_cli(f, "b.com", NULL);
	fixture_add_cli(f, "a.com", NULL);
	fixture_build(f);
	assert_string_equal(leads(f, "a.com"), "l r");
	assert_string_equal(leads(f, "b.com"), "l b.com");
	assert_int_equal(f->problems.n, 1);
	assert_true(f->problems.items[0].is_warning);
	/* It waits in the table, without a name. */
	assert_int_equal(f->table->n_routes, 3);
	fixture_free(f);
}

static void route_for_a_missing_listener_is_left_out_alone(void **state)
{
	struct fixture *f = fixture_new(
		"listeners: [{name: l, port: 1}]\n"
		"routes: [{name: r, hostnames: [a.com], " BACKENDS("10.0.0.1:1") "}]\n");

	(void)state;
	fixture_add_cli(f, "b.com", "gone");
	fixture_build(f);
	assert_string_equal(leads(f, "a.com"), "l r");
	assert_null(leads(f, "b.com"));
	assert_int_equal(f->problems.n, 1);
	assert_true(f->problems.items[0].is_warning);
	assert_string_equal(problem(f), "route b.com: there is no listener gone; left out");
	fixture_free(f);
}

/* --- ALPN -------------------------------------------------------------------------------- */

static void alpn_entries_are_announced_by_one_without(void **state)
{
	struct fixture *f =
		built("listeners: [{name: l, port: 1}]\n"
		      "routes:\n"
		      "- {name: h2, hostnames: [a.com, b.com], alpn: [h2, h3], " BACKENDS(
			      "10.0.0.1:1") "}\n"
					    "- {name: any, hostnames: [a.com], " BACKENDS(
						    "10.0.0.2:1") "}\n");

	(void)state;
	assert_string_equal(leads(f, "a.com"), "l any");
	assert_int_equal(find(f, "a.com", "")->flags, TW_NAME_ALPN);
	assert_string_equal(leads(f, "b.com"), "l -");
	assert_int_equal(find(f, "b.com", "")->flags, TW_NAME_ALPN | TW_NAME_ONLY_ALPN);
	assert_non_null(find(f, "b.com", "h2"));
	assert_non_null(find(f, "b.com", "h3"));
	assert_int_equal(f->table->n_alpns, 2);
	fixture_free(f);
}

static void alpn_only_on_a_listeners_own_hostname_does_not_open_it(void **state)
{
	struct fixture *f = built("listeners:\n"
				  "- {name: l, port: 1, hostname: a.com}\n"
				  "- {name: all, port: 1}\n"
				  "routes: [{name: h2, hostnames: [a.com], alpn: [h2], " BACKENDS(
					  "10.0.0.1:1") "}]\n");

	(void)state;
	assert_int_equal(find(f, "a.com", "")->flags, TW_NAME_ALPN | TW_NAME_NO_MATCH);
	fixture_free(f);
}

/* --- binds ------------------------------------------------------------------------------- */

static void listeners_of_one_port_share_a_bind_that_the_open_one_speaks_for(void **state)
{
	struct fixture *f = built("listeners:\n"
				  "- {name: a, port: 1, hostname: a.com}\n"
				  "- {name: all, port: 1}\n"
				  "- {name: other, port: 2, hostname: a.com}\n"
				  "- {name: at, port: 1, address: 10.0.0.1}\n");

	(void)state;
	assert_int_equal(f->table->n_binds, 3);
	assert_int_equal(f->table->binds[0].listener, 1);
	assert_int_equal(f->table->binds[1].listener, 2);
	assert_int_equal(f->table->listeners[3].bind, 2);
	fixture_free(f);
}

static void bind_knows_how_many_labels_its_wildcards_have(void **state)
{
	struct fixture *f =
		built("listeners: [{name: l, port: 1}]\n"
		      "routes: [{name: r, hostnames: ['*', '*.b.com', '*.c', d.e.f.g], " BACKENDS(
			      "10.0.0.1:1") "}]\n");

	(void)state;
	assert_int_equal(f->table->binds[0].wildcard_labels[0], 1 << 0 | 1 << 2 | 1 << 1);
	assert_int_equal(f->table->binds[0].wildcard_labels[1], 0);
	fixture_free(f);
}

static void refusals_with_backends_become_routes(void **state)
{
	struct fixture *f =
		built("listeners: [{name: l, port: 1, no_sni: [{address: '10.0.0.1:1'}],"
		      "not_tls: [{address: '10.0.0.2:22'}]}]\n");
	const struct table_listener *l = &f->table->listeners[0];

	(void)state;
	assert_string_equal(f->table->routes[l->no_sni].name, "l/no_sni");
	assert_string_equal(f->table->routes[l->not_tls].name, "l/not_tls");
	assert_int_equal(l->unknown_name, TABLE_NONE);
	assert_int_equal(f->table->n_names, 0);
	fixture_free(f);
}

/* --- backends and shares --------------------------------------------------------------------- */

static void backend_of_two_routes_is_one(void **state)
{
	struct fixture *f = built("listeners: [{name: l, port: 1}]\n"
				  "routes:\n"
				  "- {name: a, hostnames: [a.com], " BACKENDS(
					  "10.0.0.1:1") "}\n"
							"- {name: b, hostnames: [b.com], " BACKENDS(
								"10.0.0.1:1") "}\n");

	(void)state;
	assert_int_equal(f->table->n_backends, 1);
	assert_int_equal(f->table->n_slots, 2);
	fixture_free(f);
}

static void shares_are_divided_by_their_common_divisor(void **state)
{
	struct table_slot slots[] = {{.weight = 70}, {.weight = 20}, {}, {.weight = 10}};
	uint32_t total, stride;

	(void)state;
	shares_divide(slots, 4, &total, &stride);
	assert_int_equal(total, 10);
	assert_int_equal(slots[0].upto, 7);
	assert_int_equal(slots[1].upto, 9);
	assert_int_equal(slots[2].upto, 9);
	assert_int_equal(slots[3].upto, 10);
	assert_int_equal(slots[0].weight, 70);
	shares_divide(slots + 2, 1, &total, &stride);
	assert_int_equal(total, 0);
	assert_int_equal(stride, 0);
}

static void stride_visits_every_point_of_any_total(void **state)
{
	(void)state;
	for (uint32_t total = 1; total < 300; total++) {
		struct table_slot slots[] = {{.weight = 1}, {.weight = total - 1}};
		bool seen[300] = {};
		uint32_t is, stride;

		shares_divide(slots, 2, &is, &stride);
		assert_int_equal(is, total);
		for (uint32_t n = 0; n < total; n++) {
			uint32_t point = (uint64_t)n * stride % total;

			assert_false(seen[point]);
			seen[point] = true;
		}
	}
}

static void largest_shares_do_not_overflow(void **state)
{
	struct table_slot *slots = calloc(TW_ROUTE_BACKENDS_MAX, sizeof(*slots));
	uint32_t total, stride;

	(void)state;
	assert_non_null(slots);
	for (int i = 0; i < TW_ROUTE_BACKENDS_MAX; i++)
		slots[i].weight = TW_WEIGHT_MAX - (i == 1);
	shares_divide(slots, TW_ROUTE_BACKENDS_MAX, &total, &stride);
	assert_int_equal(total, TW_ROUTE_BACKENDS_MAX * (uint64_t)TW_WEIGHT_MAX - 1);
	assert_int_equal(slots[TW_ROUTE_BACKENDS_MAX - 1].upto, total);
	assert_in_range(stride, total / 2, total);
	free(slots);
}

static void hash_of_a_backend_never_changes(void **state)
{
	(void)state;
	/* Clients of balance: source would move to other backends with the next version. */
	assert_int_equal(shares_hash("10.0.0.1:443"), 0x4e715dc2);
	assert_int_equal(shares_hash(""), 2166136261u);
}

/* --- the hash index under it ------------------------------------------------------------------ */

static bool is_in(const struct index *ix, uint32_t hash, uint32_t value)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(ix, hash, &at)) != INDEX_NONE)
		if (i == value)
			return true;
	return false;
}

static void index_finds_what_was_added_and_not_what_was_removed(void **state)
{
	struct index ix = {};

	(void)state;
	assert_false(is_in(&ix, 1, 1));
	/* Few distinct hashes, so that runs of cells collide, wrap around and are closed again. */
	for (uint32_t i = 0; i < 3000; i++)
		assert_int_equal(index_add(&ix, i % 61 * 97, i), 0);
	for (uint32_t i = 0; i < 3000; i += 3)
		index_remove(&ix, i % 61 * 97, i);
	index_remove(&ix, 5, 12345); /* never there */
	for (uint32_t i = 0; i < 3000; i++)
		assert_int_equal(is_in(&ix, i % 61 * 97, i), i % 3 != 0);
	assert_int_equal(ix.used, 2000);
	index_fini(&ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pattern_covers_itself_and_what_is_narrower),
		cmocka_unit_test(route_has_the_intersection_with_each_listener),
		cmocka_unit_test(name_goes_to_the_most_specific_listener_only),
		cmocka_unit_test(listener_hostname_without_route_ends_the_search),
		cmocka_unit_test(more_specific_hostname_of_a_later_route_has_the_name),
		cmocka_unit_test(earlier_route_keeps_a_name_that_both_have),
		cmocka_unit_test(file_route_has_its_name_before_the_command_line),
		cmocka_unit_test(route_for_a_missing_listener_is_left_out_alone),
		cmocka_unit_test(alpn_entries_are_announced_by_one_without),
		cmocka_unit_test(alpn_only_on_a_listeners_own_hostname_does_not_open_it),
		cmocka_unit_test(listeners_of_one_port_share_a_bind_that_the_open_one_speaks_for),
		cmocka_unit_test(bind_knows_how_many_labels_its_wildcards_have),
		cmocka_unit_test(refusals_with_backends_become_routes),
		cmocka_unit_test(backend_of_two_routes_is_one),
		cmocka_unit_test(shares_are_divided_by_their_common_divisor),
		cmocka_unit_test(stride_visits_every_point_of_any_total),
		cmocka_unit_test(largest_shares_do_not_overflow),
		cmocka_unit_test(hash_of_a_backend_never_changes),
		cmocka_unit_test(index_finds_what_was_added_and_not_what_was_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
