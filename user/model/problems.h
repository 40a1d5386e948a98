/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is wrong with a configuration, as the JSON of control.h: the daemon's and the tool's. */
#ifndef THRUWAY_PROBLEMS_H
#define THRUWAY_PROBLEMS_H

#include <jansson.h>

#include "model/config.h"

/* A new array, or NULL when memory ran out. */
json_t *problems_json(const struct config_problems *problems);

/* JSON is UTF-8; what is not (a file's name, a quoted value) goes escaped. */
json_t *problems_text(const char *text);

#endif
