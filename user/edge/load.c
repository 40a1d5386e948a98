// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From the user's text to the running router (see load.h). */
#include "edge/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/devices.h"

/* Loops through any address of this host; @err is what reading said. */
static int check_loops(struct config *config, int err, struct config_problems *problems)
{
	_cleanup_free_ uint8_t(*addrs)[16] = NULL;
	size_t n = 0;
	int failed;

	if (!config)
		return err;
	failed = devices_addresses(&addrs, &n);
	if (failed)
		log_warn("cannot read this host's addresses: %s, loops through them are not seen",
			 strerror(-failed));
	failed = config_check_loops(config, (const uint8_t(*)[16])addrs, n, problems);
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

int load_request(const json_t *files, struct config **ret_config, struct config_problems *problems)
{
	size_t n = json_array_size(files), i, total = 0;
	_cleanup_free_ struct config_text *texts = calloc(n + 1, sizeof(*texts));
	const json_t *name, *text;
	json_t *item;
	int err;

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
		/* Lent by the request, and not written to. */
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
	err = config_parse_texts(texts, n, ret_config, problems);
	err = check_loops(*ret_config, err, problems);
	return keep_good_rest(err, *ret_config);
}

bool load_is_usable(const struct config *config, enum load_mode mode,
		    const struct config_problems *problems)
{
	if (!problems->n_errors)
		return true;
	return mode == LOAD_GOOD_ROUTES && !config->has_fatal && config->n_routes;
}

int load_commit(struct router *router, struct config *config, enum load_mode mode, bool dry_run,
		struct tables_changes *changes, struct config_problems *problems, char **why)
{
	*why = NULL;
	if (!load_is_usable(config, mode, problems)) {
		config_free(config);
		return -EINVAL;
	}
	return router_set_config(router, config, dry_run, mode == LOAD_ALL_OR_NOTHING, changes,
				 problems, why);
}
