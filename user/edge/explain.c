// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where would this connection go, and why? The question goes to tw_decide, the very program that
 * decides for connections, with dry_run set; here only the question is filled in and the answer put
 * into words.
 */
#include "edge/explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/reason.h"
#include "edge/show.h"
#include "model/gateway.h"
#include "thruway/name.h"

static int read_alpn(const json_t *list, struct tw_decide *q)
{
	const char *protocol;
	json_t *item;
	size_t i, len;

	json_array_foreach (list, i, item) {
		protocol = json_string_value(item);
		len = protocol ? strlen(protocol) : 0;
		if (!len || len > 255 || q->alpn_len + 1 + len > sizeof(q->alpn))
			return -EINVAL;
		q->alpn[q->alpn_len] = (__u8)len;
		memcpy(q->alpn + q->alpn_len + 1, protocol, len);
		q->alpn_len += 1 + (__u16)len;
	}
	return 0;
}

/* NULL, or what is wrong with the request. */
static json_t *read_question(const json_t *request, struct tw_decide *q)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *src = json_string_value(json_object_get(request, "src"));
	int len;

	q->dry_run = 1;
	q->ask = name ? TW_ASK_NAME : TW_ASK_NO_SNI;
	if (name) {
		len = tw_name_normalise(q->name, name, (__u32)strnlen(name, TW_NAME_SIZE));
		if (len < 0)
			return json_pack("{s:o}", "error",
					 json_sprintf("%s: %s", name, tw_name_strerror(len)));
		q->name_len = (__u16)len;
	}
	if (addr_parse_ip(src ? src : "192.0.2.1", q->client))
		return json_pack("{s:o}", "error", json_sprintf("%s is not an IP address", src));
	if (read_alpn(json_object_get(request, "alpn"), q))
		return json_pack("{s:s}", "error", "alpn: protocols of 1..255 bytes are expected");
	return NULL;
}

static const char *match_kind(const struct tw_decide *q)
{
	if (!q->matched_len)
		return q->route ? "fallback" : NULL;
	if (!strcmp(q->matched.name, "*"))
		return "default";
	return *q->matched.name == '*' ? "wildcard" : "exact";
}

static json_t *shares(struct router *router, const struct tw_route *route)
{
	const struct tw_slot *slots =
		route ? tables_route_slots(router_tables(router), route->id) : NULL;
	json_t *array = json_array();
	double sum = 0;

	for (__u32 i = 0; slots && i < route->backends; i++)
		sum += slots[i].weight;
	for (__u32 i = 0; slots && i < route->backends; i++) {
		const struct tw_backend *b =
			tables_backend(router_tables(router), slots[i].backend);
		double share = sum ? 100.0 * slots[i].weight / sum : 0;

		json_array_append_new(array, json_pack("{s:o, s:i, s:f, s:b}", "address",
						       show_text(b ? b->text : NULL), "weight",
						       (int)slots[i].weight, "share", share,
						       "drained", b ? (int)b->drained : 0));
	}
	return array;
}

/* The patterns that can match @name, in the order in which they are looked up. */
static json_t *patterns(const struct tw_decide *q)
{
	char pattern[TW_NAME_SIZE + 2];
	json_t *array = json_array();
	const char *dot;

	if (q->ask != TW_ASK_NAME)
		return array;
	json_array_append_new(array, json_string(q->name));
	for (dot = strchr(q->name, '.'); dot; dot = strchr(dot + 1, '.')) {
		snprintf(pattern, sizeof(pattern), "*%s", dot);
		json_array_append_new(array, json_string(pattern));
	}
	json_array_append_new(array, json_string("*"));
	return array;
}

/* Why, where Kubernetes objects have to do with it. */
static json_t *explain_gateway(struct router *router, const struct tables_bind *bind,
			       const struct tw_decide *q, const struct tw_listener *listener,
			       const struct tw_route *route)
{
	const struct gateway_decision decision = {
		.name = q->ask == TW_ASK_NAME ? q->name : NULL,
		.addr = bind->key.addr,
		.port = bind->key.port,
		.listener = listener ? listener->name : NULL,
		.route = route ? route->name : NULL,
	};

	return gateway_explain(router_config(router), &decision);
}

static json_t *explain_bind(struct router *router, const struct tables_bind *bind,
			    struct tw_decide *q)
{
	struct tables *tables = router_tables(router);
	const struct tw_listener *listener;
	const struct tw_route *route;

	q->bind = bind->value.id;
	if (datapath_decide(router_datapath(router), q))
		return NULL;
	listener = tables_listener(tables, q->listener);
	route = q->route ? tables_route(tables, q->route) : NULL;
	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o}",
		"bind", show_bind_address(bind->key.addr, bind->key.port), "listener",
		show_text(listener ? listener->name : NULL), "name",
		show_text(q->ask == TW_ASK_NAME ? q->name : NULL), "matched",
		show_text(q->matched_len ? q->matched.name : NULL), "match",
		show_text(match_kind(q)), "route", show_text(route ? route->name : NULL), "reason",
		reason_word(q->reason), "reason_text", reason_text(q->reason), "backend",
		show_text(q->backend ? q->address.text : NULL), "backends", shares(router, route),
		"balance", show_text(route ? show_balance_word(route->balance) : NULL), "timeouts",
		show_timeouts(&q->timeouts), "on_refuse", show_on_refuse_word(q->on_refuse),
		"tried", patterns(q), "gateway", explain_gateway(router, bind, q, listener, route));
}

/* No bind is there to be asked: what keeps Gateways from having one goes along as problems. */
static json_t *explain_no_bind(struct router *router, const json_t *request, const uint8_t *ip,
			       const char *error)
{
	json_t *answer = json_pack("{s:s, s:[]}", "error", error, "problems");
	json_t *wrong, *why, *obstacle;
	struct tw_decide q = {};
	struct gateway_decision decision = {
		.name = q.name,
		.addr = ip,
		.port = htons((uint16_t)json_integer_value(json_object_get(request, "port"))),
	};
	size_t i;

	wrong = read_question(request, &q);
	json_decref(wrong);
	if (wrong || q.ask != TW_ASK_NAME)
		return answer;
	why = gateway_explain(router_config(router), &decision);
	json_array_foreach (json_object_get(why, "obstacles"), i, obstacle)
		json_array_append_new(json_object_get(answer, "problems"),
				      json_pack("{s:n, s:i, s:i, s:s, s:O}", "file", "line", 0,
						"column", 0, "severity", "error", "text",
						json_object_get(obstacle, "text")));
	json_decref(why);
	return answer;
}

/* How well a connection to @ip fits a bind: the best has it. 0 = not at all. */
static unsigned int rank(const struct tables_bind *bind, const uint8_t ip[16])
{
	if (!memcmp(bind->key.addr, ip, 16))
		return 3;
	if (!addr_is_any(bind->key.addr) || (addr_is_ipv4(bind->key.addr) && !addr_is_ipv4(ip)))
		return 0;
	return addr_is_ipv4(bind->key.addr) ? 2 : 1;
}

static bool has_connections(const struct tables_bind *binds, size_t n, size_t number,
			    const uint8_t ip[16])
{
	unsigned int own = rank(&binds[number], ip);

	for (size_t i = 0; i < n; i++)
		if (binds[i].key.port == binds[number].key.port && rank(&binds[i], ip) > own)
			return false;
	return own;
}

json_t *explain_request(struct router *router, const json_t *request)
{
	const json_t *port = json_object_get(request, "port");
	const char *address = json_string_value(json_object_get(request, "address"));
	const struct tables_bind *binds;
	size_t n = tables_binds(router_tables(router), &binds);
	json_t *array, *wrong, *one;
	uint8_t ip[16];

	if (address && addr_parse_ip(address, ip))
		return json_pack("{s:o}", "error",
				 json_sprintf("%s is not an IP address", address));
	array = json_array();
	for (size_t i = 0; i < n; i++) {
		struct tw_decide q = {};

		if (port && ntohs(binds[i].key.port) != json_integer_value(port))
			continue;
		if (address && !has_connections(binds, n, i, ip))
			continue;
		wrong = read_question(request, &q);
		if (wrong) {
			json_decref(array);
			return wrong;
		}
		one = explain_bind(router, &binds[i], &q);
		if (one)
			json_array_append_new(array, one);
	}
	if (!json_array_size(array)) {
		json_decref(array);
		return explain_no_bind(router, request, address ? ip : NULL,
				       n ? "no listener on this port and address" : "no listeners");
	}
	return json_pack("{s:o}", "explain", array);
}
