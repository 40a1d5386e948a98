/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The traffic generator's server: threads around one listening socket. A thread that accepts reads
 * the hello and, where the answer is short, serves at once; long-lived connections are dealt to the
 * threads in turn, so that bulk flows never crowd on one of them by chance.
 */
#ifndef LOAD_SERVER_H
#define LOAD_SERVER_H

#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load_stream.h"

#define THREADS_MAX 64
#define EVENTS	    256

struct session {
	int fd, epoll; /* epoll: where it is registered; -1 = not yet */
	enum session_step {
		SESSION_HELLO,
		SESSION_SEND,	 /* bulk-down */
		SESSION_RECEIVE, /* bulk-up */
		SESSION_ECHO,	 /* pingpong, idle */
		SESSION_END,	 /* nothing but the client's FIN is due */
	} step;
	size_t hello_len;
	uint8_t *hello; /* until it is complete */
	struct sender tx;
	struct receiver rx;
	bool verify_all;
};

struct server {
	int listener;
	const struct pattern *pattern;
	struct server_thread {
		struct server *server;
		pthread_t thread;
		int epoll;
		uint8_t buffer[RECEIVE_BYTES];
	} threads[THREADS_MAX];
	unsigned int n_threads, next;
};

static void session_free(struct session *session)
{
	close(session->fd);
	free(session->hello);
	free(session);
}

/* An abortive close: the client must not take the end of a failed session for a good one. */
static void session_abort(struct session *session, const char *why)
{
	struct linger linger = {.l_onoff = 1};

	fprintf(stderr, "load server: connection dropped: %s\n", why);
	(void)setsockopt(session->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	session_free(session);
}

/* Register with @epoll for what the step waits for; from then on the session is that thread's. */
static void session_register(struct session *session, int epoll)
{
	struct epoll_event event = {.events = session->step == SESSION_SEND ? EPOLLOUT : EPOLLIN,
				    .data.ptr = session};

	if (session->epoll >= 0)
		(void)epoll_ctl(session->epoll, EPOLL_CTL_DEL, session->fd, NULL);
	session->epoll = epoll;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, session->fd, &event))
		session_abort(session, "epoll_ctl failed");
}

/* Serve what the complete hello asks for. */
static void session_serve(struct server *server, struct session *session)
{
	unsigned int next;
	const uint8_t ready = READY_BYTE;
	struct order order;
	ssize_t n;

	memcpy(&order, session->hello + HELLO_ORDER, sizeof(order));
	free(session->hello);
	session->hello = NULL;
	if (memcmp(order.magic, ORDER_MAGIC, sizeof(order.magic)) || order.mode >= MODES) {
		session_abort(session, "the hello is not the generator's");
		return;
	}
	switch ((enum mode)order.mode) {
	case MODE_CONN:
		n = send(session->fd, server->pattern->more, ANSWER_BYTES, MSG_NOSIGNAL);
		if (n == ANSWER_BYTES)
			session_free(session);
		else
			session_abort(session, "the answer was not taken");
		return;
	case MODE_BULK_DOWN:
		session->tx.deadline_ns = now_ns() + order.send_ms * 1000000ull;
		session->step = SESSION_SEND;
		break;
	case MODE_BULK_UP:
		session->verify_all = order.verify_all;
		session->step = SESSION_RECEIVE;
		break;
	default:
		session->step = SESSION_ECHO;
	}
	if (session->step != SESSION_SEND && send(session->fd, &ready, 1, MSG_NOSIGNAL) != 1) {
		session_abort(session, "the ready byte was not taken");
	} else {
		next = __atomic_fetch_add(&server->next, 1, __ATOMIC_RELAXED);
		session_register(session, server->threads[next % server->n_threads].epoll);
	}
}

/* Read the hello and not one byte behind it. */
static void session_hello(struct server_thread *self, struct session *session)
{
	size_t total = hello_total(session->hello, session->hello_len);
	ssize_t n = recv(session->fd, session->hello + session->hello_len,
			 (total ? total : HELLO_MAX) - session->hello_len, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		session_abort(session, "it ended before its hello did");
		return;
	}
	if (n > 0)
		session->hello_len += (size_t)n;
	total = hello_total(session->hello, session->hello_len);
	if (total > HELLO_MAX ||
	    (total && (session->hello_len > total || total < HELLO_ORDER + sizeof(struct order)))) {
		session_abort(session, "the hello has no length of the generator's");
		return;
	}
	if (total && session->hello_len == total)
		session_serve(self->server, session);
	else if (session->epoll < 0)
		session_register(session, self->epoll);
}

static void session_receive(struct server_thread *self, struct session *session)
{
	struct receiver *rx = &session->rx;
	int done = receiver_step(rx, self->server->pattern, session->fd, self->buffer,
				 session->verify_all);
	struct receipt receipt;

	if (done < 0) {
		session_abort(session, strerror(-done));
		return;
	}
	if (rx->bad) {
		session_abort(session, "the payload is not what was sent");
		return;
	}
	if (!done)
		return;
	receipt = (struct receipt){rx->offset, rx->first_ns, rx->last_ns};
	if (send(session->fd, &receipt, sizeof(receipt), MSG_NOSIGNAL) != sizeof(receipt))
		session_abort(session, "the receipt was not taken");
	else
		session->step = SESSION_END;
}

static void session_send(struct server_thread *self, struct session *session)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};
	int done = sender_step(&session->tx, self->server->pattern, session->fd);

	if (done < 0) {
		session_abort(session, strerror(-done));
		return;
	}
	if (!done)
		return;
	session->step = SESSION_END;
	(void)epoll_ctl(self->epoll, EPOLL_CTL_MOD, session->fd, &event);
}

static void session_echo(struct server_thread *self, struct session *session)
{
	ssize_t n = recv(session->fd, self->buffer, RECEIVE_BYTES, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || send(session->fd, self->buffer, (size_t)n, MSG_NOSIGNAL) != n)
		session_free(session);
}

static void session_event(struct server_thread *self, struct session *session)
{
	switch (session->step) {
	case SESSION_HELLO:
		session_hello(self, session);
		break;
	case SESSION_SEND:
		session_send(self, session);
		break;
	case SESSION_RECEIVE:
		session_receive(self, session);
		break;
	case SESSION_ECHO:
		session_echo(self, session);
		break;
	case SESSION_END:
		session_free(session);
	}
}

static void server_accept(struct server_thread *self)
{
	int one = 1, fd = accept4(self->server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct session *session;

	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED)
			fprintf(stderr, "load server: accept: %s\n", strerror(errno));
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	session = calloc(1, sizeof(*session));
	if (session)
		session->hello = malloc(HELLO_MAX);
	if (!session || !session->hello) {
		free(session);
		close(fd);
		return;
	}
	session->fd = fd;
	session->epoll = -1;
	session_hello(self, session);
}

static void *server_loop(void *arg)
{
	struct server_thread *self = arg;
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(self->epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				session_event(self, events[i].data.ptr);
			else
				server_accept(self);
		}
	}
	return NULL;
}

static int server_listen(const struct sockaddr_in *address)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) || listen(fd, 4096)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* Serves until it is killed; returns only on failure. */
static int server_run(const struct sockaddr_in *address, unsigned int n_threads,
		      const struct pattern *pattern)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	server->pattern = pattern;
	server->n_threads = n_threads;
	server->listener = server_listen(address);
	if (server->listener < 0)
		return server->listener;
	for (unsigned int i = 0; i < n_threads; i++) {
		server->threads[i].server = server;
		server->threads[i].epoll = epoll_create1(EPOLL_CLOEXEC);
		if (server->threads[i].epoll < 0 ||
		    epoll_ctl(server->threads[i].epoll, EPOLL_CTL_ADD, server->listener, &event))
			return -errno;
	}
	puts("listening");
	fflush(stdout);
	for (unsigned int i = 1; i < n_threads; i++) {
		int err = pthread_create(&server->threads[i].thread, NULL, server_loop,
					 &server->threads[i]);

		if (err)
			return -err;
	}
	server_loop(&server->threads[0]);
	return 0;
}

#endif
