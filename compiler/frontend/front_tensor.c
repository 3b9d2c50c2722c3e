/* tensor: values of the graph as objects of Lua, their fields, and the poisoned one.
 *
 * What a mistake leaves behind is the poisoned tensor: any method, field or operator of it gives it
 * again without a word, so that one mistake is one message. */
#include "front.h"

#include <math.h>

Tensor *tensor_at(lua_State *L, int i) { return luaL_testudata(L, i, TENSOR); }

Tensor *front_tensor_new(lua_State *L, int terms)
{
	Tensor *t = lua_newuserdatauv(L, sizeof *t + (size_t)terms * sizeof t->term[0], 0);
	t->value = NULL;
	t->terms = terms;
	luaL_setmetatable(L, TENSOR);
	return t;
}

void tensor_push(lua_State *L, Value *v) { front_tensor_new(L, 0)->value = v; }

int tensor_push_poison(lua_State *L)
{
	tensor_push(L, front_of(L)->poison);
	return 1;
}

bool tensor_poisoned(const Tensor *t) { return t->value && t->value->node->poisoned; }

bool tensor_is_scalar(const Tensor *t)
{
	return !t->value || (t->value->shape.rank == 0 && t->value->type == TYPE_REAL);
}

Value *tensor_number(Front *f, double x)
{
	if (!isfinite(x)) luaL_error(f->sandbox.L, "a number in a network must be finite");
	double *table = NEW(f->arena, double);
	*table = x;
	sandbox_charge(f->sandbox.L, CALL_COST);
	graph_at(f->graph, NULL, front_where(f));
	return graph_constant(f->graph, "number", (Shape){0}, table);
}

/* --- fields ----------------------------------------------------------------------------------- */

static const char *const fields[] = {
    "channels", "height", "width", "features", "shape", "rank", "classes"};

/* One size; the axis must be there. */
static bool push_size(lua_State *L, const Value *v, const char *name, int axis, int least_rank)
{
	Front *f = front_of(L);
	if (v->shape.rank >= least_rank && v->shape.rank > axis) {
		lua_pushinteger(L, v->shape.dim[axis]);
		return true;
	}
	front_error(f, "a tensor of shape %s, the batch included, has no %s",
	    shape_text(f->arena, v->shape), name);
	return false;
}

static bool push_field(lua_State *L, const Value *v, const char *name)
{
	Front *f = front_of(L);
	const Shape *s = &v->shape;
	if (!strcmp(name, "channels")) return push_size(L, v, name, 1, 2);
	if (!strcmp(name, "height")) return push_size(L, v, name, 2, 4);
	if (!strcmp(name, "width")) return push_size(L, v, name, s->rank == 3 ? 2 : 3, 3);
	if (!strcmp(name, "rank")) return lua_pushinteger(L, MAX(s->rank - 1, 0)), true;
	if (!strcmp(name, "classes") && v->node->kind == NODE_INPUT && v->type == TYPE_LABEL)
		return lua_pushinteger(L, v->node->classes), true;
	if (!strcmp(name, "classes")) {
		front_error(f, "only a label has classes");
		return false;
	}
	int64_t features = 1;
	if (!strcmp(name, "shape")) lua_createtable(L, MAX_RANK, 0);
	for (int d = 1; d < s->rank; d++) {
		features *= s->dim[d];
		if (strcmp(name, "shape") != 0) continue;
		lua_pushinteger(L, s->dim[d]);
		lua_rawseti(L, -2, d);
	}
	if (!strcmp(name, "features")) lua_pushinteger(L, features);
	return true;
}

/* A hint from methods and fields alike. */
static const char *name_hint(Front *f, const char *name)
{
	const char **known = NEWS(f->arena, const char *, op_count + COUNT(fields));
	int n = 0;
	for (int i = 0; i < COUNT(fields); i++) known[n++] = fields[i];
	for (int i = 0; i < op_count; i++)
		if (op_table[i]->flags & OP_METHOD) known[n++] = op_table[i]->name;
	return front_hint(f, name, known, n);
}

/* Upvalue: the methods. */
static int tensor_index(lua_State *L)
{
	Front *f = front_of(L);
	const Tensor *t = tensor_at(L, 1);
	if (!t) return luaL_error(L, "a tensor is expected");
	lua_pushvalue(L, 2);
	if (lua_type(L, 2) == LUA_TSTRING && lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
	if (tensor_poisoned(t)) return tensor_push_poison(L);
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
	for (int i = 0; name && i < COUNT(fields); i++)
		if (!strcmp(name, fields[i])) {
			if (!push_field(L, tensor_value(f, t), name)) tensor_push_poison(L);
			return 1;
		}
	front_error(f, "tensors have no %s%s",
	    name ? arena_printf(f->arena, "'%.60s'", name) : "numbered parts",
	    name ? name_hint(f, name) : "");
	return tensor_push_poison(L);
}

static int tensor_tostring(lua_State *L)
{
	Front *f = front_of(L);
	const Tensor *t = luaL_checkudata(L, 1, TENSOR);
	lua_pushfstring(L, "tensor %s", t->value ? shape_text(f->arena, t->value->shape) : "scalar");
	return 1;
}

void front_tensor_open(lua_State *L)
{
	luaL_newmetatable(L, TENSOR);
	lua_insert(L, -2);
	lua_pushcclosure(L, tensor_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, tensor_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	arithmetic_open(L);
	lua_pop(L, 1);
}
