/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one reader of ClientHellos: server name and ALPN out of the raw TCP stream from its first
 * byte. Compiled for BPF and for user space: two readers that disagree about a name would be a way
 * around the routes. Freestanding; all state is in struct tw_hello.
 *
 *   stream    = record...                      RFC 8446 5.1: type 22, version 3.x, length, bytes
 *   records'  bytes = handshake message        RFC 8446 4:   type 1, length, ClientHello
 *
 * TYPE -> LENGTH -> VERSION -> (random) -> SESSION -> CIPHERS -> COMPRESSION -> EXTENSIONS
 *      -> EXTENSION -+-> (skipped) -------------------------> EXTENSION or END
 *                    +-> NAME_LIST -> NAME_HEAD -> NAME ----> EXTENSION or END
 *                    +-> ALPN_LIST -> ALPN_HEAD <-> ALPN ---> EXTENSION or END
 *
 * Each state is a field of fixed size that is being read; what lies between two fields is skipped
 * as a run. A record may end anywhere, inside a field too.
 *
 * What is read strictly, since a backend that read it otherwise would see another name:
 * - A length must agree with what it is inside of: the extensions block ends where the ClientHello
 *   does, the server name's two lengths and the ALPN list's end where the extension does, no
 *   extension ends behind the block, nothing is left over anywhere.
 * - One server_name extension, in it one name, of type host_name. Other types were never defined,
 *   and servers do not agree on how to read them (RFC 6066 3). One ALPN extension (RFC 8446 4.2).
 * - The record that ends the ClientHello ends with it: in TLS 1.3 it must (RFC 8446 5.1), and in
 *   older versions a client has nothing to say before it was answered. Records behind it (early
 *   data) are not looked at.
 * - Records without a byte, records of another type or version before the ClientHello is complete.
 *
 * With ECH the name is the outer one, which is what the client wants to be routed by.
 *
 * The answer depends on the bytes alone, never on how they were cut: "found" and "no_sni" are given
 * at the ClientHello's last byte, not before it, and a refusal at the byte that ends the field that
 * made it certain. Further bytes never change an answer.
 */
#ifndef THRUWAY_HELLO_H
#define THRUWAY_HELLO_H

#include "thruway/decide.h"
#include "thruway/name.h"
#include "thruway/reason.h"
#include "thruway/types.h"

#ifdef __bpf__
#include <bpf/bpf_helpers.h>
#endif

/* Longest ClientHello, without its 4-byte header. */
#define TW_HELLO_MAX	    16384
/* Shortest: version, random, no session id, one cipher suite, one compression method. */
#define TW_HELLO_MIN	    (2 + 32 + 1 + 2 + 2 + 1 + 1)
/* Handshake header: type and length. */
#define TW_HELLO_HEAD	    4
#define TW_RECORD_HEAD	    5
#define TW_RECORD_MAX	    16384
/* What the longest ClientHello takes of the stream: each byte in a record of its own. */
#define TW_HELLO_STREAM_MAX ((TW_HELLO_HEAD + TW_HELLO_MAX) * (TW_RECORD_HEAD + 1))

enum tw_hello_answer {
	TW_HELLO_MORE,	  /* no answer yet; @need says how many bytes there must be at least */
	TW_HELLO_FOUND,	  /* @name, @alpn and @at are set */
	TW_HELLO_REFUSED, /* @reason: not_tls, no_sni (then @alpn is set), malformed or too_big */
};

enum tw_hello_state {
	TW_HELLO_TYPE,
	TW_HELLO_LENGTH,
	TW_HELLO_VERSION,
	TW_HELLO_SESSION,
	TW_HELLO_CIPHERS,
	TW_HELLO_COMPRESSION,
	TW_HELLO_EXTENSIONS,
	TW_HELLO_EXTENSION,
	TW_HELLO_NAME_LIST,
	TW_HELLO_NAME_HEAD,
	TW_HELLO_NAME,
	TW_HELLO_ALPN_LIST,
	TW_HELLO_ALPN_HEAD,
	TW_HELLO_ALPN,
	TW_HELLO_END,
};

struct tw_hello {
	/* The answer. */
	__u32 answer; /* enum tw_hello_answer */
	__u32 reason; /* enum tw_reason; TW_OK unless refused */
	/*
	 * While the answer is MORE: the stream's length, from its first byte, below which neither
	 * "found" nor "no_sni" nor "not_tls" can be the answer, whatever comes; always more than
	 * there was. For SO_RCVLOWAT. (That a ClientHello is malformed can be certain before.)
	 */
	__u32 need;
	__u32 at; /* bytes of the stream that were read; once found: where the ClientHello ends */
	__u16 name_len;
	__u16 alpn_len;
	__u8 labels;   /* of the name */
	__u8 has_alpn; /* the extension was there */
	__u8 has_ech;  /* encrypted_client_hello was there: the name is the outer one */

	/* How far the reader is. */
	__u8 state;	  /* enum tw_hello_state */
	__u8 want;	  /* bytes missing of the field */
	__u8 record_at;	  /* bytes read of the record header; 0 inside a record */
	__u8 record_high; /* first byte of the record's length */
	__u8 protocol;	  /* bytes missing of the ALPN protocol */
	__u8 alpn_full;	  /* a protocol found no room in @alpn */
	__u16 record;	  /* bytes left of the record; 0: a record header comes next */
	__u16 left;	  /* bytes left of the name or of the ALPN list */
	/* Not beside body: gcc 12 loads two neighbours at once and waits for both their stores. */
	__u32 skip;  /* bytes to skip before the field */
	__u32 field; /* bytes read of the field, as a number */
	__u32 body;  /* bytes left of the message; until LENGTH was read, the fewest possible */
	struct tw_name_scan scan;

	char name[TW_NAME_SIZE]; /* normalised: name.h */
	/*
	 * As on the wire: length byte, protocol, ... in the client's order. Only whole protocols;
	 * the first that finds no room ends the list.
	 */
	__u8 alpn[TW_ASK_ALPN_BYTES];
};

_Static_assert(sizeof(struct tw_hello) < 640, "small enough to keep one per waiting connection");

static inline void tw_hello_init(struct tw_hello *h)
{
	__builtin_memset(h, 0, sizeof(*h));
	h->want = 1;
	h->need = 1;
	h->body = TW_HELLO_HEAD + TW_HELLO_MIN;
}

static inline void tw_hello_refuse(struct tw_hello *h, enum tw_reason reason)
{
	h->answer = TW_HELLO_REFUSED;
	h->reason = reason;
}

/* Next comes (after what is to be skipped) a field of @size bytes. */
static inline void tw_hello_expect(struct tw_hello *h, enum tw_hello_state state, __u32 size)
{
	h->state = state;
	h->want = size;
}

static inline void tw_hello_finish(struct tw_hello *h)
{
	if (h->name_len)
		h->answer = TW_HELLO_FOUND;
	else
		tw_hello_refuse(h, TW_REFUSE_no_sni);
}

/* The extension is read but for what is to be skipped: another one follows, or nothing. */
static inline void tw_hello_next_extension(struct tw_hello *h)
{
	__u32 rest = h->body - h->skip;

	if (rest >= 4)
		tw_hello_expect(h, TW_HELLO_EXTENSION, 4);
	else if (rest)
		tw_hello_refuse(h, TW_REFUSE_malformed);
	else if (h->skip)
		h->state = TW_HELLO_END;
	else
		tw_hello_finish(h);
}

static inline void tw_hello_extension(struct tw_hello *h, __u32 type, __u32 len)
{
	if (len > h->body) {
		tw_hello_refuse(h, TW_REFUSE_malformed);
		return;
	}
	switch (type) {
	case 0: /* server_name: list length, type, name length, a byte at least */
		if (h->name_len || len < 2 + 1 + 2 + 1) {
			tw_hello_refuse(h, TW_REFUSE_malformed);
			return;
		}
		h->left = len - 2;
		tw_hello_expect(h, TW_HELLO_NAME_LIST, 2);
		return;
	case 16: /* application_layer_protocol_negotiation: list length, length, a byte at least */
		if (h->has_alpn || len < 2 + 1 + 1) {
			tw_hello_refuse(h, TW_REFUSE_malformed);
			return;
		}
		h->has_alpn = 1;
		h->left = len - 2;
		tw_hello_expect(h, TW_HELLO_ALPN_LIST, 2);
		return;
	case 0xfe0d: /* encrypted_client_hello */
		h->has_ech = 1;
		break;
	}
	h->skip = len;
	tw_hello_next_extension(h);
}

static inline void tw_hello_name_byte(struct tw_hello *h, __u8 byte)
{
	if (tw_name_push(h->name, &h->scan, byte)) {
		tw_hello_refuse(h, TW_REFUSE_malformed);
		return;
	}
	h->want = 1;
	if (--h->left)
		return;
	h->name_len = h->scan.len;
	h->labels = h->scan.labels;
	tw_hello_next_extension(h);
}

static inline void tw_hello_next_protocol(struct tw_hello *h)
{
	if (h->left)
		tw_hello_expect(h, TW_HELLO_ALPN_HEAD, 1);
	else
		tw_hello_next_extension(h);
}

static inline void tw_hello_alpn_put(struct tw_hello *h, __u8 byte)
{
	__u32 at = h->alpn_len;

	if (at >= TW_ASK_ALPN_BYTES) /* for the verifier: there was room for the whole protocol */
		return;
	h->alpn[at] = byte;
	h->alpn_len = at + 1;
}

static inline void tw_hello_protocol(struct tw_hello *h, __u32 len)
{
	if (!len || len + 1 > h->left) {
		tw_hello_refuse(h, TW_REFUSE_malformed);
		return;
	}
	h->left -= len + 1;
	if (h->alpn_full || h->alpn_len + 1 + len > TW_ASK_ALPN_BYTES) {
		h->alpn_full = 1;
		h->skip = len;
		tw_hello_next_protocol(h);
		return;
	}
	tw_hello_alpn_put(h, len);
	h->protocol = len;
	tw_hello_expect(h, TW_HELLO_ALPN, 1);
}

/* The last byte of a field was read; its value is @value. */
static inline void tw_hello_field(struct tw_hello *h, __u32 value)
{
	enum tw_reason refuse = TW_REFUSE_malformed;

	switch (h->state) {
	case TW_HELLO_TYPE:
		if (value != 1)
			break;
		tw_hello_expect(h, TW_HELLO_LENGTH, 3);
		return;
	case TW_HELLO_LENGTH:
		if (value > TW_HELLO_MAX) {
			refuse = TW_REFUSE_too_big;
			break;
		}
		if (value < TW_HELLO_MIN || h->record > value)
			break;
		h->body = value;
		tw_hello_expect(h, TW_HELLO_VERSION, 1);
		return;
	case TW_HELLO_VERSION: /* its first byte: 3 from SSL 3.0 to TLS 1.3 */
		if (value != 3)
			break;
		h->skip = 1 + 32;
		tw_hello_expect(h, TW_HELLO_SESSION, 1);
		return;
	case TW_HELLO_SESSION:
		if (value > 32 || value + 2 + 2 + 1 + 1 > h->body)
			break;
		h->skip = value;
		tw_hello_expect(h, TW_HELLO_CIPHERS, 2);
		return;
	case TW_HELLO_CIPHERS:
		if (!value || value % 2 || value + 1 + 1 > h->body)
			break;
		h->skip = value;
		tw_hello_expect(h, TW_HELLO_COMPRESSION, 1);
		return;
	case TW_HELLO_COMPRESSION: /* a ClientHello may end behind it (RFC 5246 7.4.1.2) */
		if (!value || value > h->body || value + 1 == h->body)
			break;
		h->skip = value;
		tw_hello_expect(h, value == h->body ? TW_HELLO_END : TW_HELLO_EXTENSIONS, 2);
		return;
	case TW_HELLO_EXTENSIONS:
		if (value != h->body)
			break;
		tw_hello_next_extension(h);
		return;
	case TW_HELLO_EXTENSION:
		tw_hello_extension(h, value >> 16, value & 0xffff);
		return;
	case TW_HELLO_NAME_LIST:
		if (value != h->left)
			break;
		tw_hello_expect(h, TW_HELLO_NAME_HEAD, 3);
		return;
	case TW_HELLO_NAME_HEAD: /* type, then length: type 0 makes it the length alone */
		if (value != h->left - 3u || value > TW_NAME_MAX + 1)
			break;
		h->left = value;
		tw_hello_expect(h, TW_HELLO_NAME, 1);
		return;
	case TW_HELLO_NAME:
		tw_hello_name_byte(h, value);
		return;
	case TW_HELLO_ALPN_LIST:
		if (value != h->left)
			break;
		tw_hello_expect(h, TW_HELLO_ALPN_HEAD, 1);
		return;
	case TW_HELLO_ALPN_HEAD:
		tw_hello_protocol(h, value);
		return;
	case TW_HELLO_ALPN:
		tw_hello_alpn_put(h, value);
		h->want = 1;
		if (!--h->protocol)
			tw_hello_next_protocol(h);
		return;
	}
	tw_hello_refuse(h, refuse);
}

/* Reads one byte of a record header. */
static inline void tw_hello_record_byte(struct tw_hello *h, __u8 byte)
{
	/* Only the first record can say that this is not TLS. */
	enum tw_reason refuse = h->at < TW_RECORD_HEAD ? TW_REFUSE_not_tls : TW_REFUSE_malformed;
	__u32 at = h->record_at;

	h->at++;
	h->record_at = at + 1;
	switch (at) {
	case 0:
		if (byte != 22)
			tw_hello_refuse(h, refuse);
		return;
	case 1:
		if (byte != 3)
			tw_hello_refuse(h, refuse);
		return;
	case 2: /* the minor version says nothing: RFC 8446 5.1 */
		return;
	case 3:
		h->record_high = byte;
		return;
	}
	h->record_at = 0;
	h->record = h->record_high << 8 | byte;
	if (!h->record || h->record > TW_RECORD_MAX ||
	    (h->state > TW_HELLO_LENGTH && h->record > h->body))
		tw_hello_refuse(h, TW_REFUSE_malformed);
}

/*
 * Reads on: @byte is the stream's byte number h->at, and @avail >= 1 bytes are there from it on, of
 * which only @byte need be at hand. Returns how many bytes were read or skipped, at least one; the
 * next call is about the byte behind them. Only while the answer is MORE.
 */
static inline __u32 tw_hello_step(struct tw_hello *h, __u8 byte, __u32 avail)
{
	__u32 run = 1, value;

	if (!h->record) {
		tw_hello_record_byte(h, byte);
		return 1;
	}
	if (h->skip) {
		run = h->skip < h->record ? h->skip : h->record;
		run = run < avail ? run : avail;
	}
	h->at += run;
	h->record -= run;
	h->body -= run;
	if (h->skip) {
		h->skip -= run;
		if (!h->skip && h->state == TW_HELLO_END)
			tw_hello_finish(h);
		return run;
	}
	value = h->field << 8 | byte;
	h->want--;
	h->field = h->want ? value : 0;
	if (!h->want)
		tw_hello_field(h, value);
	return 1;
}

/* Sets @need, when all bytes that are there were read. */
static inline void tw_hello_set_need(struct tw_hello *h)
{
	h->need = h->at;
	if (h->answer != TW_HELLO_MORE)
		return;
	if (h->at < 2) {
		/* Somebody who does not speak TLS may wait for us now. */
		h->need += 1;
		return;
	}
	h->need += h->body;
	if (!h->record)
		h->need += TW_RECORD_HEAD - h->record_at;
	else if (h->body > h->record)
		h->need += TW_RECORD_HEAD;
}

#ifdef __bpf__

/* Bytes handed to tw_hello_feed() at a time: a power of two, for the verifier. */
#define TW_HELLO_CHUNK 256

struct tw_hello_chunk {
	struct tw_hello *hello;
	const __u8 *bytes; /* TW_HELLO_CHUNK of them, of which @len count */
	__u32 len;
	__u32 pos;
};

static long tw_hello_chunk_step(__u32 i, void *ctx)
{
	struct tw_hello_chunk *chunk = ctx;
	__u32 pos = chunk->pos;

	(void)i;
	if (pos >= chunk->len || pos >= TW_HELLO_CHUNK || chunk->hello->answer != TW_HELLO_MORE)
		return 1;
	chunk->pos = pos + tw_hello_step(chunk->hello, chunk->bytes[pos], chunk->len - pos);
	return 0;
}

/*
 * Reads on in the stream's next @len <= TW_HELLO_CHUNK bytes; @h and @bytes are in map values.
 * A caller that has not yet loaded what comes behind them may load the stream from h->at on.
 */
static inline enum tw_hello_answer tw_hello_feed(struct tw_hello *h, const __u8 *bytes, __u32 len)
{
	struct tw_hello_chunk chunk = {.hello = h, .bytes = bytes, .len = len};

	bpf_loop(TW_HELLO_CHUNK, tw_hello_chunk_step, &chunk, 0);
	tw_hello_set_need(h);
	return h->answer;
}

#else

/* Reads on in the stream's next @len bytes, those from h->at on. */
static inline enum tw_hello_answer tw_hello_feed(struct tw_hello *h, const void *bytes, __u32 len)
{
	const __u8 *at = bytes;

	for (__u32 pos = 0; pos < len && h->answer == TW_HELLO_MORE;)
		pos += tw_hello_step(h, at[pos], len - pos);
	tw_hello_set_need(h);
	return h->answer;
}

/* Reads the first @len bytes of a stream. */
static inline enum tw_hello_answer tw_hello_parse(struct tw_hello *h, const void *bytes, __u32 len)
{
	tw_hello_init(h);
	return tw_hello_feed(h, bytes, len);
}

#endif

#endif
