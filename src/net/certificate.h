/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What pki.c and tls.c share about certificates. Private to src/net. */
#pragma once

#include <gnutls/x509.h>

#include "net/pki.h"

#define HF_PKI_URI_HOST "holdfast:host:"
#define HF_PKI_URI_SERVER "holdfast:server:"
#define HF_PKI_URI_ROLE "holdfast:role:"

/* As hf_pki_peer. */
HfPeer *hf_peer_of(gnutls_x509_crt_t certificate, GError **error);
