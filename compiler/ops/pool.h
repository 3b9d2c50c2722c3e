/* pool: what the poolings share: images keep their channels, a window moves over height and width.
 */
#ifndef CNNC_OPS_POOL_H
#define CNNC_OPS_POOL_H

#include "window.h"

/* Operand 0 is an image and no pad exceeds half of its kernel (so that every window holds an
 * input): sets *w. Else reports, false. */
bool pool_window(Graph *g, Node *n, bool ceil, Window *w);
/* For a gradient, whose operand 0 is dy: sets *w, whose input is the attribute `size`, and makes
 * result 0 of the input's shape; reports a dy that is not the output. */
bool pool_infer_back(Graph *g, Node *n, bool ceil);
/* The window of a node whose shapes are inferred: forward, and of a gradient. */
Window pool_forward(const Node *n);
Window pool_backward(const Node *n);

/* Adds the attribute `size` of a gradient of n's result by its input. */
static inline AttrValue *pool_attrs_back(Graph *g, const OpDesc *back, const Node *n)
{
	AttrValue *attr = attrs_like(g->arena, back, n);
	attr_set_plane(back, attr, "size", n->in[0]);
	return attr;
}
#define ATTR_CEIL                                                                                  \
	{                                                                                              \
		.name = "ceil", .type = ATTR_BOOL, .value = 0,                                             \
		.doc = "round the output's size up: a last window may reach over the border"               \
	}

/* The dims of a pooling nest: n c oh ow | kh kw. */
typedef struct {
	int n, c, h, w, kh, kw;
} PoolDims;
PoolDims pool_dims(Nest *nest, const Node *n, const Window *w);
/* x at each tap of each output, guarded: the load. */
int pool_load_taps(Lower *l, Nest *nest, const PoolDims *d, const Window *w, const Value *x);
/* result[n, c, h, w] = e. */
void pool_store(Lower *l, Nest *nest, const char *as, const PoolDims *d, const Value *v, Expr *e);

/* The dims of a gradient's nest: n c and those of both sides. */
typedef struct {
	int n, c;
	BackSide side[2];
} PoolBack;
/* The nest of this name, behind the zeros for what no window sees. */
Nest *pool_back(Lower *l, const Node *n, const char *name, const Window *w, PoolBack *d);
/* v, of the output's shape, at the output that sees the input through each tap; its guards; and
 * dx[n, c, the input] = e. */
int pool_load_back(
    Lower *l, Nest *nest, const char *as, const PoolBack *d, const Window *w, const Value *v);
void pool_guard_back(Nest *nest, const PoolBack *d, const Window *w);
void pool_store_back(
    Lower *l, Nest *nest, const PoolBack *d, const Window *w, const Value *dx, Expr *e);

/* Calls `at` for every output and every tap inside the input, in row-major order: the oracles'
 * loops. x, y: offsets; tap: kh*KW + kw. */
typedef struct Oracle {
	const double *const *in;
	double *const *out;
	const Window *w;
	void (*at)(struct Oracle *o, int64_t y, int64_t x, int64_t tap);
} Oracle;
void pool_each_tap(Oracle *o, int64_t planes);
void pool_clear(const Value *v, double *at, double x);

#endif
