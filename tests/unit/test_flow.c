// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Moving bytes between two socket pairs: none is lost, no pipe is left behind. */
#include "conn/flow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	int from, to; /* the test's ends */
	struct side src, dst;
	struct flow flow;
	struct flow_tools tools;
};

static void use_pairs(struct fixture *f, const int in[2], const int out[2], bool is_unix)
{
	memset(f, 0, sizeof(*f));
	f->from = in[0];
	f->to = out[1];
	f->src = (struct side){.source.fd = in[1], .is_unix = is_unix, .readable = true};
	f->dst = (struct side){.source.fd = out[0], .is_unix = is_unix, .writable = true};
	f->tools.buf = malloc(FLOW_BUF_BYTES);
	assert_non_null(f->tools.buf);
}

static void open_unix(struct fixture *f)
{
	int in[2], out[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, in), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, out), 0);
	use_pairs(f, in, out, true);
}

static void tcp_pair(int fds[2])
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&sa, len), 0);
	fds[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fds[1] >= 0);
	close(listener);
}

static void open_tcp(struct fixture *f)
{
	int in[2], out[2];

	tcp_pair(in);
	tcp_pair(out);
	/* The end that is written to is the relay's. */
	use_pairs(f, in, (int[2]){out[1], out[0]}, false);
}

static void close_all(struct fixture *f)
{
	flow_drop(&f->tools, &f->flow);
	assert_int_equal(f->tools.pipes.n_open, f->tools.pipes.n_spare);
	pipe_pool_fini(&f->tools.pipes);
	assert_int_equal(f->tools.pipes.n_open, 0);
	free(f->tools.buf);
	close(f->from);
	close(f->to);
	close(f->src.source.fd);
	close(f->dst.source.fd);
}

static void pump(struct fixture *f)
{
	f->src.readable = f->dst.writable = true;
	(void)flow_pump(&f->tools, &f->flow, &f->src, &f->dst);
	/* Held or spare: every other one is lost. */
	assert_int_equal(f->tools.pipes.n_open, f->tools.pipes.n_spare + !!f->flow.pipe);
}

static uint32_t draw(uint32_t *seed, uint32_t bound)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % bound;
}

/* Byte number @at of the stream. */
static uint8_t byte_at(size_t at)
{
	return (uint8_t)(at * 2654435761u >> 16);
}

static size_t send_some(int fd, size_t at, size_t len)
{
	static uint8_t bytes[1 << 16];
	ssize_t n;

	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(at + i);
	n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n > 0 ? (size_t)n : 0;
}

static size_t receive_some(int fd, size_t at, size_t len)
{
	static uint8_t bytes[1 << 16];
	ssize_t n = recv(fd, bytes, len, MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++)
		if (bytes[i] != byte_at(at + (size_t)i))
			fail_msg("byte %zu of the stream is wrong", at + (size_t)i);
	return n > 0 ? (size_t)n : 0;
}

static void writes_and_reads_of_any_size_lose_neither_byte_nor_pipe(void **state)
{
	int small = 30000;
	size_t in = 0, out = 0;
	uint32_t seed = 1;
	struct fixture f;

	(void)state;
	open_unix(&f);
	assert_int_equal(setsockopt(f.dst.source.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)),
			 0);
	for (int i = 0; i < 20000; i++) {
		in += send_some(f.from, in, 1 + draw(&seed, 15000));
		if (!draw(&seed, 3))
			for (uint32_t k = draw(&seed, 4); k; k--)
				out += receive_some(f.to, out, 1 + draw(&seed, 30000));
		pump(&f);
	}
	for (int i = 0; i < 1000 && out < in; i++) {
		out += receive_some(f.to, out, 1 << 16);
		pump(&f);
	}
	assert_int_equal(out, in);
	close_all(&f);
}

static void a_unix_message_with_a_descriptor_does_not_hold_the_next_one_back(void **state)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS}};
	struct iovec bytes = {.iov_base = (char[]){"one"}, .iov_len = 3};
	struct msghdr message = {.msg_iov = &bytes,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct fixture f;
	char got[8];

	(void)state;
	open_unix(&f);
	memcpy(CMSG_DATA(&control.head), &f.from, sizeof(int));
	assert_int_equal(sendmsg(f.from, &message, 0), 3);
	assert_int_equal(send(f.from, "two", 3, 0), 3);
	/* One event told of both. */
	pump(&f);
	assert_int_equal(recv(f.to, got, sizeof(got), 0), 6);
	assert_memory_equal(got, "onetwo", 6);
	assert_false(f.src.readable);
	close_all(&f);
}

static void a_short_read_behind_an_announced_fin_is_the_end(void **state)
{
	struct fixture f;
	char got[8];

	(void)state;
	open_tcp(&f);
	assert_int_equal(send(f.from, "last", 4, 0), 4);
	/* No FIN is there: a second receive would say so, and there must be none. */
	f.src.rdhup = true;
	pump(&f);
	assert_true(f.src.eof);
	assert_false(f.src.readable);
	/* It was held back to go with FIN. */
	shutdown(f.dst.source.fd, SHUT_WR);
	assert_int_equal(recv(f.to, got, sizeof(got), 0), 4);
	close_all(&f);
}

static void bytes_up_to_an_announced_fin_come_all(void **state)
{
	enum { LEN = 300000 };
	size_t in = 0, out = 0;
	struct fixture f;
	ssize_t n;

	(void)state;
	open_tcp(&f);
	for (int i = 0; i < 10000 && in < LEN; i++)
		in += send_some(f.from, in, LEN - in < 1000 ? LEN - in : 1000);
	assert_int_equal(in, LEN);
	shutdown(f.from, SHUT_WR);
	f.src.rdhup = true;
	for (int i = 0; i < 100000 && !(f.src.eof && !f.flow.pending); i++) {
		pump(&f);
		out += receive_some(f.to, out, 1 << 16);
	}
	shutdown(f.dst.source.fd, SHUT_WR);
	while ((n = (ssize_t)receive_some(f.to, out, 1 << 16)))
		out += (size_t)n;
	assert_int_equal(out, LEN);
	close_all(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_and_reads_of_any_size_lose_neither_byte_nor_pipe),
		cmocka_unit_test(a_unix_message_with_a_descriptor_does_not_hold_the_next_one_back),
		cmocka_unit_test(a_short_read_behind_an_announced_fin_is_the_end),
		cmocka_unit_test(bytes_up_to_an_announced_fin_come_all),
	};

	return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
