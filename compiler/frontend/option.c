/* option: option{"depth", 50, choices = {...}, min =, max =, help =} declares what -D may set and
 * gives its value. The default's type is the option's: whole number, number, boolean or text.
 *
 * A wrong -D is reported at the declaration and the default is used, so that more mistakes may
 * show. */
#include "front.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { OPTION_LIMIT = 1000 };

static const char usage[] =
    "option takes a name and a default, as in option{\"depth\", 50, min = 1}";

/* The text after the last -D of this name; "true" where it stands alone; NULL: not given. */
static const char *given_value(const Front *f, const char *name)
{
	const char *value = NULL;
	size_t n = strlen(name);
	for (int i = 0; i < f->options->define.n; i++) {
		const char *d = f->options->define.at[i];
		if (strncmp(d, name, n) != 0) continue;
		if (d[n] == '=') value = d + n + 1;
		if (d[n] == '\0') value = "true";
	}
	return value;
}

/* --- text to a value of the default's type ---------------------------------------------------- */

static bool push_integer_text(lua_State *L, const char *s)
{
	char *end;
	errno = 0;
	long long x = strtoll(s, &end, 10);
	if (!*s || *end || errno || strchr(" \t\n\v\f\r", *s)) return false;
	lua_pushinteger(L, x);
	return true;
}

static bool push_number_text(lua_State *L, const char *s)
{
	if (!*s || s[strspn(s, "+-.0123456789eE")] != '\0' || !lua_stringtonumber(L, s)) return false;
	lua_Number x = lua_tonumber(L, -1);
	lua_pop(L, 1);
	if (!isfinite((double)x)) return false;
	lua_pushnumber(L, x);
	return true;
}

static bool push_boolean_text(lua_State *L, const char *s)
{
	static const char *const word[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
	for (int i = 0; i < COUNT(word); i++)
		if (!strcmp(s, word[i])) return lua_pushboolean(L, i & 1), true;
	return false;
}

/* Pushes the value; false: the text is of another type, and *type says which it should be. */
static bool push_text(lua_State *L, int like, const char *s, const char **type)
{
	*type = "text";
	if (lua_type(L, like) == LUA_TBOOLEAN) return *type = "true or false", push_boolean_text(L, s);
	if (lua_isinteger(L, like)) return *type = "a whole number", push_integer_text(L, s);
	if (lua_type(L, like) == LUA_TNUMBER) return *type = "a number", push_number_text(L, s);
	lua_pushstring(L, s);
	return true;
}

/* --- checks ----------------------------------------------------------------------------------- */

/* The choices as text, for messages. */
static const char *choices_text(Front *f, int t)
{
	lua_State *L = f->sandbox.L;
	Text out;
	text_init(&out, f->arena);
	for (lua_Integer k = 1; lua_rawgeti(L, t, k) != LUA_TNIL && k <= 100; k++) {
		text_printf(&out, "%s%s", k > 1 ? ", " : "", front_describe(f, -1));
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return out.data;
}

static bool is_choice(lua_State *L, int value, int t)
{
	bool found = false;
	for (lua_Integer k = 1; !found && lua_rawgeti(L, t, k) != LUA_TNIL; k++) {
		found = lua_rawequal(L, -1, value);
		lua_pop(L, 1);
	}
	if (!found) lua_pop(L, 1);
	return found;
}

/* min and max of the table at 1. */
static bool in_range(Front *f, const char *name, int value, const char *who)
{
	static const char *const key[] = {"min", "max"};
	lua_State *L = f->sandbox.L;
	for (int i = 0; i < 2; i++) {
		int type = lua_getfield(L, 1, key[i]);
		if (type != LUA_TNIL && (type != LUA_TNUMBER || lua_type(L, value) != LUA_TNUMBER)) {
			front_error(
			    f, "option %s: %s is %s, for numbers only", name, key[i], front_describe(f, -1));
			return false;
		}
		double x = (double)lua_tonumber(L, value), limit = (double)lua_tonumber(L, -1);
		if (type != LUA_TNIL && (i == 0 ? x < limit : x > limit)) {
			front_error(f, "option %s: %s %s is %s %s", name, who, front_describe(f, value),
			    i == 0 ? "below" : "above", front_describe(f, -1));
			return false;
		}
		lua_pop(L, 1);
	}
	return true;
}

static bool is_allowed(Front *f, const char *name, int value, const char *who)
{
	lua_State *L = f->sandbox.L;
	value = lua_absindex(L, value);
	int type = lua_getfield(L, 1, "choices"), choices = lua_gettop(L);
	bool good = true;
	if (type == LUA_TTABLE && !is_choice(L, value, choices)) {
		const char *text = choices_text(f, choices);
		front_error(
		    f, "option %s: %s %s is not one of %s", name, who, front_describe(f, value), text);
		good = false;
	} else if (type != LUA_TTABLE && type != LUA_TNIL) {
		front_error(f, "option %s: choices must be a list", name);
		good = false;
	}
	lua_settop(L, choices - 1);
	return good && in_range(f, name, value, who);
}

static void check_keys(Front *f, const char *name)
{
	static const char *const known[] = {"choices", "min", "max", "help"};
	lua_State *L = f->sandbox.L;
	int n = sandbox_sorted_keys(L, 1);
	for (int k = 1; k <= n; k++) {
		lua_rawgeti(L, -1, k);
		bool good =
		    lua_isinteger(L, -1) && (lua_tointeger(L, -1) == 1 || lua_tointeger(L, -1) == 2);
		const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
		for (int i = 0; key && i < COUNT(known); i++) good = good || !strcmp(key, known[i]);
		if (!good)
			front_error(f, "option %s has no field %s%s", name, front_describe(f, -1),
			    key ? front_hint(f, key, known, COUNT(known)) : "");
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* --- option{} --------------------------------------------------------------------------------- */

/* Replaces the default on top by what -D gives, when that is good. */
static void take_given(Front *f, const char *name, const char *given)
{
	lua_State *L = f->sandbox.L;
	int like = lua_gettop(L);
	const char *type;
	if (!given || !is_allowed(f, name, like, "the default")) return;
	if (!push_text(L, like, given, &type))
		front_error(f, "option %s: '%.60s' is not %s", name, given, type);
	else if (is_allowed(f, name, -1, "the value"))
		lua_replace(L, like);
	lua_settop(L, like);
}

static bool is_new(Front *f, const char *name)
{
	for (int i = 0; i < f->model->option.n; i++) {
		if (strcmp(f->model->option.at[i].name, name) != 0) continue;
		front_error(f, "option %s is declared twice", name);
		front_note(f, f->option_where.at[i], "first declared here");
		return false;
	}
	return true;
}

static int option(lua_State *L)
{
	Front *f = front_of(L);
	luaL_checkstack(L, 32, NULL);
	if (!lua_istable(L, 1)) return luaL_error(L, "%s", usage);
	lua_settop(L, 1);
	lua_rawgeti(L, 1, 1);
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
	lua_rawgeti(L, 1, 2);
	int type = lua_type(L, 3);
	bool typed = type == LUA_TNUMBER || type == LUA_TBOOLEAN || type == LUA_TSTRING;
	if (!front_is_name(name) || !typed) return luaL_error(L, "%s", usage);
	name = arena_copy(f->arena, name);
	if (f->model->option.n >= OPTION_LIMIT)
		return luaL_error(L, "more than %d options", OPTION_LIMIT);
	check_keys(f, name);
	if (!is_new(f, name)) return 1;
	const char *given = given_value(f, name);
	if (given)
		take_given(f, name, given);
	else
		is_allowed(f, name, 3, "the default");
	OptionValue o = {.name = name, .given = given != NULL};
	o.value = arena_copy(f->arena, sandbox_tostring(L, 3));
	lua_settop(L, 3);
	vec_push(f->arena, f->model->option, o);
	vec_push(f->arena, f->option_where, front_where(f));
	return 1;
}

void option_open(lua_State *L)
{
	lua_pushcfunction(L, option);
	lua_setglobal(L, "option");
}

void option_finish(Front *f)
{
	int n = f->model->option.n;
	const char **known = NEWS(f->arena, const char *, n + 1);
	for (int i = 0; i < n; i++) known[i] = f->model->option.at[i].name;
	for (int i = 0; i < f->options->define.n; i++) {
		const char *d = f->options->define.at[i];
		const char *name = arena_printf(f->arena, "%.*s", (int)strcspn(d, "="), d);
		bool found = false;
		for (int k = 0; k < n; k++) found = found || !strcmp(known[k], name);
		if (found) continue;
		diag_error(f->diag, (Where){.file = f->options->file},
		    "-D %s: the network has no option of this name%s", name, front_hint(f, name, known, n));
	}
}
