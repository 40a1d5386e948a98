/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads typed values out of YAML nodes and reports what does not fit: with the path of keys that
 * leads there, the value, and what is expected. A mapping's grammar is a table of struct
 * reader_field: the keys, and the function that reads each one's value.
 */
#ifndef THRUWAY_READER_H
#define THRUWAY_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/config.h"
#include "model/yaml.h"

struct loader;

struct reader {
	const char *file; /* owned by the config that is made */
	struct config_problems *problems;
	struct loader *loader; /* what config_*.c share while a configuration is made */
	int err;	       /* -ENOMEM: the result is of no use */
};

/* From a value up to the document: routes[3].backends[0].weight. An index has no key. */
struct reader_path {
	const struct reader_path *up;
	const char *key;
	size_t index;
};

typedef void (*reader_fn)(struct reader *r, const struct reader_path *path,
			  const struct yaml_node *node, void *target);

struct reader_field {
	const char *key;
	reader_fn read;
	size_t offset; /* of its target in the object */
};

#define READER_FIELDS_MAX 32

struct config_pos reader_pos(const struct reader *r, const struct yaml_node *node);
/* Add "<path>: <text>" at @node. */
void reader_error(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void reader_warning(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void reader_out_of_memory(struct reader *r);
/* calloc(), which on failure notes that and returns NULL. */
void *reader_alloc(struct reader *r, size_t n, size_t size);

/* A value as messages show it: 70000, "70 000", "a list". Returns @dst. */
#define READER_SHOW_SIZE 96
char *reader_show(char dst[READER_SHOW_SIZE], const struct yaml_node *node);

/*
 * Read each key of the mapping @node as @fields say. Unknown and repeated keys are errors. @given,
 * if not NULL, has a position per field and lasts over several mappings that make one object (line
 * 0 = not given yet).
 */
void reader_mapping(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		    const struct reader_field *fields, size_t n, void *object,
		    struct config_pos *given);
/* (*read) for each item of a list; where @node is no list it is itself the one item. */
void reader_each(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		 reader_fn read, void *target);
/* How many items reader_each() visits. */
size_t reader_count(const struct yaml_node *node);

/* The text of a scalar; NULL after an error: "<value> is not <what>". */
const char *reader_text(struct reader *r, const struct reader_path *path,
			const struct yaml_node *node, const char *what);
/* Decimal digits only: YAML's hexadecimal, octal and 1_000 are refused. False after an error. */
bool reader_number(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		   const char *what, uint32_t min, uint32_t max, uint32_t *ret_value);
/* 10s, 500ms, 1h30m, or a number of seconds. False after an error. */
bool reader_duration(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		     uint64_t min_ms, uint64_t max_ms, uint32_t *ret_ms);
/* Bytes: a number, or one with KiB, MiB or GiB. False after an error. */
bool reader_size(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		 uint64_t min, uint64_t max, uint64_t *ret_bytes);
bool reader_bool(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		 bool *ret_value);
/* One of @n words: its index. -1 after an error. */
int reader_word(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		const char *const *words, size_t n);
/*
 * A list of texts (or one), each checked and brought to its one form by (*check), without repeats.
 * Bad ones are reported and left out.
 */
typedef int (*reader_check)(const char *text, char dst[TW_NAME_SIZE], char **ret_why);
void reader_texts(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		  const char *what, reader_check check, char ***ret_texts, size_t *ret_n);

/* A reader_fn: a timeout into a uint32_t of milliseconds. */
void reader_timeout(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		    void *target);

#endif
