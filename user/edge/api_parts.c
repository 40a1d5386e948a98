// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What several requests share (see api_parts.h). */
#include "edge/api_parts.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "model/problems.h"

json_t *api_error(const char *fmt, ...)
{
	json_t *text, *answer;
	va_list ap;

	va_start(ap, fmt);
	text = json_vsprintf(fmt, ap);
	va_end(ap);
	/* NULL: what the user sent is in it and is not UTF-8. */
	answer = json_pack("{s:o}", "error",
			   text ? text : json_string("the request holds text that is not UTF-8"));
	return answer;
}

/* The router's own one line, else what errno says; frees @why. */
json_t *api_failed(const char *what, int err, char *why)
{
	json_t *answer = why ? api_error("%s", why) : api_error("%s: %s", what, strerror(-err));

	free(why);
	return answer;
}

json_t *api_with_problems(json_t *answer, const struct config_problems *problems)
{
	if (problems->n)
		json_object_set_new(answer, "problems", problems_json(problems));
	return answer;
}

const char *api_text(const json_t *request, const char *key)
{
	return json_string_value(json_object_get(request, key));
}

/* The name asked for: as given, or normalised where it is a hostname. */
bool api_name_matches(const char *asked, const char *name)
{
	char hostname[TW_NAME_SIZE], *why = NULL;

	if (!asked || !strcmp(asked, name))
		return true;
	if (config_parse_hostname(asked, hostname, &why)) {
		free(why);
		return false;
	}
	return !strcmp(hostname, name);
}

const struct tw_backend *api_find_backend(struct api *api, const char *address)
{
	const struct tw_backend *b = NULL;

	while ((b = tables_next_backend(router_tables(api->router), b ? b->id : 0)))
		if (!strcmp(address, b->text))
			return b;
	return NULL;
}
