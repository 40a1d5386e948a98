/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A route table in the real kernel for tests: an instance of its own name, configurations as YAML,
 * questions to tw_decide. Needs root; skips (exit 77) where there is none.
 */
#ifndef THRUWAY_TESTS_RIG_H
#define THRUWAY_TESTS_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "base/addr.h"
#include "kernel/datapath.h"
#include "kernel/tables.h"
#include "model/config.h"

struct rig {
	char instance[32];
	struct datapath *dp;
	struct tables *tables;
	struct config_problems problems; /* of the last sync */
};

static inline void rig_open(struct rig *rig)
{
	char *why = NULL;
	int r;

	r = datapath_open(rig->instance, false, &rig->dp, &why);
	if (r)
		fail_msg("datapath: %s", why ? why : strerror(-r));
	r = tables_open(rig->dp, &rig->tables, &why);
	if (r)
		fail_msg("tables: %s", why ? why : strerror(-r));
}

static inline void rig_close(struct rig *rig)
{
	rig->tables = tables_close(rig->tables);
	rig->dp = datapath_close(rig->dp);
}

/* A daemon's end and the next one's start. */
static inline void rig_restart(struct rig *rig)
{
	rig_close(rig);
	rig_open(rig);
}

static inline int rig_setup(void **state)
{
	struct rig *rig;

	if (geteuid() != 0) {
		puts("skipped: needs root");
		exit(77);
	}
	rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	snprintf(rig->instance, sizeof(rig->instance), "twt%d", (int)getpid());
	(void)datapath_unpin(rig->instance, NULL); /* of an earlier process with this number */
	config_problems_init(&rig->problems);
	*state = rig;
	rig_open(rig);
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct rig *rig = *state;

	rig_close(rig);
	config_problems_fini(&rig->problems);
	(void)datapath_unpin(rig->instance, NULL);
	free(rig);
	return 0;
}

static inline struct config *rig_config(const char *yaml)
{
	struct config_problems problems;
	struct config *config = NULL;
	int r;

	config_problems_init(&problems);
	r = config_parse("test.yaml", yaml, strlen(yaml), &config, &problems);
	if (r) {
		config_problems_print(&problems, stderr);
		fail_msg("configuration of the test: %s", strerror(-r));
	}
	config_problems_fini(&problems);
	return config;
}

static inline int rig_try_sync(struct rig *rig, const struct config *config,
			       const struct config_route *cli, size_t n_cli)
{
	config_problems_fini(&rig->problems);
	config_problems_init(&rig->problems);
	return tables_sync(rig->tables, config, cli, n_cli, TABLES_LENIENT, NULL, &rig->problems);
}

static inline void rig_sync(struct rig *rig, const char *yaml)
{
	struct config *config = rig_config(yaml);

	assert_int_equal(rig_try_sync(rig, config, NULL, 0), 0);
	config_free(config);
}

/* Id of the bind at @port of all addresses; 0 = there is none. */
static inline uint32_t rig_bind(const struct rig *rig, uint16_t port)
{
	const struct tables_bind *binds;
	size_t n = tables_binds(rig->tables, &binds);

	for (size_t i = 0; i < n; i++)
		if (binds[i].key.port == htons(port))
			return binds[i].value.id;
	return 0;
}

/* A question about @name at port 443; NULL = a hello without a name. */
static inline struct tw_decide rig_question(const struct rig *rig, const char *name)
{
	struct tw_decide q = {.bind = rig_bind(rig, 443),
			      .ask = name ? TW_ASK_NAME : TW_ASK_NO_SNI};

	addr_parse_ip("192.0.2.1", q.client);
	if (name) {
		q.name_len = strlen(name);
		assert_true(q.name_len <= TW_NAME_MAX);
		memcpy(q.name, name, q.name_len);
	}
	return q;
}

/* Append @protocol to the question's ALPN list. */
static inline void rig_offer(struct tw_decide *q, const char *protocol)
{
	size_t len = strlen(protocol);

	assert_true(q->alpn_len + 1 + len <= sizeof(q->alpn));
	q->alpn[q->alpn_len++] = len;
	memcpy(q->alpn + q->alpn_len, protocol, len);
	q->alpn_len += len;
}

static inline void rig_ask(const struct rig *rig, struct tw_decide *q)
{
	assert_int_equal(datapath_decide(rig->dp, q), 0);
}

/* What is in front of @name: a backend's text, or the word "refused". */
static inline const char *rig_answer(const struct rig *rig, const char *name)
{
	static char text[TW_BACKEND_TEXT_SIZE];
	struct tw_decide q = rig_question(rig, name);

	rig_ask(rig, &q);
	snprintf(text, sizeof(text), "%s", q.reason ? "refused" : q.address.text);
	return text;
}

#define rig_assert_answer(rig, name, expected) assert_string_equal(rig_answer(rig, name), expected)

static inline enum tw_reason rig_reason(const struct rig *rig, const char *name)
{
	struct tw_decide q = rig_question(rig, name);

	rig_ask(rig, &q);
	return q.reason;
}

static inline uint32_t rig_route_id(const struct rig *rig, const char *name)
{
	const struct tw_route *route = NULL;

	while ((route = tables_next_route(rig->tables, route ? route->id : 0)))
		if (!strcmp(route->name, name))
			return route->id;
	return 0;
}

static inline uint32_t rig_backend_id(const struct rig *rig, const char *text)
{
	const struct tw_backend *backend = NULL;

	while ((backend = tables_next_backend(rig->tables, backend ? backend->id : 0)))
		if (!strcmp(backend->text, text))
			return backend->id;
	return 0;
}

#endif
