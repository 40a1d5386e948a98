// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* thruway listener: show. */
#include "cli/cli.h"

#include <stdlib.h>

char *timeouts_text(const json_t *timeouts)
{
	static const char *const keys[][2] = {{"hello_ms", "hello"},
					      {"connect_ms", "connect"},
					      {"idle_ms", "idle"},
					      {"half_closed_ms", "half-closed"}};
	char duration[TEXT_SIZE], *text = NULL;
	const char *between = "";
	size_t len;
	FILE *out = text_need(open_memstream(&text, &len));

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		long long ms = cli_int(timeouts, keys[i][0]);

		if (!ms)
			continue;
		fprintf(out, "%s%s %s", between, keys[i][1], text_duration(duration, ms));
		between = ", ";
	}
	if (fclose(out))
		text_need(NULL);
	return text;
}

static long long refused_sum(const json_t *refused)
{
	const char *reason;
	json_t *n;
	long long sum = 0;

	json_object_foreach ((json_t *)refused, reason, n)
		sum += json_integer_value(n);
	return sum;
}

static void listeners_print(const json_t *listeners)
{
	struct table *table = table_new("NAME|ADDRESS|HOSTNAME|ON REFUSE|>ACCEPTED|>WAITING|"
					">REFUSED");
	const json_t *listener;
	size_t i;

	json_array_foreach (listeners, i, listener) {
		const json_t *stats = json_object_get(listener, "stats");
		const char *hostname = cli_str(listener, "hostname");

		table_cell(table, "%s", cli_str(listener, "name"));
		table_cell(table, "%s", cli_str(listener, "address"));
		table_cell(table, "%s", hostname[0] ? hostname : "(all)");
		table_cell(table, "%s", cli_str(listener, "on_refuse"));
		table_cell(table, "%lld", cli_int(stats, "accepted"));
		table_cell(table, "%lld", cli_int(stats, "waiting"));
		table_cell(table, "%lld", refused_sum(json_object_get(stats, "refused")));
	}
	table_print(table, stdout);
}

static void fallback_print(const json_t *listener, const char *key, const char *head)
{
	char *text = cli_join(json_object_get(listener, key), SIZE_MAX);
	char *escaped = text_escape(text);

	if (text[0])
		printf("  %-14s%s\n", head, escaped);
	free(escaped);
	free(text);
}

static void listener_print(const json_t *listener)
{
	const json_t *stats = json_object_get(listener, "stats");
	char *timeouts = timeouts_text(json_object_get(listener, "timeouts"));
	char *paths = cli_join(json_object_get(listener, "paths"), SIZE_MAX);
	char *name = text_escape(cli_str(listener, "name"));
	char *address = text_escape(cli_str(listener, "address"));
	char *hostname = text_escape(cli_str(listener, "hostname"));
	const char *reason;
	json_t *n;

	printf("listener %s\n  %-14s%s\n  %-14s%s\n  %-14s%s\n  %-14s%s\n", name, "address",
	       address, "hostname", hostname[0] ? hostname : "(all)", "on refuse",
	       cli_str(listener, "on_refuse"), "timeouts", timeouts);
	printf("  %-14s%s%s\n", "paths", paths,
	       cli_true(listener, "direct") ? ", direct between programs of this node" : "");
	fallback_print(listener, "no_sni", "no name to");
	fallback_print(listener, "unknown_name", "unknown to");
	fallback_print(listener, "not_tls", "not TLS to");
	printf("  %-14s%lld accepted, %lld waiting for a hello or a backend\n", "connections",
	       cli_int(stats, "accepted"), cli_int(stats, "waiting"));
	json_object_foreach (json_object_get(stats, "refused"), reason, n)
		if (json_integer_value(n))
			printf("  %-14s%lld %s\n", "refused", json_integer_value(n), reason);
	free(paths);
	free(name);
	free(address);
	free(hostname);
	free(timeouts);
}

int listener_show(struct cli *cli)
{
	const char *name = cli->n_args ? cli->args[0] : NULL;
	const json_t *listeners, *listener;
	json_t *answer;
	size_t i;
	int status;

	status = cli_request(cli, json_pack("{s:s, s:s*}", "op", "listener.show", "name", name),
			     &answer);
	if (status != CLI_DONE)
		return status;
	listeners = json_object_get(answer, "listeners");
	if (cli->is_json)
		status = cli_json(cli, listeners);
	else if (!json_array_size(listeners))
		cli_note(cli, name ? "no listener %s" : "no listeners", name);
	else if (name)
		json_array_foreach (listeners, i, listener)
			listener_print(listener);
	else
		listeners_print(listeners);
	json_decref(answer);
	return status;
}
