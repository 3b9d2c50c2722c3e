/* lua_fail: a Lua error with the place of the Lua line that called, in lua_pushfstring's format.
 * Never returns; the int lets a C function of Lua end with `return lua_fail(...)`. */
#ifndef CNNC_LUA_ERROR_H
#define CNNC_LUA_ERROR_H

#include "../base.h"

#include <lauxlib.h>
#include <lua.h>

NORETURN int lua_fail(lua_State *L, const char *format, ...);

#endif
