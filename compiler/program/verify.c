/* verify: what a planned part must be, proven apart from the planner and the fuser. */
#include "internal.h"

static bool is_placed(const Part *p, const Life *life, int i)
{
	return p->buffer.at[i]->place == PLACE_WORK && life[i].first >= 0;
}

/* Buffers alive at one step, in the order of their offsets. None overlaps another, so that a new
 * one need only be held against its neighbours. */
typedef struct {
	const Part *part;
	int *at, n;
} Alive;

/* How many of them begin at or before this offset. */
static int place_of(const Alive *x, int64_t offset)
{
	int lo = 0, hi = x->n;
	while (lo < hi) {
		int middle = (lo + hi) / 2;
		if (x->part->buffer.at[x->at[middle]]->offset <= offset)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo;
}

static bool follows(const Buffer *x, const Buffer *y) { return y->offset >= x->offset + x->size; }

static const char *come_alive(Arena *a, Alive *x, int buffer)
{
	Buffer *const *all = x->part->buffer.at;
	const Buffer *b = all[buffer];
	int at = place_of(x, b->offset);
	const Buffer *met = NULL;
	if (at > 0 && !follows(all[x->at[at - 1]], b)) met = all[x->at[at - 1]];
	if (at < x->n && !follows(b, all[x->at[at]])) met = all[x->at[at]];
	if (met) return arena_printf(a, "%s and %s are alive together and overlap", met->name, b->name);
	memmove(&x->at[at + 1], &x->at[at], (size_t)(x->n++ - at) * sizeof *x->at);
	x->at[at] = buffer;
	return NULL;
}

static void die(Alive *x, int buffer)
{
	int at = place_of(x, x->part->buffer.at[buffer]->offset);
	while (at > 0 && x->at[at - 1] != buffer) at--;
	if (!at) return;
	memmove(&x->at[at - 1], &x->at[at], (size_t)(x->n-- - at) * sizeof *x->at);
}

/* What lies in the gradients' memory, which begins up to a line before the lent one: inside of it,
 * apart from others there that live at the same time, and gone when a gradient is written over it.
 */
static const char *verify_lent(Arena *a, const Part *p, const Life *life)
{
	int64_t end = 0, line = LINE_BYTES / p->element_bytes;
	for (int i = 0; i < p->buffer.n; i++)
		if (part_makes_gradient(p, p->buffer.at[i]))
			end = MAX(end, p->buffer.at[i]->offset + p->buffer.at[i]->size);
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *x = p->buffer.at[i];
		if (!is_placed(p, life, i) || !x->lent) continue;
		if (x->offset < 0 || x->offset + x->size + line > end + 1)
			return arena_printf(a, "%s lies outside of the gradients", x->name);
		for (int k = 0; k < p->buffer.n; k++) {
			const Buffer *y = p->buffer.at[k];
			bool gradient = part_makes_gradient(p, y);
			if (k == i || life[k].first < 0 || !(gradient || (y->place == PLACE_WORK && y->lent)))
				continue;
			int64_t from = y->offset - (gradient ? line - 1 : 0),
			        last = gradient ? p->step.n : life[k].last;
			if (x->offset < y->offset + y->size && from < x->offset + x->size &&
			    life[i].first <= last && life[k].first <= life[i].last)
				return arena_printf(
				    a, "%s and %s are alive together and overlap", x->name, y->name);
		}
	}
	return NULL;
}

/* Two work buffers alive at one step share no element. */
static const char *verify_arena(Arena *a, const Part *p, const Life *life)
{
	Steps *born = NEWS(a, Steps, p->step.n + 1), *dead = NEWS(a, Steps, p->step.n + 1);
	Alive alive = {p, NEWS(a, int, p->buffer.n + 1), 0};
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *x = p->buffer.at[i];
		if (!is_placed(p, life, i) || x->lent) continue;
		if (x->offset < 0) return arena_printf(a, "%s lies before the arena", x->name);
		if (x->size > p->work / p->element_bytes - x->offset)
			return arena_printf(a, "%s lies past the arena's end", x->name);
		if (!x->size) continue;
		vec_push(a, born[life[i].first], i);
		vec_push(a, dead[life[i].last], i);
	}
	for (int s = 0; s < p->step.n; s++) {
		for (int i = 0; i < born[s].n; i++) {
			const char *fault = come_alive(a, &alive, born[s].at[i]);
			if (fault) return fault;
		}
		for (int i = 0; i < dead[s].n; i++) die(&alive, dead[s].at[i]);
	}
	return NULL;
}

/* A row that stands for a tensor (flatten.c) lies where that does, and is walked whole. */
static bool is_row_of(const Nest *n, const Access *x, const Buffer *b)
{
	const Buffer *row = x->buffer;
	int64_t count[NEST_DIMS], lo, hi;
	for (int d = 0; d < n->ndim; d++) count[d] = n->dim[d].extent;
	affine_range(&x->at[0].a, count, &lo, &hi);
	return row->rank == 1 && row->size == b->size && row->place == b->place &&
	       row->offset == b->offset && row->lent == b->lent && x->at[0].q == 1 && lo == 0 &&
	       hi == b->size - 1;
}

static const char *verify_rows(Arena *a, const Part *p)
{
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			const Access *x = nest_access(n, k);
			const Buffer *b = p->buffer.at[x->buffer->id];
			if (x->buffer != b && !is_row_of(n, x, b))
				return arena_printf(a, "step %d: a row does not stand for all of %s", s, b->name);
		}
	}
	return NULL;
}

/* What n stores b as: itself, or the row that stands for it. */
static const Buffer *stored_as(const Nest *n, const Buffer *b)
{
	for (int k = 0; k < n->nstore; k++)
		if (n->store[k].to.buffer->id == b->id) return n->store[k].to.buffer;
	return b;
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
		const Buffer *as = stored_as(n, b);
		if (nest_load_of(n, as) >= 0 && !nest_reads_in_place(n, as, as))
			return arena_printf(a, "%s is read and written by one step, not in place", b->name);
		if (life[i].last_load > life[i].first_store)
			return arena_printf(a, "%s is written before its last reader", b->name);
	}
	return NULL;
}

/* Outputs are there before the first weight moves. */
static const char *verify_outputs(Arena *a, const Part *p, const Life *life)
{
	int first = p->kind == ENTRY_STEP ? first_update(p) : p->step.n;
	for (int i = 0; i < p->buffer.n; i++)
		if (p->buffer.at[i]->place == PLACE_OUTPUT && life[i].last_store >= first)
			return arena_printf(a, "%s is written after weights have moved", p->buffer.at[i]->name);
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

/* A tree's nest asks ahead, and does what the step's does. */
static const char *verify_trees(Arena *a, const Step *step, const Step *proven)
{
	const char *fault = proven ? NULL : nest_verify(a, step->nest);
	for (int t = 0; !fault && t < TARGET_LIMIT; t++) {
		const Scheduled *tree = step->tree[t];
		if (!tree) continue;
		if (!nest_same_work(tree->nest, step->nest)) return "a tree is of another nest";
		if (!proven || !same_tree(tree, proven->tree[t])) fault = check_all(a, tree);
	}
	return fault;
}

/* A tree over nests of one form is proven once. */
static const char *verify_steps(Arena *a, const Part *p)
{
	Map proven; /* Steps by the forms of their nests */
	Arena *scratch = arena_scratch(a);
	Text form;
	map_init(&proven, a);
	text_init(&form, a);
	for (int s = 0; s < p->step.n; s++) {
		Step *step = &p->step.at[s];
		form.len = 0;
		nest_form(step->nest, &form);
		Step *former = map_get(&proven, form.data, form.len);
		const char *fault = verify_trees(scratch, step, former);
		if (fault) return arena_printf(a, "step %d (%s): %s", s, step->comment, fault);
		if (!former) map_put(&proven, form.data, form.len, step);
		arena_reset(scratch);
	}
	return NULL;
}

const char *verify_part(Arena *a, const Part *p)
{
	Life *life = NEWS(a, Life, p->buffer.n + 1);
	part_lives(p, life);
	const char *fault = verify_arena(a, p, life);
	if (!fault) fault = verify_rows(a, p);
	if (!fault) fault = verify_reads(a, p);
	if (!fault) fault = verify_states(a, p, life);
	if (!fault) fault = verify_outputs(a, p, life);
	if (!fault) fault = verify_places(a, p);
	if (!fault) fault = verify_lent(a, p, life);
	if (!fault) fault = verify_steps(a, p);
	if (!fault) fault = verify_groups(a, p);
	if (!fault) fault = verify_turns(a, p);
	return fault;
}
