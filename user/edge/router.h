/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The running router: the configuration in force, the CLI's routes, and the order in which a change
 * reaches sockets, maps and log. Everything that changes routes comes through here. Main thread.
 */
#ifndef THRUWAY_ROUTER_H
#define THRUWAY_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "conn/workers.h"
#include "kernel/datapath.h"
#include "kernel/tables.h"
#include "model/config.h"

struct router;

/*
 * Load and pin the datapath of @instance, adopt what it holds, start the workers for @config (lent:
 * worker count and limits). 0 or -errno with one line in *@ret_why (to be freed).
 */
int router_open(const char *instance, bool reset, const struct config *config,
		struct router **ret_router, char **ret_why);
/* End every connection, stop the workers, close. With @unpin the pinned state goes, too. */
struct router *router_close(struct router *router, bool unpin);

/*
 * Make @config (taken, also on error) what the file owns. Routes that the table cannot take (a name
 * that another route has, a full map) are reported in @problems; with @strict they fail the whole,
 * else they are left out alone. Ports that cannot be opened fail the whole. On error: -errno,
 * -EINVAL for @problems, one line in *@ret_why for others, and nothing changed. With @dry_run
 * nothing changes either way. @ret_changes may be NULL.
 */
int router_set_config(struct router *router, struct config *config, bool dry_run, bool strict,
		      struct tables_changes *ret_changes, struct config_problems *problems,
		      char **ret_why);

/*
 * Where @texts differ from the configuration in force in a few Kubernetes objects, make the change,
 * strictly. false: it is more than that, or something stands in its way; nothing has changed, and
 * what is said in @problems and @changes is void.
 */
bool router_change(struct router *router, const struct config_text *texts, size_t n,
		   struct tables_changes *changes, struct config_problems *problems);

/*
 * Add @route (owner CLI; its fields are taken, also on error), or replace the CLI's route of the
 * same name, listener and ALPN. -EINVAL with @problems if it cannot be taken: nothing changed.
 */
int router_add_route(struct router *router, struct config_route *route,
		     struct config_problems *problems, char **ret_why);
/* Remove the CLI's routes of this name; @listener and @alpn narrow it (NULL = any). How many. */
int router_del_route(struct router *router, const char *name, const char *listener,
		     const char *alpn, size_t *ret_n, char **ret_why);

/* After a backend was drained or undrained: warm sockets are kept for those in use. */
void router_refresh_pools(struct router *router);

/* Open the access log's file again by its name (logrotate). */
void router_reopen_log(struct router *router);

/* May connections be joined in the kernel here? */
bool router_has_socket_path(const struct router *router);

/* Lent. */
const struct config *router_config(const struct router *router);
struct tables *router_tables(struct router *router);
struct datapath *router_datapath(struct router *router);
struct workers *router_workers(struct router *router);

#endif
