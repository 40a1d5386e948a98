/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fields of a Kubernetes object out of YAML, checked as the API server would check them; for
 * gateway_read*.c. What is wrong is reported with its path, and the object is then left out.
 */
#ifndef THRUWAY_GATEWAY_FIELDS_H
#define THRUWAY_GATEWAY_FIELDS_H

#include "model/gateway_parts.h"

#define GW_PATH_SIZE 256

/* One object that is being read. */
struct gw_reading {
	const char *file;
	struct config_problems *problems;
	char object[GW_PATH_SIZE]; /* "TLSRoute default/app" */
	size_t n_errors;
	int err; /* -ENOMEM */
};

void gw_complain(struct gw_reading *r, const struct yaml_node *node, const char *path,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Without memory NULL, and r->err says so. */
char *gw_copy(struct gw_reading *r, const char *text);
void *gw_many(struct gw_reading *r, size_t n, size_t size);

/* "a.b" of "a" and "b"; "a[3]" of "a" and 3. */
void gw_join(char dst[GW_PATH_SIZE], const char *path, const char *key);
void gw_join_index(char dst[GW_PATH_SIZE], const char *path, size_t index);

/*
 * What no reader of YAML may pass over, in all of @node: keys that stand twice, of which each
 * reader takes another one; merge keys, which are not read; and zero bytes, which end a text for
 * some.
 */
void gw_check_keys(struct gw_reading *r, const struct yaml_node *node, const char *path);

/* gateway_unknown.c: warns of fields that objects of @kind do not have. */
void gw_warn_of_fields(struct gw_reading *r, const struct yaml_node *node, enum gw_kind kind);
/* Is @type, which is not read, nearly one that is, @*ret_kind? Then it warns of it. */
bool gw_warn_of_near_type(const struct yaml_node *node, const struct gw_type *type,
			  const char *file, struct config_problems *problems,
			  enum gw_kind *ret_kind);
/* Is it nearly a list, of @*ret_kind or (GW_KINDS) of any? Likewise. */
bool gw_warn_of_near_list(const struct yaml_node *node, const struct gw_type *type,
			  const char *file, struct config_problems *problems,
			  enum gw_kind *ret_kind);
/* Warns of fields that a list does not have, or where it has no items. */
void gw_warn_of_list_fields(const struct yaml_node *list, const char *file,
			    struct config_problems *problems);

/* What a text must look like. */
struct gw_pattern {
	bool (*fits)(const char *text);
	const char *what; /* for messages: "a group" */
};

/* --- values ---------------------------------------------------------------------------------- */

bool gw_parse_number(const struct yaml_node *node, int64_t *ret);
/* Without quotes, YAML makes numbers, true, false and nothing of texts that look so. */
bool gw_is_text(const struct yaml_node *node);
/*
 * The text at @key of @map, or @fallback (copied; NULL = none) where there is none. @pattern NULL:
 * any text of at most @max characters. NULL also where it is wrong.
 */
char *gw_read_text(struct gw_reading *r, const struct yaml_node *map, const char *path,
		   const char *key, size_t max, const struct gw_pattern *pattern, bool is_required,
		   const char *fallback);
void gw_complain_no_text(struct gw_reading *r, const struct yaml_node *node, const char *path);
/* Does @text fit? If not, it is complained of. */
bool gw_check_text(struct gw_reading *r, const struct yaml_node *node, const char *path,
		   const char *text, const struct gw_pattern *pattern);
uint32_t gw_read_number(struct gw_reading *r, const struct yaml_node *map, const char *path,
			const char *key, int64_t min, int64_t max, bool is_required,
			uint32_t fallback);
bool gw_read_bool(struct gw_reading *r, const struct yaml_node *map, const char *path,
		  const char *key, bool fallback);
/* One of @words: its index, or @fallback. */
int gw_read_word(struct gw_reading *r, const struct yaml_node *map, const char *path,
		 const char *key, const char *const *words, size_t n, int fallback);
/* The list at @key; NULL where there is none, or too few or many items. */
const struct yaml_node *gw_read_list(struct gw_reading *r, const struct yaml_node *map,
				     const char *path, const char *key, size_t min, size_t max);
/* Likewise, and each item is a mapping. */
const struct yaml_node *gw_read_maps(struct gw_reading *r, const struct yaml_node *map,
				     const char *path, const char *key, size_t min, size_t max);
/* The mapping at @key; NULL where there is none, or something else. */
const struct yaml_node *gw_read_map(struct gw_reading *r, const struct yaml_node *map,
				    const char *path, const char *key);
void gw_read_pairs(struct gw_reading *r, const struct yaml_node *map, const char *path,
		   const char *key, struct gw_pair **ret, size_t *ret_n);

/* --- patterns (apis/v1/shared_types.go) ------------------------------------------------------ */

extern const struct gw_pattern gw_hostname, gw_subdomain, gw_label, gw_group, gw_kind_name,
	gw_protocol, gw_controller;
extern const struct gw_pattern gw_port_name; /* a label, or empty */
extern const struct gw_pattern gw_not_empty;
extern const struct gw_pattern gw_service_name, gw_label_key, gw_label_value, gw_address_type;

bool gw_is_ip(const char *text);

/* --- kinds: @node is the spec, of an EndpointSlice the object itself -------------------------- */

void gw_read_class(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o);
void gw_read_gateway(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o);
void gw_read_route(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o);
void gw_read_grant(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o);
void gw_read_service(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o);
void gw_read_slice(struct gw_reading *r, const struct yaml_node *node, struct gw_object *o);

#endif
