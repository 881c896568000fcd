/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One TLS handshake over a non-blocking socket, to see who answers. Nothing is verified, nothing secret is sent. */
#pragma once

#include "ports/live/probe.h"

typedef struct HfProbeTls HfProbeTls;

typedef enum HfProbeTlsState {
  HF_PROBE_TLS_READ,  /* goes on when the socket can be read, */
  HF_PROBE_TLS_WRITE, /* or written */
  HF_PROBE_TLS_RIGHT, /* it speaks TLS */
  HF_PROBE_TLS_WRONG,
} HfProbeTlsState;

/* `fd` is borrowed; `host_name` may be NULL. */
HfProbeTls *hf_probe_tls_new(int fd, const char *host_name);
/* Goes on; with WRONG `reason` becomes why (caller frees), with RIGHT it does when the other side would not go on. */
HfProbeTlsState hf_probe_tls_step(HfProbeTls *tls, char **reason);
/* The certificate that was shown, or NULL; the caller owns it. */
HfProbeCertificate *hf_probe_tls_certificate(HfProbeTls *tls);
void hf_probe_tls_free(HfProbeTls *tls);

void hf_probe_certificate_free(HfProbeCertificate *certificate);
