// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How the route table scales: nanoseconds for one decision (the program's own, by the kernel's
 * statistics, and with the system call around it), time of a full load and of a change of one
 * route, memory of the maps. One line for each size of table. Needs root.
 *
 *	lookup [ROUTES]...	(default: 100 100000)
 *
 * One route in ten is a wildcard. Names are asked for in random order over the whole table, so
 * that its entries come from memory rather than from the processor's caches.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>

#include "base/addr.h"
#include "kernel/datapath.h"
#include "kernel/tables.h"
#include "model/config.h"

#define CALLS	 200000
#define BACKENDS 1000
#define FD_MAX	 256

static const char *const maps[] = {
	"tw_binds",	  "tw_bind_keys",     "tw_listeners",	   "tw_names", "tw_alpns",
	"tw_routes",	  "tw_slots",	      "tw_backends",	   "tw_state", "tw_scratch",
	"tw_route_stats", "tw_backend_stats", "tw_listener_stats",
};

enum kind { KIND_EXACT, KIND_WILDCARD, KIND_MISS, KINDS };

static void die(const char *what, int r)
{
	fprintf(stderr, "lookup: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void *must(void *p)
{
	if (!p)
		die("memory", -ENOMEM);
	return p;
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/* --- the table --------------------------------------------------------------------------- */

/* Name to ask for: of route number @i, or of none. */
static void name_of(enum kind kind, unsigned int i, char dst[64])
{
	if (kind == KIND_EXACT)
		snprintf(dst, 64, "app%u.example.com", i);
	else if (kind == KIND_WILDCARD)
		snprintf(dst, 64, "any.www%u.example.org", i);
	else
		snprintf(dst, 64, "app%u.example.net", i);
}

static bool is_wildcard(unsigned int i)
{
	return i % 10 == 9;
}

static void fill_backend(struct config_backend *backend, unsigned int i)
{
	char text[32];
	struct addr addr;

	i %= BACKENDS;
	snprintf(text, sizeof(text), "10.1.%u.%u:8443", i / 250, i % 250 + 1);
	addr_parse(text, &addr);
	backend->weight = 1;
	backend->backend.family = TW_FAMILY_IPV4;
	backend->backend.port = addr.port;
	memcpy(backend->backend.addr, addr.ip, sizeof(addr.ip));
	snprintf(backend->backend.text, sizeof(backend->backend.text), "%s", text);
}

static struct config *make_config(unsigned int n)
{
	struct config *config = must(calloc(1, sizeof(*config)));
	char name[64];

	config->listeners = must(calloc(1, sizeof(*config->listeners)));
	config->n_listeners = 1;
	config->listeners[0].name = must(strdup("tls"));
	config->listeners[0].port = htons(443);
	config->routes = must(calloc(n, sizeof(*config->routes)));
	config->n_routes = n;
	for (unsigned int i = 0; i < n; i++) {
		struct config_route *route = &config->routes[i];

		name_of(is_wildcard(i) ? KIND_WILDCARD : KIND_EXACT, i, name);
		if (is_wildcard(i))
			memmove(strcpy(name, "*") + 1, strchr(name + 2, '.'),
				strlen(strchr(name + 2, '.')) + 1);
		route->owner = TW_OWNER_FILE;
		route->name = must(strdup(name));
		route->hostnames = must(calloc(1, sizeof(char *)));
		route->hostnames[0] = must(strdup(name));
		route->n_hostnames = 1;
		route->backends = must(calloc(1, sizeof(*route->backends)));
		route->n_backends = 1;
		fill_backend(route->backends, i);
	}
	return config;
}

static double sync_ms(struct tables *tables, const struct config *config)
{
	struct config_problems problems;
	double start = now_ns();
	int r;

	config_problems_init(&problems);
	r = tables_sync(tables, config, NULL, 0, TABLES_STRICT, NULL, &problems);
	if (r || problems.n_errors) {
		config_problems_print(&problems, stderr);
		die("sync", r ? r : -EINVAL);
	}
	config_problems_fini(&problems);
	return (now_ns() - start) / 1e6;
}

/* --- measuring --------------------------------------------------------------------------- */

/* The program's own statistics; it is one of this process's files. */
static void run_time(uint64_t *ret_ns, uint64_t *ret_n)
{
	for (int fd = 3; fd < FD_MAX; fd++) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(fd, &info, &len) || strcmp(info.name, "tw_decide") != 0)
			continue;
		*ret_ns = info.run_time_ns;
		*ret_n = info.run_cnt;
		return;
	}
	die("tw_decide", -ENOENT);
}

static void ask_once(const struct datapath *dp, enum kind kind, unsigned int i)
{
	struct tw_decide q = {.bind = 1, .ask = TW_ASK_NAME};
	char name[64];
	int r;

	name_of(kind, i, name);
	q.name_len = strlen(name);
	memcpy(q.name, name, q.name_len);
	r = datapath_decide(dp, &q);
	if (r || (kind == KIND_MISS) != (q.reason == TW_REFUSE_unknown_name))
		die(name, r ? r : -EINVAL);
}

static void measure(const struct datapath *dp, enum kind kind, unsigned int n, double *ret_run_ns,
		    double *ret_call_ns)
{
	uint64_t before_ns, before_n, after_ns, after_n;
	unsigned int tens = n / 10;
	double start;

	srandom(1);
	run_time(&before_ns, &before_n);
	start = now_ns();
	for (int call = 0; call < CALLS; call++) {
		unsigned int i = random() % tens * 10;

		ask_once(dp, kind, kind == KIND_WILDCARD ? i + 9 : i + random() % 9);
	}
	*ret_call_ns = (now_ns() - start) / CALLS;
	run_time(&after_ns, &after_n);
	*ret_run_ns = (double)(after_ns - before_ns) / (after_n - before_n);
}

static double maps_mib(const struct datapath *dp)
{
	unsigned long long bytes, sum = 0;
	char path[64], line[256];
	FILE *f;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", datapath_map_fd(dp, maps[i]));
		f = must(fopen(path, "r"));
		while (fgets(line, sizeof(line), f))
			if (sscanf(line, "memlock: %llu", &bytes) == 1)
				sum += bytes;
		fclose(f);
	}
	return sum / 1048576.0;
}

static void bench(const char *instance, unsigned int n)
{
	struct config *config = make_config(n);
	double run[KINDS], call[KINDS], load, change;
	struct tables *tables;
	struct datapath *dp;
	char *why = NULL;
	int r;

	r = datapath_open(instance, true, &dp, &why);
	if (r)
		die(why ? why : "datapath", r);
	r = tables_open(dp, &tables, &why);
	if (r)
		die(why ? why : "tables", r);
	load = sync_ms(tables, config);
	fill_backend(config->routes[n / 2].backends, n / 2 + 1);
	change = sync_ms(tables, config);
	for (int kind = 0; kind < KINDS; kind++)
		measure(dp, kind, n, &run[kind], &call[kind]);
	printf("%7u  %6.0f %8.0f %6.0f   %6.0f %8.0f %6.0f   %9.1f %10.2f %8.1f\n", n,
	       run[KIND_EXACT], run[KIND_WILDCARD], run[KIND_MISS], call[KIND_EXACT],
	       call[KIND_WILDCARD], call[KIND_MISS], load, change, maps_mib(dp));
	fflush(stdout);
	tables_close(tables);
	datapath_close(dp);
	datapath_unpin(instance, NULL);
	config_free(config);
}

int main(int argc, char **argv)
{
	char instance[32];
	int stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (stats_fd < 0)
		die("run-time statistics (needs root)", -errno);
	snprintf(instance, sizeof(instance), "twt-lookup%d", (int)getpid());
	puts(" routes  program, ns               with system call, ns       load, ms change, ms "
	     "maps, "
	     "MiB");
	puts("          exact wildcard   miss    exact wildcard   miss");
	if (argc < 2) {
		bench(instance, 100);
		bench(instance, 100000);
	}
	for (int i = 1; i < argc; i++) {
		long n = strtol(argv[i], NULL, 10);

		if (n < 10 || n >= TW_ROUTES_MAX) {
			fprintf(stderr, "lookup: '%s': a number of routes from 10 to %d\n", argv[i],
				TW_ROUTES_MAX - 1);
			return 2;
		}
		bench(instance, n);
	}
	close(stats_fd);
	return 0;
}
