/* nest_verify: whether a nest is well formed: what every later stage takes for granted. Says
 * nothing of whether accesses lie inside their buffers; that depends on layout and padding and is
 * check_bounds'. */
#include "internal.h"

typedef struct {
	Arena *arena;
	const Nest *nest;
	bool in_store; /* where reduction dims have no value */
	const char *wrong;
} Verifier;

static const int64_t limit = INT64_C(1) << 60; /* no index may come near overflow */

static bool fail(Verifier *v, const char *what)
{
	if (!v->wrong) v->wrong = arena_printf(v->arena, "nest %s: %s", v->nest->name, what);
	return false;
}

/* Vars are dims, in order, and the form's values keep far from overflow. */
static bool affine_ok(Verifier *v, const Affine *a)
{
	if (a->n < 0 || a->n > AFFINE_TERMS) return fail(v, "an affine form has too many terms");
	int64_t reach = a->c < 0 ? -(a->c + 1) : a->c;
	for (int i = 0; i < a->n; i++) {
		Term t = a->t[i];
		if (t.var < 0 || t.var >= v->nest->ndim) return fail(v, "an index over a dim it has not");
		if (!t.k || (i && a->t[i - 1].var >= t.var)) return fail(v, "an unsorted affine form");
		if (v->in_store && v->nest->dim[t.var].reduce)
			return fail(v, "a reduction dim is used outside the reduction");
		int64_t span;
		if (t.k < -limit || !mul_fits(t.k < 0 ? -t.k : t.k, v->nest->dim[t.var].extent, &span) ||
		    !add_fits(reach, span, &reach))
			return fail(v, "an index overflows");
	}
	return reach < limit || fail(v, "an index overflows");
}

static bool index_ok(Verifier *v, const Index *i)
{
	if (i->q < 1) return fail(v, "an index with a divisor below 1");
	if (!affine_ok(v, &i->a)) return false;
	if (i->q == 1) return true;
	if (v->in_store) return fail(v, "a quotient outside the reduction");
	return index_guarded(v->nest, i) || fail(v, "a quotient without its guard");
}

/* In stores, loads too may use space dims only: see affine_ok(). */
static bool access_ok(Verifier *v, const Access *x)
{
	if (!x->buffer) return fail(v, "an access without buffer");
	for (int i = 0; i < x->buffer->rank; i++)
		if (!index_ok(v, &x->at[i])) return false;
	return true;
}

/* Column index of a table with cols columns; the row count is the maker's to know. */
static bool cell_ok(Verifier *v, const Affine *row, const Affine *col, int64_t cols)
{
	if (!affine_ok(v, row) || !affine_ok(v, col)) return false;
	int64_t extent[NEST_DIMS], lo, hi;
	nest_extents(v->nest, extent);
	affine_range(row, extent, &lo, &hi);
	if (lo < 0) return fail(v, "a table row below 0");
	affine_range(col, extent, &lo, &hi);
	return (lo >= 0 && hi < cols) || fail(v, "a table column out of range");
}

/* `count` operands, all truths or all numbers; a select takes a truth, then numbers. */
static bool args_ok(Verifier *v, const Expr *e, int count, bool truth)
{
	for (int i = 0; i < 3; i++) {
		if (!e->arg[i] != (i >= count))
			return fail(v, "an operator with a wrong number of operands");
		bool want = e->kind == E_SELECT ? i == 0 : truth;
		if (i < count && expr_is_truth(e->arg[i]) != want)
			return fail(
			    v, want ? "a number where a condition belongs" : "a condition used as a number");
	}
	return true;
}

/* Seeds are read by E_HASH only, and nothing else by it. */
static bool load_ok(Verifier *v, int load, bool seed)
{
	if (load < 0 || load >= v->nest->nload) return fail(v, "a load that it has not");
	const Access *x = &v->nest->load[load];
	if (!access_ok(v, x)) return false;
	if ((x->buffer->type == TYPE_SEED) != seed)
		return fail(v, "a seed read as a number, or a number as a seed");
	return true;
}

static bool node_ok(void *self, const Expr *e)
{
	Verifier *v = self;
	switch (e->kind) {
	case E_ACC:
		return (e->id >= 0 && e->id < v->nest->nacc) ||
		       fail(v, "an accumulator used before it is declared");
	case E_LOAD: return load_ok(v, e->id, false);
	case E_HASH: return load_ok(v, e->id, true) && affine_ok(v, &e->index[0]);
	case E_NUM: return args_ok(v, e, 0, false);
	case E_INDEX: return affine_ok(v, &e->index[0]);
	case E_TABLE:
		return e->table ? cell_ok(v, &e->index[0], &e->index[1], e->cols)
		                : fail(v, "a table without numbers");
	case E_AND:
	case E_OR: return args_ok(v, e, 2, true);
	case E_SELECT: return args_ok(v, e, 3, false);
	case E_ROUND: return args_ok(v, e, 1, false);
	case E_CALL: return args_ok(v, e, e->fn == FN_POW ? 2 : 1, false);
	default: return args_ok(v, e, 2, false);
	}
}

static bool expr_ok(Verifier *v, const Expr *e)
{
	if (!e) return fail(v, "an expression is missing");
	if (expr_is_truth(e)) return fail(v, "a condition used as a number");
	return expr_visit(e, node_ok, v);
}

static bool guard_ok(Verifier *v, const Guard *g)
{
	switch (g->kind) {
	case GUARD_RANGE: return index_ok(v, &g->e[0]);
	case GUARD_DIVIDES: return g->q < 1 ? fail(v, "a divisor below 1") : affine_ok(v, &g->e[0].a);
	case GUARD_MASK:
		if (!g->table) return fail(v, "a mask without table");
		return cell_ok(v, &g->e[0].a, &g->e[1].a, g->cols);
	}
	return fail(v, "an unknown guard");
}

static bool dims_ok(Verifier *v)
{
	const Nest *n = v->nest;
	bool reduces = false;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].extent < 1) return fail(v, "an empty dim");
		if (!n->dim[d].name || !*n->dim[d].name) return fail(v, "a dim without name");
		reduces |= n->dim[d].reduce;
	}
	if (!n->nstore) return fail(v, "no store");
	if (!n->nacc && reduces) return fail(v, "a reduction without accumulator");
	if (!n->nacc && n->nguard) return fail(v, "a guard without accumulator guards nothing");
	return true;
}

const char *nest_verify(Arena *a, const Nest *n)
{
	Verifier v = {.arena = a, .nest = n};
	if (n->ndim < 0 || n->ndim > NEST_DIMS || n->nload > NEST_LOADS || n->nstore > NEST_STORES ||
	    n->nacc > NEST_ACCS || n->nguard > NEST_GUARDS)
		return "a nest larger than its arrays";
	if (!dims_ok(&v)) return v.wrong;
	for (int g = 0; g < n->nguard; g++)
		if (!guard_ok(&v, &n->guard[g])) return v.wrong;
	for (int k = 0; k < n->nacc; k++)
		if (!expr_ok(&v, n->acc[k].update)) return v.wrong;
	v.in_store = true;
	for (int k = 0; k < n->nstore; k++) {
		const Store *s = &n->store[k];
		if (!access_ok(&v, &s->to) || !expr_ok(&v, s->value)) return v.wrong;
		if (s->to.buffer->type != TYPE_REAL) {
			fail(&v, "a store into what holds no numbers");
			return v.wrong;
		}
	}
	return NULL;
}
