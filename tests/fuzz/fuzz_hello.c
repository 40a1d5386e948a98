// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Any bytes at all as the beginning of a stream: hello.h's answer must be the one of a second
 * reader, written for nothing but to be plain, and must not depend on how the bytes were cut.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "thruway/hello.h"

#define PREFIXES_MAX 700 /* each prefix of a longer input would take too long */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(claim)                                                                                \
	do {                                                                                       \
		if (!(claim)) {                                                                    \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim);        \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* --- the plain reader: all bytes in one place, one slice inside of the other ---------------- */

struct slice {
	const uint8_t *at;
	size_t len;
};

static bool pull(struct slice *from, size_t len, struct slice *ret)
{
	if (len > from->len)
		return false;
	*ret = (struct slice){from->at, len};
	from->at += len;
	from->len -= len;
	return true;
}

static bool pull_number(struct slice *from, size_t bytes, size_t *ret)
{
	struct slice s;

	if (!pull(from, bytes, &s))
		return false;
	for (*ret = 0; s.len; s.len--)
		*ret = *ret << 8 | *s.at++;
	return true;
}

/* A vector: its length in @bytes bytes, then as many bytes. */
static bool pull_vector(struct slice *from, size_t bytes, struct slice *ret)
{
	size_t len;

	return pull_number(from, bytes, &len) && pull(from, len, ret);
}

struct plain {
	enum tw_hello_answer answer;
	enum tw_reason reason;
	char name[TW_NAME_SIZE];
	uint8_t alpn[TW_ASK_ALPN_BYTES];
	size_t alpn_len;
	bool has_name, has_alpn;
};

static bool plain_name(struct plain *p, struct slice extension)
{
	struct slice list, name;
	size_t type;

	if (p->has_name || !pull_vector(&extension, 2, &list) || extension.len)
		return false;
	if (!pull_number(&list, 1, &type) || type || !pull_vector(&list, 2, &name) || list.len)
		return false;
	p->has_name = true;
	return tw_name_normalise(p->name, name.at, name.len) > 0;
}

static bool plain_alpn(struct plain *p, struct slice extension)
{
	struct slice list, protocol;
	bool is_full = false;

	if (p->has_alpn || !pull_vector(&extension, 2, &list) || extension.len || !list.len)
		return false;
	p->has_alpn = true;
	while (list.len) {
		if (!pull_vector(&list, 1, &protocol) || !protocol.len)
			return false;
		is_full |= p->alpn_len + 1 + protocol.len > sizeof(p->alpn);
		if (is_full)
			continue;
		memcpy(p->alpn + p->alpn_len, protocol.at - 1, protocol.len + 1);
		p->alpn_len += protocol.len + 1;
	}
	return true;
}

static bool plain_body(struct plain *p, struct slice body)
{
	struct slice skipped, ciphers, compression, block, extension;
	size_t version, type;

	if (!pull_number(&body, 2, &version) || version >> 8 != 3 || !pull(&body, 32, &skipped))
		return false;
	if (!pull_vector(&body, 1, &skipped) || skipped.len > 32)
		return false;
	if (!pull_vector(&body, 2, &ciphers) || !ciphers.len || ciphers.len % 2)
		return false;
	if (!pull_vector(&body, 1, &compression) || !compression.len)
		return false;
	if (!body.len)
		return true;
	if (!pull_vector(&body, 2, &block) || body.len)
		return false;
	while (block.len) {
		if (!pull_number(&block, 2, &type) || !pull_vector(&block, 2, &extension))
			return false;
		if (type == 0 && !plain_name(p, extension))
			return false;
		if (type == 16 && !plain_alpn(p, extension))
			return false;
	}
	return true;
}

/*
 * Reads what is a stream of whole records up to the ClientHello's end. Leaves the answer at MORE
 * if the ClientHello is not there or the records are not as they must be.
 */
static void plain_read(struct plain *p, struct slice stream)
{
	static uint8_t message[TW_HELLO_HEAD + TW_HELLO_MAX];
	size_t len = 0, all = TW_HELLO_HEAD;

	memset(p, 0, sizeof(*p));
	while (len < all) {
		struct slice head, record;

		if (!pull(&stream, 3, &head) || head.at[0] != 22 || head.at[1] != 3 ||
		    !pull_vector(&stream, 2, &record) || !record.len ||
		    record.len > sizeof(message) - len)
			return;
		memcpy(message + len, record.at, record.len);
		len += record.len;
		if (len >= TW_HELLO_HEAD)
			all = TW_HELLO_HEAD + (message[1] << 16 | message[2] << 8 | message[3]);
		if (all > sizeof(message))
			return;
	}
	if (len != all || message[0] != 1)
		return;
	p->answer = TW_HELLO_REFUSED;
	if (!plain_body(p, (struct slice){message + TW_HELLO_HEAD, all - TW_HELLO_HEAD}))
		p->reason = TW_REFUSE_malformed;
	else if (!p->has_name)
		p->reason = TW_REFUSE_no_sni;
	else
		p->answer = TW_HELLO_FOUND;
}

/* --- what must be true ---------------------------------------------------------------------- */

static bool is_complete(const struct tw_hello *h)
{
	return h->answer == TW_HELLO_FOUND || h->reason == TW_REFUSE_no_sni;
}

static void check_plain_reader_agrees(const struct tw_hello *h, const uint8_t *data, size_t size)
{
	struct plain p;

	plain_read(&p, (struct slice){data, size});
	MUST(is_complete(h) == (p.answer == TW_HELLO_FOUND || p.reason == TW_REFUSE_no_sni));
	if (!is_complete(h))
		return;
	MUST(h->answer == p.answer && h->reason == p.reason);
	MUST(h->alpn_len == p.alpn_len && !memcmp(h->alpn, p.alpn, p.alpn_len));
	MUST(!memcmp(h->name, p.name, sizeof(p.name)));
	MUST(h->has_alpn == p.has_alpn);
	MUST(!h->name_len || h->labels == tw_name_labels(h->name));
}

static void check_name_is_valid(const struct tw_hello *h)
{
	char again[TW_NAME_SIZE];

	MUST(h->name_len >= 1 && h->name_len <= TW_NAME_MAX);
	MUST(tw_name_normalise(again, h->name, h->name_len) == h->name_len);
	MUST(!memcmp(again, h->name, sizeof(again)));
}

static void check_same(const struct tw_hello *a, const struct tw_hello *b)
{
	MUST(a->answer == b->answer && a->reason == b->reason && a->at == b->at);
	MUST(a->need == b->need && a->name_len == b->name_len && a->alpn_len == b->alpn_len);
	MUST(!memcmp(a->name, b->name, sizeof(a->name)));
	MUST(!memcmp(a->alpn, b->alpn, sizeof(a->alpn)));
}

/* In pieces of sizes that the input itself decides on. */
static void check_pieces(const struct tw_hello *whole, const uint8_t *data, size_t size)
{
	uint32_t seed = size * 2654435761u + (size > 12 ? data[11] << 8 | data[size - 1] : 0);
	struct tw_hello h;

	tw_hello_init(&h);
	for (size_t at = 0; at < size;) {
		size_t piece = 1 + (seed >> 16) % (seed & 64 ? 4 : 300);

		piece = piece < size - at ? piece : size - at;
		tw_hello_feed(&h, data + at, piece);
		at += piece;
		seed = seed * 1664525 + 1013904223;
	}
	check_same(&h, whole);
}

/* Byte by byte, each time anew as well: MORE until the answer, and never too great a need. */
static void check_prefixes(const struct tw_hello *whole, const uint8_t *data, size_t size)
{
	struct tw_hello one, anew;
	uint32_t need = 1;

	tw_hello_init(&one);
	for (size_t len = 1; len <= size; len++) {
		tw_hello_feed(&one, data + len - 1, 1);
		if (size <= PREFIXES_MAX) {
			tw_hello_parse(&anew, data, len);
			check_same(&anew, &one);
		}
		if (one.answer != TW_HELLO_MORE)
			break;
		MUST(one.at == len && one.need > len && one.need <= TW_HELLO_STREAM_MAX);
		/* It only rises: what was needed stays so. */
		MUST(one.need >= need);
		need = one.need;
	}
	check_same(&one, whole);
	if (is_complete(whole) || whole->reason == TW_REFUSE_not_tls)
		MUST(need <= whole->at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tw_hello h;

	tw_hello_parse(&h, data, size);
	MUST(h.at <= size);
	MUST((h.answer == TW_HELLO_REFUSED) == (h.reason != TW_OK));
	check_plain_reader_agrees(&h, data, size);
	if (h.answer == TW_HELLO_FOUND)
		check_name_is_valid(&h);
	check_pieces(&h, data, size);
	check_prefixes(&h, data, size);
	return 0;
}
