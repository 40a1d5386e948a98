// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Addresses between text, sockaddr and the maps' 16 bytes (see addr.h). */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool addr_is_ipv4(const uint8_t ip[16])
{
	return !memcmp(ip, v4_prefix, sizeof(v4_prefix));
}

bool addr_is_any(const uint8_t ip[16])
{
	static const uint8_t zero[16];

	if (addr_is_ipv4(ip))
		return !memcmp(ip + 12, zero, 4);
	return !memcmp(ip, zero, 16);
}

bool addr_is_global(const uint8_t ip[16])
{
	static const uint8_t loopback[16] = {[15] = 1};

	if (addr_is_ipv4(ip))
		return ip[12] != 127 && !(ip[12] == 169 && ip[13] == 254);
	return memcmp(ip, loopback, 16) != 0 && !(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
}

int addr_parse_ip(const char *text, uint8_t ret_ip[16])
{
	uint8_t ip[16];

	if (inet_pton(AF_INET, text, ip + 12) == 1)
		memcpy(ip, v4_prefix, sizeof(v4_prefix));
	else if (inet_pton(AF_INET6, text, ip) != 1)
		return -EINVAL;
	memcpy(ret_ip, ip, 16);
	return 0;
}

static int parse_port(const char *text, __be16 *ret_port)
{
	unsigned int port = 0;

	if (!*text || strlen(text) > 5)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		port = port * 10 + (unsigned int)(*text - '0');
	}
	if (port < 1 || port > 65535)
		return -EINVAL;
	*ret_port = htons((uint16_t)port);
	return 0;
}

int addr_parse(const char *text, struct addr *ret_addr)
{
	char host[INET6_ADDRSTRLEN];
	struct addr addr = {};
	const char *end, *port;
	size_t len;
	int err;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || end[1] != ':')
			return -EINVAL;
		port = end + 2;
	} else {
		end = strchr(text, ':');
		if (!end)
			return -EINVAL;
		port = end + 1;
	}
	len = (size_t)(end - text);
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	/* Brackets are for IPv6 alone, and IPv6 needs them. */
	if ((strchr(host, ':') != NULL) != (*end == ']'))
		return -EINVAL;
	err = addr_parse_ip(host, addr.ip);
	if (!err)
		err = parse_port(port, &addr.port);
	if (!err)
		*ret_addr = addr;
	return err;
}

char *addr_format_ip(char *dst, const uint8_t ip[16])
{
	if (addr_is_ipv4(ip))
		inet_ntop(AF_INET, ip + 12, dst, ADDR_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, ip, dst, ADDR_TEXT_SIZE);
	return dst;
}

char *addr_format(char *dst, const uint8_t ip[16], __be16 port)
{
	char text[INET6_ADDRSTRLEN + 8];

	addr_format_ip(text, ip);
	snprintf(dst, ADDR_TEXT_SIZE, addr_is_ipv4(ip) ? "%s:%u" : "[%s]:%u", text, ntohs(port));
	return dst;
}

int addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

	switch (sa->sa_family) {
	case AF_INET:
		memcpy(ret_addr->ip, v4_prefix, sizeof(v4_prefix));
		memcpy(ret_addr->ip + 12, &in->sin_addr, 4);
		ret_addr->port = in->sin_port;
		return 0;
	case AF_INET6:
		memcpy(ret_addr->ip, &in6->sin6_addr, 16);
		ret_addr->port = in6->sin6_port;
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

socklen_t addr_to_sockaddr(const uint8_t ip[16], __be16 port, struct sockaddr_storage *ret_sa)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret_sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_sa;

	memset(ret_sa, 0, sizeof(*ret_sa));
	if (addr_is_ipv4(ip)) {
		in->sin_family = AF_INET;
		in->sin_port = port;
		memcpy(&in->sin_addr, ip + 12, 4);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = port;
	memcpy(&in6->sin6_addr, ip, 16);
	return sizeof(*in6);
}
