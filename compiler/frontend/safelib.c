/* safelib: the globals of a sandbox: what of Lua's library is harmless, the rest of it made so.
 *
 * Not there at all: io, os, debug, package, coroutine, utf8; load and its kin, require,
 * collectgarbage, next (its order is the hash's), pcall and xpcall (a cap must not be caught),
 * string.dump and pack. Functions whose work is out of proportion to the one instruction that calls
 * them are charged first. */
#include "sandbox.h"

#include <lualib.h>
#include <math.h>

#include "../diag.h"

/* --- what functions cost beyond their instruction --------------------------------------------- */

static double length_of(lua_State *L, int i)
{
	size_t n = 0;
	if (lua_type(L, i) == LUA_TSTRING) lua_tolstring(L, i, &n);
	return (double)n;
}

static void charge_text(lua_State *L) { sandbox_charge(L, length_of(L, 1) / 16); }

static void charge_rep(lua_State *L)
{
	double n = (double)luaL_optinteger(L, 2, 0), size = (length_of(L, 1) + length_of(L, 3)) * n;
	if (size > (double)SANDBOX_STRING)
		luaL_error(L, "string.rep: a string of %f bytes is too long", (lua_Number)size);
	if (n > 0) sandbox_charge(L, n + size / 16);
}

/* Matching tries each start, and each repetition up to the text's length at each of its places: an
 * upper bound of the steps of Lua's backtracking matcher. */
static double pattern_steps(double n, const char *p, size_t length)
{
	double steps = (n + 1) * (double)(length + 1);
	for (size_t i = 0; i < length; i++) {
		if (p[i] == '%' && i + 1 < length) {
			char c = p[++i];
			if (c == 'b' || (c >= '0' && c <= '9')) steps *= n + 1;
		} else if (strchr("*+-", p[i]) && p[i]) {
			steps *= n + 1;
		} else if (p[i] == '?') {
			steps *= 2;
		}
	}
	return steps;
}

static void charge_pattern(lua_State *L)
{
	size_t length;
	double n = length_of(L, 1);
	luaL_checkstring(L, 1);
	const char *p = luaL_checklstring(L, 2, &length);
	double steps = pattern_steps(n, p, length);
	if (!(steps < 1e9))
		luaL_error(L, "the pattern '%s' may take too long on %d characters", p, (int)n);
	sandbox_charge(L, steps / 8);
}

static void charge_find(lua_State *L)
{
	if (!lua_toboolean(L, 4)) {
		charge_pattern(L);
		return;
	}
	sandbox_charge(L, (length_of(L, 1) + 1) * (length_of(L, 2) + 1) / 8);
}

static double items(lua_State *L) { return (double)luaL_len(L, 1); }

static double span(lua_State *L, int from, int to)
{
	lua_Integer a = luaL_optinteger(L, from, 1);
	lua_Integer b = lua_isnoneornil(L, to) ? luaL_len(L, 1) : luaL_checkinteger(L, to);
	return b >= a ? (double)b - (double)a + 1 : 0;
}

static void charge_concat(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	sandbox_charge(L, span(L, 3, 4));
}

static void charge_unpack(lua_State *L)
{
	sandbox_charge(L, lua_istable(L, 1) ? span(L, 2, 3) : 1);
}

static void charge_shift(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	bool shifts = lua_gettop(L) > 1 && lua_isinteger(L, 2);
	if (shifts) sandbox_charge(L, fmax(items(L) - (double)lua_tointeger(L, 2), 0));
}

static void charge_move(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	sandbox_charge(L, span(L, 2, 3));
}

static void charge_sort(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	double n = items(L);
	sandbox_charge(L, n * (2 + log2(n + 2)));
}

/* Formats values that would show an address as what they are; refuses %p. */
static void charge_format(lua_State *L)
{
	const char *f = luaL_checkstring(L, 1);
	for (; (f = strchr(f, '%')); f++) {
		f++;
		f += strspn(f, "-+ #0123456789.");
		if (*f == 'p') luaL_error(L, "string.format: %%p would show an address");
		if (!*f) break;
	}
	for (int i = 2; i <= lua_gettop(L); i++) {
		int type = lua_type(L, i);
		if (type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TBOOLEAN || type == LUA_TNIL)
			continue;
		sandbox_tostring(L, i);
		lua_replace(L, i);
	}
}

/* --- the tables ------------------------------------------------------------------------------- */

typedef struct {
	const char *name;
	void (*charge)(lua_State *L); /* NULL: as it is */
} Function;

static const Function string_functions[] = {{"byte", charge_text}, {"char", NULL},
    {"find", charge_find}, {"format", charge_format}, {"gmatch", charge_pattern},
    {"gsub", charge_pattern}, {"len", NULL}, {"lower", charge_text}, {"match", charge_pattern},
    {"rep", charge_rep}, {"reverse", charge_text}, {"sub", NULL}, {"upper", charge_text},
    {NULL, NULL}};

static const Function table_functions[] = {{"concat", charge_concat}, {"insert", charge_shift},
    {"move", charge_move}, {"pack", NULL}, {"remove", charge_shift}, {"sort", charge_sort},
    {"unpack", charge_unpack}, {NULL, NULL}};

static const Function base_functions[] = {{"assert", NULL}, {"error", NULL}, {"getmetatable", NULL},
    {"ipairs", NULL}, {"rawequal", NULL}, {"rawget", NULL}, {"rawlen", NULL}, {"rawset", NULL},
    {"select", NULL}, {"setmetatable", NULL}, {"tonumber", NULL}, {"type", NULL},
    {"_VERSION", NULL}, {NULL, NULL}};

/* Upvalues: Lua's own function, the Function. Runs it in this very frame, so that its messages name
 * it. */
static int charged(lua_State *L)
{
	const Function *f = lua_touserdata(L, lua_upvalueindex(2));
	f->charge(L);
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Copies the listed fields of the table on top into the table below it. */
static void copy_functions(lua_State *L, const Function *list)
{
	for (; list->name; list++) {
		lua_getfield(L, -1, list->name);
		if (list->charge) {
			lua_pushlightuserdata(L, (void *)(uintptr_t)list);
			lua_pushcclosure(L, charged, 2);
		}
		lua_setfield(L, -3, list->name);
	}
}

/* --- functions of our own --------------------------------------------------------------------- */

const char *sandbox_tostring(lua_State *L, int i)
{
	int type = lua_type(L, i);
	bool plain =
	    type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING;
	if (!plain && luaL_getmetafield(L, i, "__tostring") != LUA_TNIL) {
		lua_pop(L, 1);
		plain = true;
	}
	if (plain) return luaL_tolstring(L, i, NULL);
	return lua_pushstring(L, lua_typename(L, type));
}

static int base_tostring(lua_State *L)
{
	luaL_checkany(L, 1);
	sandbox_tostring(L, 1);
	return 1;
}

static int base_print(lua_State *L)
{
	Sandbox *s = sandbox_of(L);
	int n = lua_gettop(L);
	luaL_Buffer line;
	luaL_buffinit(L, &line);
	for (int i = 1; i <= n; i++) {
		if (i > 1) luaL_addchar(&line, '\t');
		sandbox_tostring(L, i);
		luaL_addvalue(&line);
	}
	luaL_pushresult(&line);
	if (s->print) s->print(L, lua_tostring(L, -1));
	return 0;
}

/* A finalizer would run where no hook can stop it. */
static int base_setmetatable(lua_State *L)
{
	if (lua_istable(L, 2)) {
		lua_pushliteral(L, "__gc");
		if (lua_rawget(L, 2) != LUA_TNIL)
			return luaL_error(L, "__gc is not available in a network file");
		lua_pop(L, 1);
	}
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Upvalues: the table, its keys in order. Control: the position. Keys that went away are passed
 * over. */
static int pairs_next(lua_State *L)
{
	lua_Integer at = lua_tointeger(L, lua_upvalueindex(3));
	for (;;) {
		lua_settop(L, 0);
		if (lua_rawgeti(L, lua_upvalueindex(2), ++at) == LUA_TNIL) return 1;
		lua_pushvalue(L, -1);
		lua_rawget(L, lua_upvalueindex(1));
		if (!lua_isnil(L, -1)) break;
		sandbox_charge(L, 1);
	}
	lua_pushinteger(L, at);
	lua_replace(L, lua_upvalueindex(3));
	return 2;
}

static int base_pairs(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	sandbox_sorted_keys(L, 1);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, pairs_next, 3);
	return 1;
}

/* Upvalue: Lua's own. Without a number it would ask the clock. */
static int math_randomseed(lua_State *L)
{
	lua_Number seed = luaL_optnumber(L, 1, 0);
	lua_Integer whole;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushinteger(L, lua_numbertointeger(floor(seed), &whole) ? whole : 0);
	lua_call(L, 1, 0);
	return 0;
}

/* Reading a global that nobody set: a slip of the pen, or a part of Lua that is not here. */
static int missing_global(lua_State *L)
{
	static const char *const absent[] = {"collectgarbage", "coroutine", "debug", "dofile", "io",
	    "load", "loadfile", "loadstring", "next", "os", "package", "pcall", "require", "utf8",
	    "warn", "xpcall"};
	if (lua_type(L, 2) != LUA_TSTRING) return 0;
	const char *name = lua_tostring(L, 2);
	for (int i = 0; i < COUNT(absent); i++)
		if (!strcmp(name, absent[i]))
			return luaL_error(L, "'%s' is not available in a network file", name);
	int n = sandbox_sorted_keys(L, 1);
	const char **known = lua_newuserdatauv(L, (size_t)MAX(n, 1) * sizeof *known, 0);
	int count = 0;
	for (int i = 1; i <= n; i++) {
		lua_rawgeti(L, -2, i); /* the table keeps it alive */
		if (lua_type(L, -1) == LUA_TSTRING) known[count++] = lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	const char *near = diag_nearest(name, known, count);
	if (near) return luaL_error(L, "nothing is named '%s'; did you mean %s?", name, near);
	return luaL_error(L, "nothing is named '%s'", name);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Runs one of Lua's openers, keeps the listed functions in a fresh table, and leaves that on top.
 */
static void open_library(lua_State *L, lua_CFunction open, const Function *list)
{
	lua_newtable(L);
	lua_pushcfunction(L, open);
	lua_call(L, 0, 1);
	copy_functions(L, list);
	lua_pop(L, 1);
}

/* Methods of strings are the safe functions too, and nobody can change that. */
static void open_strings(lua_State *L)
{
	open_library(L, luaopen_string, string_functions);
	lua_pushliteral(L, "");
	if (!lua_getmetatable(L, -1)) bug("strings have no metatable");
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 2);
	lua_setfield(L, -2, "string");
}

static void open_math(lua_State *L)
{
	lua_pushcfunction(L, luaopen_math);
	lua_call(L, 0, 1);
	lua_getfield(L, -1, "randomseed");
	lua_pushcclosure(L, math_randomseed, 1);
	lua_pushvalue(L, -1);
	lua_call(L, 0, 0);
	lua_setfield(L, -2, "randomseed");
	lua_setfield(L, -2, "math");
}

static void open_own(lua_State *L)
{
	static const luaL_Reg own[] = {
	    {"tostring", base_tostring}, {"print", base_print}, {"pairs", base_pairs}, {NULL, NULL}};
	luaL_setfuncs(L, own, 0);
	lua_getfield(L, -1, "setmetatable");
	lua_pushcclosure(L, base_setmetatable, 1);
	lua_setfield(L, -2, "setmetatable");
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "_G");
	lua_newtable(L);
	lua_pushcfunction(L, missing_global);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
}

int sandbox_libraries(lua_State *L)
{
	open_library(L, luaopen_base, base_functions);
	open_strings(L);
	open_library(L, luaopen_table, table_functions);
	lua_setfield(L, -2, "table");
	open_math(L);
	open_own(L);
	lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	return 0;
}
