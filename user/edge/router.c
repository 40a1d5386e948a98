// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The running router (see router.h). A change goes: new listening sockets opened, maps brought
 * to the new table, the new sockets accepted on and those that are no more closed. So no connection
 * is accepted on a new port before it has its entries in the maps, and a port that somebody else
 * has is known before anything changed.
 */
#include "edge/router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "edge/access_log.h"

struct router {
	struct datapath *dp;
	struct tables *tables;
	struct workers *workers;
	struct access_log *log;
	char *instance;
	struct config *config; /* what the file owns; never NULL after the first set */
	struct config_route *cli;
	size_t n_cli;
};

static void on_end(void *arg, const struct conn_record *record)
{
	access_log_write(arg, record);
}

static bool is_log_on(void *arg)
{
	return access_log_is_on(arg);
}

/* --- one change -------------------------------------------------------------------------- */

/* The distinct address:port of @config's listeners. */
static int binds_wanted(const struct config *config, struct workers_bind **ret_binds, size_t *ret_n)
{
	struct workers_bind *binds = calloc(config->n_listeners + 1, sizeof(*binds));
	size_t n = 0, j;

	if (!binds)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_listener *l = &config->listeners[i];

		for (j = 0; j < n; j++)
			if (binds[j].port == l->port && !memcmp(binds[j].addr, l->addr, 16))
				break;
		if (j < n)
			continue;
		memcpy(binds[n].addr, l->addr, 16);
		binds[n].port = l->port;
		binds[n++].listener = l->name;
	}
	*ret_binds = binds;
	*ret_n = n;
	return 0;
}

/* Accept on what the maps hold now. */
static int accept_on_tables(struct router *r)
{
	const struct tables_bind *binds;
	size_t n = tables_binds(r->tables, &binds);
	_cleanup_free_ struct workers_bind *set = calloc(n + 1, sizeof(*set));
	const struct tw_listener *listener;

	if (!set)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		listener = tables_listener(r->tables, binds[i].value.listener);
		set[i].bind = binds[i].value.id;
		memcpy(set[i].addr, binds[i].key.addr, 16);
		set[i].port = binds[i].key.port;
		set[i].listener = listener ? listener->name : "";
	}
	return workers_set_binds(r->workers, set, n);
}

static void name_ids_in_log(struct router *r)
{
	const struct tw_listener *listener = NULL;
	const struct tw_backend *backend = NULL;
	const struct tw_route *route = NULL;

	while ((listener = tables_next_listener(r->tables, listener ? listener->id : 0)))
		access_log_name(r->log, ACCESS_LOG_LISTENER, listener->id, listener->name);
	while ((route = tables_next_route(r->tables, route ? route->id : 0)))
		access_log_name(r->log, ACCESS_LOG_ROUTE, route->id, route->name);
	while ((backend = tables_next_backend(r->tables, backend ? backend->id : 0)))
		access_log_name(r->log, ACCESS_LOG_BACKEND, backend->id, backend->text);
}

/*
 * tables_sync(), but what it says about routes of the command line is a warning: they were taken
 * when they were added, stay kept, and come back when what is in their way has gone.
 */
static int sync_tables(struct router *r, const struct config *config,
		       const struct config_route *cli, size_t n_cli, bool dry_run,
		       struct tables_changes *changes, struct config_problems *problems)
{
	size_t before = problems->n;
	int err = tables_sync(r->tables, config, cli, n_cli, dry_run, changes, problems);

	for (size_t i = before; i < problems->n; i++) {
		struct config_problem *problem = &problems->items[i];

		if (problem->pos.file || problem->is_warning)
			continue;
		problem->is_warning = true;
		problems->n_errors--;
	}
	return err;
}

static int commit(struct router *r, const struct config *config, const struct config_route *cli,
		  size_t n_cli, struct tables_changes *changes, struct config_problems *problems,
		  char **ret_why)
{
	_cleanup_free_ struct workers_bind *wanted = NULL;
	size_t n;
	int err;

	err = binds_wanted(config, &wanted, &n);
	if (!err)
		err = workers_prepare_binds(r->workers, wanted, n, ret_why);
	if (err)
		return err;
	err = sync_tables(r, config, cli, n_cli, false, changes, problems);
	if (!err) {
		name_ids_in_log(r);
		err = accept_on_tables(r);
	}
	if (err && !*ret_why &&
	    asprintf(ret_why, "the change could not be made: %s", strerror(-err)) < 0)
		*ret_why = NULL;
	return err;
}

/* Is there an error that was not in @problems before? The table reports what it cannot take. */
static bool has_new_error(const struct config_problems *problems, size_t errors_before)
{
	return problems->n_errors > errors_before;
}

/* Would the table take all of it? */
static int try_sync(struct router *r, const struct config *config, const struct config_route *cli,
		    size_t n_cli, struct tables_changes *changes, struct config_problems *problems)
{
	size_t errors = problems->n_errors;
	int err = sync_tables(r, config, cli, n_cli, true, changes, problems);

	if (!err && has_new_error(problems, errors))
		err = -EINVAL;
	return err;
}

static int set_config(struct router *r, const struct config *config, bool dry_run, bool strict,
		      struct tables_changes *changes, struct config_problems *problems, char **why)
{
	int err = 0;

	if (dry_run || strict)
		err = try_sync(r, config, r->cli, r->n_cli, dry_run ? changes : NULL, problems);
	if (dry_run || (strict && err))
		return strict ? err : 0;
	err = access_log_configure(r->log, config->access_log.target, config->access_log.format);
	if (err) {
		if (asprintf(why, "access_log: %s: %s", config->access_log.target, strerror(-err)) <
		    0)
			*why = NULL;
		return err;
	}
	err = commit(r, config, r->cli, r->n_cli, changes, problems, why);
	if (err && r->config)
		access_log_configure(r->log, r->config->access_log.target,
				     r->config->access_log.format);
	return err;
}

int router_set_config(struct router *r, struct config *config, bool dry_run, bool strict,
		      struct tables_changes *changes, struct config_problems *problems, char **why)
{
	int err;

	*why = NULL;
	err = set_config(r, config, dry_run, strict, changes, problems, why);
	if (err || dry_run) {
		config_free(config);
		return err;
	}
	if (r->config && r->config->workers != config->workers)
		log_warn("workers: a restart is needed to change the number, ignoring");
	workers_set_limits(r->workers, config->max_connections, config->keepalive_s);
	config_free(r->config);
	r->config = config;
	return 0;
}

/* --- the CLI's routes -------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static const char *first_listener(const struct config_route *route)
{
	return route->n_listeners ? route->listeners[0] : NULL;
}

static const char *first_alpn(const struct config_route *route)
{
	return route->n_alpn ? route->alpn[0] : NULL;
}

int router_add_route(struct router *r, struct config_route *route, struct config_problems *problems,
		     char **why)
{
	struct config_route *cli;
	size_t at, n;
	int err;

	*why = NULL;
	for (at = 0; at < r->n_cli; at++)
		if (same_text(r->cli[at].name, route->name) &&
		    same_text(first_listener(&r->cli[at]), first_listener(route)) &&
		    same_text(first_alpn(&r->cli[at]), first_alpn(route)))
			break;
	n = at < r->n_cli ? r->n_cli : r->n_cli + 1;
	cli = malloc(n * sizeof(*cli));
	if (!cli) {
		config_route_fini(route);
		return -ENOMEM;
	}
	/* A copy of the array, not of what its routes point to. */
	if (r->n_cli)
		memcpy(cli, r->cli, r->n_cli * sizeof(*cli));
	cli[at] = *route;
	/* What is said about this one is an error. */
	cli[at].pos.file = "route add";

	/* First dry, so that a route that is refused changes nothing. */
	err = try_sync(r, r->config, cli, n, NULL, problems);
	if (!err)
		err = commit(r, r->config, cli, n, NULL, problems, why);
	if (err) {
		config_route_fini(route);
		free(cli);
		return err;
	}
	cli[at].pos.file = NULL;
	if (at < r->n_cli)
		config_route_fini(&r->cli[at]);
	free(r->cli);
	r->cli = cli;
	r->n_cli = n;
	return 0;
}

int router_del_route(struct router *r, const char *name, const char *listener, const char *alpn,
		     size_t *ret_n, char **why)
{
	_cleanup_free_ struct config_route *gone = calloc(r->n_cli + 1, sizeof(*gone));
	struct config_route *kept = calloc(r->n_cli + 1, sizeof(*kept));
	size_t n_gone = 0, n_kept = 0;
	struct config_problems ignored;
	int err = 0;

	*why = NULL;
	if (!gone || !kept) {
		free(kept);
		return -ENOMEM;
	}
	for (size_t i = 0; i < r->n_cli; i++) {
		struct config_route *route = &r->cli[i];

		if (same_text(route->name, name) &&
		    (!listener || same_text(first_listener(route), listener)) &&
		    (!alpn || same_text(first_alpn(route), alpn)))
			gone[n_gone++] = *route;
		else
			kept[n_kept++] = *route;
	}
	*ret_n = n_gone;
	if (n_gone) {
		/* What the remaining routes cannot have was reported when they were added. */
		config_problems_init(&ignored);
		err = commit(r, r->config, kept, n_kept, NULL, &ignored, why);
		config_problems_fini(&ignored);
	}
	if (err || !n_gone) {
		free(kept);
		return err;
	}
	for (size_t i = 0; i < n_gone; i++)
		config_route_fini(&gone[i]);
	free(r->cli);
	r->cli = kept;
	r->n_cli = n_kept;
	return 0;
}

/* --- open and close ---------------------------------------------------------------------- */

int router_open(const char *instance, bool reset, const struct config *config,
		struct router **ret_router, char **why)
{
	struct workers_config workers = {
		.n = config->workers,
		.max_connections = config->max_connections,
		.keepalive_s = config->keepalive_s,
		.is_wanted = is_log_on,
		.on_end = on_end,
	};
	struct router *r = calloc(1, sizeof(*r));
	int err;

	*why = NULL;
	if (!r)
		return -ENOMEM;
	r->instance = strdup(instance);
	err = r->instance ? datapath_open(instance, reset, &r->dp, why) : -ENOMEM;
	if (!err)
		err = tables_open(r->dp, &r->tables);
	if (!err)
		err = tables_take_cli_routes(r->tables, &r->cli, &r->n_cli);
	if (!err)
		err = access_log_open(&r->log);
	workers.dp = r->dp;
	workers.arg = r->log;
	if (!err)
		err = workers_start(&workers, &r->workers);
	if (err) {
		if (!*why && asprintf(why, "cannot start: %s", strerror(-err)) < 0)
			*why = NULL;
		router_close(r, false);
		return err;
	}
	*ret_router = r;
	return 0;
}

struct router *router_close(struct router *r, bool unpin)
{
	if (!r)
		return NULL;
	workers_stop(r->workers);
	access_log_close(r->log);
	tables_close(r->tables);
	datapath_close(r->dp);
	if (unpin)
		datapath_unpin(r->instance);
	for (size_t i = 0; i < r->n_cli; i++)
		config_route_fini(&r->cli[i]);
	free(r->cli);
	config_free(r->config);
	free(r->instance);
	free(r);
	return NULL;
}

const struct config *router_config(const struct router *r)
{
	return r->config;
}

struct tables *router_tables(struct router *r)
{
	return r->tables;
}

struct datapath *router_datapath(struct router *r)
{
	return r->dp;
}

struct workers *router_workers(struct router *r)
{
	return r->workers;
}
