// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From the user's text to the running router (see load.h). */
#include "edge/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/index.h"
#include "base/log.h"
#include "edge/loops.h"
#include "model/gateway.h"

#define WHERE_SIZE 512

/* @err is what reading said. */
static int check_loops(struct config *config, int err, struct config_problems *problems)
{
	int failed = config ? loops_check(config, problems) : 0;

	return err ? err : failed;
}

/* An error gives back the good rest; what is usable of it is load_commit()'s to say. */
static int keep_good_rest(int err, const struct config *config)
{
	return config && err == -EINVAL ? 0 : err;
}

int load_file(const char *path, struct config **ret_config, struct config_problems *problems)
{
	int err = config_load(path, ret_config, problems);

	err = check_loops(*ret_config, err, problems);
	return keep_good_rest(err, *ret_config);
}

/* Texts and names are lent by the request; the list is the caller's. */
static int read_request(const json_t *files, struct config_text **ret_texts, size_t *ret_n,
			struct config_problems *problems)
{
	size_t n = json_array_size(files), i, total = 0;
	struct config_text *texts = calloc(n + 1, sizeof(*texts));
	const json_t *name, *text;
	json_t *item;

	*ret_texts = texts;
	*ret_n = n;
	if (!texts)
		return -ENOMEM;
	json_array_foreach (files, i, item) {
		name = json_object_get(item, "name");
		text = json_object_get(item, "text");
		if (!json_is_string(name) || !json_is_string(text)) {
			config_problem_add(problems, NULL, false,
					   "files[%zu]: a name and a text are expected", i);
			return -EINVAL;
		}
		/* Not written to. */
		texts[i].file = (char *)json_string_value(name);
		texts[i].text = (char *)json_string_value(text);
		texts[i].len = json_string_length(text);
		total += texts[i].len;
	}
	if (!n || total > CONFIG_BYTES_MAX) {
		config_problem_add(problems, NULL, false,
				   n ? "more than %u bytes of configuration" : "no files",
				   CONFIG_BYTES_MAX);
		return -EINVAL;
	}
	return 0;
}

/* What stands before a problem's text. */
static const char *format_where(const struct config_pos *pos, char where[WHERE_SIZE])
{
	*where = '\0';
	if (pos->file && pos->line)
		snprintf(where, WHERE_SIZE, "%s:%u:%u: ", pos->file, pos->line, pos->column);
	else if (pos->file)
		snprintf(where, WHERE_SIZE, "%s: ", pos->file);
	return where;
}

void load_log_problems(const struct config_problems *problems)
{
	char where[WHERE_SIZE];

	for (size_t i = 0; i < problems->n; i++) {
		const struct config_problem *p = &problems->items[i];

		log_write(p->is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "%s%s",
			  format_where(&p->pos, where), p->text);
	}
}

char *load_first_error(const struct config_problems *problems)
{
	char where[WHERE_SIZE], more[64] = "", *text = NULL;
	size_t i = 0;

	while (i < problems->n && problems->items[i].is_warning)
		i++;
	if (problems->n_errors > 1)
		snprintf(more, sizeof(more), " (the first of %zu errors)", problems->n_errors);
	if (i < problems->n &&
	    asprintf(&text, "%s%s%s", format_where(&problems->items[i].pos, where),
		     problems->items[i].text, more) < 0)
		text = NULL;
	return text;
}

/* --- a few objects ---------------------------------------------------------------------------- */

/* false: all of it is to be read. */
static bool change(struct router *router, const struct config_text *texts, size_t n,
		   struct tables_changes *changes, struct config_problems *problems)
{
	struct tables_changes made = {};
	struct config_problems said;
	bool is_made;

	config_problems_init(&said);
	is_made = router_change(router, texts, n, &made, &said);
	for (size_t i = 0; is_made && i < said.n; i++)
		config_problem_add(problems, &said.items[i].pos, said.items[i].is_warning, "%s",
				   said.items[i].text);
	config_problems_fini(&said);
	if (is_made && changes)
		*changes = made;
	else
		tables_changes_fini(&made);
	return is_made;
}

/* --- all of it -------------------------------------------------------------------------------- */

bool load_can_start(const struct config *config)
{
	return !config->has_fatal && (!config->has_bad_route || config_has_good_route(config));
}

static bool leads_somewhere(const struct config_route *route)
{
	for (size_t i = 0; i < route->n_backends; i++)
		if (!route->backends[i].is_invalid)
			return true;
	return false;
}

/* The routes that are only refused, by their names; commonly none. 0 or -ENOMEM. */
static int index_refused(const struct config *config, struct index *by_name)
{
	int err = 0;

	for (size_t i = 0; i < config->n_routes && !err; i++)
		if (config->routes[i].is_bad)
			err = index_add(by_name, index_hash_text(0, config->routes[i].name),
					(uint32_t)i);
	return err;
}

static bool is_refused(const struct config *config, const struct index *by_name, const char *name)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(by_name, index_hash_text(0, name), &at)) != INDEX_NONE)
		if (!strcmp(config->routes[i].name, name))
			return true;
	return false;
}

/*
 * The first route that is served, and would only be refused, since it leads to this router itself:
 * that is no error of an object. Without memory, any. Lent; NULL = none.
 */
static const char *find_refused(const struct config *running, const struct config *config)
{
	const char *refused = NULL;
	struct index by_name = {};
	int err = index_refused(config, &by_name);

	for (size_t i = 0; (err || by_name.used) && i < running->n_routes && !refused; i++)
		if (leads_somewhere(&running->routes[i]) &&
		    (err || is_refused(config, &by_name, running->routes[i].name)))
			refused = running->routes[i].name;
	index_fini(&by_name);
	return refused;
}

/* *@why is then what. @running NULL: nothing. */
static bool would_lose(const struct config *running, const struct config *config, char **why)
{
	_cleanup_free_ char *lost =
		running && config->gateway ? gateway_lost(running->gateway, config->gateway) : NULL;
	const char *name = lost || !running ? lost : find_refused(running, config);

	if (name && asprintf(why, "%s would be lost by a mistake", name) < 0)
		*why = NULL;
	return name;
}

/* Nothing is left but errors; without any, that is one by itself. *@why is then that. */
static bool is_empty(const struct config *config, char **why)
{
	if (config->n_listeners || !config->n_object_errors || gateway_n_objects(config->gateway))
		return false;
	*why = strdup("nothing would be left but errors");
	return true;
}

/* *@why (NULL = the errors say it) is what forbids it. */
static bool is_usable(const struct config *config, const struct config *running,
		      enum load_mode mode, const struct config_problems *problems, char **why)
{
	switch (mode) {
	case LOAD_ALL_OR_NOTHING:
		return !problems->n_errors && !would_lose(running, config, why);
	case LOAD_GOOD_OBJECTS:
		return !config->has_fatal && !config->has_bad_route && !is_empty(config, why) &&
		       !would_lose(running, config, why);
	case LOAD_GOOD_ROUTES:
		return !problems->n_errors || (!config->has_fatal && config_has_good_route(config));
	case LOAD_WHAT_CAN_BE:
		break;
	}
	return load_can_start(config);
}

/* What the table has no room for: left out alone, or an error of the whole? */
static bool is_strict(enum load_mode mode)
{
	return mode == LOAD_ALL_OR_NOTHING || mode == LOAD_GOOD_OBJECTS;
}

int load_commit(struct router *router, struct config *config, enum load_mode mode, bool dry_run,
		struct tables_changes *changes, struct config_problems *problems, char **why)
{
	*why = NULL;
	if (!is_usable(config, router_config(router), mode, problems, why)) {
		config_free(config);
		return -EINVAL;
	}
	return router_set_config(router, config, dry_run, is_strict(mode), changes, problems, why);
}

/* @texts, read as a whole. */
static int load_texts(struct router *router, const struct config_text *texts, size_t n,
		      enum load_mode mode, bool dry_run, struct tables_changes *changes,
		      struct config_problems *problems, char **ret_why)
{
	struct config *config = NULL;
	int err = config_parse_texts(texts, n, &config, problems);

	err = keep_good_rest(check_loops(config, err, problems), config);
	return err ? err : load_commit(router, config, mode, dry_run, changes, problems, ret_why);
}

int load_again(struct router *router, const char *path, struct config_problems *problems,
	       char **ret_why)
{
	struct config_text *texts = NULL;
	size_t n = 0;
	int err = config_read(path, &texts, &n, problems);
	bool lacks_a_file = err == -EINVAL;

	*ret_why = NULL;
	/* What else is wrong is to be said as well. */
	if (lacks_a_file || (!err && !change(router, texts, n, NULL, problems)))
		err = load_texts(router, texts, n,
				 lacks_a_file ? LOAD_ALL_OR_NOTHING : LOAD_GOOD_OBJECTS, false,
				 NULL, problems, ret_why);
	else if (!err) /* What was left out still is. */
		problems->n_errors += router_config(router)->n_object_errors;
	config_texts_free(texts, n);
	return lacks_a_file ? -EIO : err;
}

static bool has_left_out(const struct config *running)
{
	return running && running->n_object_errors;
}

int load_request(struct router *router, const json_t *files, enum load_mode mode, bool dry_run,
		 struct tables_changes *changes, struct config_problems *problems, char **ret_why)
{
	_cleanup_free_ struct config_text *texts = NULL;
	size_t n;
	int err = read_request(files, &texts, &n, problems);

	*ret_why = NULL;
	if (err)
		return err;
	if (!dry_run && !has_left_out(router_config(router)) &&
	    change(router, texts, n, changes, problems))
		return 0;
	return load_texts(router, texts, n, mode, dry_run, changes, problems, ret_why);
}
