/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the files config*.c share while a configuration is made; for them alone. Two passes: first
 * settings and listeners of all inputs, then routes, which may then name any listener.
 */
#ifndef THRUWAY_CONFIG_PARTS_H
#define THRUWAY_CONFIG_PARTS_H

#include "model/reader.h"
#include "model/seen.h"

/* Documents that are (or may hold) settings, listeners and routes. */
struct loader_native {
	const char *file;
	struct yaml_tree *yaml;
};

struct loader {
	struct reader reader;
	struct config *config;
	struct loader_native *natives;
	size_t n_natives, n_documents;
	uint32_t nodes;				    /* of all documents that were read */
	struct config_pos given[READER_FIELDS_MAX]; /* settings, which may stand once in all */
	size_t n_errors_before;			    /* in the list, of others */
	size_t n_route_errors;
	size_t n_object_problems; /* in the list: of plain documents */

	/* What must not stand twice, or not too often. */
	struct seen *listener_names; /* bad listeners too: their routes are not to blame */
	struct seen *listener_keys;  /* struct tw_bind_key, hostname */
	struct seen *binds;
	struct seen *route_names;
	struct seen *route_keys; /* hostname \n listener \n alpn */
	struct seen *backends;
	struct seen *alpns;
	size_t n_names; /* entries that the routes will take in the table, at least */
	size_t n_slots;
};

/*
 * config_documents.c: read each document of @texts, but for native routes. 0 or -ENOMEM; what else
 * is wrong is a problem.
 */
int config_read_documents(struct loader *loader, const struct config_text *texts, size_t n);
void config_each_native(struct loader *loader,
			void (*read)(struct loader *loader, const struct yaml_node *document));
void config_drop_natives(struct loader *loader);
bool config_is_kubernetes(const struct yaml_node *document);
/* config.c */
void config_read_settings(struct loader *loader, const struct yaml_node *document);

/* One item of listeners: or routes:; a bad one is reported and not added to the config. */
void config_read_listener(struct reader *r, const struct reader_path *path,
			  const struct yaml_node *node, void *config);
void config_read_route(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, void *config);
void config_listener_fini(struct config_listener *listener);

/* A list of paths into a uint32_t: bit n is enum tw_path n. */
void config_read_paths(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, void *target);
/* direct or off into an enum tw_local. */
void config_read_local(struct reader *r, const struct reader_path *path,
		       const struct yaml_node *node, void *target);

/* A list of backends, or one. */
void config_read_backends(struct reader *r, const struct reader_path *path,
			  const struct yaml_node *node, struct config_backend **ret_backends,
			  size_t *ret_n);
/* An IP that can be bound or connected to; @why (if not) is one static text. */
bool config_ip_is_usable(const uint8_t ip[16], const char **ret_why);

/* 0, or -EINVAL (or -ENOMEM) with *@ret_why: reader_check() and config_parse_*() end in this. */
int config_why(char **ret_why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Names of listeners and routes: printable, without spaces and quotes, at most @max bytes. */
int config_check_name(const char *what, size_t max, const char *text, char dst[TW_NAME_SIZE],
		      char **ret_why);

/*
 * @array of @n items with room for one more; NULL (and @array stays) without memory. Whoever adds
 * to an array takes this, since how much room there is follows from @n alone.
 */
void *config_room(void *array, size_t n, size_t size);
/* The same, noted in @r. */
void *config_grow(struct reader *r, void *array, size_t n, size_t size);

#endif
