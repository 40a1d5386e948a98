// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One Kubernetes object out of YAML, checked as the API server would check it: required fields,
 * patterns, limits, the CEL rules with their own messages, and the defaults. Fields that are none
 * of ours are passed over. All problems of an object are reported, each with its field.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "model/gateway_parts.h"

#define PATH_SIZE 256

struct reading {
	const char *file;
	struct config_problems *problems;
	char object[PATH_SIZE]; /* "TLSRoute default/app" */
	size_t n_errors;
	int err;
};

static void complain(struct reading *r, const struct yaml_node *node, const char *path,
		     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void complain(struct reading *r, const struct yaml_node *node, const char *path,
		     const char *fmt, ...)
{
	struct config_pos pos = {.file = r->file, .line = node->line, .column = node->column};
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	r->n_errors++;
	if (!text)
		r->err = -ENOMEM;
	else
		config_problem_add(r->problems, &pos, false, "%s: %s: %s", r->object, path, text);
}

static char *copy(struct reading *r, const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		r->err = -ENOMEM;
	return copied;
}

static void *many(struct reading *r, size_t n, size_t size)
{
	void *items = calloc(n ? n : 1, size);

	if (!items)
		r->err = -ENOMEM;
	return items;
}

static void join(char dst[PATH_SIZE], const char *path, const char *key)
{
	if (snprintf(dst, PATH_SIZE, "%s%s%s", path, *path ? "." : "", key) >= PATH_SIZE)
		dst[PATH_SIZE - 1] = '\0';
}

static void join_index(char dst[PATH_SIZE], const char *path, size_t index)
{
	if (snprintf(dst, PATH_SIZE, "%s[%zu]", path, index) >= PATH_SIZE)
		dst[PATH_SIZE - 1] = '\0';
}

/* --- patterns (apis/v1/shared_types.go) ------------------------------------------------------ */

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* One or more labels of [a-z0-9-] that begin and end with a letter or digit, joined by dots. */
static bool is_dns(const char *text, size_t len, bool is_one_label)
{
	size_t start = 0;

	if (!len)
		return false;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && text[i] != '.') {
			if (!is_lower(text[i]) && text[i] != '-')
				return false;
			continue;
		}
		if (i < len && is_one_label)
			return false;
		if (i == start || text[start] == '-' || text[i - 1] == '-')
			return false;
		start = i + 1;
	}
	return true;
}

static bool is_hostname(const char *text)
{
	if (!strncmp(text, "*.", 2))
		text += 2;
	return is_dns(text, strlen(text), false);
}

static bool is_subdomain(const char *text)
{
	return is_dns(text, strlen(text), false);
}

static bool is_label(const char *text)
{
	return is_dns(text, strlen(text), true);
}

static bool is_group(const char *text)
{
	return !*text || is_subdomain(text);
}

/* Letters, digits and hyphens, with neither end a hyphen. */
static bool is_word(const char *text)
{
	size_t len = strlen(text);

	if (!len || !isalnum((unsigned char)*text) || !isalnum((unsigned char)text[len - 1]))
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && *text != '-')
			return false;
	return true;
}

static bool is_kind(const char *text)
{
	return isalpha((unsigned char)*text) && is_word(text);
}

static bool is_any(const char *text)
{
	return *text;
}

static bool is_protocol(const char *text)
{
	const char *slash = strchr(text, '/');

	if (!slash)
		return is_word(text);
	if (!is_dns(text, (size_t)(slash - text), false) || !slash[1])
		return false;
	for (text = slash + 1; *text; text++)
		if (!isalnum((unsigned char)*text))
			return false;
	return true;
}

static bool is_controller(const char *text)
{
	static const char path[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "/-._~%!$&'()*+,;=:";
	const char *slash = strchr(text, '/');

	return slash && slash[1] && !slash[1 + strspn(slash + 1, path)] &&
	       is_dns(text, (size_t)(slash - text), false);
}

/* --- values ---------------------------------------------------------------------------------- */

static bool parse_number(const struct yaml_node *node, int64_t *ret)
{
	char *end;

	if (node->type != YAML_SCALAR || !node->is_plain || !node->n)
		return false;
	errno = 0;
	*ret = strtoll(node->text, &end, 10);
	return !errno && end == node->text + node->n;
}

/* The text at @key of @map, or @fallback (copied; NULL = none). @what NULL: any text. */
static char *read_text(struct reading *r, const struct yaml_node *map, const char *path,
		       const char *key, size_t max, bool (*check)(const char *text),
		       bool is_required, const char *fallback)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[PATH_SIZE];
	int64_t number;

	join(at, path, key);
	if (!node || yaml_is_null(node)) {
		if (is_required)
			complain(r, map, at, "Required value");
		return fallback ? copy(r, fallback) : NULL;
	}
	if (node->type != YAML_SCALAR || strlen(node->text) != node->n ||
	    parse_number(node, &number)) {
		complain(r, node, at, "is not a text");
	} else if (node->n > max) {
		complain(r, node, at, "may not be longer than %zu bytes", max);
	} else if (check && !check(node->text)) {
		complain(r, node, at, "\"%s\" is not valid here", node->text);
	} else {
		return copy(r, node->text);
	}
	return NULL;
}

static uint32_t read_number(struct reading *r, const struct yaml_node *map, const char *path,
			    const char *key, int64_t min, int64_t max, bool is_required,
			    uint32_t fallback)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[PATH_SIZE];
	int64_t value;

	join(at, path, key);
	if (!node || yaml_is_null(node)) {
		if (is_required)
			complain(r, map, at, "Required value");
		return fallback;
	}
	if (parse_number(node, &value) && value >= min && value <= max)
		return (uint32_t)value;
	complain(r, node, at, "is not a number from %lld to %lld", (long long)min, (long long)max);
	return fallback;
}

static bool read_bool(struct reading *r, const struct yaml_node *map, const char *path,
		      const char *key, bool fallback)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[PATH_SIZE];

	if (!node || yaml_is_null(node))
		return fallback;
	if (yaml_is(node, "true") || yaml_is(node, "false"))
		return yaml_is(node, "true");
	join(at, path, key);
	complain(r, node, at, "is not true or false");
	return fallback;
}

/* One of @words: its index, or @fallback. */
static int read_word(struct reading *r, const struct yaml_node *map, const char *path,
		     const char *key, const char *const *words, size_t n, int fallback)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[PATH_SIZE];

	if (!node || yaml_is_null(node))
		return fallback;
	for (size_t i = 0; i < n; i++)
		if (yaml_is(node, words[i]))
			return (int)i;
	join(at, path, key);
	complain(r, node, at, "Unsupported value%s%s", node->type == YAML_SCALAR ? ": " : "",
		 node->type == YAML_SCALAR ? node->text : "");
	return fallback;
}

/* The list at @key; NULL where there is none. */
static const struct yaml_node *read_list(struct reading *r, const struct yaml_node *map,
					 const char *path, const char *key, size_t min, size_t max)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[PATH_SIZE];

	join(at, path, key);
	if (!node || yaml_is_null(node)) {
		if (min)
			complain(r, map, at, "Required value");
		return NULL;
	}
	if (node->type != YAML_SEQUENCE) {
		complain(r, node, at, "is not a list");
		return NULL;
	}
	if (node->n > max)
		complain(r, node, at, "Too many: %u: must have at most %zu items", node->n, max);
	else if (node->n < min)
		complain(r, node, at, "must have at least %zu items", min);
	else
		return node;
	return NULL;
}

/* --- parts that several kinds have ----------------------------------------------------------- */

static void read_pairs(struct reading *r, const struct yaml_node *map, const char *path,
		       const char *key, struct gw_pair **ret, size_t *ret_n)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[PATH_SIZE];

	if (!node || yaml_is_null(node))
		return;
	join(at, path, key);
	if (node->type != YAML_MAPPING) {
		complain(r, node, at, "is not a mapping");
		return;
	}
	*ret = many(r, node->n, sizeof(**ret));
	for (size_t i = 0; *ret && i < node->n; i++) {
		const struct yaml_node *k = node->items[2 * i], *v = node->items[2 * i + 1];

		if (k->type != YAML_SCALAR || v->type != YAML_SCALAR) {
			complain(r, v, at, "is not a mapping of texts");
			continue;
		}
		(*ret)[*ret_n].key = copy(r, k->text);
		(*ret)[(*ret_n)++].value = copy(r, v->text);
	}
}

static void read_selector(struct reading *r, const struct yaml_node *namespaces, const char *path,
			  struct gw_listener *l)
{
	static const char *const words[] = {"In", "NotIn", "Exists", "DoesNotExist"};
	const struct yaml_node *selector = yaml_get(namespaces, "selector"), *list, *values;
	char at[PATH_SIZE], list_at[PATH_SIZE], item[PATH_SIZE];

	if (!selector || yaml_is_null(selector))
		return;
	l->has_selector = true;
	join(at, path, "selector");
	read_pairs(r, selector, at, "matchLabels", &l->labels, &l->n_labels);
	list = read_list(r, selector, at, "matchExpressions", 0, 1000);
	join(list_at, at, "matchExpressions");
	l->rules = list ? many(r, list->n, sizeof(*l->rules)) : NULL;
	for (size_t i = 0; l->rules && i < list->n; i++) {
		struct gw_selector_rule *rule = &l->rules[l->n_rules++];

		join_index(item, list_at, i);
		rule->key = read_text(r, list->items[i], item, "key", 317, is_any, true, "");
		rule->op = (unsigned int)read_word(r, list->items[i], item, "operator", words, 4,
						   GW_EXISTS);
		values = read_list(r, list->items[i], item, "values", 0, 1000);
		rule->values = values ? many(r, values->n, sizeof(char *)) : NULL;
		for (size_t k = 0; rule->values && k < values->n; k++)
			if (values->items[k]->type == YAML_SCALAR)
				rule->values[rule->n_values++] = copy(r, values->items[k]->text);
		if ((rule->op == GW_IN || rule->op == GW_NOT_IN) != !!rule->n_values)
			complain(r, list->items[i], item,
				 "values: must be given for In and NotIn, and for these alone");
	}
}

/* What it names is told in the status: there are no parameters of ours. */
static void read_parameters(struct reading *r, const struct yaml_node *map, const char *path,
			    struct gw_object *o)
{
	const struct yaml_node *node = map ? yaml_get(map, "parametersRef") : NULL;
	_cleanup_free_ char *group = NULL, *kind = NULL, *name = NULL;
	char at[PATH_SIZE];

	if (!node || yaml_is_null(node))
		return;
	join(at, path, "parametersRef");
	group = read_text(r, node, at, "group", 253, is_group, true, "");
	kind = read_text(r, node, at, "kind", 63, is_kind, true, "");
	name = read_text(r, node, at, "name", 253, is_any, true, "");
	if (group && kind && name &&
	    asprintf(&o->parameters, "%s%s%s %s", group, *group ? "/" : "", kind, name) < 0) {
		o->parameters = NULL;
		r->err = -ENOMEM;
	}
}

/* --- Gateway --------------------------------------------------------------------------------- */

static enum gw_protocol protocol_of(const char *text)
{
	static const char *const words[] = {"HTTP", "HTTPS", "TLS", "TCP", "UDP"};

	for (size_t i = 0; text && i < ARRAY_SIZE(words); i++)
		if (!strcmp(text, words[i]))
			return (enum gw_protocol)i;
	return GW_OTHER;
}

static void read_tls(struct reading *r, const struct yaml_node *node, const char *path,
		     struct gw_listener *l)
{
	static const char *const modes[] = {"Terminate", "Passthrough"};
	const struct yaml_node *tls = yaml_get(node, "tls"), *certificates, *options;
	char at[PATH_SIZE], options_at[PATH_SIZE];
	size_t n_errors = r->n_errors;

	join(at, path, "tls");
	if (!tls || yaml_is_null(tls)) {
		if (l->protocol == GW_TLS)
			complain(r, node, path, "tls mode must be set for protocol TLS");
		return;
	}
	if (l->protocol == GW_HTTP || l->protocol == GW_TCP || l->protocol == GW_UDP) {
		complain(r, tls, at,
			 "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']");
		return;
	}
	l->is_passthrough = read_word(r, tls, at, "mode", modes, 2, 0);
	if (l->protocol == GW_HTTPS && l->is_passthrough)
		complain(r, tls, at, "tls mode must be Terminate for protocol HTTPS");
	certificates = read_list(r, tls, at, "certificateRefs", 0, 64);
	options = yaml_get(tls, "options");
	join(options_at, at, "options");
	if (options && options->n > 16)
		complain(r, options, options_at, "Too many: %u: must have at most 16 items",
			 options->n);
	/* Of a mode that cannot be read nobody knows what it needs. */
	if (r->n_errors == n_errors && !l->is_passthrough && !(certificates && certificates->n) &&
	    !(options && options->n))
		complain(r, tls, at,
			 "certificateRefs or options must be specified when mode is Terminate");
}

static void read_allowed(struct reading *r, const struct yaml_node *node, const char *path,
			 struct gw_listener *l)
{
	static const char *const words[] = {"Same", "All", "Selector"};
	const struct yaml_node *allowed = yaml_get(node, "allowedRoutes"), *namespaces, *kinds;
	char at[PATH_SIZE], kinds_at[PATH_SIZE], item[PATH_SIZE];

	if (!allowed || yaml_is_null(allowed))
		return;
	join(at, path, "allowedRoutes");
	namespaces = yaml_get(allowed, "namespaces");
	if (namespaces && !yaml_is_null(namespaces)) {
		join(item, at, "namespaces");
		l->from = (enum gw_from)read_word(r, namespaces, item, "from", words, 3, GW_SAME);
		if (l->from == GW_SELECTOR)
			read_selector(r, namespaces, item, l);
	}
	kinds = read_list(r, allowed, at, "kinds", 0, 8);
	l->kinds = kinds ? many(r, kinds->n, sizeof(*l->kinds)) : NULL;
	join(kinds_at, at, "kinds");
	for (size_t i = 0; l->kinds && i < kinds->n; i++) {
		join_index(item, kinds_at, i);
		l->kinds[l->n_kinds].group = read_text(r, kinds->items[i], item, "group", 253,
						       is_group, false, GATEWAY_GROUP);
		l->kinds[l->n_kinds++].kind =
			read_text(r, kinds->items[i], item, "kind", 63, is_kind, true, "");
	}
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void read_listener(struct reading *r, const struct yaml_node *node, const char *path,
			  struct gw_listener *l)
{
	l->name = read_text(r, node, path, "name", 253, is_subdomain, true, "");
	l->hostname = read_text(r, node, path, "hostname", 253, is_hostname, false, NULL);
	if (l->hostname && !*l->hostname) {
		free(l->hostname);
		l->hostname = NULL;
	}
	l->port = read_number(r, node, path, "port", 1, 65535, true, 0);
	l->protocol_text = read_text(r, node, path, "protocol", 255, is_protocol, true, "");
	l->protocol = protocol_of(l->protocol_text);
	if (l->hostname && (l->protocol == GW_TCP || l->protocol == GW_UDP))
		complain(r, node, path,
			 "hostname must not be specified for protocols ['TCP', 'UDP']");
	read_tls(r, node, path, l);
	read_allowed(r, node, path, l);
}

/*
 * What the API server asks of all listeners together once each by itself is right: two that lack
 * their names, say, have no name in common.
 */
static void check_listeners(struct reading *r, const struct yaml_node *list,
			    const struct gw_object *o)
{
	char at[PATH_SIZE];

	for (size_t i = 0; i < o->n_listeners; i++)
		for (size_t k = 0; k < i; k++) {
			const struct gw_listener *l = &o->listeners[i], *other = &o->listeners[k];

			join_index(at, "spec.listeners", i);
			if (same_text(other->name, l->name))
				complain(r, list->items[i], at,
					 "Listener name must be unique within the Gateway");
			if (other->port == l->port &&
			    same_text(other->protocol_text, l->protocol_text) &&
			    same_text(other->hostname, l->hostname))
				complain(r, list->items[i], at,
					 "Combination of port, protocol and hostname must be "
					 "unique for each listener");
		}
}

static void read_address(struct reading *r, const struct yaml_node *node, const char *path,
			 const struct gw_object *o, struct gw_address *a)
{
	uint8_t ip[16];
	bool is_ip_type;

	a->type = read_text(r, node, path, "type", 253, is_any, false, "IPAddress");
	a->value = read_text(r, node, path, "value", 253, NULL, false, "");
	if (!a->type || !a->value || !*a->value)
		return;
	is_ip_type = !strcmp(a->type, "IPAddress");
	if (is_ip_type && addr_parse_ip(a->value, ip))
		complain(r, node, path, "IPAddress values must be valid IP addresses");
	for (size_t i = 0; i < o->n_addresses; i++)
		if ((is_ip_type || !strcmp(a->type, "Hostname")) &&
		    same_text(o->addresses[i].type, a->type) &&
		    same_text(o->addresses[i].value, a->value)) {
			complain(r, node, path, "%s values must be unique", a->type);
			break;
		}
}

static void read_gateway(struct reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	const struct yaml_node *list = read_list(r, spec, "spec", "listeners", 1, 64);
	const struct yaml_node *addresses = read_list(r, spec, "spec", "addresses", 0, 16);
	size_t n_errors = r->n_errors;
	char at[PATH_SIZE];

	o->listeners = list ? many(r, list->n, sizeof(*o->listeners)) : NULL;
	for (size_t i = 0; o->listeners && i < list->n; i++) {
		join_index(at, "spec.listeners", i);
		read_listener(r, list->items[i], at, &o->listeners[o->n_listeners++]);
	}
	if (r->n_errors == n_errors)
		check_listeners(r, list, o);
	o->class = read_text(r, spec, "spec", "gatewayClassName", 253, is_any, true, "");
	read_parameters(r, yaml_get(spec, "infrastructure"), "spec.infrastructure", o);
	o->addresses = addresses ? many(r, addresses->n, sizeof(*o->addresses)) : NULL;
	for (size_t i = 0; o->addresses && i < addresses->n; i++) {
		join_index(at, "spec.addresses", i);
		read_address(r, addresses->items[i], at, o, &o->addresses[i]);
		o->n_addresses++;
	}
}

/* --- TLSRoute -------------------------------------------------------------------------------- */

static bool is_ip(const char *text)
{
	uint8_t ip[16];

	return !addr_parse_ip(text, ip);
}

static bool is_ip_text(const struct yaml_node *node)
{
	return node->type == YAML_SCALAR && is_ip(node->text);
}

static bool is_ip_of(const char *text, bool is_ipv4)
{
	return is_ip(text) && !strchr(text, ':') == is_ipv4;
}

static void read_parent(struct reading *r, const struct yaml_node *node, const char *path,
			struct gw_parent *p)
{
	p->group = read_text(r, node, path, "group", 253, is_group, false, GATEWAY_GROUP);
	p->kind = read_text(r, node, path, "kind", 63, is_kind, false, "Gateway");
	p->ns = read_text(r, node, path, "namespace", 63, is_label, false, NULL);
	p->name = read_text(r, node, path, "name", 253, is_any, true, "");
	p->section = read_text(r, node, path, "sectionName", 253, is_subdomain, false, NULL);
	p->port = read_number(r, node, path, "port", 1, 65535, false, 0);
}

/*
 * Of one parent that is named twice, either both name a listener, or both a port, and another one:
 * no listener is meant by both. (Ports are of the experimental channel, and may stand beside names
 * here; the messages are those of the standard channel.)
 */
static void check_parents(struct reading *r, const struct yaml_node *list,
			  const struct gw_object *o, size_t i, size_t k)
{
	const struct gw_parent *p = &o->parents[i], *q = &o->parents[k];
	char at[PATH_SIZE];

	if (!same_text(p->group, q->group) || !same_text(p->kind, q->kind) ||
	    !same_text(p->name, q->name) ||
	    strcmp(p->ns ? p->ns : o->ns, q->ns ? q->ns : o->ns) != 0)
		return;
	join_index(at, "spec.parentRefs", i);
	if (!p->section != !q->section || (!p->section && (!p->port || !q->port)))
		complain(r, list->items[i], at,
			 "sectionName must be specified when parentRefs includes 2 or more "
			 "references to the same parent");
	else if (same_text(p->section, q->section) && (!p->port || !q->port || p->port == q->port))
		complain(r, list->items[i], at,
			 "sectionName must be unique when parentRefs includes 2 or more "
			 "references to the same parent");
}

static void read_parents(struct reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	const struct yaml_node *list = read_list(r, spec, "spec", "parentRefs", 0, 32);
	size_t n_errors = r->n_errors;
	char at[PATH_SIZE];

	o->parents = list ? many(r, list->n, sizeof(*o->parents)) : NULL;
	for (size_t i = 0; o->parents && i < list->n; i++) {
		join_index(at, "spec.parentRefs", i);
		read_parent(r, list->items[i], at, &o->parents[o->n_parents++]);
	}
	if (r->n_errors != n_errors)
		return;
	for (size_t i = 0; i < o->n_parents; i++)
		for (size_t k = 0; k < i; k++)
			check_parents(r, list, o, i, k);
}

static void read_hostnames(struct reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	bool is_optional = strstr(o->api_version, "/v1alpha2");
	const struct yaml_node *list =
		read_list(r, spec, "spec", "hostnames", is_optional ? 0 : 1, 1024);
	char at[PATH_SIZE];

	o->hostnames = list ? many(r, list->n, sizeof(char *)) : NULL;
	for (size_t i = 0; o->hostnames && i < list->n; i++) {
		const struct yaml_node *node = list->items[i];
		bool is_text = node->type == YAML_SCALAR && node->n && node->n <= 253 &&
			       strlen(node->text) == node->n;

		join_index(at, "spec.hostnames", i);
		if (is_text && is_ip(node->text))
			complain(r, node, at, "Hostnames cannot contain an IP");
		else if (is_text && strchr(node->text, '*') && !is_hostname(node->text))
			complain(r, node, at,
				 "Wildcards on hostnames must be the first label, and the rest of "
				 "hostname must be valid based on RFC-1123");
		else if (!is_text || !is_hostname(node->text))
			complain(r, node, at, "Hostnames must be valid based on RFC-1123");
		else
			o->hostnames[o->n_hostnames++] = copy(r, node->text);
	}
}

static void read_backend(struct reading *r, const struct yaml_node *node, const char *path,
			 struct gw_backend *b)
{
	b->group = read_text(r, node, path, "group", 253, is_group, false, "");
	b->kind = read_text(r, node, path, "kind", 63, is_kind, false, "Service");
	b->ns = read_text(r, node, path, "namespace", 63, is_label, false, NULL);
	b->name = read_text(r, node, path, "name", 253, is_any, true, "");
	b->port = read_number(r, node, path, "port", 1, 65535, false, 0);
	b->weight = read_number(r, node, path, "weight", 0, TW_WEIGHT_MAX, false, 1);
	if (b->group && b->kind && !*b->group && !strcmp(b->kind, "Service") && !b->port)
		complain(r, node, path, "Must have port for Service reference");
}

static void read_route(struct reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	bool is_old = strstr(o->api_version, "/v1alpha2");
	const struct yaml_node *rules = read_list(r, spec, "spec", "rules", 1, is_old ? 16 : 1);
	const struct yaml_node *list;
	char at[PATH_SIZE];

	read_parents(r, spec, o);
	read_hostnames(r, spec, o);
	/* Rules have nothing to tell them apart by: of several, the first counts. */
	if (rules)
		free(read_text(r, rules->items[0], "spec.rules[0]", "name", 253, is_subdomain,
			       false, NULL));
	list = rules ? read_list(r, rules->items[0], "spec.rules[0]", "backendRefs", is_old ? 0 : 1,
				 16)
		     : NULL;
	o->backends = list ? many(r, list->n, sizeof(*o->backends)) : NULL;
	for (size_t i = 0; o->backends && i < list->n; i++) {
		join_index(at, "spec.rules[0].backendRefs", i);
		read_backend(r, list->items[i], at, &o->backends[o->n_backends++]);
	}
}

/* --- the other kinds ------------------------------------------------------------------------- */

static void read_class(struct reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	o->controller = read_text(r, spec, "spec", "controllerName", 253, is_controller, true, "");
	read_parameters(r, spec, "spec", o);
	free(read_text(r, spec, "spec", "description", 64, NULL, false, NULL));
}

static void read_grant(struct reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	const struct yaml_node *from = read_list(r, spec, "spec", "from", 1, 16);
	const struct yaml_node *to = read_list(r, spec, "spec", "to", 1, 16);
	char at[PATH_SIZE];

	o->sources = from ? many(r, from->n, sizeof(*o->sources)) : NULL;
	for (size_t i = 0; o->sources && i < from->n; i++) {
		struct gw_grant_from *f = &o->sources[o->n_sources++];

		join_index(at, "spec.from", i);
		f->group = read_text(r, from->items[i], at, "group", 253, is_group, true, "");
		f->kind = read_text(r, from->items[i], at, "kind", 63, is_kind, true, "");
		f->ns = read_text(r, from->items[i], at, "namespace", 63, is_label, true, "");
	}
	o->targets = to ? many(r, to->n, sizeof(*o->targets)) : NULL;
	for (size_t i = 0; o->targets && i < to->n; i++) {
		struct gw_grant_to *t = &o->targets[o->n_targets++];

		join_index(at, "spec.to", i);
		t->group = read_text(r, to->items[i], at, "group", 253, is_group, true, "");
		t->kind = read_text(r, to->items[i], at, "kind", 63, is_kind, true, "");
		t->name = read_text(r, to->items[i], at, "name", 253, is_any, false, NULL);
	}
}

/* A port of a Service (with target) or of an EndpointSlice. */
static void read_port(struct reading *r, const struct yaml_node *node, const char *path,
		      bool is_service, struct gw_port *p)
{
	const struct yaml_node *protocol = yaml_get(node, "protocol");
	const struct yaml_node *target = yaml_get(node, "targetPort");
	int64_t number;

	p->name = read_text(r, node, path, "name", 63, NULL, false, "");
	p->port = read_number(r, node, path, "port", 1, 65535, is_service, 0);
	p->is_tcp = !protocol || yaml_is_null(protocol) || yaml_is(protocol, "TCP");
	/* A name is resolved pod by pod, and stands in the slices as a number. */
	p->target = target && parse_number(target, &number) && number > 0 && number < 65536
			    ? (uint32_t)number
			    : p->port;
}

static void read_ports(struct reading *r, const struct yaml_node *map, const char *path,
		       bool is_service, struct gw_object *o)
{
	const struct yaml_node *list = read_list(r, map, path, "ports", 0, 1000);
	char at[PATH_SIZE], item[PATH_SIZE];

	join(at, path, "ports");
	o->ports = list ? many(r, list->n, sizeof(*o->ports)) : NULL;
	for (size_t i = 0; o->ports && i < list->n; i++) {
		join_index(item, at, i);
		read_port(r, list->items[i], item, is_service, &o->ports[o->n_ports++]);
	}
}

static void read_service(struct reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	o->service_type = read_text(r, spec, "spec", "type", 63, NULL, false, "ClusterIP");
	o->cluster_ip = read_text(r, spec, "spec", "clusterIP", 63, NULL, false, "");
	read_ports(r, spec, "spec", true, o);
}

static void read_slice(struct reading *r, const struct yaml_node *node, struct gw_object *o)
{
	static const char *const types[] = {"IPv4", "IPv6", "FQDN"};
	const struct yaml_node *list = read_list(r, node, "", "endpoints", 0, 1000);
	int type = read_word(r, node, "", "addressType", types, 3, -1);
	char at[PATH_SIZE], conditions_at[PATH_SIZE];

	if (type < 0 && !yaml_get(node, "addressType"))
		complain(r, node, "addressType", "Required value");
	read_ports(r, node, "", false, o);
	o->endpoints = list ? many(r, list->n, sizeof(*o->endpoints)) : NULL;
	for (size_t i = 0; o->endpoints && i < list->n; i++) {
		const struct yaml_node *conditions = yaml_get(list->items[i], "conditions");
		const struct yaml_node *addresses;
		struct gw_endpoint *e = &o->endpoints[o->n_endpoints];

		join_index(at, "endpoints", i);
		join(conditions_at, at, "conditions");
		addresses = read_list(r, list->items[i], at, "addresses", 1, 100);
		/* Only the first has a meaning; names have none (FQDN is deprecated). */
		if (!addresses || type == 2)
			continue;
		if (!is_ip_text(addresses->items[0]) ||
		    (type >= 0 && !is_ip_of(addresses->items[0]->text, type == 0))) {
			complain(r, addresses->items[0], at, "addresses[0] is not an %s address",
				 type < 0 || !is_ip_text(addresses->items[0]) ? "IP" : types[type]);
			continue;
		}
		e->address = copy(r, addresses->items[0]->text);
		e->is_ready = !conditions || read_bool(r, conditions, conditions_at, "ready", true);
		e->is_serving =
			!conditions || read_bool(r, conditions, conditions_at, "serving", true);
		e->is_terminating =
			conditions && read_bool(r, conditions, conditions_at, "terminating", false);
		o->n_endpoints++;
	}
}

/* --- the whole object ------------------------------------------------------------------------ */

static const struct kind_entry {
	const char *group; /* "" = core */
	const char *word;
	const char *versions; /* each with a comma behind it */
	bool has_namespace;
	void (*read)(struct reading *r, const struct yaml_node *node, struct gw_object *o);
	bool has_spec;
} kinds[] = {
	[GW_CLASS] = {GATEWAY_GROUP, "GatewayClass", "v1,v1beta1,", false, read_class, true},
	[GW_GATEWAY] = {GATEWAY_GROUP, "Gateway", "v1,v1beta1,", true, read_gateway, true},
	[GW_ROUTE] = {GATEWAY_GROUP, "TLSRoute", "v1,v1alpha3,v1alpha2,", true, read_route, true},
	[GW_GRANT] = {GATEWAY_GROUP, "ReferenceGrant", "v1,v1beta1,", true, read_grant, true},
	[GW_SERVICE] = {"", "Service", "v1,", true, read_service, true},
	[GW_SLICE] = {"discovery.k8s.io", "EndpointSlice", "v1,", true, read_slice, false},
	[GW_NAMESPACE] = {"", "Namespace", "v1,", false, NULL, false},
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
			return true;
		}
	return false;
}

/* RFC 3339: 2026-01-02T03:04:05, a fraction, and Z or an offset. */
static bool parse_time(const char *text, int64_t *ret_ns)
{
	struct tm tm = {};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ns = 0, unit = 100000000;
	int hours = 0, minutes = 0, end = 0;
	char sign;

	if (!rest)
		return false;
	if (*rest == '.')
		for (rest++; isdigit((unsigned char)*rest); rest++, unit /= 10)
			ns += (*rest - '0') * unit;
	if (strcmp(rest, "Z") != 0 && strcmp(rest, "z") != 0) {
		if (sscanf(rest, "%c%2d:%2d%n", &sign, &hours, &minutes, &end) != 3 || rest[end] ||
		    (sign != '+' && sign != '-'))
			return false;
		if (sign == '-') {
			hours = -hours;
			minutes = -minutes;
		}
	}
	*ret_ns = (timegm(&tm) - hours * 3600 - minutes * 60) * 1000000000 + ns;
	return true;
}

static void read_created(struct reading *r, const struct yaml_node *meta, struct gw_object *o)
{
	const struct yaml_node *node = yaml_get(meta, "creationTimestamp");

	if (!node || yaml_is_null(node))
		return;
	o->has_created = node->type == YAML_SCALAR && parse_time(node->text, &o->created_ns);
	if (!o->has_created)
		complain(r, node, "metadata.creationTimestamp", "is not a time (RFC 3339)");
}

static void read_meta(struct reading *r, const struct yaml_node *node, struct gw_object *o)
{
	const struct yaml_node *meta = yaml_get(node, "metadata");

	if (!meta || meta->type != YAML_MAPPING) {
		complain(r, node, "metadata", "Required value");
		return;
	}
	o->name = read_text(r, meta, "metadata", "name", 253, is_subdomain, true, "");
	if (kinds[o->kind].has_namespace)
		o->ns = read_text(r, meta, "metadata", "namespace", 63, is_label, false, "default");
	else
		o->ns = copy(r, "");
	snprintf(r->object, sizeof(r->object), "%s %s%s%s", kinds[o->kind].word, o->ns ? o->ns : "",
		 o->ns && *o->ns ? "/" : "", o->name ? o->name : "");
	read_created(r, meta, o);
	o->generation = read_number(r, meta, "metadata", "generation", 1, UINT32_MAX, false, 1);
	read_pairs(r, meta, "metadata", "labels", &o->labels, &o->n_labels);
}

int gw_read(const struct yaml_node *node, const char *file, struct config_problems *problems,
	    struct gw_object **ret_object)
{
	struct reading r = {.file = file, .problems = problems};
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
	o->api_version = copy(&r, yaml_get(node, "apiVersion")->text);
	snprintf(r.object, sizeof(r.object), "%s", kinds[kind].word);
	read_meta(&r, node, o);
	if (kinds[kind].has_spec && (!spec || spec->type != YAML_MAPPING))
		complain(&r, node, "spec", "Required value");
	else if (kinds[kind].read && o->ns && o->api_version)
		kinds[kind].read(&r, kinds[kind].has_spec ? spec : node, o);
	if (r.err || r.n_errors) {
		gw_object_free(o);
		return r.err ? r.err : -EINVAL;
	}
	*ret_object = o;
	return 0;
}

/* --- freeing --------------------------------------------------------------------------------- */

static void free_pairs(struct gw_pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(pairs[i].key);
		free(pairs[i].value);
	}
	free(pairs);
}

static void listener_fini(struct gw_listener *l)
{
	free(l->name);
	free(l->hostname);
	free(l->protocol_text);
	free_pairs(l->labels, l->n_labels);
	for (size_t i = 0; i < l->n_rules; i++) {
		for (size_t k = 0; k < l->rules[i].n_values; k++)
			free(l->rules[i].values[k]);
		free(l->rules[i].values);
		free(l->rules[i].key);
	}
	free(l->rules);
	for (size_t i = 0; i < l->n_kinds; i++) {
		free(l->kinds[i].group);
		free(l->kinds[i].kind);
	}
	free(l->kinds);
	gw_forget_places(l);
	gw_clear(&l->conditions);
}

static void free_route_parts(struct gw_object *o)
{
	for (size_t i = 0; i < o->n_parents; i++) {
		free(o->parents[i].group);
		free(o->parents[i].kind);
		free(o->parents[i].ns);
		free(o->parents[i].name);
		free(o->parents[i].section);
		gw_clear(&o->parents[i].conditions);
	}
	free(o->parents);
	for (size_t i = 0; i < o->n_hostnames; i++)
		free(o->hostnames[i]);
	free(o->hostnames);
	for (size_t i = 0; i < o->n_backends; i++) {
		free(o->backends[i].group);
		free(o->backends[i].kind);
		free(o->backends[i].ns);
		free(o->backends[i].name);
	}
	free(o->backends);
}

static void free_other_parts(struct gw_object *o)
{
	for (size_t i = 0; i < o->n_sources; i++) {
		free(o->sources[i].group);
		free(o->sources[i].kind);
		free(o->sources[i].ns);
	}
	free(o->sources);
	for (size_t i = 0; i < o->n_targets; i++) {
		free(o->targets[i].group);
		free(o->targets[i].kind);
		free(o->targets[i].name);
	}
	free(o->targets);
	for (size_t i = 0; i < o->n_ports; i++)
		free(o->ports[i].name);
	free(o->ports);
	for (size_t i = 0; i < o->n_endpoints; i++)
		free(o->endpoints[i].address);
	free(o->endpoints);
}

struct gw_object *gw_object_free(struct gw_object *o)
{
	if (!o)
		return NULL;
	for (size_t i = 0; i < o->n_listeners; i++)
		listener_fini(&o->listeners[i]);
	free(o->listeners);
	for (size_t i = 0; i < o->n_addresses; i++) {
		free(o->addresses[i].type);
		free(o->addresses[i].value);
	}
	free(o->addresses);
	free_route_parts(o);
	free_other_parts(o);
	free_pairs(o->labels, o->n_labels);
	gw_clear(&o->conditions);
	free(o->api_version);
	free(o->ns);
	free(o->name);
	free(o->controller);
	free(o->parameters);
	free(o->class);
	free(o->service_type);
	free(o->cluster_ip);
	free(o);
	return NULL;
}
