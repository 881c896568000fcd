/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store in memory for tests: counts calls, and tells lies on demand. */
#pragma once

#include "storage/store.h"

/* How the store breaks the promises of store.h. */
typedef enum MemLie {
  MEM_HONEST,
  MEM_NO_SECOND,      /* cannot be opened again */
  MEM_OVERWRITES,     /* a commit replaces what is there */
  MEM_ABORT_STAYS,    /* what was aborted is there */
  MEM_EARLY,          /* an object is there before its commit */
  MEM_BACK_WRONG,     /* reads back other bytes than were written */
  MEM_PADS,           /* zeros where an object has ended */
  MEM_FAR_WRONG,      /* wrong bytes above 32 MiB */
  MEM_SIZE_WRONG,     /* sizes above 65536 are off by one */
  MEM_MISSING_EMPTY,  /* what is missing has the size 0 */
  MEM_MISSING_IO,     /* what is missing fails with another error */
  MEM_LOSES_LARGE,    /* objects above 1 MiB cannot be created */
  MEM_LOSES_DOTS,     /* names with two dots are not kept */
  MEM_LONG_NAMES_CUT, /* names are cut at 180 bytes */
  MEM_STALE_LIST,     /* a listing misses what was created last */
  MEM_LIST_TWICE,     /* a listing shows things twice */
  MEM_LIST_PREFIX,    /* a listing of "b/c/" shows "b/cd" too */
  MEM_LIST_SIZE,      /* sizes in listings are wrong */
  MEM_LIST_GOES_ON,   /* a listing does not stop when its caller wants it to */
  MEM_REMOVE_STAYS,   /* what was removed is still read */
  MEM_REMOVE_ANY,     /* removing what is missing succeeds */
  MEM_REMOVE_FAILS,   /* removing fails now and then */
  MEM_USAGE_WRONG,    /* more free bytes than bytes */
  MEM_LIES,
} MemLie;

typedef struct MemCalls {
  guint gets, sizes, lists, puts;
  guint64 bytes_got;
} MemCalls;

/* Registers "mem". A location "mem:NAME" is one store, however often it is opened. */
void mem_register(void);
HfStore *mem_open(const char *where);
void mem_lie(HfStore *store, MemLie lie);
/* Calls since the last mem_calls. */
MemCalls mem_calls(HfStore *store);
