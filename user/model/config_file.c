// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Files of a configuration into memory: one file, stdin, or the YAML and JSON files of a directory.
 * What is too long is refused before it is read, or, where no length is known, while it is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "model/config.h"

#define FILES_MAX   100000
#define CHUNK_BYTES 65536

struct file_list {
	struct config_text *texts;
	size_t n;
	size_t bytes; /* of all */
	struct config_problems *problems;
};

static int refuse(struct file_list *list, const char *file, int err, const char *what)
{
	const struct config_pos pos = {.file = file};

	config_problem_add(list->problems, &pos, false, "%s: %s", what, strerror(-err));
	return err;
}

static int refuse_size(struct file_list *list, const char *file)
{
	const struct config_pos pos = {.file = file};

	config_problem_add(list->problems, &pos, false,
			   "too large: a configuration has at most %u MiB in all",
			   CONFIG_BYTES_MAX >> 20);
	return -EFBIG;
}

/* Takes @text. */
static int add_text(struct file_list *list, const char *file, char *text, size_t len)
{
	struct config_text *grown = reallocarray(list->texts, list->n + 1, sizeof(*grown));
	char *name = strdup(file);

	if (grown)
		list->texts = grown;
	if (!grown || !name) {
		free(name);
		free(text);
		return refuse(list, file, -ENOMEM, "cannot be read");
	}
	list->texts[list->n++] = (struct config_text){.file = name, .text = text, .len = len};
	list->bytes += len;
	return 0;
}

/* Reads to the end; -EFBIG when that is behind byte number @max. */
static int read_all(int fd, size_t expected, size_t max, char **ret_text, size_t *ret_len)
{
	size_t size = expected + 1, len = 0;
	_cleanup_free_ char *text = malloc(size);
	ssize_t n;

	if (!text)
		return -ENOMEM;
	for (;;) {
		n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
		if (len == size) {
			char *grown = realloc(text, size + size / 2 + CHUNK_BYTES);

			if (!grown)
				return -ENOMEM;
			text = grown;
			size += size / 2 + CHUNK_BYTES;
		}
	}
	if (n < 0)
		return -errno;
	*ret_text = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

/* The file that @fd is open on; @st is its fstat(). */
static int add_fd(struct file_list *list, const char *file, int fd, const struct stat *st)
{
	size_t max = CONFIG_BYTES_MAX - list->bytes, expected = 0, len = 0;
	char *text = NULL;
	int err;

	if (S_ISREG(st->st_mode)) {
		if ((uintmax_t)st->st_size > max)
			return refuse_size(list, file);
		expected = (size_t)st->st_size;
	}
	err = read_all(fd, expected, max, &text, &len);
	if (err == -EFBIG)
		return refuse_size(list, file);
	if (err)
		return refuse(list, file, err, "cannot be read");
	return add_text(list, file, text, len);
}

bool config_reads(const char *name)
{
	const char *dot = strrchr(name, '.');

	return name[0] != '.' && dot &&
	       (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml") || !strcmp(dot, ".json"));
}

static int is_ours(const struct dirent *entry)
{
	return config_reads(entry->d_name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_entry(struct file_list *list, const char *dir, int dir_fd, const char *name)
{
	_cleanup_free_ char *file = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (asprintf(&file, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name) < 0) {
		file = NULL;
		return refuse(list, dir, -ENOMEM, "cannot be read");
	}
	/* Not to wait for the writer of a pipe, which is then refused. */
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st))
		return refuse(list, file, -errno, "cannot be opened");
	if (!S_ISREG(st.st_mode))
		return refuse(list, file, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL,
			      "is not a regular file");
	return add_fd(list, file, fd, &st);
}

static int add_dir(struct file_list *list, const char *dir, int dir_fd)
{
	const struct config_pos pos = {.file = dir};
	struct dirent **entries;
	int n = scandirat(dir_fd, ".", &entries, is_ours, by_name);
	int err = 0;

	if (n < 0)
		return refuse(list, dir, -errno, "cannot be listed");
	if (!n)
		config_problem_add(list->problems, &pos, false,
				   "no file in this directory ends in .yaml, .yml or .json");
	if (n > FILES_MAX)
		config_problem_add(list->problems, &pos, false, "%d files; at most %d are read", n,
				   FILES_MAX);
	for (int i = 0; i < n; i++) {
		if (n <= FILES_MAX && add_entry(list, dir, dir_fd, entries[i]->d_name))
			err = -EINVAL;
		free(entries[i]);
	}
	free(entries);
	return !n ? -ENOENT : n > FILES_MAX ? -EFBIG : err;
}

static int add_path(struct file_list *list, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!strcmp(path, "-")) {
		if (fstat(STDIN_FILENO, &st))
			return refuse(list, "<stdin>", -errno, "cannot be read");
		return add_fd(list, "<stdin>", STDIN_FILENO, &st);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st))
		return refuse(list, path, -errno, "cannot be opened");
	return S_ISDIR(st.st_mode) ? add_dir(list, path, fd) : add_fd(list, path, fd, &st);
}

int config_read(const char *path, struct config_text **ret_texts, size_t *ret_n,
		struct config_problems *problems)
{
	struct file_list list = {.problems = problems};
	int err = add_path(&list, path);

	if (err == -EINVAL && !list.n)
		err = -EIO;
	if (err && err != -EINVAL) {
		config_texts_free(list.texts, list.n);
		return err;
	}
	*ret_texts = list.texts;
	*ret_n = list.n;
	return err;
}

void config_texts_free(struct config_text *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(texts[i].file);
		free(texts[i].text);
	}
	free(texts);
}

int config_load(const char *path, struct config **ret_config, struct config_problems *problems)
{
	struct config_text *texts;
	size_t n;
	int read_err, err;

	*ret_config = NULL;
	read_err = config_read(path, &texts, &n, problems);
	if (read_err && read_err != -EINVAL)
		return read_err;
	err = config_parse_texts(texts, n, ret_config, problems);
	config_texts_free(texts, n);
	if (read_err && *ret_config)
		(*ret_config)->has_fatal = true;
	return err ? err : read_err;
}
