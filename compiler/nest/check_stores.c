/* check_stores: proves that no element is written by two points, that nothing is read which another
 * point of the nest writes, and that parallel blocks, chunks, pad lanes and private accumulators
 * keep to what the nest allows. With the partition proven, no two iterations, lanes or threads then
 * write one element. Refuses when unsure. */
#include "internal.h"

/* --- store maps --------------------------------------------------------------------------- */

/* The dims not yet known among the terms form a mixed radix number: then its value tells them all.
 */
static bool index_tells(const Affine *e, const int64_t *extent, bool *known)
{
	Digit room[AFFINE_TERMS];
	Affine open = {0};
	Set set;
	for (int t = 0; t < e->n; t++)
		if (!known[e->t[t].var]) open.t[open.n++] = e->t[t];
	if (!set_of(&open, extent, room, &set)) return false;
	for (int t = 0; t < open.n; t++) known[open.t[t].var] = true;
	return true;
}

/* From the indices of a store, all its space dims can be told. An index may mix dims, (c*H + h)*W +
 * w, and one that does not tell its dims at first may do so once others have told some. */
static const char *injective(Arena *a, const Nest *n, const Access *to, const int64_t *extent)
{
	bool known[NEST_DIMS] = {false}, progress = true;
	bool told[BUFFER_RANK] = {false};
	while (progress) {
		progress = false;
		for (int i = 0; i < to->buffer->rank; i++)
			if (!told[i] && index_tells(&to->at[i].a, extent, known)) told[i] = progress = true;
	}
	for (int d = 0; d < n->ndim; d++)
		if (!n->dim[d].reduce && extent[d] > 1 && !known[d])
			return arena_printf(a,
			    "stores: nest %s: points that differ in %s may write one element of %s", n->name,
			    n->dim[d].name, to->buffer->name);
	return NULL;
}

/* At every point both touch the same element. */
static bool same_place(const Access *x, const Access *y)
{
	return x->buffer == y->buffer && access_same(x, y);
}

/* No point of x touches an element that a point of y touches: some index keeps to other values, by
 * range or by remainder. */
static bool apart(const Access *x, const Access *y, const int64_t *extent)
{
	if (x->buffer != y->buffer) return true;
	for (int i = 0; i < x->buffer->rank; i++) {
		int64_t lo[2], hi[2], common = 0;
		const Affine *e[2] = {&x->at[i].a, &y->at[i].a};
		if (x->at[i].q != 1 || y->at[i].q != 1) continue;
		for (int k = 0; k < 2; k++) {
			affine_range(e[k], extent, &lo[k], &hi[k]);
			for (int t = 0; t < e[k]->n; t++) {
				int64_t m = e[k]->t[t].k;
				while (m) {
					int64_t r = common % m;
					common = m;
					m = r;
				}
			}
		}
		if (hi[0] < lo[1] || hi[1] < lo[0]) return true;
		if (common && (e[0]->c - e[1]->c) % common) return true;
	}
	return false;
}

bool access_is_box(const Nest *n, const Access *x)
{
	int64_t extent[NEST_DIMS];
	bool used[NEST_DIMS] = {false};
	nest_extents(n, extent);
	for (int i = 0; i < x->buffer->rank; i++) {
		Digit room[AFFINE_TERMS];
		Set set;
		const Affine *e = &x->at[i].a;
		if (x->at[i].q != 1 || !set_of(e, extent, room, &set)) return false;
		if (set.n > 1 || (set.n && set.digit[0].k != 1)) return false;
		for (int t = 0; t < e->n; t++) {
			if (extent[e->t[t].var] > 1 && used[e->t[t].var]) return false;
			used[e->t[t].var] = true;
		}
	}
	return true;
}

bool accesses_apart(const Nest *n, const Access *x, const Nest *m, const Access *y)
{
	int64_t extent[2][NEST_DIMS];
	if (x->buffer != y->buffer) return true;
	nest_extents(n, extent[0]);
	nest_extents(m, extent[1]);
	for (int i = 0; i < x->buffer->rank; i++) {
		Digit room[2][AFFINE_TERMS];
		Set a, b;
		if (x->at[i].q != 1 || y->at[i].q != 1) continue;
		if (set_of(&x->at[i].a, extent[0], room[0], &a) &&
		    set_of(&y->at[i].a, extent[1], room[1], &b) && !sets_meet(&a, &b))
			return true;
	}
	return false;
}

/* There is more than one point to reduce. */
static bool reduces(const Nest *n)
{
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].reduce && n->dim[d].extent > 1) return true;
	return false;
}

/* A load of what the nest writes: in place only, at the very index of the store, and not within a
 * reduction, whose later points would read what the earlier ones left. */
static const char *load_allowed(Arena *a, const Nest *n, int l, const int64_t *extent)
{
	const Access *x = &n->load[l];
	uint32_t in_updates = nest_update_loads(n);
	for (int k = 0; k < n->nstore; k++) {
		const Access *to = &n->store[k].to;
		if (apart(x, to, extent)) continue;
		const char *why = NULL;
		if (!n->inplace)
			why = "reads what it writes and is not in place";
		else if (!same_place(x, to))
			why = "reads elements that other points write";
		else if (in_updates >> l & 1 && reduces(n))
			why = "reads in its reduction what it writes";
		if (why) return arena_printf(a, "stores: nest %s %s: %s", n->name, why, x->buffer->name);
	}
	return NULL;
}

/* What holds for the nest whatever its tree. */
static const char *check_nest(Arena *a, const Nest *n, const int64_t *extent)
{
	uint32_t used = nest_update_loads(n) | nest_store_loads(n);
	for (int k = 0; k < n->nstore; k++) {
		const char *wrong = injective(a, n, &n->store[k].to, extent);
		if (wrong) return wrong;
		for (int j = 0; j < k; j++)
			if (!same_place(&n->store[j].to, &n->store[k].to) &&
			    !apart(&n->store[j].to, &n->store[k].to, extent))
				return arena_printf(a, "stores: nest %s: two stores may meet in %s", n->name,
				    n->store[k].to.buffer->name);
	}
	for (int l = 0; l < n->nload; l++) {
		const char *wrong = used >> l & 1 ? load_allowed(a, n, l, extent) : NULL;
		if (wrong) return wrong;
	}
	return NULL;
}

/* --- what schedules may do with memory ---------------------------------------------------- */

/* Raw accumulators wait in the places of the first stores from chunk to chunk, so these places must
 * be theirs alone, and nothing that a store reads may lie there. */
const char *stores_allow_chunks(const Nest *n)
{
	int64_t extent[NEST_DIMS];
	nest_extents(n, extent);
	if (n->inplace) return "a chunked reduction in place";
	if (n->nacc > n->nstore) return "a chunked reduction with fewer stores than accumulators";
	for (int k = 0; k < n->nstore; k++) {
		for (int l = 0; l < n->nload; l++)
			if (n->load[l].buffer == n->store[k].to.buffer)
				return "a chunked reduction that reads where its accumulators wait";
		for (int j = 0; j < k; j++)
			if (!apart(&n->store[j].to, &n->store[k].to, extent))
				return "a chunked reduction whose accumulators share a place";
	}
	return NULL;
}

/* An index is known to stay within [lo, hi) by a guard over the same form. */
static bool guarded(const Nest *n, const Affine *e)
{
	for (int g = 0; g < n->nguard; g++)
		if (n->guard[g].kind == GUARD_RANGE && n->guard[g].e[0].q == 1 &&
		    affine_same_terms(&n->guard[g].e[0].a, e))
			return true;
	return false;
}

/* Pad points of dim d write past the logical end of some dim of the buffer, where there is room. */
static bool pad_beyond(const Access *to, int d, int64_t from, const int64_t *extent)
{
	int64_t count[NEST_DIMS], lo, hi;
	for (int i = 0; i < to->buffer->rank; i++) {
		Affine e = to->at[i].a;
		int64_t k = affine_k(&e, d);
		if (!k) continue;
		memcpy(count, extent, sizeof count);
		count[d] -= from;
		e.c += k * from;
		affine_range(&e, count, &lo, &hi);
		if (lo >= to->buffer->shape[i] && hi < to->buffer->room[i]) return true;
	}
	return false;
}

/* Pad points read room, or nothing where a guard keeps the index inside. */
static bool load_has_room(const Nest *n, const Access *x, const int64_t *extent)
{
	int64_t own[NEST_DIMS], lo, hi, padded_lo, padded_hi;
	nest_extents(n, own);
	for (int i = 0; i < x->buffer->rank; i++) {
		const Affine *e = &x->at[i].a;
		affine_range(e, own, &lo, &hi);
		affine_range(e, extent, &padded_lo, &padded_hi);
		if (lo == padded_lo && hi == padded_hi) continue;
		if (x->at[i].q != 1) return false;
		if (!guarded(n, e) && (padded_lo < 0 || padded_hi >= x->buffer->room[i])) return false;
	}
	return true;
}

static bool affine_padded(const Nest *n, const Affine *e, const int64_t *extent)
{
	for (int t = 0; t < e->n; t++)
		if (extent[e->t[t].var] > n->dim[e->t[t].var].extent) return true;
	return false;
}

typedef struct {
	const Nest *nest;
	const int64_t *extent;
} Padding;

static bool no_padded_table(void *self, const Expr *e)
{
	const Padding *p = self;
	return e->kind != E_TABLE || (!affine_padded(p->nest, &e->index[0], p->extent) &&
	                                 !affine_padded(p->nest, &e->index[1], p->extent));
}

/* Pad points compute rubbish: it may go into room beyond the logical end, and nowhere else. */
const char *stores_allow_pad(const Nest *n, const int64_t *extent)
{
	Padding p = {n, extent};
	for (int g = 0; g < n->nguard; g++)
		if (n->guard[g].kind == GUARD_MASK && (affine_padded(n, &n->guard[g].e[0].a, extent) ||
		                                          affine_padded(n, &n->guard[g].e[1].a, extent)))
			return "a mask knows nothing of padded dims";
	for (int k = 0; k < n->nacc; k++)
		if (!expr_visit(n->acc[k].update, no_padded_table, &p))
			return "a table knows nothing of padded dims";
	for (int k = 0; k < n->nstore; k++) {
		if (!expr_visit(n->store[k].value, no_padded_table, &p))
			return "a table knows nothing of padded dims";
		for (int d = 0; d < n->ndim; d++)
			if (extent[d] > n->dim[d].extent &&
			    !pad_beyond(&n->store[k].to, d, n->dim[d].extent, extent))
				return "pad points would write outside the room beyond their dim";
	}
	for (int l = 0; l < n->nload; l++)
		if (!load_has_room(n, &n->load[l], extent)) return "pad points would read outside the room";
	return NULL;
}

/* Private accumulators start at `init` each and are combined: a sum's must start at 0. */
const char *accs_allow_private(const Nest *n)
{
	if (n->ordered) return "private accumulators where the order matters";
	for (int k = 0; k < n->nacc; k++) {
		if (n->acc[k].combine == COMBINE_NONE)
			return "private accumulators that cannot be combined";
		if (n->acc[k].combine == COMBINE_SUM && n->acc[k].init != 0)
			return "private accumulators of a sum that does not start at 0";
	}
	return NULL;
}

/* --- the tree ----------------------------------------------------------------------------- */

typedef struct {
	Arena *arena;
	const Scheduled *tree;
} Stores;

static const char *check_tile(const Stores *c, const Tree *t)
{
	const Nest *n = c->tree->nest;
	Chunk chunk[NEST_DIMS];
	int lanes = 0;
	const char *wrong = tile_chunks(c->tree, t, chunk) ? stores_allow_chunks(n) : NULL;
	for (int r = 0; r < t->nreg && !wrong; r++) {
		lanes += t->reg[r].lanes;
		if (n->dim[t->reg[r].dim].reduce) wrong = accs_allow_private(n);
	}
	if (!wrong && lanes > 1) wrong = "two lanes in a tile";
	return wrong ? arena_printf(c->arena, "stores: nest %s: %s", n->name, wrong) : NULL;
}

/* Parallel loops lead: nothing but parallel loops stands above or beside one. */
static const char *check_list(const Stores *c, Tree *const *node, int n, bool may_par)
{
	int pars = 0;
	for (int i = 0; i < n; i++) pars += node[i]->kind == TREE_LOOP && node[i]->line == LINE_PAR;
	if (pars && !may_par) return "stores: a parallel loop inside a serial one";
	if (pars && pars < n) return "stores: blocks beside serial nodes";
	for (int i = 0; i < n; i++) {
		const char *wrong;
		if (pars && c->tree->nest->dim[node[i]->dim].reduce) return "stores: a parallel reduction";
		if (node[i]->kind == TREE_TILE)
			wrong = check_tile(c, node[i]);
		else
			wrong = check_list(c, node[i]->kid.at, node[i]->kid.n, pars > 0);
		if (wrong) return wrong;
	}
	return NULL;
}

static const char *check_lanes(void *self, const Path *path)
{
	const Stores *c = self;
	if (path->leaf->dead || !path->tile) return NULL;
	return guard_on_lane(c->tree, path->tile, path->leaf) ? "stores: a guard depends on a lane"
	                                                      : NULL;
}

const char *check_stores(Arena *a, const Scheduled *s)
{
	const Nest *n = s->nest;
	Stores c = {a, s};
	bool padded = false;
	for (int d = 0; d < n->ndim; d++) padded |= s->extent[d] > n->dim[d].extent;
	const char *wrong = padded ? stores_allow_pad(n, s->extent) : NULL;
	if (wrong) return arena_printf(a, "stores: nest %s: %s", n->name, wrong);
	wrong = check_nest(a, n, s->extent);
	if (!wrong) wrong = check_list(&c, s->root.at, s->root.n, true);
	return wrong ? wrong : paths_visit(s, check_lanes, &c);
}
