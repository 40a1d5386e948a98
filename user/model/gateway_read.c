// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One Kubernetes object out of YAML, checked as the API server would check it: required fields,
 * patterns, limits, the CEL rules with their own messages, and the defaults. Fields that are none
 * of ours are passed over. All problems of an object are reported, each with its field. Here is
 * what all kinds have; each kind's own is in gateway_read_*.c.
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
	const char *versions; /* each with a comma behind it */
	bool has_namespace;
	void (*read)(struct gw_reading *r, const struct yaml_node *node, struct gw_object *o);
	bool has_spec;
} kinds[] = {
	[GW_CLASS] = {GATEWAY_GROUP, "GatewayClass", "v1,v1beta1,", false, gw_read_class, true},
	[GW_GATEWAY] = {GATEWAY_GROUP, "Gateway", "v1,v1beta1,", true, gw_read_gateway, true},
	[GW_ROUTE] = {GATEWAY_GROUP, "TLSRoute", "v1,v1alpha3,v1alpha2,", true, gw_read_route,
		      true},
	[GW_GRANT] = {GATEWAY_GROUP, "ReferenceGrant", "v1,v1beta1,", true, gw_read_grant, true},
	[GW_SERVICE] = {"", "Service", "v1,", true, gw_read_service, true},
	[GW_SLICE] = {"discovery.k8s.io", "EndpointSlice", "v1,", true, gw_read_slice, false},
	[GW_NAMESPACE] = {"", "Namespace", "v1,", false, NULL, false},
	[GW_CRD] = {"apiextensions.k8s.io", "CustomResourceDefinition", "v1,", false, NULL, true},
};

const char *gw_kind_word(enum gw_kind kind)
{
	return kinds[kind].word;
}

static bool is_version(const char *versions, const char *version)
{
	size_t len = strlen(version);

	if (!len)
		return false;
	for (const char *at = versions; (at = strstr(at, version)); at++)
		if ((at == versions || at[-1] == ',') && at[len] == ',')
			return true;
	return false;
}

/* A CustomResourceDefinition is one of ours where it defines one of our kinds. */
static bool is_crd_of_ours(const struct yaml_node *node)
{
	const struct yaml_node *spec = yaml_get(node, "spec");
	const struct yaml_node *group = spec ? yaml_get(spec, "group") : NULL;

	return group && yaml_is(group, GATEWAY_GROUP);
}

static bool find_kind(const struct yaml_node *node, enum gw_kind *ret)
{
	const struct yaml_node *version = yaml_get(node, "apiVersion"),
			       *kind = yaml_get(node, "kind");
	const char *slash;
	size_t group;

	if (!version || version->type != YAML_SCALAR || !kind)
		return false;
	slash = strchr(version->text, '/');
	group = slash ? (size_t)(slash - version->text) : 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (yaml_is(kind, kinds[i].word) && strlen(kinds[i].group) == group &&
		    !strncmp(kinds[i].group, version->text, group) &&
		    is_version(kinds[i].versions, slash ? slash + 1 : version->text)) {
			*ret = (enum gw_kind)i;
			return i != GW_CRD || is_crd_of_ours(node);
		}
	return false;
}

/* RFC 3339: 2026-01-02T03:04:05, a fraction, and Z or an offset. */
static bool parse_time(const char *text, int64_t *ret_us)
{
	struct tm tm = {};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t us = 0, unit = 100000;
	int hours = 0, minutes = 0, end = 0;
	char sign;

	if (!rest)
		return false;
	if (*rest == '.')
		for (rest++; isdigit((unsigned char)*rest); rest++, unit /= 10)
			us += (*rest - '0') * unit;
	if (strcmp(rest, "Z") != 0 && strcmp(rest, "z") != 0) {
		if (sscanf(rest, "%c%2d:%2d%n", &sign, &hours, &minutes, &end) != 3 || rest[end] ||
		    (sign != '+' && sign != '-'))
			return false;
		if (sign == '-') {
			hours = -hours;
			minutes = -minutes;
		}
	}
	*ret_us = (timegm(&tm) - hours * 3600 - minutes * 60) * 1000000 + us;
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

static void read_meta(struct gw_reading *r, const struct yaml_node *node, struct gw_object *o)
{
	const struct yaml_node *meta = yaml_get(node, "metadata");

	if (!meta || meta->type != YAML_MAPPING) {
		gw_complain(r, node, "metadata", "Required value");
		return;
	}
	o->name = gw_read_text(r, meta, "metadata", "name", 253, gw_is_subdomain, true, "");
	if (kinds[o->kind].has_namespace)
		o->ns = gw_read_text(r, meta, "metadata", "namespace", 63, gw_is_label, false,
				     "default");
	else
		o->ns = gw_copy(r, "");
	snprintf(r->object, sizeof(r->object), "%s %s%s%s", kinds[o->kind].word, o->ns ? o->ns : "",
		 o->ns && *o->ns ? "/" : "", o->name ? o->name : "");
	read_created(r, meta, o);
	o->generation = gw_read_number(r, meta, "metadata", "generation", 1, UINT32_MAX, false, 1);
	gw_read_pairs(r, meta, "metadata", "labels", &o->labels, &o->n_labels);
	if (o->kind == GW_CRD && yaml_get(meta, "annotations"))
		o->bundle_version =
			gw_read_text(r, yaml_get(meta, "annotations"), "metadata.annotations",
				     GATEWAY_GROUP "/bundle-version", 253, NULL, false, NULL);
}

int gw_read(const struct yaml_node *node, const char *file, struct config_problems *problems,
	    struct gw_object **ret_object)
{
	struct gw_reading r = {.file = file, .problems = problems};
	const struct yaml_node *spec = yaml_get(node, "spec");
	struct gw_object *o;
	enum gw_kind kind;

	if (!find_kind(node, &kind))
		return -ENOENT;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->kind = kind;
	o->pos = (struct config_pos){.file = file, .line = node->line, .column = node->column};
	o->api_version = gw_copy(&r, yaml_get(node, "apiVersion")->text);
	snprintf(r.object, sizeof(r.object), "%s", kinds[kind].word);
	read_meta(&r, node, o);
	gw_check_keys(&r, node, "");
	if (kinds[kind].has_spec && (!spec || spec->type != YAML_MAPPING))
		gw_complain(&r, node, "spec", "Required value");
	else if (kinds[kind].read && o->ns && o->api_version)
		kinds[kind].read(&r, kinds[kind].has_spec ? spec : node, o);
	if (r.err || r.n_errors) {
		gw_object_free(o);
		return r.err ? r.err : -EINVAL;
	}
	*ret_object = o;
	return 0;
}
