// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A connection's life (see conn.h): accepting it, moving its bytes, its timers and its end. How it
 * finds a backend is connect.c's, how it is refused refuse.c's.
 *
 * How an end is passed on:
 *   FIN   after the bytes before it were handed over, shutdown(2) of the other side;
 *   RST   (or another error) after the bytes before it were handed over and the other end has
 *         acknowledged them: an RST takes with it what is still in the send queue.
 * A connection that we end ourselves (timeout, kill, shutdown) is reset at both sides: neither may
 * take it for a proper end.
 */
#include "conn/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "conn/direct.h"
#include "conn/listener.h"
#include "kernel/sockmap.h"

/* How long the other end may take none of the bytes from before an RST. */
#define CLOSING_MS	 60000
/*
 * Joining two sockets in the kernel and taking them apart costs as much as a few dozen messages: it
 * is for connections that go on. One whose client sends again after the backend's answer does, and
 * so does one that has lived so long.
 */
#define JOIN_AFTER_MS	 50
#define BACKOFF_MS_FIRST 8
#define BACKOFF_MS_LAST	 1024

static struct conn *conn_of(struct side *side)
{
	size_t index = side->source.kind == SOURCE_BACKEND ? BACKEND : CLIENT;

	return (struct conn *)((char *)(side - index) - offsetof(struct conn, side));
}

static size_t heap_bytes(const struct conn *c)
{
	size_t n = sizeof(*c);

	if (c->hello)
		n += sizeof(*c->hello) + c->hello->name_len + 1u + c->hello->alpn_len;
	return n;
}

/* --- its end --------------------------------------------------------------------------------- */

static void local_address(int fd, struct addr *ret_addr)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	memset(ret_addr, 0, sizeof(*ret_addr));
	if (fd >= 0 && !getsockname(fd, (struct sockaddr *)&sa, &len))
		/* Not an IP socket (UNIX backend): stays zero. */
		(void)addr_from_sockaddr((struct sockaddr *)&sa, ret_addr);
}

static const char *state_word(const struct conn *c)
{
	switch ((enum conn_state)c->state) {
	case CONN_HELLO:
		return "hello";
	case CONN_CONNECTING:
		return "connecting";
	case CONN_OPEN:
		if (c->reason)
			return "closing";
		return c->side[CLIENT].eof || c->side[BACKEND].eof ? "half-closed" : "open";
	case CONN_CLOSING:
	case CONN_REFUSING:
		return "closing";
	case CONN_ENDED:
		break;
	}
	return "ended";
}

void conn_describe(const struct worker *w, const struct conn *c, struct conn_record *r)
{
	uint64_t redirected[2], active_ms;

	memset(r, 0, sizeof(*r));
	r->id = c->id;
	r->client = c->client;
	local_address(c->side[CLIENT].source.fd, &r->local);
	local_address(c->side[BACKEND].source.fd, &r->backend_from);
	r->listener = c->listener;
	r->route = c->route;
	r->backend = c->backend;
	r->sni = c->hello ? (const char *)c->hello->bytes : "";
	r->alpn = c->hello ? c->hello->bytes + c->hello->name_len + 1 : NULL;
	r->alpn_len = c->hello ? c->hello->alpn_len : 0;
	r->path = c->path;
	r->ejection = c->ejection;
	r->is_pooled = c->is_pooled;
	r->is_direct = c->is_direct;
	r->state = state_word(c);
	redirect_counts(w, c, redirected, &active_ms);
	direct_counts(w, c, redirected, &active_ms);
	if (active_ms < c->active_ms)
		active_ms = c->active_ms;
	r->bytes_to_backend = c->flow[CLIENT].bytes + redirected[CLIENT];
	r->bytes_to_client = c->flow[BACKEND].bytes + redirected[BACKEND];
	r->age_ms = w->now_ms - c->accepted_ms;
	/* The kernel may have moved bytes since this worker looked at the clock. */
	r->idle_ms = w->now_ms > active_ms ? w->now_ms - active_ms : 0;
	r->tries = c->n_tried + (c->side[BACKEND].source.fd >= 0);
	r->start_unix_ms = clock_unix_ms() - (int64_t)r->age_ms;
}

void conn_set_linger(struct side *side, bool with_rst)
{
	struct linger linger = {.l_onoff = with_rst, .l_linger = 0};

	if (side->lingers == with_rst)
		return;
	(void)setsockopt(side->source.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	side->lingers = with_rst;
}

static void close_side(struct side *side, bool with_rst)
{
	if (side->source.fd < 0)
		return;
	conn_set_linger(side, with_rst);
	close(side->source.fd);
	side->source.fd = -1;
	side->is_watched = false;
}

/* What its route and its backend count for the path that it is on. */
static void path_stats(const struct worker *w, const struct conn *c,
		       struct tw_path_stats *ret_stats[2])
{
	struct tw_stats *of[] = {datapath_route_stats(w->shared->dp, c->route),
				 datapath_backend_stats(w->shared->dp, c->backend)};

	for (size_t i = 0; i < 2; i++)
		ret_stats[i] = c->path == TW_PATH_SOCKET ? &of[i]->socket : &of[i]->relay;
}

/* Count it in or out (-1) as active on its path. */
static void count_active(struct worker *w, struct conn *c, int n)
{
	struct tw_path_stats *stats[2];

	path_stats(w, c, stats);
	for (size_t i = 0; i < 2; i++)
		counter_add(&stats[i]->active, (uint64_t)n);
	c->is_active = n > 0;
}

void conn_set_path(struct worker *w, struct conn *c, enum tw_path path)
{
	if (c->is_active)
		count_active(w, c, -1);
	c->path = path;
	count_active(w, c, 1);
}

void conn_take_backend(struct worker *w, struct conn *c)
{
	count_active(w, c, 1);
}

void conn_drop_backend(struct worker *w, struct conn *c)
{
	close_side(&c->side[BACKEND], true);
	redirect_drop_backend(w, c);
	if (c->is_active)
		count_active(w, c, -1);
}

void conn_stop_waiting(struct worker *w, struct conn *c)
{
	if (!c->is_waiting)
		return;
	c->is_waiting = false;
	counter_add(&datapath_listener_stats(w->shared->dp, c->speaker)->waiting, -1);
}

void conn_end(struct worker *w, struct conn *c, enum tw_reason reason, bool with_rst)
{
	const struct shared *s = w->shared;
	bool is_wanted = s->on_end && (!s->is_wanted || s->is_wanted(s->arg));
	struct conn_record record;

	/* As long as the sockets can be asked for their addresses. */
	if (is_wanted)
		conn_describe(w, c, &record);
	conn_stop_waiting(w, c);
	if (c->is_active)
		count_active(w, c, -1);
	close_side(&c->side[CLIENT], with_rst);
	close_side(&c->side[BACKEND], with_rst);
	redirect_end(w, c);
	direct_end(w, c);
	flow_drop(&w->tools, &c->flow[CLIENT]);
	flow_drop(&w->tools, &c->flow[BACKEND]);
	timer_cancel(&w->timers, &c->timer);
	if (c->is_ready)
		TAILQ_REMOVE(&w->ready, c, queue);
	c->is_ready = false;
	c->state = CONN_ENDED;
	LIST_REMOVE(c, link);
	TAILQ_INSERT_TAIL(&w->dead, c, queue);
	worker_count(&w->n_conns, -1);
	worker_count(&w->heap_bytes, -(int64_t)heap_bytes(c));
	__atomic_fetch_sub(&w->shared->connections, 1, __ATOMIC_RELAXED);
	if (is_wanted) {
		record.state = "ended";
		record.reason = reason;
		s->on_end(s->arg, &record);
	}
}

void conn_free_dead(struct worker *w)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&w->dead))) {
		TAILQ_REMOVE(&w->dead, c, queue);
		free(c->hello);
		free(c);
	}
}

void conn_kill(struct worker *w, struct conn *c, enum tw_reason reason)
{
	if (c->state == CONN_HELLO || c->state == CONN_CONNECTING)
		conn_refuse(w, c, TW_REFUSE_aborted);
	else
		/* A refusal was counted already, and stays one. */
		conn_end(w, c, c->state == CONN_REFUSING ? c->reason : reason, true);
}

void conn_end_all(struct worker *w, enum tw_reason reason)
{
	while (!LIST_EMPTY(&w->conns))
		conn_kill(w, LIST_FIRST(&w->conns), reason);
}

/* --- moving bytes ------------------------------------------------------------------------ */

static bool set_events(struct worker *w, struct side *side)
{
	struct epoll_event event = {
		.events = EPOLLRDHUP | EPOLLET | (side->is_quiet ? 0u : EPOLLIN | EPOLLPRI) |
			  (side->wants_out ? EPOLLOUT : 0u),
		.data.ptr = side,
	};
	int op = side->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	side->is_watched = epoll_ctl(w->epoll_fd, op, side->source.fd, &event) == 0;
	return side->is_watched;
}

void conn_rewatch(struct worker *w, struct side *side)
{
	if (!set_events(w, side) && !side->error)
		side->error = ENOMEM;
}

bool conn_watch(struct worker *w, struct side *side, bool wants_out)
{
	if (side->is_watched && (side->wants_out || !wants_out))
		return true;
	side->wants_out = wants_out;
	return set_events(w, side);
}

void conn_make_ready(struct worker *w, struct conn *c)
{
	if (c->is_ready)
		return;
	TAILQ_INSERT_TAIL(&w->ready, c, queue);
	c->is_ready = true;
}

/* The relay's, also before and after a connection's time on the socket path. */
static void count_bytes(struct worker *w, struct conn *c, const uint64_t moved[2])
{
	const struct datapath *dp = w->shared->dp;
	struct tw_path_stats *route = &datapath_route_stats(dp, c->route)->relay;
	struct tw_path_stats *backend = &datapath_backend_stats(dp, c->backend)->relay;

	if (moved[CLIENT]) {
		counter_add(&route->bytes_to_backend, moved[CLIENT]);
		counter_add(&backend->bytes_to_backend, moved[CLIENT]);
	}
	if (moved[BACKEND]) {
		counter_add(&route->bytes_to_client, moved[BACKEND]);
		counter_add(&backend->bytes_to_client, moved[BACKEND]);
	}
	if (moved[CLIENT] || moved[BACKEND])
		c->active_ms = w->now_ms;
}

static bool is_half_closed(const struct conn *c)
{
	return c->side[CLIENT].eof || c->side[BACKEND].eof;
}

/*
 * Has one of the ends acknowledged anything since the last look? A byte moves when the kernel takes
 * it, but an end that reads slowly gets it much later.
 */
static bool is_draining(struct conn *c)
{
	bool is_moving = false;

	for (size_t i = 0; i < 2; i++) {
		int unsent = 0;

		/* Fails for a socket that is closed: nothing is left of it. */
		(void)ioctl(c->side[i].source.fd, SIOCOUTQ, &unsent);
		if (unsent && (uint32_t)unsent != c->unsent[i])
			is_moving = true;
		c->unsent[i] = (uint32_t)unsent;
	}
	return is_moving;
}

/* When it is to be ended if no byte moves. */
static uint64_t due_ms(const struct conn *c)
{
	if (c->reason)
		return c->active_ms + CLOSING_MS;
	return c->active_ms + (is_half_closed(c) ? c->half_closed_ms : c->idle_ms);
}

/* The timer only has to be moved when it would come too late. */
static void tighten_timer(struct worker *w, struct conn *c)
{
	if (due_ms(c) < c->timer.due_ms)
		timer_set(&w->timers, &c->timer, due_ms(c));
}

/* CLOSING: RST to @c's living side once the other end has acknowledged everything. */
static void closing_step(struct worker *w, struct conn *c)
{
	size_t living = c->side[CLIENT].error ? BACKEND : CLIENT;

	if (is_draining(c))
		c->active_ms = w->now_ms;
	if (!c->unsent[living] || w->now_ms >= due_ms(c)) {
		conn_end(w, c, c->reason, true);
		return;
	}
	timer_set(&w->timers, &c->timer, w->now_ms + c->backoff_ms);
	if (c->backoff_ms < BACKOFF_MS_LAST)
		c->backoff_ms *= 2;
}

/* @failed has gone: note why; from now on only what it had sent is of use. */
static void note_failure(struct worker *w, struct conn *c, size_t failed)
{
	struct side *side = &c->side[failed];

	if (side->error == ECONNRESET || side->error == EPIPE)
		c->reason = failed == CLIENT ? TW_END_client_reset : TW_END_backend_reset;
	else
		c->reason = TW_END_io_error;
	flow_drop(&w->tools, &c->flow[!failed]);
	side->readable = true;
}

static void settle_failure(struct worker *w, struct conn *c)
{
	size_t failed = c->side[CLIENT].error ? CLIENT : BACKEND;

	if (c->side[!failed].error) {
		conn_end(w, c, c->reason, true);
		return;
	}
	if (!c->side[failed].eof || c->flow[failed].pending) {
		tighten_timer(w, c);
		return;
	}
	c->state = CONN_CLOSING;
	c->backoff_ms = BACKOFF_MS_FIRST;
	c->active_ms = w->now_ms;
	closing_step(w, c);
}

static void settle_eof(struct worker *w, struct conn *c)
{
	bool is_done[2];

	for (size_t i = 0; i < 2; i++)
		is_done[i] = c->side[i].eof && !c->flow[i].pending;
	if (is_done[CLIENT] && is_done[BACKEND]) {
		conn_end(w, c, TW_END_closed, false);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		struct side *to = &c->side[!i];

		if (!is_done[i] || to->shut)
			continue;
		/* Fails when that side has gone; its own event tells. */
		(void)shutdown(to->source.fd, SHUT_WR);
		to->shut = true;
		tighten_timer(w, c);
	}
}

/* From @side to the other one, unless the kernel does it. true: there is more to move. */
static bool pump(struct worker *w, struct conn *c, size_t side, uint64_t moved[2])
{
	uint64_t before = c->flow[side].bytes;
	bool has_more;

	if (!redirect_is_relayed(c, side))
		return false;
	has_more = flow_pump(&w->tools, &c->flow[side], &c->side[side], &c->side[!side]);
	moved[side] += c->flow[side].bytes - before;
	if (c->redirect && c->flow[side].bytes != before)
		redirect_note_read(w, c, side);
	if (c->redirect && c->side[side].eof)
		redirect_confirm_end(w, c, side);
	return has_more;
}

/* Move what can be moved, pass on what ended, and see to it that an event comes for the rest. */
static void conn_move(struct worker *w, struct conn *c)
{
	struct side *client = &c->side[CLIENT], *backend = &c->side[BACKEND];
	uint64_t moved[2] = {0, 0};
	bool has_more, was_answered = c->flow[BACKEND].bytes;

	if (c->redirect)
		redirect_step(w, c);
	has_more = pump(w, c, CLIENT, moved);
	has_more |= pump(w, c, BACKEND, moved);
	if (!c->reason && (client->error || backend->error)) {
		size_t failed = client->error ? CLIENT : BACKEND;

		note_failure(w, c, failed);
		if (c->redirect)
			redirect_step(w, c);
		has_more |= pump(w, c, failed, moved);
	}
	count_bytes(w, c, moved);
	if (c->reason)
		settle_failure(w, c);
	else if (client->eof || backend->eof)
		settle_eof(w, c);
	if (c->state != CONN_OPEN)
		return;
	if ((!client->writable && !conn_watch(w, client, true)) ||
	    (!backend->writable && !conn_watch(w, backend, true))) {
		conn_end(w, c, TW_END_io_error, true);
		return;
	}
	if (c->wants_direct)
		direct_try(w, c);
	if (has_more)
		conn_make_ready(w, c);
	else if ((was_answered && moved[CLIENT]) || w->now_ms - c->accepted_ms >= JOIN_AFTER_MS)
		redirect_try(w, c);
	redirect_leave_again(w, c);
	if (redirect_due_ms(w, c) < c->timer.due_ms)
		timer_set(&w->timers, &c->timer, redirect_due_ms(w, c));
}

void conn_run_ready(struct worker *w, struct conn_queue *queue)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(queue))) {
		TAILQ_REMOVE(queue, c, queue);
		c->is_ready = false;
		conn_move(w, c);
	}
}

/* --- its beginning ----------------------------------------------------------------------- */

void conn_accept(struct worker *w, const struct listener *l, int fd, const struct sockaddr *peer,
		 enum tw_reason refuse)
{
	struct tw_listener_stats *stats = datapath_listener_stats(w->shared->dp, l->id);
	struct conn *c = calloc(1, sizeof(*c));

	counter_add(&stats->accepted, 1);
	if (!c) {
		counter_add(&stats->refused.internal, 1);
		close(fd);
		return;
	}
	c->path = TW_PATH_RELAY;
	c->side[CLIENT].source = (struct source){.fd = fd, .kind = SOURCE_CLIENT};
	c->side[BACKEND].source = (struct source){.fd = -1, .kind = SOURCE_BACKEND};
	c->id = (uint64_t)w->index << 48 | ++w->next_id;
	c->accepted_ms = c->active_ms = w->now_ms;
	c->bind = l->bind;
	c->speaker = c->listener = l->id;
	c->on_refuse = (uint8_t)l->on_refuse;
	/* Listeners are IP sockets. */
	(void)addr_from_sockaddr(peer, &c->client);
	LIST_INSERT_HEAD(&w->conns, c, link);
	worker_count(&w->n_conns, 1);
	worker_count(&w->heap_bytes, (int64_t)heap_bytes(c));
	__atomic_fetch_add(&w->shared->connections, 1, __ATOMIC_RELAXED);
	/* Also one that is refused: what the kernel keeps for it ends with it. */
	redirect_accepted(w, c);
	if (refuse) {
		conn_refuse(w, c, refuse);
		return;
	}
	c->is_waiting = true;
	counter_add(&stats->waiting, 1);
	if (c->state == CONN_HELLO)
		conn_read_hello(w, c);
	if (c->state == CONN_HELLO)
		timer_set(&w->timers, &c->timer, c->accepted_ms + l->hello_ms);
}

/*
 * The timer is for the idle timeout, but first of all for keepalive: a connection that is short
 * need not pay for setting it.
 */
static uint64_t first_timer_ms(const struct worker *w, const struct conn *c)
{
	uint64_t keepalive_ms =
		__atomic_load_n(&w->shared->keepalive_s, __ATOMIC_RELAXED) * 1000ull;

	return keepalive_ms < c->idle_ms ? keepalive_ms : c->idle_ms;
}

/* It has its backend: from here on bytes move. */
static void begin(struct worker *w, struct conn *c, uint64_t first_ms)
{
	conn_stop_waiting(w, c);
	c->state = CONN_OPEN;
	c->active_ms = w->now_ms;
	/* A near backend answers while the hello is sent: looking is cheaper than an event. */
	for (size_t i = 0; i < 2; i++)
		c->side[i].readable = c->side[i].writable = true;
	timer_set(&w->timers, &c->timer, w->now_ms + first_ms);
}

/* Under the path that it has taken by now, also if it has ended. */
static void count_connection(struct worker *w, const struct conn *c)
{
	struct tw_path_stats *stats[2];

	path_stats(w, c, stats);
	for (size_t i = 0; i < 2; i++)
		counter_add(&stats[i]->connections, 1);
}

void conn_join(struct worker *w, struct conn *c)
{
	uint64_t first_ms = first_timer_ms(w, c);

	if ((w->shared->sockmap || c->wants_direct) && first_ms > JOIN_AFTER_MS)
		first_ms = JOIN_AFTER_MS;
	begin(w, c, first_ms);
	conn_move(w, c);
	count_connection(w, c);
}

/* The client was refused or has gone: so has the connection, for the backend. */
static void reset_warm(struct worker *w, int fd, uint64_t cookie)
{
	struct side warm = {.source.fd = fd};

	close_side(&warm, true);
	sockmap_drop_pair(w->redirect.sockmap, cookie);
}

void conn_joined(struct worker *w, struct conn *c, const struct tw_join *join)
{
	int fd = pool_claim(w, join->warm);

	if (!c || c->state != CONN_HELLO || fd < 0) {
		if (fd >= 0)
			reset_warm(w, fd, join->warm);
		if (c && c->state == CONN_HELLO)
			conn_refuse(w, c, TW_REFUSE_internal);
		return;
	}
	c->listener = join->listener;
	c->route = join->route;
	c->backend = join->backend;
	c->paths = (uint8_t)join->paths;
	c->idle_ms = join->timeouts.idle_ms;
	c->half_closed_ms = join->timeouts.half_closed_ms;
	c->is_pooled = true;
	/* Only the log would miss it. */
	c->hello = conn_hello_new(w, join->name, join->name_len, join->alpn, join->alpn_len);
	c->side[BACKEND].source.fd = fd;
	c->side[BACKEND].is_watched = true;
	conn_take_backend(w, c);
	begin(w, c, first_timer_ms(w, c));
	redirect_adopt(w, c, join->warm);
	count_connection(w, c);
	conn_make_ready(w, c);
}

/* --- events and timers ------------------------------------------------------------------- */

static uint16_t socket_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return EIO;
	return (uint16_t)err;
}

static void note_events(struct side *side, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR))
		side->readable = true;
	if (events & EPOLLOUT)
		side->writable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP))
		side->rdhup = true;
	if (events & EPOLLPRI)
		side->urgent = true;
}

void conn_event(struct worker *w, struct side *side, uint32_t events)
{
	struct conn *c = conn_of(side);
	bool is_client = side == &c->side[CLIENT];

	/* Of a connection that ended, or of a backend's socket that was given up, in this batch. */
	if (c->state == CONN_ENDED || side->source.fd < 0)
		return;
	note_events(side, events);
	switch ((enum conn_state)c->state) {
	case CONN_HELLO:
		/* It may be joined already. */
		if (c->redirect)
			redirect_ring_event(w);
		if (c->state == CONN_OPEN)
			conn_move(w, c);
		else if (c->state != CONN_HELLO)
			break;
		else if (events & (EPOLLERR | EPOLLHUP))
			conn_refuse(w, c, TW_REFUSE_hello_closed);
		else
			conn_read_hello(w, c);
		break;
	case CONN_CONNECTING:
		if (!is_client)
			conn_connect_event(w, c, events);
		else if (events & (EPOLLERR | EPOLLHUP))
			conn_connect_abandoned(w, c);
		break;
	case CONN_OPEN:
		if ((events & EPOLLERR) && !side->error)
			side->error = socket_error(side->source.fd);
		if ((events & EPOLLPRI) && c->redirect)
			redirect_eject(w, c, TW_EJECT_urgent);
		conn_move(w, c);
		break;
	case CONN_CLOSING:
		/* The living side has gone as well. */
		if (!side->error && (events & (EPOLLERR | EPOLLHUP)))
			conn_end(w, c, c->reason, true);
		break;
	case CONN_REFUSING:
		conn_refuse_drain(w, c);
		break;
	case CONN_ENDED:
		break;
	}
}

static void set_backend_keepalive(struct worker *w, struct conn *c)
{
	int fd = c->side[BACKEND].source.fd, on = 1;
	int idle_s = (int)__atomic_load_n(&w->shared->keepalive_s, __ATOMIC_RELAXED);

	c->has_keepalive = true;
	if (c->side[BACKEND].is_unix)
		return;
	/* Without it the idle timeout still ends what is dead. */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
}

static void open_timer(struct worker *w, struct conn *c)
{
	uint64_t redirected[2], active_ms;

	/* The time has come to join it, or to see how far a joined one has drained. */
	conn_move(w, c);
	if (c->state != CONN_OPEN)
		return;
	if (!c->has_keepalive)
		set_backend_keepalive(w, c);
	redirect_counts(w, c, redirected, &active_ms);
	direct_counts(w, c, redirected, &active_ms);
	if (active_ms > c->active_ms)
		c->active_ms = active_ms;
	if (w->now_ms >= due_ms(c) && is_draining(c))
		c->active_ms = w->now_ms;
	if (w->now_ms < due_ms(c))
		timer_set(&w->timers, &c->timer,
			  due_ms(c) < redirect_due_ms(w, c) ? due_ms(c) : redirect_due_ms(w, c));
	else if (c->reason)
		conn_end(w, c, c->reason, true);
	else
		conn_end(w, c, is_half_closed(c) ? TW_END_half_closed : TW_END_idle_timeout, true);
}

void conn_timer(struct worker *w, struct timer *timer)
{
	struct conn *c = (struct conn *)((char *)timer - offsetof(struct conn, timer));

	switch ((enum conn_state)c->state) {
	case CONN_HELLO:
		if (c->redirect)
			redirect_ring_event(w);
		if (c->state == CONN_HELLO)
			conn_refuse(w, c, TW_REFUSE_hello_timeout);
		break;
	case CONN_CONNECTING:
		conn_connect_failed(w, c);
		break;
	case CONN_OPEN:
		open_timer(w, c);
		break;
	case CONN_CLOSING:
		closing_step(w, c);
		break;
	case CONN_REFUSING:
		conn_end(w, c, c->reason, false);
		break;
	case CONN_ENDED:
		break;
	}
}
