// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* thruway status: what the daemon is and holds. */
#include "cli/cli.h"

#include <stdlib.h>

int status_show(struct cli *cli)
{
	char uptime[TEXT_SIZE], bytes[TEXT_SIZE];
	const json_t *status;
	json_t *answer;
	char *paths, *config;
	int code;

	code = cli_request(cli, json_pack("{s:s}", "op", "status"), &answer);
	if (code != CLI_DONE)
		return code;
	status = json_object_get(answer, "status");
	if (cli->is_json) {
		code = cli_json(cli, status);
		json_decref(answer);
		return code;
	}
	paths = cli_join(json_object_get(status, "paths"), SIZE_MAX);
	config = text_escape(cli_str(status, "config"));
	printf("thruwayd %s, instance %s, pid %lld, up %s\n", cli_str(status, "version"),
	       cli_str(status, "instance"), cli_int(status, "pid"),
	       text_duration(uptime, cli_int(status, "uptime_s") * 1000));
	printf("  %-14s%s\n", "configuration", config);
	printf("  %-14s%s\n", "paths", paths);
	printf("  %-14s%lld\n", "workers", cli_int(status, "workers"));
	printf("  %-14s%lld open of at most %lld\n", "connections", cli_int(status, "connections"),
	       cli_int(status, "max_connections"));
	printf("  %-14s%s for connections, %lld pipes\n", "memory",
	       text_bytes(bytes, cli_int(status, "bytes")), cli_int(status, "pipes"));
	free(paths);
	free(config);
	json_decref(answer);
	return CLI_DONE;
}
