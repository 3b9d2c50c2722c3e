/* winograd_turn: how tiles are grouped into turns, and the steps of a turn that all directions
 * share. */
#include "winograd.h"

Matrix winograd_matrix(Winograd *w, MatrixKind kind, bool turned)
{
	int points = (int)w->f.points, taps = (int)w->f.taps;
	int key[] = {(int)kind, points, taps, turned};
	Matrix *m = map_get(w->matrices, key, sizeof key);
	if (m) return *m;
	m = NEW(w->arena, Matrix);
	*m = winograd_make_matrix(w->arena, kind, points, taps, turned);
	map_put(w->matrices, key, sizeof key, m);
	return *m;
}

int64_t winograd_extent(const Winograd *w, int dim) { return w->f.nest->dim[dim].extent; }

int64_t winograd_divisor(int64_t n, int64_t want)
{
	int64_t best = 1;
	for (int64_t d = 1; d <= n; d++)
		if (n % d == 0 && d <= want) best = d;
	return best;
}

/* Of n turns so many at once, `most` if memory decides: four, six or eight, which threads share
 * evenly; else nine or more, of which one thread may have one more than another; else what there
 * is below. */
static int64_t tasks_of(int64_t n, int64_t most)
{
	enum { LEAST = 4, TASKS = 8, MANY = 32 };
	for (int64_t d = MIN(TASKS, most); d >= LEAST; d--)
		if (n % d == 0 && d % 2 == 0) return d;
	for (int64_t d = TASKS + 1; d <= MIN(MANY, most); d++)
		if (n % d == 0) return d;
	return winograd_divisor(n, MIN(TASKS, most));
}

int64_t winograd_bytes(const Found *f, const Tiling *t)
{
	int64_t in = f->nest->dim[f->in].extent, out = f->nest->dim[f->out].extent;
	int64_t rows = t->images * t->rows;
	return 4 * f->points * rows *
	       (in * f->hi[1] + out * t->wide * t->m + f->points * t->wide * (in + out));
}

Tiling winograd_tiling(
    const Found *f, int64_t first, int64_t high, int64_t tiles, int64_t memory, int64_t least)
{
	const Nest *n = f->nest;
	int64_t images = n->dim[f->image].extent, m = f->points + 1 - f->taps;
	int64_t height = n->dim[f->side[0]].extent, width = n->dim[f->side[1]].extent;
	Tiling t = {.m = m, .first = first, .high = high, .wide = (width + m - 1) / m};
	if ((first + high) * m > height) t.rest = height % m;
	bool whole = t.rest && !f->by_weights; /* a row of tiles that differs is written apart */
	t.rows = whole ? high : winograd_divisor(high, MAX(tiles / t.wide, 1));
	if (2 * t.rows * t.wide < tiles) t.rows = high;
	t.images = 1;
	if (t.rows == high) t.images = winograd_divisor(images, MAX(tiles / (high * t.wide), 1));
	int64_t blocks = images / t.images, bands = high / t.rows;
	int64_t most = MAX(memory / winograd_bytes(f, &t), least);
	t.over_images = blocks > 1;
	if (!t.over_images) t.images = images;
	t.tasks = tasks_of(t.over_images ? blocks : bands, most);
	t.turns = t.over_images ? blocks / t.tasks : 1;
	t.bands = t.over_images ? bands : bands / t.tasks;
	return t;
}

bool winograd_channel_turns(const Winograd *w, int64_t block, int64_t tiles, Tiling *t)
{
	enum { NEAR = 768 << 10, MEMORY = 6 << 20, LEAST = 4 };
	int64_t out = winograd_extent(w, w->f.out), blocks = out / CHANNEL_BLOCK, part, tasks;
	if (out % CHANNEL_BLOCK) return false;
	int64_t near = MAX(NEAR / block, 1), most = MAX(near, MIN(tiles / block, blocks / LEAST));
	do {
		part = winograd_divisor(blocks, most);
		tasks = tasks_of(blocks / part, MAX(MEMORY / (block * part), LEAST));
		most = part - 1;
	} while (part > 1 && tasks < LEAST);
	t->tasks = tasks;
	t->turns = blocks / part / tasks;
	t->bands = 1;
	t->channels = part * CHANNEL_BLOCK;
	return true;
}

/* --- buffers and nests --------------------------------------------------------------------- */

Buffer *winograd_buffer(
    Winograd *w, const char *layout, int rank, const int64_t *shape, uint32_t folded)
{
	const char *name = w->f.nest->layer ? w->f.nest->layer : "winograd";
	Buffer *b = part_buffer(w->arena, w->part, name, TYPE_REAL, rank, shape, PLACE_WORK);
	b->folded = folded;
	if (!buffer_layout(b, layout, 0)) bug("layout '%s' does not fit", layout);
	b->laid = true;
	return b;
}

Buffer *winograd_turned(Winograd *w, const char *layout, int rank, const int64_t *shape)
{
	enum { TURNS = 1 };
	int64_t all[BUFFER_RANK] = {w->t.tasks, w->t.turns * w->t.bands};
	for (int d = 0; d < rank; d++) all[2 + d] = shape[d];
	bool folds = all[TURNS] > 1;
	layout = arena_printf(w->arena, "%s %s", folds ? "a" : "a b", layout);
	return winograd_buffer(w, layout, 2 + rank, all, (uint32_t)folds << TURNS);
}

void winograd_begin_group(Winograd *w, Tiling t, int *groups)
{
	w->t = t;
	w->group = t.tasks * t.turns * t.bands > 1 ? ++*groups : 0;
}

Nest *winograd_begin_turn(Winograd *w, const char *name)
{
	Nest *n = nest_part(w->arena, w->f.nest, name);
	nest_dim(n, "task", w->t.tasks, false);
	nest_dim(n, "turn", w->t.turns, false);
	nest_dim(n, "band", w->t.bands, false);
	n->join = w->group ? 3 : 0;
	return n;
}

void winograd_put(Winograd *w, Nest *n, const char *what)
{
	const char *of = w->step->comment ? w->step->comment : n->name;
	part_insert(w->arena, w->part, w->at, n, arena_printf(w->arena, "%s: %s", of, what));
	w->part->step.at[w->at++].group = n->join ? w->group : 0;
}

/* --- where a turn is ----------------------------------------------------------------------- */

Affine winograd_mixed(int high, int64_t factor, int low)
{
	return affine_add(affine_scale(affine_var(high), factor), affine_var(low));
}

Affine winograd_turn(const Winograd *w) { return winograd_mixed(TURN, w->t.bands, BAND); }

Affine winograd_image(const Winograd *w, int i)
{
	if (!w->t.over_images) return affine_var(i);
	Affine block = winograd_mixed(TASK, w->t.turns, TURN);
	return affine_add(affine_scale(block, w->t.images), affine_var(i));
}

Affine winograd_row(const Winograd *w, Affine t)
{
	if (w->t.channels) return affine_plus(t, w->t.first);
	Affine band = w->t.over_images ? affine_var(BAND) : winograd_mixed(TASK, w->t.bands, BAND);
	return affine_plus(affine_add(affine_scale(band, w->t.rows), t), w->t.first);
}

int64_t winograd_channels(const Winograd *w)
{
	return w->t.channels ? w->t.channels : winograd_extent(w, w->f.out);
}

Affine winograd_channel(const Winograd *w, int oc)
{
	if (!w->t.channels) return affine_var(oc);
	Affine part = winograd_mixed(TASK, w->t.turns, TURN);
	return affine_add(affine_scale(part, w->t.channels), affine_var(oc));
}

/* --- transforms ---------------------------------------------------------------------------- */

Expr *winograd_transform(Winograd *w, Nest *n, const Matrix *m, int row, int col, int x)
{
	Arena *a = w->arena;
	nest_guard_mask(n, affine_var(row), affine_var(col), m->mask, m->cols);
	Expr *e =
	    e_op(a, E_MUL, e_table(a, m->at, m->cols, affine_var(row), affine_var(col)), e_load(a, x));
	return e_acc(a, nest_acc(n, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e)));
}

static void put_rows(Winograd *w, const Source *s)
{
	Nest *n = winograd_begin_turn(w, "wino_rows");
	int a = nest_dim(n, "a", w->f.points, false), i = nest_dim(n, "n", w->t.images, false);
	int t = nest_dim(n, "th", w->t.rows, false), iw = nest_dim(n, "iw", s->hi[1], false);
	int c = nest_dim(n, "c", s->channels, false), r = nest_dim(n, "r", s->matrix.cols, true);
	Affine ih = affine_scale(winograd_row(w, affine_var(t)), w->t.m);
	ih = affine_plus(affine_add(ih, affine_var(r)), s->first[0]);
	Affine channel = affine_plus(affine_var(c), s->from->at[1].a.c);
	Index at[] = {index_of(winograd_image(w, i)), index_of(channel), index_of(ih), VAR(iw)};
	int x = nest_load(n, "x", s->from->buffer, at);
	nest_guard_range(n, index_of(ih), s->lo[0], s->hi[0]);
	Affine to[] = {affine_var(TASK), winograd_turn(w), affine_var(a),
	    winograd_mixed(i, w->t.rows, t), affine_var(iw), affine_var(c)};
	nest_store(n, "r", s->rows, to, winograd_transform(w, n, &s->matrix, a, r, x));
	winograd_put(w, n, arena_printf(w->arena, "%s, rows", s->what));
}

static void put_columns(Winograd *w, const Source *s)
{
	Nest *n = winograd_begin_turn(w, "wino_columns");
	int a = nest_dim(n, "a", w->f.points, false), b = nest_dim(n, "b", w->f.points, false);
	int row = nest_dim(n, "row", w->t.images * w->t.rows, false);
	int tw = nest_dim(n, "tw", w->t.wide, false);
	int c = nest_dim(n, "c", s->channels, false), k = nest_dim(n, "s", s->matrix.cols, true);
	Affine iw = affine_plus(winograd_mixed(tw, w->t.m, k), s->first[1]);
	Index at[] = {VAR(TASK), index_of(winograd_turn(w)), VAR(a), VAR(row), index_of(iw), VAR(c)};
	int x = nest_load(n, "r", s->rows, at);
	nest_guard_range(n, index_of(iw), s->lo[1], s->hi[1]);
	Affine to[] = {affine_var(TASK), winograd_turn(w), winograd_mixed(a, w->f.points, b),
	    winograd_mixed(row, w->t.wide, tw), affine_var(c)};
	nest_store(n, "v", s->tiles, to, winograd_transform(w, n, &s->matrix, b, k, x));
	winograd_put(w, n, arena_printf(w->arena, "%s, columns", s->what));
}

void winograd_put_source(Winograd *w, const Source *s)
{
	put_rows(w, s);
	put_columns(w, s);
}

void winograd_source(Winograd *w, Source *s)
{
	int64_t rows = w->t.images * w->t.rows;
	int64_t lines[] = {w->f.points, rows, s->hi[1], s->channels};
	int64_t tiles[] = {w->f.points * w->f.points, rows * w->t.wide, s->channels};
	s->rows = winograd_turned(w, "f/16 d e c f%16", COUNT(lines), lines);
	s->tiles = winograd_turned(w, "c e/16 d e%16", COUNT(tiles), tiles);
}

Source winograd_images(Winograd *w)
{
	const Found *f = &w->f;
	Source s = {.from = &f->nest->load[f->x],
	    .what = "input",
	    .matrix = winograd_matrix(w, MATRIX_INPUT, false),
	    .channels = winograd_extent(w, f->in)};
	for (int k = 0; k < SIDES; k++) {
		s.first[k] = f->first[k];
		s.lo[k] = f->lo[k];
		s.hi[k] = f->hi[k];
	}
	winograd_source(w, &s);
	return s;
}

/* --- the end: the convolution's own stores over other dims --------------------------------- */

void winograd_stores(Winograd *w, Nest *n, Expr *sum, const Affine *of)
{
	Expr *const acc[] = {sum};
	nest_take_stores(n, w->f.nest, of, acc);
}
