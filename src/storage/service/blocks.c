/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Metadata packs in blocks. Who walks a tree reads one small frame after the other, most of them neighbours: read alone
 * each would cost a round trip. So whole blocks are fetched, and the last ones are kept. Packs never change while they
 * have their name; what is in a block is checked by who opens the frame, as ever.
 */
#include <string.h>

#include "base/work.h"
#include "storage/service/private.h"

#define BLOCK_BYTES (512u << 10)
#define BLOCKS_MAX 24u
#define LONGEST (BLOCK_BYTES / 2) /* a longer read is worth its own round trip */

typedef struct Block {
  char *name;
  guint64 number;
  GMutex lock; /* held while it is fetched */
  guint8 *bytes; /* NULL: not here */
  gsize length;
  gint references; /* atomic */
} Block;

struct HfBlocks {
  GMutex lock;
  GHashTable *sizes; /* name to guint64 */
  GQueue kept;       /* of Block*, used last first */
};

static void block_unref(gpointer data)
{
  Block *block = data;
  if (!g_atomic_int_dec_and_test(&block->references))
    return;
  g_mutex_clear(&block->lock);
  g_free(block->bytes);
  g_free(block->name);
  g_free(block);
}

HfBlocks *hf_blocks_new(void)
{
  HfBlocks *blocks = g_new0(HfBlocks, 1);
  g_mutex_init(&blocks->lock);
  g_queue_init(&blocks->kept);
  blocks->sizes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  return blocks;
}

void hf_blocks_free(HfBlocks *blocks)
{
  g_queue_clear_full(&blocks->kept, block_unref);
  g_hash_table_unref(blocks->sizes);
  g_mutex_clear(&blocks->lock);
  g_free(blocks);
}

void hf_blocks_note(HfBlocks *blocks, const char *name, guint64 size)
{
  HF_LOCK(&blocks->lock);
  g_hash_table_replace(blocks->sizes, g_strdup(name), g_memdup2(&size, sizeof size));
}

/* A reference to the block, which need not have been fetched; NULL when the pack is not known or too short for it. */
static Block *get_block(HfBlocks *blocks, const char *name, guint64 number)
{
  HF_LOCK(&blocks->lock);
  const guint64 *size = g_hash_table_lookup(blocks->sizes, name);
  if (size == NULL || number * BLOCK_BYTES >= *size)
    return NULL;
  Block *block = NULL;
  for (GList *at = blocks->kept.head; at != NULL && block == NULL; at = at->next) {
    Block *known = at->data;
    if (known->number != number || !g_str_equal(known->name, name))
      continue;
    block = known;
    g_queue_unlink(&blocks->kept, at);
    g_queue_push_head_link(&blocks->kept, at);
  }
  if (block == NULL) {
    block = g_new0(Block, 1);
    g_mutex_init(&block->lock);
    block->name = g_strdup(name);
    block->number = number;
    block->length = (gsize)MIN(*size - number * BLOCK_BYTES, BLOCK_BYTES);
    block->references = 1;
    g_queue_push_head(&blocks->kept, block);
    if (blocks->kept.length > BLOCKS_MAX)
      block_unref(g_queue_pop_tail(&blocks->kept));
  }
  g_atomic_int_inc(&block->references);
  return block;
}

static gboolean fill_locked(Block *block, HfServiceStore *service)
{
  if (block->bytes != NULL)
    return TRUE;
  g_autofree guint8 *bytes = g_malloc(block->length);
  if (!hf_service_fetch(service, block->name, block->number * BLOCK_BYTES, bytes, block->length, NULL))
    return FALSE;
  block->bytes = g_steal_pointer(&bytes);
  return TRUE;
}

static gboolean read_part(HfBlocks *blocks, HfServiceStore *service, const char *name, guint64 offset, guint8 *bytes,
                          gsize length)
{
  Block *block = get_block(blocks, name, offset / BLOCK_BYTES);
  gsize start = (gsize)(offset % BLOCK_BYTES);
  gboolean here = block != NULL && length <= block->length && start <= block->length - length;
  if (here) {
    HF_LOCK(&block->lock);
    here = fill_locked(block, service);
    if (here)
      memcpy(bytes, block->bytes + start, length);
  }
  if (block != NULL)
    block_unref(block);
  return here;
}

gboolean hf_blocks_read(HfBlocks *blocks, HfServiceStore *service, const char *name, guint64 offset, void *bytes,
                        gsize length)
{
  if (!g_str_has_prefix(name, "meta/") || length == 0 || length > LONGEST)
    return FALSE;
  gsize first = (gsize)MIN(length, BLOCK_BYTES - offset % BLOCK_BYTES);
  return read_part(blocks, service, name, offset, bytes, first) &&
    (first == length || read_part(blocks, service, name, offset + first, (guint8 *)bytes + first, length - first));
}
