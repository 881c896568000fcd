/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What somebody could send who has everything but the server's key, and some who have even that. */
#include "agent/keeper/order.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "net/pki.h"

#define NOW G_GINT64_CONSTANT(1700000000000000000)
#define HOST "0b1f6d0e-6e0c-4b8f-9c5e-0a1b2c3d4e5f"
#define OTHER "11111111-2222-4333-8444-555555555555"
#define SERVER "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

typedef struct Fixture {
  char *folder;
  char *ca, *ca_key, *key, *certificate;
  HfMembership membership;
  HfOrderBook *book;
} Fixture;

static char *issue(const char *ca, const char *ca_key, HfPeerKind kind, const char *uuid, char **key)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *request = NULL;
  const HfPkiGrant grant = { .kind = kind, .uuid = uuid };
  g_assert_true(hf_pki_new_request("test", &request, key, &error));
  char *certificate = hf_pki_issue(ca, ca_key, request, &grant, &error);
  g_assert_no_error(error);
  return certificate;
}

static void set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr(GError) error = NULL;
  fixture->folder = g_dir_make_tmp("holdfast-order-XXXXXX", NULL);
  g_assert_true(hf_pki_new_ca("test", &fixture->ca, &fixture->ca_key, &error));
  fixture->certificate = issue(fixture->ca, fixture->ca_key, HF_PEER_SERVER, SERVER, &fixture->key);
  fixture->membership = (HfMembership){ .host = (char *)HOST, .server = (char *)SERVER, .authority = fixture->ca,
                                        .server_certificate = fixture->certificate };
  fixture->book = hf_order_book_new(fixture->folder, &error);
  g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *file = g_build_filename(fixture->folder, "order", NULL);
  hf_order_book_free(fixture->book);
  g_unlink(file);
  g_rmdir(fixture->folder);
  g_free(fixture->folder);
  g_free(fixture->ca);
  g_free(fixture->certificate);
  hf_pki_key_free(fixture->ca_key);
  hf_pki_key_free(fixture->key);
}

static GBytes *encode(const char *host, guint64 number, gint64 until)
{
  g_autoptr(GError) error = NULL;
  g_auto(HfInstallerOrder) order = { .host = g_strdup(host), .number = number, .until = until,
                                     .act = HF_INSTALLER_ACT_FORGET };
  order.body = g_bytes_new("", 0);
  GBytes *bytes = hf_installer_order_encode(&order, &error);
  g_assert_no_error(error);
  return bytes;
}

static HfErrorCode take_signed(Fixture *fixture, GBytes *order, GBytes *signature)
{
  g_autoptr(GError) error = NULL;
  g_auto(HfInstallerOrder) got = { 0 };
  g_auto(HfInstallerSignedOrder) given = { .order = g_bytes_ref(order), .signature = g_bytes_ref(signature) };
  if (hf_order_take(fixture->book, &fixture->membership, NOW, &given, &got, &error))
    return (HfErrorCode)0;
  g_test_message("%s", error->message);
  return (HfErrorCode)error->code;
}

static HfErrorCode take(Fixture *fixture, const char *key, const char *label, const char *host, guint64 number,
                        gint64 until)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) order = encode(host, number, until);
  gsize length;
  const void *bytes = g_bytes_get_data(order, &length);
  g_autoptr(GBytes) signature = hf_pki_sign(key, label, bytes, length, &error);
  g_assert_no_error(error);
  return take_signed(fixture, order, signature);
}

static void test_good(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_assert_cmpuint(hf_order_book_last(fixture->book), ==, 0);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 1, NOW + 1), ==, 0);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 5, NOW), ==, 0);
  g_assert_cmpuint(hf_order_book_last(fixture->book), ==, 5);
}

static void test_replay(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 7, NOW + 1), ==, 0);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 7, NOW + 1), ==, HF_ERROR_REFUSED);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 6, NOW + 1), ==, HF_ERROR_REFUSED);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 0, NOW + 1), ==, HF_ERROR_REFUSED);
  /* Also by a keeper that was started anew. */
  hf_order_book_free(fixture->book);
  fixture->book = hf_order_book_new(fixture->folder, NULL);
  g_assert_cmpuint(hf_order_book_last(fixture->book), ==, 7);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 7, NOW + 1), ==, HF_ERROR_REFUSED);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 8, NOW + 1), ==, 0);
}

static void test_not_ours(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, OTHER, 1, NOW + 1), ==, HF_ERROR_REFUSED);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 1, NOW - 1), ==, HF_ERROR_REFUSED);
  g_assert_cmpint(take(fixture, fixture->key, "something else", HOST, 1, NOW + 1), ==, HF_ERROR_REFUSED);
  /* What was refused used up no number. */
  g_assert_cmpuint(hf_order_book_last(fixture->book), ==, 0);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 1, NOW + 1), ==, 0);
}

/* Keys that are not the server's: of a host of the same authority, of a server of the same name elsewhere. */
static void test_other_keys(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr(HfPkiKey) host_key = NULL, twin_key = NULL, foreign_key = NULL;
  g_autofree char *host = issue(fixture->ca, fixture->ca_key, HF_PEER_HOST, OTHER, &host_key);
  g_autofree char *twin = issue(fixture->ca, fixture->ca_key, HF_PEER_SERVER, SERVER, &twin_key);
  g_autofree char *foreign = issue(fixture->ca, fixture->ca_key, HF_PEER_SERVER, OTHER, &foreign_key);
  g_assert_cmpint(take(fixture, host_key, HF_ORDER_LABEL, HOST, 1, NOW + 1), ==, HF_ERROR_REFUSED);
  g_assert_cmpint(take(fixture, twin_key, HF_ORDER_LABEL, HOST, 1, NOW + 1), ==, HF_ERROR_REFUSED);
  /* A pinned certificate that is a host's, or another server's, signs nothing. */
  fixture->membership.server_certificate = host;
  g_assert_cmpint(take(fixture, host_key, HF_ORDER_LABEL, HOST, 1, NOW + 1), ==, HF_ERROR_REFUSED);
  fixture->membership.server_certificate = foreign;
  g_assert_cmpint(take(fixture, foreign_key, HF_ORDER_LABEL, HOST, 1, NOW + 1), ==, HF_ERROR_REFUSED);
  g_assert_cmpuint(hf_order_book_last(fixture->book), ==, 0);
}

/* Every bit of an order and of its signature counts. */
static void test_flipped(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr(GBytes) order = encode(HOST, 1, NOW + 1);
  gsize length, signature_length;
  const guint8 *bytes = g_bytes_get_data(order, &length);
  g_autoptr(GBytes) signature = hf_pki_sign(fixture->key, HF_ORDER_LABEL, bytes, length, NULL);
  const guint8 *signed_bytes = g_bytes_get_data(signature, &signature_length);
  for (gsize i = 0; i < length; i++) {
    guint8 *other = g_memdup2(bytes, length);
    other[i] ^= (guint8)(1 << (i % 8));
    g_autoptr(GBytes) changed = g_bytes_new_take(other, length);
    g_assert_cmpint(take_signed(fixture, changed, signature), !=, 0);
  }
  for (gsize i = 0; i < signature_length; i++) {
    guint8 *other = g_memdup2(signed_bytes, signature_length);
    other[i] ^= (guint8)(1 << (i % 8));
    g_autoptr(GBytes) changed = g_bytes_new_take(other, signature_length);
    g_assert_cmpint(take_signed(fixture, order, changed), !=, 0);
  }
  g_autoptr(GBytes) nothing = g_bytes_new("", 0), shorter = g_bytes_new(bytes, length - 1);
  g_assert_cmpint(take_signed(fixture, order, nothing), !=, 0);
  g_assert_cmpint(take_signed(fixture, shorter, signature), !=, 0);
  g_assert_cmpint(take_signed(fixture, order, signature), ==, 0);
}

/* Without a place for the number nothing is carried out. */
static void test_no_room(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr(GError) error = NULL;
  g_rmdir(fixture->folder);
  g_assert_cmpint(take(fixture, fixture->key, HF_ORDER_LABEL, HOST, 1, NOW + 1), ==, HF_ERROR_IO);
  g_assert_cmpuint(hf_order_book_last(fixture->book), ==, 0);
  g_mkdir(fixture->folder, 0700);
  g_autofree char *file = g_build_filename(fixture->folder, "order", NULL);
  g_assert_true(g_file_set_contents(file, "seven", -1, NULL));
  g_assert_null(hf_order_book_new(fixture->folder, &error));
  g_assert_nonnull(error);
}

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(&error));
  g_test_add("/agent/order/good", Fixture, NULL, set_up, test_good, tear_down);
  g_test_add("/agent/order/replay", Fixture, NULL, set_up, test_replay, tear_down);
  g_test_add("/agent/order/not-ours", Fixture, NULL, set_up, test_not_ours, tear_down);
  g_test_add("/agent/order/other-keys", Fixture, NULL, set_up, test_other_keys, tear_down);
  g_test_add("/agent/order/flipped", Fixture, NULL, set_up, test_flipped, tear_down);
  g_test_add("/agent/order/no-room", Fixture, NULL, set_up, test_no_room, tear_down);
  return g_test_run();
}
