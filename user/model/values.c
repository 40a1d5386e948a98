// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Single values out of YAML scalars (see reader.h). What YAML 1.1 guesses from the look of a text
 * (0x1bb, 0777, 1_000, yes, on) is refused instead: the types are ours.
 */
#include <string.h>

#include "base/cleanup.h"
#include "model/reader.h"

/* Bytes of a text, and of a number or duration: more is no value of ours. */
#define TEXT_MAX	4096
#define NUMBER_TEXT_MAX 32

#define MS_PER_DAY     (24u * 3600 * 1000)
#define TIMEOUT_MS_MAX (30u * MS_PER_DAY)

const char *reader_text(struct reader *r, const struct reader_path *path,
			const struct yaml_node *node, const char *what)
{
	char shown[READER_SHOW_SIZE];

	/* Bounded first: aliases may bring one huge text a million times. */
	if (node->type == YAML_SCALAR && !yaml_is_null(node) && node->n && node->n <= TEXT_MAX &&
	    strlen(node->text) == node->n)
		return node->text;
	reader_error(r, path, node, "%s is not %s", reader_show(shown, node), what);
	return NULL;
}

/* Digits at *@text, which moves behind them. What does not fit becomes a value above all limits. */
static bool take_number(const char **text, uint64_t *ret_value)
{
	const char *at = *text;
	uint64_t value = 0;

	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
			value = UINT64_MAX / 10;
	if (at == *text)
		return false;
	*text = at;
	*ret_value = value;
	return true;
}

static bool parse_number(const struct yaml_node *node, uint64_t *ret_value)
{
	const char *text = node->text;

	if (node->type != YAML_SCALAR || node->n > NUMBER_TEXT_MAX ||
	    (node->n > 1 && text[0] == '0'))
		return false;
	return take_number(&text, ret_value) && text == node->text + node->n;
}

bool reader_number(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		   const char *what, uint32_t min, uint32_t max, uint32_t *ret_value)
{
	char shown[READER_SHOW_SIZE];
	uint64_t value;

	if (!parse_number(node, &value) || value < min || value > max) {
		reader_error(r, path, node, "%s is not %s (%u..%u)", reader_show(shown, node), what,
			     min, max);
		return false;
	}
	*ret_value = (uint32_t)value;
	return true;
}

/* Milliseconds of the unit at *@text, which moves behind it; 0 = no unit. */
static uint32_t take_unit(const char **text)
{
	static const struct {
		const char *word;
		uint32_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t len = strlen(units[i].word);

		if (!strncmp(*text, units[i].word, len)) {
			*text += len;
			return units[i].ms;
		}
	}
	return 0;
}

/* 1h30m, or seconds without a unit. */
static bool parse_duration(const char *text, uint64_t max_ms, uint64_t *ret_ms)
{
	uint64_t sum = 0, value;

	do {
		const char *start = text;
		uint32_t unit;

		if (!take_number(&text, &value))
			return false;
		unit = take_unit(&text);
		if (!unit && (*text || sum || (*start == '0' && text > start + 1)))
			return false;
		if (!unit)
			unit = 1000;
		if (value > max_ms / unit)
			value = max_ms / unit + 1; /* too long, and cannot overflow */
		sum += value * unit;
	} while (*text && sum <= max_ms);
	*ret_ms = sum;
	return true;
}

/* 90000 -> "90s", 1500 -> "1500ms". */
static void format_ms(char *dst, size_t size, uint64_t ms)
{
	if (ms % 3600000 == 0)
		snprintf(dst, size, "%lluh", (unsigned long long)ms / 3600000);
	else if (ms % 1000 == 0)
		snprintf(dst, size, "%llus", (unsigned long long)ms / 1000);
	else
		snprintf(dst, size, "%llums", (unsigned long long)ms);
}

bool reader_duration(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		     uint64_t min_ms, uint64_t max_ms, uint32_t *ret_ms)
{
	char shown[READER_SHOW_SIZE], least[24], most[24];
	uint64_t ms;

	if (node->type == YAML_SCALAR && node->n <= NUMBER_TEXT_MAX &&
	    strlen(node->text) == node->n && parse_duration(node->text, max_ms, &ms) &&
	    ms >= min_ms && ms <= max_ms) {
		*ret_ms = (uint32_t)ms;
		return true;
	}
	format_ms(least, sizeof(least), min_ms);
	format_ms(most, sizeof(most), max_ms);
	reader_error(r, path, node, "%s is not a duration (%s..%s; like 10s, 500ms, 5m, 1h)",
		     reader_show(shown, node), least, most);
	return false;
}

/* 4194304 -> "4MiB". */
static void format_size(char *dst, size_t size, uint64_t bytes)
{
	if (bytes % (1 << 30) == 0)
		snprintf(dst, size, "%lluGiB", (unsigned long long)bytes >> 30);
	else if (bytes % (1 << 20) == 0)
		snprintf(dst, size, "%lluMiB", (unsigned long long)bytes >> 20);
	else
		snprintf(dst, size, "%lluKiB", (unsigned long long)bytes >> 10);
}

static bool parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB"};
	bool has_zero = text[0] == '0' && text[1];
	uint64_t value;

	if (has_zero || !take_number(&text, &value))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(text, units[i]))
			return !__builtin_mul_overflow(value, 1ull << 10 * i, ret_bytes);
	return false;
}

bool reader_size(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		 uint64_t min, uint64_t max, uint64_t *ret_bytes)
{
	char shown[READER_SHOW_SIZE], least[24], most[24];
	uint64_t bytes;

	if (node->type == YAML_SCALAR && node->n && node->n <= NUMBER_TEXT_MAX &&
	    strlen(node->text) == node->n && parse_size(node->text, &bytes) && bytes >= min &&
	    bytes <= max) {
		*ret_bytes = bytes;
		return true;
	}
	format_size(least, sizeof(least), min);
	format_size(most, sizeof(most), max);
	reader_error(r, path, node, "%s is not a size (%s..%s; like 65536, 512KiB, 4MiB)",
		     reader_show(shown, node), least, most);
	return false;
}

void reader_timeout(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		    void *target)
{
	(void)reader_duration(r, path, node, 1, TIMEOUT_MS_MAX, target);
}

bool reader_bool(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		 bool *ret_value)
{
	char shown[READER_SHOW_SIZE];

	if (node->is_plain && (yaml_is(node, "true") || yaml_is(node, "false"))) {
		*ret_value = node->text[0] == 't';
		return true;
	}
	reader_error(r, path, node, "%s is not a truth value; write true or false, without quotes",
		     reader_show(shown, node));
	return false;
}

int reader_word(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		const char *const *words, size_t n)
{
	char shown[READER_SHOW_SIZE], expected[128];
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		if (yaml_is(node, words[i]))
			return (int)i;
	for (size_t i = 0; i < n && len < sizeof(expected); i++)
		len += (size_t)snprintf(expected + len, sizeof(expected) - len, "%s%s",
					i == 0	     ? ""
					: i + 1 == n ? " or "
						     : ", ",
					words[i]);
	reader_error(r, path, node, "%s is not one of %s", reader_show(shown, node), expected);
	return -1;
}
