// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Service and EndpointSlice out of YAML, as the API server takes them (see gateway_fields.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "model/config_parts.h"
#include "model/gateway_fields.h"
#include "model/seen.h"

#define PORTS_MAX 20000 /* of an EndpointSlice; a Service's have no limit of their own */

/* --- ports ----------------------------------------------------------------------------------- */

static const char *const protocols[] = {"TCP", "UDP", "SCTP"};

/* Where it is a name, it is resolved pod by pod, and stands in the slices as a number. */
static void read_target(struct gw_reading *r, const struct yaml_node *port, const char *path,
			struct gw_port *p)
{
	const struct yaml_node *node = yaml_get(port, "targetPort");
	char at[GW_PATH_SIZE];
	int64_t number;

	p->target = p->port;
	if (!node || yaml_is_null(node) || yaml_is(node, ""))
		return;
	gw_join(at, path, "targetPort");
	if (gw_parse_number(node, &number)) {
		if (number < 0 || number > 65535)
			gw_complain(r, node, at, "must be between 1 and 65535, inclusive");
		else if (number)
			p->target = (uint32_t)number;
	} else if (!gw_is_text(node)) {
		gw_complain(r, node, at, "is neither a port nor a name");
	} else {
		(void)gw_check_text(r, node, at, node->text, &gw_service_name);
	}
}

/* A port of a Service or of an EndpointSlice; *@ret_protocol is one of protocols. */
static void read_port(struct gw_reading *r, const struct yaml_node *node, const char *path,
		      bool is_service, struct gw_port *p, int *ret_protocol)
{
	const struct yaml_node *protocol = yaml_get(node, "protocol");

	p->name = gw_read_text(r, node, path, "name", 63, &gw_port_name, false, "");
	p->port = gw_read_number(r, node, path, "port", 1, 65535, is_service, 0);
	*ret_protocol = 0;
	if (!is_service || !protocol || !yaml_is(protocol, ""))
		*ret_protocol = gw_read_word(r, node, path, "protocol", protocols,
					     ARRAY_SIZE(protocols), 0);
	p->is_tcp = *ret_protocol == 0;
	if (is_service)
		read_target(r, node, path, p);
}

/* Adds @key, which is complained of where it is there already. */
static void check_once(struct gw_reading *r, struct seen **seen, const struct yaml_node *node,
		       const char *path, const char *key)
{
	const struct config_pos pos = {.file = r->file, .line = node->line};

	if (seen_find(*seen, key, strlen(key)))
		gw_complain(r, node, path, "Duplicate value: \"%s\"", key);
	else if (seen_add(seen, key, strlen(key), &pos))
		r->err = -ENOMEM;
}

/* What the API server asks of all ports together. */
static void check_ports(struct gw_reading *r, const struct yaml_node *list, const char *path,
			bool is_service, const struct gw_object *o, const int *used)
{
	struct seen *names = NULL, *numbers = NULL;
	char at[GW_PATH_SIZE], field[GW_PATH_SIZE], number[16];

	for (size_t i = 0; i < o->n_ports; i++) {
		const struct gw_port *p = &o->ports[i];

		gw_join_index(at, path, i);
		gw_join(field, at, "name");
		if (is_service && o->n_ports > 1 && !*p->name)
			gw_complain(r, list->items[i], field, "Required value");
		if (*p->name || !is_service)
			check_once(r, &names, list->items[i], field, p->name);
		snprintf(number, sizeof(number), "%u/%s", p->port, protocols[used[i]]);
		if (is_service)
			check_once(r, &numbers, list->items[i], at, number);
	}
	seen_free(&names);
	seen_free(&numbers);
}

static void read_ports(struct gw_reading *r, const struct yaml_node *map, const char *path,
		       bool is_service, struct gw_object *o)
{
	const struct yaml_node *list = gw_read_maps(r, map, path, "ports", 0, PORTS_MAX);
	char at[GW_PATH_SIZE], item[GW_PATH_SIZE];
	size_t n_errors = r->n_errors;
	_cleanup_free_ int *used = NULL;

	if (!list)
		return;
	gw_join(at, path, "ports");
	o->ports = gw_many(r, list->n, sizeof(*o->ports));
	used = gw_many(r, list->n, sizeof(*used));
	for (size_t i = 0; o->ports && used && i < list->n; i++) {
		gw_join_index(item, at, i);
		read_port(r, list->items[i], item, is_service, &o->ports[o->n_ports++], &used[i]);
	}
	if (r->n_errors == n_errors && !r->err)
		check_ports(r, list, at, is_service, o, used);
}

/* --- Service --------------------------------------------------------------------------------- */

static bool is_cluster_ip(const char *text)
{
	return !*text || !strcmp(text, "None") || gw_is_ip(text);
}

static const struct gw_pattern cluster_ip = {is_cluster_ip, "an IP address, None, or empty"};

void gw_read_service(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer",
					    "ExternalName"};
	size_t n_errors = r->n_errors;
	bool has_none; /* no address of the cluster: no ports are needed */
	const struct yaml_node *given = yaml_get(spec, "type");
	int type = given && yaml_is(given, "")
			   ? 0
			   : gw_read_word(r, spec, "spec", "type", types, ARRAY_SIZE(types), 0);

	o->service_type = gw_copy(r, types[type]);
	o->cluster_ip = gw_read_text(r, spec, "spec", "clusterIP", 63, &cluster_ip, false, "");
	has_none = type == 3 || (o->cluster_ip && !strcmp(o->cluster_ip, "None"));
	read_ports(r, spec, "spec", true, o);
	if (r->n_errors == n_errors && !o->n_ports && !has_none)
		gw_complain(r, spec, "spec.ports", "Required value");
}

/* --- EndpointSlice --------------------------------------------------------------------------- */

enum address_type { IPV4, IPV6, FQDN };

/*
 * What the API server lets through, and loopback beside it: in files a slice may well name what
 * runs on this node.
 */
static void check_address(struct gw_reading *r, const struct yaml_node *node, const char *path,
			  enum address_type type)
{
	static const char *const words[] = {"IPv4", "IPv6"};
	const char *why;
	uint8_t ip[16];

	if (!gw_is_text(node)) {
		gw_complain_no_text(r, node, path);
		return;
	}
	if (type == FQDN) {
		(void)gw_check_text(r, node, path, node->text, &gw_subdomain);
		return;
	}
	if (addr_parse_ip(node->text, ip) || !strchr(node->text, ':') != (type == IPV4))
		gw_complain(r, node, path, "is not an %s address", words[type]);
	else if (type == IPV6 && addr_is_ipv4(ip))
		gw_complain(r, node, path, "must not be an IPv4-mapped IPv6 address");
	else if (addr_is_any(ip))
		gw_complain(r, node, path, "may not be unspecified (0.0.0.0 or ::)");
	else if (type == IPV4 && ip[12] == 169 && ip[13] == 254)
		gw_complain(r, node, path, "may not be in the link-local range (169.254.0.0/16)");
	else if (!config_ip_is_usable(ip, &why))
		gw_complain(r, node, path, "%s", why);
}

/* Of its addresses only the first has a meaning; names have none (FQDN is deprecated). */
static void read_endpoint(struct gw_reading *r, const struct yaml_node *node, const char *path,
			  enum address_type type, struct gw_object *o)
{
	const struct yaml_node *addresses = gw_read_list(r, node, path, "addresses", 1, 100);
	const struct yaml_node *conditions = gw_read_map(r, node, path, "conditions");
	struct gw_endpoint *e = &o->endpoints[o->n_endpoints];
	char at[GW_PATH_SIZE], item[GW_PATH_SIZE];
	size_t n_errors = r->n_errors;

	gw_join(at, path, "addresses");
	for (size_t i = 0; addresses && i < addresses->n; i++) {
		gw_join_index(item, at, i);
		check_address(r, addresses->items[i], item, type);
	}
	if (!addresses || type == FQDN || r->n_errors != n_errors)
		return;
	gw_join(at, path, "conditions");
	*e = (struct gw_endpoint){.address = gw_copy(r, addresses->items[0]->text),
				  .is_ready = true,
				  .is_serving = true};
	if (conditions) {
		e->is_ready = gw_read_bool(r, conditions, at, "ready", true);
		e->is_serving = gw_read_bool(r, conditions, at, "serving", true);
		e->is_terminating = gw_read_bool(r, conditions, at, "terminating", false);
	}
	o->n_endpoints++;
}

void gw_read_slice(struct gw_reading *r, const struct yaml_node *node, struct gw_object *o)
{
	static const char *const types[] = {"IPv4", "IPv6", "FQDN"};
	const struct yaml_node *list = gw_read_maps(r, node, "", "endpoints", 0, 1000);
	int type = gw_read_word(r, node, "", "addressType", types, ARRAY_SIZE(types), -1);
	char at[GW_PATH_SIZE];

	if (type < 0 && !yaml_get(node, "addressType"))
		gw_complain(r, node, "addressType", "Required value");
	read_ports(r, node, "", false, o);
	/* Of which type they are to be, nobody knows. */
	if (type < 0 || !list)
		return;
	o->endpoints = gw_many(r, list->n, sizeof(*o->endpoints));
	for (size_t i = 0; o->endpoints && i < list->n; i++) {
		gw_join_index(at, "endpoints", i);
		read_endpoint(r, list->items[i], at, (enum address_type)type, o);
	}
}
