/* help: what the interactive loop can do, and what each operator takes, from its descriptor. */
#ifndef CNNC_HELP_H
#define CNNC_HELP_H

#include <lua.h>

int help(lua_State *L); /* help() or help("conv") */

#endif
