// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Any bytes as a request on the control socket: the answer is always one JSON object, and the
 * handler sees objects with an "op" alone. The source is included, to stand between accept(2) and
 * the handler without a socket in /run.
 */
#include "edge/control.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *handle(void *arg, const json_t *request)
{
	(void)arg;
	if (!json_is_string(json_object_get(request, "op")))
		abort();
	return json_deep_copy(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control control = {.handler = handle};
	json_t *answer = request_answer(&control, (const char *)data, size);

	if (!json_is_object(answer))
		abort();
	json_decref(answer);
	return 0;
}
