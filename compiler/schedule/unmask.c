/* unmask: a link table moves from a contraction into the weights it reads or writes.
 *
 * A mask decides each pair of maps by itself, so lanes cannot run along either. But the sum over
 * the links is the sum over all pairs with zeros for the weights that are no links:
 *
 *   before   y[oc] = sum over ic with link(oc, ic) of w[oc, ic] x[ic]
 *   after    m[oc, ic] = link(oc, ic) ? w[oc, ic] : 0;    y[oc] = sum over ic of m[oc, ic] x[ic]
 *
 * and the gradient by weights is computed for all pairs, then copied with zeros where there is no
 * link. A row of 16 maps costs one vector whether it has three links or sixteen.
 * needs: row-major weights; first, since sums in parts and Winograd's method leave masks alone.
 * guarantees: the same numbers for finite ones; masks only where weights are no parameters or more
 * than the sum is stored.
 * checked by: verify_part; test_ops has samples with links; test_schedule wants vectors. */
#include "internal.h"

static const char *const dims[] = {"a", "b", "c", "d", "e", "f"};

/* The table as numbers of the text: 1 for a link, 0 for none. */
static Buffer *link_numbers(Arena *a, Part *p, const Guard *g, int64_t rows, const char *name)
{
	const int64_t shape[] = {rows, g->cols};
	double *number = NEWS(a, double, rows * g->cols);
	for (int64_t i = 0; i < rows * g->cols; i++) number[i] = g->table[i] != 0;
	Buffer *b = part_buffer(a, p, name, TYPE_REAL, 2, shape, PLACE_TABLE);
	b->table = number;
	return b;
}

/* to = link ? from : 0, at the same indices; the mask asks for positions `row` and `col`. */
static Nest *masked_copy(
    Arena *a, Part *p, Buffer *from, Buffer *to, const Guard *g, int row, int col, Where where)
{
	Nest *n = nest_new(a, "links");
	n->layer = from->name;
	n->where = where;
	Affine at[BUFFER_RANK];
	Index source[BUFFER_RANK];
	for (int d = 0; d < to->rank; d++) {
		at[d] = affine_var(nest_dim(n, dims[d], to->shape[d], false));
		source[d] = index_of(at[d]);
	}
	Buffer *links = link_numbers(a, p, g, to->shape[row], from->name);
	Expr *link = e_load(a, nest_load(n, "link", links, (Index[]){source[row], source[col]}));
	Expr *x = e_load(a, nest_load(n, "x", from, source)), *zero = e_num(a, 0);
	nest_store(n, "y", to, at, e_select(a, e_op(a, E_NE, link, zero), x, zero));
	return n;
}

/* Where x is indexed by the mask's row and column alone. */
static bool masks(const Access *x, const Guard *g, int *row, int *col)
{
	if (g->e[0].a.n != 1 || g->e[1].a.n != 1) return false;
	*row = access_position(x, g->e[0].a.t[0].var);
	*col = access_position(x, g->e[1].a.t[0].var);
	if (*row < 0 || *col < 0) return false;
	return affine_same(&x->at[*row].a, &g->e[0].a) && affine_same(&x->at[*col].a, &g->e[1].a);
}

static Buffer *like(Arena *a, Part *p, const Buffer *b)
{
	Buffer *made = part_buffer(a, p, b->name, TYPE_REAL, b->rank, b->shape, PLACE_WORK);
	made->fixed = true; /* row-major, as what it stands for */
	return made;
}

static void drop_guard(Nest *n, int g)
{
	for (; g + 1 < n->nguard; g++) n->guard[g] = n->guard[g + 1];
	n->nguard--;
}

/* Guard g of the nest at step s; true when it is gone. */
static bool unmask(Arena *a, Part *p, int s, Nest *n, int g)
{
	int row, col;
	Guard guard = n->guard[g];
	for (int k = 0; k < n->nload; k++) {
		Access *x = &n->load[k];
		if (!load_in_update(n, k) || !x->buffer->fixed || !masks(x, &guard, &row, &col)) continue;
		Buffer *m = like(a, p, x->buffer);
		part_insert(a, p, s, masked_copy(a, p, x->buffer, m, &guard, row, col, n->where),
		    arena_printf(a, "%s: zeros where there is no link", m->name));
		x->buffer = m;
		drop_guard(n, g);
		return true;
	}
	Access *to = &n->store[0].to;
	bool plain = n->nstore == 1 && n->store[0].value->kind == E_ACC;
	if (!plain || !masks(to, &guard, &row, &col)) return false;
	Buffer *all = like(a, p, to->buffer);
	part_insert(a, p, s + 1, masked_copy(a, p, all, to->buffer, &guard, row, col, n->where),
	    arena_printf(a, "%s: zeros where there is no link", all->name));
	to->buffer = all;
	drop_guard(n, g);
	return true;
}

void unmask_part(Arena *a, Part *p)
{
	for (int s = 0; s < p->step.n; s++) {
		const Nest *old = p->step.at[s].nest;
		if (!contraction_of(old).is) continue;
		for (int g = 0; g < old->nguard; g++) {
			if (old->guard[g].kind != GUARD_MASK) continue;
			Nest *n = nest_copy(a, old);
			int before = p->step.n;
			if (!unmask(a, p, s, n, g)) break;
			int at = p->step.at[s].nest == old ? s : s + p->step.n - before;
			p->step.at[at].nest = n;
			s = at;
			break;
		}
	}
}
