/* ahead: what is asked for before it is needed, once for each cache line.
 *
 * A load that begins a line asks for the one that lies `prefetch` elements further on. Where turns
 * of the innermost loop walk along lines, as over the channels of a block, each turn asks for some
 * of these, or all are asked for before that loop. What is early, as where the sums go, is asked
 * for at the start of a tile, as far ahead, or in turns of its outermost loop. */
#include "internal.h"

#include <stdlib.h>

int64_t line_of(const Kernel *k) { return k->target->cache_line / (k->is_double ? 8 : 4); }

static bool is_store(const Nest *n, const Access *x)
{
	for (int i = 0; i < n->nstore; i++)
		if (x == &n->store[i].to) return true;
	return false;
}

static void print_ask_at(Scope *s, const char *kind, const Address *a, int64_t ahead)
{
	print_indent(s);
	text_printf(s->out, "CNNC_PREFETCH%s(", kind);
	print_place(s, a, ahead, ", ");
	text_add(s->out, ");\n");
}

static void print_ask(Scope *s, const Access *x, const Address *a)
{
	print_ask_at(s, is_store(s->k->nest, x) ? "_STORE" : x->far ? "_FAR" : "", a, x->prefetch);
}

/* Whole turns of the loop around, which are as far ahead at least. */
void ask_at_store(Scope *s, const Access *x, const Address *a)
{
	int64_t line = line_of(s->k);
	if (!x->prefetch || x->early || line < 1 || a->c % line) return;
	int64_t step = s->depth ? affine_k(&a->key.form, s->depth - 1) : 0;
	int64_t turns = step > 0 ? (x->prefetch - 1) / step + 1 : 0;
	print_ask_at(s, "_STORE", a, turns ? turns * step : x->prefetch);
}

/* Another turn of the innermost loop asks for the same line: a window's taps pass over it. Or it is
 * that of another block of channels, which no turn comes to. That was measured to pay where turns
 * go from line to line; not where they step over lines, nor with windows, whose taps and channels
 * pass over the same pixels again and again: there the first block is all that is asked for, but
 * of weights that come from memory. Windows without weights ask in each turn: fewer asks, by turns,
 * cost more than those for lines that are there already. */
static bool asked_by_turns(const Point *p, const Access *x, const Address *a, int64_t step)
{
	const Scope *s = p->s;
	if (!nest_product(s->k->nest).is) return false;
	bool once = !s->k->nest->nguard || s->streamed >> (x - s->k->nest->load) & 1;
	bool all = step == line_of(s->k) && once;
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
	if (s->unasked >> (x - s->k->nest->load) & 1) return;
	int64_t step = s->depth > s->outer ? affine_k(&a->key.form, s->depth - 1) : 0;
	if ((step > 0 && step < line) || asked_by_turns(p, x, a, step)) return;
	print_ask(p->s, x, a);
}

Address address_in_turn(const Scope *s, const Tile *t, const Tree *leaf, const Access *x,
    int instance, int var, int64_t turn)
{
	Affine of_copy[NEST_DIMS], sub[NEST_DIMS];
	int ndim = s->k->nest->ndim;
	instance_fix(leaf->reg, leaf->nreg, 0, leaf->sub, ndim, of_copy);
	instance_fix(t->reg, t->nreg, instance, of_copy, ndim, sub);
	for (int d = 0; d < ndim; d++) sub[d] = affine_fix(&sub[d], var, turn);
	return address_of(s, x, sub, t->lane_var);
}

/* The lines that turns of a loop walk along, each as its first turn begins in it. */
enum { MOST_LINES = 64 };

static int lines_of(const Scope *s, const Tile *t, const Tree *loop, const Access *x, Address *list)
{
	const Tree *leaf = loop->kid.at[0];
	int64_t line = line_of(s->k);
	int n = 0;
	for (int i = 0; i < t->instances && n < MOST_LINES; i++) {
		Address a = address_in_turn(s, t, leaf, x, i, loop->var, 0);
		bool known = false;
		for (int k = 0; k < n; k++) known |= floor_div(list[k].c, line) == floor_div(a.c, line);
		if (known) continue;
		Address next = address_in_turn(s, t, leaf, x, i, loop->var, 1);
		int64_t step = next.c - a.c;
		if (key_same(&a.key, &next.key) && step > 0 && step < line) list[n++] = a;
	}
	return n;
}

/* So many lines, evenly apart. */
typedef struct {
	Address first;
	int64_t apart;
	int n;
} Lines;

enum { MOST_GROUPS = 8 };

static int compare_places(const void *x, const void *y)
{
	int64_t a = ((const Address *)x)->c, b = ((const Address *)y)->c;
	return (a > b) - (a < b);
}

/* The list, which is sorted by it, in groups; 0: there is no such order in it. */
static int group_lines(Address *list, int n, Lines *group)
{
	int groups = 0;
	for (int i = 0; i < n; i++)
		if (!key_same(&list[i].key, &list[0].key) || list[i].nquotient) return 0;
	qsort(list, (size_t)n, sizeof *list, compare_places);
	for (int i = 0; i < n; groups++) {
		if (groups == MOST_GROUPS || i + 1 == n) return 0;
		Lines *g = &group[groups];
		*g = (Lines){.first = list[i], .apart = list[i + 1].c - list[i].c, .n = 1};
		for (i++; i < n && list[i].c - list[i - 1].c == g->apart; i++) g->n++;
	}
	return groups;
}

/* The other way round, if all groups are alike: their first lines, their second ones... */
static int turn_groups(Lines *group, int groups)
{
	int n = group[0].n;
	Lines turned[MOST_GROUPS];
	if (n > MOST_GROUPS || groups < 2) return 0;
	int64_t apart = group[1].first.c - group[0].first.c;
	for (int i = 0; i < groups; i++)
		if (group[i].n != n || group[i].apart != group[0].apart ||
		    group[i].first.c != group[0].first.c + i * apart)
			return 0;
	for (int i = 0; i < n; i++) {
		turned[i] = (Lines){group[0].first, apart, groups};
		turned[i].first.c += i * group[0].apart;
	}
	memcpy(group, turned, (size_t)n * sizeof *group);
	return n;
}

static bool too_many(const Lines *group, int groups, int n, int64_t turns)
{
	int64_t asked = 0;
	for (int i = 0; i < groups; i++) asked += ((group[i].n - 1) / turns + 1) * turns;
	return (asked - n) * 3 > n;
}

/* What is asked for all at once waits for what the first-level cache can have on its way, some 16
 * lines; so turns of a loop ask for a few each, and for some more than are needed in the end.
 * Returns the groups, 0: all at once. */
static int lines_by_turns(Address *list, int n, int64_t turns, Lines *group)
{
	int groups = turns < 2 ? 0 : group_lines(list, n, group);
	if (groups && too_many(group, groups, n, turns)) groups = turn_groups(group, groups);
	return groups && too_many(group, groups, n, turns) ? 0 : groups;
}

static void ask_in_turn(Scope *s, const Access *x, const Lines *group, int groups, int64_t turns)
{
	for (int i = 0; i < groups; i++) {
		int64_t each = (group[i].n - 1) / turns + 1;
		Affine turn = affine_scale(affine_var(s->depth - 1), each * group[i].apart);
		Address a = group[i].first;
		a.key.form = affine_add(a.key.form, turn);
		for (int64_t k = 0; k < each; k++, a.c += group[i].apart) print_ask(s, x, &a);
	}
}

/* Before a loop of so many turns, or inside of it. */
static void ask_lines(Scope *s, const Access *x, Address *list, int n, int64_t turns, bool inside)
{
	Lines group[MOST_GROUPS];
	int groups = lines_by_turns(list, n, turns, group);
	if (inside) ask_in_turn(s, x, group, groups, turns);
	for (int i = 0; i < n && !groups && !inside; i++) print_ask(s, x, &list[i]);
}

/* Whole rows of a matrix, one after the other, each longer than a line: turns of a loop take one
 * element of each, and what the next tile takes lies behind them. */
static bool are_whole_rows(const Scope *s, Address *list, int n, int64_t turns, Lines *rows)
{
	if (turns < 2 * line_of(s->k) || n < 2 || group_lines(list, n, rows) != 1) return false;
	return rows->apart == turns;
}

/* Of the next tile as many elements a turn as there are rows, by whole lines. */
static void ask_next_rows(Scope *s, const Access *x, const Lines *rows)
{
	int64_t line = line_of(s->k), next = rows->n * rows->apart, each = 1;
	while (2 * each * rows->n <= line) each *= 2;
	Address a = rows->first;
	a.key.form = affine_add(a.key.form, affine_scale(affine_var(s->depth - 1), rows->n));
	if (each > 1) print_line(s, "if (%s %% %lld == 0)", s->loop[s->depth - 1], (long long)each);
	s->indent += each > 1;
	for (int64_t k = 0; k < rows->n; k += line) print_ask_at(s, x->far ? "_FAR" : "", &a, next + k);
	s->indent -= each > 1;
}

void ask_at_loop(Scope *s, const Tile *t, const Tree *loop, bool inside)
{
	const Nest *n = s->k->nest;
	Address list[MOST_LINES];
	Lines group[MOST_GROUPS];
	if (line_of(s->k) < 1 || loop->kid.n != 1 || loop->kid.at[0]->kind != TREE_LEAF) return;
	for (int l = 0; l < n->nload; l++) {
		const Access *x = &n->load[l];
		if (!x->prefetch || s->unasked >> l & 1) continue;
		int lines = lines_of(s, t, loop, x, list);
		if (!are_whole_rows(s, list, lines, loop->count, group))
			ask_lines(s, x, list, lines, loop->count, inside);
		else if (inside)
			ask_next_rows(s, x, group);
	}
}

/* --- what is early ------------------------------------------------------------------------- */

/* The outermost loop of a tile's reduction, if it is alone. */
static const Tree *whole_loop(const Tile *t)
{
	const Tree *kid = t->tree->kid.n == 1 ? t->tree->kid.at[0] : NULL;
	return kid && kid->kind == TREE_LOOP ? kid : NULL;
}

static int early_lines(const Scope *s, const Tile *t, const Access *x, Address *list)
{
	int64_t line = line_of(s->k);
	int n = 0;
	for (int i = 0; i < t->instances && n < MOST_LINES && line > 0; i++) {
		Address a;
		if (!stored_place(s, t, i, x, &a)) continue;
		bool known = false;
		for (int k = 0; k < n && !known; k++)
			known = key_same(&list[k].key, &a.key) &&
			        floor_div(list[k].c, line) == floor_div(a.c, line);
		if (!known) list[n++] = a;
	}
	return n;
}

void ask_early(Scope *s, const Tile *t, const Tree *loop)
{
	const Nest *n = t->k->nest;
	const Tree *whole = whole_loop(t);
	Address list[MOST_LINES];
	if (loop && loop != whole) return;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = nest_access(n, k);
		if (!x->early || !(k < n->nload ? t->asks_loads : t->asks_stores)) continue;
		int lines = early_lines(s, t, x, list);
		ask_lines(s, x, list, lines, whole ? whole->count : 0, loop != NULL);
	}
}
