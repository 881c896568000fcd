/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"

#include <errno.h>

typedef struct ErrorRow {
  int number;
  const char *name;
  int exit_code;
} ErrorRow;

#define ROW(number, name, exit_code, help) { number, name, exit_code },
static const ErrorRow rows[] = { HF_ERRORS(ROW) };

GQuark hf_error_quark(void)
{
  /* Not G_DEFINE_QUARK: its cache is a data race when two threads fail for the first time. */
  return g_quark_from_static_string("hf-error-quark");
}

static const ErrorRow *find_row(int code)
{
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
    if (rows[i].number == code)
      return &rows[i];
  return NULL;
}

gboolean hf_fail(GError **error, HfErrorCode code, const char *format, ...)
{
  if (error == NULL)
    return FALSE;
  va_list arguments;
  va_start(arguments, format);
  GError *made = g_error_new_valist(HF_ERROR, (gint)code, format, arguments);
  va_end(arguments);
  g_propagate_error(error, made);
  return FALSE;
}

static HfErrorCode code_of_errno(int errnum)
{
  switch (errnum) {
  case EACCES:
  case EPERM:
  case EROFS:
    return HF_ERROR_PERMISSION;
  case ENOSPC:
  case EDQUOT:
    return HF_ERROR_NO_SPACE;
  case ENOENT:
    return HF_ERROR_NOT_FOUND;
  case EEXIST:
    return HF_ERROR_EXISTS;
  case ECANCELED:
    return HF_ERROR_CANCELLED;
  default:
    return HF_ERROR_IO;
  }
}

gboolean hf_fail_errno(GError **error, int errnum, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  return hf_fail(error, code_of_errno(errnum), "%s: %s", text, g_strerror(errnum));
}

gboolean hf_error_is(const GError *error, HfErrorCode code)
{
  return g_error_matches(error, HF_ERROR, (gint)code);
}

gboolean hf_error_is_damage(const GError *error)
{
  return hf_error_is(error, HF_ERROR_DAMAGED) || hf_error_is(error, HF_ERROR_INVALID) ||
         hf_error_is(error, HF_ERROR_FORMAT) || hf_error_is(error, HF_ERROR_NOT_FOUND);
}

int hf_error_exit_code(const GError *error)
{
  if (error == NULL)
    return 0;
  const ErrorRow *row = error->domain == HF_ERROR ? find_row(error->code) : NULL;
  return row != NULL ? row->exit_code : 1;
}

const char *hf_error_code_name(int code)
{
  const ErrorRow *row = find_row(code);
  return row != NULL ? row->name : "unknown";
}
