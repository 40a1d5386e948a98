/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What came out of reading a configuration, as text for tests to compare: the problems, then one
 * indented line for each thing that is not at its default. Positions of listeners and routes are
 * @line:column.
 */
#ifndef THRUWAY_TEST_CONFIG_TEXT_H
#define THRUWAY_TEST_CONFIG_TEXT_H

#include <stdio.h>

#include "base/addr.h"
#include "model/config.h"

static void print_list(FILE *out, const char *what, char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? "," : what, texts[i]);
}

static void print_backends(FILE *out, const char *what, const struct config_backend *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%s*%u%s%.0u", i ? "," : what, b[i].backend.text, b[i].weight,
			b[i].backend.pool ? " pool " : "", b[i].backend.pool);
}

static void print_paths(FILE *out, const char *before, uint32_t paths, const char *after)
{
	static const char *const words[TW_PATHS] = {"packet", "socket", "relay"};

	for (size_t i = 0; i < TW_PATHS; i++)
		if (paths & 1u << i)
			fprintf(out, "%s%s%s", before, words[i], after);
}

static void print_local(FILE *out, enum tw_local local)
{
	static const char *const words[] = {"", " local off", " local direct"};

	fputs(words[local], out);
}

static void print_timeouts(FILE *out, const struct tw_timeouts *timeouts)
{
	if (timeouts->hello_ms)
		fprintf(out, " hello %ums", timeouts->hello_ms);
	if (timeouts->connect_ms)
		fprintf(out, " connect %ums", timeouts->connect_ms);
	if (timeouts->idle_ms)
		fprintf(out, " idle %ums", timeouts->idle_ms);
	if (timeouts->half_closed_ms)
		fprintf(out, " half_closed %ums", timeouts->half_closed_ms);
}

#define PATHS_DEFAULT (1u << TW_PATH_SOCKET | 1u << TW_PATH_RELAY)

static void print_listener(FILE *out, const struct config *config,
			   const struct config_listener *listener)
{
	static const char *const on_refuse[] = {"", " alert", " drop"};
	char address[ADDR_TEXT_SIZE];

	fprintf(out, "  listener %s @%u:%u %s%s", listener->name, listener->pos.line,
		listener->pos.column, addr_format(address, listener->addr, listener->port),
		on_refuse[listener->on_refuse]);
	if (listener->hostname)
		fprintf(out, " hostname %s", listener->hostname);
	if (listener->paths != config->paths)
		print_paths(out, " path ", listener->paths, "");
	print_local(out, listener->local);
	print_list(out, " interfaces ", listener->interfaces, listener->n_interfaces);
	print_timeouts(out, &listener->timeouts);
	print_backends(out, " no_sni ", listener->no_sni, listener->n_no_sni);
	print_backends(out, " unknown_name ", listener->unknown_name, listener->n_unknown_name);
	print_backends(out, " not_tls ", listener->not_tls, listener->n_not_tls);
	fputc('\n', out);
}

static void print_route(FILE *out, const struct config_route *route)
{
	static const char *const balance[] = {"", " least_conn", " source"};

	fprintf(out, "  route %s @%u:%u%s%s%s", route->name, route->pos.line, route->pos.column,
		balance[route->balance], route->is_bad ? " bad" : "",
		route->refuse ? " refuse" : "");
	print_list(out, " hostnames ", route->hostnames, route->n_hostnames);
	print_list(out, " listeners ", route->listeners, route->n_listeners);
	print_list(out, " alpn ", route->alpn, route->n_alpn);
	if (route->tries)
		fprintf(out, " tries %u", route->tries);
	print_timeouts(out, &route->timeouts);
	print_local(out, route->local);
	print_backends(out, " backends ", route->backends, route->n_backends);
	fputc('\n', out);
}

static void print_config(FILE *out, const struct config *config)
{
	if (config->has_fatal)
		fprintf(out, "  fatal\n");
	if (config->paths != PATHS_DEFAULT)
		print_paths(out, "  path ", config->paths, "\n");
	if (config->redirect_per_connection != 4 << 20)
		fprintf(out, "  redirect_per_connection %llu\n",
			(unsigned long long)config->redirect_per_connection);
	if (config->redirect_total != 1 << 30)
		fprintf(out, "  redirect_total %llu\n", (unsigned long long)config->redirect_total);
	if (config->workers)
		fprintf(out, "  workers %u\n", config->workers);
	if (config->access_log.target)
		fprintf(out, "  access_log %s%s\n", config->access_log.target,
			config->access_log.format == CONFIG_LOG_JSON ? " json" : "");
	if (config->max_connections)
		fprintf(out, "  connections %u\n", config->max_connections);
	if (config->keepalive_s)
		fprintf(out, "  keepalive %us\n", config->keepalive_s);
	for (size_t i = 0; i < config->n_listeners; i++)
		print_listener(out, config, &config->listeners[i]);
	for (size_t i = 0; i < config->n_routes; i++)
		print_route(out, &config->routes[i]);
}

#endif
