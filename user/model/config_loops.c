// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Backends that are listeners of this router: a connection to one would come back for ever. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "model/config_parts.h"
#include "model/gateway.h"

static bool is_loopback(const uint8_t ip[16])
{
	static const uint8_t v6[16] = {[15] = 1};

	return addr_is_ipv4(ip) ? ip[12] == 127 : !memcmp(ip, v6, sizeof(v6));
}

static bool is_of_host(const struct config_host *host, const uint8_t ip[16])
{
	bool found = is_loopback(ip);

	for (size_t i = 0; i < host->n && !found; i++)
		found = !memcmp(host->addrs[i], ip, 16);
	return found || (host->has && host->has(ip));
}

/* Is that to be asked of the host? Else *@ret_takes. 0.0.0.0 is all of IPv4, :: all of both. */
static bool depends_on_host(const struct config_listener *listener,
			    const struct tw_backend *backend, bool *ret_takes)
{
	*ret_takes = false;
	if (listener->port != backend->port)
		return false;
	if (addr_is_any(listener->addr))
		return !addr_is_ipv4(listener->addr) || addr_is_ipv4(backend->addr);
	*ret_takes = !memcmp(listener->addr, backend->addr, sizeof(backend->addr));
	return false;
}

/* The listener that @backend leads to; NULL = none. @ports has a bit for each listener's port. */
static const struct config_listener *find_loop(const struct config *config,
					       const struct config_backend *backend,
					       const struct config_host *host, const uint8_t *ports)
{
	unsigned int port = ntohs(backend->backend.port);
	bool is_asked = false, takes;

	if (backend->backend.family == TW_FAMILY_UNIX || !(ports[port / 8] & 1 << port % 8))
		return NULL;
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_listener *l = &config->listeners[i];

		/* Once: a system call. */
		if (depends_on_host(l, &backend->backend, &takes) && !is_asked) {
			takes = is_of_host(host, backend->backend.addr);
			is_asked = true;
		}
		if (takes)
			return l;
	}
	return NULL;
}

/* Whose backends they are. */
struct owner {
	const char *object, *name;
	const struct config_pos *pos; /* of those that have none: they are of an EndpointSlice */
};

/* *@ret_why (may be NULL), to be freed: what is said of the first of them. */
static bool check_backends(const struct config *config, const struct owner *owner,
			   const struct config_backend *backends, size_t n,
			   const struct config_host *host, const uint8_t *ports,
			   struct config_problems *problems, char **ret_why)
{
	bool is_good = true;

	for (size_t i = 0; i < n; i++) {
		const struct config_pos *pos = backends[i].pos.file ? &backends[i].pos : owner->pos;
		const struct config_listener *listener =
			find_loop(config, &backends[i], host, ports);
		_cleanup_free_ char *why = NULL;

		if (!listener)
			continue;
		if (asprintf(&why, "the backend %s is the listener %s of this router: a loop",
			     backends[i].backend.text, listener->name) < 0)
			why = NULL;
		config_problem_add(problems, pos, false, "%s %s: %s; expected a server",
				   owner->object, owner->name, why ? why : "a loop");
		if (is_good && ret_why)
			*ret_why = TAKE_PTR(why);
		is_good = false;
	}
	return is_good;
}

/* What has been reported is not to be found again. */
static bool check_and_drop(const struct config *config, const struct owner *owner,
			   struct config_backend **backends, size_t *n,
			   const struct config_host *host, const uint8_t *ports,
			   struct config_problems *problems)
{
	if (check_backends(config, owner, *backends, *n, host, ports, problems, NULL))
		return true;
	free(*backends);
	*backends = NULL;
	*n = 0;
	return false;
}

static bool check_listener(const struct config *config, struct config_listener *l,
			   const struct config_host *host, const uint8_t *ports,
			   struct config_problems *problems)
{
	const struct owner owner = {"listener", l->name, &l->pos};
	bool is_good =
		check_and_drop(config, &owner, &l->no_sni, &l->n_no_sni, host, ports, problems);

	is_good &= check_and_drop(config, &owner, &l->unknown_name, &l->n_unknown_name, host, ports,
				  problems);
	is_good &=
		check_and_drop(config, &owner, &l->not_tls, &l->n_not_tls, host, ports, problems);
	return is_good;
}

/* Who serves what is terminated; the routes to it have no backends of their own. */
static bool check_terminator(struct config *config, const struct config_host *host,
			     const uint8_t *ports, struct config_problems *problems)
{
	const struct owner owner = {"setting", "terminate", NULL};

	return check_and_drop(config, &owner, &config->terminate, &config->n_terminate, host, ports,
			      problems);
}

static bool check_route(const struct config *config, const struct config_route *route,
			const struct config_host *host, const uint8_t *ports,
			struct config_problems *problems, char **ret_why)
{
	const struct owner owner = {"route", route->name, &route->pos};

	return check_backends(config, &owner, route->backends, route->n_backends, host, ports,
			      problems, ret_why);
}

static void note_ports(const struct config *config, uint8_t ports[65536 / 8])
{
	for (size_t i = 0; i < config->n_listeners; i++) {
		unsigned int port = ntohs(config->listeners[i].port);

		ports[port / 8] |= (uint8_t)(1 << port % 8);
	}
}

bool config_route_loops(const struct config *config, const struct config_route *route,
			const struct config_host *host, struct config_problems *problems)
{
	uint8_t ports[65536 / 8] = {};

	note_ports(config, ports);
	return !check_route(config, route, host, ports, problems, NULL);
}

int config_check_loops(struct config *config, const struct config_host *host,
		       struct config_problems *problems)
{
	uint8_t ports[65536 / 8] = {};
	bool is_good = true;
	size_t cursor = 0;

	note_ports(config, ports);
	for (size_t i = 0; i < config->n_listeners; i++)
		is_good &= check_listener(config, &config->listeners[i], host, ports, problems);
	is_good &= check_terminator(config, host, ports, problems);
	config->has_fatal |= !is_good;
	for (size_t i = 0; i < config->n_routes; i++) {
		struct config_route *route = &config->routes[i];
		_cleanup_free_ char *why = NULL;

		if (gateway_leads_to_terminator(config->gateway, i) ||
		    check_route(config, route, host, ports, problems, &why))
			continue;
		config_route_spoil(route);
		if (route->yields_names)
			gateway_refuse(config->gateway, i, why ? why : "a loop", &cursor);
		else
			config->has_bad_route = true;
		is_good = false;
	}
	config->has_problems |= !is_good;
	return is_good ? 0 : -EINVAL;
}
