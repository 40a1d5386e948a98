/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Kubernetes Gateway API objects for TLS passthrough: kept, checked, and resolved into listeners
 * and routes, with the statuses that a cluster would show. Knows neither files nor HTTP: objects
 * come one by one, from whoever has them.
 *
 * Kinds: GatewayClass, Gateway, TLSRoute, ReferenceGrant (gateway.networking.k8s.io), Service,
 * Namespace (core), EndpointSlice (discovery.k8s.io), and the CustomResourceDefinitions of the
 * Gateway API itself, which tell its version. All others are skipped and counted.
 */
#ifndef THRUWAY_GATEWAY_H
#define THRUWAY_GATEWAY_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "model/config.h"
#include "model/yaml.h"

#define GATEWAY_CONTROLLER "gateway.thruway.dev/controller"

struct gateway;

struct gateway *gateway_new(void);		       /* NULL: no memory */
struct gateway *gateway_free(struct gateway *gateway); /* accepts NULL, returns NULL */

/*
 * Keep @object, or let it take the place of the one of its kind, namespace and name (a warning).
 * @file must live as long as the store. 0; -EINVAL: it breaks a rule that the API server would hold
 * it to, is left out, and @problems say which; -ENOMEM. A kind that is none of ours is counted.
 */
int gateway_put(struct gateway *gateway, const struct yaml_node *object, const char *file,
		struct config_problems *problems);
/*
 * Where the endpoints of a Service are, for objects that come without EndpointSlices: each of
 * @addresses an IP, or IP:port where that is not the target port (checked by the caller). 0 or
 * -ENOMEM.
 */
int gateway_put_endpoints(struct gateway *gateway, const char *ns, const char *service,
			  const char *const *addresses, size_t n);
size_t gateway_n_objects(const struct gateway *gateway);
size_t gateway_n_skipped(const struct gateway *gateway);

/*
 * Resolve all objects: their listeners and routes are added to @config, and every object has its
 * status. 0 or -ENOMEM.
 */
int gateway_resolve(struct gateway *gateway, struct config *config);

/*
 * When each condition became what it is: where @before (NULL = nothing was) has the same one, since
 * then, else at @now_s, seconds since 1970. Without this, statuses have no times. A store that is
 * resolved again keeps the times of what stays the same by itself.
 */
void gateway_date(struct gateway *gateway, const struct gateway *before, int64_t now_s);

/*
 * The objects with their statuses, as items of a Kubernetes List; @kind and @name narrow it (NULL =
 * all; @kind in any case). NULL: no memory.
 */
json_t *gateway_status(const struct gateway *gateway, const char *kind, const char *name);

/* What was decided about a server name. All lent. */
struct gateway_decision {
	const char *name;     /* NULL = the client sent none */
	const uint8_t *addr;  /* 16 bytes, and the port: the bind, or */
	__be16 port;	      /* what was asked for and is none; NULL and 0 = any */
	const char *listener; /* by its name in the configuration; NULL = none */
	const char *route;    /* likewise; NULL = refused without one */
};

/*
 * Why that is so, in the Gateway API's terms: a GATEWAY of edge/control.h, or null where no object
 * has to do with it. NULL: no memory.
 */
json_t *gateway_explain(const struct config *config, const struct gateway_decision *decision);

#endif
