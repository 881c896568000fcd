/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program holdfast-server: its verbs. */
#pragma once

/* Gives the exit code. Drivers must have been registered. */
int hf_server_main(int argc, char **argv);
