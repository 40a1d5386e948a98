// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* This host's network devices and addresses (see devices.h). */
#include "kernel/devices.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cleanup.h"

int devices_addresses(uint8_t (**ret_addrs)[16], size_t *ret_n)
{
	struct ifaddrs *list, *at;
	uint8_t(*addrs)[16];
	struct addr addr;
	size_t n = 0;

	if (getifaddrs(&list))
		return -errno;
	for (at = list; at; at = at->ifa_next)
		n++;
	addrs = calloc(n ? n : 1, sizeof(*addrs));
	if (!addrs) {
		freeifaddrs(list);
		return -ENOMEM;
	}
	n = 0;
	for (at = list; at; at = at->ifa_next)
		if (at->ifa_addr && !addr_from_sockaddr(at->ifa_addr, &addr))
			memcpy(addrs[n++], addr.ip, sizeof(*addrs));
	freeifaddrs(list);
	*ret_addrs = addrs;
	*ret_n = n;
	return 0;
}

/* Of what is local the kernel takes the address itself as the source (fib: RTN_LOCAL). */
static bool is_own_source(int fd, const uint8_t ip[16])
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(ip, htons(9), &sa);
	struct addr source;

	/* Nothing is sent. */
	if (connect(fd, (struct sockaddr *)&sa, len))
		return false;
	len = sizeof(sa);
	return !getsockname(fd, (struct sockaddr *)&sa, &len) &&
	       !addr_from_sockaddr((struct sockaddr *)&sa, &source) &&
	       !memcmp(source.ip, ip, sizeof(source.ip));
}

bool devices_has(const uint8_t ip[16])
{
	int family = addr_is_ipv4(ip) ? AF_INET : AF_INET6;
	_cleanup_close_ int fd = -1;

	/* Of 127.0.0.0/8 it takes 127.0.0.1. */
	if (addr_is_ipv4(ip) && ip[12] == 127)
		return true;
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && is_own_source(fd, ip);
}
