/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/settings.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/nearest.h"
#include "ports/catalogue/catalogue.h"

static const char *const known[] = { "agent/state",      "agent/runtime",   "agent/address",  "agent/user",
                                     "ports/installer", "ports/transport", "ports/channels", NULL };

static gboolean check_key(const char *path, const char *group, const char *key, GError **error)
{
  g_autofree char *name = g_strdup_printf("%s/%s", group, key);
  if (g_strv_contains(known, name))
    return TRUE;
  g_autoptr(HfNearest) nearest = hf_nearest_new(name);
  for (guint i = 0; known[i] != NULL; i++)
    hf_nearest_offer(nearest, known[i]);
  const char *found = hf_nearest_result(nearest);
  if (found == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'%s': the agent does not know '%s' in [%s]", path, key, group);
  g_auto(GStrv) parts = g_strsplit(found, "/", 2);
  return hf_fail(error, HF_ERROR_USAGE, "'%s': the agent does not know '%s' in [%s]; did you mean '%s' in [%s]?", path,
                 key, group, parts[1], parts[0]);
}

static gboolean check_keys(GKeyFile *file, const char *path, GError **error)
{
  g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
  for (guint i = 0; groups[i] != NULL; i++) {
    g_auto(GStrv) keys = g_key_file_get_keys(file, groups[i], NULL, NULL);
    for (guint j = 0; keys != NULL && keys[j] != NULL; j++)
      if (!check_key(path, groups[i], keys[j], error))
        return FALSE;
  }
  return TRUE;
}

/* The value, or NULL where it is missing or empty. Caller frees. */
static char *text_of(GKeyFile *file, const char *group, const char *key)
{
  g_autofree char *text = g_key_file_get_string(file, group, key, NULL);
  if (text == NULL || *g_strstrip(text) == '\0')
    return NULL;
  return g_steal_pointer(&text);
}

static void override_text(GKeyFile *file, const char *key, char **value)
{
  char *text = text_of(file, "agent", key);
  if (text == NULL)
    return;
  g_free(*value);
  *value = text;
}

static gboolean read_port(GKeyFile *file, const char *key, guint16 *port, GError **error)
{
  guint64 number;
  g_autofree char *text = text_of(file, "ports", key);
  if (text == NULL)
    return TRUE;
  if (!hf_parse_number(key, text, 1, G_MAXUINT16, &number, error))
    return FALSE;
  *port = (guint16)number;
  return TRUE;
}

static gboolean read_range(GKeyFile *file, HfSettings *settings, GError **error)
{
  guint64 first, last;
  g_autofree char *text = text_of(file, "ports", "channels");
  if (text == NULL)
    return TRUE;
  g_auto(GStrv) ends = g_strsplit(text, "-", 2);
  if (g_strv_length(ends) != 2)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is no range of ports; write it as FIRST-LAST", text);
  if (!hf_parse_number("channels", g_strstrip(ends[0]), 1, G_MAXUINT16, &first, error) ||
      !hf_parse_number("channels", g_strstrip(ends[1]), first, G_MAXUINT16, &last, error))
    return FALSE;
  settings->channels_first = (guint16)first;
  settings->channels_last = (guint16)last;
  return TRUE;
}

static gboolean read_file(GKeyFile *file, const char *path, HfSettings *settings, GError **error)
{
  if (!check_keys(file, path, error))
    return FALSE;
  override_text(file, "state", &settings->state);
  override_text(file, "runtime", &settings->runtime);
  override_text(file, "address", &settings->address);
  override_text(file, "user", &settings->user);
  if (read_port(file, "installer", &settings->installer_port, error) &&
      read_port(file, "transport", &settings->transport_port, error) && read_range(file, settings, error))
    return TRUE;
  g_prefix_error(error, "'%s': ", path);
  return FALSE;
}

static HfSettings *defaults(void)
{
  HfSettings *settings = g_new0(HfSettings, 1);
  settings->state = g_strdup(HF_AGENT_STATE);
  settings->runtime = g_strdup(HF_AGENT_RUNTIME);
  settings->user = g_strdup("holdfast");
  settings->installer_port = hf_port_service("installer")->first;
  settings->transport_port = hf_port_service("transport")->first;
  settings->channels_first = hf_port_service("channels")->first;
  settings->channels_last = hf_port_service("channels")->last;
  return settings;
}

HfSettings *hf_settings_load(const char *config, const char *state, const char *runtime, GError **error)
{
  const char *path = config != NULL ? config : HF_AGENT_CONFIG;
  g_autoptr(GError) why = NULL;
  g_autoptr(GKeyFile) file = g_key_file_new();
  g_autoptr(HfSettings) settings = defaults();
  if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &why)) {
    if (!read_file(file, path, settings, error))
      return NULL;
  } else if (config != NULL || !g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
    hf_fail(error, HF_ERROR_USAGE, "cannot read '%s': %s", path, why->message);
    return NULL;
  }
  if (state != NULL) {
    g_free(settings->state);
    settings->state = g_canonicalize_filename(state, NULL);
  }
  if (runtime != NULL) {
    g_free(settings->runtime);
    settings->runtime = g_canonicalize_filename(runtime, NULL);
  }
  return g_steal_pointer(&settings);
}

void hf_settings_free(HfSettings *settings)
{
  if (settings == NULL)
    return;
  g_free(settings->state);
  g_free(settings->runtime);
  g_free(settings->address);
  g_free(settings->user);
  g_free(settings);
}
