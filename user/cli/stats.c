// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* thruway stats: the counters, once, or again and again with what they grow by. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* Lines of a terminal that are not rows of routes and backends: totals, heads, gaps. */
#define SCREEN_LINES_OTHER 16
#define SCREEN_ROWS_MIN	   5

static volatile sig_atomic_t is_interrupted;

/* What is shown: the counters now and, with --watch, those before. */
struct sample {
	json_t *stats; /* STATS of control.h; NULL = none yet */
	int64_t at_ms;
};

/* One line of routes or backends. */
struct row {
	const json_t *counts;
	double connections_per_s, bytes_per_s;
};

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	is_interrupted = 1;
}

static double per_second(const json_t *now, const json_t *before, const char *key, int64_t ms)
{
	/* Counters that were reset meanwhile (the daemon went down and up) count from zero. */
	long long grown = cli_int(now, key) - cli_int(before, key);

	return grown > 0 && ms > 0 ? (double)grown * 1000 / (double)ms : 0;
}

/* --- text ------------------------------------------------------------------------------------ */

static int row_compare(const void *a, const void *b)
{
	const struct row *row_a = a, *row_b = b;
	long long active_a = cli_int(row_a->counts, "active");
	long long active_b = cli_int(row_b->counts, "active");

	if (row_a->bytes_per_s != row_b->bytes_per_s)
		return row_a->bytes_per_s < row_b->bytes_per_s ? 1 : -1;
	if (row_a->connections_per_s != row_b->connections_per_s)
		return row_a->connections_per_s < row_b->connections_per_s ? 1 : -1;
	return (active_a < active_b) - (active_a > active_b);
}

/* Names of an array's entries as an index to the entries. */
static json_t *counts_index(const json_t *list, const char *name_key)
{
	json_t *index = text_need(json_object());
	const json_t *counts;
	size_t i;

	json_array_foreach (list, i, counts)
		json_object_set(index, cli_str(counts, name_key), (json_t *)counts);
	return index;
}

/* Rows of @list; with something to compare with, the busiest first. */
static struct row *rows_make(const json_t *list, const json_t *before, const char *name_key,
			     int64_t ms)
{
	struct row *rows = text_need(calloc(json_array_size(list) + 1, sizeof(*rows)));
	json_t *index = counts_index(before, name_key);
	const json_t *counts;
	size_t i;

	json_array_foreach (list, i, counts) {
		const json_t *old = json_array_get(before, i);

		/* Names may repeat (one for each listener), so the same place is tried first. */
		if (strcmp(cli_str(old, name_key), cli_str(counts, name_key)))
			old = json_object_get(index, cli_str(counts, name_key));
		rows[i].counts = counts;
		if (!old)
			continue;
		rows[i].connections_per_s = per_second(counts, old, "connections", ms);
		rows[i].bytes_per_s = per_second(counts, old, "bytes_to_backend", ms) +
				      per_second(counts, old, "bytes_to_client", ms);
	}
	if (before)
		qsort(rows, json_array_size(list), sizeof(*rows), row_compare);
	json_decref(index);
	return rows;
}

static void rows_print(FILE *out, const json_t *list, const json_t *before, const char *name_key,
		       int64_t ms, size_t max)
{
	size_t n = json_array_size(list);
	struct row *rows;
	struct table *table;
	char text[TEXT_SIZE];

	if (!n)
		return;
	rows = rows_make(list, before, name_key, ms);
	table = table_new(before ? "NAME|>ACTIVE|>TOTAL|>CONN/S|>BYTES/S|>FAILED|>REFUSED"
				 : "NAME|>ACTIVE|>TOTAL|>TO BACKEND|>TO CLIENT|>FAILED|>REFUSED");
	for (size_t i = 0; i < n && i < max; i++) {
		const json_t *counts = rows[i].counts;

		table_cell(table, "%s", cli_str(counts, name_key));
		table_cell(table, "%lld", cli_int(counts, "active"));
		table_cell(table, "%lld", cli_int(counts, "connections"));
		if (before) {
			table_cell(table, "%.1f", rows[i].connections_per_s);
			table_cell(table, "%s", text_bytes(text, (long long)rows[i].bytes_per_s));
		} else {
			table_cell(table, "%s",
				   text_bytes(text, cli_int(counts, "bytes_to_backend")));
			table_cell(table, "%s",
				   text_bytes(text, cli_int(counts, "bytes_to_client")));
		}
		table_cell(table, "%lld", cli_int(counts, "connect_failures"));
		table_cell(table, "%lld", cli_int(counts, "refused"));
	}
	table_print(table, out);
	if (n > max)
		fprintf(out, "(+%zu)\n", n - max);
	free(rows);
}

static void totals_print(FILE *out, const json_t *now, const json_t *before, int64_t ms)
{
	char to_backend[TEXT_SIZE], to_client[TEXT_SIZE];
	const char *reason;
	json_t *n;

	fprintf(out, "connections  %lld accepted, %lld waiting, %lld active, %lld in all\n",
		cli_int(now, "accepted"), cli_int(now, "waiting"), cli_int(now, "active"),
		cli_int(now, "connections"));
	fprintf(out, "bytes        %s to backends, %s to clients\n",
		text_bytes(to_backend, cli_int(now, "bytes_to_backend")),
		text_bytes(to_client, cli_int(now, "bytes_to_client")));
	if (before)
		fprintf(out,
			"per second   %.1f connections, %s to backends, %s to clients, %.1f "
			"refused\n",
			per_second(now, before, "connections", ms),
			text_bytes(to_backend,
				   (long long)per_second(now, before, "bytes_to_backend", ms)),
			text_bytes(to_client,
				   (long long)per_second(now, before, "bytes_to_client", ms)),
			per_second(now, before, "refused", ms));
	fprintf(out, "failures     %lld refused, %lld tries to connect\n", cli_int(now, "refused"),
		cli_int(now, "connect_failures"));
	json_object_foreach (json_object_get(now, "refusals"), reason, n)
		if (json_integer_value(n))
			fprintf(out, "  %-14s %lld\n", reason, json_integer_value(n));
}

/* Nothing where the kernel has joined none. */
static void socket_path_print(FILE *out, const json_t *path)
{
	char waits[TEXT_SIZE];
	const char *why;
	json_t *n;

	if (!cli_int(path, "joined") && !cli_int(path, "fallbacks") &&
	    !cli_int(path, "pool_hits") && !cli_int(path, "pool_misses"))
		return;
	fprintf(out, "socket path  %lld joined, %lld fallbacks, %s wait for slow readers\n",
		cli_int(path, "joined"), cli_int(path, "fallbacks"),
		text_bytes(waits, cli_int(path, "backlog_bytes")));
	json_object_foreach (json_object_get(path, "ejected"), why, n)
		if (json_integer_value(n))
			fprintf(out, "  left: %-8s %lld\n", why, json_integer_value(n));
	if (cli_int(path, "pool_hits") || cli_int(path, "pool_misses"))
		fprintf(out, "pools        %lld hits, %lld misses, %lld warm sockets died\n",
			cli_int(path, "pool_hits"), cli_int(path, "pool_misses"),
			cli_int(path, "pool_dead"));
}

static void stats_print(FILE *out, const struct sample *now, const struct sample *before,
			size_t max_rows)
{
	const json_t *old = before->stats;
	int64_t ms = now->at_ms - before->at_ms;

	totals_print(out, json_object_get(now->stats, "totals"), json_object_get(old, "totals"),
		     ms);
	socket_path_print(out, json_object_get(now->stats, "socket_path"));
	fputs("\nroutes\n", out);
	rows_print(out, json_object_get(now->stats, "routes"), json_object_get(old, "routes"),
		   "name", ms, max_rows);
	fputs("\nbackends\n", out);
	rows_print(out, json_object_get(now->stats, "backends"), json_object_get(old, "backends"),
		   "address", ms, max_rows);
}

/* --- one sample after the other -------------------------------------------------------------- */

static int sample_take(const struct cli *cli, struct sample *ret_sample)
{
	json_t *answer;
	int status = cli_request(cli, json_pack("{s:s}", "op", "stats"), &answer);

	if (status != CLI_DONE)
		return status;
	ret_sample->stats = json_incref(json_object_get(answer, "stats"));
	ret_sample->at_ms = clock_ms();
	json_decref(answer);
	return CLI_DONE;
}

static int sample_json(const struct cli *cli, const struct sample *now, const struct sample *before)
{
	const json_t *totals = json_object_get(now->stats, "totals");
	const json_t *old = json_object_get(before->stats, "totals");
	int64_t ms = before->stats ? now->at_ms - before->at_ms : 0;
	json_t *rates;

	rates = json_pack("{s:I, s:f, s:f, s:f, s:f}", "interval_ms", (json_int_t)ms,
			  "connections_per_s", per_second(totals, old, "connections", ms),
			  "bytes_to_backend_per_s", per_second(totals, old, "bytes_to_backend", ms),
			  "bytes_to_client_per_s", per_second(totals, old, "bytes_to_client", ms),
			  "refused_per_s", per_second(totals, old, "refused", ms));
	json_object_set_new(now->stats, "rates", text_need(rates));
	json_object_set_new(now->stats, "time_unix_ms", json_integer(clock_unix_ms()));
	return cli_json(cli, now->stats);
}

/* A whole screen in one write: no flicker. */
static void screen_print(const struct sample *now, const struct sample *before)
{
	bool is_terminal = isatty(STDOUT_FILENO);
	struct winsize size;
	size_t max_rows = SCREEN_ROWS_MIN, len;
	char *text = NULL;
	FILE *out = text_need(open_memstream(&text, &len));

	if (is_terminal && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) &&
	    size.ws_row > SCREEN_LINES_OTHER + 2 * SCREEN_ROWS_MIN)
		max_rows = (size.ws_row - SCREEN_LINES_OTHER) / 2u;
	stats_print(out, now, before, max_rows);
	if (fclose(out))
		text_need(NULL);
	printf("%s%s%s", is_terminal ? "\033[H\033[J" : "", text, is_terminal ? "" : "\n");
	free(text);
}

static int stats_watch(struct cli *cli, long seconds)
{
	struct sigaction action = {.sa_handler = on_interrupt};
	struct sample before = {}, now;
	struct timespec next;
	int status = CLI_DONE;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!is_interrupted) {
		status = sample_take(cli, &now);
		if (status != CLI_DONE)
			break;
		if (cli->is_json)
			status = sample_json(cli, &now, &before);
		else
			screen_print(&now, &before);
		json_decref(before.stats);
		before = now;
		if (status != CLI_DONE || cli_finish(cli) != CLI_DONE) {
			status = CLI_FAILED;
			break;
		}
		next.tv_sec += seconds;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	json_decref(before.stats);
	return is_interrupted ? CLI_DONE : status;
}

/* "--watch", "--watch 5", "--watch=5": what follows the option is an argument or its value. */
static int watch_seconds(struct cli *cli, long *ret_seconds)
{
	if (cli->n_args && !cli->options[OPT_WATCH])
		return cli_usage(cli, "SECONDS is for --watch");
	if (cli->n_args && cli->options[OPT_WATCH][0])
		return cli_usage(cli, "--watch is given twice");
	if (cli->n_args)
		cli->options[OPT_WATCH] = cli->args[0];
	if (cli->options[OPT_WATCH] && !cli->options[OPT_WATCH][0])
		cli->options[OPT_WATCH] = "1";
	return cli_number(cli, OPT_WATCH, 1, 3600, 0, ret_seconds);
}

int stats_show(struct cli *cli)
{
	static const struct sample none;
	struct sample now;
	long seconds;
	int status;

	status = watch_seconds(cli, &seconds);
	if (status != CLI_DONE)
		return status;
	if (seconds)
		return stats_watch(cli, seconds);
	status = sample_take(cli, &now);
	if (status != CLI_DONE)
		return status;
	if (cli->is_json)
		status = cli_json(cli, now.stats);
	else
		stats_print(stdout, &now, &none, SIZE_MAX);
	json_decref(now.stats);
	return status;
}
