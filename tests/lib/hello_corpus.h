/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The corpus of ClientHellos with what must be answered about each, as read from the manifests
 * below tests/corpus/hello (tools/corpus makes them). For the tests of hello.h, which are run from
 * the top of the source tree. Whatever is wrong with the corpus ends the program.
 */
#ifndef THRUWAY_TESTS_HELLO_CORPUS_H
#define THRUWAY_TESTS_HELLO_CORPUS_H

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "thruway/hello.h"

#define CORPUS	   "tests/corpus/hello"
#define CORPUS_MAX 1024

struct sample {
	char file[96];
	__u8 *bytes; /* exactly len of them: a sanitizer sees a read behind the end */
	__u32 len;
	enum tw_hello_answer answer;
	enum tw_reason reason;
	char name[TW_NAME_SIZE];
	__u8 alpn[TW_ASK_ALPN_BYTES];
	__u32 alpn_len;
};

struct corpus {
	struct sample samples[CORPUS_MAX];
	__u32 count;
};

static void corpus_answer(struct sample *s, const char *word)
{
	if (!strcmp(word, "more"))
		s->answer = TW_HELLO_MORE;
	else if (!strcmp(word, "found"))
		s->answer = TW_HELLO_FOUND;
	else
		s->answer = TW_HELLO_REFUSED;
	if (s->answer != TW_HELLO_REFUSED)
		return;
#define X(reason_word, text)                                                                       \
	if (!strcmp(word, #reason_word))                                                           \
		s->reason = TW_REFUSE_##reason_word;
	TW_REFUSALS(X)
#undef X
	if (!s->reason)
		errx(1, "%s: no such answer: %s", s->file, word);
}

static void corpus_alpn(struct sample *s, const char *hex)
{
	for (; sscanf(hex, "%2hhx", &s->alpn[s->alpn_len]) == 1; hex += 2)
		if (++s->alpn_len == TW_ASK_ALPN_BYTES)
			break;
}

static void corpus_bytes(struct sample *s)
{
	static __u8 bytes[TW_HELLO_STREAM_MAX + 4096];
	FILE *file = fopen(s->file, "rbe");

	if (!file)
		err(1, "%s", s->file);
	s->len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	s->bytes = malloc(s->len ? s->len : 1);
	if (!s->bytes)
		err(1, "%s", s->file);
	memcpy(s->bytes, bytes, s->len);
}

static void corpus_read_folder(struct corpus *c, const char *folder)
{
	char path[96], line[1024];
	FILE *file;

	snprintf(path, sizeof(path), CORPUS "/%s/manifest.tsv", folder);
	file = fopen(path, "re");
	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file)) {
		struct sample *s = &c->samples[c->count];
		char *rest = line, *name, *answer;

		if (line[0] == '#')
			continue;
		if (c->count == CORPUS_MAX)
			errx(1, "%s: more than %d files", path, CORPUS_MAX);
		line[strcspn(line, "\n")] = 0;
		snprintf(s->file, sizeof(s->file), CORPUS "/%s/%s", folder, strsep(&rest, "\t"));
		answer = strsep(&rest, "\t");
		name = strsep(&rest, "\t");
		if (!answer || !name || !rest || strlen(name) > TW_NAME_MAX)
			errx(1, "%s: four fields, please: %s", path, s->file);
		corpus_answer(s, answer);
		strcpy(s->name, name);
		corpus_alpn(s, rest);
		corpus_bytes(s);
		c->count++;
	}
	fclose(file);
}

static inline const struct corpus *corpus_read(void)
{
	static struct corpus corpus;

	if (!corpus.count) {
		corpus_read_folder(&corpus, "clients");
		corpus_read_folder(&corpus, "crafted");
	}
	if (corpus.count < 200)
		errx(1, "only %u files in the corpus", corpus.count);
	return &corpus;
}

#endif
