// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One route out of YAML, and what it may not share with the routes before it. Of a bad route stays
 * the refusal of its names: a mistake in one route must not hand them to another.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/config_parts.h"

static void read_name(struct reader *r, const struct reader_path *path,
		      const struct yaml_node *node, void *target)
{
	struct config_route *route = target;
	_cleanup_free_ char *why = NULL;
	char name[TW_NAME_SIZE];
	const char *text = reader_text(r, path, node, "a name");

	if (!text)
		return;
	if (config_check_name("the name of a route", TW_NAME_MAX, text, name, &why))
		reader_error(r, path, node, "%s", why ? why : "out of memory");
	else if (!(route->name = strdup(name)))
		reader_out_of_memory(r);
}

static void read_hostnames(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	struct config_route *route = target;

	reader_texts(r, path, node, "a hostname", config_parse_hostname, &route->hostnames,
		     &route->n_hostnames);
}

static int check_listener(const char *text, char dst[TW_NAME_SIZE], char **ret_why)
{
	return config_check_name("the name of a listener", TW_LABEL_SIZE - 1, text, dst, ret_why);
}

static void read_known_listener(struct reader *r, const struct reader_path *path,
				const struct yaml_node *node, void *target)
{
	const struct seen *names = r->loader->listener_names;
	const char *nearest;

	(void)target;
	if (node->type != YAML_SCALAR || seen_find(names, node->text, node->n))
		return;
	nearest = seen_nearest(names, node->text);
	if (nearest)
		reader_error(r, path, node, "no listener is named %s; did you mean %s?", node->text,
			     nearest);
	else
		reader_error(r, path, node, "no listener is named %s", node->text);
}

static void read_listeners(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	struct config_route *route = target;
	size_t n_errors = r->problems->n_errors;

	reader_texts(r, path, node, "the name of a listener", check_listener, &route->listeners,
		     &route->n_listeners);
	if (r->problems->n_errors == n_errors)
		reader_each(r, path, node, read_known_listener, NULL);
	/* Where a name is wrong nobody knows which listeners were meant: it is not on all, then. */
	while (r->problems->n_errors > n_errors && route->n_listeners)
		free(route->listeners[--route->n_listeners]);
}

static int check_alpn(const char *text, char dst[TW_NAME_SIZE], char **ret_why)
{
	return config_check_name("an ALPN protocol", TW_ALPN_SIZE - 1, text, dst, ret_why);
}

static void read_alpn(struct reader *r, const struct reader_path *path,
		      const struct yaml_node *node, void *target)
{
	struct config_route *route = target;

	reader_texts(r, path, node, "an ALPN protocol (like h2)", check_alpn, &route->alpn,
		     &route->n_alpn);
}

static void read_backends(struct reader *r, const struct reader_path *path,
			  const struct yaml_node *node, void *target)
{
	struct config_route *route = target;

	config_read_backends(r, path, node, &route->backends, &route->n_backends);
}

static void read_balance(struct reader *r, const struct reader_path *path,
			 const struct yaml_node *node, void *target)
{
	static const char *const words[] = {[TW_BALANCE_WEIGHTED] = "weighted",
					    [TW_BALANCE_LEAST_CONN] = "least_conn",
					    [TW_BALANCE_SOURCE] = "source"};
	int word = reader_word(r, path, node, words, ARRAY_SIZE(words));

	if (word >= 0)
		*(enum tw_balance *)target = (enum tw_balance)word;
}

static void read_tries(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, void *target)
{
	(void)reader_number(r, path, node, "a number of tries", 1, TW_TRIES_MAX, target);
}

static void read_refuse(struct reader *r, const struct reader_path *path,
			const struct yaml_node *node, void *target)
{
	(void)reader_bool(r, path, node, target);
}

static void read_hello_timeout(struct reader *r, const struct reader_path *path,
			       const struct yaml_node *node, void *target)
{
	(void)target;
	reader_warning(r, path, node,
		       "ignored: no route is known before the hello; set it on the listener");
}

static const struct reader_field timeout_fields[] = {
	{"hello", read_hello_timeout, offsetof(struct tw_timeouts, hello_ms)},
	{"connect", reader_timeout, offsetof(struct tw_timeouts, connect_ms)},
	{"idle", reader_timeout, offsetof(struct tw_timeouts, idle_ms)},
	{"half_closed", reader_timeout, offsetof(struct tw_timeouts, half_closed_ms)},
};

static void read_timeouts(struct reader *r, const struct reader_path *path,
			  const struct yaml_node *node, void *target)
{
	reader_mapping(r, path, node, timeout_fields, ARRAY_SIZE(timeout_fields), target, NULL);
}

static const struct reader_field route_fields[] = {
	{"name", read_name, 0},
	{"hostnames", read_hostnames, 0},
	{"listeners", read_listeners, 0},
	{"alpn", read_alpn, 0},
	{"backends", read_backends, 0},
	{"balance", read_balance, offsetof(struct config_route, balance)},
	{"tries", read_tries, offsetof(struct config_route, tries)},
	{"refuse", read_refuse, offsetof(struct config_route, refuse)},
	{"timeouts", read_timeouts, offsetof(struct config_route, timeouts)},
	{"local", config_read_local, offsetof(struct config_route, local)},
};

/* --- what routes may not share, and may not have too much of --------------------------------- */

/* Keys of a route in the table: each hostname on each listener for each ALPN protocol. */
struct route_key {
	char text[TW_NAME_SIZE + TW_LABEL_SIZE + TW_ALPN_SIZE];
	size_t len;
	const char *hostname, *listener, *alpn; /* "" = all, any */
};

static size_t n_route_keys(const struct config_route *route)
{
	size_t n;

	/* Given, and all of them bad: that is not "all" or "any". */
	if ((route->listeners && !route->n_listeners) || (route->alpn && !route->n_alpn))
		return 0;
	if (__builtin_mul_overflow(route->n_hostnames, route->n_listeners ? route->n_listeners : 1,
				   &n) ||
	    __builtin_mul_overflow(n, route->n_alpn ? route->n_alpn : 1, &n))
		return SIZE_MAX;
	return n;
}

static void route_key(const struct config_route *route, size_t i, struct route_key *key)
{
	size_t n_alpn = route->n_alpn ? route->n_alpn : 1;
	size_t n_listeners = route->n_listeners ? route->n_listeners : 1;

	key->alpn = route->n_alpn ? route->alpn[i % n_alpn] : "";
	key->listener = route->n_listeners ? route->listeners[i / n_alpn % n_listeners] : "";
	key->hostname = route->hostnames[i / n_alpn / n_listeners];
	key->len = (size_t)snprintf(key->text, sizeof(key->text), "%s\n%s\n%s", key->hostname,
				    key->listener, key->alpn);
}

/* Each hostname is reported once, for the first listener and protocol on which it is taken. */
static void check_keys(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, const struct config_route *route, size_t n)
{
	const struct yaml_node *hostnames = yaml_get(node, "hostnames");
	const char *reported = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct config_pos *first;
		struct route_key key;

		route_key(route, i, &key);
		first = seen_find(r->loader->route_keys, key.text, key.len);
		if (!first || key.hostname == reported)
			continue;
		reported = key.hostname;
		reader_error(r, path, hostnames ? hostnames : node,
			     "%s%s%s%s%s is already routed at %s:%u", key.hostname,
			     *key.listener ? " on listener " : "", key.listener,
			     *key.alpn ? " for ALPN " : "", key.alpn, first->file, first->line);
	}
}

static void check_name(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, const struct config_route *route)
{
	const struct config_pos *first =
		seen_find(r->loader->route_names, route->name, strlen(route->name));

	if (first && yaml_get(node, "name"))
		reader_error(r, path, yaml_get(node, "name"),
			     "the name %s is that of the route at %s:%u, too; give this one "
			     "another name",
			     route->name, first->file, first->line);
	else if (first)
		reader_error(r, path, node,
			     "the route at %s:%u is named %s, as this one would be after its first "
			     "hostname; give this one a name",
			     first->file, first->line, route->name);
}

static void check_backends(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, const struct config_route *route,
			   bool is_good)
{
	uint64_t weights = 0;

	/* Where something is wrong already, that may be why. */
	if (is_good && !route->backends && !route->refuse)
		reader_error(r, path, node, "a route needs backends, or refuse: true");
	if (route->backends && route->refuse)
		reader_error(r, path, node, "a route with refuse: true has no backends");
	for (size_t i = 0; i < route->n_backends; i++)
		weights += route->backends[i].weight;
	if (route->n_backends && !weights)
		reader_warning(r, path, node, "all weights are 0: every connection is refused");
}

/* The table's sizes; what the routes before have taken is in the loader. */
static void check_limits(struct reader *r, const struct reader_path *path,
			 const struct yaml_node *node, const struct config_route *route)
{
	const struct loader *loader = r->loader;

	if (route->n_backends > TW_SLOTS_MAX - loader->n_slots)
		reader_error(r, path, node, "the routes have more than %d backends in all",
			     TW_SLOTS_MAX);
	if (loader->config->n_routes == TW_ROUTES_MAX - 1)
		reader_error(r, path, node, "at most %d routes are possible", TW_ROUTES_MAX - 1);
}

/* Add @text unless it is there; false if it would be one more than @max different ones. */
static bool claim(struct reader *r, struct seen **seen, const char *text, size_t max,
		  const struct config_pos *pos)
{
	if (seen_find(*seen, text, strlen(text)))
		return true;
	if (seen_count(*seen) == max)
		return false;
	if (seen_add(seen, text, strlen(text), pos))
		reader_out_of_memory(r);
	return true;
}

static void check_different(struct reader *r, const struct reader_path *path,
			    const struct yaml_node *node, const struct config_route *route)
{
	struct loader *loader = r->loader;
	bool fits = true;

	for (size_t i = 0; i < route->n_backends && fits; i++)
		fits = claim(r, &loader->backends, route->backends[i].backend.text,
			     TW_BACKENDS_MAX - 1, &route->backends[i].pos);
	if (!fits)
		reader_error(r, path, node, "the routes have more than %d different backends",
			     TW_BACKENDS_MAX - 1);
	fits = true;
	for (size_t i = 0; i < route->n_alpn && fits; i++)
		fits = claim(r, &loader->alpns, route->alpn[i], TW_ALPNS_MAX - 1, &route->pos);
	if (!fits)
		reader_error(r, path, node, "the routes have more than %d ALPN protocols",
			     TW_ALPNS_MAX - 1);
}

/* A bad route gets no hostname: the one that was meant may stand under a misspelt key. */
static void set_defaults(struct reader *r, struct config_route *route, bool is_good)
{
	if (!route->hostnames && is_good) {
		route->hostnames = reader_alloc(r, 1, sizeof(*route->hostnames));
		if (route->hostnames && (route->hostnames[0] = strdup("*")))
			route->n_hostnames = 1;
		else
			reader_out_of_memory(r);
	}
	if (!route->name && route->n_hostnames && !(route->name = strdup(route->hostnames[0])))
		reader_out_of_memory(r);
}

/* So that nothing stays of the route. */
static void drop_hostnames(struct config_route *route)
{
	while (route->n_hostnames)
		free(route->hostnames[--route->n_hostnames]);
}

static void check_route(struct reader *r, const struct reader_path *path,
			const struct yaml_node *node, struct config_route *route, bool is_good)
{
	size_t n_errors = r->problems->n_errors;
	size_t n_keys;

	set_defaults(r, route, is_good);
	if (r->err)
		return;
	check_backends(r, path, node, route, is_good);
	check_limits(r, path, node, route);
	n_keys = n_route_keys(route);
	if (n_keys > TW_NAMES_MAX - r->loader->n_names) {
		reader_error(r, path, node,
			     "the routes have more than %d names (hostnames, times listeners and "
			     "ALPN protocols)",
			     TW_NAMES_MAX);
		drop_hostnames(route);
		return;
	}
	/* Those of bad routes count: it is what bounds the work, too. */
	r->loader->n_names += n_keys;
	check_keys(r, path, node, route, n_keys);
	if (r->problems->n_errors == n_errors && route->name)
		check_name(r, path, node, route);
	if (r->problems->n_errors == n_errors && is_good)
		check_different(r, path, node, route);
}

/* --- what stays of a bad route --------------------------------------------------------------- */

/* Leave out the hostnames that a route before has, on one of these listeners and protocols. */
static void drop_taken(struct reader *r, struct config_route *route, size_t n_keys)
{
	size_t per_hostname = route->n_hostnames ? n_keys / route->n_hostnames : 0, kept = 0;

	for (size_t i = 0; i < route->n_hostnames; i++) {
		bool is_taken = !per_hostname;

		for (size_t j = 0; j < per_hostname && !is_taken; j++) {
			struct route_key key;

			route_key(route, i * per_hostname + j, &key);
			is_taken = seen_find(r->loader->route_keys, key.text, key.len);
		}
		if (is_taken)
			free(route->hostnames[i]);
		else
			route->hostnames[kept++] = route->hostnames[i];
	}
	route->n_hostnames = kept;
}

static bool is_name_taken(const struct reader *r, const char *name)
{
	return seen_find(r->loader->route_names, name, strlen(name));
}

/* Make of a bad route what refuses its names; false if nothing can be made of it. */
static bool keep_refusal(struct reader *r, struct config_route *route)
{
	if (r->loader->config->n_routes == TW_ROUTES_MAX - 1)
		return false;
	drop_taken(r, route, n_route_keys(route));
	if (!route->n_hostnames)
		return false;
	if (!route->name || is_name_taken(r, route->name)) {
		free(route->name);
		route->name = strdup(route->hostnames[0]);
		if (!route->name)
			reader_out_of_memory(r);
		else if (is_name_taken(r, route->name))
			return false;
	}
	config_route_spoil(route);
	return !r->err;
}

/* Routes that follow may not have what this one has. */
static void enter(struct reader *r, const struct config_route *route)
{
	struct loader *loader = r->loader;
	size_t n_keys = n_route_keys(route);
	int err = seen_add(&loader->route_names, route->name, strlen(route->name), &route->pos);

	for (size_t i = 0; i < n_keys && !err; i++) {
		struct route_key key;

		route_key(route, i, &key);
		err = seen_add(&loader->route_keys, key.text, key.len, &route->pos);
	}
	if (err)
		reader_out_of_memory(r);
	loader->n_slots += route->n_backends;
}

/* --- one route ------------------------------------------------------------------------------- */

void config_read_route(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, void *config)
{
	struct config_route route = {.owner = TW_OWNER_FILE, .pos = reader_pos(r, node)};
	size_t n_errors = r->problems->n_errors;
	struct config_route *grown = NULL;
	struct config *c = config;

	reader_mapping(r, path, node, route_fields, ARRAY_SIZE(route_fields), &route, NULL);
	if (node->type == YAML_MAPPING && !r->err)
		check_route(r, path, node, &route, r->problems->n_errors == n_errors);
	r->loader->n_route_errors += r->problems->n_errors - n_errors;
	if (!r->err && (r->problems->n_errors == n_errors || keep_refusal(r, &route)))
		grown = config_grow(r, c->routes, c->n_routes, sizeof(route));
	if (!grown) {
		config_route_fini(&route);
		return;
	}
	enter(r, &route);
	c->routes = grown;
	c->routes[c->n_routes++] = route;
}

void config_route_spoil(struct config_route *route)
{
	free(route->backends);
	route->backends = NULL;
	route->n_backends = 0;
	route->refuse = true;
	route->is_bad = true;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

void config_route_fini(struct config_route *route)
{
	free_texts(route->hostnames, route->n_hostnames);
	free_texts(route->listeners, route->n_listeners);
	free_texts(route->alpn, route->n_alpn);
	free(route->backends);
	free(route->name);
	*route = (struct config_route){};
}
