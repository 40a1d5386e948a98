// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loops through this host's addresses (see loops.h). */
#include "edge/loops.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kernel/devices.h"

/* Its addresses are to be freed. Without them, loops through loopback are still seen. */
static struct config_host read_host(void)
{
	struct config_host host = {.has = devices_has};
	uint8_t(*addrs)[16] = NULL;
	int err = devices_addresses(&addrs, &host.n);

	if (err) {
		log_warn("cannot read this host's addresses: %s, loops through them are not seen",
			 strerror(-err));
		host.n = 0;
	}
	host.addrs = (const uint8_t(*)[16])addrs;
	return host;
}

int loops_check(struct config *config, struct config_problems *problems)
{
	struct config_host host = read_host();
	int err = config_check_loops(config, &host, problems);

	free((void *)host.addrs);
	return err;
}

bool loops_has(const struct config *config, const struct config_route *route,
	       struct config_problems *problems)
{
	struct config_host host = read_host();
	bool found = config_route_loops(config, route, &host, problems);

	free((void *)host.addrs);
	return found;
}

bool loops_has_change(const struct config *config, const struct config_change *change)
{
	struct config_host host = read_host();
	struct config_problems ignored;
	bool found = false;

	config_problems_init(&ignored);
	for (size_t i = 0; i < config_change_n_routes(change) && !found; i++) {
		const struct config_route *route = config_change_route(change, i);

		found = route && config_route_loops(config, route, &host, &ignored);
	}
	config_problems_fini(&ignored);
	free((void *)host.addrs);
	return found;
}
