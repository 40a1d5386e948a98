// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The relay path: what becomes of bytes, ends and resets, refusals, timeouts, limits. */
#include "relay_rig.h"

#define ROUTE	      "routes: [{hostnames: [app.example.com], backends: [127.0.0.1:8443]}]\n"
#define PLAIN	      "listeners: [{name: tls, port: 443}]\n" ROUTE
/* @options of the listener. */
#define WITH(options) "listeners: [{name: tls, port: 443, " options "}]\n" ROUTE

#define MANY (8u << 20)

/* Sending, and then FIN, on a thread of its own. */
struct transfer {
	int fd;
	const uint8_t *out;
	size_t len;
};

static void *send_it(void *arg)
{
	struct transfer *t = arg;

	send_all(t->fd, t->out, t->len);
	shutdown(t->fd, SHUT_WR);
	return NULL;
}

/* --- bytes and ends ---------------------------------------------------------------------- */

static void hello_and_what_follows_it_reach_the_backend_unchanged(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), client, backend;
	uint8_t bytes[2048];
	size_t len = make_hello(bytes, "App.Example.COM.", 517, TW_RECORD_MAX);
	struct ended *ended;

	relay_start(relay, PLAIN);
	memcpy(bytes + len, "early data", 10);
	client = client_connect();
	send_all(client, bytes, len + 10);
	backend = backend_accept(listener);
	assert_receives(backend, bytes, len + 10);
	send_all(backend, "answer", 6);
	assert_receives(client, "answer", 6);

	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.active), 1);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->waiting), 0);
	close(client);
	assert_eof(backend);
	close(backend);
	ended = relay_wait_end(relay);
	assert_int_equal(ended->reason, TW_END_closed);
	assert_int_equal(ended->up, len + 10);
	assert_int_equal(ended->down, 6);
	assert_int_equal(ended->tries, 1);
	assert_string_equal(ended->sni, "app.example.com");
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.active), 0);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.connections), 1);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.bytes_to_backend), len + 10);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.bytes_to_client), 6);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->accepted), 1);
	close(listener);
}

static void client_may_close_its_half_first(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	uint8_t *answer = pattern(MANY, 1);
	struct transfer transfer = {.out = answer, .len = MANY};
	pthread_t thread;
	struct pair pair;

	relay_start(relay, PLAIN);
	pair = join(listener);
	shutdown(pair.client, SHUT_WR);
	assert_eof(pair.backend);
	transfer.fd = pair.backend;
	assert_int_equal(pthread_create(&thread, NULL, send_it, &transfer), 0);
	assert_receives(pair.client, answer, MANY);
	assert_eof(pair.client);
	pthread_join(thread, NULL);
	close(pair.client);
	close(pair.backend);
	relay_assert_end(relay, TW_END_closed);
	free(answer);
	close(listener);
}

static void backend_may_close_its_half_first(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	uint8_t *bytes = pattern(1 << 16, 2);
	struct pair pair;

	relay_start(relay, PLAIN);
	pair = join(listener);
	send_all(pair.backend, "bye", 3);
	shutdown(pair.backend, SHUT_WR);
	assert_receives(pair.client, "bye", 3);
	assert_eof(pair.client);
	send_all(pair.client, bytes, 1 << 16);
	assert_receives(pair.backend, bytes, 1 << 16);
	close(pair.client);
	assert_eof(pair.backend);
	close(pair.backend);
	relay_assert_end(relay, TW_END_closed);
	free(bytes);
	close(listener);
}

static void fin_right_behind_the_hello_is_passed_on(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), client, backend, on = 1;
	uint8_t hello[1024];
	size_t len = make_hello(hello, NAME, 0, TW_RECORD_MAX);

	relay_start(relay, PLAIN);
	client = client_connect();
	/* Corked, so that hello and FIN are one segment. */
	assert_int_equal(setsockopt(client, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)), 0);
	send_all(client, hello, len);
	shutdown(client, SHUT_WR);
	backend = backend_accept(listener);
	assert_receives(backend, hello, len);
	assert_eof(backend);
	send_all(backend, "late", 4);
	close(backend);
	assert_receives(client, "late", 4);
	assert_eof(client);
	close(client);
	relay_assert_end(relay, TW_END_closed);
	close(listener);
}

static void client_reset_reaches_the_backend_behind_the_bytes_before_it(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	uint8_t *bytes = pattern(MANY, 3);
	struct pair pair;
	size_t len;

	relay_start(relay, PLAIN);
	pair = join(listener);
	/* The backend reads nothing: the bytes are in every buffer on the way. */
	len = send_until_stalled(pair.client, bytes, MANY / 4);
	wait_acknowledged(pair.client);
	reset(pair.client);
	assert_receives(pair.backend, bytes, len);
	assert_reset(pair.backend);
	close(pair.backend);
	relay_assert_end(relay, TW_END_client_reset);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.active), 0);
	free(bytes);
	close(listener);
}

static void backend_reset_reaches_the_client_behind_the_bytes_before_it(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	uint8_t *bytes = pattern(MANY, 4);
	struct pair pair;
	size_t len;

	relay_start(relay, PLAIN);
	pair = join(listener);
	len = send_until_stalled(pair.backend, bytes, MANY / 4);
	wait_acknowledged(pair.backend);
	reset(pair.backend);
	assert_receives(pair.client, bytes, len);
	assert_reset(pair.client);
	close(pair.client);
	relay_assert_end(relay, TW_END_backend_reset);
	free(bytes);
	close(listener);
}

static void reset_after_a_half_close_is_passed_on(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	struct pair pair;

	relay_start(relay, PLAIN);
	pair = join(listener);
	shutdown(pair.client, SHUT_WR);
	assert_eof(pair.backend);
	send_all(pair.backend, "x", 1);
	assert_receives(pair.client, "x", 1);
	reset(pair.client);
	relay_assert_end(relay, TW_END_client_reset);
	/* Its receiving half was over already: the reset shows in sending. */
	assert_int_equal(send(pair.backend, "y", 1, MSG_NOSIGNAL), -1);
	assert_true(errno == ECONNRESET || errno == EPIPE);
	close(pair.backend);
	close(listener);
}

static void backend_that_resets_at_once_resets_the_client(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), client;

	relay_start(relay, PLAIN);
	client = client_connect();
	send_hello(client, NAME);
	reset(backend_accept(listener));
	assert_reset(client);
	close(client);
	relay_assert_end(relay, TW_END_backend_reset);
	assert_int_equal(COUNTER(relay_route_stats(relay)->connect_failures), 0);
	close(listener);
}

/* What is left of both directions, once both ends read. */
static void finish_transfer(struct pair pair, const uint8_t *up, size_t up_sent,
			    const uint8_t *down, size_t down_sent, size_t len)
{
	struct transfer client = {.fd = pair.client, .out = up + up_sent, .len = len - up_sent};
	struct transfer backend = {
		.fd = pair.backend, .out = down + down_sent, .len = len - down_sent};
	pthread_t threads[2];
	size_t up_at = 0, down_at = 0;
	static uint8_t got[1 << 18];

	assert_int_equal(pthread_create(&threads[0], NULL, send_it, &client), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, send_it, &backend), 0);
	while (up_at < len || down_at < len) {
		struct pollfd fds[2] = {{.fd = up_at < len ? pair.backend : -1, .events = POLLIN},
					{.fd = down_at < len ? pair.client : -1, .events = POLLIN}};

		assert_true(poll(fds, 2, PATIENCE_S * 1000) > 0);
		for (int i = 0; i < 2; i++) {
			const uint8_t *expected = i ? down + down_at : up + up_at;
			ssize_t n;

			if (!fds[i].revents)
				continue;
			n = recv(fds[i].fd, got, sizeof(got), 0);
			assert_true(n > 0);
			assert_memory_equal(got, expected, (size_t)n);
			*(i ? &down_at : &up_at) += (size_t)n;
		}
	}
	assert_eof(pair.backend);
	assert_eof(pair.client);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	close(pair.client);
	close(pair.backend);
}

static void many_bytes_cross_both_ways_at_once(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	size_t len = 64 << 20;
	uint8_t *up = pattern(len, 5), *down = pattern(len, 6);
	struct pair pair;

	relay_start(relay, PLAIN);
	pair = join(listener);
	finish_transfer(pair, up, 0, down, 0, len);
	relay_assert_end(relay, TW_END_closed);
	free(up);
	free(down);
	close(listener);
}

static void stalled_readers_hold_one_pipe_each_way_and_lose_nothing(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	size_t len = 128 << 20, up_sent, down_sent;
	uint8_t *up = pattern(len, 7), *down = pattern(len, 8);
	struct workers_usage usage;
	struct pair pair;

	relay_start_n(relay, PLAIN, 1);
	pair = join(listener);
	up_sent = send_until_stalled(pair.client, up, len);
	down_sent = send_until_stalled(pair.backend, down, len);
	assert_true(up_sent < len && down_sent < len);
	workers_usage(relay->workers, &usage);
	/* Two are held, and one is the spare. */
	assert_true(usage.pipes <= 3);
	assert_true(usage.bytes < 1024);
	finish_transfer(pair, up, up_sent, down, down_sent, len);
	relay_assert_end(relay, TW_END_closed);
	free(up);
	free(down);
	close(listener);
}

/* The next file descriptor would be the last: none is left for the process. */
static struct rlimit forbid_new_files(void)
{
	struct rlimit old, limit;
	int next = dup(0);

	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return old;
}

static void without_file_descriptors_for_pipes_every_byte_arrives(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	size_t len = 64 << 20, up_sent, down_sent;
	uint8_t *up = pattern(len, 9), *down = pattern(len, 10);
	struct workers_usage usage;
	struct rlimit old;
	struct pair pair;

	relay_start_n(relay, PLAIN, 1);
	pair = join(listener);
	old = forbid_new_files();
	up_sent = send_until_stalled(pair.client, up, len);
	down_sent = send_until_stalled(pair.backend, down, len);
	assert_true(up_sent < len && down_sent < len);
	workers_usage(relay->workers, &usage);
	assert_int_equal(usage.pipes, 1);
	finish_transfer(pair, up, up_sent, down, down_sent, len);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	relay_assert_end(relay, TW_END_closed);
	free(up);
	free(down);
	close(listener);
}

static void urgent_data_stays_where_it_was_sent(void **state)
{
	enum { BEFORE = 1 << 16, LEN = 4 << 20 };
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	uint8_t *bytes = pattern(LEN, 11);
	struct transfer rest = {.out = bytes + BEFORE + 4, .len = LEN - BEFORE - 4};
	pthread_t thread;
	struct pair pair;

	relay_start(relay, PLAIN);
	pair = join(listener);
	/* Enough to be spliced, then a mark in the middle of a few bytes. */
	send_all(pair.client, bytes, BEFORE);
	assert_receives(pair.backend, bytes, BEFORE);
	assert_int_equal(send(pair.client, bytes + BEFORE, 1, MSG_OOB), 1);
	send_all(pair.client, bytes + BEFORE + 1, 3);
	assert_receives(pair.backend, bytes + BEFORE, 4);
	rest.fd = pair.client;
	assert_int_equal(pthread_create(&thread, NULL, send_it, &rest), 0);
	assert_receives(pair.backend, bytes + BEFORE + 4, rest.len);
	pthread_join(thread, NULL);
	close(pair.client);
	close(pair.backend);
	relay_assert_end(relay, TW_END_closed);
	free(bytes);
	close(listener);
}

/* --- the hello --------------------------------------------------------------------------- */

static void longest_hello_in_one_byte_records_and_segments_is_routed(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), client, backend;
	uint8_t *hello = malloc(TW_HELLO_STREAM_MAX);
	size_t len;

	assert_non_null(hello);
	len = make_hello(hello, NAME, TW_HELLO_MAX, 1);
	assert_int_equal(len, TW_HELLO_STREAM_MAX);
	relay_start(relay, PLAIN);
	client = client_connect();
	for (size_t i = 0; i < len; i++)
		send_all(client, hello + i, 1);
	backend = backend_accept(listener);
	assert_receives(backend, hello, len);
	/* The mark that was set while waiting is gone: one byte is passed on. */
	send_all(client, "x", 1);
	assert_receives(backend, "x", 1);
	close(client);
	close(backend);
	relay_assert_end(relay, TW_END_closed);
	free(hello);
	close(listener);
}

static void clients_that_never_finish_do_not_keep_a_good_one_waiting(void **state)
{
	enum { LORIS = 3000 };
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), *loris = calloc(LORIS, sizeof(int));
	uint8_t hello[1024];
	struct timespec from, to;
	struct pair pair;

	assert_non_null(loris);
	make_hello(hello, NAME, 0, TW_RECORD_MAX);
	relay_start(relay, PLAIN);
	for (int i = 0; i < LORIS; i++) {
		loris[i] = client_connect();
		send_all(loris[i], hello, 20);
	}
	while (COUNTER(relay_listener_stats(relay)->waiting) < LORIS)
		sched_yield();
	clock_gettime(CLOCK_MONOTONIC, &from);
	pair = join(listener);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec * 1000 + to.tv_nsec / 1000000 <
		    from.tv_sec * 1000 + from.tv_nsec / 1000000 + 1000);
	close(pair.client);
	close(pair.backend);
	relay_assert_end(relay, TW_END_closed);
	for (int i = 0; i < LORIS; i++)
		close(loris[i]);
	for (int i = 0; i < LORIS; i++)
		relay_assert_end(relay, TW_REFUSE_hello_closed);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->waiting), 0);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->refused.hello_closed), LORIS);
	free(loris);
	close(listener);
}

static void late_hello_is_refused_and_never_routed(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), client;
	uint8_t hello[1024];
	size_t len = make_hello(hello, NAME, 0, TW_RECORD_MAX);

	relay_start(relay, WITH("timeouts: {hello: 100ms}"));
	client = client_connect();
	send_all(client, hello, len - 1);
	relay_assert_end(relay, TW_REFUSE_hello_timeout);
	assert_reset(client);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->refused.hello_timeout), 1);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.connections), 0);
	close(client);
	close(listener);
}

static void fin_before_a_whole_hello_is_refused(void **state)
{
	struct relay *relay = *state;
	uint8_t hello[1024];
	size_t len = make_hello(hello, NAME, 0, TW_RECORD_MAX);
	int client;

	relay_start(relay, PLAIN);
	client = client_connect();
	send_all(client, hello, len - 1);
	shutdown(client, SHUT_WR);
	relay_assert_end(relay, TW_REFUSE_hello_closed);
	assert_reset(client);
	close(client);
}

/* --- backends ---------------------------------------------------------------------------- */

static void dead_backend_is_passed_over(void **state)
{
	struct relay *relay = *state;
	const struct tw_stats *dead;
	int listener = backend_listen(8443, 16);

	relay_start(relay, "listeners: [{name: tls, port: 443}]\n"
			   "routes: [{hostnames: [app.example.com],"
			   " backends: [127.0.0.1:8444, 127.0.0.1:8443]}]\n");
	for (int i = 0; i < 10; i++) {
		struct pair pair = join(listener);

		close(pair.client);
		close(pair.backend);
		relay_assert_end(relay, TW_END_closed);
	}
	assert_int_equal(COUNTER(relay_route_stats(relay)->connect_failures), 5);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.connections), 10);
	dead = datapath_backend_stats(relay->rig->dp, rig_backend_id(relay->rig, "127.0.0.1:8444"));
	assert_int_equal(COUNTER(dead->connect_failures), 5);
	close(listener);
}

static void when_every_backend_fails_the_client_is_refused(void **state)
{
	struct relay *relay = *state;
	struct ended *ended;
	int client;

	relay_start(relay, "listeners: [{name: tls, port: 443}]\n"
			   "routes: [{hostnames: [app.example.com],"
			   " backends: [127.0.0.1:8444, 127.0.0.1:8445]}]\n");
	client = client_connect();
	send_hello(client, NAME);
	assert_reset(client);
	ended = relay_wait_end(relay);
	assert_int_equal(ended->reason, TW_REFUSE_backend_failed);
	assert_int_equal(ended->tries, 2);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->refused.backend_failed), 1);
	assert_int_equal(COUNTER(relay_route_stats(relay)->refused), 1);
	assert_int_equal(COUNTER(relay_route_stats(relay)->connect_failures), 2);
	close(client);
}

/* A port that answers no SYN: its queue is full. */
static int silent_listen(uint16_t port, int *ret_filler)
{
	int listener = backend_listen(port, 0);

	*ret_filler = tcp_socket();
	connect_to(*ret_filler, port);
	return listener;
}

static struct tw_stats *backend_stats(const struct relay *relay, const char *text)
{
	return datapath_backend_stats(relay->rig->dp, rig_backend_id(relay->rig, text));
}

/* As many hold a backend, be it that they are still connecting. */
static void wait_active(const struct relay *relay, uint64_t n)
{
	while (COUNTER(relay_route_stats(relay)->relay.active) != n)
		sched_yield();
}

static void silent_backend_is_given_up_after_the_connect_timeout(void **state)
{
	struct relay *relay = *state;
	int filler, silent = silent_listen(8444, &filler), listener = backend_listen(8443, 16);

	relay_start(relay, "listeners: [{name: tls, port: 443, timeouts: {connect: 100ms}}]\n"
			   "routes: [{hostnames: [app.example.com],"
			   " backends: [127.0.0.1:8444, 127.0.0.1:8443]}]\n");
	for (int i = 0; i < 2; i++) {
		struct pair pair = join(listener);

		close(pair.client);
		close(pair.backend);
		relay_assert_end(relay, TW_END_closed);
	}
	assert_int_equal(COUNTER(relay_route_stats(relay)->connect_failures), 1);
	close(filler);
	close(silent);
	close(listener);
}

static void client_that_resets_while_we_connect_is_let_go(void **state)
{
	struct relay *relay = *state;
	int filler, silent = silent_listen(8443, &filler), client;
	struct ended *ended;

	relay_start(relay, PLAIN);
	client = client_connect();
	send_hello(client, NAME);
	wait_active(relay, 1);
	assert_int_equal(COUNTER(backend_stats(relay, "127.0.0.1:8443")->relay.active), 1);
	reset(client);
	ended = relay_wait_end(relay);
	assert_int_equal(ended->reason, TW_REFUSE_client_gone);
	assert_int_equal(ended->tries, 1);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->waiting), 0);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->refused.client_gone), 1);
	assert_int_equal(COUNTER(relay_route_stats(relay)->refused), 1);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.connections), 0);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.active), 0);
	assert_int_equal(COUNTER(backend_stats(relay, "127.0.0.1:8443")->relay.active), 0);
	/* It hardly had time. */
	assert_int_equal(COUNTER(relay_route_stats(relay)->connect_failures), 0);
	close(filler);
	close(silent);
}

static void impatient_clients_do_not_hide_a_silent_backend(void **state)
{
	struct relay *relay = *state;
	int filler, silent = silent_listen(8443, &filler), client;

	relay_start(relay, PLAIN);
	client = client_connect();
	send_hello(client, NAME);
	wait_active(relay, 1);
	/* This is about how long it is. */
	(void)poll(NULL, 0, 1200);
	reset(client);
	relay_assert_end(relay, TW_REFUSE_client_gone);
	assert_int_equal(COUNTER(relay_route_stats(relay)->connect_failures), 1);
	assert_int_equal(COUNTER(backend_stats(relay, "127.0.0.1:8443")->connect_failures), 1);
	close(filler);
	close(silent);
}

static void kill_before_it_is_served_is_a_refusal(void **state)
{
	struct relay *relay = *state;
	int filler, silent = silent_listen(8443, &filler), clients[2];
	struct workers_filter all = {};

	relay_start(relay, PLAIN);
	clients[0] = client_connect();
	clients[1] = client_connect();
	send_hello(clients[1], NAME);
	wait_active(relay, 1);
	while (COUNTER(relay_listener_stats(relay)->waiting) < 2)
		sched_yield();
	assert_int_equal(workers_kill(relay->workers, &all), 2);
	for (int i = 0; i < 2; i++) {
		relay_assert_end(relay, TW_REFUSE_aborted);
		assert_reset(clients[i]);
		close(clients[i]);
	}
	assert_int_equal(COUNTER(relay_listener_stats(relay)->refused.aborted), 2);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->waiting), 0);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.active), 0);
	close(filler);
	close(silent);
}

/* Both ways by which a listener learns too late that it has gone. */
static void clients_of_a_listener_that_has_gone_are_counted_at_it(void **state)
{
	struct relay *relay = *state;
	struct tw_listener_stats *stats;
	int early, late;

	relay_start_n(relay, PLAIN, 1);
	stats = relay_listener_stats(relay);
	early = client_connect();
	while (!COUNTER(stats->waiting))
		sched_yield();
	rig_sync(relay->rig, "listeners: [{name: other, port: 444}]\n" ROUTE);
	send_hello(early, NAME);
	relay_assert_end(relay, TW_REFUSE_unknown_name);
	assert_int_equal(COUNTER(stats->refused.unknown_name), 1);
	/* What the listener said is asked for again. */
	(void)poll(NULL, 0, 150);
	late = client_connect();
	send_hello(late, NAME);
	relay_assert_end(relay, TW_REFUSE_unknown_name);
	assert_int_equal(COUNTER(stats->accepted), 2);
	assert_int_equal(COUNTER(stats->refused.unknown_name), 2);
	close(early);
	close(late);
}

static void burst_onto_a_silent_backend_goes_to_the_other_one_by_least_conn(void **state)
{
	enum { N = 40 };
	struct relay *relay = *state;
	int filler, silent = silent_listen(8444, &filler), listener = backend_listen(8443, N);
	int clients[N];

	/* Long ones: each that reaches the good one stays there, too. */
	relay_start(relay, "listeners: [{name: tls, port: 443}]\n"
			   "routes: [{hostnames: [app.example.com], balance: least_conn,"
			   " backends: [127.0.0.1:8444, 127.0.0.1:8443]}]\n");
	for (int i = 0; i < N; i++) {
		clients[i] = client_connect();
		send_hello(clients[i], NAME);
		wait_active(relay, (uint64_t)i + 1);
	}
	assert_in_range(COUNTER(backend_stats(relay, "127.0.0.1:8443")->relay.active), N / 2 - 2,
			N / 2 + 2);
	for (int i = 0; i < N; i++)
		close(clients[i]);
	close(filler);
	close(silent);
	close(listener);
}

static void unix_socket_is_a_backend(void **state)
{
	struct relay *relay = *state;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint8_t *bytes = pattern(MANY, 12);
	struct transfer transfer = {.out = bytes, .len = MANY};
	pthread_t thread;
	struct pair pair;
	char yaml[512];

	snprintf(sa.sun_path, sizeof(sa.sun_path), "/tmp/%s.sock", relay->rig->instance);
	(void)unlink(sa.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(listener, 16), 0);
	snprintf(yaml, sizeof(yaml),
		 "listeners: [{name: tls, port: 443}]\n"
		 "routes: [{hostnames: [app.example.com], backends: [\"unix:%s\"]}]\n",
		 sa.sun_path);
	relay_start(relay, yaml);
	pair = join(listener);
	transfer.fd = pair.backend;
	assert_int_equal(pthread_create(&thread, NULL, send_it, &transfer), 0);
	assert_receives(pair.client, bytes, MANY);
	pthread_join(thread, NULL);
	assert_eof(pair.client);
	send_all(pair.client, "up", 2);
	assert_receives(pair.backend, "up", 2);
	close(pair.client);
	assert_eof(pair.backend);
	close(pair.backend);
	relay_assert_end(relay, TW_END_closed);
	unlink(sa.sun_path);
	free(bytes);
	close(listener);
}

/* --- refusals ---------------------------------------------------------------------------- */

static void each_refusal_has_its_own_counter(void **state)
{
	struct relay *relay = *state;
	struct tw_refusals *refused;
	uint8_t hello[1024];
	size_t len = make_hello(hello, NAME, 0, TW_RECORD_MAX);
	int client;

	relay_start(relay, PLAIN);
	refused = &relay_listener_stats(relay)->refused;

	client = client_connect();
	send_hello(client, "other.example.com");
	assert_reset(client);
	close(client);
	assert_int_equal(COUNTER(refused->unknown_name), 1);

	client = client_connect();
	send_hello(client, NULL);
	assert_reset(client);
	close(client);
	assert_int_equal(COUNTER(refused->no_sni), 1);

	client = client_connect();
	send_all(client, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_reset(client);
	close(client);
	assert_int_equal(COUNTER(refused->not_tls), 1);

	/* The extensions block claims more than the message holds. */
	hello[TW_RECORD_HEAD + TW_HELLO_HEAD + TW_HELLO_MIN + 1] += 1;
	client = client_connect();
	send_all(client, hello, len);
	assert_reset(client);
	close(client);
	assert_int_equal(COUNTER(refused->malformed), 1);

	make_hello(hello, NAME, 0, TW_RECORD_MAX);
	hello[TW_RECORD_HEAD + 1] = 1;
	client = client_connect();
	send_all(client, hello, len);
	assert_reset(client);
	close(client);
	assert_int_equal(COUNTER(refused->too_big), 1);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->accepted), 5);
}

static void alert_arrives_although_bytes_are_left_unread(void **state)
{
	static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 112};
	struct relay *relay = *state;
	uint8_t *more = pattern(1 << 18, 13), hello[1024];
	size_t len = make_hello(hello, "other.example.com", 0, TW_RECORD_MAX);
	int client;

	relay_start(relay, WITH("on_refuse: alert"));
	client = client_connect();
	send_all(client, hello, len);
	send_until_stalled(client, more, 1 << 18);
	assert_receives(client, alert, sizeof(alert));
	assert_eof(client);
	/* Ours is over, the client's not: it may go on until it has read the alert. */
	close(client);
	relay_assert_end(relay, TW_REFUSE_unknown_name);
	free(more);
}

static void dropped_client_hears_nothing(void **state)
{
	struct relay *relay = *state;
	char byte;
	int client;

	relay_start(relay, WITH("on_refuse: drop"));
	client = client_connect();
	send_hello(client, "other.example.com");
	relay_assert_end(relay, TW_REFUSE_unknown_name);
	be_patient(client, 200);
	assert_int_equal(recv(client, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(client);
}

/* --- timeouts ---------------------------------------------------------------------------- */

static void idle_connection_is_reset_after_its_timeout(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	struct pair pair;

	relay_start(relay, WITH("timeouts: {idle: 150ms}"));
	pair = join(listener);
	relay_assert_end(relay, TW_END_idle_timeout);
	assert_reset(pair.client);
	assert_reset(pair.backend);
	close(pair.client);
	close(pair.backend);
	close(listener);
}

static void bytes_put_the_idle_timeout_off(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	struct timespec from, now;
	struct pair pair;

	relay_start(relay, WITH("timeouts: {idle: 400ms}"));
	pair = join(listener);
	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		send_all(pair.client, "x", 1);
		assert_receives(pair.backend, "x", 1);
		(void)poll(NULL, 0, 20);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec * 1000 + now.tv_nsec / 1000000 <
		 from.tv_sec * 1000 + from.tv_nsec / 1000000 + 1000);
	assert_int_equal(COUNTER(relay->n_ended), 0);
	close(pair.client);
	close(pair.backend);
	relay_assert_end(relay, TW_END_closed);
	close(listener);
}

/*
 * Bytes in the send queue of the relay alone: it has read all that the backend sent. The client's
 * window is small, so the queue is as long as what it has not read.
 */
static struct pair pair_with_slow_client(int listener, const uint8_t *bytes, size_t len)
{
	struct pair pair = {.client = tcp_socket()};
	int small = 16 << 10;

	assert_int_equal(setsockopt(pair.client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	connect_to(pair.client, PORT);
	send_hello(pair.client, NAME);
	pair.backend = backend_accept(listener);
	assert_receives_hello(pair.backend, NAME);
	send_all(pair.backend, bytes, len);
	wait_acknowledged(pair.backend);
	return pair;
}

static void slow_reader_gets_every_byte(struct relay *relay, bool half_closed)
{
	enum { LEN = 400 << 10, STEP = 4 << 10 };
	int listener = backend_listen(8443, 16);
	uint8_t *bytes = pattern(LEN, 14);
	struct pair pair = pair_with_slow_client(listener, bytes, LEN);

	if (half_closed)
		shutdown(pair.backend, SHUT_WR);
	/* 2.5 s: several times the timeout, in steps much shorter than it. */
	for (size_t done = 0; done < LEN; done += STEP) {
		assert_receives(pair.client, bytes + done, STEP);
		(void)poll(NULL, 0, 25);
	}
	assert_int_equal(COUNTER(relay->n_ended), 0);
	close(pair.client);
	close(pair.backend);
	free(bytes);
	close(listener);
}

static void slow_reader_outlasts_the_idle_timeout(void **state)
{
	relay_start(*state, WITH("timeouts: {idle: 400ms}"));
	slow_reader_gets_every_byte(*state, false);
}

static void slow_reader_outlasts_the_half_closed_timeout(void **state)
{
	relay_start(*state, WITH("timeouts: {half_closed: 400ms}"));
	slow_reader_gets_every_byte(*state, true);
}

static void reader_that_has_stopped_is_idle(void **state)
{
	enum { LEN = 400 << 10 };
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	uint8_t *bytes = pattern(LEN, 15);
	struct pair pair;

	relay_start(relay, WITH("timeouts: {idle: 200ms}"));
	pair = pair_with_slow_client(listener, bytes, LEN);
	relay_assert_end(relay, TW_END_idle_timeout);
	assert_reset(pair.backend);
	close(pair.client);
	close(pair.backend);
	free(bytes);
	close(listener);
}

static void half_closed_connection_has_its_own_timeout(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	struct pair pair;

	relay_start(relay, WITH("timeouts: {half_closed: 150ms}"));
	pair = join(listener);
	shutdown(pair.client, SHUT_WR);
	assert_eof(pair.backend);
	relay_assert_end(relay, TW_END_half_closed);
	assert_reset(pair.client);
	close(pair.client);
	close(pair.backend);
	close(listener);
}

/* --- limits and the main thread ---------------------------------------------------------- */

static void connection_beyond_the_limit_is_refused_and_the_next_one_served(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), client;
	struct pair first, second;

	rig_sync(relay->rig, PLAIN);
	relay_config_start(relay, (struct workers_config){.n = 2, .max_connections = 2});
	relay_listen(relay);
	first = join(listener);
	second = join(listener);
	client = client_connect();
	relay_assert_end(relay, TW_REFUSE_limit);
	assert_reset(client);
	close(client);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->refused.limit), 1);
	close(first.client);
	close(first.backend);
	relay_assert_end(relay, TW_END_closed);
	first = join(listener);
	close(first.client);
	close(first.backend);
	close(second.client);
	close(second.backend);
	relay_assert_end(relay, TW_END_closed);
	relay_assert_end(relay, TW_END_closed);
	close(listener);
}

static void without_file_descriptors_clients_are_refused_not_kept_waiting(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), client = tcp_socket();
	struct rlimit old;
	struct pair pair;

	relay_start_n(relay, PLAIN, 1);
	old = forbid_new_files();
	connect_to(client, PORT);
	assert_reset(client);
	relay_assert_end(relay, TW_REFUSE_internal);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(client);
	pair = join(listener);
	close(pair.client);
	close(pair.backend);
	relay_assert_end(relay, TW_END_closed);
	close(listener);
}

struct listed {
	size_t n;
	struct conn_record last;
	char sni[TW_NAME_SIZE];
};

static void list(void *arg, const struct conn_record *record)
{
	struct listed *listed = arg;

	listed->n++;
	listed->last = *record;
	snprintf(listed->sni, sizeof(listed->sni), "%s", record->sni);
}

static void connection_is_listed_and_killed_by_its_id(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16);
	struct workers_filter filter = {};
	struct listed listed = {};
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	struct pair kept, killed;

	relay_start(relay, PLAIN);
	killed = join(listener);
	assert_int_equal(workers_list(relay->workers, &filter, list, &listed), 0);
	assert_int_equal(listed.n, 1);
	assert_string_equal(listed.sni, NAME);
	assert_string_equal(listed.last.state, "open");
	assert_int_equal(listed.last.route, rig_route_id(relay->rig, NAME));
	assert_int_equal(listed.last.local.port, htons(PORT));
	assert_int_equal(getpeername(killed.backend, (struct sockaddr *)&from, &from_len), 0);
	assert_int_equal(listed.last.backend_from.port, from.sin_port);

	kept = join(listener);
	filter.id = listed.last.id;
	assert_int_equal(workers_kill(relay->workers, &filter), 1);
	assert_reset(killed.client);
	assert_reset(killed.backend);
	relay_assert_end(relay, TW_END_killed);
	send_all(kept.client, "x", 1);
	assert_receives(kept.backend, "x", 1);
	close(killed.client);
	close(killed.backend);
	close(kept.client);
	close(kept.backend);
	relay_assert_end(relay, TW_END_closed);
	close(listener);
}

static size_t count_listed(struct relay *relay, const struct workers_filter *filter)
{
	struct listed listed = {};

	assert_int_equal(workers_list(relay->workers, filter, list, &listed), 0);
	return listed.n;
}

static void listing_takes_those_alone_that_fit(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), waiting;
	struct workers_filter filter = {};
	uint32_t routes[2] = {TW_ROUTES_MAX - 1};
	struct pair pairs[3];

	relay_start(relay, PLAIN);
	waiting = client_connect();
	while (!COUNTER(relay_listener_stats(relay)->waiting))
		sched_yield();
	for (int i = 0; i < 3; i++)
		pairs[i] = join(listener);
	assert_int_equal(count_listed(relay, &filter), 4);
	filter.routes = routes;
	filter.n_routes = 1;
	assert_int_equal(count_listed(relay, &filter), 0);
	routes[1] = rig_route_id(relay->rig, NAME);
	filter.n_routes = 2;
	assert_int_equal(count_listed(relay, &filter), 3);
	filter.backend = rig_backend_id(relay->rig, "127.0.0.1:8443");
	assert_int_equal(count_listed(relay, &filter), 3);
	filter.backend++;
	assert_int_equal(count_listed(relay, &filter), 0);
	filter = (struct workers_filter){};
	assert_int_equal(addr_parse_ip("127.0.0.1", filter.client), 0);
	assert_int_equal(count_listed(relay, &filter), 4);
	assert_int_equal(addr_parse_ip("127.0.0.2", filter.client), 0);
	assert_int_equal(count_listed(relay, &filter), 0);
	close(waiting);
	for (int i = 0; i < 3; i++) {
		close(pairs[i].client);
		close(pairs[i].backend);
	}
	close(listener);
}

static void connections_in_the_queue_of_a_listener_that_goes_are_served(void **state)
{
	enum { N = 50 };
	struct relay *relay = *state;
	int listener = backend_listen(8443, N), clients[N], late;
	struct sockaddr_in sa = loopback(PORT);

	relay_start(relay, PLAIN);
	for (int i = 0; i < N; i++) {
		clients[i] = client_connect();
		send_hello(clients[i], NAME);
	}
	assert_int_equal(workers_set_binds(relay->workers, NULL, 0), 0);
	for (int i = 0; i < N; i++) {
		int backend = backend_accept(listener);

		send_all(backend, "x", 1);
		close(backend);
	}
	for (int i = 0; i < N; i++) {
		assert_receives(clients[i], "x", 1);
		close(clients[i]);
	}
	late = tcp_socket();
	assert_int_equal(connect(late, (struct sockaddr *)&sa, sizeof(sa)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(late);
	close(listener);
}

static void port_in_use_is_told_with_a_remedy(void **state)
{
	struct relay *relay = *state;
	struct workers_bind binds[2] = {};
	int other, on = 1;
	char *why = NULL;
	struct sockaddr_in sa = loopback(444);

	/* Even one that would share the port with us. */
	other = tcp_socket();
	assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	assert_int_equal(bind(other, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(other, 1), 0);
	relay_start(relay, PLAIN);
	binds[0] = (struct workers_bind){.bind = 2, .port = htons(445), .listener = "good"};
	binds[1] = (struct workers_bind){.bind = 3, .port = htons(444), .listener = "web"};
	assert_int_equal(workers_prepare_binds(relay->workers, binds, 2, &why), -EADDRINUSE);
	assert_string_equal(why, "listen *:444 (listener web): address already in use; another "
				 "program has the port: see \"ss -ltnp sport = :444\"");
	free(why);
	/* Nothing was changed: the good one of the two is not open either. */
	assert_int_equal(workers_set_binds(relay->workers, binds, 1), -ENOENT);
	close(other);
}

static void bind_that_is_not_set_can_be_dropped(void **state)
{
	struct relay *relay = *state;
	struct workers_bind more = {.bind = 2, .port = htons(445), .listener = "more"};
	int listener = backend_listen(8443, 16), other = tcp_socket();
	struct sockaddr_in sa = loopback(445);
	struct workers_usage before, with, after;
	struct pair pair;
	char *why = NULL;
	int off = 0;

	/* Else two that do not listen may share the port. */
	assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off)), 0);
	relay_start(relay, PLAIN);
	workers_usage(relay->workers, &before);
	assert_int_equal(workers_prepare_binds(relay->workers, &more, 1, &why), 0);
	workers_usage(relay->workers, &with);
	assert_int_equal(bind(other, (struct sockaddr *)&sa, sizeof(sa)), -1);
	workers_drop_unset(relay->workers);
	workers_usage(relay->workers, &after);
	assert_int_equal(bind(other, (struct sockaddr *)&sa, sizeof(sa)), 0);
	/* Two workers: two sockets, as many as a connection has. */
	assert_int_equal(with.max_connections, before.max_connections - 1);
	assert_int_equal(after.max_connections, before.max_connections);
	pair = join(listener);
	close(pair.client);
	close(pair.backend);
	close(other);
	close(listener);
}

static void stopping_resets_what_is_open(void **state)
{
	struct relay *relay = *state;
	int listener = backend_listen(8443, 16), waiting;
	unsigned int ends;
	struct pair pair;

	relay_start(relay, PLAIN);
	waiting = client_connect();
	pair = join(listener);
	while (!COUNTER(relay_listener_stats(relay)->waiting))
		sched_yield();
	relay->workers = workers_stop(relay->workers);
	ends = relay_wait_end(relay)->reason;
	ends += relay_wait_end(relay)->reason;
	assert_int_equal(ends, TW_END_shutdown + TW_REFUSE_aborted);
	assert_reset(pair.client);
	assert_reset(pair.backend);
	assert_reset(waiting);
	assert_int_equal(COUNTER(relay_listener_stats(relay)->waiting), 0);
	assert_int_equal(COUNTER(relay_route_stats(relay)->relay.active), 0);
	close(pair.client);
	close(pair.backend);
	close(waiting);
	close(listener);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, relay_setup, relay_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hello_and_what_follows_it_reach_the_backend_unchanged),
		TEST(client_may_close_its_half_first),
		TEST(backend_may_close_its_half_first),
		TEST(fin_right_behind_the_hello_is_passed_on),
		TEST(client_reset_reaches_the_backend_behind_the_bytes_before_it),
		TEST(backend_reset_reaches_the_client_behind_the_bytes_before_it),
		TEST(reset_after_a_half_close_is_passed_on),
		TEST(backend_that_resets_at_once_resets_the_client),
		TEST(many_bytes_cross_both_ways_at_once),
		TEST(stalled_readers_hold_one_pipe_each_way_and_lose_nothing),
		TEST(without_file_descriptors_for_pipes_every_byte_arrives),
		TEST(urgent_data_stays_where_it_was_sent),
		TEST(longest_hello_in_one_byte_records_and_segments_is_routed),
		TEST(clients_that_never_finish_do_not_keep_a_good_one_waiting),
		TEST(late_hello_is_refused_and_never_routed),
		TEST(fin_before_a_whole_hello_is_refused),
		TEST(dead_backend_is_passed_over),
		TEST(when_every_backend_fails_the_client_is_refused),
		TEST(silent_backend_is_given_up_after_the_connect_timeout),
		TEST(client_that_resets_while_we_connect_is_let_go),
		TEST(impatient_clients_do_not_hide_a_silent_backend),
		TEST(kill_before_it_is_served_is_a_refusal),
		TEST(clients_of_a_listener_that_has_gone_are_counted_at_it),
		TEST(burst_onto_a_silent_backend_goes_to_the_other_one_by_least_conn),
		TEST(unix_socket_is_a_backend),
		TEST(each_refusal_has_its_own_counter),
		TEST(alert_arrives_although_bytes_are_left_unread),
		TEST(dropped_client_hears_nothing),
		TEST(idle_connection_is_reset_after_its_timeout),
		TEST(bytes_put_the_idle_timeout_off),
		TEST(slow_reader_outlasts_the_idle_timeout),
		TEST(slow_reader_outlasts_the_half_closed_timeout),
		TEST(reader_that_has_stopped_is_idle),
		TEST(half_closed_connection_has_its_own_timeout),
		TEST(connection_beyond_the_limit_is_refused_and_the_next_one_served),
		TEST(without_file_descriptors_clients_are_refused_not_kept_waiting),
		TEST(connection_is_listed_and_killed_by_its_id),
		TEST(listing_takes_those_alone_that_fit),
		TEST(connections_in_the_queue_of_a_listener_that_goes_are_served),
		TEST(port_in_use_is_told_with_a_remedy),
		TEST(bind_that_is_not_set_can_be_dropped),
		TEST(stopping_resets_what_is_open),
	};

	enter_own_network();
	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
