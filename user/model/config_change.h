/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The difference between a configuration and the texts that it is to be read from next, where that
 * is a few Kubernetes objects: only they are read and resolved, so that a change of one among many
 * thousands takes a moment. Whatever is not as simple as that is left to config_parse_texts().
 */
#ifndef THRUWAY_CONFIG_CHANGE_H
#define THRUWAY_CONFIG_CHANGE_H

#include "model/config.h"

struct config_change;

/*
 * Find what is different in @texts. 0 and a new *@ret_change, for config_change_free(); @config is
 * to outlive it. -EAGAIN: it is not a few TLSRoutes, Services and EndpointSlices, or something is
 * wrong with one of them: read the whole. Or -ENOMEM. (Bad objects may stand beside them and stay
 * what they are: @config->n_object_errors.)
 */
int config_change_find(struct config *config, const struct config_text *texts, size_t n,
		       struct config_change **ret_change);
/*
 * Make the change in the configuration; once more: unmake it. 0, or -ENOMEM, and the configuration
 * is good for nothing but to be freed.
 */
int config_change_make(struct config_change *change);
/* Routes that are new or may be different, among those of the configuration. */
size_t config_change_n_routes(const struct config_change *change);
/* NULL = it has none any more. */
const struct config_route *config_change_route(const struct config_change *change, size_t i);
/* It stays: the objects' conditions are dated. @now_s: seconds since 1970. */
void config_change_date(const struct config_change *change, int64_t now_s);
struct config_change *config_change_free(struct config_change *change); /* accepts NULL */

#endif
