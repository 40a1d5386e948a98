// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A configuration out of YAML texts: the settings at the top, and the two passes over all documents
 * (config_parts.h). Listeners and routes: config_listener.c, config_route.c. Files: config_file.c.
 */
#include "model/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/config_parts.h"
#include "model/documents.h"
#include "model/gateway.h"
#include "model/yaml.h"

/* Bytes that wait for one slow reader, and for all. */
#define REDIRECT_PER_CONNECTION (4u << 20)
#define REDIRECT_TOTAL		(1u << 30)
#define WORKERS_MAX		256
#define CONNECTIONS_MAX		10000000
/* TCP_KEEPIDLE takes no more. */
#define KEEPALIVE_S_MAX		32767

#define MINIMAL                                                                                    \
	"a minimal configuration is:  listeners: [{port: 443}]  and  "                             \
	"routes: [{hostnames: [app.example.com], backends: [\"10.0.0.5:8443\"]}]"

void *config_room(void *array, size_t n, size_t size)
{
	/* For 1, 2, 4, ... items: full when their number is such a power, or none. */
	if (n & (n - 1))
		return array;
	return reallocarray(array, n ? n * 2 : 1, size);
}

void *config_grow(struct reader *r, void *array, size_t n, size_t size)
{
	void *grown = config_room(array, n, size);

	if (!grown)
		reader_out_of_memory(r);
	return grown;
}

/* --- settings -------------------------------------------------------------------------------- */

static void read_path_word(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	static const char *const words[TW_PATHS] = {[TW_PATH_PACKET] = "packet",
						    [TW_PATH_SOCKET] = "socket",
						    [TW_PATH_RELAY] = "relay"};
	int word = reader_word(r, path, node, words, TW_PATHS);
	uint32_t *paths = target;

	if (word < 0)
		return;
	if (*paths & 1u << word)
		reader_warning(r, path, node, "%s is listed twice, ignored", words[word]);
	else if (word == TW_PATH_PACKET)
		reader_warning(r, path, node, "the packet path is not in this version, ignored");
	*paths |= 1u << word;
}

void config_read_paths(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, void *target)
{
	size_t n_errors = r->problems->n_errors;
	uint32_t *paths = target;

	*paths = 0;
	reader_each(r, path, node, read_path_word, paths);
	if (!(*paths & 1u << TW_PATH_RELAY) && r->problems->n_errors == n_errors)
		reader_error(r, path, node, "relay is what the other paths fall back to: add it");
}

static void read_paths(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, void *target)
{
	config_read_paths(r, path, node, &((struct config *)target)->paths);
}

static void read_per_connection(struct reader *r, const struct reader_path *path,
				const struct yaml_node *node, void *target)
{
	(void)reader_size(r, path, node, 64 << 10, 1 << 30,
			  &((struct config *)target)->redirect_per_connection);
}

static void read_total(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, void *target)
{
	(void)reader_size(r, path, node, 1 << 20, 1ull << 40,
			  &((struct config *)target)->redirect_total);
}

static void read_workers(struct reader *r, const struct reader_path *path,
			 const struct yaml_node *node, void *target)
{
	(void)reader_number(r, path, node, "a number of workers", 1, WORKERS_MAX,
			    &((struct config *)target)->workers);
}

static void read_log_target(struct reader *r, const struct reader_path *path,
			    const struct yaml_node *node, void *target)
{
	struct config *config = target;
	char shown[READER_SHOW_SIZE];
	const char *text = reader_text(r, path, node, "stdout, syslog or the path of a file");

	if (!text)
		return;
	if (*text != '/' && strcmp(text, "stdout") && strcmp(text, "syslog"))
		reader_error(r, path, node,
			     "%s is not stdout, syslog or the absolute path of a file",
			     reader_show(shown, node));
	else if (!(config->access_log.target = strdup(text)))
		reader_out_of_memory(r);
}

static void read_log_format(struct reader *r, const struct reader_path *path,
			    const struct yaml_node *node, void *target)
{
	static const char *const words[] = {[CONFIG_LOG_TEXT] = "text", [CONFIG_LOG_JSON] = "json"};
	int word = reader_word(r, path, node, words, ARRAY_SIZE(words));

	if (word >= 0)
		((struct config *)target)->access_log.format = (enum config_log_format)word;
}

static const struct reader_field access_log_fields[] = {
	{"target", read_log_target, 0},
	{"format", read_log_format, 0},
};

static void read_access_log(struct reader *r, const struct reader_path *path,
			    const struct yaml_node *node, void *target)
{
	if (node->type != YAML_MAPPING) {
		read_log_target(r, path, node, target);
		return;
	}
	reader_mapping(r, path, node, access_log_fields, ARRAY_SIZE(access_log_fields), target,
		       NULL);
	if (!yaml_get(node, "target"))
		reader_error(r, path, node,
			     "needs a target: stdout, syslog or the absolute path of a file");
}

static void read_connections(struct reader *r, const struct reader_path *path,
			     const struct yaml_node *node, void *target)
{
	(void)reader_number(r, path, node, "a number of connections", 1, CONNECTIONS_MAX,
			    &((struct config *)target)->max_connections);
}

static const struct reader_field limit_fields[] = {
	{"connections", read_connections, 0},
};

static void read_limits(struct reader *r, const struct reader_path *path,
			const struct yaml_node *node, void *target)
{
	reader_mapping(r, path, node, limit_fields, ARRAY_SIZE(limit_fields), target, NULL);
}

static void read_keepalive(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	char shown[READER_SHOW_SIZE];
	uint32_t ms;

	if (!reader_duration(r, path, node, 1000, KEEPALIVE_S_MAX * 1000, &ms))
		return;
	if (ms % 1000)
		reader_error(r, path, node, "%s is not a whole number of seconds",
			     reader_show(shown, node));
	((struct config *)target)->keepalive_s = ms / 1000;
}

static void read_terminate(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	struct config *config = target;

	config_read_backends(r, path, node, &config->terminate, &config->n_terminate);
}

/* --- endpoints of Services that have no EndpointSlices ------------------------------------------
 */

struct endpoints_item {
	char *service; /* NAME or NAMESPACE/NAME */
	char **addresses;
	size_t n_addresses;
};

static void read_service(struct reader *r, const struct reader_path *path,
			 const struct yaml_node *node, void *target)
{
	struct endpoints_item *item = target;
	const char *text = reader_text(r, path, node, "a Service: NAME or NAMESPACE/NAME");

	if (text && !item->service && !(item->service = strdup(text)))
		reader_out_of_memory(r);
}

static int check_endpoint(const char *text, char dst[TW_NAME_SIZE], char **ret_why)
{
	struct addr addr;
	uint8_t ip[16];

	if (addr_parse(text, &addr) && addr_parse_ip(text, ip))
		return config_why(ret_why, "%s is not an IP address, with or without a port", text);
	snprintf(dst, TW_NAME_SIZE, "%s", text);
	return 0;
}

static void read_addresses(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	struct endpoints_item *item = target;

	reader_texts(r, path, node, "an IP address", check_endpoint, &item->addresses,
		     &item->n_addresses);
}

static const struct reader_field endpoints_fields[] = {
	{"service", read_service, 0},
	{"addresses", read_addresses, 0},
};

static void read_endpoints_item(struct reader *r, const struct reader_path *path,
				const struct yaml_node *node, void *target)
{
	struct config *config = target;
	struct endpoints_item item = {};
	char *slash;
	int err = 0;

	reader_mapping(r, path, node, endpoints_fields, ARRAY_SIZE(endpoints_fields), &item, NULL);
	if (!config->gateway)
		config->gateway = gateway_new();
	slash = item.service ? strchr(item.service, '/') : NULL;
	if (slash)
		*slash++ = '\0';
	if (!item.service || !item.n_addresses)
		reader_error(r, path, node, "endpoints need a service and addresses");
	else
		err = config->gateway ? gateway_put_endpoints(config->gateway,
							      slash ? item.service : "default",
							      slash ? slash : item.service,
							      (const char *const *)item.addresses,
							      item.n_addresses)
				      : -ENOMEM;
	if (err)
		reader_out_of_memory(r);
	for (size_t i = 0; i < item.n_addresses; i++)
		free(item.addresses[i]);
	free(item.addresses);
	free(item.service);
}

static void read_endpoints(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	reader_each(r, path, node, read_endpoints_item, target);
}

/* --- documents ------------------------------------------------------------------------------- */

/* Both lists may be there and hold nothing: all their items are commented out, say. */
static bool is_items(struct reader *r, const struct reader_path *path, const struct yaml_node *node)
{
	char shown[READER_SHOW_SIZE];

	if (node->type == YAML_SEQUENCE)
		return node->n;
	if (!yaml_is_null(node))
		reader_error(r, path, node, "%s is not a list; expected items that begin with -",
			     reader_show(shown, node));
	return false;
}

static void read_listeners(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	if (is_items(r, path, node))
		reader_each(r, path, node, config_read_listener, target);
}

/* Their items are read when all listeners are known: read_routes(). */
static void check_routes(struct reader *r, const struct reader_path *path,
			 const struct yaml_node *node, void *target)
{
	(void)target;
	(void)is_items(r, path, node);
}

enum {
	FIELD_LISTENERS, /* these two may stand in every document */
	FIELD_ROUTES,
	FIELD_REDIRECT_PER_CONNECTION,
};

static const struct reader_field top_fields[] = {
	[FIELD_LISTENERS] = {"listeners", read_listeners, 0},
	[FIELD_ROUTES] = {"routes", check_routes, 0},
	[FIELD_REDIRECT_PER_CONNECTION] = {"redirect_per_connection", read_per_connection, 0},
	{"paths", read_paths, 0},
	{"workers", read_workers, 0},
	{"access_log", read_access_log, 0},
	{"limits", read_limits, 0},
	{"keepalive", read_keepalive, 0},
	{"redirect_total", read_total, 0},
	{"terminate", read_terminate, 0},
	{"endpoints", read_endpoints, 0},
};

void config_read_settings(struct loader *loader, const struct yaml_node *document)
{
	loader->given[FIELD_LISTENERS].line = 0;
	loader->given[FIELD_ROUTES].line = 0;
	reader_mapping(&loader->reader, NULL, document, top_fields, ARRAY_SIZE(top_fields),
		       loader->config, loader->given);
}

static void read_routes(struct loader *loader, const struct yaml_node *document)
{
	const struct yaml_node *routes = yaml_get(document, "routes");
	const struct reader_path path = {.key = "routes"};

	if (!config_is_kubernetes(document) && routes && routes->type == YAML_SEQUENCE && routes->n)
		reader_each(&loader->reader, &path, routes, config_read_route, loader->config);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void check_not_empty(struct loader *loader, const char *file)
{
	const struct config_pos pos = {.file = file};
	const struct config *config = loader->config;

	/* Where something is wrong already, that is why. */
	if (config->n_listeners || (config->gateway && gateway_n_objects(config->gateway)) ||
	    loader->reader.problems->n_errors > loader->n_errors_before)
		return;
	config_problem_add(loader->reader.problems, &pos, false, "%s; " MINIMAL,
			   loader->n_documents ? "no listeners" : "nothing is in it");
}

static size_t file_number(const struct config_problems *problems, const char *file)
{
	size_t i = 0;

	while (i < problems->n_files && problems->files[i] != file)
		i++;
	return i;
}

static int compare_problems(const void *left, const void *right, void *problems)
{
	const struct config_pos *a = &((const struct config_problem *)left)->pos;
	const struct config_pos *b = &((const struct config_problem *)right)->pos;
	size_t file_a = file_number(problems, a->file), file_b = file_number(problems, b->file);

	if (file_a != file_b)
		return file_a < file_b ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return (a->column > b->column) - (a->column < b->column);
}

static void loader_fini(struct loader *loader)
{
	config_drop_natives(loader);
	seen_free(&loader->listener_names);
	seen_free(&loader->listener_keys);
	seen_free(&loader->binds);
	seen_free(&loader->route_names);
	seen_free(&loader->route_keys);
	seen_free(&loader->backends);
	seen_free(&loader->alpns);
}

/* The setting that was given, or else its default, is in the way of the other one. */
static void check_sizes(struct loader *loader)
{
	const struct config *config = loader->config;

	if (config->redirect_per_connection > config->redirect_total)
		config_problem_add(
			loader->reader.problems, &loader->given[FIELD_REDIRECT_PER_CONNECTION],
			false, "redirect_per_connection: %llu is more than redirect_total (%llu)",
			(unsigned long long)config->redirect_per_connection,
			(unsigned long long)config->redirect_total);
}

static int load(struct loader *loader, const struct config_text *texts, size_t n)
{
	struct config_problems *problems = loader->reader.problems;
	int err = config_read_documents(loader, texts, n);

	if (err)
		return err;
	if (loader->config->gateway && gateway_resolve(loader->config->gateway, loader->config))
		reader_out_of_memory(&loader->reader);
	check_sizes(loader);
	for (size_t i = 0; i < loader->config->n_listeners; i++)
		if (!loader->config->listeners[i].paths)
			loader->config->listeners[i].paths = loader->config->paths;
	check_not_empty(loader, n == 1 ? texts[0].file : NULL);
	config_each_native(loader, read_routes);
	loader->config->has_bad_route = loader->n_route_errors;
	loader->config->has_fatal = problems->n_errors - loader->n_errors_before >
				    loader->n_route_errors + loader->config->n_object_errors;
	return loader->reader.err;
}

int config_parse_texts(const struct config_text *texts, size_t n, struct config **ret_config,
		       struct config_problems *problems)
{
	struct loader loader = {.n_errors_before = problems->n_errors};
	size_t first = problems->n;
	int err = -ENOMEM;

	*ret_config = NULL;
	loader.reader = (struct reader){.problems = problems, .loader = &loader};
	loader.config = calloc(1, sizeof(*loader.config));
	if (loader.config) {
		loader.config->paths = 1u << TW_PATH_SOCKET | 1u << TW_PATH_RELAY;
		loader.config->redirect_per_connection = REDIRECT_PER_CONNECTION;
		loader.config->redirect_total = REDIRECT_TOTAL;
		err = load(&loader, texts, n);
	}
	loader_fini(&loader);
	if (err) {
		config_problem_add(problems, NULL, false, "out of memory");
		config_free(loader.config);
		return err;
	}
	(void)config_check_loops(loader.config, &(struct config_host){}, problems);
	/* Beyond the most that are kept, nobody knows whose they are. */
	loader.config->has_problems = problems->n - first > loader.n_object_problems ||
				      problems->n >= CONFIG_PROBLEMS_MAX;
	if (problems->n > first)
		qsort_r(problems->items + first, problems->n - first, sizeof(*problems->items),
			compare_problems, problems);
	*ret_config = loader.config;
	return problems->n_errors > loader.n_errors_before ? -EINVAL : 0;
}

int config_parse(const char *file, const char *text, size_t len, struct config **ret_config,
		 struct config_problems *problems)
{
	/* Neither is written to. */
	const struct config_text one = {.file = (char *)file, .text = (char *)text, .len = len};

	return config_parse_texts(&one, 1, ret_config, problems);
}

bool config_has_good_route(const struct config *config)
{
	for (size_t i = 0; i < config->n_routes; i++)
		if (!config->routes[i].is_bad)
			return true;
	return false;
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	for (size_t i = 0; i < config->n_listeners; i++)
		config_listener_fini(&config->listeners[i]);
	for (size_t i = 0; i < config->n_routes; i++)
		config_route_fini(&config->routes[i]);
	for (size_t i = 0; i < config->n_files; i++)
		free(config->files[i]);
	gateway_free(config->gateway);
	if (config->documents)
		document_memory_fini(config->documents);
	free(config->documents);
	free(config->terminate);
	free(config->listeners);
	free(config->routes);
	free(config->files);
	free(config->access_log.target);
	free(config);
	return NULL;
}
