// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fields that an object does not have, and types and lists that are nearly one of ours: mistakes
 * that change what is served without a word, since the API server drops such fields and others skip
 * such kinds. They are warned of, each text once for a whole load.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "model/gateway_fields.h"
#include "model/nearest.h"

#define ANY GW_KINDS /* of whatever kind */

#define REF	  "group kind name namespace"
#define SELECTOR  "matchExpressions matchLabels"
#define LISTENERS "spec.listeners[]"

/* Those of the experimental channel included, up to v1.6 of the API. */
/* clang-format off */
static const struct known {
	unsigned int kind;
	const char *path; /* "a.b[]": each item of b in a */
	const char *keys;
} known[] = {
	{ ANY, "metadata", "annotations creationTimestamp deletionGracePeriodSeconds "
			   "deletionTimestamp finalizers generateName generation labels "
			   "managedFields name namespace ownerReferences resourceVersion selfLink uid" },
	{ GW_CLASS, "", "apiVersion kind metadata spec status" },
	{ GW_CLASS, "spec", "controllerName description parametersRef" },
	{ GW_CLASS, "spec.parametersRef", REF },
	{ GW_GATEWAY, "", "apiVersion kind metadata spec status" },
	{ GW_GATEWAY, "spec", "addresses allowedListeners backendTLS defaultScope gatewayClassName "
			      "infrastructure listeners tls" },
	{ GW_GATEWAY, "spec.addresses[]", "type value" },
	{ GW_GATEWAY, "spec.infrastructure", "annotations labels parametersRef" },
	{ GW_GATEWAY, LISTENERS, "allowedRoutes hostname name port protocol tls" },
	{ GW_GATEWAY, LISTENERS ".tls", "certificateRefs frontendValidation mode options" },
	{ GW_GATEWAY, LISTENERS ".tls.certificateRefs[]", REF },
	{ GW_GATEWAY, LISTENERS ".allowedRoutes", "kinds namespaces" },
	{ GW_GATEWAY, LISTENERS ".allowedRoutes.kinds[]", "group kind" },
	{ GW_GATEWAY, LISTENERS ".allowedRoutes.namespaces", "from selector" },
	{ GW_GATEWAY, LISTENERS ".allowedRoutes.namespaces.selector", SELECTOR },
	{ GW_GATEWAY, LISTENERS ".allowedRoutes.namespaces.selector.matchExpressions[]",
		      "key operator values" },
	{ GW_ROUTE, "", "apiVersion kind metadata spec status" },
	{ GW_ROUTE, "spec", "hostnames parentRefs rules useDefaultGateways" },
	{ GW_ROUTE, "spec.parentRefs[]", REF " port sectionName" },
	{ GW_ROUTE, "spec.rules[]", "backendRefs name" },
	{ GW_ROUTE, "spec.rules[].backendRefs[]", REF " port weight" },
	{ GW_GRANT, "", "apiVersion kind metadata spec" },
	{ GW_GRANT, "spec", "from to" },
	{ GW_GRANT, "spec.from[]", "group kind namespace" },
	{ GW_GRANT, "spec.to[]", "group kind name" },
	{ GW_SERVICE, "", "apiVersion kind metadata spec status" },
	{ GW_SERVICE, "spec", "allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs "
			      "externalName externalTrafficPolicy healthCheckNodePort "
			      "internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass "
			      "loadBalancerIP loadBalancerSourceRanges ports "
			      "publishNotReadyAddresses selector sessionAffinity "
			      "sessionAffinityConfig trafficDistribution type" },
	{ GW_SERVICE, "spec.ports[]", "appProtocol name nodePort port protocol targetPort" },
	{ GW_SLICE, "", "addressType apiVersion endpoints kind metadata ports" },
	{ GW_SLICE, "ports[]", "appProtocol name port protocol" },
	{ GW_SLICE, "endpoints[]", "addresses conditions deprecatedTopology hints hostname nodeName "
				   "targetRef zone" },
	{ GW_SLICE, "endpoints[].conditions", "ready serving terminating" },
	{ GW_NAMESPACE, "", "apiVersion kind metadata spec status" },
};
/* clang-format on */

/* --- saying it ------------------------------------------------------------------------------- */

static bool was_said(const struct config_problems *problems, const char *text)
{
	for (size_t i = 0; i < problems->n; i++)
		if (problems->items[i].is_warning && !strcmp(problems->items[i].text, text))
			return true;
	return false;
}

static void warn_once(const struct yaml_node *node, const char *file,
		      struct config_problems *problems, const char *text)
{
	const struct config_pos pos = {.file = file, .line = node->line, .column = node->column};

	if (text && !was_said(problems, text))
		config_problem_add(problems, &pos, true, "%s", text);
}

/* --- fields ---------------------------------------------------------------------------------- */

/* @keys has a blank between them. */
static bool has_key(const char *keys, const struct yaml_node *key)
{
	for (size_t len; *keys; keys += len + (keys[len] == ' ')) {
		len = strcspn(keys, " ");
		if (len == key->n && !memcmp(keys, key->text, len))
			return true;
	}
	return false;
}

/* Words of @keys (to be used up) most like @key; NULL = none is near. */
static const char *nearest_key(char *keys, const struct yaml_node *key)
{
	struct nearest nearest = nearest_to(key->text);
	const char *word;

	while ((word = strsep(&keys, " ")))
		nearest_try(&nearest, word);
	return nearest.best;
}

static void warn_of_key(struct gw_reading *r, const struct known *k, const struct yaml_node *key)
{
	_cleanup_free_ char *keys = strdup(k->keys), *text = NULL;
	const char *best = keys ? nearest_key(keys, key) : NULL;
	int kind_len = (int)strcspn(r->object, " ");
	char shown[200];

	log_quote(shown, sizeof(shown), key->text, key->n);
	if (asprintf(&text, "%.*s: %s%s%s is no field of it, ignoring%s%s%s", kind_len, r->object,
		     k->path, *k->path ? "." : "", shown, best ? " (" : "", best ? best : "",
		     best ? "?)" : "") < 0)
		text = NULL;
	warn_once(key, r->file, r->problems, text);
}

/* Merge keys are gw_check_keys()'s to complain of. */
static void check_keys(struct gw_reading *r, const struct known *k, const struct yaml_node *map)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = map->items[2 * i];

		if (key->type == YAML_SCALAR && !has_key(k->keys, key) &&
		    !(key->is_plain && yaml_is(key, "<<")))
			warn_of_key(r, k, key);
	}
}

/* @path leads on from @node. */
static void visit(struct gw_reading *r, const struct known *k, const struct yaml_node *node,
		  const char *path)
{
	const struct yaml_node *child;
	size_t len = strcspn(path, ".[");
	char key[40];

	if (node->type != YAML_MAPPING)
		return;
	if (!*path) {
		check_keys(r, k, node);
		return;
	}
	snprintf(key, sizeof(key), "%.*s", (int)len, path);
	child = yaml_get(node, key);
	path += len;
	if (child && *path != '[') {
		visit(r, k, child, path + (*path == '.'));
	} else if (child && child->type == YAML_SEQUENCE) {
		path += strlen("[]");
		for (size_t i = 0; i < child->n; i++)
			visit(r, k, child->items[i], path + (*path == '.'));
	}
}

void gw_warn_of_fields(struct gw_reading *r, const struct yaml_node *node, enum gw_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].kind == kind || known[i].kind == ANY)
			visit(r, &known[i], node, known[i].path);
}

/* --- types ----------------------------------------------------------------------------------- */

/* In any case, and with one letter too many, too few, another one, or at another place. */
static bool is_near_word(const char *text, const char *word)
{
	char lower[2][40];
	struct nearest nearest;

	if (strlen(text) >= sizeof(lower[0]) || strlen(word) >= sizeof(lower[0]))
		return false;
	for (size_t i = 0; i < sizeof(lower[0]); i++) {
		lower[0][i] = (char)tolower((unsigned char)text[strnlen(text, i)]);
		lower[1][i] = (char)tolower((unsigned char)word[strnlen(word, i)]);
	}
	nearest = nearest_to(lower[1]);
	nearest_try(&nearest, lower[0]);
	return nearest.best && nearest.distance <= 1;
}

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && !strcmp(text + len - n, end);
}

/* Other projects have kinds of these names, too, in groups of their own. */
static bool has_common_name(enum gw_kind kind)
{
	return kind == GW_GATEWAY || kind == GW_SERVICE || kind == GW_NAMESPACE;
}

/* May the group be a slip? Those of others have a dot. @len: of the group in @version. */
static bool is_near_group(const char *version, size_t len, enum gw_kind kind)
{
	_cleanup_free_ char *its = strndup(version, len);
	struct nearest nearest = nearest_to(gw_kind_group(kind));

	if (!its || !strchr(its, '.') || !has_common_name(kind) || ends_in(its, "k8s.io") ||
	    ends_in(its, "kubernetes.io"))
		return true;
	nearest_try(&nearest, its);
	return nearest.best && nearest.distance <= 4;
}

static size_t group_len(const struct gw_type *type)
{
	const char *slash = strchr(type->api_version, '/');

	return slash ? (size_t)(slash - type->api_version) : 0;
}

/* GatewayClasses are two letters more. */
static bool is_near_kind(const char *text, const char *word)
{
	char plural[40];

	snprintf(plural, sizeof(plural), "%ses", word);
	return is_near_word(text, word) || !strcasecmp(text, plural);
}

static bool find_near(const struct gw_type *type, enum gw_kind *ret)
{
	for (enum gw_kind kind = 0; kind < GW_CRD; kind++)
		if (is_near_kind(type->kind, gw_kind_word(kind)) &&
		    is_near_group(type->api_version, group_len(type), kind)) {
			*ret = kind;
			return true;
		}
	return false;
}

static bool has_group(const struct gw_type *type, enum gw_kind kind)
{
	const char *group = gw_kind_group(kind);

	return strlen(group) == group_len(type) &&
	       !strncmp(group, type->api_version, strlen(group));
}

static char *describe(const struct gw_type *type, enum gw_kind kind)
{
	const char *word = gw_kind_word(kind), *group = gw_kind_group(kind);
	char shown[100];
	char *text = NULL;
	int n;

	if (strcmp(type->kind, word) != 0)
		n = asprintf(&text, "kind %s is not read, skipping (%s?)",
			     log_quote(shown, sizeof(shown), type->kind, strlen(type->kind)), word);
	else if (!has_group(type, kind))
		n = asprintf(&text, "%s: apiVersion \"%s\" is not read, skipping (%s%sv1?)", word,
			     log_quote(shown, sizeof(shown), type->api_version,
				       strlen(type->api_version)),
			     group, *group ? "/" : "");
	else {
		const char *version = type->api_version + group_len(type) + !!*group;

		n = asprintf(&text, "%s: version \"%s\" is not read, skipping (those that are: %s)",
			     word, log_quote(shown, sizeof(shown), version, strlen(version)),
			     gw_kind_versions(kind));
	}
	return n < 0 ? NULL : text;
}

bool gw_warn_of_near_type(const struct yaml_node *node, const struct gw_type *type,
			  const char *file, struct config_problems *problems,
			  enum gw_kind *ret_kind)
{
	_cleanup_free_ char *text = NULL;

	if (!find_near(type, ret_kind))
		return false;
	text = describe(type, *ret_kind);
	warn_once(node, file, problems, text);
	return true;
}

/* --- lists ----------------------------------------------------------------------------------- */

/* @*ret_kind GW_KINDS = of any. */
static bool find_near_list(const struct gw_type *type, enum gw_kind *ret_kind)
{
	char word[40];

	*ret_kind = GW_KINDS;
	/* Of the core group, as Services are. */
	if (is_near_word(type->kind, "List") &&
	    is_near_group(type->api_version, group_len(type), GW_SERVICE))
		return true;
	for (enum gw_kind kind = 0; kind < GW_CRD; kind++) {
		snprintf(word, sizeof(word), "%sList", gw_kind_word(kind));
		*ret_kind = kind;
		if (is_near_word(type->kind, word) &&
		    is_near_group(type->api_version, group_len(type), kind))
			return true;
	}
	return false;
}

bool gw_warn_of_near_list(const struct yaml_node *node, const struct gw_type *type,
			  const char *file, struct config_problems *problems,
			  enum gw_kind *ret_kind)
{
	_cleanup_free_ char *text = NULL;
	char kind_shown[100], version_shown[100];
	enum gw_kind kind;
	bool is_any;

	if (!find_near_list(type, &kind))
		return false;
	*ret_kind = kind;
	is_any = kind == GW_KINDS;
	log_quote(kind_shown, sizeof(kind_shown), type->kind, strlen(type->kind));
	log_quote(version_shown, sizeof(version_shown), type->api_version,
		  strlen(type->api_version));
	if (asprintf(&text, "kind %s of apiVersion %s is not read, skipping (%sList of %s%sv1?)",
		     kind_shown, version_shown, is_any ? "" : gw_kind_word(kind),
		     is_any ? "" : gw_kind_group(kind),
		     is_any || !*gw_kind_group(kind) ? "" : "/") < 0)
		text = NULL;
	warn_once(node, file, problems, text);
	return true;
}

void gw_warn_of_list_fields(const struct yaml_node *list, const char *file,
			    struct config_problems *problems)
{
	static const struct known fields = {0, "", "apiVersion items kind metadata"};
	struct gw_reading r = {.file = file, .problems = problems, .object = "List"};

	check_keys(&r, &fields, list);
	if (!yaml_get(list, "items") || yaml_is_null(yaml_get(list, "items")))
		warn_once(list, file, problems, "List: it has no items");
}
