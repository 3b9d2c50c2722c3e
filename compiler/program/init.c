/* init: first values of weights, buffers and slots, as nests like any others.
 *
 * Numbers come from (seed, name of the state, element) by integer arithmetic: the same everywhere.
 * A normal variable is the sum of twelve uniform ones minus six (Irwin-Hall): variance one, no
 * libm. */
#include "internal.h"

/* A number that is no literal of the kernel, so that states of one length share theirs. */
static Expr *scale_by(Arena *a, Part *p, Nest *n, double x)
{
	const Index zero[] = {index_of(affine_number(0))};
	const int64_t one = 1;
	Buffer *b = part_buffer(a, p, "scale", TYPE_REAL, 1, &one, PLACE_TABLE);
	double *number = NEW(a, double);
	*number = x;
	b->table = number;
	return e_load(a, nest_load(n, "scale", b, zero));
}

/* Sums and products are kept apart: (u - 0.5) * 2s and not (2u - 1) * s, which has the same value,
 * but in which a machine may fuse them. */
static Expr *random_value(Arena *a, Part *p, Nest *n, const State *s, Buffer *seed, Affine element)
{
	const Index zero[] = {index_of(affine_number(0))};
	int key = nest_load(n, "seed", seed, zero);
	Expr *sum = e_hash(a, key, 0, element);
	double scale = s->init.value, middle = 0.5;
	if (s->init.kind == INIT_UNIFORM) {
		scale *= 2;
	} else {
		for (uint64_t k = 1; k < 12; k++) sum = e_op(a, E_ADD, sum, e_hash(a, key, k, element));
		middle = 6;
	}
	return e_op(a, E_MUL, e_op(a, E_SUB, sum, e_num(a, middle)), scale_by(a, p, n, scale));
}

/* The seed, with the state's key behind it. */
static Buffer *seed_buffer(Arena *a, Part *p, const State *s)
{
	const int64_t three = 3;
	Buffer *b = part_buffer(a, p, "seed", TYPE_SEED, 1, &three, PLACE_INPUT);
	b->key = hash_str(s->name);
	return b;
}

static void init_state(Arena *a, Part *p, State *s)
{
	Place place = s->kind == STATE_SLOT ? PLACE_SLOTS : PLACE_VARS;
	int64_t count = shape_count(s->shape);
	Buffer *b = part_buffer(a, p, s->name, TYPE_REAL, 1, &count, place);
	b->state = s;
	b->offset = s->offset;
	Nest *n = nest_new(a, "init");
	n->layer = s->name;
	Affine element = affine_var(nest_dim(n, "n", count, false));
	Expr *value = s->init.kind == INIT_CONSTANT
	                  ? e_num(a, s->init.value)
	                  : random_value(a, p, n, s, seed_buffer(a, p, s), element);
	nest_store(n, "w", b, &element, value);
	Step step = {.nest = n, .comment = arena_printf(a, "%s: %s", s->name, shape_text(a, s->shape))};
	vec_push(a, p->step, step);
}

Part *lower_init(Arena *a, const Model *m)
{
	Part *p = NEW(a, Part);
	p->kind = ENTRY_INIT;
	p->name = "init";
	p->batch = 1;
	int64_t two = 2;
	Argument arg = {.name = "seed", .type = TYPE_SEED, .shape = shape_of(1, two)};
	vec_push(a, p->arg, arg);
	for (int i = 0; i < m->state.n; i++) init_state(a, p, m->state.at[i]);
	for (int i = 0; i < m->slot.n; i++) init_state(a, p, m->slot.at[i]);
	return p;
}
