/* tensor_text: `cnnc.tensor{{1, 2}, {3, 4}}` for a small tensor; a large one shows the first and
 * last EDGE of each dimension and its shape. */
#include "tensor.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>

enum { WHOLE = 200, EDGE = 3 };

static void add_number(luaL_Buffer *b, double x)
{
	char text[32];
	if (isnan(x))
		snprintf(text, sizeof text, "nan");
	else if (isinf(x))
		snprintf(text, sizeof text, x > 0 ? "math.huge" : "-math.huge");
	else
		snprintf(text, sizeof text, "%.6g", x);
	luaL_addstring(b, text);
}

/* Elements of dimension d on, from element `at`. */
static void add_level(luaL_Buffer *b, const Tensor *t, int d, size_t at, bool whole)
{
	if (d == t->rank) {
		add_number(b, tensor_get(t, at));
		return;
	}
	size_t inside = 1, n = t->dim[d];
	for (int i = d + 1; i < t->rank; i++) inside *= t->dim[i];
	luaL_addchar(b, '{');
	for (size_t i = 0; i < n; i++) {
		if (i) luaL_addchar(b, ',');
		/* A line for each row, blank space for the braces that are open. */
		if (i && d + 1 < t->rank) {
			luaL_addchar(b, '\n');
			for (int k = 0; k <= d; k++) luaL_addchar(b, ' ');
		} else if (i) {
			luaL_addchar(b, ' ');
		}
		if (!whole && n > 2 * EDGE + 1 && i == EDGE) {
			luaL_addstring(b, "...");
			i = n - EDGE - 1;
			continue;
		}
		add_level(b, t, d + 1, at + i * inside, whole);
	}
	luaL_addchar(b, '}');
}

void tensor_push_text(lua_State *L, const Tensor *t)
{
	bool whole = t->count <= WHOLE;
	luaL_Buffer b;
	if (whole)
		lua_pushliteral(L, "cnnc.tensor");
	else
		lua_pushfstring(L, "tensor of shape %s\n", tensor_push_shape(L, t->rank, t->dim));
	const char *head = lua_tostring(L, -1);
	luaL_buffinit(L, &b);
	luaL_addstring(&b, head);
	/* More than a few dimensions of edges are still many: the rows are what people look at. */
	if (t->rank > 1 && whole) luaL_addchar(&b, '\n');
	add_level(&b, t, 0, 0, whole);
	luaL_pushresult(&b);
}
