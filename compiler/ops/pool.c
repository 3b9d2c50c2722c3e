/* pool: see pool.h. */
#include "pool.h"

static bool is_image(Graph *g, Node *n) { return image_check(g, n, 0, "a pooling"); }

static bool pads_fit(Graph *g, Node *n, const Window *w)
{
	for (int s = 0; s < 2; s++)
		if (MAX(w->pad[s], w->after[s]) > w->kernel[s] / 2)
			return infer_error(g, n,
			    "pad is %lldx%lld, at most half of the kernel %lldx%lld is allowed",
			    (long long)MAX(w->pad[0], w->after[0]), (long long)MAX(w->pad[1], w->after[1]),
			    (long long)w->kernel[0], (long long)w->kernel[1]);
	return true;
}

bool pool_window(Graph *g, Node *n, bool ceil, Window *w)
{
	if (!infer_begin(g, n) || !is_image(g, n)) return false;
	*w = window_of(n, plane_of(n->in[0]).side, NULL);
	return pads_fit(g, n, w) && window_fit(g, n, w, ceil);
}

bool pool_infer_back(Graph *g, Node *n, bool ceil)
{
	if (!infer_begin(g, n) || !is_image(g, n)) return false;
	Window w = window_of(n, attr_pair(n, "size"), NULL);
	if (!pads_fit(g, n, &w) || !window_fit(g, n, &w, ceil)) return false;
	Shape dy = n->in[0]->shape, want = image_shape(n->in[0], dy.dim[0], dy.dim[1], w.out);
	if (!shape_same(dy, want))
		return infer_error(g, n, "the output's gradient is %s, the output is %s",
		    shape_text(g->arena, dy), shape_text(g->arena, want));
	return infer_out(g, n, 0, image_shape(n->in[0], dy.dim[0], dy.dim[1], w.in), TYPE_REAL);
}

Window pool_forward(const Node *n)
{
	Window w = window_of(n, plane_of(n->in[0]).side, NULL);
	for (int s = 0; s < 2; s++) w.out[s] = plane_of(n->out[0]).side[s];
	return w;
}

Window pool_backward(const Node *n)
{
	Window w = window_of(n, attr_pair(n, "size"), NULL);
	for (int s = 0; s < 2; s++) w.out[s] = plane_of(n->in[0]).side[s];
	return w;
}

/* --- nests --------------------------------------------------------------------------------- */

PoolDims pool_dims(Nest *nest, const Node *n, const Window *w)
{
	PoolDims d;
	d.n = nest_dim(nest, "n", n->in[0]->shape.dim[0], false);
	d.c = nest_dim(nest, "c", n->in[0]->shape.dim[1], false);
	d.h = nest_dim(nest, "oh", w->out[0], false);
	d.w = nest_dim(nest, "ow", w->out[1], false);
	d.kh = nest_dim(nest, "kh", w->kernel[0], true);
	d.kw = nest_dim(nest, "kw", w->kernel[1], true);
	return d;
}

int pool_load_taps(Lower *l, Nest *nest, const PoolDims *d, const Window *w, const Value *x)
{
	Affine ih = window_tap(w, 0, d->h, d->kh), iw = window_tap(w, 1, d->w, d->kw);
	window_guard_tap(nest, w, 0, ih);
	window_guard_tap(nest, w, 1, iw);
	return image_load(
	    l, nest, "x", x, index_var(d->n), index_var(d->c), index_of(ih), index_of(iw));
}

void pool_store(Lower *l, Nest *nest, const char *as, const PoolDims *d, const Value *v, Expr *e)
{
	image_store(
	    l, nest, as, v, affine_var(d->n), affine_var(d->c), affine_var(d->h), affine_var(d->w), e);
}

Nest *pool_back(Lower *l, const Node *n, const char *name, const Window *w, PoolBack *d)
{
	window_back_rest(l, n, w, n->out[0], NULL);
	Nest *nest = lower_nest(l, n, name);
	d->n = nest_dim(nest, "n", n->in[0]->shape.dim[0], false);
	d->c = nest_dim(nest, "c", n->in[0]->shape.dim[1], false);
	window_back_space(nest, w, d->side);
	window_back_taps(nest, w, d->side);
	return nest;
}

int pool_load_back(
    Lower *l, Nest *nest, const char *as, const PoolBack *d, const Window *w, const Value *v)
{
	return image_load(l, nest, as, v, index_var(d->n), index_var(d->c),
	    window_back(w, 0, &d->side[0]), window_back(w, 1, &d->side[1]));
}

void pool_guard_back(Nest *nest, const PoolBack *d, const Window *w)
{
	for (int s = 0; s < 2; s++) window_guard_back(nest, w, s, &d->side[s]);
}

void pool_store_back(
    Lower *l, Nest *nest, const PoolBack *d, const Window *w, const Value *dx, Expr *e)
{
	image_store(l, nest, "dx", dx, affine_var(d->n), affine_var(d->c),
	    window_back_input(w, 0, &d->side[0]), window_back_input(w, 1, &d->side[1]), e);
}

/* --- oracles ------------------------------------------------------------------------------- */

static void each_tap_of(Oracle *o, int64_t plane, int64_t oh, int64_t ow)
{
	const Window *w = o->w;
	for (int64_t kh = 0; kh < w->kernel[0]; kh++)
		for (int64_t kw = 0; kw < w->kernel[1]; kw++) {
			int64_t ih = oh * w->stride[0] - w->pad[0] + kh,
			        iw = ow * w->stride[1] - w->pad[1] + kw;
			if (ih < 0 || iw < 0 || ih >= w->in[0] || iw >= w->in[1]) continue;
			o->at(o, (plane * w->out[0] + oh) * w->out[1] + ow,
			    (plane * w->in[0] + ih) * w->in[1] + iw, kh * w->kernel[1] + kw);
		}
}

void pool_each_tap(Oracle *o, int64_t planes)
{
	for (int64_t plane = 0; plane < planes; plane++)
		for (int64_t oh = 0; oh < o->w->out[0]; oh++)
			for (int64_t ow = 0; ow < o->w->out[1]; ow++) each_tap_of(o, plane, oh, ow);
}

void pool_clear(const Value *v, double *at, double x)
{
	for (int64_t i = 0; i < shape_count(v->shape); i++) at[i] = x;
}
