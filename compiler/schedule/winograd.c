/* winograd: convolutions of stride 1 by fewer multiplications, forward and by data;
 * winograd_weights.c has those by weights.
 *
 * Minimal filtering (Winograd 1980; Lavin and Gray, Fast Algorithms for Convolutional Neural
 * Networks, 2016): m outputs of a filter of r taps are
 *
 *   y = A' ((G g) * (B' d)),   d: m + r - 1 inputs, * element by element,
 *
 * which on images, a side at a time, takes m + r - 1 = 6 by 6 products for m by m outputs: F(4x4,
 * 3x3) a quarter of the plain convolution's, F(2x2, 5x5) 1/2.8. F(2x2, 3x3) with 4 by 4 takes
 * 1/2.3, but its weights are 16/9 as many as the plain ones, not 4 times: one small image, whose
 * weights come from memory, is faster by it. With x from tiles of 6x6 pixels that overlap by r - 1,
 * t numbering tiles, the steps are
 *
 *   F[a,oc,ic,kw] = sum over kh of G[a,kh] w[oc,ic,kh,kw]
 *   U[ab,oc,ic] = sum over kw of G[b,kw] F[a,oc,ic,kw]
 *   R[a,row,iw,ic] = sum over r of B[a,r] x[n,ic,m row + r - pad,iw]      row: of tiles
 *   V[ab,t,ic] = sum over s of B[b,s] R[a,row,m tw + s - pad,ic]
 *   M[ab,t,oc] = sum over ic of U[ab,oc,ic] V[ab,t,ic]                    36, or 16
 *   Z[a,row,m tw + j,oc] = sum over b of A[j,b] M[ab,t,oc]
 *   y[n,oc,m row + k,ow] = sum over a of A[k,a] Z[a,row,ow,oc]            and what was fused
 *
 * From R on they are a group: a few rows of tiles, or the tiles of a few images, go through all of
 * them before the next ones do, so that R, V, M and Z stay in the cache; where U is large, fetching
 * it for each of them costs more, and all tiles go at once. F and U depend on weights alone and go
 * to `pack` in inference. Where they are made for one use and tiles are few, V is made
 * whole, and it is blocks of the outputs' channels that go through F, U, M and Z.
 *
 * Rounding. The rows of B, G and A (m = 4) add up, by absolute values, to at most 5.3, 1.4 and 8.2
 * a side; a rounding of V or M may so grow by some 10^2 in the worst case. Over many products the
 * errors average: outputs have twice the error of the plain sums' (128 channels, 8.5e-7 against
 * 4.3e-7 in L2). With four points the rows add up to at most 2, 1.5 and 3. So it is for float
 * alone.
 *
 * needs: maps are fused, nothing is laid out.  effect: steps of the above in place of a step whose
 * nest has that form and gains by it.  checked by: verify_groups and all that holds for nests. */
#include "winograd.h"

/* Costs are multiply-adds, and what else takes as much time as so many of them. Weights of so many
 * bytes that are read so many times: from some cache or, the first time, from memory, if `first`
 * bytes are there. */
static double fetch_cost(double bytes, double times, double first)
{
	enum { NEAR = 400 * 1024, AFAR = 2, FROM_MEMORY = 8 };
	return times * (bytes > NEAR) * AFAR * bytes + FROM_MEMORY * first;
}

static double extent_of(const Found *f, int dim) { return (double)f->nest->dim[dim].extent; }

static double plain_cost(const Winograd *w)
{
	const Found *f = &w->f;
	double taps = (double)(f->taps * f->taps), pairs = extent_of(f, f->in) * extent_of(f, f->out);
	double pixels = extent_of(f, f->side[0]) * extent_of(f, f->side[1]);
	double weights = 4 * taps * pairs;
	return extent_of(f, f->image) * pixels * taps * pairs +
	       fetch_cost(weights, 1, w->from_memory ? weights : 0);
}

/* Transforms are of each tile's points; filters are transformed where `pack` has not done it. */
static double fast_cost(const Winograd *w, const Tiling *t)
{
	enum { TRANSFORM = 9, MAKE = 4 };
	const Found *f = &w->f;
	bool packed = w->part->kind == ENTRY_INFER;
	double in = extent_of(f, f->in), out = extent_of(f, f->out);
	double points = (double)(f->points * f->points), taps = (double)(f->taps * f->taps);
	double turns = (double)(t->tasks * t->turns * t->bands);
	double tiles = extent_of(f, f->image) * (double)(t->high * t->wide);
	double read = 4 * (packed ? points : taps) * in * out;
	return tiles * points * (in * out + TRANSFORM * (in + out)) +
	       fetch_cost(4 * points * in * out, turns, w->from_memory ? read : 0) +
	       (packed ? 0 : MAKE * points * in * out);
}

/* --- the steps ----------------------------------------------------------------------------- */

static void make_buffers(Winograd *w)
{
	const Tiling *t = &w->t;
	int64_t out = winograd_channels(w), all = w->f.points * w->f.points;
	int64_t rows = t->images * t->rows;
	w->products = winograd_turned(w, "c e/16 d e%16", 3, (int64_t[]){all, rows * t->wide, out});
	w->columns = winograd_turned(
	    w, "f/16 d e c f%16", 4, (int64_t[]){w->f.points, rows, t->wide * t->m, out});
}

/* For the outputs of a turn. */
static void put_filters(Winograd *w)
{
	const Found *f = &w->f;
	int64_t in = winograd_extent(w, f->in), out = winograd_channels(w);
	w->filters = winograd_turned(w, "c d/16 e f d%16", 4, (int64_t[]){f->points, out, in, f->taps});
	Nest *n = winograd_begin_turn(w, "wino_filter");
	Index at[4];
	int a = nest_dim(n, "a", f->points, false), oc = nest_dim(n, "oc", out, false);
	int ic = nest_dim(n, "ic", in, false), kw = nest_dim(n, "kw", f->taps, false);
	int kh = nest_dim(n, "kh", f->taps, true);
	at[f->out_at] = index_of(winograd_channel(w, oc));
	at[f->in_at] = VAR(ic);
	at[f->tap_at[0]] = VAR(kh);
	at[f->tap_at[1]] = VAR(kw);
	int x = nest_load(n, "w", f->nest->load[f->other].buffer, at);
	Affine to[] = {affine_var(TASK), winograd_turn(w), affine_var(a), affine_var(oc),
	    affine_var(ic), affine_var(kw)};
	nest_store(n, "f", w->filters, to, winograd_transform(w, n, &w->filter[0], a, kh, x));
	winograd_put(w, n, "filters, a side");
}

static void put_weights(Winograd *w)
{
	int64_t in = winograd_extent(w, w->f.in), out = winograd_channels(w);
	put_filters(w);
	w->weights =
	    winograd_turned(w, "c d/16 e d%16", 3, (int64_t[]){w->f.points * w->f.points, out, in});
	Nest *n = winograd_begin_turn(w, "wino_filter");
	int a = nest_dim(n, "a", w->f.points, false), b = nest_dim(n, "b", w->f.points, false);
	int oc = nest_dim(n, "oc", out, false), ic = nest_dim(n, "ic", in, false);
	int kw = nest_dim(n, "kw", w->f.taps, true);
	int x = nest_load(n, "f", w->filters,
	    (Index[]){VAR(TASK), index_of(winograd_turn(w)), VAR(a), VAR(oc), VAR(ic), VAR(kw)});
	Affine to[] = {affine_var(TASK), winograd_turn(w), winograd_mixed(a, w->f.points, b),
	    affine_var(oc), affine_var(ic)};
	nest_store(n, "u", w->weights, to, winograd_transform(w, n, &w->filter[1], b, kw, x));
	winograd_put(w, n, "filters");
}

/* What is made before the group is there as a whole. */
static void put_products(Winograd *w)
{
	Arena *a = w->arena;
	Nest *n = winograd_begin_turn(w, "wino");
	int e = nest_dim(n, "e", w->f.points * w->f.points, false);
	int t = nest_dim(n, "t", w->t.images * w->t.rows * w->t.wide, false);
	int oc = nest_dim(n, "oc", winograd_channels(w), false);
	int ic = nest_dim(n, "ic", winograd_extent(w, w->f.in), true);
	Index whole = index_of(affine_number(0)), turn = index_of(winograd_turn(w));
	bool parted = w->t.channels;
	int u = nest_load(n, "u", w->weights,
	    (Index[]){parted ? VAR(TASK) : whole, parted ? turn : whole, VAR(e), VAR(oc), VAR(ic)});
	int v = nest_load(n, "v", w->x.tiles,
	    (Index[]){parted ? whole : VAR(TASK), parted ? whole : turn, VAR(e), VAR(t), VAR(ic)});
	Expr *product = e_op(a, E_MUL, e_load(a, u), e_load(a, v));
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), product));
	Affine to[] = {
	    affine_var(TASK), winograd_turn(w), affine_var(e), affine_var(t), affine_var(oc)};
	nest_store(n, "p", w->products, to, e_acc(a, 0));
	winograd_put(w, n, "products");
}

static void put_output_columns(Winograd *w)
{
	Nest *n = winograd_begin_turn(w, "wino_columns");
	int a = nest_dim(n, "a", w->f.points, false);
	int row = nest_dim(n, "row", w->t.images * w->t.rows, false);
	int tw = nest_dim(n, "tw", w->t.wide, false), j = nest_dim(n, "j", w->t.m, false);
	int oc = nest_dim(n, "oc", winograd_channels(w), false),
	    b = nest_dim(n, "b", w->f.points, true);
	Index at[] = {VAR(TASK), index_of(winograd_turn(w)),
	    index_of(winograd_mixed(a, w->f.points, b)), index_of(winograd_mixed(row, w->t.wide, tw)),
	    VAR(oc)};
	int x = nest_load(n, "p", w->products, at);
	Affine to[] = {affine_var(TASK), winograd_turn(w), affine_var(a), affine_var(row),
	    winograd_mixed(tw, w->t.m, j), affine_var(oc)};
	nest_store(n, "z", w->columns, to, winograd_transform(w, n, &w->output, j, b, x));
	winograd_put(w, n, "output, columns");
}

/* Rows of tiles from `first` on, of each the first `high` rows of pixels. */
static void put_output_rows(Winograd *w, int64_t first, int64_t rows, int64_t high)
{
	const Found *f = &w->f;
	Nest *n = winograd_begin_turn(w, "wino_rows");
	int i = nest_dim(n, "n", w->t.images, false), t = nest_dim(n, "th", rows, false);
	int k = nest_dim(n, "k", high, false);
	int ow = nest_dim(n, "ow", winograd_extent(w, f->side[1]), false);
	int oc = nest_dim(n, "oc", winograd_channels(w), false), a = nest_dim(n, "a", f->points, true);
	Affine row = affine_plus(affine_var(t), first);
	Affine tile = affine_add(affine_scale(affine_var(i), w->t.rows), row);
	Index at[] = {VAR(TASK), index_of(winograd_turn(w)), VAR(a), index_of(tile), VAR(ow), VAR(oc)};
	int x = nest_load(n, "z", w->columns, at);
	Affine of[NEST_DIMS] = {0};
	of[f->image] = winograd_image(w, i);
	of[f->out] = winograd_channel(w, oc);
	of[f->side[0]] = affine_add(affine_scale(winograd_row(w, row), w->t.m), affine_var(k));
	of[f->side[1]] = affine_var(ow);
	winograd_stores(w, n, winograd_transform(w, n, &w->output, k, a, x), of);
	winograd_put(w, n, "output, rows");
}

static void put_output(Winograd *w)
{
	int64_t whole = w->t.rest ? w->t.rows - 1 : w->t.rows;
	if (whole) put_output_rows(w, 0, whole, w->t.m);
	if (w->t.rest) put_output_rows(w, whole, 1, w->t.rest);
}

/* --- the whole ----------------------------------------------------------------------------- */

static void make_matrices(Winograd *w)
{
	w->output = winograd_matrix(w, MATRIX_OUTPUT, false);
	for (int s = 0; s < SIDES; s++)
		w->filter[s] = winograd_matrix(w, MATRIX_FILTER, w->f.turned[s]);
}

static void put_tiles(Winograd *w, Tiling t, int *groups)
{
	winograd_begin_group(w, t, groups);
	w->x = winograd_images(w);
	make_buffers(w);
	winograd_put_source(w, &w->x);
	put_products(w);
	put_output_columns(w);
	put_output(w);
}

enum { TILES = 36 };

/* All tiles in one turn. */
static Tiling whole_of(const Found *f, Tiling t)
{
	t.images = f->nest->dim[f->image].extent;
	t.rows = t.high;
	t.tasks = t.turns = t.bands = 1;
	t.over_images = false;
	return t;
}

/* Some 32 tiles a turn: enough for registers and for each use of U to pay, few enough to stay near.
 * Four tasks or more, each with memory of its own. Where U does not stay near, and turns would
 * fetch more of it than all tiles are, these are one turn. */
static Tiling tiling_of(const Found *f, int64_t first, int64_t high)
{
	enum { MEMORY = 8 << 20, LEAST = 4, NEAR = 1 << 20, WHOLE = 20 << 20 };
	const Nest *n = f->nest;
	int64_t in = n->dim[f->in].extent, out = n->dim[f->out].extent, all = f->points * f->points;
	Tiling t = winograd_tiling(f, first, high, TILES, MEMORY, LEAST);
	int64_t tiles = n->dim[f->image].extent * high * t.wide, turns = t.tasks * t.turns * t.bands;
	int64_t filters = 4 * all * in * out, bytes = 4 * all * (in + out) * tiles;
	return filters > NEAR && turns * filters > bytes && bytes <= WHOLE ? whole_of(f, t) : t;
}

/* Where the filters of all channels are larger than all tiles, and made for this one use, turns are
 * over channels: V of all tiles is made before the group, F and U are a turn's. */
static bool by_channels(Winograd *w, int64_t high, int *groups)
{
	enum { LEAST = 4 };
	const Found *f = &w->f;
	int64_t in = winograd_extent(w, f->in), out = winograd_extent(w, f->out);
	Tiling all = whole_of(f, tiling_of(f, 0, high));
	int64_t tiles = all.images * high * all.wide;
	int64_t block = 4 * CHANNEL_BLOCK * f->points *
	                ((f->points + f->taps) * in + f->points * tiles + all.m * tiles);
	Tiling turns = all;
	w->t = all;
	if (w->part->kind == ENTRY_INFER || tiles > out) return false;
	if (!winograd_channel_turns(w, block, 4 * f->points * f->points * tiles * in, &turns) ||
	    turns.tasks < LEAST)
		return false;
	make_matrices(w);
	w->group = 0;
	w->x = winograd_images(w);
	winograd_put_source(w, &w->x);
	winograd_begin_group(w, turns, groups);
	make_buffers(w);
	put_weights(w);
	put_products(w);
	put_output_columns(w);
	put_output(w);
	return true;
}

static int64_t rows_of_tiles(const Found *f)
{
	int64_t m = f->points + 1 - f->taps;
	return (f->nest->dim[f->side[0]].extent + m - 1) / m;
}

/* Tiles of fewer points multiply more, and have fewer weights and less rounding. false: plain is
 * better. */
static bool choose_points(Winograd *w)
{
	enum { LEAST = 16 };
	static const int8_t points[] = {MOST_POINTS, FEW_POINTS};
	double least = plain_cost(w) * 4 / 5;
	Found *f = &w->f;
	int64_t best = 0;
	if (extent_of(f, f->in) < LEAST || extent_of(f, f->out) < LEAST) return false;
	for (int i = 0; i < COUNT(points); i++) {
		f->points = points[i];
		if (f->points <= f->taps) continue;
		Tiling t = tiling_of(f, 0, rows_of_tiles(f));
		double cost = fast_cost(w, &t);
		if (cost >= least) continue;
		least = cost;
		best = f->points;
	}
	f->points = best;
	return best > 0;
}

/* false: plain is better. A last row of tiles that is no whole one is a group of its own where the
 * others are many. */
static bool by_tiles(Winograd *w, int *groups)
{
	Found *f = &w->f;
	if (!choose_points(w)) return false;
	int64_t high = rows_of_tiles(f);
	Tiling all = tiling_of(f, 0, high), last = all;
	bool parted = all.rest && high * all.wide > 2 * TILES;
	if (parted) {
		last = tiling_of(f, high - 1, 1);
		all = tiling_of(f, 0, high - 1);
	}
	if (by_channels(w, high, groups)) return true;
	make_matrices(w);
	winograd_begin_group(w, (Tiling){.tasks = 1, .turns = 1, .bands = 1}, groups);
	put_weights(w);
	put_tiles(w, all, groups);
	if (parted) put_tiles(w, last, groups);
	return true;
}

/* false: it stays as it is. */
static bool replace(Winograd *w, int *groups)
{
	Step old = w->part->step.at[w->at];
	w->step = &old;
	if (!(w->f.by_weights ? winograd_by_weights(w, groups) : by_tiles(w, groups))) return false;
	part_remove(w->part, w->at);
	return true;
}

/* Whether a network's weights are more than caches hold. */
static bool weights_are_far(const Part *p)
{
	enum { CACHES = 8 << 20 };
	int64_t bytes = 0;
	for (int i = 0; i < p->buffer.n; i++)
		if (p->buffer.at[i]->place == PLACE_VARS) bytes += 4 * p->buffer.at[i]->size;
	return bytes > CACHES;
}

void winograd_part(Arena *a, Part *p)
{
	int groups = 0;
	bool from_memory = weights_are_far(p);
	Map matrices;
	map_init(&matrices, a);
	for (int s = 0; s < p->step.n; s++) {
		Winograd w = {
		    .arena = a, .part = p, .matrices = &matrices, .at = s, .from_memory = from_memory};
		if (winograd_find(p->step.at[s].nest, &w.f) && replace(&w, &groups)) s = w.at - 1;
	}
}
