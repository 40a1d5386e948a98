// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The endpoints of a Service's port: from its EndpointSlices; without any, from a native document,
 * or else the cluster's own address of the Service.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/index.h"
#include "model/gateway_resolving.h"

static bool has_endpoint(const struct gw_endpoints *list, const struct tw_backend *backend,
			 uint32_t hash)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(&list->by_address, hash, &at)) != INDEX_NONE)
		if (list->items[i].port == backend->port &&
		    !memcmp(list->items[i].addr, backend->addr, sizeof(backend->addr)))
			return true;
	return false;
}

static int add_endpoint(struct gw_endpoints *list, const char *address, uint32_t port)
{
	struct tw_backend backend = {.port = htons((uint16_t)port)}, *grown;
	uint32_t hash;

	if (addr_parse_ip(address, backend.addr))
		return 0; /* checked when it was read */
	backend.family = addr_is_ipv4(backend.addr) ? TW_FAMILY_IPV4 : TW_FAMILY_IPV6;
	hash = index_hash(backend.port, backend.addr, sizeof(backend.addr));
	if (has_endpoint(list, &backend, hash))
		return 0;
	list->is_cut = list->n == TW_ROUTE_BACKENDS_MAX;
	if (list->is_cut)
		return 0;
	grown = reallocarray(list->items, list->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->items = grown;
	addr_format(backend.text, backend.addr, backend.port);
	grown[list->n] = backend;
	return index_add(&list->by_address, hash, (uint32_t)list->n++);
}

/* The port of this name in a slice is the target port already; without a number: all ports. */
static uint32_t slice_port(const struct gw_object *slice, const struct gw_port *wanted)
{
	for (size_t i = 0; i < slice->n_ports; i++)
		if (slice->ports[i].is_tcp && !strcmp(slice->ports[i].name, wanted->name))
			return slice->ports[i].port ? slice->ports[i].port : wanted->target;
	return 0;
}

/* --- slices ---------------------------------------------------------------------------------- */

/* The EndpointSlices of a Service. */
struct slices {
	const struct gw_object **items;
	size_t n;
};

static int compare_slices(const void *left, const void *right)
{
	const struct gw_object *a = *(const struct gw_object *const *)left;
	const struct gw_object *b = *(const struct gw_object *const *)right;

	return strcmp(a->name, b->name);
}

/* By name: the store has them in an order that changes with what came and went before. */
static int list_slices(const struct gateway *gw, const struct gw_object *service,
		       struct slices *slices)
{
	uint32_t at = INDEX_START;
	const struct gw_object *s, **grown;

	while ((s = gw_next_slice(gw, service->ns, service->name, &at))) {
		grown = reallocarray(slices->items, slices->n + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		slices->items = grown;
		grown[slices->n++] = s;
	}
	if (slices->n)
		qsort(slices->items, slices->n, sizeof(*slices->items), compare_slices);
	return 0;
}

/* Those that are ready; where none is, those that are on their way out and still serve. */
static int collect(const struct slices *slices, const struct gw_port *port, bool is_fallback,
		   struct gw_endpoints *list)
{
	int err = 0;

	for (size_t i = 0; i < slices->n && !err && !list->is_cut; i++) {
		const struct gw_object *s = slices->items[i];
		uint32_t number = slice_port(s, port);

		for (size_t k = 0; number && k < s->n_endpoints && !err && !list->is_cut; k++) {
			const struct gw_endpoint *e = &s->endpoints[k];

			if (is_fallback ? e->is_serving && e->is_terminating : e->is_ready)
				err = add_endpoint(list, e->address, number);
		}
	}
	return err;
}

/* --- all of a Service ------------------------------------------------------------------------ */

static int add_hints(const struct gateway *gw, const struct gw_object *service,
		     const struct gw_port *port, struct gw_endpoints *list)
{
	uint32_t at = INDEX_START;
	const struct gw_hint *hint;
	char ip[ADDR_TEXT_SIZE];
	struct addr addr;
	int err = 0;

	while (!err && (hint = gw_next_hint(gw, service->ns, service->name, &at)))
		for (size_t k = 0; k < hint->n_addresses && !err; k++)
			err = addr_parse(hint->addresses[k], &addr)
				      ? add_endpoint(list, hint->addresses[k], port->target)
				      : add_endpoint(list, addr_format_ip(ip, addr.ip),
						     ntohs(addr.port));
	return err;
}

/*
 * Without any slice there may be endpoints in a native document, or else the cluster's own address
 * of the service. (A slice that holds none that is ready is an answer, too.)
 */
int gw_endpoints_of(const struct gateway *gw, const struct gw_object *service,
		    const struct gw_port *port, struct gw_endpoints *list)
{
	struct slices slices = {};
	int err = list_slices(gw, service, &slices);

	if (!err)
		err = collect(&slices, port, false, list);
	if (!err && !list->n)
		err = collect(&slices, port, true, list);
	if (!err && !slices.n)
		err = add_hints(gw, service, port, list);
	if (!err && !slices.n && !list->n && *service->cluster_ip &&
	    strcmp(service->cluster_ip, "None") != 0)
		err = add_endpoint(list, service->cluster_ip, port->port);
	free(slices.items);
	return err;
}

void gw_endpoints_fini(struct gw_endpoints *list)
{
	free(list->items);
	index_fini(&list->by_address);
	*list = (struct gw_endpoints){};
}
