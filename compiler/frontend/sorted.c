/* sorted: a table's keys in an order that does not depend on hashes or addresses: numbers by size,
 * then strings by bytes, then false and true. What else can be a key (a table, a function) has no
 * order that would be the same tomorrow, and is refused. */
#include "sandbox.h"

#include <stdlib.h>

/* Points into the table's own strings, which stay alive while it is on the stack. */
typedef struct {
	int type; /* LUA_TNUMBER, LUA_TSTRING, LUA_TBOOLEAN */
	bool is_integer, truth;
	lua_Integer integer;
	double number;
	const char *text;
	size_t length;
} Key;

static int rank(int type) { return type == LUA_TNUMBER ? 0 : type == LUA_TSTRING ? 1 : 2; }

static int compare_numbers(const Key *a, const Key *b)
{
	if (a->is_integer && b->is_integer)
		return (a->integer > b->integer) - (a->integer < b->integer);
	if (a->number != b->number) return a->number < b->number ? -1 : 1;
	return a->is_integer - b->is_integer; /* 2^60 and a float that rounds there */
}

static int compare(const void *left, const void *right)
{
	const Key *a = left, *b = right;
	if (a->type != b->type) return rank(a->type) - rank(b->type);
	if (a->type == LUA_TNUMBER) return compare_numbers(a, b);
	if (a->type == LUA_TBOOLEAN) return a->truth - b->truth;
	int order = memcmp(a->text, b->text, MIN(a->length, b->length));
	return order ? order : (a->length > b->length) - (a->length < b->length);
}

static Key key_at(lua_State *L, int i)
{
	Key k = {.type = lua_type(L, i)};
	if (k.type == LUA_TNUMBER) {
		k.is_integer = lua_isinteger(L, i);
		if (k.is_integer) k.integer = lua_tointeger(L, i);
		k.number = (double)lua_tonumber(L, i);
	} else if (k.type == LUA_TSTRING) {
		k.text = lua_tolstring(L, i, &k.length);
	} else if (k.type == LUA_TBOOLEAN) {
		k.truth = lua_toboolean(L, i);
	} else {
		luaL_error(L, "a table with a %s as a key has no order", luaL_typename(L, i));
	}
	return k;
}

static int count_keys(lua_State *L, int t)
{
	int n = 0;
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) n++;
	return n;
}

static void push_key(lua_State *L, const Key *k)
{
	if (k->type == LUA_TSTRING)
		lua_pushlstring(L, k->text, k->length);
	else if (k->type == LUA_TBOOLEAN)
		lua_pushboolean(L, k->truth);
	else if (k->is_integer)
		lua_pushinteger(L, k->integer);
	else
		lua_pushnumber(L, k->number);
}

int sandbox_sorted_keys(lua_State *L, int t)
{
	t = lua_absindex(L, t);
	luaL_checkstack(L, 8, "too many values");
	int n = count_keys(L, t), at = 0;
	sandbox_charge(L, 8.0 * n);
	Key *key = lua_newuserdatauv(L, (size_t)MAX(n, 1) * sizeof *key, 0);
	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) key[at++] = key_at(L, lua_absindex(L, -2));
	qsort(key, (size_t)n, sizeof *key, compare);
	lua_createtable(L, n, 0);
	for (int i = 0; i < n; i++) {
		push_key(L, &key[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_remove(L, -2);
	return n;
}
