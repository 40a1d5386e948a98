// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Changes of files and directories, made in every way that programs have for it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <ftw.h>

#include "base/clock.h"
#include "edge/watch.h"

#define QUIET_MS 20
#define MAX_MS	 200

static char root[] = "/tmp/thruway-watch-XXXXXX";

/* --- what is done to files ------------------------------------------------------------------- */

static const char *in_root(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%s/%s", root, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	int fd = open(in_root(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void move(const char *from, const char *to)
{
	assert_int_equal(rename(in_root(from), in_root(to)), 0);
}

static void make_dir(const char *name)
{
	assert_int_equal(mkdir(in_root(name), 0700), 0);
}

static void make_link(const char *target, const char *name)
{
	assert_int_equal(symlink(target, in_root(name)), 0);
}

static void remove_file(const char *name)
{
	assert_int_equal(unlink(in_root(name)), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *name)
{
	assert_int_equal(nftw(in_root(name), remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* --- the watch ------------------------------------------------------------------------------- */

static struct watch *watch_of(const char *name)
{
	struct watch *watch = NULL;

	assert_int_equal(watch_open(in_root(name), QUIET_MS, MAX_MS, &watch), 0);
	return watch;
}

static int wait_for_it(struct watch *watch)
{
	struct pollfd fd = {.fd = watch_fd(watch), .events = POLLIN};

	(void)poll(&fd, 1, watch_timeout_ms(watch));
	return watch_dispatch(watch);
}

/* Events that were made are in the queue already: without any, there is nothing to wait for. */
static bool has_change(struct watch *watch)
{
	int changed = watch_dispatch(watch);

	while (!changed && watch_timeout_ms(watch) >= 0)
		changed = wait_for_it(watch);
	assert_true(changed >= 0);
	return changed;
}

#define assert_changed(watch) assert_true(has_change(watch))
#define assert_quiet(watch)   assert_false(has_change(watch))

/* --- a file ---------------------------------------------------------------------------------- */

static void a_file_written_in_place_or_renamed_over_is_a_change(void **state)
{
	struct watch *watch;

	(void)state;
	write_file("a.yaml", "one");
	watch = watch_of("a.yaml");
	assert_quiet(watch);
	write_file("a.yaml", "two");
	assert_changed(watch);
	for (int i = 0; i < 3; i++) {
		write_file("a.yaml.new", i ? "four" : "three");
		move("a.yaml.new", "a.yaml");
		assert_changed(watch);
	}
	write_file("a.yaml", "in place, after it was replaced");
	assert_changed(watch);
	watch_close(watch);
}

static void a_file_that_goes_and_comes_is_two_changes(void **state)
{
	struct watch *watch;

	(void)state;
	write_file("a.yaml", "one");
	watch = watch_of("a.yaml");
	remove_file("a.yaml");
	assert_changed(watch);
	write_file("a.yaml", "one");
	assert_changed(watch);
	watch_close(watch);
}

static void a_file_that_is_not_there_yet_may_come_with_its_directories(void **state)
{
	struct watch *watch = watch_of("not/yet/a.yaml");

	(void)state;
	make_dir("not");
	assert_quiet(watch);
	make_dir("not/yet");
	assert_quiet(watch);
	write_file("not/yet/a.yaml", "one");
	assert_changed(watch);
	watch_close(watch);
}

static void files_beside_it_are_no_change(void **state)
{
	struct watch *watch;

	(void)state;
	write_file("a.yaml", "one");
	watch = watch_of("a.yaml");
	write_file("b.yaml", "one");
	write_file(".a.yaml.swp", "one");
	assert_quiet(watch);
	watch_close(watch);
}

static void a_link_is_followed_and_may_be_swapped_at_each_step(void **state)
{
	struct watch *watch;

	(void)state;
	make_dir("v1");
	make_dir("v2");
	write_file("v1/a.yaml", "one");
	write_file("v2/a.yaml", "two");
	make_link("v1", "current");
	make_link("current/a.yaml", "a.yaml");
	watch = watch_of("a.yaml");
	write_file("v1/a.yaml", "one more");
	assert_changed(watch);
	make_link(in_root("v2"), "next"); /* an absolute one */
	move("next", "current");
	assert_changed(watch);
	write_file("v2/a.yaml", "two more");
	assert_changed(watch);
	write_file("v1/a.yaml", "is no longer on the way");
	assert_quiet(watch);
	watch_close(watch);
}

static void links_in_a_circle_end(void **state)
{
	struct watch *watch;

	(void)state;
	make_link("b.yaml", "a.yaml");
	make_link("a.yaml", "b.yaml");
	watch = watch_of("a.yaml");
	write_file("b.new", "one");
	move("b.new", "b.yaml");
	assert_changed(watch);
	watch_close(watch);
}

/* It is read where the process is, whatever that directory is called by now. */
static void a_relative_path_stays_in_the_working_directory(void **state)
{
	int was = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct watch *watch = NULL;

	(void)state;
	make_dir("here");
	make_dir("here/conf");
	make_dir("here/conf/..v1");
	make_link("..v1", "here/conf/..data");
	make_link("..data/a.yaml", "here/conf/a.yaml");
	assert_int_equal(chdir(in_root("here")), 0);
	assert_int_equal(watch_open("conf", QUIET_MS, MAX_MS, &watch), 0);
	write_file("here/conf/..v1/a.yaml", "one");
	assert_changed(watch);
	move("here", "there");
	make_dir("here");
	make_dir("here/conf");
	write_file("here/conf/a.yaml", "is read by nobody");
	assert_quiet(watch);
	write_file("there/conf/..v1/a.yaml", "two, more");
	assert_changed(watch);
	watch_close(watch);
	assert_int_equal(fchdir(was), 0);
	close(was);
}

/* --- a directory ----------------------------------------------------------------------------- */

static void files_of_a_directory_come_change_and_go(void **state)
{
	struct watch *watch;

	(void)state;
	make_dir("conf");
	watch = watch_of("conf");
	write_file("conf/a.yaml", "one");
	assert_changed(watch);
	write_file("conf/a.yaml", "two");
	assert_changed(watch);
	move("conf/a.yaml", "conf/b.json");
	assert_changed(watch);
	assert_int_equal(link(in_root("conf/b.json"), in_root("conf/c.yml")), 0);
	assert_changed(watch);
	remove_file("conf/b.json");
	assert_changed(watch);
	write_file("conf/.a.yaml.swp", "one");
	write_file("conf/README", "one");
	assert_quiet(watch);
	watch_close(watch);
}

static void a_kubernetes_volume_changes_by_its_data_link(void **state)
{
	struct watch *watch;

	(void)state;
	make_dir("conf");
	make_dir("conf/..2026_01");
	write_file("conf/..2026_01/a.yaml", "one");
	make_link("..2026_01", "conf/..data");
	make_link("..data/a.yaml", "conf/a.yaml");
	watch = watch_of("conf");
	for (int i = 2; i < 5; i++) {
		char dir[32], file[64], old[32];

		snprintf(dir, sizeof(dir), "conf/..2026_%02d", i);
		snprintf(file, sizeof(file), "%s/a.yaml", dir);
		snprintf(old, sizeof(old), "conf/..2026_%02d", i - 1);
		make_dir(dir);
		write_file(file, "one");
		assert_quiet(watch);
		make_link(strchr(dir, '/') + 1, "conf/..data_tmp");
		move("conf/..data_tmp", "conf/..data");
		remove_tree(old);
		assert_changed(watch);
		assert_quiet(watch);
	}
	watch_close(watch);
}

static void a_directory_may_be_replaced_and_be_away(void **state)
{
	struct watch *watch;

	(void)state;
	make_dir("etc");
	make_dir("etc/conf");
	write_file("etc/conf/a.yaml", "one");
	watch = watch_of("etc/conf");
	make_dir("new");
	write_file("new/a.yaml", "two");
	move("etc/conf", "old");
	move("new", "etc/conf");
	assert_changed(watch);
	write_file("old/a.yaml", "is no longer on the way");
	assert_quiet(watch);
	write_file("etc/conf/a.yaml", "three");
	assert_changed(watch);
	remove_tree("etc/conf");
	assert_changed(watch);
	move("etc", "away");
	make_dir("etc");
	make_dir("etc/conf");
	write_file("etc/conf/a.yaml", "four");
	assert_changed(watch);
	watch_close(watch);
}

/* --- time ------------------------------------------------------------------------------------ */

static void many_changes_at_once_are_one(void **state)
{
	char name[32];
	struct watch *watch;

	(void)state;
	make_dir("conf");
	watch = watch_of("conf");
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "conf/%d.yaml", i);
		write_file(name, "one");
	}
	assert_changed(watch);
	assert_quiet(watch);
	watch_close(watch);
}

static void changes_without_end_are_taken_after_the_longest_time(void **state)
{
	int64_t start = clock_ms();
	struct watch *watch;
	char text[32];

	(void)state;
	write_file("a.yaml", "one");
	watch = watch_of("a.yaml");
	for (int i = 0; !watch_dispatch(watch); i++) {
		assert_true(clock_ms() - start < 100 * MAX_MS);
		snprintf(text, sizeof(text), "%d", i);
		write_file("a.yaml", text);
	}
	watch_close(watch);
}

/* Open for writing, with half of it there. */
static int begin_to_write(const char *name)
{
	int fd = open(in_root(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "half", 4), 4);
	return fd;
}

static void a_file_that_is_being_written_is_none_yet(void **state)
{
	struct watch *watch;
	int64_t begin;
	int fd;

	(void)state;
	make_dir("conf");
	watch = watch_of("conf");
	fd = begin_to_write("conf/a.yaml");
	assert_false(watch_dispatch(watch));
	assert_true(watch_timeout_ms(watch) > QUIET_MS);
	begin = clock_ms();
	close(fd);
	assert_changed(watch);
	assert_true(clock_ms() - begin < MAX_MS);
	watch_close(watch);
}

static void a_file_whose_writer_does_not_end_is_one_after_the_longest_time(void **state)
{
	struct watch *watch;
	int fd;

	(void)state;
	make_dir("conf");
	watch = watch_of("conf");
	fd = begin_to_write("conf/a.yaml");
	assert_changed(watch);
	close(fd);
	watch_close(watch);
}

/* Complete when it comes, and nobody will close it: the other name is gone before we look. */
static void a_file_that_is_linked_in_is_a_change(void **state)
{
	struct watch *watch;

	(void)state;
	make_dir("conf");
	watch = watch_of("conf");
	write_file("tmp", "one");
	assert_int_equal(link(in_root("tmp"), in_root("conf/a.yaml")), 0);
	remove_file("tmp");
	assert_changed(watch);
	watch_close(watch);
}

static void a_file_may_be_written_by_another_name_of_it(void **state)
{
	struct watch *watch;

	(void)state;
	make_dir("conf");
	write_file("elsewhere", "one");
	assert_int_equal(link(in_root("elsewhere"), in_root("conf/a.yaml")), 0);
	watch = watch_of("conf");
	write_file("elsewhere", "two");
	assert_changed(watch);
	watch_close(watch);
}

/* A link in the directory leads to it: a mounted secret, say, which is written where it is from. */
static void what_a_link_leads_to_may_be_written_by_another_name_of_it(void **state)
{
	struct watch *watch;

	(void)state;
	make_dir("conf");
	make_dir("run");
	write_file("elsewhere", "one");
	assert_int_equal(link(in_root("elsewhere"), in_root("run/secret")), 0);
	make_link("../run/secret", "conf/a.yaml");
	watch = watch_of("conf");
	write_file("elsewhere", "two");
	assert_changed(watch);
	watch_close(watch);
}

/* By a signal, say: the way is walked anew, as after an event. */
static void what_is_read_for_another_reason_counts_as_known(void **state)
{
	struct watch *watch;

	(void)state;
	make_dir("conf");
	watch = watch_of("conf");
	write_file("conf/a.yaml", "one");
	watch_renew(watch);
	assert_quiet(watch);
	write_file("conf/a.yaml", "more");
	assert_changed(watch);
	watch_close(watch);
}

static void what_is_as_it_was_is_no_change(void **state)
{
	struct watch *watch;

	(void)state;
	make_dir("conf");
	write_file("conf/a.yaml", "one");
	watch = watch_of("conf");
	write_file("conf/b.yaml", "one");
	remove_file("conf/b.yaml");
	assert_quiet(watch);
	watch_close(watch);
}

/* ---------------------------------------------------------------------------------------------- */

static int make_root(void **state)
{
	(void)state;
	strcpy(strrchr(root, '-'), "-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_written_in_place_or_renamed_over_is_a_change),
		TEST(a_file_that_goes_and_comes_is_two_changes),
		TEST(a_file_that_is_not_there_yet_may_come_with_its_directories),
		TEST(files_beside_it_are_no_change),
		TEST(a_link_is_followed_and_may_be_swapped_at_each_step),
		TEST(links_in_a_circle_end),
		TEST(a_relative_path_stays_in_the_working_directory),
		TEST(files_of_a_directory_come_change_and_go),
		TEST(a_kubernetes_volume_changes_by_its_data_link),
		TEST(a_directory_may_be_replaced_and_be_away),
		TEST(many_changes_at_once_are_one),
		TEST(changes_without_end_are_taken_after_the_longest_time),
		TEST(a_file_that_is_being_written_is_none_yet),
		TEST(a_file_whose_writer_does_not_end_is_one_after_the_longest_time),
		TEST(a_file_that_is_linked_in_is_a_change),
		TEST(a_file_may_be_written_by_another_name_of_it),
		TEST(what_a_link_leads_to_may_be_written_by_another_name_of_it),
		TEST(what_is_read_for_another_reason_counts_as_known),
		TEST(what_is_as_it_was_is_no_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
