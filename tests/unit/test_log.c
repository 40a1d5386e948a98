// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The log's quoting of bytes from the network, the words of reasons, and the access log's lines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/reason.h"
#include "edge/access_log.h"

static void bytes_from_the_network_are_escaped(void **state)
{
	char text[64];

	(void)state;
	assert_string_equal(log_quote(text, sizeof(text), "a b", 3), "a b");
	assert_string_equal(log_quote(text, sizeof(text), "\n\"\\'\x7f\xff", 6),
			    "\\x0a\\x22\\x5c\\x27\\x7f\\xff");
	assert_string_equal(log_quote(text, sizeof(text), "\0x", 2), "\\x00x");
	assert_string_equal(log_quote(text, sizeof(text), "", 0), "");
}

static void a_word_cannot_look_like_another_field(void **state)
{
	char text[128];

	(void)state;
	assert_string_equal(log_word(text, sizeof(text), "h2 route=bank,x", 15),
			    "h2\\x20route\\x3dbank\\x2cx");
	assert_string_equal(log_word(text, sizeof(text), "http/1.1", 8), "http/1.1");
}

static void what_does_not_fit_is_cut_and_marked(void **state)
{
	char text[8];

	(void)state;
	for (size_t len = 0; len < 40; len++) {
		memset(text, 'x', sizeof(text));
		log_quote(text, sizeof(text),
			  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
			  "abcdefghijabcdefghijabcdefghij",
			  len);
		assert_non_null(memchr(text, '\0', sizeof(text)));
	}
	assert_string_equal(log_quote(text, sizeof(text), "abcdefghij", 10) + 4, "...");
}

static void every_reason_has_a_word_and_a_text_of_its_own(void **state)
{
	(void)state;
	assert_string_equal(reason_word(TW_OK), "ok");
	assert_string_equal(reason_word(TW_REFUSE_no_sni), "no_sni");
	assert_string_equal(reason_word(TW_END_backend_reset), "backend_reset");
	assert_string_equal(reason_word(TW_REASON_END), "unknown");
	for (unsigned int a = 0; a < TW_REASON_END; a++)
		for (unsigned int b = 0; b < a && a != TW_REFUSE_END; b++)
			if (b != TW_REFUSE_END)
				assert_string_not_equal(reason_word(a), reason_word(b));
}

static void the_counter_of_a_reason_is_the_field_of_its_name(void **state)
{
	struct tw_refusals refusals = {};

	(void)state;
	assert_ptr_equal(reason_counter(&refusals, TW_REFUSE_unknown_name), &refusals.unknown_name);
	assert_ptr_equal(reason_counter(&refusals, TW_REFUSE_internal), &refusals.internal);
}

static const struct conn_record record = {
	.client = {.ip = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}, .port = 0x3930},
	.listener = 1,
	.route = 2,
	.backend = 3,
	.sni = "app.example.com",
	.alpn = (const uint8_t *)"\x02h2\x05=\"\n,z",
	.alpn_len = 9,
	.path = TW_PATH_RELAY,
	.reason = TW_END_closed,
	.bytes_to_backend = 517,
	.bytes_to_client = 5000000000,
	.age_ms = 42,
	.tries = 1,
	.start_unix_ms = 1700000000123,
};

/* The line that @format makes of the record, read back from a file. */
static char *line_of(enum config_log_format format)
{
	char path[] = "/tmp/thruway-test-XXXXXX";
	char *line = calloc(1, 4096);
	struct access_log *log;
	FILE *file;

	close(mkstemp(path));
	assert_int_equal(access_log_open(&log), 0);
	access_log_write(log, &record); /* off: not written */
	assert_int_equal(access_log_configure(log, path, format), 0);
	access_log_name(log, ACCESS_LOG_LISTENER, 1, "tls");
	access_log_name(log, ACCESS_LOG_ROUTE, 2, "route-two");
	access_log_name(log, ACCESS_LOG_BACKEND, 3, "10.0.0.5:8443");
	access_log_write(log, &record);
	access_log_close(log);
	file = fopen(path, "re");
	assert_non_null(fgets(line, 4096, file));
	assert_int_equal(fgetc(file), EOF);
	fclose(file);
	unlink(path);
	return line;
}

static void a_text_line_has_every_field_and_escapes_what_the_client_sent(void **state)
{
	_cleanup_free_ char *line = line_of(CONFIG_LOG_TEXT);

	(void)state;
	assert_string_equal(
		line, "2023-11-14T22:13:20.123Z client=192.0.2.1:12345 listener=tls "
		      "sni=app.example.com alpn=h2,\\x3d\\x22\\x0a\\x2cz route=route-two "
		      "backend=10.0.0.5:8443 path=relay direct=no pooled=no left=- to_backend=517 "
		      "to_client=5000000000 duration_ms=42 tries=1 reason=closed\n");
}

static void a_json_line_is_one_object_with_numbers_as_numbers(void **state)
{
	_cleanup_free_ char *line = line_of(CONFIG_LOG_JSON);
	json_t *object = json_loads(line, 0, NULL);

	(void)state;
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "sni")), "app.example.com");
	assert_string_equal(json_string_value(json_object_get(object, "reason")), "closed");
	assert_true(json_integer_value(json_object_get(object, "bytes_to_client")) == 5000000000);
	assert_int_equal(json_array_size(json_object_get(object, "alpn")), 2);
	json_decref(object);
}

static void a_file_that_cannot_be_opened_is_reported_and_changes_nothing(void **state)
{
	struct access_log *log;

	(void)state;
	assert_int_equal(access_log_open(&log), 0);
	assert_int_equal(access_log_configure(log, "/nonexistent/dir/log", CONFIG_LOG_TEXT),
			 -ENOENT);
	access_log_close(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_from_the_network_are_escaped),
		cmocka_unit_test(a_word_cannot_look_like_another_field),
		cmocka_unit_test(what_does_not_fit_is_cut_and_marked),
		cmocka_unit_test(every_reason_has_a_word_and_a_text_of_its_own),
		cmocka_unit_test(the_counter_of_a_reason_is_the_field_of_its_name),
		cmocka_unit_test(a_text_line_has_every_field_and_escapes_what_the_client_sent),
		cmocka_unit_test(a_json_line_is_one_object_with_numbers_as_numbers),
		cmocka_unit_test(a_file_that_cannot_be_opened_is_reported_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
