// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Paths of a configuration (see paths.h). */
#include "edge/paths.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "kernel/selftest.h"

bool paths_has_socket(const struct config *config)
{
	const uint32_t socket = 1u << TW_PATH_SOCKET;

	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].paths & socket)
			return true;
	return !config->n_listeners && (!config->paths || config->paths & socket);
}

int paths_open_socket(struct datapath *dp, const struct config *config,
		      struct sockmap **ret_sockmap)
{
	struct sockmap *sockmap = NULL;
	enum selftest_step step = 0;
	int err;

	if (!paths_has_socket(config))
		return 0;
	err = sockmap_open(dp, &sockmap);
	if (err == -EOPNOTSUPP) {
		log_warn("socket path: this kernel does not take its programs, using the relay");
		return 0;
	}
	if (err)
		return err;
	err = selftest_run(sockmap, NULL, NULL, &step);
	if (err) {
		log_warn("socket path: self-test '%s' failed (%s): %s; using the relay",
			 selftest_name(step), strerror(-err), selftest_text(step, err));
		sockmap = sockmap_close(sockmap);
	}
	*ret_sockmap = sockmap;
	return 0;
}
