/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/parse.h"

HfOptions *hf_options_parse(char *const *arguments, GError **error)
{
  return hf_program_parse(&hf_program, arguments, error);
}

void hf_options_free(HfOptions *options)
{
  hf_program_free(&hf_program, options);
}
