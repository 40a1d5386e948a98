// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * thruway: the command line tool. Here are the table of commands, which drives dispatch, help and
 * completion, and main(). What a command does is in the file of its object.
 */
#include "cli/cli.h"

#include <string.h>

/* clang-format off */
const struct cli_option cli_options[OPT_N] = {
	[OPT_JSON]     = { "json",     'j', false },
	[OPT_PRETTY]   = { "pretty",   'p', false },
	[OPT_INSTANCE] = { "instance", 0,   true },
	[OPT_VERSION]  = { "version",  'V', false },
	[OPT_HELP]     = { "help",     'h', false },
	[OPT_BALANCE]  = { "balance",  0,   true },
	[OPT_LISTENER] = { "listener", 0,   true },
	[OPT_ALPN]     = { "alpn",     0,   true },
	[OPT_TRIES]    = { "tries",    0,   true },
	[OPT_REFUSE]   = { "refuse",   0,   false },
	[OPT_PORT]     = { "port",     0,   true },
	[OPT_SRC]      = { "src",      0,   true },
	[OPT_FILE]     = { "file",     'f', true },
	[OPT_DRY_RUN]  = { "dry-run",  0,   false },
	[OPT_PARTIAL]  = { "partial",  0,   false },
	[OPT_ROUTE]    = { "route",    0,   true },
	[OPT_BACKEND]  = { "backend",  0,   true },
	[OPT_CLIENT]   = { "client",   0,   true },
	[OPT_ALL]      = { "all",      0,   false },
	[OPT_WATCH]    = { "watch",    0,   false },
	[OPT_OUTPUT]   = { "output",   'o', true },
	[OPT_NAMESPACE] = { "namespace", 'n', true },
};

const struct cli_use cli_common[] = {
	{ OPT_JSON,     NULL,   "print JSON (errors too: {\"error\": ..})", WORDS_NONE },
	{ OPT_PRETTY,   NULL,   "print JSON with line breaks", WORDS_NONE },
	{ OPT_INSTANCE, "NAME", "talk to this instance's daemon (default: thruway)", WORDS_NONE },
	{ OPT_VERSION,  NULL,   "print the version", WORDS_NONE },
	{ OPT_HELP,     NULL,   "print help for the object or verb", WORDS_NONE },
	{ OPT_NONE,     NULL,   NULL, WORDS_NONE },
};

static const struct cli_use no_uses[] = {
	{ OPT_NONE, NULL, NULL, WORDS_NONE },
};

static const struct cli_use route_add_uses[] = {
	{ OPT_BALANCE,  "HOW",  "weighted (default), least_conn or source", WORDS_BALANCE },
	{ OPT_LISTENER, "NAME", "on this listener only (default: all)", WORDS_LISTENER },
	{ OPT_ALPN,     "PROTOCOL", "for clients that offer this protocol (default: any)", WORDS_NONE },
	{ OPT_TRIES,    "N",    "backends tried for one connection (1..8, default 3)", WORDS_NONE },
	{ OPT_REFUSE,   NULL,   "refuse the name instead: no BACKEND then", WORDS_NONE },
	{ OPT_NONE,     NULL,   NULL, WORDS_NONE },
};

static const struct cli_use route_del_uses[] = {
	{ OPT_LISTENER, "NAME", "the one that was added for this listener", WORDS_LISTENER },
	{ OPT_ALPN,     "PROTOCOL", "the one that was added for this protocol", WORDS_NONE },
	{ OPT_NONE,     NULL,   NULL, WORDS_NONE },
};

static const struct cli_use route_explain_uses[] = {
	{ OPT_PORT, "PORT",       "the port that the client dials (default: every listener's)", WORDS_NONE },
	{ OPT_ALPN, "A[,A...]",   "protocols that the client offers, in its order (default: none)", WORDS_NONE },
	{ OPT_SRC,  "IP",         "the client's address (default: 192.0.2.1)", WORDS_NONE },
	{ OPT_NONE, NULL,         NULL, WORDS_NONE },
};

static const struct cli_use apply_uses[] = {
	{ OPT_FILE,    "FILE|DIR|-", "what to read: a file, a directory's *.yaml, *.yml and *.json, "
				     "or stdin", WORDS_FILE },
	{ OPT_DRY_RUN, NULL,         "print what would change, change nothing", WORDS_NONE },
	{ OPT_PARTIAL, NULL,         "leave bad routes and objects out and apply the others", WORDS_NONE },
	{ OPT_NONE,    NULL,         NULL, WORDS_NONE },
};

static const struct cli_use check_uses[] = {
	{ OPT_FILE, "FILE|DIR|-", "what to read: a file, a directory's *.yaml, *.yml and *.json, "
				  "or stdin", WORDS_FILE },
	{ OPT_NONE, NULL,         NULL, WORDS_NONE },
};

static const struct cli_use conn_show_uses[] = {
	{ OPT_ROUTE,    "NAME",    "of this route", WORDS_ROUTE },
	{ OPT_BACKEND,  "ADDRESS", "to this backend", WORDS_BACKEND },
	{ OPT_LISTENER, "NAME",    "of this listener", WORDS_LISTENER },
	{ OPT_CLIENT,   "IP",      "from this client", WORDS_NONE },
	{ OPT_NONE,     NULL,      NULL, WORDS_NONE },
};

static const struct cli_use conn_kill_uses[] = {
	{ OPT_ROUTE,    "NAME",    "those of this route", WORDS_ROUTE },
	{ OPT_BACKEND,  "ADDRESS", "those to this backend", WORDS_BACKEND },
	{ OPT_LISTENER, "NAME",    "those of this listener", WORDS_LISTENER },
	{ OPT_CLIENT,   "IP",      "those from this client", WORDS_NONE },
	{ OPT_ALL,      NULL,      "every connection", WORDS_NONE },
	{ OPT_NONE,     NULL,      NULL, WORDS_NONE },
};

static const struct cli_use status_uses[] = {
	{ OPT_OUTPUT,    "FORMAT", "table (default), json (as -j) or yaml", WORDS_OUTPUT },
	{ OPT_NAMESPACE, "NAME",   "objects of this namespace, and classes (default: of all)", WORDS_NAMESPACE },
	{ OPT_NONE,      NULL,     NULL, WORDS_NONE },
};

static const struct cli_use stats_uses[] = {
	{ OPT_WATCH, NULL, "again every SECONDS (1..3600, default 1), with rates, until Ctrl-C",
	  WORDS_NONE },
	{ OPT_NONE,  NULL, NULL, WORDS_NONE },
};

const struct cli_command cli_commands[] = {
	{ "route", "add", "NAME BACKEND[,weight=N][,pool=N]...", 1, 1025, WORDS_NONE, WORDS_BACKEND,
	  "send connections for a server name to backends",
	  "NAME is a host name, \"*.example.com\" (one or more labels more) or \"*\" (all others).\n"
	  "BACKEND is ADDRESS:PORT, [IPV6]:PORT or unix:/PATH; weight=0 takes no connections,\n"
	  "pool=N keeps N of them open.\n"
	  "Adding NAME again replaces what the command line said about it before. Such routes last\n"
	  "across a reload, an apply and a restart of the daemon, until \"route del\" or \"down\".\n"
	  "A name that the configuration file routes is the file's: change it there.",
	  route_add_uses, route_add },
	{ "route", "del", "NAME", 1, 1, WORDS_ROUTE, WORDS_NONE,
	  "delete a route that the command line added",
	  "Open connections stay; the next one is refused, or served by a broader route.",
	  route_del_uses, route_del },
	{ "route", "show", "[NAME]", 0, 1, WORDS_ROUTE, WORDS_NONE,
	  "list the routes, or show one in full", "", no_uses, route_show },
	{ "route", "explain", "[NAME]", 0, 1, WORDS_SERVER_NAME, WORDS_NONE,
	  "tell where a connection for a server name would go, and why",
	  "Asks the program that routes connections, without counting one. Without NAME: a client\n"
	  "that sends no server name.",
	  route_explain_uses, route_explain },
	{ "listener", "show", "[NAME]", 0, 1, WORDS_LISTENER, WORDS_NONE,
	  "list the listeners, or show one in full", "", no_uses, listener_show },
	{ "backend", "show", "[ADDRESS]", 0, 1, WORDS_BACKEND, WORDS_NONE,
	  "list the backends with their routes and counters", "", no_uses, backend_show },
	{ "backend", "drain", "ADDRESS", 1, 1, WORDS_BACKEND, WORDS_NONE,
	  "send no new connections to a backend",
	  "Open connections stay. Lasts until \"backend undrain\", across restarts of the daemon.",
	  no_uses, backend_drain },
	{ "backend", "undrain", "ADDRESS", 1, 1, WORDS_BACKEND, WORDS_NONE,
	  "send new connections to a drained backend again", "", no_uses, backend_undrain },
	{ "conn", "show", "[ID]", 0, 1, WORDS_CONN, WORDS_NONE,
	  "list open connections",
	  "With several options, those for which all of them hold.",
	  conn_show_uses, conn_show },
	{ "conn", "kill", "[ID]", 0, 1, WORDS_CONN, WORDS_NONE,
	  "end open connections (both ends get RST)",
	  "With several options, those for which all of them hold; one at least is needed.",
	  conn_kill_uses, conn_kill },
	{ "stats", NULL, "[--watch [SECONDS]]", 0, 1, WORDS_NONE, WORDS_NONE,
	  "show the counters", "Counters count since the instance's maps were made (see \"down\").",
	  stats_uses, stats_show },
	{ "apply", NULL, "-f FILE|DIR|-", 0, 0, WORDS_NONE, WORDS_NONE,
	  "bring the running daemon to what a configuration says",
	  "All or nothing (but see --partial). Files own their routes, the command line its own:\n"
	  "routes of files that are not in the new configuration go, those of \"route add\" stay.\n"
	  "Only the running daemon changes: a SIGHUP or a restart goes back to the file that it\n"
	  "was started with (thruwayd -c FILE).",
	  apply_uses, apply_run },
	{ "check", NULL, "-f FILE|DIR|-", 0, 0, WORDS_NONE, WORDS_NONE,
	  "find the mistakes in a configuration",
	  "Needs neither a daemon nor root. Exit status 1 if there is an error.",
	  check_uses, check_run },
	{ "status", NULL, "[KIND[/NAME]]", 0, 2, WORDS_OBJECT, WORDS_OBJECT_NAME,
	  "show what the daemon is and holds",
	  "With KIND (gateway, gatewayclass, tlsroute), the conditions of these Kubernetes objects\n"
	  "alone; KIND NAME is the same as KIND/NAME. JSON and YAML are a Kubernetes List, also\n"
	  "where it holds one object.",
	  status_uses, status_show },
	{ "doctor", NULL, "", 0, 0, WORDS_NONE, WORDS_NONE,
	  "examine this machine: what works, what does not, what helps",
	  "Works with and without a daemon. Exit status 1 if something fails.",
	  no_uses, doctor_run },
	{ "down", NULL, "", 0, 0, WORDS_NONE, WORDS_NONE,
	  "stop the daemon and remove everything of the instance",
	  "Routes of \"route add\", drained flags and all counters are lost; connections end.\n"
	  "Without a daemon, what a former one left in /sys/fs/bpf is removed.",
	  no_uses, down_run },
	{ NULL, NULL, NULL, 0, 0, WORDS_NONE, WORDS_NONE, NULL, NULL, NULL, NULL },
};
/* clang-format on */

int main(int argc, char **argv)
{
	struct cli cli;
	int status;

	/* Used by the shell's completion alone, and so not in the table. */
	if (argc > 2 && !strcmp(argv[1], "completion-words"))
		return cli_complete(argc - 2, argv + 2);
	status = cli_parse(&cli, argc, argv);
	if (status != CLI_DONE)
		return status;
	if (cli.options[OPT_HELP]) {
		cli_help(&cli, stdout);
		return cli_finish(&cli);
	}
	if (cli.options[OPT_VERSION]) {
		printf("thruway %s\n", THRUWAY_VERSION);
		return cli_finish(&cli);
	}
	status = cli.command->run(&cli);
	return status == CLI_DONE ? cli_finish(&cli) : status;
}
