// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loops through this host's addresses (see loops.h). */
#include "edge/loops.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/devices.h"

/* To be freed. Without them, loops through loopback are still seen. */
static uint8_t (*read_addresses(size_t *ret_n))[16]
{
	uint8_t(*addrs)[16] = NULL;
	int err = devices_addresses(&addrs, ret_n);

	if (!err)
		return addrs;
	log_warn("cannot read this host's addresses: %s, loops through them are not seen",
		 strerror(-err));
	*ret_n = 0;
	return NULL;
}

int loops_check(struct config *config, struct config_problems *problems)
{
	size_t n;
	_cleanup_free_ uint8_t(*addrs)[16] = read_addresses(&n);

	return config_check_loops(config, (const uint8_t(*)[16])addrs, n, problems);
}

bool loops_has(const struct config *config, const struct config_route *route,
	       struct config_problems *problems)
{
	size_t n;
	_cleanup_free_ uint8_t(*addrs)[16] = read_addresses(&n);

	return config_route_loops(config, route, (const uint8_t(*)[16])addrs, n, problems);
}

bool loops_has_change(const struct config *config, const struct config_change *change)
{
	struct config_problems ignored;
	bool found = false;
	size_t n;
	_cleanup_free_ uint8_t(*addrs)[16] = read_addresses(&n);

	config_problems_init(&ignored);
	for (size_t i = 0; i < config_change_n_routes(change) && !found; i++) {
		const struct config_route *route = config_change_route(change, i);

		found = route &&
			config_route_loops(config, route, (const uint8_t(*)[16])addrs, n, &ignored);
	}
	config_problems_fini(&ignored);
	return found;
}
