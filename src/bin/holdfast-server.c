/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program holdfast-server. */
#include <stdio.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "program/program.h"

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  if (!hf_crypto_init(&error)) {
    fprintf(stderr, "holdfast-server: %s\n", error->message);
    return hf_error_exit_code(error);
  }
  return hf_server_main(argc, argv);
}
