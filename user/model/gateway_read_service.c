// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Service and EndpointSlice out of YAML, as the API server takes them (see gateway_fields.h). */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/gateway_fields.h"

static bool is_ip_of(const char *text, bool is_ipv4)
{
	return gw_is_ip(text) && !strchr(text, ':') == is_ipv4;
}

/* --- ports ----------------------------------------------------------------------------------- */

static const char *const protocols[] = {"TCP", "UDP", "SCTP"};

/*
 * A port of a Service or of an EndpointSlice; *@ret_protocol is one of protocols. A Service's has
 * a target, too: where that is a name, it is resolved pod by pod, and stands in the slices as a
 * number.
 */
static void read_port(struct gw_reading *r, const struct yaml_node *node, const char *path,
		      bool is_service, struct gw_port *p, int *ret_protocol)
{
	const struct yaml_node *target = is_service ? yaml_get(node, "targetPort") : NULL;
	char at[GW_PATH_SIZE];
	int64_t number;

	p->name = gw_read_text(r, node, path, "name", 63, &gw_port_name, false, "");
	p->port = gw_read_number(r, node, path, "port", 1, 65535, is_service, 0);
	*ret_protocol =
		gw_read_word(r, node, path, "protocol", protocols, ARRAY_SIZE(protocols), 0);
	p->is_tcp = *ret_protocol == 0;
	p->target = p->port;
	if (!target || yaml_is_null(target) || !gw_parse_number(target, &number) || !number)
		return;
	p->target = (uint32_t)number;
	gw_join(at, path, "targetPort");
	if (number < 1 || number > 65535)
		gw_complain(r, target, at, "must be between 1 and 65535, inclusive");
}

/* What the API server asks of all ports together. */
static void check_ports(struct gw_reading *r, const struct yaml_node *list, const char *path,
			bool is_service, const struct gw_object *o, const int *used)
{
	char at[GW_PATH_SIZE], field[GW_PATH_SIZE];

	for (size_t i = 0; i < o->n_ports; i++) {
		const struct gw_port *p = &o->ports[i];

		gw_join_index(at, path, i);
		gw_join(field, at, "name");
		if (is_service && o->n_ports > 1 && p->name && !*p->name)
			gw_complain(r, list->items[i], field, "Required value");
		for (size_t k = 0; k < i; k++) {
			const struct gw_port *other = &o->ports[k];

			if (gw_same_text(p->name, other->name) && (*p->name || !is_service))
				gw_complain(r, list->items[i], field, "Duplicate value: \"%s\"",
					    p->name);
			if (is_service && p->port == other->port && used[i] == used[k])
				gw_complain(r, list->items[i], at, "Duplicate value: %s port %u",
					    protocols[used[i]], p->port);
		}
	}
}

static void read_ports(struct gw_reading *r, const struct yaml_node *map, const char *path,
		       bool is_service, struct gw_object *o)
{
	const struct yaml_node *list =
		gw_read_maps(r, map, path, "ports", 0, is_service ? 1000 : 100);
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
	int type = gw_read_word(r, spec, "spec", "type", types, ARRAY_SIZE(types), 0);

	o->service_type = gw_copy(r, types[type]);
	o->cluster_ip = gw_read_text(r, spec, "spec", "clusterIP", 63, &cluster_ip, false, "");
	has_none = type == 3 || (o->cluster_ip && !strcmp(o->cluster_ip, "None"));
	read_ports(r, spec, "spec", true, o);
	if (r->n_errors == n_errors && !o->n_ports && !has_none)
		gw_complain(r, spec, "spec.ports", "Required value");
}

/* --- EndpointSlice --------------------------------------------------------------------------- */

void gw_read_slice(struct gw_reading *r, const struct yaml_node *node, struct gw_object *o)
{
	static const char *const types[] = {"IPv4", "IPv6", "FQDN"};
	const struct yaml_node *list = gw_read_maps(r, node, "", "endpoints", 0, 1000);
	int type = gw_read_word(r, node, "", "addressType", types, 3, -1);
	char at[GW_PATH_SIZE], conditions_at[GW_PATH_SIZE];

	if (type < 0 && !yaml_get(node, "addressType"))
		gw_complain(r, node, "addressType", "Required value");
	read_ports(r, node, "", false, o);
	o->endpoints = list ? gw_many(r, list->n, sizeof(*o->endpoints)) : NULL;
	for (size_t i = 0; o->endpoints && i < list->n; i++) {
		const struct yaml_node *conditions, *addresses;
		struct gw_endpoint *e = &o->endpoints[o->n_endpoints];

		gw_join_index(at, "endpoints", i);
		gw_join(conditions_at, at, "conditions");
		conditions = gw_read_map(r, list->items[i], at, "conditions");
		addresses = gw_read_list(r, list->items[i], at, "addresses", 1, 100);
		/* Only the first has a meaning; names have none (FQDN is deprecated). */
		if (!addresses || type == 2)
			continue;
		if (!gw_is_ip_text(addresses->items[0]) ||
		    (type >= 0 && !is_ip_of(addresses->items[0]->text, type == 0))) {
			gw_complain(r, addresses->items[0], at, "addresses[0] is not an %s address",
				    type < 0 || !gw_is_ip_text(addresses->items[0]) ? "IP"
										    : types[type]);
			continue;
		}
		e->address = gw_copy(r, addresses->items[0]->text);
		e->is_ready =
			!conditions || gw_read_bool(r, conditions, conditions_at, "ready", true);
		e->is_serving =
			!conditions || gw_read_bool(r, conditions, conditions_at, "serving", true);
		e->is_terminating = conditions && gw_read_bool(r, conditions, conditions_at,
							       "terminating", false);
		o->n_endpoints++;
	}
}
