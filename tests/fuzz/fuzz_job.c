/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The config of a job: as the runner of jobs takes it from the database, and as the interface shows it. */
#include "api/jobs_map.h"
#include "fuzz.h"
#include "server/jobs/config.h"

static void check_texts(const GPtrArray *texts)
{
  for (guint i = 0; i < texts->len; i++)
    g_assert_nonnull(texts->pdata[i]);
}

static void fuzz_config(const char *json)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfJobConfig) config = hf_job_config_parse(json, &error);
  g_assert_true((config == NULL) == hf_error_is(error, HF_ERROR_USAGE));
  if (config == NULL)
    return;
  for (guint i = 0; i < config->objects->len; i++) {
    const HfJobObject *object = config->objects->pdata[i];
    g_assert_true(object->host_id != NULL && object->paths->len > 0);
    for (guint k = 0; k < object->paths->len; k++)
      g_assert_true(*(const char *)object->paths->pdata[k] == '/');
    check_texts(object->excludes);
    g_autofree char *label = hf_job_object_label("job", object);
    g_assert_true(g_str_has_suffix(label, " job"));
  }
  check_texts(config->source_jobs);
  check_texts(config->source_repositories);
  check_texts(config->source_backups);
}

static void fuzz_shown(const char *type, const char *json)
{
  g_autoptr(GError) error = NULL;
  HfApiOut out = { .text = g_string_new(NULL) };
  hf_api_out_open(&out, '{');
  gboolean done = hf_api_job_to_out(&out, type, json, json, "0f8fad5b-d9cb-469f-a165-70867728950e", &error);
  g_assert_true(done == (error == NULL));
  hf_api_out_close(&out, '}');
  if (done) {
    json_t *shown = json_loads(out.text->str, JSON_REJECT_DUPLICATES, NULL);
    g_assert_nonnull(shown);
    json_decref(shown);
  }
  g_string_free(out.text, TRUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autofree char *json = g_strndup((const char *)data, size);
  fuzz_config(json);
  fuzz_shown("BackupCopy", json);
  fuzz_shown("LinuxAgentBackup", json);
  return 0;
}
