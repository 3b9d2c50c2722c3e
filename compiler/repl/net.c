#include "net.h"
#include "lua_error.h"
#include "../emit/emit.h"

#include <lauxlib.h>
#include <stdlib.h>

static const char type_name[] = "cnnc.net";

/* A Net that failed to load is never seen by a script, so one that is seen is whole. */
Net *net_check(lua_State *L, int index) { return luaL_checkudata(L, index, type_name); }

/* --- compiling --------------------------------------------------------------------------- */

/* The entries that the program has. NULL, or why they cannot be called. */
static const char *find_parts(Net *net)
{
	bool ok = true, update = false;
	for (int i = 0; i < net->program->part.n; i++) {
		const Part *p = net->program->part.at[i];
		if (p->kind == ENTRY_INFER) ok &= entry_of(p, &net->infer);
		if (p->kind == ENTRY_EVAL) ok &= entry_of(p, &net->eval);
		if (p->kind == ENTRY_GRADIENTS) ok &= entry_of(p, &net->gradients);
		if (p->kind == ENTRY_UPDATE) update = true;
		if (p->kind == ENTRY_INIT) net->has_init = true;
	}
	if (!net->infer.part && ok) bug("a program without inference");
	if (net->gradients.part && update) net->step = net->gradients;
	return ok ? NULL : "the network has too many inputs and outputs";
}

static const char *messages_of(const Diag *d, Arena *a)
{
	Text text;
	text_init(&text, a);
	diag_print(d, &text);
	if (text.len && text.data[text.len - 1] == '\n') text.data[text.len - 1] = '\0';
	return text.data;
}

/* Lua file to functions in memory. NULL, or why not. The arena's guard is set. */
static const char *compile(Net *net)
{
	Arena *a = net->arena;
	Diag diag;
	Text code, header;
	const char *error;
	diag_init(&diag, a);
	net->program = compile_model(a, &diag, &net->options, NULL);
	if (!net->program || diag.errors) return messages_of(&diag, a);
	net->model = net->program->model;
	error = find_parts(net);
	if (error) return error;
	text_init(&code, a);
	text_init(&header, a);
	emit_program(a, net->program, NULL, &code, &header);
	text_add(&code, "\n");
	adapter_text(net, &code);
	bool is_tcc = strcmp(net->compiler, "tcc") == 0;
	net->jit = is_tcc ? jit_tcc(a, code.data, &error) : jit_cc(a, code.data, net->compiler, &error);
	if (!net->jit) return error;
	return adapter_find(net) ? NULL : "the compiled network lacks a function";
}

/* The same with memory that may run out. */
static const char *compile_guarded(Net *net)
{
	jmp_buf out;
	if (setjmp(out)) return "out of memory";
	arena_guard(net->arena, &out);
	return compile(net);
}

/* expose = "conv1" or {"conv1", "layer1.*"}, freeze = "layer1.*": the value on top of the stack,
 * for that option. NULL, or a mistake. */
static const char *read_patterns(lua_State *L, Net *net, Diag *diag, const char *option)
{
	const char *usage = arena_printf(
	    net->arena, "option %s: names, as {\"conv1.*\", \"conv2.*\"}", option + strlen("--"));
	lua_Integer n = lua_istable(L, -1) ? luaL_len(L, -1) : 1;
	for (lua_Integer i = 1; i <= n; i++) {
		if (lua_istable(L, -1))
			lua_geti(L, -1, i);
		else
			lua_pushvalue(L, -1);
		if (lua_type(L, -1) != LUA_TSTRING) return usage;
		options_set(net->arena, diag, &net->options, option, lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	return n ? NULL : usage;
}

/* recompute = true, false, or what the option takes: "cheap", "600M". */
static void read_recompute(lua_State *L, Net *net, Diag *diag, const char *value)
{
	if (lua_isboolean(L, -2)) value = lua_toboolean(L, -2) ? "all" : "none";
	options_set(net->arena, diag, &net->options, "--recompute", value);
}

/* The options table at `index`: batch, real, target, expose, freeze, recompute, winograd and
 * profile are ours, everything else is a -D. */
static const char *read_options(lua_State *L, int index, Net *net)
{
	Arena *a = net->arena;
	Diag diag;
	diag_init(&diag, a);
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING) return "the options of load are named: {batch = 16}";
		const char *key = lua_tostring(L, -2);
		if (strcmp(key, "expose") == 0 || strcmp(key, "freeze") == 0) {
			const char *mistake = read_patterns(L, net, &diag, arena_printf(a, "--%s", key));
			if (mistake) return mistake;
			continue;
		}
		if (lua_istable(L, -1) || lua_isfunction(L, -1) || lua_isuserdata(L, -1))
			return arena_printf(a, "option %s: a %s, expected a number, a string or a boolean", key,
			    luaL_typename(L, -1));
		const char *value = luaL_tolstring(L, -1, NULL);
		if (strcmp(key, "batch") == 0)
			options_set(a, &diag, &net->options, "-b", value);
		else if (strcmp(key, "real") == 0)
			options_set(a, &diag, &net->options, "--real", value);
		else if (strcmp(key, "recompute") == 0)
			read_recompute(L, net, &diag, value);
		else if (strcmp(key, "winograd") == 0)
			options_set(a, &diag, &net->options, "--winograd", value);
		else if (strcmp(key, "profile") == 0)
			net->options.profile = lua_toboolean(L, -2);
		else if (strcmp(key, "target") == 0)
			options_set(a, &diag, &net->options, "--target", value);
		else
			options_set(a, &diag, &net->options, "-D", arena_printf(a, "%s=%s", key, value));
		lua_pop(L, 1); /* luaL_tolstring's */
	}
	if (diag.errors) return messages_of(&diag, a);
	return NULL;
}

static const char *read_options_guarded(
    lua_State *L, int index, Net *net, bool is_tcc, const char *file, const char *compiler)
{
	jmp_buf out;
	if (setjmp(out)) return "out of memory";
	arena_guard(net->arena, &out);
	net->file = net->options.file = arena_copy(net->arena, file);
	net->compiler = arena_copy(net->arena, compiler);
	const char *error = lua_istable(L, index) ? read_options(L, index, net) : NULL;
	if (!error && (net->options.infer_batches > 1 || net->options.train_batches > 1))
		error = "a network is loaded for one batch size";
	if (!net->options.target) net->options.target = is_tcc ? "generic" : "auto";
	if (!error && is_tcc && strcmp(net->options.target, "generic") != 0)
		error = "libtcc makes plain code only: for a target set cnnc.compiler = \"cc -O2\"";
	return error;
}

/* --- memories ---------------------------------------------------------------------------- */

/* Pushes zeroed memory and keeps it as user value `which` of the net on top of the stack. */
static void add_memory(lua_State *L, Net *net, int which, size_t bytes)
{
	bytes = MAX(bytes, sizeof(double));
	void *p = lua_newuserdatauv(L, bytes, 0);
	memset(p, 0, bytes);
	lua_setiuservalue(L, -2, which);
	net->memory[which] = p;
}

static size_t bytes_of(lua_State *L, const Net *net, int64_t count)
{
	if (count < 0 || (uint64_t)count > PTRDIFF_MAX / net->element)
		lua_fail(L, "%s does not fit this machine's memory", net->file);
	return (size_t)count * net->element;
}

static void add_memories(lua_State *L, Net *net)
{
	size_t size[2] = {0, 0};
	void (*sizes)(size_t *);
	void *address = jit_symbol(net->jit, adapter_sizes_name());
	memcpy(&sizes, &address, sizeof sizes);
	sizes(size);
	add_memory(L, net, NET_VARS, bytes_of(L, net, net->model->vars));
	add_memory(L, net, NET_SLOTS, bytes_of(L, net, net->program->slots));
	add_memory(L, net, NET_PACKED, size[0]);
	add_memory(L, net, NET_WORK, size[1]);
}

static void initialise(Net *net, uint64_t seed)
{
	void *argument[ARG_OWN] = {net->memory[NET_VARS], net->memory[NET_SLOTS]};
	net->seed = seed;
	net->steps = 0;
	net->packed_is_old = true;
	argument[ARG_SEED] = &net->seed;
	net->init(argument);
}

/* The table of options is at 2. */
static bool wants_profile(lua_State *L, const Options *given)
{
	bool wants = given && given->profile;
	if (lua_istable(L, 2)) {
		lua_getfield(L, 2, "profile");
		wants = wants || lua_toboolean(L, -1);
		lua_pop(L, 1);
	}
	return wants;
}

/* cnnc.load(FILE [, OPTIONS]); upvalue 1: the table cnnc, for its compiler. */
static int load(lua_State *L)
{
	const char *file = luaL_checkstring(L, 1);
	if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
	const Options *given = lua_islightuserdata(L, 3) ? lua_touserdata(L, 3) : NULL;
	lua_settop(L, 2);
	if (lua_getfield(L, lua_upvalueindex(1), "compiler") != LUA_TSTRING)
		return lua_fail(L, "cnnc.compiler is \"tcc\" or a command, as \"cc -O2\"");
	const char *compiler = lua_tostring(L, 3);
	bool is_tcc = strcmp(compiler, "tcc") == 0;
	if (is_tcc && wants_profile(L, given)) { /* of what nobody optimised would mislead */
		compiler = "cc -O2";
		is_tcc = false;
	}

	Net *net = lua_newuserdatauv(L, sizeof *net, NET_MEMORIES);
	*net = (Net){.packed_is_old = true};
	if (given) net->options = *given;
	luaL_setmetatable(L, type_name);
	net->arena = arena_new(0);
	if (!net->arena) return lua_fail(L, "out of memory");
	const char *error = read_options_guarded(L, 2, net, is_tcc, file, compiler);
	if (!error) error = compile_guarded(net);
	if (error) return lua_fail(L, "%s", error);
	net->element = net->program->is_double ? sizeof(double) : sizeof(float);
	lua_settop(L, 4);
	add_memories(L, net);
	initialise(net, 0);
	return 1;
}

static int collect(lua_State *L)
{
	Net *net = lua_touserdata(L, 1);
	jit_free(net->jit);
	arena_free(net->arena);
	net->jit = NULL;
	net->arena = NULL;
	return 0;
}

/* --- methods ----------------------------------------------------------------------------- */

static int call_init(lua_State *L) /* net:init([SEED]) */
{
	Net *net = net_check(L, 1);
	initialise(net, (uint64_t)luaL_optinteger(L, 2, 0));
	lua_settop(L, 1);
	return 1;
}

static const char *summary(Net *net)
{
	jmp_buf out;
	Text text;
	if (setjmp(out)) return NULL;
	arena_guard(net->arena, &out);
	text_init(&text, net->arena);
	summary_print(net->program, false, &text);
	return text.data;
}

static int call_summary(lua_State *L)
{
	const char *text = summary(net_check(L, 1));
	if (!text) return lua_fail(L, "out of memory");
	lua_pushstring(L, text);
	return 1;
}

static int to_string(lua_State *L)
{
	const Net *net = net_check(L, 1);
	lua_pushfstring(L, "network %s, batch %I, %I weights", net->model->name,
	    (lua_Integer)net->infer.part->batch, (lua_Integer)net->model->weights);
	return 1;
}

static int index_net(lua_State *L) /* upvalue 1: the methods */
{
	const Net *net = net_check(L, 1);
	const char *key = luaL_tolstring(L, 2, NULL);
	if (strcmp(key, "name") == 0) return lua_pushstring(L, net->model->name), 1;
	if (strcmp(key, "batch") == 0)
		return lua_pushinteger(L, (lua_Integer)net->infer.part->batch), 1;
	if (strcmp(key, "steps") == 0) return lua_pushinteger(L, (lua_Integer)net->steps), 1;
	if (lua_getfield(L, lua_upvalueindex(1), key) == LUA_TNIL)
		return lua_fail(L, "a network has no '%s'", key);
	return 1;
}

static int set_field(lua_State *L)
{
	return lua_fail(L, "a network has no field '%s' to set", luaL_tolstring(L, 2, NULL));
}

void net_open(lua_State *L)
{
	static const luaL_Reg method[] = {{"init", call_init}, {"load", net_load}, {"save", net_save},
	    {"get", net_get}, {"set", net_set}, {"forward", net_forward}, {"eval", net_eval},
	    {"gradients", net_gradients}, {"step", net_step}, {"summary", call_summary},
	    {"profile", net_profile}, {NULL, NULL}};
	static const luaL_Reg meta[] = {
	    {"__gc", collect}, {"__tostring", to_string}, {"__newindex", set_field}, {NULL, NULL}};
	luaL_newmetatable(L, type_name);
	luaL_setfuncs(L, meta, 0);
	luaL_newlib(L, method);
	lua_pushcclosure(L, index_net, 1);
	lua_setfield(L, -2, "__index");
	lua_pushliteral(L, "net");
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, load, 1);
	lua_setfield(L, -2, "load");
}
