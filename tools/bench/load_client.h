/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The traffic generator's client: threads that share nothing, each with its part of the
 * connections. One life for all modes: connect, hello, (ready byte,) work, end; what work is
 * depends on the mode. Whatever does not go as it must is counted as trouble and told once.
 */
#ifndef LOAD_CLIENT_H
#define LOAD_CLIENT_H

#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "histogram.h"
#include "load_stream.h"

#define OPENING_MAX   64 /* connections that a thread opens at a time in pingpong and idle */
#define PATIENCE_NS   (10 * 1000000000ull)
#define CLIENT_EVENTS 256

struct job {
	enum mode mode;
	struct sockaddr_in peer;
	unsigned int threads, connections;
	uint64_t length_ns;
	struct hello hello;
	bool verify_all;
	const struct pattern *pattern;
	pthread_barrier_t barrier;
};

struct client {
	int fd;
	enum client_step { CLIENT_CONNECT, CLIENT_READY, CLIENT_HELD, CLIENT_WORK } step;
	uint64_t start_ns;
	uint64_t got; /* conn: bytes of the answer; pingpong: replies */
	struct sender tx;
	struct receiver rx;
	struct receipt receipt; /* bulk-up */
};

struct client_thread {
	struct job *job;
	pthread_t thread;
	int epoll;
	struct client *clients;
	unsigned int n, opened, open, held;
	uint64_t deadline_ns; /* no new work from here on */
	uint64_t done, bytes, first_ns, last_ns, trouble;
	struct histogram latency;
	uint8_t buffer[RECEIVE_BYTES];
};

static void client_open(struct client_thread *self, struct client *client);

static void client_close(struct client_thread *self, struct client *client)
{
	if (client->fd < 0)
		return;
	close(client->fd);
	client->fd = -1;
	self->open--;
}

static void client_trouble(struct client_thread *self, struct client *client, const char *what,
			   int err)
{
	static const char *const steps[] = {"connecting", "waiting for the first answer", "held",
					    "at work"};

	if (!self->trouble++)
		fprintf(stderr, "load: connection %ld, %s: %s%s%s\n",
			(long)(client - self->clients), steps[client->step], what, err ? ": " : "",
			err ? strerror(err) : "");
	client_close(self, client);
}

static void client_wait(struct client_thread *self, struct client *client, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};

	if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, client->fd, &event))
		client_trouble(self, client, "epoll_ctl", errno);
}

static void thread_add_stream(struct client_thread *self, uint64_t bytes, uint64_t first_ns,
			      uint64_t last_ns)
{
	self->done++;
	self->bytes += bytes;
	if (!self->first_ns || first_ns < self->first_ns)
		self->first_ns = first_ns;
	if (last_ns > self->last_ns)
		self->last_ns = last_ns;
}

static void client_bulk_down(struct client_thread *self, struct client *client)
{
	struct receiver *rx = &client->rx;
	int done = receiver_step(rx, self->job->pattern, client->fd, self->buffer,
				 self->job->verify_all);

	if (done < 0) {
		client_trouble(self, client, "the stream ended early", -done);
	} else if (rx->bad) {
		client_trouble(self, client, "the payload is not what was sent", 0);
	} else if (done) {
		thread_add_stream(self, rx->offset, rx->first_ns, rx->last_ns);
		client_close(self, client);
	}
}

static void client_receipt(struct client_thread *self, struct client *client)
{
	struct receipt *receipt = &client->receipt;
	ssize_t n = recv(client->fd, (uint8_t *)receipt + client->got,
			 sizeof(*receipt) - client->got, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_trouble(self, client, "no receipt", n ? errno : EPIPE);
		return;
	}
	client->got += (uint64_t)n;
	if (client->got < sizeof(*receipt))
		return;
	if (receipt->bytes != client->tx.offset) {
		client_trouble(self, client, "what arrived is not what was sent", 0);
		return;
	}
	thread_add_stream(self, receipt->bytes, receipt->first_ns, receipt->last_ns);
	client_close(self, client);
}

static void client_bulk_up(struct client_thread *self, struct client *client, uint32_t events)
{
	int done;

	if (!(events & EPOLLOUT)) {
		client_receipt(self, client);
		return;
	}
	done = sender_step(&client->tx, self->job->pattern, client->fd);
	if (done < 0)
		client_trouble(self, client, "the stream was not taken", -done);
	else if (done)
		client_wait(self, client, EPOLLIN);
}

/* One connection is done when its 4 KiB and the server's FIN are here. */
static void client_conn(struct client_thread *self, struct client *client)
{
	const struct job *job = self->job;
	ssize_t n = recv(client->fd, self->buffer, RECEIVE_BYTES, 0);
	uint64_t now;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		client_trouble(self, client, "reset", errno);
	} else if (n > 0) {
		if (client->got + (uint64_t)n > ANSWER_BYTES ||
		    (client->got == 0 && self->buffer[0] != PATTERN_MORE) ||
		    !pattern_matches(job->pattern, client->got, self->buffer, (size_t)n)) {
			client_trouble(self, client, "the answer is not what was sent", 0);
			return;
		}
		client->got += (uint64_t)n;
		if (client->got == ANSWER_BYTES)
			client_conn(self, client); /* the FIN is often here already */
	} else if (client->got != ANSWER_BYTES) {
		client_trouble(self, client, "the answer ended early", 0);
	} else {
		now = now_ns();
		client_close(self, client);
		if (now >= self->deadline_ns)
			return;
		self->done++;
		self->bytes += ANSWER_BYTES;
		histogram_add(&self->latency, now - client->start_ns);
		client_open(self, client);
	}
}

/* The bytes of the next ping of a connection: no two in a row are alike. */
static void client_ping_bytes(const struct client *client, uint8_t ping[PING_BYTES])
{
	memset(ping, (int)client->got, PING_BYTES);
	memcpy(ping, &client->got, sizeof(client->got));
}

static void client_ping(struct client_thread *self, struct client *client)
{
	uint8_t ping[PING_BYTES];

	client_ping_bytes(client, ping);
	client->step = CLIENT_WORK;
	client->rx.offset = 0;
	client->start_ns = now_ns();
	if (send(client->fd, ping, PING_BYTES, MSG_NOSIGNAL) != PING_BYTES)
		client_trouble(self, client, "send", errno);
}

static void client_pong(struct client_thread *self, struct client *client)
{
	uint8_t ping[PING_BYTES];
	ssize_t n = recv(client->fd, self->buffer, RECEIVE_BYTES, 0);
	uint64_t now = now_ns();

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_trouble(self, client, "no reply", n ? errno : EPIPE);
		return;
	}
	client_ping_bytes(client, ping);
	if (client->rx.offset + (uint64_t)n > PING_BYTES ||
	    memcmp(self->buffer, ping + client->rx.offset, (size_t)n)) {
		client_trouble(self, client, "the reply is not what was sent", 0);
		return;
	}
	client->rx.offset += (uint64_t)n;
	if (client->rx.offset < PING_BYTES)
		return;
	client->got++;
	if (now < self->deadline_ns || self->job->mode == MODE_IDLE) {
		self->done++;
		self->bytes += PING_BYTES;
		histogram_add(&self->latency, now - client->start_ns);
	}
	if (self->job->mode == MODE_PINGPONG && now < self->deadline_ns)
		client_ping(self, client);
	else
		client_close(self, client);
}

static void client_ready(struct client_thread *self, struct client *client)
{
	uint8_t byte;
	ssize_t n = recv(client->fd, &byte, 1, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n != 1 || byte != READY_BYTE) {
		client_trouble(self, client, "no ready byte", n < 0 ? errno : EPIPE);
		return;
	}
	if (self->job->mode == MODE_BULK_UP) {
		client->step = CLIENT_WORK;
		client->tx.deadline_ns = now_ns() + self->job->length_ns;
		client_wait(self, client, EPOLLOUT);
	} else {
		client->step = CLIENT_HELD;
		self->held++;
	}
}

static void client_connected(struct client_thread *self, struct client *client)
{
	const struct job *job = self->job;
	ssize_t n = send(client->fd, job->hello.bytes, job->hello.len, MSG_NOSIGNAL);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n != (ssize_t)job->hello.len) {
		client_trouble(self, client, "the hello was not taken", n < 0 ? errno : 0);
		return;
	}
	client->step =
		job->mode == MODE_BULK_DOWN || job->mode == MODE_CONN ? CLIENT_WORK : CLIENT_READY;
	client_wait(self, client, EPOLLIN);
}

static void client_open(struct client_thread *self, struct client *client)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
	const struct job *job = self->job;
	int one = 1;

	*client = (struct client){.start_ns = now_ns()};
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd >= 0)
		self->open++;
	if (client->fd < 0 || setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    (connect(client->fd, (const struct sockaddr *)&job->peer, sizeof(job->peer)) &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(self->epoll, EPOLL_CTL_ADD, client->fd, &event))
		client_trouble(self, client, "cannot connect", errno);
}

static void client_event(struct client_thread *self, struct client *client, uint32_t events)
{
	if (client->step == CLIENT_CONNECT) {
		client_connected(self, client);
		return;
	}
	if (client->step == CLIENT_READY) {
		client_ready(self, client);
		return;
	}
	if (client->step == CLIENT_HELD) {
		client_trouble(self, client, "ended, or spoken to, while idle", 0);
		return;
	}
	switch (self->job->mode) {
	case MODE_BULK_DOWN:
		client_bulk_down(self, client);
		break;
	case MODE_BULK_UP:
		client_bulk_up(self, client, events);
		break;
	case MODE_CONN:
		client_conn(self, client);
		break;
	default:
		client_pong(self, client);
	}
}

/* One wait for events. False when nothing has moved for too long: what is open is then stuck. */
static bool thread_step(struct client_thread *self)
{
	struct epoll_event events[CLIENT_EVENTS];
	int n = epoll_wait(self->epoll, events, CLIENT_EVENTS, (int)(PATIENCE_NS / 1000000));

	for (int i = 0; i < n; i++)
		client_event(self, events[i].data.ptr, events[i].events);
	return n > 0;
}

static void thread_give_up(struct client_thread *self)
{
	for (unsigned int i = 0; i < self->opened; i++)
		if (self->clients[i].fd >= 0)
			client_trouble(self, &self->clients[i], "stuck", 0);
}

/* Open all and wait until each was answered by the server. */
static void thread_open_held(struct client_thread *self)
{
	while (self->opened < self->n || self->held < self->open) {
		while (self->opened < self->n && self->open - self->held < OPENING_MAX)
			client_open(self, &self->clients[self->opened++]);
		if (self->held < self->open && !thread_step(self)) {
			thread_give_up(self);
			return;
		}
	}
}

/* Idle: say so, and hold until standard input ends. The main thread alone comes here. */
static void job_hold(const struct job *job)
{
	char byte;

	printf("{\"mode\": \"idle\", \"held\": %u}\n", job->connections);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static void *thread_run(void *arg)
{
	struct client_thread *self = arg;
	struct job *job = self->job;
	bool is_held = job->mode == MODE_PINGPONG || job->mode == MODE_IDLE;

	if (is_held)
		thread_open_held(self);
	if (pthread_barrier_wait(&job->barrier) == PTHREAD_BARRIER_SERIAL_THREAD &&
	    job->mode == MODE_IDLE)
		job_hold(job);
	if (job->mode == MODE_IDLE)
		pthread_barrier_wait(&job->barrier);
	self->first_ns = is_held || job->mode == MODE_CONN ? now_ns() : 0;
	self->deadline_ns = now_ns() + job->length_ns;
	for (unsigned int i = 0; i < self->n; i++) {
		if (!is_held)
			client_open(self, &self->clients[self->opened++]);
		else if (self->clients[i].fd >= 0)
			client_ping(self, &self->clients[i]);
	}
	while (self->open && thread_step(self))
		;
	thread_give_up(self);
	if (self->first_ns && !self->last_ns)
		self->last_ns = self->deadline_ns;
	return NULL;
}

#endif
