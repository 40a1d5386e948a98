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
#include "base/clock.h"
#include "base/log.h"
#include "base/privileges.h"
#include "edge/access_log.h"
#include "edge/cli_routes.h"
#include "edge/loops.h"
#include "edge/paths.h"
#include "kernel/local.h"
#include "kernel/sockmap.h"
#include "model/config_change.h"
#include "model/gateway.h"

struct router {
	struct datapath *dp;
	bool has_pools;
	struct local *local;	 /* NULL: no configuration has asked for it yet */
	struct sockmap *sockmap; /* NULL = no socket path here */
	struct tables *tables;
	struct workers *workers;
	struct access_log *log;
	char *instance;
	struct config *config; /* what the file owns; never NULL after the first set */
	struct cli_routes cli;
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
		if (j < n) {
			binds[j].may_wait &= l->may_wait;
			continue;
		}
		memcpy(binds[n].addr, l->addr, 16);
		binds[n].may_wait = l->may_wait;
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

static bool has_direct_route(struct router *r)
{
	const struct tw_route *route = NULL;

	while ((route = tables_next_route(r->tables, route ? route->id : 0)))
		if (route->local == TW_LOCAL_DIRECT)
			return true;
	return false;
}

/* On which binds programs of this node may be led past us. Failing is no error: TCP is there. */
static void refresh_local(struct router *r)
{
	const struct tw_listener *listener = NULL;
	struct tw_bind_key binds[TW_LISTENERS_MAX];
	bool is_everywhere = has_direct_route(r);
	size_t n = 0;
	int err = 0;

	while ((listener = tables_next_listener(r->tables, listener ? listener->id : 0))) {
		if (!is_everywhere && listener->local != TW_LOCAL_DIRECT)
			continue;
		binds[n] = (struct tw_bind_key){.port = listener->port};
		memcpy(binds[n++].addr, listener->addr, sizeof(listener->addr));
	}
	if (!n && !r->local)
		return;
	if (!r->local)
		err = local_open(r->dp, &r->local);
	if (!err)
		err = local_set_binds(r->local, binds, n);
	if (err)
		log_warn("local: direct is not possible here (%s), connections go by TCP",
			 strerror(-err));
	else
		workers_set_local(r->workers, r->local);
}

static int commit(struct router *r, const struct config *config, const struct config_route *cli,
		  size_t n_cli, enum tables_mode mode, struct tables_changes *changes,
		  struct config_problems *problems, char **ret_why)
{
	_cleanup_free_ struct workers_bind *wanted = NULL;
	size_t n, n_problems = problems->n;
	int err;

	err = binds_wanted(config, &wanted, &n);
	if (!err)
		err = workers_prepare_binds(r->workers, wanted, n, ret_why);
	if (err)
		return err;
	err = tables_sync(r->tables, config, cli, n_cli, mode, changes, problems);
	if (!err) {
		name_ids_in_log(r);
		err = accept_on_tables(r);
	}
	if (!err) {
		router_refresh_pools(r);
		refresh_local(r);
	}
	if (err)
		workers_drop_unset(r->workers);
	/* What the table cannot take is in @problems; so is why it could not be written. */
	if (err && err != -EINVAL && !*ret_why) {
		if (problems->n > n_problems)
			*ret_why = strdup(problems->items[problems->n - 1].text);
		else if (asprintf(ret_why, "the change could not be made: %s", strerror(-err)) < 0)
			*ret_why = NULL;
	}
	return err;
}

void router_refresh_pools(struct router *r)
{
	const struct tw_backend *backend = NULL;
	_cleanup_free_ struct workers_pool *pools = NULL;
	size_t n = 0;

	while ((backend = tables_next_backend(r->tables, backend ? backend->id : 0)))
		n += backend->pool && !backend->drained;
	if (!n && !r->has_pools)
		return;
	pools = calloc(n + 1, sizeof(*pools));
	if (!pools) {
		log_warn("out of memory, the pools of warm sockets stay as they are");
		return;
	}
	n = 0;
	while ((backend = tables_next_backend(r->tables, backend ? backend->id : 0)))
		if (backend->pool && !backend->drained)
			pools[n++] = (struct workers_pool){*backend, backend->pool};
	workers_set_pools(r->workers, pools, n);
	r->has_pools = n;
}

struct loop_search {
	const struct config *config;
	struct config_problems *problems;
};

/*
 * A route of the command line that leads to a listener of the new configuration goes: with it in
 * force, one connection would take every file descriptor there is.
 */
static bool is_gone_in_loop(void *arg, const struct config_route *route)
{
	struct loop_search *search = arg;
	size_t before = search->problems->n;

	if (!loops_has(search->config, route, search->problems))
		return false;
	for (size_t i = before; i < search->problems->n; i++) {
		search->problems->items[i].is_warning = true;
		search->problems->n_errors--;
	}
	config_problem_add(search->problems, NULL, true,
			   "route %s of the command line is removed for that", route->name);
	return true;
}

static int set_log(struct router *r, const struct config *config, char **why)
{
	int err =
		access_log_configure(r->log, config->access_log.target, config->access_log.format);

	if (err &&
	    asprintf(why, "access_log: %s: %s", config->access_log.target, strerror(-err)) < 0)
		*why = NULL;
	return err;
}

static int set_config(struct router *r, const struct config *config, bool dry_run, bool strict,
		      struct tables_changes *changes, struct config_problems *problems, char **why)
{
	struct loop_search search = {config, problems};
	size_t n_errors = problems->n_errors;
	struct cli_split split;
	int err;

	err = cli_routes_split(&r->cli, is_gone_in_loop, &search, &split);
	if (err)
		return err;
	if (dry_run) {
		err = tables_sync(r->tables, config, split.kept.items, split.kept.n, TABLES_DRY_RUN,
				  changes, problems);
		if (!err && strict && problems->n_errors > n_errors)
			err = -EINVAL;
		cli_split_fini(&split);
		return strict ? err : 0;
	}
	err = set_log(r, config, why);
	/* Before anything is accepted by it; where it then fails, a limit alone has changed. */
	datapath_socket(r->dp)->per_connection = config->redirect_per_connection;
	datapath_socket(r->dp)->in_all = config->redirect_total;
	if (!err) {
		err = commit(r, config, split.kept.items, split.kept.n,
			     strict ? TABLES_STRICT : TABLES_LENIENT, changes, problems, why);
		if (!err)
			cli_routes_take_split(&r->cli, &split);
		else if (r->config)
			(void)set_log(r, r->config, why);
	}
	cli_split_fini(&split);
	return err;
}

void router_reopen_log(struct router *r)
{
	char *why = NULL;

	if (r->config && set_log(r, r->config, &why))
		log_warn("%s, writing on to the old file", why ? why : "access_log");
	free(why);
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
	if (r->config && paths_has_socket(config) && !paths_has_socket(r->config) && !r->sockmap)
		log_warn("paths: a restart is needed to use the socket path, using the relay");
	workers_set_limits(r->workers, config->max_connections, config->keepalive_s);
	if (config->gateway)
		gateway_date(config->gateway, r->config ? r->config->gateway : NULL,
			     clock_unix_ms() / 1000);
	config_free(r->config);
	r->config = config;
	return 0;
}

static int make_change(struct router *r, struct config_change *change,
		       struct tables_changes *changes, struct config_problems *problems)
{
	char *why = NULL;
	int err = config_change_make(change);

	if (err)
		return err;
	err = loops_has_change(r->config, change) ? -EAGAIN
						  : commit(r, r->config, r->cli.items, r->cli.n,
							   TABLES_STRICT, changes, problems, &why);
	free(why);
	if (!err)
		config_change_date(change, clock_unix_ms() / 1000);
	else if (config_change_make(change))
		log_err("no memory to take a change back: statuses may be wrong until the "
			"configuration has been read again");
	return err;
}

bool router_change(struct router *r, const struct config_text *texts, size_t n,
		   struct tables_changes *changes, struct config_problems *problems)
{
	struct config_change *change = NULL;
	int err = r->config ? config_change_find(r->config, texts, n, &change) : -EAGAIN;

	if (!err)
		err = make_change(r, change, changes, problems);
	config_change_free(change);
	return !err;
}

/* --- the CLI's routes -------------------------------------------------------------------- */

int router_add_route(struct router *r, struct config_route *route, struct config_problems *problems,
		     char **why)
{
	size_t at = cli_routes_find(&r->cli, route), n = at < r->cli.n ? r->cli.n : r->cli.n + 1;
	struct config_route *items = calloc(n, sizeof(*items));
	int err = items ? 0 : -ENOMEM;

	*why = NULL;
	if (!err && r->config && loops_has(r->config, route, problems))
		err = -EINVAL;
	if (!err) {
		if (r->cli.n)
			memcpy(items, r->cli.items, r->cli.n * sizeof(*items));
		items[at] = *route;
		/* What is said about this one is an error. */
		items[at].pos.file = "route add";
		err = commit(r, r->config, items, n, TABLES_STRICT_CLI, NULL, problems, why);
	}
	if (err) {
		config_route_fini(route);
		free(items);
		return err;
	}
	items[at].pos.file = NULL;
	if (at < r->cli.n)
		config_route_fini(&r->cli.items[at]);
	free(r->cli.items);
	r->cli = (struct cli_routes){items, n};
	return 0;
}

struct route_key {
	const char *name, *listener, *alpn;
};

static bool is_gone_by_key(void *arg, const struct config_route *route)
{
	const struct route_key *key = arg;

	return !strcmp(route->name, key->name) && cli_route_is_for(route, key->listener, key->alpn);
}

int router_del_route(struct router *r, const char *name, const char *listener, const char *alpn,
		     size_t *ret_n, char **why)
{
	struct route_key key = {name, listener, alpn};
	struct config_problems ignored;
	struct cli_split split;
	int err;

	*why = NULL;
	err = cli_routes_split(&r->cli, is_gone_by_key, &key, &split);
	if (err)
		return err;
	*ret_n = split.gone.n;
	if (split.gone.n) {
		/* What the remaining routes cannot have was reported when they were added. */
		config_problems_init(&ignored);
		err = commit(r, r->config, split.kept.items, split.kept.n, TABLES_LENIENT, NULL,
			     &ignored, why);
		config_problems_fini(&ignored);
		if (!err)
			cli_routes_take_split(&r->cli, &split);
	}
	cli_split_fini(&split);
	return err;
}

/* --- open and close ---------------------------------------------------------------------- */

static int open_tables(struct router *r, bool reset, char **why)
{
	int err = datapath_open(r->instance, reset, &r->dp, why);

	if (!err)
		err = tables_open(r->dp, &r->tables, why);
	if (err != -EUCLEAN || !reset)
		return err;
	log_warn("%s; removing them", *why ? *why : "damaged maps");
	free(*why);
	*why = NULL;
	r->dp = datapath_close(r->dp);
	err = datapath_unpin(r->instance, why);
	if (err && err != -ENOTEMPTY)
		return err;
	free(*why);
	*why = NULL;
	err = datapath_open(r->instance, false, &r->dp, why);
	return err ? err : tables_open(r->dp, &r->tables, why);
}

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
	err = r->instance ? open_tables(r, reset, why) : -ENOMEM;
	if (!err)
		err = tables_take_cli_routes(r->tables, &r->cli.items, &r->cli.n);
	/* Adopting maps needs CAP_SYS_ADMIN (BTF by id); threads that read from the network do not.
	 */
	if (!err && privileges_drop())
		log_warn("capabilities that are not needed cannot be given up, keeping them");
	if (!err)
		err = access_log_open(&r->log);
	if (!err)
		err = paths_open_socket(r->dp, config, &r->sockmap);
	workers.dp = r->dp;
	workers.sockmap = r->sockmap;
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
	char *why = NULL;

	if (!r)
		return NULL;
	workers_stop(r->workers);
	access_log_close(r->log);
	local_close(r->local);
	sockmap_close(r->sockmap);
	tables_close(r->tables);
	datapath_close(r->dp);
	if (unpin && datapath_unpin(r->instance, &why)) {
		log_warn("%s", why ? why : "pinned maps could not be removed");
		free(why);
	}
	cli_routes_fini(&r->cli);
	config_free(r->config);
	free(r->instance);
	free(r);
	return NULL;
}

bool router_has_socket_path(const struct router *r)
{
	return r->sockmap;
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
