// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* thruway conn: show, kill. */
#include "cli/cli.h"

#include <stdlib.h>

static json_t *conn_request(const struct cli *cli, const char *op)
{
	return json_pack("{s:s, s:s*, s:s*, s:s*, s:s*, s:s*}", "op", op, "id",
			 cli->n_args ? cli->args[0] : NULL, "route", cli->options[OPT_ROUTE],
			 "backend", cli->options[OPT_BACKEND], "listener",
			 cli->options[OPT_LISTENER], "client", cli->options[OPT_CLIENT]);
}

static bool has_filter(const struct cli *cli)
{
	return cli->n_args || cli->options[OPT_ROUTE] || cli->options[OPT_BACKEND] ||
	       cli->options[OPT_LISTENER] || cli->options[OPT_CLIENT];
}

static void conns_print(const json_t *conns)
{
	struct table *table = table_new("ID|CLIENT|LISTENER|SERVER NAME|ROUTE|BACKEND|PATH|STATE|"
					">TO BACKEND|>TO CLIENT|>AGE|>IDLE");
	const json_t *conn;
	size_t i;

	json_array_foreach (conns, i, conn) {
		char text[TEXT_SIZE];

		table_cell(table, "%s", cli_str(conn, "id"));
		table_cell(table, "%s", cli_str(conn, "client"));
		table_cell(table, "%s", cli_str(conn, "listener"));
		table_cell(table, "%s", cli_str(conn, "sni"));
		table_cell(table, "%s", cli_str(conn, "route"));
		table_cell(table, "%s", cli_str(conn, "backend"));
		table_cell(table, "%s", cli_str(conn, "path"));
		table_cell(table, "%s", cli_str(conn, "state"));
		table_cell(table, "%s", text_bytes(text, cli_int(conn, "bytes_to_backend")));
		table_cell(table, "%s", text_bytes(text, cli_int(conn, "bytes_to_client")));
		table_cell(table, "%s", text_duration(text, cli_int(conn, "age_ms")));
		table_cell(table, "%s", text_duration(text, cli_int(conn, "idle_ms")));
	}
	table_print(table, stdout);
}

int conn_show(struct cli *cli)
{
	const json_t *conns;
	json_t *answer;
	int status;

	status = cli_check_ip(cli, OPT_CLIENT);
	if (status == CLI_DONE)
		status = cli_request(cli, conn_request(cli, "conn.show"), &answer);
	if (status != CLI_DONE)
		return status;
	conns = json_object_get(answer, "connections");
	if (cli->is_json)
		status = cli_json(cli, conns);
	else if (!json_array_size(conns))
		cli_note(cli, has_filter(cli) ? "no such connection" : "no connections");
	else
		conns_print(conns);
	json_decref(answer);
	return status;
}

int conn_kill(struct cli *cli)
{
	json_t *request, *answer;
	int status;

	if (cli->options[OPT_ALL] && has_filter(cli))
		return cli_usage(cli, "--all is every connection: leave the others out");
	if (!cli->options[OPT_ALL] && !has_filter(cli))
		return cli_usage(cli, "which connections? an ID, --route, --backend, --listener, "
				      "--client or --all");
	status = cli_check_ip(cli, OPT_CLIENT);
	if (status != CLI_DONE)
		return status;
	request = text_need(conn_request(cli, "conn.kill"));
	if (cli->options[OPT_ALL])
		json_object_set_new(request, "all", json_true());
	status = cli_request(cli, request, &answer);
	if (status != CLI_DONE)
		return status;
	if (cli->is_json)
		status = cli_json(cli, answer);
	else
		cli_note(cli, "killed: %lld connection%s", cli_int(answer, "killed"),
			 cli_int(answer, "killed") == 1 ? "" : "s");
	json_decref(answer);
	return status;
}
