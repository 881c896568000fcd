/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a change of a fleet opens and closes. */
#include "fleet.h"

typedef struct Two {
  Fleet *before, *after;
  HfPlanDiff *diff;
} Two;

static Two *two_plan(const char *before, const char *after)
{
  Two *two = g_new0(Two, 1);
  two->before = fleet_plan(before);
  two->after = fleet_plan(after);
  two->diff = hf_plan_diff(two->before->plan, two->after->plan);
  return two;
}

static void two_free(Two *two)
{
  hf_plan_diff_free(two->diff);
  fleet_free(two->before);
  fleet_free(two->after);
  g_free(two);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Two, two_free)

/* "+ a,b > c tcp 443 m5.4" for each change, in lines. Caller frees. */
static char *text_of(const HfPlanDiff *diff)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < diff->changes->len; i++) {
    const HfPlanChange *change = diff->changes->pdata[i];
    g_autofree char *from = g_strjoinv(",", (char **)change->from), *to = g_strjoinv(",", (char **)change->to);
    g_autofree char *ports = hf_plan_ports_text(change->first, change->last);
    g_autofree char *rows = hf_plan_rows_text(change->rows, change->n_rows);
    g_string_append_printf(text, "%s %s > %s%s%s %s %s %s\n", change->opened ? "+" : "-", from,
                           change->name != NULL ? change->name : "", change->name != NULL ? "@" : "", to,
                           change->transport == HF_PORT_TCP ? "tcp" : "udp", ports, rows);
  }
  return g_string_free(text, FALSE);
}

static void expect(const Two *two, const char *changes)
{
  g_autofree char *text = text_of(two->diff);
  g_assert_cmpstr(text, ==, changes);
}

#define VBR "[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"
#define TAPE "[host t1]\nroles = tape-server\naddress = 10.0.0.2\n"
#define FEW "[fleet]\ndeployment-kit = yes\n"

static void test_same(void)
{
  g_autoptr(Two) two = two_plan(VBR TAPE, TAPE "# moved\n" VBR);
  expect(two, "");
  g_assert_cmpuint(two->diff->added->len + two->diff->removed->len + two->diff->moved->len, ==, 0);
}

static void test_added(void)
{
  g_autoptr(Two) two =
    two_plan(FEW VBR TAPE, FEW VBR "[host t[1-2]]\nroles = tape-server\naddress = 10.0.0.2-10.0.0.3\n");
  expect(two, "+ t2 > vbr tcp 2500-3300 m1.6\n"
              "+ vbr > t2 tcp 2500-3300 m45.2\n"
              "+ vbr > t2 tcp 6160 m45.3\n"
              "+ vbr > t2 tcp 6162 m45.4\n"
              "+ vbr > t2 tcp 6166 m45.5\n");
  g_assert_cmpuint(two->diff->added->len, ==, 1);
  g_assert_cmpstr(two->diff->added->pdata[0], ==, "t2");
  g_autoptr(Two) back =
    two_plan(FEW VBR "[host t[1-2]]\nroles = tape-server\naddress = 10.0.0.2-10.0.0.3\n", FEW VBR TAPE);
  g_autofree char *text = text_of(back->diff);
  g_assert_true(g_str_has_prefix(text, "- t2 > vbr tcp 2500-3300 m1.6\n"));
  g_assert_cmpuint(back->diff->changes->len, ==, 5);
  g_assert_cmpstr(back->diff->removed->pdata[0], ==, "t2");
}

/* One of several that were alike leaves them: only its own flows change. */
static void test_split(void)
{
  g_autoptr(Two) two = two_plan(VBR "[host p[1-3]]\nroles = backup-proxy\naddress = 10.0.0.11-10.0.0.13\n",
                                VBR "[host p[1-2]]\nroles = backup-proxy\naddress = 10.0.0.11-10.0.0.12\n"
                                    "[host p3]\nroles = backup-proxy\nport transport = 7162\naddress = 10.0.0.13\n");
  expect(two, "- vbr > p3 tcp 6162 m5.6\n+ vbr > p3 tcp 7162 m5.6\n");
}

/* Only the part of a range that changes. */
static void test_ranges(void)
{
  const char *lab = VBR "[external lab]\nroles = lab-vm\naddress = 10.0.1.1\nport application_port = ";
  g_autofree char *a = g_strconcat(lab, "100-200/tcp, 300/tcp, 53/udp\n", NULL);
  g_autofree char *b = g_strconcat(lab, "150-160/tcp, 190-250/tcp, 300/tcp, 54/udp\n", NULL);
  g_autoptr(Two) two = two_plan(a, b);
  expect(two, "- vbr > lab tcp 100-149 m62.2, m63.2\n"
              "- vbr > lab tcp 161-189 m62.2, m63.2\n"
              "+ vbr > lab tcp 201-250 m62.2, m63.2\n"
              "- vbr > lab udp 53 m62.2, m63.2\n"
              "+ vbr > lab udp 54 m62.2, m63.2\n");
}

/* The same ports for another reason are no change. */
static void test_reasons(void)
{
  g_autoptr(Two) two = two_plan(VBR "[host h]\nroles = hyperv\nos = windows\nsmb1 = yes\naddress = 10.0.0.2\n",
                                VBR "[host h]\nroles = hyperv, off-host-proxy\nos = windows\nsmb1 = yes\n"
                                    "address = 10.0.0.2\n");
  expect(two, "");
}

static void test_sets(void)
{
  const char *bucket = "[host g]\nroles = gateway-server\naddress = 10.0.0.1\n"
                       "[external s]\nroles = amazon-s3\nnames *.amazontrust.com = x.org\nnames *.amazonaws.com = ";
  g_autofree char *a = g_strconcat(bucket, "192.0.2.1\n", NULL), *b = g_strconcat(bucket, "192.0.2.2\n", NULL);
  g_autofree char *c = g_strconcat(bucket, "192.0.2.1\nregion = china\n", NULL);
  g_autofree char *d = g_strconcat(bucket, "192.0.2.1, a.org\n", NULL),
                  *e = g_strconcat(bucket, "a.org, 192.0.2.1\n", NULL);
  g_autoptr(Two) other = two_plan(a, b), region = two_plan(a, c), more = two_plan(a, d), same = two_plan(d, e);
  expect(other, "");
  g_assert_cmpuint(other->diff->refilled->len, ==, 1);
  g_assert_cmpstr(other->diff->refilled->pdata[0], ==, "*.amazonaws.com");
  expect(region, "- g > *.amazonaws.com@s tcp 443 m18.3\n+ g > *.amazonaws.com.cn@s tcp 443 m18.3\n");
  g_assert_cmpuint(more->diff->refilled->len, ==, 1);
  g_assert_cmpuint(same->diff->refilled->len, ==, 0);
}

static void test_moved(void)
{
  g_autoptr(Two) two = two_plan(VBR TAPE "[host n]\nroles = guest\nname = a.org\n[host o]\nroles = guest\n"
                                         "address = 10.0.0.8 lan\n",
                                VBR "[host t1]\nroles = tape-server\naddress = 10.0.0.3\n"
                                    "[host n]\nroles = guest\nname = b.org\n[host o]\nroles = guest\n"
                                    "address = 10.0.0.8 wan\n");
  g_assert_cmpuint(two->diff->moved->len, ==, 3);
  g_assert_cmpstr(two->diff->moved->pdata[0], ==, "t1");
  expect(two, "");
}

/* Both ends of a flow are one group before, and two after: the pair of them is still one pair. */
static void test_siblings(void)
{
  g_autoptr(Two) two = two_plan("[host p[1-2]]\nroles = backup-proxy\naddress = 10.0.0.11-10.0.0.12\n",
                                "[host p1]\nroles = backup-proxy\naddress = 10.0.0.11\n"
                                "[host p2]\nroles = backup-repository\naddress = 10.0.0.12\n");
  expect(two, "+ p1 > p2 tcp 6162 m5.14\n- p2 > p1 tcp 2500-3300 m5.13\n");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/ports/diff/same", test_same);
  g_test_add_func("/ports/diff/added", test_added);
  g_test_add_func("/ports/diff/split", test_split);
  g_test_add_func("/ports/diff/ranges", test_ranges);
  g_test_add_func("/ports/diff/reasons", test_reasons);
  g_test_add_func("/ports/diff/sets", test_sets);
  g_test_add_func("/ports/diff/moved", test_moved);
  g_test_add_func("/ports/diff/siblings", test_siblings);
  return g_test_run();
}
