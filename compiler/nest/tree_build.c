/* tree_build: a nest and a schedule become a tree of loops, tiles and leaves.
 *
 * One recursion over the schedule's lines does what split, reorder, peel, tile, unroll and
 * promotion to registers do elsewhere. Its state is, per dim, what is already fixed (an affine form
 * over the loops so far), how many values are left, and their step. Each line cuts the values left
 * of its dim into pieces; for each piece the rest of the schedule is built anew, with that piece's
 * own loop.
 *
 * The result is not trusted: check_*.c prove it without looking in here. What a schedule cannot
 * have (an address that is no affine form, a lane that a guard would cut off) is found while
 * building and told as text, since whoever chooses schedules tries several. */
#include "internal.h"

/* What is left of a dim: base, base + step, ... `left` values. */
typedef struct {
	Affine base;
	int64_t left, step;
} Rest;

/* `count` units of `unit` values each, from the value numbered `first` of those left. */
typedef struct {
	int64_t first, count, unit;
} Piece;

typedef Vec(Piece) Pieces;

enum { SIGNATURE_ROOM = 4096, BLOCKS = 4 };

typedef struct {
	Arena *arena;
	const Nest *nest;
	const Schedule *schedule;
	Scheduled *out;
	const char *error;
	int close; /* the line at which the tile closes */
	int nodes, var_room;
	int named[NEST_DIMS]; /* vars named after the dim so far */
	Rest rest[NEST_DIMS];
	int64_t block[NEST_DIMS][BLOCKS]; /* where layouts break a dim: multiples of these */
	int nblock[NEST_DIMS];
	int nreg, ncopy;
	Reg reg[TILE_REGS], copy[TILE_REGS]; /* instances of the tile, copies in the leaf */
} Builder;

static void build(Builder *b, int i, Tree *parent, Tree *tile);

static const char *dim_name(const Builder *b, int d) { return b->nest->dim[d].name; }

PRINTF_LIKE(2, 3) static void fail(Builder *b, const char *format, ...)
{
	if (b->error) return;
	Text t;
	va_list args;
	text_init(&t, b->arena);
	va_start(args, format);
	text_vprintf(&t, format, args);
	va_end(args);
	b->error = t.data;
}

/* --- vars and nodes ----------------------------------------------------------------------- */

/* Room for the vars so far and one placeholder for each dim. */
static void want_counts(Builder *b)
{
	Scheduled *s = b->out;
	if (s->nvar + NEST_DIMS < b->var_room) return;
	int more = b->var_room ? 2 * b->var_room : 32;
	s->count = arena_grow(b->arena, s->count, (size_t)b->var_room, (size_t)more, sizeof *s->count);
	b->var_room = more;
}

static int new_var(Builder *b, int dim, int64_t count)
{
	Scheduled *s = b->out;
	int k = b->named[dim]++;
	const char *name = dim_name(b, dim);
	if (s->nvar == TREE_VARS) {
		fail(b, "more than %d loops", TREE_VARS);
		return 0;
	}
	want_counts(b);
	s->count[s->nvar] = count;
	vec_push(b->arena, s->var_name, k ? arena_printf(b->arena, "%s%d", name, k) : name);
	return s->nvar++;
}

static Tree *new_node(Builder *b, TreeKind kind, Tree *parent)
{
	Tree *t = NEW(b->arena, Tree);
	t->kind = kind;
	if (++b->nodes > TREE_NODES) fail(b, "more than %d pieces", TREE_NODES);
	if (parent)
		vec_push(b->arena, parent->kid, t);
	else
		vec_push(b->arena, b->out->root, t);
	return t;
}

/* var, with a factor, joins the form of its dim. The newest var is the largest: it goes last. */
static void add_term(Builder *b, Affine *a, int dim, int var, int64_t k)
{
	if (a->n == AFFINE_TERMS)
		fail(b, "more than %d loops over %s", AFFINE_TERMS, dim_name(b, dim));
	else
		a->t[a->n++] = (Term){var, k};
}

/* The dim's value over the loops so far and, when several are left, a placeholder: var nvar + d. */
static void cover_dim(Builder *b, int d, Affine *out)
{
	const Rest *r = &b->rest[d];
	*out = r->base;
	if (r->left == 1) return;
	want_counts(b);
	b->out->count[b->out->nvar + d] = r->left;
	add_term(b, out, d, b->out->nvar + d, r->step);
}

static void cover(Builder *b, Affine *sub)
{
	for (int d = 0; d < b->nest->ndim; d++) cover_dim(b, d, &sub[d]);
}

static Affine *bases(Builder *b)
{
	Affine *sub = NEWS(b->arena, Affine, b->nest->ndim);
	for (int d = 0; d < b->nest->ndim; d++) sub[d] = b->rest[d].base;
	return sub;
}

/* --- tile and leaf ------------------------------------------------------------------------ */

/* The tile starts where the dims stand now and spans what is left of them and what its regs move.
 */
static Tree *close_tile(Builder *b, Tree *parent)
{
	Tree *t = new_node(b, TREE_TILE, parent);
	t->nreg = b->nreg;
	memcpy(t->reg, b->reg, sizeof t->reg);
	t->sub = bases(b);
	for (int d = 0; d < b->nest->ndim; d++) {
		t->span[d] = (b->rest[d].left - 1) * b->rest[d].step;
		for (int r = 0; r < t->nreg; r++)
			t->span[d] += affine_k(&t->sub[d], t->reg[r].var) * (t->reg[r].count - 1);
	}
	const char *wrong = legal_tile(b->arena, b->out, t);
	if (wrong) fail(b, "%s", wrong);
	return t;
}

/* Every dim is down to one value; what no guard lets live stays as a dead leaf. */
static void add_leaf(Builder *b, Tree *parent, Tree *tile)
{
	for (int d = 0; d < b->nest->ndim; d++)
		if (b->rest[d].left > 1) {
			fail(b, "%s: no line for the %lld values left", dim_name(b, d),
			    (long long)b->rest[d].left);
			return;
		}
	Tree *t = new_node(b, TREE_LEAF, parent);
	t->nreg = b->ncopy;
	memcpy(t->reg, b->copy, sizeof t->reg);
	t->sub = bases(b);
	t->dead = !guards_may_hold(b->nest, t->sub, b->out->count);
	const char *wrong = t->dead ? NULL : legal_leaf(b->arena, b->out, tile, t);
	if (wrong) fail(b, "%s", wrong);
}

/* What is left holds no point where the guards hold: one leaf stands for it, with vars of its own.
 */
static void add_dead_leaf(Builder *b, Tree *parent)
{
	Tree *t = new_node(b, TREE_LEAF, parent);
	t->dead = true;
	t->sub = bases(b);
	for (int d = 0; d < b->nest->ndim && !b->error; d++)
		if (b->rest[d].left > 1)
			add_term(b, &t->sub[d], d, new_var(b, d, b->rest[d].left), b->rest[d].step);
}

/* --- lines -------------------------------------------------------------------------------- */

/* Whether the guard's truth may change with dim d. */
static bool guard_moves(const Guard *g, int d)
{
	return affine_k(&g->e[0].a, d) || (g->kind == GUARD_MASK && affine_k(&g->e[1].a, d));
}

/* Whether so many values of a vec line are lanes: all of its own, or a vector of half or a quarter
 * as many, where no guard may tell them apart. */
static bool are_lanes(const Builder *b, Line line, int64_t count)
{
	if (line.kind != LINE_VEC) return false;
	if (!line.by || count == line.by) return true;
	for (int g = 0; g < b->nest->nguard; g++)
		if (guard_moves(&b->nest->guard[g], line.dim)) return false;
	return count >= LEAST_LANES && (2 * count == line.by || 4 * count == line.by);
}

/* Builds the schedule from line `next` on for one piece of line i. A piece of one unit needs no
 * loop, except where `looped` asks for one. */
static void add_piece(Builder *b, int i, int next, Tree *parent, Tree *tile, Piece p, bool looped)
{
	Line line = b->schedule->line[i];
	int d = line.dim;
	Rest *rest = &b->rest[d], saved = *rest;
	if (b->error) return;
	rest->base.c += p.first * saved.step;
	rest->left = p.unit;
	if (p.count == 1 && !looped) {
		build(b, next, parent, tile);
		*rest = saved;
		return;
	}
	int var = new_var(b, d, p.count);
	if (p.count > 1) add_term(b, &rest->base, d, var, p.unit * saved.step);
	bool lanes = are_lanes(b, line, p.count);
	if (line.kind == LINE_REG || line.kind == LINE_VEC || line.kind == LINE_UNROLL) {
		bool copies = line.kind == LINE_UNROLL;
		int *n = copies ? &b->ncopy : &b->nreg;
		if (*n == TILE_REGS) {
			fail(b, "more than %d lines of %s", TILE_REGS, copies ? "unroll" : "reg and vec");
		} else {
			(copies ? b->copy : b->reg)[*n] = (Reg){var, p.count, d, lanes};
			++*n;
			build(b, next, parent, tile);
			--*n;
		}
	} else {
		Tree *loop = new_node(b, TREE_LOOP, parent);
		loop->var = var;
		loop->dim = d;
		loop->count = p.count;
		loop->line = line.kind;
		build(b, next, loop, tile);
	}
	*rest = saved;
}

/* The largest block of a layout that a loop in these units would cross: its own loop comes first,
 * so that quotients and remainders by it are affine inside. In units of what is left; 0: none. */
static int64_t crossed_block(const Builder *b, int d, int64_t unit)
{
	const Rest *r = &b->rest[d];
	int64_t found = 0;
	for (int i = 0; i < b->nblock[d]; i++) {
		int64_t block = b->block[d][i], values = block / r->step;
		int64_t inside = r->base.c % block; /* what lanes add to it stays within a step */
		bool aligned = block % r->step == 0;
		for (int t = 0; t < r->base.n; t++)
			if (r->base.t[t].k % block)
				inside += r->base.t[t].k * (b->out->count[r->base.t[t].var] - 1);
		aligned &= inside >= 0 && inside < r->step;
		if (aligned && unit < values && values < r->left) found = MAX(found, values);
	}
	return found;
}

/* Full units, then the ragged end; where a loop would cross a layout's blocks, loops over the
 * blocks and the same line once more inside. The pieces of a par line are always loops, so that a
 * list of nodes is either all blocks or all serial. */
static void build_units(Builder *b, int i, Tree *parent, Tree *tile)
{
	Line line = b->schedule->line[i];
	int64_t left = b->rest[line.dim].left, unit = line.by ? line.by : 1;
	bool loops = line.kind == LINE_FOR || line.kind == LINE_PAR;
	int64_t block = loops ? crossed_block(b, line.dim, unit) : 0;
	int next = block ? i : i + 1;
	if (block) unit = block;
	int64_t full = left / unit, ragged = left % unit;
	bool looped = line.kind == LINE_PAR && full && ragged;
	if (full) add_piece(b, i, next, parent, tile, (Piece){0, full, unit}, looped);
	if (ragged) add_piece(b, i, next, parent, tile, (Piece){full * unit, 1, ragged}, looped);
}

/* The ragged end of a vec line, fewer values than lanes: vectors of half as many and of a quarter,
 * each a piece of its own, then instances of one value each. */
static void build_end(Builder *b, int i, Tree *parent, Tree *tile, Piece end)
{
	Line line = b->schedule->line[i];
	for (int64_t n = line.by / 2; are_lanes(b, line, n); n /= 2) {
		if (end.count < n) continue;
		add_piece(b, i, i + 1, parent, tile, (Piece){end.first, n, 1}, false);
		end.first += n;
		end.count -= n;
	}
	if (end.count) add_piece(b, i, i + 1, parent, tile, end, false);
}

/* Runs of as many summed values as there are lanes: each lane sums up one of every run. The ragged
 * end is a piece of its own. */
static void build_runs(Builder *b, int i, Tree *parent, Tree *tile)
{
	Line line = b->schedule->line[i];
	Rest *rest = &b->rest[line.dim], saved = *rest;
	int64_t runs = saved.left / line.by, ragged = saved.left % line.by;
	int var = new_var(b, line.dim, line.by);
	if (b->nreg == TILE_REGS) fail(b, "more than %d lines of reg and vec", TILE_REGS);
	if (b->error) return;
	add_term(b, &rest->base, line.dim, var, saved.step);
	rest->left = runs;
	rest->step = saved.step * line.by;
	b->reg[b->nreg++] = (Reg){var, line.by, line.dim, true};
	build(b, i + 1, parent, tile);
	b->nreg--;
	*rest = saved;
	if (ragged) build_end(b, i, parent, tile, (Piece){runs * line.by, ragged, 1});
}

/* Lanes are one register: they take all that is left, but of a sum. */
static void build_vec(Builder *b, int i, Tree *parent, Tree *tile)
{
	Line line = b->schedule->line[i];
	int64_t left = b->rest[line.dim].left;
	if (line.by > 1 && left > line.by && b->nest->dim[line.dim].reduce)
		build_runs(b, i, parent, tile);
	else if (line.by && left > line.by)
		fail(b, "vec %s: %lld values left for %lld lanes", dim_name(b, line.dim), (long long)left,
		    (long long)line.by);
	else if (left < line.by)
		build_end(b, i, parent, tile, (Piece){0, left, 1});
	else
		add_piece(b, i, i + 1, parent, tile, (Piece){0, left, 1}, false);
}

/* Values r, r + by, r + 2*by, ... for each residue r. Once the residues of a space dim and of a tap
 * are fixed, "the stride divides their sum" is decided, and a residue of the tap may be dead. */
static void build_phase(Builder *b, int i, Tree *parent, Tree *tile)
{
	Line line = b->schedule->line[i];
	int d = line.dim;
	Rest saved = b->rest[d];
	int64_t by = line.by ? MIN(line.by, saved.left) : saved.left;
	for (int64_t r = 0; r < by && !b->error; r++) {
		Rest *rest = &b->rest[d];
		*rest = saved;
		rest->base.c += r * saved.step;
		rest->left = (saved.left - r - 1) / by + 1;
		rest->step = saved.step * by;
		Affine sub[NEST_DIMS];
		cover(b, sub);
		if (b->nest->dim[d].reduce && !guards_may_hold(b->nest, sub, b->out->count))
			add_dead_leaf(b, parent);
		else
			build(b, i + 1, parent, tile);
	}
	b->rest[d] = saved;
}

/* No range guard that moves with dim d is undecided in the unit. `sub` covers all dims but d. */
static bool unit_inner(Builder *b, int d, int64_t first, int64_t unit, Affine *sub)
{
	Rest *r = &b->rest[d], saved = *r;
	bool inner = true;
	r->base.c += first * saved.step;
	r->left = unit;
	cover_dim(b, d, &sub[d]);
	*r = saved;
	for (int g = 0; g < b->nest->nguard && inner; g++) {
		const Guard *guard = &b->nest->guard[g];
		if (guard->kind == GUARD_RANGE && guard_moves(guard, d))
			inner = guard_truth(guard, sub, b->out->count) == ALWAYS;
	}
	return inner;
}

/* Balanced units: ceil(left/by) of them, the first ones a value longer. Runs of equal inner units
 * share a loop. */
static void tile_pieces(Builder *b, Line line, Pieces *pieces)
{
	int64_t left = b->rest[line.dim].left, by = line.by ? line.by : 1;
	int64_t units = (left - 1) / by + 1, size = left / units, longer = left % units;
	Affine sub[NEST_DIMS];
	cover(b, sub);
	bool run = false;
	int64_t first = 0;
	for (int64_t u = 0; u < units; u++) {
		int64_t unit = size + (u < longer);
		bool inner = unit_inner(b, line.dim, first, unit, sub);
		if (run && inner && pieces->at[pieces->n - 1].unit == unit) {
			pieces->at[pieces->n - 1].count++;
		} else {
			Piece p = {first, 1, unit};
			vec_push(b->arena, *pieces, p);
		}
		run = inner;
		first += unit;
	}
}

/* Truths of the guards that move with d when only its value number v is left, for every instance of
 * the regs that these guards know. Returns how many truths, -1 when there is no room. */
static int signature(Builder *b, int d, int64_t v, Affine *sub, char *truths)
{
	const Nest *n = b->nest;
	int used = 0;
	sub[d] = b->rest[d].base;
	sub[d].c += v * b->rest[d].step;
	for (int g = 0; g < n->nguard; g++) {
		const Guard *guard = &n->guard[g];
		if (!guard_moves(guard, d)) continue;
		Reg known[TILE_REGS];
		int nknown = 0;
		for (int r = 0; r < b->nreg; r++)
			if (!b->reg[r].lanes && guard_moves(guard, b->reg[r].dim)) known[nknown++] = b->reg[r];
		int instances = instance_count(known, nknown);
		if (used + instances > SIGNATURE_ROOM) return -1;
		for (int k = 0; k < instances; k++) {
			Affine one[NEST_DIMS];
			instance_fix(known, nknown, k, sub, n->ndim, one);
			truths[used++] = (char)guard_truth(guard, one, b->out->count);
		}
	}
	return used;
}

/* Runs of values with equal signatures. */
static void cut_pieces(Builder *b, Line line, Pieces *pieces)
{
	char truths[2][SIGNATURE_ROOM];
	int last = -1;
	Affine sub[NEST_DIMS];
	cover(b, sub);
	for (int64_t v = 0; v < b->rest[line.dim].left; v++) {
		int n = signature(b, line.dim, v, sub, truths[v & 1]);
		if (n < 0) {
			fail(b, "cut %s: too many instances", dim_name(b, line.dim));
			return;
		}
		if (n == last && !memcmp(truths[0], truths[1], (size_t)n)) {
			pieces->at[pieces->n - 1].count++;
		} else {
			Piece p = {v, 1, 1};
			vec_push(b->arena, *pieces, p);
		}
		last = n;
	}
}

/* Lines whose pieces depend on guards. All are found before any is built, since building makes
 * vars. */
static void build_pieces(Builder *b, int i, Tree *parent, Tree *tile)
{
	Line line = b->schedule->line[i];
	Pieces pieces = {0};
	if (line.kind == LINE_TILE)
		tile_pieces(b, line, &pieces);
	else
		cut_pieces(b, line, &pieces);
	for (int k = 0; k < pieces.n && !b->error; k++)
		add_piece(b, i, i + 1, parent, tile, pieces.at[k], false);
}

/* The schedule from line i on, into `parent` (NULL: the root), within `tile` once it is closed. */
static void build(Builder *b, int i, Tree *parent, Tree *tile)
{
	if (b->error) return;
	if (i == b->close && !tile) parent = tile = close_tile(b, parent);
	if (b->error) return;
	if (i == b->schedule->n) {
		add_leaf(b, parent, tile);
		return;
	}
	Line line = b->schedule->line[i];
	if (b->rest[line.dim].left == 1 && !(line.kind == LINE_VEC && line.by > 1)) {
		build(b, i + 1, parent, tile);
		return;
	}
	if (tile && !b->nest->dim[line.dim].reduce) {
		fail(b, "%s: a space dim below the line that closes the tile", dim_name(b, line.dim));
		return;
	}
	switch (line.kind) {
	case LINE_FOR:
	case LINE_PAR:
	case LINE_REG:
	case LINE_UNROLL: build_units(b, i, parent, tile); return;
	case LINE_VEC: build_vec(b, i, parent, tile); return;
	case LINE_PHASE: build_phase(b, i, parent, tile); return;
	case LINE_TILE:
	case LINE_CUT: build_pieces(b, i, parent, tile); return;
	}
	bug("line kind %d", (int)line.kind);
}

static int64_t common_divisor(int64_t a, int64_t b)
{
	while (b) {
		int64_t r = a % b;
		a = b;
		b = r;
	}
	return a < 0 ? -a : a;
}

/* An index k*d + rest meets a component that divides by div wherever d is a multiple of the block:
 * the common divisor of div and the rest's factors, over k. Dims of one value have no part in it.
 */
static void add_blocks(Builder *b, const Access *x)
{
	for (int i = 0; i < x->buffer->ncomp; i++) {
		const Component *c = &x->buffer->comp[i];
		const Affine *e = &x->at[c->dim].a;
		for (int t = 0; t < e->n && c->div > 1; t++) {
			int d = e->t[t].var, k = 0;
			int64_t block = common_divisor(c->div * x->at[c->dim].q, e->c);
			int64_t factor = e->t[t].k < 0 ? -e->t[t].k : e->t[t].k;
			for (int o = 0; o < e->n; o++)
				if (o != t && b->out->extent[e->t[o].var] > 1)
					block = common_divisor(block, e->t[o].k);
			if (block % factor || block / factor == 1) continue;
			block /= factor;
			while (k < b->nblock[d] && b->block[d][k] != block) k++;
			if (k == b->nblock[d] && k < BLOCKS) b->block[d][b->nblock[d]++] = block;
		}
	}
}

Scheduled *tree_build(Arena *a, const Nest *n, const Schedule *s, const char **error)
{
	Scheduled *out = NEW(a, Scheduled);
	Builder b = {.arena = a, .nest = n, .schedule = s, .out = out};
	out->nest = n;
	out->schedule = *s;
	b.error = legal_schedule(a, n, s);
	if (!b.error) {
		b.close = schedule_close(n, s);
		for (int d = 0; d < n->ndim; d++) {
			out->extent[d] = s->extent[d] ? s->extent[d] : n->dim[d].extent;
			b.rest[d] = (Rest){.left = out->extent[d], .step = 1};
		}
		for (int l = 0; l < n->nload; l++) add_blocks(&b, &n->load[l]);
		for (int k = 0; k < n->nstore; k++) add_blocks(&b, &n->store[k].to);
		want_counts(&b);
		build(&b, 0, NULL, NULL);
	}
	if (error) *error = b.error;
	return b.error ? NULL : out;
}
