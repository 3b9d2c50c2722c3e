/* verify: what a planned part must be, proven apart from the planner and the fuser. */
#include "internal.h"

static bool meet(int64_t a, int64_t na, int64_t b, int64_t nb) { return a < b + nb && b < a + na; }

/* Two work buffers alive at one step share no element. */
static const char *verify_arena(Arena *a, const Part *p, const Life *life)
{
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *x = p->buffer.at[i];
		if (x->place != PLACE_WORK || life[i].first < 0) continue;
		if (x->offset < 0) return arena_printf(a, "%s lies before the arena", x->name);
		if (x->size > p->work / p->element_bytes - x->offset)
			return arena_printf(a, "%s lies past the arena's end", x->name);
		for (int j = i + 1; j < p->buffer.n; j++) {
			const Buffer *y = p->buffer.at[j];
			if (y->place != PLACE_WORK || life[j].first < 0) continue;
			if (life[i].first > life[j].last || life[j].first > life[i].last) continue;
			if (meet(x->offset, x->size, y->offset, y->size))
				return arena_printf(
				    a, "%s and %s are alive together and overlap", x->name, y->name);
		}
	}
	return NULL;
}

/* A state is written by one step, after the last reader of its old value or by that reader in
 * place. */
static const char *verify_states(Arena *a, const Part *p, const Life *life)
{
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *b = p->buffer.at[i];
		if (!b->state || life[i].first_store < 0 || b->place == PLACE_GRADS) continue;
		if (life[i].last_store != life[i].first_store)
			return arena_printf(a, "%s is written by several steps", b->name);
		const Nest *n = p->step.at[life[i].first_store].nest;
		if (nest_load_of(n, b) >= 0 && !nest_reads_in_place(n, b, b))
			return arena_printf(a, "%s is read and written by one step, not in place", b->name);
		if (life[i].last_load > life[i].first_store)
			return arena_printf(a, "%s is written before its last reader", b->name);
	}
	return NULL;
}

static const char *verify_places(Arena *a, const Part *p)
{
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nstore; k++) {
			Place place = n->store[k].to.buffer->place;
			bool may = place == PLACE_WORK || place == PLACE_OUTPUT || place == PLACE_GRADS ||
			           place == PLACE_VARS || place == PLACE_SLOTS ||
			           (place == PLACE_PACKED && p->kind == ENTRY_PACK);
			if (!may)
				return arena_printf(a, "step %d writes %s, which is not its to write", s,
				    n->store[k].to.buffer->name);
			bool vars = place == PLACE_VARS || place == PLACE_SLOTS;
			if (vars && (p->kind == ENTRY_INFER || p->kind == ENTRY_EVAL || p->kind == ENTRY_PACK))
				return arena_printf(
				    a, "%s writes the state %s", p->name, n->store[k].to.buffer->name);
		}
	}
	return NULL;
}

/* Whether two schedulings are the same one over different nests. */
static bool same_tree(const Scheduled *x, const Scheduled *y)
{
	if (!x || !y) return x == y;
	Scheduled of_x = *x;
	of_x.nest = y->nest;
	return !memcmp(&of_x, y, sizeof of_x);
}

static const char *verify_trees(Arena *a, const Step *step, const Step *proven)
{
	const char *fault = proven ? NULL : nest_verify(a, step->nest);
	for (int t = 0; !fault && t < TARGET_LIMIT; t++)
		if (step->tree[t] && !(proven && same_tree(step->tree[t], proven->tree[t])))
			fault = check_all(a, step->tree[t]);
	return fault;
}

/* A tree over nests of one form is proven once. */
static const char *verify_steps(Arena *a, const Part *p)
{
	Map proven; /* Steps by the forms of their nests */
	Text form;
	map_init(&proven, a);
	text_init(&form, a);
	for (int s = 0; s < p->step.n; s++) {
		Step *step = &p->step.at[s];
		form.len = 0;
		nest_form(step->nest, &form);
		Step *former = map_get(&proven, form.data, form.len);
		const char *fault = verify_trees(a, step, former);
		if (fault) return arena_printf(a, "step %d (%s): %s", s, step->comment, fault);
		if (!former) map_put(&proven, form.data, form.len, step);
	}
	return NULL;
}

const char *verify_part(Arena *a, const Part *p)
{
	Life *life = NEWS(a, Life, p->buffer.n + 1);
	part_lives(p, life);
	const char *fault = verify_arena(a, p, life);
	if (!fault) fault = verify_reads(a, p);
	if (!fault) fault = verify_states(a, p, life);
	if (!fault) fault = verify_places(a, p);
	if (!fault) fault = verify_steps(a, p);
	return fault;
}
