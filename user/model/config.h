/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the user asked for, as data: the structs that a configuration file is read into
 * (config.c from YAML, gateway*.c from Kubernetes objects). Knows no maps, sockets or processes.
 */
#ifndef THRUWAY_CONFIG_H
#define THRUWAY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "thruway/table.h"

/* Larger input is refused unread. */
#define CONFIG_BYTES_MAX (32u << 20)

/* Where in the input something stands, for messages. file is owned by the config or the list. */
struct config_pos {
	const char *file;
	unsigned int line;   /* from 1; 0 = no position in a file */
	unsigned int column; /* from 1 */
};

/* One thing that is wrong, and what is expected. */
struct config_problem {
	struct config_pos pos;
	bool is_warning;
	char *text; /* "routes[3].backends[0].port: 70000 is not a port (1..65535)" */
};

struct config_problems {
	struct config_problem *items;
	size_t n;
	size_t n_errors; /* those that are not warnings */
	char **files;	 /* names that the positions point to */
	size_t n_files;
};

struct config_backend {
	struct tw_backend backend; /* text, addr, port, family, pool; id and drained are 0 */
	uint32_t weight;	   /* 0 .. TW_WEIGHT_MAX */
	uint32_t pool;		   /* warm sockets; 0 .. TW_POOL_MAX */
	bool is_invalid; /* takes its share and refuses it; backend is empty (Gateway API) */
	uint32_t ref;	 /* the number of the backendRef that it is of (Gateway API) */
	struct config_pos pos;
};

struct config_listener {
	char *name;
	uint8_t addr[16]; /* :: = all, IPv4 and IPv6 */
	__be16 port;
	char *hostname; /* NULL = all names; normalised, may begin with "*." */
	char **interfaces;
	size_t n_interfaces;
	enum tw_on_refuse on_refuse;
	struct tw_timeouts timeouts; /* 0 = default */
	uint32_t paths;		     /* bit n: enum tw_path n may be used; never 0 */
	enum tw_local local;	     /* UNSET = off */
	bool may_wait;		     /* for its address, which the host need not have yet */
	/* Backends for what would be refused; n 0 = refuse. */
	struct config_backend *no_sni, *unknown_name, *not_tls;
	size_t n_no_sni, n_unknown_name, n_not_tls;
	struct config_pos pos;
};

struct config_route {
	char *name; /* of the route; its first hostname where none is given */
	enum tw_owner owner;
	char **hostnames; /* normalised; "*" = default of the listener */
	size_t n_hostnames;
	char **listeners; /* names; n 0 = all */
	size_t n_listeners;
	char **alpn; /* protocols; n 0 = whatever the client offers */
	size_t n_alpn;
	struct config_backend *backends;
	size_t n_backends;
	enum tw_balance balance;
	uint32_t tries; /* 0 = default */
	bool refuse;	/* refuse these names on purpose; no backends then */
	/*
	 * The route that the user wrote has an error. What stands here only refuses its names
	 * (refuse is true), or a broader route would take them to backends that are not theirs.
	 */
	bool is_bad;
	struct tw_timeouts timeouts; /* 0 = the listener's */
	enum tw_local local;	     /* UNSET = as the listener says */
	bool yields_names;	     /* a name that another route has is no problem (Gateway API) */
	struct config_pos pos;
};

struct gateway;
struct document_memory;

enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct config {
	uint32_t paths; /* bit n: enum tw_path n may be used, where a listener does not say */
	/* Bytes that may wait for slow readers on the socket path. */
	uint64_t redirect_per_connection, redirect_total;
	uint32_t workers; /* 0 = one per core */
	struct {
		char *target; /* NULL = off, "stdout", "syslog" or a file's path */
		enum config_log_format format;
	} access_log;
	uint32_t max_connections; /* at a time, in all; 0 = as many as the file limit allows */
	uint32_t keepalive_s;	  /* idle seconds before TCP keepalive probes; 0 = default (60) */
	struct config_listener *listeners;
	size_t n_listeners;
	struct config_route *routes;
	size_t n_routes;
	/* Who serves the names of HTTPS listeners of Gateways; n 0 = nobody. */
	struct config_backend *terminate;
	size_t n_terminate;
	/* The Kubernetes objects among the documents, with their statuses; NULL = there are none.
	 */
	struct gateway *gateway;
	struct document_memory *documents; /* what stood in the texts; see model/documents.h */
	/* Some error was outside of any route or Kubernetes object: what stands here is not what
	 * the user asked for. */
	bool has_fatal;
	bool has_bad_route; /* some error was in a route that is no TLSRoute's */
	/* Something else than an object was wrong or worth a warning: it is read as a whole again
	 * (config_change.h). */
	bool has_problems;
	size_t n_object_errors; /* of the objects that are left out */
	char **files;		/* names that the positions above point to */
	size_t n_files;
};

/* One input: a name for messages and what it holds. */
struct config_text {
	char *file;
	char *text;
	size_t len;
};

/*
 * Read native YAML documents from @path ("-" = stdin; a directory: its *.yaml, *.yml and *.json in
 * name order) into a new *@ret_config. Every problem is added to @problems. Returns 0 if there is
 * no error among them, -EINVAL if there is, -errno if nothing could be read (with a problem, too).
 * On -EINVAL *@ret_config still holds the good listeners and routes: a bad one is left out alone
 * (see is_bad), and has_fatal says whether an error was elsewhere than in a route or object.
 * *@ret_config is NULL when the result is neither 0 nor -EINVAL.
 */
int config_load(const char *path, struct config **ret_config, struct config_problems *problems);
/* The same from memory; @file is the name used in messages. */
int config_parse(const char *file, const char *text, size_t len, struct config **ret_config,
		 struct config_problems *problems);
/* The same for several inputs, which make one configuration. */
int config_parse_texts(const struct config_text *texts, size_t n, struct config **ret_config,
		       struct config_problems *problems);
/*
 * Only read what config_load() would parse, into *@ret_texts, for config_texts_free(). With
 * -EINVAL some file of a directory could not be read (a problem says so); the others are there.
 */
int config_read(const char *path, struct config_text **ret_texts, size_t *ret_n,
		struct config_problems *problems);
void config_texts_free(struct config_text *texts, size_t n);
/* Is there a route that does not only refuse because it is bad? */
bool config_has_good_route(const struct config *config);
/* Is a file of this name read where it stands in a directory? */
bool config_reads(const char *name);
struct config *config_free(struct config *config); /* accepts NULL, returns NULL */

/* The addresses of this host, IPv4 as ::ffff:a.b.c.d. All zero: nobody knows them. */
struct config_host {
	const uint8_t (*addrs)[16];
	size_t n;
	bool (*has)(const uint8_t ip[16]); /* beyond these: is what is sent there delivered here? */
};

/*
 * Make each route bad that leads to a listener of @config (a loop), with a problem; a listener's
 * own backends that do so, and the terminator, set has_fatal. A listener on all addresses has those
 * of @host, too. config_load() and config_parse() did this with none, which finds loopback and
 * equal addresses. 0 or -EINVAL if there was one.
 */
int config_check_loops(struct config *config, const struct config_host *host,
		       struct config_problems *problems);
/* Does @route, which need not be one of @config, lead to a listener of it? Then with a problem. */
bool config_route_loops(const struct config *config, const struct config_route *route,
			const struct config_host *host, struct config_problems *problems);

/*
 * Parse "ADDRESS:PORT[,weight=N][,pool=N]" (or unix:/path, [v6]:port) as on the command line. On
 * error -EINVAL and *@ret_why says what is expected (to be freed by the caller).
 */
int config_parse_backend(const char *text, struct config_backend *ret_backend, char **ret_why);
/* Normalise a configured hostname (exact, "*.x" or "*") into @dst; *@ret_why as above. */
int config_parse_hostname(const char *text, char dst[TW_NAME_SIZE], char **ret_why);

/* Frees the fields of one route; used for routes that stand alone (the CLI's). */
void config_route_fini(struct config_route *route);
/* Leaves of a route only the refusal of its names (is_bad). */
void config_route_spoil(struct config_route *route);

/* Problems beyond this many are counted in n_errors and not kept. */
#define CONFIG_PROBLEMS_MAX 1000

void config_problems_init(struct config_problems *problems);
void config_problems_fini(struct config_problems *problems);
/* Another one would only be counted. */
bool config_problems_is_full(const struct config_problems *problems, bool is_warning);
/* Add a problem; @pos may be NULL. The text is copied; so is the file's name. */
void config_problem_add(struct config_problems *problems, const struct config_pos *pos,
			bool is_warning, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* "file:line:column: error: text" lines, as compilers print them. */
void config_problems_print(const struct config_problems *problems, FILE *out);

#endif
