// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One listener out of YAML, and what it may not share with the listeners before it. */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "model/config_parts.h"

#define PORT_DEFAULT 443

static void read_name(struct reader *r, const struct reader_path *path,
		      const struct yaml_node *node, void *target)
{
	struct config_listener *listener = target;
	_cleanup_free_ char *why = NULL;
	char name[TW_NAME_SIZE];
	const char *text = reader_text(r, path, node, "a name");

	if (!text)
		return;
	if (config_check_name("the name of a listener", TW_LABEL_SIZE - 1, text, name, &why))
		reader_error(r, path, node, "%s", why ? why : "out of memory");
	else if (!(listener->name = strdup(name)))
		reader_out_of_memory(r);
}

static void read_port(struct reader *r, const struct reader_path *path,
		      const struct yaml_node *node, void *target)
{
	uint32_t port;

	if (reader_number(r, path, node, "a port", 1, 65535, &port))
		*(__be16 *)target = htons((uint16_t)port);
}

static void read_address(struct reader *r, const struct reader_path *path,
			 const struct yaml_node *node, void *target)
{
	const char *text = reader_text(r, path, node, "an IP address");
	char shown[READER_SHOW_SIZE];
	const char *why;
	uint8_t ip[16];

	if (!text)
		return;
	if (addr_parse_ip(text, ip))
		reader_error(
			r, path, node,
			"%s is not an IP address; expected one like 192.0.2.10 or 2001:db8::1, "
			"without port, brackets or prefix length",
			reader_show(shown, node));
	else if (!config_ip_is_usable(ip, &why))
		reader_error(r, path, node, "%s %s", reader_show(shown, node), why);
	else
		memcpy(target, ip, sizeof(ip));
}

static void read_hostname(struct reader *r, const struct reader_path *path,
			  const struct yaml_node *node, void *target)
{
	struct config_listener *listener = target;
	_cleanup_free_ char *why = NULL;
	char name[TW_NAME_SIZE];
	const char *text = reader_text(r, path, node, "a hostname");

	if (!text)
		return;
	if (config_parse_hostname(text, name, &why))
		reader_error(r, path, node, "%s", why ? why : "out of memory");
	else if (strcmp(name, "*") && !(listener->hostname = strdup(name)))
		reader_out_of_memory(r);
}

static int check_interface(const char *text, char dst[TW_NAME_SIZE], char **ret_why)
{
	size_t len = strlen(text);
	char shown[80];

	if (len >= IFNAMSIZ || strpbrk(text, "/: \t\n") || !strcmp(text, ".") ||
	    !strcmp(text, ".."))
		return config_why(ret_why,
				  "\"%s\" is not the name of a network interface (at most "
				  "%d bytes; like eth0)",
				  log_quote(shown, sizeof(shown), text, len), IFNAMSIZ - 1);
	return config_check_name("the name of a network interface", IFNAMSIZ - 1, text, dst,
				 ret_why);
}

static void read_interfaces(struct reader *r, const struct reader_path *path,
			    const struct yaml_node *node, void *target)
{
	struct config_listener *listener = target;

	reader_texts(r, path, node, "the name of a network interface", check_interface,
		     &listener->interfaces, &listener->n_interfaces);
}

static void read_on_refuse(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	static const char *const words[] = {[TW_ON_REFUSE_RESET] = "reset",
					    [TW_ON_REFUSE_ALERT] = "alert",
					    [TW_ON_REFUSE_DROP] = "drop"};
	int word = reader_word(r, path, node, words, ARRAY_SIZE(words));

	if (word >= 0)
		*(enum tw_on_refuse *)target = (enum tw_on_refuse)word;
}

void config_read_local(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, void *target)
{
	static const char *const words[] = {"off", "direct"};
	static const enum tw_local values[] = {TW_LOCAL_OFF, TW_LOCAL_DIRECT};
	int word = reader_word(r, path, node, words, ARRAY_SIZE(words));

	if (word >= 0)
		*(enum tw_local *)target = values[word];
}

static const struct reader_field timeout_fields[] = {
	{"hello", reader_timeout, offsetof(struct tw_timeouts, hello_ms)},
	{"connect", reader_timeout, offsetof(struct tw_timeouts, connect_ms)},
	{"idle", reader_timeout, offsetof(struct tw_timeouts, idle_ms)},
	{"half_closed", reader_timeout, offsetof(struct tw_timeouts, half_closed_ms)},
};

static void read_timeouts(struct reader *r, const struct reader_path *path,
			  const struct yaml_node *node, void *target)
{
	reader_mapping(r, path, node, timeout_fields, ARRAY_SIZE(timeout_fields), target, NULL);
}

static void read_no_sni(struct reader *r, const struct reader_path *path,
			const struct yaml_node *node, void *target)
{
	struct config_listener *listener = target;

	config_read_backends(r, path, node, &listener->no_sni, &listener->n_no_sni);
}

static void read_unknown_name(struct reader *r, const struct reader_path *path,
			      const struct yaml_node *node, void *target)
{
	struct config_listener *listener = target;

	config_read_backends(r, path, node, &listener->unknown_name, &listener->n_unknown_name);
}

static void read_not_tls(struct reader *r, const struct reader_path *path,
			 const struct yaml_node *node, void *target)
{
	struct config_listener *listener = target;

	config_read_backends(r, path, node, &listener->not_tls, &listener->n_not_tls);
}

static const struct reader_field listener_fields[] = {
	{"name", read_name, 0},
	{"port", read_port, offsetof(struct config_listener, port)},
	{"address", read_address, offsetof(struct config_listener, addr)},
	{"hostname", read_hostname, 0},
	{"interfaces", read_interfaces, 0},
	{"on_refuse", read_on_refuse, offsetof(struct config_listener, on_refuse)},
	{"timeouts", read_timeouts, offsetof(struct config_listener, timeouts)},
	{"paths", config_read_paths, offsetof(struct config_listener, paths)},
	{"local", config_read_local, offsetof(struct config_listener, local)},
	{"no_sni", read_no_sni, 0},
	{"unknown_name", read_unknown_name, 0},
	{"not_tls", read_not_tls, 0},
};

/* --- what listeners may not share ------------------------------------------------------------ */

/* Add @key to @seen unless it is there: then returns where it was met. */
static const struct config_pos *claim(struct reader *r, struct seen **seen, const void *key,
				      size_t len, const struct config_pos *pos)
{
	const struct config_pos *first = seen_find(*seen, key, len);

	if (!first && seen_add(seen, key, len, pos))
		reader_out_of_memory(r);
	return first;
}

static void check_name(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, const struct config_listener *listener)
{
	const struct config_pos *first = claim(r, &r->loader->listener_names, listener->name,
					       strlen(listener->name), &listener->pos);

	if (first)
		reader_error(r, path, node,
			     "the name %s is that of the listener at %s:%u, too; give this one "
			     "another name",
			     listener->name, first->file, first->line);
}

/* Two listeners on one address and port are told apart by their hostname. */
static void check_bind(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, const struct config_listener *listener)
{
	char key[sizeof(struct tw_bind_key) + TW_NAME_SIZE] = {}, shown[ADDR_TEXT_SIZE];
	struct tw_bind_key bind = {.port = listener->port};
	const char *hostname = listener->hostname ? listener->hostname : "*";
	struct loader *loader = r->loader;
	const struct config_pos *first;

	memcpy(bind.addr, listener->addr, sizeof(bind.addr));
	memcpy(key, &bind, sizeof(bind));
	strcpy(key + sizeof(bind), hostname);
	first = claim(r, &loader->listener_keys, key, sizeof(bind) + strlen(hostname),
		      &listener->pos);
	if (first)
		reader_error(r, path, node,
			     "the listener at %s:%u has this address and port (%s) and this "
			     "hostname (%s), too; change one of the three",
			     first->file, first->line,
			     addr_format(shown, listener->addr, listener->port), hostname);
	claim(r, &loader->binds, &bind, sizeof(bind), &listener->pos);
	if (seen_count(loader->binds) == TW_BINDS_MAX)
		reader_error(r, path, node, "the listeners have more than %d addresses and ports",
			     TW_BINDS_MAX - 1);
}

static void set_default_name(struct reader *r, struct config_listener *listener)
{
	if (asprintf(&listener->name, "%u", ntohs(listener->port)) < 0) {
		listener->name = NULL;
		reader_out_of_memory(r);
	}
}

void config_read_listener(struct reader *r, const struct reader_path *path,
			  const struct yaml_node *node, void *config)
{
	struct config_listener listener = {.port = htons(PORT_DEFAULT), .pos = reader_pos(r, node)};
	size_t n_errors = r->problems->n_errors;
	struct config_listener *grown = NULL;
	struct config *c = config;

	if (c->n_listeners == TW_LISTENERS_MAX - 1) {
		reader_error(r, path, node, "at most %d listeners are possible",
			     TW_LISTENERS_MAX - 1);
		return;
	}
	reader_mapping(r, path, node, listener_fields, ARRAY_SIZE(listener_fields), &listener,
		       NULL);
	if (!listener.name)
		set_default_name(r, &listener);
	if (listener.name && node->type == YAML_MAPPING) {
		check_name(r, path, node, &listener);
		if (r->problems->n_errors == n_errors)
			check_bind(r, path, node, &listener);
	}
	if (!r->err && r->problems->n_errors == n_errors)
		grown = config_grow(r, c->listeners, c->n_listeners, sizeof(listener));
	if (!grown) {
		config_listener_fini(&listener);
		return;
	}
	c->listeners = grown;
	c->listeners[c->n_listeners++] = listener;
}

void config_listener_fini(struct config_listener *listener)
{
	for (size_t i = 0; i < listener->n_interfaces; i++)
		free(listener->interfaces[i]);
	free(listener->interfaces);
	free(listener->name);
	free(listener->hostname);
	free(listener->no_sni);
	free(listener->unknown_name);
	free(listener->not_tls);
	*listener = (struct config_listener){};
}
