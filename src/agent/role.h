/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every child of the keeper does first, and what faces and workers are. */
#pragma once

#include "agent/control.h"
#include "agent/settings.h"
#include "agent/state.h"
#include "agent/worker.h"

/* Runs "--role NAME" on the control socket HF_CONTROL_FD; gives the exit code. */
int hf_role_main(const char *name, const HfAgentParts *parts);

/* ---- What the keeper tells a face (HF_CONTROL_SETUP). ---- */
typedef struct HfFaceSetup {
  HfSettings *settings;
  HfMembership *identity;
  char **revoked; /* serials, ended by NULL */
} HfFaceSetup;
void hf_face_setup_put(GByteArray *body, const HfSettings *settings, const HfMembership *identity,
                       const char *const *revoked);
gboolean hf_face_setup_get(const GByteArray *body, HfFaceSetup *setup, GError **error);
void hf_face_setup_clear(HfFaceSetup *setup);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfFaceSetup, hf_face_setup_clear)

/* Gives up root: becomes `user` with its groups, without capabilities and without a way back. Nothing for who is not
 * root. HF_ERROR_PERMISSION when it did not work: then the process must end. */
gboolean hf_role_drop(const char *user, GError **error);

/* The faces; each returns when the keeper closes the control socket. */
gboolean hf_installer_run(HfControl *control, GError **error);
gboolean hf_transport_run(HfControl *control, const HfAgentParts *parts, GError **error);
/* A worker: takes its task from the control socket and returns when it is done. */
gboolean hf_worker_run(HfControl *control, const HfAgentParts *parts, GError **error);
