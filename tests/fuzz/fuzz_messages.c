/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every message that parts of Holdfast send each other: orders, tickets, events, requests to the repository service.
 * The first byte says which message the rest is. What was accepted must encode, and stay as it is from then on. */
#include "fuzz.h"
#include "messagefill.h"

static const HfMessageKind *kind_of(guint number)
{
  for (;;)
    for (const MessageService *service = message_services; service->name != NULL; service++)
      for (guint i = 0; service->kinds[i] != NULL; i++)
        if (number-- == 0)
          return service->kinds[i];
}

static GBytes *encode(const HfMessageKind *kind, gconstpointer message)
{
  GError *error = NULL;
  GBytes *bytes = hf_message_encode(kind, message, &error);
  g_assert_no_error(error);
  return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  if (size == 0)
    return 0;
  const HfMessageKind *kind = kind_of(data[0]);
  g_autofree gpointer message = g_malloc0(kind->size), again = g_malloc0(kind->size);
  if (!fuzz_judge(hf_message_decode(kind, data + 1, size - 1, message, &error), &error))
    return 0;
  g_autoptr(GBytes) once = encode(kind, message);
  g_assert_true(hf_message_decode(kind, g_bytes_get_data(once, NULL), g_bytes_get_size(once), again, &error));
  g_autoptr(GBytes) twice = encode(kind, again);
  g_assert_true(g_bytes_equal(once, twice));
  hf_message_clear(kind, message);
  hf_message_clear(kind, again);
  return 0;
}
