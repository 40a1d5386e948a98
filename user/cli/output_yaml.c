// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A JSON value as YAML on stdout, in the form that kubectl prints. Whoever reads it, by YAML 1.1 or
 * 1.2, gets the value that -j prints: texts that could be taken for something else are quoted.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

/* YAML 1.1 takes these for true, false and null (yaml.org/type/bool.html, null.html). */
static const char *const words[] = {"true", "false", "yes",  "no",  "on", "off",
				    "y",    "n",     "null", "inf", "nan"};

/*
 * May @text stand without quotes as far as its meaning goes? Numbers, times, "~", "<<" and all else
 * that is no text begin with something that is no letter; where the grammar asks for quotes, the
 * emitter knows.
 */
static bool is_plain_text(const char *text)
{
	char first = (char)(*text | 0x20);

	if (first < 'a' || first > 'z')
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcasecmp(text, words[i]))
			return false;
	return true;
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, size_t len,
			yaml_scalar_style_t style)
{
	yaml_event_t event;

	return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)len,
					    1, 1, style) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool emit_text(yaml_emitter_t *emitter, const char *text, size_t len)
{
	return emit_scalar(emitter, text, len,
			   is_plain_text(text) ? YAML_ANY_SCALAR_STYLE
					       : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static bool emit_value(yaml_emitter_t *emitter, const json_t *value);

static bool emit_array(yaml_emitter_t *emitter, const json_t *array)
{
	yaml_event_t event;
	const json_t *item;
	size_t i;

	if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
						  YAML_BLOCK_SEQUENCE_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	json_array_foreach (array, i, item)
		if (!emit_value(emitter, item))
			return false;
	return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static bool emit_object(yaml_emitter_t *emitter, const json_t *object)
{
	yaml_event_t event;
	const char *key;
	json_t *value;

	if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	json_object_foreach ((json_t *)object, key, value)
		if (!emit_text(emitter, key, strlen(key)) || !emit_value(emitter, value))
			return false;
	return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

/* A number, true, false, null: as in JSON. */
static bool emit_literal(yaml_emitter_t *emitter, const json_t *value)
{
	char *text = text_need(json_dumps(value, JSON_ENCODE_ANY));
	bool is_done = emit_scalar(emitter, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);

	free(text);
	return is_done;
}

static bool emit_value(yaml_emitter_t *emitter, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return emit_object(emitter, value);
	case JSON_ARRAY:
		return emit_array(emitter, value);
	case JSON_STRING:
		return emit_text(emitter, json_string_value(value), json_string_length(value));
	default:
		return emit_literal(emitter, value);
	}
}

static bool emit_document(yaml_emitter_t *emitter, const json_t *value)
{
	yaml_event_t event;

	return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
	       yaml_emitter_emit(emitter, &event) &&
	       yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
	       yaml_emitter_emit(emitter, &event) && emit_value(emitter, value) &&
	       yaml_document_end_event_initialize(&event, 1) &&
	       yaml_emitter_emit(emitter, &event) && yaml_stream_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

int cli_yaml(const struct cli *cli, const json_t *value)
{
	yaml_emitter_t emitter;
	int status = CLI_DONE;

	if (!yaml_emitter_initialize(&emitter))
		text_need(NULL);
	/* Bytes that are not ASCII are escaped, as they are unless something asks for them. */
	yaml_emitter_set_output_file(&emitter, stdout);
	yaml_emitter_set_width(&emitter, -1);
	if (!emit_document(&emitter, value)) {
		if (emitter.error == YAML_MEMORY_ERROR)
			text_need(NULL);
		status = cli_finish(cli);
		if (status == CLI_DONE)
			status = cli_error(cli, NULL, "cannot be printed as YAML: %s",
					   emitter.problem);
	}
	yaml_emitter_delete(&emitter);
	return status;
}
