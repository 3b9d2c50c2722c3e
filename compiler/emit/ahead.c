/* ahead: what is asked for before it is needed, once for each cache line.
 *
 * A load that begins a line asks for the one that lies `prefetch` elements further on. Where turns
 * of the innermost loop walk along a line, as over the channels of a block, it is asked for before
 * that loop. What is early is asked for at the start of a tile, as far ahead. */
#include "internal.h"

static int64_t line_of(const Kernel *k) { return k->target->cache_line / (k->is_double ? 8 : 4); }

static void print_ask(Scope *s, const Access *x, const Address *a)
{
	print_indent(s);
	text_printf(s->out, "CNNC_PREFETCH%s(", x->far ? "_FAR" : "");
	print_place(s, a, x->prefetch, ", ");
	text_add(s->out, ");\n");
}

/* Another turn of the innermost loop asks for the same line: a window's taps pass over it. */
static bool asked_by_turns(const Point *p, const Address *a, int64_t step)
{
	for (int i = 0; i < p->loads->n && step; i++) {
		const Address *before = &p->loads->at[i].address;
		if (key_same(&before->key, &a->key) && (before->c - a->c) % step == 0) return true;
	}
	return false;
}

void ask_at_load(Point *p, const Access *x, const Address *a)
{
	const Scope *s = p->s;
	int64_t line = line_of(s->k);
	if (!x->prefetch || x->early || line < 1 || a->c % line) return;
	int64_t step = s->depth > s->outer ? affine_k(&a->key.form, s->depth - 1) : 0;
	if ((step > 0 && step < line) || asked_by_turns(p, a, step)) return;
	print_ask(p->s, x, a);
}

/* Where x lies for an instance of a leaf when the loop around it is in this turn. */
static Address address_in_turn(
    const Scope *s, const Tile *t, const Tree *loop, const Access *x, int instance, int64_t turn)
{
	const Tree *leaf = loop->kid.at[0];
	Affine of_copy[NEST_DIMS], sub[NEST_DIMS];
	int ndim = s->k->nest->ndim;
	instance_fix(leaf->reg, leaf->nreg, 0, leaf->sub, ndim, of_copy);
	instance_fix(t->reg, t->nreg, instance, of_copy, ndim, sub);
	for (int d = 0; d < ndim; d++) sub[d] = affine_fix(&sub[d], loop->var, turn);
	return address_of(s, x, sub, t->lane_var);
}

static void ask_for(Scope *s, const Tile *t, const Tree *loop, const Access *x)
{
	enum { MOST = 64 };
	int64_t line = line_of(s->k), asked[MOST];
	int n = 0;
	for (int i = 0; i < t->instances && n < MOST; i++) {
		Address a = address_in_turn(s, t, loop, x, i, 0);
		bool known = false;
		for (int k = 0; k < n; k++) known |= asked[k] == floor_div(a.c, line);
		if (known) continue;
		Address next = address_in_turn(s, t, loop, x, i, 1);
		int64_t step = next.c - a.c;
		if (!key_same(&a.key, &next.key) || step <= 0 || step >= line) continue;
		asked[n++] = floor_div(a.c, line);
		print_ask(s, x, &a);
	}
}

void ask_before_loop(Scope *s, const Tile *t, const Tree *loop)
{
	const Nest *n = s->k->nest;
	if (line_of(s->k) < 1 || loop->kid.n != 1 || loop->kid.at[0]->kind != TREE_LEAF) return;
	for (int k = 0; k < n->nload; k++)
		if (n->load[k].prefetch) ask_for(s, t, loop, &n->load[k]);
}

void ask_lines(Scope *s, const Access *x, const Address *at, int n)
{
	int64_t line = line_of(s->k);
	for (int i = 0; i < n && line > 0; i++) {
		bool known = false;
		for (int k = 0; k < i && !known; k++)
			known = key_same(&at[k].key, &at[i].key) &&
			        floor_div(at[k].c, line) == floor_div(at[i].c, line);
		if (!known) print_ask(s, x, &at[i]);
	}
}
