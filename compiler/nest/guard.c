/* guard: what is known of a guard or an index once dims are affine forms over loop variables, and
 * the register instances over which these forms are evaluated. */
#include "internal.h"

/* Values first, first+step, ... n of them: exact for forms of one variable, else their interval. */
typedef struct {
	int64_t first, step, n;
} Values;

static Values values_of(const Affine *a, const int64_t *count_of_var)
{
	if (a->n == 0) return (Values){a->c, 1, 1};
	if (a->n == 1) return (Values){a->c, a->t[0].k, count_of_var[a->t[0].var]};
	int64_t lo, hi;
	affine_range(a, count_of_var, &lo, &hi);
	return (Values){lo, 1, hi - lo + 1};
}

/* Looks at every entry in reach, row by row, until both truths were seen. */
static Truth truth_of_mask(
    const Guard *g, const Affine *row, const Affine *col, const int64_t *count)
{
	Values r = values_of(row, count), c = values_of(col, count);
	bool zero = false, one = false;
	for (int64_t i = 0; i < r.n; i++) {
		const uint8_t *line = g->table + (r.first + i * r.step) * g->cols;
		for (int64_t j = 0; j < c.n; j++) {
			if (line[c.first + j * c.step])
				one = true;
			else
				zero = true;
			if (zero && one) return MAYBE;
		}
	}
	return one ? ALWAYS : NEVER;
}

/* q divides every term: the constant decides. Otherwise a common divisor of terms and q that does
 * not divide the constant rules it out. */
static Truth truth_of_divides(const Affine *a, int64_t q)
{
	int64_t common = q;
	for (int i = 0; i < a->n; i++) {
		int64_t x = a->t[i].k;
		while (x) {
			int64_t r = common % x;
			common = x;
			x = r;
		}
	}
	if (common < 0) common = -common;
	if (a->c % common) return NEVER;
	return common == q ? ALWAYS : MAYBE;
}

static Truth truth_of_range(const Guard *g, const Affine *a, const int64_t *count)
{
	int64_t lo, hi, q = g->e[0].q;
	affine_range(a, count, &lo, &hi);
	lo = -floor_div(-lo, q); /* only exact quotients count: round inwards */
	hi = floor_div(hi, q);
	if (lo > hi || hi < g->lo || lo >= g->hi) return NEVER;
	return lo >= g->lo && hi < g->hi ? ALWAYS : MAYBE;
}

/* A form that has too many terms is not known: MAYBE. */
Truth guard_truth(const Guard *g, const Affine *sub, const int64_t *count_of_var)
{
	Affine a, b;
	if (!affine_try_subst(&g->e[0].a, sub, &a)) return MAYBE;
	switch (g->kind) {
	case GUARD_RANGE: return truth_of_range(g, &a, count_of_var);
	case GUARD_DIVIDES: return truth_of_divides(&a, g->q);
	case GUARD_MASK:
		if (!affine_try_subst(&g->e[1].a, sub, &b)) return MAYBE;
		return truth_of_mask(g, &a, &b, count_of_var);
	}
	bug("guard kind %d", (int)g->kind);
}

bool guards_may_hold(const Nest *n, const Affine *sub, const int64_t *count_of_var)
{
	for (int g = 0; g < n->nguard; g++)
		if (guard_truth(&n->guard[g], sub, count_of_var) == NEVER) return false;
	return true;
}

/* Where q divides every term and the constant, the quotient is one term by term. */
bool index_resolve(const Index *i, const Affine *sub, Affine *out)
{
	if (!affine_try_subst(&i->a, sub, out)) return false;
	if (i->q == 1) return true;
	if (out->c % i->q) return false;
	for (int t = 0; t < out->n; t++)
		if (out->t[t].k % i->q) return false;
	out->c /= i->q;
	for (int t = 0; t < out->n; t++) out->t[t].k /= i->q;
	return true;
}

bool index_guarded(const Nest *n, const Index *i)
{
	for (int g = 0; g < n->nguard; g++)
		if (n->guard[g].kind == GUARD_DIVIDES && n->guard[g].q % i->q == 0 &&
		    affine_same(&n->guard[g].e[0].a, &i->a))
			return true;
	return false;
}

int instance_count(const Reg *reg, int nreg)
{
	int64_t n = 1;
	for (int r = 0; r < nreg; r++)
		if (!reg[r].lanes) n *= reg[r].count;
	return (int)n;
}

void instance_fix(const Reg *reg, int nreg, int instance, const Affine *sub, int ndim, Affine *out)
{
	if (out != sub) memcpy(out, sub, (size_t)ndim * sizeof *out);
	for (int r = nreg - 1; r >= 0; r--) {
		if (reg[r].lanes) continue;
		int d = reg[r].dim;
		out[d] = affine_fix(&out[d], reg[r].var, instance % reg[r].count);
		instance = (int)(instance / reg[r].count);
	}
}

int leaf_regs(const Tree *tile, const Tree *leaf, Reg *reg)
{
	int n = 0;
	for (int r = 0; r < tile->nreg; r++) reg[n++] = tile->reg[r];
	for (int r = 0; r < leaf->nreg; r++) reg[n++] = leaf->reg[r];
	return n;
}

/* Quickly for the common case: the guard is decided for the leaf as a whole or knows nothing of
 * lanes. */
bool guard_on_lane(const Scheduled *s, const Tree *tile, const Tree *leaf)
{
	const Nest *n = s->nest;
	const Reg *lanes = NULL;
	for (int r = 0; r < tile->nreg; r++)
		if (tile->reg[r].lanes) lanes = &tile->reg[r];
	if (!lanes) return false;
	Reg reg[2 * TILE_REGS];
	int nreg = leaf_regs(tile, leaf, reg);
	for (int g = 0; g < n->nguard; g++) {
		const Guard *guard = &n->guard[g];
		bool moves = affine_k(&guard->e[0].a, lanes->dim) || affine_k(&guard->e[1].a, lanes->dim);
		if (!moves || guard_truth(guard, leaf->sub, s->count) != MAYBE) continue;
		for (int k = 0; k < instance_count(reg, nreg); k++) {
			Affine sub[NEST_DIMS];
			instance_fix(reg, nreg, k, leaf->sub, n->ndim, sub);
			if (guard_truth(guard, sub, s->count) == MAYBE && guards_may_hold(n, sub, s->count))
				return true;
		}
	}
	return false;
}
