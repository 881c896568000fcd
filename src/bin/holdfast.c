/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>

#include "base/sysfault.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  if (!hf_sys_fault_from_environment(&error)) {
    fprintf(stderr, "holdfast: %s\n", error->message);
    return 2;
  }
  return hf_cli_main(argc, argv);
}
