// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Configurations and what must come out of them. Most cases stand in tests/unit/config/: "====", a
 * configuration, "----", then its problems and (indented) its structs, as tests/lib/config_text.h
 * prints them. What a text cannot hold is here: sizes, files, loops through addresses of the host.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../lib/case_file.h"
#include "../lib/config_text.h"
#include "base/cleanup.h"

#define CASES "tests/unit/config"

/* --- cases from files ------------------------------------------------------------------------ */

static char *result_of(const char *text, size_t len)
{
	struct config_problems problems;
	struct config *config;
	char *result = NULL;
	size_t size;
	FILE *out = open_memstream(&result, &size);
	int err;

	assert_non_null(out);
	config_problems_init(&problems);
	err = config_parse("f", text, len, &config, &problems);
	config_problems_print(&problems, out);
	assert_non_null(config);
	print_config(out, config);
	fclose(out);
	assert_int_equal(err, problems.n_errors ? -EINVAL : 0);
	config_free(config);
	config_problems_fini(&problems);
	return result;
}

static void check_cases(const char *name, size_t at_least)
{
	_cleanup_free_ char *path = NULL, *all = NULL;
	char *next, *input, *expected;
	size_t n = 0;

	assert_true(asprintf(&path, CASES "/%s.cases", name) > 0);
	all = read_file(path);
	assert_int_equal(strncmp(all, "====\n", 5), 0);
	for (input = all + 5; input; input = next, n++) {
		_cleanup_free_ char *result = NULL;

		/* Both separators begin a line; the input may be empty. */
		expected = strncmp(input, "----\n", 5) ? strstr(input, "\n----\n") + 1 : input;
		result = result_of(input, (size_t)(expected - input));
		expected += 5;
		next = strncmp(expected, "====\n", 5) ? strstr(expected, "\n====\n") : expected - 1;
		if (next) {
			next[1] = '\0';
			next += 6;
		}
		if (strcmp(result, expected))
			fail_msg("case %zu of %s\n-- expected:\n%s-- came:\n%s", n + 1, path,
				 expected, result);
	}
	assert_true(n >= at_least);
}

/* X(file and test, cases that it holds at least) */
/* clang-format off */
#define CASE_FILES(X)                                                    \
	X(good_configurations_become_structs, 25)                        \
	X(warnings_leave_the_configuration_good, 8)                      \
	X(a_bad_route_is_left_out_alone, 9)                              \
	X(wrong_types_say_what_is_expected, 25)                          \
	X(unknown_keys_are_named_with_the_nearest_known, 13)             \
	X(what_stands_twice_is_refused, 16)                              \
	X(values_out_of_range_are_refused_with_the_range, 25)            \
	X(what_yaml_guesses_is_refused, 12)                              \
	X(durations_need_a_known_unit_and_a_sane_length, 15)             \
	X(bad_addresses_are_refused_with_the_right_form, 35)             \
	X(bad_hostnames_are_refused_with_the_reason, 22)                 \
	X(routes_need_listeners_that_exist_and_backends_or_a_refusal, 17) \
	X(a_backend_that_is_a_listener_is_a_loop, 8)                     \
	X(a_file_without_listeners_shows_a_minimal_one, 8)               \
	X(yaml_mistakes_are_shown_with_their_remedy, 16)
/* clang-format on */

#define X(name, at_least)                                                                          \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		check_cases(#name, at_least);                                                      \
	}
CASE_FILES(X)
#undef X

/* --- texts that are made --------------------------------------------------------------------- */

static void assert_result(const char *text, size_t len, const char *expected)
{
	_cleanup_free_ char *result = result_of(text, len);

	if (!strstr(result, expected))
		fail_msg("not in the result: %s\n%.2000s", expected, result);
}

static void bytes_that_are_no_text_are_refused_where_they_stand(void **state)
{
	static const char null_byte[] = "listeners:\n- name: a\0b\n";

	(void)state;
	assert_result(null_byte, sizeof(null_byte) - 1,
		      "f:2:10: error: not a text in UTF-8: control characters are not allowed");
	assert_result("listeners: []\na: b\xff\n", 20,
		      "f:2:5: error: not a text in UTF-8: invalid leading UTF-8 octet (0xff)");
	assert_result(
		"a: \"\xc3\xa4\xe2\x82\xac\x01\"\n", 12,
		"f:1:7: error: not a text in UTF-8: control characters are not allowed (0x01)");
	assert_result("\xff\xfe"
		      "a\0:\0",
		      6, "f:1:1: error: not a text in UTF-8");
}

struct text {
	char *bytes;
	size_t len;
	FILE *out;
};

static FILE *text_begin(struct text *text, const char *head)
{
	text->out = open_memstream(&text->bytes, &text->len);
	assert_non_null(text->out);
	fputs(head, text->out);
	return text->out;
}

static void assert_made(struct text *text, const char *expected)
{
	fclose(text->out);
	assert_result(text->bytes, text->len, expected);
	free(text->bytes);
}

static void the_sizes_of_the_table_are_kept(void **state)
{
	struct text text;
	FILE *out;

	(void)state;
	out = text_begin(&text, "listeners: [{}]\nroutes:\n- backends:\n");
	for (unsigned int i = 0; i <= TW_ROUTE_BACKENDS_MAX; i++)
		fprintf(out, "  - 10.0.%u.%u:1\n", i / 256, i % 256);
	assert_made(&text,
		    "f:4:3: error: routes[0].backends: 1025 backends; at most 1024 are possible");

	out = text_begin(&text, "listeners:\n");
	for (unsigned int i = 1; i <= TW_LISTENERS_MAX; i++)
		fprintf(out, "- {name: l%u, hostname: h%u.example}\n", i, i);
	assert_made(&text, "f:1025:3: error: listeners[1023]: at most 1023 listeners are possible");

	out = text_begin(&text, "listeners:\n");
	for (unsigned int i = 1; i <= TW_BINDS_MAX; i++)
		fprintf(out, "- port: %u\n", i);
	assert_made(&text,
		    "f:257:3: error: listeners[255]: the listeners have more than 255 addresses "
		    "and ports");

	out = text_begin(&text, "listeners: [{}]\nroutes:\n");
	for (unsigned int i = 0; i < TW_ALPNS_MAX; i++)
		fprintf(out, "- {alpn: p%u, hostnames: h%u, refuse: true}\n", i, i);
	assert_made(&text,
		    "f:1026:3: error: routes[1023]: the routes have more than 1023 ALPN protocols");
}

static void more_names_than_the_table_holds_are_refused(void **state)
{
	struct text text;
	FILE *out;

	(void)state;
	/* 1023 listeners times 1026 hostnames are just more. */
	out = text_begin(&text, "listeners:\n");
	for (unsigned int i = 1; i < TW_LISTENERS_MAX; i++)
		fprintf(out, "- {name: l%u, hostname: h%u.example}\n", i, i);
	fputs("routes:\n- refuse: true\n  listeners:\n", out);
	for (unsigned int i = 1; i < TW_LISTENERS_MAX; i++)
		fprintf(out, "  - l%u\n", i);
	fputs("  hostnames:\n", out);
	for (unsigned int i = 0; i < 1026; i++)
		fprintf(out, "  - n%u.example\n", i);
	assert_made(&text, "routes[0]: the routes have more than 1048576 names");
}

static void aliases_cannot_explode(void **state)
{
	struct text text;
	FILE *out = text_begin(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");

	(void)state;
	for (int i = 1; i < 12; i++) {
		fprintf(out, "a%d: &a%d [*a%d", i, i, i - 1);
		for (int j = 1; j < 10; j++)
			fprintf(out, ", *a%d", i - 1);
		fputs("]\n", out);
	}
	assert_made(&text, "f:7:20: error: more than 4194304 values, aliases written out");
}

static void the_list_of_problems_is_bounded_and_the_count_is_not(void **state)
{
	struct config_problems problems;
	struct config *config;
	struct text text;
	FILE *out = text_begin(&text, "listeners: [{}]\nroutes:\n");

	(void)state;
	for (int i = 0; i < 5000; i++)
		fputs("- 1\n", out);
	fclose(out);
	config_problems_init(&problems);
	assert_int_equal(config_parse("f", text.bytes, text.len, &config, &problems), -EINVAL);
	assert_int_equal(problems.n_errors, 5000);
	assert_int_equal(problems.n, CONFIG_PROBLEMS_MAX);
	assert_false(config->has_fatal);
	config_free(config);
	config_problems_fini(&problems);
	free(text.bytes);
}

static void errors_have_the_places_of_warnings(void **state)
{
	struct config_problems problems;

	(void)state;
	config_problems_init(&problems);
	for (int i = 0; i < 2000; i++)
		config_problem_add(&problems, NULL, true, "warning %d", i);
	for (int i = 0; i < 2000; i++)
		config_problem_add(&problems, NULL, i % 2, "error %d", i);
	assert_int_equal(problems.n, CONFIG_PROBLEMS_MAX);
	for (int i = 0; i < CONFIG_PROBLEMS_MAX; i++)
		assert_false(problems.items[i].is_warning);
	assert_string_equal(problems.items[0].text, "error 0");
	assert_string_equal(problems.items[CONFIG_PROBLEMS_MAX - 1].text, "error 1998");
	config_problems_fini(&problems);
}

static void an_error_behind_many_warnings_says_what_it_is(void **state)
{
	struct config_problems problems;
	struct config *config;
	struct text text;
	FILE *out = text_begin(&text, "listeners: [{port: 443, prot: 1}]\n");

	(void)state;
	for (int i = 0; i < 2 * CONFIG_PROBLEMS_MAX; i++)
		fprintf(out, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: n, f%d: 1}\n",
			i);
	fputs("---\nroutes: [{hostname: a.example}]\n", out);
	fclose(out);
	config_problems_init(&problems);
	assert_int_equal(config_parse("f", text.bytes, text.len, &config, &problems), -EINVAL);
	assert_int_equal(problems.n, CONFIG_PROBLEMS_MAX);
	for (size_t i = 0; i < problems.n; i++)
		assert_true(strlen(problems.items[i].text) > 1);
	config_free(config);
	config_problems_fini(&problems);
	free(text.bytes);
}

/* A look-up that walks a list would take minutes for this. */
static void a_hundred_thousand_routes_load_in_seconds(void **state)
{
	struct config_problems problems;
	struct timespec from, to;
	struct config *config;
	struct text text;
	FILE *out = text_begin(&text, "listeners:\n- name: tls\nroutes:\n");

	(void)state;
	for (unsigned int i = 0; i < 100000; i++)
		fprintf(out,
			"- hostnames: [app-%u.customer.example.com]\n  listeners: [tls]\n"
			"  backends:\n  - address: 10.0.%u.%u:8443\n    weight: 1\n",
			i, i / 250 % 250, i % 250);
	fclose(out);
	config_problems_init(&problems);
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(config_parse("f", text.bytes, text.len, &config, &problems), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_int_equal(config->n_routes, 100000);
	assert_string_equal(config->routes[99999].name, "app-99999.customer.example.com");
	assert_true(to.tv_sec - from.tv_sec < 15);
	config_free(config);
	config_problems_fini(&problems);
	free(text.bytes);
}

/* --- several inputs, files ------------------------------------------------------------------- */

static void several_inputs_make_one_configuration(void **state)
{
	struct config_text texts[] = {
		{.file = "a",
		 .text = "routes: [{hostnames: [a.example], listeners: [tls], "
			 "refuse: true}]\nworkers: 2\n"},
		{.file = "b",
		 .text = "listeners: [{name: tls}]\nworkers: 3\nroutes: [{hostnames: "
			 "[a.example], refuse: true, listeners: tls}]\n"},
	};
	struct config_problems problems;
	struct config *config;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		texts[i].len = strlen(texts[i].text);
	config_problems_init(&problems);
	assert_int_equal(config_parse_texts(texts, 2, &config, &problems), -EINVAL);
	assert_int_equal(problems.n, 2);
	assert_string_equal(problems.items[0].pos.file, "b");
	assert_string_equal(problems.items[0].text, "workers: stands twice; the first is at a:2");
	assert_string_equal(problems.items[1].text,
			    "routes[0]: a.example on listener tls is already routed at a:1");
	assert_int_equal(config->n_routes, 1);
	assert_string_equal(config->routes[0].pos.file, "a");
	config_free(config);
	config_problems_fini(&problems);
}

static char dir[] = "/tmp/thruway-config-XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;

	(void)state;
	while (entries && (entry = readdir(entries)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(entries), entry->d_name,
				 entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
	if (entries)
		closedir(entries);
	return rmdir(dir);
}

static void put_file(const char *name, const char *text)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
}

/* Loads dir/@name ("" = dir) and compares the one problem's text, without its file. */
static int load(const char *name, struct config **ret_config, const char *problem)
{
	_cleanup_free_ char *path = NULL;
	struct config_problems problems;
	int err;

	assert_true(asprintf(&path, "%s%s%s", dir, *name ? "/" : "", name) > 0);
	config_problems_init(&problems);
	err = config_load(path, ret_config, &problems);
	assert_int_equal(problems.n, problem ? 1 : 0);
	if (problem) {
		assert_string_equal(problems.items[0].text, problem);
		assert_int_equal(strncmp(problems.items[0].pos.file, dir, strlen(dir)), 0);
	}
	config_problems_fini(&problems);
	return err;
}

static void a_directory_is_read_in_the_order_of_its_names(void **state)
{
	struct config *config;

	(void)state;
	put_file("20.yml", "routes: [{hostnames: [second.example], refuse: true}]\n");
	put_file("10.yaml", "routes: [{hostnames: [first.example], refuse: true}]\n");
	put_file("30.json", "{\"listeners\": [{\"name\": \"tls\"}]}\n");
	put_file("00.yaml~", "nonsense\n");
	put_file(".05.yaml", "nonsense\n");
	put_file("README", "nonsense\n");
	assert_int_equal(load("", &config, NULL), 0);
	assert_int_equal(config->n_listeners, 1);
	assert_int_equal(config->n_routes, 2);
	assert_string_equal(config->routes[0].name, "first.example");
	assert_string_equal(config->routes[1].name, "second.example");
	config_free(config);
}

static void what_cannot_be_read_says_why(void **state)
{
	struct config *config;

	(void)state;
	assert_int_equal(load("none.yaml", &config, "cannot be opened: No such file or directory"),
			 -ENOENT);
	assert_null(config);
	assert_int_equal(
		load("", &config, "no file in this directory ends in .yaml, .yml or .json"),
		-ENOENT);
	assert_null(config);
}

static void a_file_that_cannot_be_read_spoils_its_directory(void **state)
{
	_cleanup_free_ char *path = NULL;
	struct config *config;

	(void)state;
	put_file("10.yaml", "listeners: [{name: tls}]\n");
	assert_true(asprintf(&path, "%s/20.yaml", dir) > 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(load("", &config, "is not a regular file: Is a directory"), -EINVAL);
	assert_true(config->has_fatal);
	assert_int_equal(config->n_listeners, 1);
	config_free(config);
}

static void a_file_that_is_too_large_is_refused_unread(void **state)
{
	_cleanup_free_ char *path = NULL;
	struct config *config;
	struct timespec from, to;

	(void)state;
	put_file("big.yaml", "listeners: [{}]\n");
	assert_true(asprintf(&path, "%s/big.yaml", dir) > 0);
	/* Sparse: to read it would take more time and memory than there is. */
	assert_int_equal(truncate(path, 1ll << 40), 0);
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(
		load("big.yaml", &config, "too large: a configuration has at most 32 MiB in all"),
		-EFBIG);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec - from.tv_sec < 5);
	assert_null(config);
	assert_int_equal(truncate(path, CONFIG_BYTES_MAX + 1), 0);
	assert_int_equal(
		load("big.yaml", &config, "too large: a configuration has at most 32 MiB in all"),
		-EFBIG);
}

/* Runs @load with stdin from @fd, which is closed. */
static int load_stdin(int fd, struct config **ret_config, struct config_problems *problems)
{
	int before = dup(STDIN_FILENO), err;

	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	close(fd);
	err = config_load("-", ret_config, problems);
	assert_int_equal(dup2(before, STDIN_FILENO), STDIN_FILENO);
	close(before);
	return err;
}

static void stdin_is_read_to_its_end_but_not_beyond_the_limit(void **state)
{
	static const char text[] = "listeners: [{port: x}]\n";
	struct config_problems problems;
	struct config *config;
	int fds[2];

	(void)state;
	config_problems_init(&problems);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], text, sizeof(text) - 1), sizeof(text) - 1);
	close(fds[1]);
	assert_int_equal(load_stdin(fds[0], &config, &problems), -EINVAL);
	assert_string_equal(problems.items[0].pos.file, "<stdin>");
	assert_int_equal(problems.items[0].pos.column, 20);
	config_free(config);

	/* Endless. */
	assert_int_equal(load_stdin(open("/dev/zero", O_RDONLY | O_CLOEXEC), &config, &problems),
			 -EFBIG);
	assert_null(config);
	assert_int_equal(problems.n, 2);
	config_problems_fini(&problems);
}

/* --- the command line's words, loops through the host's addresses ----------------------------- */

static void backends_of_the_command_line_are_read(void **state)
{
	static const struct {
		const char *text, *canonical;
		uint32_t weight, family, port;
	} rows[] = {
		{"10.0.0.5:8443", "10.0.0.5:8443", 1, TW_FAMILY_IPV4, 8443},
		{"10.0.0.5:8443,weight=0", "10.0.0.5:8443", 0, TW_FAMILY_IPV4, 8443},
		{"[2001:DB8::0:5]:443,weight=1000000", "[2001:db8::5]:443", 1000000, TW_FAMILY_IPV6,
		 443},
		{"unix:/run/app.sock,weight=3", "unix:/run/app.sock", 3, TW_FAMILY_UNIX, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_backend backend;
		char *why;

		assert_int_equal(config_parse_backend(rows[i].text, &backend, &why), 0);
		assert_null(why);
		assert_string_equal(backend.backend.text, rows[i].canonical);
		assert_int_equal(backend.weight, rows[i].weight);
		assert_int_equal(backend.backend.family, rows[i].family);
		assert_int_equal(be16toh(backend.backend.port), rows[i].port);
	}
}

static void bad_words_of_the_command_line_say_why(void **state)
{
	static const char *const backends[] = {"",
					       ",",
					       ",weight=1",
					       "10.0.0.5:1,",
					       "10.0.0.5:1,weight",
					       "10.0.0.5:1,weight=-1",
					       "10.0.0.5:1,weight=1,weight=2",
					       "10.0.0.5:1,pool=1,pool=2",
					       "10.0.0.5:1,pool=1025",
					       "unix:/s,pool=1",
					       "10.0.0.5:1 ,weight=1",
					       "unix:",
					       "unix:\n",
					       "[]:1"};
	static const char *const hostnames[] = {"", "*.", "a b", "*x", "a.*", "10.0.0.1", "a:1"};
	char name[TW_NAME_SIZE];
	struct config_backend backend;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		_cleanup_free_ char *why = NULL;

		if (config_parse_backend(backends[i], &backend, &why) != -EINVAL || !why)
			fail_msg("'%s' was taken", backends[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(hostnames); i++) {
		_cleanup_free_ char *why = NULL;

		if (config_parse_hostname(hostnames[i], name, &why) != -EINVAL || !why)
			fail_msg("'%s' was taken", hostnames[i]);
	}
}

static void a_backend_on_an_address_of_this_host_is_a_loop(void **state)
{
	static const char text[] = "listeners: [{name: tls}]\n"
				   "routes:\n"
				   "- {hostnames: [a.example], backends: ['192.0.2.1:443']}\n"
				   "- {hostnames: [b.example], backends: ['192.0.2.2:443']}\n"
				   "- {hostnames: [c.example], backends: ['192.0.2.1:8443']}\n";
	struct config_host host = {.n = 2};
	uint8_t addrs[2][16];
	struct config_problems problems;
	struct config *config;

	(void)state;
	config_problems_init(&problems);
	assert_int_equal(addr_parse_ip("2001:db8::1", addrs[0]), 0);
	assert_int_equal(addr_parse_ip("192.0.2.1", addrs[1]), 0);
	assert_int_equal(config_parse("f", text, sizeof(text) - 1, &config, &problems), 0);
	assert_int_equal(config->n_routes, 3);
	host.addrs = (const uint8_t(*)[16])addrs;
	assert_int_equal(config_check_loops(config, &host, &problems), -EINVAL);
	assert_int_equal(problems.n_errors, 1);
	assert_int_equal(problems.items[0].pos.line, 3);
	assert_int_equal(config->n_routes, 3);
	assert_true(config->routes[0].is_bad && config->routes[0].refuse);
	assert_int_equal(config->routes[0].n_backends, 0);
	assert_false(config->routes[1].is_bad || config->routes[2].is_bad);
	assert_false(config->has_fatal);
	config_free(config);
	config_problems_fini(&problems);
}

static void every_example_of_the_documentation_is_good(void **state)
{
	DIR *examples = opendir("docs/examples");
	struct dirent *entry;
	size_t n = 0;

	(void)state;
	assert_non_null(examples);
	while ((entry = readdir(examples))) {
		char path[300];
		struct config_problems problems;
		struct config *config;

		if (entry->d_name[0] == '.' || !strstr(entry->d_name, ".yaml"))
			continue;
		snprintf(path, sizeof(path), "docs/examples/%s", entry->d_name);
		config_problems_init(&problems);
		if (config_load(path, &config, &problems) || problems.n)
			fail_msg("%s: %s", path, problems.n ? problems.items[0].text : "failed");
		config_free(config);
		config_problems_fini(&problems);
		n++;
	}
	closedir(examples);
	assert_true(n >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define X(name, at_least) cmocka_unit_test(name),
		CASE_FILES(X)
#undef X
			cmocka_unit_test(bytes_that_are_no_text_are_refused_where_they_stand),
		cmocka_unit_test(the_sizes_of_the_table_are_kept),
		cmocka_unit_test(more_names_than_the_table_holds_are_refused),
		cmocka_unit_test(aliases_cannot_explode),
		cmocka_unit_test(the_list_of_problems_is_bounded_and_the_count_is_not),
		cmocka_unit_test(errors_have_the_places_of_warnings),
		cmocka_unit_test(an_error_behind_many_warnings_says_what_it_is),
		cmocka_unit_test(a_hundred_thousand_routes_load_in_seconds),
		cmocka_unit_test(several_inputs_make_one_configuration),
		cmocka_unit_test_setup_teardown(a_directory_is_read_in_the_order_of_its_names,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_says_why, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_read_spoils_its_directory,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_file_that_is_too_large_is_refused_unread,
						make_dir, remove_dir),
		cmocka_unit_test(stdin_is_read_to_its_end_but_not_beyond_the_limit),
		cmocka_unit_test(backends_of_the_command_line_are_read),
		cmocka_unit_test(bad_words_of_the_command_line_say_why),
		cmocka_unit_test(a_backend_on_an_address_of_this_host_is_a_loop),
		cmocka_unit_test(every_example_of_the_documentation_is_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
