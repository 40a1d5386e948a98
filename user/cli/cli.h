/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the files of the command line tool share: the table of commands that drives dispatch, help
 * and completion, the parsed call, the daemon's answers, and text for eyes.
 *
 * A command returns its exit status: 0 done, 1 failed (after cli_error()), 2 called wrong (after
 * cli_usage()). Data goes to stdout, words to stderr. Memory that cannot be had ends the program.
 */
#ifndef THRUWAY_CLI_H
#define THRUWAY_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum cli_status { CLI_DONE = 0, CLI_FAILED = 1, CLI_WRONG = 2 };

/* --- the table of commands (thruway.c) ------------------------------------------------------- */

enum cli_opt {
	OPT_NONE,
	OPT_JSON,
	OPT_PRETTY,
	OPT_INSTANCE,
	OPT_VERSION,
	OPT_HELP,
	OPT_BALANCE,
	OPT_LISTENER,
	OPT_ALPN,
	OPT_TRIES,
	OPT_REFUSE,
	OPT_PORT,
	OPT_SRC,
	OPT_FILE,
	OPT_DRY_RUN,
	OPT_PARTIAL,
	OPT_ROUTE,
	OPT_BACKEND,
	OPT_CLIENT,
	OPT_ALL,
	OPT_WATCH,
	OPT_OUTPUT,
	OPT_NAMESPACE,
	OPT_N,
};

/* How an option is spelled; the same in every command. */
struct cli_option {
	const char *name; /* after "--" */
	char letter;	  /* 0 = none */
	bool has_value;
};
extern const struct cli_option cli_options[OPT_N];

/* What may stand in a place, for completion. */
enum cli_words {
	WORDS_NONE,
	WORDS_ROUTE,
	WORDS_SERVER_NAME,
	WORDS_LISTENER,
	WORDS_BACKEND,
	WORDS_CONN,
	WORDS_BALANCE,
	WORDS_FILE,
	WORDS_OUTPUT,
	WORDS_OBJECT,
	WORDS_OBJECT_NAME, /* of the kind that stands before it */
	WORDS_NAMESPACE,
};

/* An option as one command takes it. Lists end with OPT_NONE. */
struct cli_use {
	enum cli_opt opt;
	const char *value; /* "NAME" in help; NULL = takes none */
	const char *text;
	enum cli_words words;
};

struct cli;

struct cli_command {
	const char *object;
	const char *verb; /* NULL: the object is the whole command */
	const char *args; /* positional arguments in the usage line; "" = none */
	size_t args_min, args_max;
	enum cli_words first, others; /* what the arguments are */
	const char *summary;	      /* one line, no full stop */
	const char *help;	      /* what else there is to know; may be "" */
	const struct cli_use *uses;
	int (*run)(struct cli *cli);
};
extern const struct cli_command cli_commands[]; /* ends with object NULL; verbs of one together */
extern const struct cli_use cli_common[];	/* options of every command */

/* --- a call ---------------------------------------------------------------------------------- */

struct cli {
	const struct cli_command *command; /* NULL: words did not name one */
	const char *object;		   /* the first word, NULL = none */
	const char *instance;
	bool is_json;
	bool is_pretty;
	bool is_ahead;		    /* only looked through for options so far: nothing is said */
	const char *options[OPT_N]; /* NULL = not given, "" for one without a value */
	char **args;		    /* what stands behind object and verb */
	size_t n_args;
};

/* args.c: read @argv into @cli; CLI_DONE, or CLI_WRONG with the usage line printed. */
int cli_parse(struct cli *cli, int argc, char **argv);
/* Say what is wrong with the call, and how it goes. Returns CLI_WRONG. */
int cli_usage(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The option's value as a number, @fallback if not given. CLI_DONE or CLI_WRONG. */
int cli_number(const struct cli *cli, enum cli_opt opt, long min, long max, long fallback,
	       long *ret_value);
/* Is the option's value, if it is given, an IP address? CLI_DONE or CLI_WRONG. */
int cli_check_ip(const struct cli *cli, enum cli_opt opt);
/* "; did you mean 'add'?", the nearest of @words (NULL at the end), or "". With "--": an option. */
const char *cli_did_you_mean(const char *word, const char *const *words);

/* help.c */
void cli_help(const struct cli *cli, FILE *out);
void cli_usage_line(const struct cli *cli, FILE *out);

/* complete.c: candidates for the last of @words, one a line. */
int cli_complete(int n_words, char **words);

/* --- the daemon (client.c) ------------------------------------------------------------------- */

/*
 * Send @request (taken) and get the answer. CLI_DONE, or CLI_FAILED after the error was printed.
 * Problems in a good answer (warnings, routes left out) are printed as words.
 */
int cli_request(const struct cli *cli, json_t *request, json_t **ret_answer);
/* The same, without a word. 0, -errno if no daemon answers, -EREMOTEIO if it answers an error. */
int cli_ask(const char *instance, json_t *request, int timeout_s, json_t **ret_answer);

/* --- output (output.c) ----------------------------------------------------------------------- */

/* Print the error (and problems, an array or NULL); returns CLI_FAILED. */
int cli_error(const struct cli *cli, const json_t *problems, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* {"error": @text, "problems": [...]} on stdout, for a call with -j. */
void cli_error_json(const struct cli *cli, const json_t *problems, const char *text);
void cli_problems(const json_t *problems, FILE *out);
/* Print @value on stdout as -j or -p asks. CLI_DONE, or CLI_FAILED if stdout does not take it. */
int cli_json(const struct cli *cli, const json_t *value);
/* The same as YAML (output_yaml.c). */
int cli_yaml(const struct cli *cli, const json_t *value);
/* Words on stderr, but not with -j. */
void cli_note(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Everything is on its way: CLI_DONE, or CLI_FAILED if stdout did not take it. */
int cli_finish(const struct cli *cli);

enum cli_colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW };
/* Escape sequences, "" where @out is no terminal or NO_COLOR is set. */
const char *cli_colour(FILE *out, enum cli_colour colour);

/* Members of an object: "" and 0 if it is not there (or null, or of another type). */
const char *cli_str(const json_t *object, const char *key);
long long cli_int(const json_t *object, const char *key);
bool cli_true(const json_t *object, const char *key);
/* An array of strings as "a,b,c (+7)": at most @max of them. To be freed. */
char *cli_join(const json_t *strings, size_t max);

#define TEXT_SIZE 32
char *text_bytes(char dst[TEXT_SIZE], long long bytes); /* "1.2 MiB" */
char *text_duration(char dst[TEXT_SIZE], long long ms); /* "350ms", "1h05m" */
/* Control characters and what is not ASCII as \xNN: no terminal obeys a name. To be freed. */
char *text_escape(const char *src);
char *text_format(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* to be freed */
void *text_need(void *allocated); /* ends the program if NULL */

/*
 * Aligned columns: heads separated by '|', those that begin with '>' are aligned to the right.
 * Cells are escaped. An empty cell becomes "-".
 */
struct table;
struct table *table_new(const char *heads);
void table_cell(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t table_rows(const struct table *table);
void table_print(struct table *table, FILE *out); /* frees it */

/* --- commands, one file per object ----------------------------------------------------------- */

int route_add(struct cli *cli);
int route_del(struct cli *cli);
int route_show(struct cli *cli);
int route_explain(struct cli *cli);
int listener_show(struct cli *cli);
int backend_show(struct cli *cli);
int backend_drain(struct cli *cli);
int backend_undrain(struct cli *cli);
int conn_show(struct cli *cli);
int conn_kill(struct cli *cli);
int stats_show(struct cli *cli);
int apply_run(struct cli *cli);
int check_run(struct cli *cli);
int status_show(struct cli *cli);
int doctor_run(struct cli *cli);
int down_run(struct cli *cli);

/* status.c: the kind that @asked (KIND or KIND/NAME) means, as kubectl names it; NULL = none. */
const char *status_kind(const char *asked);
/* listener.c: "hello 10s, connect 5s, ..."; 0 is left out. To be freed. */
char *timeouts_text(const json_t *timeouts);

#endif
