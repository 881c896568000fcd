/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shape of the tables that spec/gen-options.py makes from spec/options.toml (options.gen.c). All static. */
#pragma once

#include <glib.h>

#include "cli/options.gen.h"

typedef enum HfOptionType {
  HF_OPTION_FLAG,    /* gboolean */
  HF_OPTION_TEXT,    /* char *, one of `values` when there are any */
  HF_OPTION_LIST,    /* char **, grows with each use */
  HF_OPTION_CHOICE,  /* an enum: the place in `values` */
  HF_OPTION_SIZE,    /* guint64, "20M" */
  HF_OPTION_NUMBER,  /* guint64 */
  HF_OPTION_PERCENT, /* guint64, "5" or "5%" */
} HfOptionType;

typedef struct HfOptionSpec {
  const char *name; /* without the dashes */
  char letter;      /* '\0': none */
  HfOptionType type;
  gboolean required;
  gsize offset;              /* of its field in HfOptions */
  const char *value;         /* what its value is called; NULL for a flag */
  const char *fallback;      /* the default as it would be written, or NULL */
  const char *environment;   /* the variable that stands for it, or NULL */
  const char *const *values; /* the only ones allowed, ended by NULL; or NULL */
  guint64 low, high;         /* of sizes, numbers and percentages */
} HfOptionSpec;

typedef struct HfPositionalSpec {
  const char *name;
  gsize offset;  /* a char *, or with `many` a char ** */
  guint min;     /* 0 or 1 */
  gboolean many; /* any number from `min` */
} HfPositionalSpec;

typedef struct HfVerbSpec {
  const char *name; /* one word, or two with a space between */
  const char *summary;
  const HfOptionSpec *options;
  guint n_options; /* at most 64 */
  const HfPositionalSpec *positionals;
  guint n_positionals;
  /* Groups of options as bit masks (bit i: options[i]), ended by 0: one at most may be given, exactly one must be. */
  const guint64 *exclusive, *one_of;
  const char *help; /* the text of --help */
} HfVerbSpec;

/* The first word of verbs of two words. */
typedef struct HfVerbGroupSpec {
  const char *name;
  const char *help;
} HfVerbGroupSpec;

extern const HfVerbSpec hf_verb_specs[HF_VERBS]; /* by HfVerb */
extern const HfVerbGroupSpec hf_verb_group_specs[HF_VERB_GROUPS];
extern const char hf_program_help[];
