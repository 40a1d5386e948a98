/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The relay path in one process, for tests: workers over a real route table, clients and backends
 * as sockets of the test, all in a network namespace of its own. Blocking calls on them give up
 * after PATIENCE_S.
 */
#ifndef THRUWAY_TESTS_RELAY_RIG_H
#define THRUWAY_TESTS_RELAY_RIG_H

#include <inttypes.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <linux/sockios.h>

#include "rig.h"

#include "base/reason.h"
#include "conn/workers.h"
#include "thruway/hello.h"

#define PATIENCE_S     20
#define PORT	       443
#define NAME	       "app.example.com"
#define ENDED_MAX      8192
/* What the workers add to meanwhile. */
#define COUNTER(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* How one connection ended, as on_end was told. */
struct ended {
	enum tw_reason reason;
	uint64_t up, down, id;
	uint32_t tries;
	char sni[TW_NAME_SIZE];
	struct addr client;
};

struct relay {
	struct rig *rig;
	struct workers *workers;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct ended ended[ENDED_MAX];
	size_t n_ended;
	size_t n_seen;	     /* taken by relay_wait_end() */
	struct rlimit files; /* as found */
	int first_fd;	     /* the test's own begin here */
};

static inline void on_end(void *arg, const struct conn_record *record)
{
	struct relay *relay = arg;
	struct ended *e;

	pthread_mutex_lock(&relay->lock);
	assert_true(relay->n_ended < ENDED_MAX);
	e = &relay->ended[relay->n_ended++];
	e->reason = record->reason;
	e->up = record->bytes_to_backend;
	e->down = record->bytes_to_client;
	e->id = record->id;
	e->tries = record->tries;
	e->client = record->client;
	snprintf(e->sni, sizeof(e->sni), "%s", record->sni);
	pthread_cond_signal(&relay->more);
	pthread_mutex_unlock(&relay->lock);
}

/* The next connection that ends. */
static inline struct ended *relay_wait_end(struct relay *relay)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&relay->lock);
	while (relay->n_ended == relay->n_seen && !err)
		err = pthread_cond_timedwait(&relay->more, &relay->lock, &until);
	pthread_mutex_unlock(&relay->lock);
	if (err)
		fail_msg("no connection ended within %d s", PATIENCE_S);
	return &relay->ended[relay->n_seen++];
}

static inline void relay_assert_end(struct relay *relay, enum tw_reason reason)
{
	assert_int_equal(relay_wait_end(relay)->reason, reason);
}

static inline void relay_config_start(struct relay *relay, struct workers_config config)
{
	config.dp = relay->rig->dp;
	config.on_end = on_end;
	config.arg = relay;
	assert_int_equal(workers_start(&config, &relay->workers), 0);
}

/* Listen on PORT, on all addresses. */
static inline void relay_listen(struct relay *relay)
{
	struct workers_bind bind = {
		.bind = rig_bind(relay->rig, PORT), .port = htons(PORT), .listener = "tls"};
	char *why = NULL;

	if (workers_prepare_binds(relay->workers, &bind, 1, &why))
		fail_msg("listen: %s", why);
	assert_int_equal(workers_set_binds(relay->workers, &bind, 1), 0);
}

/* Routes and listener from @yaml, @n workers. */
static inline void relay_start_n(struct relay *relay, const char *yaml, uint32_t n)
{
	rig_sync(relay->rig, yaml);
	relay_config_start(relay, (struct workers_config){.n = n});
	relay_listen(relay);
}

static inline void relay_start(struct relay *relay, const char *yaml)
{
	relay_start_n(relay, yaml, 2);
}

static inline struct tw_listener_stats *relay_listener_stats(const struct relay *relay)
{
	return datapath_listener_stats(relay->rig->dp,
				       tables_next_listener(relay->rig->tables, 0)->id);
}

static inline struct tw_stats *relay_route_stats(const struct relay *relay)
{
	uint32_t id = rig_route_id(relay->rig, NAME);

	assert_int_not_equal(id, 0);
	return datapath_route_stats(relay->rig->dp, id);
}

/* Each connection that was accepted waits, was joined or was refused, whatever became of it. */
static inline bool relay_are_all_counted(const struct relay *relay)
{
	uint64_t accepted = 0, counted = 0;

	for (uint32_t id = 0; id < TW_LISTENERS_MAX; id++) {
		struct tw_listener_stats *stats = datapath_listener_stats(relay->rig->dp, id);

		accepted += COUNTER(stats->accepted);
		counted += COUNTER(stats->waiting);
		for (unsigned int reason = TW_OK + 1; reason < TW_REFUSE_END; reason++)
			counted += COUNTER(*reason_counter(&stats->refused, reason));
	}
	for (uint32_t id = 0; id < TW_ROUTES_MAX; id++)
		counted += COUNTER(datapath_route_stats(relay->rig->dp, id)->relay.connections);
	if (accepted != counted)
		print_error("%" PRIu64 " were accepted, %" PRIu64 " are counted\n", accepted,
			    counted);
	return accepted == counted;
}

static inline int relay_setup(void **state)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	void *rig;

	assert_non_null(relay);
	if (rig_setup(&rig))
		return -1;
	relay->rig = rig;
	relay->first_fd = dup(0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &relay->files), 0);
	pthread_mutex_init(&relay->lock, NULL);
	pthread_cond_init(&relay->more, NULL);
	*state = relay;
	return 0;
}

static inline int relay_teardown(void **state)
{
	struct relay *relay = *state;
	void *rig = relay->rig;
	bool are_counted;

	workers_stop(relay->workers);
	are_counted = relay_are_all_counted(relay);
	/* Also what a test that failed has left open. */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &relay->files), 0);
	assert_int_equal(close_range((unsigned int)relay->first_fd, ~0u, 0), 0);
	rig_teardown(&rig);
	pthread_cond_destroy(&relay->more);
	pthread_mutex_destroy(&relay->lock);
	free(relay);
	return are_counted ? 0 : -1;
}

/* --- sockets ----------------------------------------------------------------------------- */

static inline void be_patient(int fd, int milliseconds)
{
	struct timeval tv = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
}

static inline struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	be_patient(fd, PATIENCE_S * 1000);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	return fd;
}

/* A backend's listening socket. */
static inline int backend_listen(uint16_t port, int backlog)
{
	struct sockaddr_in sa = loopback(port);
	int fd = tcp_socket();

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static inline int backend_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		fail_msg("backend: no connection: %s", strerror(errno));
	be_patient(fd, PATIENCE_S * 1000);
	return fd;
}

static inline void connect_to(int fd, uint16_t port)
{
	struct sockaddr_in sa = loopback(port);

	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		fail_msg("connect: %s", strerror(errno));
}

static inline int client_connect(void)
{
	int fd = tcp_socket();

	connect_to(fd, PORT);
	return fd;
}

static inline void send_all(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n <= 0)
			fail_msg("send: %s", strerror(errno));
		at += n;
		len -= (size_t)n;
	}
}

static inline void assert_receives(int fd, const void *bytes, size_t len)
{
	uint8_t *got = malloc(len);
	size_t done = 0;

	assert_non_null(got);
	while (done < len) {
		ssize_t n = recv(fd, got + done, len - done, 0);

		if (n <= 0)
			fail_msg("%zu of %zu bytes came, then: %s", done, len,
				 n ? strerror(errno) : "end of file");
		done += (size_t)n;
	}
	assert_memory_equal(got, bytes, len);
	free(got);
}

static inline void assert_eof(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	if (n)
		fail_msg("expected the end, got %s", n > 0 ? "a byte" : strerror(errno));
}

static inline void assert_reset(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	if (n >= 0)
		fail_msg("expected a reset, got %s", n ? "a byte" : "the end");
	assert_int_equal(errno, ECONNRESET);
}

/* Close with RST. */
static inline void reset(int fd)
{
	struct linger linger = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(fd);
}

/* Everything that was sent has reached the other end's kernel: an RST now destroys nothing. */
static inline void wait_acknowledged(int fd)
{
	int left;

	do {
		assert_int_equal(ioctl(fd, SIOCOUTQ, &left), 0);
		sched_yield();
	} while (left);
}

/* Send of @bytes what finds room without waiting for a reader, until that has stopped. */
static inline size_t send_until_stalled(int fd, const uint8_t *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
		ssize_t n = send(fd, bytes + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		if (!poll(&poll_fd, 1, 300))
			break;
	}
	return done;
}

/* --- bytes ------------------------------------------------------------------------------- */

static inline uint8_t *pattern(size_t len, uint32_t seed)
{
	uint8_t *bytes = malloc(len);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = seed >> 24;
	}
	return bytes;
}

static inline uint8_t *put16(uint8_t *at, size_t value)
{
	*at++ = (uint8_t)(value >> 8);
	*at++ = (uint8_t)value;
	return at;
}

/*
 * A ClientHello for @name (NULL = none) of @message bytes without its 4-byte header, or the fewest
 * possible for 0, in records of up to @piece bytes. Returns the stream's length.
 */
static inline size_t make_hello(uint8_t *dst, const char *name, size_t message, size_t piece)
{
	static uint8_t body[TW_HELLO_HEAD + TW_HELLO_MAX];
	size_t name_len = name ? strlen(name) : 0, len = 0, fixed;
	uint8_t *at = body;

	fixed = TW_HELLO_MIN + 2 + (name ? name_len + 9 : 0) + 4;
	if (message < fixed)
		message = fixed;
	*at++ = 1;
	*at++ = 0;
	at = put16(at, message);
	at = put16(at, 0x0303);
	memset(at, 0x5a, 32);
	at += 32;
	*at++ = 0;
	at = put16(at, 2);
	at = put16(at, 0x1301);
	*at++ = 1;
	*at++ = 0;
	at = put16(at, message - TW_HELLO_MIN - 2);
	if (name) {
		at = put16(at, 0);
		at = put16(at, name_len + 5);
		at = put16(at, name_len + 3);
		*at++ = 0;
		at = put16(at, name_len);
		memcpy(at, name, name_len);
		at += name_len;
	}
	at = put16(at, 21); /* padding (RFC 7685) */
	at = put16(at, message - fixed);
	memset(at, 0, message - fixed);
	for (size_t from = 0; from < TW_HELLO_HEAD + message; from += piece) {
		size_t n = TW_HELLO_HEAD + message - from;

		n = n < piece ? n : piece;
		dst[len++] = 22;
		dst[len++] = 3;
		dst[len++] = 1;
		put16(dst + len, n);
		memcpy(dst + len + 2, body + from, n);
		len += 2 + n;
	}
	return len;
}

static inline void send_hello(int fd, const char *name)
{
	uint8_t hello[1024];

	send_all(fd, hello, make_hello(hello, name, 0, TW_RECORD_MAX));
}

static inline void assert_receives_hello(int fd, const char *name)
{
	uint8_t hello[1024];
	size_t len = make_hello(hello, name, 0, TW_RECORD_MAX);

	assert_receives(fd, hello, len);
}

/* A client and its backend, joined. */
struct pair {
	int client, backend;
};

static inline struct pair join(int listener)
{
	struct pair pair = {.client = client_connect()};

	send_hello(pair.client, NAME);
	pair.backend = backend_accept(listener);
	assert_receives_hello(pair.backend, NAME);
	return pair;
}

/* A network namespace for this process, with its loopback device up. */
static inline void enter_own_network(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	if (geteuid() != 0) {
		puts("skipped: needs root");
		exit(77);
	}
	if (unshare(CLONE_NEWNET) < 0) {
		perror("unshare");
		exit(1);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0) {
		perror("lo");
		exit(1);
	}
	close(fd);
}

#endif
