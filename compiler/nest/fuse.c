/* fuse: a map goes into the nest that produces its input. Knows no operators: it looks at how the
 * map reads what the other nest stores, and puts the stored value in the place of that load. */
#include "internal.h"

typedef struct {
	Arena *arena;
	const Nest *into, *map;
	int store;             /* of into, that map reads */
	Expr *value;           /* what it stores */
	uint32_t hit;          /* loads of map that read it */
	Affine dim[NEST_DIMS]; /* map's dims over into's */
	bool known[NEST_DIMS];
	int load[NEST_LOADS]; /* map's loads in the fused nest */
} Fusion;

/* The store of `into` that `map` reads, always at one place; -1: none, or several. */
static int find_store(Fusion *f)
{
	int found = -1;
	for (int l = 0; l < f->map->nload; l++)
		for (int k = 0; k < f->into->nstore; k++) {
			if (f->map->load[l].buffer != f->into->store[k].to.buffer) continue;
			if (found >= 0 && found != k) return -1;
			found = k;
			f->hit |= UINT32_C(1) << l;
		}
	const Access *first = NULL;
	for (int l = 0; l < f->map->nload; l++) {
		if (!(f->hit >> l & 1)) continue;
		if (first && !access_same(first, &f->map->load[l])) return -1;
		first = &f->map->load[l];
	}
	return found;
}

/* The store writes every element of its buffer: its index is injective (check_stores) and there are
 * as many points as elements, each index running from 0 to the shape's end. */
static bool covers(const Nest *n, const Access *to)
{
	int64_t extent[NEST_DIMS], points = 1, elements = 1, lo, hi;
	nest_extents(n, extent);
	for (int d = 0; d < n->ndim; d++)
		if (!n->dim[d].reduce && !mul_fits(points, extent[d], &points)) return false;
	for (int i = 0; i < to->buffer->rank; i++) {
		affine_range(&to->at[i].a, extent, &lo, &hi);
		if (lo != 0 || hi != to->buffer->shape[i] - 1) return false;
		if (!mul_fits(elements, to->buffer->shape[i], &elements)) return false;
	}
	return points == elements;
}

/* map reads the buffer at plain dims that cover it; sets its dims over into's. */
static bool match_dims(Fusion *f, const Access *read)
{
	const Access *to = &f->into->store[f->store].to;
	for (int i = 0; i < to->buffer->rank; i++) {
		const Affine *a = &read->at[i].a;
		if (read->at[i].q != 1) return false;
		if (a->n == 0) {
			if (a->c != 0 || to->buffer->shape[i] != 1) return false;
			continue;
		}
		int v = a->t[0].var;
		if (a->n != 1 || a->t[0].k != 1 || a->c != 0 || f->known[v]) return false;
		if (f->map->dim[v].extent != to->buffer->shape[i]) return false;
		f->dim[v] = to->at[i].a;
		f->known[v] = true;
	}
	for (int d = 0; d < f->map->ndim; d++)
		if (!f->known[d] && f->map->dim[d].extent != 1) return false;
	return true;
}

/* Nothing that one of the nests writes is read by the other, but for the store in question. */
static bool separate(const Fusion *f)
{
	for (int k = 0; k < f->map->nstore; k++) {
		const Buffer *b = f->map->store[k].to.buffer;
		for (int l = 0; l < f->into->nload; l++)
			if (f->into->load[l].buffer == b) return false;
		for (int j = 0; j < f->into->nstore; j++)
			if (f->into->store[j].to.buffer == b) return false;
	}
	return true;
}

static bool rename_access(const Fusion *f, const Access *from, Access *to)
{
	*to = *from;
	access_put(f->arena, to, from->buffer, from->at);
	for (int i = 0; i < from->buffer->rank; i++)
		if (!affine_try_subst(&from->at[i].a, f->dim, &to->at[i].a)) return false;
	return true;
}

/* The map's other loads, renamed; what both nests read is read once. */
static bool add_loads(Fusion *f, Nest *out)
{
	for (int l = 0; l < f->map->nload; l++) {
		Access x;
		if (f->hit >> l & 1) continue;
		if (!rename_access(f, &f->map->load[l], &x)) return false;
		int same = 0;
		while (same < out->nload && !access_same(&out->load[same], &x)) same++;
		if (same == NEST_LOADS) return false;
		if (same == out->nload) out->load[out->nload++] = x;
		f->load[l] = same;
	}
	return true;
}

/* What map reads of the store becomes the stored value itself. */
static Expr *rename_leaf(void *self, const Expr *e)
{
	Fusion *f = self;
	if (e->kind == E_LOAD && f->hit >> e->id & 1) return f->value;
	if (e->kind == E_LOAD) return e_load(f->arena, f->load[e->id]);
	if (!e->index) return NULL;
	Expr *copy = e_reindexed(f->arena, e, f->dim);
	if (e->kind == E_HASH) copy->id = f->load[e->id];
	return copy;
}

static bool indices_fit(void *self, const Expr *e)
{
	const Fusion *f = self;
	Affine unused;
	if (!e->index) return true;
	return affine_try_subst(&e->index[0], f->dim, &unused) &&
	       affine_try_subst(&e->index[1], f->dim, &unused);
}

/* The map's first store takes the place of the one it read, or comes behind it. */
static bool add_stores(Fusion *f, Nest *out, bool keep)
{
	int at = f->store;
	f->value = e_stored(f->arena, f->into->store[at].value);
	Rewriting rename = expr_rewriting(f->arena, rename_leaf, f);
	if (out->nstore + f->map->nstore - !keep > NEST_STORES) return false;
	for (int k = 0; k < f->map->nstore; k++) {
		const Store *from = &f->map->store[k];
		Store made;
		if (!rename_access(f, &from->to, &made.to)) return false;
		if (!expr_visit(from->value, indices_fit, f)) return false;
		made.value = expr_rewrite(&rename, from->value);
		if (expr_size(made.value, FUSED_EXPR) > FUSED_EXPR) return false;
		if (!keep && !k)
			out->store[at] = made;
		else
			out->store[out->nstore++] = made;
	}
	return true;
}

Nest *fuse_map(Arena *a, const Nest *into, const Nest *map, bool keep)
{
	Fusion f = {.arena = a, .into = into, .map = map};
	if (map->nguard || map->nacc) return NULL;
	for (int d = 0; d < map->ndim; d++)
		if (map->dim[d].reduce) return NULL;
	f.store = find_store(&f);
	if (f.store < 0 || !covers(into, &into->store[f.store].to)) return NULL;
	int read = 0;
	while (!(f.hit >> read & 1)) read++;
	if (!match_dims(&f, &map->load[read]) || !separate(&f)) return NULL;
	Nest *out = nest_copy(a, into);
	out->inplace |= map->inplace;
	return add_loads(&f, out) && add_stores(&f, out, keep) ? out : NULL;
}
