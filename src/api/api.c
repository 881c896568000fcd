/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/http.h"
#include "ports/catalogue/catalogue.h"

#define ID_SETTING "server-id"

static gboolean make_id(HfDbLink *link, gpointer user, GError **error)
{
  char **id = user;
  g_autoptr(GError) failed = NULL;
  g_free(*id);
  *id = hf_db_setting(link, ID_SETTING, &failed);
  if (failed != NULL) {
    g_propagate_error(error, g_steal_pointer(&failed));
    return FALSE;
  }
  if (*id != NULL)
    return TRUE;
  *id = hf_db_new_id();
  return hf_db_set_setting(link, ID_SETTING, *id, error);
}

HfApi *hf_api_start(const HfApiSettings *settings, GError **error)
{
  HfApi *api = g_new0(HfApi, 1);
  api->settings = *settings;
  api->inventory = (HfInventory){ settings->db, settings->secrets };
  api->name = g_strdup(settings->name);
  api->certificate = g_strdup(settings->certificate);
  api->port = settings->port >= 0 ? settings->port : hf_port_service("rest")->first;
  api->started = hf_db_now();
  if (hf_db_write(settings->db, make_id, &api->server_id, error))
    api->daemon = hf_api_daemon_start(api, error);
  /* the caller's; they are not looked at any more */
  api->settings.name = api->settings.address = api->settings.certificate = api->settings.key = NULL;
  if (api->daemon != NULL)
    return api;
  hf_api_stop(api);
  return NULL;
}

void hf_api_stop(HfApi *api)
{
  if (api == NULL)
    return;
  if (api->daemon != NULL)
    hf_api_daemon_stop(api->daemon);
  g_free(api->name);
  g_free(api->server_id);
  g_free(api->certificate);
  g_free(api);
}

int hf_api_port(const HfApi *api)
{
  return api->port;
}
