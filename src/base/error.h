/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Errors: one GError domain for the whole of Holdfast. The codes, their names and the exit code each leads to are
 * declared in spec/errors.toml; HfErrorCode is generated from it (errors.gen.h).
 *
 * A fallible function returns FALSE, NULL or -1 and sets its GError; on success the error is left alone. Messages are
 * lower case, name the thing in 'quotes', say the cause and, where there is one, the next step after a semicolon:
 *     cannot open repository '/srv/backup': wrong password; give another with --password-file
 */
#pragma once

#include <glib.h>

#include "base/errors.gen.h"

#define HF_ERROR (hf_error_quark())
GQuark hf_error_quark(void);

/* Sets an error of `code` with a printf message. Returns FALSE always, so that callers may `return hf_fail(...)`. */
gboolean hf_fail(GError **error, HfErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* As hf_fail, with ": " and the text of `errnum` appended; the code is chosen from errnum (EACCES, EPERM and EROFS:
 * HF_ERROR_PERMISSION, ENOSPC and EDQUOT: HF_ERROR_NO_SPACE, ENOENT: HF_ERROR_NOT_FOUND, EEXIST: HF_ERROR_EXISTS,
 * ECANCELED: HF_ERROR_CANCELLED, else HF_ERROR_IO). */
gboolean hf_fail_errno(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* TRUE when `error` is of our domain and has `code`. NULL is allowed and gives FALSE. */
gboolean hf_error_is(const GError *error, HfErrorCode code);

/* TRUE when stored bytes are to blame: HF_ERROR_DAMAGED, INVALID, FORMAT or NOT_FOUND. */
gboolean hf_error_is_damage(const GError *error);

/* The process exit code (spec/errors.toml) for `error`: 1 for foreign domains, 0 for NULL. */
int hf_error_exit_code(const GError *error);

/* The stable name of a code as `--json` prints it, for example "not-found". Static. */
const char *hf_error_code_name(int code);
