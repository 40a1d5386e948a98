// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The tree that YAML text becomes: its shape, positions and bounds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "model/yaml.h"

/* [a, "b"] for a list, {k: v} for a mapping; each node's position behind it where @with_pos. */
static void print_node(FILE *out, const struct yaml_node *node, bool with_pos)
{
	static const char *const brackets[] = {"", "[]", "{}"};

	if (node->type == YAML_SCALAR) {
		fprintf(out, node->is_plain ? "%s" : "\"%s\"", node->text);
	} else {
		fputc(brackets[node->type][0], out);
		for (size_t i = 0; i < node->n; i++) {
			if (i)
				fputs(", ", out);
			if (node->type == YAML_SEQUENCE) {
				print_node(out, node->items[i], with_pos);
				continue;
			}
			print_node(out, node->items[2 * i], with_pos);
			fputs(": ", out);
			print_node(out, node->items[2 * i + 1], with_pos);
		}
		fputc(brackets[node->type][1], out);
	}
	if (with_pos)
		fprintf(out, "@%u:%u", node->line, node->column);
}

/* All documents, one a line; then the error. */
static char *tree_of(const char *text, size_t len, bool with_pos)
{
	struct yaml_error error;
	struct yaml_tree *tree;
	char *result = NULL;
	size_t size;
	FILE *out = open_memstream(&result, &size);
	int err = yaml_tree_load(text, len, 1, &tree, &error);

	assert_non_null(out);
	assert_true(!err || err == -EINVAL);
	for (size_t i = 0; i < yaml_tree_documents(tree); i++) {
		print_node(out, yaml_tree_document(tree, i), with_pos);
		fputc('\n', out);
	}
	assert_int_equal(!err, !*error.text);
	if (err)
		fprintf(out, "%u:%u %s", error.line, error.column, error.text);
	yaml_tree_free(tree);
	fclose(out);
	return result;
}

struct row {
	const char *text, *tree;
};

static void check_rows(const struct row *rows, size_t n, bool with_pos)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *tree = tree_of(rows[i].text, strlen(rows[i].text), with_pos);

		if (strcmp(tree, rows[i].tree))
			fail_msg("%s\n-- expected:\n%s\n-- came:\n%s", rows[i].text, rows[i].tree,
				 tree);
	}
}

static void text_becomes_a_tree(void **state)
{
	static const struct row rows[] = {
		{"", ""},
		{"a", "a\n"},
		{"a: b", "{a: b}\n"},
		{"- a\n- 'b'\n- \"c\"\n", "[a, \"b\", \"c\"]\n"},
		{"a:\n  - b: c\n    d: [e, {f: g}]\n", "{a: [{b: c, d: [e, {f: g}]}]}\n"},
		{"a:\nb: ~\n", "{a: , b: ~}\n"},
		{"a: |\n  x\n  y\n", "{a: \"x\ny\n\"}\n"},
		{"{\"a\": [1, true, null, \"x\\u00e4\"]}",
		 "{\"a\": [1, true, null, \"x\u00e4\"]}\n"},
		{"a: !!str 1\nb: !!int '1'\n", "{a: \"1\", b: \"1\"}\n"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), false);
}

static void every_node_knows_its_place(void **state)
{
	static const struct row rows[] = {
		{"a: b", "{a@1:1: b@1:4}@1:1\n"},
		{"# c\na:\n  - b\n  -  {c: d}\n",
		 "{a@2:1: [b@3:5, {c@4:7: d@4:10}@4:6]@3:3}@2:1\n"},
		/* Columns count characters, not bytes. */
		{"{\u00e4\u00f6: b}", "{\u00e4\u00f6@1:2: b@1:6}@1:1\n"},
		{"\xef\xbb\xbf"
		 "a: b",
		 "{a@1:1: b@1:4}@1:1\n"},
		{"a: b\r\nc: d\r\n", "{a@1:1: b@1:4, c@2:1: d@2:4}@1:1\n"},
		{"a: &x b\nc: *x\n", "{a@1:1: b@1:4, c@2:1: b@1:4}@1:1\n"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), true);
}

static void empty_documents_are_left_out(void **state)
{
	static const struct row rows[] = {
		{"---\n---\n...\n", ""},
		{"---\na: b\n---\n---\nc\n...\n---\n# end\n", "{a: b}\nc\n"},
		{"null\n---\n~\n---\n''\n", "\"\"\n"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), false);
}

static void documents_before_an_error_are_kept(void **state)
{
	static const struct row rows[] = {
		{"a: b\n---\nc: [\n",
		 "{a: b}\n4:1 not valid YAML: did not find expected node content while parsing a "
		 "flow node that began at line 4, column 1"},
		{"a: b\n---\nc: !x d\n", "{a: b}\n3:4 the tag !x is not understood: remove it"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), false);
}

static void anchors_live_for_one_document(void **state)
{
	static const struct row rows[] = {
		{"[&x a, *x, &x b, *x]", "[a, a, b, b]\n"},
		{"&x {a: &y [*x]}", "1:12 the alias *x stands inside of what it names"},
		{"&x [&y [*y]]", "1:9 the alias *y stands inside of what it names"},
		{"&x a\n---\n*x\n",
		 "a\n3:1 the alias *x names no anchor (&x) before it; a text that "
		 "begins with * needs quotes"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), false);
}

static void nesting_ends_at_its_bound(void **state)
{
	char text[2 * YAML_DEPTH_MAX + 3] = "";
	_cleanup_free_ char *good = NULL, *bad = NULL;

	(void)state;
	memset(text, '[', YAML_DEPTH_MAX);
	memset(text + YAML_DEPTH_MAX, ']', YAML_DEPTH_MAX);
	good = tree_of(text, 2 * YAML_DEPTH_MAX, false);
	assert_int_equal(strlen(good), 2 * YAML_DEPTH_MAX + 1);
	memset(text, '[', YAML_DEPTH_MAX + 1);
	bad = tree_of(text, 2 * YAML_DEPTH_MAX, false);
	assert_string_equal(bad, "1:65 lists and mappings are nested more than 64 deep");
}

/* libyaml alone takes quadratic time for these. */
static void a_million_brackets_fail_at_once(void **state)
{
	static const char *const pieces[] = {"[", "{", "- ", "? ", "{a: ", "[a, "};
	size_t len = 1 << 20;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup_free_ char *text = malloc(len), *tree = NULL;
		size_t piece = strlen(pieces[i]);

		assert_non_null(text);
		for (size_t j = 0; j < len; j++)
			text[j] = pieces[i][j % piece];
		tree = tree_of(text, len, false);
		assert_non_null(strstr(tree, "nested more than 64 deep"));
	}
}

static void a_node_counts_what_its_aliases_write_out(void **state)
{
	static const char text[] = "[&a [x, x], *a, {k: *a}]";
	struct yaml_error error;
	struct yaml_tree *tree;
	const struct yaml_node *root;

	(void)state;
	assert_int_equal(yaml_tree_load(text, sizeof(text) - 1, 1, &tree, &error), 0);
	root = yaml_tree_document(tree, 0);
	assert_int_equal(root->items[0]->size, 3);
	assert_ptr_equal(root->items[0], root->items[1]);
	assert_int_equal(root->items[2]->size, 5);
	assert_int_equal(root->size, 1 + 3 + 3 + 5);
	yaml_tree_free(tree);
}

static void a_nul_in_quotes_is_part_of_the_text(void **state)
{
	static const char text[] = "\"a\\0b\": \"\\0\"";
	struct yaml_error error;
	struct yaml_tree *tree;
	const struct yaml_node *root;

	(void)state;
	assert_int_equal(yaml_tree_load(text, sizeof(text) - 1, 1, &tree, &error), 0);
	root = yaml_tree_document(tree, 0);
	assert_int_equal(root->items[0]->n, 3);
	assert_memory_equal(root->items[0]->text, "a\0b", 4);
	assert_false(yaml_is(root->items[0], "a"));
	assert_null(yaml_get(root, "a"));
	assert_int_equal(root->items[1]->n, 1);
	assert_false(yaml_is_null(root->items[1]));
	yaml_tree_free(tree);
}

static void values_are_found_by_their_key(void **state)
{
	static const char text[] = "{a: 1, 'b': 2, a: 3, [c]: 4}";
	struct yaml_error error;
	struct yaml_tree *tree;
	const struct yaml_node *root;

	(void)state;
	assert_int_equal(yaml_tree_load(text, sizeof(text) - 1, 1, &tree, &error), 0);
	root = yaml_tree_document(tree, 0);
	assert_true(yaml_is(yaml_get(root, "a"), "1"));
	assert_true(yaml_is(yaml_get(root, "b"), "2"));
	assert_null(yaml_get(root, "c"));
	assert_null(yaml_get(yaml_get(root, "a"), "a"));
	yaml_tree_free(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_becomes_a_tree),
		cmocka_unit_test(every_node_knows_its_place),
		cmocka_unit_test(empty_documents_are_left_out),
		cmocka_unit_test(documents_before_an_error_are_kept),
		cmocka_unit_test(anchors_live_for_one_document),
		cmocka_unit_test(nesting_ends_at_its_bound),
		cmocka_unit_test(a_million_brackets_fail_at_once),
		cmocka_unit_test(a_node_counts_what_its_aliases_write_out),
		cmocka_unit_test(a_nul_in_quotes_is_part_of_the_text),
		cmocka_unit_test(values_are_found_by_their_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
