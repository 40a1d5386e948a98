// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Any bytes as a configuration. Beyond what the sanitizers see: the return value, the problems and
 * the configuration agree, and what is in the configuration keeps the promises of config.h.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/config.h"
#include "thruway/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
	if (!is_true)
		abort();
}

static void check_hostname(const char *hostname)
{
	char again[TW_NAME_SIZE];

	require(tw_name_pattern(again, hostname, (__u32)strlen(hostname)) > 0);
	require(!strcmp(again, hostname));
}

static void check_backends(const struct config_backend *backends, size_t n)
{
	require(n <= TW_ROUTE_BACKENDS_MAX);
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *why = NULL;
		struct config_backend again;

		require(backends[i].weight <= TW_WEIGHT_MAX);
		require(memchr(backends[i].backend.text, '\0', TW_BACKEND_TEXT_SIZE));
		if (backends[i].is_invalid || strchr(backends[i].backend.text, ','))
			continue;
		require(!config_parse_backend(backends[i].backend.text, &again, &why));
		again.backend.pool = backends[i].backend.pool; /* stands behind the address */
		require(!memcmp(&again.backend, &backends[i].backend, sizeof(again.backend)));
	}
}

static void check_config(const struct config *config)
{
	require(config->n_listeners < TW_LISTENERS_MAX && config->n_routes < TW_ROUTES_MAX);
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_listener *listener = &config->listeners[i];

		require(*listener->name && strlen(listener->name) < TW_LABEL_SIZE);
		require(listener->port && listener->pos.file && listener->pos.line);
		if (listener->hostname)
			check_hostname(listener->hostname);
		check_backends(listener->no_sni, listener->n_no_sni);
		check_backends(listener->unknown_name, listener->n_unknown_name);
		check_backends(listener->not_tls, listener->n_not_tls);
	}
	for (size_t i = 0; i < config->n_routes; i++) {
		const struct config_route *route = &config->routes[i];

		require(*route->name && strlen(route->name) <= TW_NAME_MAX);
		require(route->n_hostnames && route->refuse == !route->n_backends);
		for (size_t j = 0; j < route->n_hostnames; j++)
			check_hostname(route->hostnames[j]);
		check_backends(route->backends, route->n_backends);
	}
}

static void check_words(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	_cleanup_free_ char *no_backend = NULL, *no_name = NULL;
	struct config_backend backend;
	char name[TW_NAME_SIZE];

	require(text != NULL);
	require(!config_parse_backend(text, &backend, &no_backend) == !no_backend);
	require(!config_parse_hostname(text, name, &no_name) == !no_name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t host[1][16] = {{[10] = 0xff, 0xff, 10, 0, 0, 5}};
	struct config_problems problems;
	struct config *config;
	int err;

	config_problems_init(&problems);
	err = config_parse("input", (const char *)data, size, &config, &problems);
	require(err == 0 || err == -EINVAL);
	require(!err == !problems.n_errors);
	require(config &&
		(err || ((config->n_listeners || config->gateway) && !config->has_fatal)));
	for (size_t i = 0; i < problems.n; i++)
		require(*problems.items[i].text && !strchr(problems.items[i].text, '\n'));
	check_config(config);
	(void)config_check_loops(config, &(struct config_host){host, 1, NULL}, &problems);
	check_config(config);
	config_free(config);
	config_problems_fini(&problems);
	check_words(data, size);
	return 0;
}
