/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "Did you mean": the candidate that a mistyped word most likely stands for. */
#pragma once

#include <glib.h>

typedef struct HfNearest HfNearest;
/* `word` is borrowed, as are all candidates. */
HfNearest *hf_nearest_new(const char *word);
void hf_nearest_offer(HfNearest *nearest, const char *candidate);
/* The nearest candidate so far, or NULL when none is near: one begun alike (three bytes or more), or one that is a
 * third of its length or less in typing slips away (a byte more, less, other or swapped with its neighbour). */
const char *hf_nearest_result(const HfNearest *nearest);
void hf_nearest_free(HfNearest *nearest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfNearest, hf_nearest_free)
