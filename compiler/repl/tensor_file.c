/* tensor_file: tensors as .npy files. */
#include "tensor.h"
#include "lua_error.h"
#include "../../runtime/formats/npy.h"

/* A file's array becomes a tensor: float stays float, everything else is double. */
static double npy_at(const Npy *array, size_t i)
{
	switch (array->type) {
	case NPY_F4: return (double)((const float *)array->data)[i];
	case NPY_F8: return ((const double *)array->data)[i];
	case NPY_I4: return (double)((const int32_t *)array->data)[i];
	case NPY_I8: return (double)((const int64_t *)array->data)[i];
	case NPY_U1: return (double)((const uint8_t *)array->data)[i];
	case NPY_TYPES: break;
	}
	return 0;
}

/* A protected call, so that the array is freed when Lua has no memory for the tensor. */
static int make_tensor(lua_State *L)
{
	const Npy *array = lua_touserdata(L, 1);
	static const size_t one = 1;
	Tensor *t = array->rank ? tensor_new(L, array->type != NPY_F4, array->rank, array->dim)
	                        : tensor_new(L, array->type != NPY_F4, 1, &one);
	for (size_t i = 0; i < t->count; i++) tensor_set(t, i, npy_at(array, i));
	return 1;
}

int tensor_load(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	Npy array = {.rank = 0};
	FormatError e;
	if (!npy_read(path, &array, &e)) return lua_fail(L, "%s", e.text);
	lua_pushcfunction(L, make_tensor);
	lua_pushlightuserdata(L, &array);
	int status = lua_pcall(L, 1, 1, 0);
	npy_free(&array);
	if (status != LUA_OK) return lua_fail(L, "%s: %s", path, luaL_tolstring(L, -1, NULL));
	return 1;
}

int tensor_save(lua_State *L)
{
	Tensor *t = tensor_test(L, 1);
	if (!t) return lua_fail(L, "save: expected a tensor; write t:save(FILE)");
	const char *path = luaL_checkstring(L, 2);
	Npy array = {.type = t->is_double ? NPY_F8 : NPY_F4, .rank = t->rank, .data = t->data};
	memcpy(array.dim, t->dim, sizeof t->dim);
	FormatError e;
	if (!npy_write(path, &array, &e)) return lua_fail(L, "%s", e.text);
	lua_settop(L, 1);
	return 1;
}
_Static_assert((int)TENSOR_RANK == (int)NPY_RANK, "a tensor's shape is copied into an Npy's");
