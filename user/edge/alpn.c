// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The ALPN list that a client sent (see alpn.h). */
#include "edge/alpn.h"

#include <string.h>

#include "base/log.h"

/* The next protocol at *@pos; NULL = no more. */
static const uint8_t *next_protocol(const uint8_t *list, size_t len, size_t *pos, size_t *ret_len)
{
	const uint8_t *protocol = list + *pos + 1;

	if (*pos >= len || *pos + 1 + list[*pos] > len)
		return NULL;
	*ret_len = list[*pos];
	*pos += 1 + *ret_len;
	return protocol;
}

json_t *alpn_json(const uint8_t *list, size_t len)
{
	char text[4 * 255 + 1];
	json_t *array = json_array();
	const uint8_t *protocol;
	size_t pos = 0, n;

	while ((protocol = next_protocol(list, len, &pos, &n)))
		json_array_append_new(array,
				      json_string(log_quote(text, sizeof(text), protocol, n)));
	return array;
}

char *alpn_text(char *dst, size_t size, const uint8_t *list, size_t len)
{
	const uint8_t *protocol;
	size_t pos = 0, at = 0, n;

	*dst = '\0';
	while ((protocol = next_protocol(list, len, &pos, &n)) && at + 2 < size) {
		if (at)
			dst[at++] = ',';
		log_word(dst + at, size - at, protocol, n);
		at += strlen(dst + at);
	}
	return dst;
}
