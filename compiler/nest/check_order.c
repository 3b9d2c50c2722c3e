/* check_order: proves that points which must not change places do not.
 *
 * Chunks: the accumulators of a space point start in its first chunk and are finished in its last
 * one, so the first must run before all others and the last after them. Ordered nests: for one
 * space point the reduction's points come in the order of the reduction dims. */
#include "internal.h"

typedef struct {
	Arena *arena;
	const Scheduled *tree;
	Vec(const Tree *) tile; /* both in the order of execution */
	Vec(Path) path;         /* ordered nests only */
} Order;

static const char *keep_path(void *self, const Path *path)
{
	Order *o = self;
	if (!path->tile) return NULL;
	if (!o->tile.n || o->tile.at[o->tile.n - 1] != path->tile)
		vec_push(o->arena, o->tile, path->tile);
	if (o->tree->nest->ordered) vec_push(o->arena, o->path, *path);
	return NULL;
}

/* --- chunks ------------------------------------------------------------------------------- */

/* Bases grow with every loop, from 0 at the earliest to `last` at the latest; tells which ends the
 * tile reaches. false: some base does not. */
static bool chunk_ends(const Scheduled *s, const Chunk *chunk, int n, bool *first, bool *last)
{
	*first = *last = true;
	for (int i = 0; i < n; i++) {
		int64_t lo, hi;
		for (int t = 0; t < chunk[i].base.n; t++)
			if (chunk[i].base.t[t].k <= 0) return false;
		affine_range(&chunk[i].base, s->count, &lo, &hi);
		if (lo < 0 || hi > chunk[i].last) return false;
		*first &= lo == 0;
		*last &= hi == chunk[i].last;
	}
	return true;
}

/* Of two tiles that share space points the later one must not be a first chunk, nor the earlier one
 * a last one. Within one tile's loops the bases grow, so its own chunks come in order. */
static const char *check_chunks(const Order *o)
{
	const Scheduled *s = o->tree;
	Chunk chunk[NEST_DIMS];
	bool first, last, unused;
	for (int i = 0; i < o->tile.n; i++) {
		const Tree *tile = o->tile.at[i];
		int n = tile_chunks(s, tile, chunk);
		if (!n) continue; /* whole: with the partition, it shares no space point with another */
		if (!chunk_ends(s, chunk, n, &first, &unused)) return "order: chunks do not grow";
		for (int j = 0; j < i; j++) {
			n = tile_chunks(s, o->tile.at[j], chunk);
			if (!chunk_ends(s, chunk, n, &unused, &last)) return "order: chunks do not grow";
			if ((first || last) && !space_apart(s, tile->sub, o->tile.at[j]->sub))
				return "order: a first chunk comes late or a last one early";
		}
	}
	return NULL;
}

/* --- ordered nests ------------------------------------------------------------------------ */

/* e without the outermost `n` vars of the path. */
static Affine below(Affine e, const Path *p, int n)
{
	for (int v = 0; v < n; v++) e = affine_fix(&e, p->var[v].var, 0);
	return e;
}

/* Loops around both paths, the outermost ones; for a path and itself all its vars. */
static int shared_vars(const Path *x, const Path *y)
{
	int n = 0;
	while (n < x->nvar && n < y->nvar && x->var[n].var == y->var[n].var) n++;
	return n;
}

/* A shared loop over dim d carries both paths on in order: dims before d stand still inside it, and
 * a step of it is larger than all that d does inside it. */
static bool loop_in_order(const Scheduled *s, const Path *x, const Path *y, int shared)
{
	PathVar loop = x->var[shared];
	if (!s->nest->dim[loop.dim].reduce || loop.count == 1) return true;
	for (int d = 0; d <= loop.dim; d++) {
		if (!s->nest->dim[d].reduce) continue;
		Affine a = below(x->leaf->sub[d], x, shared + 1), b = below(y->leaf->sub[d], y, shared + 1);
		int64_t lo[2], hi[2];
		affine_range(&a, s->count, &lo[0], &hi[0]);
		affine_range(&b, s->count, &lo[1], &hi[1]);
		int64_t width = MAX(hi[0], hi[1]) - MIN(lo[0], lo[1]);
		if (width >= (d < loop.dim ? 1 : affine_k(&x->leaf->sub[d], loop.var))) return false;
	}
	return true;
}

/* With the shared loops standing still, all of x comes before all of y. */
static bool path_before(const Scheduled *s, const Path *x, const Path *y, int shared)
{
	for (int d = 0; d < s->nest->ndim; d++) {
		if (!s->nest->dim[d].reduce) continue;
		Affine a = below(x->leaf->sub[d], x, shared), b = below(y->leaf->sub[d], y, shared);
		int64_t lo[2], hi[2];
		affine_range(&a, s->count, &lo[0], &hi[0]);
		affine_range(&b, s->count, &lo[1], &hi[1]);
		if (hi[0] < lo[1]) return true;
		if (lo[0] != hi[0] || lo[1] != hi[1] || lo[0] != lo[1]) return false;
	}
	return false;
}

/* Any two paths that share space points run in order, and so does each by itself. */
static const char *check_ordered(const Order *o)
{
	const Scheduled *s = o->tree;
	for (int j = 0; j < o->path.n; j++) {
		const Path *y = &o->path.at[j];
		for (int r = 0; r < y->tile->nreg; r++)
			if (s->nest->dim[y->tile->reg[r].dim].reduce)
				return "order: private accumulators where the order matters";
		for (int i = 0; i <= j; i++) {
			const Path *x = &o->path.at[i];
			int shared = shared_vars(x, y);
			if (i < j && space_apart(s, x->leaf->sub, y->leaf->sub)) continue;
			for (int v = 0; v < shared; v++)
				if (!loop_in_order(s, x, y, v)) return "order: a loop out of order";
			if (i < j && !path_before(s, x, y, shared)) return "order: pieces out of order";
		}
	}
	return NULL;
}

const char *check_order(Arena *a, const Scheduled *s)
{
	Order o = {.arena = a, .tree = s};
	const char *wrong = paths_visit(s, keep_path, &o);
	if (!wrong) wrong = check_chunks(&o);
	return !wrong && s->nest->ordered ? check_ordered(&o) : wrong;
}

const char *check_all(Arena *a, const Scheduled *s)
{
	const char *wrong = check_partition(a, s);
	if (!wrong) wrong = check_bounds(a, s);
	if (!wrong) wrong = check_stores(a, s);
	return wrong ? wrong : check_order(a, s);
}
