/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Patterns of -x. A pattern is compiled to a row of steps, each of which takes one byte, or any number of bytes.
 * Matching goes back to the last star only (and from there to the last double star): a star cannot pass a slash, so
 * an earlier one could not do better. The time is bounded by the lengths of path and pattern multiplied.
 */
#include <string.h>

#include "base/error.h"
#include "source/tree.h"

typedef enum StepKind {
  STEP_BYTE,  /* this one */
  STEP_CLASS, /* one of a set */
  STEP_STAR,  /* any number but no slash */
  STEP_ALL,   /* any number */
  STEP_DEEP,  /* nothing, or any number up to and with a slash */
} StepKind;

typedef struct Step {
  guint8 kind, byte;
  guint16 set; /* number in sets */
} Step;

typedef struct ByteSet {
  guint8 bits[32];
} ByteSet;

typedef struct Rule {
  GArray *steps; /* of Step */
  GArray *sets;  /* of ByteSet */
  gboolean folders, back;
} Rule;

struct HfExclude {
  GPtrArray *rules;
};

/* ---- Compiling. ---- */

static void rule_free(gpointer data)
{
  Rule *rule = data;
  g_array_unref(rule->steps);
  g_array_unref(rule->sets);
  g_free(rule);
}

static gboolean in_set(const ByteSet *set, guint8 byte)
{
  return (set->bits[byte >> 3] >> (byte & 7) & 1) != 0;
}

static void set_add(ByteSet *set, guint8 low, guint8 high)
{
  for (guint byte = low; byte <= high; byte++)
    set->bits[byte >> 3] |= (guint8)(1u << (byte & 7));
}

static void add_step(Rule *rule, StepKind kind, guint8 byte)
{
  Step step = { .kind = (guint8)kind, .byte = byte, .set = (guint16)rule->sets->len };
  g_array_append_val(rule->steps, step);
}

/* One byte of a class, a backslash taken off; 0 at the end of the pattern. */
static guint8 class_byte(const char **at)
{
  if (**at == '\\')
    ++*at;
  return **at != '\0' ? (guint8)*(*at)++ : 0;
}

/* Behind the '['. */
static gboolean compile_class(Rule *rule, const char **at, const char *pattern, GError **error)
{
  ByteSet set = { { 0 } };
  gboolean turned = **at == '!' || **at == '^';
  const char *start = *at += turned;
  while (**at != ']' || *at == start) {
    if ((*at)[0] == '[' && strchr(":.=", (*at)[1]) != NULL && (*at)[1] != '\0')
      return hf_fail(error, HF_ERROR_USAGE, "pattern '%s' uses '[%c': such classes are not known here; write the "
                     "characters themselves", pattern, (*at)[1]);
    guint8 low = class_byte(at), high = low;
    if (low != 0 && (*at)[0] == '-' && (*at)[1] != ']') {
      ++*at;
      high = class_byte(at);
    }
    if (low == 0 || high == 0)
      return hf_fail(error, HF_ERROR_USAGE, "pattern '%s' has a '[' without its ']'; write '\\[' for the character "
                     "itself", pattern);
    set_add(&set, low, high);
  }
  ++*at;
  for (guint i = 0; turned && i < sizeof set.bits; i++)
    set.bits[i] = (guint8)~set.bits[i];
  set.bits['/' >> 3] &= (guint8)~(1u << ('/' & 7));
  add_step(rule, STEP_CLASS, 0);
  g_array_append_val(rule->sets, set);
  return TRUE;
}

/* At a '*'. A double star that fills the place of folders ('**' and a slash, at the start or after a slash) may stand
 * for none. */
static void compile_star(Rule *rule, const char **at)
{
  gsize stars = strspn(*at, "*");
  const Step *last = rule->steps->len > 0 ? &g_array_index(rule->steps, Step, rule->steps->len - 1) : NULL;
  gboolean at_part = last != NULL && (last->kind == STEP_DEEP || (last->kind == STEP_BYTE && last->byte == '/'));
  *at += stars;
  if (stars == 1) {
    add_step(rule, STEP_STAR, 0);
  } else if (at_part && **at == '/') {
    ++*at;
    if (last->kind != STEP_DEEP)
      add_step(rule, STEP_DEEP, 0);
  } else {
    add_step(rule, STEP_ALL, 0);
  }
}

static gboolean compile(Rule *rule, const char *at, const char *pattern, GError **error)
{
  if (*at != '/')
    add_step(rule, STEP_DEEP, 0);
  while (*at != '\0') {
    if (*at == '*') {
      compile_star(rule, &at);
    } else if (*at == '?') {
      ByteSet set;
      memset(&set, 0xff, sizeof set);
      set.bits['/' >> 3] &= (guint8)~(1u << ('/' & 7));
      add_step(rule, STEP_CLASS, 0);
      g_array_append_val(rule->sets, set);
      at++;
    } else if (*at == '[') {
      at++;
      if (!compile_class(rule, &at, pattern, error))
        return FALSE;
    } else {
      at += *at == '\\';
      if (*at == '\0')
        return hf_fail(error, HF_ERROR_USAGE, "pattern '%s' ends in a backslash; write '\\\\' for the character itself",
                       pattern);
      add_step(rule, STEP_BYTE, (guint8)*at++);
    }
  }
  return TRUE;
}

HfExclude *hf_exclude_new(void)
{
  HfExclude *exclude = g_new0(HfExclude, 1);
  exclude->rules = g_ptr_array_new_with_free_func(rule_free);
  return exclude;
}

void hf_exclude_free(HfExclude *exclude)
{
  if (exclude == NULL)
    return;
  g_ptr_array_unref(exclude->rules);
  g_free(exclude);
}

/* Whether the byte at `number` has an odd number of backslashes before it. */
static gboolean escaped(const char *text, gsize number)
{
  gsize slashes = 0;
  while (slashes < number && text[number - 1 - slashes] == '\\')
    slashes++;
  return slashes % 2 != 0;
}

gboolean hf_exclude_add(HfExclude *exclude, const char *pattern, GError **error)
{
  g_autofree char *shown = hf_printable(pattern, -1);
  gboolean back = pattern[0] == '!';
  g_autofree char *text = g_strdup(pattern + back);
  gsize length = strlen(text);
  gboolean folders = length > 0 && text[length - 1] == '/' && !escaped(text, length - 1);
  while (length > 0 && text[length - 1] == '/' && !escaped(text, length - 1))
    text[--length] = '\0';
  if (length == 0)
    return hf_fail(error, HF_ERROR_USAGE, "pattern '%s' names nothing", shown);
  if (length > G_MAXUINT16)
    return hf_fail(error, HF_ERROR_USAGE, "a pattern is longer than %u bytes", G_MAXUINT16);

  Rule *rule = g_new0(Rule, 1);
  rule->steps = g_array_new(FALSE, FALSE, sizeof(Step));
  rule->sets = g_array_new(FALSE, FALSE, sizeof(ByteSet));
  rule->folders = folders;
  rule->back = back;
  if (!compile(rule, text, shown, error)) {
    rule_free(rule);
    return FALSE;
  }
  g_ptr_array_add(exclude->rules, rule);
  return TRUE;
}

gboolean hf_exclude_add_file(HfExclude *exclude, const char *path, GError **error)
{
  g_autofree char *shown = hf_printable(path, -1), *bytes = NULL;
  g_autoptr(GError) problem = NULL;
  gsize length;
  if (!g_file_get_contents(path, &bytes, &length, &problem))
    return hf_fail(error, HF_ERROR_USAGE, "cannot read the patterns in '%s': %s", shown, problem->message);
  if (memchr(bytes, '\0', length) != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' holds a zero byte: it is no file of patterns", shown);
  guint number = 0;
  for (char *line = bytes; line != NULL && *line != '\0';) {
    char *end = strchr(line, '\n');
    number++;
    if (end != NULL)
      *end++ = '\0';
    if (*line != '\0' && *line != '#' && !hf_exclude_add(exclude, line, &problem))
      return hf_fail(error, HF_ERROR_USAGE, "line %u of '%s': %s", number, shown, problem->message);
    line = end;
  }
  return TRUE;
}

/* ---- Matching. ---- */

static gboolean step_takes(const Rule *rule, const Step *step, guint8 byte)
{
  return step->kind == STEP_BYTE ? step->byte == byte
                                 : in_set(&g_array_index(rule->sets, ByteSet, step->set), byte);
}

/* Where matching goes on when what follows a star did not fit. */
typedef struct Resume {
  const Step *step; /* the star; NULL: none */
  const char *at;   /* behind what it has taken so far */
} Resume;

/* Lets a star take more. FALSE when it cannot. */
static gboolean take_more(Resume *resume)
{
  const char *at = resume->at;
  if (resume->step == NULL || *at == '\0' || (resume->step->kind == STEP_STAR && *at == '/'))
    return FALSE;
  if (resume->step->kind == STEP_DEEP) {
    at = strchr(at, '/');
    if (at == NULL)
      return FALSE;
  }
  resume->at = at + 1;
  return TRUE;
}

static gboolean rule_matches(const Rule *rule, const char *path)
{
  const Step *step = (const Step *)(void *)rule->steps->data, *end = step + rule->steps->len;
  Resume star = { NULL, NULL }, deep = { NULL, NULL };
  /* Without a slash at its start a pattern begins with STEP_DEEP, at the first part. */
  const char *at = step->kind == STEP_DEEP ? path + 1 : path;
  while (step < end || *at != '\0') {
    if (step < end && step->kind == STEP_STAR) {
      star = (Resume){ step++, at };
    } else if (step < end && step->kind >= STEP_ALL) {
      deep = (Resume){ step++, at };
      star.step = NULL;
    } else if (step < end && *at != '\0' && step_takes(rule, step, (guint8)*at)) {
      step++;
      at++;
    } else if (take_more(&star)) {
      step = star.step + 1;
      at = star.at;
    } else if (take_more(&deep)) {
      star.step = NULL;
      step = deep.step + 1;
      at = deep.at;
    } else {
      return FALSE;
    }
  }
  return TRUE;
}

gboolean hf_exclude_match(const HfExclude *exclude, const char *path, gboolean folder)
{
  for (guint i = exclude != NULL ? exclude->rules->len : 0; i-- > 0;) {
    const Rule *rule = exclude->rules->pdata[i];
    if ((!rule->folders || folder) && rule_matches(rule, path))
      return !rule->back;
  }
  return FALSE;
}
