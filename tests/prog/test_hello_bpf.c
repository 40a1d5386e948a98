// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * hello.h compiled for BPF and compiled natively are the same reader: same answer, reason, name,
 * ALPN, need and position on the whole corpus, whole and in pieces. Needs root, loads hello.bpf.o
 * from beside this program.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "../lib/hello_corpus.h"

#define EVERY_PREFIX_MAX 2000

/* As in hello.bpf.c. */
struct hello_args {
	__u32 begin;
	__u32 from;
	__u32 until;
};

struct reader {
	struct bpf_object *object;
	int prog;
	__u8 *stream; /* mapped */
	size_t stream_size;
	const struct tw_hello *hello; /* mapped */
};

static void *map_mapped(struct bpf_object *object, const char *name, size_t *ret_size)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);
	size_t page = sysconf(_SC_PAGESIZE);
	void *at;

	assert_non_null(map);
	*ret_size = (bpf_map__value_size(map) + page - 1) / page * page;
	at = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static int open_reader(void **state)
{
	static struct reader r;
	char path[PATH_MAX], object[PATH_MAX + 16];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	size_t size;

	assert_true(len > 0);
	path[len] = 0;
	snprintf(object, sizeof(object), "%s/hello.bpf.o", dirname(path));
	r.object = bpf_object__open_file(object, NULL);
	assert_non_null(r.object);
	assert_int_equal(bpf_object__load(r.object), 0);
	r.prog = bpf_program__fd(bpf_object__find_program_by_name(r.object, "hello_feed"));
	r.stream = map_mapped(r.object, "stream", &r.stream_size);
	r.hello = map_mapped(r.object, "state", &size);
	assert_true(size >= sizeof(*r.hello));
	*state = &r;
	return 0;
}

static int close_reader(void **state)
{
	struct reader *r = *state;

	bpf_object__close(r->object);
	return 0;
}

/* Reads on from the stream's byte @from to before @until. */
static void feed(const struct reader *r, bool begin, __u32 from, __u32 until)
{
	struct hello_args args = {begin, from, until};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));

	if (bpf_prog_test_run_opts(r->prog, &opts))
		fail_msg("BPF_PROG_TEST_RUN: %s", strerror(errno));
	assert_int_equal(opts.retval, r->hello->answer);
}

/* Fields alone: bytes read of an unfinished field and so on are the reader's own. */
static void assert_alike(const struct sample *s, const struct tw_hello *bpf,
			 const struct tw_hello *native)
{
	if (bpf->answer != native->answer || bpf->reason != native->reason ||
	    bpf->need != native->need || bpf->at != native->at ||
	    bpf->name_len != native->name_len || bpf->labels != native->labels ||
	    memcmp(bpf->name, native->name, sizeof(bpf->name)) ||
	    bpf->alpn_len != native->alpn_len || bpf->has_alpn != native->has_alpn ||
	    memcmp(bpf->alpn, native->alpn, sizeof(bpf->alpn)) || bpf->has_ech != native->has_ech)
		fail_msg("%s: BPF: answer %u, reason %u, at %u, need %u, '%s'; native: %u, %u, %u, "
			 "%u, '%s'",
			 s->file, bpf->answer, bpf->reason, bpf->at, bpf->need, bpf->name,
			 native->answer, native->reason, native->at, native->need, native->name);
}

static void bpf_and_native_answer_alike_on_every_corpus_file(void **state)
{
	const struct reader *r = *state;
	const struct corpus *c = corpus_read();

	for (__u32 i = 0; i < c->count; i++) {
		const struct sample *s = &c->samples[i];
		struct tw_hello native;

		assert_true(s->len + TW_HELLO_STREAM_MAX / 10 < r->stream_size);
		memcpy(r->stream, s->bytes, s->len);
		feed(r, true, 0, s->len);
		tw_hello_parse(&native, s->bytes, s->len);
		assert_alike(s, r->hello, &native);
		assert_int_equal(r->hello->answer, s->answer);
		assert_int_equal(r->hello->reason, s->reason);
		if (s->answer == TW_HELLO_FOUND)
			assert_string_equal(r->hello->name, s->name);
	}
}

static void bpf_and_native_answer_alike_on_every_prefix(void **state)
{
	const struct reader *r = *state;
	const struct corpus *c = corpus_read();

	for (__u32 i = 0; i < c->count; i++) {
		const struct sample *s = &c->samples[i];
		struct tw_hello native;

		memcpy(r->stream, s->bytes, s->len);
		for (__u32 len = s->len > EVERY_PREFIX_MAX ? s->len - 10 : 0; len < s->len; len++) {
			feed(r, true, 0, len);
			tw_hello_parse(&native, s->bytes, len);
			assert_alike(s, r->hello, &native);
		}
	}
}

static void bpf_and_native_answer_alike_after_every_piece(void **state)
{
	static const __u32 sizes[] = {1, 7, 100, 256, 300, 1448};
	const struct reader *r = *state;
	const struct corpus *c = corpus_read();

	for (__u32 i = 0; i < c->count; i++) {
		const struct sample *s = &c->samples[i];

		memcpy(r->stream, s->bytes, s->len);
		for (__u32 n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
			struct tw_hello native;

			tw_hello_init(&native);
			for (__u32 at = 0; at < s->len && native.answer == TW_HELLO_MORE;) {
				__u32 until = at + sizes[n] < s->len ? at + sizes[n] : s->len;

				tw_hello_feed(&native, s->bytes + at, until - at);
				feed(r, !at, at, until);
				assert_alike(s, r->hello, &native);
				at = until;
			}
		}
	}
}

static void bpf_reads_the_biggest_hello_in_records_of_one_byte(void **state)
{
	const struct reader *r = *state;
	const struct corpus *c = corpus_read();
	__u32 len = 0, record = 0;

	for (__u32 i = 0; i < c->count; i++) {
		const struct sample *s = &c->samples[i];

		if (!strstr(s->file, "stream-biggest-name-last.bin"))
			continue;
		for (__u32 at = 0; at < s->len; at++) {
			static const __u8 head[] = {22, 3, 1, 0, 1};

			if (!record) {
				record = s->bytes[at + 3] << 8 | s->bytes[at + 4];
				at += TW_RECORD_HEAD;
			}
			memcpy(r->stream + len, head, sizeof(head));
			r->stream[len + sizeof(head)] = s->bytes[at];
			len += sizeof(head) + 1;
			record--;
		}
	}
	assert_int_equal(len, TW_HELLO_STREAM_MAX);
	feed(r, true, 0, len - 1);
	assert_int_equal(r->hello->answer, TW_HELLO_MORE);
	assert_int_equal(r->hello->need, len);
	feed(r, false, len - 1, len);
	assert_int_equal(r->hello->answer, TW_HELLO_FOUND);
	assert_string_equal(r->hello->name, "app.example.com");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bpf_and_native_answer_alike_on_every_corpus_file),
		cmocka_unit_test(bpf_and_native_answer_alike_on_every_prefix),
		cmocka_unit_test(bpf_and_native_answer_alike_after_every_piece),
		cmocka_unit_test(bpf_reads_the_biggest_hello_in_records_of_one_byte),
	};

	if (geteuid()) {
		puts("needs root: loads a BPF program");
		return 77;
	}
	return cmocka_run_group_tests(tests, open_reader, close_reader);
}
