/* nest: building nests. A nest is plain data; these functions only keep its arrays within their
 * room, because a nest that outgrows them is a fault of the operator that lowers to it. */
#include "internal.h"

Nest *nest_new(Arena *a, const char *name)
{
	Nest *n = NEW(a, Nest);
	n->arena = a;
	n->name = name;
	return n;
}

Nest *nest_part(Arena *a, const Nest *of, const char *name)
{
	Nest *n = nest_new(a, name);
	n->layer = of->layer;
	n->where = of->where;
	return n;
}

static Index *copy_indices(Arena *a, const Index *from, int n)
{
	Index *to = NEWS(a, Index, n);
	for (int i = 0; i < n; i++) to[i] = from[i];
	return to;
}

void access_put(Arena *a, Access *x, Buffer *b, const Index *at)
{
	x->buffer = b;
	x->at = copy_indices(a, at, b->rank);
}

Nest *nest_copy(Arena *a, const Nest *n)
{
	Nest *copy = NEW(a, Nest);
	*copy = *n;
	copy->arena = a;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		Access *x = k < n->nload ? &copy->load[k] : &copy->store[k - n->nload].to;
		x->at = copy_indices(a, x->at, x->buffer->rank);
	}
	for (int g = 0; g < n->nguard; g++) copy->guard[g].e = copy_indices(a, n->guard[g].e, 2);
	return copy;
}

static void want_room(const Nest *n, int used, int room, const char *what)
{
	if (used >= room) bug("nest %s has more than %d %s", n->name, room, what);
}

int nest_dim(Nest *n, const char *name, int64_t extent, bool reduce)
{
	want_room(n, n->ndim, NEST_DIMS, "dims");
	n->dim[n->ndim] = (Dim){name, extent, reduce};
	return n->ndim++;
}

bool index_same(const Index *a, const Index *b)
{
	return a->q == b->q && affine_same(&a->a, &b->a);
}

bool indices_same(const Access *a, const Access *b)
{
	if (a->buffer->rank != b->buffer->rank) return false;
	for (int i = 0; i < a->buffer->rank; i++)
		if (!index_same(&a->at[i], &b->at[i])) return false;
	return true;
}

bool access_same(const Access *a, const Access *b)
{
	return a->buffer == b->buffer && indices_same(a, b);
}

static bool guard_same(const Guard *a, const Guard *b)
{
	return a->kind == b->kind && index_same(&a->e[0], &b->e[0]) && index_same(&a->e[1], &b->e[1]) &&
	       a->lo == b->lo && a->hi == b->hi && a->q == b->q && a->table == b->table &&
	       a->cols == b->cols;
}

static bool dim_same(const Dim *a, const Dim *b)
{
	return a->extent == b->extent && a->reduce == b->reduce;
}

bool nest_same_work(const Nest *x, const Nest *y)
{
	if (x == y) return true;
	bool same = x->ndim == y->ndim && x->nload == y->nload && x->nguard == y->nguard &&
	            x->nacc == y->nacc && x->nstore == y->nstore && x->join == y->join &&
	            x->ordered == y->ordered && x->inplace == y->inplace;
	for (int d = 0; same && d < x->ndim; d++) same = dim_same(&x->dim[d], &y->dim[d]);
	for (int k = 0; same && k < x->nload + x->nstore; k++)
		same = access_same(nest_access(x, k), nest_access(y, k));
	for (int g = 0; same && g < x->nguard; g++) same = guard_same(&x->guard[g], &y->guard[g]);
	for (int k = 0; same && k < x->nacc; k++)
		same = x->acc[k].init == y->acc[k].init && x->acc[k].combine == y->acc[k].combine &&
		       x->acc[k].update == y->acc[k].update;
	for (int k = 0; same && k < x->nstore; k++) same = x->store[k].value == y->store[k].value;
	return same;
}

/* A load is known by what it reads, so that fused nests share theirs; `as` of the first one stays.
 */
int nest_load(Nest *n, const char *as, Buffer *b, const Index *at)
{
	Access x = {.buffer = b, .as = as, .at = (Index *)at}; /* only to compare */
	for (int l = 0; l < n->nload; l++)
		if (access_same(&n->load[l], &x)) return l;
	want_room(n, n->nload, NEST_LOADS, "loads");
	access_put(n->arena, &x, b, at);
	n->load[n->nload] = x;
	return n->nload++;
}

static Guard *guard_new(Nest *n, GuardKind kind)
{
	want_room(n, n->nguard, NEST_GUARDS, "guards");
	Guard *g = &n->guard[n->nguard++];
	*g = (Guard){.kind = kind, .e = NEWS(n->arena, Index, 2)};
	g->e[0].q = g->e[1].q = 1;
	return g;
}

const Access *nest_access(const Nest *n, int k)
{
	return k < n->nload ? &n->load[k] : &n->store[k - n->nload].to;
}

bool access_moves(const Access *x, int dim)
{
	for (int d = 0; d < x->buffer->rank; d++)
		if (affine_k(&x->at[d].a, dim)) return true;
	return false;
}

int64_t access_step(const Access *x, int dim)
{
	int64_t sum = 0;
	for (int d = 0; d < x->buffer->rank; d++)
		sum += affine_k(&x->at[d].a, dim) * buffer_stride(x->buffer, d);
	return sum;
}

void nest_guard_range(Nest *n, Index e, int64_t lo, int64_t hi)
{
	Guard *g = guard_new(n, GUARD_RANGE);
	g->e[0] = e;
	g->lo = lo;
	g->hi = hi;
}

void nest_guard_divides(Nest *n, Affine e, int64_t q)
{
	Guard *g = guard_new(n, GUARD_DIVIDES);
	g->e[0].a = e;
	g->q = q;
}

void nest_guard_mask(Nest *n, Affine row, Affine col, const uint8_t *table, int cols)
{
	Guard *g = guard_new(n, GUARD_MASK);
	g->e[0].a = row;
	g->e[1].a = col;
	g->table = table;
	g->cols = cols;
}

int nest_acc(Nest *n, double init, Combine combine, Expr *update)
{
	want_room(n, n->nacc, NEST_ACCS, "accumulators");
	n->acc[n->nacc] = (Acc){init, combine, update};
	return n->nacc++;
}

void nest_store(Nest *n, const char *as, Buffer *b, const Affine *at, Expr *value)
{
	want_room(n, n->nstore, NEST_STORES, "stores");
	Store *s = &n->store[n->nstore++];
	*s = (Store){
	    .to = {.buffer = b, .as = as, .at = NEWS(n->arena, Index, b->rank)}, .value = value};
	for (int i = 0; i < b->rank; i++) s->to.at[i] = index_of(at[i]);
}

/* The extents as counts of the vars of affine forms over dims, for affine_range(). */
void nest_extents(const Nest *n, int64_t *extent)
{
	for (int d = 0; d < n->ndim; d++) extent[d] = n->dim[d].extent;
}

uint32_t nest_update_loads(const Nest *n)
{
	uint32_t loads = 0;
	for (int k = 0; k < n->nacc; k++) loads |= expr_loads(n->acc[k].update);
	return loads;
}

uint32_t nest_store_loads(const Nest *n)
{
	uint32_t loads = 0;
	for (int k = 0; k < n->nstore; k++) loads |= expr_loads(n->store[k].value);
	return loads;
}

Product nest_product(const Nest *n)
{
	Product c = {0};
	if (n->nacc != 1 || n->acc[0].combine != COMBINE_SUM) return c;
	const Expr *e = n->acc[0].update;
	if (e->kind != E_ADD) return c;
	const Expr *product = e->arg[0]->kind == E_ACC ? e->arg[1] : e->arg[0];
	if (product->kind != E_MUL || product->arg[0]->kind != E_LOAD ||
	    product->arg[1]->kind != E_LOAD)
		return c;
	c.load[0] = product->arg[0]->id;
	c.load[1] = product->arg[1]->id;
	c.is = c.load[0] != c.load[1];
	return c;
}
