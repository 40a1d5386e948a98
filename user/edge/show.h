/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The router's objects as JSON, in the shapes that control.h promises. Each returns a new
 * reference, or NULL when memory ran out.
 */
#ifndef THRUWAY_SHOW_H
#define THRUWAY_SHOW_H

#include <jansson.h>

#include "edge/router.h"

/* Sorts an array of objects by the text at @key, or (NULL) of texts; returns it. */
json_t *show_sorted(json_t *array, const char *key);
json_t *show_route(struct router *router, const struct tw_route *route);
/* Those of this address; NULL = all. An array. */
json_t *show_backends(struct router *router, const char *address);
json_t *show_listener(struct router *router, const struct tw_listener *listener);
json_t *show_stats(struct router *router);
json_t *show_connection(struct router *router, const struct conn_record *record);
json_t *show_timeouts(const struct tw_timeouts *timeouts);
json_t *show_changes(const struct tables_changes *changes);
/* "*:443", "10.0.0.1:443" */
json_t *show_bind_address(const __u8 addr[16], __be16 port);
/* A string; null for NULL and "". */
json_t *show_text(const char *text);
const char *show_path_word(enum tw_path path);
/* Why a connection left the socket path; NULL = it did not. */
const char *show_ejection_word(enum tw_ejection ejection);
const char *show_balance_word(__u32 balance);
const char *show_on_refuse_word(__u32 on_refuse);

#endif
