#include "lua_error.h"

#include <stdlib.h>

int lua_fail(lua_State *L, const char *format, ...)
{
	va_list args;
	/* Level 1 is the function that failed, a C function without lines: its caller made the mistake.
	 */
	luaL_where(L, 1);
	va_start(args, format);
	lua_pushvfstring(L, format, args);
	va_end(args);
	lua_concat(L, 2);
	lua_error(L);
	abort(); /* lua_error does not return, but is not declared so */
}
