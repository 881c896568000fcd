/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/credentials.h"

#include <string.h>

/* The first word of key files and credentials (docs/format.md 3.7); what does not start so is a paper key. */
#define KEY_FILE_WORD "holdfast "

HfKeySource hf_key_source(const HfOptions *options)
{
  return (HfKeySource){ options->password_file, options->password_command, options->key_file, "HOLDFAST_PASSWORD",
                        "--password-file, --password-command or --key-file" };
}

HfKeySource hf_key_source_to(const HfOptions *options)
{
  return (HfKeySource){ options->to_password_file, options->to_password_command, options->to_key_file, NULL,
                        "--to-password-file, --to-password-command or --to-key-file" };
}

HfKeySource hf_key_source_new(const HfOptions *options)
{
  return (HfKeySource){ options->new_password_file, options->new_password_command, NULL, NULL,
                        "--new-password-file or --new-password-command" };
}

gboolean hf_key_source_given(const HfKeySource *source)
{
  const char *text = source->variable == NULL ? NULL : g_getenv(source->variable);
  return source->password_file != NULL || source->password_command != NULL || source->key_file != NULL ||
         (text != NULL && *text != '\0');
}

static gboolean read_key_file(const char *path, HfCredentials *credentials, GError **error)
{
  if (!hf_secret_file_read(path, &credentials->secret, error))
    return FALSE;
  gboolean paper = !g_str_has_prefix((const char *)credentials->secret.data, KEY_FILE_WORD);
  credentials->unlock.kind = paper ? HF_UNLOCK_PAPER : HF_UNLOCK_KEY_FILE;
  return TRUE;
}

static gboolean read_password(const HfKeySource *source, const char *location, gboolean confirm, HfCancel *cancel,
                              HfCredentials *credentials, GError **error)
{
  g_autofree char *prompt = g_strdup_printf("%spassword for '%s'", confirm ? "new " : "", location);
  HfPasswordRequest request = { source->password_file, source->password_command, source->variable, prompt,
                                source->hint,          confirm };
  credentials->unlock.kind = HF_UNLOCK_PASSWORD;
  return hf_password_read(&request, cancel, &credentials->secret, error);
}

gboolean hf_credentials_get(const HfKeySource *source, const char *location, gboolean confirm, HfCancel *cancel,
                            HfCredentials *credentials, GError **error)
{
  *credentials = (HfCredentials){ 0 };
  if (source->key_file != NULL ? !read_key_file(source->key_file, credentials, error) :
                                 !read_password(source, location, confirm, cancel, credentials, error))
    return FALSE;
  credentials->unlock.text = (const char *)credentials->secret.data;
  credentials->unlock.length = credentials->secret.length;
  return TRUE;
}

void hf_credentials_clear(HfCredentials *credentials)
{
  hf_buffer_wipe(&credentials->secret);
  credentials->unlock = (HfUnlock){ 0 };
}
