// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What tw_decide answers: names, ALPN, listeners, refusals, balancing. In the real kernel. */
#include "rig.h"

#define LISTENER "listeners: [{name: tls, port: 443}]\n"
#define A	 "10.0.0.1:443"
#define B	 "10.0.0.2:443"
#define C	 "10.0.0.3:443"
#define D	 "10.0.0.4:443"

static void exact_name_wins_over_wildcard_and_default(void **state)
{
	struct rig *rig = *state;

	rig_sync(rig,
		 LISTENER "routes:\n"
			  "- {hostnames: ['*'], backends: [{address: '" A "'}]}\n"
			  "- {hostnames: ['*.example.com'], backends: [{address: '" B "'}]}\n"
			  "- {hostnames: [app.example.com], backends: [{address: '" C "'}]}\n");
	rig_assert_answer(rig, "app.example.com", C);
	rig_assert_answer(rig, "other.example.com", B);
	rig_assert_answer(rig, "elsewhere.net", A);
}

static void wildcard_takes_one_or_more_labels_and_not_none(void **state)
{
	struct rig *rig = *state;

	rig_sync(rig,
		 LISTENER "routes:\n"
			  "- {hostnames: ['*.example.com'], backends: [{address: '" A "'}]}\n"
			  "- {hostnames: ['*.b.example.com'], backends: [{address: '" B "'}]}\n");
	rig_assert_answer(rig, "a.example.com", A);
	rig_assert_answer(rig, "x.y.z.example.com", A);
	rig_assert_answer(rig, "b.example.com", A);
	rig_assert_answer(rig, "a.b.example.com", B);
	rig_assert_answer(rig, "a.a.b.example.com", B);
	rig_assert_answer(rig, "example.com", "refused");
	rig_assert_answer(rig, "xexample.com", "refused");
	rig_assert_answer(rig, "com", "refused");
	assert_int_equal(rig_reason(rig, "example.com"), TW_REFUSE_unknown_name);
}

static void longest_name_and_most_labels_are_looked_up(void **state)
{
	struct rig *rig = *state;
	char name[TW_NAME_MAX + 1], label[TW_NAME_MAX + 1];

	for (int i = 0; i < TW_NAME_MAX; i++)
		name[i] = i % 2 ? '.' : 'a'; /* 127 labels of one byte */
	name[TW_NAME_MAX] = '\0';
	rig_sync(rig, LISTENER "routes: [{hostnames: ['*.a'], backends: [{address: '" A "'}]}]\n");
	rig_assert_answer(rig, name, A);
	name[TW_NAME_MAX - 1] = 'b';
	rig_assert_answer(rig, name, "refused");
	memset(label, 'x', sizeof(label));
	memcpy(label + TW_NAME_MAX - 2, ".a", 3);
	rig_assert_answer(rig, label, A);
}

static void answer_names_the_entry_that_decided(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, LISTENER
		 "routes: [{name: w, hostnames: ['*.example.com'], backends: [{address: '" A "'}]},"
		 "{name: d, hostnames: ['*'], backends: [{address: '" B "'}]},"
		 "{name: e, hostnames: [e.net], backends: [{address: '" B "'}]}]\n");
	q = rig_question(rig, "a.b.example.com");
	rig_ask(rig, &q);
	assert_string_equal(q.matched.name, "*.example.com");
	assert_int_equal(q.matched_len, strlen("*.example.com"));
	assert_int_equal(q.route, rig_route_id(rig, "w"));
	assert_int_equal(q.backend, rig_backend_id(rig, A));
	q = rig_question(rig, "b.net");
	rig_ask(rig, &q);
	assert_string_equal(q.matched.name, "*");
	assert_int_equal(q.matched_len, 1);
	q = rig_question(rig, "e.net");
	rig_ask(rig, &q);
	assert_string_equal(q.matched.name, "e.net");
	assert_int_equal(q.matched_len, 5);
}

static void refused_name_ends_the_search(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, LISTENER "routes:\n"
			       "- {hostnames: ['*'], backends: [{address: '" A "'}]}\n"
			       "- {name: no, hostnames: ['*.secret.net', x.org], refuse: true}\n");
	rig_assert_answer(rig, "secret.net", A);
	assert_int_equal(rig_reason(rig, "a.secret.net"), TW_REFUSE_refused_name);
	q = rig_question(rig, "x.org");
	rig_ask(rig, &q);
	assert_int_equal(q.reason, TW_REFUSE_refused_name);
	assert_int_equal(q.route, rig_route_id(rig, "no"));
	assert_int_equal(q.backend, 0);
}

static void name_without_length_is_malformed(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, LISTENER "routes: [{hostnames: ['*'], backends: [{address: '" A "'}]}]\n");
	q = rig_question(rig, "");
	rig_ask(rig, &q);
	assert_int_equal(q.reason, TW_REFUSE_malformed);
	q = rig_question(rig, ".a");
	rig_ask(rig, &q);
	assert_int_equal(q.reason, TW_OK);
}

static void unknown_bind_is_refused(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, LISTENER "routes: [{hostnames: ['*'], backends: [{address: '" A "'}]}]\n");
	q = rig_question(rig, "a.net");
	q.bind = 77;
	rig_ask(rig, &q);
	assert_int_equal(q.reason, TW_REFUSE_unknown_name);
	assert_int_equal(q.listener, 0);
	q.slot = TW_SCRATCH_MAX;
	assert_int_equal(datapath_decide(rig->dp, &q), -EINVAL);
}

/* --- ALPN ---------------------------------------------------------------------------------- */

static void client_order_of_alpn_decides(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, LISTENER
		 "routes:\n"
		 "- {name: h2, hostnames: [a.net], alpn: [h2], backends: [{address: '" A "'}]}\n"
		 "- {name: h1, hostnames: [a.net], alpn: [http/1.1], backends: [{address: '" B
		 "'}]}\n"
		 "- {name: any, hostnames: [a.net], backends: [{address: '" C "'}]}\n");
	q = rig_question(rig, "a.net");
	rig_offer(&q, "h2");
	rig_offer(&q, "http/1.1");
	rig_ask(rig, &q);
	assert_string_equal(q.address.text, A);
	q = rig_question(rig, "a.net");
	rig_offer(&q, "unheard-of");
	rig_offer(&q, "http/1.1");
	rig_offer(&q, "h2");
	rig_ask(rig, &q);
	assert_string_equal(q.address.text, B);
	assert_int_not_equal(q.matched.alpn, 0);
	q = rig_question(rig, "a.net");
	rig_offer(&q, "imap");
	rig_ask(rig, &q);
	assert_string_equal(q.address.text, C);
	rig_assert_answer(rig, "a.net", C);
}

static void without_fitting_alpn_the_search_goes_on_to_the_broader_pattern(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, LISTENER
		 "routes:\n"
		 "- {hostnames: [a.x.net], alpn: [h2], backends: [{address: '" A "'}]}\n"
		 "- {hostnames: ['*.x.net'], alpn: [imap], backends: [{address: '" B "'}]}\n"
		 "- {hostnames: ['*.net'], backends: [{address: '" C "'}]}\n");
	q = rig_question(rig, "a.x.net");
	rig_offer(&q, "imap");
	rig_ask(rig, &q);
	assert_string_equal(q.address.text, B);
	q = rig_question(rig, "a.x.net");
	rig_offer(&q, "http/1.1");
	rig_ask(rig, &q);
	assert_string_equal(q.address.text, C);
}

static void lying_alpn_list_is_read_within_its_bounds(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig,
		 LISTENER "routes:\n"
			  "- {hostnames: [a.net], alpn: [h2], backends: [{address: '" A "'}]}\n");
	q = rig_question(rig, "a.net");
	rig_offer(&q, "x");
	rig_offer(&q, "h2");
	q.alpn_len -= 1; /* the last protocol is longer than the list */
	rig_ask(rig, &q);
	assert_int_equal(q.reason, TW_REFUSE_unknown_name);
	q = rig_question(rig, "a.net");
	q.alpn_len = TW_ASK_ALPN_BYTES; /* 128 empty protocols, then the end */
	q.alpn[TW_ASK_ALPN_BYTES - 1] = 255;
	rig_ask(rig, &q);
	assert_int_equal(q.reason, TW_REFUSE_unknown_name);
}

/* --- listeners ------------------------------------------------------------------------------ */

static void narrower_listener_keeps_its_names_to_itself(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig,
		 "listeners:\n"
		 "- {name: all, port: 443}\n"
		 "- {name: foo, port: 443, hostname: '*.foo.com'}\n"
		 "- {name: bar, port: 443, hostname: bar.foo.com}\n"
		 "routes:\n"
		 "- {hostnames: ['*'], listeners: [all], backends: [{address: '" A "'}]}\n"
		 "- {hostnames: [x.foo.com], listeners: [all], backends: [{address: '" B "'}]}\n"
		 "- {hostnames: ['*.com'], listeners: [foo], backends: [{address: '" C "'}]}\n");
	rig_assert_answer(rig, "elsewhere.net", A);
	rig_assert_answer(rig, "foo.com", A);	/* *.foo.com is not foo.com */
	rig_assert_answer(rig, "x.foo.com", C); /* foo's name: the route of all does not count */
	rig_assert_answer(rig, "y.z.foo.com", C);
	q = rig_question(rig, "bar.foo.com"); /* bar has no route: refused, by bar */
	rig_ask(rig, &q);
	assert_int_equal(q.reason, TW_REFUSE_unknown_name);
	assert_string_equal(tables_listener(rig->tables, q.listener)->name, "bar");
	assert_int_equal(q.matched_len, 0);
}

static void route_wider_than_its_listener_serves_only_their_intersection(void **state)
{
	struct rig *rig = *state;

	rig_sync(rig, "listeners: [{name: l, port: 443, hostname: '*.example.com'}]\n"
		      "routes: [{hostnames: ['*.com'], backends: [{address: '" A "'}]}]\n");
	rig_assert_answer(rig, "a.example.com", A);
	rig_assert_answer(rig, "other.com", "refused");
}

static void listeners_on_two_ports_have_their_own_names(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, "listeners: [{name: one, port: 443}, {name: two, port: 8443}]\n"
		      "routes:\n"
		      "- {hostnames: [a.net], listeners: [one], backends: [{address: '" A "'}]}\n"
		      "- {hostnames: ['*'], listeners: [two], backends: [{address: '" B "'}]}\n");
	rig_assert_answer(rig, "a.net", A);
	rig_assert_answer(rig, "b.net", "refused");
	q = rig_question(rig, "a.net");
	q.bind = rig_bind(rig, 8443);
	rig_ask(rig, &q);
	assert_string_equal(q.address.text, B);
}

static void refusals_lead_to_their_own_backends_where_configured(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, "listeners: [{name: l, port: 443, no_sni: [{address: '" A "'}],"
		      "unknown_name: [{address: '" B "'}], not_tls: [{address: '" C "'}],"
		      "on_refuse: alert}]\n"
		      "routes: [{hostnames: [a.net], backends: [{address: '" D "'}]}]\n");
	rig_assert_answer(rig, NULL, A);
	rig_assert_answer(rig, "b.net", B);
	rig_assert_answer(rig, "a.net", D);
	q = rig_question(rig, NULL);
	q.ask = TW_ASK_NOT_TLS;
	rig_ask(rig, &q);
	assert_string_equal(q.address.text, C);
	assert_int_equal(q.route, rig_route_id(rig, "l/not_tls"));
	assert_int_equal(q.on_refuse, TW_ON_REFUSE_ALERT);
}

static void refusals_have_their_own_reasons(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, LISTENER "routes: [{hostnames: ['*'], backends: [{address: '" A "'}]}]\n");
	assert_int_equal(rig_reason(rig, NULL), TW_REFUSE_no_sni);
	q = rig_question(rig, NULL);
	q.ask = TW_ASK_NOT_TLS;
	rig_ask(rig, &q);
	assert_int_equal(q.reason, TW_REFUSE_not_tls);
	assert_string_equal(tables_listener(rig->tables, q.listener)->name, "tls");
}

static void timeouts_come_from_route_then_listener_then_default(void **state)
{
	struct rig *rig = *state;
	struct tw_decide q;

	rig_sync(rig, "listeners: [{name: l, port: 443, timeouts: {hello: 1s, connect: 2s}}]\n"
		      "routes: [{hostnames: [a.net], timeouts: {connect: 3s},"
		      "backends: [{address: '" A "'}]}]\n");
	q = rig_question(rig, "a.net");
	rig_ask(rig, &q);
	assert_int_equal(q.timeouts.hello_ms, 1000);
	assert_int_equal(q.timeouts.connect_ms, 3000);
	assert_int_equal(q.timeouts.idle_ms, TW_IDLE_MS_DEFAULT);
	assert_int_equal(q.tries, TW_TRIES_DEFAULT);
	q.ask = TW_ASK_LISTENER;
	rig_ask(rig, &q);
	assert_int_equal(q.reason, TW_OK);
	assert_int_equal(q.timeouts.connect_ms, 2000);
	assert_int_equal(q.backend, 0);
}

/* --- balancing ------------------------------------------------------------------------------ */

/* How many of @n connections go to each of the backends 10.0.0.1 to 10.0.0.@k; [0] = refused. */
static void count_shares(const struct rig *rig, const char *name, unsigned int n, unsigned int *got,
			 unsigned int k)
{
	memset(got, 0, (k + 1) * sizeof(*got));
	for (unsigned int i = 0; i < n; i++) {
		struct tw_decide q = rig_question(rig, name);

		rig_ask(rig, &q);
		assert_true(q.reason || (q.address.addr[15] >= 1 && q.address.addr[15] <= k));
		got[q.reason ? 0 : q.address.addr[15]]++;
	}
}

static void weighted_shares_are_exact(void **state)
{
	struct rig *rig = *state;
	unsigned int got[5];

	rig_sync(rig,
		 LISTENER "routes: [{hostnames: [a.net], backends: ["
			  "{address: '" A "', weight: 70}, {address: '" B "', weight: 20},"
			  "{address: '" C "', weight: 0}, {address: '" D "', weight: 10}]}]\n");
	for (int round = 0; round < 3; round++) {
		count_shares(rig, "a.net", 10, got, 4); /* 7 : 2 : 1 */
		assert_int_equal(got[1], 7);
		assert_int_equal(got[2], 2);
		assert_int_equal(got[3], 0);
		assert_int_equal(got[4], 1);
	}
}

static void weighted_shares_are_smooth_within_a_period(void **state)
{
	struct rig *rig = *state;
	unsigned int got[3];

	rig_sync(rig,
		 LISTENER "routes: [{hostnames: [a.net], backends: ["
			  "{address: '" A "', weight: 501}, {address: '" B "', weight: 500}]}]\n");
	for (int i = 0; i < 50; i++) {
		count_shares(rig, "a.net", 20, got, 2);
		assert_in_range(got[1], 7, 13);
	}
}

static void all_weights_zero_refuses(void **state)
{
	struct rig *rig = *state;

	rig_sync(rig, LISTENER "routes: [{hostnames: [a.net], backends: ["
			       "{address: '" A "', weight: 0}]}]\n");
	assert_int_equal(rig_reason(rig, "a.net"), TW_REFUSE_no_backend);
}

static void invalid_backend_refuses_exactly_its_share(void **state)
{
	struct rig *rig = *state;
	struct config *config = rig_config(LISTENER "routes: [{hostnames: [a.net], backends: ["
						    "{address: '" A "', weight: 1}, {address: '" B
						    "', weight: 4}]}]\n");
	unsigned int got[3];

	config->routes[0].backends[1].is_invalid = true;
	assert_int_equal(rig_try_sync(rig, config, NULL, 0), 0);
	config_free(config);
	count_shares(rig, "a.net", 20, got, 2);
	assert_int_equal(got[0], 16);
	assert_int_equal(got[1], 4);
}

static void drained_backend_gets_no_connection_and_others_keep_their_shares(void **state)
{
	struct rig *rig = *state;
	unsigned int got[4];

	rig_sync(rig, LISTENER "routes: [{hostnames: [a.net], backends: [{address: '" A
			       "', weight: 1}, {address: '" B "', weight: 1}, {address: '" C
			       "', weight: 2}]}]\n");
	assert_int_equal(tables_drain(rig->tables, C, true), 0);
	count_shares(rig, "a.net", 400, got, 3);
	assert_int_equal(got[3], 0);
	assert_in_range(got[1], 150, 250);
	assert_int_equal(tables_drain(rig->tables, A, true), 0);
	assert_int_equal(tables_drain(rig->tables, B, true), 0);
	assert_int_equal(rig_reason(rig, "a.net"), TW_REFUSE_no_backend);
	assert_int_equal(tables_drain(rig->tables, C, false), 0);
	rig_assert_answer(rig, "a.net", C);
	assert_int_equal(tables_drain(rig->tables, "10.9.9.9:1", true), -ENOENT);
}

static void tried_backends_are_not_given_again(void **state)
{
	struct rig *rig = *state;
	const char *balances[] = {"weighted", "least_conn", "source"};
	char yaml[512];

	for (size_t i = 0; i < 3; i++) {
		struct tw_decide q;
		uint32_t seen = 0;

		snprintf(yaml, sizeof(yaml),
			 LISTENER
			 "routes: [{hostnames: [a.net], balance: %s, backends: [{address: '" A
			 "', weight: 1000}, {address: '" B "'}, {address: '" C "'}]}]\n",
			 balances[i]);
		rig_sync(rig, yaml);
		q = rig_question(rig, "a.net");
		for (int n = 0; n < 3; n++) {
			rig_ask(rig, &q);
			assert_int_equal(q.reason, TW_OK);
			seen |= 1 << q.address.addr[15];
			q.tried[q.tried_n++] = q.backend;
		}
		assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 3);
		rig_ask(rig, &q);
		assert_int_equal(q.reason, TW_REFUSE_backend_failed);
	}
}

static void dry_run_does_not_move_the_sequence(void **state)
{
	struct rig *rig = *state;
	struct tw_stats *stats;

	rig_sync(rig, LISTENER "routes: [{name: r, hostnames: [a.net], backends: [{address: '" A
			       "'}, {address: '" B "'}]}]\n");
	stats = datapath_route_stats(rig->dp, rig_route_id(rig, "r"));
	for (int i = 0; i < 6; i++) {
		struct tw_decide dry = rig_question(rig, "a.net"), q = dry;
		uint64_t before = stats->picks;

		dry.dry_run = 1;
		rig_ask(rig, &dry);
		assert_int_equal(stats->picks, before);
		rig_ask(rig, &q);
		assert_int_equal(stats->picks, before + 1);
		assert_int_equal(q.backend, dry.backend); /* explain told the truth */
	}
}

static void number_that_was_drawn_before_is_used_again(void **state)
{
	struct rig *rig = *state;
	struct tw_stats *stats;
	struct tw_decide q;
	uint64_t picks;
	uint8_t first = 0;

	rig_sync(rig, LISTENER "routes: [{hostnames: [a.net], backends: [{address: '" A
			       "'}, {address: '" B "'}]}]\n");
	q = rig_question(rig, "a.net");
	rig_ask(rig, &q);
	stats = datapath_route_stats(rig->dp, q.route);
	picks = stats->picks;
	for (int n = 0; n < 4; n++) {
		q.drawn_route = q.route;
		q.drawn = (uint64_t)n;
		rig_ask(rig, &q);
		assert_int_equal(q.reason, TW_OK);
		if (n % 2 == 0)
			first = q.address.addr[15];
		else
			assert_int_not_equal(q.address.addr[15], first);
	}
	assert_int_equal(stats->picks, picks);
	q.drawn_route = q.route + 1;
	rig_ask(rig, &q);
	assert_int_equal(stats->picks, picks + 1);
}

static void least_conn_prefers_the_less_loaded_for_its_weight(void **state)
{
	struct rig *rig = *state;
	struct tw_stats *a, *b;
	unsigned int got[3];

	rig_sync(rig, LISTENER "routes: [{hostnames: [a.net], balance: least_conn, backends: ["
			       "{address: '" A "', weight: 1}, {address: '" B "', weight: 1}]}]\n");
	a = datapath_backend_stats(rig->dp, rig_backend_id(rig, A));
	b = datapath_backend_stats(rig->dp, rig_backend_id(rig, B));
	for (int i = 0; i < 200; i++) { /* connections that stay: the load evens out */
		struct tw_decide q = rig_question(rig, "a.net");

		rig_ask(rig, &q);
		datapath_backend_stats(rig->dp, q.backend)->relay.active++;
	}
	assert_in_range(a->relay.active, 96, 104);
	a->relay.active = 0;
	b->relay.active = 0;
	a->packet.active = 100;
	count_shares(rig, "a.net", 100, got, 2);
	assert_true(got[2] >= 95); /* the second draw is the same one in 1 of 2^8 */
	a->packet.active = 0;
}

/* --- balance: source ------------------------------------------------------------------------- */

#define CLIENTS 4000

static void ask_clients(const struct rig *rig, uint8_t *ret_backends)
{
	for (unsigned int i = 0; i < CLIENTS; i++) {
		struct tw_decide q = rig_question(rig, "a.net");

		q.client[13] = i >> 8;
		q.client[14] = i;
		q.client_port = i * 7; /* must not count */
		rig_ask(rig, &q);
		ret_backends[i] = q.reason ? 0 : q.address.addr[15];
	}
}

static void sync_source(struct rig *rig, const char *backends)
{
	char yaml[1024];

	snprintf(yaml, sizeof(yaml),
		 LISTENER "routes: [{hostnames: [a.net], balance: source, backends: [%s]}]\n",
		 backends);
	rig_sync(rig, yaml);
}

static void source_removal_moves_only_its_own_clients(void **state)
{
	struct rig *rig = *state;
	uint8_t before[CLIENTS], after[CLIENTS];

	sync_source(rig, "{address: '" A "'}, {address: '" B "'}, {address: '" C "'}, {address: '" D
			 "'}");
	ask_clients(rig, before);
	sync_source(rig, "{address: '" D "'}, {address: '" A "'}, {address: '" C "'}");
	ask_clients(rig, after);
	for (unsigned int i = 0; i < CLIENTS; i++)
		assert_true(before[i] == 2 ? after[i] != 2 : after[i] == before[i]);
	sync_source(rig, "{address: '" A "'}, {address: '" B "'}, {address: '" C "'}, {address: '" D
			 "'}");
	assert_int_equal(tables_drain(rig->tables, B, true), 0);
	ask_clients(rig, before);
	assert_memory_equal(before, after, CLIENTS); /* drained is as good as gone */
}

static void source_is_the_same_after_a_restart_and_on_another_node(void **state)
{
	struct rig *rig = *state;
	uint8_t before[CLIENTS], after[CLIENTS];

	sync_source(rig, "{address: '" A "'}, {address: '" B "'}, {address: '" C "'}");
	ask_clients(rig, before);
	rig_close(rig);
	assert_int_equal(datapath_unpin(rig->instance, NULL), 0);
	rig_open(rig);
	sync_source(rig, "{address: '" C "'}, {address: '" B "'}, {address: '" A "'}");
	ask_clients(rig, after);
	assert_memory_equal(before, after, CLIENTS);
}

static void source_shares_follow_weights(void **state)
{
	struct rig *rig = *state;
	uint8_t got[CLIENTS];
	unsigned int n[5] = {};

	sync_source(rig, "{address: '" A "', weight: 6}, {address: '" B "', weight: 3},"
			 "{address: '" C "', weight: 1}, {address: '" D "', weight: 0}");
	ask_clients(rig, got);
	for (unsigned int i = 0; i < CLIENTS; i++)
		n[got[i]]++;
	/* 2400, 1200 and 400, each give or take four standard deviations. */
	assert_in_range(n[1], 2276, 2524);
	assert_in_range(n[2], 1084, 1316);
	assert_in_range(n[3], 324, 476);
	assert_int_equal(n[4] + n[0], 0);
}

/* --- many ----------------------------------------------------------------------------------- */

static void thousand_backends_all_take_their_share(void **state)
{
	struct rig *rig = *state;
	const char *balances[] = {"weighted", "least_conn", "source"};
	char *yaml = malloc(100000), *at;
	uint32_t seen[TW_ROUTE_BACKENDS_MAX];

	assert_non_null(yaml);
	for (size_t balance = 0; balance < 3; balance++) {
		unsigned int n_seen = 0;

		at = yaml + sprintf(yaml,
				    LISTENER
				    "routes: [{hostnames: [a.net], balance: %s, backends: [",
				    balances[balance]);
		for (int i = 0; i < TW_ROUTE_BACKENDS_MAX; i++)
			at += sprintf(at, "{address: '10.1.%d.%d:443'},", i / 256, i % 256);
		sprintf(at, "]}]\n");
		rig_sync(rig, yaml);
		memset(seen, 0, sizeof(seen));
		for (int i = 0; i < 2 * TW_ROUTE_BACKENDS_MAX; i++) {
			struct tw_decide q = rig_question(rig, "a.net");

			q.client[12] = i >> 8;
			q.client[14] = i;
			rig_ask(rig, &q);
			assert_int_equal(q.reason, TW_OK);
			n_seen += !seen[q.address.addr[14] * 256 + q.address.addr[15]]++;
		}
		for (int i = 0; i < TW_ROUTE_BACKENDS_MAX && balance == 0; i++)
			assert_int_equal(seen[i], 2);
		assert_true(n_seen >
			    TW_ROUTE_BACKENDS_MAX * 3 / 4); /* chance leaves 1 in e^2 out */
	}
	free(yaml);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(exact_name_wins_over_wildcard_and_default),
		T(wildcard_takes_one_or_more_labels_and_not_none),
		T(longest_name_and_most_labels_are_looked_up),
		T(answer_names_the_entry_that_decided),
		T(refused_name_ends_the_search),
		T(name_without_length_is_malformed),
		T(unknown_bind_is_refused),
		T(client_order_of_alpn_decides),
		T(without_fitting_alpn_the_search_goes_on_to_the_broader_pattern),
		T(lying_alpn_list_is_read_within_its_bounds),
		T(narrower_listener_keeps_its_names_to_itself),
		T(route_wider_than_its_listener_serves_only_their_intersection),
		T(listeners_on_two_ports_have_their_own_names),
		T(refusals_lead_to_their_own_backends_where_configured),
		T(refusals_have_their_own_reasons),
		T(timeouts_come_from_route_then_listener_then_default),
		T(weighted_shares_are_exact),
		T(weighted_shares_are_smooth_within_a_period),
		T(all_weights_zero_refuses),
		T(invalid_backend_refuses_exactly_its_share),
		T(drained_backend_gets_no_connection_and_others_keep_their_shares),
		T(tried_backends_are_not_given_again),
		T(dry_run_does_not_move_the_sequence),
		T(number_that_was_drawn_before_is_used_again),
		T(least_conn_prefers_the_less_loaded_for_its_weight),
		T(source_removal_moves_only_its_own_clients),
		T(source_is_the_same_after_a_restart_and_on_another_node),
		T(source_shares_follow_weights),
		T(thousand_backends_all_take_their_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
