/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Command lines: VERB, options, arguments, into a structure of options. Each program declares its own in a file below
 * spec/, from which spec/gen-options.py makes the tables (all static) and the structure.
 */
#pragma once

#include <glib.h>

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
  gsize offset;              /* of its field in the structure of options */
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

typedef struct HfProgramSpec {
  const char *name; /* "holdfast" */
  const HfVerbSpec *verbs;
  guint n_verbs;
  const HfVerbGroupSpec *groups;
  guint n_groups;
  const char *help;
  gsize size;                     /* of the structure of options */
  gsize verb_offset, help_offset; /* in it: the place of the verb in `verbs` (guint), and --help (gboolean) */
} HfProgramSpec;

/*
 * Parses `arguments` (without the program's name, ended by NULL): VERB, then options and arguments in any order.
 * Options are --name VALUE, --name=VALUE, -n VALUE, -nVALUE and bundles of flags as in -qv; "--" ends them, and a lone
 * "-" is an argument. Long names are not abbreviated. An option given twice keeps the last value, a list keeps all.
 *
 * What is not given comes from the option's environment variable (an empty one counts as unset), unless an option that
 * excludes it is given, then from its default. With --help nothing that is missing is an error.
 *
 * Every error is HF_ERROR_USAGE, names the word that is wrong and, where there is one, the nearest right one. Free with
 * hf_program_free.
 */
gpointer hf_program_parse(const HfProgramSpec *program, char *const *arguments, GError **error);
void hf_program_free(const HfProgramSpec *program, gpointer options);

/* The verb of `words` (the first or the first two; "--help", "-h" and "--version" stand for help and version) and how
 * many words name it; HF_ERROR_USAGE when there is none. */
gboolean hf_program_verb(const HfProgramSpec *program, char *const *words, guint *verb, guint *used, GError **error);

/* The place of the group called `word`, or -1. */
int hf_program_group(const HfProgramSpec *program, const char *word);

/* What a help verb prints for `topic` (no word, a group, or a verb); static. */
const char *hf_program_topic(const HfProgramSpec *program, char *const *topic, GError **error);
