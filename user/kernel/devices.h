/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* This host's network devices and addresses. */
#ifndef THRUWAY_DEVICES_H
#define THRUWAY_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Every address of this network namespace, loopback included, IPv4 as ::ffff:a.b.c.d. 0 or -errno;
 * *@ret_addrs is the caller's to free.
 */
int devices_addresses(uint8_t (**ret_addrs)[16], size_t *ret_n);
/*
 * Is what is sent to @ip (IPv4 as ::ffff:a.b.c.d) delivered here? True of addresses of this host,
 * and of IPv4 routes of type local.
 */
bool devices_has(const uint8_t ip[16]);

#endif
