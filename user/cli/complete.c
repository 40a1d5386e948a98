// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Candidates for the shell's completion (docs/thruway.bash-completion asks for them): objects,
 * verbs and options from the table of commands, names from the running daemon. Never says a word:
 * where there is nothing to offer it prints nothing.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/instance.h"

/* A shell that waits is worse than one that offers nothing. */
#define ASK_TIMEOUT_S 1

/* The words before the one that is completed, as far as they are read. */
struct context {
	const char *instance;
	const char *object, *verb;
	const struct cli_command *command;
	size_t n_args;
	enum cli_opt pending; /* the option whose value is completed */
};

static void offer(const char *prefix, const char *lead, const char *word)
{
	size_t len = strlen(lead);

	if (word && !strncmp(prefix, lead, strlen(prefix) < len ? strlen(prefix) : len) &&
	    (strlen(prefix) <= len || !strncmp(prefix + len, word, strlen(prefix) - len)))
		printf("%s%s\n", lead, word);
}

static void offer_names(const char *prefix, const char *instance, const char *op,
			const char *list_key, const char *name_key)
{
	const json_t *item;
	json_t *answer;
	size_t i;

	if (cli_ask(instance, json_pack("{s:s}", "op", op), ASK_TIMEOUT_S, &answer))
		return;
	json_array_foreach (json_object_get(answer, list_key), i, item) {
		const char *name = cli_str(item, name_key);

		/* A name with a line feed would be two candidates. */
		if (!strpbrk(name, "\n\r"))
			offer(prefix, "", name);
	}
	json_decref(answer);
}

/* Kubernetes objects as KIND/NAME, or the namespaces that they are in. */
static void offer_kubernetes(const char *prefix, const char *instance, bool is_namespace)
{
	const json_t *object;
	json_t *answer;
	size_t i;

	if (cli_ask(instance, json_pack("{s:s}", "op", "status"), ASK_TIMEOUT_S, &answer))
		return;
	json_array_foreach (json_object_get(answer, "objects"), i, object) {
		const json_t *meta = json_object_get(object, "metadata");
		char *word = text_format("%s/%s", cli_str(object, "kind"), cli_str(meta, "name"));

		for (char *c = word; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		if (!is_namespace)
			offer(prefix, "", word);
		else if (*cli_str(meta, "namespace"))
			offer(prefix, "", cli_str(meta, "namespace"));
		free(word);
	}
	json_decref(answer);
}

static void offer_words(const char *prefix, const char *instance, enum cli_words words)
{
	switch (words) {
	case WORDS_NONE:
		break;
	case WORDS_ROUTE:
		offer_names(prefix, instance, "route.show", "routes", "name");
		break;
	case WORDS_LISTENER:
		offer_names(prefix, instance, "listener.show", "listeners", "name");
		break;
	case WORDS_BACKEND:
		offer_names(prefix, instance, "backend.show", "backends", "address");
		break;
	case WORDS_CONN:
		offer_names(prefix, instance, "conn.show", "connections", "id");
		break;
	case WORDS_BALANCE:
		offer(prefix, "", "weighted");
		offer(prefix, "", "least_conn");
		offer(prefix, "", "source");
		break;
	case WORDS_OUTPUT:
		offer(prefix, "", "table");
		offer(prefix, "", "json");
		offer(prefix, "", "yaml");
		break;
	case WORDS_OBJECT:
		if (!strchr(prefix, '/')) {
			offer(prefix, "", "gatewayclass");
			offer(prefix, "", "gateway");
			offer(prefix, "", "tlsroute");
		}
		offer_kubernetes(prefix, instance, false);
		break;
	case WORDS_NAMESPACE:
		offer_kubernetes(prefix, instance, true);
		break;
	case WORDS_FILE:
		/* The shell's own business. */
		puts(":files");
		break;
	}
}

static void offer_options(const char *prefix, const struct cli_use *uses)
{
	for (; uses && uses->opt != OPT_NONE; uses++)
		offer(prefix, "--", cli_options[uses->opt].name);
}

static void offer_objects(const char *prefix)
{
	const char *last = "";

	for (const struct cli_command *c = cli_commands; c->object; c++) {
		if (strcmp(c->object, last))
			offer(prefix, "", c->object);
		last = c->object;
	}
}

static void offer_verbs(const char *prefix, const char *object)
{
	for (const struct cli_command *c = cli_commands; c->object; c++)
		if (!strcmp(c->object, object))
			offer(prefix, "", c->verb);
}

static enum cli_opt option_of(const char *word)
{
	for (enum cli_opt opt = OPT_NONE + 1; opt < OPT_N; opt++)
		if ((word[1] == '-' && !strcmp(word + 2, cli_options[opt].name)) ||
		    (word[1] == cli_options[opt].letter && word[1] && !word[2]))
			return opt;
	return OPT_NONE;
}

static void context_word(struct context *context, const char *word)
{
	if (!context->object) {
		context->object = word;
	} else if (!context->command) {
		context->verb = word;
	} else {
		context->n_args++;
		return;
	}
	for (const struct cli_command *c = cli_commands; c->object; c++)
		if (!strcmp(c->object, context->object) &&
		    (!c->verb || (context->verb && !strcmp(c->verb, context->verb))))
			context->command = c;
}

static void context_read(struct context *context, int n_words, char **words)
{
	for (int i = 0; i < n_words; i++) {
		if (context->pending == OPT_INSTANCE)
			context->instance = words[i];
		if (context->pending != OPT_NONE) {
			context->pending = OPT_NONE;
		} else if (words[i][0] == '-' && words[i][1]) {
			enum cli_opt opt = option_of(words[i]);

			if (opt != OPT_NONE && cli_options[opt].has_value)
				context->pending = opt;
		} else {
			context_word(context, words[i]);
		}
	}
}

static enum cli_words value_words(const struct context *context)
{
	const struct cli_use *use = context->command ? context->command->uses : NULL;

	for (; use && use->opt != OPT_NONE; use++)
		if (use->opt == context->pending)
			return use->words;
	return WORDS_NONE;
}

int cli_complete(int n_words, char **words)
{
	struct context context = {.instance = INSTANCE_DEFAULT};
	const char *last = words[n_words - 1];
	const struct cli_command *command;

	context_read(&context, n_words - 1, words);
	command = context.command;
	if (context.pending != OPT_NONE) {
		offer_words(last, context.instance, value_words(&context));
	} else if (last[0] == '-') {
		offer_options(last, command ? command->uses : NULL);
		offer_options(last, cli_common);
	} else if (!context.object) {
		offer_objects(last);
	} else if (!command) {
		offer_verbs(last, context.object);
	} else if (context.n_args < command->args_max) {
		offer_words(last, context.instance,
			    context.n_args ? command->others : command->first);
	}
	return CLI_DONE;
}
