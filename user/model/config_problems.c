// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The list of what is wrong with a configuration (struct config_problems). */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/config.h"

void config_problems_init(struct config_problems *problems)
{
	*problems = (struct config_problems){};
}

void config_problems_fini(struct config_problems *problems)
{
	for (size_t i = 0; i < problems->n; i++)
		free(problems->items[i].text);
	for (size_t i = 0; i < problems->n_files; i++)
		free(problems->files[i]);
	free(problems->items);
	free(problems->files);
	config_problems_init(problems);
}

/* The list's own copy of @file; NULL for NULL and when memory is short. */
static const char *own_file(struct config_problems *problems, const char *file)
{
	char **grown, *copy;

	if (!file)
		return NULL;
	for (size_t i = problems->n_files; i-- > 0;)
		if (!strcmp(problems->files[i], file))
			return problems->files[i];
	grown = reallocarray(problems->files, problems->n_files + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	problems->files = grown;
	copy = strdup(file);
	if (copy)
		problems->files[problems->n_files++] = copy;
	return copy;
}

/* Errors have the places of warnings. */
bool config_problems_is_full(const struct config_problems *problems, bool is_warning)
{
	return (is_warning ? problems->n : problems->n_errors) >= CONFIG_PROBLEMS_MAX;
}

/* The last one makes room for an error. */
static void drop_warning(struct config_problems *problems)
{
	for (size_t i = problems->n; i-- > 0;) {
		if (!problems->items[i].is_warning)
			continue;
		free(problems->items[i].text);
		problems->n--;
		memmove(&problems->items[i], &problems->items[i + 1],
			(problems->n - i) * sizeof(problems->items[i]));
		return;
	}
}

void config_problem_add(struct config_problems *problems, const struct config_pos *pos,
			bool is_warning, const char *fmt, ...)
{
	bool is_full = config_problems_is_full(problems, is_warning);
	struct config_problem problem = {.is_warning = is_warning};
	struct config_problem *grown;
	va_list ap;

	if (problems->n >= CONFIG_PROBLEMS_MAX && !is_full)
		drop_warning(problems);
	/* Counted even where memory is short: an error must not pass for success. */
	problems->n_errors += !is_warning;
	if (is_full)
		return;
	va_start(ap, fmt);
	if (vasprintf(&problem.text, fmt, ap) < 0)
		problem.text = NULL;
	va_end(ap);
	grown = reallocarray(problems->items, problems->n + 1, sizeof(*grown));
	if (grown)
		problems->items = grown;
	if (!grown || !problem.text) {
		free(problem.text);
		return;
	}
	if (pos)
		problem.pos = *pos;
	problem.pos.file = own_file(problems, problem.pos.file);
	problems->items[problems->n++] = problem;
}

void config_problems_print(const struct config_problems *problems, FILE *out)
{
	size_t n_errors = 0;

	for (size_t i = 0; i < problems->n; i++) {
		const struct config_problem *problem = &problems->items[i];
		const struct config_pos *pos = &problem->pos;

		if (pos->file && pos->line)
			fprintf(out, "%s:%u:%u: ", pos->file, pos->line, pos->column);
		else if (pos->file)
			fprintf(out, "%s: ", pos->file);
		fprintf(out, "%s: %s\n", problem->is_warning ? "warning" : "error", problem->text);
		n_errors += !problem->is_warning;
	}
	if (problems->n_errors > n_errors)
		fprintf(out, "error: %zu more errors are not listed\n",
			problems->n_errors - n_errors);
}
