/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Enrolment, the host's side (docs/fleet.md 5): waits on the installer port for who knows the token.
 *
 * INVARIANTS
 * 1. A token that enrolled this host, or with which five connections failed, enrols nobody any more, also after the
 *    program was started again.
 * 2. What the server sends is kept only when it holds together: certificates of one authority, ours with our key.
 */
#pragma once

#include "agent/settings.h"
#include "agent/state.h"

#define HF_ENROLL_FAILURES 5u

/* TRUE while 'enroll' waits on this host: the keeper leaves the installer port to it. */
gboolean hf_enroll_waits(const char *state);

/* Called once the port listens. */
typedef void (*HfEnrollReady)(guint16 port, gpointer user);
/* Waits at most `seconds`. The identity that was kept, or NULL: HF_ERROR_EXISTS when this host is enrolled and `again`
 * is not set, HF_ERROR_PASSWORD when the token is void. */
HfMembership *hf_enroll(const HfSettings *settings, const char *token, gboolean again, guint seconds,
                        HfEnrollReady ready,
                      gpointer user, GError **error);
