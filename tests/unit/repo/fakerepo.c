/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fakerepo.h"

struct HfSession {
  HfSessionSlot slot;
  HfKey data_key, meta_key;
};

struct HfKeyring {
  FakeRepo *fake;
  int fails;
};

/* ---- What stands before src/repo. ---- */

const HfShortId *hf_session_id(const HfSession *session)
{
  return &session->slot.session;
}

const HfSessionSlot *hf_session_slot(const HfSession *session)
{
  return &session->slot;
}

const HfKey *hf_session_data_key(const HfSession *session)
{
  return &session->data_key;
}

const HfKey *hf_session_meta_key(const HfSession *session)
{
  return &session->meta_key;
}

gboolean hf_keyring_domain_key(const HfKeyring *keyring G_GNUC_UNUSED, guint32 domain, HfKey *key, GError **error)
{
  if (domain != FAKE_DOMAIN)
    return hf_fail(error, HF_ERROR_PERMISSION, "no key for domain %u", domain);
  *key = key_of(0x66);
  return TRUE;
}

gboolean hf_keyring_open_slot(HfKeyring *keyring, const HfSessionSlot *slot, const HfKey **data_key,
                              const HfKey **meta_key, GError **error)
{
  if (keyring->fails != 0 && keyring->fails != HF_ERROR_PASSWORD)
    return hf_fail(error, (HfErrorCode)keyring->fails, "the slot does not open");
  for (guint i = 0; i < keyring->fake->sessions->len; i++) {
    const HfSession *session = g_ptr_array_index(keyring->fake->sessions, i);
    if (!hf_short_id_equal(&session->slot.session, &slot->session))
      continue;
    *data_key = keyring->fails == 0 ? &session->data_key : NULL;
    *meta_key = &session->meta_key;
    return TRUE;
  }
  return hf_fail(error, HF_ERROR_DAMAGED, "no such session");
}

/* ---- The repository. ---- */

static void warn(gpointer user, const char *path G_GNUC_UNUSED, const char *message)
{
  FakeRepo *fake = user;
  fake->warnings++;
  g_free(fake->last_warning);
  fake->last_warning = g_strdup(message);
}

static int count_and_fail(LabOp op, const char *name, guint64 offset G_GNUC_UNUSED, guint8 *bytes G_GNUC_UNUSED,
                          gsize length, gpointer user)
{
  FakeRepo *fake = user;
  if (op == LAB_GET) {
    g_atomic_int_inc(&fake->gets);
    g_atomic_pointer_add(&fake->bytes_got, (gssize)length);
  }
  if (fake->fail_prefix == NULL || (op != fake->fail_op && fake->fail_op != FAKE_ANY_OP) ||
      !g_str_has_prefix(name, fake->fail_prefix) || g_atomic_int_add(&fake->fail_nth, -1) > 1)
    return 0;
  return fake->fail_code;
}

void fake_init(FakeRepo *fake, guint parity)
{
  static const HfReportOps ops = { .warning = warn };
  memset(fake, 0, sizeof *fake);
  HfRepo *repo = &fake->repo;
  repo->store = lab_store_new();
  lab_store_fault(repo->store, count_and_fail, fake);
  hf_config_defaults(&repo->config);
  repo->config.parity = (guint8)parity;
  repo->config.frame_target = 64 << 10;
  repo->config.meta_frame_target = 16 << 10;
  repo->config.pack_target = 1 << 20;
  repo->config.meta_pack_target = 128 << 10;
  fake->keyring = g_new0(HfKeyring, 1);
  fake->keyring->fake = fake;
  repo->keys = fake->keyring;
  fake->sessions = g_ptr_array_new_with_free_func(g_free);
  fake->report = hf_report_new(&ops, fake);
  repo->report = fake->report;
  fake_reload(fake);
}

void fake_clear(FakeRepo *fake)
{
  hf_index_free(fake->repo.index);
  hf_store_free(fake->repo.store);
  hf_report_free(fake->report);
  g_ptr_array_unref(fake->sessions);
  g_free(fake->keyring);
  g_free(fake->last_warning);
}

void fake_fail(FakeRepo *fake, LabOp op, const char *prefix, int nth, int code)
{
  fake->fail_op = op;
  fake->fail_prefix = prefix;
  fake->fail_nth = nth;
  fake->fail_code = code;
}

void fake_reload(FakeRepo *fake)
{
  g_autoptr(GError) error = NULL;
  hf_index_free(fake->repo.index);
  fake->repo.index = hf_index_open(fake->repo.store, fake->report, &error);
  g_assert_no_error(error);
}

HfSession *fake_session(FakeRepo *fake)
{
  HfSession *session = g_new0(HfSession, 1);
  guint8 number = (guint8)(fake->sessions->len + 1);
  session->slot.session = short_id_of(number);
  session->slot.domain = FAKE_DOMAIN;
  session->data_key = key_of((guint8)(number + 100));
  session->meta_key = key_of((guint8)(number + 150));
  g_ptr_array_add(fake->sessions, session);
  return session;
}

void fake_keyring_fails(FakeRepo *fake, int code)
{
  fake->keyring->fails = code;
}

void fake_session_set_domain(HfSession *session, guint32 domain)
{
  session->slot.domain = domain;
}

HfIdentity *fake_identity(void)
{
  HfKey key = key_of(0x66);
  return hf_identity_new(&key);
}
