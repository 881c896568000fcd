/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the keeper tells a face, a process that has the network (HF_CONTROL_SETUP). */
#pragma once

#include "agent/settings.h"
#include "agent/state.h"
#include "format/cursor.h"

typedef struct HfFaceSetup {
  HfSettings *settings;
  HfMembership *identity;
  char **revoked; /* serials, ended by NULL */
} HfFaceSetup;
void hf_face_setup_put(GByteArray *body, const HfSettings *settings, const HfMembership *identity,
                       const char *const *revoked);
/* What it found belongs to the caller also after an error. */
gboolean hf_face_setup_get(const GByteArray *body, HfFaceSetup *setup, GError **error);
void hf_face_setup_clear(HfFaceSetup *setup);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfFaceSetup, hf_face_setup_clear)
