/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What each request on the control socket does (control.h lists them). */
#ifndef THRUWAY_API_H
#define THRUWAY_API_H

#include <jansson.h>

#include "edge/router.h"

struct api {
	struct router *router;
	const char *instance;
	const char *config_path;
	int64_t start_monotonic_ms;
};

/* The control socket's handler; @arg is a struct api. Never NULL. */
json_t *api_handle(void *arg, const json_t *request);

#endif
