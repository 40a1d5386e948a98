// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The backendRefs of a route: what each leads to, or why to nothing, and how they share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/index.h"
#include "model/gateway_resolving.h"
#include "model/shares.h"

/* --- references ------------------------------------------------------------------------------ */

static bool is_granted(const struct gateway *gw, const char *from_ns, const char *to_ns,
		       const struct gw_backend *b)
{
	uint32_t at = INDEX_START;
	const struct gw_object *g;

	while ((g = gw_next_grant(gw, to_ns, &at))) {
		bool has_from = false, has_to = false;

		for (size_t k = 0; k < g->n_sources; k++)
			has_from |= !strcmp(g->sources[k].group, GATEWAY_GROUP) &&
				    !strcmp(g->sources[k].kind, "TLSRoute") &&
				    !strcmp(g->sources[k].ns, from_ns);
		for (size_t k = 0; k < g->n_targets; k++)
			has_to |= !strcmp(g->targets[k].group, b->group) &&
				  !strcmp(g->targets[k].kind, b->kind) &&
				  (!g->targets[k].name || !*g->targets[k].name ||
				   !strcmp(g->targets[k].name, b->name));
		if (has_from && has_to)
			return true;
	}
	return false;
}

static const struct gw_port *service_port(const struct gw_object *service, uint32_t port)
{
	for (size_t i = 0; i < service->n_ports; i++)
		if (service->ports[i].is_tcp && service->ports[i].port == port)
			return &service->ports[i];
	return NULL;
}

/* One backendRef, resolved: its endpoints, or why there are none. */
struct share {
	struct gw_endpoints endpoints;
	uint32_t weight;
	const char *reason; /* NULL = the reference resolves */
	char message[600];
};

static int resolve_backend(const struct gateway *gw, const struct gw_object *route,
			   const struct gw_backend *b, struct share *share)
{
	const char *ns = b->ns ? b->ns : route->ns;
	const struct gw_object *service;
	const struct gw_port *port;

	share->weight = b->weight;
	/* First: without a grant nobody learns whether the target exists. */
	if (strcmp(ns, route->ns) != 0 && !is_granted(gw, route->ns, ns, b)) {
		share->reason = "RefNotPermitted";
		snprintf(share->message, sizeof(share->message),
			 "no ReferenceGrant in namespace %s permits %s %s", ns, b->kind, b->name);
		return 0;
	}
	if (*b->group || strcmp(b->kind, "Service") != 0) {
		share->reason = "InvalidKind";
		snprintf(share->message, sizeof(share->message), "%s%s%s cannot be a backend",
			 b->group, *b->group ? "/" : "", b->kind);
		return 0;
	}
	service = gw_find(gw, GW_SERVICE, ns, b->name);
	port = service ? service_port(service, b->port) : NULL;
	if (service && !strcmp(service->service_type, "ExternalName")) {
		share->reason = "UnsupportedValue";
		snprintf(share->message, sizeof(share->message),
			 "Service %s/%s is of type ExternalName, which is not supported "
			 "(CVE-2021-25740)",
			 ns, b->name);
		return 0;
	}
	if (!port) {
		share->reason = "BackendNotFound";
		snprintf(share->message, sizeof(share->message),
			 service ? "Service %s/%s has no TCP port %u" : "no Service %s/%s", ns,
			 b->name, b->port);
		return 0;
	}
	return gw_endpoints_of(gw, service, port, &share->endpoints);
}

/* --- shares ---------------------------------------------------------------------------------- */

static size_t n_kept(const struct share *share, size_t most)
{
	size_t n = share->endpoints.n ? share->endpoints.n : 1; /* the one that refuses */

	return n < most ? n : most;
}

/*
 * How many endpoints a share may have, so that all of them together have room in a route: small
 * ones keep theirs, and none is without. (Of large ones the first are used, so that a change at the
 * end moves nobody.)
 */
static size_t room_for_each(const struct share *shares, size_t n)
{
	size_t most = TW_ROUTE_BACKENDS_MAX + 1, sum;

	do {
		most--;
		sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += n_kept(&shares[i], most);
	} while (sum > TW_ROUTE_BACKENDS_MAX);
	return most;
}

static void add_share(const struct share *share, uint32_t ref, uint64_t factor, size_t n,
		      struct config_route *made)
{
	uint64_t weight = share->weight * factor / n;

	/* Too small to be divided: fewer endpoints have it, so that it stays what it is. */
	if (share->weight && !weight) {
		n = share->weight * factor;
		weight = 1;
	}
	for (size_t i = 0; i < n; i++) {
		struct config_backend *b = &made->backends[made->n_backends++];

		b->ref = ref;
		b->weight = (uint32_t)weight;
		b->is_invalid = !share->endpoints.n;
		if (share->endpoints.n)
			b->backend = share->endpoints.items[i];
	}
}

/*
 * A share is divided evenly among its endpoints; one without any keeps it, and refuses. All weights
 * are multiplied by the least number that makes them whole, if they then still fit.
 */
static int add_shares(const struct share *shares, size_t n, struct config_route *made)
{
	size_t most_endpoints = room_for_each(shares, n), n_backends = 0;
	uint64_t factor = 1, most = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = n_kept(&shares[i], most_endpoints);

		if (factor <= TW_WEIGHT_MAX)
			factor = factor / shares_gcd(factor, k) * k;
		n_backends += k;
		most = shares[i].weight > most ? shares[i].weight : most;
	}
	if (most * factor > TW_WEIGHT_MAX)
		factor = most ? TW_WEIGHT_MAX / most : 1;
	made->backends = calloc(n_backends ? n_backends : 1, sizeof(*made->backends));
	if (!made->backends)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		add_share(&shares[i], (uint32_t)i, factor, n_kept(&shares[i], most_endpoints),
			  made);
	return 0;
}

static bool is_any_cut(const struct share *shares, size_t n)
{
	size_t most = n ? room_for_each(shares, n) : 0;

	for (size_t i = 0; i < n; i++)
		if (shares[i].endpoints.is_cut || shares[i].endpoints.n > most)
			return true;
	return false;
}

/* @reason NULL = there is none. */
static int note_fault(struct gw_backend *b, const char *reason, const char *message)
{
	free(b->fault);
	b->fault = NULL;
	if (reason && asprintf(&b->fault, "%s: %s", reason, message) < 0) {
		b->fault = NULL;
		return -ENOMEM;
	}
	return 0;
}

static void settle_references(struct gw_object *route, const struct share *shares)
{
	const struct share *bad = NULL;
	bool is_cut = is_any_cut(shares, route->n_backends);

	for (size_t i = route->n_backends; i-- > 0;)
		if (shares[i].reason)
			bad = &shares[i];
	for (size_t i = 0; i < route->n_parents; i++)
		if (bad && route->parents[i].is_ours)
			gw_set(&route->parents[i].conditions, "ResolvedRefs", false, bad->reason,
			       "%s", bad->message);
		else if (route->parents[i].is_ours)
			gw_set(&route->parents[i].conditions, "ResolvedRefs", true, "ResolvedRefs",
			       is_cut ? "all references are resolved; of their endpoints the "
					"first are used: a route has room for %d"
				      : "all references are resolved",
			       TW_ROUTE_BACKENDS_MAX);
}

int gw_resolve_backends(const struct gateway *gw, struct gw_object *route,
			struct config_route *made)
{
	size_t n = route->n_backends ? route->n_backends : 1;
	struct share *shares = calloc(n, sizeof(*shares));
	int err = 0;

	if (!shares)
		return -ENOMEM;
	for (size_t i = 0; i < route->n_backends && !err; i++) {
		err = resolve_backend(gw, route, &route->backends[i], &shares[i]);
		if (!err)
			err = note_fault(&route->backends[i], shares[i].reason, shares[i].message);
	}
	if (!route->n_backends)
		shares[0].weight = 1; /* forwards nothing: every connection is refused */
	if (!err)
		err = add_shares(shares, n, made);
	settle_references(route, shares);
	for (size_t i = 0; i < n; i++)
		gw_endpoints_fini(&shares[i].endpoints);
	free(shares);
	return err;
}

static void refuse(struct gw_object *route, const char *why)
{
	static const char reason[] = "UnsupportedValue";

	for (size_t i = 0; i < route->n_backends; i++)
		(void)note_fault(&route->backends[i], reason, why);
	for (size_t i = 0; i < route->n_parents; i++)
		if (route->parents[i].is_ours)
			gw_set(&route->parents[i].conditions, "ResolvedRefs", false, reason, "%s",
			       why);
}

void gateway_refuse(struct gateway *gw, size_t i, const char *why, size_t *cursor)
{
	/* Their numbers rise with their age; those that are not served have 0. */
	while (*cursor < gw->n_by_age && gw->by_age[*cursor]->config_number < i + 1)
		++*cursor;
	if (*cursor < gw->n_by_age && gw->by_age[*cursor]->config_number == i + 1)
		refuse(gw->by_age[*cursor], why);
}
