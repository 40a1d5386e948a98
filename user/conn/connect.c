// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From a connection's first byte to a backend: the ClientHello is looked at in the socket's own
 * queue (so that waiting costs no buffer, and the backend gets the very bytes that were read), the
 * route is asked for, and backends are tried until one answers.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "conn/conn.h"
#include "conn/direct.h"

/*
 * Up to here every segment is looked at when it comes, so that what is malformed is refused as soon
 * as that is certain. From here on only when a complete hello is possible: a client that trickles
 * must not make us look at a growing queue for each byte.
 */
#define EAGER_BYTES	512
/*
 * A client that goes while we connect says nothing against the backend, unless that had longer than
 * the kernel waits before it sends the first SYN again.
 */
#define CONNECT_FAIR_MS 1000
/* A hello that has grown so long makes the receive queue large enough for the longest. */
#define GROW_FROM	(32 << 10)

_Static_assert(FLOW_BUF_BYTES > TW_HELLO_STREAM_MAX, "the longest ClientHello is seen whole");

/* What to do about something that we have run out of. NULL: that is not what @err says. */
static const char *remedy(int err)
{
	switch (err) {
	case -EADDRNOTAVAIL:
		return "no local port is left: see net.ipv4.ip_local_port_range";
	case -EMFILE:
	case -ENFILE:
		return "raise the limit on open files (LimitNOFILE=) or set max_connections";
	case -ENOSPC:
		return "raise fs.epoll.max_user_watches";
	case -ENOMEM:
	case -ENOBUFS:
		return "no memory";
	default:
		return NULL;
	}
}

static void refuse_internal(struct worker *w, struct conn *c, const char *what, int err)
{
	const char *help = remedy(err);

	if (worker_may_complain(w))
		log_warn("relay: %s: %s%s%s, refusing connections", what, strerror(-err),
			 help ? "; " : "", help ? help : "");
	conn_refuse(w, c, TW_REFUSE_internal);
}

/* --- the ClientHello ------------------------------------------------------------------------- */

static void set_lowat(struct conn *c, int bytes)
{
	/* Without it we are woken more often, that is all. */
	(void)setsockopt(c->side[CLIENT].source.fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
	c->has_lowat = bytes > 1;
}

/*
 * Sleep until there may be enough. The kernel makes the receive buffer fit the mark when it is set,
 * and does not shrink it again: a long hello in tiny records needs more than there is by default.
 */
static void wait_for_more(struct worker *w, struct conn *c, uint32_t need, size_t have)
{
	struct side *client = &c->side[CLIENT];
	int on = 1;

	/* The rest may wait for an acknowledgement of this (Nagle), which we told to wait. */
	if (have)
		(void)setsockopt(client->source.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
	/* Of a source, what was passed to us does not count for the mark. */
	if (!client->in_map) {
		if (have >= GROW_FROM)
			set_lowat(c, FLOW_BUF_BYTES);
		if ((have >= EAGER_BYTES && need > have + 1) || c->has_lowat)
			set_lowat(c, (int)need);
	}
	if (!conn_watch(w, client, false))
		refuse_internal(w, c, "epoll", -errno);
}

struct conn_hello *conn_hello_new(struct worker *w, const char *name, uint16_t name_len,
				  const uint8_t *alpn, uint16_t alpn_len)
{
	struct conn_hello *kept = malloc(sizeof(*kept) + name_len + 1u + alpn_len);

	if (!kept)
		return NULL;
	kept->name_len = name_len;
	kept->alpn_len = alpn_len;
	memcpy(kept->bytes, name, name_len);
	kept->bytes[name_len] = '\0';
	memcpy(kept->bytes + name_len + 1, alpn, alpn_len);
	worker_count(&w->heap_bytes, (int64_t)(sizeof(*kept) + name_len + 1u + alpn_len));
	return kept;
}

static bool keep_hello(struct worker *w, struct conn *c)
{
	const struct tw_hello *h = &w->hello;

	c->hello = conn_hello_new(w, h->name, h->name_len, h->alpn, h->alpn_len);
	return c->hello;
}

/* --- the backend ----------------------------------------------------------------------------- */

static enum tw_reason ask(struct worker *w, struct conn *c)
{
	struct tw_decide *q = &w->query;
	int err;

	memset(q, 0, sizeof(*q));
	q->bind = c->bind;
	q->ask = c->ask;
	q->slot = w->index + 1;
	memcpy(q->client, c->client.ip, sizeof(q->client));
	q->client_port = c->client.port;
	if (c->hello) {
		q->name_len = c->hello->name_len;
		q->alpn_len = c->hello->alpn_len;
		memcpy(q->name, c->hello->bytes, c->hello->name_len);
		memcpy(q->alpn, c->hello->bytes + c->hello->name_len + 1, c->hello->alpn_len);
	}
	redirect_tell_drawn(w, c, q);
	q->tried_n = c->n_tried;
	memcpy(q->tried, c->tried, sizeof(q->tried));
	err = datapath_decide(w->shared->dp, q);
	if (err) {
		if (worker_may_complain(w))
			log_err("relay: route look-up: %s, refusing connections", strerror(-err));
		return TW_REFUSE_internal;
	}
	/* The port may be served no more: what was known of it when it was accepted on holds. */
	if (q->listener) {
		c->listener = q->listener;
		c->on_refuse = (uint8_t)q->on_refuse;
	}
	c->route = q->route;
	if (q->reason)
		return q->reason;
	c->backend = q->backend;
	c->paths = (uint8_t)q->paths;
	c->wants_direct = q->local == TW_LOCAL_DIRECT && q->paths & 1u << TW_PATH_SOCKET;
	c->connect_ms = q->timeouts.connect_ms;
	c->idle_ms = q->timeouts.idle_ms;
	c->half_closed_ms = q->timeouts.half_closed_ms;
	c->max_tries = (uint8_t)(q->tries < TW_TRIES_MAX ? q->tries : TW_TRIES_MAX);
	return TW_OK;
}

static socklen_t backend_address(const struct tw_backend *backend, struct sockaddr_storage *ret_sa)
{
	static const char prefix[] = "unix:";
	struct sockaddr_un *un = (struct sockaddr_un *)ret_sa;
	const char *path = backend->text + sizeof(prefix) - 1;

	if (backend->family != TW_FAMILY_UNIX)
		return addr_to_sockaddr(backend->addr, backend->port, ret_sa);
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strnlen(path, sizeof(un->sun_path)));
	return sizeof(*un);
}

/* A socket that is connected already. false: there is none. */
static bool take_warm(struct worker *w, struct conn *c)
{
	struct side *side = &c->side[BACKEND];
	uint64_t cookie;

	if (!w->query.address.pool || c->wants_direct)
		return false;
	side->source.fd = pool_take(w, c->backend, &cookie);
	if (side->source.fd < 0)
		return false;
	/* In the epoll set for the pool until now. */
	side->is_watched = true;
	c->is_pooled = true;
	if (cookie)
		redirect_took_warm(w, c, cookie);
	conn_rewatch(w, side);
	return true;
}

/* 0: connected or under way; else -errno. */
static int start_connect(struct worker *w, struct conn *c, bool *ret_is_connected)
{
	struct side *side = &c->side[BACKEND];
	struct sockaddr_storage sa;
	socklen_t len = backend_address(&w->query.address, &sa);
	int on = 1, off = 0, err = 0;

	*ret_is_connected = take_warm(w, c);
	if (*ret_is_connected)
		return 0;
	side->source.fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (side->source.fd < 0)
		return -errno;
	side->is_unix = sa.ss_family == AF_UNIX;
	if (!side->is_unix) {
		/* An urgent byte is one of the stream's, as a client's is. */
		(void)setsockopt(side->source.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
		/* Neither is needed to be right: small writes wait for nothing, and ... */
		(void)setsockopt(side->source.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		/* ... the hello completes the handshake, without an empty ACK before it. */
		(void)setsockopt(side->source.fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
	}
	direct_mark(w, c);
	*ret_is_connected = connect(side->source.fd, (struct sockaddr *)&sa, len) == 0;
	if (!*ret_is_connected && errno != EINPROGRESS)
		err = -errno;
	else if (!conn_watch(w, side, true))
		err = -errno;
	return err;
}

static void count_failure(struct worker *w, const struct conn *c)
{
	const struct datapath *dp = w->shared->dp;

	counter_add(&datapath_backend_stats(dp, c->backend)->connect_failures, 1);
	counter_add(&datapath_route_stats(dp, c->route)->connect_failures, 1);
}

/* Forget the backend that was tried. false: it was the last try. */
static bool give_up_backend(struct worker *w, struct conn *c)
{
	count_failure(w, c);
	conn_drop_backend(w, c);
	c->side[BACKEND] = (struct side){.source = {.fd = -1, .kind = SOURCE_BACKEND}};
	c->tried[c->n_tried++] = c->backend;
	return c->n_tried < c->max_tries;
}

/* Ask for a backend and connect to it, until one connects or is waited for. */
static void find_backend(struct worker *w, struct conn *c)
{
	for (;;) {
		enum tw_reason reason = ask(w, c);
		char what[sizeof("connect ") + TW_BACKEND_TEXT_SIZE];
		bool is_connected = false;
		int err;

		if (reason) {
			if (reason == TW_REFUSE_no_backend && c->n_tried)
				reason = TW_REFUSE_backend_failed;
			conn_refuse(w, c, reason);
			return;
		}
		conn_take_backend(w, c);
		err = start_connect(w, c, &is_connected);
		/* What we have run out of, another backend would not give us. */
		if (remedy(err)) {
			snprintf(what, sizeof(what), "connect %s", w->query.address.text);
			refuse_internal(w, c, what, err);
			return;
		}
		if (!err) {
			c->state = CONN_CONNECTING;
			if (is_connected)
				conn_join(w, c);
			else
				timer_set(&w->timers, &c->timer, w->now_ms + c->connect_ms);
			return;
		}
		if (!give_up_backend(w, c)) {
			conn_refuse(w, c, TW_REFUSE_backend_failed);
			return;
		}
	}
}

void conn_connect_failed(struct worker *w, struct conn *c)
{
	if (give_up_backend(w, c))
		find_backend(w, c);
	else
		conn_refuse(w, c, TW_REFUSE_backend_failed);
}

void conn_connect_abandoned(struct worker *w, struct conn *c)
{
	uint64_t started_ms = c->timer.due_ms - c->connect_ms;

	/* Clients that do not wait must not hide a backend that is dead. */
	if (w->now_ms - started_ms >= CONNECT_FAIR_MS)
		count_failure(w, c);
	conn_refuse(w, c, TW_REFUSE_client_gone);
}

void conn_connect_event(struct worker *w, struct conn *c, uint32_t events)
{
	struct side *side = &c->side[BACKEND];
	socklen_t len = sizeof(int);
	int err = 0;

	if (events & EPOLLERR) {
		if (getsockopt(side->source.fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
			err = EIO;
		/* RST to our SYN is ECONNREFUSED. This is one that came later: passed on. */
		if (err && err != ECONNRESET) {
			conn_connect_failed(w, c);
			return;
		}
		side->error = (uint16_t)err;
	}
	if (events & EPOLLOUT)
		conn_join(w, c);
}

void conn_read_hello(struct worker *w, struct conn *c)
{
	struct side *client = &c->side[CLIENT];
	ssize_t n = recv(client->source.fd, w->tools.buf, FLOW_BUF_BYTES, MSG_PEEK);
	int err;

	/* Receiving has made the verdict program look at it, which may have joined it. */
	err = n < 0 ? errno : 0;
	if (c->redirect && n <= 0)
		redirect_ring_event(w);
	if (c->state != CONN_HELLO) {
		/* Its RST, which no event tells of any more. */
		if (err && err != EAGAIN && !client->error)
			client->error = (uint16_t)err;
		return;
	}
	errno = err;
	if (n < 0 && errno == EAGAIN) {
		wait_for_more(w, c, 1, 0);
		return;
	}
	if (n <= 0) {
		conn_refuse(w, c, TW_REFUSE_hello_closed);
		return;
	}
	switch (tw_hello_parse(&w->hello, w->tools.buf, (uint32_t)n)) {
	case TW_HELLO_MORE:
		if (client->rdhup)
			conn_refuse(w, c, TW_REFUSE_hello_closed);
		else
			wait_for_more(w, c, w->hello.need, (size_t)n);
		return;
	case TW_HELLO_FOUND:
		c->ask = TW_ASK_NAME;
		break;
	case TW_HELLO_REFUSED:
		if (w->hello.reason != TW_REFUSE_no_sni && w->hello.reason != TW_REFUSE_not_tls) {
			conn_refuse(w, c, w->hello.reason);
			return;
		}
		c->ask = w->hello.reason == TW_REFUSE_no_sni ? TW_ASK_NO_SNI : TW_ASK_NOT_TLS;
		break;
	}
	if (c->has_lowat)
		set_lowat(c, 1);
	/* From here on its RST is noticed; what else it sends waits. */
	if (c->ask != TW_ASK_NOT_TLS && !keep_hello(w, c))
		refuse_internal(w, c, "ClientHello", -ENOMEM);
	else if (!conn_watch(w, client, false))
		refuse_internal(w, c, "epoll", -errno);
	else
		find_backend(w, c);
}
