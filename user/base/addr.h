/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses as the maps hold them: 16 bytes, IPv4 as ::ffff:a.b.c.d, port in network byte order.
 */
#ifndef THRUWAY_ADDR_H
#define THRUWAY_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "thruway/table.h"

/* "[ffff:...]:65535" with its NUL. */
#define ADDR_TEXT_SIZE 56

struct addr {
	uint8_t ip[16];
	__be16 port;
};

/* Parse "10.0.0.1" or "2001:db8::1" (no brackets, no zone). -EINVAL if it is neither. */
int addr_parse_ip(const char *text, uint8_t ret_ip[16]);
/* Parse "10.0.0.1:443" or "[2001:db8::1]:443", port 1..65535. -EINVAL otherwise. */
int addr_parse(const char *text, struct addr *ret_addr);
bool addr_is_ipv4(const uint8_t ip[16]);
bool addr_is_any(const uint8_t ip[16]);
/* Neither loopback nor link-local: it means the same to other hosts. */
bool addr_is_global(const uint8_t ip[16]);
/* "10.0.0.1:443", "[2001:db8::1]:443"; returns @dst (at least ADDR_TEXT_SIZE bytes). */
char *addr_format(char *dst, const uint8_t ip[16], __be16 port);
/* "10.0.0.1", "2001:db8::1". */
char *addr_format_ip(char *dst, const uint8_t ip[16]);
/* From accept(2) or getsockname(2): AF_INET or AF_INET6 (v4-mapped stays v4-mapped). */
int addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr);
/*
 * Fill @ret_sa for connect(2) or bind(2). IPv4 addresses give AF_INET, others AF_INET6; returns
 * the length.
 */
socklen_t addr_to_sockaddr(const uint8_t ip[16], __be16 port, struct sockaddr_storage *ret_sa);

#endif
