// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The words and texts of reasons (see reason.h). */
#include "base/reason.h"

static const struct {
	const char *word, *text;
} reasons[TW_REASON_END] = {[TW_OK] = {"ok", "served"},
#define X(w, t) [TW_REFUSE_##w] = {#w, t},
			    TW_REFUSALS(X)
#undef X
#define X(w, t) [TW_END_##w] = {#w, t},
				    TW_ENDS(X)
#undef X
};

const char *reason_word(unsigned int reason)
{
	if (reason >= TW_REASON_END || !reasons[reason].word)
		return "unknown";
	return reasons[reason].word;
}

const char *reason_text(unsigned int reason)
{
	if (reason >= TW_REASON_END || !reasons[reason].text)
		return "not a reason that this version knows";
	return reasons[reason].text;
}

__u64 *reason_counter(struct tw_refusals *refusals, unsigned int reason)
{
	return (__u64 *)refusals + (reason - 1);
}
