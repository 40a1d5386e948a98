/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the user's text to the running router: the same checks for the file at start, the reload on
 * SIGHUP and "thruway apply", and what happens when some of it is wrong.
 */
#ifndef THRUWAY_LOAD_H
#define THRUWAY_LOAD_H

#include <jansson.h>

#include "edge/router.h"

enum load_mode {
	/* Any error, or a slip by which something in force would go: nothing changes (apply). */
	LOAD_ALL_OR_NOTHING,
	/* An error inside a Kubernetes object leaves it out, as the API server would, if it is new:
	 * what is served is not lost by a slip. Other errors: nothing changes (reload). */
	LOAD_GOOD_OBJECTS,
	/* Errors inside routes and objects leave those out; other errors, or no good route left:
	 * nothing changes (apply --partial). */
	LOAD_GOOD_ROUTES,
	/* The same where nothing is served yet: objects without a good route are better than
	 * nothing (start). */
	LOAD_WHAT_CAN_BE,
};

/* Read @path, loops with this host's addresses included. As config_load(). */
int load_file(const char *path, struct config **ret_config, struct config_problems *problems);

/*
 * Put @config (taken) in force as @mode says about the errors in @problems. 0; -EINVAL when they
 * forbid it; else as router_set_config().
 */
int load_commit(struct router *router, struct config *config, enum load_mode mode, bool dry_run,
		struct tables_changes *changes, struct config_problems *problems, char **ret_why);
/*
 * Read @path again and put it in force, LOAD_GOOD_OBJECTS; only what is different, if that is a
 * few Kubernetes objects. As load_commit(); -EIO when a file of a directory cannot be read. Errors
 * of objects that were left out before, and still are, are counted in @problems, not told again.
 */
int load_again(struct router *router, const char *path, struct config_problems *problems,
	       char **ret_why);
/* The same with "files" of a request: [{"name", "text"}]. @changes may be NULL. */
int load_request(struct router *router, const json_t *files, enum load_mode mode, bool dry_run,
		 struct tables_changes *changes, struct config_problems *problems, char **ret_why);
/* One line each. */
void load_log_problems(const struct config_problems *problems);
/* The first of them that is no warning, as a line to be freed; NULL = there is none. */
char *load_first_error(const struct config_problems *problems);
/* May a configuration be what the daemon starts with, whatever errors it has? */
bool load_can_start(const struct config *config);

#endif
