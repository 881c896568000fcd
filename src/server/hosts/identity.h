/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What makes this server the one that hosts obey. Everything PEM; keys are secrets, which the caller keeps sealed.
 *
 * Orders are signed by a key of their own, whose certificate hosts pin when they are enrolled and which lasts as long
 * as the authority: so the certificate of connections can be renewed while hosts are away.
 */
#pragma once

#include <glib.h>

typedef struct HfServerIdentity {
  char *uuid;
  char *authority, *authority_key;
  char *order_certificate, *order_key;
  char *certificate, *key; /* of connections: renewed */
} HfServerIdentity;

/* A new authority and all that hangs on it. `name` is for people. */
HfServerIdentity *hf_server_identity_new(const char *name, GError **error);
void hf_server_identity_free(HfServerIdentity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfServerIdentity, hf_server_identity_free)
HfServerIdentity *hf_server_identity_copy(const HfServerIdentity *identity);
/* Another key and certificate for connections. */
gboolean hf_server_identity_renew(HfServerIdentity *identity, const char *name, GError **error);
