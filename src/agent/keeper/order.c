/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/order.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/work.h"
#include "net/pki.h"

#define FILE_NAME "order"
#define SECOND_NS G_GINT64_CONSTANT(1000000000)

struct HfOrderBook {
  GMutex lock;
  char *folder;
  guint64 last;
};

static gboolean read_last(HfOrderBook *book, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) bytes = hf_state_read(book->folder, FILE_NAME, &why);
  if (bytes == NULL && hf_error_is(why, HF_ERROR_NOT_FOUND))
    return TRUE;
  if (bytes == NULL) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  return hf_parse_number("the number of the last order", text, 0, G_MAXUINT64, &book->last, error);
}

HfOrderBook *hf_order_book_new(const char *folder, GError **error)
{
  g_autoptr(HfOrderBook) book = g_new0(HfOrderBook, 1);
  g_mutex_init(&book->lock);
  book->folder = g_strdup(folder);
  return read_last(book, error) ? g_steal_pointer(&book) : NULL;
}

void hf_order_book_free(HfOrderBook *book)
{
  if (book == NULL)
    return;
  g_mutex_clear(&book->lock);
  g_free(book->folder);
  g_free(book);
}

guint64 hf_order_book_last(HfOrderBook *book)
{
  HF_LOCK(&book->lock);
  return book->last;
}

static gboolean check(const HfOrderBook *book, const HfMembership *identity, gint64 now, const HfInstallerOrder *order,
                      GError **error)
{
  if (strcmp(order->host, identity->host) != 0)
    return hf_fail(error, HF_ERROR_REFUSED, "the order is for host '%s', this is '%s'", order->host, identity->host);
  if (order->number <= book->last)
    return hf_fail(error, HF_ERROR_REFUSED, "order %" G_GUINT64_FORMAT " was sent before: the last one taken was %"
                   G_GUINT64_FORMAT, order->number, book->last);
  if (order->until < now)
    return hf_fail(error, HF_ERROR_REFUSED,
                   "order %" G_GUINT64_FORMAT " came %" G_GINT64_FORMAT " seconds after its end",
                   order->number, (now - order->until) / SECOND_NS + 1);
  return TRUE;
}

static gboolean write_last(HfOrderBook *book, guint64 number, GError **error)
{
  g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
  if (!hf_state_write(book->folder, FILE_NAME, text, strlen(text), error))
    return FALSE;
  book->last = number;
  return TRUE;
}

gboolean hf_order_take(HfOrderBook *book, const HfMembership *identity, gint64 now, const HfInstallerSignedOrder *given,
                       HfInstallerOrder *order, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(given->order, &length);
  g_autoptr(HfPeer) signer = NULL;
  /* The certificate is the pinned one: until when it is valid decides about connections, not about its key. */
  if (!hf_pki_verify(identity->server_certificate, identity->authority, 0, HF_ORDER_LABEL, bytes, length,
                     given->signature, &signer, error))
    return FALSE;
  if (strcmp(signer->uuid, identity->server) != 0)
    return hf_fail(error, HF_ERROR_REFUSED, "the order is signed by server '%s', this host obeys '%s'", signer->uuid,
                   identity->server);
  if (!hf_installer_order_decode(given->order, order, error))
    return FALSE;
  HF_LOCK(&book->lock);
  return check(book, identity, now, order, error) && write_last(book, order->number, error);
}
