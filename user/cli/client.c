// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The control socket's client: one request, one answer (see edge/control.h). Waits for the daemon,
 * but not for ever.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/instance.h"

/* 100,000 routes may take the daemon a while. */
#define ANSWER_TIMEOUT_S 120
#define ANSWER_MAX	 (512u << 20)

static int client_connect(const char *instance, int timeout_s)
{
	struct timeval timeout = {.tv_sec = timeout_s};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	_Static_assert(sizeof(sun.sun_path) == INSTANCE_PATH_SIZE, "the socket's path fits");
	instance_run_path(instance, "control.sock", sun.sun_path);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* A daemon that does not want the rest (-EPIPE) has an answer that says why. */
static int client_send(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return shutdown(fd, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
}

static int client_receive(int fd, char **ret_bytes, size_t *ret_len)
{
	_cleanup_free_ char *bytes = NULL;
	size_t len = 0, size = 0;

	for (;;) {
		ssize_t n;

		if (len == size) {
			char *grown;

			size = size ? size * 2 : 65536;
			grown = size <= ANSWER_MAX ? realloc(bytes, size) : NULL;
			if (!grown)
				return -ENOMEM;
			bytes = grown;
		}
		n = recv(fd, bytes + len, size - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		/* Reset: the daemon did not read all that we sent; what it said came before. */
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			break;
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	*ret_bytes = TAKE_PTR(bytes);
	*ret_len = len;
	return 0;
}

/* -ECONNREFUSED, -ENOENT: nobody there. -EBADMSG: not our protocol. */
static int client_talk(const char *instance, const json_t *request, int timeout_s,
		       json_t **ret_answer)
{
	_cleanup_close_ int fd = client_connect(instance, timeout_s);
	_cleanup_free_ char *text = NULL, *bytes = NULL;
	size_t len = 0;
	json_t *answer;
	int err;

	if (fd < 0)
		return fd;
	text = text_need(json_dumps(request, JSON_COMPACT));
	if (strlen(text) > INSTANCE_REQUEST_MAX)
		return -EFBIG;
	err = client_send(fd, text, strlen(text));
	if (!err)
		err = client_receive(fd, &bytes, &len);
	if (err < 0)
		return err;
	answer = json_loadb(bytes, len, 0, NULL);
	if (!json_is_object(answer)) {
		json_decref(answer);
		return -EBADMSG;
	}
	*ret_answer = answer;
	return 0;
}

int cli_ask(const char *instance, json_t *request, int timeout_s, json_t **ret_answer)
{
	json_t *answer;
	int err = client_talk(instance, text_need(request), timeout_s, &answer);

	json_decref(request);
	if (err < 0)
		return err;
	if (json_object_get(answer, "error")) {
		json_decref(answer);
		return -EREMOTEIO;
	}
	*ret_answer = answer;
	return 0;
}

static int talk_error(const struct cli *cli, int err)
{
	char path[INSTANCE_PATH_SIZE];

	instance_run_path(cli->instance, "control.sock", path);
	switch (-err) {
	case ENOENT:
	case ECONNREFUSED:
		if (!strcmp(cli->instance, INSTANCE_DEFAULT))
			return cli_error(cli, NULL,
					 "no daemon answers at %s; "
					 "start it with \"thruwayd -c FILE\"",
					 path);
		return cli_error(cli, NULL,
				 "no daemon answers at %s; "
				 "start it with \"thruwayd --instance %s -c FILE\"",
				 path, cli->instance);
	case EACCES:
	case EPERM:
		return cli_error(cli, NULL, "%s is root's alone; run this as root (sudo)", path);
	case EAGAIN:
		return cli_error(cli, NULL,
				 "the daemon at %s did not answer within %d seconds; "
				 "see its log",
				 path, ANSWER_TIMEOUT_S);
	case EFBIG:
		return cli_error(cli, NULL, "the request is longer than %u MiB",
				 INSTANCE_REQUEST_MAX >> 20);
	case EBADMSG:
		return cli_error(cli, NULL,
				 "%s closed without a whole answer; see the daemon's log", path);
	default:
		return cli_error(cli, NULL, "%s: %s", path, strerror(-err));
	}
}

int cli_request(const struct cli *cli, json_t *request, json_t **ret_answer)
{
	json_t *answer = NULL, *problems;
	const char *error;
	int err;

	err = client_talk(cli->instance, text_need(request), ANSWER_TIMEOUT_S, &answer);
	json_decref(request);
	if (err < 0)
		return talk_error(cli, err);
	problems = json_object_get(answer, "problems");
	error = json_string_value(json_object_get(answer, "error"));
	if (error) {
		cli_error(cli, problems, "%s", error);
		json_decref(answer);
		return CLI_FAILED;
	}
	if (!cli->is_json)
		cli_problems(problems, stderr);
	*ret_answer = answer;
	return CLI_DONE;
}
