// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Cutting a text into documents, and remembering what was read from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/documents.h"
#include "model/yaml.h"

/* "first_line:len first_line:len ..." */
static void assert_cut(const char *text, size_t len, const char *expected)
{
	struct document *documents;
	char found[256] = "";
	size_t n, at = 0;

	assert_int_equal(documents_split(text, len, &documents, &n), 0);
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(found + at, sizeof(found) - at, "%s%u:%zu", i ? " " : "",
				       documents[i].first_line, documents[i].len);
	assert_string_equal(found, expected);
	free(documents);
}

#define CUT(text, expected) assert_cut(text, sizeof(text) - 1, expected)

static void test_a_text_is_cut_at_its_markers(void **state)
{
	(void)state;
	CUT("", "1:0");
	CUT("a: 1\n", "1:5");
	CUT("---\na: 1\n---\nb: 2\n", "1:9 3:9");
	CUT("a: 1\n---\nb: 2\n---", "1:5 2:9 4:3");
	CUT("a: 1\r\n---\r\nb: 2\r\n", "1:6 2:11");
	CUT("a\n--- b\n---\tc\n", "1:2 2:6 3:6");
	CUT("# only a comment\n---\na: 1\n", "1:17 2:9");
}

static void test_what_is_no_marker_does_not_cut(void **state)
{
	(void)state;
	CUT("a: |\n  ---\n  x\n", "1:15");
	CUT("----\n", "1:5");
	CUT("a\n---b\n", "1:7");
	CUT("a\n --- \n", "1:8");
	CUT("a\n--\n", "1:5");
	CUT("a\n...\nb\n", "1:8");
}

static void test_directives_keep_a_text_whole(void **state)
{
	(void)state;
	CUT("%YAML 1.1\n---\na: 1\n---\nb: 2\n", "1:28");
	CUT("a: 1\n...\n%TAG ! x\n---\nb: 2\n---\nc\n", "1:33");
	CUT("\xef\xbb\xbf%YAML 1.1\n---\na\n", "1:19");
}

/* The parts of a text, each read by itself, are what the whole is. */
static void test_parts_are_read_as_the_whole(void **state)
{
	static const char text[] =
		"a: |\n  x\n---\n# c\nb: [1,\n  2]\n--- {c: 3}\n---\n\n---\nd: 'x\n  y'\n";
	struct yaml_tree *whole, *part;
	struct document *documents;
	struct yaml_error error;
	size_t n, at = 0;

	(void)state;
	assert_int_equal(yaml_tree_load(text, sizeof(text) - 1, 1, &whole, &error), 0);
	assert_int_equal(documents_split(text, sizeof(text) - 1, &documents, &n), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(yaml_tree_load(documents[i].text, documents[i].len,
						documents[i].first_line, &part, &error),
				 0);
		for (size_t k = 0; k < yaml_tree_documents(part); k++) {
			const struct yaml_node *one = yaml_tree_document(part, k);
			const struct yaml_node *same = yaml_tree_document(whole, at++);

			assert_int_equal(one->line, same->line);
			assert_int_equal(one->column, same->column);
			assert_true(yaml_is(one->items[0], same->items[0]->text));
			assert_int_equal(one->items[1]->line, same->items[1]->line);
		}
		yaml_tree_free(part);
	}
	assert_int_equal(at, yaml_tree_documents(whole));
	yaml_tree_free(whole);
	free(documents);
}

static void test_a_text_is_found_again_by_all_of_it(void **state)
{
	const struct document one = {"a: 1\n", 5, 1}, other = {"a: 2\n", 5, 7},
			      longer = {"a: 1\n\n", 6, 1};
	struct document_memory memory = {};
	struct kept_document *kept = kept_document_new(&one), *second = kept_document_new(&other);

	(void)state;
	assert_int_equal(document_memory_find(&memory, &one), INDEX_NONE);
	assert_int_equal(document_memory_add(&memory, kept, "f", 1), 0);
	assert_int_equal(document_memory_add(&memory, second, "f", 5), 0);
	assert_int_equal(document_memory_add(&memory, kept, "f", 9), 0);
	assert_int_equal(document_memory_add(&memory, kept, "f", 11), 0);
	assert_int_equal(document_memory_find(&memory, &one), 0);
	assert_int_equal(memory.items[0].next, 2);
	assert_int_equal(memory.items[2].next, 3);
	assert_int_equal(memory.items[3].next, INDEX_NONE);
	assert_int_equal(memory.items[2].first_line, 9);
	assert_int_equal(document_memory_find(&memory, &other), 1);
	assert_int_equal(memory.items[1].next, INDEX_NONE);
	assert_int_equal(document_memory_find(&memory, &longer), INDEX_NONE);
	kept_document_unref(kept);
	kept_document_unref(second);
	document_memory_fini(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_text_is_cut_at_its_markers),
		cmocka_unit_test(test_what_is_no_marker_does_not_cut),
		cmocka_unit_test(test_directives_keep_a_text_whole),
		cmocka_unit_test(test_parts_are_read_as_the_whole),
		cmocka_unit_test(test_a_text_is_found_again_by_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
