/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/options.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/nearest.h"

typedef struct Parser {
  const HfProgramSpec *program;
  const HfVerbSpec *spec;
  gpointer options;
  guint64 given;      /* bit i: spec->options[i] stands on the command line */
  guint64 from_environment;
  GPtrArray *lists[64]; /* values of list options, by place */
  GPtrArray *words;   /* arguments that are no options; borrowed strings */
} Parser;

#define FIELD(type, options, offset) ((type *)G_STRUCT_MEMBER_P(options, offset))

static guint64 bit(guint place)
{
  return G_GUINT64_CONSTANT(1) << place;
}

/* ---- verbs ---- */

int hf_program_group(const HfProgramSpec *program, const char *word)
{
  for (guint i = 0; i < program->n_groups; i++)
    if (strcmp(program->groups[i].name, word) == 0)
      return (int)i;
  return -1;
}

static gboolean unknown_verb(const HfProgramSpec *program, const char *first, const char *second, GError **error)
{
  g_autofree char *wanted = second == NULL ? g_strdup(first) : g_strdup_printf("%s %s", first, second);
  g_autoptr(HfNearest) nearest = hf_nearest_new(wanted);
  for (guint i = 0; i < program->n_verbs; i++)
    hf_nearest_offer(nearest, program->verbs[i].name);
  for (guint i = 0; second == NULL && i < program->n_groups; i++)
    hf_nearest_offer(nearest, program->groups[i].name);
  const char *found = hf_nearest_result(nearest);
  if (found != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "there is no verb '%s'; did you mean '%s'?", wanted, found);
  if (second != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "there is no verb '%s'; '%s help %s' lists them", wanted, program->name,
                   first);
  return hf_fail(error, HF_ERROR_USAGE, "there is no verb '%s'; '%s help' lists them", wanted, program->name);
}

/* "--help", "-h" and "--version" in the place of the verb are verbs as well. */
static const char *as_verb(const char *word)
{
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
    return "help";
  return strcmp(word, "--version") == 0 ? "version" : word;
}

gboolean hf_program_verb(const HfProgramSpec *program, char *const *words, guint *verb, guint *used, GError **error)
{
  const char *first = words[0] == NULL ? NULL : as_verb(words[0]);
  if (first == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "no verb given; '%s help' lists them", program->name);
  if (*first == '-')
    return hf_fail(error, HF_ERROR_USAGE, "'%s' stands before the verb; write the verb first, then its options", first);
  gboolean group = hf_program_group(program, first) >= 0;
  const char *second = group ? words[1] : NULL;
  if (group && (second == NULL || *second == '-'))
    return hf_fail(error, HF_ERROR_USAGE, "'%s' needs a second word; '%s help %s' lists them", first,
                   program->name, first);
  g_autofree char *name = group ? g_strdup_printf("%s %s", first, second) : g_strdup(first);
  for (guint i = 0; i < program->n_verbs; i++)
    if (strcmp(program->verbs[i].name, name) == 0) {
      *verb = i;
      *used = group ? 2 : 1;
      return TRUE;
    }
  return unknown_verb(program, first, second, error);
}

/* ---- values ---- */

static gboolean not_a_value(const HfOptionSpec *option, const char *shown, const char *text, GError **error)
{
  g_autofree char *allowed = g_strjoinv(", ", (char **)option->values);
  return hf_fail(error, HF_ERROR_USAGE, "'%s' is no value for '%s'; it takes one of: %s", text, shown, allowed);
}

/* The place of `text` in the values allowed, -1 when it is none of them, 0 when all are. */
static int value_place(const HfOptionSpec *option, const char *text)
{
  if (option->values == NULL)
    return 0;
  for (int i = 0; option->values[i] != NULL; i++)
    if (strcmp(option->values[i], text) == 0)
      return i;
  return -1;
}

static gboolean read_number(const HfOptionSpec *option, const char *shown, const char *text, guint64 *value,
                            GError **error)
{
  if (option->type == HF_OPTION_SIZE)
    return hf_parse_size(shown, text, option->low, option->high, value, error);
  gboolean percent = option->type == HF_OPTION_PERCENT && g_str_has_suffix(text, "%");
  g_autofree char *digits = g_strndup(text, strlen(text) - (percent ? 1 : 0));
  return hf_parse_number(shown, digits, option->low, option->high, value, error);
}

/* Puts `text` into the option's field. `shown` is how the user knows the option: "--limit" or a variable's name. */
static gboolean set_value(Parser *parser, guint place, const char *shown, const char *text, GError **error)
{
  const HfOptionSpec *option = &parser->spec->options[place];
  int place_of_value = value_place(option, text);
  if (place_of_value < 0)
    return not_a_value(option, shown, text, error);
  if (*text == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "'%s' has an empty value; it takes %s", shown, option->value);
  switch (option->type) {
  case HF_OPTION_FLAG:
    g_assert_not_reached();
  case HF_OPTION_TEXT:
    g_free(*FIELD(char *, parser->options, option->offset));
    *FIELD(char *, parser->options, option->offset) = g_strdup(text);
    return TRUE;
  case HF_OPTION_LIST:
    g_ptr_array_add(parser->lists[place], g_strdup(text));
    return TRUE;
  case HF_OPTION_CHOICE:
    *FIELD(guint, parser->options, option->offset) = (guint)place_of_value;
    return TRUE;
  case HF_OPTION_SIZE:
  case HF_OPTION_NUMBER:
  case HF_OPTION_PERCENT:
    return read_number(option, shown, text, FIELD(guint64, parser->options, option->offset), error);
  }
  g_assert_not_reached();
}

static gboolean use_value(Parser *parser, guint place, const char *shown, const char *text, GError **error)
{
  const HfOptionSpec *option = &parser->spec->options[place];
  if (text == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' needs a value: %s", shown, option->value);
  parser->given |= bit(place);
  return set_value(parser, place, shown, text, error);
}

static void use_flag(Parser *parser, guint place)
{
  parser->given |= bit(place);
  *FIELD(gboolean, parser->options, parser->spec->options[place].offset) = TRUE;
}

/* ---- options ---- */

static gboolean unknown_option(const Parser *parser, const char *name, GError **error)
{
  const HfVerbSpec *spec = parser->spec;
  g_autoptr(HfNearest) nearest = hf_nearest_new(name);
  for (guint i = 0; i < spec->n_options; i++)
    hf_nearest_offer(nearest, spec->options[i].name);
  const char *found = hf_nearest_result(nearest);
  if (found != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' takes no option '--%s'; did you mean '--%s'?", spec->name, name, found);
  return hf_fail(error, HF_ERROR_USAGE, "'%s' takes no option '--%s'; '%s help %s' lists them", spec->name, name,
                 parser->program->name, spec->name);
}

/* `word` starts with "--"; `next` is what follows it, or NULL. *used: how many words were taken. */
static gboolean parse_long(Parser *parser, const char *word, const char *next, guint *used, GError **error)
{
  const char *equals = strchr(word, '=');
  g_autofree char *shown = equals == NULL ? g_strdup(word) : g_strndup(word, (gsize)(equals - word));
  const char *name = shown + 2;
  for (guint i = 0; i < parser->spec->n_options; i++) {
    const HfOptionSpec *option = &parser->spec->options[i];
    if (strcmp(option->name, name) != 0)
      continue;
    *used = 1;
    if (option->type == HF_OPTION_FLAG) {
      if (equals != NULL)
        return hf_fail(error, HF_ERROR_USAGE, "'%s' takes no value, but was given '%s'", shown, equals + 1);
      use_flag(parser, i);
      return TRUE;
    }
    if (equals != NULL)
      return use_value(parser, i, shown, equals + 1, error);
    *used = 2;
    return use_value(parser, i, shown, next, error);
  }
  return unknown_option(parser, name, error);
}

/* `word` is '-' and letters: flags, the last of them perhaps an option with its value behind it or in `next`. */
static gboolean parse_letters(Parser *parser, const char *word, const char *next, guint *used, GError **error)
{
  *used = 1;
  for (const char *letter = word + 1; *letter != '\0'; letter++) {
    const char shown[] = { '-', *letter, '\0' };
    guint place = 0;
    while (place < parser->spec->n_options && parser->spec->options[place].letter != *letter)
      place++;
    if (place == parser->spec->n_options)
      return hf_fail(error, HF_ERROR_USAGE, "'%s' takes no option '%s'; '%s help %s' lists them", parser->spec->name,
                     g_ascii_isprint(*letter) ? shown : word, parser->program->name, parser->spec->name);
    if (parser->spec->options[place].type == HF_OPTION_FLAG) {
      use_flag(parser, place);
      continue;
    }
    if (letter[1] != '\0')
      return use_value(parser, place, shown, letter + 1, error);
    *used = 2;
    return use_value(parser, place, shown, next, error);
  }
  return TRUE;
}

static gboolean parse_words(Parser *parser, char *const *words, GError **error)
{
  while (*words != NULL) {
    const char *word = *words;
    guint used = 1;
    if (strcmp(word, "--") == 0) {
      for (words++; *words != NULL; words++)
        g_ptr_array_add(parser->words, *words);
      return TRUE;
    }
    if (g_str_has_prefix(word, "--")) {
      if (!parse_long(parser, word, words[1], &used, error))
        return FALSE;
    } else if (word[0] == '-' && word[1] != '\0') {
      if (!parse_letters(parser, word, words[1], &used, error))
        return FALSE;
    } else {
      g_ptr_array_add(parser->words, *words);
    }
    words += used;
  }
  return TRUE;
}

/* ---- what was not said ---- */

/* The options that some group excludes once those of `given` stand there. */
static guint64 excluded_by(const HfVerbSpec *spec, guint64 given)
{
  guint64 excluded = 0;
  for (const guint64 *group = spec->exclusive; *group != 0; group++)
    if (*group & given)
      excluded |= *group & ~given;
  return excluded;
}

static gboolean apply_environment(Parser *parser, GError **error)
{
  guint64 excluded = excluded_by(parser->spec, parser->given);
  for (guint i = 0; i < parser->spec->n_options; i++) {
    const HfOptionSpec *option = &parser->spec->options[i];
    const char *text = option->environment == NULL ? NULL : g_getenv(option->environment);
    if (text == NULL || *text == '\0' || ((parser->given | excluded) & bit(i)))
      continue;
    if (!set_value(parser, i, option->environment, text, error))
      return FALSE;
    parser->from_environment |= bit(i);
  }
  return TRUE;
}

static gboolean apply_defaults(Parser *parser, GError **error)
{
  for (guint i = 0; i < parser->spec->n_options; i++) {
    const HfOptionSpec *option = &parser->spec->options[i];
    if (option->fallback == NULL || ((parser->given | parser->from_environment) & bit(i)))
      continue;
    if (!set_value(parser, i, option->name, option->fallback, error))
      return FALSE;
  }
  return TRUE;
}

/* ---- rules between options ---- */

/* How the user wrote the option at `place`: "'--key-file'" or "'HOLDFAST_KEY_FILE'". Caller frees. */
static char *as_given(const Parser *parser, guint place)
{
  const HfOptionSpec *option = &parser->spec->options[place];
  if (parser->from_environment & bit(place))
    return g_strdup_printf("'%s'", option->environment);
  return g_strdup_printf("'--%s'", option->name);
}

static char *all_of_group(const HfVerbSpec *spec, guint64 group)
{
  GString *names = g_string_new(NULL);
  for (guint i = 0; i < spec->n_options; i++)
    if (group & bit(i))
      g_string_append_printf(names, "%s'--%s'", names->len > 0 ? " or " : "", spec->options[i].name);
  return g_string_free(names, FALSE);
}

static gboolean check_exclusive(const Parser *parser, guint64 group, GError **error)
{
  guint64 used = group & (parser->given | parser->from_environment);
  if ((used & (used - 1)) == 0)
    return TRUE;
  guint first = (guint)__builtin_ctzll(used), second = (guint)__builtin_ctzll(used & (used - 1));
  g_autofree char *one = as_given(parser, first), *other = as_given(parser, second);
  return hf_fail(error, HF_ERROR_USAGE, "%s and %s exclude each other; leave one out", one, other);
}

static gboolean check_required(const Parser *parser, guint place, GError **error)
{
  const HfOptionSpec *option = &parser->spec->options[place];
  if (!option->required || ((parser->given | parser->from_environment) & bit(place)))
    return TRUE;
  if (option->environment != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' needs '--%s %s'; give it, or set %s", parser->spec->name, option->name,
                   option->value, option->environment);
  return hf_fail(error, HF_ERROR_USAGE, "'%s' needs '--%s %s'", parser->spec->name, option->name, option->value);
}

static gboolean check_rules(const Parser *parser, GError **error)
{
  const HfVerbSpec *spec = parser->spec;
  for (const guint64 *group = spec->exclusive; *group != 0; group++)
    if (!check_exclusive(parser, *group, error))
      return FALSE;
  for (const guint64 *group = spec->one_of; *group != 0; group++) {
    if (!check_exclusive(parser, *group, error))
      return FALSE;
    if ((*group & (parser->given | parser->from_environment)) == 0) {
      g_autofree char *names = all_of_group(spec, *group);
      return hf_fail(error, HF_ERROR_USAGE, "'%s' needs %s", spec->name, names);
    }
  }
  for (guint i = 0; i < spec->n_options; i++)
    if (!check_required(parser, i, error))
      return FALSE;
  return TRUE;
}

/* ---- arguments ---- */

static char **copy_words(const Parser *parser, guint from, guint count)
{
  char **copy = g_new0(char *, count + 1);
  for (guint i = 0; i < count; i++)
    copy[i] = g_strdup(parser->words->pdata[from + i]);
  return copy;
}

/* Hands the words out in order: each required argument gets one, what is left goes to the optional ones first come, and
 * the rest to the one that takes any number. */
static gboolean assign_words(Parser *parser, GError **error)
{
  const HfVerbSpec *spec = parser->spec;
  guint required = 0, place = 0;
  for (guint i = 0; i < spec->n_positionals; i++)
    required += spec->positionals[i].min;
  guint spare = parser->words->len > required ? parser->words->len - required : 0;
  for (guint i = 0; i < spec->n_positionals; i++) {
    const HfPositionalSpec *positional = &spec->positionals[i];
    guint left = parser->words->len - place;
    guint wanted = positional->min;
    if (positional->many)
      wanted += spare;
    else if (wanted == 0 && spare > 0)
      wanted = 1;
    if (left < wanted)
      return hf_fail(error, HF_ERROR_USAGE, "'%s' needs %s; see '%s help %s'", spec->name, positional->name,
                     parser->program->name, spec->name);
    spare -= wanted - positional->min;
    if (positional->many)
      *FIELD(char **, parser->options, positional->offset) = copy_words(parser, place, wanted);
    else if (wanted > 0)
      *FIELD(char *, parser->options, positional->offset) = g_strdup(parser->words->pdata[place]);
    place += wanted;
  }
  if (place < parser->words->len) {
    g_autofree char *word = hf_printable(parser->words->pdata[place], -1);
    return hf_fail(error, HF_ERROR_USAGE, "'%s' does not know what to do with '%s'; see '%s help %s'", spec->name,
                   word, parser->program->name, spec->name);
  }
  return TRUE;
}

/* ---- the whole ---- */

/* Every list of the structure, also those that this verb does not take, is there from now on. */
static void finish_lists(Parser *parser)
{
  for (guint i = 0; i < parser->spec->n_options; i++) {
    if (parser->lists[i] == NULL)
      continue;
    g_ptr_array_add(parser->lists[i], NULL);
    *FIELD(char **, parser->options, parser->spec->options[i].offset) =
      (char **)g_ptr_array_free(g_steal_pointer(&parser->lists[i]), FALSE);
  }
  for (guint verb = 0; verb < parser->program->n_verbs; verb++) {
    const HfVerbSpec *spec = &parser->program->verbs[verb];
    for (guint i = 0; i < spec->n_options; i++)
      if (spec->options[i].type == HF_OPTION_LIST && *FIELD(char **, parser->options, spec->options[i].offset) == NULL)
        *FIELD(char **, parser->options, spec->options[i].offset) = g_new0(char *, 1);
    for (guint i = 0; i < spec->n_positionals; i++)
      if (spec->positionals[i].many && *FIELD(char **, parser->options, spec->positionals[i].offset) == NULL)
        *FIELD(char **, parser->options, spec->positionals[i].offset) = g_new0(char *, 1);
  }
}

static gboolean parse_all(Parser *parser, char *const *words, GError **error)
{
  if (!parse_words(parser, words, error))
    return FALSE;
  if (*FIELD(gboolean, parser->options, parser->program->help_offset))
    return TRUE;
  return apply_environment(parser, error) && apply_defaults(parser, error) && check_rules(parser, error) &&
         assign_words(parser, error);
}

gpointer hf_program_parse(const HfProgramSpec *program, char *const *arguments, GError **error)
{
  guint verb, used;
  if (!hf_program_verb(program, arguments, &verb, &used, error))
    return NULL;
  gpointer options = g_malloc0(program->size);
  *FIELD(guint, options, program->verb_offset) = verb;
  g_autoptr(GPtrArray) words = g_ptr_array_new();
  Parser parser = { .program = program, .spec = &program->verbs[verb], .options = options, .words = words };
  for (guint i = 0; i < parser.spec->n_options; i++)
    if (parser.spec->options[i].type == HF_OPTION_LIST)
      parser.lists[i] = g_ptr_array_new_with_free_func(g_free);
  gboolean parsed = parse_all(&parser, arguments + used, error);
  finish_lists(&parser);
  if (parsed)
    return options;
  hf_program_free(program, options);
  return NULL;
}

static void free_text(gpointer options, gsize offset)
{
  g_clear_pointer(FIELD(char *, options, offset), g_free);
}

static void free_list(gpointer options, gsize offset)
{
  g_clear_pointer(FIELD(char **, options, offset), g_strfreev);
}

static void free_fields(const HfVerbSpec *spec, gpointer options)
{
  for (guint i = 0; i < spec->n_options; i++) {
    if (spec->options[i].type == HF_OPTION_TEXT)
      free_text(options, spec->options[i].offset);
    else if (spec->options[i].type == HF_OPTION_LIST)
      free_list(options, spec->options[i].offset);
  }
  for (guint i = 0; i < spec->n_positionals; i++) {
    if (spec->positionals[i].many)
      free_list(options, spec->positionals[i].offset);
    else
      free_text(options, spec->positionals[i].offset);
  }
}

void hf_program_free(const HfProgramSpec *program, gpointer options)
{
  for (guint verb = 0; options != NULL && verb < program->n_verbs; verb++)
    free_fields(&program->verbs[verb], options);
  g_free(options);
}

const char *hf_program_topic(const HfProgramSpec *program, char *const *topic, GError **error)
{
  if (topic[0] == NULL)
    return program->help;
  int group = hf_program_group(program, topic[0]);
  if (group >= 0 && topic[1] == NULL)
    return program->groups[group].help;
  guint verb, used;
  if (!hf_program_verb(program, topic, &verb, &used, error))
    return NULL;
  if (topic[used] == NULL)
    return program->verbs[verb].help;
  hf_fail(error, HF_ERROR_USAGE, "'%s' is one word too many; '%s help' lists the verbs", topic[used], program->name);
  return NULL;
}
