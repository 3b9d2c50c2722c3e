/* tensor: dense arrays of float or double as Lua values.
 *
 * A tensor is a window of a storage, which is a userdata of its own, so that t[i] is a view that
 * writes through and Lua's collector frees both. Invariants: rank >= 1, every size >= 1, the window
 * lies inside the storage, which is the tensor's first user value. Indices count from 1, as Lua's
 * do. */
#ifndef CNNC_TENSOR_H
#define CNNC_TENSOR_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

enum { TENSOR_RANK = 8 };

typedef struct {
	int rank;
	size_t dim[TENSOR_RANK];
	size_t count;
	bool is_double;
	void *data; /* the first element: float or double */
} Tensor;

/* Pushes a new tensor of zeros; a Lua error when the sizes do not fit. */
Tensor *tensor_new(lua_State *L, bool is_double, int rank, const size_t *dim);
Tensor *tensor_test(lua_State *L, int index); /* NULL when it is none */
/* The tensor at `index`, or one made of the number or nested tables there, which it replaces.
 * `what` names it in errors. */
Tensor *tensor_from(lua_State *L, int index, const char *what);
double tensor_get(const Tensor *t, size_t i);
void tensor_set(Tensor *t, size_t i, double x);
/* Pushes "2x3" for messages. */
const char *tensor_push_shape(lua_State *L, int rank, const size_t *dim);
/* Adds tensor and zeros to the table on top of the stack. */
void tensor_open(lua_State *L);

/* tensor_text.c: pushes the text of t, as Lua that makes it again if it is small. */
void tensor_push_text(lua_State *L, const Tensor *t);
/* tensor_file.c: cnnc.tensor.load(FILE) and t:save(FILE). */
int tensor_load(lua_State *L);
int tensor_save(lua_State *L);

#endif
