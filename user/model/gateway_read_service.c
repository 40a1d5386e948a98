// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Service and EndpointSlice out of YAML, as the API server takes them (see gateway_fields.h). */
#include <string.h>

#include "model/gateway_fields.h"

static bool is_ip_of(const char *text, bool is_ipv4)
{
	return gw_is_ip(text) && !strchr(text, ':') == is_ipv4;
}

/* A port of a Service (with target) or of an EndpointSlice. */
static void read_port(struct gw_reading *r, const struct yaml_node *node, const char *path,
		      bool is_service, struct gw_port *p)
{
	const struct yaml_node *protocol = yaml_get(node, "protocol");
	const struct yaml_node *target = yaml_get(node, "targetPort");
	int64_t number;

	p->name = gw_read_text(r, node, path, "name", 63, NULL, false, "");
	p->port = gw_read_number(r, node, path, "port", 1, 65535, is_service, 0);
	p->is_tcp = !protocol || yaml_is_null(protocol) || yaml_is(protocol, "TCP");
	/* A name is resolved pod by pod, and stands in the slices as a number. */
	p->target = target && gw_parse_number(target, &number) && number > 0 && number < 65536
			    ? (uint32_t)number
			    : p->port;
}

static void read_ports(struct gw_reading *r, const struct yaml_node *map, const char *path,
		       bool is_service, struct gw_object *o)
{
	const struct yaml_node *list = gw_read_maps(r, map, path, "ports", 0, 1000);
	char at[GW_PATH_SIZE], item[GW_PATH_SIZE];

	gw_join(at, path, "ports");
	o->ports = list ? gw_many(r, list->n, sizeof(*o->ports)) : NULL;
	for (size_t i = 0; o->ports && i < list->n; i++) {
		gw_join_index(item, at, i);
		read_port(r, list->items[i], item, is_service, &o->ports[o->n_ports++]);
	}
}

void gw_read_service(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	o->service_type = gw_read_text(r, spec, "spec", "type", 63, NULL, false, "ClusterIP");
	o->cluster_ip = gw_read_text(r, spec, "spec", "clusterIP", 63, NULL, false, "");
	read_ports(r, spec, "spec", true, o);
}

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
