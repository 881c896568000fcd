/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One function a verb, each in the file of its name; the frame (cli/cli.h) calls them. FALSE with an error ends the
 * program with the error's exit code; TRUE with 0, or with 3 when the report counted warnings. */
#pragma once

#include "cli/options.gen.h"

typedef struct HfCli HfCli;

gboolean hf_verb_benchmark(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_help(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_version(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_backup(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_forget(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_init(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_mount(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_prune(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_rebuild(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_stats(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_copy(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_verify(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_repair(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_cat(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_diff(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_find(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_ls(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_points(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_restore(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_key_add(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_key_change(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_key_export(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_key_hide(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_key_list(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_key_rotate(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_writer_add(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_writer_list(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_writer_remove(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_ports_list(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_ports_firewall(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_ports_explain(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_ports_roles(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_ports_plan(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_ports_diff(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_ports_check(const HfOptions *options, HfCli *cli, GError **error);
gboolean hf_verb_ports_audit(const HfOptions *options, HfCli *cli, GError **error);
