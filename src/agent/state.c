/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/state.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "crypto/crypto.h"

#define GROUP "identity"
#define FILE_NAME "identity"

static void free_secret(char *text)
{
  if (text != NULL)
    hf_wipe(text, strlen(text));
  g_free(text);
}

void hf_membership_free(HfMembership *identity)
{
  if (identity == NULL)
    return;
  free_secret(identity->key);
  g_free(identity->host);
  g_free(identity->server);
  g_free(identity->certificate);
  g_free(identity->authority);
  g_free(identity->server_certificate);
  g_free(identity);
}

HfMembership *hf_membership_copy(const HfMembership *identity)
{
  HfMembership *copy = g_new0(HfMembership, 1);
  copy->host = g_strdup(identity->host);
  copy->server = g_strdup(identity->server);
  copy->key = g_strdup(identity->key);
  copy->certificate = g_strdup(identity->certificate);
  copy->authority = g_strdup(identity->authority);
  copy->server_certificate = g_strdup(identity->server_certificate);
  return copy;
}

gboolean hf_state_folder(const char *folder, GError **error)
{
  return g_mkdir_with_parents(folder, 0700) == 0 || hf_fail_errno(error, errno, "cannot make folder '%s'", folder);
}

gboolean hf_state_write(const char *folder, const char *name, const void *bytes, gsize length, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autofree char *path = g_build_filename(folder, name, NULL);
  if (g_file_set_contents_full(path, bytes, (gssize)length,
                               G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                               0600, &why))
    return TRUE;
  return hf_fail(error, HF_ERROR_IO, "cannot write '%s': %s", path, why->message);
}

GBytes *hf_state_read(const char *folder, const char *name, GError **error)
{
  char *bytes;
  gsize length;
  g_autoptr(GError) why = NULL;
  g_autofree char *path = g_build_filename(folder, name, NULL);
  if (g_file_get_contents(path, &bytes, &length, &why))
    return g_bytes_new_take(bytes, length);
  gboolean missing = g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT);
  hf_fail(error, missing ? HF_ERROR_NOT_FOUND : HF_ERROR_IO, "cannot read '%s': %s", path, why->message);
  return NULL;
}

typedef struct Field {
  const char *name;
  gsize offset;
} Field;

static const Field fields[] = {
  { "host", G_STRUCT_OFFSET(HfMembership, host) },
  { "server", G_STRUCT_OFFSET(HfMembership, server) },
  { "key", G_STRUCT_OFFSET(HfMembership, key) },
  { "certificate", G_STRUCT_OFFSET(HfMembership, certificate) },
  { "authority", G_STRUCT_OFFSET(HfMembership, authority) },
  { "server-certificate", G_STRUCT_OFFSET(HfMembership, server_certificate) },
};

static char **field_of(const HfMembership *identity, const Field *field)
{
  return (char **)((char *)identity + field->offset);
}

HfMembership *hf_membership_load(const char *folder, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) bytes = hf_state_read(folder, FILE_NAME, &why);
  if (bytes == NULL && hf_error_is(why, HF_ERROR_NOT_FOUND)) {
    hf_fail(error, HF_ERROR_NOT_FOUND, "this host is not enrolled; enrol it with 'holdfast-agent enroll'");
    return NULL;
  }
  if (bytes == NULL) {
    g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
  }
  g_autoptr(GKeyFile) file = g_key_file_new();
  g_autoptr(HfMembership) identity = g_new0(HfMembership, 1);
  gboolean sound = g_key_file_load_from_bytes(file, bytes, G_KEY_FILE_NONE, NULL);
  for (guint i = 0; sound && i < G_N_ELEMENTS(fields); i++) {
    *field_of(identity, &fields[i]) = g_key_file_get_string(file, GROUP, fields[i].name, NULL);
    sound = *field_of(identity, &fields[i]) != NULL;
  }
  if (sound)
    return g_steal_pointer(&identity);
  hf_fail(error, HF_ERROR_DAMAGED, "'%s/" FILE_NAME "' is damaged; enrol this host again with 'holdfast-agent enroll "
          "--again'", folder);
  return NULL;
}

gboolean hf_membership_save(const char *folder, const HfMembership *identity, GError **error)
{
  gsize length;
  g_autoptr(GKeyFile) file = g_key_file_new();
  for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
    g_key_file_set_string(file, GROUP, fields[i].name, *field_of(identity, &fields[i]));
  char *text = g_key_file_to_data(file, &length, NULL);
  gboolean done = hf_state_write(folder, FILE_NAME, text, length, error);
  free_secret(text);
  return done;
}

gboolean hf_membership_remove(const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename(folder, FILE_NAME, NULL);
  return g_unlink(path) == 0 || errno == ENOENT || hf_fail_errno(error, errno, "cannot remove '%s'", path);
}
