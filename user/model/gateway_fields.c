// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Values of fields, and what is said of wrong ones (see gateway_fields.h). */
#include "model/gateway_fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/index.h"
#include "base/log.h"

/* A wrong value in a message; a name that is too long is cut. */
#define SHOWN_SIZE 300

/* Up to here a double holds every integer. */
#define INTEGER_MAX 9007199254740992.0

void gw_complain(struct gw_reading *r, const struct yaml_node *node, const char *path,
		 const char *fmt, ...)
{
	struct config_pos pos = {.file = r->file, .line = node->line, .column = node->column};
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	r->n_errors++;
	if (!text)
		r->err = -ENOMEM;
	else
		config_problem_add(r->problems, &pos, false, "%s: %s: %s", r->object, path, text);
}

char *gw_copy(struct gw_reading *r, const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		r->err = -ENOMEM;
	return copied;
}

void *gw_many(struct gw_reading *r, size_t n, size_t size)
{
	void *items = calloc(n ? n : 1, size);

	if (!items)
		r->err = -ENOMEM;
	return items;
}

void gw_join(char dst[GW_PATH_SIZE], const char *path, const char *key)
{
	if (snprintf(dst, GW_PATH_SIZE, "%s%s%s", path, *path ? "." : "", key) >= GW_PATH_SIZE)
		dst[GW_PATH_SIZE - 1] = '\0';
}

void gw_join_index(char dst[GW_PATH_SIZE], const char *path, size_t index)
{
	if (snprintf(dst, GW_PATH_SIZE, "%s[%zu]", path, index) >= GW_PATH_SIZE)
		dst[GW_PATH_SIZE - 1] = '\0';
}

/* --- keys ------------------------------------------------------------------------------------ */

/* The first of the mapping's keys that is the same as number @i; NULL = none before it. */
static const struct yaml_node *find_key(const struct index *keys, const struct yaml_node *map,
					size_t i, uint32_t hash)
{
	const struct yaml_node *key = map->items[2 * i];
	uint32_t at = INDEX_START, k;

	while ((k = index_next(keys, hash, &at)) != INDEX_NONE)
		if (map->items[2 * (size_t)k]->n == key->n &&
		    !memcmp(map->items[2 * (size_t)k]->text, key->text, key->n))
			return map->items[2 * (size_t)k];
	return NULL;
}

static void check_key(struct gw_reading *r, const struct yaml_node *map, size_t i,
		      struct index *keys, const char *path)
{
	const struct yaml_node *key = map->items[2 * i], *first;
	uint32_t hash = index_hash(0, key->text, key->n);

	first = find_key(keys, map, i, hash);
	if (first)
		gw_complain(r, key, path, "stands twice; the first is at line %u", first->line);
	else if (key->is_plain && yaml_is(key, "<<"))
		gw_complain(r, key, path, "merge keys (<<) are not read: write the keys out");
	else if (index_add(keys, hash, (uint32_t)i))
		r->err = -ENOMEM;
}

void gw_check_keys(struct gw_reading *r, const struct yaml_node *node, const char *path)
{
	char at[GW_PATH_SIZE], shown[SHOWN_SIZE];
	struct index keys = {};

	if (node->type == YAML_SCALAR && strlen(node->text) != node->n)
		gw_complain(r, node, path, "holds a zero byte");
	for (size_t i = 0; node->type == YAML_SEQUENCE && i < node->n; i++) {
		gw_join_index(at, path, i);
		gw_check_keys(r, node->items[i], at);
	}
	for (size_t i = 0; node->type == YAML_MAPPING && i < node->n; i++) {
		const struct yaml_node *key = node->items[2 * i];

		if (key->type != YAML_SCALAR) {
			gw_complain(r, key, path, "a list or mapping cannot be a key");
			continue;
		}
		gw_join(at, path, log_quote(shown, sizeof(shown), key->text, key->n));
		gw_check_keys(r, key, at);
		check_key(r, node, i, &keys, at);
		gw_check_keys(r, node->items[2 * i + 1], at);
	}
	index_fini(&keys);
}

/* --- values ---------------------------------------------------------------------------------- */

/* Kubernetes' tools read YAML 1.1, where more words than true and false mean these. */
static bool parse_bool(const struct yaml_node *node, bool *ret)
{
	static const char *const words[][2] = {
		{"true", "false"}, {"True", "False"}, {"TRUE", "FALSE"}, {"yes", "no"},
		{"Yes", "No"},	   {"YES", "NO"},     {"on", "off"},	 {"On", "Off"},
		{"ON", "OFF"},	   {"y", "n"},	      {"Y", "N"},
	};

	if (node->type != YAML_SCALAR || !node->is_plain || node->n > 5)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		*ret = yaml_is(node, words[i][0]);
		if (*ret || yaml_is(node, words[i][1]))
			return true;
	}
	return false;
}

/* Octal, as 0443 is for Kubernetes' tools, is more likely a mistake. */
static bool is_octal(const char *text)
{
	text += *text == '-' || *text == '+';
	return text[0] == '0' && text[1] && text[1] != '.';
}

bool gw_parse_number(const struct yaml_node *node, int64_t *ret)
{
	double real;
	char *end;

	if (node->type != YAML_SCALAR || !node->is_plain || !node->n || is_octal(node->text))
		return false;
	errno = 0;
	*ret = strtoll(node->text, &end, 10);
	if (!errno && end == node->text + node->n)
		return true;
	/* JSON's writers may make 443.0 or 4.43e2 of 443. */
	real = strtod(node->text, &end);
	*ret = real > -INTEGER_MAX && real < INTEGER_MAX ? (int64_t)real : 0;
	return end == node->text + node->n && (double)*ret == real;
}

/* As YAML 1.1 writes them: 1_000, 0o17, 0b1, 0x1f, 1e3, .5, .inf */
static bool is_number(const char *text)
{
	_cleanup_free_ char *plain = strdup(text);
	char *to = plain, *end;

	if (!plain || !strchr("+-.0123456789", *text))
		return false;
	for (const char *from = text; *from; from++)
		if (*from != '_')
			*to++ = *from;
	*to = '\0';
	to = plain + (*plain == '-' || *plain == '+');
	if (!strcasecmp(to, ".inf") || !strcasecmp(to, ".nan"))
		return true;
	if (*to == '0' && (to[1] == 'o' || to[1] == 'b'))
		return to[2] && !to[2 + strspn(to + 2, to[1] == 'o' ? "01234567" : "01")];
	(void)strtod(plain, &end);
	return *plain && !*end;
}

bool gw_is_text(const struct yaml_node *node)
{
	bool ignored;

	if (node->type != YAML_SCALAR || !node->is_plain)
		return node->type == YAML_SCALAR;
	return !yaml_is_null(node) && !parse_bool(node, &ignored) && !is_number(node->text);
}

/* What the API counts: characters, not bytes (of which those in UTF-8 that go on are not counted).
 */
static size_t n_characters(const struct yaml_node *node)
{
	size_t n = 0;

	for (size_t i = 0; i < node->n; i++)
		n += ((unsigned char)node->text[i] & 0xc0) != 0x80;
	return n;
}

void gw_complain_no_text(struct gw_reading *r, const struct yaml_node *node, const char *path)
{
	gw_complain(r, node, path,
		    node->type == YAML_SCALAR && node->is_plain && !yaml_is_null(node)
			    ? "is not a text (in quotes it would be)"
			    : "is not a text");
}

bool gw_check_text(struct gw_reading *r, const struct yaml_node *node, const char *path,
		   const char *text, const struct gw_pattern *pattern)
{
	char shown[SHOWN_SIZE];

	if (pattern->fits(text))
		return true;
	gw_complain(r, node, path, "\"%s\" is not %s",
		    log_quote(shown, sizeof(shown), text, strlen(text)), pattern->what);
	return false;
}

char *gw_read_text(struct gw_reading *r, const struct yaml_node *map, const char *path,
		   const char *key, size_t max, const struct gw_pattern *pattern, bool is_required,
		   const char *fallback)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[GW_PATH_SIZE];

	gw_join(at, path, key);
	if (!node || yaml_is_null(node)) {
		if (is_required)
			gw_complain(r, map, at, "Required value");
		return fallback ? gw_copy(r, fallback) : NULL;
	}
	if (!gw_is_text(node) || strlen(node->text) != node->n) {
		gw_complain_no_text(r, node, at);
	} else if (n_characters(node) > max) {
		gw_complain(r, node, at, "may not be longer than %zu characters", max);
	} else if (!pattern || gw_check_text(r, node, at, node->text, pattern)) {
		return gw_copy(r, node->text);
	}
	return NULL;
}

uint32_t gw_read_number(struct gw_reading *r, const struct yaml_node *map, const char *path,
			const char *key, int64_t min, int64_t max, bool is_required,
			uint32_t fallback)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[GW_PATH_SIZE];
	int64_t value;

	gw_join(at, path, key);
	if (!node || yaml_is_null(node)) {
		if (is_required)
			gw_complain(r, map, at, "Required value");
		return fallback;
	}
	if (gw_parse_number(node, &value) && value >= min && value <= max)
		return (uint32_t)value;
	gw_complain(r, node, at, "is not a number from %lld to %lld%s", (long long)min,
		    (long long)max,
		    node->type == YAML_SCALAR && is_octal(node->text)
			    ? " (decimal, without a 0 before it)"
			    : "");
	return fallback;
}

bool gw_read_bool(struct gw_reading *r, const struct yaml_node *map, const char *path,
		  const char *key, bool fallback)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[GW_PATH_SIZE];
	bool value;

	if (!node || yaml_is_null(node))
		return fallback;
	if (parse_bool(node, &value))
		return value;
	gw_join(at, path, key);
	gw_complain(r, node, at, "is not true or false");
	return fallback;
}

int gw_read_word(struct gw_reading *r, const struct yaml_node *map, const char *path,
		 const char *key, const char *const *words, size_t n, int fallback)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[GW_PATH_SIZE], shown[SHOWN_SIZE] = "", supported[120] = "";
	size_t len = 0;

	if (!node || yaml_is_null(node))
		return fallback;
	for (size_t i = 0; i < n; i++)
		if (yaml_is(node, words[i]))
			return (int)i;
	gw_join(at, path, key);
	if (node->type == YAML_SCALAR)
		log_quote(shown, sizeof(shown), node->text, node->n);
	for (size_t i = 0; i < n && len < sizeof(supported); i++)
		len += (size_t)snprintf(supported + len, sizeof(supported) - len, "%s\"%s\"",
					i ? ", " : "", words[i]);
	gw_complain(r, node, at, "Unsupported value: \"%s\": supported values: %s", shown,
		    supported);
	return fallback;
}

const struct yaml_node *gw_read_list(struct gw_reading *r, const struct yaml_node *map,
				     const char *path, const char *key, size_t min, size_t max)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[GW_PATH_SIZE];

	gw_join(at, path, key);
	if (!node || yaml_is_null(node)) {
		if (min)
			gw_complain(r, map, at, "Required value");
		return NULL;
	}
	if (node->type != YAML_SEQUENCE) {
		gw_complain(r, node, at, "is not a list");
		return NULL;
	}
	if (node->n > max)
		gw_complain(r, node, at, "Too many: %u: must have at most %zu items", node->n, max);
	else if (node->n < min)
		gw_complain(r, node, at, "must have at least %zu items", min);
	else
		return node;
	return NULL;
}

static bool is_map(struct gw_reading *r, const struct yaml_node *node, const char *path)
{
	if (node->type != YAML_MAPPING)
		gw_complain(r, node, path, "is not a mapping");
	return node->type == YAML_MAPPING;
}

const struct yaml_node *gw_read_maps(struct gw_reading *r, const struct yaml_node *map,
				     const char *path, const char *key, size_t min, size_t max)
{
	const struct yaml_node *list = gw_read_list(r, map, path, key, min, max);
	char at[GW_PATH_SIZE], item[GW_PATH_SIZE];
	bool is_good = true;

	gw_join(at, path, key);
	for (size_t i = 0; list && i < list->n; i++) {
		gw_join_index(item, at, i);
		is_good &= is_map(r, list->items[i], item);
	}
	return is_good ? list : NULL;
}

const struct yaml_node *gw_read_map(struct gw_reading *r, const struct yaml_node *map,
				    const char *path, const char *key)
{
	const struct yaml_node *node = yaml_get(map, key);
	char at[GW_PATH_SIZE];

	gw_join(at, path, key);
	return node && !yaml_is_null(node) && is_map(r, node, at) ? node : NULL;
}

void gw_read_pairs(struct gw_reading *r, const struct yaml_node *map, const char *path,
		   const char *key, struct gw_pair **ret, size_t *ret_n)
{
	const struct yaml_node *node = gw_read_map(r, map, path, key);
	char at[GW_PATH_SIZE], item[GW_PATH_SIZE], shown[SHOWN_SIZE];

	if (!node)
		return;
	gw_join(at, path, key);
	*ret = gw_many(r, node->n, sizeof(**ret));
	for (size_t i = 0; *ret && i < node->n; i++) {
		const struct yaml_node *k = node->items[2 * i], *v = node->items[2 * i + 1];

		if (k->type != YAML_SCALAR)
			continue; /* gw_check_keys() complains of it */
		gw_join(item, at, log_quote(shown, sizeof(shown), k->text, k->n));
		/* Nothing is the empty text. */
		if (!gw_is_text(v) && !yaml_is_null(v)) {
			gw_complain_no_text(r, v, item);
			continue;
		}
		(*ret)[*ret_n].key = gw_copy(r, k->text);
		(*ret)[(*ret_n)++].value = gw_copy(r, yaml_is_null(v) ? "" : v->text);
	}
}
