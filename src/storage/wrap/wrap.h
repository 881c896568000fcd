/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Wrappers: stores that take another store (and own it from then on) and add one behaviour. They stack in any order. */
#pragma once

#include "base/work.h"
#include "storage/store.h"

/* Tries a failed call again up to `tries` times in all, waiting 100 ms, 200 ms, ... at most 5 s; `cancel` (may be NULL,
 * outlives the store) ends the wait with HF_ERROR_CANCELLED. Only HF_ERROR_IO is tried again, and no hf_put_write: how
 * much of it was appended is unknown. A commit that failed and then meets HF_ERROR_EXISTS is compared byte for byte:
 * equal means that the first try had succeeded. A remove that failed and then meets HF_ERROR_NOT_FOUND has succeeded.
 * A listing is collected whole before its first name is handed on. */
HfStore *hf_wrap_retry(HfStore *inner, guint tries, HfCancel *cancel);

/* Bounds the bytes a second, reads and writes apart; 0 means no bound. Token bucket of one second: after a rest one
 * second's bytes go through at once. Calls of more than a quarter of a second's bytes (at least 64 KiB) are cut and go
 * piece by piece. Reading back an uncommitted put is free. */
HfStore *hf_wrap_throttle(HfStore *inner, guint64 write_rate, guint64 read_rate);

/* Keeps the blocks read last, up to `bytes` of memory in blocks of 64 KiB, for stores without HF_STORE_LOCAL. Reads of
 * more than a quarter of `bytes`, or of 4 MiB, pass by. What was read of an object that another process has removed
 * since may still be read; hf_store_size and listings always ask the inner store. */
HfStore *hf_wrap_cache(HfStore *inner, gsize bytes);

/* Faults for tests: scripted by hf_wrap_fault_add; hf_wrap_fault_left tells how many scripted strikes are still to
 * come: a test ends by asserting 0. `seed` chooses the bits to flip. After a commit that struck with
 * HF_FAULT_DONE_ERROR the put goes on like one that is not committed: it is readable, and its next commit meets
 * HF_ERROR_EXISTS. */
HfStore *hf_wrap_fault(HfStore *inner, guint64 seed);
typedef enum HfFaultOp {
  HF_FAULT_PUT_WRITE,
  HF_FAULT_PUT_COMMIT,
  HF_FAULT_GET,
  HF_FAULT_LIST, /* its name is the prefix that is listed */
  HF_FAULT_REMOVE,
} HfFaultOp;
typedef enum HfFaultKind {
  HF_FAULT_ERROR,      /* fails with `code` */
  HF_FAULT_DONE_ERROR, /* does it, then fails with `code` (an answer that was lost) */
  HF_FAULT_FLIP,       /* flips one bit of what is read or written: only with HF_FAULT_GET and HF_FAULT_PUT_WRITE */
} HfFaultKind;
/* Strikes at the `nth` (from 1) call of `op` whose name starts with `prefix` ("" for all), `times` times on end. */
void hf_wrap_fault_add(HfStore *fault, HfFaultOp op, const char *prefix, guint nth, guint times, HfFaultKind kind,
                       int code);
guint hf_wrap_fault_left(HfStore *fault);
