// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which listeners of Gateways are in each other's way, or in that of the configuration's own. */
#include <arpa/inet.h>
#include <string.h>

#include "model/gateway_resolving.h"

/* --- addresses ------------------------------------------------------------------------------- */

/* One without a value stands for all; of a Gateway without any, number 0 does. */
void gw_address_of(const struct gw_object *o, size_t number, uint8_t ret_ip[16])
{
	memset(ret_ip, 0, 16);
	if (o->n_addresses && *o->addresses[number].value)
		(void)addr_parse_ip(o->addresses[number].value, ret_ip); /* has_bad_address() */
}

size_t gw_n_addresses_of(const struct gw_object *o)
{
	return o->n_addresses ? o->n_addresses : 1;
}

/* Is what dials @ip within @place? :: is all addresses, 0.0.0.0 all of IPv4. */
bool gw_is_within(const uint8_t ip[16], const uint8_t place[16])
{
	if (addr_is_any(place))
		return !addr_is_ipv4(place) || addr_is_ipv4(ip);
	return !memcmp(ip, place, 16);
}

static bool share_address(const struct gw_object *a, const struct gw_object *b)
{
	uint8_t one[16], other[16];

	for (size_t i = 0; i < gw_n_addresses_of(a); i++)
		for (size_t k = 0; k < gw_n_addresses_of(b); k++) {
			gw_address_of(a, i, one);
			gw_address_of(b, k, other);
			if (gw_is_within(one, other) || gw_is_within(other, one))
				return true;
		}
	return false;
}

/* Another address of the Gateway has it, too. */
bool gw_is_address_spare(const struct gw_object *o, size_t number)
{
	uint8_t ip[16], other[16];

	gw_address_of(o, number, ip);
	for (size_t i = 0; i < gw_n_addresses_of(o); i++) {
		gw_address_of(o, i, other);
		if (i != number && gw_is_within(ip, other) &&
		    (i < number || !gw_is_within(other, ip)))
			return true;
	}
	return false;
}

/* --- conflicts ------------------------------------------------------------------------------- */

/* HTTP, TCP and UDP; TLS and HTTPS are told apart by name and share a port. */
static bool is_tls_family(const struct gw_listener *l)
{
	return l->protocol == GW_TLS || l->protocol == GW_HTTPS;
}

/* Of two on one port. NULL = they can stand beside each other. */
static const char *conflict_of(const struct gw_listener *a, const struct gw_listener *b)
{
	bool has_same_name = a->hostname && b->hostname ? !strcmp(a->hostname, b->hostname)
							: a->hostname == b->hostname;

	if (a->protocol == GW_UDP || b->protocol == GW_UDP)
		return a->protocol == b->protocol ? "ProtocolConflict" : NULL;
	if (is_tls_family(a) != is_tls_family(b) && a->protocol != GW_OTHER &&
	    b->protocol != GW_OTHER)
		return "ProtocolConflict";
	if (!has_same_name || (!is_tls_family(a) && a->protocol != b->protocol))
		return NULL;
	return is_tls_family(a) || a->protocol == GW_HTTP ? "HostnameConflict" : NULL;
}

/* Nobody serves it, so that it takes nothing from others. */
static bool is_void(const struct gw_resolving *r, const struct gw_object *gateway,
		    const struct gw_listener *l)
{
	return !gateway->is_programmed || (gw_is_terminated(l) && !r->config->n_terminate);
}

static bool is_taken(const struct config_listener *native, const uint8_t ip[16],
		     const struct gw_listener *l)
{
	return !memcmp(native->addr, ip, 16) && ntohs(native->port) == l->port &&
	       (native->hostname && l->hostname ? !strcmp(native->hostname, l->hostname)
						: native->hostname == l->hostname);
}

/* The configuration's own listener that has this place; NULL = none. */
const struct config_listener *gw_native_at(const struct gw_resolving *r, const uint8_t ip[16],
					   const struct gw_listener *l)
{
	for (size_t i = 0; i < r->n_native; i++)
		if (is_taken(&r->config->listeners[i], ip, l))
			return &r->config->listeners[i];
	return NULL;
}

/* The configuration's own listeners stay as they are: no winner is picked among Gateways. */
static void find_rival(const struct gw_resolving *r, const struct gw_object *o,
		       struct gw_listener *l)
{
	const struct config_listener *rival = NULL;
	uint8_t ip[16];

	for (size_t i = 0; i < gw_n_addresses_of(o) && !rival && is_tls_family(l); i++) {
		gw_address_of(o, i, ip);
		rival = is_void(r, o, l) ? NULL : gw_native_at(r, ip, l);
	}
	if (!rival)
		return;
	l->conflict = "HostnameConflict";
	l->rival = rival->name;
}

/* Listeners of @o that those of @other, which shares an address with it, are in the way of. */
static void compare_gateways(const struct gw_resolving *r, struct gw_object *o,
			     const struct gw_object *other)
{
	for (size_t i = 0; i < o->n_listeners; i++) {
		struct gw_listener *l = &o->listeners[i];

		for (size_t k = 0; k < other->n_listeners && !l->conflict; k++) {
			const struct gw_listener *rival = &other->listeners[k];

			if (rival != l && rival->port == l->port && !is_void(r, o, l) &&
			    !is_void(r, other, rival))
				l->conflict = conflict_of(l, rival);
		}
	}
}

void gw_find_conflicts(const struct gw_resolving *r, struct gw_object *o)
{
	const struct gateway *gw = r->gw;

	for (size_t i = 0; i < gw->n; i++) {
		const struct gw_object *other = gw->objects[i];

		if (other->kind == GW_GATEWAY && other->is_ours && share_address(o, other))
			compare_gateways(r, o, other);
	}
	for (size_t i = 0; i < o->n_listeners; i++)
		if (!o->listeners[i].conflict)
			find_rival(r, o, &o->listeners[i]);
}
