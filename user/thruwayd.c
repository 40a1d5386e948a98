// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * thruwayd: the daemon. Reads its arguments, puts the parts together and waits for signals and the
 * control socket. What to do with them is the parts' own business.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/instance.h"
#include "base/log.h"
#include "base/notify.h"
#include "edge/api.h"
#include "edge/control.h"
#include "edge/load.h"
#include "edge/reload.h"
#include "edge/router.h"

#define CONFIG_DEFAULT "/etc/thruway/thruway.yaml"

struct options {
	struct source source;
	const char *instance;
	bool reset;
};

static const char usage[] =
	"Usage: thruwayd [-c FILE|DIR] [--watch] [--instance NAME] [--log-level LEVEL] [--reset]\n"
	"\n"
	"Route TLS connections by server name, without decrypting them. Runs in the foreground.\n"
	"\n"
	"  -c, --config FILE|DIR  configuration (default " CONFIG_DEFAULT ")\n"
	"      --watch            read the configuration again whenever it changes\n"
	"      --instance NAME    pins in /sys/fs/bpf/NAME, control socket in /run/NAME\n"
	"                         (default thruway)\n"
	"      --log-level LEVEL  error, warn, info (default) or debug\n"
	"      --reset            remove pinned state of another version instead of refusing to "
	"start\n"
	"  -V, --version          print the version\n"
	"  -h, --help             print this help\n"
	"\n"
	"SIGHUP reads the configuration again: all of it, or nothing if it has an error (but see\n"
	"thruwayd(8) on Kubernetes objects). SIGTERM stops\n"
	"the daemon; routes and counters stay pinned (\"thruway down\" removes them).\n";

/* 0, or the exit code + 1. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"instance", required_argument, NULL, 'i'},
		{"log-level", required_argument, NULL, 'l'},
		{"reset", no_argument, NULL, 'r'},
		{"watch", no_argument, NULL, 'w'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	enum log_level level;
	int c;

	while ((c = getopt_long(argc, argv, "c:Vh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			if (!o->source.is_default) {
				fprintf(stderr, "thruwayd: -c stands twice\n");
				return 3;
			}
			o->source.path = optarg;
			o->source.is_default = false;
			break;
		case 'i':
			o->instance = optarg;
			break;
		case 'l':
			if (log_level_parse(optarg, &level)) {
				fprintf(stderr,
					"thruwayd: --log-level %s: one of error, warn, info, "
					"debug is expected\n",
					optarg);
				return 3;
			}
			log_set_level(level);
			break;
		case 'r':
			o->reset = true;
			break;
		case 'w':
			o->source.is_watched = true;
			break;
		case 'V':
			puts("thruwayd " THRUWAY_VERSION);
			return 1;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			fputs("Try 'thruwayd --help'.\n", stderr);
			return 3;
		}
	}
	if (optind < argc || !instance_is_valid(o->instance) ||
	    (o->source.is_watched && !strcmp(o->source.path, "-"))) {
		if (optind < argc)
			fprintf(stderr, "thruwayd: unexpected argument '%s'\n", argv[optind]);
		else if (!instance_is_valid(o->instance))
			fprintf(stderr,
				"thruwayd: --instance %s: " INSTANCE_EXPECTED " is expected\n",
				o->instance);
		else
			fprintf(stderr, "thruwayd: --watch: standard input cannot be watched\n");
		fputs("Try 'thruwayd --help'.\n", stderr);
		return 3;
	}
	return 0;
}

/* *@ret_n_errors: in what was left out. */
static struct router *start(const struct options *o, size_t *ret_n_errors)
{
	struct config_problems problems;
	struct router *router = NULL;
	struct config *config = NULL;
	char *why = NULL;
	int err;

	config_problems_init(&problems);
	err = source_read(&o->source, &config, &problems);
	if (!err && !load_can_start(config))
		err = -EINVAL;
	if (!err)
		err = router_open(o->instance, o->reset, config, &router, &why);
	if (!err)
		err = load_commit(router, TAKE_PTR(config), LOAD_WHAT_CAN_BE, false, NULL,
				  &problems, &why);
	load_log_problems(&problems);
	if (why)
		log_err("%s", why);
	else if (err && !problems.n_errors)
		log_err("cannot start: %s", strerror(-err));
	*ret_n_errors = problems.n_errors;
	config_free(config);
	free(why);
	config_problems_fini(&problems);
	return err ? router_close(router, false) : router;
}

/* The sooner of two timeouts for poll(). */
static int sooner(int a, int b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

/* Until a signal or "down" ends it; true = remove the pinned state, too. */
static bool serve(struct reload *reload, struct control *control, int signals, const bool *is_down)
{
	struct signalfd_siginfo info;

	while (!*is_down) {
		struct pollfd fds[] = {
			{.fd = signals, .events = POLLIN},
			{.fd = control_fd(control), .events = POLLIN},
			reload_poll_files(reload),
			reload_poll_mounts(reload),
		};
		int timeout = sooner(control_timeout_ms(control), reload_timeout_ms(reload));

		if (poll(fds, ARRAY_SIZE(fds), timeout) < 0 && errno != EINTR) {
			log_err("poll: %s", strerror(errno));
			return false;
		}
		control_dispatch(control);
		reload_dispatch(reload, fds[3].revents);
		if (!(fds[0].revents & POLLIN) ||
		    read(signals, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo != SIGHUP) {
			log_info("%s: stopping; routes and counters stay pinned",
				 strsignal((int)info.ssi_signo));
			return false;
		}
		reload_now(reload);
	}
	return true;
}

/* Block what is handled by signalfd in this and every later thread. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

struct handler {
	struct api api;
	bool is_down;
};

static json_t *handle(void *arg, const json_t *request)
{
	struct handler *h = arg;
	json_t *answer = api_handle(&h->api, request);

	h->is_down = h->is_down || json_is_true(json_object_get(answer, "down"));
	return answer;
}

int main(int argc, char **argv)
{
	struct options o = {.source = {.path = CONFIG_DEFAULT, .is_default = true},
			    .instance = INSTANCE_DEFAULT};
	_cleanup_close_ int signals = -1;
	struct control *control = NULL;
	struct reload reload;
	struct handler handler = {};
	struct router *router;
	size_t n_errors = 0;
	bool unpin = false;
	char *why = NULL;
	int code;

	code = parse_options(argc, argv, &o);
	if (code)
		return code - 1;
	if (geteuid() != 0) {
		log_err("root is needed to load BPF programs: run as root, or with sudo");
		return 1;
	}
	signals = open_signals();
	/* First of all: a second daemon of this instance must not touch its maps. */
	if (signals < 0 || control_open(o.instance, handle, &handler, &control, &why)) {
		log_err("%s", why ? why : strerror(errno));
		free(why);
		return 1;
	}
	reload = (struct reload){.source = &o.source, .api = &handler.api};
	/* Before the first reading: what changes from then on is seen. */
	code = reload_watch(&reload);
	router = code ? NULL : start(&o, &n_errors);
	if (router) {
		handler.api = (struct api){.router = router,
					   .instance = o.instance,
					   .config_path = o.source.path,
					   .start_monotonic_ms = clock_ms()};
		api_note_reload(&handler.api, n_errors);
		log_info("ready");
		notify_send("READY=1");
		unpin = serve(&reload, control, signals, &handler.is_down);
		notify_send("STOPPING=1");
	}
	code = router ? 0 : 1;
	/* The control socket and its lock go last: they keep another daemon away until all is done.
	 */
	router_close(router, unpin);
	reload_fini(&reload);
	api_fini(&handler.api);
	control_close(control);
	return code;
}
