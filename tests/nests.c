/* nests: see nests.h. */
#include "nests.h"

#include <math.h>

int nests_setup(void **state)
{
	*state = arena_new(0);
	return *state ? 0 : -1;
}

int nests_teardown(void **state)
{
	arena_free(*state);
	return 0;
}

/* --- shorthand ---------------------------------------------------------------------------- */

static Affine v(int var) { return affine_var(var); }
static Affine times(int var, int64_t k) { return affine_scale(affine_var(var), k); }
static Affine plus(Affine a, Affine b) { return affine_add(a, b); }

static Buffer *buffer(
    Arena *a, const char *name, const char *layout, int64_t skew, int rank, const int64_t *shape)
{
	Buffer *b = buffer_new(a, name, TYPE_REAL, rank, shape);
	if (layout && !buffer_layout(b, layout, skew)) fail_msg("layout %s of %s", layout, name);
	return b;
}

/* Loads b at plain affine indices. */
static int load(Nest *n, Buffer *b, const Affine *at)
{
	Index index[BUFFER_RANK];
	for (int i = 0; i < b->rank; i++) index[i] = index_of(at[i]);
	return nest_load(n, b->name, b, index);
}

static Expr *sum_product(Arena *a, int k, int x, int y)
{
	return e_op(a, E_ADD, e_acc(a, k), e_op(a, E_MUL, e_load(a, x), e_load(a, y)));
}

#define AT(...) ((const Affine[]){__VA_ARGS__})
#define SHAPE(...) ((const int64_t[]){__VA_ARGS__})

/* --- convolution -------------------------------------------------------------------------- */

static int64_t one(int64_t x) { return x ? x : 1; }

static int64_t out_size(int64_t in, int64_t k, const Conv *c)
{
	return (in + 2 * c->pad - one(c->dilation) * (k - 1) - 1) / one(c->stride) + 1;
}

int64_t nests_conv_oh(const Conv *c) { return out_size(c->IH, c->KH, c); }
int64_t nests_conv_ow(const Conv *c) { return out_size(c->IW, c->KW, c); }

typedef struct {
	int n, g, oc, oh, ow, ic, ih, iw, kh, kw;
	Affine out, in; /* channel of the output, of the input */
	int64_t OCG, ICG;
	Buffer *x, *w, *y;
} ConvDims;

static ConvDims conv_dims(
    Arena *a, Nest *n, const Conv *c, const char *order, const char *const *as)
{
	ConvDims d = {.g = -1};
	int64_t G = one(c->groups);
	d.OCG = c->OC / G;
	d.ICG = c->IC / G;
	bool reduce = false;
	for (; *order; order++) {
		switch (*order) {
		case '|': reduce = true; break;
		case 'n': d.n = nest_dim(n, "n", c->N, reduce); break;
		case 'g': d.g = G > 1 ? nest_dim(n, "g", G, reduce) : -1; break;
		case 'o': d.oc = nest_dim(n, "oc", d.OCG, reduce); break;
		case 'i': d.ic = nest_dim(n, "ic", d.ICG, reduce); break;
		case 'H': d.oh = nest_dim(n, "oh", nests_conv_oh(c), reduce); break;
		case 'W': d.ow = nest_dim(n, "ow", nests_conv_ow(c), reduce); break;
		case 'h': d.ih = nest_dim(n, "ih", c->IH, reduce); break;
		case 'w': d.iw = nest_dim(n, "iw", c->IW, reduce); break;
		case 'K': d.kh = nest_dim(n, "kh", c->KH, reduce); break;
		default: d.kw = nest_dim(n, "kw", c->KW, reduce); break;
		}
	}
	d.out = d.g < 0 ? v(d.oc) : plus(times(d.g, d.OCG), v(d.oc));
	d.in = d.g < 0 ? v(d.ic) : plus(times(d.g, d.ICG), v(d.ic));
	d.x = buffer(a, as[0], c->x, c->skew, 4, SHAPE(c->N, c->IC, c->IH, c->IW));
	d.w = buffer(a, as[1], c->w, 0, 4, SHAPE(c->OC, d.ICG, c->KH, c->KW));
	d.y =
	    buffer(a, as[2], c->y, c->skew, 4, SHAPE(c->N, c->OC, nests_conv_oh(c), nests_conv_ow(c)));
	return d;
}

static void guard_links(Nest *n, const Conv *c, const ConvDims *d)
{
	if (c->links) nest_guard_mask(n, v(d->oc), v(d->ic), c->links, (int)c->IC);
}

/* Input row of output row and tap, guarded to lie in the input. */
static Affine tap(Nest *n, const Conv *c, int out, int k, int64_t size)
{
	Affine i = plus(times(out, one(c->stride)), times(k, one(c->dilation)));
	i = affine_plus(i, -c->pad);
	nest_guard_range(n, index_of(i), 0, size);
	return i;
}

static Affine kernel_index(const Conv *c, int k, int64_t size)
{
	return c->flip ? affine_plus(times(k, -1), size - 1) : v(k);
}

Nest *nests_conv(Arena *a, const Conv *c)
{
	static const char *const as[] = {"x", "w", "y"};
	Nest *n = nest_new(a, "conv");
	ConvDims d = conv_dims(a, n, c, "ngoHW|iKL", as);
	Affine ih = tap(n, c, d.oh, d.kh, c->IH), iw = tap(n, c, d.ow, d.kw, c->IW);
	guard_links(n, c, &d);
	int x = load(n, d.x, AT(v(d.n), d.in, ih, iw));
	int w = load(
	    n, d.w, AT(d.out, v(d.ic), kernel_index(c, d.kh, c->KH), kernel_index(c, d.kw, c->KW)));
	nest_acc(n, 0, COMBINE_SUM, sum_product(a, 0, w, x));
	const Affine *at = AT(v(d.n), d.out, v(d.oh), v(d.ow));
	Expr *e = e_acc(a, 0);
	if (c->bias) {
		Buffer *b = buffer(a, "b", NULL, 0, 1, SHAPE(c->OC));
		e = e_op(a, E_ADD, e, e_load(a, load(n, b, AT(d.out))));
	}
	if (c->residual) {
		Buffer *r = buffer(a, "r", c->y, c->skew, 4, d.y->shape);
		e = e_op(a, E_ADD, e, e_load(a, load(n, r, at)));
	}
	if (c->relu) e = e_op(a, E_MAX, e_num(a, 0), e);
	nest_store(n, "y", d.y, at, e);
	return n;
}

/* Output row that tap k takes to input row i: (i + pad - k*dilation)/stride, where exact and
 * inside. */
static Index untap(Nest *n, const Conv *c, int in, int k, int64_t size)
{
	Affine num = affine_plus(plus(v(in), times(k, -one(c->dilation))), c->pad);
	Index out = index_div(num, one(c->stride));
	if (out.q > 1) nest_guard_divides(n, num, out.q);
	nest_guard_range(n, out, 0, size);
	return out;
}

Nest *nests_conv_dx(Arena *a, const Conv *c)
{
	static const char *const as[] = {"dx", "w", "dy"};
	Nest *n = nest_new(a, "conv_dx");
	ConvDims d = conv_dims(a, n, c, "ngihw|oKL", as);
	Index oh = untap(n, c, d.ih, d.kh, nests_conv_oh(c)),
	      ow = untap(n, c, d.iw, d.kw, nests_conv_ow(c));
	guard_links(n, c, &d);
	const Index at[] = {index_of(v(d.n)), index_of(d.out), oh, ow};
	int dy = nest_load(n, "dy", d.y, at);
	int w = load(n, d.w, AT(d.out, v(d.ic), v(d.kh), v(d.kw)));
	nest_acc(n, 0, COMBINE_SUM, sum_product(a, 0, w, dy));
	nest_store(n, "dx", d.x, AT(v(d.n), d.in, v(d.ih), v(d.iw)), e_acc(a, 0));
	return n;
}

Nest *nests_conv_dw(Arena *a, const Conv *c)
{
	static const char *const as[] = {"x", "dw", "dy"};
	Nest *n = nest_new(a, "conv_dw");
	ConvDims d = conv_dims(a, n, c, "goiKL|nHW", as);
	Affine ih = tap(n, c, d.oh, d.kh, c->IH), iw = tap(n, c, d.ow, d.kw, c->IW);
	guard_links(n, c, &d);
	int x = load(n, d.x, AT(v(d.n), d.in, ih, iw));
	int dy = load(n, d.y, AT(v(d.n), d.out, v(d.oh), v(d.ow)));
	nest_acc(n, 0, COMBINE_SUM, sum_product(a, 0, dy, x));
	nest_store(n, "dw", d.w, AT(d.out, v(d.ic), v(d.kh), v(d.kw)), e_acc(a, 0));
	return n;
}

const uint8_t nests_lenet_links[16 * 6] = {1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0,
    0, 0, 1, 1, 1,                                                          /* three in a row */
    1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1,                                     /* cyclic */
    1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, /* four in a row */
    1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1,                                     /* cyclic */
    1, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1,                   /* two pairs */
    1, 1, 1, 1, 1, 1};

/* --- pooling ------------------------------------------------------------------------------ */

int64_t nests_pool_oh(const Pool *p) { return (p->H + 2 * p->pad - p->K) / p->stride + 1; }
int64_t nests_pool_ow(const Pool *p) { return (p->W + 2 * p->pad - p->K) / p->stride + 1; }

/* Dims n c oh ow | kh kw, guards, and the load of x: var numbers in that order. */
static int window(Arena *a, Nest *n, const Pool *p)
{
	nest_dim(n, "n", p->N, false);
	nest_dim(n, "c", p->C, false);
	nest_dim(n, "oh", nests_pool_oh(p), false);
	nest_dim(n, "ow", nests_pool_ow(p), false);
	nest_dim(n, "kh", p->K, true);
	nest_dim(n, "kw", p->K, true);
	Affine ih = affine_plus(plus(times(2, p->stride), v(4)), -p->pad);
	Affine iw = affine_plus(plus(times(3, p->stride), v(5)), -p->pad);
	nest_guard_range(n, index_of(ih), 0, p->H);
	nest_guard_range(n, index_of(iw), 0, p->W);
	Buffer *x = buffer(a, "x", p->x, 0, 4, SHAPE(p->N, p->C, p->H, p->W));
	return load(n, x, AT(v(0), v(1), ih, iw));
}

static Buffer *pooled(Arena *a, const Pool *p, const char *name)
{
	return buffer(a, name, p->x, 0, 4, SHAPE(p->N, p->C, nests_pool_oh(p), nests_pool_ow(p)));
}

Nest *nests_max_pool(Arena *a, const Pool *p)
{
	Nest *n = nest_new(a, "max_pool");
	Expr *x = e_load(a, window(a, n, p));
	Affine tap_number = plus(times(4, p->K), v(5));
	n->ordered = true;
	nest_acc(n, -INFINITY, COMBINE_NONE, e_op(a, E_MAX, x, e_acc(a, 0)));
	nest_acc(n, -1, COMBINE_NONE,
	    e_select(a, e_op(a, E_GT, x, e_acc(a, 0)), e_index(a, tap_number), e_acc(a, 1)));
	const Affine *at = AT(v(0), v(1), v(2), v(3));
	nest_store(n, "y", pooled(a, p, "y"), at, e_acc(a, 0));
	nest_store(n, "arg", pooled(a, p, "arg"), at, e_acc(a, 1));
	return n;
}

Nest *nests_avg_pool(Arena *a, const Pool *p)
{
	Nest *n = nest_new(a, "avg_pool");
	Expr *x = e_load(a, window(a, n, p));
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), x));
	nest_store(n, "y", pooled(a, p, "y"), AT(v(0), v(1), v(2), v(3)),
	    e_op(a, E_MUL, e_acc(a, 0), e_num(a, 0.25)));
	return n;
}

Nest *nests_max_pool_dx(Arena *a, const Pool *p)
{
	Nest *n = nest_new(a, "max_pool_dx");
	Conv c = {.stride = p->stride, .pad = p->pad};
	nest_dim(n, "n", p->N, false);
	nest_dim(n, "c", p->C, false);
	nest_dim(n, "ih", p->H, false);
	nest_dim(n, "iw", p->W, false);
	nest_dim(n, "kh", p->K, true);
	nest_dim(n, "kw", p->K, true);
	Index oh = untap(n, &c, 2, 4, nests_pool_oh(p)), ow = untap(n, &c, 3, 5, nests_pool_ow(p));
	const Index at[] = {index_of(v(0)), index_of(v(1)), oh, ow};
	int dy = nest_load(n, "dy", pooled(a, p, "dy"), at);
	int arg = nest_load(n, "arg", pooled(a, p, "arg"), at);
	Expr *mine = e_op(a, E_EQ, e_load(a, arg), e_index(a, plus(times(4, p->K), v(5))));
	nest_acc(n, 0, COMBINE_SUM,
	    e_op(a, E_ADD, e_acc(a, 0), e_select(a, mine, e_load(a, dy), e_num(a, 0))));
	Buffer *dx = buffer(a, "dx", p->x, 0, 4, SHAPE(p->N, p->C, p->H, p->W));
	nest_store(n, "dx", dx, AT(v(0), v(1), v(2), v(3)), e_acc(a, 0));
	return n;
}

/* --- the rest ----------------------------------------------------------------------------- */

Nest *nests_flatten(Arena *a, int64_t N, int64_t C, int64_t H, int64_t W, const char *layout)
{
	Nest *n = nest_new(a, "flatten");
	nest_dim(n, "n", N, false);
	nest_dim(n, "c", C, false);
	nest_dim(n, "h", H, false);
	nest_dim(n, "w", W, false);
	int x = load(n, buffer(a, "x", layout, 0, 4, SHAPE(N, C, H, W)), AT(v(0), v(1), v(2), v(3)));
	nest_store(n, "y", buffer(a, "y", NULL, 0, 2, SHAPE(N, C * H * W)),
	    AT(v(0), plus(times(1, H * W), plus(times(2, W), v(3)))), e_load(a, x));
	return n;
}

Nest *nests_dense(Arena *a, int64_t N, int64_t I, int64_t O, const char *layout)
{
	Nest *n = nest_new(a, "dense");
	nest_dim(n, "n", N, false);
	nest_dim(n, "oc", O, false);
	nest_dim(n, "ic", I, true);
	int x = load(n, buffer(a, "x", NULL, 0, 2, SHAPE(N, I)), AT(v(0), v(2)));
	int w = load(n, buffer(a, "w", layout, 0, 2, SHAPE(O, I)), AT(v(1), v(2)));
	nest_acc(n, 0, COMBINE_SUM, sum_product(a, 0, w, x));
	nest_store(n, "y", buffer(a, "y", NULL, 0, 2, SHAPE(N, O)), AT(v(0), v(1)), e_acc(a, 0));
	return n;
}

Nest *nests_bias_relu(Arena *a, int64_t N, int64_t C, int64_t P, const char *layout, bool in_place)
{
	Nest *n = nest_new(a, "bias_relu");
	const int64_t *shape = SHAPE(N, C, P);
	nest_dim(n, "n", N, false);
	nest_dim(n, "c", C, false);
	nest_dim(n, "p", P, false);
	const Affine *at = AT(v(0), v(1), v(2));
	Buffer *y = buffer(a, "y", layout, 0, 3, shape);
	int x = load(n, buffer(a, "x", layout, 0, 3, shape), at);
	int b = load(n, buffer(a, "b", NULL, 0, 1, SHAPE(C)), AT(v(1)));
	int r = load(n, in_place ? y : buffer(a, "r", layout, 0, 3, shape), at);
	Expr *sum = e_op(a, E_ADD, e_op(a, E_ADD, e_load(a, x), e_load(a, b)), e_load(a, r));
	n->inplace = in_place;
	nest_store(n, "y", y, at, e_op(a, E_MAX, sum, e_num(a, 0)));
	return n;
}

static int channel_dims(Arena *a, Nest *n, int64_t N, int64_t C, int64_t P, const char *layout)
{
	nest_dim(n, "c", C, false);
	nest_dim(n, "n", N, true);
	nest_dim(n, "p", P, true);
	return load(n, buffer(a, "x", layout, 0, 3, SHAPE(N, C, P)), AT(v(1), v(0), v(2)));
}

Nest *nests_mean(Arena *a, int64_t N, int64_t C, int64_t P, const char *layout)
{
	Nest *n = nest_new(a, "mean");
	int x = channel_dims(a, n, N, C, P, layout);
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e_load(a, x)));
	nest_store(n, "mu", buffer(a, "mu", NULL, 0, 1, SHAPE(C)), AT(v(0)),
	    e_op(a, E_MUL, e_acc(a, 0), e_num(a, 0.5)));
	return n;
}

Nest *nests_variance(Arena *a, int64_t N, int64_t C, int64_t P, const char *layout)
{
	Nest *n = nest_new(a, "variance");
	int x = channel_dims(a, n, N, C, P, layout);
	int mu = load(n, buffer(a, "mu", NULL, 0, 1, SHAPE(C)), AT(v(0)));
	Expr *d = e_op(a, E_SUB, e_load(a, x), e_load(a, mu));
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e_op(a, E_MUL, d, d)));
	nest_store(n, "var", buffer(a, "var", NULL, 0, 1, SHAPE(C)), AT(v(0)), e_acc(a, 0));
	return n;
}

static int rows(Arena *a, Nest *n, int64_t N, int64_t C, bool reduce)
{
	nest_dim(n, "n", N, false);
	nest_dim(n, "c", C, reduce);
	return load(n, buffer(a, "z", NULL, 0, 2, SHAPE(N, C)), AT(v(0), v(1)));
}

/* select(c == label[n], 1, 0) */
static Expr *one_hot(Arena *a, Nest *n, int64_t N)
{
	Buffer *b = buffer_new(a, "label", TYPE_LABEL, 1, SHAPE(N));
	Expr *hit = e_op(a, E_EQ, e_index(a, v(1)), e_load(a, load(n, b, AT(v(0)))));
	return e_select(a, hit, e_num(a, 1), e_num(a, 0));
}

Nest *nests_row_max(Arena *a, int64_t N, int64_t C)
{
	Nest *n = nest_new(a, "row_max");
	int z = rows(a, n, N, C, true);
	nest_acc(n, -INFINITY, COMBINE_MAX, e_op(a, E_MAX, e_load(a, z), e_acc(a, 0)));
	nest_store(n, "m", buffer(a, "m", NULL, 0, 1, SHAPE(N)), AT(v(0)), e_acc(a, 0));
	return n;
}

Nest *nests_row_sum(Arena *a, int64_t N, int64_t C)
{
	Nest *n = nest_new(a, "row_sum");
	int z = rows(a, n, N, C, true);
	int m = load(n, buffer(a, "m", NULL, 0, 1, SHAPE(N)), AT(v(0)));
	Expr *d = e_op(a, E_SUB, e_load(a, z), e_load(a, m));
	Expr *e = e_call(a, FN_EXP, d, NULL);
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e));
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 1), e_op(a, E_MUL, one_hot(a, n, N), d)));
	nest_store(n, "s", buffer(a, "s", NULL, 0, 1, SHAPE(N)), AT(v(0)), e_acc(a, 0));
	nest_store(n, "loss", buffer(a, "loss", NULL, 0, 1, SHAPE(N)), AT(v(0)),
	    e_op(a, E_SUB, e_call(a, FN_LOG, e_acc(a, 0), NULL), e_acc(a, 1)));
	return n;
}

Nest *nests_softmax_grad(Arena *a, int64_t N, int64_t C)
{
	Nest *n = nest_new(a, "softmax_grad");
	int z = rows(a, n, N, C, false);
	int m = load(n, buffer(a, "m", NULL, 0, 1, SHAPE(N)), AT(v(0)));
	int s = load(n, buffer(a, "s", NULL, 0, 1, SHAPE(N)), AT(v(0)));
	Expr *e = e_call(a, FN_EXP, e_op(a, E_SUB, e_load(a, z), e_load(a, m)), NULL);
	nest_store(n, "dz", buffer(a, "dz", NULL, 0, 2, SHAPE(N, C)), AT(v(0), v(1)),
	    e_op(a, E_SUB, e_op(a, E_DIV, e, e_load(a, s)), one_hot(a, n, N)));
	return n;
}

/* B^T of F(4x4,3x3): Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, 2015. */
static const double winograd_b[36] = {4, 0, -5, 0, 1, 0, 0, -4, -4, 1, 1, 0, 0, 4, -4, -1, 1, 0, 0,
    -2, -1, 2, 1, 0, 0, 2, -1, -2, 1, 0, 0, 4, 0, -5, 0, 1};
static const uint8_t winograd_mask[36] = {1, 0, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0,
    1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1};

Nest *nests_winograd_rows(Arena *a, int64_t tiles, int64_t C)
{
	Nest *n = nest_new(a, "winograd_rows");
	int64_t H = 4 * tiles;
	nest_dim(n, "th", tiles, false);
	nest_dim(n, "xi", 6, false);
	nest_dim(n, "c", C, false);
	nest_dim(n, "i", 6, true);
	Affine row = affine_plus(plus(times(0, 4), v(3)), -1);
	nest_guard_range(n, index_of(row), 0, H);
	nest_guard_mask(n, v(1), v(3), winograd_mask, 6);
	int x = load(n, buffer(a, "x", NULL, 0, 2, SHAPE(H, C)), AT(row, v(2)));
	Expr *term = e_op(a, E_MUL, e_table(a, winograd_b, 6, v(1), v(3)), e_load(a, x));
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), term));
	nest_store(
	    n, "y", buffer(a, "y", NULL, 0, 3, SHAPE(tiles, 6, C)), AT(v(0), v(1), v(2)), e_acc(a, 0));
	return n;
}

Nest *nests_dropout(Arena *a, int64_t N, int64_t C)
{
	Nest *n = nest_new(a, "dropout");
	nest_dim(n, "n", N, false);
	nest_dim(n, "c", C, false);
	const Affine *at = AT(v(0), v(1));
	int x = load(n, buffer(a, "x", NULL, 0, 2, SHAPE(N, C)), at);
	Buffer *seed = buffer_new(a, "seed", TYPE_SEED, 1, SHAPE(1));
	int s = load(n, seed, AT(affine_number(0)));
	Expr *u = e_hash(a, s, hash_str("drop1"), plus(times(0, C), v(1)));
	nest_store(n, "y", buffer(a, "y", NULL, 0, 2, SHAPE(N, C)), at,
	    e_select(a, e_op(a, E_GT, e_num(a, 0.5), u), e_load(a, x), e_num(a, 0)));
	return n;
}

/* --- running ------------------------------------------------------------------------------ */

enum { BUFFERS = NEST_LOADS + NEST_STORES };

static int distinct(const Nest *n, Buffer *buffers[BUFFERS])
{
	int count = 0;
	for (int i = 0; i < n->nload + n->nstore; i++) {
		Buffer *b = i < n->nload ? n->load[i].buffer : n->store[i - n->nload].to.buffer;
		int k = 0;
		while (k < count && buffers[k] != b) k++;
		if (k == count) buffers[count++] = b;
	}
	return count;
}

static bool is_read(const Nest *n, const Buffer *b)
{
	for (int l = 0; l < n->nload; l++)
		if (n->load[l].buffer == b) return true;
	return false;
}

Machine nests_machine(Arena *a, Nest *n)
{
	Buffer *b[BUFFERS];
	int count = distinct(n, b);
	uint64_t random = hash_str(n->name);
	Machine m = {.memory = NEWS(a, double *, count), .seed = 7, .step = 3};
	for (int k = 0; k < count; k++) {
		b[k]->id = k;
		m.memory[k] = NEWS(a, double, b[k]->size);
		for (int64_t i = 0; i < b[k]->size; i++) {
			random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			int x = (int)(random >> 40) % 19;
			m.memory[k][i] = !is_read(n, b[k]) ? 99 : b[k]->type == TYPE_LABEL ? x % 3 : x - 9;
		}
	}
	return m;
}

Buffer *nests_buffer(const Nest *n, const char *as)
{
	Buffer *b[BUFFERS];
	int count = distinct(n, b);
	for (int k = 0; k < count; k++)
		if (!strcmp(b[k]->name, as)) return b[k];
	fail_msg("no buffer %s", as);
	return NULL;
}

double *nests_memory(const Nest *n, const Machine *m, const char *as)
{
	return m->memory[nests_buffer(n, as)->id];
}

Machine nests_copy(Arena *a, const Nest *n, const Machine *m)
{
	Buffer *b[BUFFERS];
	int count = distinct(n, b);
	Machine copy = *m;
	copy.memory = NEWS(a, double *, count);
	for (int k = 0; k < count; k++) {
		copy.memory[k] = NEWS(a, double, b[k]->size);
		memcpy(copy.memory[k], m->memory[k], (size_t)b[k]->size * sizeof(double));
	}
	return copy;
}

bool nests_equal(const Nest *n, const Machine *x, const Machine *y)
{
	Buffer *b[BUFFERS];
	int count = distinct(n, b);
	for (int k = 0; k < count; k++)
		for (int64_t i = 0; i < b[k]->size; i++) {
			double p = x->memory[k][i], q = y->memory[k][i];
			if (!(p == q || (isnan(p) && isnan(q)))) return false;
		}
	return true;
}

static Scheduled *build(Arena *a, const Nest *n, const char *text, const char **error)
{
	Schedule s;
	*error = nest_verify(a, n);
	if (!*error) *error = schedule_parse(a, n, text, &s);
	return *error ? NULL : tree_build(a, n, &s, error);
}

Scheduled *nests_schedule(Arena *a, const Nest *n, const char *text)
{
	const char *error;
	Scheduled *s = build(a, n, text, &error);
	if (!s) fail_msg("%s | %s: %s", n->name, text, error);
	error = check_all(a, s);
	if (error) fail_msg("%s | %s: %s", n->name, text, error);
	return s;
}

Scheduled *nests_same(Arena *a, Nest *n, const char *text)
{
	Scheduled *s = nests_schedule(a, n, text);
	Machine naive = nests_machine(a, n), tree = nests_copy(a, n, &naive);
	run_naive(n, &naive);
	run_tree(s, &tree);
	if (!nests_equal(n, &naive, &tree)) {
		Text t;
		text_init(&t, a);
		tree_print(s, &t);
		fail_msg("tree and nest differ: %s", t.data);
	}
	return s;
}

const char *nests_refusal(Arena *a, const Nest *n, const char *text)
{
	const char *error;
	if (build(a, n, text, &error)) fail_msg("%s | %s: should not build", n->name, text);
	return error;
}
