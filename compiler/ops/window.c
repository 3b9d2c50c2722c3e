/* window: see window.h. */
#include "window.h"

/* Zeros before and behind one side, by the window's size and stride where the mode asks for that.
 */
static void pad_side(Window *w, int side, const Pads *p)
{
	int64_t span = window_span(w, side), stride = w->stride[side], in = w->in[side];
	int64_t same = ((in - 1) / stride) * stride + span - in;
	switch (p->mode) {
	case PAD_GIVEN: w->pad[side] = p->before[side], w->after[side] = p->after[side]; break;
	case PAD_SAME:
		same = MAX(same, 0);
		w->pad[side] = same / 2;
		w->after[side] = same - same / 2;
		break;
	case PAD_FULL: w->pad[side] = w->after[side] = span - 1; break;
	}
}

Window window_of(const Node *n, const int64_t *in, const int64_t *kernel)
{
	if (!kernel) kernel = attr_pair(n, "kernel");
	const int64_t *stride = attr_exists(n->op, "stride") ? attr_pair(n, "stride") : NULL;
	const Pads *pads = attr_exists(n->op, "pad") ? attr_pads(n, "pad") : NULL;
	const int64_t *dilation = attr_exists(n->op, "dilation") ? attr_pair(n, "dilation") : NULL;
	Window w = {.flip = attr_exists(n->op, "flip") && attr_bool(n, "flip")};
	for (int s = 0; s < 2; s++) {
		bool flat = s == 0 && is_line(n->in[0]);
		w.in[s] = flat ? 1 : in[s];
		w.kernel[s] = flat ? 1 : kernel[s];
		w.stride[s] = flat ? 1 : stride && stride[s] ? stride[s] : kernel[s];
		w.dilation[s] = flat || !dilation ? 1 : dilation[s];
		if (pads && !flat) pad_side(&w, s, pads);
	}
	return w;
}

int64_t window_span(const Window *w, int side)
{
	return w->dilation[side] * (w->kernel[side] - 1) + 1;
}

static bool too_small(Graph *g, Node *n, const Window *w)
{
	const char *dilated = w->dilation[0] > 1 || w->dilation[1] > 1 ? ", dilated" : "";
	int64_t pads[] = {w->pad[0] + w->after[0], w->pad[1] + w->after[1]};
	if (is_line(n->in[0]))
		return infer_error(g, n,
		    "input is %lld wide with %lld of padding, too small for a kernel of %lld%s",
		    (long long)w->in[1], (long long)pads[1], (long long)w->kernel[1], dilated);
	return infer_error(g, n,
	    "input is %lldx%lld with %lldx%lld of padding, too small for a kernel of %lldx%lld%s",
	    (long long)w->in[0], (long long)w->in[1], (long long)pads[0], (long long)pads[1],
	    (long long)w->kernel[0], (long long)w->kernel[1], dilated);
}

bool window_fit(Graph *g, Node *n, Window *w, bool ceil)
{
	for (int s = 0; s < 2; s++) {
		int64_t left = w->in[s] + w->pad[s] + w->after[s] - window_span(w, s);
		if (ceil) left += w->stride[s] - 1;
		if (left < 0) return too_small(g, n, w);
		w->out[s] = left / w->stride[s] + 1;
		if (ceil && (w->out[s] - 1) * w->stride[s] >= w->in[s] + w->pad[s]) w->out[s]--;
	}
	return true;
}

/* Where in its window tap k lies. */
static Affine tap_offset(const Window *w, int side, int k)
{
	int64_t dilation = w->dilation[side];
	Affine offset = affine_scale(affine_var(k), w->flip ? -dilation : dilation);
	return w->flip ? affine_plus(offset, dilation * (w->kernel[side] - 1)) : offset;
}

Affine window_tap(const Window *w, int side, int o, int k)
{
	Affine from = affine_scale(affine_var(o), w->stride[side]);
	return affine_plus(affine_add(from, tap_offset(w, side, k)), -w->pad[side]);
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
	Affine tap = tap_offset(w, side, b->tap);
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
static void rest(Lower *l, const Node *n, const Window *w, const Value *dx, const Value *bias,
    int side, bool behind)
{
	Nest *nest = lower_nest(l, n, bias ? "bias" : "zero");
	Arena *a = lower_arena(l);
	Affine row, column;
	int image = nest_dim(nest, "n", dx->shape.dim[0], false);
	int c = nest_dim(nest, "c", dx->shape.dim[1], false);
	if (side == 0) {
		row = unseen(nest, w, 0, behind);
		column = affine_var(nest_dim(nest, "iw", w->in[1], false));
	} else {
		BackSide seen;
		space_dims(nest, w, 0, &seen);
		row = window_back_input(w, 0, &seen);
		column = unseen(nest, w, 1, behind);
	}
	Expr *e = e_num(a, 0);
	if (bias) e = e_load(a, lower_load(l, nest, "b", bias, (Index[]){index_var(c)}));
	image_store(l, nest, "dx", dx, affine_var(image), affine_var(c), row, column, e);
}

void window_back_rest(Lower *l, const Node *n, const Window *w, const Value *dx, const Value *bias)
{
	for (int s = 0; s < 2; s++) {
		if (!is_apart(w, s)) continue;
		if (gap_of(w, s)) rest(l, n, w, dx, bias, s, false);
		if (covered(w, s) < w->in[s]) rest(l, n, w, dx, bias, s, true);
	}
}
