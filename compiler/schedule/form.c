/* form: what a nest looks like, for those who choose layouts and schedules. Nothing here knows an
 * operator: only loads, stores, dims and how they meet. */
#include "internal.h"

bool load_in_update(const Nest *n, int l)
{
	for (int k = 0; k < n->nacc; k++)
		if (expr_uses_load(n->acc[k].update, l)) return true;
	return false;
}

static bool is_another(void *self, const Expr *e) { return e->kind != *(ExprKind *)self; }

bool stores_use(const Nest *n, ExprKind kind)
{
	for (int k = 0; k < n->nstore; k++)
		if (!expr_visit(n->store[k].value, is_another, &kind)) return true;
	return false;
}

bool nest_uses(const Nest *n, ExprKind kind)
{
	for (int k = 0; k < n->nacc; k++)
		if (!expr_visit(n->acc[k].update, is_another, &kind)) return true;
	return stores_use(n, kind);
}

int64_t nest_points(const Nest *n)
{
	int64_t points = 1;
	for (int d = 0; d < n->ndim; d++)
		if (!mul_fits(points, n->dim[d].extent, &points)) return INT64_MAX;
	return points;
}

Product contraction_of(const Nest *n)
{
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].reduce && n->dim[d].extent > 1) return nest_product(n);
	return (Product){0};
}

int access_position(const Access *x, int dim)
{
	int found = -1;
	for (int d = 0; d < x->buffer->rank; d++) {
		int64_t k = affine_k(&x->at[d].a, dim);
		if (!k) continue;
		if (k != 1 || x->at[d].q != 1 || found >= 0) return -1;
		found = d;
	}
	return found;
}

int image_dim(const Nest *n)
{
	Product c = contraction_of(n);
	for (int d = 0; d < n->ndim && c.is; d++) {
		bool leads = n->dim[d].reduce;
		for (int k = 0; k < 2; k++) leads &= access_position(&n->load[c.load[k]], d) == 0;
		if (leads) return d;
	}
	return -1;
}

int64_t buffer_run(const Buffer *b, int position)
{
	int last = b->ncomp - 1;
	while (last >= 0 && b->comp[last].dim != position && b->room[b->comp[last].dim] == 1) last--;
	if (last < 0) return 1;
	const Component *c = &b->comp[last];
	if (c->dim != position || c->div != 1) return 1;
	return c->mod ? c->mod : b->room[position];
}

/* --- indices made of digits ---------------------------------------------------------------- */

static bool add_digit(Refined *r, int position, int64_t weight, int64_t shape, Index at)
{
	if (r->rank == BUFFER_RANK) return false;
	r->position[r->rank] = position;
	r->weight[r->rank] = weight;
	r->shape[r->rank] = shape;
	r->at[r->rank++] = at;
	return true;
}

/* Splits one position; leaves it whole when it is not a full mixed-radix number of whole dims. */
static bool refine_position(const Nest *n, const Access *x, int d, Refined *r)
{
	const Affine *a = &x->at[d].a;
	int order[AFFINE_TERMS], used = 0;
	for (int t = 0; t < a->n; t++) {
		int k = used++;
		for (; k > 0 && a->t[order[k - 1]].k < a->t[t].k; k--) order[k] = order[k - 1];
		order[k] = t;
	}
	int64_t weight = 1;
	bool mixed = x->at[d].q == 1 && a->c == 0 && a->n > 1;
	for (int k = used - 1; k >= 0 && mixed; k--) {
		const Term *t = &a->t[order[k]];
		mixed = t->k == weight;
		weight *= n->dim[t->var].extent;
	}
	if (!mixed || weight != x->buffer->shape[d])
		return add_digit(r, d, 1, x->buffer->shape[d], x->at[d]);
	for (int k = 0; k < used; k++) {
		const Term *t = &a->t[order[k]];
		if (!add_digit(r, d, t->k, n->dim[t->var].extent, index_of(affine_var(t->var))))
			return false;
	}
	return true;
}

bool refine(const Nest *n, const Access *x, Refined *r)
{
	*r = (Refined){0};
	for (int d = 0; d < x->buffer->rank; d++)
		if (!refine_position(n, x, d, r)) return false;
	return true;
}

int refined_position(const Refined *r, int d)
{
	int found = -1;
	for (int i = 0; i < r->rank; i++) {
		int64_t k = affine_k(&r->at[i].a, d);
		if (!k) continue;
		if (k != 1 || r->at[i].q != 1 || found >= 0) return -1;
		found = i;
	}
	return found;
}

/* --- lanes --------------------------------------------------------------------------------- */

/* Whether x may have d along the lanes, perhaps after a copy in which digits are dims. */
static bool lanes_in_load(const Nest *n, const Access *x, int d)
{
	Refined r;
	if (!access_moves(x, d) || access_position(x, d) >= 0) return true;
	return x->buffer->fixed && refine(n, x, &r) && refined_position(&r, d) >= 0;
}

static bool is_guarded_by(const Nest *n, int d)
{
	for (int g = 0; g < n->nguard; g++)
		if (affine_k(&n->guard[g].e[0].a, d) || affine_k(&n->guard[g].e[1].a, d)) return true;
	return false;
}

bool may_be_lanes(const Nest *n, int d)
{
	if (n->dim[d].reduce) return false;
	for (int k = 0; k < n->nload; k++)
		if (!lanes_in_load(n, &n->load[k], d)) return false;
	if (is_guarded_by(n, d)) return false;
	for (int k = 0; k < n->nstore; k++)
		if (access_position(&n->store[k].to, d) < 0) return false;
	return n->nstore > 0;
}

static bool is_blocked_at(const Buffer *b, int position)
{
	const Component *c = b->ncomp ? &b->comp[b->ncomp - 1] : NULL;
	return c && c->mod && c->dim == position;
}

bool stores_blocks(const Nest *n, int d)
{
	const Access *to = &n->store[0].to;
	int at = access_position(to, d);
	return at >= 0 && (to->buffer->fixed || to->buffer->laid) &&
	       n->dim[d].extent >= CHANNEL_BLOCK && buffer_run(to->buffer, at) >= CHANNEL_BLOCK;
}

/* Channels are dim 1 of what leads with a batch. In a gradient by weights two dims are channels:
 * the outputs, dim 0 of the store, are preferred, unless they leave more of the last vector empty,
 * or there are no taps and weights of an output lie side by side.
 */
static int channel_votes(const Nest *n, int d)
{
	int64_t extent = n->dim[d].extent, block = channel_block(MAX(extent, NARROW_BLOCK)),
	        room = (extent + block - 1) / block * block;
	const Access *to = &n->store[0].to;
	int at = access_position(to, d), votes = 0;
	bool channel = to->buffer->rank >= 2 && at == 1;
	for (int k = 0; k < n->nload; k++) {
		bool one = n->load[k].buffer->rank >= 2 && access_position(&n->load[k], d) == 1;
		if (one && at == 0) votes += 2;
		channel |= one;
	}
	votes += 8 * is_blocked_at(to->buffer, at); /* laid out already */
	votes += 3 * (channel && stores_blocks(n, d));
	votes += 4 * channel - 3 * (10 * extent < 7 * room);
	return extent <= PLAIN_CHANNELS ? votes - 100 : votes;
}

/* A sum over many channels may run along the lanes itself: both factors have them side by side, and
 * each lane is a part of the sum. */
int summed_lanes(const Nest *n)
{
	Product c = contraction_of(n);
	for (int d = 0; d < n->ndim && c.is; d++) {
		bool channel = false, good = n->dim[d].reduce && n->dim[d].extent >= CHANNEL_BLOCK;
		for (int k = 0; k < n->nload && good; k++) {
			bool moves = access_moves(&n->load[k], d);
			good = moves == (k == c.load[0] || k == c.load[1]) && lanes_in_load(n, &n->load[k], d);
			channel |= access_position(&n->load[k], d) == 1;
		}
		if (good && channel && !is_guarded_by(n, d)) return d;
	}
	return -1;
}

/* Values of d leave a quarter of a vector empty, or more, and sums are so long that adding up lanes
 * behind them costs less. */
static bool wastes_lanes(const Nest *n, int d)
{
	enum { TERMS = 256 };
	int64_t terms = 1;
	for (int k = 0; k < n->ndim; k++)
		if (n->dim[k].reduce && !mul_fits(terms, n->dim[k].extent, &terms)) return false;
	return 4 * n->dim[d].extent <= 3 * NARROW_BLOCK && terms >= TERMS;
}

int lane_dim(const Nest *n)
{
	enum { CHANNELS_VOTE = 1 }; /* what channels have at least, if they are more than a few */
	int best = -1, most = -1;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].reduce || n->dim[d].extent < 2 || !may_be_lanes(n, d)) continue;
		int votes = channel_votes(n, d);
		if (votes > most || best < 0) {
			best = d;
			most = votes;
		}
	}
	bool summing = best < 0 || most < CHANNELS_VOTE || wastes_lanes(n, best);
	int summed = summing ? summed_lanes(n) : -1;
	return summed >= 0 ? summed : best;
}
