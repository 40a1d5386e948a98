// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* thruway status: what the daemon is and holds, and the statuses of its Kubernetes objects. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

/* Only where something is wrong. */
static void reload_print(const json_t *reload)
{
	long long failed = cli_int(reload, "failed_unix_ms"), errors = cli_int(reload, "errors");
	long long now = clock_unix_ms(), since = cli_int(reload, "in_force_unix_ms");
	char ago[TEXT_SIZE], age[TEXT_SIZE], *why = text_escape(cli_str(reload, "why"));

	if (failed)
		printf("  %-14s%sfailed %s ago: %s; the configuration of %s ago is in force%s\n",
		       "reload", cli_colour(stdout, COLOUR_RED), text_duration(ago, now - failed),
		       why, text_duration(age, now - since), cli_colour(stdout, COLOUR_NONE));
	if (errors)
		printf("  %-14s%swhat has errors (%lld); the daemon's log says which%s\n",
		       "left out", cli_colour(stdout, COLOUR_YELLOW), errors,
		       cli_colour(stdout, COLOUR_NONE));
	free(why);
}

static void daemon_print(const json_t *status, long long n_skipped)
{
	char uptime[TEXT_SIZE], bytes[TEXT_SIZE];
	char *paths = cli_join(json_object_get(status, "paths"), SIZE_MAX);
	char *config = text_escape(cli_str(status, "config"));

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
	if (n_skipped)
		printf("  %-14s%lld object%s of other kinds\n", "skipped", n_skipped,
		       n_skipped == 1 ? "" : "s");
	reload_print(json_object_get(status, "reload"));
	free(paths);
	free(config);
}

/* --- objects --------------------------------------------------------------------------------- */

/* "Gateway", "default/gateway", "listener tls": what a row is about. */
static void rows_of(struct table *table, const char *kind, const char *name, const char *part,
		    const json_t *conditions)
{
	const json_t *condition;
	size_t i;

	json_array_foreach (conditions, i, condition) {
		table_cell(table, "%s", kind);
		table_cell(table, "%s", name);
		table_cell(table, "%s", part);
		table_cell(table, "%s", cli_str(condition, "type"));
		table_cell(table, "%s", cli_str(condition, "status"));
		table_cell(table, "%s", cli_str(condition, "reason"));
		table_cell(table, "%s", cli_str(condition, "message"));
	}
}

/* A route that no Gateway of ours knows has no conditions. */
static void orphan_row(struct table *table, const char *kind, const char *name)
{
	table_cell(table, "%s", kind);
	table_cell(table, "%s", name);
	for (int i = 0; i < 4; i++)
		table_cell(table, "%s", "");
	table_cell(table, "%s", "none of its parents is a Gateway that is served here");
}

static char *parent_text(const json_t *parent)
{
	const json_t *ref = json_object_get(parent, "parentRef");
	const char *section = cli_str(ref, "sectionName");

	return text_format("parent %s%s%s", cli_str(ref, "name"), *section ? "/" : "", section);
}

static void object_rows(struct table *table, const json_t *object)
{
	const json_t *meta = json_object_get(object, "metadata"), *part, *parents;
	const json_t *status = json_object_get(object, "status");
	const char *kind = cli_str(object, "kind"), *ns = cli_str(meta, "namespace");
	char *name = text_format("%s%s%s", ns, *ns ? "/" : "", cli_str(meta, "name")), *what;
	size_t i;

	rows_of(table, kind, name, "", json_object_get(status, "conditions"));
	json_array_foreach (json_object_get(status, "listeners"), i, part) {
		what = text_format("listener %s (%lld)", cli_str(part, "name"),
				   cli_int(part, "attachedRoutes"));
		rows_of(table, kind, name, what, json_object_get(part, "conditions"));
		free(what);
	}
	parents = json_object_get(status, "parents");
	if (parents && !json_array_size(parents))
		orphan_row(table, kind, name);
	json_array_foreach (parents, i, part) {
		what = parent_text(part);
		rows_of(table, kind, name, what, json_object_get(part, "conditions"));
		free(what);
	}
	free(name);
}

static void objects_print(const json_t *objects)
{
	struct table *table = table_new("KIND|NAME|PART|CONDITION|STATUS|REASON|MESSAGE");
	const json_t *object;
	size_t i;

	json_array_foreach (objects, i, object)
		object_rows(table, object);
	table_print(table, stdout);
}

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_YAML, FORMATS };

/* A Kubernetes List; what the daemon says of itself stands beside its items. */
static int list_print(struct cli *cli, const json_t *answer, enum format format)
{
	json_t *list = text_need(
		json_pack("{s:s, s:s, s:[]}", "apiVersion", "v1", "kind", "List", "items"));
	int code;

	json_array_extend(json_object_get(list, "items"), json_object_get(answer, "objects"));
	if (!cli->n_args) {
		json_object_update(list, json_object_get(answer, "status"));
		json_object_set(list, "skipped", json_object_get(answer, "skipped"));
	}
	code = format == FORMAT_YAML ? cli_yaml(cli, list) : cli_json(cli, list);
	json_decref(list);
	return code;
}

/* ---------------------------------------------------------------------------------------------- */

static int read_format(struct cli *cli, enum format *ret_format)
{
	static const char *const words[] = {"table", "json", "yaml", NULL};
	const char *asked = cli->options[OPT_OUTPUT];

	*ret_format = cli->is_json ? FORMAT_JSON : FORMAT_TABLE;
	if (!asked)
		return CLI_DONE;
	for (enum format format = 0; format < FORMATS; format++) {
		if (strcmp(asked, words[format]) != 0)
			continue;
		if (cli->is_json && format != FORMAT_JSON)
			return cli_usage(cli, "-j asks for JSON, --output for %s", asked);
		*ret_format = format;
		return CLI_DONE;
	}
	return cli_usage(cli, "--output: '%s' is not table, json or yaml%s", asked,
			 cli_did_you_mean(asked, words));
}

const char *status_kind(const char *asked)
{
	static const char *const kinds[][4] = {
		{"GatewayClass", "gatewayclass", "gatewayclasses", "gc"},
		{"Gateway", "gateway", "gateways", "gtw"},
		{"TLSRoute", "tlsroute", "tlsroutes", ""},
	};
	static const char *const groups[] = {"", ".gateway.networking.k8s.io",
					     ".v1.gateway.networking.k8s.io"};
	size_t len = strcspn(asked, "./"), group_len = strcspn(asked + len, "/");
	bool has_group = false;

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		has_group |= strlen(groups[i]) == group_len &&
			     !strncasecmp(asked + len, groups[i], group_len);
	for (size_t i = 0; has_group && len && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (size_t k = 1; k < 4; k++)
			if (strlen(kinds[i][k]) == len && !strncasecmp(asked, kinds[i][k], len))
				return kinds[i][0];
	return NULL;
}

/* KIND, KIND/NAME or KIND NAME. */
static int read_object(const struct cli *cli, const char **ret_kind, const char **ret_name)
{
	static const char *const words[] = {"gatewayclass", "gateway", "tlsroute", NULL};
	const char *asked = cli->args[0], *slash = strchr(asked, '/');
	char *kind = text_format("%.*s", (int)strcspn(asked, "/"), asked);
	int code = CLI_DONE;

	*ret_kind = status_kind(asked);
	*ret_name = slash ? slash + 1 : cli->n_args > 1 ? cli->args[1] : NULL;
	if (!*ret_kind)
		code = cli_usage(cli, "KIND: '%s' is not gatewayclass, gateway or tlsroute%s", kind,
				 cli_did_you_mean(kind, words));
	else if (slash && cli->n_args > 1)
		code = cli_usage(cli, "'%s' has its name already: one object at a time", asked);
	else if (*ret_name && !**ret_name)
		code = cli_usage(cli, "'%s' names no %s: leave the '/' out for all of them", asked,
				 *ret_kind);
	free(kind);
	return code;
}

int status_show(struct cli *cli)
{
	const char *kind = NULL, *name = NULL, *ns = cli->options[OPT_NAMESPACE];
	const json_t *objects;
	enum format format;
	json_t *answer;
	int code;

	code = read_format(cli, &format);
	if (code == CLI_DONE && cli->n_args)
		code = read_object(cli, &kind, &name);
	if (code == CLI_DONE)
		code = cli_request(cli,
				   json_pack("{s:s, s:s*, s:s*, s:s*}", "op", "status", "kind",
					     kind, "name", name, "namespace", ns),
				   &answer);
	if (code != CLI_DONE)
		return code;
	objects = json_object_get(answer, "objects");
	if (cli->n_args && !json_array_size(objects)) {
		code = cli_error(cli, NULL, "no object of ours is %s%s%s%s%s", cli->args[0],
				 cli->n_args > 1 ? "/" : "", cli->n_args > 1 ? cli->args[1] : "",
				 ns ? " in namespace " : "", ns ? ns : "");
	} else if (format != FORMAT_TABLE) {
		code = list_print(cli, answer, format);
	} else {
		if (!cli->n_args)
			daemon_print(json_object_get(answer, "status"), cli_int(answer, "skipped"));
		if (!cli->n_args && json_array_size(objects))
			putchar('\n');
		if (json_array_size(objects))
			objects_print(objects);
	}
	json_decref(answer);
	return code;
}
