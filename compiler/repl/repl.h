/* repl: the interactive loop, and scripts with the same API. Part of the program, not of the
 * library: it prints, and it runs Lua without a sandbox. Network files still go through the
 * sandbox. */
#ifndef CNNC_REPL_H
#define CNNC_REPL_H

#include "../options.h"

/* Runs command->code, then command->script, or else the loop; with command->options.file loaded as
 * the global `net` before. Returns an exit status. */
int repl_main(const Command *command);

#endif
