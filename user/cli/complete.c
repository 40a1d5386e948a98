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
	const char *options[OPT_N]; /* NULL = not given */
	const char *object, *verb;
	const char *first; /* of the arguments */
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

/* A name, if it is not among those that are @offered already. */
static void offer_once(json_t *offered, const char *prefix, const char *name)
{
	/* One with a line feed would be two candidates. */
	if (strpbrk(name, "\n\r") || json_object_get(offered, name))
		return;
	json_object_set_new(offered, name, json_true());
	offer(prefix, "", name);
}

static int ask(const struct context *context, const char *op, json_t **ret_answer)
{
	const char *instance = context->options[OPT_INSTANCE];

	return cli_ask(instance ? instance : INSTANCE_DEFAULT, json_pack("{s:s}", "op", op),
		       ASK_TIMEOUT_S, ret_answer);
}

static void offer_names(const struct context *context, const char *prefix, const char *op,
			const char *list_key, const char *name_key)
{
	json_t *answer, *offered;
	const json_t *item;
	size_t i;

	if (ask(context, op, &answer))
		return;
	offered = text_need(json_object());
	json_array_foreach (json_object_get(answer, list_key), i, item)
		offer_once(offered, prefix, cli_str(item, name_key));
	json_decref(offered);
	json_decref(answer);
}

/* What a client may ask for: the hostnames of the routes, but no wildcards. */
static void offer_server_names(const struct context *context, const char *prefix)
{
	const json_t *route, *hostname;
	json_t *answer, *offered;
	size_t i, j;

	if (ask(context, "route.show", &answer))
		return;
	offered = text_need(json_object());
	json_array_foreach (json_object_get(answer, "routes"), i, route) {
		json_array_foreach (json_object_get(route, "hostnames"), j, hostname) {
			const char *name = json_string_value(hostname);

			if (name && *name != '*')
				offer_once(offered, prefix, name);
		}
	}
	json_decref(offered);
	json_decref(answer);
}

/*
 * The candidate that a Kubernetes object makes, to be freed; NULL = none. A kind that was typed
 * already stays as it was typed ("gtw/").
 */
static char *object_word(const struct context *context, const char *prefix, enum cli_words words,
			 const json_t *object)
{
	const json_t *meta = json_object_get(object, "metadata");
	const char *kind = cli_str(object, "kind"), *name = cli_str(meta, "name");
	const char *ns = cli_str(meta, "namespace"), *in = context->options[OPT_NAMESPACE];
	const char *typed = words == WORDS_OBJECT_NAME ? context->first : prefix;
	const char *slash = strchr(typed, '/'), *asked = status_kind(typed);
	bool is_kind = asked && !strcmp(asked, kind);
	char *word;

	if (words == WORDS_NAMESPACE)
		return *ns ? text_format("%s", ns) : NULL;
	if (in && *ns && strcmp(in, ns) != 0)
		return NULL;
	if (words == WORDS_OBJECT_NAME)
		return is_kind && !slash ? text_format("%s", name) : NULL;
	if (slash)
		return is_kind ? text_format("%.*s/%s", (int)(slash - typed), typed, name) : NULL;
	word = text_format("%s/%s", kind, name);
	for (char *c = word; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return word;
}

/* Kubernetes objects, their names, or the namespaces that they are in. */
static void offer_kubernetes(const struct context *context, const char *prefix,
			     enum cli_words words)
{
	json_t *answer, *offered;
	const json_t *object;
	size_t i;

	if (ask(context, "status", &answer))
		return;
	offered = text_need(json_object());
	json_array_foreach (json_object_get(answer, "objects"), i, object) {
		char *word = object_word(context, prefix, words, object);

		if (word)
			offer_once(offered, prefix, word);
		free(word);
	}
	json_decref(offered);
	json_decref(answer);
}

static void offer_words(const struct context *context, const char *prefix, enum cli_words words)
{
	switch (words) {
	case WORDS_NONE:
		break;
	case WORDS_ROUTE:
		offer_names(context, prefix, "route.show", "routes", "name");
		break;
	case WORDS_SERVER_NAME:
		offer_server_names(context, prefix);
		break;
	case WORDS_LISTENER:
		offer_names(context, prefix, "listener.show", "listeners", "name");
		break;
	case WORDS_BACKEND:
		offer_names(context, prefix, "backend.show", "backends", "address");
		break;
	case WORDS_CONN:
		offer_names(context, prefix, "conn.show", "connections", "id");
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
		offer_kubernetes(context, prefix, words);
		break;
	case WORDS_OBJECT_NAME:
	case WORDS_NAMESPACE:
		offer_kubernetes(context, prefix, words);
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
		if (!context->n_args++)
			context->first = word;
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
		if (context->pending != OPT_NONE) {
			context->options[context->pending] = words[i];
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
	struct context context = {};
	const char *last = words[n_words - 1];
	const struct cli_command *command;

	context_read(&context, n_words - 1, words);
	command = context.command;
	if (context.pending != OPT_NONE) {
		offer_words(&context, last, value_words(&context));
	} else if (last[0] == '-') {
		offer_options(last, command ? command->uses : NULL);
		offer_options(last, cli_common);
	} else if (!context.object) {
		offer_objects(last);
	} else if (!command) {
		offer_verbs(last, context.object);
	} else if (context.n_args < command->args_max) {
		offer_words(&context, last, context.n_args ? command->others : command->first);
	}
	return CLI_DONE;
}
