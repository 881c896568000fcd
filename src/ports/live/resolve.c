/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * INVARIANT: what threads write (Shared) is guarded by its mutex and lives until the last of them has ended; what the
 * caller sees (HfResolver) is a copy that no thread knows.
 */
#include "ports/live/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#define THREADS 16

typedef struct Found {
  char *name;
  GArray *addresses;
  const char *reason; /* static */
} Found;

typedef struct Shared {
  gatomicrefcount references;
  GMutex mutex;
  GCond ended;
  GPtrArray *found; /* Found * */
  guint next, done;
} Shared;

struct HfResolver {
  GHashTable *found; /* name to Found * */
};

static void free_found(gpointer pointer)
{
  Found *found = pointer;
  g_free(found->name);
  g_array_unref(found->addresses);
  g_free(found);
}

static void unref_shared(Shared *shared)
{
  if (!g_atomic_ref_count_dec(&shared->references))
    return;
  g_ptr_array_unref(shared->found);
  g_mutex_clear(&shared->mutex);
  g_cond_clear(&shared->ended);
  g_free(shared);
}

static Found *new_found(const char *name, const char *reason)
{
  Found *found = g_new0(Found, 1);
  found->name = g_strdup(name);
  found->addresses = g_array_new(FALSE, TRUE, sizeof(HfTopologyAddress));
  found->reason = reason;
  return found;
}

static void take_address(const struct sockaddr *socket_address, GArray *addresses)
{
  HfTopologyAddress address = { .family = socket_address->sa_family };
  if (address.family == AF_INET) {
    address.prefix = 32;
    memcpy(address.bytes, &((const struct sockaddr_in *)socket_address)->sin_addr, 4);
  } else if (address.family == AF_INET6) {
    address.prefix = 128;
    memcpy(address.bytes, &((const struct sockaddr_in6 *)socket_address)->sin6_addr, 16);
  } else {
    return;
  }
  g_array_append_val(addresses, address);
}

static void look_up(const char *name, GArray *addresses, const char **reason)
{
  const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
  struct addrinfo *list = NULL;
  int code = getaddrinfo(name, NULL, &hints, &list);
  *reason = code != 0 ? gai_strerror(code) : "it has no address";
  for (const struct addrinfo *one = list; one != NULL; one = one->ai_next)
    take_address(one->ai_addr, addresses);
  if (list != NULL)
    freeaddrinfo(list);
}

static gpointer work(gpointer user)
{
  Shared *shared = user;
  g_mutex_lock(&shared->mutex);
  while (shared->next < shared->found->len) {
    Found *found = shared->found->pdata[shared->next++];
    g_autofree char *name = g_strdup(found->name);
    g_autoptr(GArray) addresses = g_array_new(FALSE, TRUE, sizeof(HfTopologyAddress));
    const char *reason;
    g_mutex_unlock(&shared->mutex);
    look_up(name, addresses, &reason);
    g_mutex_lock(&shared->mutex);
    g_array_append_vals(found->addresses, addresses->data, addresses->len);
    found->reason = reason;
    shared->done++;
    g_cond_signal(&shared->ended);
  }
  g_mutex_unlock(&shared->mutex);
  unref_shared(shared);
  return NULL;
}

static void wait_for_all(Shared *shared, guint timeout_ms)
{
  gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
  while (shared->done < shared->found->len)
    if (!g_cond_wait_until(&shared->ended, &shared->mutex, until))
      return;
}

HfResolver *hf_resolver_new(const char *const *names, guint timeout_ms)
{
  HfResolver *resolver = g_new0(HfResolver, 1);
  Shared *shared = g_new0(Shared, 1);
  guint n_names = g_strv_length((char **)names), n_threads = MIN(n_names, THREADS);
  resolver->found = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_found);
  g_atomic_ref_count_init(&shared->references);
  g_mutex_init(&shared->mutex);
  g_cond_init(&shared->ended);
  shared->found = g_ptr_array_new_with_free_func(free_found);
  for (guint i = 0; i < n_names; i++)
    g_ptr_array_add(shared->found, new_found(names[i], "its address was not found in time"));
  for (guint i = 0; i < n_threads; i++) {
    g_atomic_ref_count_inc(&shared->references);
    g_thread_unref(g_thread_new("resolve", work, shared));
  }
  g_mutex_lock(&shared->mutex);
  wait_for_all(shared, timeout_ms);
  for (guint i = 0; i < n_names; i++) {
    const Found *found = shared->found->pdata[i];
    Found *copy = new_found(found->name, found->reason);
    g_array_append_vals(copy->addresses, found->addresses->data, found->addresses->len);
    g_hash_table_replace(resolver->found, copy->name, copy);
  }
  g_mutex_unlock(&shared->mutex);
  unref_shared(shared);
  return resolver;
}

const GArray *hf_resolver_get(const HfResolver *resolver, const char *name, const char **reason)
{
  const Found *found = g_hash_table_lookup(resolver->found, name);
  *reason = found->reason;
  return found->addresses;
}

void hf_resolver_free(HfResolver *resolver)
{
  if (resolver == NULL)
    return;
  g_hash_table_unref(resolver->found);
  g_free(resolver);
}
