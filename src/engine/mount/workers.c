/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/mount/state.h"

HfMountWorker *hf_worker_take(HfMount *mount, guint64 file)
{
  g_mutex_lock(&mount->lock);
  GList *found = mount->workers.tail; /* the one that rested longest */
  for (GList *at = mount->workers.head; file != 0 && at != NULL; at = at->next)
    if (((HfMountWorker *)at->data)->file == file) {
      found = at;
      break;
    }
  HfMountWorker *worker = found != NULL ? found->data : NULL;
  if (found != NULL)
    g_queue_delete_link(&mount->workers, found);
  g_mutex_unlock(&mount->lock);
  if (worker == NULL) {
    worker = g_new0(HfMountWorker, 1);
    worker->browser = hf_browser_new(mount->repo, mount->cache);
  }
  return worker;
}

void hf_worker_give(HfMount *mount, HfMountWorker *worker)
{
  HF_LOCK(&mount->lock);
  g_queue_push_head(&mount->workers, worker);
}

static void drop_content(HfMountWorker *worker)
{
  g_clear_pointer(&worker->content, hf_tree_file_free);
  worker->file = 0;
}

void hf_workers_forget(HfMount *mount, guint64 file)
{
  HF_LOCK(&mount->lock);
  for (GList *at = mount->workers.head; at != NULL; at = at->next)
    if (((HfMountWorker *)at->data)->file == file)
      drop_content(at->data);
}

void hf_workers_clear(HfMount *mount)
{
  for (HfMountWorker *worker; (worker = g_queue_pop_head(&mount->workers)) != NULL;) {
    drop_content(worker);
    hf_browser_free(worker->browser);
    g_free(worker);
  }
}
