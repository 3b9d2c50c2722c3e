/* winograd: convolutions of stride 1 by fewer multiplications.
 *
 * Minimal filtering (Winograd 1980; Lavin and Gray, Fast Algorithms for Convolutional Neural
 * Networks, 2016): m outputs of a filter of r taps are
 *
 *   y = A' ((G g) * (B' d)),   d: m + r - 1 inputs, * element by element,
 *
 * which on images, a side at a time, takes m + r - 1 = 6 by 6 products for m by m outputs: F(4x4,
 * 3x3) a quarter of the plain convolution's, F(2x2, 5x5) 1/2.8. With x from tiles of 6x6 pixels
 * that overlap by r - 1, t numbering tiles, the steps are
 *
 *   F[a,oc,ic,kw] = sum over kh of G[a,kh] w[oc,ic,kh,kw]
 *   U[ab,oc,ic] = sum over kw of G[b,kw] F[a,oc,ic,kw]
 *   R[a,row,iw,ic] = sum over r of B[a,r] x[n,ic,m row + r - pad,iw]      row: of tiles
 *   V[ab,t,ic] = sum over s of B[b,s] R[a,row,m tw + s - pad,ic]
 *   M[ab,t,oc] = sum over ic of U[ab,oc,ic] V[ab,t,ic]                    36 contractions
 *   Z[a,row,m tw + j,oc] = sum over b of A[j,b] M[ab,t,oc]
 *   y[n,oc,m row + k,ow] = sum over a of A[k,a] Z[a,row,ow,oc]            and what was fused
 *
 * From R on they are a group: a few rows of tiles, or the tiles of a few images, go through all of
 * them before the next ones do, so that R, V, M and Z stay in the cache. F and U depend on weights
 * alone and go to `pack` in inference.
 *
 * Rounding. The rows of B, G and A (m = 4) add up, by absolute values, to at most 5.3, 1.4 and 8.2
 * a side; a rounding of V or M may so grow by some 10^2 in the worst case. Over many products the
 * errors average: outputs have twice the error of the plain sums' (128 channels, 8.5e-7 against
 * 4.3e-7 in L2). So it is for float alone.
 *
 * needs: maps are fused, nothing is laid out.  effect: steps of the above in place of a step whose
 * nest has that form and gains by it.  checked by: verify_groups and all that holds for nests. */
#include "internal.h"

enum { POINTS = WINOGRAD_POINTS, SIDES = 2 };

/* --- nests of that form -------------------------------------------------------------------- */

/* A convolution of stride 1, forward or by data. Dims and loads of the nest. */
typedef struct {
	const Nest *nest;
	int x, w;                         /* loads */
	int image, out, in;               /* dims */
	int side[SIDES], tap[SIDES];      /* dims */
	int tap_at[SIDES], out_at, in_at; /* positions in w */
	int64_t first[SIDES];             /* x's index is side + first + t, tap t counted upwards */
	int64_t lo[SIDES], hi[SIDES];     /* where x is there */
	bool turned[SIDES];
	int64_t taps;
} Found;

/* The dim that an index is, with factor 1; -1. */
static int plain_dim(const Index *at, bool offset)
{
	if (at->q != 1 || at->a.n != 1 || at->a.t[0].k != 1 || (at->a.c && !offset)) return -1;
	return at->a.t[0].var;
}

static bool find_side(Found *f, int s)
{
	const Nest *n = f->nest;
	const Affine *at = &n->load[f->x].at[2 + s].a;
	if (n->load[f->x].at[2 + s].q != 1 || at->n != 2) return false;
	int tap = n->dim[at->t[0].var].reduce ? 0 : 1;
	const Term *t = &at->t[tap], *o = &at->t[1 - tap];
	if (!n->dim[t->var].reduce || n->dim[o->var].reduce || o->k != 1) return false;
	if (t->k != 1 && t->k != -1) return false;
	f->side[s] = o->var;
	f->tap[s] = t->var;
	f->turned[s] = t->k < 0;
	f->first[s] = at->c - (t->k < 0 ? n->dim[t->var].extent - 1 : 0);
	f->lo[s] = 0;
	f->hi[s] = n->load[f->x].buffer->shape[2 + s];
	return true;
}

static bool find_guards(Found *f)
{
	for (int g = 0; g < f->nest->nguard; g++) {
		const Guard *guard = &f->nest->guard[g];
		int side = -1;
		if (guard->kind != GUARD_RANGE || guard->e[0].q != 1) return false;
		for (int s = 0; s < SIDES; s++)
			if (affine_same(&guard->e[0].a, &f->nest->load[f->x].at[2 + s].a)) side = s;
		if (side < 0) return false;
		f->lo[side] = MAX(f->lo[side], guard->lo);
		f->hi[side] = MIN(f->hi[side], guard->hi);
	}
	return true;
}

static bool find_weights(Found *f)
{
	const Nest *n = f->nest;
	f->out_at = f->in_at = f->tap_at[0] = f->tap_at[1] = -1;
	for (int i = 0; i < 4; i++) {
		int d = plain_dim(&n->load[f->w].at[i], false);
		if (d < 0) return false;
		if (d == f->in)
			f->in_at = i;
		else if (d == f->tap[0])
			f->tap_at[0] = i;
		else if (d == f->tap[1])
			f->tap_at[1] = i;
		else if (!n->dim[d].reduce)
			f->out = d, f->out_at = i;
	}
	return f->in_at >= 0 && f->out_at >= 0 && f->tap_at[0] >= 0 && f->tap_at[1] >= 0;
}

static bool find_with(Found *f, int x, int w)
{
	const Nest *n = f->nest;
	f->x = x;
	f->w = w;
	if (n->load[x].buffer->rank != 4 || n->load[w].buffer->rank != 4) return false;
	f->image = plain_dim(&n->load[x].at[0], false);
	f->in = plain_dim(&n->load[x].at[1], true);
	if (f->image < 0 || f->in < 0 || n->dim[f->image].reduce || !n->dim[f->in].reduce) return false;
	for (int s = 0; s < SIDES; s++)
		if (!find_side(f, s)) return false;
	if (!find_weights(f) || !find_guards(f)) return false;
	uint32_t known = UINT32_C(1) << f->image | UINT32_C(1) << f->out | UINT32_C(1) << f->in;
	for (int s = 0; s < SIDES; s++) known |= UINT32_C(1) << f->side[s] | UINT32_C(1) << f->tap[s];
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].extent > 1 && !(known >> d & 1)) return false;
	f->taps = n->dim[f->tap[0]].extent;
	return f->taps == n->dim[f->tap[1]].extent && (f->taps == 3 || f->taps == 5);
}

static bool find(const Nest *n, Found *f)
{
	Contraction c = contraction_of(n);
	*f = (Found){.nest = n};
	if (!c.is || n->acc[0].init != 0 || n->ordered || n->inplace) return false;
	return find_with(f, c.load[0], c.load[1]) || find_with(f, c.load[1], c.load[0]);
}

/* --- how tiles are grouped ----------------------------------------------------------------- */

/* Image (task*turns + turn)*images + i and row of tiles first + band*rows + t where there are
 * several blocks of images; else the image is i and the row first + (task*bands + band)*rows + t.
 */
typedef struct {
	int64_t m;                 /* outputs of a tile's side */
	int64_t first, high, wide; /* tiles: the first row, rows, columns */
	int64_t rest;         /* rows of pixels in the last row of tiles, where it is no whole one */
	int64_t images, rows; /* of a turn */
	int64_t tasks, turns, bands;
	bool over_images;
} Tiling;

static int64_t divisor_near(int64_t n, int64_t want)
{
	int64_t best = 1;
	for (int64_t d = 1; d <= n; d++)
		if (n % d == 0 && d <= want) best = d;
	return best;
}

/* Bytes of R, V, M and Z for one turn. */
static int64_t turn_bytes(const Found *f, const Tiling *t)
{
	int64_t in = f->nest->dim[f->in].extent, out = f->nest->dim[f->out].extent;
	int64_t rows = t->images * t->rows;
	return 4 * POINTS * rows *
	       (in * f->hi[1] + out * t->wide * t->m + POINTS * t->wide * (in + out));
}

enum { TILES = 36 };

/* Some 32 tiles a turn: enough for registers and for each use of U to pay, few enough to stay near.
 * Up to eight tasks, each with memory of its own. */
static Tiling tiling_of(const Found *f, int64_t first, int64_t high)
{
	enum { TASKS = 8, MEMORY = 8 << 20 };
	const Nest *n = f->nest;
	int64_t images = n->dim[f->image].extent, m = POINTS + 1 - f->taps;
	int64_t height = n->dim[f->side[0]].extent, width = n->dim[f->side[1]].extent;
	Tiling t = {.m = m, .first = first, .high = high, .wide = (width + m - 1) / m};
	if ((first + high) * m > height) t.rest = height % m;
	t.rows = t.rest ? high : divisor_near(high, MAX(TILES / t.wide, 1));
	if (2 * t.rows * t.wide < TILES) t.rows = high;
	t.images = 1;
	if (t.rows == high) t.images = divisor_near(images, MAX(TILES / (high * t.wide), 1));
	int64_t blocks = images / t.images, bands = high / t.rows;
	int64_t tasks = MIN(TASKS, MAX(MEMORY / turn_bytes(f, &t), 1));
	t.over_images = blocks > 1;
	if (!t.over_images) t.images = images;
	t.tasks = divisor_near(t.over_images ? blocks : bands, tasks);
	t.turns = t.over_images ? blocks / t.tasks : 1;
	t.bands = t.over_images ? bands : bands / t.tasks;
	return t;
}

/* Multiply-adds, and what else costs as much time as so many of them: transforms, and weights that
 * come from afar. */
static bool pays(const Found *f, const Tiling *t)
{
	enum { TRANSFORM = 330, NEAR = 400 * 1024, AFAR = 2, LEAST = 16 };
	const Nest *n = f->nest;
	double in = (double)n->dim[f->in].extent, out = (double)n->dim[f->out].extent;
	double pixels = (double)n->dim[f->side[0]].extent * (double)n->dim[f->side[1]].extent;
	double taps = (double)(f->taps * f->taps), images = (double)n->dim[f->image].extent;
	double turns = (double)(t->tasks * t->turns * t->bands), points = POINTS * POINTS;
	double tiles = images * (double)(t->high * t->wide);
	double weights = 4 * points * in * out, plain_weights = 4 * taps * in * out;
	if (in < LEAST || out < LEAST) return false;
	double plain =
	    images * pixels * taps * in * out + (plain_weights > NEAR) * AFAR * plain_weights;
	double fast = tiles * (points * in * out + TRANSFORM * (in + out)) +
	              turns * (weights > NEAR) * AFAR * weights;
	return fast * 5 < plain * 4;
}

/* --- the steps ----------------------------------------------------------------------------- */

typedef struct {
	Arena *arena;
	Part *part;
	int at; /* where the next step goes */
	Step *step;
	Found f;
	Tiling t;
	int group;
	Matrix input, output, filter[SIDES];
	Buffer *filters, *weights, *rows, *tiles, *products, *columns;
} Winograd;

static int64_t extent(const Winograd *w, int d) { return w->f.nest->dim[d].extent; }

static Buffer *made(
    Winograd *w, const char *layout, int rank, const int64_t *shape, uint32_t folded)
{
	const char *name = w->f.nest->layer ? w->f.nest->layer : "winograd";
	Buffer *b = part_buffer(w->arena, w->part, name, TYPE_REAL, rank, shape, PLACE_WORK);
	b->folded = folded;
	if (!buffer_layout(b, layout, 0)) bug("layout '%s' does not fit", layout);
	b->laid = true;
	return b;
}

/* A buffer with a dim for the tasks and one, left out of its layout, for the turns. */
static Buffer *turned(Winograd *w, const char *layout, int rank, const int64_t *shape)
{
	enum { TURNS = 1 };
	int64_t all[BUFFER_RANK] = {w->t.tasks, w->t.turns * w->t.bands};
	for (int d = 0; d < rank; d++) all[2 + d] = shape[d];
	bool folds = all[TURNS] > 1;
	layout = arena_printf(w->arena, "%s %s", folds ? "a" : "a b", layout);
	return made(w, layout, 2 + rank, all, (uint32_t)folds << TURNS);
}

static void make_buffers(Winograd *w)
{
	const Tiling *t = &w->t;
	int64_t in = extent(w, w->f.in), out = extent(w, w->f.out), all = POINTS * POINTS;
	int64_t rows = t->images * t->rows, tiles = rows * t->wide;
	w->rows = turned(w, "c f/16 d e f%16", 4, (int64_t[]){POINTS, rows, w->f.hi[1], in});
	w->tiles = turned(w, "c e/16 d e%16", 3, (int64_t[]){all, tiles, in});
	w->products = turned(w, "c e/16 d e%16", 3, (int64_t[]){all, tiles, out});
	w->columns = turned(w, "c f/16 d e f%16", 4, (int64_t[]){POINTS, rows, t->wide * t->m, out});
}

static Nest *begin(Winograd *w, const char *name)
{
	Nest *n = nest_new(w->arena, name);
	n->layer = w->f.nest->layer;
	n->where = w->f.nest->where;
	return n;
}

/* The joined dims come first. */
static Nest *begin_turn(Winograd *w, const char *name)
{
	Nest *n = begin(w, name);
	nest_dim(n, "task", w->t.tasks, false);
	nest_dim(n, "turn", w->t.turns, false);
	nest_dim(n, "band", w->t.bands, false);
	n->join = w->group ? 3 : 0;
	return n;
}

enum { TASK, TURN, BAND };

static void put(Winograd *w, Nest *n, int group, const char *what)
{
	const char *of = w->step->comment ? w->step->comment : n->name;
	part_insert(w->arena, w->part, w->at, n, arena_printf(w->arena, "%s: %s", of, what));
	w->part->step.at[w->at++].group = group;
}

static Affine mixed(int high, int64_t factor, int low)
{
	return affine_add(affine_scale(affine_var(high), factor), affine_var(low));
}

static Affine turn_of(const Winograd *w) { return mixed(TURN, w->t.bands, BAND); }

static Affine image_of(const Winograd *w, int i)
{
	if (!w->t.over_images) return affine_var(i);
	return affine_add(affine_scale(mixed(TASK, w->t.turns, TURN), w->t.images), affine_var(i));
}

static Affine row_of(const Winograd *w, Affine t)
{
	Affine band = w->t.over_images ? affine_var(BAND) : mixed(TASK, w->t.bands, BAND);
	return affine_plus(affine_add(affine_scale(band, w->t.rows), t), w->t.first);
}

/* acc += matrix[row][col] * x, where that is not 0. */
static Expr *transform(Winograd *w, Nest *n, const Matrix *m, int row, int col, int x)
{
	Arena *a = w->arena;
	nest_guard_mask(n, affine_var(row), affine_var(col), m->mask, m->cols);
	Expr *e =
	    e_op(a, E_MUL, e_table(a, m->at, m->cols, affine_var(row), affine_var(col)), e_load(a, x));
	return e_acc(a, nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e)));
}

#define VAR(d) index_of(affine_var(d))

static void put_weights(Winograd *w)
{
	const Found *f = &w->f;
	int64_t in = extent(w, f->in), out = extent(w, f->out);
	w->filters = made(w, "a b/16 c d b%16", 4, (int64_t[]){POINTS, out, in, f->taps}, 0);
	w->weights = made(w, "a b/16 c b%16", 3, (int64_t[]){POINTS * POINTS, out, in}, 0);
	Nest *n = begin(w, "wino_filter");
	Index at[4];
	int a = nest_dim(n, "a", POINTS, false), oc = nest_dim(n, "oc", out, false);
	int ic = nest_dim(n, "ic", in, false), kw = nest_dim(n, "kw", f->taps, false);
	int kh = nest_dim(n, "kh", f->taps, true);
	at[f->out_at] = VAR(oc);
	at[f->in_at] = VAR(ic);
	at[f->tap_at[0]] = VAR(kh);
	at[f->tap_at[1]] = VAR(kw);
	int x = nest_load(n, "w", f->nest->load[f->w].buffer, at);
	Affine to[] = {affine_var(a), affine_var(oc), affine_var(ic), affine_var(kw)};
	nest_store(n, "f", w->filters, to, transform(w, n, &w->filter[0], a, kh, x));
	put(w, n, 0, "filters, a side");

	n = begin(w, "wino_filter");
	a = nest_dim(n, "a", POINTS, false);
	int b = nest_dim(n, "b", POINTS, false);
	oc = nest_dim(n, "oc", out, false);
	ic = nest_dim(n, "ic", in, false);
	kw = nest_dim(n, "kw", f->taps, true);
	x = nest_load(n, "f", w->filters, (Index[]){VAR(a), VAR(oc), VAR(ic), VAR(kw)});
	Affine end[] = {mixed(a, POINTS, b), affine_var(oc), affine_var(ic)};
	nest_store(n, "u", w->weights, end, transform(w, n, &w->filter[1], b, kw, x));
	put(w, n, 0, "filters");
}

static void put_rows(Winograd *w)
{
	const Found *f = &w->f;
	const Access *from = &f->nest->load[f->x];
	Nest *n = begin_turn(w, "wino_rows");
	int a = nest_dim(n, "a", POINTS, false), i = nest_dim(n, "n", w->t.images, false);
	int t = nest_dim(n, "th", w->t.rows, false), iw = nest_dim(n, "iw", f->hi[1], false);
	int ic = nest_dim(n, "ic", extent(w, f->in), false), r = nest_dim(n, "r", POINTS, true);
	Affine ih = affine_scale(row_of(w, affine_var(t)), w->t.m);
	ih = affine_plus(affine_add(ih, affine_var(r)), f->first[0]);
	Affine channel = affine_plus(affine_var(ic), from->at[1].a.c);
	Index at[] = {index_of(image_of(w, i)), index_of(channel), index_of(ih), VAR(iw)};
	int x = nest_load(n, "x", from->buffer, at);
	nest_guard_range(n, index_of(ih), f->lo[0], f->hi[0]);
	Affine to[] = {affine_var(TASK), turn_of(w), affine_var(a), mixed(i, w->t.rows, t),
	    affine_var(iw), affine_var(ic)};
	nest_store(n, "r", w->rows, to, transform(w, n, &w->input, a, r, x));
	put(w, n, w->group, "input, rows");
}

static void put_columns(Winograd *w)
{
	const Found *f = &w->f;
	Nest *n = begin_turn(w, "wino_columns");
	int a = nest_dim(n, "a", POINTS, false), b = nest_dim(n, "b", POINTS, false);
	int row = nest_dim(n, "row", w->t.images * w->t.rows, false);
	int tw = nest_dim(n, "tw", w->t.wide, false);
	int ic = nest_dim(n, "ic", extent(w, f->in), false), s = nest_dim(n, "s", POINTS, true);
	Affine iw = affine_plus(mixed(tw, w->t.m, s), f->first[1]);
	Index at[] = {VAR(TASK), index_of(turn_of(w)), VAR(a), VAR(row), index_of(iw), VAR(ic)};
	int x = nest_load(n, "r", w->rows, at);
	nest_guard_range(n, index_of(iw), f->lo[1], f->hi[1]);
	Affine to[] = {affine_var(TASK), turn_of(w), mixed(a, POINTS, b), mixed(row, w->t.wide, tw),
	    affine_var(ic)};
	nest_store(n, "v", w->tiles, to, transform(w, n, &w->input, b, s, x));
	put(w, n, w->group, "input, columns");
}

static void put_products(Winograd *w)
{
	Arena *a = w->arena;
	Nest *n = begin_turn(w, "wino");
	int e = nest_dim(n, "e", POINTS * POINTS, false);
	int t = nest_dim(n, "t", w->t.images * w->t.rows * w->t.wide, false);
	int oc = nest_dim(n, "oc", extent(w, w->f.out), false);
	int ic = nest_dim(n, "ic", extent(w, w->f.in), true);
	int u = nest_load(n, "u", w->weights, (Index[]){VAR(e), VAR(oc), VAR(ic)});
	int v = nest_load(
	    n, "v", w->tiles, (Index[]){VAR(TASK), index_of(turn_of(w)), VAR(e), VAR(t), VAR(ic)});
	Expr *product = e_op(a, E_MUL, e_load(a, u), e_load(a, v));
	nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), product));
	Affine to[] = {affine_var(TASK), turn_of(w), affine_var(e), affine_var(t), affine_var(oc)};
	nest_store(n, "p", w->products, to, e_acc(a, 0));
	put(w, n, w->group, "products");
}

static void put_output_columns(Winograd *w)
{
	Nest *n = begin_turn(w, "wino_columns");
	int a = nest_dim(n, "a", POINTS, false);
	int row = nest_dim(n, "row", w->t.images * w->t.rows, false);
	int tw = nest_dim(n, "tw", w->t.wide, false), j = nest_dim(n, "j", w->t.m, false);
	int oc = nest_dim(n, "oc", extent(w, w->f.out), false), b = nest_dim(n, "b", POINTS, true);
	Index at[] = {VAR(TASK), index_of(turn_of(w)), index_of(mixed(a, POINTS, b)),
	    index_of(mixed(row, w->t.wide, tw)), VAR(oc)};
	int x = nest_load(n, "p", w->products, at);
	Affine to[] = {affine_var(TASK), turn_of(w), affine_var(a), affine_var(row),
	    mixed(tw, w->t.m, j), affine_var(oc)};
	nest_store(n, "z", w->columns, to, transform(w, n, &w->output, j, b, x));
	put(w, n, w->group, "output, columns");
}

/* --- the end: the convolution's own stores over other dims --------------------------------- */

typedef struct {
	Arena *arena;
	Affine of[NEST_DIMS]; /* the old nest's dims */
	int load[NEST_LOADS];
	Expr *sum;
} Rename;

static Expr *renamed_leaf(void *self, const Expr *e)
{
	Rename *r = self;
	if (e->kind == E_ACC) return r->sum;
	if (e->kind == E_LOAD) return e_load(r->arena, r->load[e->id]);
	if (e->kind != E_INDEX && e->kind != E_TABLE) return NULL;
	Expr *copy = NEW(r->arena, Expr);
	*copy = *e;
	for (int i = 0; i < 2; i++) copy->index[i] = affine_subst(&e->index[i], r->of);
	return copy;
}

static void rename_stores(Rename *r, const Nest *old, Nest *n)
{
	for (int l = 0; l < old->nload; l++) {
		const Access *x = &old->load[l];
		Index at[BUFFER_RANK];
		if (load_in_update(old, l)) continue;
		for (int i = 0; i < x->buffer->rank; i++)
			at[i] = (Index){affine_subst(&x->at[i].a, r->of), x->at[i].q};
		r->load[l] = nest_load(n, x->as, x->buffer, at);
	}
	for (int k = 0; k < old->nstore; k++) {
		const Access *x = &old->store[k].to;
		Affine at[BUFFER_RANK];
		for (int i = 0; i < x->buffer->rank; i++) at[i] = affine_subst(&x->at[i].a, r->of);
		nest_store(
		    n, x->as, x->buffer, at, expr_rewrite(r->arena, old->store[k].value, renamed_leaf, r));
	}
}

/* Rows of tiles from `first` on, of each the first `high` rows of pixels. */
static void put_output_rows(Winograd *w, int64_t first, int64_t rows, int64_t high)
{
	const Found *f = &w->f;
	Nest *n = begin_turn(w, "wino_rows");
	int i = nest_dim(n, "n", w->t.images, false), t = nest_dim(n, "th", rows, false);
	int k = nest_dim(n, "k", high, false);
	int ow = nest_dim(n, "ow", extent(w, f->side[1]), false);
	int oc = nest_dim(n, "oc", extent(w, f->out), false), a = nest_dim(n, "a", POINTS, true);
	Affine row = affine_plus(affine_var(t), first);
	Affine tile = affine_add(affine_scale(affine_var(i), w->t.rows), row);
	Index at[] = {VAR(TASK), index_of(turn_of(w)), VAR(a), index_of(tile), VAR(ow), VAR(oc)};
	int x = nest_load(n, "z", w->columns, at);
	Rename r = {.arena = w->arena, .sum = transform(w, n, &w->output, k, a, x)};
	r.of[f->image] = image_of(w, i);
	r.of[f->out] = affine_var(oc);
	r.of[f->side[0]] = affine_add(affine_scale(row_of(w, row), w->t.m), affine_var(k));
	r.of[f->side[1]] = affine_var(ow);
	rename_stores(&r, f->nest, n);
	put(w, n, w->group, "output, rows");
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
	int taps = (int)w->f.taps;
	w->input = winograd_input(w->arena);
	w->output = winograd_output(w->arena, POINTS + 1 - taps);
	for (int s = 0; s < SIDES; s++) w->filter[s] = winograd_filter(w->arena, taps, w->f.turned[s]);
}

static void put_tiles(Winograd *w, Tiling t, int *groups)
{
	w->t = t;
	w->group = t.tasks * t.turns * t.bands > 1 ? ++*groups : 0;
	make_buffers(w);
	put_rows(w);
	put_columns(w);
	put_products(w);
	put_output_columns(w);
	put_output(w);
}

/* false: plain is better. A last row of tiles that is no whole one is a group of its own where the
 * others are many. */
static bool replace(Winograd *w, int *groups)
{
	Found *f = &w->f;
	int64_t m = POINTS + 1 - f->taps, height = f->nest->dim[f->side[0]].extent;
	int64_t high = (height + m - 1) / m;
	Tiling all = tiling_of(f, 0, high), last = all;
	bool parted = all.rest && high * all.wide > 2 * TILES;
	if (parted) {
		last = tiling_of(f, high - 1, 1);
		all = tiling_of(f, 0, high - 1);
	}
	if (!pays(f, &all)) return false;
	Step old = w->part->step.at[w->at];
	w->step = &old;
	make_matrices(w);
	put_weights(w);
	put_tiles(w, all, groups);
	if (parted) put_tiles(w, last, groups);
	part_remove(w->part, w->at);
	return true;
}

void winograd_part(Arena *a, Part *p)
{
	int groups = 0;
	for (int s = 0; s < p->step.n; s++) {
		Winograd w = {.arena = a, .part = p, .at = s};
		if (find(p->step.at[s].nest, &w.f) && replace(&w, &groups)) s = w.at - 1;
	}
}
