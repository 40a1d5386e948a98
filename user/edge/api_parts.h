/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between the files that answer the control socket's requests: api*.c. */
#ifndef THRUWAY_API_PARTS_H
#define THRUWAY_API_PARTS_H

#include <stdbool.h>

#include <jansson.h>

#include "edge/api.h"

/* {"error": ..} */
json_t *api_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The router's own one line, else what errno says; frees @why. */
json_t *api_failed(const char *what, int err, char *why);
/* Adds them to @answer, which is returned. */
json_t *api_with_problems(json_t *answer, const struct config_problems *problems);
/* A text among the arguments; NULL = it is not there. */
const char *api_text(const json_t *request, const char *key);
/* Is @name what was asked for: as given, or normalised where it is a hostname? NULL = any. */
bool api_name_matches(const char *asked, const char *name);
/* By its canonical text; NULL = there is none. */
const struct tw_backend *api_find_backend(struct api *api, const char *address);

/* api_route.c */
json_t *api_route_add(struct api *api, const json_t *request);
json_t *api_route_del(struct api *api, const json_t *request);
/* api_conn.c */
json_t *api_conn_show(struct api *api, const json_t *request);
json_t *api_conn_kill(struct api *api, const json_t *request);

#endif
