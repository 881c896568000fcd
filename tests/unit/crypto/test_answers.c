/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "crypto/answers.h"
#include "crypto/crypto.h"

static gsize answer_right(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  memcpy(answer, "\x01\x02\x03", 3);
  return 3;
}

static gsize answer_none(guint8 answer[HF_ANSWER_BYTES_MAX])
{
  memset(answer, 0, HF_ANSWER_BYTES_MAX);
  return 0;
}

static void test_right(void)
{
  static const HfKnownAnswer answers[] = {{"a", answer_right, "010203"}, {NULL, NULL, NULL}};
  GError *error = NULL;

  g_assert_true(hf_known_answers_check(answers, &error));
  g_assert_no_error(error);
  g_assert_true(hf_known_answers_check(hf_known_answers, &error));
  g_assert_no_error(error);
}

static void test_wrong(void)
{
  static const HfKnownAnswer answers[][3] = {
      {{"first", answer_right, "010203"}, {"second", answer_right, "010204"}, {NULL, NULL, NULL}},
      {{"first", answer_right, "010203"}, {"second", answer_right, "01020304"}, {NULL, NULL, NULL}},
      {{"first", answer_right, "010203"}, {"second", answer_none, ""}, {NULL, NULL, NULL}},
  };

  for (gsize i = 0; i < G_N_ELEMENTS(answers); i++) {
    g_autoptr(GError) error = NULL;

    g_assert_false(hf_known_answers_check(answers[i], &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "second"));
  }
}

/* Each real test notices when its expected answer is changed: none of them is empty. */
static void test_each_can_fail(void)
{
  guint count = 0;

  for (const HfKnownAnswer *real = hf_known_answers; real->name != NULL; real++, count++) {
    g_autofree char *changed = g_strdup(real->expected);
    HfKnownAnswer answers[] = {{real->name, real->compute, changed}, {NULL, NULL, NULL}};
    gsize last = strlen(changed) - 1;
    g_autoptr(GError) error = NULL;

    changed[last] = changed[last] == '0' ? '1' : '0';
    g_assert_false(hf_known_answers_check(answers, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  }
  g_assert_cmpuint(count, ==, 9);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/crypto/answers/right", test_right);
  g_test_add_func("/crypto/answers/wrong", test_wrong);
  g_test_add_func("/crypto/answers/each-can-fail", test_each_can_fail);
  return g_test_run();
}
