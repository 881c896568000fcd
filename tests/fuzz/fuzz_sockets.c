/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_sockets_parse on any text. */
#include <glib.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "ports/live/sockets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GArray) sockets = hf_sockets_parse((const char *)data, size, "fuzz", &error);
  g_assert_true((sockets != NULL) == (error == NULL));
  g_assert_true(sockets != NULL || hf_error_is(error, HF_ERROR_INVALID));
  for (guint i = 0; sockets != NULL && i < sockets->len; i++) {
    const HfSocket *found = &g_array_index(sockets, HfSocket, i);
    g_assert_cmpuint(found->port, >, 0);
    g_assert_true(found->transport == HF_PORT_TCP || found->transport == HF_PORT_UDP);
    g_assert_true(found->address.prefix == 0 || found->address.prefix == (found->address.family == AF_INET ? 32u : 128u));
  }
  return 0;
}
