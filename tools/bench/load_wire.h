/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the two ends of the traffic generator say to each other: a ClientHello of real shape, whose
 * random field tells the server what to serve, and the payload pattern of a bulk stream. No
 * sockets here. Both ends run on one machine, so numbers are in its byte order, and times of
 * CLOCK_MONOTONIC can be compared.
 *
 * A bulk stream is the pattern over and over. The first byte of each repetition says whether it is
 * the last one: neither end needs a half-closed connection to see that all of it has come.
 */
#ifndef LOAD_WIRE_H
#define LOAD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>

#define HELLO_MAX     2048
#define HELLO_RECORD  5	 /* TLS record header */
#define HELLO_ORDER   11 /* where the random is: record 5, handshake 4, version 2 */
#define ANSWER_BYTES  4096
#define PING_BYTES    64
#define READY_BYTE    'R'
#define PATTERN_BYTES 262139 /* a prime: no lost buffer of a usual size goes unseen */
#define PATTERN_MORE  1
#define PATTERN_LAST  0
#define SAMPLE_BYTES  32

/* clang-format off */
#define LOAD_MODES(X)			\
	X(BULK_DOWN, "bulk-down")	\
	X(BULK_UP,   "bulk-up")		\
	X(PINGPONG,  "pingpong")	\
	X(CONN,      "conn")		\
	X(IDLE,      "idle")
/* clang-format on */

enum mode {
#define X(id, word) MODE_##id,
	LOAD_MODES(X)
#undef X
		MODES
};

/* The 32 bytes of ClientHello.random. */
struct order {
	char magic[8];
	uint32_t mode;
	uint32_t send_ms;    /* bulk-down: how long the server sends */
	uint32_t verify_all; /* bulk-up: compare every byte, not samples */
	uint8_t filler[12];
};
_Static_assert(sizeof(struct order) == 32, "it takes the place of the random");
#define ORDER_MAGIC "twb-load"

/* The server's last word on bulk-up. */
struct receipt {
	uint64_t bytes, first_ns, last_ns;
};

struct pattern {
	uint8_t more[PATTERN_BYTES], last[PATTERN_BYTES];
};

static inline void pattern_fill(struct pattern *pattern)
{
	uint64_t x = 0x74687275776179;

	for (size_t i = 0; i < PATTERN_BYTES; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		pattern->more[i] = pattern->last[i] = x >> 56;
	}
	pattern->more[0] = PATTERN_MORE;
	pattern->last[0] = PATTERN_LAST;
}

/* Do the bytes at @offset of a stream hold the pattern? The first byte of each is not compared. */
static inline bool pattern_matches(const struct pattern *pattern, uint64_t offset,
				   const uint8_t *data, size_t len)
{
	while (len) {
		size_t at = offset % PATTERN_BYTES, piece = PATTERN_BYTES - at;
		size_t skip = at == 0;

		if (piece > len)
			piece = len;
		if (memcmp(data + skip, pattern->more + at + skip, piece - skip))
			return false;
		data += piece;
		offset += piece;
		len -= piece;
	}
	return true;
}

/* --- ClientHello: the extensions that browsers and OpenSSL send, a padding one at the end ------
 */

struct hello {
	uint8_t bytes[HELLO_MAX];
	size_t len;
};

static inline void hello_put(struct hello *h, const void *data, size_t len)
{
	memcpy(h->bytes + h->len, data, len);
	h->len += len;
}

static inline void hello_put_u16(struct hello *h, uint16_t value)
{
	uint16_t wire = htons(value);

	hello_put(h, &wire, sizeof(wire));
}

static inline void hello_put_fill(struct hello *h, uint8_t seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h->bytes[h->len++] = (uint8_t)(seed + i * 37);
}

static inline void hello_put_ext(struct hello *h, uint16_t type, const void *body, size_t len)
{
	hello_put_u16(h, type);
	hello_put_u16(h, len);
	hello_put(h, body, len);
}

static inline void hello_put_sni(struct hello *h, const char *name)
{
	size_t len = strlen(name);

	hello_put_u16(h, 0);
	hello_put_u16(h, len + 5);
	hello_put_u16(h, len + 3);
	hello_put(h, "", 1); /* host_name */
	hello_put_u16(h, len);
	hello_put(h, name, len);
}

static inline void hello_put_key_share(struct hello *h, bool post_quantum)
{
	const size_t x25519 = 32, mlkem = 1216;
	size_t shares = 4 + x25519 + (post_quantum ? 4 + mlkem : 0);

	hello_put_u16(h, 51);
	hello_put_u16(h, shares + 2);
	hello_put_u16(h, shares);
	if (post_quantum) {
		hello_put_u16(h, 0x11ec); /* X25519MLKEM768 */
		hello_put_u16(h, mlkem);
		hello_put_fill(h, 3, mlkem);
	}
	hello_put_u16(h, 29);
	hello_put_u16(h, x25519);
	hello_put_fill(h, 11, x25519);
}

/* A hello of exactly @len bytes (517: usual; 1800: with a post-quantum key share); false: no room.
 */
static inline bool hello_make(struct hello *h, const char *name, size_t len,
			      const struct order *order)
{
	static const uint8_t ciphers[] = {0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0,
					  0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc, 0xa8};
	static const uint8_t groups[] = {0, 8, 0x11, 0xec, 0, 29, 0, 23, 0, 24};
	static const uint8_t signatures[] = {0, 12, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1};
	static const uint8_t alpn[] = "\0\x0c\x02h2\x08http/1.1";
	size_t extensions;

	*h = (struct hello){};
	if (len > HELLO_MAX || strlen(name) > 253)
		return false;
	hello_put(h, "\x16\x03\x01", 3);
	hello_put_u16(h, len - HELLO_RECORD);
	hello_put(h, "\x01\x00", 2);
	hello_put_u16(h, len - HELLO_RECORD - 4);
	hello_put_u16(h, 0x0303);
	hello_put(h, order, sizeof(*order));
	hello_put(h, "\x20", 1);
	hello_put_fill(h, 7, 32);
	hello_put_u16(h, sizeof(ciphers));
	hello_put(h, ciphers, sizeof(ciphers));
	hello_put(h, "\x01\x00", 2);
	extensions = h->len;
	hello_put_u16(h, len - extensions - 2);
	hello_put_sni(h, name);
	hello_put_ext(h, 23, "", 0); /* extended_master_secret */
	hello_put_ext(h, 10, groups, sizeof(groups));
	hello_put_ext(h, 11, "\x01\x00", 2); /* ec_point_formats */
	hello_put_ext(h, 13, signatures, sizeof(signatures));
	hello_put_ext(h, 16, alpn, sizeof(alpn) - 1);
	hello_put_ext(h, 43, "\x04\x03\x04\x03\x03", 5); /* supported_versions */
	hello_put_ext(h, 45, "\x01\x01", 2);		 /* psk_key_exchange_modes */
	hello_put_key_share(h, len > 1400);
	if (h->len + 4 > len)
		return false;
	hello_put_u16(h, 21); /* padding: its bytes are zero already */
	hello_put_u16(h, len - h->len - 2);
	h->len = len;
	return true;
}

/* How long the hello is that starts with these bytes; 0 = it cannot be told yet. */
static inline size_t hello_total(const uint8_t *bytes, size_t have)
{
	return have < HELLO_RECORD ? 0 : HELLO_RECORD + (bytes[3] << 8 | bytes[4]);
}

#endif
