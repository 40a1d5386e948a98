// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The benchmark's traffic generator, both ends in one program: `load server` and `load MODE`.
 * Options and results are here; what goes over the wire is in load_wire.h, the ends are in
 * load_server.h and load_client.h. Called by bench.py; the result is one JSON object.
 */
#include <getopt.h>
#include <sys/resource.h>

#include "load_client.h"
#include "load_server.h"

static const char usage[] =
	"usage: load server --address A --port P [--threads N]\n"
	"       load MODE --address A --port P [--threads N] [--connections N] [--seconds S]\n"
	"                 [--hello BYTES] [--name NAME] [--verify-all]\n"
	"MODE: bulk-down, bulk-up  payload to or from the client for S seconds over N connections\n"
	"      pingpong            64 bytes there and back, one at a time on each of N "
	"connections\n"
	"      conn                connect, hello, 4 KiB answer, end; N at a time for S seconds\n"
	"      idle                open N, hold them until standard input ends, use each once "
	"more\n"
	"Defaults: a thread per core, 1 connection, 2 seconds, 517 bytes, app.example.com.\n"
	"--verify-all compares every payload byte, not samples, at either end.\n";

static const char *const mode_words[] = {
#define X(id, word) [MODE_##id] = word,
	LOAD_MODES(X)
#undef X
};

struct options {
	struct sockaddr_in address;
	unsigned int threads, connections;
	double seconds;
	unsigned int hello_len;
	const char *name;
	bool verify_all;
};

static void fail_usage(const char *what, const char *value)
{
	fprintf(stderr, "load: %s%s%s\n%s", what, value ? ": " : "", value ? value : "", usage);
	exit(2);
}

static unsigned int number(const char *option, const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !value || value > max) {
		fprintf(stderr, "load: %s %s is not a number from 1 to %lu\n", option, text, max);
		exit(2);
	}
	return (unsigned int)value;
}

static double seconds(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (*end || !(value > 0 && value <= 3600))
		fail_usage("--seconds is not a number from 0 to 3600", text);
	return value;
}

static struct options options_read(int argc, char **argv)
{
	static const struct option known[] = {
		{"address", required_argument, NULL, 'a'},
		{"port", required_argument, NULL, 'p'},
		{"threads", required_argument, NULL, 't'},
		{"connections", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'},
		{"hello", required_argument, NULL, 'h'},
		{"name", required_argument, NULL, 'n'},
		{"verify-all", no_argument, NULL, 'v'},
		{},
	};
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct options o = {.address.sin_family = AF_INET,
			    .connections = 1,
			    .seconds = 2,
			    .hello_len = 517,
			    .name = "app.example.com"};
	int c;

	o.threads = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (unsigned int)cores;
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'a' && inet_pton(AF_INET, optarg, &o.address.sin_addr) != 1)
			fail_usage("--address is not an IPv4 address", optarg);
		else if (c == 'p')
			o.address.sin_port = htons((uint16_t)number("--port", optarg, 65535));
		else if (c == 't')
			o.threads = number("--threads", optarg, THREADS_MAX);
		else if (c == 'c')
			o.connections = number("--connections", optarg, 1000000);
		else if (c == 's')
			o.seconds = seconds(optarg);
		else if (c == 'h')
			o.hello_len = number("--hello", optarg, HELLO_MAX);
		else if (c == 'n')
			o.name = optarg;
		else if (c == 'v')
			o.verify_all = true;
		else if (c == '?')
			fail_usage("wrong option", NULL);
	}
	if (!o.address.sin_addr.s_addr || !o.address.sin_port || optind != argc)
		fail_usage("--address and --port are needed", NULL);
	if (strcmp(argv[0], "server") && o.threads > o.connections)
		o.threads = o.connections;
	return o;
}

static void thread_merge(struct client_thread *to, const struct client_thread *from)
{
	to->done += from->done;
	to->bytes += from->bytes;
	to->trouble += from->trouble;
	if (!to->first_ns || (from->first_ns && from->first_ns < to->first_ns))
		to->first_ns = from->first_ns;
	if (from->last_ns > to->last_ns)
		to->last_ns = from->last_ns;
	histogram_merge(&to->latency, &from->latency);
}

static void print_result(const struct job *job, const struct client_thread *all)
{
	double length = (double)(all->last_ns - all->first_ns) / 1e9;

	if (length <= 0)
		length = 1; /* nothing was done */
	printf("{\"mode\": \"%s\", \"connections\": %u, \"threads\": %u, \"hello_bytes\": %zu, "
	       "\"seconds\": %.4f, \"done\": %lu, \"bytes\": %lu, \"per_second\": %.1f, "
	       "\"bytes_per_second\": %.0f, \"trouble\": %lu, \"latency_us\": {\"p50\": %.1f, "
	       "\"p99\": %.1f, \"max\": %.1f}}\n",
	       mode_words[job->mode], job->connections, job->threads, job->hello.len, length,
	       all->done, all->bytes, (double)all->done / length, (double)all->bytes / length,
	       all->trouble, histogram_quantile(&all->latency, 0.50) / 1e3,
	       histogram_quantile(&all->latency, 0.99) / 1e3, (double)all->latency.max / 1e3);
}

/* Thread @i's share of the connections. */
static int thread_init(struct client_thread *thread, struct job *job, unsigned int i)
{
	thread->job = job;
	thread->n = job->connections / job->threads + (i < job->connections % job->threads);
	thread->clients = calloc(thread->n, sizeof(*thread->clients));
	thread->epoll = epoll_create1(EPOLL_CLOEXEC);
	return thread->clients && thread->epoll >= 0 ? 0 : -errno;
}

static int job_run(struct job *job, struct client_thread *threads)
{
	int err;

	pthread_barrier_init(&job->barrier, NULL, job->threads);
	for (unsigned int i = 0; i < job->threads; i++) {
		err = thread_init(&threads[i], job, i);
		if (err)
			return err;
	}
	for (unsigned int i = 1; i < job->threads; i++) {
		err = pthread_create(&threads[i].thread, NULL, thread_run, &threads[i]);
		if (err)
			return -err;
	}
	thread_run(&threads[0]);
	for (unsigned int i = 1; i < job->threads; i++) {
		pthread_join(threads[i].thread, NULL);
		thread_merge(&threads[0], &threads[i]);
	}
	print_result(job, &threads[0]);
	return threads[0].trouble || !threads[0].done ? -EIO : 0;
}

static int client_main(enum mode mode, const struct options *o, const struct pattern *pattern)
{
	struct job job = {.mode = mode,
			  .peer = o->address,
			  .threads = o->threads,
			  .connections = o->connections,
			  .verify_all = o->verify_all,
			  .length_ns = (uint64_t)(o->seconds * 1e9),
			  .pattern = pattern};
	struct order order = {
		.mode = mode, .send_ms = (uint32_t)(o->seconds * 1e3), .verify_all = o->verify_all};
	struct client_thread *threads;
	int err;

	memcpy(order.magic, ORDER_MAGIC, sizeof(order.magic));
	if (!hello_make(&job.hello, o->name, o->hello_len, &order))
		fail_usage("--hello is too short for its extensions", NULL);
	threads = calloc(job.threads, sizeof(*threads));
	if (!threads)
		return -ENOMEM;
	err = job_run(&job, threads);
	for (unsigned int i = 0; i < job.threads; i++)
		free(threads[i].clients);
	free(threads);
	return err;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	static struct pattern pattern;
	struct options o;
	unsigned int mode;
	int err;

	if (argc < 2)
		fail_usage("no mode", NULL);
	o = options_read(argc - 1, argv + 1);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files); /* what fails for want of files says so */
	}
	pattern_fill(&pattern);
	if (!strcmp(argv[1], "server")) {
		err = server_run(&o.address, o.threads, &pattern);
	} else {
		for (mode = 0; mode < MODES && strcmp(argv[1], mode_words[mode]); mode++)
			;
		if (mode == MODES)
			fail_usage("unknown mode", argv[1]);
		err = client_main((enum mode)mode, &o, &pattern);
	}
	if (err)
		fprintf(stderr, "load %s: %s\n", argv[1], strerror(-err));
	return err ? 1 : 0;
}
