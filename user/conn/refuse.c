// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Refusing a connection: counted, then answered as its listener says.
 *
 *   reset  RST.
 *   alert  the TLS alert unrecognized_name, then FIN. What the client still sends is taken and
 *          thrown away for a while: bytes that nobody reads would turn our FIN into an RST, which
 *          may destroy the alert at the client.
 *   drop   the socket goes without a packet (TCP_REPAIR). We keep nothing of it, so if the client
 *          sends again the kernel answers RST, as it does for any unknown connection.
 *
 * There is nobody to tell when the client has gone, nothing to tell it with when we have no
 * resources, and no time for it when the daemon ends: those are reset.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/reason.h"
#include "conn/conn.h"

#define DRAIN_MS     2000
/* A client that sends more than this at us does not want to read an alert. */
#define DRAIN_ROUNDS 16

static void count(struct worker *w, const struct conn *c, enum tw_reason reason)
{
	struct tw_listener_stats *stats = datapath_listener_stats(w->shared->dp, c->listener);

	counter_add(reason_counter(&stats->refused, reason), 1);
	if (c->route)
		counter_add(&datapath_route_stats(w->shared->dp, c->route)->refused, 1);
}

static enum tw_on_refuse how(const struct conn *c, enum tw_reason reason)
{
	if (c->on_refuse != TW_ON_REFUSE_ALERT)
		return c->on_refuse;
	switch (reason) {
	case TW_REFUSE_hello_closed:
	case TW_REFUSE_client_gone:
	case TW_REFUSE_aborted:
	case TW_REFUSE_limit:
	case TW_REFUSE_internal:
		return TW_ON_REFUSE_RESET;
	default:
		return TW_ON_REFUSE_ALERT;
	}
}

static bool vanish(int fd)
{
	int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == 0;
}

void conn_refuse_drain(struct worker *w, struct conn *c)
{
	struct side *client = &c->side[CLIENT];

	for (int i = 0; i < DRAIN_ROUNDS; i++) {
		ssize_t n = recv(client->source.fd, w->tools.buf, FLOW_BUF_BYTES, 0);

		if (n > 0)
			continue;
		if (n == 0 || errno != EAGAIN)
			conn_end(w, c, c->reason, false);
		return;
	}
	conn_end(w, c, c->reason, true);
}

static void send_alert(struct worker *w, struct conn *c)
{
	/* record: alert, TLS 1.2, 2 bytes; fatal, unrecognized_name (RFC 8446 6) */
	static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 112};
	struct side *client = &c->side[CLIENT];

	c->state = CONN_REFUSING;
	timer_set(&w->timers, &c->timer, w->now_ms + DRAIN_MS);
	/* If it cannot be sent, the client has gone or has filled its own window: FIN is enough. */
	(void)send(client->source.fd, alert, sizeof(alert), MSG_NOSIGNAL);
	(void)shutdown(client->source.fd, SHUT_WR);
	if (!conn_watch(w, client, false))
		conn_end(w, c, c->reason, false);
	else
		conn_refuse_drain(w, c);
}

void conn_refuse(struct worker *w, struct conn *c, enum tw_reason reason)
{
	count(w, c, reason);
	conn_stop_waiting(w, c);
	/* The try that this ends. */
	if (c->is_active)
		c->n_tried++;
	conn_drop_backend(w, c);
	c->backend = 0;
	c->reason = (uint8_t)reason;
	switch (how(c, reason)) {
	case TW_ON_REFUSE_ALERT:
		send_alert(w, c);
		break;
	case TW_ON_REFUSE_DROP:
		conn_end(w, c, reason, !vanish(c->side[CLIENT].source.fd));
		break;
	case TW_ON_REFUSE_RESET:
		conn_end(w, c, reason, true);
		break;
	}
}
