/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Backends that are listeners of this very router, by whatever address of this host: with one in
 * force, a single connection would take every file descriptor there is.
 */
#ifndef THRUWAY_LOOPS_H
#define THRUWAY_LOOPS_H

#include "model/config_change.h"

/* As config_check_loops(), with all addresses of this host. 0 or -EINVAL. */
int loops_check(struct config *config, struct config_problems *problems);
/* Does @route lead to a listener of @config? Then with a problem. */
bool loops_has(const struct config *config, const struct config_route *route,
	       struct config_problems *problems);
/* Does some route of the change? Who reads the whole says which. */
bool loops_has_change(const struct config *config, const struct config_change *change);

#endif
