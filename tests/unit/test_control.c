// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The control socket's server against its clients: any bytes, half and huge requests, readers that
 * stall, more clients than slots, strangers, and a second server. The source is included, so that
 * a test can let a client's time run out without waiting. Needs root for /run.
 */
#include "edge/control.c"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#define BIG_ANSWER_BYTES (8u << 20)
#define PUMP_MS		 20000

struct server {
	struct control *control;
	char instance[32];
	unsigned int n_handled;
};

static json_t *handle(void *arg, const json_t *request)
{
	struct server *server = arg;
	const char *op = json_string_value(json_object_get(request, "op"));
	char *big;
	json_t *answer;

	server->n_handled++;
	if (!strcmp(op, "nothing"))
		return NULL;
	if (strcmp(op, "big"))
		return json_pack("{s:s}", "said", op);
	big = malloc(BIG_ANSWER_BYTES);
	assert_non_null(big);
	memset(big, 'x', BIG_ANSWER_BYTES);
	answer = json_pack("{s:s#}", "said", big, (int)BIG_ANSWER_BYTES);
	free(big);
	return answer;
}

static int setup(void **state)
{
	struct server *server = calloc(1, sizeof(*server));
	char *why = NULL;

	assert_non_null(server);
	snprintf(server->instance, sizeof(server->instance), "twx-test-%d", getpid());
	assert_int_equal(control_open(server->instance, handle, server, &server->control, &why), 0);
	*state = server;
	return 0;
}

static int teardown(void **state)
{
	struct server *server = *state;

	control_close(server->control);
	free(server);
	return 0;
}

static int client_open(const struct server *server)
{
	struct sockaddr_un sun;
	int fd = unix_socket(server->control->path, &sun);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

/* Let the server work until it has nothing to do. */
static void pump(const struct server *server)
{
	struct pollfd poll_fd = {.fd = control_fd(server->control), .events = POLLIN};

	do
		control_dispatch(server->control);
	while (poll(&poll_fd, 1, 0) == 1);
}

static void client_send(const struct server *server, int fd, const char *bytes, size_t len)
{
	int64_t give_up_ms = clock_ms() + PUMP_MS;

	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		assert_true(clock_ms() < give_up_ms);
		if (n < 0 && errno == EAGAIN) {
			pump(server);
			continue;
		}
		if (n < 0)
			return; /* the server wants no more of it */
		bytes += n;
		len -= (size_t)n;
	}
}

/* Read to the end, the server working meanwhile. */
static json_t *client_answer_read(const struct server *server, int fd)
{
	int64_t give_up_ms = clock_ms() + PUMP_MS;
	char *bytes = malloc(BIG_ANSWER_BYTES * 2);
	size_t len = 0;
	json_t *answer;

	assert_non_null(bytes);
	for (;;) {
		ssize_t n = recv(fd, bytes + len, BIG_ANSWER_BYTES * 2 - len, 0);

		assert_true(clock_ms() < give_up_ms);
		if (n < 0 && errno == EAGAIN) {
			pump(server);
			continue;
		}
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	answer = json_loadb(bytes, len, 0, NULL);
	free(bytes);
	close(fd);
	return answer;
}

static json_t *ask_bytes(const struct server *server, const char *bytes, size_t len)
{
	int fd = client_open(server);

	client_send(server, fd, bytes, len);
	shutdown(fd, SHUT_WR);
	return client_answer_read(server, fd);
}

static void assert_said(json_t *answer, const char *expected)
{
	assert_string_equal(json_string_value(json_object_get(answer, "said")), expected);
	json_decref(answer);
}

static void assert_error(json_t *answer, const char *part)
{
	const char *error = json_string_value(json_object_get(answer, "error"));

	assert_non_null(error);
	if (!strstr(error, part))
		fail_msg("'%s' is not in '%s'", part, error);
	json_decref(answer);
}

static void assert_lives(const struct server *server)
{
	assert_said(ask_bytes(server, "{\"op\": \"ping\"}", 14), "ping");
	assert_int_equal(server->control->n_clients, 0);
	assert_int_equal(control_timeout_ms(server->control), -1);
}

/* --- any bytes ------------------------------------------------------------------------------- */

static void a_request_gets_the_handlers_answer(void **state)
{
	struct server *server = *state;

	assert_lives(server);
	assert_int_equal(server->n_handled, 1);
}

static void bytes_that_are_no_request_get_an_error_and_reach_no_handler(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *error;
	} cases[] = {
		{"", 0, "not JSON"},
		{"\0\0\0\0", 4, "not JSON"},
		{"{", 1, "not JSON"},
		{"{\"op\": \"ping\"", 13, "not JSON"},
		{"{\"op\": \"ping\"} x", 16, "not JSON"},
		{"{\"op\": \"ping\", \"op\": \"down\"}", 28, "not JSON"},
		{"{\"op\": \"\xff\xfe\"}", 12, "not JSON"},
		{"{\"op\": \"a\\u0000b\"}", 18, "not JSON"},
		{"[]", 2, "not a JSON object"},
		{"7", 1, "not JSON"},
		{"[\"op\"]", 6, "not a JSON object"},
		{"{}", 2, "op: a string"},
		{"{\"op\": 7}", 9, "op: a string"},
		{"{\"op\": null}", 12, "op: a string"},
		{"{\"op\": {\"op\": \"ping\"}}", 22, "op: a string"},
		{"GET / HTTP/1.1\r\n\r\n", 18, "not JSON"},
	};
	struct server *server = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_error(ask_bytes(server, cases[i].bytes, cases[i].len), cases[i].error);
	assert_int_equal(server->n_handled, 0);
	assert_lives(server);
}

static void random_bytes_do_no_harm(void **state)
{
	struct server *server = *state;
	char bytes[512];

	srand(1);
	for (int i = 0; i < 500; i++) {
		size_t len = (size_t)rand() % sizeof(bytes);

		for (size_t j = 0; j < len; j++)
			bytes[j] = (char)rand();
		assert_error(ask_bytes(server, bytes, len), "");
	}
	assert_lives(server);
}

static void arrays_a_hundred_thousand_deep_are_refused(void **state)
{
	struct server *server = *state;
	static char deep[100000];

	memset(deep, '[', sizeof(deep));
	assert_error(ask_bytes(server, deep, sizeof(deep)), "not JSON");
	assert_lives(server);
}

static void a_handler_without_an_answer_gets_the_client_an_error(void **state)
{
	assert_error(ask_bytes(*state, "{\"op\": \"nothing\"}", 17), "out of memory");
}

static void a_request_in_pieces_of_one_byte_is_answered(void **state)
{
	static const char request[] = "{\"op\": \"slow\"}";
	struct server *server = *state;
	int fd = client_open(server);

	for (size_t i = 0; i < strlen(request); i++) {
		client_send(server, fd, request + i, 1);
		pump(server);
	}
	assert_int_equal(server->n_handled, 0);
	shutdown(fd, SHUT_WR);
	assert_said(client_answer_read(server, fd), "slow");
}

static void a_request_longer_than_the_maximum_is_refused_unread(void **state)
{
	struct server *server = *state;
	size_t len = INSTANCE_REQUEST_MAX + (1u << 20);
	char *bytes = malloc(len);

	assert_non_null(bytes);
	memset(bytes, ' ', len);
	assert_error(ask_bytes(server, bytes, len), "longer than");
	free(bytes);
	assert_lives(server);
}

static void a_request_of_just_the_maximum_is_answered(void **state)
{
	struct server *server = *state;
	char *bytes = malloc(INSTANCE_REQUEST_MAX);

	assert_non_null(bytes);
	memset(bytes, ' ', INSTANCE_REQUEST_MAX);
	memcpy(bytes, "{\"op\": \"long\"}", 14);
	assert_said(ask_bytes(server, bytes, INSTANCE_REQUEST_MAX), "long");
	free(bytes);
}

/* --- clients that stall, go, or are too many ------------------------------------------------- */

/* The time of every client is up. */
static void time_runs_out(const struct server *server)
{
	struct client *client;

	TAILQ_FOREACH (client, &server->control->clients, link)
		client->deadline_ms = clock_ms();
	assert_int_equal(control_timeout_ms(server->control), 0);
}

static void a_request_that_does_not_end_gets_an_error_when_its_time_is_up(void **state)
{
	struct server *server = *state;
	int silent = client_open(server), half = client_open(server);

	client_send(server, half, "{\"op\": ", 7);
	pump(server);
	assert_int_equal(server->control->n_clients, 2);
	assert_in_range(control_timeout_ms(server->control), 1, REQUEST_MS);
	/* Others are served meanwhile. */
	assert_said(ask_bytes(server, "{\"op\": \"ping\"}", 14), "ping");
	time_runs_out(server);
	pump(server);
	assert_error(client_answer_read(server, silent), "did not end");
	assert_error(client_answer_read(server, half), "did not end");
	assert_lives(server);
}

static void bytes_that_trickle_do_not_buy_a_request_more_time(void **state)
{
	struct server *server = *state;
	int fd = client_open(server);
	int64_t deadline_ms;

	pump(server);
	deadline_ms = TAILQ_FIRST(&server->control->clients)->deadline_ms;
	client_send(server, fd, "{", 1);
	pump(server);
	assert_int_equal(TAILQ_FIRST(&server->control->clients)->deadline_ms, deadline_ms);
	close(fd);
}

static void a_slow_reader_gets_every_byte_and_holds_nobody_up(void **state)
{
	struct server *server = *state;
	int fd = client_open(server);
	json_t *answer;

	client_send(server, fd, "{\"op\": \"big\"}", 13);
	shutdown(fd, SHUT_WR);
	pump(server);
	assert_int_equal(server->control->n_clients, 1);
	assert_said(ask_bytes(server, "{\"op\": \"ping\"}", 14), "ping");
	answer = client_answer_read(server, fd);
	assert_int_equal(json_string_length(json_object_get(answer, "said")), BIG_ANSWER_BYTES);
	json_decref(answer);
	assert_lives(server);
}

static void a_reader_that_takes_nothing_is_closed_when_its_time_is_up(void **state)
{
	struct server *server = *state;
	int fd = client_open(server);

	client_send(server, fd, "{\"op\": \"big\"}", 13);
	shutdown(fd, SHUT_WR);
	pump(server);
	assert_int_equal(server->control->n_clients, 1);
	assert_in_range(control_timeout_ms(server->control), 1, WRITE_MS);
	time_runs_out(server);
	pump(server);
	assert_int_equal(server->control->n_clients, 0);
	assert_null(client_answer_read(server, fd));
	assert_lives(server);
}

static void a_client_that_goes_at_any_point_frees_its_slot(void **state)
{
	struct server *server = *state;
	int fd = client_open(server);

	close(fd);
	pump(server);
	fd = client_open(server);
	client_send(server, fd, "{\"op\"", 5);
	pump(server);
	close(fd);
	pump(server);
	fd = client_open(server);
	client_send(server, fd, "{\"op\": \"big\"}", 13);
	shutdown(fd, SHUT_WR);
	pump(server);
	close(fd);
	pump(server);
	assert_int_equal(server->control->n_clients, 0);
	assert_lives(server);
}

static void clients_beyond_the_slots_wait_for_their_turn(void **state)
{
	struct server *server = *state;
	int fds[CLIENTS_MAX + 20];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client_open(server);
		pump(server);
		assert_true(server->control->n_clients <= CLIENTS_MAX);
	}
	assert_int_equal(server->control->n_clients, CLIENTS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		client_send(server, fds[i], "{\"op\": \"turn\"}", 14);
		shutdown(fds[i], SHUT_WR);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		assert_said(client_answer_read(server, fds[i]), "turn");
	assert_lives(server);
}

/* --- who gets in ----------------------------------------------------------------------------- */

static void assert_child_succeeds(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void the_socket_and_its_directory_are_for_root_alone(void **state)
{
	struct server *server = *state;
	struct stat st;

	assert_int_equal(stat(server->control->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(server->control->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

/* Even where the file's mode would let them. */
static void another_user_gets_no_answer_but_an_error(void **state)
{
	struct server *server = *state;
	pid_t pid;
	int fd;

	assert_int_equal(chmod(server->control->dir, 0755), 0);
	assert_int_equal(chmod(server->control->path, 0666), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		static const char request[] = "{\"op\": \"ping\"}";
		char answer[128] = "";
		struct sockaddr_un sun;

		fd = unix_socket(server->control->path, &sun);
		if (setresuid(65534, 65534, 65534) < 0 ||
		    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
			_exit(2);
		(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PUMP_MS);
		(void)!read(fd, answer, sizeof(answer) - 1);
		_exit(strstr(answer, "only root") ? 0 : 3);
	}
	poll(&(struct pollfd){.fd = control_fd(server->control), .events = POLLIN}, 1, PUMP_MS);
	pump(server);
	assert_child_succeeds(pid);
	pump(server);
	assert_int_equal(server->n_handled, 0);
	assert_lives(server);
}

/* --- one server an instance ------------------------------------------------------------------ */

static void assert_open_fails(const char *instance, int expected, const char *part)
{
	struct control *control = NULL;
	char *why = NULL;

	assert_int_equal(control_open(instance, handle, NULL, &control, &why), expected);
	assert_null(control);
	assert_non_null(why);
	if (!strstr(why, part))
		fail_msg("'%s' is not in '%s'", part, why);
	free(why);
}

static void a_second_server_is_refused_and_the_first_keeps_serving(void **state)
{
	struct server *server = *state;

	assert_open_fails(server->instance, -EADDRINUSE, "another thruwayd of instance twx-test-");
	assert_open_fails(server->instance, -EADDRINUSE, "use --instance");
	assert_lives(server);
}

static void a_close_leaves_nothing_behind(void **state)
{
	struct server *server = *state;
	char dir[INSTANCE_PATH_SIZE];

	snprintf(dir, sizeof(dir), "%s", server->control->dir);
	server->control = control_close(server->control);
	assert_int_equal(access(dir, F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

/* As kill -9 leaves it: socket and lock file are there, nobody listens or holds the lock. */
static void what_a_killed_server_left_is_replaced(void **state)
{
	struct server *server = *state;
	char *why = NULL;
	pid_t pid;

	server->control = control_close(server->control);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(control_open(server->instance, handle, server, &server->control, &why) ? 1
											     : 0);
	assert_child_succeeds(pid);
	assert_int_equal(control_open(server->instance, handle, server, &server->control, &why), 0);
	assert_lives(server);
}

static void a_file_that_is_no_socket_is_not_removed(void **state)
{
	struct server *server = *state;
	char dir[INSTANCE_PATH_SIZE], path[INSTANCE_PATH_SIZE];
	int fd;

	memcpy(dir, server->control->dir, sizeof(dir));
	memcpy(path, server->control->path, sizeof(path));
	server->control = control_close(server->control);
	assert_int_equal(mkdir(dir, 0700), 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_open_fails(server->instance, -EEXIST, "is not a socket");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void a_directory_that_others_may_write_to_is_not_used(void **state)
{
	struct server *server = *state;
	char dir[INSTANCE_PATH_SIZE];

	memcpy(dir, server->control->dir, sizeof(dir));
	server->control = control_close(server->control);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_open_fails(server->instance, -EPERM, "root alone");
	assert_int_equal(rmdir(dir), 0);
}

static void names_that_lead_elsewhere_are_no_instances(void **state)
{
	static const char *const names[] = {"",
					    ".",
					    "..",
					    "../tmp",
					    "a/b",
					    "-x",
					    "a b",
					    "a\nb",
					    "12345678901234567890123456789012"
					    "345678901234567890123456789012345"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_open_fails(names[i], -EINVAL, "--instance");
}

/* Each child opens as soon as all are there; one that wins holds on until all have tried. */
static void of_many_servers_that_start_at_once_one_wins(void **state)
{
	enum { RACERS = 8, ROUNDS = 20 };
	struct server *server = *state;

	server->control = control_close(server->control);
	for (int round = 0; round < ROUNDS; round++) {
		int go[2], tried[2], n_won = 0;
		pid_t pids[RACERS];
		char byte;

		assert_int_equal(pipe(go), 0);
		assert_int_equal(pipe(tried), 0);
		for (int i = 0; i < RACERS; i++) {
			pids[i] = fork();
			assert_true(pids[i] >= 0);
			if (!pids[i]) {
				char *why = NULL;
				int err;

				close(go[1]);
				(void)!read(go[0], &byte, 1); /* end of file: go */
				err = control_open(server->instance, handle, server,
						   &server->control, &why);
				(void)!write(tried[1], "x", 1);
				close(tried[1]);
				/* End of file: all have tried. */
				while (!err && read(tried[0], &byte, 1) > 0)
					;
				control_close(server->control);
				_exit(!err ? 0 : err == -EADDRINUSE ? 1 : 2);
			}
		}
		close(go[0]);
		close(go[1]);
		close(tried[0]);
		close(tried[1]);
		for (int i = 0; i < RACERS; i++) {
			int status;

			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_true(WIFEXITED(status));
			assert_in_range(WEXITSTATUS(status), 0, 1);
			n_won += WEXITSTATUS(status) == 0;
		}
		assert_int_equal(n_won, 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_gets_the_handlers_answer),
		TEST(bytes_that_are_no_request_get_an_error_and_reach_no_handler),
		TEST(random_bytes_do_no_harm),
		TEST(arrays_a_hundred_thousand_deep_are_refused),
		TEST(a_handler_without_an_answer_gets_the_client_an_error),
		TEST(a_request_in_pieces_of_one_byte_is_answered),
		TEST(a_request_longer_than_the_maximum_is_refused_unread),
		TEST(a_request_of_just_the_maximum_is_answered),
		TEST(a_request_that_does_not_end_gets_an_error_when_its_time_is_up),
		TEST(bytes_that_trickle_do_not_buy_a_request_more_time),
		TEST(a_slow_reader_gets_every_byte_and_holds_nobody_up),
		TEST(a_reader_that_takes_nothing_is_closed_when_its_time_is_up),
		TEST(a_client_that_goes_at_any_point_frees_its_slot),
		TEST(clients_beyond_the_slots_wait_for_their_turn),
		TEST(the_socket_and_its_directory_are_for_root_alone),
		TEST(another_user_gets_no_answer_but_an_error),
		TEST(a_second_server_is_refused_and_the_first_keeps_serving),
		TEST(a_close_leaves_nothing_behind),
		TEST(what_a_killed_server_left_is_replaced),
		TEST(a_file_that_is_no_socket_is_not_removed),
		TEST(a_directory_that_others_may_write_to_is_not_used),
		TEST(names_that_lead_elsewhere_are_no_instances),
		TEST(of_many_servers_that_start_at_once_one_wins),
	};

	if (geteuid() != 0) {
		puts("test_control needs root: the control socket is in /run");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
