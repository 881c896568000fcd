/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Room for bodies of frames. Large ones are used again and again instead of going back to the system each time, which
 * would clear their pages anew for every piece. Private to src/net. Any thread.
 */
#pragma once

#include <glib.h>

typedef struct HfBodies HfBodies;
HfBodies *hf_bodies_new(void);
/* Bytes that were handed out stay valid. */
void hf_bodies_unref(HfBodies *bodies);
/* Room for `length` bytes, not initialised; NULL without memory. */
guint8 *hf_bodies_get(HfBodies *bodies, gsize length);
/* Gives back what nobody else knows of. */
void hf_bodies_put(guint8 *bytes);
/* Makes it a GBytes, which gives it back when the last reference goes. */
GBytes *hf_bodies_take(guint8 *bytes, gsize length);
