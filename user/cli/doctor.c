// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * thruway doctor: what this machine has and lacks, line by line, each with a remedy. Reads /proc
 * and /sys, tries the real BPF object once under a name of its own, and asks a running daemon.
 * Changes nothing that stays.
 */
#include "cli/cli.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "kernel/datapath.h"
#include "kernel/selftest.h"

/* Longest kernel configuration line, and most of a /proc file, that is looked at. */
#define LINE_SIZE 512
#define FILE_SIZE 65536

/* First kernels with what we need beside the object itself. */
#define KERNEL_MEMCG DATAPATH_KERNEL(5, 11) /* BPF memory is not counted by RLIMIT_MEMLOCK */

#define NOFILE_WANTED	 65536
#define SOMAXCONN_WANTED 1024
#define BACKLOG_WANTED	 1024
#define PORTS_WANTED	 20000

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

struct doctor {
	const struct cli *cli;
	json_t *checks;
	bool has_failed;
	int kernel; /* DATAPATH_KERNEL() */
	bool is_capable;
	bool has_bpffs;
	bool has_socket_path;
	pid_t daemon; /* 0 = none runs */
};

static const char *const verdict_words[] = {"ok", "warn", "fail"};

/* Report one finding; @remedy is NULL where there is nothing to remedy. */
__attribute__((format(printf, 5, 6))) static void report(struct doctor *doctor,
							 enum verdict verdict, const char *check,
							 const char *remedy, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	text_need(text);
	doctor->has_failed |= verdict == VERDICT_FAIL;
	json_array_append_new(
		doctor->checks,
		text_need(json_pack("{s:s, s:s, s:s, s:s?}", "check", check, "verdict",
				    verdict_words[verdict], "text", text, "remedy",
				    verdict == VERDICT_OK ? NULL : remedy)));
	free(text);
}

/* The start of a small file, without its last line feed; "" if it cannot be read. */
static char *file_text(const char *path)
{
	char *text = text_need(calloc(1, FILE_SIZE));
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, FILE_SIZE - 1);

	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = '\0';
	return text;
}

/* A number in a file of /proc/sys; -1 if it cannot be read. */
static long sysctl_number(const char *path)
{
	char *text = file_text(path), *end;
	long value = strtol(text, &end, 10);

	if (end == text)
		value = -1;
	free(text);
	return value;
}

/* --- kernel ---------------------------------------------------------------------------------- */

static void check_kernel(struct doctor *doctor)
{
	struct utsname name;
	int major = 0, minor = 0;

	if (uname(&name) < 0 || sscanf(name.release, "%d.%d", &major, &minor) != 2) {
		report(doctor, VERDICT_WARN, "kernel", NULL, "the release cannot be read");
		return;
	}
	doctor->kernel = DATAPATH_KERNEL(major, minor);
	if (doctor->kernel < DATAPATH_KERNEL_MIN)
		report(doctor, VERDICT_FAIL, "kernel", "boot " DATAPATH_KERNEL_MIN_TEXT " or newer",
		       "Linux %s cannot run the routing program", name.release);
	else
		report(doctor, VERDICT_OK, "kernel", NULL, "Linux %s", name.release);
}

static void check_btf(struct doctor *doctor)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		report(doctor, VERDICT_OK, "btf", NULL, "/sys/kernel/btf/vmlinux is there");
	else
		report(doctor, VERDICT_WARN, "btf", "use a kernel with CONFIG_DEBUG_INFO_BTF=y",
		       "/sys/kernel/btf/vmlinux: %s", strerror(errno));
}

/* A kernel's configuration, by line; gzopen() reads plain files, too. */
static gzFile kernel_config_open(char path[LINE_SIZE])
{
	struct utsname name;
	gzFile file;

	snprintf(path, LINE_SIZE, "/proc/config.gz");
	file = gzopen(path, "re");
	if (file || uname(&name) < 0)
		return file;
	snprintf(path, LINE_SIZE, "/boot/config-%s", name.release);
	return gzopen(path, "re");
}

static const struct kernel_option {
	const char *name;
	bool is_needed; /* now; the others are for the faster paths */
} kernel_options[] = {
	{"CONFIG_BPF_SYSCALL", true},	   {"CONFIG_BPF_JIT", false},
	{"CONFIG_DEBUG_INFO_BTF", false},  {"CONFIG_CGROUP_BPF", false},
	{"CONFIG_NET_CLS_BPF", false},	   {"CONFIG_NET_CLS_ACT", false},
	{"CONFIG_NET_SCH_INGRESS", false}, {"CONFIG_BPF_STREAM_PARSER", false},
};

static void check_kernel_config(struct doctor *doctor)
{
	char path[LINE_SIZE], line[LINE_SIZE];
	bool is_set[ARRAY_SIZE(kernel_options)] = {};
	gzFile file = kernel_config_open(path);
	size_t n_set = 0;

	if (!file) {
		report(doctor, VERDICT_OK, "kernel_config", NULL,
		       "not readable here (/proc/config.gz, %s); the self-test tells", path);
		return;
	}
	while (gzgets(file, line, sizeof(line)))
		for (size_t i = 0; i < ARRAY_SIZE(kernel_options); i++) {
			size_t len = strlen(kernel_options[i].name);

			if (!strncmp(line, kernel_options[i].name, len) && line[len] == '=' &&
			    (line[len + 1] == 'y' || line[len + 1] == 'm'))
				is_set[i] = true;
		}
	gzclose(file);
	for (size_t i = 0; i < ARRAY_SIZE(kernel_options); i++) {
		n_set += is_set[i];
		if (!is_set[i])
			report(doctor, kernel_options[i].is_needed ? VERDICT_FAIL : VERDICT_WARN,
			       "kernel_config", "use a kernel that has it", "%s is not set in %s%s",
			       kernel_options[i].name, path,
			       kernel_options[i].is_needed ? "" : " (the relay works without)");
	}
	if (n_set == ARRAY_SIZE(kernel_options))
		report(doctor, VERDICT_OK, "kernel_config", NULL, "%s has all %zu options", path,
		       n_set);
}

static void check_jit(struct doctor *doctor)
{
	long jit = sysctl_number("/proc/sys/net/core/bpf_jit_enable");

	if (jit < 0)
		report(doctor, VERDICT_OK, "jit", NULL,
		       "net.core.bpf_jit_enable is not visible here (network namespace, no root)");
	else if (!jit)
		report(doctor, VERDICT_WARN, "jit", "sysctl -w net.core.bpf_jit_enable=1",
		       "BPF programs are interpreted, which is slow");
	else
		report(doctor, VERDICT_OK, "jit", NULL, "net.core.bpf_jit_enable = %ld", jit);
}

/* --- rights and mounts ----------------------------------------------------------------------- */

static void check_rights(struct doctor *doctor)
{
	static const struct {
		unsigned int capability;
		const char *name;
	} wanted[] = {
		{CAP_BPF, "CAP_BPF"},
		{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
	};
	char missing[128] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!capng_have_capability(CAPNG_EFFECTIVE, wanted[i].capability))
			len += (size_t)snprintf(missing + len, sizeof(missing) - len, " %s",
						wanted[i].name);
	doctor->is_capable = geteuid() == 0 && !len;
	if (geteuid())
		report(doctor, VERDICT_FAIL, "rights", "run this and thruwayd as root",
		       "user %u is not root: only some of this could be examined", geteuid());
	else if (len)
		report(doctor, VERDICT_FAIL, "rights",
		       "give the container or unit these capabilities", "root, but without%s",
		       missing);
	else
		report(doctor, VERDICT_OK, "rights", NULL, "root with all capabilities needed");
}

/* Is a file system of @type mounted on @path (NULL = anywhere)? */
static bool is_mounted(const char *type, const char *path)
{
	_cleanup_fclose_ FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[4096], on[2048], kind[64];

	while (mounts && fgets(line, sizeof(line), mounts))
		if (sscanf(line, "%*s %2047s %63s", on, kind) == 2 && !strcmp(kind, type) &&
		    (!path || !strcmp(on, path)))
			return true;
	return false;
}

static void check_mounts(struct doctor *doctor)
{
	doctor->has_bpffs = is_mounted("bpf", "/sys/fs/bpf");
	if (doctor->has_bpffs)
		report(doctor, VERDICT_OK, "bpffs", NULL, "mounted on /sys/fs/bpf");
	else
		report(doctor, VERDICT_FAIL, "bpffs", "mount -t bpf bpf /sys/fs/bpf",
		       "not mounted on /sys/fs/bpf: state cannot be pinned");
	if (is_mounted("cgroup2", NULL))
		report(doctor, VERDICT_OK, "cgroup2", NULL, "mounted");
	else
		report(doctor, VERDICT_WARN, "cgroup2", "mount -t cgroup2 none /sys/fs/cgroup",
		       "not mounted: the relay works, a socket path will not");
}

/* --- limits ---------------------------------------------------------------------------------- */

static void check_files_limit(struct doctor *doctor)
{
	const char *whose = doctor->daemon ? "the daemon" : "a daemon started from here";
	struct rlimit limit;

	if (prlimit(doctor->daemon, RLIMIT_NOFILE, NULL, &limit) < 0)
		report(doctor, VERDICT_WARN, "open_files", NULL, "cannot be read: %s",
		       strerror(errno));
	else if (limit.rlim_max < NOFILE_WANTED)
		report(doctor, VERDICT_WARN, "open_files",
		       "ulimit -Hn 1048576, or LimitNOFILE=1048576 in the unit",
		       "%s may open %llu files: about %llu connections", whose,
		       (unsigned long long)limit.rlim_max, (unsigned long long)limit.rlim_max / 2);
	else
		report(doctor, VERDICT_OK, "open_files", NULL, "%s may open %llu files", whose,
		       (unsigned long long)limit.rlim_max);
}

static void check_memlock(struct doctor *doctor)
{
	struct rlimit limit;

	if (doctor->kernel >= KERNEL_MEMCG) {
		report(doctor, VERDICT_OK, "memlock", NULL,
		       "does not limit BPF maps on this kernel");
		return;
	}
	if (!prlimit(doctor->daemon, RLIMIT_MEMLOCK, NULL, &limit) &&
	    limit.rlim_max == RLIM_INFINITY)
		report(doctor, VERDICT_OK, "memlock", NULL, "unlimited");
	else
		report(doctor, VERDICT_WARN, "memlock",
		       "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit",
		       "limits the BPF maps on this kernel");
}

static void check_least(struct doctor *doctor, const char *check, const char *sysctl,
			const char *remedy, long wanted, const char *what)
{
	char *path = text_format("/proc/sys/net/%s", sysctl);
	long value = sysctl_number(path);

	if (value < 0)
		report(doctor, VERDICT_OK, check, NULL, "%s is not visible here", path);
	else if (value < wanted)
		report(doctor, VERDICT_WARN, check, remedy, "%ld: %s", value, what);
	else
		report(doctor, VERDICT_OK, check, NULL, "%ld", value);
	free(path);
}

static void check_ports(struct doctor *doctor)
{
	char *text = file_text("/proc/sys/net/ipv4/ip_local_port_range");
	long first, last;

	if (sscanf(text, "%ld %ld", &first, &last) != 2)
		report(doctor, VERDICT_OK, "local_ports", NULL,
		       "net.ipv4.ip_local_port_range is not visible here");
	else if (last - first + 1 < PORTS_WANTED)
		report(doctor, VERDICT_WARN, "local_ports",
		       "sysctl -w net.ipv4.ip_local_port_range=\"15000 60999\"",
		       "%ld-%ld: at most %ld connections to one backend at a time", first, last,
		       last - first + 1);
	else
		report(doctor, VERDICT_OK, "local_ports", NULL, "%ld-%ld", first, last);
	free(text);
}

static void check_limits(struct doctor *doctor)
{
	check_files_limit(doctor);
	check_memlock(doctor);
	check_least(doctor, "somaxconn", "core/somaxconn", "sysctl -w net.core.somaxconn=4096",
		    SOMAXCONN_WANTED, "bursts of new connections are dropped");
	check_least(doctor, "syn_backlog", "ipv4/tcp_max_syn_backlog",
		    "sysctl -w net.ipv4.tcp_max_syn_backlog=4096", BACKLOG_WANTED,
		    "bursts of new connections get SYN cookies or are dropped");
	check_ports(doctor);
}

/* --- trying it ------------------------------------------------------------------------------- */

static void on_step(void *arg, enum selftest_step step, int err)
{
	char check[32];

	snprintf(check, sizeof(check), "socket_%s", selftest_name(step));
	if (err)
		report(arg, VERDICT_WARN, check,
		       step == SELFTEST_sockets ? "ip link set lo up"
						: "use a newer kernel, or paths: [relay]",
		       "%s (%s)", selftest_text(step, err), strerror(-err));
	else
		report(arg, VERDICT_OK, check, NULL, "%s", selftest_text(step, err));
}

/* What the daemon tries when it starts: without it there is the relay, so nothing fails. */
static void check_socket_path(struct doctor *doctor, const struct datapath *dp)
{
	enum selftest_step step = 0;
	struct sockmap *sockmap = NULL;
	int err = sockmap_open(dp, &sockmap);

	if (err)
		report(doctor, VERDICT_WARN, "socket_load", "use a newer kernel, or paths: [relay]",
		       "the socket path's programs do not load");
	else
		err = selftest_run(sockmap, on_step, doctor, &step);
	doctor->has_socket_path = !err;
	sockmap_close(sockmap);
}

/* The real object under a name that nobody else uses: loads, answers, goes. */
static void check_self_test(struct doctor *doctor)
{
	char instance[64], *why = NULL;
	struct tw_decide question = {.ask = TW_ASK_LISTENER, .dry_run = 1};
	struct datapath *dp = NULL;
	int err;

	if (!doctor->is_capable || !doctor->has_bpffs) {
		report(doctor, VERDICT_WARN, "self_test", "see above", "not tried");
		return;
	}
	snprintf(instance, sizeof(instance), "doctor-%d", getpid());
	err = datapath_open(instance, false, &dp, &why);
	if (err < 0) {
		report(doctor, VERDICT_FAIL, "self_test", "see thruwayd --log-level debug",
		       "the BPF object does not load: %s", why ? why : strerror(-err));
		free(why);
	} else {
		err = datapath_decide(dp, &question);
		if (err < 0)
			report(doctor, VERDICT_FAIL, "self_test",
			       "use a newer kernel (BPF_PROG_TYPE_SYSCALL)",
			       "the routing program loads but does not run: %s", strerror(-err));
		else
			report(doctor, VERDICT_OK, "self_test", NULL,
			       "the BPF object loads, pins and answers");
		check_socket_path(doctor, dp);
	}
	datapath_close(dp);
	(void)datapath_unpin(instance, NULL);
}

/* --- the daemon and its path ----------------------------------------------------------------- */

static json_t *daemon_status(struct doctor *doctor, int *ret_err)
{
	json_t *answer = NULL;

	*ret_err = cli_ask(doctor->cli->instance, json_pack("{s:s}", "op", "status"), 5, &answer);
	doctor->daemon = (pid_t)cli_int(json_object_get(answer, "status"), "pid");
	return answer;
}

static void check_daemon(struct doctor *doctor, const json_t *answer, int err)
{
	const json_t *status = json_object_get(answer, "status");
	char uptime[TEXT_SIZE];

	if (!err)
		report(doctor, VERDICT_OK, "daemon", NULL,
		       "thruwayd %s runs as pid %d, up %s, %lld connections",
		       cli_str(status, "version"), doctor->daemon,
		       text_duration(uptime, cli_int(status, "uptime_s") * 1000),
		       cli_int(status, "connections"));
	else if (err == -ENOENT || err == -ECONNREFUSED)
		report(doctor, VERDICT_WARN, "daemon", "thruwayd -c FILE",
		       "none runs for instance %s", doctor->cli->instance);
	else if (err == -EACCES || err == -EPERM)
		report(doctor, VERDICT_WARN, "daemon", "run this as root",
		       "only root may ask whether one runs");
	else
		report(doctor, VERDICT_FAIL, "daemon", "see the daemon's log; restart it",
		       "it does not answer as it should: %s", strerror(-err));
}

static void check_reload(struct doctor *doctor, const json_t *reload)
{
	if (cli_int(reload, "failed_unix_ms"))
		report(doctor, VERDICT_WARN, "reload",
		       "remove the cause; without --watch, send the daemon SIGHUP then",
		       "failed: %s", cli_str(reload, "why"));
	else if (cli_int(reload, "errors"))
		report(doctor, VERDICT_WARN, "reload", "see the daemon's log",
		       "what has errors (%lld) is left out", cli_int(reload, "errors"));
	else if (reload)
		report(doctor, VERDICT_OK, "reload", NULL, "the configuration is in force");
}

static const char *best_path(const struct doctor *doctor)
{
	return doctor->has_socket_path ? "socket" : "relay";
}

static void check_path(struct doctor *doctor)
{
	if (doctor->has_failed)
		report(doctor, VERDICT_WARN, "path", "remedy what fails above",
		       "%s, once nothing fails; the packet path is not in this version",
		       best_path(doctor));
	else
		report(doctor, VERDICT_OK, "path", NULL,
		       "%s; the packet path is not in this version",
		       doctor->has_socket_path ? "socket and relay" : "relay");
}

/* --- all of it ------------------------------------------------------------------------------- */

static void checks_print(const json_t *checks)
{
	static const struct {
		const char *word;
		enum cli_colour colour;
	} colours[] = {{"ok", COLOUR_GREEN}, {"warn", COLOUR_YELLOW}, {"fail", COLOUR_RED}};
	const json_t *check;
	size_t i;

	json_array_foreach (checks, i, check) {
		const char *verdict = cli_str(check, "verdict");
		char *text = text_escape(cli_str(check, "text"));
		enum cli_colour colour = COLOUR_NONE;

		for (size_t j = 0; j < ARRAY_SIZE(colours); j++)
			if (!strcmp(verdict, colours[j].word))
				colour = colours[j].colour;
		printf("%s%-4s%s  %-14s %s\n", cli_colour(stdout, colour), verdict,
		       cli_colour(stdout, COLOUR_NONE), cli_str(check, "check"), text);
		if (cli_str(check, "remedy")[0])
			printf("%22sremedy: %s\n", "", cli_str(check, "remedy"));
		free(text);
	}
}

int doctor_run(struct cli *cli)
{
	struct doctor doctor = {.cli = cli, .checks = text_need(json_array())};
	json_t *answer, *result;
	int status = CLI_DONE, err;

	answer = daemon_status(&doctor, &err);
	check_kernel(&doctor);
	check_btf(&doctor);
	check_kernel_config(&doctor);
	check_jit(&doctor);
	check_rights(&doctor);
	check_mounts(&doctor);
	check_limits(&doctor);
	check_self_test(&doctor);
	check_daemon(&doctor, answer, err);
	check_reload(&doctor, json_object_get(json_object_get(answer, "status"), "reload"));
	check_path(&doctor);
	if (cli->is_json) {
		result = text_need(json_pack("{s:b, s:O, s:s}", "ok", !doctor.has_failed, "checks",
					     doctor.checks, "path", best_path(&doctor)));
		status = cli_json(cli, result);
		json_decref(result);
	} else {
		checks_print(doctor.checks);
	}
	json_decref(answer);
	json_decref(doctor.checks);
	if (status == CLI_DONE)
		status = cli_finish(cli);
	return doctor.has_failed ? CLI_FAILED : status;
}
