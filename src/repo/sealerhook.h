/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A testing aid of debug builds: lets a test spoil what a sealer has in hand, as faulty memory or codecs would. */
#pragma once

#include <glib.h>

#ifdef HF_TEST_HOOKS
typedef enum HfSealStage {
  HF_SEAL_INPUT,      /* hashed, not yet compressed: a group's table and payloads */
  HF_SEAL_COMPRESSED, /* a group, or a piece of a row */
  HF_SEAL_PREFIX,
  HF_SEAL_CLEAR,
  HF_SEAL_ENCRYPTED,  /* a whole sealed section, its digest not yet taken */
  HF_SEAL_DIGESTED,   /* the same, its digest taken */
  HF_SEAL_STAGES,
} HfSealStage;
/* Called at each stage when set. Set it while no sealer is at work. */
extern void (*hf_sealer_hook)(HfSealStage stage, void *bytes, gsize length);
#define HF_SEALER_HOOK(stage, bytes, length)          \
  G_STMT_START                                        \
  {                                                   \
    if (hf_sealer_hook != NULL)                       \
      hf_sealer_hook((stage), (bytes), (length));     \
  }                                                   \
  G_STMT_END
#else
#define HF_SEALER_HOOK(stage, bytes, length) G_STMT_START {} G_STMT_END
#endif
