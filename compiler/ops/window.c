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

/* --- gradients ----------------------------------------------------------------------------- */

/* Inputs from the first that a window sees to the last. */
static int64_t covered(const Window *w, int side)
{
	return (w->out[side] - 1) * w->stride[side] + window_span(w, side);
}

/* Inputs between two windows that none sees. */
static int64_t gap_of(const Window *w, int side)
{
	return w->out[side] == 1 ? 0 : MAX(w->stride[side] - w->kernel[side], 0);
}

/* Two phases cost less than a nest of zeros for what lies between the windows. */
static bool is_apart(const Window *w, int side)
{
	bool apart = w->out[side] == 1 || window_span(w, side) <= w->stride[side];
	bool holes = w->dilation[side] > 1 && w->kernel[side] > 1;
	if (w->stride[side] == 1 || w->pad[side] || !apart || holes) return false;
	if (covered(w, side) > w->in[side]) return false;
	return w->stride[side] > 2 || !gap_of(w, side);
}

static void space_dims(Nest *nest, const Window *w, int side, BackSide *b)
{
	static const char *const names[2][3] = {{"ih", "oh", "kh"}, {"iw", "ow", "kw"}};
	b->apart = is_apart(w, side);
	b->at = nest_dim(nest, names[side][b->apart], b->apart ? w->out[side] : w->in[side], false);
	if (b->apart) b->tap = nest_dim(nest, names[side][2], w->kernel[side], false);
}

void window_back_space(Nest *nest, const Window *w, BackSide side[2])
{
	for (int s = 0; s < 2; s++) space_dims(nest, w, s, &side[s]);
}

void window_back_taps(Nest *nest, const Window *w, BackSide side[2])
{
	static const char *const names[2] = {"kh", "kw"};
	for (int s = 0; s < 2; s++)
		if (!side[s].apart) side[s].tap = nest_dim(nest, names[s], w->kernel[s], true);
}

Index window_back(const Window *w, int side, const BackSide *b)
{
	if (b->apart) return index_var(b->at);
	Affine tap = affine_scale(affine_var(b->tap), w->dilation[side]);
	Affine from = affine_plus(affine_sub(affine_var(b->at), tap), w->pad[side]);
	return w->stride[side] > 1 ? index_div(from, w->stride[side]) : index_of(from);
}

void window_guard_back(Nest *nest, const Window *w, int side, const BackSide *b)
{
	Index back = window_back(w, side, b);
	int64_t lo, hi, stride = w->stride[side];
	if (b->apart) return;
	range_in(nest, &back.a, &lo, &hi);
	if (stride > 1) nest_guard_divides(nest, back.a, stride);
	if (lo < 0 || hi >= w->out[side] * stride) nest_guard_range(nest, back, 0, w->out[side]);
}

Affine window_back_input(const Window *w, int side, const BackSide *b)
{
	return b->apart ? window_tap(w, side, b->at, b->tap) : affine_var(b->at);
}

/* Inputs of a side that no window sees, as an index over dims made for it. */
static Affine unseen(Nest *nest, const Window *w, int side, bool behind)
{
	static const char *const names[2][2] = {{"ih", "oh"}, {"iw", "ow"}};
	int64_t seen = covered(w, side), gap = gap_of(w, side);
	if (behind) {
		int i = nest_dim(nest, names[side][0], w->in[side] - seen, false);
		return affine_plus(affine_var(i), seen);
	}
	int o = nest_dim(nest, names[side][1], w->out[side] - 1, false);
	int i = nest_dim(nest, names[side][0], gap, false);
	return affine_plus(
	    affine_add(affine_scale(affine_var(o), w->stride[side]), affine_var(i)), w->kernel[side]);
}

/* Rows that windows see, in all columns that they do not, or rows that they do not see. */
static void zeros(Lower *l, const Node *n, const Window *w, const Value *dx, int side, bool behind)
{
	Nest *nest = lower_nest(l, n, "zero");
	Affine at[4];
	BackSide row;
	at[0] = affine_var(nest_dim(nest, "n", dx->shape.dim[0], false));
	at[1] = affine_var(nest_dim(nest, "c", dx->shape.dim[1], false));
	if (side == 0) {
		at[2] = unseen(nest, w, 0, behind);
		at[3] = affine_var(nest_dim(nest, "iw", w->in[1], false));
	} else {
		space_dims(nest, w, 0, &row);
		at[2] = window_back_input(w, 0, &row);
		at[3] = unseen(nest, w, 1, behind);
	}
	lower_store(l, nest, "dx", dx, at, e_num(lower_arena(l), 0));
}

void window_back_zeros(Lower *l, const Node *n, const Window *w, const Value *dx)
{
	for (int s = 0; s < 2; s++) {
		if (!is_apart(w, s)) continue;
		if (gap_of(w, s)) zeros(l, n, w, dx, s, false);
		if (covered(w, s) < w->in[s]) zeros(l, n, w, dx, s, true);
	}
}
