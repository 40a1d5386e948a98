// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* thruway backend: show, drain, undrain. */
#include "cli/cli.h"

#include <stdlib.h>

#define CELL_ROUTES 3

static void backends_print(const json_t *backends)
{
	struct table *table =
		table_new("ADDRESS|STATE|>POOL|ROUTES|>ACTIVE|>TOTAL|>FAILED|>TO BACKEND|"
			  ">TO CLIENT");
	const json_t *backend;
	size_t i;

	json_array_foreach (backends, i, backend) {
		const json_t *stats = json_object_get(backend, "stats");
		char *routes = cli_join(json_object_get(backend, "routes"), CELL_ROUTES);
		char bytes[TEXT_SIZE];

		table_cell(table, "%s", cli_str(backend, "address"));
		table_cell(table, "%s", cli_true(backend, "drained") ? "drained" : "in use");
		table_cell(table, "%lld", cli_int(backend, "pool"));
		table_cell(table, "%s", routes);
		table_cell(table, "%lld", cli_int(stats, "active"));
		table_cell(table, "%lld", cli_int(stats, "connections"));
		table_cell(table, "%lld", cli_int(stats, "connect_failures"));
		table_cell(table, "%s", text_bytes(bytes, cli_int(stats, "bytes_to_backend")));
		table_cell(table, "%s", text_bytes(bytes, cli_int(stats, "bytes_to_client")));
		free(routes);
	}
	table_print(table, stdout);
}

int backend_show(struct cli *cli)
{
	const char *address = cli->n_args ? cli->args[0] : NULL;
	const json_t *backends;
	json_t *answer;
	int status;

	status = cli_request(
		cli, json_pack("{s:s, s:s*}", "op", "backend.show", "address", address), &answer);
	if (status != CLI_DONE)
		return status;
	backends = json_object_get(answer, "backends");
	if (cli->is_json)
		status = cli_json(cli, backends);
	else if (!json_array_size(backends))
		cli_note(cli, address ? "no backend %s" : "no backends", address);
	else
		backends_print(backends);
	json_decref(answer);
	return status;
}

static int drain(struct cli *cli, const char *op, const char *word)
{
	const json_t *backend;
	json_t *answer;
	int status;

	status = cli_request(cli, json_pack("{s:s, s:s}", "op", op, "address", cli->args[0]),
			     &answer);
	if (status != CLI_DONE)
		return status;
	backend = json_object_get(answer, "backend");
	if (cli->is_json)
		status = cli_json(cli, backend);
	else
		cli_note(cli, "%s: backend %s (%lld active connections)", word,
			 cli_str(backend, "address"),
			 cli_int(json_object_get(backend, "stats"), "active"));
	json_decref(answer);
	return status;
}

int backend_drain(struct cli *cli)
{
	return drain(cli, "backend.drain", "drained");
}

int backend_undrain(struct cli *cli)
{
	return drain(cli, "backend.undrain", "in use again");
}
