/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a request line asks for: the path cut into segments, the query and forms into pairs, and the route that fits.
 * Pure; every input is hostile.
 */
#pragma once

#include <glib.h>

#include "api/model.h"

#define HF_API_SEGMENTS_MAX 16
#define HF_API_PAIRS_MAX 256

typedef struct HfApiPair {
  char *name;
  char *value; /* wiped when freed: forms hold passwords */
} HfApiPair;

typedef enum HfApiQueryKind {
  HF_API_QUERY_URL,  /* '+' is kept where it is the sign of an offset of time, else it is a blank */
  HF_API_QUERY_FORM, /* '+' and '%' as forms have them; a '%' that no two hex digits follow is itself, and
                      * so is every escape of a value that would be no UTF-8 */
} HfApiQueryKind;

/* HfApiPair*, in order, owned by the array. NULL: HF_ERROR_USAGE (no UTF-8, a zero byte, too many). */
GPtrArray *hf_api_query_parse(const char *text, gsize length, HfApiQueryKind kind, GError **error);
/* The last pair of that name (no case), or NULL. */
const char *hf_api_query_get(const GPtrArray *pairs, const char *name);

typedef struct HfApiPath {
  guint n;
  char *segments[HF_API_SEGMENTS_MAX]; /* decoded */
} HfApiPath;

/* Empty segments ("//", a '/' at the end) are left out. FALSE: no such path can exist. */
gboolean hf_api_path_parse(const char *text, HfApiPath *path);
void hf_api_path_clear(HfApiPath *path);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfApiPath, hf_api_path_clear)

/* The route for a method and a path; HEAD asks as GET does. Parameters are segments[i] where the route has none. NULL:
 * then `*allowed` names the methods that the path has, ", " between them (to be freed), or is NULL: nothing is there.
 */
const HfApiRoute *hf_api_route_find(const char *method, const HfApiPath *path, char **allowed);
