// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* thruway down: stop the daemon, or remove what a former one left pinned. */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/datapath.h"

/* How long the daemon may take to end its connections and remove its pins. */
#define EXIT_TIMEOUT_MS 30000

static int down_print(const struct cli *cli, const char *what)
{
	json_t *down;
	int status;

	if (!cli->is_json) {
		cli_note(cli, "%s", what);
		return CLI_DONE;
	}
	down = text_need(json_pack("{s:b}", "down", true));
	status = cli_json(cli, down);
	json_decref(down);
	return status;
}

static int down_pins(const struct cli *cli)
{
	_cleanup_free_ char *why = NULL;
	int err = datapath_unpin(cli->instance, &why);

	if (err == -ENOENT)
		return down_print(cli, "nothing to do: no daemon runs, nothing is pinned");
	if (err == -ENOTEMPTY && why) /* all of ours is gone */
		return down_print(cli, why);
	if (err < 0)
		return cli_error(cli, NULL, "/sys/fs/bpf/%s: %s%s", cli->instance,
				 why ? why : strerror(-err),
				 geteuid() ? "; run this as root (sudo)" : "");
	return down_print(cli, "no daemon ran; what a former one had pinned is removed");
}

/* The process behind @pidfd is gone; false if it takes too long. */
static bool wait_exit(int pidfd)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

	return poll(&poll_fd, 1, EXIT_TIMEOUT_MS) == 1;
}

int down_run(struct cli *cli)
{
	_cleanup_close_ int pidfd = -1;
	json_t *answer;
	int status, err;

	err = cli_ask(cli->instance, json_pack("{s:s}", "op", "status"), 5, &answer);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return down_pins(cli);
	if (!err) {
		const json_t *daemon = json_object_get(answer, "status");

		pidfd = (int)syscall(SYS_pidfd_open, (pid_t)cli_int(daemon, "pid"), 0);
		json_decref(answer);
	}
	status = cli_request(cli, json_pack("{s:s}", "op", "down"), &answer);
	if (status != CLI_DONE)
		return status;
	json_decref(answer);
	if (pidfd >= 0 && !wait_exit(pidfd))
		return cli_error(
			cli, NULL,
			"the daemon said yes but has not ended for %d seconds; see its log",
			EXIT_TIMEOUT_MS / 1000);
	return down_print(cli, "the daemon has ended and removed everything of the instance");
}
