// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* thruway apply and thruway check: a configuration for the daemon, or only its mistakes. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/problems.h"
#include "model/config.h"
#include "model/gateway.h"
#include "model/table.h"

static int file_check(const struct cli *cli)
{
	if (cli->options[OPT_FILE])
		return CLI_DONE;
	return cli_usage(cli, "-f is missing: what is to be read (FILE, DIR or -)");
}

/* Print the error and @problems (whose texts are freed with it). */
static int problems_error(const struct cli *cli, struct config_problems *problems)
{
	json_t *list = text_need(problems_json(problems));

	cli_error(cli, list, "%s: %zu error%s", cli->options[OPT_FILE], problems->n_errors,
		  problems->n_errors == 1 ? "" : "s");
	json_decref(list);
	config_problems_fini(problems);
	return CLI_FAILED;
}

/* --- apply ----------------------------------------------------------------------------------- */

/* What JSON cannot carry is no YAML either: bytes that are not UTF-8, NUL bytes. */
static json_t *files_json(const struct config_text *texts, size_t n,
			  struct config_problems *problems)
{
	json_t *files = text_need(json_array());
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		struct config_pos pos = {.file = texts[i].file};
		char *name = text_escape(texts[i].file);
		json_t *text = json_stringn(texts[i].text, texts[i].len);

		total += texts[i].len;
		if (!text)
			config_problem_add(problems, &pos, false, "the text is not UTF-8");
		else if (memchr(texts[i].text, '\0', texts[i].len))
			config_problem_add(problems, &pos, false, "the text holds a NUL byte");
		json_array_append_new(files, json_pack("{s:s, s:o}", "name", name, "text",
						       text ? text : json_null()));
		free(name);
	}
	if (total > CONFIG_BYTES_MAX)
		config_problem_add(problems, NULL, false,
				   "%zu bytes of configuration are more than %u", total,
				   CONFIG_BYTES_MAX);
	return files;
}

/* The files as the request carries them. */
static int files_read(const struct cli *cli, json_t **ret_files)
{
	struct config_problems problems;
	struct config_text *texts = NULL;
	json_t *files = NULL;
	size_t n = 0;
	int err;

	config_problems_init(&problems);
	err = config_read(cli->options[OPT_FILE], &texts, &n, &problems);
	if (!err)
		files = files_json(texts, n, &problems);
	config_texts_free(texts, n);
	if (err || problems.n_errors) {
		json_decref(files);
		return problems_error(cli, &problems);
	}
	config_problems_fini(&problems);
	*ret_files = files;
	return CLI_DONE;
}

static void changes_print(const struct cli *cli, const json_t *changes)
{
	size_t added = 0, changed = 0, removed = 0, i;
	const json_t *change;

	json_array_foreach (changes, i, change) {
		const char *action = cli_str(change, "action");
		char *object = text_escape(cli_str(change, "object"));
		char *name = text_escape(cli_str(change, "name"));
		enum cli_colour colour = COLOUR_YELLOW;
		char sign = '~';

		if (!strcmp(action, "add")) {
			sign = '+';
			colour = COLOUR_GREEN;
			added++;
		} else if (!strcmp(action, "remove")) {
			sign = '-';
			colour = COLOUR_RED;
			removed++;
		} else {
			changed++;
		}
		printf("%s%c %s %s%s\n", cli_colour(stdout, colour), sign, object, name,
		       cli_colour(stdout, COLOUR_NONE));
		free(object);
		free(name);
	}
	if (!json_array_size(changes))
		cli_note(cli, "no changes");
	else
		cli_note(cli, "%zu added, %zu changed, %zu removed", added, changed, removed);
}

int apply_run(struct cli *cli)
{
	bool is_dry = cli->options[OPT_DRY_RUN], is_partial = cli->options[OPT_PARTIAL];
	json_t *files = NULL, *answer;
	int status;

	status = file_check(cli);
	if (status == CLI_DONE)
		status = files_read(cli, &files);
	if (status != CLI_DONE)
		return status;
	status = cli_request(cli,
			     json_pack("{s:s, s:o, s:b, s:b}", "op", "apply", "files", files,
				       "dry_run", is_dry, "partial", is_partial),
			     &answer);
	if (status != CLI_DONE)
		return status;
	if (cli->is_json) {
		status = cli_json(cli, answer);
	} else {
		changes_print(cli, json_object_get(answer, "changes"));
		if (is_dry)
			cli_note(cli, "dry run: nothing was changed");
	}
	json_decref(answer);
	return status;
}

/* --- check ----------------------------------------------------------------------------------- */

int check_run(struct cli *cli)
{
	struct config_problems problems;
	struct config *config = NULL;
	struct table *table = NULL;
	json_t *list, *answer;
	size_t n_skipped;
	int status, err;

	status = file_check(cli);
	if (status != CLI_DONE)
		return status;
	config_problems_init(&problems);
	err = config_load(cli->options[OPT_FILE], &config, &problems);
	/* What a configuration has too much of, the table knows. */
	if (!err && table_build(config, NULL, 0, &problems, &table))
		err = -ENOMEM;
	table_free(table);
	if (err || problems.n_errors) {
		config_free(config);
		return problems_error(cli, &problems);
	}
	list = text_need(problems_json(&problems));
	config_problems_fini(&problems);
	n_skipped = config->gateway ? gateway_n_skipped(config->gateway) : 0;
	if (cli->is_json) {
		answer = text_need(json_pack("{s:I, s:I, s:I, s:O}", "listeners",
					     (json_int_t)config->n_listeners, "routes",
					     (json_int_t)config->n_routes, "skipped",
					     (json_int_t)n_skipped, "problems", list));
		status = cli_json(cli, answer);
		json_decref(answer);
	} else {
		cli_problems(list, stderr);
		printf("ok: %zu listener%s, %zu route%s", config->n_listeners,
		       config->n_listeners == 1 ? "" : "s", config->n_routes,
		       config->n_routes == 1 ? "" : "s");
		if (n_skipped)
			printf("; %zu object%s of other kinds skipped", n_skipped,
			       n_skipped == 1 ? "" : "s");
		putchar('\n');
	}
	json_decref(list);
	config_free(config);
	return status;
}
