/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Builders of trees that are cut by content (format.md 7.3, 7.4): lists of a large file, and the upper levels of a
 * large folder. Items are added in order; nodes are stored as they fill; finish gives the one ref at the top. One
 * thread.
 */
#pragma once

#include "repo/writer.h"
#include "format/tree.h"

#define HF_CUT_MINIMUM 32u
#define HF_CUT_MAXIMUM 1024u

typedef struct HfListBuilder HfListBuilder;
HfListBuilder *hf_list_builder_new(HfBlobWriter *writer);
void hf_list_builder_free(HfListBuilder *builder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfListBuilder, hf_list_builder_free)
gboolean hf_list_builder_add(HfListBuilder *builder, const HfListItem *item, GError **error);
/* Bytes of the items so far; 0: none was added. */
guint64 hf_list_builder_length(const HfListBuilder *builder);
/* The list of the items so far, stored with `writer`; the builder goes on. At least one item must have been added. */
gboolean hf_list_builder_part(const HfListBuilder *builder, HfBlobWriter *writer, HfId *top, GError **error);
/* At least one item must have been added. */
gboolean hf_list_builder_finish(HfListBuilder *builder, HfId *top, GError **error);

/* Stores the levels above `count` pages of level 0; with one page its ref is the top. */
gboolean hf_nodes_store(HfBlobWriter *writer, const HfNodeItem *pages, guint count, HfId *top, GError **error);
