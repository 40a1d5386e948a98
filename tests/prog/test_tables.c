// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The route table in the real kernel over time: what a sync changes and keeps, what a restart
 * finds, and what look-ups see while it changes.
 */
#include "rig.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <bpf/bpf.h>

#define LISTENER "listeners: [{name: tls, port: 443}]\n"
#define A	 "10.0.0.1:443"
#define B	 "10.0.0.2:443"
#define C	 "10.0.0.3:443"

/* --- what a sync does ---------------------------------------------------------------------- */

static char *changes_text(const struct tables_changes *changes)
{
	static char text[4096];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < changes->n; i++)
		len += snprintf(text + len, sizeof(text) - len, "%c%s %s\n",
				"+~-"[changes->items[i].action], changes -> items[i].object,
				changes->items[i].name);
	return text;
}

static void assert_changes(struct rig *rig, const char *yaml, enum tables_mode mode,
			   const char *expected)
{
	struct config *config = rig_config(yaml);
	struct tables_changes changes = {};

	assert_int_equal(tables_sync(rig->tables, config, NULL, 0, mode, &changes, &rig->problems),
			 0);
	assert_string_equal(changes_text(&changes), expected);
	tables_changes_fini(&changes);
	config_free(config);
}

static const char one_route[] =
	LISTENER "routes: [{name: r, hostnames: [a.net], backends: [{address: '" A "'}]}]\n";
static const char other_backend[] =
	LISTENER "routes: [{name: r, hostnames: [a.net], backends: [{address: '" B "'}]}]\n";

static void dry_run_says_what_changes_and_changes_nothing(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < 3; i++)
		assert_changes(rig, one_route, TABLES_DRY_RUN,
			       "+listener tls\n+route r\n+name a.net\n+backend " A "\n");
	assert_int_equal(rig_bind(rig, 443), 0);
	assert_changes(rig, one_route, TABLES_STRICT,
		       "+listener tls\n+route r\n+name a.net\n+backend " A "\n");
	rig_assert_answer(rig, "a.net", A);
	assert_changes(rig, other_backend, TABLES_DRY_RUN,
		       "~route r\n+backend " B "\n-backend " A "\n");
	rig_assert_answer(rig, "a.net", A);
	assert_int_equal(rig_route_id(rig, "r"), 1);
}

static void same_configuration_changes_nothing(void **state)
{
	struct rig *rig = *state;

	rig_sync(rig, one_route);
	assert_changes(rig, one_route, TABLES_STRICT, "");
	rig_restart(rig);
	assert_changes(rig, one_route, TABLES_STRICT, "");
}

static void empty_configuration_leaves_empty_maps(void **state)
{
	struct rig *rig = *state;
	const char *maps[] = {"tw_binds", "tw_bind_keys", "tw_listeners", "tw_names",
			      "tw_alpns", "tw_routes",	  "tw_slots",	  "tw_backends"};
	char key[sizeof(struct tw_name_key)];
	struct config empty = {};

	rig_sync(rig,
		 "listeners: [{name: l, port: 443, hostname: '*.net', no_sni: [{address: '" A
		 "'}]}]\n"
		 "routes: [{hostnames: [a.net], alpn: [h2], backends: [{address: '" B "'}]}]\n");
	assert_int_equal(rig_try_sync(rig, &empty, NULL, 0), 0);
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		errno = 0;
		assert_int_not_equal(
			bpf_map_get_next_key(datapath_map_fd(rig->dp, maps[i]), NULL, key), 0);
		assert_int_equal(errno, ENOENT);
	}
}

static void ids_and_counters_stay_with_the_name(void **state)
{
	struct rig *rig = *state;
	uint32_t route, backend;

	rig_sync(rig, one_route);
	route = rig_route_id(rig, "r");
	backend = rig_backend_id(rig, A);
	datapath_route_stats(rig->dp, route)->relay.connections = 5;
	datapath_backend_stats(rig->dp, backend)->connect_failures = 6;
	rig_sync(rig,
		 LISTENER "routes: [{name: z, hostnames: [z.net], backends: [{address: '" B "'}]},"
			  "{name: r, hostnames: [b.net], backends: [{address: '" B
			  "'}, {address: '" A "'}]}]\n");
	rig_restart(rig);
	assert_int_equal(rig_route_id(rig, "r"), route);
	assert_int_equal(rig_backend_id(rig, A), backend);
	assert_int_equal(datapath_route_stats(rig->dp, route)->relay.connections, 5);
	assert_int_equal(datapath_backend_stats(rig->dp, backend)->connect_failures, 6);
}

static void new_route_starts_at_zero_and_not_on_an_id_in_use(void **state)
{
	struct rig *rig = *state;
	uint32_t old, id;

	rig_sync(rig, one_route);
	old = rig_route_id(rig, "r");
	datapath_route_stats(rig->dp, old)->packet.active = 1; /* a flow that outlives its route */
	for (uint32_t i = 1; i < TW_ROUTES_MAX; i++)
		datapath_route_stats(rig->dp, i)->refused = 9;
	rig_sync(rig, LISTENER);
	for (int i = 0; i < 40; i++) {
		rig_restart(rig); /* forgets which ids were free for how long */
		rig_sync(rig,
			 LISTENER "routes: [{name: n, hostnames: [n.net], backends: [{address: '" A
				  "'}]}]\n");
		id = rig_route_id(rig, "n");
		assert_int_not_equal(id, old);
		assert_int_equal(datapath_route_stats(rig->dp, id)->refused, 0);
		rig_sync(rig, LISTENER);
	}
	datapath_route_stats(rig->dp, old)->packet.active = 0;
}

static void drained_stays_over_sync_and_restart(void **state)
{
	struct rig *rig = *state;

	rig_sync(rig, one_route);
	assert_int_equal(tables_drain(rig->tables, A, true), 0);
	rig_sync(rig,
		 LISTENER "routes: [{name: r, hostnames: [a.net, b.net], backends: [{address: '" A
			  "'}]}]\n");
	rig_restart(rig);
	rig_sync(rig, one_route);
	assert_int_equal(rig_reason(rig, "a.net"), TW_REFUSE_no_backend);
	assert_int_equal(tables_drain(rig->tables, A, false), 0);
	rig_assert_answer(rig, "a.net", A);
}

static void counters_of_connections_that_cannot_be_alive_are_zero_after_a_restart(void **state)
{
	struct rig *rig = *state;
	struct tw_stats *stats;

	rig_sync(rig, one_route);
	stats = datapath_route_stats(rig->dp, 1);
	stats->relay.active = 3;
	stats->socket.active = 2;
	stats->packet.active = 1;
	stats->relay.connections = 4;
	datapath_listener_stats(rig->dp, 1)->waiting = 7;
	datapath_listener_stats(rig->dp, 1)->accepted = 8;
	rig_restart(rig);
	stats = datapath_route_stats(rig->dp, 1);
	assert_int_equal(stats->relay.active, 0);
	assert_int_equal(stats->socket.active, 0);
	assert_int_equal(stats->packet.active, 1); /* flows live without a daemon */
	assert_int_equal(stats->relay.connections, 4);
	assert_int_equal(datapath_listener_stats(rig->dp, 1)->waiting, 0);
	assert_int_equal(datapath_listener_stats(rig->dp, 1)->accepted, 8);
	stats->packet.active = 0;
}

/* --- the CLI's routes ------------------------------------------------------------------------ */

static void cli_routes_come_back_from_the_maps_as_they_were(void **state)
{
	struct rig *rig = *state;
	struct config *file = rig_config(LISTENER);
	struct config *made = rig_config(
		LISTENER "routes: [{hostnames: ['*.a.net'], listeners: [tls], alpn: [h2], tries: 5,"
			 "balance: source, timeouts: {idle: 9s}, backends: [{address: '" A
			 "', weight: 30}, {address: 'unix:/run/x.sock', weight: 20}]}]\n");
	struct config_route *cli;
	size_t n;

	made->routes[0].owner = TW_OWNER_CLI;
	assert_int_equal(rig_try_sync(rig, file, made->routes, 1), 0);
	config_free(made);
	rig_restart(rig);
	assert_int_equal(tables_take_cli_routes(rig->tables, &cli, &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(cli[0].name, "*.a.net");
	assert_string_equal(cli[0].hostnames[0], "*.a.net");
	assert_string_equal(cli[0].listeners[0], "tls");
	assert_string_equal(cli[0].alpn[0], "h2");
	assert_int_equal(cli[0].tries, 5);
	assert_int_equal(cli[0].balance, TW_BALANCE_SOURCE);
	assert_int_equal(cli[0].timeouts.idle_ms, 9000);
	assert_int_equal(cli[0].n_backends, 2);
	assert_string_equal(cli[0].backends[1].backend.text, "unix:/run/x.sock");
	assert_int_equal(cli[0].backends[0].weight, 30);
	assert_int_equal(cli[0].backends[1].weight, 20);
	/* The same again: nothing to change. */
	struct tables_changes changes;

	assert_int_equal(
		tables_sync(rig->tables, file, cli, n, TABLES_DRY_RUN, &changes, &rig->problems),
		0);
	assert_int_equal(changes.n, 0);
	tables_changes_fini(&changes);
	config_route_fini(&cli[0]);
	free(cli);
	config_free(file);
}

static void name_that_the_file_took_comes_back_to_the_cli_route(void **state)
{
	struct rig *rig = *state;
	struct config *empty = rig_config(LISTENER), *taking = rig_config(one_route);
	struct config *made = rig_config(other_backend);
	struct config_route *cli;
	size_t n;

	made->routes[0].owner = TW_OWNER_CLI;
	free(made->routes[0].name);
	made->routes[0].name = strdup("a.net");
	assert_int_equal(rig_try_sync(rig, empty, made->routes, 1), 0);
	rig_assert_answer(rig, "a.net", B);
	assert_int_equal(rig_try_sync(rig, taking, made->routes, 1), 0);
	assert_int_equal(rig->problems.n_errors, 1);
	rig_assert_answer(rig, "a.net", A);
	rig_restart(rig);
	assert_int_equal(tables_take_cli_routes(rig->tables, &cli, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(rig_try_sync(rig, empty, cli, n), 0);
	rig_assert_answer(rig, "a.net", B);
	config_route_fini(&cli[0]);
	free(cli);
	config_free(empty);
	config_free(taking);
	config_free(made);
}

/* --- showing --------------------------------------------------------------------------------- */

static void count_name(void *arg, const struct tw_name_key *key, const struct tw_name *value)
{
	(void)value;
	assert_true(!strcmp(key->name, "a.net") || !strcmp(key->name, "*.b.net"));
	++*(int *)arg;
}

static void names_of_a_route_follow_its_changes(void **state)
{
	struct rig *rig = *state;
	int n = 0;

	rig_sync(rig, LISTENER "routes: [{name: r, hostnames: [x.net, a.net, y.net, '*.b.net'],"
			       "backends: [{address: '" A "'}]}]\n");
	rig_sync(rig, LISTENER
		 "routes: [{name: r, hostnames: [a.net, '*.b.net'], backends: [{address: '" A
		 "'}]},"
		 "{name: s, hostnames: [y.net], backends: [{address: '" A "'}]}]\n");
	tables_route_names(rig->tables, rig_route_id(rig, "r"), count_name, &n);
	assert_int_equal(n, 2);
	rig_restart(rig);
	tables_route_names(rig->tables, rig_route_id(rig, "r"), count_name, &n);
	assert_int_equal(n, 4);
}

/* --- pins ------------------------------------------------------------------------------------ */

static void second_table_of_another_instance_knows_nothing_of_the_first(void **state)
{
	struct rig *rig = *state, other = {.instance = "twt-other"};

	rig_sync(rig, one_route);
	(void)datapath_unpin(other.instance, NULL);
	rig_open(&other);
	assert_int_equal(rig_bind(&other, 443), 0);
	rig_close(&other);
	assert_int_equal(datapath_unpin(other.instance, NULL), 0);
	assert_int_equal(datapath_unpin(other.instance, NULL), -ENOENT);
	rig_assert_answer(rig, "a.net", A);
}

static void pins_are_for_root_only(void **state)
{
	struct rig *rig = *state;
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/sys/fs/bpf/%s", rig->instance);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void map_of_another_layout_is_not_taken_over_silently(void **state)
{
	struct rig *rig = *state;
	struct datapath *dp;
	char path[64], *why = NULL;
	int fd;

	rig_sync(rig, one_route);
	rig_close(rig);
	snprintf(path, sizeof(path), "/sys/fs/bpf/%s/tw_routes", rig->instance);
	assert_int_equal(unlink(path), 0);
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "tw_routes", 4, sizeof(struct tw_route),
			    TW_ROUTES_MAX, &opts); /* right sizes, but no fields (BTF) */
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
	assert_int_equal(datapath_open(rig->instance, false, &dp, &why), -EEXIST);
	assert_non_null(strstr(why, "tw_routes"));
	assert_non_null(strstr(why, "--reset"));
	free(why);
	why = NULL;
	assert_int_equal(datapath_open(rig->instance, true, &rig->dp, &why), 0);
	assert_int_equal(tables_open(rig->dp, &rig->tables, &why), 0);
	assert_null(tables_next_route(rig->tables, 0));
}

static void bad_instance_names_are_refused(void **state)
{
	const char *names[] = {
		"",    "..",
		"a/b", ".x",
		"a.b", "-a",
		"_a",  "a234567890123456789012345678901234567890123456789012345678901234"};
	struct datapath *dp;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *why = NULL;

		assert_int_equal(datapath_open(names[i], false, &dp, &why), -EINVAL);
		assert_non_null(why);
		free(why);
	}
	assert_int_equal(datapath_unpin("..", NULL), -EINVAL);
}

static void instance_name_of_63_bytes_is_taken(void **state)
{
	const char *name = "twt-2345678901234567890123456789012345678901234567890123456789_";
	struct datapath *dp;
	char *why = NULL;

	(void)state;
	assert_int_equal(strlen(name), 63);
	assert_int_equal(datapath_open(name, false, &dp, &why), 0);
	datapath_close(dp);
	assert_int_equal(datapath_unpin(name, NULL), 0);
}

static void pins_of_others_stay_and_are_named(void **state)
{
	struct rig *rig = *state;
	char path[64], *why = NULL;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 4, 1, NULL);
	int err, gone;

	snprintf(path, sizeof(path), "/sys/fs/bpf/%s/foreign", rig->instance);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
	err = datapath_unpin(rig->instance, &why);
	gone = unlink(path);
	assert_int_equal(err, -ENOTEMPTY);
	assert_int_equal(gone, 0); /* it was there */
	assert_non_null(strstr(why, "holds other pins: foreign; left"));
	free(why);
	/* Nothing else was. */
	assert_int_equal(datapath_unpin(rig->instance, NULL), 0);
}

static void reset_keeps_maps_that_can_be_adopted(void **state)
{
	struct rig *rig = *state;
	char *why = NULL;

	rig_sync(rig, one_route);
	datapath_route_stats(rig->dp, 1)->refused = 7;
	rig_close(rig);
	assert_int_equal(datapath_open(rig->instance, true, &rig->dp, &why), 0);
	assert_int_equal(tables_open(rig->dp, &rig->tables, &why), 0);
	rig_assert_answer(rig, "a.net", A);
	assert_int_equal(datapath_route_stats(rig->dp, 1)->refused, 7);
}

static void damaged_map_is_named_with_the_remedy(void **state)
{
	struct rig *rig = *state;
	struct tables *tables;
	struct tw_backend value = {};
	uint32_t id = 0; /* no backend has it */
	char *why = NULL;

	rig_sync(rig, one_route);
	assert_int_equal(
		bpf_map_update_elem(datapath_map_fd(rig->dp, "tw_backends"), &id, &value, BPF_ANY),
		0);
	assert_int_equal(tables_open(rig->dp, &tables, &why), -EUCLEAN);
	assert_non_null(strstr(why, rig->instance));
	assert_non_null(strstr(why, "/tw_backends "));
	assert_non_null(strstr(why, "--reset"));
	free(why);
}

/* --- look-ups while it changes ------------------------------------------------------------------
 */

/* What name number i may lead to: any of the two backends, as bits of the last address byte. */
struct probe {
	const char *name;
	uint32_t legal; /* 1 << last byte of the address; bit 0 = refused */
};

struct torture {
	const struct rig *rig;
	const struct probe *probes;
	size_t n_probes;
	uint32_t bind;
	uint32_t slot;
	bool stop; /* atomic */
	uint64_t asked;
	uint64_t illegal;
	uint32_t seen; /* of all probes together */
	char first[256];
};

static void *torture_thread(void *arg)
{
	struct torture *t = arg;

	for (size_t i = 0; !__atomic_load_n(&t->stop, __ATOMIC_RELAXED); i++) {
		const struct probe *probe = &t->probes[i % t->n_probes];
		struct tw_decide q = {.bind = t->bind, .ask = TW_ASK_NAME, .slot = t->slot};
		uint32_t got;
		int r;

		q.name_len = strlen(probe->name);
		memcpy(q.name, probe->name, q.name_len);
		r = datapath_decide(t->rig->dp, &q);
		got = q.reason ? 1 : 1u << (q.address.addr[15] & 31);
		t->asked++;
		t->seen |= got;
		if (!r && (probe->legal & got))
			continue;
		if (!t->illegal++)
			snprintf(t->first, sizeof(t->first), "%s: r %d reason %u backend %s",
				 probe->name, r, q.reason, q.address.text);
	}
	return NULL;
}

/*
 * Sync the configurations of @yamls in turn, @rounds times, while threads ask for @probes; every
 * answer must be one of the legal ones.
 */
static void torture(struct rig *rig, const char *const *yamls, size_t n_yamls, unsigned int rounds,
		    const struct probe *probes, size_t n_probes, uint32_t must_see)
{
	struct torture t[3] = {};
	pthread_t threads[3];
	struct config *configs[4];
	uint32_t seen = 0;

	for (size_t i = 0; i < n_yamls; i++)
		configs[i] = rig_config(yamls[i]);
	assert_int_equal(rig_try_sync(rig, configs[0], NULL, 0), 0);
	for (int i = 0; i < 3; i++) {
		t[i] = (struct torture){.rig = rig,
					.probes = probes,
					.n_probes = n_probes,
					.bind = rig_bind(rig, 443),
					.slot = i};
		assert_int_equal(pthread_create(&threads[i], NULL, torture_thread, &t[i]), 0);
	}
	for (unsigned int i = 1; i < rounds; i++)
		if (rig_try_sync(rig, configs[i % n_yamls], NULL, 0))
			rounds = 0;
	for (int i = 0; i < 3; i++) {
		__atomic_store_n(&t[i].stop, true, __ATOMIC_RELAXED);
		pthread_join(threads[i], NULL);
		seen |= t[i].seen;
	}
	for (size_t i = 0; i < n_yamls; i++)
		config_free(configs[i]);
	assert_int_not_equal(rounds, 0);
	for (int i = 0; i < 3; i++)
		if (t[i].illegal)
			fail_msg("%llu of %llu answers are of no configuration; first: %s",
				 (unsigned long long)t[i].illegal, (unsigned long long)t[i].asked,
				 t[i].first);
	assert_int_equal(seen, must_see); /* the threads did meet all configurations */
}

#define BIT(n) (1u << (n))

static void look_ups_meet_old_or_new_route_and_nothing_else(void **state)
{
	/*
	 * Names move between routes, routes change their backends at the same time, exact names
	 * and wildcards come and go, and what goes makes room that what comes takes.
	 */
	static const char *const yamls[] = {
		LISTENER
		"routes:\n"
		"- {name: r1, hostnames: [x.net, a.w.net], backends: [{address: '10.0.0.1:443'}]}\n"
		"- {name: r2, hostnames: [y.net, '*.w.net'], backends: [{address: "
		"'10.0.0.2:443'}]}\n"
		"- {name: r3, hostnames: ['*'], backends: [{address: '10.0.0.3:443'}]}\n",
		LISTENER
		"routes:\n"
		"- {name: r1, hostnames: [y.net, '*.a.w.net'], backends: [{address: "
		"'10.0.0.4:443'}]}\n"
		"- {name: r2, hostnames: [x.net, '*.w.net'], backends: [{address: "
		"'10.0.0.5:443'}]}\n"
		"- {name: r4, hostnames: [b.w.net], backends: [{address: '10.0.0.6:443'}]}\n",
	};
	static const struct probe probes[] = {
		{"x.net", BIT(1) | BIT(5)},	{"y.net", BIT(2) | BIT(4)},
		{"a.w.net", BIT(1) | BIT(5)},	{"b.w.net", BIT(2) | BIT(6)},
		{"c.w.net", BIT(2) | BIT(5)},	{"z.a.w.net", BIT(2) | BIT(4)},
		{"other.org", BIT(3) | BIT(0)},
	};

	torture(*state, yamls, 2, 4000, probes, sizeof(probes) / sizeof(probes[0]),
		BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6));
}

/* Wildcards of many lengths, so that a search for a long name takes long. */
#define LONG_SEARCH                                                                                \
	"- {name: long, hostnames: ['*.1.z', '*.2.1.z', '*.3.2.1.z', '*.4.3.2.1.z',"               \
	"'*.5.4.3.2.1.z', '*.6.5.4.3.2.1.z', '*.7.6.5.4.3.2.1.z', '*.8.7.6.5.4.3.2.1.z',"          \
	"'*.9.8.7.6.5.4.3.2.1.z', '*.a.9.8.7.6.5.4.3.2.1.z', '*.b.a.9.8.7.6.5.4.3.2.1.z',"         \
	"'*.c.b.a.9.8.7.6.5.4.3.2.1.z'], backends: [{address: '10.0.0.9:443'}]}\n"
#define LONG_SUFFIX "d.d.d.d.d.d.d.d.d.d.d.d.d.d.d.net"

static void search_that_takes_long_does_not_mix_old_and_new(void **state)
{
	/* Misses the narrow entry before it comes, and the broad one after it went. */
	static const char *const yamls[] = {
		LISTENER "routes:\n" LONG_SEARCH
			 "- {name: r1, hostnames: ['*'], backends: [{address: '10.0.0.1:443'}]}\n"
			 "- {name: r2, hostnames: [x.z], backends: [{address: '10.0.0.2:443'}]}\n",
		LISTENER "routes:\n" LONG_SEARCH
			 "- {name: r1, hostnames: [x.z], backends: [{address: '10.0.0.1:443'}]}\n"
			 "- {name: r2, hostnames: ['*." LONG_SUFFIX "'],"
			 "backends: [{address: '10.0.0.2:443'}]}\n",
	};
	static const struct probe probes[] = {{"x." LONG_SUFFIX, BIT(1) | BIT(2)}};

	torture(*state, yamls, 2, 6000, probes, 1, BIT(1) | BIT(2));
}

static void
look_ups_never_meet_another_routes_backends_where_ids_and_memory_are_used_again(void **state)
{
	/* Everything is new each time, so that memory is set free and taken again at once. */
	static const char *const yamls[] = {
		LISTENER "routes:\n"
			 "- {name: a, hostnames: [x.net], backends: [{address: '10.0.0.1:443'},"
			 "{address: '10.0.0.2:443'}, {address: '10.0.0.3:443'}]}\n",
		LISTENER "routes:\n"
			 "- {name: b, hostnames: [y.net], backends: [{address: '10.0.0.4:443'},"
			 "{address: '10.0.0.5:443'}, {address: '10.0.0.6:443'}]}\n",
		LISTENER "routes:\n"
			 "- {name: c, hostnames: [z.net, x.net], refuse: true}\n"
			 "- {name: d, hostnames: [y.net], backends: [{address: '10.0.0.7:443'}]}\n",
	};
	static const struct probe probes[] = {
		{"x.net", BIT(0) | BIT(1) | BIT(2) | BIT(3)},
		{"y.net", BIT(0) | BIT(4) | BIT(5) | BIT(6) | BIT(7)},
		{"z.net", BIT(0)},
	};

	torture(*state, yamls, 3, 4000, probes, sizeof(probes) / sizeof(probes[0]), 0xff);
}

static void listener_that_comes_or_goes_never_lends_its_names(void **state)
{
	static const char *const yamls[] = {
		"listeners: [{name: all, port: 443}]\n"
		"routes: [{name: r, hostnames: ['*.net'], backends: [{address: "
		"'10.0.0.1:443'}]}]\n",
		"listeners: [{name: all, port: 443}, {name: own, port: 443, hostname: '*.w.net',"
		"unknown_name: [{address: '10.0.0.2:443'}]}]\n"
		"routes: [{name: r, hostnames: ['*.net'], listeners: [all],"
		"backends: [{address: '10.0.0.3:443'}]},"
		"{name: s, hostnames: [a.w.net], listeners: [own],"
		"backends: [{address: '10.0.0.4:443'}]}]\n",
	};
	static const struct probe probes[] = {
		{"a.w.net", BIT(1) | BIT(4)},
		{"b.w.net", BIT(1) | BIT(2)},
		{"c.net", BIT(1) | BIT(3)},
	};

	torture(*state, yamls, 2, 3000, probes, sizeof(probes) / sizeof(probes[0]),
		BIT(1) | BIT(2) | BIT(3) | BIT(4));
}

/* --- a daemon that is killed ----------------------------------------------------------------- */

static const char before_kill[] =
	LISTENER "routes:\n"
		 "- {name: r, hostnames: [a.net, b.net, c.net], backends: [{address: '" A "'}]}\n"
		 "- {name: s, hostnames: [d.net], backends: [{address: '" B "'}]}\n";
static const char after_kill[] =
	LISTENER "routes:\n"
		 "- {name: r, hostnames: [a.net, b.net, d.net], backends: [{address: '" C "'}]}\n"
		 "- {name: s, hostnames: [c.net], backends: [{address: '" A "'}]}\n";

/* In a child: sync from one to the other until killed. */
static void sync_for_ever(const char *instance, int ready)
{
	struct rig rig = {};
	struct config *configs[2] = {rig_config(before_kill), rig_config(after_kill)};

	snprintf(rig.instance, sizeof(rig.instance), "%s", instance);
	config_problems_init(&rig.problems);
	rig_open(&rig);
	for (int i = 0;; i++) {
		if (rig_try_sync(&rig, configs[i % 2], NULL, 0))
			_exit(1);
		if (i == 10)
			(void)!write(ready, "", 1);
	}
}

static size_t count_entries(const struct rig *rig, const char *map)
{
	char keys[2][sizeof(struct tw_name_key)];
	int fd = datapath_map_fd(rig->dp, map);
	void *last = NULL;
	size_t n = 0;

	while (!bpf_map_get_next_key(fd, last, keys[n % 2]))
		last = keys[n++ % 2];
	return n;
}

static void table_is_whole_again_after_kill_9_at_any_moment(void **state)
{
	struct rig *rig = *state;
	char byte;

	for (int i = 0; i < 8; i++) {
		int ready[2], status;
		pid_t child;

		rig_close(rig);
		assert_int_equal(pipe(ready), 0);
		child = fork();
		if (!child)
			sync_for_ever(rig->instance, ready[1]);
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		kill(child, SIGKILL); /* wherever it is by now */
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		rig_open(rig);
		rig_sync(rig, before_kill);
		rig_assert_answer(rig, "a.net", A);
		rig_assert_answer(rig, "c.net", A);
		rig_assert_answer(rig, "d.net", B);
		assert_int_equal(count_entries(rig, "tw_routes"), 2);
		assert_int_equal(count_entries(rig, "tw_names"), 4);
		assert_int_equal(count_entries(rig, "tw_backends"), 2);
		assert_int_equal(count_entries(rig, "tw_slots"), 2);
	}
}

static void what_a_killed_sync_left_is_gone_after_the_next_one(void **state)
{
	/* A route under a spare key with its set, and a set that nothing leads to. */
	struct rig *rig = *state;
	struct tw_route spare = {.id = 1, .set = 900, .backends = 2};
	const struct tw_slot_key slots[] = {{900, 0}, {900, 1}, {901, 0}, {1, 7}};
	struct tw_slot slot = {};
	uint32_t key = 500;

	rig_sync(rig, one_route);
	assert_int_equal(
		bpf_map_update_elem(datapath_map_fd(rig->dp, "tw_routes"), &key, &spare, BPF_ANY),
		0);
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		assert_int_equal(bpf_map_update_elem(datapath_map_fd(rig->dp, "tw_slots"),
						     &slots[i], &slot, BPF_ANY),
				 0);
	rig_restart(rig);
	/* Names may lead to the spare key: its set stays until they are led elsewhere. */
	assert_int_equal(count_entries(rig, "tw_slots"), 1 + 2);
	rig_sync(rig, one_route);
	assert_int_equal(count_entries(rig, "tw_slots"), 1);
	assert_int_equal(count_entries(rig, "tw_routes"), 1);
	rig_assert_answer(rig, "a.net", A);
}

static void bind_keys_are_made_to_fit_the_binds(void **state)
{
	struct rig *rig = *state;
	const struct tables_bind *binds;
	struct tw_bind_key other = {.port = htons(999)};
	uint32_t stale = 77;
	int fd;

	rig_sync(rig, one_route);
	fd = datapath_map_fd(rig->dp, "tw_bind_keys");
	assert_int_equal(tables_binds(rig->tables, &binds), 1);
	assert_int_equal(bpf_map_delete_elem(fd, &binds[0].value.id), 0);
	assert_int_equal(bpf_map_update_elem(fd, &stale, &other, BPF_ANY), 0);
	assert_int_equal(rig_reason(rig, "a.net"), TW_REFUSE_unknown_name);
	rig_restart(rig);
	rig_assert_answer(rig, "a.net", A);
	assert_int_equal(count_entries(rig, "tw_bind_keys"), 1);
}

/* --- what does not fit ----------------------------------------------------------------------- */

#define MANY_ROUTES	600
#define MANY_LISTENERS	6
#define MANY_NAMES	100000 /* on each listener */
#define NAMES_PER_ROUTE 1000

/* @n routes @prefix0.. with the same 1,000 backends, the first of @weight. */
static struct config *many_backends(const char *prefix, unsigned int n, unsigned int weight)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct config *config;

	assert_non_null(out);
	fputs(LISTENER "routes:\n", out);
	for (unsigned int r = 0; r < n; r++) {
		fprintf(out, "- {name: %s%u, hostnames: [%s%u.net], backends: ", prefix, r, prefix,
			r);
		if (r) {
			fputs("*b}\n", out);
			continue;
		}
		fputs("&b [", out);
		for (unsigned int i = 0; i < 1000; i++)
			fprintf(out, "{address: '10.0.%u.%u:80', weight: %u},", i / 250,
				i % 250 + 1, i ? 1 : weight);
		fputs("]}\n", out);
	}
	assert_int_equal(fclose(out), 0);
	config = rig_config(text);
	free(text);
	return config;
}

static void all_sets_may_change_at_once_where_two_of_each_do_not_fit(void **state)
{
	struct rig *rig = *state;
	struct config *configs[] = {many_backends("r", MANY_ROUTES, 1),
				    many_backends("r", MANY_ROUTES, 2)};

	assert_true(2 * MANY_ROUTES * 1000 > TW_SLOTS_MAX);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_try_sync(rig, configs[i % 2], NULL, 0), 0);
	assert_int_equal(rig_try_sync(rig, configs[1], NULL, 0), 0);
	assert_int_equal(tables_route_slots(rig->tables, rig_route_id(rig, "r599"))->weight, 2);
	assert_int_equal(count_entries(rig, "tw_slots"), MANY_ROUTES * 1000);
	config_free(configs[0]);
	config_free(configs[1]);
}

static void routes_that_go_make_room_for_those_that_come(void **state)
{
	struct rig *rig = *state;
	struct config *old = many_backends("old", MANY_ROUTES, 1);
	struct config *new = many_backends("new", MANY_ROUTES, 1);

	assert_int_equal(rig_try_sync(rig, old, NULL, 0), 0);
	assert_int_equal(rig_try_sync(rig, new, NULL, 0), 0);
	assert_int_equal(count_entries(rig, "tw_slots"), MANY_ROUTES * 1000);
	assert_int_equal(rig_reason(rig, "old5.net"), TW_REFUSE_unknown_name);
	assert_int_equal(rig_reason(rig, "new5.net"), TW_OK);
	config_free(old);
	config_free(new);
}

/* The names @prefix0.. on all of many listeners, and for @wildcard a route of its own. */
static struct config *many_names(const char *prefix, const char *wildcard)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct config *config;

	assert_non_null(out);
	fputs("listeners: [{port: 443}", out);
	for (unsigned int i = 1; i < MANY_LISTENERS; i++)
		fprintf(out, ", {port: %u}", 1000 + i);
	fprintf(out, "]\nroutes:\n- {name: w, hostnames: ['%s'], backends: [{address: '" C "'}]}\n",
		wildcard);
	for (unsigned int i = 0; i < MANY_NAMES; i++) {
		if (i % NAMES_PER_ROUTE == 0)
			fprintf(out, "%s- {name: r%u, backends: [{address: '" A "'}], hostnames: [",
				i ? "]}\n" : "", i / NAMES_PER_ROUTE);
		fprintf(out, "%s%u.net,", prefix, i);
	}
	fputs("]}\n", out);
	assert_int_equal(fclose(out), 0);
	config = rig_config(text);
	free(text);
	return config;
}

static void all_names_may_be_replaced_where_old_and_new_do_not_fit(void **state)
{
	struct rig *rig = *state;
	struct config *old = many_names("old", "*.w.net"), *new = many_names("new", "*.w.net");
	struct config *wilder = many_names("old", "*.net");

	assert_true(2 * MANY_LISTENERS * MANY_NAMES > TW_NAMES_MAX);
	assert_int_equal(rig_try_sync(rig, old, NULL, 0), 0);
	assert_int_equal(rig_try_sync(rig, new, NULL, 0), 0);
	rig_assert_answer(rig, "new99999.net", A);
	rig_assert_answer(rig, "old99999.net", "refused");
	rig_assert_answer(rig, "x.w.net", C);
	/* With a wildcard that changes too, no order would do: a name must not meet it early. */
	assert_int_equal(rig_try_sync(rig, wilder, NULL, 0), -ENOSPC);
	assert_int_equal(rig->problems.n_errors, 1);
	assert_non_null(strstr(rig->problems.items[0].text, "names"));
	assert_non_null(strstr(rig->problems.items[0].text, "1048576"));
	assert_non_null(strstr(rig->problems.items[0].text, "nothing was changed"));
	rig_assert_answer(rig, "new99999.net", A);
	rig_assert_answer(rig, "old99999.net", "refused");
	assert_int_equal(count_entries(rig, "tw_names"), MANY_LISTENERS * (MANY_NAMES + 1));
	/* Refused before the first write: the next change finds nothing to repair. */
	assert_int_equal(rig_try_sync(rig, new, NULL, 0), 0);
	config_free(old);
	config_free(new);
	config_free(wilder);
}

static void last_alpn_id_has_a_name(void **state)
{
	struct rig *rig = *state;
	struct config *config;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fputs(LISTENER "routes:\n", out);
	for (unsigned int i = 1; i < TW_ALPNS_MAX; i++)
		fprintf(out, "- {alpn: p%u, hostnames: h%u, refuse: true}\n", i, i);
	assert_int_equal(fclose(out), 0);
	config = rig_config(text);
	free(text);
	assert_int_equal(rig_try_sync(rig, config, NULL, 0), 0);
	for (uint32_t id = 1; id < TW_ALPNS_MAX; id++)
		assert_non_null(tables_alpn(rig->tables, id));
	assert_null(tables_alpn(rig->tables, TW_ALPNS_MAX));
	config_free(config);
}

/* --- modes ----------------------------------------------------------------------------------- */

static void strict_sync_with_an_error_writes_nothing_and_says_it_once(void **state)
{
	struct rig *rig = *state;
	struct config *bad = rig_config(
		"listeners: [{name: tls, port: 443, hostname: '*.net'}]\n"
		"routes: [{name: first, hostnames: ['*.org', a.net], backends: [{address: '" B
		"'}]}, {name: second, hostnames: [a.net], listeners: [tls],"
		"backends: [{address: '" C "'}]}]\n");

	rig_sync(rig, one_route);
	config_problems_fini(&rig->problems);
	config_problems_init(&rig->problems);
	assert_int_equal(
		tables_sync(rig->tables, bad, NULL, 0, TABLES_STRICT, NULL, &rig->problems),
		-EINVAL);
	assert_int_equal(rig->problems.n, 1);
	assert_int_equal(rig->problems.n_errors, 1);
	rig_assert_answer(rig, "a.net", A);
	assert_int_equal(rig_try_sync(rig, bad, NULL, 0), 0); /* lenient */
	rig_assert_answer(rig, "a.net", B);
	/* That is no fault of the command line's. */
	assert_int_equal(
		tables_sync(rig->tables, bad, NULL, 0, TABLES_STRICT_CLI, NULL, &rig->problems), 0);
	config_free(bad);
}

/* --- writes that fail --------------------------------------------------------------------------
 */

static void write_that_fails_is_made_good_by_the_next_sync(void **state)
{
	struct rig *rig = *state;
	struct tw_backend value = {};
	uint32_t id;
	int fd;

	rig_sync(rig, one_route);
	/* Somebody fills tw_backends up behind our back. */
	fd = datapath_map_fd(rig->dp, "tw_backends");
	for (id = 2; id < TW_BACKENDS_MAX + 1; id++)
		assert_int_equal(bpf_map_update_elem(fd, &id, &value, BPF_ANY), 0);
	struct config *config = rig_config(other_backend);

	id = 2;
	assert_int_equal(bpf_map_delete_elem(fd, &id), 0);
	id = TW_BACKENDS_MAX + 1;
	assert_int_equal(bpf_map_update_elem(fd, &id, &value, BPF_ANY), 0);
	assert_int_equal(rig_try_sync(rig, config, NULL, 0), -ENOSPC);
	assert_int_equal(rig->problems.n_errors, 1);
	assert_non_null(strstr(rig->problems.items[0].text, "part of the change is in force"));
	rig_assert_answer(rig, "a.net", A);
	for (id = 2; id < TW_BACKENDS_MAX + 2; id++)
		(void)bpf_map_delete_elem(fd, &id);
	assert_int_equal(rig_try_sync(rig, config, NULL, 0), 0);
	rig_assert_answer(rig, "a.net", B);
	config_free(config);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(dry_run_says_what_changes_and_changes_nothing),
		T(same_configuration_changes_nothing),
		T(empty_configuration_leaves_empty_maps),
		T(ids_and_counters_stay_with_the_name),
		T(new_route_starts_at_zero_and_not_on_an_id_in_use),
		T(drained_stays_over_sync_and_restart),
		T(counters_of_connections_that_cannot_be_alive_are_zero_after_a_restart),
		T(cli_routes_come_back_from_the_maps_as_they_were),
		T(name_that_the_file_took_comes_back_to_the_cli_route),
		T(names_of_a_route_follow_its_changes),
		T(second_table_of_another_instance_knows_nothing_of_the_first),
		T(pins_are_for_root_only),
		T(map_of_another_layout_is_not_taken_over_silently),
		T(bad_instance_names_are_refused),
		T(instance_name_of_63_bytes_is_taken),
		T(pins_of_others_stay_and_are_named),
		T(reset_keeps_maps_that_can_be_adopted),
		T(damaged_map_is_named_with_the_remedy),
		T(look_ups_meet_old_or_new_route_and_nothing_else),
		T(search_that_takes_long_does_not_mix_old_and_new),
		T(look_ups_never_meet_another_routes_backends_where_ids_and_memory_are_used_again),
		T(listener_that_comes_or_goes_never_lends_its_names),
		T(table_is_whole_again_after_kill_9_at_any_moment),
		T(what_a_killed_sync_left_is_gone_after_the_next_one),
		T(bind_keys_are_made_to_fit_the_binds),
		T(all_sets_may_change_at_once_where_two_of_each_do_not_fit),
		T(routes_that_go_make_room_for_those_that_come),
		T(all_names_may_be_replaced_where_old_and_new_do_not_fit),
		T(last_alpn_id_has_a_name),
		T(strict_sync_with_an_error_writes_nothing_and_says_it_once),
		T(write_that_fails_is_made_good_by_the_next_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
