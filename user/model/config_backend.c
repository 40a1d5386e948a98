// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Backends: from the command line's "ADDRESS:PORT,weight=N,pool=N" and from YAML. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "model/config_parts.h"
#include "thruway/name.h"

#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define POOL_WHAT     "a number of warm sockets"
#define EXPECTED      "expected 10.0.0.5:8443, [2001:db8::5]:8443 or unix:/path"

bool config_ip_is_usable(const uint8_t ip[16], const char **ret_why)
{
	bool is_v4 = addr_is_ipv4(ip);

	if (is_v4 ? ip[12] >= 224 : ip[0] == 0xff)
		*ret_why = "is not the address of one host";
	else if (!is_v4 && ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80)
		*ret_why = "is link-local: it means something only together with an interface";
	else
		return true;
	return false;
}

static int parse_unix(const char *path, struct tw_backend *backend, char **ret_why)
{
	size_t len = strlen(path);
	char shown[160];

	log_quote(shown, sizeof(shown), path, len);
	if (*path != '/')
		return config_why(ret_why, "unix:%s is not an absolute path (unix:/run/app.sock)",
				  shown);
	if (len > UNIX_PATH_MAX)
		return config_why(ret_why,
				  "the path %s is %zu bytes long; a socket's has at most %zu",
				  shown, len, UNIX_PATH_MAX);
	for (const char *c = path; *c; c++)
		if (iscntrl((unsigned char)*c))
			return config_why(ret_why, "the path %s holds control characters", shown);
	backend->family = TW_FAMILY_UNIX;
	snprintf(backend->text, sizeof(backend->text), "unix:%s", path);
	return 0;
}

/* The IP address that @host (@len bytes, in brackets or not) would be. */
static bool is_ip(const char *host, size_t len)
{
	char bare[INET6_ADDRSTRLEN];
	uint8_t ip[16];

	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len >= sizeof(bare))
		return false;
	memcpy(bare, host, len);
	bare[len] = '\0';
	return !addr_parse_ip(bare, ip);
}

static bool is_dns_name(const char *host, size_t len)
{
	char name[TW_NAME_SIZE];

	return len <= TW_NAME_MAX && tw_name_normalise(name, host, (__u32)len) > 0 &&
	       name[strspn(name, "0123456789.")] != '\0';
}

/* Which part of @text keeps it from being ADDRESS:PORT. */
static int address_mistake(const char *text, char **ret_why)
{
	const char *colon = strrchr(text, ':');
	size_t len = strlen(text), host_len = colon ? (size_t)(colon - text) : len;
	char shown[80], port[32];

	log_quote(shown, sizeof(shown), text, len);
	if (len && *text != '[' && colon && is_ip(text, len))
		return config_why(ret_why, "%s needs brackets and a port, like [2001:db8::5]:8443",
				  shown);
	if (is_ip(text, len) || (!colon && is_dns_name(text, len)))
		return config_why(ret_why, "%s has no port; " EXPECTED, shown);
	if (colon && is_ip(text, host_len) && (*text == '[') == !!memchr(text, ':', host_len))
		return config_why(ret_why, "\"%s\" is not a port (1..65535)",
				  log_quote(port, sizeof(port), colon + 1, strlen(colon + 1)));
	if (colon && is_dns_name(text, host_len))
		return config_why(ret_why,
				  "%s is a DNS name with a port; names are not resolved by this "
				  "version: write an IP address",
				  shown);
	return config_why(ret_why, "%s is not an IP address with a port; " EXPECTED, shown);
}

static int parse_address(const char *text, struct tw_backend *ret_backend, char **ret_why)
{
	struct tw_backend backend = {};
	struct addr addr;
	const char *why;
	char shown[ADDR_TEXT_SIZE];
	int err;

	if (!strncmp(text, "unix:", 5)) {
		err = parse_unix(text + 5, &backend, ret_why);
		if (!err)
			*ret_backend = backend;
		return err;
	}
	if (addr_parse(text, &addr))
		return address_mistake(text, ret_why);
	if (addr_is_any(addr.ip))
		return config_why(ret_why, "%s means all addresses; a backend is one",
				  addr_format_ip(shown, addr.ip));
	if (!config_ip_is_usable(addr.ip, &why))
		return config_why(ret_why, "%s %s", addr_format_ip(shown, addr.ip), why);
	memcpy(backend.addr, addr.ip, sizeof(backend.addr));
	backend.port = addr.port;
	backend.family = addr_is_ipv4(addr.ip) ? TW_FAMILY_IPV4 : TW_FAMILY_IPV6;
	addr_format(backend.text, addr.ip, addr.port);
	*ret_backend = backend;
	return 0;
}

/* Where options begin: the path of a UNIX socket may hold commas. */
static const char *options_of(const char *text)
{
	const char *end = text + strlen(text), *comma;

	for (;;) {
		comma = memrchr(text, ',', (size_t)(end - text));
		if (!comma || (strncmp(comma, ",weight=", 8) && strncmp(comma, ",pool=", 6)))
			break;
		end = comma;
	}
	/* One that is none of these is said to be wrong, but for a path. */
	return comma && strncmp(text, "unix:", 5) ? comma : end;
}

static int set_pool(struct config_backend *backend, char **ret_why)
{
	if (backend->pool && backend->backend.family == TW_FAMILY_UNIX)
		return config_why(ret_why, "a pool is for TCP backends");
	backend->backend.pool = backend->pool;
	return 0;
}

/* @len digits at @text, 0 .. @max. */
static int parse_number(const char *text, size_t len, const char *what, uint32_t max,
			uint32_t *ret_value, char **ret_why)
{
	char shown[80];
	uint32_t value = 0;

	log_quote(shown, sizeof(shown), text, len);
	if (len && len <= 7 && strspn(text, "0123456789") >= len && (len == 1 || *text != '0'))
		for (size_t i = 0; i < len; i++)
			value = value * 10 + (uint32_t)(text[i] - '0');
	else
		value = UINT32_MAX;
	if (value > max)
		return config_why(ret_why, "%s is not %s (0..%u)", len ? shown : "nothing", what,
				  max);
	*ret_value = value;
	return 0;
}

/* One of ",weight=N" and ",pool=N", @len bytes without the comma. */
static int parse_option(const char *text, size_t len, struct config_backend *backend,
			char **ret_why)
{
	if (len >= 7 && !strncmp(text, "weight=", 7))
		return parse_number(text + 7, len - 7, "a weight", TW_WEIGHT_MAX, &backend->weight,
				    ret_why);
	if (len >= 5 && !strncmp(text, "pool=", 5))
		return parse_number(text + 5, len - 5, POOL_WHAT, TW_POOL_MAX, &backend->pool,
				    ret_why);
	return config_why(ret_why, "a backend is ADDRESS:PORT[,weight=N][,pool=N]");
}

int config_parse_backend(const char *text, struct config_backend *ret_backend, char **ret_why)
{
	struct config_backend backend = {.weight = 1};
	const char *option = options_of(text);
	_cleanup_free_ char *address = strndup(text, (size_t)(option - text));
	bool has_weight = false, has_pool = false;
	int err = 0;

	*ret_why = NULL;
	if (!address)
		return -ENOMEM;
	while (*option && !err) {
		size_t len = strcspn(++option, ",");
		bool *has = *option == 'w' ? &has_weight : &has_pool;

		if (*has)
			return config_why(ret_why, "%.*s stands twice", *option == 'w' ? 6 : 4,
					  option);
		*has = true;
		err = parse_option(option, len, &backend, ret_why);
		option += len;
	}
	if (!err)
		err = parse_address(address, &backend.backend, ret_why);
	if (!err)
		err = set_pool(&backend, ret_why);
	if (!err)
		*ret_backend = backend;
	return err;
}

/* --- YAML ------------------------------------------------------------------------------------ */

static void note_why(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		     int err, const char *why)
{
	if (err == -ENOMEM)
		reader_out_of_memory(r);
	else if (err)
		reader_error(r, path, node, "%s", why);
}

static void read_address(struct reader *r, const struct reader_path *path,
			 const struct yaml_node *node, void *target)
{
	struct tw_backend *backend = target;
	_cleanup_free_ char *why = NULL;
	const char *text = reader_text(r, path, node, "an address with a port; " EXPECTED);
	int err = text ? parse_address(text, backend, &why) : 0;

	note_why(r, path, node, err, why);
}

static void read_weight(struct reader *r, const struct reader_path *path,
			const struct yaml_node *node, void *target)
{
	(void)reader_number(r, path, node, "a weight", 0, TW_WEIGHT_MAX, target);
}

static void read_pool(struct reader *r, const struct reader_path *path,
		      const struct yaml_node *node, void *target)
{
	(void)reader_number(r, path, node, POOL_WHAT, 0, TW_POOL_MAX, target);
}

static const struct reader_field backend_fields[] = {
	{"address", read_address, offsetof(struct config_backend, backend)},
	{"weight", read_weight, offsetof(struct config_backend, weight)},
	{"pool", read_pool, offsetof(struct config_backend, pool)},
};

struct backend_list {
	struct config_backend **items; /* with room for all */
	size_t *n;
};

static void read_backend(struct reader *r, const struct reader_path *path,
			 const struct yaml_node *node, void *target)
{
	const struct backend_list *list = target;
	struct config_backend backend = {.weight = 1};
	size_t n_errors = r->problems->n_errors;
	_cleanup_free_ char *why = NULL;
	const char *text;
	int err;

	if (node->type == YAML_MAPPING) {
		reader_mapping(r, path, node, backend_fields, ARRAY_SIZE(backend_fields), &backend,
			       NULL);
		if (!yaml_get(node, "address"))
			reader_error(r, path, node, "a backend needs an address");
		err = set_pool(&backend, &why);
		note_why(r, path, node, err, why);
	} else {
		text = reader_text(r, path, node, "a backend; " EXPECTED ", or {address, weight}");
		err = text ? config_parse_backend(text, &backend, &why) : 0;
		note_why(r, path, node, err, why);
	}
	if (r->problems->n_errors > n_errors || r->err)
		return;
	backend.pos = reader_pos(r, node);
	(*list->items)[(*list->n)++] = backend;
}

void config_read_backends(struct reader *r, const struct reader_path *path,
			  const struct yaml_node *node, struct config_backend **ret_backends,
			  size_t *ret_n)
{
	struct backend_list list = {.items = ret_backends, .n = ret_n};

	if (reader_count(node) > TW_ROUTE_BACKENDS_MAX) {
		reader_error(r, path, node, "%zu backends; at most %u are possible",
			     reader_count(node), TW_ROUTE_BACKENDS_MAX);
		return;
	}
	*ret_backends = reader_alloc(r, reader_count(node), sizeof(**ret_backends));
	if (*ret_backends)
		reader_each(r, path, node, read_backend, &list);
}
