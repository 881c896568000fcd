/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an agent reads on its own host. The first byte says what the rest is:
 *
 *   0 settings   1 identity   2 a task that ran   3 a result that was kept   4 the number of the last order
 *   5 what a child of the keeper sends it   6 an order that the server signed   7 the terms of a ticket
 */
#include <glib/gstdio.h>
#include <unistd.h>

#include "agent/control.h"
#include "agent/keeper/kept.h"
#include "agent/keeper/order.h"
#include "agent/settings.h"
#include "fuzz.h"
#include "net/pki.h"
#include "storage/service/terms.h"

#define UUID "0f8fad5b-d9cb-469f-a165-70867728950e"
#define NOW 1000

static struct {
  char *folder;
  char *key;
  HfMembership *identity;
} world;

static void quiet(const char *domain G_GNUC_UNUSED, GLogLevelFlags level G_GNUC_UNUSED,
                  const char *message G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED)
{
}

static void remove_folder(void)
{
  g_rmdir(world.folder);
}

static void make_world(void)
{
  g_autofree char *ca_key = NULL, *request = NULL;
  const HfPkiGrant grant = { .kind = HF_PEER_SERVER, .uuid = UUID };
  if (world.folder != NULL)
    return;
  fuzz_begin();
  g_log_set_default_handler(quiet, NULL);
  world.folder = g_strdup(g_access("/dev/shm", W_OK) == 0 ? "/dev/shm/holdfast-XXXXXX" : "/tmp/holdfast-XXXXXX");
  g_assert_nonnull(g_mkdtemp(world.folder));
  atexit(remove_folder);
  world.identity = g_new0(HfMembership, 1);
  g_assert_true(hf_pki_new_ca("authority", &world.identity->authority, &ca_key, NULL));
  g_assert_true(hf_pki_new_request("server", &request, &world.key, NULL));
  world.identity->server_certificate = hf_pki_issue(world.identity->authority, ca_key, request, &grant, NULL);
  g_assert_nonnull(world.identity->server_certificate);
  world.identity->host = g_strdup("1" UUID);
  world.identity->host[36] = '\0';
  world.identity->server = g_strdup(UUID);
}

static char *write_file(const char *name, const uint8_t *data, size_t size)
{
  char *path = g_build_filename(world.folder, name, NULL);
  g_assert_true(g_file_set_contents_full(path, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  return path;
}

static gboolean judge(gboolean done, GError **error)
{
  g_assert_true(done == (*error == NULL));
  g_clear_error(error);
  return done;
}

static void fuzz_settings(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  g_autofree char *path = write_file("agent.conf", data, size);
  g_autoptr(HfSettings) settings = hf_settings_load(path, NULL, NULL, &error);
  g_assert_true(settings != NULL || hf_error_is(error, HF_ERROR_USAGE));
  if (judge(settings != NULL, &error)) {
    g_assert_true(*settings->state != '\0' && *settings->runtime != '\0' && *settings->user != '\0');
    g_assert_true(settings->installer_port > 0 && settings->transport_port > 0);
    g_assert_true(settings->channels_first > 0 && settings->channels_first <= settings->channels_last);
  }
  g_unlink(path);
}

static void fuzz_identity(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  g_autofree char *path = write_file("identity", data, size);
  g_autoptr(HfMembership) identity = hf_membership_load(world.folder, &error);
  g_assert_true(identity != NULL || hf_error_is(error, HF_ERROR_DAMAGED));
  if (judge(identity != NULL, &error)) {
    g_assert_true(hf_membership_save(world.folder, identity, NULL));
    g_autoptr(HfMembership) again = hf_membership_load(world.folder, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again->key, ==, identity->key);
    g_assert_cmpstr(again->certificate, ==, identity->certificate);
    g_assert_cmpstr(again->server_certificate, ==, identity->server_certificate);
  }
  g_unlink(path);
}

static void fuzz_kept(const char *name, const uint8_t *data, size_t size)
{
  GError *error = NULL;
  g_autofree char *path = write_file(name, data, size);
  g_autoptr(GPtrArray) found = hf_kept_tasks_load(world.folder, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(found->len, <=, 1);
  for (guint i = 0; i < found->len; i++) {
    const HfKeptTask *kept = found->pdata[i];
    g_assert_true(kept->name != NULL && kept->kind != NULL);
    g_assert_true((kept->result != NULL) == g_str_has_suffix(name, ".result"));
  }
  g_unlink(path);
}

static void fuzz_number(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  g_autofree char *path = write_file("order", data, size);
  g_autoptr(HfOrderBook) book = hf_order_book_new(world.folder, &error);
  judge(book != NULL, &error);
  g_unlink(path);
}

static void fuzz_control(const uint8_t *data, size_t size)
{
  int fd;
  GError *error = NULL;
  gsize taken = 0;
  g_autoptr(HfControl) control = hf_control_new_pair(&fd, &error);
  g_assert_no_error(error);
  size = MIN(size, 64u << 10);
  g_assert_true(write(fd, data, size) == (ssize_t)size);
  close(fd);
  for (HfControlState state = HF_CONTROL_MORE; state != HF_CONTROL_END;) {
    HfControlMessage *message = NULL;
    state = hf_control_poll(control, &message, &error);
    g_assert_true((message != NULL) == (state == HF_CONTROL_MESSAGE));
    if (message != NULL) {
      g_assert_true(message->fd == -1);
      taken += 8 + message->body->len;
    }
    hf_control_message_free(message);
  }
  g_assert_cmpuint(taken, <=, size);
  g_clear_error(&error);
}

/* The signature is right, so what is signed is looked at. Without it nothing is taken. */
static void fuzz_order(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  g_auto(HfInstallerOrder) order = { 0 }, again = { 0 };
  g_auto(HfInstallerSignedOrder) given = { .order = g_bytes_new(data, size) };
  given.signature = hf_pki_sign(world.key, HF_ORDER_LABEL, data, size, NULL);
  g_autoptr(HfOrderBook) book = hf_order_book_new(world.folder, NULL);
  if (judge(hf_order_take(book, world.identity, NOW, &given, &order, &error), &error)) {
    g_assert_cmpstr(order.host, ==, world.identity->host);
    g_assert_true(order.number > 0 && order.until >= NOW && hf_order_book_last(book) == order.number);
    g_assert_false(hf_order_take(book, world.identity, NOW, &given, &again, NULL));
  }
  hf_installer_order_clear(&again);
  g_bytes_unref(given.signature);
  given.signature = hf_pki_sign(world.key, "another label", data, size, NULL);
  g_assert_false(hf_order_take(book, world.identity, NOW, &given, &again, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_REFUSED));
  g_clear_error(&error);
  g_autofree char *path = g_build_filename(world.folder, "order", NULL);
  g_unlink(path);
}

static void fuzz_terms(const uint8_t *data, size_t size)
{
  GError *error = NULL;
  HfRepositoryTerms terms;
  g_autoptr(GBytes) given = g_bytes_new(data, size);
  if (!judge(hf_repository_terms_decode(given, &terms, &error), &error))
    return;
  g_autoptr(GBytes) again = hf_repository_terms_encode(&terms);
  g_assert_true(g_bytes_equal(given, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0)
    return 0;
  make_world();
  guint8 kind = *data++ % 8;
  size--;
  if (kind == 2 || kind == 3) {
    fuzz_kept(kind == 2 ? "7" : "7.result", data, size);
    return 0;
  }
  static void (*const targets[])(const uint8_t *data, size_t size) = {
    fuzz_settings, fuzz_identity, NULL, NULL, fuzz_number, fuzz_control, fuzz_order, fuzz_terms,
  };
  targets[kind](data, size);
  return 0;
}
