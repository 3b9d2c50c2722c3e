/* params: where parameters live. `param.layer1[0].conv1` is a path; a layer made at it has the
 * states layer1.0.conv1.weight and so on, so names come out as the ecosystem writes them, without
 * counters.
 *
 * A path holds one layer. A second one is a mistake, shown with both lines, unless both times the
 * path came by way of share(): then the layers have the same states. Paths are interned: one name,
 * one path. */
#include "front.h"

static const char layer_table; /* its address: registry key of path -> number of layer + 1 */
static const char path_table[2] = {0, 0}; /* interned paths, plain and shared */

static void *key_of(const char *p) { return (void *)(uintptr_t)p; }

Path *path_at(lua_State *L, int i) { return luaL_testudata(L, i, PATH); }

static Path *new_path(lua_State *L, const char *name, bool shared)
{
	size_t n = strlen(name) + 1;
	Path *p = lua_newuserdatauv(L, sizeof *p + n, 0);
	p->shared = shared;
	p->poisoned = false;
	memcpy(p->name, name, n);
	luaL_setmetatable(L, PATH);
	return p;
}

static void push_path(lua_State *L, const char *name, bool shared)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, key_of(&path_table[shared]));
	if (lua_getfield(L, -1, name) == LUA_TNIL) {
		lua_pop(L, 1);
		new_path(L, name, shared);
		lua_pushvalue(L, -1);
		lua_setfield(L, -3, name);
	}
	lua_remove(L, -2);
}

void params_push_poison(lua_State *L) { new_path(L, "?", false)->poisoned = true; }

/* --- indexing --------------------------------------------------------------------------------- */

static bool is_component(const char *s)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	return *s && s[strspn(s, letters)] == '\0';
}

/* The key's text, in Lua's memory; NULL: no part of a name. */
static const char *component(lua_State *L, int i)
{
	if (lua_type(L, i) == LUA_TSTRING) {
		size_t n;
		const char *s = lua_tolstring(L, i, &n);
		return strlen(s) == n && is_component(s) ? s : NULL;
	}
	int whole;
	lua_Integer number = lua_tointegerx(L, i, &whole);
	if (lua_type(L, i) != LUA_TNUMBER || !whole || number < 0) return NULL;
	return lua_pushfstring(L, "%I", number);
}

static int path_index(lua_State *L)
{
	Front *f = front_of(L);
	Path *p = path_at(L, 1);
	if (!p) return luaL_error(L, "a path is expected");
	sandbox_charge(L, CALL_COST);
	const char *part = component(L, 2);
	const Tensor *t = tensor_at(L, 2);
	size_t length = part ? strlen(p->name) + strlen(part) : 0;
	if (!p->poisoned && part && length < NAME_LIMIT) {
		lua_pushfstring(L, "%s%s%s", p->name, *p->name ? "." : "", part);
		push_path(L, lua_tostring(L, -1), p->shared);
		return 1;
	}
	if (!p->poisoned && !(t && tensor_poisoned(t))) {
		if (part)
			front_error(f, "a path of more than %d characters", NAME_LIMIT);
		else
			front_error(
			    f, "a path is made of names and numbers from 0, not of %s", front_describe(f, 2));
	}
	params_push_poison(L);
	return 1;
}

static int path_tostring(lua_State *L)
{
	const Path *p = luaL_checkudata(L, 1, PATH);
	lua_pushfstring(L, "param%s%s", *p->name ? "." : "", p->name);
	return 1;
}

static int share(lua_State *L)
{
	const Path *p = path_at(L, 1);
	if (!p) return luaL_error(L, "share takes a path, as in share(param.tower)");
	if (p->poisoned)
		lua_pushvalue(L, 1);
	else
		push_path(L, p->name, true);
	return 1;
}

void params_open(lua_State *L)
{
	static const luaL_Reg meta[] = {
	    {"__index", path_index}, {"__tostring", path_tostring}, {NULL, NULL}};
	luaL_newmetatable(L, PATH);
	luaL_setfuncs(L, meta, 0);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
	for (int i = 0; i < 2; i++) {
		lua_newtable(L);
		lua_rawsetp(L, LUA_REGISTRYINDEX, key_of(&path_table[i]));
	}
	lua_newtable(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, key_of(&layer_table));
	push_path(L, "", false);
	lua_setglobal(L, "param");
	lua_pushcfunction(L, share);
	lua_setglobal(L, "share");
}

/* --- layers ----------------------------------------------------------------------------------- */

static Layer *find_layer(Front *f, const char *path)
{
	lua_State *L = f->sandbox.L;
	lua_rawgetp(L, LUA_REGISTRYINDEX, key_of(&layer_table));
	lua_getfield(L, -1, path);
	lua_Integer n = lua_tointeger(L, -1);
	lua_pop(L, 2);
	return n ? &f->layer.at[n - 1] : NULL;
}

static Layer *add_layer(Front *f, const char *path)
{
	lua_State *L = f->sandbox.L;
	vec_push(f->arena, f->layer, (Layer){.path = path});
	lua_rawgetp(L, LUA_REGISTRYINDEX, key_of(&layer_table));
	lua_pushinteger(L, f->layer.n);
	lua_setfield(L, -2, path);
	lua_pop(L, 1);
	return &f->layer.at[f->layer.n - 1];
}

/* A second layer at a path: the first one when both are shared and of one kind. */
static Layer *again(Front *f, const Path *p, Layer *first, const OpDesc *op)
{
	if (p->shared && first->shared && first->op == op) return first;
	if (p->shared && first->shared)
		front_error(f, "param.%s is shared by a %s and a %s", p->name, first->op->name, op->name);
	else
		front_error(f,
		    "param.%s is used twice; share(param.%s) would give both layers the same weights",
		    p->name, p->name);
	front_note(f, first->where, "first used here");
	return NULL;
}

static void add_state(Front *f, Layer *layer, const StateSpec *spec)
{
	State *s = NEW(f->arena, State);
	s->name = arena_printf(f->arena, "%s.%s", layer->path, spec->name);
	s->kind = spec->kind;
	s->shape = spec->shape;
	s->init = spec->init;
	s->where = layer->where;
	sandbox_charge(f->sandbox.L, f->graph->node.n); /* graph_read looks through the nodes */
	layer->state[layer->states] = s;
	layer->read[layer->states++] = graph_read(f->graph, s);
	vec_push(f->arena, f->model->state, s);
}

Layer *params_layer(Front *f, const Path *p, Node *probe)
{
	Layer *layer = find_layer(f, p->name);
	if (layer) return again(f, p, layer, probe->op);
	StateSpec spec[MAX_STATES];
	int errors = f->diag->errors, n = probe->op->state_specs(f->graph, probe, spec);
	/* Even a layer with a mistake has taken its path. */
	layer = add_layer(f, arena_copy(f->arena, p->name));
	layer->op = probe->op;
	layer->where = probe->where;
	layer->shared = p->shared;
	front_reported(f, errors);
	if (n < 0) return NULL;
	for (int i = 0; i < n; i++) add_state(f, layer, &spec[i]);
	return layer;
}
