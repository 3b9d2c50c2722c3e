/* network: network{output = {...}, loss = ..., optimizer = ...}, the only root of a description.
 *
 * Outputs come in the order in which their values were made (a Lua table of names has none), or in
 * that of a list: output = {{"scores", y}, {"aux", z}}. The loss is taken apart into its weighted
 * terms. */
#include "front.h"

#include <math.h>
#include <stdlib.h>

#define OPTIMIZER "optimizer"

static const char usage[] =
    "network takes a table: network{output = {scores = y}, loss = ..., optimizer = sgd{...}}";

enum { OUTPUT_LIMIT = 64 };

/* --- outputs ---------------------------------------------------------------------------------- */

static const Node *input_named(const Front *f, const char *name)
{
	for (int i = 0; i < f->model->input.n; i++)
		if (!strcmp(f->model->input.at[i]->name, name)) return f->model->input.at[i];
	return NULL;
}

static bool is_output_name(Front *f, const char *name)
{
	const Node *input = input_named(f, name);
	bool taken = front_is_taken(name), twice = false;
	for (int i = 0; i < f->model->output.n; i++)
		twice = twice || !strcmp(f->model->output.at[i].name, name);
	if (!front_is_name(name))
		front_error(f, "'%.60s' cannot be the name of an output: letters, digits and _ only", name);
	else if (taken)
		front_error(f, "'%s' cannot be the name of an output: the C text uses it", name);
	else if (twice)
		front_error(f, "two outputs are named %s", name);
	else if (input)
		front_error(f, "an output has the name of the input %s", name);
	else
		return true;
	return false;
}

static bool is_output_value(Front *f, const char *name, const Value *v)
{
	const char *same = NULL;
	for (int i = 0; i < f->model->output.n; i++)
		if (f->model->output.at[i].value == v) same = f->model->output.at[i].name;
	if (same)
		front_error(f, "the outputs %s and %s are the same tensor", same, name);
	else if (v->node->kind == NODE_INPUT)
		front_error(f, "output %s is the input %s itself", name, v->node->name);
	else if (v->node->kind == NODE_CONSTANT)
		front_error(f, "output %s is a constant", name);
	else if (v->shape.rank == 0)
		front_error(
		    f, "output %s is a scalar; an output has values for each image of the batch", name);
	else
		return true;
	return false;
}

/* The tensor at i, under a name. */
static void add_output(Front *f, const char *name, int i)
{
	lua_State *L = f->sandbox.L;
	const Tensor *t = tensor_at(L, i);
	if (!t) {
		front_error(f, "output %.60s is %s, must be a tensor%s", name, front_describe(f, i),
		    lua_isnil(L, i) ? "; is its name misspelt?" : "");
		return;
	}
	if (f->model->output.n >= OUTPUT_LIMIT) luaL_error(L, "more than %d outputs", OUTPUT_LIMIT);
	if (!is_output_name(f, name) || tensor_poisoned(t)) return;
	Value *v = tensor_value(f, t);
	if (v->node->poisoned || !is_output_value(f, name, v)) return;
	Named output = {arena_copy(f->arena, name), v, 1};
	vec_push(f->arena, f->model->output, output);
}

/* An entry of the list: {"scores", y}. */
static void add_listed(Front *f, int entry)
{
	lua_State *L = f->sandbox.L;
	bool good = lua_istable(L, entry);
	if (good) {
		lua_rawgeti(L, entry, 1);
		lua_rawgeti(L, entry, 2);
		good = lua_type(L, -2) == LUA_TSTRING;
	}
	if (good)
		add_output(f, lua_tostring(L, -2), lua_absindex(L, -1));
	else
		front_error(f, "an output needs a name: output = {scores = y}");
	lua_settop(L, entry);
}

static int made_before(const void *left, const void *right)
{
	const Named *a = left, *b = right;
	int x = a->value->node->id, y = b->value->node->id;
	return x != y ? x - y : a->value->index - b->value->index;
}

static void read_outputs(Front *f, int t)
{
	lua_State *L = f->sandbox.L;
	int keys = sandbox_sorted_keys(L, t), list = lua_gettop(L), named = -1;
	for (int k = 1; k <= keys; k++) { /* numbers come first */
		lua_rawgeti(L, list, k);
		bool is_name = lua_type(L, -1) == LUA_TSTRING;
		if (is_name && named < 0) named = f->model->output.n;
		lua_pushvalue(L, -1);
		lua_rawget(L, t);
		if (is_name)
			add_output(f, lua_tostring(L, -2), lua_absindex(L, -1));
		else
			add_listed(f, lua_absindex(L, -1));
		lua_settop(L, list);
	}
	lua_settop(L, list - 1);
	if (keys == 0) front_error(f, "network has no output");
	if (named >= 0 && f->model->output.n > named)
		qsort(f->model->output.at + named, (size_t)(f->model->output.n - named), sizeof(Named),
		    made_before);
}

/* --- the loss --------------------------------------------------------------------------------- */

/* A term's own name, else its operator's; _2, _3 when that is taken. */
static const char *term_name(Front *f, const Value *v)
{
	const Node *n = v->node;
	const char *stem = n->name ? n->name : n->kind == NODE_OP ? n->op->name : "term";
	const char *name = stem;
	for (int count = 1;; name = arena_printf(f->arena, "%s_%d", stem, ++count)) {
		bool taken = false;
		for (int i = 0; i < f->model->loss.n; i++)
			taken = taken || !strcmp(f->model->loss.at[i].name, name);
		if (!taken) return name;
	}
}

static void read_loss(Front *f, int i)
{
	lua_State *L = f->sandbox.L;
	const Tensor *t = tensor_at(L, i);
	if (!t) {
		front_error(f, "loss is %s, must be a tensor", front_describe(f, i));
		return;
	}
	if (tensor_poisoned(t)) return;
	if (!tensor_is_scalar(t)) {
		front_error(f,
		    "loss is of shape %s, the batch included; it must be a scalar, as mean() gives",
		    shape_text(f->arena, t->value->shape));
		return;
	}
	for (int k = 0; k < (t->value ? 1 : t->terms); k++) {
		Value *v = t->value ? t->value : t->term[k].value;
		if (v->node->poisoned) continue;
		Named term = {term_name(f, v), v, t->value ? 1 : t->term[k].weight};
		vec_push(f->arena, f->model->loss, term);
	}
}

/* --- optimisers ------------------------------------------------------------------------------- */

static void add_hyper(Optimizer *o, const OpDesc *op, int i)
{
	if (o->hypers == HYPER_LIMIT) bug("%s takes too many numbers", op->name);
	o->hyper[o->hypers].name = op->attr[i].name;
	o->hyper[o->hypers++].value = o->attr[i].r;
}

/* What the description says of the numbers that each step is given. Of the optional ones, which are
 * ways of doing one thing, there may be one. */
static void take_hyper(Front *f, Optimizer *o, const OpDesc *op)
{
	const char *given = NULL;
	for (int i; (i = op_argument(op, o->hypers)) >= 0;) add_hyper(o, op, i);
	for (int i = 0; op->attr[i].name; i++) {
		const Attr *at = &op->attr[i];
		if (!at->optional || o->attr[i].r < at->min) continue;
		if (given) front_error(f, "%s: %s and %s: one of them", op->name, given, at->name);
		if (!given) add_hyper(o, op, i);
		given = at->name;
	}
}

static int optimizer(lua_State *L)
{
	Front *f = front_of(L);
	const OpDesc *op = lua_touserdata(L, lua_upvalueindex(1));
	luaL_checkstack(L, 32, NULL);
	if (lua_gettop(L) > 1 || (lua_gettop(L) == 1 && !lua_istable(L, 1)))
		return luaL_error(L, "%s takes a table of options: %s{rate = 0.01}", op->name, op->name);
	AttrCall call = {.op = op, .who = op->name, .table = lua_gettop(L)};
	call.attr = graph_attrs(f->arena, op);
	attributes_read(f, &call);
	Optimizer o = {.kind = op->name, .attr = call.attr, .where = front_where(f)};
	take_hyper(f, &o, op);
	Optimizer *made = lua_newuserdatauv(L, sizeof o, 0);
	*made = o;
	luaL_setmetatable(L, OPTIMIZER);
	return 1;
}

static void read_optimizer(Front *f, int i)
{
	const Optimizer *o = luaL_testudata(f->sandbox.L, i, OPTIMIZER);
	if (o) {
		f->model->optimizer = *o;
		return;
	}
	Text t;
	text_init(&t, f->arena);
	for (int k = 0; k < op_count; k++)
		if (op_table[k]->flags & OP_OPTIMIZER)
			text_printf(&t, "%s%s{...}", t.len ? ", " : "", op_table[k]->name);
	front_error(f, "optimizer is %s, must be made by one of %s", front_describe(f, i), t.data);
}

/* --- network{} -------------------------------------------------------------------------------- */

static void read_network_name(Front *f, int i)
{
	lua_State *L = f->sandbox.L;
	if (lua_type(L, i) == LUA_TSTRING && front_is_name(lua_tostring(L, i)))
		f->network.name = arena_copy(f->arena, lua_tostring(L, i));
	else
		front_error(f, "name is %s, must be letters, digits and _", front_describe(f, i));
}

static void read_field(Front *f, const char *key, int i)
{
	static const char *const known[] = {"output", "loss", "optimizer", "name"};
	if (!strcmp(key, "output") && lua_istable(f->sandbox.L, i))
		read_outputs(f, i);
	else if (!strcmp(key, "output"))
		front_error(
		    f, "output is %s, must name its tensors: output = {scores = y}", front_describe(f, i));
	else if (!strcmp(key, "loss"))
		read_loss(f, i);
	else if (!strcmp(key, "optimizer"))
		read_optimizer(f, i);
	else if (!strcmp(key, "name"))
		read_network_name(f, i);
	else
		front_error(
		    f, "network has no field %.60s%s", key, front_hint(f, key, known, COUNT(known)));
}

static void read_fields(Front *f, lua_State *L)
{
	int keys = sandbox_sorted_keys(L, 1), list = lua_gettop(L);
	bool output = false, loss = false;
	for (int k = 1; k <= keys; k++) {
		lua_rawgeti(L, list, k);
		const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
		if (!key) luaL_error(L, "%s", usage);
		output = output || !strcmp(key, "output");
		loss = loss || !strcmp(key, "loss");
		lua_pushvalue(L, -1);
		lua_rawget(L, 1);
		read_field(f, key, lua_absindex(L, -1));
		lua_settop(L, list);
	}
	if (!output) front_error(f, "network has no output: network{output = {scores = y}}");
	if (!loss && f->model->optimizer.kind)
		front_error(f, "an optimizer needs a loss to make smaller");
}

static int network(lua_State *L)
{
	Front *f = front_of(L);
	luaL_checkstack(L, 32, NULL);
	if (lua_gettop(L) != 1 || !lua_istable(L, 1)) return luaL_error(L, "%s", usage);
	if (f->network.given) {
		front_error(f, "a second network: a file describes one");
		front_note(f, f->network.where, "the first one");
		return 0;
	}
	f->network.given = true;
	f->network.where = front_where(f);
	read_fields(f, L);
	return 0;
}

void network_open(lua_State *L)
{
	luaL_newmetatable(L, OPTIMIZER);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
	for (int i = 0; i < op_count; i++) {
		if (!(op_table[i]->flags & OP_OPTIMIZER)) continue;
		lua_pushlightuserdata(L, (void *)(uintptr_t)op_table[i]);
		lua_pushcclosure(L, optimizer, 1);
		lua_setglobal(L, op_table[i]->name);
	}
	lua_pushcfunction(L, network);
	lua_setglobal(L, "network");
}
