// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The router and the server behind it must never read different names. OpenSSL's server reads the
 * corpus and mutations of it; where it gets as far as the name, it is the name that hello.h found,
 * and where hello.h says that there is none, there is none for OpenSSL.
 *
 * HELLO_MUTATIONS=N in the environment tries N mutations of each file instead of the default.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "../lib/hello_corpus.h"

#define MUTATIONS  60
#define STREAM_MAX 4096 /* longer samples are not mutated */

/* What OpenSSL made of a stream. */
struct reading {
	bool is_hello;	/* the ClientHello was taken apart */
	bool is_parsed; /* and the extensions were found to be right */
	bool has_name;
	char name[TW_NAME_SIZE];
	__u8 alpn[8192];
	size_t alpn_len;
};

static int hello_callback(SSL *ssl, int *alert, void *arg)
{
	struct reading *r = arg;
	const unsigned char *alpn;
	size_t len;

	(void)alert;
	r->is_hello = true;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
				      &alpn, &len) &&
	    len > 2 && len - 2 <= sizeof(r->alpn)) {
		memcpy(r->alpn, alpn + 2, len - 2);
		r->alpn_len = len - 2;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int name_callback(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct reading *r = arg;

	(void)alert;
	r->is_parsed = true;
	if (name) {
		r->has_name = true;
		snprintf(r->name, sizeof(r->name), "%s", name);
	}
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context;

static int make_context(void **state)
{
	(void)state;
	context = SSL_CTX_new(TLS_server_method());
	assert_non_null(context);
	SSL_CTX_set_security_level(context, 0);
	assert_true(SSL_CTX_set_min_proto_version(context, 0));
	assert_true(SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0"));
	return 0;
}

static int free_context(void **state)
{
	(void)state;
	SSL_CTX_free(context);
	return 0;
}

/* Without a certificate the handshake fails behind what is of interest here. */
static void openssl_read(struct reading *r, const __u8 *stream, __u32 len)
{
	BIO *in = BIO_new_mem_buf(stream, len), *out = BIO_new(BIO_s_mem());
	SSL *ssl;

	memset(r, 0, sizeof(*r));
	SSL_CTX_set_client_hello_cb(context, hello_callback, r);
	SSL_CTX_set_tlsext_servername_callback(context, name_callback);
	SSL_CTX_set_tlsext_servername_arg(context, r);
	ssl = SSL_new(context);
	assert_true(ssl && in && out);
	BIO_set_mem_eof_return(in, -1);
	SSL_set_bio(ssl, in, out);
	SSL_accept(ssl);
	SSL_free(ssl);
	ERR_clear_error();
}

struct tally {
	__u32 alike;	/* both read the same name */
	__u32 nameless; /* both read that there is none */
	__u32 strict;	/* OpenSSL got as far as the name, and we had refused */
};

static void compare(struct tally *t, const struct sample *s, const __u8 *stream, __u32 len)
{
	char name[TW_NAME_SIZE];
	struct tw_hello h;
	struct reading r;

	openssl_read(&r, stream, len);
	tw_hello_parse(&h, stream, len);
	if (r.is_hello && h.answer == TW_HELLO_MORE)
		fail_msg("%s: OpenSSL read the hello, we wait for more", s->file);
	if (!r.is_parsed)
		return;
	if (h.answer == TW_HELLO_FOUND) {
		if (!r.has_name || tw_name_normalise(name, r.name, strlen(r.name)) < 0 ||
		    strcmp(name, h.name))
			fail_msg("%s: we read '%s', OpenSSL '%s'", s->file, h.name,
				 r.has_name ? r.name : "(none)");
		if (h.alpn_len > r.alpn_len || memcmp(h.alpn, r.alpn, h.alpn_len) ||
		    (h.alpn_len < r.alpn_len &&
		     h.alpn_len + 1u + r.alpn[h.alpn_len] <= TW_ASK_ALPN_BYTES))
			fail_msg("%s: we read %u bytes of ALPN, OpenSSL %zu", s->file, h.alpn_len,
				 r.alpn_len);
		t->alike++;
	} else if (h.reason == TW_REFUSE_no_sni) {
		if (r.has_name)
			fail_msg("%s: we read no name, OpenSSL '%s'", s->file, r.name);
		t->nameless++;
	} else {
		t->strict++;
	}
}

static void openssl_reads_the_same_name_in_every_corpus_file(void **state)
{
	const struct corpus *c = corpus_read();
	struct tally t = {};

	(void)state;
	for (__u32 i = 0; i < c->count; i++)
		compare(&t, &c->samples[i], c->samples[i].bytes, c->samples[i].len);
	/* What the comparison is worth. */
	assert_in_range(t.alike, 70, CORPUS_MAX);
	assert_in_range(t.nameless, 4, CORPUS_MAX);
}

static __u32 below(__u64 *random, __u32 limit)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (*random >> 20) % limit;
}

static void add16(__u8 *at, int change)
{
	int value = (at[0] << 8 | at[1]) + change;

	at[0] = value >> 8;
	at[1] = value;
}

/* Puts the lengths around the extensions right after a change of the stream's, if it is one record.
 */
static void mend(__u8 *stream, __u32 len, int change)
{
	__u32 at = TW_RECORD_HEAD + TW_HELLO_HEAD + 2 + 32;

	add16(stream + 3, change);
	add16(stream + 7, change);
	at += 1 + stream[at];
	if (at + 2 < len)
		at += 2 + (stream[at] << 8 | stream[at + 1]);
	if (at + 1 < len)
		at += 1 + stream[at];
	if (at + 2 < len)
		add16(stream + at, change);
}

/* One small change. Returns the new length. */
static __u32 mutate(__u8 *stream, __u32 len, __u64 *random)
{
	/* Mostly behind the session id, where the lengths are. */
	__u32 from = len > 90 && below(random, 8) ? 76 : 0;
	__u32 at = from + below(random, len - from), size = 1 + below(random, 12);

	switch (below(random, 6)) {
	case 0:
		stream[at] = below(random, 256);
		return len;
	case 1:
		stream[at] += 1 - 2 * below(random, 2);
		return len;
	case 2:
		stream[at] = below(random, 24); /* types and short lengths */
		return len;
	case 3: /* repeats some bytes elsewhere */
		size = size < len - at ? size : len - at;
		memmove(stream + from + below(random, len - from - size + 1), stream + at, size);
		return len;
	case 4: /* puts some bytes in */
		memmove(stream + at + size, stream + at, len - at);
		if (below(random, 4))
			mend(stream, len + size, size);
		return len + size;
	default: /* takes some away */
		size = size < len - at ? size : len - at - 1;
		memmove(stream + at, stream + at + size, len - at - size);
		if (below(random, 4))
			mend(stream, len - size, -(int)size);
		return len - size;
	}
}

static void openssl_reads_the_same_name_in_what_is_left_of_them_after_mutation(void **state)
{
	const char *wanted = getenv("HELLO_MUTATIONS");
	const __u32 rounds = wanted ? strtoul(wanted, NULL, 10) : MUTATIONS;
	const struct corpus *c = corpus_read();
	__u64 random = 0x9e3779b97f4a7c15;
	struct tally t = {};

	(void)state;
	for (__u32 i = 0; i < c->count; i++) {
		const struct sample *s = &c->samples[i];

		if (s->len < 60 || s->len > STREAM_MAX - 64)
			continue;
		for (__u32 n = 0; n < rounds; n++) {
			__u8 stream[STREAM_MAX];
			__u32 len = s->len;

			memcpy(stream, s->bytes, len);
			for (__u32 changes = 1 + below(&random, 3); changes; changes--)
				len = mutate(stream, len, &random);
			compare(&t, s, stream, len);
		}
	}
	assert_in_range(t.alike, rounds * 20, UINT32_MAX);
	print_message("%u read alike, %u nameless, %u refused by us alone\n", t.alike, t.nameless,
		      t.strict);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openssl_reads_the_same_name_in_every_corpus_file),
		cmocka_unit_test(
			openssl_reads_the_same_name_in_what_is_left_of_them_after_mutation),
	};

	return cmocka_run_group_tests(tests, make_context, free_context);
}
