/*
 * The commands. Each is given argv from its own name on and returns the exit status: 0, 1 (it failed; the reason is on standard error) or 2 (wrong use).
 */
#pragma once

int command_serve(int argc, char **argv);
int command_quickstart(int argc, char **argv);
int command_account(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_import(int argc, char **argv);
int command_show(int argc, char **argv);
int command_status(int argc, char **argv);
int command_du(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_scrub(int argc, char **argv);
int command_secrets(int argc, char **argv);
int command_rekey(int argc, char **argv);
int command_fsck(int argc, char **argv);
