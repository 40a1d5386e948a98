/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What each request on the control socket does (control.h lists them). */
#ifndef THRUWAY_API_H
#define THRUWAY_API_H

#include <jansson.h>

#include "edge/router.h"

/* What became of the configuration's file the last times. Times are ms since 1970; 0 = never. */
struct api_reload {
	int64_t in_force_ms; /* since then, what runs is as it was read */
	size_t n_errors;     /* then, in objects and routes that were left out */
	int64_t failed_ms;   /* the last reload failed, */
	char *why;	     /* for this reason; owned */
};

struct api {
	struct router *router;
	const char *instance;
	const char *config_path;
	int64_t start_monotonic_ms;
	struct api_reload reload;
};

void api_fini(struct api *api);
/* A configuration is in force, or could not be (@why is taken). */
void api_note_reload(struct api *api, size_t n_errors);
void api_note_failure(struct api *api, char *why);
/* The control socket's handler; @arg is a struct api. Never NULL. */
json_t *api_handle(void *arg, const json_t *request);

#endif
