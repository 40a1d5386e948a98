// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A change of a few Kubernetes objects gives what reading everything anew would give: after each of
 * many random changes, made and sometimes unmade, the configuration and all statuses are compared
 * with those of a fresh one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../lib/show_config.h"
#include "base/cleanup.h"
#include "model/config_change.h"
#include "model/gateway.h"

#define FILES	  3
#define DOCUMENTS 40 /* of a file */
#define ROUNDS	  600

/* --- texts ------------------------------------------------------------------------------------ */

/* What one document says; all of it drawn at random. */
struct part {
	bool is_there;
	unsigned int what, number, variant, lines;
	const char *flaw; /* a line more; "" = none */
};

static struct part parts[FILES][DOCUMENTS];

static unsigned int any(unsigned int n)
{
	static uint64_t state = 42;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)((state >> 32) % n);
}

/* Each object has one place, so that none stands twice. */
static void draw(struct part *part, unsigned int file, unsigned int i)
{
	static const char *const flaws[] = {
		"", "more: 1\n", "metadata: {name: Bad}\n",
		"---\n{apiVersion: v1, kind: Servce, metadata: {name: x}}\n"};

	part->is_there = any(4) != 0;
	part->what = i % 3;
	part->number = file * DOCUMENTS + i;
	part->variant = any(4);
	part->lines = any(3);
	/* Each is worth a warning (the second of a kind none), or an error. */
	part->flaw = flaws[any(30) ? 0 : 1 + any(3)];
}

static void write_part(FILE *out, const struct part *part)
{
	unsigned int near = part->number / 3;

	fprintf(out, "---\n");
	for (unsigned int i = 0; i < part->lines; i++)
		fprintf(out, "# a line\n");
	switch (part->what) {
	case 0:
		fprintf(out,
			"apiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\n"
			"metadata: {name: r%u, creationTimestamp: \"2026-01-0%uT00:00:00Z\"}\n"
			"spec:\n  parentRefs: [{name: %s}]\n  hostnames: [h%u.example.com]\n"
			"  rules: [{backendRefs: [{name: s%u, port: 443, weight: %u}, "
			"{name: s%u, port: %u}]}]\n",
			part->number, 1 + part->variant, part->variant == 3 ? "nobody" : "gw",
			part->number % 7, near, part->variant, (near + part->variant) % 50,
			part->variant == 2 ? 1 : 443);
		break;
	case 1:
		fprintf(out,
			"apiVersion: v1\nkind: Service\nmetadata: {name: s%u}\n"
			"spec: {clusterIP: 10.96.0.%u, ports: [{port: 443, targetPort: %u}]}\n",
			near, near % 250 + 1, 8443 + part->variant);
		break;
	default:
		fprintf(out,
			"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			"metadata: {name: e%u, labels: {kubernetes.io/service-name: s%u}}\n"
			"addressType: IPv4\nports: [{port: %u}]\n"
			"endpoints: [{addresses: [10.0.%u.%u]}, {addresses: [10.1.0.%u]}]\n",
			part->number, (near + part->variant) % 50, 8443 + part->variant,
			part->variant, near % 250, part->number % 250);
	}
	fputs(part->flaw, out);
}

static char *write_text(unsigned int file)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	if (!file)
		fprintf(out, "listeners: [{port: 9443, name: own}]\nroutes:\n"
			     "- {hostnames: [a.own], backends: [\"10.2.0.1:1\"]}\n"
			     "- {hostnames: [b.own], backends: [\"10.2.0.1:1\"]}\n"
			     "- {hostnames: [c.own], backends: [\"10.2.0.1:1\"]}\n"
			     "---\napiVersion: apps/v1\nkind: Deployment\n"
			     "---\napiVersion: v1\nkind: Service\nmetadata: {name: bad}\n"
			     "---\napiVersion: v1\nkind: service\nmetadata: {name: near}\n");
	for (unsigned int i = 0; i < DOCUMENTS; i++)
		if (parts[file][i].is_there)
			write_part(out, &parts[file][i]);
	/* One that moves with what stands before it. */
	if (file == 1)
		fprintf(out,
			"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
			"metadata: {name: gw}\nspec:\n  gatewayClassName: any\n  listeners:\n"
			"  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}\n");
	fclose(out);
	return text;
}

static void write_texts(struct config_text texts[FILES])
{
	static char *const names[FILES] = {"a.yaml", "b.yaml", "c.yaml"};

	for (unsigned int i = 0; i < FILES; i++) {
		texts[i].file = names[i];
		texts[i].text = write_text(i);
		texts[i].len = strlen(texts[i].text);
	}
}

static void free_texts(struct config_text texts[FILES])
{
	for (unsigned int i = 0; i < FILES; i++)
		free(texts[i].text);
}

static struct config *read_all(const struct config_text texts[FILES])
{
	struct config_problems problems;
	struct config *config;

	config_problems_init(&problems);
	(void)config_parse_texts(texts, FILES, &config, &problems);
	assert_false(config->has_fatal);
	assert_false(config->has_problems);
	assert_int_equal(config->n_object_errors, problems.n_errors);
	config_problems_fini(&problems);
	return config;
}

/* --- tests ------------------------------------------------------------------------------------ */

static bool has_flaw(const struct part *part)
{
	return part->is_there && *part->flaw;
}

/* Does a document with a flaw come or go? */
static bool change_something(void)
{
	bool is_flawed = false;

	for (unsigned int n = 1 + any(4); n; n--) {
		unsigned int file = any(FILES), i = any(DOCUMENTS);

		is_flawed |= has_flaw(&parts[file][i]);
		draw(&parts[file][i], file, i);
		is_flawed |= has_flaw(&parts[file][i]);
	}
	return is_flawed;
}

static void a_change_gives_what_reading_anew_gives(void **state)
{
	struct config_text texts[FILES], before[FILES];
	struct config *live;
	unsigned int n_made = 0;

	(void)state;
	for (unsigned int file = 0; file < FILES; file++)
		for (unsigned int i = 0; i < DOCUMENTS; i++)
			draw(&parts[file][i], file, i);
	write_texts(before);
	live = read_all(before);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		_cleanup_free_ char *expected = NULL, *found = NULL, *old = show_config(live);
		struct config_change *change = NULL;
		struct config *fresh;
		bool is_flawed = change_something();
		int err;

		write_texts(texts);
		fresh = read_all(texts);
		expected = show_config(fresh);
		err = config_change_find(live, texts, FILES, &change);
		if (!err) {
			n_made++;
			assert_int_equal(config_change_make(change), 0);
			if (!any(3)) {
				_cleanup_free_ char *unmade = NULL;

				assert_int_equal(config_change_make(change), 0);
				unmade = show_config(live);
				assert_string_equal(unmade, old);
				assert_int_equal(config_change_make(change), 0);
			}
			config_change_free(change);
			config_free(fresh);
		} else {
			/* The native document's place does not change: nothing did. */
			assert_int_equal(err, -EAGAIN);
			assert_true(is_flawed || !strcmp(expected, old));
			config_free(live);
			live = fresh;
		}
		found = show_config(live);
		assert_string_equal(found, expected);
		free_texts(before);
		memcpy(before, texts, sizeof(before));
	}
	assert_in_range(n_made, ROUNDS / 2, ROUNDS);
	free_texts(before);
	config_free(live);
}

static struct config *read_one(const char *text, struct config_text *ret)
{
	struct config_problems problems;
	struct config *config;

	*ret = (struct config_text){.file = "a.yaml", .text = (char *)text, .len = strlen(text)};
	config_problems_init(&problems);
	assert_int_equal(config_parse_texts(ret, 1, &config, &problems), 0);
	config_problems_fini(&problems);
	return config;
}

#define SIX_LINES(kind, name, rest)                                                                \
	"---\napiVersion: " kind "\nmetadata: {name: " name "}\nspec:\n" rest
#define SERVICE(name) SIX_LINES("v1\nkind: Service", name, "  ports: [{port: 443}]\n")
#define GATEWAY(name, port)                                                                        \
	SIX_LINES("gateway.networking.k8s.io/v1\nkind: Gateway", name,                             \
		  "  {gatewayClassName: any, listeners: [{name: tls, port: " port                  \
		  ", protocol: TLS, tls: {mode: Passthrough}}]}\n")

/* The first one comes to where the second one was. */
static void a_gateway_moves_to_where_another_was(void **state)
{
	struct config_change *change = NULL;
	struct config_text text;
	struct config *live = read_one(SERVICE("s") GATEWAY("a", "443") GATEWAY("b", "444"), &text);
	struct config *fresh =
		read_one(SERVICE("s") SERVICE("t") GATEWAY("a", "443") GATEWAY("b", "444"), &text);
	_cleanup_free_ char *expected = show_config(fresh), *found = NULL;

	(void)state;
	assert_int_equal(config_change_find(live, &text, 1, &change), 0);
	assert_int_equal(config_change_make(change), 0);
	found = show_config(live);
	assert_string_equal(found, expected);
	config_change_free(change);
	config_free(live);
	config_free(fresh);
}

/* Its Service makes a reference resolve, and then does not come after all. */
static void a_change_that_is_taken_back_leaves_the_times(void **state)
{
	static const char objects[] = GATEWAY("gw", "443") SIX_LINES(
		"gateway.networking.k8s.io/v1\nkind: TLSRoute", "r",
		"  {parentRefs: [{name: gw}], hostnames: [a.example.com], rules: [{backendRefs: "
		"[{name: s, port: 443}]}]}\n") SERVICE("other");
	_cleanup_free_ char *longer = NULL, *before = NULL, *after = NULL;
	struct config_change *change = NULL;
	struct config_text text;
	struct config *live = read_one(objects, &text);

	(void)state;
	gateway_date(live->gateway, NULL, 1700000000);
	before = show_config(live);
	assert_true(asprintf(&longer, "%s%s", objects, SERVICE("s")) > 0);
	text.text = longer;
	text.len = strlen(longer);
	assert_int_equal(config_change_find(live, &text, 1, &change), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(config_change_make(change), 0);
	after = show_config(live);
	assert_string_equal(after, before);
	config_change_free(change);
	config_free(live);
}

/* Above the objects, which move; but where nothing at all is new, everything is looked at again. */
static void a_comment_is_a_change_of_nothing(void **state)
{
	struct config_change *change = NULL;
	struct config_text text;
	struct config *live = read_one("# one\n" SERVICE("s") GATEWAY("a", "443"), &text);
	struct config *fresh = read_one("# one\n# two\n" SERVICE("s") GATEWAY("a", "443"), &text);
	_cleanup_free_ char *expected = show_config(fresh), *found = NULL;

	(void)state;
	assert_int_equal(config_change_find(live, &text, 1, &change), 0);
	assert_int_equal(config_change_n_routes(change), 0);
	assert_int_equal(config_change_make(change), 0);
	config_change_free(change);
	found = show_config(live);
	assert_string_equal(found, expected);
	assert_int_equal(config_change_find(live, &text, 1, &change), -EAGAIN);
	config_free(live);
	config_free(fresh);
}

/* Objects, and @n ConfigMaps that have 1.3 million values each, aliases written out. */
static char *write_large(const char *objects, unsigned int n)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fputs(objects, out);
	for (unsigned int i = 0; i < n; i++) {
		fprintf(out, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%u}\n", i);
		fprintf(out, "data:\n  a: &a [");
		for (unsigned int k = 0; k < 1000; k++)
			fprintf(out, "x,");
		fprintf(out, "]\n  b: [");
		for (unsigned int k = 0; k < 1300; k++)
			fprintf(out, "*a ,");
		fprintf(out, "]\n");
	}
	fclose(out);
	return text;
}

/* No document has too many values by itself. */
static void a_change_may_not_have_more_values_than_the_whole(void **state)
{
	_cleanup_free_ char *before = write_large(SERVICE("s"), 3);
	_cleanup_free_ char *more = write_large(SERVICE("s") SERVICE("t"), 3);
	_cleanup_free_ char *too_many = write_large(SERVICE("s") SERVICE("t"), 4);
	struct config_change *change = NULL;
	struct config_text text;
	struct config *live = read_one(before, &text);

	(void)state;
	text = (struct config_text){.file = "a.yaml", .text = more, .len = strlen(more)};
	assert_int_equal(config_change_find(live, &text, 1, &change), 0);
	config_change_free(change);
	text = (struct config_text){.file = "a.yaml", .text = too_many, .len = strlen(too_many)};
	assert_int_equal(config_change_find(live, &text, 1, &change), -EAGAIN);
	config_free(live);
}

/* The second is not warned of by itself, and still not to be forgotten when it goes. */
static void a_slip_that_another_has_too_is_no_plain_document(void **state)
{
	static const char slips[] = GATEWAY("gw", "443")
		SERVICE("s") "---\n{apiVersion: v1, kind: Namespce, metadata: {name: a}}\n"
			     "---\n{apiVersion: v1, kind: Namespce, metadata: {name: b}}\n";
	_cleanup_free_ char *one_less =
		strndup(slips, strlen(slips) - strlen(strrchr(slips, '-') - 2));
	struct config_change *change = NULL;
	struct config_text text;
	struct config *live = read_one(slips, &text);

	(void)state;
	assert_non_null(one_less);
	text.text = one_less;
	text.len = strlen(one_less);
	assert_int_equal(config_change_find(live, &text, 1, &change), -EAGAIN);
	config_free(live);
}

/* Walking them all for each of them would take minutes. */
static void a_hundred_thousand_equal_documents_are_compared_in_seconds(void **state)
{
	_cleanup_free_ char *before = NULL, *after = NULL;
	struct config_change *change = NULL;
	struct timespec from, to;
	struct config_text text;
	struct config *live;
	size_t len;
	FILE *out = open_memstream(&before, &len);

	(void)state;
	assert_non_null(out);
	fputs(GATEWAY("gw", "443"), out);
	for (int i = 0; i < 100000; i++)
		fprintf(out, "---\n# equal\n---\n# %d\n", i);
	fclose(out);
	assert_true(asprintf(&after, "---\n# equal\n" SERVICE("s") "%s", before) > 0);
	live = read_one(before, &text);
	text = (struct config_text){.file = "a.yaml", .text = after, .len = strlen(after)};
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(config_change_find(live, &text, 1, &change), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec - from.tv_sec < 10);
	config_change_free(change);
	config_free(live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_gives_what_reading_anew_gives),
		cmocka_unit_test(a_gateway_moves_to_where_another_was),
		cmocka_unit_test(a_change_that_is_taken_back_leaves_the_times),
		cmocka_unit_test(a_comment_is_a_change_of_nothing),
		cmocka_unit_test(a_change_may_not_have_more_values_than_the_whole),
		cmocka_unit_test(a_slip_that_another_has_too_is_no_plain_document),
		cmocka_unit_test(a_hundred_thousand_equal_documents_are_compared_in_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
