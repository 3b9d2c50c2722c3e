/* leaf: the reduction inside a tile: loops, guards, and the leaves' copies of the update.
 *
 * A guard that is true in an instance is dropped, one that is false drops the instance, and one
 * that is not decided becomes a condition. Where all instances of a node share a condition it moves
 * up to the outermost place at which its variables are known, so that a row test costs nothing.
 *
 * A load is printed at its first use and shared within one copy. Across copies and iterations it is
 * not: gcc would keep such values in registers and spill the accumulators for them. A barrier on
 * the offset, by which these loads go, makes the copies strangers. */
#include "internal.h"

/* A guard that only run time decides: over the loops around, constant included. */
typedef struct {
	const Guard *guard;
	Affine form;
	bool scaled;    /* RANGE of a quotient left to run time: the form is the dividend */
	bool low, high; /* which of the bounds are in doubt */
} Condition;

typedef Vec(Condition) Conditions;

/* What a place of the text may take for granted, and what remains. */
static bool condition_same(const Condition *a, const Condition *b)
{
	return a->guard == b->guard && a->scaled == b->scaled && affine_same(&a->form, &b->form);
}

static bool holds(const Conditions *list, const Condition *c)
{
	for (int i = 0; i < list->n; i++)
		if (condition_same(&list->at[i], c)) return true;
	return false;
}

static void add_all(Arena *a, Conditions *to, const Conditions *from, const Conditions *but)
{
	for (int i = 0; i < from->n; i++)
		if (!but || !holds(but, &from->at[i])) vec_push(a, *to, from->at[i]);
}

static bool conditions_same(const Conditions *a, const Conditions *b)
{
	if (a->n != b->n) return false;
	for (int i = 0; i < a->n; i++)
		if (!holds(b, &a->at[i])) return false;
	return true;
}

static void keep_common(Conditions *list, const Conditions *other)
{
	int n = 0;
	for (int i = 0; i < list->n; i++)
		if (holds(other, &list->at[i])) list->at[n++] = list->at[i];
	list->n = n;
}

/* --- what guards say of an instance -------------------------------------------------------- */

static Condition condition_of(const Kernel *k, const Guard *g, const Affine *sub)
{
	Condition c = {.guard = g, .low = true, .high = true};
	Affine form;
	int64_t lo, hi;
	if (g->kind == GUARD_MASK) bug("nest %s: a mask is not decided", k->nest->name);
	if (g->kind == GUARD_RANGE && !index_resolve(&g->e[0], sub, &form)) c.scaled = true;
	if (g->kind == GUARD_DIVIDES || c.scaled) form = affine_subst(&g->e[0].a, sub);
	if (g->kind == GUARD_RANGE) {
		int64_t q = c.scaled ? g->e[0].q : 1;
		affine_range(&form, k->tree->count, &lo, &hi);
		c.low = lo < g->lo * q;
		c.high = hi > (g->hi - 1) * q;
	}
	c.form = over_loops(k, &form);
	return c;
}

/* false: some guard is false, the instance does nothing. */
static bool look_at_guards(const Kernel *k, const Affine *sub, Conditions *open)
{
	const Nest *n = k->nest;
	open->n = 0;
	for (int g = 0; g < n->nguard; g++) {
		Truth truth = guard_truth(&n->guard[g], sub, k->tree->count);
		if (truth == NEVER) return false;
		if (truth == MAYBE) {
			Condition c = condition_of(k, &n->guard[g], sub);
			vec_push(k->arena, *open, c);
		}
	}
	return true;
}

/* Every guard holds in all of the leaf: nothing is to be asked of its instances one by one. */
static bool is_certain(const Kernel *k, const Tree *leaf)
{
	for (int g = 0; g < k->nest->nguard; g++)
		if (guard_truth(&k->nest->guard[g], leaf->sub, k->tree->count) != ALWAYS) return false;
	return true;
}

static void fix_instance(const Tile *t, const Affine *of_copy, int instance, Affine *sub)
{
	instance_fix(t->reg, t->nreg, instance, of_copy, t->k->nest->ndim, sub);
}

/* What all living instances share; false: none lives. `of_copy` has the leaf's regs fixed. */
static bool copy_conditions(const Tile *t, const Affine *of_copy, Conditions *common)
{
	bool alive = false;
	Conditions open = {0};
	for (int i = 0; i < t->instances; i++) {
		Affine sub[NEST_DIMS];
		fix_instance(t, of_copy, i, sub);
		if (!look_at_guards(t->k, sub, &open)) continue;
		if (alive)
			keep_common(common, &open);
		else
			add_all(t->k->arena, common, &open, NULL);
		alive = true;
	}
	return alive;
}

static bool look_at_leaf(const Tile *t, const Tree *leaf, Conditions *common)
{
	bool alive = false;
	int copies = instance_count(leaf->reg, leaf->nreg);
	for (int c = 0; c < copies; c++) {
		Affine of_copy[NEST_DIMS];
		Conditions here = {0};
		instance_fix(leaf->reg, leaf->nreg, c, leaf->sub, t->k->nest->ndim, of_copy);
		if (!copy_conditions(t, of_copy, &here)) continue;
		if (alive)
			keep_common(common, &here);
		else
			*common = here;
		alive = true;
	}
	return alive;
}

typedef struct {
	bool alive;
	Conditions common;
} Verdict;

/* A leaf is asked from every loop around it: what was found is kept. */
static bool leaf_conditions(const Tile *t, const Tree *leaf, Conditions *common)
{
	Map *known = &t->k->of_leaf;
	if (leaf->dead) return false;
	if (is_certain(t->k, leaf)) return true;
	Verdict *v = map_get(known, &leaf, sizeof leaf);
	if (!v) {
		v = NEW(t->k->arena, Verdict);
		v->alive = look_at_leaf(t, leaf, &v->common);
		map_put(known, &leaf, sizeof leaf, v);
	}
	add_all(t->k->arena, common, &v->common, NULL);
	return v->alive;
}

static bool node_conditions(const Tile *t, const Tree *node, Conditions *common);

/* What stands before all of them: only where they agree. */
static bool list_conditions(const Tile *t, Tree *const *node, int n, Conditions *common)
{
	bool alive = false, agree = true;
	for (int i = 0; i < n; i++) {
		Conditions here = {0};
		if (!node_conditions(t, node[i], &here)) continue;
		if (!alive)
			*common = here;
		else
			agree &= conditions_same(common, &here);
		alive = true;
	}
	if (!agree) common->n = 0;
	return alive;
}

static bool node_conditions(const Tile *t, const Tree *node, Conditions *common)
{
	if (node->kind == TREE_LEAF) return leaf_conditions(t, node, common);
	bool alive = list_conditions(t, node->kid.at, node->kid.n, common);
	int n = 0;
	for (int i = 0; i < common->n; i++)
		if (!affine_k(&common->at[i].form, t->k->depth[node->var])) common->at[n++] = common->at[i];
	common->n = n;
	return alive;
}

/* --- conditions as text -------------------------------------------------------------------- */

static void print_compare(Scope *s, const Condition *c, const char *sign, int64_t bound)
{
	print_index(s, &c->form, c->form.c);
	text_printf(s->out, " %s %lld", sign, (long long)bound);
}

static void print_condition(Scope *s, const Condition *c)
{
	const Guard *g = c->guard;
	if (g->kind == GUARD_DIVIDES) {
		text_add(s->out, "(");
		print_index(s, &c->form, c->form.c);
		text_printf(s->out, ") %% %lld == 0", (long long)g->q);
		return;
	}
	int64_t q = c->scaled ? g->e[0].q : 1;
	if (c->low) print_compare(s, c, ">=", g->lo * q);
	if (c->low && c->high) text_add(s->out, " && ");
	if (c->high) print_compare(s, c, "<", (g->hi - 1) * q + 1);
}

static void begin_if(Scope *s, const Conditions *list)
{
	print_indent(s);
	text_add(s->out, "if (");
	for (int i = 0; i < list->n; i++) {
		if (i) text_add(s->out, " && ");
		print_condition(s, &list->at[i]);
	}
	text_add(s->out, ") {\n");
	s->indent++;
}

static void end_if(Scope *s)
{
	s->indent--;
	print_line(s, "}");
}

/* --- updates ------------------------------------------------------------------------------- */

/* What a leaf loads, to find out where a barrier is due. */
typedef struct {
	Key key;
	int64_t c;
	int copy;
} Seen;

typedef struct {
	const Tile *tile;
	const Tree *leaf;
	Conditions given;
	bool certain;     /* see is_certain() */
	LoadedList loads; /* of the copy */
	int counter[KERNEL_BUFFERS + 1];
	Vec(Seen) seen;
} Leaf;

static bool reads_accumulator(const Expr *e, int id)
{
	if (e->kind == E_ACC) return e->id == id;
	for (int i = 0; i < 3; i++)
		if (e->arg[i] && reads_accumulator(e->arg[i], id)) return true;
	return false;
}

/* Some update reads an accumulator that another one has changed by then. */
static bool updates_cross(const Nest *n)
{
	for (int k = 1; k < n->nacc; k++)
		for (int j = 0; j < k; j++)
			if (reads_accumulator(n->acc[k].update, j)) return true;
	return false;
}

/* `a += w0 * x0;` where the update is that, which is what compilers make an FMA of. */
static void print_update(Point *p, int acc, const Expr *e, Form form)
{
	Scope *s = p->s;
	bool adds = e->kind == E_ADD && e->arg[0]->kind == E_ACC && e->arg[0]->id == acc;
	print_indent(s);
	text_printf(s->out, "%s %s ", p->acc[acc], adds ? "+=" : "=");
	if (adds && value_form(p, e->arg[1]) == SCALAR) form = SCALAR;
	print_value(p, adds ? e->arg[1] : e, form, BIND_NONE);
	text_add(s->out, ";\n");
}

static void print_updates(Point *p)
{
	const Nest *n = p->s->k->nest;
	Form form = p->vector_acc ? VECTOR : SCALAR;
	for (int k = 0; k < n->nacc; k++) declare_value(p, n->acc[k].update);
	if (!updates_cross(n)) {
		for (int k = 0; k < n->nacc; k++) print_update(p, k, n->acc[k].update, form);
		return;
	}
	const char *name[NEST_ACCS];
	for (int k = 0; k < n->nacc; k++) name[k] = name_value(p, n->acc[k].update, form, true);
	for (int k = 0; k < n->nacc; k++) print_line(p->s, "%s = %s;", p->acc[k], name[k]);
}

static void print_instance(Scope *s, Leaf *l, const Affine *sub, int instance)
{
	Point p = {.loads = &l->loads, .counter = l->counter, .vector_acc = l->tile->lane_var >= 0};
	point_begin(&p, s, sub, l->tile->lane_var);
	for (int k = 0; k < s->k->nest->nacc; k++) accumulator_name(l->tile, k, instance, p.acc[k]);
	print_updates(&p);
}

/* --- copies -------------------------------------------------------------------------------- */

static void note_loads(Scope *s, Leaf *l, int from, int copy)
{
	for (int i = from; i < l->loads.n; i++) {
		Seen x = {l->loads.at[i].address.key, l->loads.at[i].address.c, copy};
		vec_push(s->k->arena, l->seen, x);
	}
}

/* Instances one after the other; those under equal conditions share an `if`, and what is loaded in
 * there is not known behind it. */
static void print_instances(
    Scope *s, Leaf *l, const Affine *of_copy, const Conditions *given, int copy)
{
	Conditions open = {0}, inside = {0};
	int outside = 0;
	for (int i = 0; i < l->tile->instances; i++) {
		Affine sub[NEST_DIMS];
		Conditions more = {0};
		fix_instance(l->tile, of_copy, i, sub);
		if (!l->certain && !look_at_guards(s->k, sub, &open)) continue;
		add_all(s->k->arena, &more, &open, given);
		if (inside.n && !conditions_same(&inside, &more)) {
			note_loads(s, l, outside, copy);
			end_if(s);
			l->loads.n = outside;
			inside.n = 0;
		}
		if (more.n && !inside.n) {
			note_loads(s, l, 0, copy);
			outside = l->loads.n;
			inside = more;
			begin_if(s, &inside);
		}
		print_instance(s, l, sub, i);
	}
	note_loads(s, l, inside.n ? outside : 0, copy);
	if (inside.n) end_if(s);
}

/* Whether the innermost loop has a turn that far on: offsets move by `step` in each. */
static bool has_turn(const Scope *s, int64_t apart, int64_t step)
{
	int64_t turns = apart / step;
	return apart % step == 0 && MAX(turns, -turns) < s->turns[s->depth - 1];
}

/* Loads by this key come again: in an earlier copy, or in a later turn of the innermost loop. */
static bool comes_again(const Scope *s, const Leaf *l, const Key *key, int copy)
{
	int64_t step = s->depth > s->outer ? affine_k(&key->form, s->depth - 1) : 0;
	for (int i = 0; i < l->seen.n; i++) {
		const Seen *x = &l->seen.at[i];
		if (x->copy != copy || !key_same(&x->key, key)) continue;
		for (int j = 0; j < i; j++) {
			const Seen *y = &l->seen.at[j];
			if (!key_same(&y->key, key)) continue;
			if (y->copy < copy && y->c == x->c) return true;
			if (y->copy == copy && step && y->c != x->c && has_turn(s, y->c - x->c, step))
				return true;
		}
	}
	return false;
}

static void insert_barriers(Scope *s, Leaf *l, int copy, size_t place)
{
	Text head, *out = s->out;
	Keys done = {0};
	text_init(&head, s->k->arena);
	s->out = &head;
	for (int i = 0; i < l->seen.n && s->k->lanes; i++) {
		bool known = l->seen.at[i].copy != copy;
		for (int j = 0; j < done.n && !known; j++)
			known = key_same(&done.at[j], &l->seen.at[i].key);
		if (known) continue;
		vec_push(s->k->arena, done, l->seen.at[i].key);
		if (!comes_again(s, l, &l->seen.at[i].key, copy)) continue;
		const char *name = offset_name(s, &l->seen.at[i].key);
		if (name) print_line(s, "CNNC_KEEP(%s);", name);
	}
	s->out = out;
	text_insert(out, place, head.data);
}

static void print_copy(Scope *s, Leaf *l, int copy, bool block)
{
	Affine of_copy[NEST_DIMS];
	Conditions common = {0}, more = {0}, given = {0};
	const Tree *leaf = l->leaf;
	instance_fix(leaf->reg, leaf->nreg, copy, leaf->sub, s->k->nest->ndim, of_copy);
	if (!l->certain && !copy_conditions(l->tile, of_copy, &common)) return;
	add_all(s->k->arena, &more, &common, &l->given);
	add_all(s->k->arena, &given, &l->given, NULL);
	add_all(s->k->arena, &given, &more, NULL);
	if (more.n) {
		begin_if(s, &more);
	} else if (block) {
		print_line(s, "{");
		s->indent++;
	}
	size_t place = s->out->len;
	l->loads.n = 0;
	memset(l->counter, 0, sizeof l->counter);
	print_instances(s, l, of_copy, &given, copy);
	insert_barriers(s, l, copy, place);
	if (more.n || block) end_if(s);
}

static void print_leaf(
    Scope *s, const Tile *t, const Tree *leaf, const Conditions *given, bool alone)
{
	Leaf l = {.tile = t, .leaf = leaf, .given = *given};
	l.certain = is_certain(t->k, leaf);
	int copies = instance_count(leaf->reg, leaf->nreg);
	for (int c = 0; c < copies; c++) print_copy(s, &l, c, copies > 1 || !alone);
	int64_t bytes = t->lane_var >= 0 ? s->k->target->vector_bytes : 8;
	s->k->cost->stack += bytes * l.seen.n / MAX(copies, 1);
}

/* --- loops --------------------------------------------------------------------------------- */

/* `block`: the text is in a block of its own already. */
static void print_list(
    Scope *s, const Tile *t, Tree *const *node, int n, const Conditions *given, bool block);

static void print_node(
    Scope *s, const Tile *t, const Tree *node, const Conditions *given, bool alone)
{
	Conditions any = {0};
	if (!node_conditions(t, node, &any)) return;
	if (node->kind == TREE_LEAF) {
		print_leaf(s, t, node, given, alone);
		return;
	}
	ask_at_loop(s, t, node, false);
	ask_slices(s, t, node, false);
	ask_slices_of_loop(s, t, node, false);
	LoopText loop = loop_begin(s, node, NULL);
	ask_at_loop(s, t, node, true);
	ask_early(s, t, node);
	ask_slices(s, t, node, true);
	ask_slices_of_loop(s, t, node, true);
	bool apart = partial_at(t, node);
	if (apart) partial_begin(s, t);
	print_list(s, t, node->kid.at, node->kid.n, given, true);
	if (apart) partial_end(s, t);
	loop_end(s, &loop, node->count);
}

static void print_list(
    Scope *s, const Tile *t, Tree *const *node, int n, const Conditions *given, bool block)
{
	Arena *a = s->k->arena;
	Conditions common = {0}, more = {0}, all = {0};
	list_conditions(t, node, n, &common);
	add_all(a, &more, &common, given);
	add_all(a, &all, given, NULL);
	add_all(a, &all, &more, NULL);
	if (more.n) begin_if(s, &more);
	for (int i = 0; i < n; i++) {
		Conditions own = {0}, rest = {0}, inner = {0};
		if (!node_conditions(t, node[i], &own)) continue;
		add_all(a, &rest, &own, &all);
		add_all(a, &inner, &all, NULL);
		add_all(a, &inner, &rest, NULL);
		bool wrap = rest.n && node[i]->kind == TREE_LOOP;
		if (wrap) begin_if(s, &rest);
		print_node(s, t, node[i], wrap ? &inner : &all, n == 1 && (block || more.n));
		if (wrap) end_if(s);
	}
	if (more.n) end_if(s);
}

void print_reduction(Scope *s, const Tile *t)
{
	Conditions none = {0};
	print_list(s, t, t->tree->kid.at, t->tree->kid.n, &none, false);
}
