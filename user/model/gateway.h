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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "model/config.h"
#include "model/yaml.h"

#define GATEWAY_CONTROLLER "gateway.thruway.dev/controller"

struct gateway;

struct gateway *gateway_new(void);		       /* NULL: no memory */
struct gateway *gateway_free(struct gateway *gateway); /* accepts NULL, returns NULL */

struct gw_object;

/* Objects in the order in which they stood. All zero = none. */
struct gateway_batch {
	struct gw_object **objects;
	size_t n;
	size_t n_skipped; /* of kinds that are none of ours */
	/*
	 * Those with an error, and those whose type is nearly one of ours: what could be read; and
	 * errors and slips of which nobody can tell what object they are about.
	 */
	struct gw_object **bad;
	size_t n_bad;
};

/*
 * Read the object in @node, or the items of a List, into @batch. @file must live as long as they
 * do. 0; -EINVAL: an object breaks a rule that the API server would hold it to and is left out,
 * @problems say which; -ENOMEM.
 */
int gateway_read(const struct yaml_node *node, const char *file, struct config_problems *problems,
		 struct gateway_batch *batch);
/* Are there others than TLSRoutes, Services and EndpointSlices, whose order never counts? */
bool gateway_has_order(const struct gateway_batch *batch);
/* Frees objects that no store has taken. */
void gateway_batch_fini(struct gateway_batch *batch);
/*
 * The store takes the objects, whose list stays the caller's, and the bad ones with their list; one
 * takes the place of another of its kind, namespace and name (a warning). 0, or -ENOMEM, and the
 * store is good for nothing but to be freed.
 */
int gateway_keep(struct gateway *gateway, struct gateway_batch *batch,
		 struct config_problems *problems);
/*
 * What @next, in the place of @before (NULL = nothing was; both are resolved), perhaps loses by
 * mistakes that were not there before: the first object that is gone where a bad one may be it,
 * that has got a bad namesake, or from which others take what it had. For a message, to be freed by
 * the caller. NULL: none, or no memory.
 */
char *gateway_lost(const struct gateway *before, const struct gateway *next);
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

/* Is the route number @i of the configuration one to its terminator? @gateway may be NULL. */
bool gateway_leads_to_terminator(const struct gateway *gateway, size_t i);

/*
 * The route number @i of the configuration, which was made of an object, cannot be served because
 * of its backends: its conditions say @why. *@cursor begins with 0, and @i rises from call to call.
 */
void gateway_refuse(struct gateway *gateway, size_t i, const char *why, size_t *cursor);

/*
 * TLSRoutes, Services and EndpointSlices that come, go, or take each other's place in a store that
 * is resolved: only the routes that this concerns are resolved again, so that one of 10,000 takes
 * no time. After it the store and @config are what they would be if all had been read anew. Other
 * kinds concern everybody.
 */
struct gateway_change {
	struct gateway *gateway;
	struct config *config;
	struct gateway_batch out, in; /* the other way round once it has been made */
	struct gw_object **concerned; /* routes among in, and those that others led to */
	size_t n_concerned;
	size_t n_skipped; /* the store's number from now on */
	bool is_broken;	  /* by want of memory, half-way: what is whose nobody knows */
};

/*
 * Prepare; @change has gateway, config, out, in and n_skipped. 0; -EAGAIN: this change concerns
 * everybody, or names an object twice; -ENOMEM.
 */
int gateway_change_check(struct gateway_change *change);
/*
 * Make the change; once more: unmake it. 0, or -ENOMEM, and the store is good for nothing but to be
 * freed.
 */
int gateway_change_make(struct gateway_change *change);
/* The configuration's route of a concerned one; NULL = it has none. */
const struct config_route *gateway_change_route(const struct gateway_change *change, size_t i);
/* It stays: conditions get their times, as from gateway_date(). */
void gateway_change_date(const struct gateway_change *change, int64_t now_s);
/* These objects stand @lines further down in their file. */
void gateway_move(const struct gateway *gateway, struct config *config,
		  const struct gateway_batch *batch, int64_t lines);
/* Frees what is out. */
void gateway_change_fini(struct gateway_change *change);

/*
 * When each condition became what it is: where @before (NULL = nothing was) has the same one, since
 * then, else at @now_s, seconds since 1970. Without this, statuses have no times. A store that is
 * resolved again keeps the times of what stays the same by itself.
 */
void gateway_date(struct gateway *gateway, const struct gateway *before, int64_t now_s);

/*
 * The objects with their statuses, as items of a Kubernetes List, by kind and name; @kind and @name
 * narrow it (NULL = all; @kind in any case). @host NULL: nobody knows it. NULL: no memory.
 */
json_t *gateway_status(const struct gateway *gateway, const char *kind, const char *name,
		       const struct config_host *host);

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
