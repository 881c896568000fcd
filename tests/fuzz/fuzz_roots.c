/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_page_open and hf_page_next on any payload of roots. */
#include "pages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_page(data, size, TRUE);
  return 0;
}
