/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The words and texts of reasons, from the list in thruway/reason.h. */
#ifndef THRUWAY_BASE_REASON_H
#define THRUWAY_BASE_REASON_H

#include "thruway/reason.h"

/* "ok", "unknown_name", "idle_timeout", ...; "unknown" for what is not a reason. */
const char *reason_word(unsigned int reason);
/* What happened, as a sentence without a full stop. */
const char *reason_text(unsigned int reason);
/* Counter of a refusal. @reason is TW_REFUSE_*. */
__u64 *reason_counter(struct tw_refusals *refusals, unsigned int reason);

#endif
