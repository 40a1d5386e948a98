/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The objects as structs, shared by the files gateway_*.c; for them alone. */
#ifndef THRUWAY_GATEWAY_PARTS_H
#define THRUWAY_GATEWAY_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/index.h"
#include "model/gateway.h"

#define GATEWAY_GROUP "gateway.networking.k8s.io"

enum gw_kind {
	GW_CLASS,
	GW_GATEWAY,
	GW_ROUTE,
	GW_GRANT,
	GW_SERVICE,
	GW_SLICE,
	GW_NAMESPACE,
	GW_CRD, /* of GATEWAY_GROUP alone */
	GW_KINDS
};

struct gw_pair {
	char *key, *value;
};

struct gw_condition {
	const char *type, *reason; /* static */
	char *message;
	bool is_true;
	bool is_set;	  /* else it is what was there before, and only its time is of use */
	int64_t since_s;  /* since 1970: when it became true or false; 0 = nobody said */
	int64_t before_s; /* while nobody has: since when it was the other before that */
};

struct gw_conditions {
	struct gw_condition *items;
	size_t n;
};

struct gw_selector_rule {
	char *key;
	enum { GW_IN, GW_NOT_IN, GW_EXISTS, GW_DOES_NOT_EXIST, GW_UNKNOWN } op;
	char **values;
	size_t n_values;
};

struct gw_kind_ref {
	char *group, *kind;
};

enum gw_protocol { GW_HTTP, GW_HTTPS, GW_TLS, GW_TCP, GW_UDP, GW_OTHER };
enum gw_from { GW_SAME, GW_ALL, GW_SELECTOR };

/* An address that a listener is on, and its name there in the configuration. */
struct gw_place {
	uint8_t ip[16]; /* :: = all */
	char *label;
};

struct gw_listener {
	char *name, *hostname; /* hostname NULL = all */
	uint32_t port;
	char *protocol_text;
	enum gw_protocol protocol;
	bool is_passthrough;
	enum gw_from from;
	bool has_selector;	/* without one, from: Selector takes nobody */
	struct gw_pair *labels; /* of the selector */
	size_t n_labels;
	struct gw_selector_rule *rules;
	size_t n_rules;
	struct gw_kind_ref *kinds;
	size_t n_kinds;
	/* resolved */
	bool is_accepted;
	bool has_kind;	      /* TLSRoute is allowed */
	const char *conflict; /* reason; NULL = none */
	const char *rival;    /* the configuration's own listener that it is with; NULL = another */
	uint32_t attached;
	bool has_no_room; /* in the table */
	struct gw_place *places;
	size_t n_places;
	struct gw_conditions conditions;
};

struct gw_address {
	char *type, *value;
};

struct gw_parent {
	char *group, *kind, *ns, *name, *section; /* ns, section NULL = not given */
	uint32_t port;				  /* 0 = not given */
	/* resolved */
	bool is_ours, is_accepted;
	uint64_t attached; /* bit n: to listener n of the Gateway, which has at most 64 */
	struct gw_conditions conditions;
};

struct gw_backend {
	char *group, *kind, *ns, *name;
	uint32_t port, weight;
	/* resolved */
	char *fault; /* why its share is refused: reason and message; NULL = it leads somewhere */
};

struct gw_grant_from {
	char *group, *kind, *ns;
};

struct gw_grant_to {
	char *group, *kind, *name;
};

struct gw_port {
	char *name; /* "" = unnamed */
	uint32_t port, target;
	bool is_tcp;
};

struct gw_endpoint {
	char *address;
	bool is_ready, is_serving, is_terminating;
};

struct gw_object {
	enum gw_kind kind;
	char *api_version, *ns, *name; /* ns "" = none */
	bool has_created;
	int64_t created_us; /* since 1970 */
	int64_t generation;
	struct gw_pair *labels;
	size_t n_labels;
	struct config_pos pos;

	/* CustomResourceDefinition */
	char *bundle_version; /* NULL = it does not say */
	/* GatewayClass */
	char *controller;
	/* GatewayClass, Gateway */
	char *parameters; /* "group/kind name" of parametersRef; NULL = none */
	/* Gateway */
	char *class;
	struct gw_listener *listeners;
	size_t n_listeners;
	struct gw_address *addresses;
	size_t n_addresses;
	/* TLSRoute */
	struct gw_parent *parents;
	size_t n_parents;
	char **hostnames;
	size_t n_hostnames;
	struct gw_backend *backends;
	size_t n_backends;
	/* ReferenceGrant */
	struct gw_grant_from *sources;
	size_t n_sources;
	struct gw_grant_to *targets;
	size_t n_targets;
	/* Service, EndpointSlice */
	struct gw_port *ports;
	size_t n_ports;
	char *service_type, *cluster_ip;
	/* EndpointSlice */
	struct gw_endpoint *endpoints;
	size_t n_endpoints;
	/* resolved */
	bool is_ours;
	bool is_accepted;   /* GatewayClass, Gateway */
	bool is_programmed; /* Gateway: where a listener of it is accepted, it serves */
	struct gw_conditions conditions;
	/* TLSRoute: 1 and its number in the configuration's routes; 0 = it is not among them */
	size_t config_number;
	bool is_concerned; /* by a change that is being made */
	/* A bad one: what stood there, how often, and another one with the same name (lent) */
	uint32_t hash, n_same;
	struct gw_object *next_bad;
};

/* Endpoints of a Service that a native document names; for where no EndpointSlices are. */
struct gw_hint {
	char *ns, *service;
	char **addresses; /* IP, or IP:port where it is not the target port */
	size_t n_addresses;
};

struct gateway {
	struct gw_object **objects;
	size_t n;
	struct index by_name;	 /* kind, namespace and name */
	struct index by_service; /* slices, by namespace and the Service's name */
	struct index grants;	 /* by namespace */
	struct index by_hint;	 /* hints, likewise */
	struct index users;	 /* routes, by namespace and name of what they refer to */
	bool has_replaced;	 /* some object stood twice */
	/* TLSRoutes from the oldest on, and where they begin in the configuration's routes. */
	struct gw_object **by_age;
	size_t n_by_age, first_route;
	struct gw_hint *hints;
	size_t n_hints;
	size_t n_skipped;
	struct gw_object **bad;	  /* not among objects */
	size_t n_bad;		  /* as in struct gateway_batch */
	struct index by_bad;	  /* the first of each kind, namespace and name */
	struct index by_bad_text; /* the first of these and a text */
};

/* gateway.c; either may be NULL, which is the same as NULL alone. */
bool gw_same_text(const char *a, const char *b);
/* NULL = there is none. */
struct gw_object *gw_find(const struct gateway *gateway, enum gw_kind kind, const char *ns,
			  const char *name);
/* The next EndpointSlice of a Service; *@at begins as INDEX_START. */
struct gw_object *gw_next_slice(const struct gateway *gateway, const char *ns, const char *service,
				uint32_t *at);

/* The Service whose slice it is; "" = none. */
const char *gw_service_of(const struct gw_object *slice);
/* The next TLSRoute that refers to a Service, perhaps more than once; *@at as above. */
struct gw_object *gw_next_user(const struct gateway *gateway, const char *ns, const char *service,
			       uint32_t *at);
/* The next of the native documents' endpoints of a Service; *@at as above. */
const struct gw_hint *gw_next_hint(const struct gateway *gateway, const char *ns,
				   const char *service, uint32_t *at);
/* The next ReferenceGrant of a namespace; *@at as above. */
struct gw_object *gw_next_grant(const struct gateway *gateway, const char *ns, uint32_t *at);

/* gateway_bad.c: takes the bad ones of @batch. 0 or -ENOMEM. */
int gw_keep_bad(struct gateway *gateway, struct gateway_batch *batch);
bool gw_has_bad(const struct gateway *gateway, enum gw_kind kind);
/* Are the labels of this namespace known (none, where it has no object)? */
bool gw_knows_namespace(const struct gateway *gateway, const char *ns);

/* By kind, namespace and name: as for strcmp(). */
int gw_compare(const struct gw_object *a, const struct gw_object *b);
/*
 * Classes, Gateways and routes by kind, namespace and name; the list is the caller's to free. NULL
 * and 0: no memory. (In the store they stand in an order that changes with what came and went.)
 */
const struct gw_object **gw_sorted(const struct gateway *gateway, size_t *ret_n);

/* One is in the store or not; neither call frees one. 0, or -ENOMEM: the indexes are broken. */
int gw_store_add(struct gateway *gateway, struct gw_object *object);
int gw_store_replace(struct gateway *gateway, const struct gw_object *was,
		     struct gw_object *object);
int gw_store_remove(struct gateway *gateway, const struct gw_object *object);

/* What an object says it is. Lent. */
struct gw_type {
	const char *api_version; /* group/version, of the core group the version alone */
	const char *kind;
};

/* gateway_read.c: is it one of our kinds, in a version that is read? */
bool gw_is_read(const struct gw_type *type);
/*
 * 0 and a new object; -EINVAL: it has errors, and *@ret_object is what could be read of it;
 * -ENOENT: not one of our kinds; -ENOMEM.
 */
int gw_read(const struct yaml_node *node, const struct gw_type *type, const char *file,
	    struct config_problems *problems, struct gw_object **ret_object);
/*
 * The kind (GW_KINDS = nobody knows) and the name of one that is not read; fields NULL where they
 * cannot be told. NULL: no memory.
 */
struct gw_object *gw_read_name(const struct yaml_node *node, enum gw_kind kind);
const char *gw_kind_word(enum gw_kind kind);
const char *gw_kind_group(enum gw_kind kind);	 /* "" = core */
const char *gw_kind_versions(enum gw_kind kind); /* "v1, v1beta1" */

/* gateway_object.c: accepts NULL, returns NULL. */
struct gw_object *gw_object_free(struct gw_object *object);
void gw_backends_free(struct gw_backend *backends, size_t n);

/* gateway_listeners.c: HTTPS and Terminate are somebody else's to serve, if there is somebody. */
bool gw_is_terminated(const struct gw_listener *l);

/* gateway_places.c */
void gw_forget_places(struct gw_listener *listener);

/* gateway_conditions.c */
void gw_set(struct gw_conditions *conditions, const char *type, bool is_true, const char *reason,
	    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
bool gw_is_set(const struct gw_conditions *conditions, const char *type);
/* Before they are set anew: what is not set again is gone, what stays true or false has its time.
 */
void gw_unset(struct gw_conditions *conditions);
/* The times of one object's conditions; @was: the object before, NULL = there was none. */
void gw_date(struct gw_object *object, const struct gw_object *was, int64_t now_s);
void gw_conditions_fini(struct gw_conditions *conditions);

#endif
