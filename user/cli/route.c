// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* thruway route: add, del, show, explain. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "thruway/table.h"

/* How many of a list stand in one cell. */
#define CELL_NAMES    3
#define CELL_BACKENDS 3

/* --- add, del -------------------------------------------------------------------------------- */

static int balance_check(const struct cli *cli)
{
	static const char *const words[] = {"weighted", "least_conn", "source", NULL};
	const char *balance = cli->options[OPT_BALANCE];

	for (size_t i = 0; balance && words[i]; i++)
		if (!strcmp(balance, words[i]))
			return CLI_DONE;
	if (!balance)
		return CLI_DONE;
	return cli_usage(cli, "--balance: '%s' is not weighted, least_conn or source%s", balance,
			 cli_did_you_mean(balance, words));
}

static int add_check(const struct cli *cli, long *ret_tries)
{
	if (cli->options[OPT_REFUSE] && cli->n_args > 1)
		return cli_usage(cli, "--refuse sends nobody to '%s': leave one of them out",
				 cli->args[1]);
	if (!cli->options[OPT_REFUSE] && cli->n_args < 2)
		return cli_usage(cli, "BACKEND is missing (or --refuse)");
	if (balance_check(cli) != CLI_DONE)
		return CLI_WRONG;
	return cli_number(cli, OPT_TRIES, 1, TW_TRIES_MAX, 0, ret_tries);
}

int route_add(struct cli *cli)
{
	json_t *request, *backends, *answer;
	long tries;
	int status;

	status = add_check(cli, &tries);
	if (status != CLI_DONE)
		return status;
	backends = text_need(json_array());
	for (size_t i = 1; i < cli->n_args; i++)
		json_array_append_new(backends, text_need(json_string(cli->args[i])));
	request =
		json_pack("{s:s, s:s, s:o, s:s*, s:s*, s:s*}", "op", "route.add", "name",
			  cli->args[0], "backends", backends, "balance", cli->options[OPT_BALANCE],
			  "listener", cli->options[OPT_LISTENER], "alpn", cli->options[OPT_ALPN]);
	if (tries)
		json_object_set_new(text_need(request), "tries", json_integer(tries));
	if (cli->options[OPT_REFUSE])
		json_object_set_new(text_need(request), "refuse", json_true());
	status = cli_request(cli, request, &answer);
	if (status != CLI_DONE)
		return status;
	if (cli->is_json)
		status = cli_json(cli, json_object_get(answer, "route"));
	else
		cli_note(cli, "added: route %s", cli_str(json_object_get(answer, "route"), "name"));
	json_decref(answer);
	return status;
}

int route_del(struct cli *cli)
{
	json_t *answer;
	int status;

	status = cli_request(cli,
			     json_pack("{s:s, s:s, s:s*, s:s*}", "op", "route.del", "name",
				       cli->args[0], "listener", cli->options[OPT_LISTENER], "alpn",
				       cli->options[OPT_ALPN]),
			     &answer);
	if (status != CLI_DONE)
		return status;
	if (cli->is_json)
		status = cli_json(cli, answer);
	else
		cli_note(cli, "deleted: %lld route%s", cli_int(answer, "deleted"),
			 cli_int(answer, "deleted") == 1 ? "" : "s");
	json_decref(answer);
	return status;
}

/* --- show ------------------------------------------------------------------------------------ */

static char *backends_text(const json_t *route)
{
	const json_t *backends = json_object_get(route, "backends");
	const json_t *backend;
	char *text = NULL;
	size_t i, len;
	FILE *out;

	if (cli_true(route, "refuse"))
		return text_format("(refused)");
	out = text_need(open_memstream(&text, &len));
	json_array_foreach (backends, i, backend) {
		if (i == CELL_BACKENDS) {
			fprintf(out, " (+%zu)", json_array_size(backends) - i);
			break;
		}
		fprintf(out, "%s%s", i ? "," : "",
			cli_true(backend, "invalid") ? "(invalid)" : cli_str(backend, "address"));
		if (cli_int(backend, "weight") != 1)
			fprintf(out, " weight %lld", cli_int(backend, "weight"));
		if (cli_true(backend, "drained"))
			fprintf(out, " drained");
	}
	if (fclose(out))
		text_need(NULL);
	return text;
}

static void routes_print(const json_t *routes)
{
	struct table *table = table_new("NAME|HOSTNAMES|LISTENERS|BACKENDS|OWNER|>ACTIVE|>TOTAL|"
					">TO BACKEND|>TO CLIENT|>REFUSED");
	const json_t *route;
	size_t i;

	json_array_foreach (routes, i, route) {
		const json_t *stats = json_object_get(route, "stats");
		char *names = cli_join(json_object_get(route, "hostnames"), CELL_NAMES);
		char *listeners = cli_join(json_object_get(route, "listeners"), CELL_NAMES);
		char *alpn = cli_join(json_object_get(route, "alpn"), CELL_NAMES);
		char *backends = backends_text(route);
		char bytes[TEXT_SIZE];

		table_cell(table, "%s", cli_str(route, "name"));
		table_cell(table, "%s%s%s%s", names, alpn[0] ? " [" : "", alpn, alpn[0] ? "]" : "");
		table_cell(table, "%s", listeners);
		table_cell(table, "%s", backends);
		table_cell(table, "%s", cli_str(route, "owner"));
		table_cell(table, "%lld", cli_int(stats, "active"));
		table_cell(table, "%lld", cli_int(stats, "connections"));
		table_cell(table, "%s", text_bytes(bytes, cli_int(stats, "bytes_to_backend")));
		table_cell(table, "%s", text_bytes(bytes, cli_int(stats, "bytes_to_client")));
		table_cell(table, "%lld", cli_int(stats, "refused"));
		free(names);
		free(listeners);
		free(alpn);
		free(backends);
	}
	table_print(table, stdout);
}

static void field_strings(const char *head, const json_t *strings)
{
	char *text = cli_join(strings, SIZE_MAX);
	char *escaped = text_escape(text);

	if (text[0])
		printf("  %-14s%s\n", head, escaped);
	free(escaped);
	free(text);
}

static void field(const char *head, const char *text)
{
	char *escaped = text_escape(text);

	if (text[0])
		printf("  %-14s%s\n", head, escaped);
	free(escaped);
}

static void route_backends_print(const json_t *backends)
{
	struct table *table = table_new("  BACKEND|>WEIGHT|STATE");
	const json_t *backend;
	size_t i;

	json_array_foreach (backends, i, backend) {
		bool is_invalid = cli_true(backend, "invalid");

		table_cell(table, "  %s", is_invalid ? "-" : cli_str(backend, "address"));
		table_cell(table, "%lld", cli_int(backend, "weight"));
		table_cell(table, "%s",
			   is_invalid			  ? "invalid: its share is refused"
			   : cli_true(backend, "drained") ? "drained"
							  : "in use");
	}
	table_print(table, stdout);
}

static void route_print(const json_t *route)
{
	const json_t *stats = json_object_get(route, "stats");
	char to_backend[TEXT_SIZE], to_client[TEXT_SIZE];
	char *timeouts = timeouts_text(json_object_get(route, "timeouts"));
	char *name = text_escape(cli_str(route, "name"));

	printf("route %s\n", name);
	field_strings("hostnames", json_object_get(route, "hostnames"));
	field_strings("listeners", json_object_get(route, "listeners"));
	field_strings("alpn", json_object_get(route, "alpn"));
	field("owner", cli_str(route, "owner"));
	field("timeouts", timeouts);
	printf("  %-14s%lld active, %lld in all, %lld refused, %lld failed to connect\n",
	       "connections", cli_int(stats, "active"), cli_int(stats, "connections"),
	       cli_int(stats, "refused"), cli_int(stats, "connect_failures"));
	printf("  %-14s%s to backends, %s to clients\n", "bytes",
	       text_bytes(to_backend, cli_int(stats, "bytes_to_backend")),
	       text_bytes(to_client, cli_int(stats, "bytes_to_client")));
	if (cli_true(route, "refuse")) {
		field("decision", "every connection is refused on purpose");
	} else {
		field("balance", cli_str(route, "balance"));
		if (!json_is_null(json_object_get(route, "direct")))
			field("local", cli_true(route, "direct") ? "direct" : "off");
		printf("  %-14s%lld\n", "tries", cli_int(route, "tries"));
		route_backends_print(json_object_get(route, "backends"));
	}
	free(name);
	free(timeouts);
}

int route_show(struct cli *cli)
{
	const char *name = cli->n_args ? cli->args[0] : NULL;
	const json_t *routes, *route;
	json_t *answer;
	size_t i;
	int status;

	status = cli_request(cli, json_pack("{s:s, s:s*}", "op", "route.show", "name", name),
			     &answer);
	if (status != CLI_DONE)
		return status;
	routes = json_object_get(answer, "routes");
	if (cli->is_json)
		status = cli_json(cli, routes);
	else if (!json_array_size(routes))
		cli_note(cli, name ? "no route %s" : "no routes", name);
	else if (name)
		json_array_foreach (routes, i, route)
			route_print(route);
	else
		routes_print(routes);
	json_decref(answer);
	return status;
}

/* --- explain --------------------------------------------------------------------------------- */

static void shares_print(const json_t *backends)
{
	struct table *table = table_new("  BACKEND|>WEIGHT|>SHARE|STATE");
	const json_t *backend;
	size_t i;

	json_array_foreach (backends, i, backend) {
		table_cell(table, "  %s", cli_str(backend, "address"));
		table_cell(table, "%lld", cli_int(backend, "weight"));
		table_cell(table, "%.1f%%", json_number_value(json_object_get(backend, "share")));
		table_cell(table, "%s", cli_true(backend, "drained") ? "drained" : "in use");
	}
	table_print(table, stdout);
}

/* "default/app (*.example.com): the only TLSRoute ..." */
static void attached_print(const char *head, const json_t *attached)
{
	char *text = text_format("%s/%s (%s): %s", cli_str(attached, "namespace"),
				 cli_str(attached, "name"), cli_str(attached, "hostname"),
				 cli_str(attached, "text"));

	field(head, text);
	free(text);
}

static void services_print(const json_t *services)
{
	struct table *table = table_new("  SERVICE|>WEIGHT|>SHARE|ENDPOINTS|STATE");
	const json_t *service;
	size_t i;

	json_array_foreach (services, i, service) {
		char *endpoints = cli_join(json_object_get(service, "endpoints"), CELL_BACKENDS);

		table_cell(table, "  %s/%s:%lld", cli_str(service, "namespace"),
			   cli_str(service, "name"), cli_int(service, "port"));
		table_cell(table, "%lld", cli_int(service, "weight"));
		table_cell(table, "%.1f%%", json_number_value(json_object_get(service, "share")));
		table_cell(table, "%s", endpoints);
		table_cell(table, "%s",
			   *cli_str(service, "text") ? cli_str(service, "text") : "in use");
		free(endpoints);
	}
	table_print(table, stdout);
}

/* Why, in the terms of the Gateway API. */
static void gateway_print(const json_t *gateway)
{
	const json_t *listener = json_object_get(gateway, "listener");
	const json_t *route = json_object_get(gateway, "route");
	const json_t *services = json_object_get(gateway, "services"), *one;
	const char *hostname = cli_str(listener, "hostname");
	size_t i;

	if (json_is_object(listener)) {
		char *text =
			text_format("%s/%s, listener %s (%s%s): %s", cli_str(listener, "namespace"),
				    cli_str(listener, "gateway"), cli_str(listener, "name"),
				    *hostname ? hostname : "all names",
				    cli_true(listener, "terminated") ? ", terminated" : "",
				    cli_str(listener, "text"));

		field("Gateway", text);
		free(text);
	}
	if (json_is_object(route))
		attached_print("TLSRoute", route);
	json_array_foreach (json_object_get(gateway, "lost"), i, one)
		attached_print("not", one);
	json_array_foreach (json_object_get(gateway, "obstacles"), i, one)
		field("in the way", cli_str(one, "text"));
	if (json_array_size(services))
		services_print(services);
}

static void explain_print(const json_t *explain)
{
	const json_t *backends = json_object_get(explain, "backends");
	const char *reason = cli_str(explain, "reason");
	bool is_ok = !strcmp(reason, "ok");
	char *timeouts = timeouts_text(json_object_get(explain, "timeouts"));
	char *bind = text_escape(cli_str(explain, "bind"));
	char *matched =
		text_format("%s (%s)", cli_str(explain, "matched"), cli_str(explain, "match"));
	char *decision = text_format(is_ok ? "%s" : "refused: %s (%s)",
				     is_ok ? cli_str(explain, "backend") : reason,
				     cli_str(explain, "reason_text"));

	printf("%s\n", bind);
	field("listener", cli_str(explain, "listener"));
	field("server name", cli_str(explain, "name")[0] ? cli_str(explain, "name") : "(none)");
	field_strings("looked up", json_object_get(explain, "tried"));
	field("matched", cli_str(explain, "match")[0] ? matched : "nothing");
	field("route", cli_str(explain, "route"));
	printf("%s", cli_colour(stdout, is_ok ? COLOUR_GREEN : COLOUR_RED));
	field(is_ok ? "next goes to" : "decision", decision);
	printf("%s", cli_colour(stdout, COLOUR_NONE));
	if (!is_ok)
		field("client gets", cli_str(explain, "on_refuse"));
	field("timeouts", timeouts);
	field("balance", cli_str(explain, "balance"));
	if (json_array_size(backends))
		shares_print(backends);
	gateway_print(json_object_get(explain, "gateway"));
	free(decision);
	free(matched);
	free(bind);
	free(timeouts);
}

/* "h2,http/1.1" -> ["h2", "http/1.1"]; NULL stays NULL. */
static json_t *alpn_list(const char *text)
{
	json_t *list;

	if (!text)
		return NULL;
	list = text_need(json_array());
	while (*text) {
		size_t len = strcspn(text, ",");

		if (len)
			json_array_append_new(list, text_need(json_stringn(text, len)));
		text += len + (text[len] == ',');
	}
	return list;
}

int route_explain(struct cli *cli)
{
	const json_t *explains, *explain;
	json_t *request, *answer;
	size_t i;
	long port;
	int status;

	status = cli_number(cli, OPT_PORT, 1, 65535, 0, &port);
	if (status == CLI_DONE)
		status = cli_check_ip(cli, OPT_SRC);
	if (status != CLI_DONE)
		return status;
	request =
		text_need(json_pack("{s:s, s:s*, s:s*, s:o*}", "op", "route.explain", "name",
				    cli->n_args ? cli->args[0] : NULL, "src", cli->options[OPT_SRC],
				    "alpn", alpn_list(cli->options[OPT_ALPN])));
	if (port)
		json_object_set_new(request, "port", json_integer(port));
	status = cli_request(cli, request, &answer);
	if (status != CLI_DONE)
		return status;
	explains = json_object_get(answer, "explain");
	if (cli->is_json)
		status = cli_json(cli, explains);
	else if (!json_array_size(explains))
		cli_note(cli, port ? "no listener on port %ld" : "no listeners", port);
	else
		json_array_foreach (explains, i, explain)
			explain_print(explain);
	json_decref(answer);
	return status;
}
