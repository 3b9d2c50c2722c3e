/* init: first values of weights, buffers and slots, as nests like any others.
 *
 * Numbers come from (seed, name of the state, element) by integer arithmetic: the same everywhere.
 * A normal variable is the sum of twelve uniform ones minus six (Irwin-Hall): variance one, no
 * libm. */
#include "internal.h"

static Expr *uniform(Arena *a, int seed, uint64_t key, Affine element)
{
	return e_hash(a, seed, key, element);
}

static Expr *first_value(Arena *a, const State *s, int seed, Affine element)
{
	uint64_t key = hash_str(s->name);
	if (s->init.kind == INIT_CONSTANT) return e_num(a, s->init.value);
	if (s->init.kind == INIT_UNIFORM) {
		Expr *u = e_op(a, E_MUL, uniform(a, seed, key, element), e_num(a, 2));
		return e_op(a, E_MUL, e_op(a, E_SUB, u, e_num(a, 1)), e_num(a, s->init.value));
	}
	Expr *sum = uniform(a, seed, key, element);
	for (uint64_t k = 1; k < 12; k++) sum = e_op(a, E_ADD, sum, uniform(a, seed, key + k, element));
	return e_op(a, E_MUL, e_op(a, E_SUB, sum, e_num(a, 6)), e_num(a, s->init.value));
}

static void init_state(Arena *a, Part *p, State *s, Buffer *seed)
{
	Place place = s->kind == STATE_SLOT ? PLACE_SLOTS : PLACE_VARS;
	int64_t count = shape_count(s->shape);
	Buffer *b = part_buffer(a, p, s->name, TYPE_REAL, 1, &count, place);
	b->state = s;
	b->offset = s->offset;
	Nest *n = nest_new(a, "init");
	n->layer = s->name;
	Affine element = affine_var(nest_dim(n, "n", count, false));
	int load = -1;
	if (s->init.kind != INIT_CONSTANT) {
		Index zero[] = {index_of(affine_number(0))};
		load = nest_load(n, "seed", seed, zero);
	}
	nest_store(n, "w", b, &element, first_value(a, s, load, element));
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
	Buffer *seed = part_buffer(a, p, "seed", TYPE_SEED, 1, &two, PLACE_INPUT);
	Argument arg = {.name = "seed", .type = TYPE_SEED, .shape = shape_of(1, two)};
	vec_push(a, p->arg, arg);
	for (int i = 0; i < m->state.n; i++) init_state(a, p, m->state.at[i], seed);
	for (int i = 0; i < m->slot.n; i++) init_state(a, p, m->slot.at[i], seed);
	return p;
}
