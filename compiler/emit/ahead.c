/* ahead: what is asked for before it is needed, once for each cache line.
 *
 * A load that begins a line asks for the one that lies `prefetch` elements further on. Where turns
 * of the innermost loop walk along lines, as over the channels of a block, each turn asks for some
 * of these, or all are asked for before that loop. What is early is asked for at the start of a
 * tile, as far ahead. */
#include "internal.h"

static int64_t line_of(const Kernel *k) { return k->target->cache_line / (k->is_double ? 8 : 4); }

static void print_ask(Scope *s, const Access *x, const Address *a)
{
	print_indent(s);
	text_printf(s->out, "CNNC_PREFETCH%s(", x->far ? "_FAR" : "");
	print_place(s, a, x->prefetch, ", ");
	text_add(s->out, ");\n");
}

/* Another turn of the innermost loop asks for the same line: a window's taps pass over it. Or it is
 * that of another block of channels, which no turn comes to. That was measured to pay where turns
 * go from line to line; not where they step over lines, nor with windows, whose taps and channels
 * pass over the same pixels again and again: there the first block is all that is asked for. */
static bool asked_by_turns(const Point *p, const Address *a, int64_t step)
{
	const Scope *s = p->s;
	bool all = step == line_of(s->k) && !s->k->nest->nguard;
	for (int i = 0; i < p->loads->n && step; i++) {
		const Address *before = &p->loads->at[i].address;
		int64_t way = before->c - a->c, turns = way / step;
		if (!key_same(&before->key, &a->key) || way % step) continue;
		if (!all || MAX(turns, -turns) < s->turns[s->depth - 1]) return true;
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

/* The lines that turns of a loop walk along, each as its first turn begins in it. */
enum { MOST_LINES = 64 };

static int lines_of(const Scope *s, const Tile *t, const Tree *loop, const Access *x, Address *list)
{
	int64_t line = line_of(s->k);
	int n = 0;
	for (int i = 0; i < t->instances && n < MOST_LINES; i++) {
		Address a = address_in_turn(s, t, loop, x, i, 0);
		bool known = false;
		for (int k = 0; k < n; k++) known |= floor_div(list[k].c, line) == floor_div(a.c, line);
		if (known) continue;
		Address next = address_in_turn(s, t, loop, x, i, 1);
		int64_t step = next.c - a.c;
		if (key_same(&a.key, &next.key) && step > 0 && step < line) list[n++] = a;
	}
	return n;
}

/* What is asked for all at once waits for what the first-level cache can have on its way, some 16
 * lines; so turns ask for a few each where the lines are evenly apart. Of how many, 0: before the
 * loop. There may be some more of them than are needed. */
static int64_t lines_of_turn(const Address *list, int n, int64_t turns)
{
	int64_t each = (n - 1) / turns + 1;
	if (n < 2 || turns < 2 || (each * turns - n) * 3 > n) return 0;
	for (int i = 1; i < n; i++) {
		if (!key_same(&list[i].key, &list[0].key) || list[i].nquotient) return 0;
		if (list[i].c - list[i - 1].c != list[1].c - list[0].c) return 0;
	}
	return list[0].nquotient ? 0 : each;
}

/* Loads that are asked for ahead of this loop's turns. */
static bool asks_ahead(const Scope *s, const Tree *loop)
{
	return line_of(s->k) > 0 && loop->kid.n == 1 && loop->kid.at[0]->kind == TREE_LEAF;
}

void ask_before_loop(Scope *s, const Tile *t, const Tree *loop)
{
	const Nest *n = s->k->nest;
	Address list[MOST_LINES];
	for (int l = 0; l < n->nload && asks_ahead(s, loop); l++) {
		if (!n->load[l].prefetch) continue;
		int lines = lines_of(s, t, loop, &n->load[l], list);
		if (lines_of_turn(list, lines, loop->count)) continue;
		for (int i = 0; i < lines; i++) print_ask(s, &n->load[l], &list[i]);
	}
}

void ask_in_loop(Scope *s, const Tile *t, const Tree *loop)
{
	const Nest *n = s->k->nest;
	Address list[MOST_LINES];
	for (int l = 0; l < n->nload && asks_ahead(s, loop); l++) {
		if (!n->load[l].prefetch) continue;
		int lines = lines_of(s, t, loop, &n->load[l], list);
		int64_t each = lines_of_turn(list, lines, loop->count);
		for (int64_t i = 0; i < each; i++) {
			Address a = list[0];
			int64_t apart = list[1].c - a.c;
			Affine turn = affine_scale(affine_var(s->depth - 1), each * apart);
			a.key.form = affine_add(a.key.form, turn);
			a.c += i * apart;
			print_ask(s, &n->load[l], &a);
		}
	}
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
