/* window: see window.h. */
#include "window.h"

static bool has_attr(const OpDesc *op, const char *name)
{
	for (const Attr *a = op->attr; a && a->name; a++)
		if (!strcmp(a->name, name)) return true;
	return false;
}

Window window_of(const Node *n, const int64_t *in, const int64_t *kernel)
{
	if (!kernel) kernel = attr_pair(n, "kernel");
	const int64_t *stride = has_attr(n->op, "stride") ? attr_pair(n, "stride") : NULL;
	const int64_t *pad = has_attr(n->op, "pad") ? attr_pair(n, "pad") : NULL;
	const int64_t *dilation = has_attr(n->op, "dilation") ? attr_pair(n, "dilation") : NULL;
	Window w;
	for (int s = 0; s < 2; s++) {
		w.in[s] = in[s];
		w.kernel[s] = kernel[s];
		w.stride[s] = stride && stride[s] ? stride[s] : kernel[s];
		w.pad[s] = pad ? pad[s] : 0;
		w.dilation[s] = dilation ? dilation[s] : 1;
		w.out[s] = 0;
	}
	return w;
}

int64_t window_span(const Window *w, int side)
{
	return w->dilation[side] * (w->kernel[side] - 1) + 1;
}

bool window_fit(Graph *g, Node *n, Window *w, bool ceil)
{
	for (int s = 0; s < 2; s++) {
		int64_t left = w->in[s] + 2 * w->pad[s] - window_span(w, s);
		if (ceil) left += w->stride[s] - 1;
		if (left < 0)
			return infer_error(g, n,
			    "input is %lldx%lld with %lldx%lld of padding at each border, too small for a "
			    "kernel "
			    "of %lldx%lld%s",
			    (long long)w->in[0], (long long)w->in[1], (long long)w->pad[0],
			    (long long)w->pad[1], (long long)w->kernel[0], (long long)w->kernel[1],
			    w->dilation[0] > 1 || w->dilation[1] > 1 ? ", dilated" : "");
		w->out[s] = left / w->stride[s] + 1;
		if (ceil && (w->out[s] - 1) * w->stride[s] >= w->in[s] + w->pad[s]) w->out[s]--;
	}
	return true;
}

Affine window_tap(const Window *w, int side, int o, int k)
{
	Affine from = affine_scale(affine_var(o), w->stride[side]);
	Affine tap = affine_scale(affine_var(k), w->dilation[side]);
	return affine_plus(affine_add(from, tap), -w->pad[side]);
}

static void range_in(const Nest *nest, const Affine *a, int64_t *lo, int64_t *hi)
{
	int64_t count[NEST_DIMS];
	for (int d = 0; d < nest->ndim; d++) count[d] = nest->dim[d].extent;
	affine_range(a, count, lo, hi);
}

void window_guard_tap(Nest *nest, const Window *w, int side, Affine tap)
{
	int64_t lo, hi;
	range_in(nest, &tap, &lo, &hi);
	if (lo < 0 || hi >= w->in[side]) nest_guard_range(nest, index_of(tap), 0, w->in[side]);
}

Index window_back(const Window *w, int side, int i, int k)
{
	Affine tap = affine_scale(affine_var(k), w->dilation[side]);
	Affine from = affine_plus(affine_sub(affine_var(i), tap), w->pad[side]);
	return w->stride[side] > 1 ? index_div(from, w->stride[side]) : index_of(from);
}

void window_guard_back(Nest *nest, const Window *w, int side, Index back)
{
	int64_t lo, hi, stride = w->stride[side];
	range_in(nest, &back.a, &lo, &hi);
	if (stride > 1) nest_guard_divides(nest, back.a, stride);
	if (lo < 0 || hi >= w->out[side] * stride) nest_guard_range(nest, back, 0, w->out[side]);
}
