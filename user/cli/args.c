// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A call of the command line tool, read by the table of commands: options anywhere, then object,
 * verb and arguments. Says what is wrong with a call. Does nothing else.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/instance.h"
#include "model/nearest.h"

#define CHOICES_MAX 64
#define OPTION_MAX  128 /* of an unknown option, what is shown */

const char *cli_did_you_mean(const char *word, const char *const *words)
{
	static char text[64];
	const char *dashes = strncmp(word, "--", 2) ? "" : "--";
	struct nearest nearest = nearest_to(word + strlen(dashes));

	for (; *words; words++)
		nearest_try(&nearest, *words);
	if (!nearest.best)
		return "";
	snprintf(text, sizeof(text), "; did you mean '%s%s'?", dashes, nearest.best);
	return text;
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	char *text = NULL, *escaped;
	va_list ap;

	if (cli->is_ahead)
		return CLI_WRONG;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	text_need(text);
	escaped = text_escape(text);
	if (cli->is_json)
		cli_error_json(cli, NULL, text);
	fprintf(stderr, "thruway: %s\n", escaped);
	cli_usage_line(cli, stderr);
	free(escaped);
	free(text);
	return CLI_WRONG;
}

int cli_number(const struct cli *cli, enum cli_opt opt, long min, long max, long fallback,
	       long *ret_value)
{
	const char *text = cli->options[opt];
	char *end;
	long value;

	*ret_value = fallback;
	if (!text)
		return CLI_DONE;
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || value < min || value > max)
		return cli_usage(cli, "--%s: '%s' is not a number from %ld to %ld",
				 cli_options[opt].name, text, min, max);
	*ret_value = value;
	return CLI_DONE;
}

int cli_check_ip(const struct cli *cli, enum cli_opt opt)
{
	uint8_t ip[16];

	if (!cli->options[opt] || !addr_parse_ip(cli->options[opt], ip))
		return CLI_DONE;
	return cli_usage(cli, "--%s: '%s' is not an IPv4 or IPv6 address", cli_options[opt].name,
			 cli->options[opt]);
}

/* --- options --------------------------------------------------------------------------------- */

static enum cli_opt option_find(const char *name, size_t len, char letter)
{
	for (enum cli_opt opt = OPT_NONE + 1; opt < OPT_N; opt++) {
		if (letter && cli_options[opt].letter == letter)
			return opt;
		if (!letter && strlen(cli_options[opt].name) == len &&
		    !strncmp(cli_options[opt].name, name, len))
			return opt;
	}
	return OPT_NONE;
}

static int option_unknown(const struct cli *cli, const char *name)
{
	const char *names[OPT_N] = {};
	char bare[OPTION_MAX];
	size_t n = 0;

	snprintf(bare, sizeof(bare), "--%.*s", (int)strcspn(name, "="), name);
	for (enum cli_opt opt = OPT_NONE + 1; opt < OPT_N; opt++)
		names[n++] = cli_options[opt].name;
	return cli_usage(cli, "there is no option %s%s", bare, cli_did_you_mean(bare, names));
}

static int option_set(struct cli *cli, enum cli_opt opt, const char *value)
{
	if (cli->options[opt] && cli_options[opt].has_value)
		return cli_usage(cli, "--%s is given twice", cli_options[opt].name);
	cli->options[opt] = value ? value : "";
	if (opt == OPT_JSON || opt == OPT_PRETTY || (opt == OPT_OUTPUT && !strcmp(value, "json")))
		cli->is_json = true;
	if (opt == OPT_PRETTY)
		cli->is_pretty = true;
	return CLI_DONE;
}

/* "--name", "--name=value", "--name value"; *@at is moved past a value of its own. */
static int option_long(struct cli *cli, const char *text, char **argv, int argc, int *at)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : NULL;
	enum cli_opt opt = option_find(text, len, 0);

	if (opt == OPT_NONE)
		return option_unknown(cli, text);
	/* The one option whose value may be missing: --watch=2 is "--watch 2". */
	if (value && opt == OPT_WATCH)
		return option_set(cli, opt, value);
	if (value && !cli_options[opt].has_value)
		return cli_usage(cli, "--%s takes no value", cli_options[opt].name);
	if (!value && cli_options[opt].has_value) {
		if (*at + 1 >= argc)
			return cli_usage(cli, "--%s needs a value", cli_options[opt].name);
		value = argv[++*at];
	}
	return option_set(cli, opt, value);
}

/* "-jp", "-f FILE", "-fFILE". */
static int option_short(struct cli *cli, const char *letters, char **argv, int argc, int *at)
{
	for (; *letters; letters++) {
		enum cli_opt opt = option_find(NULL, 0, *letters);
		const char *value = NULL;

		if (opt == OPT_NONE)
			return cli_usage(cli, "there is no option -%c", *letters);
		if (cli_options[opt].has_value) {
			if (letters[1])
				value = letters + 1;
			else if (*at + 1 < argc)
				value = argv[++*at];
			else
				return cli_usage(cli, "-%c needs a value", *letters);
			return option_set(cli, opt, value);
		}
		if (option_set(cli, opt, NULL) != CLI_DONE)
			return CLI_WRONG;
	}
	return CLI_DONE;
}

static bool option_is_used(const struct cli_use *uses, enum cli_opt opt)
{
	for (; uses->opt != OPT_NONE; uses++)
		if (uses->opt == opt)
			return true;
	return false;
}

static int options_check(const struct cli *cli)
{
	const struct cli_command *command = cli->command;

	for (enum cli_opt opt = OPT_NONE + 1; opt < OPT_N; opt++)
		if (cli->options[opt] && !option_is_used(command->uses, opt) &&
		    !option_is_used(cli_common, opt))
			return cli_usage(cli, "%s%s%s takes no option --%s", command->object,
					 command->verb ? " " : "",
					 command->verb ? command->verb : "", cli_options[opt].name);
	return CLI_DONE;
}

/* --- words ----------------------------------------------------------------------------------- */

static int object_unknown(const struct cli *cli, const char *word)
{
	const char *words[CHOICES_MAX] = {};
	size_t n = 0;

	for (const struct cli_command *c = cli_commands; c->object && n < CHOICES_MAX - 1; c++)
		words[n++] = c->object;
	return cli_usage(cli, "there is no '%s'%s", word, cli_did_you_mean(word, words));
}

static int verb_unknown(const struct cli *cli, const char *word)
{
	const char *words[CHOICES_MAX] = {};
	size_t n = 0;

	for (const struct cli_command *c = cli_commands; c->object && n < CHOICES_MAX - 1; c++)
		if (!strcmp(c->object, cli->object))
			words[n++] = c->verb;
	if (!word)
		return cli_usage(cli, "%s: VERB is missing", cli->object);
	return cli_usage(cli, "%s: there is no '%s'%s", cli->object, word,
			 cli_did_you_mean(word, words));
}

/* Find the command that the words name; what is left are its arguments. */
static int command_find(struct cli *cli)
{
	bool asks_help = cli->options[OPT_HELP] || cli->options[OPT_VERSION];
	const char *object = cli->n_args ? cli->args[0] : NULL;
	const char *verb = cli->n_args > 1 ? cli->args[1] : NULL;

	if (!object)
		return asks_help ? CLI_DONE : cli_usage(cli, "OBJECT and VERB are missing");
	for (const struct cli_command *c = cli_commands; c->object; c++) {
		if (strcmp(c->object, object))
			continue;
		cli->object = c->object;
		if (!c->verb || (verb && !strcmp(c->verb, verb))) {
			cli->command = c;
			break;
		}
	}
	if (!cli->object)
		return object_unknown(cli, object);
	if (!cli->command)
		return asks_help && !verb ? CLI_DONE : verb_unknown(cli, verb);
	cli->args += cli->command->verb ? 2 : 1;
	cli->n_args -= cli->command->verb ? 2 : 1;
	return CLI_DONE;
}

static int args_check(const struct cli *cli)
{
	if (cli->n_args < cli->command->args_min)
		return cli_usage(cli, "%.*s is missing", (int)strcspn(cli->command->args, " "),
				 cli->command->args);
	if (cli->n_args > cli->command->args_max)
		return cli_usage(cli, "'%s' is one word too many",
				 cli->args[cli->command->args_max]);
	if (!instance_is_valid(cli->instance))
		return cli_usage(cli, "--instance: '%s' is not a name (" INSTANCE_EXPECTED ")",
				 cli->instance);
	return options_check(cli);
}

/* What JSON cannot carry cannot be asked for. */
static int utf8_check(const struct cli *cli, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		json_t *text = json_string(argv[i]);

		if (!text)
			return cli_usage(cli, "argument %d is not UTF-8", i);
		json_decref(text);
	}
	return CLI_DONE;
}

/* Up to the first mistake, or to the end when it is looked ahead. */
static int words_read(struct cli *cli, int argc, char **argv)
{
	bool is_options = true;
	int status = CLI_DONE;

	for (int i = 1; i < argc && (status == CLI_DONE || cli->is_ahead); i++) {
		char *arg = argv[i];

		if (is_options && !strcmp(arg, "--"))
			is_options = false;
		else if (is_options && !strncmp(arg, "--", 2))
			status = option_long(cli, arg + 2, argv, argc, &i);
		else if (is_options && arg[0] == '-' && arg[1])
			status = option_short(cli, arg + 1, argv, argc, &i);
		else if (!cli->is_ahead)
			/* Words move to the front of argv, where those that were read stood. */
			cli->args[cli->n_args++] = arg;
	}
	return status;
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
	struct cli ahead = {.is_ahead = true};
	int status;

	/* A mistake is told in JSON also where -j stands behind it. */
	(void)words_read(&ahead, argc, argv);
	*cli = (struct cli){.args = argv, .is_json = ahead.is_json, .is_pretty = ahead.is_pretty};
	status = utf8_check(cli, argc, argv);
	if (status == CLI_DONE)
		status = words_read(cli, argc, argv);
	if (status != CLI_DONE)
		return status;
	cli->instance = cli->options[OPT_INSTANCE] ? cli->options[OPT_INSTANCE] : INSTANCE_DEFAULT;
	status = command_find(cli);
	if (status != CLI_DONE || !cli->command || cli->options[OPT_HELP] ||
	    cli->options[OPT_VERSION])
		return status;
	return args_check(cli);
}
