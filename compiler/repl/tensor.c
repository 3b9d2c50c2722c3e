#include "tensor.h"
#include "lua_error.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

static const char type_name[] = "cnnc.tensor";

Tensor *tensor_test(lua_State *L, int index) { return luaL_testudata(L, index, type_name); }

/* A method's first argument; `t.shape()` instead of `t:shape` is the usual mistake. */
static Tensor *self(lua_State *L) { return luaL_checkudata(L, 1, type_name); }

double tensor_get(const Tensor *t, size_t i)
{
	return t->is_double ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

void tensor_set(Tensor *t, size_t i, double x)
{
	if (t->is_double)
		((double *)t->data)[i] = x;
	else
		((float *)t->data)[i] = (float)x;
}

static size_t element_bytes(const Tensor *t)
{
	return t->is_double ? sizeof(double) : sizeof(float);
}

const char *tensor_push_shape(lua_State *L, int rank, const size_t *dim)
{
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (int i = 0; i < rank; i++) {
		char number[32];
		snprintf(number, sizeof number, i ? "x%zu" : "%zu", dim[i]);
		luaL_addstring(&b, number);
	}
	luaL_pushresult(&b);
	return lua_tostring(L, -1);
}

/* Pushes a tensor without elements yet: shape checked, count worked out. */
static Tensor *push_header(lua_State *L, bool is_double, int rank, const size_t *dim)
{
	if (rank < 1 || rank > TENSOR_RANK)
		lua_fail(L, "a tensor has 1 to %d dimensions, not %d", TENSOR_RANK, rank);
	size_t count = 1, bytes = is_double ? sizeof(double) : sizeof(float);
	for (int i = 0; i < rank; i++) {
		if (dim[i] == 0) lua_fail(L, "a tensor has no dimension of size 0");
		if (dim[i] > PTRDIFF_MAX / bytes / count) lua_fail(L, "the tensor is too large");
		count *= dim[i];
	}
	Tensor *t = lua_newuserdatauv(L, sizeof *t, 1);
	*t = (Tensor){.rank = rank, .count = count, .is_double = is_double};
	memcpy(t->dim, dim, (size_t)rank * sizeof *dim);
	luaL_setmetatable(L, type_name);
	return t;
}

Tensor *tensor_new(lua_State *L, bool is_double, int rank, const size_t *dim)
{
	Tensor *t = push_header(L, is_double, rank, dim);
	size_t bytes = t->count * element_bytes(t);
	t->data = memset(lua_newuserdatauv(L, bytes, 0), 0, bytes);
	lua_setiuservalue(L, -2, 1);
	return t;
}

/* Pushes a window of the tensor at `index`, which starts `first` elements into it. */
static Tensor *push_view(lua_State *L, int index, size_t first, int rank, const size_t *dim)
{
	const Tensor *whole = lua_touserdata(L, index);
	index = lua_absindex(L, index);
	Tensor *t = push_header(L, whole->is_double, rank, dim);
	if (first > whole->count || t->count > whole->count - first) lua_fail(L, "view out of range");
	t->data = (char *)whole->data + first * element_bytes(whole);
	lua_getiuservalue(L, index, 1);
	lua_setiuservalue(L, -2, 1);
	return t;
}

/* --- from Lua values --------------------------------------------------------------------- */

/* The shape of nested tables, from their first elements. Returns the rank. */
static int table_shape(lua_State *L, int index, size_t *dim, const char *what)
{
	int rank = 0, top = lua_gettop(L);
	lua_pushvalue(L, index);
	while (lua_istable(L, -1)) {
		if (rank == TENSOR_RANK) lua_fail(L, "%s: tables deeper than %d", what, TENSOR_RANK);
		dim[rank] = (size_t)lua_rawlen(L, -1);
		if (dim[rank] == 0) lua_fail(L, "%s: an empty table in a tensor", what);
		rank++;
		lua_checkstack(L, 4);
		lua_rawgeti(L, -1, 1);
	}
	lua_settop(L, top);
	return rank;
}

/* Copies the table on top of the stack, dimension `d` on, to elements from *at on. */
static void fill(lua_State *L, Tensor *t, int d, size_t *at, const char *what)
{
	if (d == t->rank) {
		int ok;
		double x = lua_tonumberx(L, -1, &ok);
		if (!ok || lua_type(L, -1) != LUA_TNUMBER)
			lua_fail(L, "%s: element %d is a %s, expected a number", what, (int)*at + 1,
			    luaL_typename(L, -1));
		tensor_set(t, (*at)++, x);
		return;
	}
	if (!lua_istable(L, -1))
		lua_fail(L, "%s: a %s where a table of %d stands elsewhere", what, luaL_typename(L, -1),
		    (int)t->dim[d]);
	if (lua_rawlen(L, -1) != t->dim[d])
		lua_fail(L, "%s: tables of unequal length: %d and %d", what, (int)t->dim[d],
		    (int)lua_rawlen(L, -1));
	for (size_t i = 0; i < t->dim[d]; i++) {
		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		fill(L, t, d + 1, at, what);
		lua_pop(L, 1);
	}
}

Tensor *tensor_from(lua_State *L, int index, const char *what)
{
	index = lua_absindex(L, index);
	Tensor *t = tensor_test(L, index);
	if (t) return t;
	size_t dim[TENSOR_RANK] = {1}, at = 0;
	if (lua_type(L, index) == LUA_TNUMBER) {
		t = tensor_new(L, true, 1, dim);
		tensor_set(t, 0, lua_tonumber(L, index));
	} else if (lua_istable(L, index)) {
		int rank = table_shape(L, index, dim, what);
		t = tensor_new(L, true, rank, dim);
		luaL_checkstack(L, TENSOR_RANK + 4, what);
		lua_pushvalue(L, index);
		fill(L, t, 0, &at, what);
		lua_pop(L, 1);
	} else {
		lua_fail(
		    L, "%s: a %s, expected a tensor, a table or a number", what, luaL_typename(L, index));
	}
	lua_replace(L, index);
	return t;
}

static int call_tensor(lua_State *L) /* cnnc.tensor{...}; [1] is the table `tensor` itself */
{
	if (lua_gettop(L) != 2) return lua_fail(L, "cnnc.tensor takes one table");
	Tensor *given = tensor_test(L, 2);
	if (!given) {
		tensor_from(L, 2, "tensor");
		return 1;
	}
	Tensor *copy = tensor_new(L, given->is_double, given->rank, given->dim);
	memcpy(copy->data, given->data, given->count * element_bytes(given));
	return 1;
}

/* Sizes from arguments first.., or from the one table there. Returns the rank. */
static int read_sizes(lua_State *L, int first, size_t *dim, const char *what)
{
	int rank = 0, n = lua_gettop(L);
	bool table = lua_istable(L, first) && n == first;
	int given = table ? (int)lua_rawlen(L, first) : n - first + 1;
	if (given < 1 || given > TENSOR_RANK)
		lua_fail(L, "%s: 1 to %d sizes, not %d", what, TENSOR_RANK, given);
	for (; rank < given; rank++) {
		if (table)
			lua_rawgeti(L, first, rank + 1);
		else
			lua_pushvalue(L, first + rank);
		int ok;
		lua_Integer size = lua_tointegerx(L, -1, &ok);
		if (!ok || size < 1) lua_fail(L, "%s: size %d is not a positive integer", what, rank + 1);
		dim[rank] = (size_t)size;
		lua_pop(L, 1);
	}
	return rank;
}

static int call_zeros(lua_State *L)
{
	size_t dim[TENSOR_RANK];
	int rank = read_sizes(L, 1, dim, "zeros");
	tensor_new(L, true, rank, dim);
	return 1;
}

/* --- elements and views ------------------------------------------------------------------ */

/* Zero-based index in dimension d of the Lua integer at `index`. */
static size_t check_index(lua_State *L, const Tensor *t, int index, int d)
{
	int ok;
	lua_Integer i = lua_tointegerx(L, index, &ok);
	if (!ok) lua_fail(L, "a tensor's index is an integer, not a %s", luaL_typename(L, index));
	if (i < 1 || (lua_Unsigned)i > t->dim[d])
		lua_fail(L, "index %I is outside of 1 to %d in dimension %d of a tensor of shape %s", i,
		    (int)t->dim[d], d + 1, tensor_push_shape(L, t->rank, t->dim));
	return (size_t)i - 1;
}

static int push_shape_table(lua_State *L, const Tensor *t)
{
	lua_createtable(L, t->rank, 0);
	for (int i = 0; i < t->rank; i++) {
		lua_pushinteger(L, (lua_Integer)t->dim[i]);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

static int index_tensor(lua_State *L) /* upvalue 1: the methods */
{
	Tensor *t = self(L);
	if (lua_type(L, 2) == LUA_TNUMBER) {
		size_t i = check_index(L, t, 2, 0);
		if (t->rank == 1)
			lua_pushnumber(L, tensor_get(t, i));
		else
			push_view(L, 1, i * (t->count / t->dim[0]), t->rank - 1, t->dim + 1);
		return 1;
	}
	const char *key = luaL_tolstring(L, 2, NULL);
	if (strcmp(key, "shape") == 0) return push_shape_table(L, t);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL)
		return lua_fail(L, "a tensor has no '%s'", key);
	return 1;
}

static void copy_into(lua_State *L, Tensor *to, const Tensor *from)
{
	bool same = to->rank == from->rank;
	for (int i = 0; i < to->rank && same; i++) same = to->dim[i] == from->dim[i];
	if (!same) {
		const char *a = tensor_push_shape(L, from->rank, from->dim);
		lua_fail(L, "a tensor of shape %s cannot be put where %s is expected", a,
		    tensor_push_shape(L, to->rank, to->dim));
	}
	if (to->is_double == from->is_double) {
		memmove(to->data, from->data, to->count * element_bytes(to));
		return;
	}
	for (size_t i = 0; i < to->count; i++) tensor_set(to, i, tensor_get(from, i));
}

static int set_tensor(lua_State *L) /* t[i] = number, table or tensor */
{
	Tensor *t = self(L);
	if (lua_type(L, 2) != LUA_TNUMBER)
		return lua_fail(
		    L, "only elements of a tensor can be assigned, not '%s'", luaL_tolstring(L, 2, NULL));
	size_t i = check_index(L, t, 2, 0);
	if (t->rank == 1) {
		int ok;
		double x = lua_tonumberx(L, 3, &ok);
		if (!ok)
			return lua_fail(L, "an element of a tensor is a number, not a %s", luaL_typename(L, 3));
		tensor_set(t, i, x);
		return 0;
	}
	Tensor *view = push_view(L, 1, i * (t->count / t->dim[0]), t->rank - 1, t->dim + 1);
	if (lua_type(L, 3) == LUA_TNUMBER) {
		for (size_t k = 0; k < view->count; k++) tensor_set(view, k, lua_tonumber(L, 3));
	} else {
		copy_into(L, view, tensor_from(L, 3, "assignment"));
	}
	return 0;
}

static int call_at(lua_State *L) /* t:at(i, j, ...) */
{
	Tensor *t = self(L);
	int n = lua_gettop(L) - 1;
	if (n < 1 || n > t->rank)
		return lua_fail(L, "at: 1 to %d indices for a tensor of shape %s, not %d", t->rank,
		    tensor_push_shape(L, t->rank, t->dim), n);
	size_t first = 0, inside = t->count;
	for (int d = 0; d < n; d++) {
		inside /= t->dim[d];
		first += check_index(L, t, 2 + d, d) * inside;
	}
	if (n == t->rank)
		lua_pushnumber(L, tensor_get(t, first));
	else
		push_view(L, 1, first, t->rank - n, t->dim + n);
	return 1;
}

/* --- methods ----------------------------------------------------------------------------- */

static int length(lua_State *L) { return lua_pushinteger(L, (lua_Integer)self(L)->dim[0]), 1; }
static int to_string(lua_State *L) { return tensor_push_text(L, self(L)), 1; }

static int call_copy(lua_State *L)
{
	Tensor *t = self(L), *copy = tensor_new(L, t->is_double, t->rank, t->dim);
	copy_into(L, copy, t);
	return 1;
}

static int call_fill(lua_State *L)
{
	Tensor *t = self(L);
	double x = luaL_checknumber(L, 2);
	for (size_t i = 0; i < t->count; i++) tensor_set(t, i, x);
	lua_settop(L, 1);
	return 1;
}

static int call_reshape(lua_State *L) /* a view of the same elements */
{
	Tensor *t = self(L);
	size_t dim[TENSOR_RANK], count = 1;
	int rank = read_sizes(L, 2, dim, "reshape");
	bool fits = true;
	for (int i = 0; i < rank && fits; i++) {
		fits = dim[i] <= t->count / count;
		count *= dim[i];
	}
	if (!fits || count != t->count) {
		const char *to = tensor_push_shape(L, rank, dim);
		return lua_fail(L, "reshape: %s does not have the %d elements of %s", to, (int)t->count,
		    tensor_push_shape(L, t->rank, t->dim));
	}
	push_view(L, 1, 0, rank, dim);
	return 1;
}

/* t:argmax(): the place of the largest element of each row, counted from 0 as labels are; a number
 * for rank 1, else a table with one for each row of the last dimension. The first of equals. */
static int call_argmax(lua_State *L)
{
	const Tensor *t = self(L);
	size_t n = t->dim[t->rank - 1];
	if (t->rank > 1) lua_createtable(L, (int)(t->count / n), 0);
	for (size_t row = 0; row < t->count / n; row++) {
		size_t best = 0;
		for (size_t i = 1; i < n; i++)
			if (tensor_get(t, row * n + i) > tensor_get(t, row * n + best)) best = i;
		lua_pushinteger(L, (lua_Integer)best);
		if (t->rank > 1) lua_rawseti(L, -2, (lua_Integer)row + 1);
	}
	return 1;
}

void tensor_open(lua_State *L)
{
	static const luaL_Reg method[] = {{"at", call_at}, {"copy", call_copy}, {"fill", call_fill},
	    {"reshape", call_reshape}, {"argmax", call_argmax}, {"save", tensor_save}, {NULL, NULL}};
	static const luaL_Reg meta[] = {
	    {"__newindex", set_tensor}, {"__len", length}, {"__tostring", to_string}, {NULL, NULL}};
	luaL_newmetatable(L, type_name);
	luaL_setfuncs(L, meta, 0);
	luaL_newlib(L, method);
	lua_pushcclosure(L, index_tensor, 1);
	lua_setfield(L, -2, "__index");
	lua_pushliteral(L, "tensor"); /* getmetatable() shows no way to break one */
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);

	lua_pushcfunction(L, call_zeros);
	lua_setfield(L, -2, "zeros");
	lua_newtable(L);
	lua_pushcfunction(L, tensor_load);
	lua_setfield(L, -2, "load");
	lua_newtable(L);
	lua_pushcfunction(L, call_tensor);
	lua_setfield(L, -2, "__call");
	lua_setmetatable(L, -2);
	lua_setfield(L, -2, "tensor");
}
