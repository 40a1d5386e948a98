// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One Kubernetes object out of YAML, checked as the API server would check it: required fields,
 * patterns, limits, the CEL rules with their own messages, and the defaults. Fields that have no
 * meaning here are passed over, those that the kind does not have warned of. All problems of an
 * object are reported, each with its field. Here is what all kinds have; each kind's own is in
 * gateway_read_*.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "model/gateway_fields.h"

static const struct kind_entry {
	const char *group; /* "" = core */
	const char *word;
	const char *versions; /* with ", " between them */
	bool has_namespace;
	bool has_label; /* its name is one label, not a subdomain */
	void (*read)(struct gw_reading *r, const struct yaml_node *node, struct gw_object *o);
	bool has_spec;
} kinds[] = {
	[GW_CLASS] = {GATEWAY_GROUP, "GatewayClass", "v1, v1beta1", false, false, gw_read_class,
		      true},
	[GW_GATEWAY] = {GATEWAY_GROUP, "Gateway", "v1, v1beta1", true, false, gw_read_gateway,
			true},
	[GW_ROUTE] = {GATEWAY_GROUP, "TLSRoute", "v1, v1alpha3, v1alpha2", true, false,
		      gw_read_route, true},
	[GW_GRANT] = {GATEWAY_GROUP, "ReferenceGrant", "v1, v1beta1", true, false, gw_read_grant,
		      true},
	[GW_SERVICE] = {"", "Service", "v1", true, true, gw_read_service, true},
	[GW_SLICE] = {"discovery.k8s.io", "EndpointSlice", "v1", true, false, gw_read_slice, false},
	[GW_NAMESPACE] = {"", "Namespace", "v1", false, true, NULL, false},
	[GW_CRD] = {"apiextensions.k8s.io", "CustomResourceDefinition", "v1", false, false, NULL,
		    true},
};

const char *gw_kind_word(enum gw_kind kind)
{
	return kinds[kind].word;
}

const char *gw_kind_group(enum gw_kind kind)
{
	return kinds[kind].group;
}

const char *gw_kind_versions(enum gw_kind kind)
{
	return kinds[kind].versions;
}

static bool is_version(const char *versions, const char *version)
{
	size_t len = strlen(version);

	if (!len || strpbrk(version, ", "))
		return false;
	for (const char *at = versions; (at = strstr(at, version)); at++)
		if ((at == versions || at[-1] == ' ') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

static bool find_kind(const struct gw_type *type, enum gw_kind *ret)
{
	const char *slash = type->api_version ? strchr(type->api_version, '/') : NULL;
	size_t group = slash ? (size_t)(slash - type->api_version) : 0;

	for (size_t i = 0; type->api_version && type->kind && i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(type->kind, kinds[i].word) && strlen(kinds[i].group) == group &&
		    !strncmp(kinds[i].group, type->api_version, group) &&
		    is_version(kinds[i].versions, slash ? slash + 1 : type->api_version)) {
			*ret = (enum gw_kind)i;
			return true;
		}
	return false;
}

bool gw_is_read(const struct gw_type *type)
{
	enum gw_kind kind;

	return find_kind(type, &kind);
}

/* A CustomResourceDefinition is one of ours where it defines one of our kinds. */
static bool is_crd_of_ours(const struct yaml_node *node)
{
	const struct yaml_node *spec = yaml_get(node, "spec");
	const struct yaml_node *group = spec ? yaml_get(spec, "group") : NULL;

	return group && yaml_is(group, GATEWAY_GROUP);
}

/* @shape has a 0 for each digit. Where it fits the text's beginning, what is behind it. */
static const char *fits_shape(const char *text, const char *shape)
{
	for (; *shape; shape++, text++)
		if (*shape == '0' ? !isdigit((unsigned char)*text) : *shape != *text)
			return NULL;
	return text;
}

/* 2026-01-02T03:04:05, of a day that there is. */
static const char *parse_second(const char *text, int64_t *ret_s)
{
	const char *rest = fits_shape(text, "0000-00-00T00:00:00");
	struct tm tm = {}, same;

	if (!rest || strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) != rest || tm.tm_sec > 59)
		return NULL;
	same = tm;
	*ret_s = timegm(&same);
	return same.tm_mday == tm.tm_mday ? rest : NULL;
}

/* RFC 3339: a fraction, and Z or an offset behind it. */
static bool parse_time(const char *text, int64_t *ret_us)
{
	int64_t us = 0, unit = 100000, second;
	const char *rest = parse_second(text, &second);
	int hours = 0, minutes = 0;

	if (!rest)
		return false;
	if ((*rest == '.' || *rest == ',') && isdigit((unsigned char)rest[1]))
		for (rest++; isdigit((unsigned char)*rest); rest++, unit /= 10)
			us += (*rest - '0') * unit;
	if (strcmp(rest, "Z") != 0) {
		const char *end = *rest ? fits_shape(rest + 1, "00:00") : NULL;

		if ((*rest != '+' && *rest != '-') || !end || *end ||
		    sscanf(rest + 1, "%2d:%2d", &hours, &minutes) != 2 || hours > 23 ||
		    minutes > 59)
			return false;
		if (*rest == '-') {
			hours = -hours;
			minutes = -minutes;
		}
	}
	*ret_us = (second - hours * 3600 - minutes * 60) * 1000000 + us;
	return true;
}

static void read_created(struct gw_reading *r, const struct yaml_node *meta, struct gw_object *o)
{
	const struct yaml_node *node = yaml_get(meta, "creationTimestamp");

	if (!node || yaml_is_null(node))
		return;
	o->has_created = node->type == YAML_SCALAR && parse_time(node->text, &o->created_us);
	if (!o->has_created)
		gw_complain(r, node, "metadata.creationTimestamp", "is not a time (RFC 3339)");
}

/* An empty one is the user's own, as for kubectl. */
static void read_namespace(struct gw_reading *r, const struct yaml_node *meta, struct gw_object *o)
{
	const struct yaml_node *node = yaml_get(meta, "namespace");

	if (!kinds[o->kind].has_namespace)
		o->ns = gw_copy(r, "");
	else if (node && yaml_is(node, ""))
		o->ns = gw_copy(r, "default");
	else
		o->ns = gw_read_text(r, meta, "metadata", "namespace", 63, &gw_label, false,
				     "default");
}

/* The API server counts from 1, whatever a file says. */
static void read_generation(struct gw_reading *r, const struct yaml_node *meta, struct gw_object *o)
{
	const struct yaml_node *node = yaml_get(meta, "generation");
	int64_t number = 0;

	if (node && !yaml_is_null(node) && !gw_parse_number(node, &number))
		gw_complain(r, node, "metadata.generation", "is not a number");
	else if (number < 0)
		gw_complain(r, node, "metadata.generation", "must be greater than or equal to 0");
	o->generation = number > 0 ? number : 1;
}

static void read_labels(struct gw_reading *r, const struct yaml_node *meta, struct gw_object *o)
{
	const struct yaml_node *node = yaml_get(meta, "labels");

	gw_read_pairs(r, meta, "metadata", "labels", &o->labels, &o->n_labels);
	for (size_t i = 0; i < o->n_labels && !r->err; i++) {
		(void)gw_check_text(r, node, "metadata.labels", o->labels[i].key, &gw_label_key);
		(void)gw_check_text(r, node, "metadata.labels", o->labels[i].value,
				    &gw_label_value);
	}
}

/* What stands twice is complained of; until then nobody knows which one is meant. */
static void forget_doubtful(const struct yaml_node *node, const struct yaml_node *meta,
			    struct gw_object *o)
{
	bool is_double = yaml_second(node, "metadata");

	if (is_double || yaml_second(meta, "name")) {
		free(o->name);
		o->name = NULL;
	}
	if (kinds[o->kind].has_namespace && (is_double || yaml_second(meta, "namespace"))) {
		free(o->ns);
		o->ns = NULL;
	}
}

static void read_meta(struct gw_reading *r, const struct yaml_node *node, struct gw_object *o)
{
	const struct yaml_node *meta = yaml_get(node, "metadata");

	if (!meta || meta->type != YAML_MAPPING) {
		gw_complain(r, node, "metadata", "Required value");
		return;
	}
	o->name = gw_read_text(r, meta, "metadata", "name", kinds[o->kind].has_label ? 63 : 253,
			       kinds[o->kind].has_label ? &gw_label : &gw_subdomain, true, NULL);
	read_namespace(r, meta, o);
	forget_doubtful(node, meta, o);
	snprintf(r->object, sizeof(r->object), "%s %s%s%s", kinds[o->kind].word, o->ns ? o->ns : "",
		 o->ns && *o->ns ? "/" : "", o->name ? o->name : "");
	read_created(r, meta, o);
	read_generation(r, meta, o);
	read_labels(r, meta, o);
	if (o->kind == GW_CRD && yaml_get(meta, "annotations"))
		o->bundle_version =
			gw_read_text(r, yaml_get(meta, "annotations"), "metadata.annotations",
				     GATEWAY_GROUP "/bundle-version", 253, NULL, false, NULL);
}

int gw_read(const struct yaml_node *node, const struct gw_type *type, const char *file,
	    struct config_problems *problems, struct gw_object **ret_object)
{
	struct gw_reading r = {.file = file, .problems = problems};
	const struct yaml_node *spec = yaml_get(node, "spec");
	struct gw_object *o;
	enum gw_kind kind;

	if (!find_kind(type, &kind) || (kind == GW_CRD && !is_crd_of_ours(node)))
		return -ENOENT;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->kind = kind;
	o->pos = (struct config_pos){.file = file, .line = node->line, .column = node->column};
	o->api_version = gw_copy(&r, type->api_version);
	snprintf(r.object, sizeof(r.object), "%s", kinds[kind].word);
	read_meta(&r, node, o);
	gw_check_keys(&r, node, "");
	gw_warn_of_fields(&r, node, kind);
	if (kinds[kind].has_spec && (!spec || spec->type != YAML_MAPPING))
		gw_complain(&r, node, "spec", "Required value");
	else if (kinds[kind].read && o->ns && o->api_version)
		kinds[kind].read(&r, kinds[kind].has_spec ? spec : node, o);
	if (r.err) {
		gw_object_free(o);
		return r.err;
	}
	*ret_object = o;
	return r.n_errors ? -EINVAL : 0;
}

struct gw_object *gw_read_name(const struct yaml_node *node, enum gw_kind kind)
{
	struct config_problems problems;
	struct gw_reading r = {.problems = &problems};
	struct gw_object *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->kind = kind;
	if (kind == GW_KINDS)
		return o;
	config_problems_init(&problems);
	read_meta(&r, node, o);
	config_problems_fini(&problems);
	return r.err ? gw_object_free(o) : o;
}
