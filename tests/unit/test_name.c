// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* name.h: which bytes make a name or a pattern, and the one form that it is kept in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "thruway/name.h"

struct example {
	const char *text;
	const char *kept; /* NULL: refused with err */
	int err;
};

static void check_all(const struct example *examples, size_t count, bool is_pattern)
{
	for (size_t i = 0; i < count; i++) {
		const struct example *e = &examples[i];
		char name[TW_NAME_SIZE];
		__u32 len = strlen(e->text);
		int got = is_pattern ? tw_name_pattern(name, e->text, len)
				     : tw_name_normalise(name, e->text, len);

		if (got != (e->kept ? (int)strlen(e->kept) : -e->err))
			fail_msg("'%s': %d", e->text, got);
		if (!e->kept)
			continue;
		assert_string_equal(name, e->kept);
		for (int at = got; at < TW_NAME_SIZE; at++)
			assert_int_equal(name[at], 0);
	}
}

static void names_are_kept_in_lower_case_without_their_trailing_dot(void **state)
{
	static const struct example examples[] = {
		{"app.example.com", "app.example.com", 0},
		{"APP.Example.COM", "app.example.com", 0},
		{"app.example.com.", "app.example.com", 0},
		{"AZaz09-_.x", "azaz09-_.x", 0},
		{"localhost", "localhost", 0},
		{"a", "a", 0},
		{"a.", "a", 0},
		{"192.0.2.1", "192.0.2.1", 0},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", 0},
	};

	(void)state;
	check_all(examples, ARRAY_SIZE(examples), false);
	check_all(examples, ARRAY_SIZE(examples), true);
}

static void what_is_no_name_is_refused_with_its_reason(void **state)
{
	static const struct example examples[] = {
		{"", NULL, TW_NAME_IS_EMPTY},
		{".", NULL, TW_NAME_IS_LABEL},
		{"..", NULL, TW_NAME_IS_LABEL},
		{"a..", NULL, TW_NAME_IS_LABEL},
		{".a", NULL, TW_NAME_IS_LABEL},
		{"a..b", NULL, TW_NAME_IS_LABEL},
		{"a b", NULL, TW_NAME_IS_BYTE},
		{"a:443", NULL, TW_NAME_IS_BYTE},
		{"a/b", NULL, TW_NAME_IS_BYTE},
		{"2001:db8::1", NULL, TW_NAME_IS_BYTE},
		{"b\xc3\xbc"
		 "cher.example",
		 NULL, TW_NAME_IS_BYTE},
		{"a\n", NULL, TW_NAME_IS_BYTE},
		{"a@b", NULL, TW_NAME_IS_BYTE},
		{"a[b", NULL, TW_NAME_IS_BYTE},
		{"a`b", NULL, TW_NAME_IS_BYTE},
		{"a{b", NULL, TW_NAME_IS_BYTE},
	};

	(void)state;
	check_all(examples, ARRAY_SIZE(examples), false);
	check_all(examples, ARRAY_SIZE(examples), true);
}

static void a_star_is_no_part_of_a_name(void **state)
{
	static const struct example examples[] = {
		{"*", NULL, TW_NAME_IS_BYTE},
		{"*.example.com", NULL, TW_NAME_IS_BYTE},
	};

	(void)state;
	check_all(examples, ARRAY_SIZE(examples), false);
}

static void patterns_are_names_or_one_star_in_front(void **state)
{
	static const struct example examples[] = {
		{"*", "*", 0},
		{"*.example.com", "*.example.com", 0},
		{"*.Example.COM.", "*.example.com", 0},
		{"*.com", "*.com", 0},
		{"*.", NULL, TW_NAME_IS_WILDCARD},
		{"**", NULL, TW_NAME_IS_WILDCARD},
		{"*a", NULL, TW_NAME_IS_WILDCARD},
		{"*example.com", NULL, TW_NAME_IS_WILDCARD},
		{"*.*.example.com", NULL, TW_NAME_IS_WILDCARD},
		{"a.*.example.com", NULL, TW_NAME_IS_WILDCARD},
		{"app*.example.com", NULL, TW_NAME_IS_WILDCARD},
		{"example.*", NULL, TW_NAME_IS_WILDCARD},
		{"*..", NULL, TW_NAME_IS_LABEL},
		{"*..example.com", NULL, TW_NAME_IS_LABEL},
		{"*.example.com:443", NULL, TW_NAME_IS_BYTE},
	};

	(void)state;
	check_all(examples, ARRAY_SIZE(examples), true);
}

/* @labels labels of @size bytes. */
static __u32 fill(char *text, __u32 labels, __u32 size)
{
	__u32 len = 0;

	for (; labels; labels--) {
		memset(text + len, 'a', size);
		len += size;
		text[len++] = '.';
	}
	text[--len] = 0;
	return len;
}

static void every_byte_but_letters_digits_hyphen_underscore_and_dot_is_refused(void **state)
{
	char name[TW_NAME_SIZE];

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		const char text[] = {'a', byte, 'b'};
		bool good = byte && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789-_.",
					   byte);

		assert_int_equal(tw_name_normalise(name, text, 3), good ? 3 : -TW_NAME_IS_BYTE);
	}
}

static void the_longest_name_has_253_bytes_or_127_labels(void **state)
{
	char text[512], name[TW_NAME_SIZE];

	(void)state;
	assert_int_equal(fill(text, 127, 1), 253);
	assert_int_equal(tw_name_normalise(name, text, 253), 253);
	assert_int_equal(tw_name_labels(name), TW_LABELS_MAX);
	strcat(text, ".");
	assert_int_equal(tw_name_normalise(name, text, 254), 253);
	strcat(text, "a");
	assert_int_equal(tw_name_normalise(name, text, 255), -TW_NAME_IS_LONG);
	fill(text, 4, 63);
	assert_int_equal(tw_name_normalise(name, text, 253), 253);
	assert_int_equal(tw_name_normalise(name, text, 254), -TW_NAME_IS_LONG);
	fill(text, 1, 63);
	assert_int_equal(tw_name_normalise(name, text, 63), 63);
	fill(text, 1, 64);
	assert_int_equal(tw_name_normalise(name, text, 64), -TW_NAME_IS_LABEL);
}

static void the_longest_wildcard_has_253_bytes(void **state)
{
	char text[512] = "*.", name[TW_NAME_SIZE];

	(void)state;
	assert_int_equal(fill(text + 2, 126, 1), 251);
	assert_int_equal(tw_name_pattern(name, text, 253), 253);
	assert_int_equal(tw_name_labels(name), TW_LABELS_MAX);
	assert_int_equal(strlen(name), 253);
	fill(text + 2, 127, 1);
	assert_int_equal(tw_name_pattern(name, text, 255), -TW_NAME_IS_LONG);
}

static void labels_are_counted_with_the_star(void **state)
{
	(void)state;
	assert_int_equal(tw_name_labels("*"), 1);
	assert_int_equal(tw_name_labels("localhost"), 1);
	assert_int_equal(tw_name_labels("*.example.com"), 3);
	assert_int_equal(tw_name_labels("app.example.com"), 3);
}

static void every_error_says_what_is_expected(void **state)
{
	(void)state;
#define X(word, text) assert_string_equal(tw_name_strerror(-TW_NAME_IS_##word), text);
	TW_NAME_ERRORS(X)
#undef X
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_kept_in_lower_case_without_their_trailing_dot),
		cmocka_unit_test(what_is_no_name_is_refused_with_its_reason),
		cmocka_unit_test(a_star_is_no_part_of_a_name),
		cmocka_unit_test(patterns_are_names_or_one_star_in_front),
		cmocka_unit_test(
			every_byte_but_letters_digits_hyphen_underscore_and_dot_is_refused),
		cmocka_unit_test(the_longest_name_has_253_bytes_or_127_labels),
		cmocka_unit_test(the_longest_wildcard_has_253_bytes),
		cmocka_unit_test(labels_are_counted_with_the_star),
		cmocka_unit_test(every_error_says_what_is_expected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
