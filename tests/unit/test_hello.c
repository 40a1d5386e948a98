// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * hello.h as user space has it: the whole corpus of ClientHellos, whole and in every kind of piece,
 * and what its answers promise to callers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../lib/hello_corpus.h"

/* Prefixes of longer streams are tried only near their ends. */
#define EVERY_PREFIX_MAX 2500

static void assert_same(const struct sample *s, const struct tw_hello *got,
			const struct tw_hello *want)
{
	if (got->answer != want->answer || got->reason != want->reason || got->at != want->at ||
	    got->need != want->need || got->name_len != want->name_len ||
	    memcmp(got->name, want->name, TW_NAME_SIZE) || got->alpn_len != want->alpn_len ||
	    memcmp(got->alpn, want->alpn, sizeof(want->alpn)) || got->has_ech != want->has_ech)
		fail_msg("%s: answers %u, reason %u, at %u, need %u, '%s'; whole: %u, %u, %u, %u, "
			 "'%s'",
			 s->file, got->answer, got->reason, got->at, got->need, got->name,
			 want->answer, want->reason, want->at, want->need, want->name);
}

static void every_corpus_file_gets_its_answer(void **state)
{
	const struct corpus *c = corpus_read();

	(void)state;
	for (__u32 i = 0; i < c->count; i++) {
		const struct sample *s = &c->samples[i];
		struct tw_hello h;

		if (tw_hello_parse(&h, s->bytes, s->len) != s->answer || h.reason != s->reason)
			fail_msg("%s: answers %u, reason %u; must: %u, %u", s->file, h.answer,
				 h.reason, s->answer, s->reason);
		if (h.answer == TW_HELLO_FOUND &&
		    (strcmp(h.name, s->name) || h.name_len != strlen(s->name) ||
		     h.labels != tw_name_labels(s->name)))
			fail_msg("%s: '%s' of %u; must: '%s'", s->file, h.name, h.name_len,
				 s->name);
		if ((h.answer == TW_HELLO_FOUND || h.reason == TW_REFUSE_no_sni) &&
		    (h.alpn_len != s->alpn_len || memcmp(h.alpn, s->alpn, s->alpn_len)))
			fail_msg("%s: %u bytes of ALPN; must: %u", s->file, h.alpn_len,
				 s->alpn_len);
	}
}

static void any_cutting_into_pieces_gives_the_same_answer(void **state)
{
	static const __u32 sizes[] = {1, 2, 3, 5, 16, 100, 517, 1448};
	const struct corpus *c = corpus_read();

	(void)state;
	for (__u32 i = 0; i < c->count; i++) {
		const struct sample *s = &c->samples[i];
		struct tw_hello whole;

		tw_hello_parse(&whole, s->bytes, s->len);
		for (__u32 n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
			struct tw_hello h;

			tw_hello_init(&h);
			for (__u32 at = 0; at < s->len; at += sizes[n])
				tw_hello_feed(&h, s->bytes + at,
					      sizes[n] < s->len - at ? sizes[n] : s->len - at);
			assert_same(s, &h, &whole);
		}
	}
}

/* And so does one that begins anew with each piece, as a caller that peeks may do. */
static void every_prefix_says_more_until_the_answer_which_then_stays(void **state)
{
	const struct corpus *c = corpus_read();

	(void)state;
	for (__u32 i = 0; i < c->count; i++) {
		const struct sample *s = &c->samples[i];
		__u32 from = s->len > EVERY_PREFIX_MAX ? s->len - 20 : 0;
		struct tw_hello whole, h;
		__u32 need = 0;

		tw_hello_parse(&whole, s->bytes, s->len);
		for (__u32 len = from; len <= s->len; len++) {
			tw_hello_parse(&h, s->bytes, len);
			if (len >= whole.at && whole.answer != TW_HELLO_MORE) {
				assert_same(s, &h, &whole);
				continue;
			}
			if (h.answer != TW_HELLO_MORE || h.at != len || h.need <= len)
				fail_msg("%s: %u bytes: answers %u, read %u, needs %u", s->file,
					 len, h.answer, h.at, h.need);
			need = h.need > need ? h.need : need;
		}
		if (whole.answer == TW_HELLO_FOUND || whole.reason == TW_REFUSE_no_sni ||
		    whole.reason == TW_REFUSE_not_tls)
			assert_true(need <= whole.at);
	}
}

static const struct sample *find(const char *file)
{
	const struct corpus *c = corpus_read();

	for (__u32 i = 0; i < c->count; i++)
		if (strstr(c->samples[i].file, file))
			return &c->samples[i];
	fail_msg("no %s in the corpus", file);
	return NULL;
}

static void a_caller_that_waits_for_need_is_woken_four_times_for_a_hello_of_one_record(void **state)
{
	const struct sample *s = find("openssl-tls13.bin");
	struct tw_hello h;
	__u32 calls = 0;

	(void)state;
	tw_hello_init(&h);
	while (h.answer == TW_HELLO_MORE) {
		assert_in_range(h.need, 1, s->len);
		tw_hello_parse(&h, s->bytes, h.need);
		calls++;
	}
	assert_int_equal(h.answer, TW_HELLO_FOUND);
	/* The two bytes that tell TLS from the rest, the two headers, the hello. */
	assert_int_equal(calls, 4);
}

static void a_caller_that_waits_for_need_is_woken_seldom_for_records_of_one_byte(void **state)
{
	const struct sample *s = find("stream-records-of-1-byte.bin");
	struct tw_hello h;
	__u32 calls = 0;

	(void)state;
	tw_hello_init(&h);
	while (h.answer == TW_HELLO_MORE) {
		assert_in_range(h.need, h.at + 1, s->len);
		tw_hello_feed(&h, s->bytes + h.at, h.need - h.at);
		calls++;
	}
	assert_int_equal(h.answer, TW_HELLO_FOUND);
	assert_in_range(calls, 4, 40);
}

static void somebody_who_does_not_speak_tls_is_known_by_one_byte_or_two(void **state)
{
	struct tw_hello h;

	(void)state;
	tw_hello_init(&h);
	assert_int_equal(h.need, 1);
	assert_int_equal(tw_hello_parse(&h, "S", 1), TW_HELLO_REFUSED);
	assert_int_equal(h.reason, TW_REFUSE_not_tls);
	assert_int_equal(tw_hello_parse(&h, "\x16", 1), TW_HELLO_MORE);
	assert_int_equal(h.need, 2);
	assert_int_equal(tw_hello_parse(&h, "\x16\x16", 2), TW_HELLO_REFUSED);
	assert_int_equal(h.reason, TW_REFUSE_not_tls);
}

static void a_hello_that_is_too_big_is_refused_once_its_length_is_there(void **state)
{
	static const __u8 head[] = {22, 3, 1, 0x40, 0, 1, 0, 0x40, 1};
	struct tw_hello h;

	(void)state;
	assert_int_equal(tw_hello_parse(&h, head, sizeof(head) - 1), TW_HELLO_MORE);
	assert_int_equal(tw_hello_parse(&h, head, sizeof(head)), TW_HELLO_REFUSED);
	assert_int_equal(h.reason, TW_REFUSE_too_big);
}

static void found_says_where_the_hello_ends_in_the_stream(void **state)
{
	const struct sample *alone = find("stream-record-minor-version-0.bin");
	const struct sample *more = find("stream-second-hello-behind.bin");
	struct tw_hello h;

	(void)state;
	tw_hello_parse(&h, alone->bytes, alone->len);
	assert_int_equal(h.at, alone->len);
	tw_hello_parse(&h, more->bytes, more->len);
	assert_int_equal(h.at, alone->len);
	assert_string_equal(h.name, "app.example.com");
}

static void ech_is_seen_and_the_outer_name_taken(void **state)
{
	const struct sample *s = find("hello-ech-outer.bin");
	struct tw_hello h;

	(void)state;
	tw_hello_parse(&h, s->bytes, s->len);
	assert_true(h.has_ech);
	assert_string_equal(h.name, "app.example.com");
	s = find("hello-name-alone.bin");
	tw_hello_parse(&h, s->bytes, s->len);
	assert_false(h.has_ech);
}

/* Writes @message as two records, the first of @first bytes. Returns the stream's length. */
static __u32 two_records(__u8 *to, const __u8 *message, __u32 len, __u32 first)
{
	__u32 at = 0;

	for (int i = 0; i < 2; i++) {
		__u32 from = i ? first : 0, size = i ? len - first : first;
		const __u8 head[] = {22, 3, 1, size >> 8, size};

		memcpy(to + at, head, sizeof(head));
		memcpy(to + at + sizeof(head), message + from, size);
		at += sizeof(head) + size;
	}
	return at;
}

static void hello_split_across_two_records_anywhere_is_found(void **state)
{
	const struct sample *s = find("boringssl-as-chrome131.bin");
	__u8 stream[4096];
	__u32 len = s->len - TW_RECORD_HEAD;

	(void)state;
	assert_true(s->len + TW_RECORD_HEAD <= sizeof(stream));
	for (__u32 first = 1; first < len; first++) {
		struct tw_hello h;
		__u32 all = two_records(stream, s->bytes + TW_RECORD_HEAD, len, first);

		/* Once the hello's length is known, so is that a record header is still to come. */
		assert_int_equal(tw_hello_parse(&h, stream, TW_RECORD_HEAD + first), TW_HELLO_MORE);
		if (first >= TW_HELLO_HEAD) {
			assert_int_equal(h.need, all);
			tw_hello_parse(&h, stream, TW_RECORD_HEAD + TW_HELLO_HEAD);
			assert_int_equal(h.need, all);
		}
		assert_int_equal(tw_hello_parse(&h, stream, all), TW_HELLO_FOUND);
		assert_int_equal(h.at, all);
		assert_string_equal(h.name, s->name);
		assert_memory_equal(h.alpn, s->alpn, s->alpn_len);
		/* The same with a byte too many in the second record. */
		stream[all] = 0;
		stream[TW_RECORD_HEAD + first + 4]++;
		if (stream[TW_RECORD_HEAD + first + 4])
			assert_int_equal(tw_hello_parse(&h, stream, all + 1), TW_HELLO_REFUSED);
	}
}

/*
 * A wrong byte anywhere may make a hello malformed or leave it as it is, but brings up another name
 * only where it stands in the name's own bytes, and hides the name only where the extension's type
 * is.
 */
static void no_wrong_byte_brings_up_another_name(void **state)
{
	const struct sample *s = find("sni-extension-twice.bin");
	__u8 stream[1024];
	__u32 name_at = 0, evil_at = 0;
	struct tw_hello h;

	(void)state;
	assert_true(s->len <= sizeof(stream));
	memcpy(stream, s->bytes, s->len);
	name_at = (__u8 *)memmem(stream, s->len, "app.example.com", 15) - stream;
	evil_at = (__u8 *)memmem(stream, s->len, "evil.example.net", 16) - stream;
	/* Make the second name an unknown extension: as long as it is one, the first one counts. */
	stream[evil_at - 9] = 99;
	assert_int_equal(tw_hello_parse(&h, stream, s->len), TW_HELLO_FOUND);
	for (__u32 at = 0; at < s->len; at++) {
		__u8 kept = stream[at];

		for (int value = 0; value < 256; value++) {
			stream[at] = value;
			if (tw_hello_parse(&h, stream, s->len) != TW_HELLO_FOUND)
				continue;
			if (at >= name_at && at < name_at + 15)
				continue;
			assert_string_equal(h.name, "app.example.com");
		}
		stream[at] = kept;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_corpus_file_gets_its_answer),
		cmocka_unit_test(any_cutting_into_pieces_gives_the_same_answer),
		cmocka_unit_test(every_prefix_says_more_until_the_answer_which_then_stays),
		cmocka_unit_test(
			a_caller_that_waits_for_need_is_woken_four_times_for_a_hello_of_one_record),
		cmocka_unit_test(
			a_caller_that_waits_for_need_is_woken_seldom_for_records_of_one_byte),
		cmocka_unit_test(somebody_who_does_not_speak_tls_is_known_by_one_byte_or_two),
		cmocka_unit_test(a_hello_that_is_too_big_is_refused_once_its_length_is_there),
		cmocka_unit_test(found_says_where_the_hello_ends_in_the_stream),
		cmocka_unit_test(ech_is_seen_and_the_outer_name_taken),
		cmocka_unit_test(hello_split_across_two_records_anywhere_is_found),
		cmocka_unit_test(no_wrong_byte_brings_up_another_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
