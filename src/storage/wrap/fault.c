/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "storage/wrap/pass.h"
#include "storage/wrap/wrap.h"

typedef struct Rule {
  HfFaultOp op;
  char *prefix;
  guint wait; /* calls still to be let through */
  guint left; /* strikes still to come */
  HfFaultKind kind;
  int code;
} Rule;

typedef struct Fault {
  HfPass pass;
  GMutex mutex; /* guards everything below */
  GArray *rules;
  guint64 random;
} Fault;

typedef struct FaultPut {
  HfPassPut pass;
  gboolean done; /* committed, but the answer was lost */
} FaultPut;

/* What a call is to suffer. */
typedef struct Strike {
  gboolean struck;
  HfFaultKind kind;
  int code;
  guint64 random; /* chooses the bit to flip */
} Strike;

static const HfStoreOps fault_ops;

static guint64 next_random(guint64 *state)
{
  guint64 value = *state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
  value = (value ^ (value >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
  value = (value ^ (value >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
  return value ^ (value >> 31);
}

/* Every rule counts the call; the first one that is due strikes. */
static Strike strike(HfStore *store, HfFaultOp op, const char *name)
{
  Fault *fault = (Fault *)store;
  Strike strike = { .struck = FALSE };
  HF_LOCK(&fault->mutex);
  for (guint i = 0; i < fault->rules->len; i++) {
    Rule *rule = &g_array_index(fault->rules, Rule, i);
    if (rule->op != op || rule->left == 0 || !g_str_has_prefix(name, rule->prefix))
      continue;
    if (rule->wait > 0)
      rule->wait--;
    else if (!strike.struck) {
      rule->left--;
      strike = (Strike){ TRUE, rule->kind, rule->code, next_random(&fault->random) };
    }
  }
  return strike;
}

static gboolean struck_before(const Strike *strike)
{
  return strike->struck && strike->kind == HF_FAULT_ERROR;
}

static gboolean struck_after(const Strike *strike)
{
  return strike->struck && strike->kind == HF_FAULT_DONE_ERROR;
}

static gboolean fail_struck(const Strike *strike, const char *name, GError **error)
{
  return hf_fail(error, (HfErrorCode)strike->code, "a scripted fault struck '%s'", name);
}

static void flip(const Strike *strike, guint8 *bytes, gsize length)
{
  guint64 bit = strike->random % ((guint64)length * 8);
  bytes[bit / 8] ^= (guint8)(1U << (bit % 8));
}

static gboolean write_flipped(HfPut *put, const struct iovec *vector, int count, const Strike *strike, GError **error)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  for (int i = 0; i < count; i++)
    g_byte_array_append(bytes, vector[i].iov_base, (guint)vector[i].iov_len);
  flip(strike, bytes->data, bytes->len);
  struct iovec flipped = { bytes->data, bytes->len };
  return hf_pass_put_write(put, &flipped, 1, error);
}

static HfPut *fault_put_begin(HfStore *store, const char *name, GError **error)
{
  return hf_pass_put_new(store, name, sizeof(FaultPut), error);
}

static gboolean fault_put_write(HfPut *put, const struct iovec *vector, int count, GError **error)
{
  Strike now = strike(put->store, HF_FAULT_PUT_WRITE, put->name);
  if (struck_before(&now))
    return fail_struck(&now, put->name, error);
  if (now.struck && now.kind == HF_FAULT_FLIP)
    return write_flipped(put, vector, count, &now, error);
  if (!hf_pass_put_write(put, vector, count, error))
    return FALSE;
  return !struck_after(&now) || fail_struck(&now, put->name, error);
}

static gboolean fault_put_read(HfPut *put, guint64 offset, void *bytes, gsize length, GError **error)
{
  if (((FaultPut *)put)->done)
    return hf_pass_get(put->store, put->name, offset, bytes, length, error);
  return hf_pass_put_read(put, offset, bytes, length, error);
}

static gboolean fault_put_commit(HfPut *put, GError **error)
{
  gboolean *done = &((FaultPut *)put)->done;
  Strike now = strike(put->store, HF_FAULT_PUT_COMMIT, put->name);
  if (struck_before(&now))
    return fail_struck(&now, put->name, error);
  if (*done)
    return hf_fail(error, HF_ERROR_EXISTS, "object '%s' exists already", put->name);
  if (!hf_pass_put_commit(put, error))
    return FALSE;
  *done = struck_after(&now);
  return !*done || fail_struck(&now, put->name, error);
}

static gboolean fault_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  Strike now = strike(store, HF_FAULT_GET, name);
  if (struck_before(&now))
    return fail_struck(&now, name, error);
  if (!hf_pass_get(store, name, offset, bytes, length, error))
    return FALSE;
  if (now.struck && now.kind == HF_FAULT_FLIP)
    flip(&now, bytes, length);
  return !struck_after(&now) || fail_struck(&now, name, error);
}

static gboolean fault_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  Strike now = strike(store, HF_FAULT_LIST, prefix);
  if (struck_before(&now))
    return fail_struck(&now, prefix, error);
  if (!hf_pass_list(store, prefix, func, user, error))
    return FALSE;
  return !struck_after(&now) || fail_struck(&now, prefix, error);
}

static gboolean fault_remove(HfStore *store, const char *name, GError **error)
{
  Strike now = strike(store, HF_FAULT_REMOVE, name);
  if (struck_before(&now))
    return fail_struck(&now, name, error);
  if (!hf_pass_remove(store, name, error))
    return FALSE;
  return !struck_after(&now) || fail_struck(&now, name, error);
}

static void clear_rule(gpointer rule)
{
  g_free(((Rule *)rule)->prefix);
}

static void fault_free(HfStore *store)
{
  Fault *fault = (Fault *)store;
  g_array_unref(fault->rules);
  g_mutex_clear(&fault->mutex);
  hf_pass_free(store);
}

static const HfStoreOps fault_ops = {
  .put_begin = fault_put_begin,
  .put_write = fault_put_write,
  .put_read = fault_put_read,
  .put_commit = fault_put_commit,
  .put_free = hf_pass_put_free,
  .get = fault_get,
  .size = hf_pass_size,
  .list = fault_list,
  .remove = fault_remove,
  .free = fault_free,
  .usage = hf_pass_usage,
  .held = hf_pass_held,
  .sink_open = hf_pass_sink_open,
};

HfStore *hf_wrap_fault(HfStore *inner, guint64 seed)
{
  Fault *fault = g_new0(Fault, 1);
  hf_pass_init(&fault->pass, &fault_ops, inner);
  g_mutex_init(&fault->mutex);
  fault->rules = g_array_new(FALSE, FALSE, sizeof(Rule));
  g_array_set_clear_func(fault->rules, clear_rule);
  fault->random = seed;
  return &fault->pass.store;
}

void hf_wrap_fault_add(HfStore *store, HfFaultOp op, const char *prefix, guint nth, guint times, HfFaultKind kind,
                       int code)
{
  Fault *fault = (Fault *)store;
  g_assert(store->ops == &fault_ops && nth > 0);
  g_assert(kind != HF_FAULT_FLIP || op == HF_FAULT_GET || op == HF_FAULT_PUT_WRITE);
  Rule rule = { .op = op, .prefix = g_strdup(prefix), .wait = nth - 1, .left = times, .kind = kind, .code = code };
  HF_LOCK(&fault->mutex);
  g_array_append_val(fault->rules, rule);
}

guint hf_wrap_fault_left(HfStore *store)
{
  Fault *fault = (Fault *)store;
  g_assert(store->ops == &fault_ops);
  HF_LOCK(&fault->mutex);
  guint left = 0;
  for (guint i = 0; i < fault->rules->len; i++)
    left += g_array_index(fault->rules, Rule, i).left;
  return left;
}
