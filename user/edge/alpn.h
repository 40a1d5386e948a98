/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ALPN list that a client sent (RFC 7301 3.1: length byte, protocol, ...), for eyes and JSON.
 */
#ifndef THRUWAY_ALPN_H
#define THRUWAY_ALPN_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* A new array of strings, escaped. */
json_t *alpn_json(const uint8_t *list, size_t len);
/* "h2,http/1.1", each protocol as log_word() writes it. Returns @dst. */
char *alpn_text(char *dst, size_t size, const uint8_t *list, size_t len);

#endif
