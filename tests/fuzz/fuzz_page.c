/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_page_open and hf_page_next on any payload of a directory page. */
#include "pages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_page(data, size, FALSE);
  return 0;
}
