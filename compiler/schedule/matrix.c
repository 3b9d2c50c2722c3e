/* matrix: weights that are a matrix stay where the user has them.
 *
 * A dense layer and its gradients are products of a matrix W, rows of which lie one after the
 * other, and a few images. Training changes W in every step: a copy in another layout would be made
 * for a single use, and takes longer than the product. So it is the images that are copied, where a
 * product wants them otherwise. Lanes run along the columns of W:
 *
 *   y[n,r] = sum over c of W[r,c] x[n,c]     parts of the sum in each lane
 *   x[n,c] = sum over r of W[r,c] y[n,r]     lanes of what is stored
 *   W[r,c] = sum over n of y[n,r] x[n,c]     lanes of what is stored
 *
 * or, in the first with enough of them, along images, which then lie side by side.
 *
 * needs: a part that trains; buffers without layout.
 * effect: columns that are several dims, as an image's c*36 + h*6 + w, are one; images of a turned
 * product are turned before it, and back behind it.
 * checked by: nest_verify; the interpreters. */
#include "internal.h"

/* More images than these are worth a copy; so are more than half of a matrix's rows. */
enum { IMAGES = 256, TURNED = 8 };

/* --- the form ------------------------------------------------------------------------------ */

/* What an index is made of, if it is the value of one dim: its number; NO_DIM: nothing moves it. */
enum { NO_DIM = -1, NOT_PLAIN = -2 };

static int plain_dim(const Nest *n, const Index *at)
{
	int found = NO_DIM;
	if (at->q != 1 || at->a.c) return NOT_PLAIN;
	for (int t = 0; t < at->a.n; t++) {
		if (n->dim[at->a.t[t].var].extent == 1) continue;
		if (found != NO_DIM || at->a.t[t].k != 1) return NOT_PLAIN;
		found = at->a.t[t].var;
	}
	return found;
}

/* Rows that come in parts, as sums of some of them do, are row + part * (rows of a part): the dim
 * of parts; NO_DIM: there are none. */
static int part_dim(const Nest *n, const Index *at)
{
	int part = NO_DIM, count = 0;
	for (int t = 0; t < at->a.n; t++) {
		if (n->dim[at->a.t[t].var].extent == 1) continue;
		count++;
		if (at->a.t[t].k > 1) part = at->a.t[t].var;
	}
	return count == 2 ? part : NO_DIM;
}

/* Parts aside, in which rows and results may come: as plain_dim(), and how many there are of all
 * values. */
static int dim_at(const Nest *n, const MatrixProduct *m, const Index *at, int64_t *extent)
{
	Index own = *at;
	int64_t apart = m->part < 0 ? 0 : affine_k(&at->a, m->part);
	if (apart) own.a = affine_fix(&at->a, m->part, 0);
	int d = plain_dim(n, &own);
	*extent = d < 0 ? 1 : n->dim[d].extent;
	if (apart && apart != *extent) return NOT_PLAIN;
	if (apart) *extent *= n->dim[m->part].extent;
	return d;
}

/* The columns' dims, the slowest first, and how many there are: those that make up the number of a
 * column like digits. 0: there is more to it. */
static int columns_of(const Nest *n, const Access *w, int *column)
{
	const Index *at = &w->at[1];
	int count = 0;
	int64_t weight = 1;
	for (int d = 2; d < w->buffer->rank; d++)
		if (w->buffer->shape[d] != 1) return 0;
	if (at->q != 1 || at->a.c) return 0;
	for (int t = 0; t < at->a.n; t++) {
		if (n->dim[at->a.t[t].var].extent == 1) continue;
		int k = count++;
		for (; k > 0 && affine_k(&at->a, column[k - 1]) < at->a.t[t].k; k--)
			column[k] = column[k - 1];
		column[k] = at->a.t[t].var;
	}
	for (int k = count - 1; k >= 0; k--) {
		if (affine_k(&at->a, column[k]) != weight) return 0;
		weight *= n->dim[column[k]].extent;
	}
	return weight == w->buffer->shape[1] ? count : 0;
}

static bool is_column(const MatrixProduct *m, int d)
{
	for (int k = 0; k < m->columns; k++)
		if (m->column[k] == d) return true;
	return false;
}

/* Whether x has every dim that moves it in a position of its own, and these are images and rows, or
 * images and columns. */
static bool is_operand(const Nest *n, const MatrixProduct *m, const Access *x, bool of_rows)
{
	bool seen[NEST_DIMS] = {false};
	for (int p = 0; p < x->buffer->rank; p++) {
		int64_t extent;
		int d = dim_at(n, m, &x->at[p], &extent);
		if (x->buffer->shape[p] != extent) return false;
		if (d == NO_DIM) continue;
		if (d < 0 || seen[d]) return false;
		if (d != m->image && (of_rows ? d != m->row : !is_column(m, d))) return false;
		seen[d] = true;
	}
	if (of_rows) return seen[m->row];
	for (int k = 0; k < m->columns; k++)
		if (!seen[m->column[k]]) return false;
	return true;
}

/* Images are what is left of the dims, in one of them at the most. */
static bool find_images(const Nest *n, MatrixProduct *m)
{
	m->image = -1;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].extent == 1 || d == m->row || d == m->part || is_column(m, d)) continue;
		if (m->image >= 0) return false;
		m->image = d;
	}
	m->images = m->image < 0 ? 1 : n->dim[m->image].extent;
	return true;
}

static bool is_of_weights(const Buffer *b)
{
	bool gradient = b->place == PLACE_GRADS || b->place == PLACE_WORK;
	return b->fixed && b->rank >= 2 && (b->place == PLACE_VARS || gradient);
}

/* With access w of its three as the matrix. */
static bool is_product(const Nest *n, const int access[3], int w, MatrixProduct *m)
{
	const Access *x = nest_access(n, access[w]);
	if (!is_of_weights(x->buffer)) return false;
	*m = (MatrixProduct){.w = access[w]};
	int64_t rows;
	m->part = part_dim(n, &x->at[0]);
	m->row = dim_at(n, m, &x->at[0], &rows);
	m->columns = columns_of(n, x, m->column);
	if (m->row < 0 || !m->columns || is_column(m, m->row) || !find_images(n, m)) return false;
	m->x = access[(w + 1) % 3];
	m->y = access[(w + 2) % 3];
	if (access_moves(nest_access(n, m->x), m->row)) {
		int swap = m->x;
		m->x = m->y;
		m->y = swap;
	}
	return is_operand(n, m, nest_access(n, m->x), false) &&
	       is_operand(n, m, nest_access(n, m->y), true);
}

bool matrix_product(const Nest *n, MatrixProduct *m)
{
	Product c = nest_product(n);
	int access[] = {c.load[0], c.load[1], n->nload};
	if (!c.is || n->nguard || n->join) return false;
	for (int k = 1; k < n->nstore; k++)
		if (!indices_same(&n->store[k].to, &n->store[0].to)) return false;
	for (int w = 0; w < 3; w++)
		if (is_product(n, access, w, m)) return true;
	return false;
}

bool keeps_matrix(const Part *p, const Nest *n, MatrixProduct *m)
{
	if (p->kind != ENTRY_EVAL && p->kind != ENTRY_GRADIENTS && p->kind != ENTRY_STEP) return false;
	if (!matrix_product(n, m)) return false;
	int64_t rows = n->dim[m->row].extent;
	return rows >= CHANNEL_BLOCK && m->images <= MIN(IMAGES, rows);
}

/* --- copies -------------------------------------------------------------------------------- */

typedef struct {
	Arena *arena;
	Part *part;
	int at; /* the product's step */
	Nest *nest;
	MatrixProduct m;
	bool turned;
} Turn;

/* Dims in a matrix of our own: their number is an index. */
typedef struct {
	int n, dim[NEST_DIMS];
} Digits;

static Digits digits_of(const Turn *t, bool columns, bool rows)
{
	Digits d = {0};
	for (int k = 0; k < t->m.columns && columns; k++) d.dim[d.n++] = t->m.column[k];
	if (rows) d.dim[d.n++] = t->m.row;
	if (!columns && !rows && t->m.image >= 0) d.dim[d.n++] = t->m.image;
	return d;
}

static int64_t digits_extent(const Nest *n, const Digits *d)
{
	int64_t extent = 1;
	for (int k = 0; k < d->n; k++) extent *= n->dim[d->dim[k]].extent;
	return extent;
}

static Affine digits_number(const Nest *n, const Digits *d, const int *var)
{
	Affine number = affine_number(0);
	for (int k = 0; k < d->n; k++)
		number =
		    affine_add(affine_scale(number, n->dim[d->dim[k]].extent), affine_var(var[d->dim[k]]));
	return number;
}

/* Rows of whole pages would fall on one set of the first-level cache: a line more. */
static void lay_rows(Buffer *b)
{
	enum { PAGE = 1024, LINE = 16 }; /* elements of 4 bytes */
	buffer_row_major(b);
	if (b->shape[0] == 1 || b->shape[1] % PAGE) return;
	b->comp[0].stride += LINE;
	b->size = b->comp[0].stride * b->shape[0];
}

static Buffer *matrix_buffer(Turn *t, const Buffer *of, const Digits *down, const Digits *along)
{
	int64_t shape[] = {digits_extent(t->nest, down), digits_extent(t->nest, along)};
	Buffer *b = part_buffer(t->arena, t->part, of->name, TYPE_REAL, 2, shape, PLACE_WORK);
	if (!t->turned)
		lay_rows(b);
	else if (!buffer_layout(b, "b/16 a b%16", 0))
		bug("%s cannot be turned", b->name);
	b->laid = true;
	return b;
}

/* What access x mentions lies in a matrix of ours instead: loads are copied there before the
 * product, a store is copied from there behind it. */
static void move_operand(Turn *t, int access, const Digits *down, const Digits *along)
{
	const Nest *old = t->nest;
	bool stores = access >= old->nload;
	Access *x = stores ? &t->nest->store[access - old->nload].to : &t->nest->load[access];
	Buffer *theirs = x->buffer, *ours = matrix_buffer(t, theirs, down, along);
	Nest *n = nest_part(t->arena, old, stores ? "unpack" : "pack");
	int var[NEST_DIMS];
	for (int d = 0; d < old->ndim; d++)
		if (access_moves(x, d)) var[d] = nest_dim(n, old->dim[d].name, old->dim[d].extent, false);
	Affine at[BUFFER_RANK],
	    in_ours[] = {digits_number(old, down, var), digits_number(old, along, var)};
	Index index[BUFFER_RANK], index_ours[] = {index_of(in_ours[0]), index_of(in_ours[1])};
	for (int p = 0; p < theirs->rank; p++) {
		int d = plain_dim(old, &x->at[p]);
		at[p] = d < 0 ? affine_number(0) : affine_var(var[d]);
		index[p] = index_of(at[p]);
	}
	if (stores) {
		nest_store(n, "y", theirs, at, e_load(t->arena, nest_load(n, "x", ours, index_ours)));
		part_insert(t->arena, t->part, t->at + 1, n,
		    arena_printf(t->arena, "%s: images as they were", n->layer));
	} else {
		nest_store(n, "y", ours, in_ours, e_load(t->arena, nest_load(n, "x", theirs, index)));
		part_insert(t->arena, t->part, t->at++, n,
		    arena_printf(t->arena, "%s: images for the matrix", n->layer));
	}
	int same[NEST_DIMS];
	for (int d = 0; d < old->ndim; d++) same[d] = d;
	access_put(t->arena, x, ours,
	    (Index[]){
	        index_of(digits_number(old, down, same)), index_of(digits_number(old, along, same))});
}

/* The product's columns become one dim, the fastest of them. */
static void merge_columns(Turn *t)
{
	Nest *n = t->nest;
	Digits columns = digits_of(t, true, false);
	int last = columns.dim[columns.n - 1];
	int64_t extent = digits_extent(n, &columns);
	Affine of_var[NEST_DIMS];
	for (int d = 0; d < n->ndim; d++) of_var[d] = affine_var(d);
	for (int k = 0; k < columns.n - 1; k++) {
		n->dim[columns.dim[k]].extent = 1;
		of_var[columns.dim[k]] = affine_number(0);
	}
	n->dim[last].extent = extent;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		Access *x = k < n->nload ? &n->load[k] : &n->store[k - n->nload].to;
		for (int p = 0; p < x->buffer->rank; p++) x->at[p].a = affine_subst(&x->at[p].a, of_var);
	}
}

/* --- which products ------------------------------------------------------------------------ */

/* Besides the matrix, those that go along with it, and its operands: whether all who move with
 * these dims are alike. */
static bool others_fit(const Turn *t, const Digits *moved, bool may_move)
{
	const Nest *n = t->nest;
	for (int l = 0; l < n->nload; l++) {
		bool moves = false;
		if (l == t->m.w || l == t->m.x || l == t->m.y) continue;
		if (indices_same(&n->load[l], nest_access(n, t->m.w))) continue;
		for (int k = 0; k < moved->n; k++) moves |= access_moves(&n->load[l], moved->dim[k]);
		if (moves && !(may_move && is_operand(n, &t->m, &n->load[l], false))) return false;
	}
	return true;
}

static bool is_number(void *self, const Expr *e)
{
	(void)self;
	return !e->index;
}

/* Images side by side, if they fill vectors. */
static bool may_turn(const Turn *t)
{
	const Nest *n = t->nest;
	Digits image = digits_of(t, false, false);
	int64_t images = t->m.images, room = (images + TURNED - 1) / TURNED * TURNED;
	if (t->m.y != n->nload || 4 * images < 3 * room) return false;
	return others_fit(t, &image, false);
}

static void replace(Turn *t)
{
	const Nest *n = t->nest;
	Digits columns = digits_of(t, true, false), rows = digits_of(t, false, true),
	       image = digits_of(t, false, false);
	if (t->turned) {
		move_operand(t, t->m.x, &columns, &image);
		move_operand(t, t->m.y, &rows, &image);
	} else {
		for (int k = 0; k < n->nload + n->nstore; k++)
			if (!indices_same(nest_access(n, k), nest_access(n, t->m.w)) &&
			    access_moves(nest_access(n, k), columns.dim[0]))
				move_operand(t, k, &image, &columns);
	}
	merge_columns(t);
	t->part->step.at[t->at].nest = t->nest;
}

static bool stores_numbers(const Nest *n)
{
	for (int k = 0; k < n->nstore; k++)
		if (!expr_visit(n->store[k].value, is_number, NULL)) return false;
	return true;
}

void matrix_part(Arena *a, Part *p)
{
	for (int s = 0; s < p->step.n; s++) {
		Turn t = {.arena = a, .part = p, .at = s};
		const Nest *n = p->step.at[s].nest;
		if (!keeps_matrix(p, n, &t.m) || !stores_numbers(n)) continue;
		t.nest = nest_copy(a, n);
		t.turned = may_turn(&t);
		Digits columns = digits_of(&t, true, false);
		if (!t.turned && (t.m.columns == 1 || !others_fit(&t, &columns, true))) continue;
		replace(&t);
		s = t.at;
	}
}
