// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the command line tool prints: tables, units, escaped names, colour, JSON and errors. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX 20

void *text_need(void *allocated)
{
	if (!allocated) {
		fputs("thruway: out of memory\n", stderr);
		exit(CLI_FAILED);
	}
	return allocated;
}

__attribute__((format(printf, 1, 0))) static char *text_vformat(const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	return text_need(text);
}

char *text_format(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = text_vformat(fmt, ap);
	va_end(ap);
	return text;
}

char *text_escape(const char *src)
{
	char *dst = text_need(malloc(strlen(src) * 4 + 1));
	char *at = dst;

	for (; *src; src++) {
		unsigned char c = (unsigned char)*src;

		if (c >= 0x20 && c < 0x7f && c != '\\')
			*at++ = *src;
		else
			at += sprintf(at, "\\x%02x", c);
	}
	*at = '\0';
	return dst;
}

char *text_bytes(char dst[TEXT_SIZE], long long bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(dst, TEXT_SIZE, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return dst;
}

char *text_duration(char dst[TEXT_SIZE], long long ms)
{
	long long s = ms / 1000;

	if (ms < 1000)
		snprintf(dst, TEXT_SIZE, "%lldms", ms);
	else if (ms < 10000 && ms % 1000)
		snprintf(dst, TEXT_SIZE, "%lld.%llds", s, ms % 1000 / 100);
	else if (s < 60)
		snprintf(dst, TEXT_SIZE, "%llds", s);
	else if (s < 3600)
		snprintf(dst, TEXT_SIZE, s % 60 ? "%lldm%02llds" : "%lldm", s / 60, s % 60);
	else if (s < 86400)
		snprintf(dst, TEXT_SIZE, s % 3600 / 60 ? "%lldh%02lldm" : "%lldh", s / 3600,
			 s % 3600 / 60);
	else
		snprintf(dst, TEXT_SIZE, "%lldd%02lldh", s / 86400, s % 86400 / 3600);
	return dst;
}

const char *cli_colour(FILE *out, enum cli_colour colour)
{
	static const char *const codes[] = {"\033[0m", "\033[1m", "\033[31m", "\033[32m",
					    "\033[33m"};
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if ((no_color && *no_color) || !term || !strcmp(term, "dumb") || !isatty(fileno(out)))
		return "";
	return codes[colour];
}

/* --- members of answers ---------------------------------------------------------------------- */

const char *cli_str(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

long long cli_int(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

bool cli_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

char *cli_join(const json_t *strings, size_t max)
{
	size_t n = json_array_size(strings), len;
	char *text = NULL;
	FILE *out = text_need(open_memstream(&text, &len));

	for (size_t i = 0; i < n && i < max; i++) {
		const char *string = json_string_value(json_array_get(strings, i));

		fprintf(out, "%s%s", i ? "," : "", string ? string : "");
	}
	if (n > max)
		fprintf(out, " (+%zu)", n - max);
	if (fclose(out))
		text_need(NULL);
	return text;
}

/* --- words and JSON -------------------------------------------------------------------------- */

void cli_problems(const json_t *problems, FILE *out)
{
	const json_t *problem;
	size_t i;

	json_array_foreach (problems, i, problem) {
		bool is_warning = !strcmp(cli_str(problem, "severity"), "warning");
		char *file = text_escape(cli_str(problem, "file"));
		char *text = text_escape(cli_str(problem, "text"));

		if (file[0])
			fprintf(out, "%s:", file);
		if (file[0] && cli_int(problem, "line"))
			fprintf(out, "%lld:%lld:", cli_int(problem, "line"),
				cli_int(problem, "column"));
		fprintf(out, "%s%s%s:%s %s\n", file[0] ? " " : "",
			cli_colour(out, is_warning ? COLOUR_YELLOW : COLOUR_RED),
			is_warning ? "warning" : "error", cli_colour(out, COLOUR_NONE), text);
		free(file);
		free(text);
	}
}

int cli_json(const struct cli *cli, const json_t *value)
{
	size_t flags = cli->is_pretty ? JSON_INDENT(2) : JSON_COMPACT;

	if (json_dumpf(value, stdout, flags | JSON_ENCODE_ANY) < 0 || putchar('\n') == EOF)
		return cli_finish(cli);
	return CLI_DONE;
}

void cli_error_json(const struct cli *cli, const json_t *problems, const char *text)
{
	/* A text that is not UTF-8 (a file's name, say) goes escaped. */
	char *escaped = text_escape(text);
	json_t *string = json_string(text);
	json_t *error = json_pack("{s:o, s:o}", "error", string ? string : json_string(escaped),
				  "problems", problems ? json_deep_copy(problems) : json_array());

	cli_json(cli, text_need(error));
	json_decref(error);
	free(escaped);
}

int cli_error(const struct cli *cli, const json_t *problems, const char *fmt, ...)
{
	char *text, *escaped;
	va_list ap;

	va_start(ap, fmt);
	text = text_vformat(fmt, ap);
	va_end(ap);
	if (cli->is_json) {
		cli_error_json(cli, problems, text);
	} else {
		const json_t *first = json_array_get(problems, 0);

		escaped = text_escape(text);
		fflush(stdout);
		/* Where the error is its one problem over again, once is enough. */
		if (json_array_size(problems) != 1 || strcmp(cli_str(first, "text"), text))
			cli_problems(problems, stderr);
		fprintf(stderr, "thruway: %s\n", escaped);
		free(escaped);
	}
	free(text);
	return CLI_FAILED;
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
	char *text, *escaped;
	va_list ap;

	if (cli->is_json)
		return;
	va_start(ap, fmt);
	text = text_vformat(fmt, ap);
	va_end(ap);
	escaped = text_escape(text);
	fflush(stdout);
	fprintf(stderr, "%s\n", escaped);
	free(escaped);
	free(text);
}

int cli_finish(const struct cli *cli)
{
	(void)cli;
	if (!fflush(stdout) && !ferror(stdout))
		return CLI_DONE;
	fprintf(stderr, "thruway: stdout: %s\n", strerror(errno));
	return CLI_FAILED;
}

/* --- tables ---------------------------------------------------------------------------------- */

struct table {
	size_t columns;
	bool is_right[COLUMNS_MAX];
	size_t width[COLUMNS_MAX];
	char **cells; /* the first row holds the heads */
	size_t n, size;
};

static void table_take(struct table *table, char *cell)
{
	size_t column = table->n % table->columns;

	if (table->n == table->size) {
		table->size = table->size ? table->size * 2 : 64;
		table->cells =
			text_need(reallocarray(table->cells, table->size, sizeof(table->cells[0])));
	}
	if (strlen(cell) > table->width[column])
		table->width[column] = strlen(cell);
	table->cells[table->n++] = cell;
}

struct table *table_new(const char *heads)
{
	struct table *table = text_need(calloc(1, sizeof(*table)));

	table->columns = 1;
	for (const char *c = heads; *c; c++)
		table->columns += *c == '|';
	for (size_t i = 0; i < table->columns; i++) {
		size_t len = strcspn(heads, "|");

		table->is_right[i] = *heads == '>';
		table_take(table, text_need(strndup(heads + table->is_right[i],
						    len - table->is_right[i])));
		heads += len + 1;
	}
	return table;
}

void table_cell(struct table *table, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = text_vformat(fmt, ap);
	va_end(ap);
	table_take(table, text_escape(text[0] ? text : "-"));
	free(text);
}

size_t table_rows(const struct table *table)
{
	return table->n / table->columns - 1;
}

void table_print(struct table *table, FILE *out)
{
	for (size_t i = 0; i < table->n; i++) {
		size_t column = i % table->columns;
		bool is_last = column + 1 == table->columns;
		int width = (int)table->width[column];

		if (i == 0)
			fputs(cli_colour(out, COLOUR_BOLD), out);
		if (table->is_right[column])
			fprintf(out, "%*s", width, table->cells[i]);
		else
			fprintf(out, "%-*s", is_last ? 0 : width, table->cells[i]);
		if (i + 1 == table->columns)
			fputs(cli_colour(out, COLOUR_NONE), out);
		fputs(is_last ? "\n" : "  ", out);
		free(table->cells[i]);
	}
	free(table->cells);
	free(table);
}
