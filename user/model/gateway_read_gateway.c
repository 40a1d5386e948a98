// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* GatewayClass and Gateway out of YAML, as the API server takes them (see gateway_fields.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/gateway_fields.h"

/* What it names is told in the status: there are no parameters of ours. */
static void read_parameters(struct gw_reading *r, const struct yaml_node *map, const char *path,
			    struct gw_object *o)
{
	const struct yaml_node *node = map ? gw_read_map(r, map, path, "parametersRef") : NULL;
	_cleanup_free_ char *group = NULL, *kind = NULL, *name = NULL;
	char at[GW_PATH_SIZE];

	if (!node)
		return;
	gw_join(at, path, "parametersRef");
	group = gw_read_text(r, node, at, "group", 253, &gw_group, true, "");
	kind = gw_read_text(r, node, at, "kind", 63, &gw_kind_name, true, "");
	name = gw_read_text(r, node, at, "name", 253, &gw_not_empty, true, "");
	if (o->kind == GW_CLASS)
		free(gw_read_text(r, node, at, "namespace", 63, &gw_label, false, NULL));
	if (group && kind && name &&
	    asprintf(&o->parameters, "%s%s%s %s", group, *group ? "/" : "", kind, name) < 0) {
		o->parameters = NULL;
		r->err = -ENOMEM;
	}
}

void gw_read_class(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	o->controller =
		gw_read_text(r, spec, "spec", "controllerName", 253, &gw_controller, true, "");
	read_parameters(r, spec, "spec", o);
	free(gw_read_text(r, spec, "spec", "description", 64, NULL, false, NULL));
}

/* --- listeners ------------------------------------------------------------------------------- */

/* Whether it makes sense, no API server asks: gateway_selector.c does. */
static void read_selector_rule(struct gw_reading *r, const struct yaml_node *node, const char *path,
			       struct gw_selector_rule *rule)
{
	static const char *const words[] = {"In", "NotIn", "Exists", "DoesNotExist"};
	const struct yaml_node *values = gw_read_list(r, node, path, "values", 0, 1000);
	_cleanup_free_ char *op = gw_read_text(r, node, path, "operator", SIZE_MAX, NULL, true, "");
	char at[GW_PATH_SIZE], item[GW_PATH_SIZE];

	rule->key = gw_read_text(r, node, path, "key", SIZE_MAX, NULL, true, "");
	rule->op = GW_UNKNOWN;
	for (size_t i = 0; op && i < ARRAY_SIZE(words); i++)
		if (!strcmp(op, words[i]))
			rule->op = (unsigned int)i;
	gw_join(at, path, "values");
	rule->values = values ? gw_many(r, values->n, sizeof(char *)) : NULL;
	for (size_t k = 0; rule->values && k < values->n; k++) {
		gw_join_index(item, at, k);
		if (!gw_is_text(values->items[k]))
			gw_complain_no_text(r, values->items[k], item);
		else
			rule->values[rule->n_values++] = gw_copy(r, values->items[k]->text);
	}
}

static void read_selector(struct gw_reading *r, const struct yaml_node *namespaces,
			  const char *path, struct gw_listener *l)
{
	const struct yaml_node *selector = gw_read_map(r, namespaces, path, "selector"), *list;
	char at[GW_PATH_SIZE], list_at[GW_PATH_SIZE], item[GW_PATH_SIZE];

	if (!selector)
		return;
	l->has_selector = true;
	gw_join(at, path, "selector");
	gw_read_pairs(r, selector, at, "matchLabels", &l->labels, &l->n_labels);
	list = gw_read_maps(r, selector, at, "matchExpressions", 0, 1000);
	gw_join(list_at, at, "matchExpressions");
	l->rules = list ? gw_many(r, list->n, sizeof(*l->rules)) : NULL;
	for (size_t i = 0; l->rules && i < list->n; i++) {
		gw_join_index(item, list_at, i);
		read_selector_rule(r, list->items[i], item, &l->rules[l->n_rules++]);
	}
}

static enum gw_protocol protocol_of(const char *text)
{
	static const char *const words[] = {"HTTP", "HTTPS", "TLS", "TCP", "UDP"};

	for (size_t i = 0; text && i < ARRAY_SIZE(words); i++)
		if (!strcmp(text, words[i]))
			return (enum gw_protocol)i;
	return GW_OTHER;
}

/* How many there are. Where TLS is terminated they are used, and by somebody else. */
static size_t read_certificates(struct gw_reading *r, const struct yaml_node *tls, const char *path)
{
	const struct yaml_node *list = gw_read_maps(r, tls, path, "certificateRefs", 0, 64), *item;
	char list_at[GW_PATH_SIZE], at[GW_PATH_SIZE];

	gw_join(list_at, path, "certificateRefs");
	for (size_t i = 0; list && i < list->n; i++) {
		item = list->items[i];
		gw_join_index(at, list_at, i);
		free(gw_read_text(r, item, at, "group", 253, &gw_group, false, NULL));
		free(gw_read_text(r, item, at, "kind", 63, &gw_kind_name, false, NULL));
		free(gw_read_text(r, item, at, "name", 253, &gw_not_empty, true, NULL));
		free(gw_read_text(r, item, at, "namespace", 63, &gw_label, false, NULL));
	}
	return list ? list->n : 0;
}

static void read_tls(struct gw_reading *r, const struct yaml_node *node, const char *path,
		     struct gw_listener *l)
{
	static const char *const modes[] = {"Terminate", "Passthrough"};
	const struct yaml_node *tls = yaml_get(node, "tls"), *options;
	size_t n_certificates;
	char at[GW_PATH_SIZE], options_at[GW_PATH_SIZE];
	size_t n_errors = r->n_errors;

	gw_join(at, path, "tls");
	if (!tls || yaml_is_null(tls)) {
		if (l->protocol == GW_TLS)
			gw_complain(r, node, path, "tls mode must be set for protocol TLS");
		return;
	}
	if (l->protocol == GW_HTTP || l->protocol == GW_TCP || l->protocol == GW_UDP) {
		gw_complain(r, tls, at,
			    "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']");
		return;
	}
	if (!gw_read_map(r, node, path, "tls"))
		return;
	l->is_passthrough = gw_read_word(r, tls, at, "mode", modes, 2, 0);
	if (l->protocol == GW_HTTPS && l->is_passthrough)
		gw_complain(r, tls, at, "tls mode must be Terminate for protocol HTTPS");
	n_certificates = read_certificates(r, tls, at);
	options = gw_read_map(r, tls, at, "options");
	gw_join(options_at, at, "options");
	if (options && options->n > 16)
		gw_complain(r, options, options_at, "Too many: %u: must have at most 16 items",
			    options->n);
	/* Of a mode that cannot be read nobody knows what it needs. */
	if (r->n_errors == n_errors && !l->is_passthrough && !n_certificates &&
	    !(options && options->n))
		gw_complain(r, tls, at,
			    "certificateRefs or options must be specified when mode is Terminate");
}

static void read_allowed(struct gw_reading *r, const struct yaml_node *node, const char *path,
			 struct gw_listener *l)
{
	static const char *const words[] = {"Same", "All", "Selector"};
	const struct yaml_node *allowed = gw_read_map(r, node, path, "allowedRoutes");
	const struct yaml_node *namespaces, *kinds;
	char at[GW_PATH_SIZE], kinds_at[GW_PATH_SIZE], item[GW_PATH_SIZE];

	if (!allowed)
		return;
	gw_join(at, path, "allowedRoutes");
	namespaces = gw_read_map(r, allowed, at, "namespaces");
	if (namespaces) {
		gw_join(item, at, "namespaces");
		l->from =
			(enum gw_from)gw_read_word(r, namespaces, item, "from", words, 3, GW_SAME);
		read_selector(r, namespaces, item, l);
	}
	kinds = gw_read_maps(r, allowed, at, "kinds", 0, 8);
	l->kinds = kinds ? gw_many(r, kinds->n, sizeof(*l->kinds)) : NULL;
	gw_join(kinds_at, at, "kinds");
	for (size_t i = 0; l->kinds && i < kinds->n; i++) {
		gw_join_index(item, kinds_at, i);
		l->kinds[l->n_kinds].group = gw_read_text(r, kinds->items[i], item, "group", 253,
							  &gw_group, false, GATEWAY_GROUP);
		l->kinds[l->n_kinds++].kind =
			gw_read_text(r, kinds->items[i], item, "kind", 63, &gw_kind_name, true, "");
	}
}

static void read_listener(struct gw_reading *r, const struct yaml_node *node, const char *path,
			  struct gw_listener *l)
{
	l->name = gw_read_text(r, node, path, "name", 253, &gw_subdomain, true, "");
	l->hostname = gw_read_text(r, node, path, "hostname", 253, &gw_hostname, false, NULL);
	l->port = gw_read_number(r, node, path, "port", 1, 65535, true, 0);
	l->protocol_text = gw_read_text(r, node, path, "protocol", 255, &gw_protocol, true, "");
	l->protocol = protocol_of(l->protocol_text);
	if (l->hostname && (l->protocol == GW_TCP || l->protocol == GW_UDP))
		gw_complain(r, node, path,
			    "hostname must not be specified for protocols ['TCP', 'UDP']");
	read_tls(r, node, path, l);
	read_allowed(r, node, path, l);
}

/*
 * What the API server asks of all listeners together once each by itself is right: two that lack
 * their names, say, have no name in common.
 */
static void check_listeners(struct gw_reading *r, const struct yaml_node *list,
			    const struct gw_object *o)
{
	char at[GW_PATH_SIZE];

	for (size_t i = 0; i < o->n_listeners; i++)
		for (size_t k = 0; k < i; k++) {
			const struct gw_listener *l = &o->listeners[i], *other = &o->listeners[k];

			gw_join_index(at, "spec.listeners", i);
			if (gw_same_text(other->name, l->name))
				gw_complain(r, list->items[i], at,
					    "Listener name must be unique within the Gateway");
			if (other->port == l->port &&
			    gw_same_text(other->protocol_text, l->protocol_text) &&
			    gw_same_text(other->hostname, l->hostname))
				gw_complain(r, list->items[i], at,
					    "Combination of port, protocol and hostname must be "
					    "unique for each listener");
		}
}

/* --- the Gateway ----------------------------------------------------------------------------- */

static void read_address(struct gw_reading *r, const struct yaml_node *node, const char *path,
			 const struct gw_object *o, struct gw_address *a)
{
	const struct yaml_node *value = yaml_get(node, "value");
	bool is_ip_type, is_hostname, has_value = value && !yaml_is_null(value);

	a->type = gw_read_text(r, node, path, "type", 253, &gw_address_type, false, "IPAddress");
	a->value = gw_read_text(r, node, path, "value", 253, NULL, false, "");
	if (!a->type || !a->value || !has_value)
		return;
	is_ip_type = !strcmp(a->type, "IPAddress");
	is_hostname = !strcmp(a->type, "Hostname");
	if (is_ip_type && !gw_is_ip(a->value))
		gw_complain(r, node, path, "IPAddress values must be valid IP addresses");
	if (is_hostname)
		(void)gw_check_text(r, node, path, a->value, &gw_hostname);
	for (size_t i = 0; i < o->n_addresses; i++)
		if ((is_ip_type || is_hostname) && gw_same_text(o->addresses[i].type, a->type) &&
		    gw_same_text(o->addresses[i].value, a->value)) {
			gw_complain(r, node, path, "%s values must be unique", a->type);
			break;
		}
}

void gw_read_gateway(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	const struct yaml_node *list = gw_read_maps(r, spec, "spec", "listeners", 1, 64);
	const struct yaml_node *addresses = gw_read_maps(r, spec, "spec", "addresses", 0, 16);
	size_t n_errors = r->n_errors;
	char at[GW_PATH_SIZE];

	o->listeners = list ? gw_many(r, list->n, sizeof(*o->listeners)) : NULL;
	for (size_t i = 0; o->listeners && i < list->n; i++) {
		gw_join_index(at, "spec.listeners", i);
		read_listener(r, list->items[i], at, &o->listeners[o->n_listeners++]);
	}
	if (r->n_errors == n_errors)
		check_listeners(r, list, o);
	o->class = gw_read_text(r, spec, "spec", "gatewayClassName", 253, &gw_not_empty, true, "");
	read_parameters(r, gw_read_map(r, spec, "spec", "infrastructure"), "spec.infrastructure",
			o);
	o->addresses = addresses ? gw_many(r, addresses->n, sizeof(*o->addresses)) : NULL;
	for (size_t i = 0; o->addresses && i < addresses->n; i++) {
		gw_join_index(at, "spec.addresses", i);
		read_address(r, addresses->items[i], at, o, &o->addresses[i]);
		o->n_addresses++;
	}
}
