/* net_file: weights and buffers as safetensors, under their names. Optimiser slots do not travel.
 */
#include "net.h"
#include "lua_error.h"
#include "../../runtime/formats/safetensors.h"

#include <stdlib.h>

_Static_assert((int)MAX_RANK <= (int)SAFETENSORS_RANK, "a state's shape fits a file's");

/* What a file must hold, in a userdata that is pushed. */
static SafetensorsExpected *push_expected(lua_State *L, const Model *m)
{
	SafetensorsExpected *e = lua_newuserdatauv(L, (size_t)MAX(m->state.n, 1) * sizeof *e, 0);
	for (int i = 0; i < m->state.n; i++) {
		const State *s = m->state.at[i];
		e[i] = (SafetensorsExpected){.name = s->name, .rank = s->shape.rank};
		for (int d = 0; d < s->shape.rank; d++) e[i].dim[d] = (size_t)s->shape.dim[d];
	}
	return e;
}

/* What net:load allows, from its table. */
enum { ALLOWED = 64 }; /* patterns of a list */

typedef struct {
	const char *missing[ALLOWED + 1], *left_over[ALLOWED + 1]; /* each ends with NULL */
	bool asked;                                                /* for `missing` */
} Allowed;

/* One pattern or a list of them, on top of the stack, where they stay alive. */
static void read_patterns(lua_State *L, const char *key, const char **list)
{
	if (lua_type(L, -1) == LUA_TSTRING) {
		list[0] = lua_tostring(L, -1);
		return;
	}
	if (!lua_istable(L, -1))
		lua_fail(L, "load: %s is a %s, expected a pattern as \"fc.*\", or a list of them", key,
		    luaL_typename(L, -1));
	lua_Unsigned n = lua_rawlen(L, -1);
	if (n > ALLOWED) lua_fail(L, "load: %s has more than %d patterns", key, (int)ALLOWED);
	for (lua_Unsigned i = 0; i < n; i++) {
		if (lua_rawgeti(L, -1, (lua_Integer)i + 1) != LUA_TSTRING)
			lua_fail(
			    L, "load: %s has a %s, expected patterns as \"fc.*\"", key, luaL_typename(L, -1));
		list[i] = lua_tostring(L, -1);
		lua_pop(L, 1); /* the table keeps it */
	}
}

static void read_allowed(lua_State *L, int index, Allowed *a)
{
	static const char *const known[] = {"allow_missing", "allow_left_over"};
	if (lua_isnil(L, index)) return;
	if (!lua_istable(L, index))
		lua_fail(L, "load: the last argument is a table, as {allow_missing = \"fc.*\"}");
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "a number";
		int which = 0;
		while (which < COUNT(known) && strcmp(known[which], key) != 0) which++;
		if (which == COUNT(known))
			lua_fail(
			    L, "load: unknown option %s: there are allow_missing and allow_left_over", key);
		read_patterns(L, key, which ? a->left_over : a->missing);
		a->asked |= !which;
	}
}

/* Everything into `memory`, which is a copy of the network's: a file that is wrong changes nothing.
 */
static bool read_all(const Net *net, const char *path, const SafetensorsExpected *expected,
    const Allowed *allowed, bool *kept, char *memory, FormatError *e)
{
	Safetensors file = {0};
	if (!safetensors_read(path, &file, e)) return false;
	const Model *m = net->model;
	SafetensorsAllow allow = {allowed->missing, allowed->left_over};
	bool ok = safetensors_match(
	    &file, path, expected, (size_t)m->state.n, ".num_batches_tracked", &allow, kept, e);
	for (int i = 0; i < m->state.n && ok; i++) {
		if (kept[i]) continue;
		const SafetensorsTensor *t = safetensors_find(&file, m->state.at[i]->name);
		char *to = memory + (size_t)m->state.at[i]->offset * net->element;
		ok = net->program->is_double ? safetensors_doubles(t, (double *)(void *)to, e)
		                             : safetensors_floats(t, (float *)(void *)to, e);
	}
	safetensors_free(&file);
	return ok;
}

/* A list that is printed as its names. */
static int kept_text(lua_State *L)
{
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	luaL_addstring(&b, "kept: ");
	lua_Integer n = luaL_len(L, 1);
	if (!n) luaL_addstring(&b, "nothing");
	for (lua_Integer i = 1; i <= n; i++) {
		if (i > 1) luaL_addstring(&b, ", ");
		lua_rawgeti(L, 1, i);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	return 1;
}

static void push_kept(lua_State *L, const Model *m, const bool *kept)
{
	lua_newtable(L);
	for (int i = 0, n = 0; i < m->state.n; i++) {
		if (!kept[i]) continue;
		lua_pushstring(L, m->state.at[i]->name);
		lua_rawseti(L, -2, ++n);
	}
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, kept_text);
	lua_setfield(L, -2, "__tostring");
	lua_setmetatable(L, -2);
}

/* net [, kept] = net:load(FILE [, {allow_missing = "fc.*", allow_left_over = "aux*"}]): `kept` is a
 * list of the names that allow_missing has left as they were. */
int net_load(lua_State *L)
{
	Net *net = net_check(L, 1);
	const char *path = luaL_checkstring(L, 2);
	const Model *m = net->model;
	FormatError e;
	Allowed allowed = {.asked = false};
	lua_settop(L, 3);
	read_allowed(L, 3, &allowed);
	size_t bytes = (size_t)m->vars * net->element;
	const SafetensorsExpected *expected = push_expected(L, m);
	bool *kept = lua_newuserdatauv(L, (size_t)MAX(m->state.n, 1) * sizeof *kept, 0);
	char *memory = lua_newuserdatauv(L, MAX(bytes, 1), 0);
	memcpy(memory, net->memory[NET_VARS], bytes);
	if (!read_all(net, path, expected, &allowed, kept, memory, &e))
		return lua_fail(L, "%s", e.text);
	memcpy(net->memory[NET_VARS], memory, bytes);
	net->packed_is_old = true;
	lua_pushvalue(L, 1);
	if (!allowed.asked) return 1;
	push_kept(L, m, kept);
	return 2;
}

int net_save(lua_State *L) /* net:save(FILE) */
{
	Net *net = net_check(L, 1);
	const char *path = luaL_checkstring(L, 2);
	const Model *m = net->model;
	SafetensorsOutput *out = lua_newuserdatauv(L, (size_t)MAX(m->state.n, 1) * sizeof *out, 0);
	for (int i = 0; i < m->state.n; i++) {
		const State *s = m->state.at[i];
		out[i] = (SafetensorsOutput){.name = s->name,
		    .rank = s->shape.rank,
		    .type = net->program->is_double ? SAFETENSORS_F64 : SAFETENSORS_F32};
		for (int d = 0; d < s->shape.rank; d++) out[i].dim[d] = (size_t)s->shape.dim[d];
		out[i].values = (char *)net->memory[NET_VARS] + (size_t)s->offset * net->element;
	}
	SafetensorsPair pair = {"network", m->name};
	FormatError e;
	if (!safetensors_write(path, out, (size_t)m->state.n, &pair, 1, &e))
		return lua_fail(L, "%s", e.text);
	lua_settop(L, 1);
	return 1;
}
