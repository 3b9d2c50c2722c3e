/* check_bounds: proves that every access lies inside its buffer's room, pad lanes included.
 *
 * Logical indices suffice because a layout maps the room one to one into the buffer (checked here
 * as well). The range of an index over all loops, register instances and lanes is narrowed by any
 * range guard over the same terms: where the guard does not hold, the access does not happen; and
 * where a DIVIDES guard is asked at run time, what it lets through divides without rest. What this
 * does not settle is looked at instance by instance, leaving out those whose guards are never
 * true. */
#include "internal.h"

typedef struct {
	Arena *arena;
	const Scheduled *tree;
	uint32_t update_loads, store_loads;
	const Tree *tile; /* the last one whose stores were proven */
} Bounds;

static const char *outside(Bounds *b, const Access *x, int dim, int64_t lo, int64_t hi)
{
	return arena_printf(b->arena, "bounds: nest %s: %s dim %d takes %lld..%lld, room is %lld",
	    b->tree->nest->name, x->as ? x->as : x->buffer->name, dim, (long long)lo, (long long)hi,
	    (long long)x->buffer->room[dim]);
}

/* The range of the dividend e of an index e/q shrinks to what the range guards over the same terms
 * let through. Their quotients are exact as well where all guards hold. */
static void narrow(
    const Nest *n, const Affine *sub, const Affine *e, int64_t q, int64_t *lo, int64_t *hi)
{
	for (int g = 0; g < n->nguard; g++) {
		const Guard *guard = &n->guard[g];
		int64_t by = 1;
		Affine at;
		if (guard->kind != GUARD_RANGE) continue;
		if (!index_resolve(&guard->e[0], sub, &at)) {
			by = guard->e[0].q;
			if (!affine_try_subst(&guard->e[0].a, sub, &at)) continue;
		}
		if (by != q || !affine_same_terms(&at, e)) continue;
		*lo = MAX(*lo, guard->lo * q + e->c - at.c);
		*hi = MIN(*hi, (guard->hi - 1) * q + e->c - at.c);
	}
}

/* What the index can be, where the guards hold if it may leave the room otherwise; false: a
 * quotient that nothing makes exact. */
static bool index_range(const Bounds *b, const Index *i, int64_t room, const Affine *sub,
    bool guarded, int64_t *lo, int64_t *hi)
{
	const Nest *n = b->tree->nest;
	int64_t q = 1;
	Affine e;
	if (!index_resolve(i, sub, &e)) {
		q = i->q;
		if (!guarded || !index_guarded(n, i) || !affine_try_subst(&i->a, sub, &e)) return false;
	}
	affine_range(&e, b->tree->count, lo, hi);
	if (guarded && (*lo < 0 || *hi >= room * q)) narrow(n, sub, &e, q, lo, hi);
	*lo = -floor_div(-*lo, q);
	*hi = floor_div(*hi, q);
	return true;
}

/* NULL, or the text for the first index of the access that may leave the room. */
static const char *access_inside(Bounds *b, const Access *x, const Affine *sub, bool guarded)
{
	for (int i = 0; i < x->buffer->rank; i++) {
		int64_t lo, hi;
		if (!index_range(b, &x->at[i], x->buffer->room[i], sub, guarded, &lo, &hi))
			return "bounds: a quotient that is not exact";
		if (lo <= hi && (lo < 0 || hi >= x->buffer->room[i])) return outside(b, x, i, lo, hi);
	}
	return NULL;
}

static const char *loads_inside(Bounds *b, uint32_t loads, const Affine *sub, bool guarded)
{
	const char *wrong = NULL;
	for (int l = 0; l < b->tree->nest->nload && !wrong; l++)
		if (loads >> l & 1) wrong = access_inside(b, &b->tree->nest->load[l], sub, guarded);
	return wrong;
}

/* The updates' loads: all instances at once, or else one by one. */
static const char *leaf_inside(Bounds *b, const Tree *tile, const Tree *leaf)
{
	const Scheduled *s = b->tree;
	if (leaf->dead || !loads_inside(b, b->update_loads, leaf->sub, true)) return NULL;
	Reg reg[2 * TILE_REGS];
	int nreg = leaf_regs(tile, leaf, reg);
	for (int k = 0; k < instance_count(reg, nreg); k++) {
		Affine sub[NEST_DIMS];
		instance_fix(reg, nreg, k, leaf->sub, s->nest->ndim, sub);
		if (!guards_may_hold(s->nest, sub, s->count)) continue;
		const char *wrong = loads_inside(b, b->update_loads, sub, true);
		if (wrong) return wrong;
	}
	return NULL;
}

/* Stores belong to the tile and are proven at its first leaf. */
static const char *path_inside(void *self, const Path *path)
{
	Bounds *b = self;
	const Nest *n = b->tree->nest;
	const char *wrong = NULL;
	if (!path->tile) return path->leaf->dead ? NULL : "bounds: a leaf outside of any tile";
	if (path->tile != b->tile) {
		b->tile = path->tile;
		for (int k = 0; k < n->nstore && !wrong; k++)
			wrong = access_inside(b, &n->store[k].to, path->tile->sub, false);
		if (!wrong) wrong = loads_inside(b, b->store_loads, path->tile->sub, false);
	}
	return wrong ? wrong : leaf_inside(b, path->tile, path->leaf);
}

/* Strides are those of a mixed radix number whose digits reach no further than the extents,
 * components of a dim are digits of its index up to the room, and the last offset is inside. */
static bool layout_sound(const Buffer *b)
{
	int64_t room[BUFFER_RANK], reach = 0;
	if (b->rank < 0 || b->rank > BUFFER_RANK || b->ncomp < 0 || b->ncomp > COMPONENTS) return false;
	for (int d = 0; d < b->rank; d++) room[d] = 1;
	for (int i = b->ncomp - 1; i >= 0; i--) {
		const Component *c = &b->comp[i];
		if (c->dim < 0 || c->dim >= b->rank || c->div < 1 || c->stride <= reach) return false;
		if (c->mod && c->mod != c->extent) return false;
		if (!mul_fits(room[c->dim], c->extent, &room[c->dim])) return false;
		reach += c->stride * (c->extent - 1);
	}
	for (int d = 0; d < b->rank; d++) {
		int64_t div = 1;
		if (b->folded >> d & 1) { /* left out */
			if (room[d] != 1 || b->shape[d] > b->room[d]) return false;
			continue;
		}
		for (int i = 0; i < b->ncomp; i++) /* each next digit starts where the last ones end */
			for (int j = 0; j < b->ncomp && div < room[d]; j++)
				if (b->comp[j].dim == d && b->comp[j].div == div && b->comp[j].extent > 1) {
					div *= b->comp[j].extent;
					break;
				}
		if (div != room[d] || b->room[d] > room[d] || b->shape[d] > b->room[d]) return false;
	}
	return reach < b->size;
}

const char *check_bounds(Arena *a, const Scheduled *s)
{
	const Nest *n = s->nest;
	Bounds b = {.arena = a, .tree = s};
	b.update_loads = nest_update_loads(n);
	b.store_loads = nest_store_loads(n);
	for (int i = 0; i < n->nload + n->nstore; i++) {
		const Buffer *x = nest_access(n, i)->buffer;
		if (!layout_sound(x))
			return arena_printf(a, "bounds: the layout of %s is unsound", x->name);
	}
	return paths_visit(s, path_inside, &b);
}
