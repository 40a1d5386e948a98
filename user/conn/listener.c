// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Listening sockets (see listener.h). What can be set once here is not set again for each
 * connection: accepted sockets inherit TCP_NODELAY, keepalive and SO_OOBINLINE.
 */
#include "conn/listener.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "conn/conn.h"
#include "conn/redirect.h"
#include "conn/worker.h"

/* Accept so many before other events get their turn. */
#define ACCEPT_BATCH_MAX 32
#define ACCEPT_PAUSE_MS	 100
/* More than any listen queue holds (net.core.somaxconn). */
#define QUEUE_MAX	 65536
/* A changed listener is noticed after so long; accepting faster than this does not ask again. */
#define ASK_MS		 100

/* --- the main thread ------------------------------------------------------------------------- */

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_keepalive(int fd, uint32_t keepalive_s)
{
	int err = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);

	return err ? err : set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)keepalive_s);
}

/* Connections come when the address does (ip(7): IP_FREEBIND). */
static int wait_for_address(int fd, sa_family_t family)
{
	return family == AF_INET6 ? set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
				  : set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
}

/* 0 and *@ret_fd, or -errno. */
static int open_one(const struct workers_bind *at, bool v4_only, bool shared, uint32_t keepalive_s,
		    int *ret_fd)
{
	static const uint8_t v4_any[16] = {[10] = 0xff, [11] = 0xff};
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(v4_only ? v4_any : at->addr, at->port, &sa);
	_cleanup_close_ int fd =
		socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!err && shared)
		err = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	/* "All" is one socket for IPv4 and IPv6; any other IPv6 address is what it says. */
	if (!err && sa.ss_family == AF_INET6)
		err = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !addr_is_any(at->addr));
	if (!err)
		err = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!err)
		err = set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	/* The answer to a hello acknowledges it, too: a packet less. connect.c undoes it. */
	if (!err)
		err = set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	if (!err)
		err = set_keepalive(fd, keepalive_s);
	if (!err && at->may_wait)
		err = wait_for_address(fd, sa.ss_family);
	if (!err && bind(fd, (struct sockaddr *)&sa, len) < 0)
		err = -errno;
	if (err)
		return err;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static char *explain(const struct workers_bind *bind, int err)
{
	char where[ADDR_TEXT_SIZE], what[64], help[128] = "";
	unsigned int port = ntohs(bind->port);
	char *text;

	if (addr_is_any(bind->addr) && !addr_is_ipv4(bind->addr))
		snprintf(where, sizeof(where), "*:%u", port);
	else
		addr_format(where, bind->addr, bind->port);
	if (err == -EADDRINUSE)
		snprintf(help, sizeof(help),
			 "; another program has the port: see \"ss -ltnp sport = :%u\"", port);
	else if (err == -EADDRNOTAVAIL)
		snprintf(help, sizeof(help),
			 "; no interface of this host has the address: "
			 "see \"ip address\"");
	else if (err == -EACCES)
		snprintf(help, sizeof(help), "; ports below 1024 need root");
	else if (err == -EMFILE || err == -ENFILE)
		snprintf(help, sizeof(help), "; raise the limit on open files (LimitNOFILE=)");
	snprintf(what, sizeof(what), "%s", strerror(-err));
	what[0] = (char)tolower((unsigned char)what[0]);
	if (asprintf(&text, "listen %s (listener %s): %s%s", where, bind->listener, what, help) < 0)
		return NULL;
	return text;
}

static int open_all(const struct workers_bind *bind, unsigned int n, bool v4_only, bool is_ours,
		    uint32_t keepalive_s, int *ret_fds)
{
	unsigned int done;
	int err = 0;

	/*
	 * SO_REUSEPORT would let us in beside another program of the same user that has set it,
	 * too, and each would get a part of the connections. So ask for the port alone first.
	 */
	if (!is_ours) {
		_cleanup_close_ int fd = -1;

		err = open_one(bind, v4_only, false, keepalive_s, &fd);
		if (err)
			return err;
	}
	for (done = 0; done < n && !err; done++)
		err = open_one(bind, v4_only, true, keepalive_s, &ret_fds[done]);
	if (err)
		for (done--; done > 0; done--)
			close(ret_fds[done - 1]);
	return err;
}

int listener_open(const struct workers_bind *bind, unsigned int n, bool is_ours,
		  uint32_t keepalive_s, int *ret_fds, char **ret_why)
{
	int err = open_all(bind, n, false, is_ours, keepalive_s, ret_fds);

	/* IPv6 is off: "all" is IPv4 then. */
	if (err == -EAFNOSUPPORT && addr_is_any(bind->addr))
		err = open_all(bind, n, true, is_ours, keepalive_s, ret_fds);
	if (err)
		*ret_why = explain(bind, err);
	return err;
}

/* --- the worker's thread --------------------------------------------------------------------- */

static void ask(struct worker *w, struct listener *l)
{
	struct tw_decide *q = &w->query;

	if (l->asked_ms && w->now_ms - l->asked_ms < ASK_MS)
		return;
	l->asked_ms = w->now_ms;
	memset(q, 0, sizeof(*q));
	q->bind = l->bind;
	q->ask = TW_ASK_LISTENER;
	q->slot = w->index + 1;
	/* A bind that is on its way out has no listener any more: its last clients are the old
	 * one's. */
	if (datapath_decide(w->shared->dp, q) < 0 || !q->listener)
		return;
	l->id = q->listener;
	l->on_refuse = q->on_refuse;
	l->hello_ms = q->timeouts.hello_ms ? q->timeouts.hello_ms : TW_HELLO_MS_DEFAULT;
}

static void watch(struct worker *w, struct listener *l, uint32_t events, int op)
{
	struct epoll_event event = {.events = events, .data.ptr = l};

	if (epoll_ctl(w->epoll_fd, op, l->source.fd, &event) < 0)
		log_err("relay: cannot wait for connections: %s", strerror(errno));
}

static void complain(struct worker *w, int err)
{
	if (!worker_may_complain(w))
		return;
	log_warn("relay: accept: %s, refusing connections%s", strerror(err),
		 err == EMFILE || err == ENFILE ? "; raise the limit on open files (LimitNOFILE=) "
						  "or set max_connections"
						: "");
}

static void pause_accepting(struct worker *w)
{
	struct listener *l;

	LIST_FOREACH (l, &w->listeners, link)
		watch(w, l, 0, EPOLL_CTL_MOD);
	timer_set(&w->timers, &w->accept_timer, w->now_ms + ACCEPT_PAUSE_MS);
}

void listener_resume(struct worker *w)
{
	struct listener *l;

	LIST_FOREACH (l, &w->listeners, link)
		watch(w, l, EPOLLIN, EPOLL_CTL_MOD);
}

/* No file descriptor to accept with: refuse one with the reserve, so that the client knows. */
static bool refuse_one(struct worker *w, struct listener *l)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd;

	worker_give_reserve(w);
	fd = accept4(l->source.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		conn_accept(w, l, fd, (struct sockaddr *)&peer, TW_REFUSE_internal);
	return worker_take_reserve(w) && fd >= 0;
}

static enum tw_reason check_limit(const struct worker *w)
{
	const struct shared *s = w->shared;

	return __atomic_load_n(&s->connections, __ATOMIC_RELAXED) >=
			       __atomic_load_n(&s->max_connections, __ATOMIC_RELAXED)
		       ? TW_REFUSE_limit
		       : TW_OK;
}

/* Accept one; false: there is none, or none can be accepted now. */
static bool accept_one(struct worker *w, struct listener *l)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd =
		accept4(l->source.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		conn_accept(w, l, fd, (struct sockaddr *)&peer, check_limit(w));
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
		complain(w, errno);
		if (refuse_one(w, l))
			return true;
		pause_accepting(w);
		return false;
	case ECONNABORTED:
	case EPROTO:
	case EPERM:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENOPROTOOPT:
	case ENONET:
	case EOPNOTSUPP:
	case EINTR:
		/* What went wrong is that connection's (accept(2), "Error handling"). */
		return true;
	default:
		complain(w, errno);
		pause_accepting(w);
		return false;
	}
}

/*
 * A batch grows while connections wait and shrinks when there were fewer: with one at a time there
 * is no call that only says that there is no other.
 */
void listener_event(struct worker *w, struct listener *l)
{
	unsigned int n = 0;

	if (l->source.fd < 0)
		return;
	ask(w, l);
	while (n < w->accept_batch && accept_one(w, l))
		n++;
	if (n < w->accept_batch)
		w->accept_batch = n ? n : 1;
	else if (w->accept_batch < ACCEPT_BATCH_MAX)
		w->accept_batch *= 2;
}

static void retire(struct worker *w, struct listener *l)
{
	LIST_REMOVE(l, link);
	close(l->source.fd);
	l->source.fd = -1;
	LIST_INSERT_HEAD(&w->dead_listeners, l, link);
}

void listener_free_dead(struct worker *w)
{
	struct listener *l;

	while ((l = LIST_FIRST(&w->dead_listeners))) {
		LIST_REMOVE(l, link);
		free(l);
	}
}

static void add(struct worker *w, int fd, uint32_t bind)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l) {
		log_err("relay: no memory for a listener");
		close(fd);
		return;
	}
	l->source.fd = fd;
	l->source.kind = SOURCE_LISTENER;
	l->bind = bind;
	l->hello_ms = TW_HELLO_MS_DEFAULT;
	LIST_INSERT_HEAD(&w->listeners, l, link);
	redirect_watch_listener(w, l);
	watch(w, l, timer_is_set(&w->accept_timer) ? 0 : EPOLLIN, EPOLL_CTL_ADD);
}

static struct listener *find(const struct worker *w, int fd)
{
	struct listener *l;

	LIST_FOREACH (l, &w->listeners, link)
		if (l->source.fd == fd)
			return l;
	return NULL;
}

static bool contains(const int *fds, size_t n, int fd)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] == fd)
			return true;
	return false;
}

void listener_set(struct worker *w, const int *fds, const uint32_t *binds, size_t n)
{
	struct listener *l, *next;

	for (l = LIST_FIRST(&w->listeners); l; l = next) {
		next = LIST_NEXT(l, link);
		if (contains(fds, n, l->source.fd))
			continue;
		/* Closing would reset the connections that wait in the queue. */
		ask(w, l);
		for (int k = 0; k < QUEUE_MAX && accept_one(w, l); k++)
			;
		retire(w, l);
	}
	for (size_t i = 0; i < n; i++) {
		l = find(w, fds[i]);
		if (l)
			l->bind = binds[i];
		else
			add(w, fds[i], binds[i]);
	}
}

void listener_set_keepalive(struct worker *w, uint32_t keepalive_s)
{
	struct listener *l;

	/* What is open keeps what it has. */
	LIST_FOREACH (l, &w->listeners, link)
		(void)set_keepalive(l->source.fd, keepalive_s);
}

void listener_close_all(struct worker *w)
{
	while (!LIST_EMPTY(&w->listeners))
		retire(w, LIST_FIRST(&w->listeners));
}
