// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The main thread's side of the workers (see workers.h): starts and stops them, keeps the list of
 * binds, and puts questions to each in turn.
 */
#include "conn/workers.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "conn/conn.h"
#include "conn/listener.h"
#include "conn/worker.h"

#define KEEPALIVE_S_DEFAULT 60
/* Each worker needs a scratch slot of its own; slot 0 is the main thread's. */
#define WORKERS_MAX	    (TW_SCRATCH_MAX - 1)
/* File descriptors that are not a connection's: maps, logs, control socket, ... */
#define RESERVED_FDS	    256
/* ... and of each worker, besides its listening sockets: epoll, queue, pipes in use. */
#define WORKER_FDS	    16

/* A bind and its sockets, one a worker. */
struct open_bind {
	uint8_t addr[16];
	__be16 port;
	uint32_t bind;
	bool is_set; /* the workers have the sockets */
	int *fds;
};

struct workers {
	struct shared shared;
	struct worker **threads;
	unsigned int n;
	uint64_t files;		  /* that may be open */
	uint64_t pool_files;	  /* of those, warm sockets' and their queues' */
	uint32_t max_connections; /* as configured; 0 = as many as files allow */
	struct open_bind *binds;
	size_t n_binds;
};

/* --- limits ---------------------------------------------------------------------------------- */

static uint64_t raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur < limit.rlim_max) {
		struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

		if (!setrlimit(RLIMIT_NOFILE, &raised))
			limit = raised;
	}
	return limit.rlim_cur;
}

/* What is left for sockets. To be asked again when the number of binds or pools has changed. */
static uint64_t free_files(const struct workers *ws)
{
	uint64_t reserved = RESERVED_FDS + ws->n * (WORKER_FDS + (uint64_t)ws->n_binds);

	return ws->files > reserved ? ws->files - reserved : 0;
}

/* A connection has two sockets. */
static void set_max_connections(struct workers *ws)
{
	uint64_t most =
		free_files(ws) > ws->pool_files + 2 ? (free_files(ws) - ws->pool_files) / 2 : 1;

	if (ws->max_connections && ws->max_connections < most)
		most = ws->max_connections;
	if (most > UINT32_MAX / 2)
		most = UINT32_MAX / 2;
	__atomic_store_n(&ws->shared.max_connections, (uint32_t)most, __ATOMIC_RELAXED);
}

static void set_limits(struct workers *ws, uint32_t max_connections, uint32_t keepalive_s)
{
	ws->max_connections = max_connections;
	set_max_connections(ws);
	__atomic_store_n(&ws->shared.keepalive_s, keepalive_s ? keepalive_s : KEEPALIVE_S_DEFAULT,
			 __ATOMIC_RELAXED);
}

struct limits_command {
	struct command command; /* first: run() casts back */
	uint32_t keepalive_s;
};

static void run_limits(struct worker *w, struct command *command)
{
	listener_set_keepalive(w, ((struct limits_command *)command)->keepalive_s);
}

void workers_set_limits(struct workers *ws, uint32_t max_connections, uint32_t keepalive_s)
{
	struct limits_command limits = {.command.run = run_limits};

	set_limits(ws, max_connections, keepalive_s);
	limits.keepalive_s = ws->shared.keepalive_s;
	for (unsigned int i = 0; i < ws->n; i++)
		(void)worker_call(ws->threads[i], &limits.command);
}

void workers_set_local(struct workers *ws, const struct local *local)
{
	__atomic_store_n(&ws->shared.local, local, __ATOMIC_RELEASE);
}

struct pools_command {
	struct command command; /* first: run() casts back */
	const struct workers_pool *pools;
	size_t n;
};

static void run_pools(struct worker *w, struct command *command)
{
	struct pools_command *pools = (struct pools_command *)command;

	pool_set(w, pools->pools, pools->n);
}

/* Half of the files is left to connections. */
static void cut_pools(struct workers *ws, struct workers_pool *pools, size_t n)
{
	uint64_t room = free_files(ws) / 2, queues = (uint64_t)n * ws->n, wanted = 0, given = 0;

	room = room > queues ? room - queues : 0;
	for (size_t i = 0; i < n; i++)
		wanted += pools[i].n;
	for (size_t i = 0; i < n; i++) {
		if (wanted > room)
			pools[i].n = (uint32_t)(pools[i].n * room / wanted);
		given += pools[i].n;
	}
	if (given < wanted)
		log_warn("pools ask for %llu warm sockets and get %llu; raise the limit on open "
			 "files (LimitNOFILE=)",
			 (unsigned long long)wanted, (unsigned long long)given);
	ws->pool_files = given + queues;
}

void workers_set_pools(struct workers *ws, struct workers_pool *pools, size_t n)
{
	struct pools_command command = {.command.run = run_pools, .pools = pools, .n = n};

	cut_pools(ws, pools, n);
	set_max_connections(ws);
	for (unsigned int i = 0; i < ws->n; i++)
		/* A worker that does not answer keeps those that it has. */
		(void)worker_call(ws->threads[i], &command.command);
}

/* --- start and stop -------------------------------------------------------------------------- */

static unsigned int count_threads(uint32_t wanted)
{
	long cores = wanted ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 1)
		return 1;
	return cores > WORKERS_MAX ? WORKERS_MAX : (unsigned int)cores;
}

int workers_start(const struct workers_config *config, struct workers **ret_workers)
{
	struct workers *ws = calloc(1, sizeof(*ws));
	unsigned int n = count_threads(config->n);
	int err = 0;

	if (!ws)
		return -ENOMEM;
	ws->threads = calloc(n, sizeof(struct worker *));
	if (!ws->threads) {
		free(ws);
		return -ENOMEM;
	}
	ws->shared.dp = config->dp;
	ws->shared.sockmap = config->sockmap;
	ws->shared.n_workers = n;
	ws->shared.on_end = config->on_end;
	ws->shared.is_wanted = config->is_wanted;
	ws->shared.arg = config->arg;
	ws->files = raise_file_limit();
	while (!err && ws->n < n) {
		err = worker_start(&ws->shared, ws->n, &ws->threads[ws->n]);
		if (!err)
			ws->n++;
	}
	if (err) {
		workers_stop(ws);
		return err;
	}
	set_limits(ws, config->max_connections, config->keepalive_s);
	*ret_workers = ws;
	return 0;
}

/* Sockets that the workers have are theirs to close. */
static void bind_fini(const struct workers *ws, struct open_bind *b)
{
	for (unsigned int i = 0; i < ws->n && !b->is_set; i++)
		close(b->fds[i]);
	free(b->fds);
}

struct workers *workers_stop(struct workers *ws)
{
	if (!ws)
		return NULL;
	for (unsigned int i = 0; i < ws->n; i++)
		worker_join(ws->threads[i]);
	for (size_t i = 0; i < ws->n_binds; i++)
		bind_fini(ws, &ws->binds[i]);
	free(ws->binds);
	free(ws->threads);
	free(ws);
	return NULL;
}

/* --- binds ----------------------------------------------------------------------------------- */

static struct open_bind *find_bind(const struct workers *ws, const struct workers_bind *bind)
{
	for (size_t i = 0; i < ws->n_binds; i++)
		if (ws->binds[i].port == bind->port &&
		    !memcmp(ws->binds[i].addr, bind->addr, sizeof(bind->addr)))
			return &ws->binds[i];
	return NULL;
}

static bool has_port(const struct workers *ws, __be16 port)
{
	for (size_t i = 0; i < ws->n_binds; i++)
		if (ws->binds[i].port == port)
			return true;
	return false;
}

static int open_bind(struct workers *ws, const struct workers_bind *bind, char **ret_why)
{
	struct open_bind *grown, *b;
	int err;

	grown = realloc(ws->binds, (ws->n_binds + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	ws->binds = grown;
	b = &ws->binds[ws->n_binds];
	memset(b, 0, sizeof(*b));
	b->fds = calloc(ws->n, sizeof(int));
	if (!b->fds)
		return -ENOMEM;
	err = listener_open(bind, ws->n, has_port(ws, bind->port), ws->shared.keepalive_s, b->fds,
			    ret_why);
	if (err) {
		free(b->fds);
		return err;
	}
	memcpy(b->addr, bind->addr, sizeof(b->addr));
	b->port = bind->port;
	b->bind = bind->bind;
	ws->n_binds++;
	return 0;
}

int workers_prepare_binds(struct workers *ws, const struct workers_bind *binds, size_t n,
			  char **ret_why)
{
	size_t before = ws->n_binds;
	int err = 0;

	*ret_why = NULL;
	for (size_t i = 0; i < n && !err; i++)
		if (!find_bind(ws, &binds[i]))
			err = open_bind(ws, &binds[i], ret_why);
	while (err && ws->n_binds > before)
		bind_fini(ws, &ws->binds[--ws->n_binds]);
	set_max_connections(ws);
	return err;
}

void workers_drop_unset(struct workers *ws)
{
	size_t kept = 0;

	for (size_t i = 0; i < ws->n_binds; i++)
		if (ws->binds[i].is_set)
			ws->binds[kept++] = ws->binds[i];
		else
			bind_fini(ws, &ws->binds[i]);
	ws->n_binds = kept;
	set_max_connections(ws);
}

struct binds_command {
	struct command command; /* first: run() casts back */
	const int *fds;
	const uint32_t *binds;
	size_t n;
};

static void run_binds(struct worker *w, struct command *command)
{
	struct binds_command *binds = (struct binds_command *)command;

	listener_set(w, binds->fds, binds->binds, binds->n);
}

static bool is_wanted(const struct open_bind *b, const struct workers_bind *binds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (b->port == binds[i].port && !memcmp(b->addr, binds[i].addr, sizeof(b->addr)))
			return true;
	return false;
}

/* The kernel cuts the backlog to net.core.somaxconn. */
static int start_listening(const struct workers *ws, const struct open_bind *b)
{
	for (unsigned int i = 0; i < ws->n; i++)
		if (listen(b->fds[i], INT_MAX) < 0)
			return -errno;
	return 0;
}

/* Hand every worker its sockets of all binds that are in use. */
static int tell_workers(struct workers *ws)
{
	int *fds = calloc(ws->n_binds + 1, sizeof(*fds));
	uint32_t *ids = calloc(ws->n_binds + 1, sizeof(*ids));
	struct binds_command binds = {.command.run = run_binds, .fds = fds, .binds = ids};
	int err = fds && ids ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < ws->n && !err; i++) {
		binds.n = 0;
		for (size_t k = 0; k < ws->n_binds; k++) {
			if (!ws->binds[k].is_set)
				continue;
			fds[binds.n] = ws->binds[k].fds[i];
			ids[binds.n++] = ws->binds[k].bind;
		}
		err = worker_call(ws->threads[i], &binds.command);
	}
	free(fds);
	free(ids);
	return err;
}

int workers_set_binds(struct workers *ws, const struct workers_bind *binds, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct open_bind *b = find_bind(ws, &binds[i]);
		int err = !b ? -ENOENT : b->is_set ? 0 : start_listening(ws, b);

		if (err)
			return err;
	}
	for (size_t i = 0; i < n; i++) {
		struct open_bind *b = find_bind(ws, &binds[i]);

		b->bind = binds[i].bind;
		b->is_set = true;
	}
	for (size_t i = 0; i < ws->n_binds; i++)
		if (is_wanted(&ws->binds[i], binds, n))
			ws->binds[kept++] = ws->binds[i];
		else
			bind_fini(ws, &ws->binds[i]);
	ws->n_binds = kept;
	set_max_connections(ws);
	return tell_workers(ws);
}

/* --- list and kill --------------------------------------------------------------------------- */

static bool has_route(const struct workers_filter *f, uint32_t route)
{
	for (size_t i = 0; i < f->n_routes; i++)
		if (f->routes[i] == route)
			return true;
	return !f->n_routes;
}

static bool matches(const struct conn *c, const struct workers_filter *f)
{
	static const uint8_t any[16];

	return (!f->id || f->id == c->id) && (!f->backend || f->backend == c->backend) &&
	       (!f->listener || f->listener == c->listener) &&
	       (!memcmp(f->client, any, sizeof(any)) ||
		!memcmp(f->client, c->client.ip, sizeof(f->client))) &&
	       has_route(f, c->route);
}

struct list_command {
	struct command command; /* first: run() casts back */
	const struct workers_filter *filter;
	struct conn_record *records;
	size_t n;
	char *texts; /* what the records point to */
	int err;
};

static size_t text_bytes(const struct conn *c)
{
	return c->hello ? c->hello->name_len + 1u + c->hello->alpn_len : 1u;
}

static void list_one(struct worker *w, const struct conn *c, struct conn_record *r, char *text)
{
	conn_describe(w, c, r);
	*text = '\0';
	if (c->hello)
		memcpy(text, c->hello->bytes, text_bytes(c));
	r->sni = text;
	if (r->alpn)
		r->alpn = (uint8_t *)text + c->hello->name_len + 1;
}

static void run_list(struct worker *w, struct command *command)
{
	struct list_command *list = (struct list_command *)command;
	size_t n = 0, bytes = 0;
	struct conn *c;
	char *text;

	LIST_FOREACH (c, &w->conns, link)
		if (matches(c, list->filter)) {
			bytes += text_bytes(c);
			n++;
		}
	list->records = calloc(n + 1, sizeof(*list->records));
	list->texts = text = malloc(bytes + 1);
	if (!list->records || !list->texts) {
		list->err = -ENOMEM;
		return;
	}
	LIST_FOREACH (c, &w->conns, link)
		if (matches(c, list->filter)) {
			list_one(w, c, &list->records[list->n++], text);
			text += text_bytes(c);
		}
}

int workers_list(struct workers *ws, const struct workers_filter *filter,
		 void (*cb)(void *arg, const struct conn_record *record), void *arg)
{
	int err = 0;

	for (unsigned int i = 0; i < ws->n && !err; i++) {
		struct list_command list = {.command.run = run_list, .filter = filter};

		err = worker_call(ws->threads[i], &list.command);
		if (!err)
			err = list.err;
		for (size_t k = 0; k < list.n; k++)
			cb(arg, &list.records[k]);
		free(list.records);
		free(list.texts);
	}
	return err;
}

struct kill_command {
	struct command command; /* first: run() casts back */
	const struct workers_filter *filter;
	size_t n;
};

static void run_kill(struct worker *w, struct command *command)
{
	struct kill_command *kill = (struct kill_command *)command;
	struct conn *c, *next;

	for (c = LIST_FIRST(&w->conns); c; c = next) {
		next = LIST_NEXT(c, link);
		if (!matches(c, kill->filter))
			continue;
		conn_kill(w, c, TW_END_killed);
		kill->n++;
	}
}

size_t workers_kill(struct workers *ws, const struct workers_filter *filter)
{
	struct kill_command kill = {.command.run = run_kill, .filter = filter};

	for (unsigned int i = 0; i < ws->n; i++)
		/* A worker that does not answer has killed none. */
		(void)worker_call(ws->threads[i], &kill.command);
	return kill.n;
}

void workers_usage(struct workers *ws, struct workers_usage *usage)
{
	memset(usage, 0, sizeof(*usage));
	usage->threads = ws->n;
	usage->max_connections = ws->shared.max_connections;
	for (unsigned int i = 0; i < ws->n; i++) {
		const struct worker *w = ws->threads[i];

		usage->connections += __atomic_load_n(&w->n_conns, __ATOMIC_RELAXED);
		usage->bytes += __atomic_load_n(&w->heap_bytes, __ATOMIC_RELAXED);
		usage->pipes += __atomic_load_n(&w->tools.pipes.n_open, __ATOMIC_RELAXED);
	}
}
