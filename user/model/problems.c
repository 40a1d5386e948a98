// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is wrong with a configuration, as JSON (see problems.h). */
#include "model/problems.h"

#include <string.h>

#include "base/log.h"

/* Longest text of one problem, escaped. */
#define TEXT_SIZE 2048

json_t *problems_text(const char *text)
{
	char quoted[TEXT_SIZE];
	json_t *string = json_string(text);

	return string ? string : json_string(log_quote(quoted, sizeof(quoted), text, strlen(text)));
}

json_t *problems_json(const struct config_problems *problems)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < problems->n; i++) {
		const struct config_problem *p = &problems->items[i];
		json_t *problem;

		problem = json_pack("{s:o, s:i, s:i, s:s, s:o}", "file",
				    p->pos.file ? problems_text(p->pos.file) : json_null(), "line",
				    (int)p->pos.line, "column", (int)p->pos.column, "severity",
				    p->is_warning ? "warning" : "error", "text",
				    problems_text(p->text));
		if (json_array_append_new(array, problem) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}
