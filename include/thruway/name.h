/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Server names: which bytes make one, and the one form in which maps and logs hold it (lower case,
 * no trailing dot, zero-filled). Compiled for BPF and for user space, so that the name that a
 * client sent and the name that a route was given compare byte for byte. Owns no state.
 *
 * A name is 1 to 253 bytes in labels of 1 to 63 bytes (RFC 1035 2.3.4), hence at most 127 labels;
 * letters, digits, '-' and '_' (which host names may not have, and clients send). Names of other
 * alphabets travel as "xn--..." (RFC 6066 3); an IPv4 literal has the form of a name and is one.
 */
#ifndef THRUWAY_NAME_H
#define THRUWAY_NAME_H

#include "thruway/types.h"

#define TW_LABEL_MAX  63  /* bytes of one label */
#define TW_LABELS_MAX 127 /* labels of one name */

/* Why something is not a name. X(word, what is expected) */
/* clang-format off */
#define TW_NAME_ERRORS(X)                                                                      \
	X(EMPTY,    "a name has at least one byte")                                            \
	X(LONG,     "a name has at most 253 bytes")                                            \
	X(LABEL,    "each label between the dots has 1 to 63 bytes")                           \
	X(BYTE,     "a name is made of letters, digits, '-', '_' and '.'")                     \
	X(WILDCARD, "'*' stands alone or as the whole first label, as in '*.example.com'")
/* clang-format on */

/* What the functions below return, negated: -TW_NAME_IS_LONG and so on. */
enum tw_name_error {
	TW_NAME_IS_FINE,
#define X(word, text) TW_NAME_IS_##word,
	TW_NAME_ERRORS(X)
#undef X
};

/* How far a name was read; starts zeroed, as does the name's buffer. */
struct tw_name_scan {
	__u16 len;   /* bytes in the buffer, dots included; a dot at the end is not in it */
	__u8 label;  /* bytes of the label that is being read; 0 behind a dot */
	__u8 labels; /* labels begun */
};

static inline int tw_name_put(char name[TW_NAME_SIZE], struct tw_name_scan *scan, __u8 byte)
{
	__u32 len = scan->len;

	if (len >= TW_NAME_MAX)
		return -TW_NAME_IS_LONG;
	name[len] = byte;
	scan->len = len + 1;
	return 0;
}

/*
 * Reads one more byte of a name. The bytes come one by one because in a BPF program they may be
 * spread over TLS records and packets. A dot is written with the byte behind it, so that a trailing
 * one never is. Returns 0 or a negated enum tw_name_error.
 */
static inline int tw_name_push(char name[TW_NAME_SIZE], struct tw_name_scan *scan, __u8 byte)
{
	if (byte == '.') {
		if (!scan->label)
			return -TW_NAME_IS_LABEL;
		scan->label = 0;
		return 0;
	}
	if (byte >= 'A' && byte <= 'Z')
		byte += 'a' - 'A';
	else if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9') && byte != '-' &&
		 byte != '_')
		return -TW_NAME_IS_BYTE;
	if (!scan->label) {
		if (scan->labels && tw_name_put(name, scan, '.'))
			return -TW_NAME_IS_LONG;
		scan->labels++;
	}
	if (scan->label++ == TW_LABEL_MAX)
		return -TW_NAME_IS_LABEL;
	return tw_name_put(name, scan, byte);
}

#ifndef __bpf__

static inline int tw_name_read(char name[TW_NAME_SIZE], struct tw_name_scan *scan,
			       const __u8 *bytes, __u32 len)
{
	for (__u32 i = 0; i < len; i++) {
		int err = tw_name_push(name, scan, bytes[i]);

		if (err)
			return err;
	}
	return scan->len ? scan->len : -TW_NAME_IS_EMPTY;
}

/* Writes the name of @len bytes at @text into @name. Returns its length or a negated error. */
static inline int tw_name_normalise(char name[TW_NAME_SIZE], const void *text, __u32 len)
{
	struct tw_name_scan scan = {};

	__builtin_memset(name, 0, TW_NAME_SIZE);
	return tw_name_read(name, &scan, text, len);
}

/*
 * The same for what a configuration may say: a name, "*.suffix" or "*". A pattern is a wildcard
 * if its first byte is '*'. Returns its length, '*' included, or a negated error.
 */
static inline int tw_name_pattern(char name[TW_NAME_SIZE], const char *text, __u32 len)
{
	struct tw_name_scan scan = {};
	__u32 star = len && text[0] == '*';
	int err;

	__builtin_memset(name, 0, TW_NAME_SIZE);
	if (star) {
		if (len == 2 || (len > 2 && text[1] != '.'))
			return -TW_NAME_IS_WILDCARD;
		/* A label like any other, which no name has. */
		name[0] = '*';
		scan = (struct tw_name_scan){.len = 1, .label = 1, .labels = 1};
	}
	err = tw_name_read(name, &scan, (const __u8 *)text + star, len - star);
	if (err == -TW_NAME_IS_BYTE && __builtin_memchr(text + star, '*', len - star))
		return -TW_NAME_IS_WILDCARD;
	return err;
}

/* What is expected where one of the two functions above returned @err. */
static inline const char *tw_name_strerror(int err)
{
	switch (-err) {
#define X(word, text)                                                                              \
	case TW_NAME_IS_##word:                                                                    \
		return text;
		TW_NAME_ERRORS(X)
#undef X
	default:
		return "a name";
	}
}

/* Labels of a normalised name or pattern ('*' counts as one): 1 .. TW_LABELS_MAX. */
static inline __u32 tw_name_labels(const char *name)
{
	__u32 labels = 1;

	for (; *name; name++)
		labels += *name == '.';
	return labels;
}

#endif /* !__bpf__ */

#endif
