/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bodies of requests: read, held against their schema, and brought into one form, so that what handles them need not
 * ask again. Real tools are sloppy, and are served: null for what is not there, booleans and numbers as text, words in
 * any case and in any version's spelling, keys in any case, keys that nobody knows.
 *
 * What comes out: only declared keys, spelled as declared; each value of its declared kind; ids and words of
 * enumerations as they are stored; every required field there. Errors (HF_ERROR_USAGE) name the field by its path.
 */
#pragma once

#include <jansson.h>

#include "api/model.h"

#define HF_API_TEXT_MAX 65536 /* bytes of a text, where the schema does not say else */

/* A new object, or NULL. `body` is not changed. */
json_t *hf_api_check(const HfApiSchema *schema, json_t *body, GError **error);

/* Parses JSON, or a form as an object of texts. NULL: HF_ERROR_USAGE. No bytes at all are an empty object. */
json_t *hf_api_body_parse(const char *bytes, gsize length, gboolean form, GError **error);

/* Overwrites every text in it and lets it go. NULL is allowed. */
void hf_api_body_free(json_t *body);

/* Values by path ("schedule.daily.isEnabled") in a checked body or any object: NULL, `otherwise` when it is not there,
 * or of another kind. */
json_t *hf_api_at(json_t *object, const char *path);
const char *hf_api_text_at(json_t *object, const char *path);
gint64 hf_api_int_at(json_t *object, const char *path, gint64 otherwise);
gboolean hf_api_bool_at(json_t *object, const char *path, gboolean otherwise);
