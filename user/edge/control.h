/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* clang-format off */
/*
 * The control socket, /run/INSTANCE/control.sock: a UNIX stream socket, mode 0600, peer uid 0 only.
 * A client sends one JSON object, ends its side (shutdown(SHUT_WR)), and gets one JSON object back.
 *
 * Request   {"op": "route.add", ...}, at most INSTANCE_REQUEST_MAX bytes, within 10 seconds.
 * Answer    {...} on success, or {"error": "one line", "problems": [...]}. problems may also stand
 *           in a good answer (warnings, routes left out). A problem is
 *           {"file": S|null, "line": N, "column": N, "severity": "error"|"warning", "text": S}.
 *
 * op              arguments (? = optional)                       answer
 * route.add       name, backends [S] (as on the command line),   {"route": ROUTE}
 *                 balance?, listener?, alpn?, tries?, refuse?
 * route.del       name, listener?, alpn?                         {"deleted": N}
 * route.show      name?                                          {"routes": [ROUTE]}
 * route.explain   name? (absent = no SNI), port?, alpn? [S],     {"explain": [EXPLAIN]}, one a bind
 *                 src?, address?
 * apply           files [{"name", "text"}], dry_run?, partial?   {"changes": [{"action", "object",
 *                                                                  "name"}], "flows_affected": 0}
 * listener.show   name?                                          {"listeners": [LISTENER]}
 * backend.show    address?                                       {"backends": [BACKEND]}
 * backend.drain   address                                        {"backend": BACKEND}
 * backend.undrain address                                        {"backend": BACKEND}
 * conn.show       id?, route?, backend?, listener?, client?      {"connections": [CONN]}
 * conn.kill       the same, or all: true                         {"killed": N}
 * stats                                                          {"stats": STATS}
 * status          kind?, name?, namespace? (of the objects)      {"status": DAEMON, "objects":
 *                                                                  [OBJECT], "skipped": N}
 * down                                                           {"down": true}, then the daemon
 *                                                                  removes every pin and exits
 *
 * ROUTE     {"id", "name", "direct": bool|null (the listener's), "owner": "file"|"cli",
 *           "hostnames": [S], "listeners": [S] (those it is attached to), "alpn": [S], "balance": "weighted"|"least_conn"|"source", "tries",
 *           "refuse": bool, "timeouts": {"hello_ms", "connect_ms", "idle_ms", "half_closed_ms"}
 *           (0 = the listener's), "backends": [{"id", "address", "weight", "drained": bool,
 *           "invalid": bool}], "stats": COUNTS}
 * BACKEND   {"id", "address", "drained": bool, "pool": N, "routes": [S], "stats": COUNTS}
 * LISTENER  {"id", "name", "paths": [S], "direct": bool (local: direct), "address": "0.0.0.0:443" or
 *           "*:443", "hostname": S|null, "on_refuse",
 *           "timeouts", "no_sni": [S], "unknown_name": [S], "not_tls": [S] (backends),
 *           "stats": {"accepted", "waiting", "refused": {reason: N, ..}}}
 * COUNTS    {"connections", "active", "bytes_to_backend", "bytes_to_client", "connect_failures",
 *           "refused", "paths": {"packet": {"connections", "active", "bytes_to_backend",
 *           "bytes_to_client"}, "socket": {..}, "relay": {..}}}
 * CONN      {"id" (hex string), "client", "local", "listener", "sni", "alpn": [S], "route",
 *           "backend", "path", "direct": bool (its programs send past the router), "pooled": bool
 *           (its backend's socket came out of a pool), "left": S|null (why it left the socket path:
 *           TW_EJECTIONS), "state", "bytes_to_backend", "bytes_to_client", "age_ms", "idle_ms",
 *           "tries"}
 * STATS     {"listeners": [{"name", "accepted", "waiting", "refused": {..}}], "totals":
 *           {"accepted", "waiting", "connections", "active", "bytes_to_backend", "bytes_to_client",
 *           "connect_failures", "refused", "refusals": {reason: N}}, "routes": [{"name", "owner",
 *           ...COUNTS}], "backends": [{"address", ...COUNTS}], "socket_path": SOCKET}
 * SOCKET    {"joined", "fallbacks", "dropped", "backlog_bytes", "pool_hits", "pool_misses",
 *           "pool_dead", "ejected": {why: N}}: struct tw_socket (include/thruway/socket.h)
 * DAEMON    {"version", "pid", "instance", "uptime_s", "config", "workers", "connections", "pipes",
 *           "bytes", "paths": [S], "max_connections", "reload": {"in_force_unix_ms": since then
 *           what runs is as it was read, "errors": N (in what was left out), "failed_unix_ms":
 *           when the last reading failed (0 = it did not), "why": S|null}}
 * OBJECT    a GatewayClass, Gateway or TLSRoute as Kubernetes shows it: {"apiVersion", "kind",
 *           "metadata": {"name", "namespace"?, "generation"}, "status"}
 * EXPLAIN   {"bind": "*:443", "listener": S, "name": S|null, "matched": S|null ("*.example.com"),
 *           "match": "exact"|"wildcard"|"default"|"fallback"|null, "route": S|null,
 *           "reason": "ok" or a refusal's word, "reason_text": S, "backend": S|null (the next
 *           connection's), "backends": [{"address", "weight", "share": percent, "drained"}],
 *           "balance": S|null, "timeouts": {..}, "on_refuse": S, "tried": [S] (patterns looked up,
 *           in order), "gateway": GATEWAY|null (no Kubernetes object has to do with it)}
 * GATEWAY   {"listener": {"namespace", "gateway", "name", "hostname": S|null, "terminated": bool,
 *           "text"}|null (the name belongs to none of a Gateway), "route": ATTACHED|null (that has
 *           the name), "lost": [ATTACHED] (that do not have it), "services": [{"kind", "namespace",
 *           "name", "port", "weight", "share": percent, "endpoints": [S], "text": S|null}],
 *           "obstacles": [{"kind", "namespace", "name", "part": S|null, "type": S|null, "status",
 *           "reason", "message", "text" (all of it)}]}; at most 100 of a list
 * ATTACHED  {"namespace", "name", "hostname": S|null, "by": "only", "specificity", "age", "name";
 *           of those that lost also "owner" (another route than a TLSRoute has it), "listener"
 *           (the name is another listener's), "elsewhere" (other ports), "left_out", "text"}
 */
/* clang-format on */
#ifndef THRUWAY_CONTROL_H
#define THRUWAY_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct control;

/*
 * Answer @request (lent) with a new object. Called on the main thread, from control_dispatch(),
 * which hands the answer to the client's socket before it returns: a daemon that answered
 * {"down": true} may go as soon as control_dispatch() is back.
 */
typedef json_t *(*control_handler)(void *arg, const json_t *request);

/* 0 or -errno with one line in *@ret_why (to be freed); -EADDRINUSE: another daemon is there. */
int control_open(const char *instance, control_handler handler, void *arg,
		 struct control **ret_control, char **ret_why);
struct control *control_close(struct control *control);
/* An epoll fd to watch for input; then call control_dispatch(). Never blocks. */
int control_fd(const struct control *control);
void control_dispatch(struct control *control);
/* Milliseconds until control_dispatch() must be called for a timeout; -1 = none. */
int control_timeout_ms(const struct control *control);

#endif
