/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Part of ThreadSanitizer builds only. GLib's locks are futexes of its own, which ThreadSanitizer cannot see: it would
 * report each datum they guard; the same is true of its counts of references. The functions here stand before GLib's
 * and tell it what happens. Programs run with G_SLICE=always-malloc (tools/check sets it): GLib's slices go from thread
 * to thread under locks inside the library, malloc is watched as it is.
 */
#include <dlfcn.h>
#include <glib.h>
#include <sanitizer/tsan_interface.h>

const char *__tsan_default_options(void);

/* Buffers are tried: what is too large must fail, not end the program. */
const char *__tsan_default_options(void)
{
  return "allocator_may_return_null=1";
}

/* The lock of GLib's error domains is made with the first error, inside the library. That it was made before others
 * took it would not be seen, if two threads made the first errors. */
__attribute__((constructor)) static void make_first_error(void)
{
  g_error_free(g_error_new_literal(g_quark_from_static_string("tsan"), 0, "the first"));
}

/* Calls GLib's own function of this name. A mutex is not needed: dlsym gives the same answer each time. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void g_mutex_init(GMutex *mutex)
{
  REAL(g_mutex_init)(mutex);
  __tsan_mutex_create(mutex, 0);
}

void g_mutex_clear(GMutex *mutex)
{
  __tsan_mutex_destroy(mutex, 0);
  REAL(g_mutex_clear)(mutex);
}

void g_mutex_lock(GMutex *mutex)
{
  __tsan_mutex_pre_lock(mutex, __tsan_mutex_linker_init);
  REAL(g_mutex_lock)(mutex);
  __tsan_mutex_post_lock(mutex, __tsan_mutex_linker_init, 0);
}

gboolean g_mutex_trylock(GMutex *mutex)
{
  unsigned flags = __tsan_mutex_linker_init | __tsan_mutex_try_lock;
  __tsan_mutex_pre_lock(mutex, flags);
  gboolean taken = REAL(g_mutex_trylock)(mutex);
  __tsan_mutex_post_lock(mutex, taken ? flags : flags | __tsan_mutex_try_lock_failed, 0);
  return taken;
}

void g_mutex_unlock(GMutex *mutex)
{
  __tsan_mutex_pre_unlock(mutex, __tsan_mutex_linker_init);
  REAL(g_mutex_unlock)(mutex);
  __tsan_mutex_post_unlock(mutex, __tsan_mutex_linker_init);
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
  __tsan_mutex_pre_unlock(mutex, __tsan_mutex_linker_init);
  __tsan_mutex_post_unlock(mutex, __tsan_mutex_linker_init);
  REAL(g_cond_wait)(cond, mutex);
  __tsan_mutex_pre_lock(mutex, __tsan_mutex_linker_init);
  __tsan_mutex_post_lock(mutex, __tsan_mutex_linker_init, 0);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
  __tsan_mutex_pre_unlock(mutex, __tsan_mutex_linker_init);
  __tsan_mutex_post_unlock(mutex, __tsan_mutex_linker_init);
  gboolean signalled = REAL(g_cond_wait_until)(cond, mutex, end);
  __tsan_mutex_pre_lock(mutex, __tsan_mutex_linker_init);
  __tsan_mutex_post_lock(mutex, __tsan_mutex_linker_init, 0);
  return signalled;
}

void g_rw_lock_writer_lock(GRWLock *lock)
{
  __tsan_mutex_pre_lock(lock, __tsan_mutex_linker_init);
  REAL(g_rw_lock_writer_lock)(lock);
  __tsan_mutex_post_lock(lock, __tsan_mutex_linker_init, 0);
}

void g_rw_lock_writer_unlock(GRWLock *lock)
{
  __tsan_mutex_pre_unlock(lock, __tsan_mutex_linker_init);
  REAL(g_rw_lock_writer_unlock)(lock);
  __tsan_mutex_post_unlock(lock, __tsan_mutex_linker_init);
}

void g_rw_lock_reader_lock(GRWLock *lock)
{
  __tsan_mutex_pre_lock(lock, __tsan_mutex_linker_init | __tsan_mutex_read_lock);
  REAL(g_rw_lock_reader_lock)(lock);
  __tsan_mutex_post_lock(lock, __tsan_mutex_linker_init | __tsan_mutex_read_lock, 0);
}

void g_rw_lock_reader_unlock(GRWLock *lock)
{
  __tsan_mutex_pre_unlock(lock, __tsan_mutex_linker_init | __tsan_mutex_read_lock);
  REAL(g_rw_lock_reader_unlock)(lock);
  __tsan_mutex_post_unlock(lock, __tsan_mutex_linker_init | __tsan_mutex_read_lock);
}

/* GLib frees a once-block with a store inside its own library: what was made before it is seen after it. */
gboolean(g_once_init_enter)(volatile void *location)
{
  gboolean first = REAL(g_once_init_enter)(location);
  __tsan_acquire((void *)location);
  return first;
}

void(g_once_init_leave)(volatile void *location, gsize result)
{
  __tsan_release((void *)location);
  REAL(g_once_init_leave)(location, result);
}

/* Whoever gives back the last reference comes after all others that gave back theirs. */
#define COUNTED(type, unref) \
  void unref(type *counted) \
  { \
    if (counted != NULL) { \
      __tsan_release(counted); \
      __tsan_acquire(counted); \
    } \
    REAL(unref)(counted); \
  }

COUNTED(GBytes, g_bytes_unref)
COUNTED(GPtrArray, g_ptr_array_unref)
COUNTED(GHashTable, g_hash_table_unref)
