/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which paths a configuration asks for, and whether this kernel has them. */
#ifndef THRUWAY_PATHS_H
#define THRUWAY_PATHS_H

#include "kernel/sockmap.h"
#include "model/config.h"

/* Some listener's connections may go by sockets; where there is none yet, that of a later one. */
bool paths_has_socket(const struct config *config);
/*
 * *@ret_sockmap stays NULL where nobody asks for it, or it does not work here (the log says so):
 * there is the relay. 0 or -errno.
 */
int paths_open_socket(struct datapath *dp, const struct config *config,
		      struct sockmap **ret_sockmap);

#endif
