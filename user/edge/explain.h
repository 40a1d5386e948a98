/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* "Where would this connection go, and why?", answered by the program that decides it. */
#ifndef THRUWAY_EXPLAIN_H
#define THRUWAY_EXPLAIN_H

#include <jansson.h>

#include "edge/router.h"

/* route.explain of control.h: one EXPLAIN for each bind that the request's port and address fit. */
json_t *explain_request(struct router *router, const json_t *request);

#endif
