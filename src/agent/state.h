/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an agent keeps in its state folder (mode 0700, files 0600), each file replaced whole and durably:
 *
 *   identity     who this host is and whom it obeys; written by enrolment and renewal, removed by unenrolment
 *   order        the number of the last order that was taken
 *   enrolment    tokens that were used up, by their hash
 *   tasks/       a file for each task that runs or whose result the server has not taken
 *   work/        caches and states of tasks; notes of file systems that are frozen (agent/thaw.h)
 *   holds/       which files of repositories have the immutable flag, and until when (agent/keeper/holdbook.h)
 *   repositories paths of the repositories on this host, a line each, escaped
 */
#pragma once

#include <glib.h>

#define HF_STATE_REPOSITORIES "repositories"

/* Everything PEM but for the names. */
typedef struct HfMembership {
  char *host, *server;       /* uuids */
  char *key, *certificate;   /* of this host; the key is wiped */
  char *authority;           /* certificate of the CA */
  char *server_certificate;  /* whose key signs orders */
} HfMembership;

void hf_membership_free(HfMembership *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfMembership, hf_membership_free)
HfMembership *hf_membership_copy(const HfMembership *identity);
/* NULL with HF_ERROR_NOT_FOUND when this host is not enrolled. */
HfMembership *hf_membership_load(const char *folder, GError **error);
gboolean hf_membership_save(const char *folder, const HfMembership *identity, GError **error);
gboolean hf_membership_remove(const char *folder, GError **error);

/* Makes the folder and those above it. */
gboolean hf_state_folder(const char *folder, GError **error);
/* Replaces `name` in `folder`, durably. */
gboolean hf_state_write(const char *folder, const char *name, const void *bytes, gsize length, GError **error);
/* NULL with HF_ERROR_NOT_FOUND when there is none. */
GBytes *hf_state_read(const char *folder, const char *name, GError **error);
