/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/setup.h"

#include "base/error.h"

#define SERIALS_MAX 100000u
#define PEM_MAX (64u << 10)

static void put_pem(GByteArray *body, const char *text)
{
  hf_put_bytes(body, text, strlen(text));
}

static char *get_pem(HfReader *reader)
{
  return hf_get_text(reader, PEM_MAX);
}

void hf_face_setup_put(GByteArray *body, const HfSettings *settings, const HfMembership *identity,
                       const char *const *revoked)
{
  hf_put_text(body, settings->state);
  hf_put_text(body, settings->runtime);
  hf_put_text(body, settings->address);
  hf_put_text(body, settings->user);
  hf_put_u16(body, settings->installer_port);
  hf_put_u16(body, settings->transport_port);
  hf_put_u16(body, settings->channels_first);
  hf_put_u16(body, settings->channels_last);
  hf_put_text(body, identity->host);
  hf_put_text(body, identity->server);
  put_pem(body, identity->key);
  put_pem(body, identity->certificate);
  put_pem(body, identity->authority);
  put_pem(body, identity->server_certificate);
  hf_put_varint(body, g_strv_length((char **)revoked));
  for (guint i = 0; revoked[i] != NULL; i++)
    hf_put_text(body, revoked[i]);
}

static char *text_or_null(HfReader *reader)
{
  g_autofree char *text = hf_get_text(reader, HF_TEXT_MAX);
  return text != NULL && *text != '\0' ? g_steal_pointer(&text) : NULL;
}

gboolean hf_face_setup_get(const GByteArray *body, HfFaceSetup *setup, GError **error)
{
  HfReader reader = hf_reader(body->data, body->len);
  HfSettings *settings = setup->settings = g_new0(HfSettings, 1);
  settings->state = hf_get_text(&reader, HF_TEXT_MAX);
  settings->runtime = hf_get_text(&reader, HF_TEXT_MAX);
  settings->address = text_or_null(&reader);
  settings->user = text_or_null(&reader);
  settings->installer_port = hf_get_u16(&reader);
  settings->transport_port = hf_get_u16(&reader);
  settings->channels_first = hf_get_u16(&reader);
  settings->channels_last = hf_get_u16(&reader);
  HfMembership *identity = setup->identity = g_new0(HfMembership, 1);
  identity->host = hf_get_text(&reader, HF_TEXT_MAX);
  identity->server = hf_get_text(&reader, HF_TEXT_MAX);
  identity->key = get_pem(&reader);
  identity->certificate = get_pem(&reader);
  identity->authority = get_pem(&reader);
  identity->server_certificate = get_pem(&reader);
  guint64 count = hf_get_varint(&reader, SERIALS_MAX);
  setup->revoked = g_new0(char *, count + 1);
  for (guint64 i = 0; i < count && !reader.failed; i++)
    setup->revoked[i] = hf_get_text(&reader, HF_TEXT_MAX);
  return hf_reader_done(&reader, "the setup of a role", error);
}

void hf_face_setup_clear(HfFaceSetup *setup)
{
  g_clear_pointer(&setup->settings, hf_settings_free);
  g_clear_pointer(&setup->identity, hf_membership_free);
  g_clear_pointer(&setup->revoked, g_strfreev);
}
