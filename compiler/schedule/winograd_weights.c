/* winograd_weights: gradients by weights of convolutions of stride 1, by fewer multiplications.
 *
 * Of a tile's m by m gradients dy and its 6 by 6 pixels x a convolution's gradient by its r taps
 * is a correlation with r outputs, m times r products a side. Its method follows from the forward
 * one, y = A' ((G g) * (B' d)): the sum of dy y is trilinear in dy, g and d,
 *
 *   sum over k of dy[k] y[k] = sum over points of (A dy) * (G g) * (B' d)
 *
 * and its derivative by g, with m + r - 1 = 6 products a side for m r, is
 *
 *   dg = G' ((A dy) * (B' d))
 *
 * summed over tiles t before G' is applied, once for each pair of channels:
 *
 *   V[ab,t,ic] of x as in winograd.c, D[ab,t,oc] of dy in the same two steps with A for B'
 *   M[ab,oc,ic] = sum over t of D[ab,t,oc] V[ab,t,ic]              36 contractions
 *   Z[a,oc,ic,kw] = sum over b of G[b,kw] M[ab,oc,ic]
 *   dw[oc,ic,kh,kw] = sum over a of G[a,kh] Z[a,oc,ic,kw]          and what was fused
 *
 * V and D are as large as x and dy times 36/m^2, M as the weights times 36/r^2. So there are two
 * forms. Where tiles are few, V and D are made whole, and M, Z and dw are a group over parts of the
 * outputs' channels. Where they are many, V, D and M are a group over tiles; each turn leaves an M,
 * and the sum of these is a step behind it. Tiles that go beyond dy read zeros there.
 *
 * Rounding: 8e-7 in L2 for 3x3 taps, 1.2e-6 for 5x5, where plain sums in parts have 1.7e-7. */
#include "winograd.h"

static int64_t tiles_of(const Found *f, const Tiling *t)
{
	return f->nest->dim[f->image].extent * t->high * t->wide;
}

enum { LEAVE = 16 }; /* tiles: what a turn's M costs, that is written and read */

/* As in winograd.c's: what is not multiplied, counted in multiply-adds of its time. Each turn
 * writes and reads an M, and for each pair of channels there is the way from M to the weights. */
static bool pays(const Found *f, const Tiling *t)
{
	enum { TRANSFORM = 330, END = 200, LEAST = 16 };
	const Nest *n = f->nest;
	double in = (double)n->dim[f->in].extent, out = (double)n->dim[f->out].extent;
	double pixels = (double)n->dim[f->image].extent * (double)n->dim[f->side[0]].extent *
	                (double)n->dim[f->side[1]].extent;
	double turns = (double)(t->tasks * t->turns * t->bands),
	       points = (double)(f->points * f->points);
	double tiles = (double)tiles_of(f, t);
	if (in < LEAST || out < LEAST) return false;
	double plain = pixels * (double)(f->taps * f->taps) * in * out;
	double fast = tiles * (points * in * out + TRANSFORM * (in + out)) +
	              in * out * (turns * points * LEAVE + END);
	return fast * 5 < plain * 4;
}

/* --- the steps ----------------------------------------------------------------------------- */

static Source gradients(Winograd *w)
{
	const Found *f = &w->f;
	Source s = {.from = &f->nest->load[f->other],
	    .what = "gradient",
	    .matrix = winograd_matrix(w, MATRIX_OUTPUT_BACK, false),
	    .channels = winograd_extent(w, f->out)};
	for (int k = 0; k < SIDES; k++) s.hi[k] = winograd_extent(w, f->side[k]);
	winograd_source(w, &s);
	return s;
}

static void put_products(Winograd *w, const Source *dy, bool over_tiles)
{
	Arena *a = w->arena;
	int64_t part = winograd_channels(w), all = w->f.points * w->f.points;
	Nest *n = winograd_begin_turn(w, "wino_sums");
	int e = nest_dim(n, "e", all, false), oc = nest_dim(n, "oc", part, false);
	int ic = nest_dim(n, "ic", w->x.channels, false);
	int t = nest_dim(n, "t", dy->tiles->shape[3], true);
	Index task = index_of(over_tiles ? affine_var(TASK) : affine_number(0));
	Index turn = index_of(over_tiles ? winograd_turn(w) : affine_number(0));
	Index out = index_of(winograd_channel(w, oc));
	int d = nest_load(n, "d", dy->tiles, (Index[]){task, turn, VAR(e), VAR(t), out});
	int v = nest_load(n, "v", w->x.tiles, (Index[]){task, turn, VAR(e), VAR(t), VAR(ic)});
	Expr *product = e_op(a, E_MUL, e_load(a, d), e_load(a, v));
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), product));
	Affine to[] = {
	    affine_var(TASK), winograd_turn(w), affine_var(e), affine_var(oc), affine_var(ic)};
	nest_store(n, "m", w->products, to, e_acc(a, 0));
	winograd_put(w, n, "products");
}

/* M of all turns becomes one. */
static void put_sum(Winograd *w, Buffer *m)
{
	Arena *a = w->arena;
	const int64_t *of = &m->shape[2];
	Nest *n = winograd_begin_turn(w, "wino_sum");
	w->products = winograd_turned(w, "c d e/16 e%16", 3, of);
	int e = nest_dim(n, "e", of[0], false), oc = nest_dim(n, "oc", of[1], false);
	int ic = nest_dim(n, "ic", of[2], false), task = nest_dim(n, "k", m->shape[0], true);
	int turn = nest_dim(n, "i", m->shape[1], true);
	int x = nest_load(n, "m", m, (Index[]){VAR(task), VAR(turn), VAR(e), VAR(oc), VAR(ic)});
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e_load(a, x)));
	Affine to[] = {
	    affine_var(TASK), affine_var(TURN), affine_var(e), affine_var(oc), affine_var(ic)};
	nest_store(n, "s", w->products, to, e_acc(a, 0));
	winograd_put(w, n, "sum");
}

static void put_columns(Winograd *w)
{
	int64_t part = winograd_channels(w), in = w->x.channels, taps = w->f.taps;
	w->columns = winograd_turned(w, "c d e/16 f e%16", 4, (int64_t[]){w->f.points, part, in, taps});
	Nest *n = winograd_begin_turn(w, "wino_columns");
	int a = nest_dim(n, "a", w->f.points, false), oc = nest_dim(n, "oc", part, false);
	int ic = nest_dim(n, "ic", in, false), kw = nest_dim(n, "kw", taps, false);
	int b = nest_dim(n, "b", w->f.points, true);
	Index at[] = {VAR(TASK), index_of(winograd_turn(w)),
	    index_of(winograd_mixed(a, w->f.points, b)), VAR(oc), VAR(ic)};
	int x = nest_load(n, "m", w->products, at);
	Affine to[] = {affine_var(TASK), winograd_turn(w), affine_var(a), affine_var(oc),
	    affine_var(ic), affine_var(kw)};
	nest_store(n, "z", w->columns, to, winograd_transform(w, n, &w->filter[1], kw, b, x));
	winograd_put(w, n, "weights, columns");
}

static void put_rows(Winograd *w)
{
	const Found *f = &w->f;
	Nest *n = winograd_begin_turn(w, "wino_rows");
	int oc = nest_dim(n, "oc", winograd_channels(w), false);
	int ic = nest_dim(n, "ic", w->x.channels, false), kh = nest_dim(n, "kh", f->taps, false);
	int kw = nest_dim(n, "kw", f->taps, false), a = nest_dim(n, "a", f->points, true);
	Index at[] = {VAR(TASK), index_of(winograd_turn(w)), VAR(a), VAR(oc), VAR(ic), VAR(kw)};
	int x = nest_load(n, "z", w->columns, at);
	Affine of[NEST_DIMS] = {0};
	of[f->out] = winograd_channel(w, oc);
	of[f->in] = affine_var(ic);
	of[f->tap[0]] = affine_var(kh);
	of[f->tap[1]] = affine_var(kw);
	winograd_stores(w, n, winograd_transform(w, n, &w->filter[0], kh, a, x), of);
	winograd_put(w, n, "weights, rows");
}

/* --- the whole ----------------------------------------------------------------------------- */

/* A dim for each of the turns over tiles, and nothing folded: what they leave is read behind them.
 */
static Buffer *left_products(Winograd *w)
{
	int64_t shape[] = {w->t.tasks, w->t.turns * w->t.bands, w->f.points * w->f.points,
	    winograd_extent(w, w->f.out), w->x.channels};
	return winograd_buffer(w, "a b c d e/16 e%16", COUNT(shape), shape, 0);
}

static void put_many(Winograd *w, int *groups)
{
	winograd_begin_group(w, w->t, groups);
	w->x = winograd_images(w);
	Source dy = gradients(w);
	w->products = left_products(w);
	winograd_put_source(w, &w->x);
	winograd_put_source(w, &dy);
	put_products(w, &dy, true);
	w->t = (Tiling){.tasks = 1, .turns = 1, .bands = 1};
	winograd_begin_group(w, w->t, groups);
	put_sum(w, w->products);
}

static void put_few(Winograd *w, int *groups)
{
	winograd_begin_group(w, w->t, groups);
	w->x = winograd_images(w);
	Source dy = gradients(w);
	winograd_put_source(w, &w->x);
	winograd_put_source(w, &dy);
	int64_t block = 4 * CHANNEL_BLOCK * w->f.points * (w->f.points + w->f.taps) * w->x.channels;
	int64_t read = 4 * w->f.points * w->f.points * w->x.channels * tiles_of(&w->f, &w->t);
	w->t = (Tiling){.tasks = 1, .turns = 1, .bands = 1};
	winograd_channel_turns(w, block, read, &w->t);
	winograd_begin_group(w, w->t, groups);
	int64_t shape[] = {w->f.points * w->f.points, winograd_channels(w), w->x.channels};
	w->products = winograd_turned(w, "c d e/16 e%16", COUNT(shape), shape);
	put_products(w, &dy, false);
}

/* Turns of some `tiles` tiles. Where rows of tiles do not part into bands of that size, there are
 * some more of them: what is beyond dy reads zeros. */
static Tiling tile_turns(const Found *f, int64_t tiles)
{
	enum { MEMORY = 16 << 20, LEAST = 4 };
	int64_t m = f->points + 1 - f->taps, best = 0, least = INT64_MAX;
	int64_t high = (f->nest->dim[f->side[0]].extent + m - 1) / m;
	int64_t wide = (f->nest->dim[f->side[1]].extent + m - 1) / m;
	for (int64_t rows = 1; rows <= high && (rows == 1 || rows * wide <= tiles * 5 / 4); rows++) {
		int64_t cost = (high + rows - 1) / rows * (rows * wide + LEAVE);
		if (cost > least) continue;
		least = cost;
		best = rows;
	}
	if (best < high) tiles = best * wide;
	return winograd_tiling(f, 0, (high + best - 1) / best * best, tiles, MEMORY, LEAST);
}

/* Tiles of a turn: with more of them V and D of LEAST tasks are larger, with less there are more M.
 */
static int64_t tiles_of_turn(const Found *f, int64_t tiles)
{
	enum { LEAST = 112, MOST = 224, STEP = 16, TASKS = 4 };
	int64_t in = f->nest->dim[f->in].extent, out = f->nest->dim[f->out].extent, turn = LEAST;
	while (turn < MOST && turn * turn * TASKS * (in + out) < tiles * in * out) turn += STEP;
	return turn;
}

bool winograd_by_weights(Winograd *w, int *groups)
{
	enum { FEW_TILES = 256 };
	const Found *f = &w->f;
	Tiling t = tile_turns(f, FEW_TILES);
	int64_t tiles = tiles_of(f, &t);
	if (tiles > FEW_TILES) t = tile_turns(f, tiles_of_turn(f, tiles));
	if (!pays(f, &t)) return false;
	w->t = t;
	for (int s = 0; s < SIDES; s++)
		w->filter[s] = winograd_matrix(w, MATRIX_FILTER_BACK, f->turned[s]);
	if (t.tasks * t.turns * t.bands > 1)
		put_many(w, groups);
	else
		put_few(w, groups);
	put_columns(w);
	put_rows(w);
	return true;
}
