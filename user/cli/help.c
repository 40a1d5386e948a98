// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Help and usage lines of the command line tool, made of the table of commands. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

/* Where the explanations begin. */
#define HELP_COLUMN 30

static void command_usage(const struct cli_command *command, FILE *out)
{
	fprintf(out, "usage: thruway %s%s%s%s%s", command->object, command->verb ? " " : "",
		command->verb ? command->verb : "", command->args[0] ? " " : "", command->args);
	for (const struct cli_use *use = command->uses; use->opt != OPT_NONE; use++) {
		const struct cli_option *option = &cli_options[use->opt];

		/* Those that belong to the arguments stand there. */
		if (use->opt == OPT_FILE || use->opt == OPT_WATCH)
			continue;
		if (option->letter)
			fprintf(out, " [-%c", option->letter);
		else
			fprintf(out, " [--%s", option->name);
		fprintf(out, "%s%s]", use->value ? " " : "", use->value ? use->value : "");
	}
	fputc('\n', out);
}

static void object_usage(const char *object, FILE *out)
{
	const char *between = "";

	fprintf(out, "usage: thruway %s ", object);
	for (const struct cli_command *c = cli_commands; c->object; c++)
		if (!strcmp(c->object, object)) {
			fprintf(out, "%s%s", between, c->verb);
			between = "|";
		}
	fprintf(out, " ...\n");
}

void cli_usage_line(const struct cli *cli, FILE *out)
{
	if (cli->command)
		command_usage(cli->command, out);
	else if (cli->object)
		object_usage(cli->object, out);
	else
		fprintf(out, "usage: thruway [options] OBJECT VERB ...\n");
	if (out == stderr)
		fprintf(out, "try: thruway %s%s%s%s--help\n", cli->object ? cli->object : "",
			cli->object ? " " : "",
			cli->command && cli->command->verb ? cli->command->verb : "",
			cli->command && cli->command->verb ? " " : "");
}

static void use_help(const struct cli_use *uses, FILE *out)
{
	for (; uses->opt != OPT_NONE; uses++) {
		const struct cli_option *option = &cli_options[uses->opt];
		char letter[] = {'-', option->letter, ',', ' ', '\0'};
		char *head =
			text_format("  %s--%s%s%s", option->letter ? letter : "    ", option->name,
				    uses->value ? " " : "", uses->value ? uses->value : "");

		fprintf(out, "%-*s  %s\n", HELP_COLUMN - 2, head, uses->text);
		free(head);
	}
}

static void command_help(const struct cli_command *command, FILE *out)
{
	fprintf(out, "thruway %s%s%s: %s\n\n", command->object, command->verb ? " " : "",
		command->verb ? command->verb : "", command->summary);
	command_usage(command, out);
	if (command->help[0])
		fprintf(out, "\n%s\n", command->help);
	if (command->uses->opt != OPT_NONE) {
		fprintf(out, "\nOptions:\n");
		use_help(command->uses, out);
	}
	fprintf(out, "\nOptions of every command:\n");
	use_help(cli_common, out);
}

/* All commands, or those of @object. */
static void list_help(const char *object, FILE *out)
{
	for (const struct cli_command *c = cli_commands; c->object; c++) {
		char *head;

		if (object && strcmp(c->object, object))
			continue;
		head = text_format("  %s%s%s %s", c->object, c->verb ? " " : "",
				   c->verb ? c->verb : "", c->args);
		if (strlen(head) > HELP_COLUMN + 10)
			fprintf(out, "%s\n%*s  %s\n", head, HELP_COLUMN + 10, "", c->summary);
		else
			fprintf(out, "%-*s  %s\n", HELP_COLUMN + 10, head, c->summary);
		free(head);
	}
}

void cli_help(const struct cli *cli, FILE *out)
{
	if (cli->command) {
		command_help(cli->command, out);
		return;
	}
	if (cli->object)
		object_usage(cli->object, out);
	else
		fprintf(out, "thruway: routes TLS connections by server name, inside the kernel\n\n"
			     "usage: thruway [options] OBJECT VERB ...\n");
	fprintf(out, "\nCommands:\n");
	list_help(cli->object, out);
	fprintf(out, "\nOptions, anywhere on the line:\n");
	use_help(cli_common, out);
	fprintf(out, "\nExit status: 0 done, 1 failed, 2 called wrong. Each command: thruway %s",
		cli->object ? cli->object : "OBJECT");
	fprintf(out, " VERB --help\n");
}
