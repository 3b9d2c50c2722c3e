/* emit_nests: the families of nests, small and ragged, as operators lower to them. Extents are
 * chosen so that no two dims agree and tiles do not divide them, nor vectors, where nothing is
 * padded. */
#include "emit_nests.h"

#include <math.h>

static Affine D(int var) { return affine_var(var); }
static Index I(Affine a) { return index_of(a); }

static Buffer *buffer(
    Arena *a, const char *name, const char *layout, int rank, const int64_t *shape)
{
	Buffer *b = buffer_new(a, name, TYPE_REAL, rank, shape);
	if (layout && !buffer_layout(b, layout, 0)) bug("layout %s", layout);
	return b;
}
#define BUFFER(a, name, layout, ...)                                                               \
	buffer(a, name, layout, COUNT(((int64_t[]){__VA_ARGS__})), (int64_t[]){__VA_ARGS__})
#define LOAD(n, as, b, ...) e_load(a, nest_load(n, as, b, (Index[]){__VA_ARGS__}))
#define STORE(n, as, b, value, ...) nest_store(n, as, b, (Affine[]){__VA_ARGS__}, value)

static Expr *add(Arena *a, Expr *x, Expr *y) { return e_op(a, E_ADD, x, y); }
static Expr *mul(Arena *a, Expr *x, Expr *y) { return e_op(a, E_MUL, x, y); }

/* input row or column of output o and tap k */
static Affine tap(const ConvShape *c, int o, int k)
{
	return affine_plus(affine_add(affine_scale(D(o), c->stride), D(k)), -c->pad);
}

static int64_t out_of(const ConvShape *c, int64_t in)
{
	return (in + 2 * c->pad - c->k) / c->stride + 1;
}

Nest *conv_nest(Arena *a, ConvShape c)
{
	Nest *n = nest_new(a, "conv");
	int64_t oh_ = out_of(&c, c.h), ow_ = out_of(&c, c.w), groups = c.groups ? c.groups : 1;
	int b = nest_dim(n, "n", c.n, false);
	int g = groups > 1 ? nest_dim(n, "g", groups, false) : -1;
	int oc = nest_dim(n, "oc", c.oc / groups, false);
	int oh = nest_dim(n, "oh", oh_, false), ow = nest_dim(n, "ow", ow_, false);
	int ic = nest_dim(n, "ic", c.ic / groups, true), kh = nest_dim(n, "kh", c.k, true);
	int kw = nest_dim(n, "kw", c.k, true);
	Buffer *x = BUFFER(a, "x", c.layout_x, c.n, c.ic, c.h, c.w);
	Buffer *w = BUFFER(a, "w", c.layout_w, c.oc, c.ic / groups, c.k, c.k);
	Buffer *y = BUFFER(a, "y", c.layout_y, c.n, c.into ? c.into : c.oc, oh_, ow_);
	Affine out = D(oc), in = D(ic);
	if (g >= 0) {
		out = affine_add(affine_scale(D(g), c.oc / groups), out);
		in = affine_add(affine_scale(D(g), c.ic / groups), in);
	}
	Affine ih = tap(&c, oh, kh), iw = tap(&c, ow, kw);
	Expr *vx = LOAD(n, "x", x, I(D(b)), I(in), I(ih), I(iw));
	Expr *vw = LOAD(n, "w", w, I(out), I(D(ic)), I(D(kh)), I(D(kw)));
	if (c.pad) nest_guard_range(n, I(ih), 0, c.h);
	if (c.pad) nest_guard_range(n, I(iw), 0, c.w);
	nest_acc(n, 0, COMBINE_SUM, add(a, e_acc(a, 0), mul(a, vw, vx)));
	Expr *e = e_acc(a, 0);
	if (c.bias) e = add(a, e, LOAD(n, "b", BUFFER(a, "b", NULL, c.oc), I(out)));
	if (c.residual) {
		Buffer *r = BUFFER(a, "r", c.layout_y, c.n, c.oc, oh_, ow_);
		e = add(a, e, LOAD(n, "r", r, I(D(b)), I(out), I(D(oh)), I(D(ow))));
	}
	if (c.inplace) e = add(a, e, LOAD(n, "y", y, I(D(b)), I(out), I(D(oh)), I(D(ow))));
	n->inplace = c.inplace;
	if (c.relu) e = e_op(a, E_MAX, e_num(a, 0), e);
	STORE(n, "y", y, e, D(b), affine_plus(out, c.at), D(oh), D(ow));
	return n;
}

#define B16 "a b/16 c d b%16"
#define W16 "a/16 b/16 c d b%16 a%16"

static Nest *conv_blocked(Arena *a)
{
	return conv_nest(a, (ConvShape){2, 16, 32, 5, 7, 3, 1, 1, 1, B16, W16, B16, .relu = true});
}

static Nest *conv_fused(Arena *a)
{
	Nest *n = conv_nest(
	    a, (ConvShape){1, 32, 16, 5, 7, 3, 1, 1, 1, B16, W16, B16, true, true, true, .at = 0});
	for (int l = 0; l < n->nload; l++) {
		n->load[l].prefetch = 4 * (l + 1);
		n->load[l].early = !strcmp(n->load[l].as, "r");
	}
	return n;
}

static Nest *conv_inplace(Arena *a)
{
	return conv_nest(
	    a, (ConvShape){1, 16, 32, 5, 7, 3, 1, 1, 1, B16, W16, B16, .relu = true, .inplace = true});
}

static Nest *conv_planar(Arena *a)
{
	return conv_nest(
	    a, (ConvShape){1, 3, 16, 13, 11, 7, 2, 3, 1, NULL, "a/16 b c d a%16", B16, .at = 0});
}

static Nest *conv_small(Arena *a)
{
	return conv_nest(a, (ConvShape){2, 3, 5, 7, 6, 3, 1, 1, 1, .bias = true});
}

static Nest *conv_columns(Arena *a)
{
	return conv_nest(a, (ConvShape){1, 3, 4, 6, 50, 3, 1, 0, 1, .layout_y = "a c d b"});
}

static Nest *conv_padded(Arena *a)
{
	return conv_nest(
	    a, (ConvShape){1, 3, 10, 5, 7, 3, 1, 1, 1, NULL, "a/16 b c d a%16", B16, .at = 0});
}

static Nest *conv_depthwise(Arena *a)
{
	return conv_nest(
	    a, (ConvShape){1, 16, 16, 6, 8, 3, 1, 1, 16, B16, "a/16 b c d a%16", B16, .bias = true});
}

static Nest *conv_concat(Arena *a)
{
	return conv_nest(
	    a, (ConvShape){1, 16, 16, 5, 7, 3, 1, 1, 1, B16, W16, B16, .into = 48, .at = 16});
}

/* dx[n,ic,ih,iw] = sum over oc, kh, kw of w dy at the exact quotients of the stride */
static Nest *conv_dx(Arena *a)
{
	Nest *n = nest_new(a, "conv_dx");
	int64_t s = 2, pad = 1;
	int b = nest_dim(n, "n", 1, false), ic = nest_dim(n, "ic", 16, false);
	int ih = nest_dim(n, "ih", 7, false), iw = nest_dim(n, "iw", 8, false);
	int oc = nest_dim(n, "oc", 16, true), kh = nest_dim(n, "kh", 3, true);
	int kw = nest_dim(n, "kw", 3, true);
	Buffer *dy = BUFFER(a, "dy", B16, 1, 16, 4, 4);
	Buffer *w = BUFFER(a, "w", "b/16 a/16 c d a%16 b%16", 16, 16, 3, 3);
	Buffer *dx = BUFFER(a, "dx", B16, 1, 16, 7, 8);
	Affine h = affine_plus(affine_sub(D(ih), D(kh)), pad);
	Affine v = affine_plus(affine_sub(D(iw), D(kw)), pad);
	Expr *vw = LOAD(n, "w", w, I(D(oc)), I(D(ic)), I(D(kh)), I(D(kw)));
	Expr *vy = LOAD(n, "dy", dy, I(D(b)), I(D(oc)), index_div(h, s), index_div(v, s));
	nest_guard_divides(n, h, s);
	nest_guard_divides(n, v, s);
	nest_guard_range(n, index_div(h, s), 0, 4);
	nest_guard_range(n, index_div(v, s), 0, 4);
	nest_acc(n, 0, COMBINE_SUM, add(a, e_acc(a, 0), mul(a, vw, vy)));
	STORE(n, "dx", dx, e_acc(a, 0), D(b), D(ic), D(ih), D(iw));
	return n;
}

/* dw[oc,ic,kh,kw] = sum over n, oh, ow of dy x */
static Nest *conv_dw(Arena *a)
{
	Nest *n = nest_new(a, "conv_dw");
	int oc = nest_dim(n, "oc", 16, false), ic = nest_dim(n, "ic", 16, false);
	int kh = nest_dim(n, "kh", 3, false), kw = nest_dim(n, "kw", 3, false);
	int b = nest_dim(n, "n", 2, true), oh = nest_dim(n, "oh", 5, true);
	int ow = nest_dim(n, "ow", 6, true);
	Buffer *x = BUFFER(a, "x", B16, 2, 16, 5, 6), *dy = BUFFER(a, "dy", B16, 2, 16, 5, 6);
	Buffer *dw = BUFFER(a, "dw", W16, 16, 16, 3, 3);
	Affine h = affine_plus(affine_add(D(oh), D(kh)), -1),
	       v = affine_plus(affine_add(D(ow), D(kw)), -1);
	Expr *vy = LOAD(n, "dy", dy, I(D(b)), I(D(oc)), I(D(oh)), I(D(ow)));
	Expr *vx = LOAD(n, "x", x, I(D(b)), I(D(ic)), I(h), I(v));
	nest_guard_range(n, I(h), 0, 5);
	nest_guard_range(n, I(v), 0, 6);
	nest_acc(n, 0, COMBINE_SUM, add(a, e_acc(a, 0), mul(a, vy, vx)));
	STORE(n, "dw", dw, e_acc(a, 0), D(oc), D(ic), D(kh), D(kw));
	return n;
}

static Nest *max_pool(Arena *a)
{
	Nest *n = nest_new(a, "max_pool");
	ConvShape c = {.k = 3, .stride = 2, .pad = 1};
	int b = nest_dim(n, "n", 1, false), ch = nest_dim(n, "c", 16, false);
	int oh = nest_dim(n, "oh", 4, false), ow = nest_dim(n, "ow", 5, false);
	int kh = nest_dim(n, "kh", 3, true), kw = nest_dim(n, "kw", 3, true);
	Buffer *x = BUFFER(a, "x", B16, 1, 16, 7, 9), *y = BUFFER(a, "y", B16, 1, 16, 4, 5);
	Buffer *arg = BUFFER(a, "arg", B16, 1, 16, 4, 5);
	Affine ih = tap(&c, oh, kh), iw = tap(&c, ow, kw);
	Expr *v = LOAD(n, "x", x, I(D(b)), I(D(ch)), I(ih), I(iw)), *m = e_acc(a, 0), *k = e_acc(a, 1);
	Expr *better = e_op(a, E_OR, e_op(a, E_GT, v, m), e_op(a, E_NE, v, v));
	Expr *taken = e_op(a, E_OR, better, e_op(a, E_EQ, k, e_num(a, -1)));
	nest_guard_range(n, I(ih), 0, 7);
	nest_guard_range(n, I(iw), 0, 9);
	nest_acc(n, -INFINITY, COMBINE_NONE, e_select(a, better, v, m));
	Expr *number = e_index(a, affine_add(affine_scale(D(kh), 3), D(kw)));
	nest_acc(n, -1, COMBINE_NONE, e_select(a, taken, number, k));
	n->ordered = true;
	STORE(n, "y", y, m, D(b), D(ch), D(oh), D(ow));
	STORE(n, "arg", arg, k, D(b), D(ch), D(oh), D(ow));
	return n;
}

/* y = x > b[c] ? max(2 x, r) : |x| - b[c]: selections, a row operand and shared parts */
static Nest *map_select(Arena *a)
{
	Nest *n = nest_new(a, "map");
	int c = nest_dim(n, "c", 32, false), p = nest_dim(n, "p", 13, false);
	Buffer *x = BUFFER(a, "x", "a/16 b a%16", 32, 13), *r = BUFFER(a, "r", "a/16 b a%16", 32, 13);
	Buffer *y = BUFFER(a, "y", "a/16 b a%16", 32, 13), *z = BUFFER(a, "z", "a/16 b a%16", 32, 13);
	Expr *v = LOAD(n, "x", x, I(D(c)), I(D(p))), *w = LOAD(n, "r", r, I(D(c)), I(D(p)));
	Expr *b = LOAD(n, "b", BUFFER(a, "b", NULL, 32), I(D(c)));
	Expr *twice = mul(a, e_num(a, 2), v), *size = e_op(a, E_SUB, e_call(a, FN_ABS, v, NULL), b);
	Expr *above = e_op(a, E_AND, e_op(a, E_GT, v, b), e_op(a, E_NE, w, e_num(a, 1)));
	Expr *e = e_select(a, above, e_op(a, E_MAX, twice, w), size);
	STORE(n, "y", y, e, D(c), D(p));
	STORE(n, "z", z, e_op(a, E_MIN, add(a, e, twice), size), D(c), D(p));
	return n;
}

static Nest *map_functions(Arena *a)
{
	Nest *n = nest_new(a, "map");
	int c = nest_dim(n, "c", 29, false), p = nest_dim(n, "p", 5, false);
	Buffer *x = BUFFER(a, "x", NULL, 5, 29), *y = BUFFER(a, "y", NULL, 5, 29);
	Expr *v = LOAD(n, "x", x, I(D(p)), I(D(c))), *size = e_call(a, FN_ABS, v, NULL);
	Expr *one = e_num(a, 1), *e = e_call(a, FN_EXP, v, NULL);
	e = e_op(a, E_DIV, e, add(a, one, e));
	e = add(a, e, e_call(a, FN_LOG, add(a, one, size), NULL));
	e = add(a, e, e_call(a, FN_SQRT, add(a, e_num(a, 2), size), NULL));
	e = add(a, e, e_call(a, FN_TANH, v, NULL));
	e = add(a, e, e_call(a, FN_POW, add(a, one, size), e_num(a, 0.75)));
	STORE(n, "y", y, e, D(p), D(c));
	return n;
}

/* sums of two kinds over rows: private accumulators, one of them a maximum */
static Nest *row_sums(Arena *a)
{
	Nest *n = nest_new(a, "row_sums");
	int r = nest_dim(n, "r", 5, false), c = nest_dim(n, "c", 61, true);
	Buffer *x = BUFFER(a, "x", NULL, 5, 61), *t = BUFFER(a, "t", NULL, 5, 61);
	Expr *v = LOAD(n, "x", x, I(D(r)), I(D(c))), *w = LOAD(n, "t", t, I(D(r)), I(D(c)));
	nest_acc(n, 0, COMBINE_SUM, add(a, e_acc(a, 0), mul(a, v, w)));
	nest_acc(n, -INFINITY, COMBINE_MAX, e_op(a, E_MAX, e_acc(a, 1), v));
	STORE(n, "s", BUFFER(a, "s", NULL, 5), e_acc(a, 0), D(r));
	STORE(n, "m", BUFFER(a, "m", NULL, 5), e_acc(a, 1), D(r));
	return n;
}

/* dz = z - (c == label[n]) */
static Nest *one_hot(Arena *a)
{
	Nest *n = nest_new(a, "one_hot");
	int b = nest_dim(n, "n", 15, false), c = nest_dim(n, "c", 7, false);
	Buffer *z = BUFFER(a, "z", NULL, 15, 7), *dz = BUFFER(a, "dz", NULL, 15, 7);
	Buffer *label = buffer_new(a, "label", TYPE_LABEL, 1, (int64_t[]){15});
	Expr *is = e_op(a, E_EQ, LOAD(n, "label", label, I(D(b))), e_index(a, D(c)));
	Expr *e = e_op(
	    a, E_SUB, LOAD(n, "z", z, I(D(b)), I(D(c))), e_select(a, is, e_num(a, 1), e_num(a, 0)));
	STORE(n, "dz", dz, e, D(b), D(c));
	return n;
}

static Nest *random_init(Arena *a)
{
	Nest *n = nest_new(a, "init");
	int i = nest_dim(n, "i", 45, false);
	Buffer *seed = buffer_new(a, "seed", TYPE_SEED, 1, (int64_t[]){2});
	int load = nest_load(n, "seed", seed, (Index[]){I(affine_number(0))});
	Expr *u = e_hash(a, load, UINT64_C(0x123456789abcdef0), affine_plus(affine_scale(D(i), 3), 5));
	STORE(n, "w", BUFFER(a, "w", NULL, 45), e_op(a, E_SUB, u, e_num(a, 0.5)), D(i));
	return n;
}

/* A step of Adam: in place, with parts that are the same for all elements. */
static Nest *adam(Arena *a)
{
	Nest *n = nest_new(a, "adam");
	int i = nest_dim(n, "i", 93, false);
	Buffer *w = BUFFER(a, "w", NULL, 93), *m = BUFFER(a, "m", NULL, 93),
	       *v = BUFFER(a, "v", NULL, 93);
	Expr *g = LOAD(n, "g", BUFFER(a, "g", NULL, 93), I(D(i))), *old = LOAD(n, "w", w, I(D(i)));
	Buffer *hyper = BUFFER(a, "hyper", NULL, 4);
	Expr *moment = LOAD(n, "m", m, I(D(i))), *square = LOAD(n, "v", v, I(D(i)));
	Expr *t = add(a, LOAD(n, "hyper", hyper, I(affine_number(3))), e_num(a, 7));
	Expr *fade = e_op(a, E_SUB, e_num(a, 1), e_call(a, FN_POW, e_num(a, 0.9), t));
	Expr *first = add(a, mul(a, e_num(a, 0.9), moment), mul(a, e_num(a, 0.1), g));
	Expr *second = add(a, mul(a, e_num(a, 0.99), e_call(a, FN_ABS, square, NULL)),
	    mul(a, e_num(a, 0.01), mul(a, g, g)));
	Expr *root = add(a, e_call(a, FN_SQRT, second, NULL), e_num(a, 0.5));
	Expr *rate = e_op(a, E_DIV, LOAD(n, "hyper", hyper, I(affine_number(0))), fade);
	STORE(n, "w", w, e_op(a, E_SUB, old, e_op(a, E_DIV, mul(a, rate, first), root)), D(i));
	STORE(n, "m", m, first, D(i));
	STORE(n, "v", v, second, D(i));
	n->inplace = true;
	return n;
}

/* rows of B^T x, constant coefficients, zeros left out by a mask: as Winograd's transforms */
static Nest *transform(Arena *a)
{
	static const double table[] = {4, 0, -5, 0, 1, 0, -4, -4, 1, 1, 0, 4, -4, -1, 1};
	static const uint8_t mask[] = {1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1};
	Nest *n = nest_new(a, "transform");
	int k = nest_dim(n, "k", 3, false), c = nest_dim(n, "c", 30, false),
	    i = nest_dim(n, "i", 5, true);
	Buffer *x = BUFFER(a, "x", NULL, 5, 30), *y = BUFFER(a, "y", NULL, 3, 30);
	Expr *term = mul(a, e_table(a, table, 5, D(k), D(i)), LOAD(n, "x", x, I(D(i)), I(D(c))));
	nest_guard_mask(n, D(k), D(i), mask, 5);
	nest_acc(n, 0, COMBINE_SUM, add(a, e_acc(a, 0), term));
	STORE(n, "y", y, e_acc(a, 0), D(k), D(c));
	return n;
}

static Nest *dense(Arena *a)
{
	Nest *n = nest_new(a, "dense");
	int b = nest_dim(n, "n", 15, false), oc = nest_dim(n, "oc", 5, false),
	    ic = nest_dim(n, "ic", 21, true);
	Buffer *x = BUFFER(a, "x", NULL, 15, 21), *w = BUFFER(a, "w", NULL, 5, 21);
	Expr *vx = LOAD(n, "x", x, I(D(b)), I(D(ic))), *vw = LOAD(n, "w", w, I(D(oc)), I(D(ic)));
	nest_acc(n, 0, COMBINE_SUM, add(a, e_acc(a, 0), mul(a, vx, vw)));
	STORE(n, "y", BUFFER(a, "y", NULL, 15, 5), e_acc(a, 0), D(b), D(oc));
	return n;
}

#define TILE " | reg ow | reg oc V | vec oc V"
#define TAPS " | kh | cut kw | ic 4 | unroll ic"

const NestCase nest_cases[] = {
    {"blocked", conv_blocked, "n | oh | tile ow 6 | oc 16" TILE " | ic 16" TAPS, NULL, false},
    {"blocked_par", conv_blocked,
        "par n | par oc 16 | par oh 2 | oh | tile ow 3" TILE " | ic 16" TAPS,
        "par n | par oc 16 | par oh 2 | oc 2 | oh | ow 3 | reg ow | reg oc | ic 16 | ic | kh | kw",
        false},
    {"chunked", conv_fused, "n | oc 16 | ic 16 | oh | tile ow 4" TILE TAPS,
        "n | oc 16 | oc | ic 16 | oh | tile ow 4 | reg ow | ic | kh | kw", false},
    {"inplace", conv_inplace, "n | oc 16 | oh | tile ow 4" TILE " | ic 16" TAPS, NULL, false},
    {"planar", conv_planar, "n | oc 16 | oh | tile ow 4" TILE " | ic | kh | cut kw", NULL, false},
    {"planar_unrolled", conv_planar, "n | oc 16 | oh | tile ow 4" TILE " | ic | kh | unroll kw",
        NULL, false},
    {"undecided", conv_small, "n | oc | oh | ow 3 | reg ow | ic | kh | kw", NULL, false},
    {"undecided_rows", conv_small, "par oc 2 | n | oh 2 | ow | reg oh | reg oc | ic | kh | kw",
        NULL, false},
    {"ragged_blocks", conv_small,
        "par oc 3 | par oh 3 | par ow 2 | n | oc | oh | ow | ic | kh | kw", NULL, false},
    {"taps_outside", conv_small, "n | oc | oh | ow 2 | reg ow | kw | kh | unroll ic", NULL, false},
    {"columns", conv_columns, "n | oh 2 | ow V | reg oh | reg oc | vec ow V | ic | kh | unroll kw",
        "n | oh | ow 5 | reg ow | reg oc | ic | kh | unroll kw", false},
    {"padded", conv_padded, "pad oc 16 | n | oc 16 | oh | tile ow 3" TILE " | ic | kh | cut kw",
        NULL, false},
    {"depthwise", conv_depthwise, "n | g V | oh | tile ow 4 | reg ow | vec g V | kh | cut kw", NULL,
        false},
    {"concat", conv_concat,
        "n | oc 16 | oh | tile ow 3 | reg oc V | reg ow | vec oc V | ic 16" TAPS, NULL, false},
    {"by_data", conv_dx,
        "n | phase ih 2 | phase iw 2 | ic 16 | ih | tile iw 3 | reg iw | reg ic V | vec ic V"
        " | oc 8 | phase kh 2 | kh | phase kw 2 | cut kw | oc 4 | unroll oc",
        NULL, false},
    {"by_data_asked", conv_dx,
        "par ih 3 | n | iw | ic 16 | ih | reg ic V | vec ic V | oc | kh | kw",
        "n | ic | ih | iw | oc | kh | kw", false},
    {"by_data_half", conv_dx,
        "n | phase ih 2 | ic 16 | ih | iw 3 | reg iw | reg ic V | vec ic V"
        " | oc 8 | phase kh 2 | kh | cut kw | oc 4 | unroll oc",
        "ic | n | ih 2 | iw | reg ih | oc | kh | unroll kw", false},
    {"by_weights", conv_dw,
        "par oc 16 | n | oh 2 | ic 3 | kh | reg kw | reg ic | reg oc V | vec oc V"
        " | oh | cut ow",
        NULL, false},
    {"max_pool", max_pool, "n | c V | oh | tile ow 2 | reg ow | vec c V | kh | unroll kw", NULL,
        false},
    {"max_pool_cut", max_pool, "n | c V | oh | tile ow 2 | reg ow | vec c V | kh | cut kw",
        "n | c | oh | ow | kh | kw", false},
    {"map", map_select, "par c 16 | p 4 | reg p | reg c V | vec c V", "c 16 | c | p", false},
    {"map_functions", map_functions, "p | c V | vec c V", "p | c", true},
    {"row_sums", row_sums, "r 2 | reg r | reg c V | vec c V | c", "r | reg c 4 | c", false},
    {"row_sums_lanes", row_sums, "r | c V | vec c V", "r | c 5 | c", false},
    {"row_sums_split", row_sums, "r | c 32 | reg c V | vec c V", "r | c 16 | reg c 4 | c", false},
    {"one_hot", one_hot, "n | c", NULL, false},
    {"one_hot_lanes", one_hot, "n V | c 3 | reg c | vec n V", NULL, false},
    {"random", random_init, "par i 16 | i", NULL, true},
    {"random_lanes", random_init, "i V | vec i V", "i 5 | reg i", true},
    {"adam", adam, "i V | vec i V", "i", true},
    {"transform", transform, "c V | reg k | vec c V | unroll i", "c | reg k | unroll i", false},
    {"dense_lanes", dense, "n V | oc 3 | reg oc | vec n V | ic 4 | unroll ic", NULL, false},
};
const int nest_case_count = COUNT(nest_cases);
