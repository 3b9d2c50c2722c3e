/* expr: bodies of nests as trees, shared by interpreter and printers.
 *
 * Expressions are immutable once made, so parts may be shared. Comparisons yield a truth, which
 * only a select or E_AND, E_OR may take; everything else yields a number. */
#include "internal.h"

static Expr *expr_new(Arena *a, ExprKind kind)
{
	Expr *e = NEW(a, Expr);
	e->kind = kind;
	return e;
}

Expr *e_acc(Arena *a, int k)
{
	Expr *e = expr_new(a, E_ACC);
	e->id = k;
	return e;
}

Expr *e_load(Arena *a, int load)
{
	Expr *e = expr_new(a, E_LOAD);
	e->id = load;
	return e;
}

Expr *e_num(Arena *a, double x)
{
	Expr *e = expr_new(a, E_NUM);
	e->number = x;
	return e;
}

static Expr *indexed(Arena *a, Expr *e, Affine first, Affine second)
{
	Affine *index = NEWS(a, Affine, 2);
	index[0] = first;
	index[1] = second;
	e->index = index;
	return e;
}

Expr *e_reindexed(Arena *a, const Expr *e, const Affine *of_dim)
{
	Expr *copy = NEW(a, Expr);
	*copy = *e;
	return indexed(a, copy, affine_subst(&e->index[0], of_dim), affine_subst(&e->index[1], of_dim));
}

Expr *e_index(Arena *a, Affine i) { return indexed(a, expr_new(a, E_INDEX), i, affine_number(0)); }

Expr *e_table(Arena *a, const double *table, int64_t cols, Affine row, Affine col)
{
	Expr *e = expr_new(a, E_TABLE);
	e->table = table;
	e->cols = cols;
	return indexed(a, e, row, col);
}

Expr *e_op(Arena *a, ExprKind kind, Expr *x, Expr *y)
{
	if (kind < E_ADD || kind > E_AND) bug("e_op with kind %d", (int)kind);
	Expr *e = expr_new(a, kind);
	e->arg[0] = x;
	e->arg[1] = y;
	return e;
}

Expr *e_select(Arena *a, Expr *condition, Expr *yes, Expr *no)
{
	Expr *e = expr_new(a, E_SELECT);
	e->arg[0] = condition;
	e->arg[1] = yes;
	e->arg[2] = no;
	return e;
}

Expr *e_call(Arena *a, Function fn, Expr *x, Expr *y)
{
	Expr *e = expr_new(a, E_CALL);
	e->fn = fn;
	e->arg[0] = x;
	e->arg[1] = y;
	return e;
}

Expr *e_hash(Arena *a, int seed_load, uint64_t key, Affine element)
{
	Expr *e = expr_new(a, E_HASH);
	e->id = seed_load;
	e->key = key;
	return indexed(a, e, element, affine_number(0));
}

/* As it is, with another sign, or in an arm: what a sum could take unrounded. Products of 0 are
 * exact. */
static bool may_be_product(const Expr *e)
{
	int first = e->kind == E_SELECT ? 1 : 0;
	bool arms = e->kind == E_SELECT || e->kind == E_MAX || e->kind == E_MIN;
	for (int i = 0; i < 2 && e->kind == E_MUL; i++) {
		const Expr *factor = e->arg[i];
		if (factor->kind == E_NUM && factor->number == 0) return false;
		if (factor->kind == E_NUM && (factor->number == 1 || factor->number == -1))
			return may_be_product(e->arg[1 - i]);
	}
	for (int i = first; arms && i < 3; i++)
		if (e->arg[i] && may_be_product(e->arg[i])) return true;
	return e->kind == E_MUL;
}

Expr *e_stored(Arena *a, Expr *value)
{
	if (!may_be_product(value)) return value;
	Expr *e = expr_new(a, E_ROUND);
	e->arg[0] = value;
	return e;
}

/* Kinds from E_GT to E_AND, by the order of the enumeration. */
bool expr_is_truth(const Expr *e) { return e->kind >= E_GT && e->kind <= E_AND; }

bool expr_visit(const Expr *e, bool (*visit)(void *self, const Expr *e), void *self)
{
	if (!visit(self, e)) return false;
	for (int i = 0; i < 3; i++)
		if (e->arg[i] && !expr_visit(e->arg[i], visit, self)) return false;
	return true;
}

uint32_t expr_loads(const Expr *e)
{
	uint32_t loads = e->kind == E_LOAD || e->kind == E_HASH ? UINT32_C(1) << e->id : 0;
	for (int i = 0; i < 3; i++)
		if (e->arg[i]) loads |= expr_loads(e->arg[i]);
	return loads;
}

bool expr_uses_load(const Expr *e, int load) { return expr_loads(e) >> load & 1; }

/* As a tree: what is shared counts at each use of it. */
int expr_size(const Expr *e, int limit)
{
	int size = 1;
	for (int i = 0; i < 3 && size <= limit; i++)
		if (e->arg[i]) size += expr_size(e->arg[i], limit - size);
	return size;
}

Rewriting expr_rewriting(Arena *a, Expr *(*leaf)(void *self, const Expr *e), void *self)
{
	Rewriting r = {.arena = a, .leaf = leaf, .self = self};
	map_init(&r.made, a);
	return r;
}

Expr *expr_rewrite(Rewriting *r, const Expr *e)
{
	Expr *made = map_get(&r->made, &e, sizeof e);
	if (made) return made;
	made = r->leaf(r->self, e);
	if (!made) {
		made = NEW(r->arena, Expr);
		*made = *e;
		for (int i = 0; i < 3; i++)
			if (e->arg[i]) made->arg[i] = expr_rewrite(r, e->arg[i]);
	}
	map_put(&r->made, &e, sizeof e, made);
	return made;
}

/* --- printing: infix with as few parentheses as the grammar needs ------------------------- */

typedef struct {
	const Nest *nest;
	const char *const *name_of_dim;
	Text *out;
} Printer;

typedef struct {
	const char *sign;
	int binding; /* higher binds tighter; 0: written as a function */
} Form;

static const Form forms[] = {
    [E_OR] = {" || ", 1},
    [E_AND] = {" && ", 2},
    [E_GT] = {" > ", 3},
    [E_EQ] = {" == ", 3},
    [E_NE] = {" != ", 3},
    [E_ADD] = {" + ", 4},
    [E_SUB] = {" - ", 4},
    [E_MUL] = {"*", 5},
    [E_DIV] = {"/", 5},
    [E_MAX] = {"max", 0},
    [E_MIN] = {"min", 0},
    [E_SELECT] = {"select", 0},
};

static const char *const function_names[] = {
    [FN_EXP] = "exp",
    [FN_LOG] = "log",
    [FN_SQRT] = "sqrt",
    [FN_TANH] = "tanh",
    [FN_ABS] = "abs",
    [FN_POW] = "pow",
};

static void print_expr(const Printer *p, const Expr *e, int binding);

/* name(arg, arg) */
static void print_args(const Printer *p, const char *name, const Expr *e)
{
	text_printf(p->out, "%s(", name);
	for (int i = 0; i < 3 && e->arg[i]; i++) {
		if (i) text_add(p->out, ", ");
		print_expr(p, e->arg[i], 0);
	}
	text_add(p->out, ")");
}

static void print_indices(const Printer *p, const char *name, const Expr *e, int n)
{
	text_printf(p->out, "%s[", name);
	for (int i = 0; i < n; i++) {
		if (i) text_add(p->out, ",");
		affine_print(&e->index[i], p->name_of_dim, p->out);
	}
	text_add(p->out, "]");
}

/* The right operand binds one tighter: a - (b - c). */
static void print_operator(const Printer *p, const Expr *e, int binding)
{
	Form form = forms[e->kind];
	if (!form.binding) {
		print_args(p, form.sign, e);
		return;
	}
	bool parens = form.binding < binding;
	if (parens) text_add(p->out, "(");
	print_expr(p, e->arg[0], form.binding);
	text_add(p->out, form.sign);
	print_expr(p, e->arg[1], form.binding + 1);
	if (parens) text_add(p->out, ")");
}

static void print_expr(const Printer *p, const Expr *e, int binding)
{
	switch (e->kind) {
	case E_ACC: text_printf(p->out, "a%d", e->id); return;
	case E_LOAD:
		if (p->nest)
			access_print(&p->nest->load[e->id], p->name_of_dim, p->out);
		else
			text_printf(p->out, "load%d", e->id);
		return;
	case E_NUM: text_printf(p->out, "%.9g", e->number); return;
	case E_INDEX: print_indices(p, "index", e, 1); return;
	case E_TABLE: print_indices(p, "table", e, 2); return;
	case E_HASH:
		text_printf(p->out, "hash %016llx", (unsigned long long)e->key);
		print_indices(p, "", e, 1);
		return;
	case E_CALL: print_args(p, function_names[e->fn], e); return;
	case E_ROUND: print_args(p, "rounded", e); return;
	default: print_operator(p, e, binding); return;
	}
}

void expr_print_in(const Expr *e, const Nest *nest, const char *const *name_of_dim, Text *out)
{
	Printer p = {nest, name_of_dim, out};
	print_expr(&p, e, 0);
}

void expr_print(const Expr *e, const char *const *name_of_dim, Text *out)
{
	expr_print_in(e, NULL, name_of_dim, out);
}
