// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The self-test of the socket path: it passes where the path works, leaves nothing, and notices
 * what does not work. What a bad kernel would do is done to the maps here.
 */
#include "rig.h"

#include <sched.h>

#include <bpf/bpf.h>

#include "kernel/selftest.h"

static size_t n_steps;

static void on_step(void *arg, enum selftest_step step, int err)
{
	assert_int_equal(step, n_steps++);
	*(int *)arg = err;
}

static struct sockmap *open_sockmap(struct rig *rig)
{
	struct sockmap *sockmap = NULL;

	assert_int_equal(sockmap_open(rig->dp, &sockmap), 0);
	return sockmap;
}

static void all_steps_pass_and_nothing_stays(void **state)
{
	struct rig *rig = *state;
	struct sockmap *sockmap = open_sockmap(rig);
	struct tw_socket before = *datapath_socket(rig->dp);
	enum selftest_step step = 0;
	__u64 key;
	int err = -1;

	n_steps = 0;
	assert_int_equal(selftest_run(sockmap, on_step, &err, &step), 0);
	assert_int_equal(n_steps, SELFTEST_END);
	assert_int_equal(err, 0);
	assert_int_equal(bpf_map_get_next_key(datapath_map_fd(rig->dp, "tw_pairs"), NULL, &key),
			 -ENOENT);
	assert_memory_equal(&before, datapath_socket(rig->dp), sizeof(before));
	sockmap_close(sockmap);
}

static void assert_fails_at(struct rig *rig, enum selftest_step expected)
{
	struct sockmap *sockmap = open_sockmap(rig);
	enum selftest_step step = 0;
	__u64 key;

	assert_true(selftest_run(sockmap, NULL, NULL, &step) < 0);
	assert_string_equal(selftest_name(step), selftest_name(expected));
	assert_int_equal(bpf_map_get_next_key(datapath_map_fd(rig->dp, "tw_pairs"), NULL, &key),
			 -ENOENT);
	sockmap_close(sockmap);
}

static void a_kernel_that_does_not_redirect_is_noticed(void **state)
{
	struct rig *rig = *state;
	int map = datapath_map_fd(rig->dp, "tw_sources"), prog;
	__u32 id = 0, n = 1;

	assert_int_equal(bpf_prog_query(map, BPF_SK_SKB_STREAM_VERDICT, 0, NULL, &id, &n), 0);
	prog = bpf_prog_get_fd_by_id(id);
	assert_int_equal(bpf_prog_detach2(prog, map, BPF_SK_SKB_STREAM_VERDICT), 0);
	close(prog);
	assert_fails_at(rig, SELFTEST_join);
}

/* With a parser, what came before accept(2) is not looked at, and urgent data stalls its stream. */
static void the_sources_have_a_verdict_and_no_parser(void **state)
{
	struct rig *rig = *state;
	int map = datapath_map_fd(rig->dp, "tw_sources");
	__u32 id = 0, n = 1;

	assert_int_equal(bpf_prog_query(map, BPF_SK_SKB_STREAM_VERDICT, 0, NULL, &id, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(bpf_prog_query(map, BPF_SK_SKB_STREAM_PARSER, 0, NULL, &id, &n), 0);
	assert_int_equal(n, 0);
}

static void a_host_without_loopback_is_noticed(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_fails_at(rig, SELFTEST_sockets);
}

static void every_step_has_a_name_and_two_texts(void **state)
{
	(void)state;
	for (enum selftest_step i = 0; i < SELFTEST_END; i++) {
		assert_true(strlen(selftest_name(i)) > 0);
		assert_string_not_equal(selftest_text(i, 0), selftest_text(i, -EIO));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_steps_pass_and_nothing_stays, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(a_kernel_that_does_not_redirect_is_noticed,
						rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(the_sources_have_a_verdict_and_no_parser, rig_setup,
						rig_teardown),
		cmocka_unit_test(every_step_has_a_name_and_two_texts),
		/* Last: this process stays in the namespace that it has made. */
		cmocka_unit_test_setup_teardown(a_host_without_loopback_is_noticed, rig_setup,
						rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
