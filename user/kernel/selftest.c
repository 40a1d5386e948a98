// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The self-test of the socket path (see selftest.h). One thread, sockets that do not block, and a
 * time by which each step must be done:
 *
 *   client <-- TCP --> a ==(sockmap)== b <-- TCP --> server
 */
#include "kernel/selftest.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* A step that takes longer has failed: a kernel that works needs a hundredth of it. */
#define STEP_MS	    2000
/* An error that comes by itself has come by then: some clock ticks. */
#define SETTLE_MS   20
#define SLOW_BYTES  (8u << 20)
#define LEAVE_BYTES (1u << 20)
#define CHUNK	    (64u << 10)
/* No such worker: nobody is told of anything. */
#define NO_WORKER   UINT32_MAX

enum { OUTER_CLIENT, INNER_CLIENT, INNER_SERVER, OUTER_SERVER, ENDS };

struct rig {
	const struct sockmap *sm;
	int fds[ENDS];
	uint64_t cookies[2]; /* of the inner ones */
	int64_t deadline_ms;
	uint8_t *buf; /* CHUNK */
};

/* --- sockets --------------------------------------------------------------------------------- */

static bool is_late(const struct rig *rig)
{
	return clock_ms() > rig->deadline_ms;
}

static int wait_for(const struct rig *rig, int fd, short events)
{
	struct pollfd pollfd = {.fd = fd, .events = events};
	int64_t left = rig->deadline_ms - clock_ms();

	return left > 0 && poll(&pollfd, 1, (int)left) > 0 ? 0 : -ETIMEDOUT;
}

/*
 * Small buffers, as some hosts are set to, would make the run long: a redirect that finds no room
 * tries again a clock tick later. The force needs the right that the programs needed.
 */
static void enlarge_buffers(int fd)
{
	static const int bytes = 1 << 20;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
}

static int listen_locally(struct sockaddr_in *ret_address)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address);

	if (fd >= 0)
		enlarge_buffers(fd);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 2) ||
	    getsockname(fd, (struct sockaddr *)&address, &len))
		return -errno;
	*ret_address = address;
	return TAKE_FD(fd);
}

/* A TCP connection over loopback. */
static int connect_pair(const struct rig *rig, int *ret_one, int *ret_other)
{
	struct sockaddr_in address = {};
	_cleanup_close_ int listener = listen_locally(&address);
	_cleanup_close_ int one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (listener < 0)
		return listener;
	if (one < 0)
		return -errno;
	enlarge_buffers(one);
	if (connect(one, (struct sockaddr *)&address, sizeof(address)) && errno != EINPROGRESS)
		return -errno;
	if (wait_for(rig, listener, POLLIN))
		return -ENETUNREACH;
	*ret_other = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (*ret_other < 0)
		return -errno;
	*ret_one = TAKE_FD(one);
	return 0;
}

static int rig_open(struct rig *rig)
{
	int err = connect_pair(rig, &rig->fds[OUTER_CLIENT], &rig->fds[INNER_CLIENT]);

	if (!err)
		err = connect_pair(rig, &rig->fds[INNER_SERVER], &rig->fds[OUTER_SERVER]);
	return err;
}

static void rig_close(struct rig *rig)
{
	for (size_t i = 0; i < ENDS; i++) {
		if (rig->fds[i] >= 0)
			close(rig->fds[i]);
		rig->fds[i] = -1;
	}
	for (size_t i = 0; i < 2; i++) {
		if (rig->cookies[i])
			sockmap_drop_pair(rig->sm, rig->cookies[i]);
		rig->cookies[i] = 0;
	}
}

static int rig_join(struct rig *rig)
{
	const int *inner = &rig->fds[INNER_CLIENT];
	int err = 0;

	for (size_t i = 0; i < 2 && !err; i++)
		err = sockmap_cookie(inner[i], &rig->cookies[i]);
	for (size_t i = 0; i < 2 && !err; i++) {
		struct tw_pair pair = {
			.peer = rig->cookies[!i], .direction = (uint32_t)i, .worker = NO_WORKER};

		err = sockmap_set_pair(rig->sm, rig->cookies[i], &pair);
		if (!err)
			err = sockmap_add_sink(rig->sm, rig->cookies[i], inner[i]);
	}
	for (size_t i = 0; i < 2 && !err; i++)
		err = sockmap_add_source(rig->sm, rig->cookies[i], inner[i]);
	for (size_t i = 0; i < 2 && !err; i++)
		(void)sockmap_kick(inner[i]);
	return err;
}

/* --- bytes ----------------------------------------------------------------------------------- */

/* Byte number @at of the stream; no period that a buffer's size could have. */
static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 2654435761u >> 13 ^ at);
}

/* Send what is taken of bytes @at .. @end; how many. */
static size_t put(const struct rig *rig, int fd, size_t at, size_t end)
{
	size_t len = end - at < CHUNK ? end - at : CHUNK;
	ssize_t n;

	for (size_t i = 0; i < len; i++)
		rig->buf[i] = pattern(at + i);
	n = send(fd, rig->buf, len, MSG_NOSIGNAL);
	return n > 0 ? (size_t)n : 0;
}

/* Receive and compare; how many, or -EBADMSG, or -errno. */
static ssize_t take(const struct rig *rig, int fd, size_t at)
{
	ssize_t n = recv(fd, rig->buf, CHUNK, 0);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (ssize_t i = 0; i < n; i++)
		if (rig->buf[i] != pattern(at + (size_t)i))
			return -EBADMSG;
	return n;
}

/* @end bytes from @from to @to, of which @at have arrived. The reader waits until nothing is sent
 * any more. */
static int move(const struct rig *rig, int from, int to, size_t at, size_t end)
{
	size_t sent = at, got = at, n;

	do {
		n = put(rig, from, sent, end);
		sent += n;
	} while (n && sent < end);
	while (got < end && !is_late(rig)) {
		ssize_t taken = take(rig, to, got);

		if (taken < 0)
			return (int)taken;
		got += (size_t)taken;
		if (sent < end)
			sent += put(rig, from, sent, end);
		else if (!taken && wait_for(rig, to, POLLIN))
			break;
	}
	return got == end ? 0 : -ETIMEDOUT;
}

static int socket_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) ? -errno : -err;
}

/* --- steps ----------------------------------------------------------------------------------- */

static int try_sockets(struct rig *rig)
{
	return rig_open(rig);
}

static int try_join(struct rig *rig)
{
	int err = rig_join(rig);

	if (!err)
		err = move(rig, rig->fds[OUTER_CLIENT], rig->fds[OUTER_SERVER], 0, 600);
	if (!err)
		err = move(rig, rig->fds[OUTER_SERVER], rig->fds[OUTER_CLIENT], 0, 600);
	rig_close(rig);
	return err;
}

static int try_kick(struct rig *rig)
{
	int err = rig_open(rig);

	if (!err && put(rig, rig->fds[OUTER_CLIENT], 0, 600) != 600)
		err = -EIO;
	if (!err)
		err = wait_for(rig, rig->fds[INNER_CLIENT], POLLIN);
	if (!err)
		err = rig_join(rig);
	if (!err)
		err = wait_for(rig, rig->fds[OUTER_SERVER], POLLIN);
	if (!err && take(rig, rig->fds[OUTER_SERVER], 0) != 600)
		err = -EBADMSG;
	rig_close(rig);
	return err;
}

static int try_slow(struct rig *rig)
{
	int err = rig_open(rig);

	if (!err)
		err = rig_join(rig);
	if (!err)
		err = move(rig, rig->fds[OUTER_CLIENT], rig->fds[OUTER_SERVER], 0, SLOW_BYTES);
	rig_close(rig);
	return err;
}

static int wait_for_end(const struct rig *rig, int fd)
{
	struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET};
	_cleanup_close_ int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	if (shutdown(rig->fds[OUTER_CLIENT], SHUT_WR))
		return -errno;
	if (epoll_wait(epoll_fd, &event, 1, STEP_MS) != 1 || !(event.events & EPOLLRDHUP))
		return -ETIMEDOUT;
	return sockmap_kick(fd) ? -EBADMSG : 0;
}

static int try_fin(struct rig *rig)
{
	struct pollfd sink = {};
	int err = rig_open(rig);

	sink.fd = rig->fds[INNER_SERVER];
	if (!err)
		err = rig_join(rig);
	if (!err)
		err = wait_for_end(rig, rig->fds[INNER_CLIENT]);
	if (!err)
		err = move(rig, rig->fds[OUTER_SERVER], rig->fds[OUTER_CLIENT], 0, 600);
	/* An empty segment that was redirected breaks the sink only when it is sent. */
	if (!err && poll(&sink, 1, SETTLE_MS) > 0)
		err = socket_error(rig->fds[INNER_SERVER]);
	rig_close(rig);
	return err;
}

/* What the kernel redirected, then what the socket itself received. */
static int collect(const struct rig *rig, size_t end)
{
	int from[] = {rig->fds[OUTER_SERVER], rig->fds[INNER_CLIENT]};
	struct tw_pair pair;
	size_t got = 0, ends[2];
	int err = sockmap_get_pair(rig->sm, rig->cookies[0], &pair);

	if (err)
		return err;
	ends[0] = pair.redirected;
	ends[1] = end;
	for (size_t i = 0; i < 2; i++)
		while (got < ends[i]) {
			ssize_t n = take(rig, from[i], got);

			if (n < 0)
				return (int)n;
			if (!n && wait_for(rig, from[i], POLLIN))
				return -ETIMEDOUT;
			got += (size_t)n;
		}
	return 0;
}

static int try_leave(struct rig *rig)
{
	struct sockmap_leaving leaving = {};
	size_t sent = 0;
	int err = rig_open(rig);

	if (!err)
		err = rig_join(rig);
	leaving.cookie = rig->cookies[0];
	while (!err && sent < LEAVE_BYTES / 2) {
		sent += put(rig, rig->fds[OUTER_CLIENT], sent, LEAVE_BYTES / 2);
		if (is_late(rig))
			err = -ETIMEDOUT;
	}
	if (!err)
		err = sockmap_leave(rig->sm, &leaving, 1);
	if (!err && sockmap_is_source(rig->sm, leaving.cookie))
		err = -EBUSY;
	if (!err)
		sent += put(rig, rig->fds[OUTER_CLIENT], sent, LEAVE_BYTES);
	if (!err)
		err = collect(rig, sent);
	return err;
}

/* The socket that has just left the sources leaves the sinks as well. */
static int try_inq(struct rig *rig)
{
	int n = 0, err;

	sockmap_drop_sink(rig->sm, rig->cookies[0]);
	err = put(rig, rig->fds[OUTER_CLIENT], 0, 600) == 600 ? 0 : -EIO;
	if (!err)
		err = wait_for(rig, rig->fds[INNER_CLIENT], POLLIN);
	if (!err && (ioctl(rig->fds[INNER_CLIENT], FIONREAD, &n) || n != 600))
		err = -EBADMSG;
	rig_close(rig);
	return err;
}

static int try_rst(struct rig *rig)
{
	static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	int err = rig_open(rig);

	if (!err)
		err = rig_join(rig);
	if (err)
		return err;
	(void)setsockopt(rig->fds[OUTER_CLIENT], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(rig->fds[OUTER_CLIENT]);
	rig->fds[OUTER_CLIENT] = -1;
	err = wait_for(rig, rig->fds[INNER_CLIENT], POLLRDHUP);
	if (!err && socket_error(rig->fds[INNER_CLIENT]) != -ECONNRESET)
		err = -EBADMSG;
	if (!err)
		err = socket_error(rig->fds[INNER_SERVER]);
	rig_close(rig);
	return err;
}

/* --- all of it ------------------------------------------------------------------------------- */

static const struct {
	const char *name, *works, *fails;
	int (*run)(struct rig *rig);
} steps[] = {
#define X(step, works, fails) [SELFTEST_##step] = {#step, works, fails, try_##step},
	SELFTEST_STEPS(X)
#undef X
};

const char *selftest_name(enum selftest_step step)
{
	return steps[step].name;
}

const char *selftest_text(enum selftest_step step, int err)
{
	return err ? steps[step].fails : steps[step].works;
}

int selftest_run(const struct sockmap *sm,
		 void (*on_step)(void *arg, enum selftest_step step, int err), void *arg,
		 enum selftest_step *ret_step)
{
	struct rig rig = {.sm = sm, .fds = {-1, -1, -1, -1}};
	uint64_t dropped = sockmap_state(sm)->dropped;
	int err = 0;

	rig.buf = malloc(CHUNK);
	if (!rig.buf)
		return -ENOMEM;
	for (size_t i = 0; i < SELFTEST_END && !err; i++) {
		rig.deadline_ms = clock_ms() + STEP_MS;
		err = steps[i].run(&rig);
		*ret_step = (enum selftest_step)i;
		if (on_step)
			on_step(arg, (enum selftest_step)i, err);
	}
	rig_close(&rig);
	free(rig.buf);
	/* No connection of anybody's yet: what a reset threw away here is nobody's loss. */
	sockmap_state(sm)->dropped = dropped;
	return err;
}
